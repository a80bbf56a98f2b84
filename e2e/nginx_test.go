//go:build unix

// A site behind nginx, with the configuration of examples/nginx.

package e2e_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// front is nginx as its users reach it, before Caddy and a backend.
type front struct {
	client
	caddy client // reached past nginx
	wire  *proxy // between nginx and Caddy
	world *world
	ca    string // a file
}

// newFront runs nginx and Caddy with the files of examples/nginx, and a backend that answers what it got.
// The lines are added to wechat_auth.
func newFront(t *testing.T, lines ...string) *front {
	t.Helper()
	w := newWorld(t)
	f := &front{world: w}
	address := f.startCaddy(t, "nginx", lines...)
	f.wire = newProxy(t, address)
	f.startNginx(t, strings.TrimPrefix(echoBackend(t), "http://"))
	return f
}

// startCaddy runs Caddy with the Caddyfile of a folder of the examples.
func (f *front) startCaddy(t *testing.T, folder string, lines ...string) (address string) {
	t.Helper()
	address = "127.0.0.1:" + testkit.FreePort(t)
	text := adapted(t, "../examples/"+folder+"/Caddyfile", map[string]string{
		"http://:8081": "http://" + strings.Replace(address, "127.0.0.1", "", 1),
		"app {env.WECHAT_APPID} {env.WECHAT_SECRET}": "app " + appID + " " + secret + "\napi " + f.world.api + "\nlimit login off\n" +
			strings.Join(lines, "\n"),
	})
	global, site, _ := strings.Cut(strings.TrimPrefix(text, "{\n"), "\n}\n")
	n := f.world.newNode()
	n.options, n.more = global+"\n", site
	n.start()
	f.caddy = newClient(t, "http://"+address)
	return address
}

