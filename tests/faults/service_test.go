//go:build linux

// The routes of WeChat's push and of the backend's door.

package faults_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// serverTrials are the trials of WeChat and of the backend.
func (r *rig) serverTrials() []trial {
	all := []trial{r.pushTrial(), r.revokeTrial(), r.cancelTrial()}
	return append(all, r.banTrial(), r.unbanTrial(), r.eraseTrial(), r.serviceLogoutTrial(), r.importTrial(), r.tokenTrial(), r.signTrial(), r.statusTrial(), r.listTrial())
}

// pushed sends a push once, as WeChat does.
func (r *rig) pushed(n *node, m wechattest.PushMessage) answer {
	began := time.Now()
	request, err := r.fake.PushRequest(r.t.Context(), wechattest.PushConsole{
		AppID: appID, URL: n.url + "/auth/push/" + appID, Token: pushToken, AESKey: pushKey,
	}, m)
	if err != nil {
		r.t.Fatal(err)
	}
	a := n.send(request.Method, request.URL.RequestURI(), bodyOf(request), "Content-Type", request.Header.Get("Content-Type"))
	a.took = time.Since(began)
	return a
}

func bodyOf(r *http.Request) string {
	var text strings.Builder
	_ = r.Write(&text)
	_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
	return body
}

func (r *rig) pushTrial() trial {
	const route = "push"
	u := r.newUser()
	text := fmt.Sprint("question ", r.random.Int64())
	m := r.fake.TextMessage(u, text)
	r.secrets.add(text)
	send := func() answer { return r.pushed(r.a, m) }
	return trial{route, 4, 0, 0, send, func(got answer) {
		r.repeat(route, got, 200, send)
		within(r.t, 20*time.Second, "push: the backend has it", func() bool { return slices.Contains(r.backend.pushed(u.OpenID), text) })
	}}
}

func (r *rig) revokeTrial() trial {
	const route = "push of a withdrawal"
	u := r.newUser()
	phone := r.phone()
	tap := r.fake.PhoneCode(u, phone)
	if got := r.a.post("/auth/login", "", "code", r.code(u), "phone_code", tap); got.text("user", "phone") != phone {
		r.t.Fatalf("login while all is well: got %s", got)
	}
	m := r.fake.AuthorizationEvent(u, "user_authorization_revoke", "8")
	send := func() answer { return r.pushed(r.a, m) }
	return trial{route, 5, 0, 0, send, func(got answer) {
		r.repeat(route, got, 200, send)
		if now := r.again(u).text("user", "phone"); now != "" {
			r.fail(route, "phone %q at the next login, want none", now)
		}
	}}
}

func (r *rig) cancelTrial() trial {
	const route = "push of a cancellation"
	p := r.person()
	m := r.fake.AuthorizationEvent(p.User, "user_authorization_cancellation", "1")
	send := func() answer { return r.pushed(r.a, m) }
	return trial{route, 6, 0, 0, send, func(got answer) {
		r.repeat(route, got, 200, send)
		r.over(route, p.login)
	}}
}

func (r *rig) banTrial() trial {
	const route = "service ban"
	p := r.person()
	send := func() answer { return r.a.service("PUT", "users/-/"+p.OpenID+"/ban", `{"reason":"spam"}`) }
	return trial{route, 3, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, send)
		r.over(route, p.login)
		if got := r.other().post("/auth/login", "", "code", r.code(p.User)); !got.is(403, "denied") {
			r.fail(route, "login of a banned user: got %s, want 403 denied", got)
		}
	}}
}

func (r *rig) unbanTrial() trial {
	const route = "service unban"
	p := r.person()
	if got := r.a.service("PUT", "users/-/"+p.OpenID+"/ban", ""); got.status != 204 {
		r.t.Fatalf("ban while all is well: got %s", got)
	}
	send := func() answer { return r.a.service("DELETE", "users/-/"+p.OpenID+"/ban", "") }
	return trial{route, 2, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, send)
		r.again(p.User)
	}}
}

func (r *rig) eraseTrial() trial {
	const route = "service erase"
	p := r.person()
	done := func() answer {
		a := r.a.service("DELETE", "users/-/"+p.OpenID, "")
		if a.is(404, "not_found") { // an attempt whose answer was lost
			a.status = 204
		}
		return a
	}
	return trial{route, 4, 0, 0, func() answer { return r.a.service("DELETE", "users/-/"+p.OpenID, "") }, func(got answer) {
		r.repeat(route, got, 204, done)
		r.over(route, p.login)
		if got := r.other().service("GET", "users/-/"+p.OpenID, ""); got.status != 404 {
			r.fail(route, "the user after the end: got %s, want 404", got)
		}
	}}
}

func (r *rig) serviceLogoutTrial() trial {
	const route = "service logout"
	p := r.person()
	second := r.again(p.User)
	send := func() answer { return r.a.service("POST", "users/-/"+p.OpenID+"/logout", "") }
	return trial{route, 3, 0, 0, send, func(got answer) {
		r.repeat(route, got, 204, send)
		r.over(route, p.login)
		r.over(route+", the other session", second)
	}}
}

func (r *rig) importTrial() trial {
	const route = "service import"
	var lines, phones []string
	users := []*wechattest.User{r.newUser(), r.newUser(), r.newUser()}
	for _, u := range users {
		phones = append(phones, r.phone())
		lines = append(lines, fmt.Sprintf(`{"openid":%q,"phone":%q}`, u.OpenID, phones[len(phones)-1]))
	}
	send := func() answer { return r.a.service("POST", "users", strings.Join(lines, "\n")) }
	return trial{route, 2, 0, 0, send, func(got answer) {
		got = r.repeat(route, got, 200, send)
		if !strings.Contains(string(got.body), `"imported":3`) {
			r.fail(route, "got %s, want three users imported", got)
		}
		for i, u := range users {
			if now := r.other().service("GET", "users?phones=full&phone="+phones[i], ""); !strings.Contains(string(now.body), u.OpenID) {
				r.fail(route, "users with the phone: got %s, want the one that was imported", now)
			}
		}
	}}
}

func (r *rig) tokenTrial() trial {
	const route = "service token"
	return trial{route, 0, 2, 0, func() answer { return r.a.service("GET", "token", "") }, func(got answer) {
		if got.status == 200 && got.access() == "" {
			r.fail(route, "got %s, want a token", got)
		}
	}}
}

func (r *rig) signTrial() trial {
	const route = "service sign"
	p := r.person()
	send := func() answer {
		return r.a.send("POST", "/auth/service/sign", fmt.Sprintf(`{"appid":%q,"openid":%q,"data":"{}"}`, appID, p.OpenID), bearer(serviceSecret)...)
	}
	return trial{route, 1, 3, 0, send, func(got answer) { r.repeat(route, got, 200, send) }}
}

func (r *rig) statusTrial() trial {
	const route = "service status"
	return trial{route, 5, 0, 0, func() answer { return r.a.service("GET", "status", "") }, func(got answer) {
		if got.status != 200 {
			r.fail(route, "got %s, want 200: it answers also when the store is away", got)
		}
	}}
}

func (r *rig) listTrial() trial {
	const route = "service users"
	return trial{route, 2, 0, 0, func() answer { return r.a.service("GET", "users?limit=5", "") }, func(got answer) {
		if got.status == 200 && !strings.Contains(string(got.body), `"openid"`) {
			r.fail(route, "got %s, want users", got)
		}
	}}
}
