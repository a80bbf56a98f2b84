//go:build unix

// Servers that make environment variables out of header names: what the application finds there is
// what counts.

package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// findServer returns a program that needs.sh installs where not everybody's PATH leads.
func findServer(t *testing.T, name string) string {
	t.Helper()
	for _, file := range []string{name, "/usr/sbin/" + name} {
		if program, err := exec.LookPath(file); err == nil {
			return program
		}
	}
	t.Fatalf("there is no %s here: bash scripts/needs.sh", name)
	return ""
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fastCGI starts an application that answers with its variables, a line each.
func fastCGI(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		_ = fcgi.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, values := range r.Header {
				name = "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) // as it came
				_, _ = fmt.Fprintf(w, "%s=%s\n", name, strings.Join(values, "+"))
			}
		}))
	}()
	return listener.Addr().String()
}

// startLighttpd runs CGI scripts at *.cgi and the FastCGI application at *.fcgi.
func startLighttpd(t *testing.T, application string) (address string) {
	t.Helper()
	dir, port := t.TempDir(), testkit.FreePort(t)
	for _, folder := range []string{"public", "optional", "api"} {
		writeFile(t, dir, "www/"+folder+"/env.cgi", "printf 'Content-Type: text/plain\\r\\n\\r\\n'\nexec env\n")
	}
	_, fcgiPort, _ := net.SplitHostPort(application)
	config := writeFile(t, dir, "lighttpd.conf", fmt.Sprintf(`
server.modules = ("mod_cgi", "mod_fastcgi")
server.document-root = "%s/www"
server.errorlog = "%s/error.log"
server.bind = "127.0.0.1"
server.port = %s
cgi.assign = (".cgi" => "/bin/sh")
fastcgi.server = (".fcgi" => (("host" => "127.0.0.1", "port" => %s, "check-local" => "disable")))
`, dir, dir, port, fcgiPort))
	address = "127.0.0.1:" + port
	runProgram(t, address, nil, findServer(t, "lighttpd"), "-D", "-f", config)
	return address
}

// startNginx passes everything to the FastCGI application, and odd names with it at the second
// address.
func startNginx(t *testing.T, application string) (address, lenient string) {
	t.Helper()
	dir := t.TempDir()
	address, lenient = "127.0.0.1:"+testkit.FreePort(t), "127.0.0.1:"+testkit.FreePort(t)
	server := func(address, options string) string {
		return fmt.Sprintf(`server {
	listen %s;
	%s
	location / {
		fastcgi_pass %s;
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param REQUEST_URI $request_uri;
		fastcgi_param SERVER_PROTOCOL $server_protocol;
	}
}
`, address, options, application)
	}
	config := writeFile(t, dir, "nginx.conf", fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
events {}
http {
access_log off;
client_body_temp_path %[1]s/body;
proxy_temp_path %[1]s/proxy;
fastcgi_temp_path %[1]s/fastcgi;
uwsgi_temp_path %[1]s/uwsgi;
scgi_temp_path %[1]s/scgi;
%[2]s%[3]s}
`, dir, server(address, ""), server(lenient, "ignore_invalid_headers off;\nunderscores_in_headers on;")))
	runProgram(t, lenient, nil, findServer(t, "nginx"), "-p", dir, "-c", config, "-e", dir+"/error.log")
	return address, lenient
}

// oddSpellings writes a name with every byte that HTTP allows between its words.
func oddSpellings(name string) (all []string) {
	for _, c := range "!#$%&'*+-.^_`|~" {
		between := string(c)
		all = append(all, strings.ReplaceAll(name, "-", between), strings.Replace(name, "-", between, 1),
			strings.ToLower(strings.Replace(name, "-", between, 1)))
	}
	return all
}

// identityVariables are those in which an application looks for its user.
func identityVariables(environment string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(environment) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		read := strings.Map(func(c rune) rune {
			if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
				return c
			}
			return '_' // PHP and others fold what the server left
		}, name)
		if strings.HasPrefix(read, "HTTP_X_WX_") || read == "HTTP_X_USER" || read == "HTTP_X_PHONE_NUMBER" {
			found[read] += value
		}
	}
	return found
}

