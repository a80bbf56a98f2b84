//go:build unix

// Attacks on the identity that programs see behind the servers of the rig.

package e2e_test

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// Whatever a server behind Caddy makes of names, lines, bodies, paths and numbers of headers: its
// programs see the user of the token, or nobody.
// Threats: T02, T03, T06, T08, T15, T16, T17, T18, T19, T20, F01.
func TestServersBehindCaddy(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.start()
	w := newWorld(t)
	n := w.newNode()
	for i := range y.all {
		y.all[i].sites(t, n)
	}
	n.start()
	for _, u := range y.all {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			s := server{upstream: u, user: w.fake.NewUser(appID)}
			login := s.post("/auth/login", "", "code", w.fake.LoginCode(s.user))
			want(t, "login", login, 200, "")
			s.token = login.access()
			s.wantForged(t)
			s.wantUser(t, "undisturbed", s.raw(t, "GET", "/api/"+s.file, "Authorization: Bearer "+s.token+"\r\n", ""))
			t.Run("lines", s.tryLines)
			t.Run("crowds", s.tryCrowds)
			t.Run("names", s.tryNames)
			t.Run("paths", s.tryPaths)
			s.client = s.lenient
			t.Run("names that Caddy would remove", s.tryNames)
			t.Run("paths in names that Caddy would remove", s.tryPaths)
		})
	}
}

// sites puts the server behind wechat_auth in a Caddy as it is and in one that removes no names, and
// behind that one alone.
func (u *upstream) sites(t *testing.T, n *node) {
	t.Helper()
	for _, c := range []struct {
		client  *client
		before  string
		lenient bool
	}{{&u.client, "wechat_auth", false}, {&u.lenient, "wechat_auth", true}, {&u.bare, "", false}, {&u.bareLenient, "", true}} {
		port := testkit.FreePort(t)
		*c.client = newClient(t, "http://127.0.0.1:"+port)
		if c.lenient {
			n.options += "servers 127.0.0.1:" + port + " {\n" +
				"expected_underscore_headers X_* X-WX_* X-Phone_* HTTP_* SCRIPT_* PATH_* REMOTE_* REQUEST_* TRANSFER_* CONTENT_*\n" +
				"expected_dot_headers X.* X-WX.* X-Phone.* SCRIPT.* CONTENT.*\n}\n"
		}
		n.more += "http://:" + port + " {\n"
		if c.before != "" {
			n.more += "wechat_auth {\napp " + appID + " " + secret + "\napi " + n.api + "\nlimit login off\nlimit phone off\n" +
				"public /public/*\noptional /optional/*\nphone_required /pay/*\nheader X-User openid\nheader X-Phone-Number phone_number\n}\n"
		}
		n.more += u.directive + "\n}\n"
	}
}

// wantForged wants the forgeries to succeed where wechat_auth is not: else nothing is proven.
func (s server) wantForged(t *testing.T) {
	t.Helper()
	folded := strings.ReplaceAll("X-WX-OPENID", "-", s.folds)
	for name, past := range map[string]client{"X-WX-OPENID": s.bare, folded: s.bareLenient} {
		if name == "XWXOPENID" {
			continue // it folds nothing
		}
		bare := s
		bare.client = past
		got := bare.raw(t, "GET", "/api/"+s.file, name+": victim\r\n", "")
		if found := places(got)["HTTP_"]; found["X_WX_OPENID"] != "victim" {
			t.Fatalf("%s without wechat_auth: got %d %v, want the victim", name, got.status, found)
		}
	}
}

type server struct {
	upstream
	user  *wechattest.User
	token string
}

// seen is the answer of a program behind the server.
type seen struct {
	status int
	body   string
}

func (s server) raw(t *testing.T, method, path, lines, body string) seen {
	t.Helper()
	got := s.exchange(t, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\n"+lines+"Connection: close\r\n\r\n"+body)
	if len(got) == 0 {
		return seen{}
	}
	return got[0]
}

// exchange sends bytes over a connection of its own and returns all answers.
func (s server) exchange(t *testing.T, text string) (all []seen) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, text) }()
	for in := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusContinue {
			all = append(all, seen{res.StatusCode, string(body)})
		}
	}
}

func (s seen) value(name string) string {
	for line := range strings.Lines(s.body) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (s server) wantNobody(t *testing.T, what string, got seen) {
	t.Helper()
	s.wantSeen(t, what, got, map[string]string{}, "")
}

func (s server) wantUser(t *testing.T, what string, got seen) {
	t.Helper()
	s.wantSeen(t, what, got, map[string]string{
		"X_WX_OPENID": s.user.OpenID, "X_WX_APPID": appID, "X_WX_UNIONID": s.user.UnionID, "X_WX_SOURCE": "wx_client", "X_USER": s.user.OpenID,
	}, s.user.OpenID)
}

// wantSeen wants an identity, as a whole, in each of the places where a program looks for it. A
// refusal is as good, whoever refuses.
func (s server) wantSeen(t *testing.T, what string, got seen, want map[string]string, user string) {
	t.Helper()
	if got.status == 0 || got.status >= 400 && got.status != 401 {
		return
	}
	if got.status != 200 || !strings.Contains(got.body, "ROUTE=") {
		t.Errorf("%s: got %d %.300q", what, got.status, got.body)
		return
	}
	for line := range strings.Lines(got.body) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if named := name == "REMOTE_USER" || strings.HasSuffix(name, "WX_SET") || strings.HasSuffix(name, "WX_REWRITE"); named && value != user && value != "" {
			t.Errorf("%s: got %s, want %q", what, line, user)
		}
	}
	for place, found := range places(got) {
		if (place == "HTTP_" || len(found) > 0) && !maps.Equal(found, want) {
			t.Errorf("%s: the program sees %v, want %v", what, found, want)
		}
	}
}

// places are those where a program looks for its user: variables, and a list of headers. Names are
// folded as far as frameworks may.
func places(got seen) map[string]map[string]string {
	all := map[string]map[string]string{"HTTP_": {}, "LIST_": {}}
	for line := range strings.Lines(got.body) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		for place, found := range all {
			key, ok := strings.CutPrefix(name, place)
			key = foldedName(key)
			if ok && (strings.HasPrefix(key, "X_WX_") || key == "X_USER" || key == "X_PHONE_NUMBER") {
				found[key] += value
			}
		}
	}
	return all
}

func foldedName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c + 'A' - 'a'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return c
		}
		return '_'
	}, name)
}
