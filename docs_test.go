package wechatauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"image/color"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/jwt"
)

var (
	readmes     = []string{"README.md", "README.zh-CN.md"}
	operations  = []string{"docs/operations.md", "docs/operations.zh-CN.md"}
	performance = []string{"docs/performance.md", "docs/performance.zh-CN.md"} // its commands are tested in bench
	web         = []string{"docs/web.md", "docs/web.zh-CN.md"}                 // its script runs in e2e
	hookDocs    = []string{"docs/hook.md", "docs/hook.zh-CN.md"}
	paths       = []string{"docs/paths.md", "docs/paths.zh-CN.md"}
	allDocs     = slices.Concat([]string{"xcaddy.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"},
		readmes, operations, performance, web, hookDocs, paths)
)

// The two commands that the READMEs give for a start. The first runs here as a built program, the second is
// what runs this test.
const (
	demoCommand = "go run -v ./cmd/caddy run --config Caddyfile.example\n"
	testCommand = "bash scripts/test.sh\n"
)

// Every command of the READMEs does what they say, and every Caddyfile in the documents is one.
func TestDocumentsRunAsWritten(t *testing.T) {
	t.Parallel()
	caddy := filepath.Join(t.TempDir(), "caddy.exe")
	build := command(t, "", "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", caddy, "./cmd/caddy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	for _, doc := range allDocs {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			fences := readFences(t, doc)
			w := newWorkplace(t, caddy)
			if slices.Contains(readmes, doc) {
				w.start(demoCommand)
				w.runBlocks(fences)
				w.stop()
				w.checkFiles()
				w.validate("Caddyfile.example", readText(t, "Caddyfile.example"))
			}
			for _, f := range fences {
				if f.lang == "caddyfile" {
					w.validate(fmt.Sprintf("%s:%d", doc, f.line), f.text)
				}
			}
		})
	}
}

// workplace is a machine of its own for one document, as far as folders and ports make one.
type workplace struct {
	t     *testing.T
	root  string
	caddy string
	ports *strings.Replacer // from the documented ones to free ones
	cmd   *exec.Cmd
	log   *startLog
	done  chan struct{} // closed when cmd has ended with err
	err   error
}