// getWith sends headers whose names stay as they are written.
func (c client) getWith(t *testing.T, path, token string, names []string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		r.Header[name] = []string{"victim"}
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: got %d %.300s (%v)", path, res.StatusCode, body, err)
	}
	return string(body)
}

// An upstream that speaks CGI names X~WX~OPENID as it names X-WX-OPENID: whoever logs in could be
// anybody, and on public paths without logging in.
// Threats: T06, F01.
func TestNoSpellingIsAnIdentityToCGI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	application := fastCGI(t)
	lighttpd := startLighttpd(t, application)
	nginx, lenient := startNginx(t, application)
	n := w.newNode()
	servers := []struct {
		name, directive, file string
		client
		folds bool // letters and digits alone survive
	}{
		{name: "lighttpd, CGI", directive: "reverse_proxy " + lighttpd, file: "env.cgi", folds: true},
		{name: "lighttpd, FastCGI", directive: "reverse_proxy " + lighttpd, file: "env.fcgi", folds: true},
		{name: "nginx, FastCGI", directive: "reverse_proxy " + nginx, file: "env"},
		{name: "nginx with odd names, FastCGI", directive: "reverse_proxy " + lenient, file: "env"},
		{name: "Caddy, FastCGI", directive: "reverse_proxy " + application + " {\ntransport fastcgi\n}", file: "env"},
	}
	for i := range servers {
		port := testkit.FreePort(t)
		servers[i].client = newClient(t, "http://127.0.0.1:"+port)
		n.more += "http://:" + port + " {\nwechat_auth {\napp " + appID + " " + secret + "\napi " + w.api + "\nlimit login off\n" +
			"public /public/*\noptional /optional/*\nheader X-User openid\nheader X-Phone-Number phone_number\n}\n" + servers[i].directive + "\n}\n"
	}
	n.start()
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			alice := w.fake.NewUser(appID)
			login := s.post("/auth/login", "", "code", w.fake.LoginCode(alice))
			want(t, "login", login, 200, "")
			if s.folds { // else nothing is proven
				direct := newClient(t, "http://"+lighttpd)
				for _, odd := range oddSpellings("X-WX-OPENID") {
					if got := identityVariables(direct.getWith(t, "/api/"+s.file, "", []string{odd})); len(got) != 1 {
						t.Fatalf("%s without Caddy: got %v, want an identity", odd, got)
					}
				}
			}
			for _, name := range []string{"X-WX-OPENID", "X-WX-PHONE", "X-WX-UNIONID", "X-WX-SOURCE", "X-WX-APPID", "X-User", "X-Phone-Number"} {
				odd := oddSpellings(name)
				wantVariables(t, s.getWith(t, "/public/"+s.file, "", odd), nil)
				wantVariables(t, s.getWith(t, "/public/"+s.file, login.access(), odd), nil)
				wantVariables(t, s.getWith(t, "/optional/"+s.file, "", odd), nil)
				wantVariables(t, s.getWith(t, "/optional/"+s.file, login.access(), odd), alice)
				wantVariables(t, s.getWith(t, "/api/"+s.file, login.access(), odd), alice)
			}
		})
	}
}

// wantVariables wants an application to see a user, who has given no phone, or nobody.
func wantVariables(t *testing.T, environment string, u *wechattest.User) {
	t.Helper()
	want := map[string]string{}
	if u != nil {
		want = map[string]string{
			"HTTP_X_WX_OPENID": u.OpenID, "HTTP_X_WX_APPID": appID, "HTTP_X_WX_UNIONID": u.UnionID, "HTTP_X_WX_SOURCE": "wx_client",
			"HTTP_X_USER": u.OpenID,
		}
	}
	if got := identityVariables(environment); !maps.Equal(got, want) {
		t.Errorf("variables: got %v, want %v", got, want)
	}
}
