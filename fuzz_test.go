// Fuzzing of configurations, and of what the operator's commands print.

package wechatauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth"
)

// A Caddyfile is an error or JSON, the same each time; a handler in it is provisioned or refused, and
// is the same after it went through JSON once more.
// Threats: T91.
func FuzzCaddyfile(f *testing.F) {
	files, _ := filepath.Glob("testdata/adapt/*.caddyfiletest")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), adaptSeparator)
		f.Add(input)
	}
	ctx := newContext(f)
	f.Fuzz(func(t *testing.T, input string) {
		if strings.Contains(input, "import") || strings.Contains(input, "{$") {
			return // these read files and the environment
		}
		adapter := caddyconfig.GetAdapter("caddyfile")
		first, _, err := adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			return
		}
		second, _, err := adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("got %s %v, want %s", second, err, first)
		}
		var config any
		if err := json.Unmarshal(first, &config); err != nil {
			t.Fatal(err)
		}
		for _, handler := range handlersIn(config) {
			checkHandler(t, ctx, handler)
		}
	})
}

// handlersIn finds the handlers of this module anywhere in a configuration.
func handlersIn(config any) (found []map[string]any) {
	switch config := config.(type) {
	case map[string]any:
		if config["handler"] == "wechat_auth" {
			return []map[string]any{config}
		}
		for _, value := range config {
			found = append(found, handlersIn(value)...)
		}
	case []any:
		for _, value := range config {
			found = append(found, handlersIn(value)...)
		}
	}
	return found
}

func checkHandler(t *testing.T, ctx caddy.Context, config map[string]any) {
	t.Helper()
	delete(config, "handler")
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	h := new(wechatauth.Handler)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(h); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	again, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(again, &plain); err != nil || !reflect.DeepEqual(plain, config) {
		t.Errorf("got %s, want %s", again, text)
	}
	_ = h.Provision(ctx) // it must not panic
	if err := h.Cleanup(); err != nil {
		t.Errorf("Cleanup: %v", err)
	}
}

// secretPlaces are lines of a Caddyfile that hold the secret SECRET.
var secretPlaces = []string{
	"app wx1 SECRET", "app wx1 {\nsecret SECRET\n}", "app wx1 s\ntoken {\nalgorithm HS256\nkey SECRET\n}", "app wx1 s\ntoken {\nkey SECRET\n}",
	"app wx1 s\ntoken {\nalgorithm HS256\nkey 0Aq8ZrT2vXw5LkB9nHs3JdY6mPc1GfA7uE\nprevious_key SECRET\n}", "app wx1 s\nhook http://127.0.0.1:1/ {\nsecret SECRET\n}",
	"app wx1 s\nhook URLSECRET {\nsecret 0Aq8ZrT2vXw5LkB9nHs3JdY6mPc1GfA7uE\n}", "app wx1 s\nservice {\nsecret SECRET\n}", "app wx1 s\nstore redis redis://a {\npassword SECRET\n}",
	"app wx1 s\nstore redis redis://a {\nseal_key SECRET\n}", "app wx1 s\nstore redis REDISSECRET", "app wx1 s {\npush {\ntoken SECRET\naes_key 0Aq8ZrT2vXw5LkB9nHs3JdY6mPc1GfA7uE012345678\n}\n}",
	"app wx1 s {\npush {\ntoken t\naes_key SECRET\n}\n}", "app wx1 {\naccess_token URLSECRET\n}", "app wx1 s {\nsigning {\nkey k SECRET\nprivate_key p /none.pem\nplatform_certificate c /none.pem\n}\n}",
}

