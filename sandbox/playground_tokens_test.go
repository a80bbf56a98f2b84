// Tokens that the playground makes short-lived.

package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

// Caddy gets its configuration with the lifetime of tokens changed and nothing else, and gets the
// old one back.
func TestPlaygroundShortensTokens(t *testing.T) {
	t.Parallel()
	const before = `{"a": {"routes": [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "wechat_auth", "timeout": 9007199254740993}]}]}]}]},
		"b": {"routes": [{"handle": [{"handler": "wechat_auth", "token": {"ttl": 60000000000, "issuer": "i"}}, {"handler": "static_response"}]}]}}`
	loaded := make(chan string, 1)
	config := before
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			config = string(body)
			loaded <- r.URL.Path + " " + config
			return
		}
		_, _ = io.WriteString(w, config)
	}))
	t.Cleanup(admin.Close)
	h := provision(t, &sandbox.Handler{
		Apps:       []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}},
		Playground: &sandbox.Playground{Site: "http://localhost:8080", Admin: strings.TrimPrefix(admin.URL, "http://")},
	})
	flip := func(on bool) (got any) {
		t.Helper()
		if w := serve(t, h, request(http.MethodPost, faultsRoute, fmt.Sprintf(`{"name":"short_tokens","on":%t}`, on))); w.Code != http.StatusOK {
			t.Fatalf("got %d %s, want 200", w.Code, w.Body)
		}
		path, body, _ := strings.Cut(<-loaded, " ")
		if path != "/config/apps/http/servers" {
			t.Errorf("got %s, want the servers", path)
		}
		return decode(t, body)
	}
	short := strings.NewReplacer(`"timeout": 9007199254740993`, `"timeout": 9007199254740993, "token": {"ttl": 10000000000}`, `60000000000`, `10000000000`)
	if got, want := flip(true), decode(t, short.Replace(before)); !reflect.DeepEqual(got, want) {
		t.Errorf("on: got %v, want %v", got, want)
	}
	restored := strings.Replace(before, `9007199254740993`, `9007199254740993, "token": {}`, 1)
	if got, want := flip(false), decode(t, restored); !reflect.DeepEqual(got, want) {
		t.Errorf("off: got %v, want %v", got, want)
	}
}

func decode(t *testing.T, text string) (value any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

func TestPlaygroundShortensNothingWithoutTheAdminAPI(t *testing.T) {
	t.Parallel()
	h := provision(t, &sandbox.Handler{
		Apps:       []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}},
		Playground: &sandbox.Playground{Site: "http://localhost:8080"},
	})
	for _, name := range []string{"short_tokens", "hook_denies"} {
		if status, _ := post(t, h, faultsRoute, fmt.Sprintf(`{"name":%q,"on":true}`, name)); status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, status)
		}
	}
}
