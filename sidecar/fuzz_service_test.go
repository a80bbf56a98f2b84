// Fuzzing of the backend's door: import lines, queries, and WeChat's API.

package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// A line is refused with its number, or its user is there: what is exported of it can be imported
// into an empty store, and is exported from there as the same.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		`{"openid":"oA"}`, `{"appid":"-","openid":"oA","unionid":"u","phone":"13800138000","verified_at":"2026-01-31T08:00:00+08:00","nickname":"小明","first_seen":"2025-12-31T23:59:59.123456789Z"}`,
		"\ufeff" + `{"openid":"oA"}` + "\r\n\r\n" + `{"openid":"oB","phone":"+85291234567"}`, `{"openid":"oA","phone_number":"+8613800138000"}`, `{"openid":"oA","phone":"+86 138-0013-8000"}`,
		`{"openid":"oA"}` + "\n" + `{"openid":"oA","nickname":"x"}` + "\n" + `{"openid":"oA","openid":"oB"}`, `{"openid":"o/A"}`, `{"openid":"oA","verified_at":"9999-12-31T23:59:59Z"}`,
		`{"openid":"oA","x":1}`, "[]\nnull\n\n{}", `{"openid":"oA","phone":"0000"}`, `{"openid":"oA","phone":"+0 1--","phone_number":"+1234"}`, `{"openid":"oA","nickname":" \u202e\u0301 "}`,
		`{"openid":"oA","first_seen":"1970-01-01T00:00:00Z"}`, `{"openid":"oA","first_seen":"2026-01-01t00:00:00z"}`, `{"openid":"oA","phone":"13800138000","phone_number":"+85291234567"}`,
	} {
		f.Add([]byte(seed))
	}
	site := newTestSite(f, withService)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxBody {
			return
		}
		s := site.in(t)
		status, answer := s.do("POST", "/auth/service/users", testServiceSecret, string(body))
		if status != http.StatusOK {
			t.Fatalf("got %d %v, want 200", status, answer)
		}
		failed := map[int]bool{}
		list, _ := answer["failed"].([]any)
		for _, one := range list {
			number, _ := one.(map[string]any)["line"].(float64)
			if failed[int(number)] || text(one, "error") == "" {
				t.Errorf("got %v, want each line once, with a reason", list)
			}
			failed[int(number)] = true
		}
		lines, imported := 0, 0
		users := map[string]int{} // by openid, how often
		for i, line := range bytes.Split(bytes.TrimPrefix(body, []byte("\ufeff")), []byte("\n")) {
			switch user, ok := plainObject(line); {
			case len(bytes.TrimSpace(line)) == 0:
				if failed[i+1] {
					t.Errorf("the blank line %d failed", i+1)
				}
				continue
			case failed[i+1]:
			case !ok:
				t.Errorf("line %d was imported, and has no one reading: %q", i+1, line)
			default:
				imported++
				users[text(user, "openid")]++
			}
			lines++
		}
		if float64(imported) != answer["imported"] || len(failed) != lines-imported {
			t.Errorf("got %v, want %d imported and %d failed", answer, imported, lines-imported)
		}
		for openid := range users {
			first := s.exported(openid)
			line := members(first, "appid", "openid", "unionid", "phone", "phone_number", "nickname", "first_seen")
			if at := text(first, "phone_verified"); at != "" {
				line["verified_at"] = at
			}
			s.wantService("DELETE", "users/-/"+openid, "", 204, "")
			again, err := json.Marshal(line)
			if err != nil {
				t.Fatal(err)
			}
			if done := s.wantService("POST", "users", string(again), 200, ""); done["imported"] != 1.0 {
				t.Errorf("%s: got %v, want what was exported imported again", again, done)
				continue
			}
			if second := s.exported(openid); !reflect.DeepEqual(first, second) {
				t.Errorf("got %v, want %v", second, first)
			}
			s.wantService("DELETE", "users/-/"+openid, "", 204, "")
		}
	})
}

func (s *testSite) exported(openid string) map[string]any {
	s.t.Helper()
	return s.wantService("GET", "users/-/"+openid+"/export", "", 200, "")
}

// members returns some members of an object.
func members(object map[string]any, names ...string) map[string]any {
	some := map[string]any{}
	for _, name := range names {
		if value, ok := object[name]; ok {
			some[name] = value
		}
	}
	return some
}

