// The message push, as WeChat sends it.

package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	testPushToken = "pushT0ken"
	testPushKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// pushSite is a site that takes pushes, and WeChat's console for it.
type pushSite struct {
	*testSite
	*witness

	console wechattest.PushConsole
}

func newPushSite(t testing.TB, change ...func(*Config, *Deps)) *pushSite {
	t.Helper()
	w := new(witness)
	s := newTestSite(t, append([]func(*Config, *Deps){func(cfg *Config, deps *Deps) {
		cfg.Push = map[string]PushConfig{testAppID: {PushConfig: wechat.PushConfig{AppID: testAppID, Token: testPushToken, AESKey: testPushKey}}}
		w.watch(cfg, deps)
	}}, change...)...)
	return &pushSite{s, w, wechattest.PushConsole{
		AppID: testAppID, URL: "https://api.example.com/auth/push/" + testAppID, Token: testPushToken, AESKey: testPushKey,
	}}
}

// receive has the site answer a request.
func (s *pushSite) receive(r *http.Request, err error) *httptest.ResponseRecorder {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w
}

// push pushes a message once.
func (s *pushSite) push(m wechattest.PushMessage) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.receive(s.fake.PushRequest(s.t.Context(), s.console, m))
}

func (s *pushSite) wantSuccess(what string, w *httptest.ResponseRecorder) {
	s.t.Helper()
	if w.Code != http.StatusOK || w.Body.String() != "success" {
		s.t.Errorf("%s: got %d %s, want 200 success", what, w.Code, w.Body)
	}
}

// known is a user of whom everything is known, and the picture's address.
func (s *pushSite) known() (u *wechattest.User, token, picture string) {
	s.t.Helper()
	u = s.fake.NewUser(testAppID)
	_, login := s.loginAs(u)
	token = text(login, "access_token")
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	file, err := parts.CreateFormFile("avatar", "a.png")
	if err == nil {
		err = errors.Join(png.Encode(file, image.NewGray(image.Rect(0, 0, 32, 32))), parts.WriteField("nickname", "阿丽"), parts.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/auth/profile", &form)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", parts.FormDataContentType())
	w := s.receive(r, nil)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("profile: got %d %s", w.Code, w.Body)
	}
	return u, token, text(answer, "user", "avatar")
}

// has names what is known of a user.
func (s *pushSite) has(token, picture string) string {
	s.t.Helper()
	status, profile := s.do("GET", "/auth/profile", token, "")
	if status != http.StatusOK {
		return fmt.Sprint(status, " ", text(profile, "error"))
	}
	var all []string
	for _, name := range []string{"phone", "nickname", "avatar"} {
		if text(profile, name) != "" {
			all = append(all, name)
		}
	}
	if status, _ := s.do("GET", picture, "", ""); status == http.StatusOK {
		all = append(all, "picture")
	}
	return strings.Join(all, " ")
}

func TestConsentTakenBackIsForgottenAtOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		event  func(*wechattest.Server, *wechattest.User) wechattest.PushMessage
		want   string
		events string
	}{
		"phone":                   {revoke("8"), "nickname avatar picture", "withdrawn push"},
		"nickname and avatar":     {revoke("6"), "phone", "withdrawn push"},
		"nickname":                {revoke("19"), "phone avatar picture", "withdrawn push"},
		"avatar":                  {revoke("20"), "phone nickname", "withdrawn push"},
		"several":                 {revoke("8, 6"), "", "withdrawn push"},
		"a list by semicolons":    {revoke("1;8;19"), "avatar picture", "withdrawn push"},
		"a licence plate":         {revoke("1"), "phone nickname avatar picture", "push"},
		"a number nobody knows":   {revoke("9"), "phone nickname avatar picture", "push"},
		"the whole account":       {authorization("user_authorization_cancellation", ""), "401 session_revoked", "erased push"},
		"a modified profile":      {authorization("user_info_modified", ""), "phone nickname avatar picture", "push"},
		"a number and no text":    {changed(revoke(""), "RevokeInfo", 8), "nickname avatar picture", "withdrawn push"},
		"by other signs":          {changed(revoke(""), "RevokeInfo", "|8、19 "), "avatar picture", "withdrawn push"},
		"of a plugin":             {changed(revoke("8"), "PluginID", testAppID), "phone nickname avatar picture", "push"},
		"cancelled in a plugin":   {changed(authorization("user_authorization_cancellation", ""), "PluginID", testAppID), "phone nickname avatar picture", "push"},
		"of another app":          {changed(revoke("8"), "AppID", "wx0000000000000002"), "phone nickname avatar picture", "push"},
		"a message of that event": {changed(revoke("8"), "MsgType", "text"), "phone nickname avatar picture", "push"},
		"without the user": {func(fake *wechattest.Server, u *wechattest.User) wechattest.PushMessage {
			return fake.AuthorizationEvent(u, "user_authorization_cancellation", "").Without("OpenID")
		}, "phone nickname avatar picture", "push"},
	} {
		for _, xml := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, XML %t", name, xml), func(t *testing.T) {
				t.Parallel()
				s := newPushSite(t)
				s.console.XML = xml
				u, token, picture := s.known()
				before := len(s.events)
				s.wantSuccess("push", s.push(row.event(s.fake, u)))
				if got := s.has(token, picture); got != row.want {
					t.Errorf("got %q of the user, want %q", got, row.want)
				}
				var events []string
				for _, event := range s.events[before:] {
					name, _, _ := strings.Cut(event, " ")
					events = append(events, strings.TrimPrefix(name, "wechat_auth_"))
				}
				if got := strings.Join(events, " "); got != row.events {
					t.Errorf("got events %q, want %q", got, row.events)
				}
				for _, private := range []string{u.OpenID, "13800138000", "阿丽", testPushToken, testPushKey} {
					if strings.Contains(s.witness.log.String()+fmt.Sprint(s.events), private) {
						t.Errorf("the log or an event has %q", private)
					}
				}
			})
		}
	}
}

