//go:build unix

// Session files with damaged pages, at a whole Caddy.

package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pages returns the pages of an SQLite file that begin with one of the kinds.
func pages(file []byte, size int, kinds ...byte) (found []int) {
	for at := size; at < len(file); at += size {
		if bytes.IndexByte(kinds, file[at]) >= 0 {
			found = append(found, at)
		}
	}
	return found
}

// Bytes of the session file are damaged, at places that matter and at random. Caddy says so and does
// not start, or serves those whose records are sound. Nobody is let in who was logged out, nobody as
// somebody else, and what can't be read is 503.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	w := newWorld(t)
	n := w.start()
	people := n.populate(30)
	n.stop()
	name := filepath.Join(n.data(), "sessions.db")
	sound, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const pageSize = 8192
	at := func(text string) int {
		t.Helper()
		place := bytes.Index(sound, []byte(text))
		if place < 0 {
			t.Fatalf("the file has no %.10s", text)
		}
		return place
	}
	sid := people.gone.refresh()[:20]
	places := map[string]int{
		"the header": 0, "the schema": at("CREATE TABLE records"), "an account": at(people.kept[0].OpenID),
		"a revocation": at(`{"sid":"` + sid), "the head of the accounts": at(people.kept[0].OpenID) / pageSize * pageSize,
		"the head of the revocations": at(`{"sid":"`+sid) / pageSize * pageSize,
	}
	for _, kind := range []byte{2, 5, 10, 13} { // inner and outer, of indexes and of the table
		if found := pages(sound, pageSize, kind); len(found) > 0 {
			page := found[random.IntN(len(found))]
			places[fmt.Sprint("the head of a page of kind ", kind)] = page
			places[fmt.Sprint("a page of kind ", kind)] = page + 12 + random.IntN(pageSize-100)
		}
	}
	extra := 2
	if *crashAll {
		extra = 60
	}
	for i := range extra {
		places[fmt.Sprint("random place ", i)] = random.IntN(len(sound) - 100)
	}
	told, served := 0, 0
	for place, offset := range places {
		broken := bytes.Clone(sound)
		for i := range 1 + random.IntN(60) {
			broken[offset+i] ^= byte(1 + random.IntN(255))
		}
		if err := os.WriteFile(name, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			_ = os.Remove(name + suffix)
		}
		before := len(n.log())
		n.launch()
		n.servesOrEnds()
		unread := n.useDamaged(place, &people)
		said := n.log()[before:]
		if unread && !strings.Contains(said, "restore a backup") {
			t.Errorf("%s: the log does not say that the file is damaged: %.600s", place, said)
		}
		if unread {
			told++
		} else {
			served++
		}
		n.kill()
	}
	if err := os.WriteFile(name, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(name + "-wal")
	n.start()
	n.wantPopulation(&people)
	t.Logf("of %d damaged files %d were told, %d served", len(places), told, served)
}

// useDamaged makes requests, and reports whether something could not be read.
func (n *node) useDamaged(place string, people *population) (unread bool) {
	n.t.Helper()
	select {
	case <-n.ended:
		return true
	default:
	}
	if got := n.get("/", people.gone.access()); got.status == 200 {
		n.t.Errorf("%s: a revoked token is taken", place)
	}
	check := func(what string, got answer, openid string, codes ...string) {
		n.t.Helper()
		switch {
		case got.is(503, "store_unavailable"):
			unread = true
		case got.status == 200 && strings.Contains(string(got.body), openid):
		default:
			for _, code := range codes {
				if got.text("error") == code {
					return
				}
			}
			n.t.Errorf("%s: %s: got %s, want %s or 503", place, what, got, openid)
		}
	}
	for i, login := range people.logins {
		u := people.kept[i]
		check("guard", n.get("/", login.access()), "openid="+u.OpenID, "token_invalid")
		check("profile", n.get("/auth/profile", login.access()), u.OpenID, "token_invalid", "not_found")
		next := n.refresh(login.refresh())
		check("refresh", next, u.OpenID, "refresh_invalid")
		if i%5 == 0 {
			check("login", n.tryLogin(u), u.OpenID)
			check("phone", n.post("/auth/phone", login.access(), "code", n.fake.PhoneCode(u, "13800138000")), u.OpenID, "token_invalid", "session_revoked")
		}
	}
	if got := n.tryLogin(people.banned); !got.is(403, "denied") {
		if unread = unread || got.status == 503; got.status != 503 {
			n.t.Logf("%s: a banned user: got %s", place, got)
		}
	}
	return unread
}

// servesOrEnds waits until a process that was launched serves, or has ended.
func (n *node) servesOrEnds() (ended bool) {
	n.t.Helper()
	eventually(n.t, n.name+" serves or ends", func() bool {
		select {
		case <-n.ended:
			ended = true
			return true
		default:
			status := n.adminAPI().get("/wechat_auth/", "").status // Caddy serves a little before
			return status != 0 && status != 503 && n.get("/health", "").status == 200
		}
	})
	return ended
}
