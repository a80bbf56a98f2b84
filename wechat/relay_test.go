// Calls that others make with our access token.

package wechat_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// contentCheck is a call as a backend makes it.
func contentCheck(openid, content string) wechat.RelayedCall {
	body := fmt.Sprintf(`{"content":%q,"version":2,"scene":2,"openid":%q}`, content, openid)
	return wechat.RelayedCall{
		Op: "/wxa/*", Method: http.MethodPost, Path: wechattest.CheckContent, ContentType: "application/json",
		Body: strings.NewReader(body), Length: int64(len(body)),
	}
}

// relay makes a call and reads the whole answer.
func relay(t *testing.T, client *wechat.Client, call wechat.RelayedCall) (*wechat.RelayedAnswer, string) {
	t.Helper()
	answer, err := client.Relay(t.Context(), call)
	if err != nil {
		t.Fatalf("got error %v, want an answer", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestRelayPassesWeChatsAnswerOn(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := overNetwork(t, fake.Start(t))
	alice := fake.NewUser(testAppID)
	fake.LoginCode(alice)

	if _, body := relay(t, client, contentCheck(alice.OpenID, "你好 <b>")); !strings.Contains(body, `"suggest":"pass"`) {
		t.Errorf("a good text: got %s, want that it passes", body)
	}
	if _, body := relay(t, client, contentCheck(alice.OpenID, "")); !strings.Contains(body, `"errcode":47001`) || !strings.Contains(body, "rid") {
		t.Errorf("a bad call: got %s, want WeChat's own 47001", body)
	}
	code := wechat.RelayedCall{
		Op: "code", Method: http.MethodPost, Path: wechattest.QRCode, ContentType: "application/json", Body: strings.NewReader(`{"scene":"a=1"}`),
	}
	answer, body := relay(t, client, code)
	if got := answer.Header.Get("Content-Type"); got != "image/jpeg" || len(body) < 100_000 || !strings.HasPrefix(body, "\xff\xd8") {
		t.Errorf("a picture: got %d bytes of %s, want a JPEG of 100,000 and more", len(body), got)
	}
	if v := fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
}

func TestRelayRenewsARefusedToken(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*wechattest.Server){
		"42001": (*wechattest.Server).ExpireTokens, "40001": (*wechattest.Server).RevokeTokens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
			client := overNetwork(t, fake.Start(t))
			alice := fake.NewUser(testAppID)
			fake.LoginCode(alice)
			relay(t, client, contentCheck(alice.OpenID, "one"))
			end(fake)
			if _, body := relay(t, client, contentCheck(alice.OpenID, "two")); !strings.Contains(body, `"errcode":0`) {
				t.Errorf("got %s, want an answer with the new token", body)
			}
			if got := fake.Count(wechattest.CheckContent); got != 3 {
				t.Errorf("calls: got %d, want 3", got)
			}
		})
	}
}

