//go:build unix

// What must be true after an operation that was interrupted.

package e2e_test

import "fmt"

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
	if !acknowledged {
		if v.random.IntN(2) == 0 {
			v.either("an interrupted ban", v.login)
		}
		if u.Ban == nil {
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
	case acknowledged && u != nil:
		v.t.Errorf("got %+v, want the user erased", u)
	case u != nil && u.Phone+u.Nickname != "" && (u.Phone != v.phone || u.Nickname != "Alice"):
		v.t.Errorf("got %+v, want all of the user or nothing", u)
	}
	if !acknowledged {
		if v.random.IntN(2) == 0 {
			v.either("an interrupted erasure", v.login)
		}
		v.sane("erase", v.again(func(v *victim) answer { return v.admin("DELETE", "", "") }), "not_found")
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
