//go:build unix

// Profiles on two nodes.

package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"image"
	"image/png"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// sharedStorage has the nodes keep pictures in one folder, as a cluster does in its storage.
func sharedStorage(t *testing.T, nodes ...*node) {
	t.Helper()
	dir := t.TempDir()
	for _, n := range nodes {
		n.options = "storage file_system " + dir + "\n"
	}
}

func plainPNG(t *testing.T, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// formOf returns the form that wx.uploadFile sends: a file avatar, a field nickname, in some order.
func formOf(t *testing.T, order []string, picture []byte, nickname string) (body, contentType string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for _, name := range order {
		if name == "nickname" {
			_ = w.WriteField(name, nickname)
			continue
		}
		part, err := w.CreateFormFile(name, "../../x.jpg")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(picture)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), w.FormDataContentType()
}

func (n *node) upload(token string, picture []byte) answer {
	n.t.Helper()
	body, contentType := formOf(n.t, []string{"avatar"}, picture, "")
	return n.send("POST", "/auth/profile", body, "Content-Type", contentType, "Authorization", "Bearer "+token)
}

func (n *node) erase(token string) answer {
	return n.send("DELETE", "/auth/profile", "", "Authorization", "Bearer "+token)
}

// A user erased at one node is gone at the other, with every session and the picture.
func TestErasedAtOneNodeIsGoneAtTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.newNode("store redis "+redis.URL+sealed), w.newNode("store redis "+redis.URL+sealed)
	sharedStorage(t, a, b)
	a.launch()
	b.launch()
	a.ready()
	b.ready()
	for round := range 5 {
		alice := w.fake.NewUser(appID)
		one, two, bob := a.login(alice), b.login(alice), b.newUser()
		want(t, "phone", a.phone(alice, one), 200, "")
		edited := b.upload(two.access(), plainPNG(t, 20+round, 20))
		want(t, "upload", edited, 200, "")
		path := edited.text("user", "avatar")
		bobs := a.upload(bob.access(), plainPNG(t, 20+round, 20)).text("user", "avatar")
		for _, n := range []*node{a, b} {
			if got := n.get(path, ""); got.status != 200 || got.header.Get("Content-Type") != "image/jpeg" {
				t.Fatalf("the picture at %s: got %d", n.name, got.status)
			}
		}

		want(t, "erase", a.erase(one.access()), 204, "")
		tokens := []string{one.access(), two.access(), edited.access()}
		for _, token := range tokens {
			if !a.revoked(token) {
				t.Errorf("the node of the erasure answers: %s", a.get("/", token))
			}
		}
		took := within(t, time.Second, "the other node refuses", func() bool {
			return b.revoked(tokens[0]) && b.revoked(tokens[1]) && b.revoked(tokens[2])
		})
		t.Log(took)
		for _, n := range []*node{a, b} {
			want(t, "the picture", n.get(path, ""), 404, "not_found")
			if got := n.get(bobs, ""); got.status != 200 {
				t.Errorf("another's same picture: got %s", got)
			}
			for _, login := range []answer{one, two} {
				want(t, "refresh", n.refresh(login.refresh()), 401, "refresh_invalid")
			}
			want(t, "erase again", n.erase(one.access()), 401, "session_revoked")
			want(t, "another user", n.get("/", bob.access()), 200, "")
		}
		again := b.login(alice)
		if user := string(again.body); !strings.Contains(user, `"new":true`) || again.text("user", "phone")+again.text("user", "avatar") != "" {
			t.Errorf("the login after: got %s, want a new user", again)
		}
		want(t, "the login after, at the other", a.get("/", again.access()), 200, "")
	}
}

