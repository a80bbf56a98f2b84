// The memory that one request takes, whatever its bytes are.

package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	// bytesPerByte bounds what is allocated for each byte of a request, the garbage too.
	bytesPerByte = 100

	// smallRequest is the least size that a request counts as: an empty one costs something, too.
	smallRequest = 4 << 10

	// wrongLines bounds what an import may cost in addition: its answer names 10,000 wrong lines.
	wrongLines = 10_000 * 1 << 10
)

// greedy are bodies of about n bytes, each dear to some reader.
var greedy = map[string]func(n int) string{
	"open objects":   func(n int) string { return strings.Repeat(`{"a":`, n/5) },
	"open arrays":    func(n int) string { return strings.Repeat("[", n) },
	"arrays":         func(n int) string { return `{"a":[` + strings.Repeat("[],", n/3) + "[]]}" },
	"numbers":        func(n int) string { return `{"a":[` + strings.Repeat("1,", n/2) + "1]}" },
	"members":        func(n int) string { return numbered("{", `"a%d":1,`, n) + `"code":"x"}` },
	"the same names": func(n int) string { return "{" + strings.Repeat(`"code":"x",`, n/11) + `"code":"x"}` },
	"a long code":    func(n int) string { return object("code", strings.Repeat("x", n)) },
	"escapes":        func(n int) string { return `{"code":"` + strings.Repeat(`\u4e2d`, n/6) + `"}` },
	"a long token":   func(n int) string { return object("refresh_token", strings.Repeat("x", n), "code", "x") },
	"encryptedData": func(n int) string {
		return object("encryptedData", strings.Repeat("QUFB", n/4), "iv", "AAAAAAAAAAAAAAAAAAAAAA==", "appid", rigAppA, "openid", "x")
	},
	"data to sign": func(n int) string { return object("appid", rigAppA, "openid", "x", "data", strings.Repeat("x", n)) },
	"bad UTF-8":    func(n int) string { return `{"code":"` + strings.Repeat("\xff", n) + `"}` },
	"spaces":       func(n int) string { return strings.Repeat(" ", n) + `{"code":"x"}` },
	"empty lines":  func(n int) string { return strings.Repeat("\n", n) },
	"empty users":  func(n int) string { return strings.Repeat("{}\n", n/3) },
	"users":        func(n int) string { return numbered("", `{"appid":"`+rigAppA+`","openid":"o%08d"}`+"\n", n) },
	"open tags":    func(n int) string { return "<xml>" + strings.Repeat("<a>", n/3) },
	"attributes":   func(n int) string { return "<xml " + strings.Repeat(`a="" `, n/5) + "/>" },
	"entities":     func(n int) string { return "<xml><Encrypt>" + strings.Repeat("&amp;", n/5) + "</Encrypt></xml>" },
	"CDATA": func(n int) string {
		return "<xml><Encrypt>" + strings.Repeat("<![CDATA[]]>", n/12) + "</Encrypt></xml>"
	},
	"a sealed push": func(n int) string { return object("ToUserName", "x", "Encrypt", strings.Repeat("QUFB", n/4)) },
	"parts": func(n int) string {
		return strings.Repeat("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n", n/49) + "--b--\r\n"
	},
	"lines of parts": func(n int) string { return "--b\r\n" + strings.Repeat("A: b\r\n", n/6) + "\r\n\r\n--b--\r\n" },
	"fields":         func(n int) string { return strings.Repeat("a&", n/2) },
}

// greedyHeads are header lines of about n bytes.
var greedyHeads = map[string]func(n int) []string{
	"bearer":        func(n int) []string { return []string{bearer(strings.Repeat("x", n))} },
	"dots":          func(n int) []string { return []string{bearer(strings.Repeat(".", n))} },
	"a long header": func(n int) []string { return []string{bearer("e30." + strings.Repeat("e30", n/3) + ".e30")} },
	"cookies":       func(n int) []string { return []string{"Cookie: " + strings.Repeat("t=x; ", n/5)} },
	"names": func(n int) []string {
		return strings.Split(strings.TrimSpace(numbered("", "x_wx.openid-%06d: a\n", n)), "\n")
	},
	"Connection": func(n int) []string { return []string{"Connection: " + strings.Repeat("x-wx-openid,", n/12) + "close"} },
	"Forwarded": func(n int) []string {
		return []string{"X-Forwarded-For: " + strings.Repeat("1.1.1.1,", n/8) + "1.1.1.1"}
	},
	"Origin": func(n int) []string { return []string{"Origin: https://" + strings.Repeat("a.", n/2)} },
}

