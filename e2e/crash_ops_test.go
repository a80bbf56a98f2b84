//go:build unix

// The operations that are killed, and what must be true afterwards.

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// crashOp is an operation.
type crashOp struct {
	name    string
	prepare func(v *victim)
	do      func(v *victim) answer

	// check checks what is there after a kill, and repeats the request.
	check func(v *victim, acknowledged bool)
}

func (crashOp) acknowledged(a answer) bool { return a.status/100 == 2 }

var crashOps = []crashOp{
	{"login", nil, loginOnce, checkLogin},
	{"one tap login", nil, func(v *victim) answer {
		return v.post("/auth/login", "", "code", v.code, "nonce", "n", "phone_code", v.tap)
	}, checkOneTap},
	{"phone", (*victim).loggedIn, func(v *victim) answer { return v.post("/auth/phone", v.login.access(), "code", v.tap) }, checkPhone},
	{"refresh", (*victim).loggedIn, func(v *victim) answer { return v.refresh(v.login.refresh()) }, checkRefresh},
	{"logout", (*victim).loggedIn, func(v *victim) answer { return v.logout(v.login.access()) }, checkLogout},
	{"logout by refresh token", (*victim).loggedIn, func(v *victim) answer {
		return v.post("/auth/logout", "", "refresh_token", v.login.refresh())
	}, checkLogout},
	{"logout all", (*victim).loggedInTwice, func(v *victim) answer { return v.post("/auth/logout", v.login.access(), "all", true) }, checkLogoutAll},
	{"ban", (*victim).loggedInTwice, banOnce, checkBan},
	{"unban", (*victim).banned, func(v *victim) answer { return v.admin("DELETE", "/ban", "") }, checkUnban},
	{"erase", (*victim).known, func(v *victim) answer {
		return v.send("DELETE", "/auth/profile", "", "Authorization", "Bearer "+v.login.access())
	}, checkErase},
	{"erase by the operator", (*victim).known, func(v *victim) answer { return v.admin("DELETE", "", "") }, checkErase},
	{"profile", (*victim).loggedIn, editOnce, checkEdit},
	{"import", (*victim).toImport, importOnce, checkImport},
	{"push", (*victim).consenting, pushOnce, checkPush},
}

func loginOnce(v *victim) answer { return v.post("/auth/login", "", "code", v.code, "nonce", "n") }

func (v *victim) loggedIn() { v.login = v.node.login(v.user) }

func (v *victim) loggedInTwice() {
	v.loggedIn()
	v.other = v.node.login(v.user)
}

func (v *victim) banned() {
	v.loggedIn()
	want(v.t, "ban", banOnce(v), 204, "")
}

// known has a user with all that one can have.
func (v *victim) known() {
	v.login = v.post("/auth/login", "", "code", v.code, "phone_code", v.tap)
	want(v.t, "login", v.login, 200, "")
	want(v.t, "profile", editOnce(v), 200, "")
}

func (v *victim) consenting() {
	v.login = v.post("/auth/login", "", "code", v.code, "phone_code", v.tap)
	want(v.t, "login", v.login, 200, "")
	v.push = v.fake.AuthorizationEvent(v.user, "user_authorization_revoke", "8")
}

func (v *victim) toImport() {
	v.imported = nil
	for range 3 {
		v.imported = append(v.imported, v.fake.NewUser(appID))
	}
}

// admin calls the operator's API about the user.
func (v *victim) admin(method, path, body string) answer {
	v.t.Helper()
	headers := []string{"Content-Type", "application/json"}
	c := client{"http://" + v.node.admin, v.client.http}
	return c.send(method, "/wechat_auth/users/-/"+v.user.OpenID+path, body, headers...)
}

func banOnce(v *victim) answer { return v.admin("PUT", "/ban", `{"reason":"spam"}`) }

func editOnce(v *victim) answer {
	body, form := formOf(v.t, []string{"nickname", "avatar"}, plainPNG(v.t, 20+v.phones%50, 20), "Alice")
	return v.send("POST", "/auth/profile", body, "Content-Type", form, "Authorization", "Bearer "+v.login.access())
}

func importOnce(v *victim) answer {
	var lines strings.Builder
	for i, u := range v.imported {
		fmt.Fprintf(&lines, `{"openid":"%s","phone":"139%d%07d"}`+"\n", u.OpenID, i, v.phones)
	}
	c := client{"http://" + v.node.admin, v.client.http}
	return c.send("POST", "/wechat_auth/users", lines.String())
}

func pushOnce(v *victim) answer {
	console := wechattest.PushConsole{AppID: appID, URL: v.url + "/auth/push/" + appID, Token: pushToken, AESKey: pushKey}
	r, err := v.fake.PushRequest(v.t.Context(), console, v.push)
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.client.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: body, err: err}
}

// listedUser is a user as the operator sees it.
type listedUser struct {
	OpenID   string
	Phone    string
	Nickname string
	Avatar   string
	Sessions int
	Ban      *struct{ Reason string }
}