// A user who tries at two nodes has five tries in all.
// Threats: T81.
func TestAttackPaddingOracleAtTwoNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis "+redis.URL+sealed, "encrypted_data on")
	alice := w.fake.NewUser(appID)
	login := a.login(alice)
	oldData, oldIV := w.fake.EncryptedPhone(alice, "13800138000")
	for i := range 5 {
		data, iv := w.fake.EncryptedPhone(alice, "13800138000")
		got := []*node{a, b}[i%2].post("/auth/phone", login.access(), "encryptedData", data[:64], "iv", iv)
		want(t, "a try", got, 409, "session_key_stale")
	}
	for _, n := range []*node{a, b} {
		within(t, time.Second, n.name+" refuses", func() bool { return n.revoked(login.access()) })
	}
	want(t, "refresh", b.refresh(login.refresh()), 401, "refresh_invalid")
	// A new session has no more tries with that key, at neither node; a new key serves.
	login = b.login(alice)
	for _, n := range []*node{a, b} {
		want(t, "the right data, too late", n.post("/auth/phone", login.access(), "encryptedData", oldData, "iv", oldIV), 409, "session_key_stale")
	}
	data, iv := w.fake.EncryptedPhone(alice, "13800138000")
	want(t, "a new key", a.post("/auth/phone", login.access(), "encryptedData", data, "iv", iv), 200, "")
	if n := w.fake.Count(wechattest.CheckSession); n != 7 {
		t.Errorf("WeChat was asked %d times about a key, want 5 times about the first, and twice about the second", n)
	}
	// All at once there are not more.
	carol := w.fake.NewUser(appID)
	login = a.login(carol)
	together(30, func(i int) {
		data, iv := w.fake.EncryptedPhone(carol, "13800138000")
		got := []*node{a, b}[i%2].post("/auth/phone", login.access(), "encryptedData", data[:64], "iv", iv)
		if got.status != 409 && got.status != 401 {
			t.Errorf("one of many: got %s", got)
		}
	})
	if n := w.fake.Count(wechattest.CheckSession); n > 12 {
		t.Errorf("WeChat was asked %d times about carol's key: as many tries were made, want 5", n-7)
	}
}

// A session_key is worth as much as the phones. What Redis writes down has none, sealed or not,
// and nothing of a user who was erased.
// Threats: T72.
func TestDumpHasNoSessionKey(t *testing.T) {
	t.Parallel()
	for name, seal := range map[string]string{"clear": "", "sealed": sealed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			redis := redistest.Start(t)
			n := w.start("store redis "+redis.URL+seal, "encrypted_data on")
			stays, goes := w.fake.NewUser(appID), w.fake.NewUser(appID)
			var keys, gone []string
			for i, alice := range []*wechattest.User{stays, goes} {
				login := n.login(alice)
				phone := []string{"13800138001", "13900139002"}[i]
				data, iv := w.fake.EncryptedPhone(alice, phone)
				want(t, "phone", n.post("/auth/phone", login.access(), "encryptedData", data, "iv", iv), 200, "")
				keys = append(keys, w.fake.SessionKeys(alice)...)
				login = n.login(alice)
				keys = append(keys, w.fake.SessionKeys(alice)...)
				want(t, "nickname", n.post("/auth/profile", login.access(), "nickname", "Nick"+phone), 200, "")
				if alice == goes {
					want(t, "erase", n.erase(login.access()), 204, "")
					gone = []string{phone, "Nick" + phone, alice.OpenID, alice.UnionID}
				}
			}
			if len(keys) != 6 {
				t.Fatalf("got %d keys, want 6", len(keys))
			}
			written := disk(t, redis)
			for _, key := range keys {
				raw, err := base64.StdEncoding.DecodeString(key)
				if err != nil {
					t.Fatal(err)
				}
				for _, spelling := range append(spellings(key), string(raw), hex.EncodeToString(raw)) {
					if bytes.Contains(written, []byte(spelling)) {
						t.Errorf("the dump has a session_key as %q", spelling)
					}
				}
			}
			if seal == "" && !bytes.Contains(written, []byte("13800138001")) {
				t.Error("the dump in clear has no phone: the search looks at the wrong place")
			}
			now := snapshot(t, redis)
			for _, value := range gone {
				for _, spelling := range spellings(value) {
					if bytes.Contains(now, []byte(spelling)) {
						t.Errorf("after the erasure there is %s", value)
					}
				}
			}
			if !bytes.Contains(now, []byte("wechat_auth:")) {
				t.Error("the snapshot has nothing: the search looks at the wrong place")
			}
		})
	}
}
