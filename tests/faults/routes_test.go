//go:build linux

// The routes of clients: what each is sent while a link is broken, and what has to be true afterwards.

package faults_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// trial is one request that is sent while a link is broken.
type trial struct {
	route string
	steps int // the greatest number of operations of the store, one after the other
	calls int // of WeChat
	asks  int // of the hook
	send  func() answer

	// check checks, with all links whole again, that the answer was the truth, and that a client that
	// repeats what was refused gets what it wanted.
	check func(got answer)
}

// person is a user with a session.
type person struct {
	*wechattest.User

	login answer
}

func (r *rig) fail(route, format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("%s: "+format, append([]any{route}, args...)...)
}

func (r *rig) newUser() *wechattest.User {
	u := r.fake.NewUser(appID)
	r.secrets.add(u.OpenID)
	return u
}

func (r *rig) code(u *wechattest.User) string {
	code := r.fake.LoginCode(u)
	r.secrets.add(code)
	r.secrets.add(r.fake.SessionKeys(u)...)
	return code
}

func (r *rig) phone() string {
	phone := fmt.Sprintf("139%08d", r.random.IntN(100_000_000))
	r.secrets.add(phone)
	return phone
}

// person logs a new user in while all is well.
func (r *rig) person() person {
	r.t.Helper()
	u := r.newUser()
	return person{u, r.again(u)}
}

// again logs a user in once more.
func (r *rig) again(u *wechattest.User) answer {
	r.t.Helper()
	a := r.a.post("/auth/login", "", "code", r.code(u))
	if a.status != 200 {
		r.t.Fatalf("login while all is well: got %s", a)
	}
	return a
}

// lives checks that a session goes on at both nodes, with the tokens of an answer.
func (r *rig) lives(route string, u *wechattest.User, a answer) {
	r.t.Helper()
	for _, n := range []*node{r.a, r.other()} {
		if got := n.get("/mine", a.access()); got.status != 200 || string(got.body) != u.OpenID {
			r.fail(route, "the access token that was given: got %s, want 200 as the user", got)
		}
	}
	if a.refresh() == "" {
		return
	}
	next := r.other().refresh(a.refresh())
	if next.status != 200 {
		r.fail(route, "the refresh token that was given: got %s, want 200", next)
		return
	}
	if got := r.a.get("/mine", next.access()); got.status != 200 {
		r.fail(route, "the access token after a refresh: got %s, want 200", got)
	}
}

// over checks that a session has ended, at the node that answered at once.
func (r *rig) over(route string, a answer) {
	r.t.Helper()
	if got := r.a.get("/mine", a.access()); !got.is(401, "session_revoked") {
		r.fail(route, "the access token after the end: got %s, want 401 session_revoked", got)
	}
	within(r.t, 2*time.Second, route+": the other node refuses", func() bool {
		return r.other().get("/mine", a.access()).is(401, "session_revoked")
	})
	if got := r.other().refresh(a.refresh()); got.status != 401 {
		r.fail(route, "the refresh token after the end: got %s, want 401", got)
	}
}

// repeat sends again what was refused until it is done.
func (r *rig) repeat(route string, got answer, status int, send func() answer) answer {
	r.t.Helper()
	polled(5*time.Second, func() bool {
		if got.status == status {
			return true
		}
		got = send()
		return got.status == status || got.status < 500
	})
	if got.status != status {
		r.fail(route, "repeated when all was well: got %s, want %d", got, status)
	}
	return got
}

// orOver takes the refusal of an ended session for success: an attempt that was refused with 503 may
// have been carried out.
func (r *rig) orOver(send func() answer) func() answer {
	return func() answer {
		got := send()
		if got.is(401, "session_revoked") {
			got.status = 204
		}
		return got
	}
}

// clientTrials are the trials of one client each.
func (r *rig) clientTrials() []trial {
	all := []trial{
		r.loginTrial("login", r.newUser(), ""),
		r.loginTrial("login of a known user", r.person().User, ""),
		r.oneTapTrial(),
		r.phoneTrial(),
		r.refreshTrial(),
		r.logoutTrial(),
		r.logoutByRefreshTrial(),
		r.logoutAllTrial(),
		r.profileTrial(),
		r.nicknameTrial(),
		r.avatarTrial(),
		r.deleteTrial(),
	}
	return append(append(all, r.guardTrials()...), r.openTrials()...)
}