func authorization(event, info string) func(*wechattest.Server, *wechattest.User) wechattest.PushMessage {
	return func(fake *wechattest.Server, u *wechattest.User) wechattest.PushMessage {
		return fake.AuthorizationEvent(u, event, info)
	}
}

func revoke(info string) func(*wechattest.Server, *wechattest.User) wechattest.PushMessage {
	return authorization(wechat.EventRevoke, info)
}

func changed(event func(*wechattest.Server, *wechattest.User) wechattest.PushMessage, name string, value any,
) func(*wechattest.Server, *wechattest.User) wechattest.PushMessage {
	return func(fake *wechattest.Server, u *wechattest.User) wechattest.PushMessage {
		return event(fake, u).With(name, value)
	}
}

// A user may give the phone again while WeChat still repeats that it was taken back.
func TestARepeatedPushDoesNothing(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	u, token, picture := s.known()
	event := s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8")
	s.wantSuccess("the first", s.push(event))
	s.do("POST", "/auth/phone", token, `{"code":"`+s.fake.PhoneCode(u, "13900139000")+`"}`)
	s.wantSuccess("the repeat", s.push(event))
	if got := s.has(token, picture); got != "phone nickname avatar picture" {
		t.Errorf("got %q after the repeat, want the new phone", got)
	}
	other := newPushSiteOn(t, s)
	other.wantSuccess("the repeat at another node", other.push(event))
	if got := s.has(token, picture); got != "phone nickname avatar picture" {
		t.Errorf("got %q after the repeat at another node, want the new phone", got)
	}
	s.wantSuccess("another revocation", s.push(event.With("CreateTime", s.deps.Now().Add(time.Second).Unix())))
	if got := s.has(token, picture); got != "nickname avatar picture" {
		t.Errorf("got %q, want no phone", got)
	}
}