// show returns what the operator sees of a user, nil if there is none. List, export and the search by
// phone must say the same.
func (v *victim) show(u *wechattest.User, phone string) *listedUser {
	v.t.Helper()
	c := v.adminAPI()
	a := c.get("/wechat_auth/users/-/"+u.OpenID+"?phones=full", "")
	export := c.get("/wechat_auth/users/-/"+u.OpenID+"/export", "")
	found := v.search("openid=" + u.OpenID)
	byPhone := v.search("phone=" + phone)
	if a.status == 404 {
		if export.status != 404 || len(found)+len(byPhone) > 0 {
			v.t.Errorf("a user who can't be shown: got export %s, list %v, by phone %v", export, found, byPhone)
		}
		return nil
	}
	var shown struct {
		User     listedUser
		Sessions []any
	}
	if err := json.Unmarshal(a.body, &shown); err != nil || a.status != 200 || shown.User.OpenID != u.OpenID {
		v.t.Fatalf("show: got %s", a)
	}
	if export.status != 200 || export.text("phone") != shown.User.Phone || export.text("openid") != u.OpenID {
		v.t.Errorf("export: got %s, want the phone %q", export, shown.User.Phone)
	}
	if len(found) != 1 || found[0].Phone != shown.User.Phone || found[0].Sessions != len(shown.Sessions) {
		v.t.Errorf("list: got %v, want %v", found, shown)
	}
	if (shown.User.Phone != "") != (len(byPhone) == 1) {
		v.t.Errorf("by phone: got %v of %v", byPhone, shown.User)
	}
	return &shown.User
}

func (v *victim) search(query string) []listedUser {
	v.t.Helper()
	var list struct{ Users []listedUser }
	a := v.adminAPI().get("/wechat_auth/users?phones=full&"+query, "")
	if err := json.Unmarshal(a.body, &list); err != nil || a.status != 200 {
		v.t.Fatalf("users?%s: got %s", query, a)
	}
	return list.Users
}

// wantConsistent compares the number of users with their list, and each with what is shown of it.
func (v *victim) wantConsistent() {
	v.t.Helper()
	users, sessions := 0, 0
	c := v.adminAPI()
	for after, first := "", true; first || after != ""; first = false {
		query := "?limit=100"
		if after != "" {
			query += "&after=" + after
		}
		a := c.get("/wechat_auth/users"+query, "")
		var list struct {
			Users []listedUser
			Next  string
		}
		if err := json.Unmarshal(a.body, &list); err != nil || a.status != 200 {
			v.t.Fatalf("users: got %s", a)
		}
		for _, u := range list.Users {
			if u.OpenID == "" {
				v.t.Errorf("got half a user %+v", u)
			}
			users++
			sessions += u.Sessions
		}
		after = list.Next
	}
	var status struct{ Users, Sessions int }
	a := c.get("/wechat_auth/status", "")
	if err := json.Unmarshal(a.body, &status); err != nil || status.Users != users || status.Sessions != sessions {
		v.t.Errorf("status: got %s, want the %d users and %d sessions of the list", a, users, sessions)
	}
}

// alive and dead want all of a session at once.
func (v *victim) alive(what string, login answer) answer {
	v.t.Helper()
	if got := v.get("/", login.access()); got.status != 200 {
		v.t.Errorf("%s: its access token: got %s, want 200", what, got)
	}
	next := v.refresh(login.refresh())
	if next.status != 200 {
		v.t.Errorf("%s: its refresh token: got %s, want 200", what, next)
	} else if got := v.get("/", next.access()); got.status != 200 {
		v.t.Errorf("%s: its next access token: got %s, want 200", what, got)
	}
	return next
}

func (v *victim) dead(what string, login answer) {
	v.t.Helper()
	if got := v.get("/", login.access()); !got.is(401, "session_revoked") {
		v.t.Errorf("%s: its access token: got %s, want session_revoked", what, got)
	}
	if got := v.refresh(login.refresh()); !got.is(401, "refresh_invalid") {
		v.t.Errorf("%s: its refresh token: got %s, want refresh_invalid", what, got)
	}
}

// either wants a session that goes on or has ended, as a whole: one whose end was begun ends when it is
// used.
func (v *victim) either(what string, login answer) {
	v.t.Helper()
	if v.revoked(login.access()) || v.refresh(login.refresh()).is(401, "refresh_invalid") {
		v.dead(what, login)
		return
	}
	v.alive(what, login)
}

// sane wants success or one of some errors.
func (v *victim) sane(what string, a answer, codes ...string) {
	v.t.Helper()
	if a.status/100 != 2 && !slices.Contains(codes, a.text("error")) {
		v.t.Errorf("%s, repeated: got %s, want success or one of %v", what, a, codes)
	}
}

// again repeats a request until the lock of the dead process is free.
func (v *victim) again(do func(*victim) answer) (a answer) {
	v.t.Helper()
	eventually(v.t, "a repeated request is no longer told to come later", func() bool {
		a = do(v)
		return a.status != 503
	})
	return a
}