func newWorkplace(t *testing.T, caddy string) *workplace {
	t.Helper()
	w := &workplace{t: t, root: t.TempDir(), caddy: caddy}
	for _, dir := range []string{"checkout", "terminal", "home", "config", "data"} {
		if err := os.Mkdir(filepath.Join(w.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// command prepares a command in one of the folders. It knows only the workplace's home.
func (w *workplace) command(dir, name string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := command(w.t, filepath.Join(w.root, dir), name, args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*",
		"HOME="+filepath.Join(w.root, "home"),
		"XDG_CONFIG_HOME="+filepath.Join(w.root, "config"),
		"XDG_DATA_HOME="+filepath.Join(w.root, "data"))
	return cmd
}

// startLog keeps what Caddy logs and tells when it has started.
type startLog struct {
	started chan struct{}
	mu      sync.Mutex
	text    bytes.Buffer
	told    bool
}

func (l *startLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if !l.told && bytes.Contains(l.text.Bytes(), []byte("serving initial configuration")) {
		l.told = true
		close(l.started)
	}
	return len(p), nil
}

func (l *startLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the documented command with the documented configuration, on free ports.
func (w *workplace) start(documented string) {
	w.t.Helper()
	_, args, ok := strings.Cut(strings.TrimSpace(documented), " ./cmd/caddy ")
	if !ok {
		w.t.Fatalf("%q does not start ./cmd/caddy", documented)
	}
	config := readText(w.t, "Caddyfile.example")
	for range 3 { // somebody may be faster to take a free port
		w.ports = freePorts(w.t, "8080", "8088", "8089")
		writeText(w.t, filepath.Join(w.root, "checkout", "Caddyfile.example"), w.ports.Replace(config))
		w.cmd = w.command("checkout", w.caddy, strings.Fields(args)...)
		w.log = &startLog{started: make(chan struct{})}
		w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
		if err := w.cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		done := make(chan struct{})
		w.done = done
		go func() {
			w.err = w.cmd.Wait()
			close(done)
		}()
		w.t.Cleanup(func() { <-done }) // the test's context has ended it
		select {
		case <-w.log.started:
			return
		case <-w.done:
			if !strings.Contains(w.log.String(), "address already in use") {
				w.t.Fatalf("%s: %v\n%s", documented, w.err, w.log)
			}
		case <-time.After(time.Minute):
			w.t.Fatalf("%s: not started after a minute\n%s", documented, w.log)
		}
	}
	w.t.Fatalf("%s: found no free ports\n%s", documented, w.log)
}

func (w *workplace) stop() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-w.done:
		if w.err != nil {
			w.t.Errorf("caddy ended with %v\n%s", w.err, w.log)
		}
	case <-time.After(time.Minute):
		w.t.Fatalf("caddy did not end\n%s", w.log)
	}
}

// freePorts replaces ports by free ones, below those that outgoing connections take.
func freePorts(t *testing.T, documented ...string) *strings.Replacer {
	t.Helper()
	var pairs []string
	for range 1000 {
		if len(pairs) == 2*len(documented) {
			break
		}
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		pairs = append(pairs, ":"+documented[len(pairs)/2], ":"+port)
	}
	if len(pairs) < 2*len(documented) {
		t.Fatal("there are no free ports between 20000 and 30000 on 127.0.0.1")
	}
	return strings.NewReplacer(pairs...)
}

// runBlocks runs a document's bash blocks one after the other in one shell, as a reader pastes them into one
// terminal, and compares what they print.
func (w *workplace) runBlocks(fences []*fence) {
	w.t.Helper()
	const end = "=== end of block ==="
	var script strings.Builder
	var blocks []*fence
	given := map[string]bool{}
	for _, f := range fences {
		if f.lang != "bash" {
			continue
		}
		given[f.text] = true
		if f.text != demoCommand && f.text != testCommand {
			blocks = append(blocks, f)
			fmt.Fprintf(&script, "%s\necho '%s'\n", w.ports.Replace(f.text), end)
		}
	}
	if !given[demoCommand] || !given[testCommand] {
		w.t.Errorf("the document gives another command than %q or %q", demoCommand, testCommand)
	}
	for _, name := range []string{"curl", "openssl"} {
		command(w.t, "", name) // fails when it is missing
	}
	file := filepath.Join(w.root, "script.sh")
	writeText(w.t, file, script.String())
	bash := w.command("terminal", "bash", "-euo", "pipefail", file)
	var stderr strings.Builder
	bash.Stderr = &stderr
	out, err := bash.Output()
	if err != nil {
		w.t.Fatalf("bash: %v\n%s%s\nCaddy's log:\n%s", err, out, stderr.String(), w.log)
	}
	outputs := strings.Split(string(out), end+"\n")
	compared, seen := 0, map[string]string{}
	for i, f := range blocks {
		if f.output == nil {
			continue
		}
		compared++
		if err := samePrint(f.output, outputs[i], seen); err != nil {
			w.t.Errorf("line %d: %v; it printed\n%s", f.line, err, outputs[i])
		}
	}
	if compared < 5 {
		w.t.Errorf("got %d blocks with their output, want 5 and more", compared)
	}
}

// checkFiles finds what was written outside Caddy's data directory; keys go where the reader makes them.
func (w *workplace) checkFiles() {
	w.t.Helper()
	allowed := regexp.MustCompile(`^(data/caddy/.*|checkout/Caddyfile\.example|terminal/[a-z0-9-]+\.pem|script\.sh)$`)
	err := filepath.WalkDir(w.root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(w.root, path)
		if err == nil && !entry.IsDir() && !allowed.MatchString(filepath.ToSlash(name)) {
			w.t.Errorf("the quick start wrote %s", name)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}

// validate checks that a Caddyfile is formatted and that Caddy provisions it.
func (w *workplace) validate(name, text string) {
	w.t.Helper()
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		w.t.Errorf("%s: caddy fmt makes of it\n%s", name, formatted)
	}
	file := filepath.Join(w.root, "Caddyfile")
	writeText(w.t, file, strings.ReplaceAll(text, "/etc/caddy/", filepath.ToSlash(w.root)+"/terminal/"))
	cmd := w.command("checkout", w.caddy, "validate", "--adapter", "caddyfile", "--config", file)
	for _, name := range []string{"WECHAT", "SHOP", "COURIER"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_APPID=wx%016x", name, len(name)), name+"_SECRET="+testSecret)
	}
	cmd.Env = append(cmd.Env, "REDIS_PASSWORD=secret", "SEAL_KEY="+w.sealKey(), "HOOK_SECRET="+w.sealKey())
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("%s: caddy validate: %v\n%s", name, err, out)
	}
}

// sealKey is what the documented command makes.
func (w *workplace) sealKey() string {
	w.t.Helper()
	const makeKey = "openssl rand -base64 32"
	for _, doc := range operations {
		if !strings.Contains(readText(w.t, doc), "\n"+makeKey+"\n") {
			w.t.Errorf("%s does not say %q", doc, makeKey)
		}
	}
	out, err := w.command("terminal", "bash", "-c", makeKey).Output()
	if err != nil {
		w.t.Fatalf("%s: %v", makeKey, err)
	}
	return strings.TrimSpace(string(out))
}

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

// sameJSON compares JSON values. A string that ends in … stands for a longer one that differs from run to run,
// but is the same wherever it is shown the same. A token is shown by its beginning.
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

// The answer to a one tap login is the one that the READMEs show, and all other JSON is JSON.
func TestDocumentedJSON(t *testing.T) {
	t.Parallel()
	for _, doc := range readmes {
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
		if !oneTap {
			t.Errorf("%s shows no answer with phone_error", doc)
		}
	}
}

// The code for the mini program logs in, asks for the phone only when it must, and replaces a dead token: by its
// refresh token if it has expired, and by a login otherwise.
func TestDocumentedMiniProgram(t *testing.T) {
	t.Parallel()
	for _, doc := range readmes {
		i := slices.IndexFunc(readFences(t, doc), func(f *fence) bool { return f.lang == "js" })
		if i < 0 {
			t.Fatalf("%s has no js block", doc)
		}
		file := filepath.Join(t.TempDir(), "app.js")
		writeText(t, file, readFences(t, doc)[i].text)
		for _, c := range []struct {
			spoiled, refresh string // error codes that stand for the site's own answers
			codesLeft        int
		}{
			{"", "", 0},
			{"token_expired", "", 2},
			{"token_expired", "refresh_invalid", 0},
			{"session_revoked", "", 0},
		} {
			s := newSite(t, "phone_required /orders/*")
			u := s.fake.NewUser(s.appID)
			codes := asJSON(t, map[string]any{
				"login": []string{s.fake.LoginCode(u), s.fake.LoginCode(u), s.fake.LoginCode(u)},
				"phone": s.fake.PhoneCode(u, "13800138000"),
			})
			url := refusing(t, s, func(r *http.Request) string {
				switch {
				case r.Header.Get("Authorization") == "Bearer spoiled" && r.URL.Path != "/auth/refresh":
					return c.spoiled
				case r.URL.Path == "/auth/refresh":
					return c.refresh
				}
				return ""
			})
			out, err := command(t, "tests/interop", "node", "miniprogram.mjs", file, url, codes).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %+v: %v\n%s", doc, c, err, out)
			}
			want := fmt.Sprintf(`{"statuses":[200,403,403,200,200],"loginCodesLeft":%d,"avatar":true,"nothing":null}`, c.codesLeft)
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("%s: %+v: got %s, want %s", doc, c, got, want)
			}
		}
	}
}

// refusing puts a server before the site that answers 401 with the error that refuse names, if it names one.
func refusing(t *testing.T, s *site, refuse func(*http.Request) string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := refuse(r)
		if code == "" {
			s.serve(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, object("error", code))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The tables of options name what the parser knows, with the defaults that the code documents.
func TestDocumentedOptions(t *testing.T) {
	t.Parallel()
	known := parsedOptions(t)
	defaults := commentedDefaults(t)
	if len(known["wechat_auth"]) < 16 || len(known["token"]) < 8 || len(known["session"]) < 5 ||
		len(known["app"]) < 2 || len(known["store redis"]) < 3 || len(defaults) < 16 {
		t.Fatalf("got options %v and defaults %v, want more", known, defaults)
	}
	for _, doc := range readmes {
		for block, names := range known {
			table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(codeSpans(table[0][0]), block) })
			var got []string
			for _, row := range table[1:] {
				name := strings.Fields(codeSpans(row[0])[0])[0]
				if !slices.Contains(got, name) {
					got = append(got, name)
				}
				if value := defaults[block+" "+name]; value != "" && !slices.Contains(codeSpans(row[1]), value) {
					t.Errorf("%s: %s %s: got default %s, want `%s`", doc, block, name, row[1], value)
				}
			}
			sameNames(t, doc+": options in "+block, got, names)
		}
	}
}

// parsedOptions reads the cases of every switch on a subdirective's name.
func parsedOptions(t *testing.T) map[string][]string {
	t.Helper()
	blocks := map[string]string{
		"Handler.unmarshalOption": "wechat_auth", "Token.unmarshalOption": "token", "App.unmarshalOption": "app",
		"Session.unmarshalOption": "session", "RedisStore.UnmarshalCaddyfile": "store redis",
		"App.unmarshalSigning": "signing", "Profile.unmarshal": "profile", "Handler.unmarshalHook": "hook",
	}
	options := map[string][]string{}
	for _, decl := range slices.Concat(parseGo(t, "caddyfile.go").Decls, parseGo(t, "stores.go").Decls, parseGo(t, "stores_redis.go").Decls) {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv == nil {
			continue
		}
		receiver := strings.TrimPrefix(exprText(f.Recv.List[0].Type), "*") + "." + f.Name.Name
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SwitchStmt)
			if !ok || exprText(s.Tag) != "d.Val()" {
				return true
			}
			block := blocks[receiver]
			if block == "" {
				t.Errorf("%s reads a block that this test does not know, and the READMEs hardly will", receiver)
			}
			for _, c := range s.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					options[block] = append(options[block], unquote(e))
				}
			}
			return true
		})
	}
	return options
}

