// A WeChat of a few lines, in memory, so that tests can run on fake time.

package wechat_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// What must never be seen outside a request.
const (
	testAppID  = "wx0123456789abcdef"
	testSecret = "SECRETsecretSECRET0123456789abcd"
	testCode   = "CODEcodeCODEcode"
	testOpenID = "oOPENIDopenidOPENID-_12345678"
	testToken  = "TOKENtokenTOKEN"
	testKey    = "SESSIONKEYsessionkey1234=="
	testNumber = "13800138000"
	testCloud  = "50_CLOUDcloudCLOUDcloud"
	testName   = "名字<NAME>&"
)

const (
	goodSession = `{"openid":"` + testOpenID + `","session_key":"` + testKey + `","unionid":"oUNION"}`
	goodToken   = `{"access_token":"` + testToken + `","expires_in":7200}`
	goodPhone   = `{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"` + testNumber + `","purePhoneNumber":"` + testNumber +
		`","countryCode":"86","watermark":{"timestamp":1637744274,"appid":"` + testAppID + `"}}}`
)

const (
	loginPath = "/sns/jscode2session"
	phonePath = "/wxa/business/getuserphonenumber"
	tokenPath = "/cgi-bin/stable_token"
	checkPath = "/wxa/checksession"
	cloudPath = "/wxa/getopendata"
	nickPath  = "/wxa/msg_sec_check"
)

const (
	goodCheck = `{"errcode":0,"errmsg":"ok"}`
	goodNick  = `{"errcode":0,"errmsg":"ok","result":{"suggest":"pass","label":100},"trace_id":"60ae120f-371d5872-7941a05b"}`
)

// goodCloud is the answer to the cloudID of a tap that was just now, on fake time as on the real
// clock.
func goodCloud() string {
	return cloudAnswer(testCloud, fmt.Sprintf(`{"cloudID":"%s","data":%s}`, testCloud, phoneObject(testAppID, time.Now())))
}

func cloudAnswer(id, data string) string {
	return fmt.Sprintf(`{"errcode":0,"errmsg":"ok","data_list":[{"cloud_id":%q,"json":%s}]}`, id, data)
}

func phoneObject(appID string, at time.Time) string {
	return fmt.Sprintf(`{"phoneNumber":"%s","purePhoneNumber":"%s","countryCode":"86","watermark":{"timestamp":%d,"appid":"%s"}}`,
		testNumber, testNumber, at.Unix(), appID)
}

// fakeWeChat is a RoundTripper. For each path it gives the scripted answers in turn, the last of
// them for ever.
type fakeWeChat struct {
	mu      sync.Mutex
	answers map[string][]answerFunc
	seen    []*http.Request
	bodies  []string
}

type answerFunc func(*http.Request) (*http.Response, error)

func newFake() *fakeWeChat {
	f := &fakeWeChat{answers: map[string][]answerFunc{}}
	f.on(loginPath, text(goodSession))
	f.on(tokenPath, text(goodToken))
	f.on(phonePath, text(goodPhone))
	f.on(checkPath, text(goodCheck))
	f.on(cloudPath, func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, goodCloud()), nil })
	f.on(nickPath, text(goodNick))
	return f
}

func (f *fakeWeChat) on(path string, answers ...answerFunc) *fakeWeChat {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = answers
	return f
}

func (f *fakeWeChat) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.seen = append(f.seen, r)
	f.bodies = append(f.bodies, string(body))
	queue := f.answers[r.URL.Path]
	if len(queue) == 0 {
		f.mu.Unlock()
		return reply(http.StatusNotFound, "no such path"), nil
	}
	if len(queue) > 1 {
		f.answers[r.URL.Path] = queue[1:]
	}
	f.mu.Unlock()
	return queue[0](r)
}

// calls counts the requests to a path.
func (f *fakeWeChat) calls(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.seen {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

// hosts lists the hosts that were asked, in order.
func (f *fakeWeChat) hosts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hosts []string
	for _, r := range f.seen {
		hosts = append(hosts, r.URL.Host)
	}
	return hosts
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// text answers 200 with body.
func text(body string) answerFunc {
	return func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, body), nil }
}

// failure ends the request without an answer.
func failure(err error) answerFunc {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// silence never answers.
func silence(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// newClient returns a client of the test's app that talks to transport.
func newClient(t *testing.T, transport http.RoundTripper, change ...func(*wechat.Config)) *wechat.Client {
	t.Helper()
	cfg := wechat.Config{AppID: testAppID, Secret: testSecret}.WithTransport(transport)
	for _, c := range change {
		c(&cfg)
	}
	client, err := wechat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// asError returns the *wechat.Error that every failure must be.
func asError(t *testing.T, err error) *wechat.Error {
	t.Helper()
	e, ok := err.(*wechat.Error)
	if !ok {
		t.Fatalf("got %T, want *wechat.Error", err)
	}
	return e
}