// Somebody kept a copy of a revocation, and sends it to a store that was filled from a dump: it
// remembers no push. The phone that the user gave since stays.
func TestAttackOldRevocationTakesNoNewPhone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		created any
		want    string
	}{
		"a day before the phone":         {-24 * time.Hour, "phone nickname avatar picture"},
		"before it by WeChat's clock":    {-time.Minute, "nickname avatar picture"},
		"without a time":                 {"", "nickname avatar picture"},
		"with one that nobody can read":  {"yesterday", "nickname avatar picture"},
		"after the phone":                {time.Minute, "nickname avatar picture"},
		"as a number that is a fraction": {1.5, "nickname avatar picture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPushSite(t)
			u, token, picture := s.known()
			created := row.created
			if ago, ok := created.(time.Duration); ok {
				created = s.deps.Now().Add(ago).Unix()
			}
			s.wantSuccess(name, s.push(s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8").With("CreateTime", created)))
			if got := s.has(token, picture); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// newPushSiteOn is another node on the same store.
func newPushSiteOn(t testing.TB, s *pushSite) *pushSite {
	t.Helper()
	other := *s
	other.testSite = s.sibling(t)
	return &other
}

func TestAPushAboutNobodySucceeds(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	stranger := s.fake.NewUser(testAppID)
	for _, event := range []string{wechat.EventRevoke, wechat.EventCancellation, wechat.EventInfoModified, "wxa_media_check"} {
		s.wantSuccess(event, s.push(s.fake.AuthorizationEvent(stranger, event, "8")))
	}
	s.wantSuccess("a message", s.push(s.fake.TextMessage(stranger, "hi")))
}

func TestAStoreThatIsAwayHasWeChatPushAgain(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	u, token, picture := s.known()
	event := s.fake.AuthorizationEvent(u, wechat.EventRevoke, "20")
	s.deps.Storage.(*faultyStorage).fail("Lock", errors.New("away"))
	if w := s.push(event); w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", w.Code, w.Body)
	}
	s.deps.Storage.(*faultyStorage).fail("Lock", nil)
	s.wantSuccess("the repeat", s.push(event))
	if got := s.has(token, picture); got != "phone nickname" {
		t.Errorf("got %q, want neither avatar nor picture", got)
	}
}

func TestWhatTheConsoleAsks(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	w := s.receive(s.fake.VerifyRequest(t.Context(), s.console, "4375120948345356249"))
	if w.Code != http.StatusOK || w.Body.String() != "4375120948345356249" {
		t.Errorf("got %d %q, want the echo alone", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %s, want text that no browser runs", got)
	}
	s.console.Token = "another"
	if w := s.receive(s.fake.VerifyRequest(t.Context(), s.console, "4375120948345356249")); w.Code != http.StatusUnauthorized {
		t.Errorf("with another token: got %d %s, want 401", w.Code, w.Body)
	}
}

func TestRefusedPushes(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	u, token, picture := s.known()
	event := s.fake.AuthorizationEvent(u, wechat.EventCancellation, "")
	for _, row := range []struct {
		name, logged string
		change       func(*wechattest.PushConsole)
	}{
		{"plain", "安全模式", func(c *wechattest.PushConsole) { c.Mode = wechattest.PlainPush }},
		{"a platform's", "第三方平台", func(c *wechattest.PushConsole) { c.Component = "wx134c8103faa5a59e" }},
		{"another key", "EncodingAESKey", func(c *wechattest.PushConsole) { c.AESKey = strings.Repeat("B", 43) }},
		{"another token", "its signature is not right", func(c *wechattest.PushConsole) { c.Token = "another" }},
	} {
		console := s.console
		row.change(&console)
		for range 3 {
			w := s.receive(s.fake.PushRequest(t.Context(), console, event))
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"token_invalid"`) {
				t.Errorf("%s: got %d %s, want 401 token_invalid", row.name, w.Code, w.Body)
			}
			if body := w.Body.String(); strings.Contains(body, "appid") || strings.Contains(body, "key") {
				t.Errorf("%s: got %s, want no reason in it", row.name, body)
			}
		}
		if n := strings.Count(s.witness.log.String(), row.logged); n != 1 {
			t.Errorf("%s: got %d lines with %q, want one:\n%s", row.name, n, row.logged, &s.witness.log)
		}
	}
	if got := s.has(token, picture); got != "phone nickname avatar picture" {
		t.Errorf("got %q, want all of the user", got)
	}
	s.console.Mode = wechattest.CompatiblePush
	s.wantSuccess("the compatible mode", s.push(s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8")))
}

func TestPushesThatAreNoMessage(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	large := s.fake.TextMessage(s.fake.NewUser(testAppID), strings.Repeat("x", 1<<20))
	if w := s.push(large); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("above 1 MiB: got %d %s, want 413", w.Code, w.Body)
	}
	r, err := s.fake.PushRequest(t.Context(), s.console, large)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	if w := s.receive(r, nil); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("above 1 MiB, unannounced: got %d %s, want 413", w.Code, w.Body)
	}
	// Twice a name: WeChat would push it for ever if it were refused.
	s.wantSuccess("a message that can't be read", s.push(wechattest.PushMessage{{Name: "a", Value: 1}, {Name: " a", Value: 2}}))
	if status, _ := s.do("PUT", "/auth/push/"+testAppID, "", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: got %d, want 405", status)
	}
	for _, path := range []string{"/auth/push/", "/auth/push/wx1", "/auth/push", "/auth/push/" + testAppID + "/", "/auth/push/%77x0000000000000001"} {
		if status, _ := s.do("POST", path, "", "{}"); status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, status)
		}
	}
}