// commentedDefaults reads the one-word defaults in the comments of the config structs.
func commentedDefaults(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{
		"Handler": "wechat_auth", "Token": "token", "App": "app", "Session": "session", "RedisStore": "store redis",
		"Profile": "profile", "Hook": "hook",
	}
	pattern := regexp.MustCompile("Default: `?([A-Za-z0-9_/:]+)`?\\.\\s")
	defaults := map[string]string{}
	inspect := func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || blocks[spec.Name.Name] == "" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			m := pattern.FindStringSubmatch(field.Doc.Text())
			if m == nil || field.Tag == nil {
				continue
			}
			name, _, _ := strings.Cut(reflect.StructTag(unquote(field.Tag)).Get("json"), ",")
			if m[1] == "false" { // in JSON
				m[1] = "off"
			}
			defaults[blocks[spec.Name.Name]+" "+name] = m[1]
		}
		return false
	}
	ast.Inspect(parseGo(t, "module.go"), inspect)
	ast.Inspect(parseGo(t, "stores.go"), inspect)
	ast.Inspect(parseGo(t, "stores_redis.go"), inspect)
	return defaults
}

// The table of errors is the one in the code.
func TestDocumentedErrors(t *testing.T) {
	t.Parallel()
	var known []string
	ast.Inspect(parseGo(t, "errors.go"), func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || exprText(lit.Type) != "apiError" {
			return true
		}
		fields := map[string]ast.Expr{}
		for _, e := range lit.Elts {
			kv := e.(*ast.KeyValueExpr)
			fields[exprText(kv.Key)] = kv.Value
		}
		if e := exprText(fields["status"]) + " " + unquote(fields["Code"]); !slices.Contains(known, e) {
			known = append(known, e)
		}
		return true
	})
	if len(known) < 21 {
		t.Fatalf("got %v, want 21 errors and more", known)
	}
	for _, doc := range readmes {
		table := findTable(t, doc, func(table [][]string) bool { return table[0][1] == "`error`" })
		var got []string
		for _, row := range table[1:] {
			got = append(got, row[0]+" "+codeSpans(row[1])[0])
		}
		sameNames(t, doc+": errors", got, known)
	}
}

