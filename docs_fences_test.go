// The code blocks of the documents, and what they print.

package wechatauth_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// samePrint compares what a document says a command prints with what it printed.
func samePrint(shown *fence, got string, seen map[string]string) error {
	if shown.lang != "json" {
		if got != shown.text {
			return fmt.Errorf("got %q, want %q", got, shown.text)
		}
		return nil
	}
	var want, printed any
	if err := json.Unmarshal([]byte(shown.text), &want); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(got), &printed); err != nil {
		return err
	}
	return sameJSON(want, printed, seen)
}

// sameJSON compares JSON values. A string that ends in … stands for a longer one that differs from
// run to run, but is the same wherever it is shown the same. A token is shown by its beginning.
func sameJSON(shown, got any, seen map[string]string) error {
	switch shown := shown.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		if !maps.EqualFunc(shown, object, func(any, any) bool { return true }) {
			return fmt.Errorf("got %v, want the names of %v", got, shown)
		}
		for name := range shown {
			if err := sameJSON(shown[name], object[name], seen); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case string:
		text, _ := got.(string)
		beginning, short := strings.CutSuffix(shown, "…")
		if !short {
			break
		}
		if isToken := strings.HasPrefix(beginning, "eyJ"); !isToken {
			if known, ok := seen[shown]; ok && known != text {
				return fmt.Errorf("got %q, want %q again", text, known)
			}
			seen[shown] = text
			beginning = ""
		}
		if !strings.HasPrefix(text, beginning) || len(text) < len(shown) {
			return fmt.Errorf("got %q, want %q", text, shown)
		}
		return nil
	}
	if !reflect.DeepEqual(got, shown) {
		return fmt.Errorf("got %v, want %v", got, shown)
	}
	return nil
}

// The answer to a one tap login is the one that is shown, and all other JSON is JSON.
func TestDocumentedJSON(t *testing.T) {
	t.Parallel()
	for _, doc := range slices.Concat(apiDocs, tours) {
		oneTap := false
		for _, f := range readFences(t, doc) {
			if f.lang != "json" {
				continue
			}
			if !json.Valid([]byte(f.text)) {
				t.Errorf("%s:%d: not JSON", doc, f.line)
			}
			if strings.Contains(f.text, `"phone_error"`) {
				oneTap = true
				s := newSite(t)
				a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)), "phone_code", "made-up")
				want(t, a, 200, "")
				shown := &fence{lang: "json", text: strings.ReplaceAll(f.text, "wx0123456789abcdef", s.appID)}
				if err := samePrint(shown, string(a.body), map[string]string{}); err != nil {
					t.Errorf("%s:%d: %v", doc, f.line, err)
				}
			}
		}
		if !oneTap && slices.Contains(apiDocs, doc) {
			t.Errorf("%s shows no answer with phone_error", doc)
		}
	}
}

// What a document shows as JavaScript is JavaScript.
func TestDocumentedScriptsParse(t *testing.T) {
	t.Parallel()
	for _, doc := range allDocs {
		for _, f := range readFences(t, doc) {
			if f.lang != "js" {
				continue
			}
			file := filepath.Join(t.TempDir(), "block.mjs")
			writeText(t, file, f.text)
			if out, err := command(t, "", "node", "--check", file).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", doc, f.line, err, out)
			}
		}
	}
}

// The skeleton of a store compiles, given what opens it.
func TestDocumentedStoreCompiles(t *testing.T) {
	t.Parallel()
	const rest = `package etcdstore

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

func open(string) (session.Store, error) { return nil, nil }

func startServer(*testing.T) string { return "" }

func openStore(*testing.T, string, *session.Clock) session.Store { return nil }
`
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	doc := storeDocs[0] // the other has the same blocks
	var blocks []string
	for _, f := range readFences(t, doc) {
		if f.lang == "go" {
			blocks = append(blocks, f.text)
		}
	}
	if len(blocks) != 2 {
		t.Fatalf("%s: got %d go blocks, want a store and its test", doc, len(blocks))
	}
	overlay := map[string]string{}
	for name, text := range map[string]string{"store.go": blocks[0], "store_test.go": blocks[1], "rest.go": rest} {
		if formatted, err := format.Source([]byte(text)); err != nil || string(formatted) != text {
			t.Errorf("%s: %s is not formatted (%v)", doc, name, err)
		}
		file := filepath.Join(t.TempDir(), name)
		writeText(t, file, text)
		overlay[filepath.Join(dir, "etcdstore", name)] = file
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	writeText(t, file, asJSON(t, map[string]any{"Replace": overlay}))
	// It compiles the package and its test, and links nothing.
	list := command(t, "", "go", "list", "-test", "-export", "-overlay", file, "-f", "{{.ImportPath}}", "./etcdstore")
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %v\n%s", doc, list, err, out)
	}
}

// The two languages have the same Caddyfiles and the same code. Of xcaddy.md scripts/docs.sh runs the
// English commands, so the Chinese are the same, and print the same.
func TestLanguagesAgree(t *testing.T) {
	t.Parallel()
	for _, pair := range languagePairs() {
		var texts [2]string
		for i, doc := range pair {
			for _, f := range readFences(t, doc) {
				if f.lang == "caddyfile" || f.lang == "go" || pair[0] == "xcaddy.md" && f.lang != "sh" {
					texts[i] += f.text + "\n"
				}
			}
		}
		if texts[0] != texts[1] {
			t.Errorf("%s has\n%s\n%s has\n%s", pair[0], texts[0], pair[1], texts[1])
		}
	}
}

// fence is a block of code in a document, with the block after it if that says what it prints.
type fence struct {
	lang, text string
	line       int
	output     *fence
}

func readFences(t *testing.T, doc string) []*fence {
	t.Helper()
	var fences []*fence
	var open, last *fence // last is the bash block that nothing but blank lines follow
	for i, line := range strings.Split(readText(t, doc), "\n") {
		lang, isMark := strings.CutPrefix(line, "```")
		switch {
		case isMark && open == nil:
			open = &fence{lang: lang, line: i + 1}
			fences = append(fences, open)
			if last != nil && (lang == "json" || lang == "text") {
				last.output = open
			}
			last = nil
		case isMark:
			if open.lang == "bash" {
				last = open
			}
			open = nil
		case open != nil:
			open.text += line + "\n"
		case line != "":
			last = nil
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block has no end", doc, open.line)
	}
	return fences
}
