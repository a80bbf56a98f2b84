// What the users do, and whether the answers are those of the contract.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// atOnce bounds the steps that are under way.
const atOnce = 64

// away are the answers while WeChat or the store fails, or has too much to do.
var away = []int{429, 502, 503, 504}

type traffic struct {
	*site
	rate   int
	random *rand.Rand
	users  chan *user // who is idle
	client *http.Client

	mu    sync.Mutex
	count map[string]int // steps and their statuses
	wrong []error
}

// user is somebody, with the tokens of the latest login.
type user struct {
	*wechattest.User
	access, refresh string
	phone           string
}

func newTraffic(s *site, o options) *traffic {
	t := &traffic{
		site: s, rate: o.rate, random: rand.New(rand.NewPCG(o.seed, 0)), users: make(chan *user, o.users),
		client: &http.Client{Timeout: settle, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}, count: map[string]int{},
	}
	for i := range o.users {
		t.users <- &user{User: s.fake.NewUser(appID), phone: fmt.Sprintf("138%08d", i)}
	}
	return t
}

func (t *traffic) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / time.Duration(t.rate))
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		u, dice := <-t.users, t.random.IntN(1000)
		places <- struct{}{}
		all.Go(func() {
			t.step(u, dice)
			<-places
			t.users <- u
		})
	}
}

// step is one thing that a user does.
func (t *traffic) step(u *user, dice int) {
	switch {
	case u.access == "" || dice < 20:
		t.login(u, dice%2 == 0)
	case dice < 120:
		t.again(u)
	case dice < 180:
		t.call(u, "phone", "POST", "/auth/phone", object("code", t.fake.PhoneCode(u.User, u.phone)), 200, 401, 403)
	case dice < 210:
		t.profile(u)
	case dice < 240:
		t.leave(u, "logout", "POST", "/auth/logout", object("refresh_token", u.refresh))
	case dice < 245:
		t.leave(u, "logout all", "POST", "/auth/logout", `{"refresh_token":"`+u.refresh+`","all":true}`)
	case dice < 250:
		t.leave(u, "erase", "DELETE", "/auth/profile", "")
	case dice < 260:
		t.ban(u)
	case dice < 280:
		t.push(u)
	case dice < 310:
		t.call(&user{access: u.access + "x"}, "bad token", "GET", "/api", "", 401)
	case dice < 340:
		t.call(&user{}, "bad code", "POST", "/auth/login", object("code", "no-such-code"), 401)
	case dice < 400:
		t.call(u, "public", "GET", "/public/x", "", 200)
	default:
		if a := t.call(u, "api", "GET", "/api", "", 200, 401); a.status == 401 {
			t.again(u)
		} else if a.status == 200 && string(a.body) != u.OpenID {
			t.fail("api: the backend saw %q, want %q", a.body, u.OpenID)
		}
	}
}

func (t *traffic) login(u *user, phone bool) {
	fields := []string{"code", t.fake.LoginCode(u.User)}
	if phone {
		fields = append(fields, "phone_code", t.fake.PhoneCode(u.User, u.phone))
	}
	u.take(t.call(&user{}, "login", "POST", "/auth/login", object(fields...), 200, 401))
}

// again refreshes. A session that is gone is one that idled too long or became too old.
func (t *traffic) again(u *user) {
	a := t.call(&user{}, "refresh", "POST", "/auth/refresh", object("refresh_token", u.refresh), 200, 401)
	if a.status == 401 {
		u.access = ""
	}
	u.take(a)
}

func (u *user) take(a answer) {
	if a.status != 200 {
		return
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(a.body, &tokens) == nil {
		u.access, u.refresh = tokens.Access, tokens.Refresh
	}
}

// leave ends a session: once it is acknowledged, the token opens nothing.
func (t *traffic) leave(u *user, name, method, path, body string) {
	if a := t.call(u, name, method, path, body, 204, 401); a.status == 204 {
		t.call(u, "after "+name, "GET", "/api", "", 401)
		u.access = ""
	}
}

func (t *traffic) profile(u *user) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("nickname", "小明") // a buffer takes everything
	_ = form.Close()
	t.send(u, "profile", "POST", "/auth/profile", form.FormDataContentType(), &body, 200, 401)
	t.call(u, "profile", "GET", "/auth/profile", "", 200, 401)
}

// ban bans a user who is known, and lifts the ban.
func (t *traffic) ban(u *user) {
	service := &user{access: serviceSecret}
	path := "/auth/service/users/" + appID + "/" + u.OpenID + "/ban"
	if t.call(service, "ban", "PUT", path, `{"reason":"soak"}`, 200, 204, 404).status < 300 {
		t.call(u, "after ban", "GET", "/api", "", 401)
		t.call(&user{}, "login of a banned user", "POST", "/auth/login", object("code", t.fake.LoginCode(u.User)), 403)
		u.access = ""
	}
	t.call(service, "unban", "DELETE", path, "", 200, 204, 404)
}

func (t *traffic) push(u *user) {
	r, err := t.fake.PushRequest(context.Background(), t.console, t.fake.AuthorizationEvent(u.User, wechat.EventRevoke, "8"))
	if err == nil {
		t.do("push", r, 200)
	}
}

func (t *traffic) call(u *user, name, method, path, body string, want ...int) answer {
	return t.send(u, name, method, path, "application/json", bytes.NewBufferString(body), want...)
}

func (t *traffic) send(u *user, name, method, path, kind string, body *bytes.Buffer, want ...int) answer {
	r, err := http.NewRequestWithContext(context.Background(), method, t.url+path, body)
	if err != nil {
		t.fail("%s: %w", name, err)
		return answer{}
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-Idempotency-Key", "soak") // Go then sends again what met a connection that a reload has just closed
	if u.access != "" {
		r.Header.Set("Authorization", "Bearer "+u.access)
	}
	return t.do(name, r, want...)
}

type answer struct {
	status int
	body   []byte
}

func (t *traffic) do(name string, r *http.Request, want ...int) (a answer) {
	response, err := t.client.Do(r)
	if err == nil {
		a.status = response.StatusCode
		a.body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	t.mu.Lock()
	t.count[fmt.Sprintf("%-24s %d", name, a.status)]++
	t.mu.Unlock()
	if err != nil {
		t.fail("%s: %w", name, err)
	} else if !slices.Contains(want, a.status) && !slices.Contains(away, a.status) {
		t.fail("%s: got %d %.200s, want one of %v", name, a.status, a.body, want)
	}
	return a
}

func (t *traffic) fail(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, fmt.Errorf(format, args...))
}

// report prints the answers, and returns some of those that were wrong.
func (t *traffic) report() error {
	t.client.CloseIdleConnections()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(t.count)) {
		fmt.Printf("%s %8d\n", name, t.count[name])
	}
	if len(t.wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d answers were wrong: %w", len(t.wrong), errors.Join(t.wrong[:min(len(t.wrong), 10)]...))
}

func object(fields ...string) string {
	values := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		values[fields[i]] = fields[i+1]
	}
	text, _ := json.Marshal(values) // strings always are JSON
	return string(text)
}