// The tables of what a backend receives name what a user with everything sends it.
func TestDocumentedIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.fake.NewUser(s.appID)
	a := s.do("POST", "/auth/phone", s.token(u), object("code", s.fake.PhoneCode(u, "13800138000")))
	want(t, a, 200, "")
	a = s.upload(a.text("access_token"), avatarOf(t, picture(t, 4, 4, color.White)), part{name: "nickname", content: []byte("n")})
	want(t, a, 200, "")
	token := a.text("access_token")
	s.do("GET", "/", token, "")
	var headers []string
	for name := range s.last().Header {
		if strings.HasPrefix(name, "X-Wx-") {
			headers = append(headers, strings.ToUpper(name))
		}
	}
	claimNames := jwt.Names()
	sameNames(t, "claims of a token", slices.Collect(maps.Keys(claims(t, token))), claimNames)
	placeholders := matches(t, "placeholders.go", `"(http\.auth\.user\.\w+)"`)
	placeholders = append(placeholders, matches(t, "errors.go", `"(http\.wechat_auth\.\w+)"`)...)

	for _, doc := range readmes {
		for first, known := range map[string][]string{"X-WX-OPENID": headers, "iss": claimNames} {
			table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(codeSpans(table[1][0]), first) })
			var got []string
			for _, row := range table[1:] {
				got = append(got, codeSpans(row[0])...)
			}
			sameNames(t, doc+": table of "+first, got, known)
		}
		sameNames(t, doc+": placeholders", matches(t, doc, `\{(http\.[a-z_.]+)\}`), placeholders)
	}
}