func numbered(before, format string, n int) string {
	var b strings.Builder
	b.WriteString(before)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// Somebody looks for the request of a few bytes that costs a server of 512 MB its memory. Pictures
// have a ceiling of their own.
func TestAttackRequestsThatCostMemory(t *testing.T) {
	t.Parallel()
	if testkit.Race {
		return // it is the race detector's memory that would be measured
	}
	s := startGreedySite(t)
	if s == nil {
		return
	}
	service := "Authorization: Bearer " + rigServiceSecret
	user := bearer(s.token)
	for route, fields := range map[string][]string{
		"POST /auth/login": nil, "POST /auth/refresh": nil, "POST /auth/logout": nil, "POST /auth/phone": {user},
		"POST /auth/profile": {user}, "POST /auth/profile ": {user, "Content-Type: multipart/form-data; boundary=b"},
		"POST /auth/push/" + rigAppA: nil, "POST /auth/service/users": {service}, "POST /auth/service/sign": {service},
		"POST /auth/service/decrypt": {service}, "PUT /auth/service/users/-/x/ban": {service}, "POST /auth/service/api/wxa/x": {service}, "POST /api": {user},
	} {
		extra := 0
		if strings.HasSuffix(route, "/service/users") {
			extra = wrongLines
		}
		for what, body := range greedy {
			for _, n := range []int{64, 8 << 10, 60 << 10, 1 << 20} {
				text := body(n)
				request := raw(strings.TrimSpace(route), append(fields, fmt.Sprint("Content-Length: ", len(text)))...) + text
				s.wantCheap(t, route+" "+what, request, extra)
			}
		}
	}
	for _, target := range []string{"/api", "/auth/verify", "/auth/verify/phone", "/auth/push/" + rigAppA, "/auth/service/users", "/auth/jwks"} {
		for what, head := range greedyHeads {
			s.wantCheap(t, target+" "+what, raw("GET "+target, head(12<<10)...), 0)
		}
		for _, text := range []string{"a=%61&", ";", "&", "signature=x&", "/", "./", ";/", "%2f", "%20/", "%25"} {
			s.wantCheap(t, target+" a query of "+text, raw("GET "+target+"?"+strings.Repeat(text, (12<<10)/len(text))), 0)
			s.wantCheap(t, target+" a path of "+text, raw("GET "+target+"/"+strings.Repeat(strings.TrimRight(text, "&"), (12<<10)/len(text))), 0)
		}
	}
	byCost := slices.Sorted(maps.Keys(s.dearest))
	for _, n := range byCost[max(0, len(byCost)-5):] {
		t.Logf("%d bytes a byte: %s", n, s.dearest[n])
	}
}

// greedySite is a Caddy of this process with all that reads requests.
type greedySite struct {
	addr, token string
	dearest     map[int]string // bytes a byte → what it was
}

// startGreedySite returns nil in the process that only waits for the one with the Caddy: another
// test beside it would be measured, too.
func startGreedySite(t *testing.T) *greedySite {
	t.Helper()
	home := t.TempDir()
	if !inChild(t, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home) {
		return nil
	}
	fake := wechattest.New(wechattest.App{ID: rigAppA, Secret: rigSecret})
	api := httptest.NewServer(fake)
	t.Cleanup(api.Close)
	ports, err := rigPorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &greedySite{addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), dearest: map[int]string{}}
	err = loadCaddyfile(fmt.Sprintf("{\nadmin off\nauto_https off\nlog {\noutput file %s\nlevel ERROR\n}\n}\nhttp://:%d {\nbind 127.0.0.1\n"+
		"wechat_auth {\napp %s %s {\npush {\ntoken %s\naes_key %s\n}\n}\napi %s\nstore memory\nlimit login off\nlimit phone off\nlimit profile off\nprofile\ncors https://example.com\n"+
		"token_from cookie t\ntoken_from query t\nservice {\nsecret %s\napi /wxa/*\n}\n}\nrespond ok\n}\n",
		filepath.Join(home, "log"), ports[0], rigAppA, rigSecret, rigPushToken, rigPushKey, api.URL, rigServiceSecret))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(home, "log")); err != nil || strings.Contains(string(log), "panic") {
			t.Errorf("got %v %.4000s, want no panic", err, log)
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/auth/login", strings.NewReader(object("code", fake.LoginCode(fake.NewUser(rigAppA)))))
	if err != nil {
		t.Fatal(err)
	}
	a := send(t, http.DefaultClient, r)
	want(t, a, 200, "")
	s.token = a.text("access_token")
	return s
}

// wantCheap sends a request. What else goes on in the process may be measured too, so it has three tries.
func (s *greedySite) wantCheap(t *testing.T, what, request string, extra int) {
	t.Helper()
	most := uint64(bytesPerByte*max(len(request), smallRequest) + extra)
	var got uint64
	for range 3 {
		if got = s.cost(t, request); got <= most {
			if extra == 0 {
				s.dearest[int(got)/max(len(request), smallRequest)] = what
			}
			return
		}
	}
	t.Errorf("%s of %d bytes: got %d bytes of memory, %d a byte, want %d a byte", what, len(request), got, int(got)/len(request), bytesPerByte)
}

// cost returns the bytes that are allocated until a request is answered.
func (s *greedySite) cost(t *testing.T, request string) uint64 {
	t.Helper()
	conn := dial(t, s.addr)
	defer func() { _ = conn.Close() }()
	request = strings.Replace(request, "\r\n", "\r\nHost: site.test\r\nConnection: close\r\n", 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() { _, _ = io.WriteString(conn, request) }() // it may be answered before it is read
	_, err := bufio.NewReader(conn).WriteTo(io.Discard)
	runtime.ReadMemStats(&after)
	if err != nil && !isClosed(err) {
		t.Fatal(err)
	}
	return after.TotalAlloc - before.TotalAlloc
}