// An upload of any size reaches WeChat as it comes, with its length: WeChat's upload calls take no
// chunked body. It can't be sent twice, so WeChat's refusal of the token is the answer, and the next
// call has a new one.
func TestRelayStreamsWhatIsTooLargeToRepeat(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	refuse := true
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			fmt.Fprint(w, goodToken)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		if n != size || r.ContentLength != size || r.Header.Get("Content-Type") != "multipart/form-data; boundary=x" {
			t.Errorf("got %d bytes, length %d, type %q, want %d with their length and type", n, r.ContentLength, r.Header.Get("Content-Type"), size)
		}
		if refuse {
			refuse = false
			fmt.Fprint(w, `{"errcode":42001,"errmsg":"access_token expired"}`)
			return
		}
		fmt.Fprint(w, `{"media_id":"x"}`)
	})
	client := overNetwork(t, api)
	for _, want := range []string{"42001", "media_id"} {
		_, body := relay(t, client, wechat.RelayedCall{
			Op: "up", Method: http.MethodPost, Path: "/cgi-bin/media/upload", Query: url.Values{"type": {"image"}},
			ContentType: "multipart/form-data; boundary=x", Body: io.LimitReader(zeros{}, size), Length: size,
		})
		if !strings.Contains(body, want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRelaySignsWhereSigningIsConfigured(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	client := fake.client(t, fake.signing(t))
	fake.LoginCode(fake.user)
	if _, body := relay(t, client, contentCheck(fake.user.OpenID, "你好 <b>")); !strings.Contains(body, `"suggest":"pass"`) || strings.Contains(body, "_appid") {
		t.Errorf("a signed call: got %s, want the opened answer", body)
	}
	if _, body := relay(t, client, contentCheck(fake.user.OpenID, "")); !strings.Contains(body, `"errcode":47001`) {
		t.Errorf("a bad signed call: got %s, want 47001", body)
	}
	own := contentCheck(fake.user.OpenID, "with a token of its own")
	own.Query = url.Values{"access_token": {"mine"}}
	if _, body := relay(t, client, own); !strings.Contains(body, `"errcode":0`) {
		t.Errorf("with a token of its own: got %s, want ours to be sent", body)
	}
	fake.ExpireTokens()
	if _, body := relay(t, client, contentCheck(fake.user.OpenID, "two")); !strings.Contains(body, `"errcode":0`) {
		t.Errorf("after the token expired: got %s, want an answer with the new one", body)
	}
	if calls := fake.Calls(); !calls[len(calls)-1].Signed {
		t.Error("the call was plain, want it signed")
	}
}

func TestRelayTakesAPlaceUntilItsAnswerIsClosed(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.MaxInFlight = []string{fake.Start(t)}, 1 })
	alice := fake.NewUser(testAppID)
	answer, err := client.Relay(t.Context(), contentCheck(alice.OpenID, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Relay(t.Context(), contentCheck(alice.OpenID, "two")); wechat.ClassOf(err) != wechat.ClassUnavailable {
		t.Errorf("a second one meanwhile: got %v, want unavailable", err)
	}
	answer.Body.Close()
	relay(t, client, contentCheck(alice.OpenID, "three"))
}

// A program that sends a byte now and then must not keep logins out.
func TestAttackSlowBodyTakesNoPlace(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.MaxInFlight = []string{fake.Start(t)}, 1 })
	alice := fake.NewUser(testAppID)
	body, slow := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call := contentCheck(alice.OpenID, "slow")
		call.Body = body
		answer, err := client.Relay(t.Context(), call)
		if err == nil {
			_ = answer.Body.Close()
		}
	}()
	if _, err := io.WriteString(slow, "{"); err != nil { // it is being read
		t.Fatal(err)
	}
	if _, err := client.Code2Session(t.Context(), fake.LoginCode(alice)); err != nil {
		t.Errorf("a login meanwhile: got %v, want success", err)
	}
	_ = slow.Close()
	<-done
}

func TestRelayWaitsNoLongerThanACall(t *testing.T) {
	t.Parallel()
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			fmt.Fprint(w, goodToken)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.Timeout = []string{api}, 200*time.Millisecond })
	began := time.Now()
	_, err := client.Relay(t.Context(), contentCheck(testOpenID, "x"))
	if e := asError(t, err); e.Class != wechat.ClassUnavailable || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %s, want unavailable after 200ms", err, time.Since(began))
	}
}

func TestAccessTokenIsTheOneOfTheCalls(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := overNetwork(t, fake.Start(t))
	alice := fake.NewUser(testAppID)
	relay(t, client, contentCheck(alice.OpenID, "one"))
	value, life, err := client.AccessToken(t.Context())
	calls := fake.Calls()
	if used := calls[len(calls)-1].Query.Get("access_token"); err != nil || value != used || life < time.Hour || life > 2*time.Hour {
		t.Errorf("got %q for %s, error %v, want the token of the call for nearly two hours", value, life, err)
	}
}

func TestUserRisk(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := overNetwork(t, fake.Start(t))
	alice := fake.NewUser(testAppID)
	ask := func() (int, error) {
		return client.UserRisk(t.Context(), alice.OpenID, "192.0.2.7", wechat.RiskRegister)
	}
	if _, err := ask(); wechat.ClassOf(err) != wechat.ClassInactive {
		t.Errorf("a user who did nothing: got %v, want inactive", err)
	}
	fake.LoginCode(alice)
	fake.SetRisk(alice, 3)
	if got, err := ask(); err != nil || got != 3 {
		t.Errorf("got %d, error %v, want 3", got, err)
	}
	fake.Fail(wechattest.RiskRank, 1, wechattest.ErrCode(48001))
	if _, err := ask(); wechat.ClassOf(err) != wechat.ClassConfig {
		t.Errorf("not opened: got %v, want config", err)
	}
	if v := fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
}