// The table of routes has every route, and the READMEs name every package that the tests install.
func TestDocumentedRoutesAndNeeds(t *testing.T) {
	t.Parallel()
	routes := matches(t, "handler.go", `\n\t\t"(/[^"]+)": +\{`)
	routes = append(routes, matches(t, "tokens.go", `h\.routes\["(/[^"]+)"\]`)...)
	needs := matches(t, "scripts/needs.sh", `\n\t?need ([a-z0-9-]+) `)
	if len(routes) < 7 || len(needs) < 7 {
		t.Fatalf("got routes %v and needs %v, want more", routes, needs)
	}
	for _, doc := range readmes {
		table := findTable(t, doc, func(table [][]string) bool { return strings.Contains(table[1][0], "/auth/login") })
		var got []string
		for _, row := range table[1:] {
			_, path, _ := strings.Cut(codeSpans(row[0])[0], "/auth")
			if path, _, _ = strings.Cut(path, "<"); !slices.Contains(got, path) {
				got = append(got, path)
			}
		}
		sameNames(t, doc+": routes", got, routes)
		for _, name := range needs {
			if !strings.Contains(readText(t, doc), name) {
				t.Errorf("%s does not say that the tests install %s", doc, name)
			}
		}
	}
}

// Links within the repository lead somewhere, and the two READMEs to each other at once.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	for _, doc := range allDocs {
		for _, link := range matches(t, doc, `\]\(([^)\s]+)\)`) {
			path, _, _ := strings.Cut(link, "#")
			if strings.HasPrefix(link, "https://") || path == "" {
				continue
			}
			target := filepath.Join(filepath.Dir(doc), filepath.FromSlash(path))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", doc, link, err)
			}
		}
		for _, link := range matches(t, doc, `\]\(([^)\s]*#[^)\s]+)\)`) {
			path, heading, _ := strings.Cut(link, "#")
			if strings.HasPrefix(link, "https://") {
				continue
			}
			target := doc
			if path != "" {
				target = filepath.Join(filepath.Dir(doc), filepath.FromSlash(path))
			}
			if !slices.Contains(headings(t, target), heading) {
				t.Errorf("%s links to %s: got headings %v", doc, link, headings(t, target))
			}
		}
	}
	for _, pair := range [][]string{readmes, operations, performance, web} {
		for i, doc := range pair {
			head := strings.SplitAfterN(readText(t, doc), "\n", 4)[:3]
			if other := "](" + filepath.Base(pair[1-i]) + ")"; !strings.Contains(strings.Join(head, ""), other) {
				t.Errorf("%s: got %q, want a link to the other language", doc, head)
			}
			if link := "](" + doc + ")"; doc != readmes[i] && !strings.Contains(readText(t, readmes[i]), link) {
				t.Errorf("%s: got no link to %s", readmes[i], doc)
			}
		}
	}
}

// headings returns the names by which one links to a document's headings.
func headings(t *testing.T, doc string) (names []string) {
	t.Helper()
	for _, title := range matches(t, doc, `(?m)^#+ (.+)$`) {
		names = append(names, strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(title, "`", "")), " ", "-"))
	}
	return names
}