func (r *rig) loginTrial(route string, u *wechattest.User, nonce string) trial {
	code := r.code(u)
	send := func() answer { return r.a.post("/auth/login", "", "code", code, "nonce", "n"+nonce) }
	return trial{route, 4, 1, 1, send, func(got answer) {
		if got.status != 200 {
			// The same answer again, or the code is spent: then wx.login gives another.
			if got = send(); got.is(401, "code_used") {
				got = r.again(u)
			}
		}
		if got.status != 200 {
			r.fail(route, "repeated when all was well: got %s", got)
			return
		}
		r.lives(route, u, got)
	}}
}

func (r *rig) oneTapTrial() trial {
	const route = "login with a phone"
	u, phone := r.newUser(), r.phone()
	code, tap := r.code(u), r.fake.PhoneCode(u, phone)
	r.secrets.add(tap)
	send := func(code string) answer {
		return r.a.post("/auth/login", "", "code", code, "phone_code", tap, "nonce", "n")
	}
	return trial{route, 6, 3, 1, func() answer { return send(code) }, func(got answer) {
		if got.status != 200 {
			if got = send(code); got.status == 401 {
				got = send(r.code(u))
			}
		}
		if got.status != 200 {
			r.fail(route, "repeated when all was well: got %s, want 200", got)
			return
		}
		r.lives(route, u, got)
		kept, failed := got.text("user", "phone"), got.text("phone_error", "error")
		if (kept == phone) == (failed != "") {
			r.fail(route, "phone %q and phone_error %q, want one of them", kept, failed)
		}
		if kept == "" && failed == "code_invalid" && r.target != "wechat" {
			r.fail(route, "the tap was paid for, and is lost: got %s", got)
		}
		if now := r.again(u).text("user", "phone"); kept == phone && now != phone {
			r.fail(route, "phone %q at the next login, want it kept", now)
		}
	}}
}

func (r *rig) phoneTrial() trial {
	const route = "phone"
	p, phone := r.person(), r.phone()
	tap := r.fake.PhoneCode(p.User, phone)
	r.secrets.add(tap)
	send := func() answer { return r.a.post("/auth/phone", p.login.access(), "code", tap) }
	return trial{route, 6, 2, 1, send, func(got answer) {
		if got.status != 200 {
			got = send()
		}
		switch {
		case got.status == 200:
			r.lives(route, p.User, got)
			if now := r.again(p.User).text("user", "phone"); now != phone {
				r.fail(route, "phone %q at the next login, want it kept", now)
			}
		case r.target == "wechat" && got.is(401, "code_invalid"): // WeChat's answer was lost, and it gives none twice
		default:
			r.fail(route, "repeated when all was well: got %s, want 200", got)
		}
	}}
}

func (r *rig) refreshTrial() trial {
	const route = "refresh"
	p := r.person()
	send := func() answer { return r.a.refresh(p.login.refresh()) }
	return trial{route, 3, 0, 1, send, func(got answer) {
		r.lives(route, p.User, r.repeat(route, got, 200, send))
	}}
}

func (r *rig) logoutTrial() trial {
	const route = "logout"
	p := r.person()
	send := func() answer { return r.a.post("/auth/logout", p.login.access()) }
	return trial{route, 2, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, send)
		r.over(route, p.login)
	}}
}

func (r *rig) logoutByRefreshTrial() trial {
	const route = "logout with a refresh token"
	p := r.person()
	send := func() answer { return r.a.post("/auth/logout", "", "refresh_token", p.login.refresh()) }
	return trial{route, 2, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, send)
		r.over(route, p.login)
	}}
}

func (r *rig) logoutAllTrial() trial {
	const route = "logout all"
	p := r.person()
	second := r.again(p.User)
	send := func() answer { return r.a.post("/auth/logout", p.login.access(), "all", true) }
	return trial{route, 2, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, r.orOver(send))
		r.over(route, p.login)
		r.over(route+", the other session", second)
	}}
}

func (r *rig) profileTrial() trial {
	const route = "profile"
	p := r.person()
	return trial{route, 1, 0, 0, func() answer { return r.a.get("/auth/profile", p.login.access()) }, func(got answer) {
		if got.status == 200 && got.text("openid") != p.OpenID {
			r.fail(route, "got %s, want the user", got)
		}
		r.lives(route, p.User, p.login)
	}}
}