// startNginx runs nginx with TLS, as WeChat wants it. Changes are pairs of what stands in the site and what
// shall in its place, wherever it does.
func (f *front) startNginx(t *testing.T, backend string, changes ...string) {
	t.Helper()
	dir, port := t.TempDir(), testkit.FreePort(t)
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // it has a certificate of 127.0.0.1
	server.Close()
	certificate := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	f.ca = writeFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
	keyFile := writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	site := adapted(t, "../examples/nginx/api.example.com.conf", map[string]string{
		"listen 443 ssl;":                "listen 127.0.0.1:" + port + " ssl;",
		"/etc/nginx/api.example.com.pem": f.ca,
		"/etc/nginx/api.example.com.key": keyFile,
		"server 127.0.0.1:8081;":         "server " + f.wire.addr + ";",
		"server 127.0.0.1:3000;":         "server " + backend + ";",
	})
	site = strings.NewReplacer(changes...).Replace(site)
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
include %[2]s;
}
`, dir, writeFile(t, dir, "site.conf", site)))
	runProgram(t, "127.0.0.1:"+port, nil, findServer(t, "nginx"), "-p", dir, "-c", config, "-e", dir+"/error.log")
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(dir + "/error.log")
			t.Logf("nginx's log: %s", tail(string(text), 4000))
		}
	})
	f.client = newClient(t, "https://127.0.0.1:"+port)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	f.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
}

// adapted is a file of the examples with other addresses. Each must be there once.
func adapted(t *testing.T, file string, other map[string]string) string {
	t.Helper()
	bytes, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(bytes)
	for from, to := range other {
		if strings.Count(text, from) != 1 {
			t.Fatalf("%s has %q %d times, want it once", file, from, strings.Count(text, from))
		}
		text = strings.Replace(text, from, to, 1)
	}
	return text
}

// got is a request as the backend saw it.
type got struct {
	Path, ForwardedFor, ForwardedProto string
	Identity                           map[string]string // by folded names
	Bytes                              int64
}

func echoBackend(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoUpgraded(w, r)
			return
		}
		g := got{Path: r.RequestURI, ForwardedFor: strings.Join(r.Header["X-Forwarded-For"], "+"), ForwardedProto: r.Header.Get("X-Forwarded-Proto"), Identity: map[string]string{}}
		for name, values := range r.Header {
			if name := foldedIdentity(name); name != "" {
				g.Identity[name] += strings.Join(values, "+")
			}
		}
		g.Bytes, _ = io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode(g)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// foldedIdentity is the name that CGI would read, if it is one of WeChat's or steers the method.
func foldedIdentity(name string) string {
	name = strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToUpper(name))
	if strings.HasPrefix(name, "X-WX-") || strings.Contains(name, "METHOD") {
		return name
	}
	return ""
}

// echoUpgraded takes over the connection as a WebSocket server does, says whose it is, and then repeats lines.
func echoUpgraded(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello %s\n", r.Header.Get("X-Wx-Openid"))
	_, _ = io.Copy(conn, buffered)
}

func (a answer) got(t *testing.T, what string) (g got) {
	t.Helper()
	if a.status != 200 || json.Unmarshal(a.body, &g) != nil {
		t.Fatalf("%s: got %s, want what the backend got", what, a)
	}
	return g
}

// identity returns the headers that a backend shall see of a user.
func identity(u *wechattest.User, phone string) map[string]string {
	all := map[string]string{"X-WX-OPENID": u.OpenID, "X-WX-APPID": appID, "X-WX-UNIONID": u.UnionID, "X-WX-SOURCE": "wx_client"}
	if phone != "" {
		all["X-WX-PHONE"] = phone
	}
	return all
}

// upgrade opens a WebSocket as far as a proxy can see one.
func (f *front) upgrade(t *testing.T, path, token string) (status int, body io.ReadWriter) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("X-WX-OPENID", "victim")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := f.http.Transport.RoundTrip(r) // a client with a timeout hides that one can write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	body, _ = res.Body.(io.ReadWriter)
	return res.StatusCode, body
}

// A mini program's day behind nginx, an access token after the other.
func TestNginxServesAMiniProgram(t *testing.T) {
	t.Parallel()
	f := newFront(t, "token {\nttl 3s\n}")
	alice := f.world.fake.NewUser(appID)
	tokens := f.post("/auth/login", "", "code", f.world.fake.LoginCode(alice))
	want(t, "login", tokens, 200, "")
	refresh, access := tokens.refresh(), tokens.access()

	// call is a request as an app makes it: it goes by the error that it can read, and repeats.
	expired := 0
	call := func(send func(token string) answer) answer {
		t.Helper()
		a := send(access)
		if a.is(401, "token_expired") {
			expired++
			if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, "invalid_token") || len(a.header.Values("WWW-Authenticate")) != 1 {
				t.Errorf("got WWW-Authenticate %q", a.header.Values("WWW-Authenticate"))
			}
			renewed := f.refresh(refresh)
			want(t, "refresh", renewed, 200, "")
			access, refresh = renewed.access(), renewed.refresh()
			a = send(access)
		}
		return a
	}
	get := func(path string) answer {
		t.Helper()
		return call(func(token string) answer { return f.get(path, token) })
	}

	hello := get("/hello?x=%2f").got(t, "hello")
	if hello.Path != "/hello?x=%2f" || hello.ForwardedFor != "127.0.0.1" || hello.ForwardedProto != "https" {
		t.Errorf("the backend got %+v", hello)
	}
	wantIdentity(t, "hello", hello, identity(alice, ""))
	eventually(t, "the access token expires, and the refresh token gets the next", func() bool {
		wantIdentity(t, "later", get("/hello").got(t, "later"), identity(alice, ""))
		return expired > 0
	})

	for _, path := range []string{"/orders", "/orders/1", "/Orders/1"} {
		a := get(path)
		want(t, path+" without a phone", a, 403, "phone_required")
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, "insufficient_scope") {
			t.Errorf("%s: got WWW-Authenticate %q", path, got)
		}
	}
	phone := call(func(token string) answer {
		return f.post("/auth/phone", token, "code", f.world.fake.PhoneCode(alice, "13800138000"))
	})
	want(t, "phone", phone, 200, "")
	access = phone.access()
	wantIdentity(t, "orders", get("/orders/1").got(t, "orders"), identity(alice, "13800138000"))

	// The public ones need no token, and tell nothing of one.
	for _, path := range []string{"/health", "/products/1"} {
		wantIdentity(t, path, f.get(path, "").got(t, path), nil)
		wantIdentity(t, path, f.get(path, access).got(t, path), nil)
	}
	want(t, "POST to what is public to GET", f.post("/products/1", ""), 405, "method_not_allowed")

	upload := strings.Repeat("x", 15<<20)
	sent := call(func(token string) answer {
		return f.send("POST", "/upload", upload, "Authorization", "Bearer "+token)
	}).got(t, "upload")
	if sent.Bytes != int64(len(upload)) {
		t.Errorf("upload: got %d bytes, want %d", sent.Bytes, len(upload))
	}
	want(t, "too large an upload", call(func(token string) answer {
		return f.send("POST", "/upload", upload+upload, "Authorization", "Bearer "+token)
	}), 413, "payload_too_large")
	form, contentType := formOf(t, []string{"avatar"}, append(plainPNG(t, 20, 20), make([]byte, 3<<20)...), "")
	avatar := call(func(token string) answer {
		return f.send("POST", "/auth/profile", form, "Content-Type", contentType, "Authorization", "Bearer "+token)
	})
	want(t, "an avatar of three megabytes", avatar, 200, "")
	if a := f.get(avatar.text("user", "avatar"), ""); a.status != 200 || a.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the avatar: got %d %s", a.status, a.header.Get("Content-Type"))
	}
	access = avatar.access()

	get("/hello") // for a token that lasts
	status, socket := f.upgrade(t, "/ws/chat", access)
	if status != 101 || socket == nil {
		t.Fatalf("WebSocket: got %d", status)
	}
	lines := bufio.NewReader(socket)
	greeting, _ := lines.ReadString('\n')
	_, _ = io.WriteString(socket, "ping\n")
	if echo, err := lines.ReadString('\n'); greeting != "hello "+alice.OpenID+"\n" || echo != "ping\n" {
		t.Errorf("WebSocket: got %q, then %q (%v)", greeting, echo, err)
	}
	if status, _ := f.upgrade(t, "/ws/chat", ""); status != 401 {
		t.Errorf("WebSocket without a token: got %d", status)
	}

	out := call(f.logout)
	want(t, "logout", out, 204, "")
	want(t, "after logout", f.get("/hello", access), 401, "session_revoked")
	want(t, "its refresh token", f.refresh(refresh), 401, "refresh_invalid")
}

func wantIdentity(t *testing.T, what string, g got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(g.Identity) != fmt.Sprint(want) { // maps print in order, and an absent one as an empty one
		t.Errorf("%s: the backend got %v, want %v", what, g.Identity, want)
	}
}