// What the operations pages list is what the code has: stores, metrics and the event.
func TestDocumentedOperations(t *testing.T) {
	t.Parallel()
	const storeName = `"http\.handlers\.wechat_auth\.stores\.(\w+)"`
	stores := append(matches(t, "stores.go", storeName), matches(t, "stores_redis.go", storeName)...)
	metrics := matches(t, "metrics.go", `"(caddy_wechat_auth_\w+)"`)
	events := matches(t, "session.go", `h\.emit\("(\w+)"`)
	if len(stores) < 3 || len(metrics) < 3 || len(events) != 1 {
		t.Fatalf("got stores %v, metrics %v and events %v, want more", stores, metrics, events)
	}
	for _, doc := range operations {
		for _, known := range [][]string{stores, metrics} {
			table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(known, codeSpans(table[1][0])[0]) })
			var got []string
			for _, row := range table[1:] {
				got = append(got, codeSpans(row[0])[0])
			}
			sameNames(t, doc+": table of "+known[0], got, known)
		}
		for _, known := range append(events, "http.handlers.wechat_auth.stores", "wechatauth.Store", "session.DB", "session.NewKVStore",
			"session.Store", "sessiontest.Run") {
			if !strings.Contains(readText(t, doc), "`"+known+"`") {
				t.Errorf("%s does not name %s", doc, known)
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
	doc := operations[0] // the other has the same blocks
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

// The two languages say the same: they have the same sections, tables, and blocks.
func TestLanguagesAgree(t *testing.T) {
	t.Parallel()
	for _, pair := range [][]string{readmes, operations, performance, web} {
		sameShape(t, pair)
	}
}

func sameShape(t *testing.T, pair []string) {
	t.Helper()
	var shapes [2]string
	for i, doc := range pair {
		var shape strings.Builder
		for _, f := range readFences(t, doc) {
			fmt.Fprintf(&shape, "%s block\n", f.lang)
			if f.lang == "caddyfile" || f.lang == "go" {
				shape.WriteString(f.text)
			}
		}
		for _, table := range readTables(t, doc) {
			fmt.Fprintf(&shape, "table of %d rows\n", len(table))
		}
		prose := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(readText(t, doc), "")
		for _, mark := range regexp.MustCompile(`(?m)^(#+|-) `).FindAllString(prose, -1) {
			shape.WriteString(mark + "\n")
		}
		shapes[i] = shape.String()
	}
	if shapes[0] != shapes[1] {
		t.Errorf("%s has\n%s\n%s has\n%s", pair[0], shapes[0], pair[1], shapes[1])
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

// readTables returns the tables of a document, each with its heading as the first row.
func readTables(t *testing.T, doc string) (tables [][][]string) {
	t.Helper()
	inside := false
	for line := range strings.SplitSeq(readText(t, doc), "\n") {
		row, isRow := strings.CutPrefix(line, "| ")
		switch {
		case isRow:
			row = strings.ReplaceAll(strings.TrimSuffix(row, "|"), `\|`, "\x00")
			var cells []string
			for cell := range strings.SplitSeq(row, "|") {
				cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|"))
			}
			if !inside {
				tables = append(tables, nil)
			}
			tables[len(tables)-1] = append(tables[len(tables)-1], cells)
			inside = true
		case !strings.HasPrefix(line, "|---"):
			inside = false
		}
	}
	return tables
}

func findTable(t *testing.T, doc string, is func([][]string) bool) [][]string {
	t.Helper()
	for _, table := range readTables(t, doc) {
		if len(table) > 1 && is(table) {
			return table
		}
	}
	t.Fatalf("%s has not the table looked for", doc)
	return nil
}

func codeSpans(cell string) (spans []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		spans = append(spans, m[1])
	}
	return append(spans, make([]string, max(0, 1-len(spans)))...) // at least one, so that the first can be asked for
}

// matches returns what a pattern's group finds in a file, each once.
func matches(t *testing.T, file, pattern string) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readText(t, file), -1) {
		if !slices.Contains(found, m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

// sameNames compares two lists regardless of order.
func sameNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func parseGo(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// exprText writes the few kinds of expression that are looked for here.
func exprText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		return e.Value
	case *ast.StarExpr:
		return "*" + exprText(e.X)
	case *ast.SelectorExpr:
		return exprText(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		if len(e.Args) == 0 {
			return exprText(e.Fun) + "()"
		}
	}
	return fmt.Sprintf("%T", e)
}

func unquote(e ast.Expr) string {
	text, err := strconv.Unquote(exprText(e))
	if err != nil {
		return "not a literal: " + exprText(e)
	}
	return text
}

func readText(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