func (r *rig) nicknameTrial() trial {
	const route = "profile POST nickname"
	p, name := r.person(), fmt.Sprintf("小明%06d", r.random.IntN(1_000_000))
	r.secrets.add(name)
	send := func() answer { return r.a.post("/auth/profile", p.login.access(), "nickname", name) }
	return trial{route, 1, 0, 0, send, func(got answer) {
		r.lives(route, p.User, r.repeat(route, got, 200, send))
		if now := r.other().get("/auth/profile", p.login.access()).text("nickname"); now != name {
			r.fail(route, "nickname %q, want %q", now, name)
		}
	}}
}

func (r *rig) avatarTrial() trial {
	const route = "profile POST avatar"
	p := r.person()
	var picture, form bytes.Buffer
	_ = png.Encode(&picture, image.NewGray(image.Rect(0, 0, 20+r.random.IntN(40), 20)))
	w := multipart.NewWriter(&form)
	part, _ := w.CreateFormFile("avatar", "x.png")
	_, _ = part.Write(picture.Bytes())
	_ = w.Close()
	send := func() answer {
		return r.a.send("POST", "/auth/profile", form.String(), append(bearer(p.login.access()), "Content-Type", w.FormDataContentType())...)
	}
	return trial{route, 3, 0, 0, send, func(got answer) {
		got = r.repeat(route, got, 200, send)
		path := r.other().get("/auth/profile", p.login.access()).text("avatar")
		if path == "" || path != got.text("user", "avatar") {
			r.fail(route, "avatar %q, want %q", path, got.text("user", "avatar"))
		}
		if a := r.other().get(path, ""); a.status != 200 {
			r.fail(route, "the picture: got %d, want 200", a.status)
		}
	}}
}

func (r *rig) deleteTrial() trial {
	const route = "profile DELETE"
	p := r.person()
	send := func() answer { return r.a.send("DELETE", "/auth/profile", "", bearer(p.login.access())...) }
	return trial{route, 3, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, r.orOver(send))
		r.over(route, p.login)
		if got := r.other().service("GET", "users/-/"+p.OpenID, ""); got.status != 404 {
			r.fail(route, "the user after the end: got %s, want 404", got)
		}
	}}
}

// guardTrials are requests for the backend and questions of other proxies. They need no network.
func (r *rig) guardTrials() (all []trial) {
	p, gone := r.person(), r.person()
	if got := r.a.post("/auth/logout", gone.login.access()); got.status != 204 {
		r.t.Fatalf("logout while all is well: got %s", got)
	}
	forged := gone.login.access()
	forged = forged[:len(forged)-8] + strings.Repeat("A", 8)
	for _, x := range []struct {
		who, token, code string
		status           int
	}{
		{"", p.login.access(), "", 200},
		{" of an ended session", gone.login.access(), "session_revoked", 401},
		{" with a forged token", forged, "token_invalid", 401},
		{" without a token", "", "token_missing", 401},
	} {
		path := fmt.Sprintf("/probe/%d/%d", r.random.Int64(), x.status)
		all = append(all, trial{"guarded request" + x.who, 0, 0, 0, func() answer { return r.a.get(path, x.token) }, func(got answer) {
			if !got.is(x.status, x.code) {
				r.fail("guarded request"+x.who, "got %s, want %d %s", got, x.status, x.code)
			}
			if as, came := r.backend.as(path); came != (x.status == 200) || came && as != p.OpenID {
				r.fail("guarded request"+x.who, "came to the backend: %v, as the right user: %v", came, as == p.OpenID)
			}
		}})
		all = append(all, trial{"verify" + x.who, 0, 0, 0, func() answer { return r.a.get("/auth/verify", x.token) }, func(got answer) {
			status := x.status
			if status == 200 {
				status = 204
			}
			if got.status != status || got.header.Get("X-Auth-Error") != x.code || (got.header.Get("X-Wx-Openid") == p.OpenID) != (status == 204) {
				r.fail("verify"+x.who, "got %s %v, want %d %s", got, got.header, status, x.code)
			}
		}})
	}
	return all
}

func (r *rig) openTrials() (all []trial) {
	for path, has := range map[string]string{"/auth/healthz": `"status"`, "/auth/.well-known/jwks.json": `"kid"`, "/health": "healthy"} {
		all = append(all, trial{path, 0, 0, 0, func() answer { return r.a.get(path, "") }, func(got answer) {
			if got.status != 200 || !strings.Contains(string(got.body), has) {
				r.fail(path, "got %s, want 200 with %s", got, has)
			}
		}})
	}
	return all
}
