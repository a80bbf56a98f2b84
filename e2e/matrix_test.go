//go:build unix

// The attacks that depend on the store, with each store, in each version of HTTP.

package e2e_test

import (
	"bytes"
	"compress/zlib"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// localCertificate writes a certificate of 127.0.0.1 and its key.
func localCertificate(t *testing.T, dir string) (certificate, key string, config *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	server.Close()
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return writeFile(t, dir, "site.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		writeFile(t, dir, "site.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		&tls.Config{RootCAs: pool}
}

// A store is asked by the same code whatever the protocol, and each store keeps its own promises:
// so was it meant, and here it is tried.
// Threats: T14, T15, T37, T48, T53, T54, T55, T57, T58, T67, T76, T83, F02, F03.
func TestEachStoreInEachProtocol(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	for name, store := range map[string]string{"memory": "store memory", "sqlite": "store sqlite", "redis": "store redis " + redis.URL + sealed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.newNode(store)
			certificate, key, config := localCertificate(t, n.dir)
			port, other := testkit.FreePort(t), testkit.FreePort(t)
			n.options = "auto_https off\n"
			for port, line := range map[string]string{port: "", other: "token {\nissuer other\n}"} {
				n.more += "https://127.0.0.1:" + port + " {\ntls " + certificate + " " + key + "\n" + n.site(store, "public /public/*", "session {\ngrace 1s\n}", line) + "}\n"
			}
			n.start()
			h1 := &http.Transport{TLSClientConfig: config, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
			h2 := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
			h3 := &http3.Transport{TLSClientConfig: config.Clone()}
			t.Cleanup(func() {
				h1.CloseIdleConnections()
				h2.CloseIdleConnections()
				_ = h3.Close()
			})
			t.Run("protocols", func(t *testing.T) {
				for version, transport := range map[int]http.RoundTripper{1: h1, 2: h2, 3: h3} {
					t.Run(string(rune('0'+version)), func(t *testing.T) {
						t.Parallel()
						web := &http.Client{Transport: transport, Timeout: patience}
						m := matrix{w, client{"https://127.0.0.1:" + port, web}, client{"https://127.0.0.1:" + other, web}}
						m.speaks(t, version)
						t.Run("refused", m.tryRefusals)
						t.Run("ended", m.tryEnded)
						t.Run("stolen", m.tryStolen)
						t.Run("erased", m.tryErased)
					})
				}
			})
		})
	}
}

// matrix is one field of it: two sites with the same store, reached by one protocol.
type matrix struct {
	*world
	client
	other client
}

func (m matrix) speaks(t *testing.T, version int) {
	t.Helper()
	res, err := m.http.Get(m.url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != version {
		t.Fatalf("got HTTP/%d, want %d", res.ProtoMajor, version)
	}
}

func (m matrix) enter(t *testing.T, c client, u *wechattest.User) answer {
	t.Helper()
	a := c.post("/auth/login", "", "code", m.fake.LoginCode(u))
	want(t, "login", a, 200, "")
	return a
}

func (m matrix) tryRefusals(t *testing.T) {
	alice, bob := m.fake.NewUser(appID), m.fake.NewUser(appID)
	code := m.fake.LoginCode(alice)
	login := m.post("/auth/login", "", "code", code)
	want(t, "login", login, 200, "")
	want(t, "the code again", m.post("/auth/login", "", "code", code), 401, "code_used")
	want(t, "a refresh token as bearer", m.get("/", login.refresh()), 401, "token_invalid")
	want(t, "an access token at refresh", m.refresh(login.access()), 401, "refresh_invalid")
	want(t, "another user's phone", m.post("/auth/phone", login.access(), "code", m.fake.PhoneCode(bob, "13800138000")), 401, "code_invalid")
	want(t, "a list of tokens", m.send("GET", "/", "", "Authorization", "Bearer "+login.access()+", Bearer "+login.access()), 400, "invalid_request")
	want(t, "a large body", m.post("/auth/login", "", "code", strings.Repeat("a", 100<<10)), 413, "payload_too_large")
	for _, path := range []string{"/nope", "/public/..%2fapi", "/public/%2e%2e/api", "/public//x", "/public/x;y", "/public/.%20./x", "/PUBLIC/x"} {
		if a := m.get(path, ""); a.status != 401 {
			t.Errorf("%s: got %s, want 401", path, a)
		}
	}
	want(t, "at another site", m.other.get("/", login.access()), 401, "token_invalid")
	want(t, "its refresh token there", m.other.refresh(login.refresh()), 401, "refresh_invalid")
	want(t, "and here", m.refresh(login.refresh()), 200, "")
}

func (m matrix) tryEnded(t *testing.T) {
	alice := m.fake.NewUser(appID)
	one, two := m.enter(t, m.client, alice), m.enter(t, m.client, alice)
	want(t, "before", m.get("/", one.access()), 200, "")
	want(t, "logout", m.logout(one.access()), 204, "")
	want(t, "the token", m.get("/", one.access()), 401, "session_revoked")
	want(t, "the refresh token", m.refresh(one.refresh()), 401, "refresh_invalid")
	want(t, "logout again", m.logout(one.access()), 204, "")
	want(t, "of all, with an ended session", m.post("/auth/logout", one.access(), "all", true), 401, "session_revoked")
	want(t, "with rubbish", m.post("/auth/logout", "", "refresh_token", "rubbish"), 400, "invalid_request")
	want(t, "the other device", m.get("/", two.access()), 200, "")
	want(t, "logout of all", m.post("/auth/logout", two.access(), "all", true), 204, "")
	want(t, "the other device", m.get("/", two.access()), 401, "session_revoked")
}

func (m matrix) tryStolen(t *testing.T) {
	login := m.enter(t, m.client, m.fake.NewUser(appID))
	answers := make([]answer, 8)
	together(len(answers), func(i int) { answers[i] = m.refresh(login.refresh()) })
	for _, a := range answers {
		if a.status != 200 || a.refresh() != answers[0].refresh() {
			t.Fatalf("at once: got %s, want one successor", a)
		}
	}
	eventually(t, "the spent token is refused", func() bool {
		time.Sleep(100 * time.Millisecond) // a session may be refreshed 60 times a minute
		return m.refresh(login.refresh()).is(401, "refresh_reused")
	})
	want(t, "the successor", m.refresh(answers[0].refresh()), 401, "refresh_invalid")
	want(t, "its token", m.get("/", answers[0].access()), 401, "session_revoked")
}

// The head of an upload comes while there is a user, and its body when that was erased, and has
// logged in anew.
func (m matrix) tryErased(t *testing.T) {
	alice := m.fake.NewUser(appID)
	login := m.enter(t, m.client, alice)
	for _, again := range []bool{false, true} {
		body, form := io.Pipe()
		parts := multipart.NewWriter(form)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/auth/profile", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", parts.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+login.access())
		done := make(chan answer, 1)
		go func() {
			res, err := m.http.Do(r)
			if err != nil {
				done <- answer{err: err}
				return
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			done <- answer{status: res.StatusCode, header: res.Header, body: text, err: err}
		}()
		file, err := parts.CreateFormFile("avatar", "a.png")
		if err != nil {
			t.Fatal(err)
		}
		picture := zeroPNG(t, 64, 64, 8)
		if _, err := file.Write(picture[:len(picture)/2]); err != nil {
			t.Fatal(err)
		}
		want(t, "erase", m.send("DELETE", "/auth/profile", "", "Authorization", "Bearer "+login.access()), 204, "")
		next := answer{}
		if again {
			next = m.enter(t, m.client, alice)
		}
		if _, err := io.Copy(file, bytes.NewReader(picture[len(picture)/2:])); err != nil {
			t.Fatal(err)
		}
		_ = parts.Close()
		_ = form.Close()
		want(t, "the upload", <-done, 401, "session_revoked")
		if again {
			login = next
		} else {
			login = m.enter(t, m.client, alice)
		}
		if got := m.get("/auth/profile", login.access()); got.status != 200 || got.text("avatar") != "" {
			t.Errorf("the user after it: got %s, want no picture", got)
		}
	}
}

// zeroPNG is a PNG of 16 bits a sample, or 1, whose samples are all 0: some 100 KB claim 100 MB.
func zeroPNG(t *testing.T, width, height int, depth byte) []byte {
	t.Helper()
	colour, perPixel := byte(6), 4*int(depth)
	if depth == 1 {
		colour, perPixel = 0, 1
	}
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	row := make([]byte, 1+(width*perPixel+7)/8)
	for range height {
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct {
		kind string
		body []byte
	}{{"IHDR", append(header, depth, colour, 0, 0, 0)}, {"IDAT", data.Bytes()}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk.body)))
		sum := crc32.ChecksumIEEE(append([]byte(chunk.kind), chunk.body...))
		out = append(append(out, chunk.kind...), chunk.body...)
		out = binary.BigEndian.AppendUint32(out, sum)
	}
	return out
}