// Whatever the query of a list is, it is refused or finds users of this site that it asks for, and its
// pages come to an end.
func FuzzUsersQuery(f *testing.F) {
	site := newTestSite(f, withService)
	store, err := site.store.get()
	if err != nil {
		f.Fatal(err)
	}
	all := map[string]session.User{}
	for i := range 40 {
		u := session.User{UserID: session.UserID{AppID: testAppID, OpenID: fmt.Sprint("o", i)}, UnionID: fmt.Sprint("u", i/2)}
		u.Phone = fmt.Sprint(13800138000 + i/3)
		u.PhoneNumber = "+86" + u.Phone
		if i%2 > 0 {
			u.AppID = "wx-other"
		}
		all[u.AppID+u.OpenID] = u
		if err := store.Import(f.Context(), []session.User{u}, time.UnixMilli(1_800_000_000_000)); err != nil {
			f.Fatal(err)
		}
	}
	for _, seed := range []string{
		"", "limit=3", "limit=0", "phone=13800138001", "phone=%2B8613800138001", "unionid=u1", "openid=o1", "openid=o2&unionid=u1", "appid=wx-other", "appid=" + testAppID,
		"after=AAAA", "after=", "limit=3&limit=4", "x=1", "store=memory", "store=other", "phones=full&openid=o2", "a;b", "%zz", "phone=%", "openid=o2&after=!",
	} {
		f.Add(seed)
	}
	next := text(site.wantService("GET", "users?limit=3", "", 200, ""), "next")
	f.Add("limit=2&after=" + next)
	f.Add("unionid=u1&after=" + next)
	f.Fuzz(func(t *testing.T, query string) {
		s := site.in(t)
		asked, err := url.ParseQuery(query)
		for page := 0; ; page++ {
			status, answer := s.usersBy(query)
			if status == 400 && page == 0 || status == 404 && asked.Has("store") {
				return
			}
			if status != 200 || err != nil || page > len(all) {
				t.Fatalf("%q, page %d: got %d %v, want 200 or, for the first page, 400", query, page, status, answer)
			}
			users, _ := answer["users"].([]any)
			if limit := asked.Get("limit"); limit != "" && fmt.Sprint(len(users)) > limit && len(fmt.Sprint(len(users))) >= len(limit) {
				t.Errorf("%q: got %d users", query, len(users))
			}
			for _, one := range users {
				u, known := all[text(one, "appid")+text(one, "openid")]
				if !known || u.AppID != testAppID {
					t.Fatalf("%q: got %v, which is not of this site", query, one)
				}
				phone := asked.Get("phone")
				if asked.Has("openid") && asked.Get("openid") != u.OpenID || asked.Has("unionid") && asked.Get("unionid") != u.UnionID ||
					asked.Has("appid") && asked.Get("appid") != u.AppID || phone != "" && phone != u.Phone && phone != u.PhoneNumber {
					t.Errorf("%q: got %v, which it does not ask for", query, one)
				}
			}
			if text(answer, "next") == "" {
				return
			}
			asked.Set("after", text(answer, "next"))
			query = asked.Encode()
		}
	})
}

func (s *testSite) usersBy(query string) (int, map[string]any) {
	s.t.Helper()
	r := httptest.NewRequest("GET", "/auth/service/users", nil)
	r.URL.RawQuery = query
	r.Header.Set("Authorization", "Bearer "+testServiceSecret)
	w := httptest.NewRecorder()
	s.serve(w, r)
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

// What goes to WeChat is a call that the operator listed, as the backend made it, with our token: no
// login and no call for a token in whatever spelling some server reads one.
func FuzzRelay(f *testing.F) {
	for _, seed := range []string{
		"/wxa/msg_sec_check", "/wxa/a?appid=" + testAppID + "&access_token=mine&x=1&x=2", "/sns/jscode2session", "/SNS/jscode2session", "/wxa/../sns/jscode2session",
		"/wxa/..%2fsns/jscode2session", "/cgi-bin/token", "/cgi-bin/Token/", "/cgi-bin/stable%5ftoken", "/cgi-bin/./token", "/cgi-bin//token", "/cgi-bin/token;x", "/cgi-bin/token.",
		"/cgi-bin/component/x", "//example.com/wxa/x", "/wxa/x%00", "/wxa/x?a;b", "/wxa/x?%zz", "/wxa/x?Access_Token=1", "/@example.com/wxa/x", "/wxa/x#y", "/wxa/x?access%5ftoken=1",
		"/cgi-bin/user/info?openid=a", "/wxa/x%3faccess_token=1", "/cgi-bin/stable_token/..", "/cgi-bin/message.custom/send", "/wxa/a-b_c.d/e",
	} {
		f.Add(seed, "POST", "application/json", []byte(`{"a":1}`))
	}
	f.Add("/wxa/x", "TRACE", "", []byte(nil))
	f.Add("/wxa/x", "GET", "multipart/form-data; boundary=x", []byte("--x--"))
	var call *http.Request
	var got []byte
	site := newTestSite(f, withAPI("/wxa/*", "/cgi-bin/*"), withWeChat(f, started(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/stable_token" && r.URL.RawQuery == "" {
			_, _ = io.WriteString(w, `{"access_token":"ours","expires_in":7200}`)
			return
		}
		call = r
		got, _ = io.ReadAll(r.Body)
	}))))
	f.Fuzz(func(t *testing.T, target, method, contentType string, body []byte) {
		u, err := url.ParseRequestURI("/auth/service/api" + target)
		if err != nil || len(target) > 500 {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x/", bytes.NewReader(body))
		if err != nil {
			return
		}
		r.URL, r.RemoteAddr = u, "192.0.2.1:1"
		r.Header = http.Header{"Authorization": {"Bearer " + testServiceSecret}, "Content-Type": {contentType}, "Cookie": {"a=b"}}
		call = nil
		w := httptest.NewRecorder()
		site.in(t).serve(w, r)
		if call == nil {
			if w.Code < 400 {
				t.Errorf("%s: got %d %s without a call", target, w.Code, w.Body)
			}
			return
		}
		path := call.URL.EscapedPath()
		if path != strings.TrimPrefix(u.EscapedPath(), "/auth/service/api") || call.Method != r.Method {
			t.Errorf("%s %s: WeChat got %s %s", method, target, call.Method, path)
		}
		for _, read := range readAs(path, 3, withoutLooseEnds) {
			read = strings.ToLower(read)
			if !strings.HasPrefix(read, "/wxa/") && !strings.HasPrefix(read, "/cgi-bin/") || isNeverRelayed(read) {
				t.Errorf("%s: WeChat got %s, which reads as %s", target, path, read)
			}
		}
		want := u.Query()
		want.Del("appid")
		want.Set("access_token", "ours")
		if query := call.URL.Query(); !reflect.DeepEqual(query, want) {
			t.Errorf("%s: WeChat got the query %v, want %v", target, query, want)
		}
		if call.Header.Get("Authorization") != "" || call.Header.Get("Cookie") != "" || !bytes.Equal(got, body) {
			t.Errorf("%s: WeChat got %v %q, want the body alone", target, call.Header, got)
		}
	})
}