// No error about a configuration quotes a secret, whatever the secret looks like.
// Threats: T91, C04.
func FuzzSecretsInErrors(f *testing.F) {
	for i := range secretPlaces {
		for _, rest := range []string{"", "{", "}", "{env.X}", "{file./x}", ".pem", "/", "%zz", "@", " ", "\n", "`", "\"", `\{`, "#", "?", "[", "0123456789abcdef0123456789abcdef", "{$X}", ":x@y:z/"} {
			f.Add(uint8(i), rest)
		}
	}
	const mark = "hUsHhUsH7"
	ctx := newContext(f)
	f.Fuzz(func(t *testing.T, place uint8, rest string) {
		if strings.Contains(rest, "{env") || strings.Contains(rest, "{file") {
			rest = strings.NewReplacer("{env", "{nev", "{file", "{elif").Replace(rest) // a variable's name is no secret
		}
		quote := func(text string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		}
		secret := mark + rest + mark
		lines := strings.NewReplacer("URLSECRET", quote("http://user:"+secret+"@127.0.0.1:1/x"), "REDISSECRET", quote("redis://user:"+secret+"@127.0.0.1:1"), "SECRET", quote(secret)).
			Replace(secretPlaces[int(place)%len(secretPlaces)])
		h := new(wechatauth.Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_auth {\n" + lines + "\n}"))
		if err == nil {
			err = h.Provision(ctx)
		}
		if failed := h.Cleanup(); failed != nil {
			t.Errorf("Cleanup: %v", failed)
		}
		if err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("%s: the error quotes the secret: %v", lines, err)
		}
	})
}

// Whatever users, hooks and operators call things, a terminal shows it in its place: no control or
// direction reaches it, no line or column comes of a text, and JSON for programs stays the same.
func FuzzTerminal(f *testing.F) {
	for _, text := range []string{"小明 😀", "a\tb\nc", "\x1b[2J\x1b]0;x\a", "\u009b31m", "\u202etxt.exe", "\u2028x\u0085", "\\u001b", "👨\u200d👩\u200d👧", "\U000e0041", "\x7f"} {
		f.Add(text, `{"role":"`+strings.ReplaceAll(text, `\`, `\\`)+`"}`)
	}
	f.Fuzz(func(t *testing.T, text, claims string) {
		if !utf8.ValidString(text) || !utf8.ValidString(claims) {
			return // which no answer has
		}
		raw := json.RawMessage(claims)
		if !json.Valid(raw) {
			raw = json.RawMessage("null")
		}
		user := map[string]any{"appid": text, "openid": text, "unionid": text, "phone": text, "nickname": text, "avatar": text, "ban": map[string]any{"reason": text}, "sessions": 1}
		for name, table := range map[string]struct {
			print  func(*bytes.Buffer, []byte) error
			answer any
			lines  int
		}{
			"users":  {func(b *bytes.Buffer, a []byte) error { return wechatauth.PrintUsers(b, a) }, map[string]any{"users": []any{user, user}, "next": text}, 4},
			"user":   {func(b *bytes.Buffer, a []byte) error { return wechatauth.PrintUser(b, a) }, map[string]any{"user": user, "sessions": []any{map[string]any{"sid": text, "site": text, "claims": raw}}}, -1},
			"status": {func(b *bytes.Buffer, a []byte) error { return wechatauth.PrintStatus(b, a) }, map[string]any{"status": text, "why": []string{text}, "sites": []any{map[string]any{"issuer": text}}}, 4},
		} {
			answer, err := json.Marshal(table.answer)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := table.print(&out, answer); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkPrinted(t, out.String())
			if got := strings.Count(out.String(), "\n"); table.lines > 0 && text != "" && got != table.lines {
				t.Errorf("%s: got %d lines, want %d:\n%s", name, got, table.lines, &out)
			}
			var before, after any
			shown := wechatauth.Plain(string(answer), "")
			checkPrinted(t, shown)
			if err := json.Unmarshal([]byte(shown), &after); err != nil || json.Unmarshal(answer, &before) != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("%s: got %s, want it to say %s", name, shown, answer)
			}
		}
	})
}

func checkPrinted(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !unicode.Is(unicode.Join_Control, r) {
			t.Fatalf("%q reaches the terminal in %s", r, fmt.Sprintf("%q", text))
		}
	}
}
