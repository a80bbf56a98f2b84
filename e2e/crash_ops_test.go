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

// listed is what the operator sees of a user.
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

// either wants a session that goes on or has ended, as a whole.
func (v *victim) either(what string, login answer) {
	v.t.Helper()
	if v.revoked(login.access()) {
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

func checkLogin(v *victim, acknowledged bool) {
	v.t.Helper()
	u := v.show(v.user, v.phone)
	if acknowledged && (u == nil || u.Sessions != 1) || u != nil && u.Sessions == 0 {
		v.t.Errorf("got user %+v, want one with a session", u)
	}
	again := loginOnce(v)
	if v.sane("login", again, "code_used"); acknowledged && again.status != 200 {
		v.t.Errorf("login with the same nonce: got %s, want the same answer", again)
	}
	if again.status == 200 {
		v.alive("the repeated login", again)
	}
	v.alive("a new login", v.node.login(v.user))
}

func checkOneTap(v *victim, acknowledged bool) {
	v.t.Helper()
	u := v.show(v.user, v.phone)
	if acknowledged && u == nil || u != nil && (u.Phone != v.phone || u.Sessions == 0) {
		v.t.Errorf("got user %+v, want one with phone and session", u)
	}
	again := v.post("/auth/login", "", "code", v.code, "nonce", "n", "phone_code", v.tap)
	v.sane("one tap login", again, "code_used")
	next := v.node.login(v.user)
	if has := next.text("user", "phone"); u != nil && has != v.phone {
		v.t.Errorf("got phone %q at the next login, want %s", has, v.phone)
	}
	v.alive("the next login", next)
}

func checkPhone(v *victim, acknowledged bool) {
	v.t.Helper()
	u := v.show(v.user, v.phone)
	if u == nil || acknowledged && u.Phone == "" || u.Phone != "" && u.Phone != v.phone {
		v.t.Fatalf("got user %+v, want the phone %s", u, v.phone)
	}
	again := v.post("/auth/phone", v.login.access(), "code", v.tap)
	if v.sane("phone", again, "code_used", "code_invalid"); acknowledged && again.status != 200 {
		v.t.Errorf("phone, repeated: got %s, want the same answer", again)
	}
	next := v.alive("the session of the tap", v.login)
	if now := v.show(v.user, v.phone); next.text("user", "phone") != now.Phone || u.Phone != "" && now.Phone == "" {
		v.t.Errorf("got %s and %+v, want one phone", next, now)
	}
}

func checkRefresh(v *victim, acknowledged bool) {
	v.t.Helper()
	_ = acknowledged // the token that was spent is good for a while in both cases
	next := v.alive("the token that was spent", v.login)
	v.alive("its successor", next)
}

func checkLogout(v *victim, acknowledged bool) {
	v.t.Helper()
	switch {
	case acknowledged:
	case v.random.IntN(2) == 0:
		v.either("an interrupted logout", v.login)
		return
	default:
		a := v.logout(v.login.access())
		want(v.t, "logout, repeated", a, 204, "")
	}
	v.dead("a logout", v.login)
}

func checkLogoutAll(v *victim, acknowledged bool) {
	v.t.Helper()
	if !acknowledged && v.random.IntN(2) == 0 {
		v.either("an interrupted logout of all", v.login)
		v.either("an interrupted logout of all", v.other)
		return
	}
	if !acknowledged {
		a := v.post("/auth/logout", v.login.access(), "all", true)
		if v.sane("logout of all", a, "session_revoked"); a.status != 204 {
			v.dead("an interrupted logout of all", v.other)
			return
		}
	}
	v.dead("a logout of all", v.login)
	v.dead("a logout of all", v.other)
	v.alive("a login after it", v.node.login(v.user))
}

func checkBan(v *victim, acknowledged bool) {
	v.t.Helper()
	u := v.show(v.user, v.phone)
	if u == nil || acknowledged && u.Ban == nil {
		v.t.Fatalf("got %+v, want a ban", u)
	}
	if u.Ban == nil {
		if v.random.IntN(2) == 0 {
			v.either("an interrupted ban", v.login)
			v.alive("a login that no ban refuses", v.node.login(v.user))
		}
		want(v.t, "ban, repeated", v.again(banOnce), 204, "")
	}
	if a := v.tryLogin(v.user); !a.is(403, "denied") || a.text("error_description") != "spam" {
		v.t.Errorf("login of a banned user: got %s", a)
	}
	v.dead("a ban", v.login)
	v.dead("a ban", v.other)
}

func checkUnban(v *victim, acknowledged bool) {
	v.t.Helper()
	if !acknowledged {
		want(v.t, "unban, repeated", v.admin("DELETE", "/ban", ""), 204, "")
	}
	v.dead("a session from before the ban", v.login)
	v.alive("a login after it", v.node.login(v.user))
}

func checkErase(v *victim, acknowledged bool) {
	v.t.Helper()
	u := v.show(v.user, v.phone)
	switch {
	case u == nil:
	case acknowledged || u.Phone != v.phone || u.Nickname != "Alice":
		v.t.Errorf("got %+v, want all of the user or nothing", u)
	case v.random.IntN(2) == 0:
		v.either("an interrupted erasure", v.login)
		fallthrough
	default:
		want(v.t, "erase, repeated", v.again(func(v *victim) answer { return v.admin("DELETE", "", "") }), 204, "")
		if u := v.show(v.user, v.phone); u != nil {
			v.t.Errorf("got %+v, want the user erased", u)
		}
	}
	v.dead("an erased user", v.login)
	next := v.node.login(v.user)
	if next.text("user", "phone")+next.text("user", "nickname")+next.text("user", "avatar") != "" {
		v.t.Errorf("the next login has %s", next)
	}
	v.alive("the next login", next)
}

func checkEdit(v *victim, acknowledged bool) {
	v.t.Helper()
	whole := func(must bool) {
		v.t.Helper()
		a := v.get("/auth/profile", v.login.access())
		name, picture := a.text("nickname"), a.text("avatar")
		if a.status != 200 || (name == "") != (picture == "") || must && name != "Alice" {
			v.t.Errorf("got profile %s, want a nickname and a picture", a)
		}
		if picture != "" {
			want(v.t, "the picture", v.get(picture, ""), 200, "")
		}
	}
	whole(acknowledged)
	want(v.t, "profile, repeated", v.again(editOnce), 200, "")
	whole(true)
}

func checkImport(v *victim, acknowledged bool) {
	v.t.Helper()
	wantAll := func(must bool) {
		v.t.Helper()
		for i, u := range v.imported {
			phone := fmt.Sprintf("139%d%07d", i, v.phones)
			if got := v.show(u, phone); must && got == nil || got != nil && got.Phone != phone {
				v.t.Errorf("got imported user %+v, want phone %s", got, phone)
			}
		}
	}
	wantAll(acknowledged)
	want(v.t, "import, repeated", importOnce(v), 200, "")
	wantAll(true)
}

func checkPush(v *victim, acknowledged bool) {
	v.t.Helper()
	if !acknowledged { // WeChat repeats it
		if a := pushOnce(v); a.status != 200 {
			v.t.Errorf("push, repeated: got %s", a)
		}
	}
	if u := v.show(v.user, v.phone); u == nil || u.Phone != "" {
		v.t.Errorf("got %+v, want no phone after consent was taken back", u)
	}
	eventually(v.t, "the backend has the push", func() bool { return len(v.backend.of(v.user)) > 0 })
	v.alive("a session", v.login)
}
