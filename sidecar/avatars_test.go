// The pictures in the storage: their names, crashes, races, and how they are served.

package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/caddy-wechat/wechatauth/session"
)

var (
	alice = session.UserID{AppID: "wx0000000000000001", OpenID: "oAlice"}
	bob   = session.UserID{AppID: "wx0000000000000001", OpenID: "oBob"}

	pictureA, pictureB = []byte("\xff\xd8 a picture"), []byte("\xff\xd8 another picture")
)

func testMachine() string { return "a machine" }

func testAvatars(t *testing.T) (*pictures, *faultyStorage) {
	t.Helper()
	s := newFaultyStorage(t)
	return newPictures(s, "a store", testMachine, slog.New(slog.DiscardHandler)), s
}

func putAvatar(t *testing.T, a *pictures, user session.UserID, jpeg []byte) string {
	t.Helper()
	hash, err := a.put(t.Context(), user, "", jpeg)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// wantAvatar checks what is served for a hash: nil means nothing.
func wantAvatar(t *testing.T, a *pictures, hash string, want []byte) {
	t.Helper()
	got, err := a.get(t.Context(), hash)
	if want == nil {
		if !errors.Is(err, errNoPicture) {
			t.Errorf("%s: got %q, %v, want it not found", hash, got, err)
		}
	} else if err != nil || string(got) != string(want) {
		t.Errorf("%s: got %q, %v, want %q", hash, got, err, want)
	}
}

// Threats: T97.
func TestAvatarNames(t *testing.T) {
	t.Parallel()
	a, s := testAvatars(t)
	hash := putAvatar(t, a, alice, pictureA)
	if again := putAvatar(t, a, alice, pictureA); again != hash {
		t.Errorf("the same picture again: got %s, want %s", again, hash)
	}
	if other := putAvatar(t, a, alice, pictureB); other == hash {
		t.Error("two pictures have one name")
	}
	if _, _, ok := splitAvatar(hash); !ok {
		t.Errorf("got %q, want 64 hexadecimal digits", hash)
	}
	tag := alice.Tag()
	for _, key := range s.calls {
		if strings.Contains(key, alice.OpenID) || strings.Contains(key, fmt.Sprintf("%x", tag)) {
			t.Errorf("%s tells the user", key)
		}
	}
}

func TestAvatarsOfTwoUsersAreApart(t *testing.T) {
	t.Parallel()
	a, _ := testAvatars(t)
	of, ofBob := putAvatar(t, a, alice, pictureA), putAvatar(t, a, bob, pictureA)
	if err := a.remove(t.Context(), alice, of, ofBob); err != nil { // what to keep is not hers
		t.Fatal(err)
	}
	wantAvatar(t, a, of, nil)
	wantAvatar(t, a, ofBob, pictureA)
}

// Two stores of one app, such as staging and production on one machine, delete each other's
// avatars: both know the user.
// Threats: F13.
func TestAttackPicturesOfAnotherStore(t *testing.T) {
	t.Parallel()
	s := newFaultyStorage(t)
	a, other := newPictures(s, "a store", testMachine, slog.New(slog.DiscardHandler)), newPictures(s, "another store", testMachine, slog.New(slog.DiscardHandler))
	of, ofOther := putAvatar(t, a, alice, pictureA), putAvatar(t, other, alice, pictureA)
	if of == ofOther {
		t.Fatal("two stores have one picture")
	}
	next := putAvatar(t, a, alice, pictureB)
	for _, err := range []error{a.remove(t.Context(), alice, next, next), a.remove(t.Context(), alice, next, "")} {
		if err != nil {
			t.Fatal(err)
		}
		wantAvatar(t, other, ofOther, pictureA)
	}
	wantAvatar(t, a, next, nil)
}

// A store that has got another password, or was moved, is the same store with another identity.
func TestPicturesOutliveTheirStoresIdentity(t *testing.T) {
	t.Parallel()
	s := newFaultyStorage(t)
	of := putAvatar(t, newPictures(s, "redis://:old@host", testMachine, slog.New(slog.DiscardHandler)), alice, pictureA)
	a := newPictures(s, "redis://:new@host", testMachine, slog.New(slog.DiscardHandler))
	wantAvatar(t, a, of, pictureA)
	next, err := a.put(t.Context(), alice, of, pictureB)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.remove(t.Context(), alice, next, next); err != nil {
		t.Fatal(err)
	}
	wantAvatar(t, a, of, nil)
	wantAvatar(t, a, next, pictureB)
	if err := a.remove(t.Context(), alice, next, ""); err != nil {
		t.Fatal(err)
	}
	if files := pictureFiles(t, s); len(files) != 0 {
		t.Errorf("got files %q, want none", files)
	}
}

// A user whose record is lost, by a restart with store memory, is erased with the picture from
// before.
func TestErasedWithoutARecord(t *testing.T) {
	t.Parallel()
	a, _ := testAvatars(t)
	of := putAvatar(t, a, alice, pictureA)
	if err := a.remove(t.Context(), alice, "", ""); err != nil {
		t.Fatal(err)
	}
	wantAvatar(t, a, of, nil)
}

func TestAvatarReplaced(t *testing.T) {
	t.Parallel()
	a, s := testAvatars(t)
	first := putAvatar(t, a, alice, pictureA)
	second := putAvatar(t, a, alice, pictureB)
	folder := avatarUserFolder(a.firstOwner(alice))
	// What a crash leaves behind goes with the old picture.
	if err := s.Store(deadline(t), folder+"/123456", []byte("half a pict")); err != nil {
		t.Fatal(err)
	}
	if err := a.remove(t.Context(), alice, second, second); err != nil {
		t.Fatal(err)
	}
	wantAvatar(t, a, first, nil)
	wantAvatar(t, a, second, pictureB)
	if files := pictureFiles(t, s); len(files) != 1 {
		t.Errorf("got files %q, want one", files)
	}
	if err := a.remove(t.Context(), alice, second, ""); err != nil {
		t.Fatal(err)
	}
	if a.storage.Exists(t.Context(), folder) {
		t.Error("the user's folder is still there")
	}
}

// A crash between any two steps of a change must leave nothing that the next change does not
// remove, and never a recorded picture that is gone.
func TestAvatarCrash(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for _, at := range []string{"Store", "List", "Delete"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			a, s := testAvatars(t)
			recorded := putAvatar(t, a, alice, pictureA)
			s.fail(at, crash)
			hash, err := a.put(t.Context(), alice, recorded, pictureB)
			if err == nil {
				recorded = hash
				err = a.remove(t.Context(), alice, hash, hash)
			}
			if !errors.Is(err, crash) {
				t.Fatalf("got %v, want %v", err, crash)
			}
			if e := asError(err); e.Code != errStore.Code {
				t.Errorf("got %v, want %v", e, errStore)
			}
			s.fail(at, nil)
			if at == "Store" {
				wantAvatar(t, a, recorded, pictureA)
			} else {
				wantAvatar(t, a, recorded, pictureB)
			}
			if err := a.remove(t.Context(), alice, recorded, recorded); err != nil {
				t.Fatal(err)
			}
			if files := pictureFiles(t, s); len(files) != 1 {
				t.Errorf("got files %q, want one", files)
			}
		})
	}
}

func TestAvatarDamaged(t *testing.T) {
	t.Parallel()
	a, s := testAvatars(t)
	hash := putAvatar(t, a, alice, pictureA)
	owner, picture, _ := splitAvatar(hash)
	if err := s.Store(deadline(t), avatarKey(owner, picture), pictureA[:3]); err != nil {
		t.Fatal(err)
	}
	if _, err := a.get(t.Context(), hash); err == nil || asError(err).status != 503 {
		t.Errorf("got %v, want 503", err)
	}
	putAvatar(t, a, alice, pictureA)
	wantAvatar(t, a, hash, pictureA)
}

// Two requests change one user's picture at once, on two nodes: the recorded one is there
// afterwards, and no other.
func TestAvatarRace(t *testing.T) {
	t.Parallel()
	s := newFaultyStorage(t)
	nodes := []*pictures{newPictures(s, "a store", testMachine, slog.New(slog.DiscardHandler)), newPictures(s, "a store", testMachine, slog.New(slog.DiscardHandler))}
	var recorded string // held by the lock that is under test
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			a := nodes[i%2]
			for range 5 {
				release, err := a.hold(t.Context(), alice)
				if err != nil {
					continue // the file storage may keep one node waiting for too long
				}
				hash, err := a.put(t.Context(), alice, recorded, [][]byte{pictureA, pictureB}[i/2])
				if err != nil {
					t.Error(err)
				}
				recorded = hash
				if err := a.remove(t.Context(), alice, hash, hash); err != nil {
					t.Error(err)
				}
				release()
			}
		})
	}
	wg.Wait()
	if _, err := nodes[0].get(t.Context(), recorded); err != nil {
		t.Errorf("the recorded picture: %v", err)
	}
	if files := pictureFiles(t, s); len(files) != 1 {
		t.Errorf("got files %q, want one", files)
	}
	for i, a := range nodes {
		if len(a.held) != 0 {
			t.Errorf("node %d: got %d turns left, want none", i, len(a.held))
		}
	}
}

func TestAvatarHold(t *testing.T) {
	t.Parallel()
	a, s := testAvatars(t)
	s.fail("Lock", errors.New("no lock"))
	if _, err := a.hold(t.Context(), alice); err == nil || asError(err).status != 503 {
		t.Errorf("got %v, want 503", err)
	}
	s.fail("Lock", nil)
	release, err := a.hold(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.hold(t.Context(), bob)
	if err != nil {
		t.Fatalf("another user waits: %v", err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.hold(ctx, alice); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that went away: got %v", err)
	}
	s.fail("Unlock", errors.New("no unlock")) // it is logged
	release()
	if len(a.held) != 0 {
		t.Errorf("got %d turns left, want none", len(a.held))
	}
}

// A request of this process that does not let go makes the others give up.
func TestAvatarHoldGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPictures(nil, "a store", testMachine, slog.New(slog.DiscardHandler))
		leave, err := a.enter(t.Context(), avatarLock(alice))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if _, err := a.hold(t.Context(), alice); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// Threats: T98.
func TestAvatarServed(t *testing.T) {
	t.Parallel()
	a, _ := testAvatars(t)
	hash := putAvatar(t, a, alice, pictureA)
	tests := []struct {
		name, method string
		header       http.Header
		status       int
		body         string
	}{
		{"get", "GET", nil, 200, string(pictureA)},
		{"head", "HEAD", nil, 200, ""},
		{"known", "GET", http.Header{"If-None-Match": {`"x", W/"` + hash + `"`}}, 304, ""},
		{"known, head", "HEAD", http.Header{"If-None-Match": {`"` + hash + `"`}}, 304, ""},
		{"another known", "GET", http.Header{"If-None-Match": {`"x"`}}, 200, string(pictureA)},
		{"part", "GET", http.Header{"Range": {"bytes=0-1"}}, 200, string(pictureA)},
		{"impossible part", "GET", http.Header{"Range": {"bytes=999-"}}, 200, string(pictureA)},
		{"other condition", "GET", http.Header{"If-Match": {`"x"`}}, 200, string(pictureA)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := httptest.NewRecorder(), httptest.NewRequest(tt.method, "/auth/avatar/"+hash+".jpg", nil)
			r.Header = tt.header
			if err := a.serve(w, r, hash+".jpg"); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
			want := map[string]string{
				"Etag":                         `"` + hash + `"`,
				"Cache-Control":                "public, max-age=31536000, immutable",
				"Content-Disposition":          `inline; filename="avatar.jpg"`,
				"X-Content-Type-Options":       "nosniff",
				"Content-Security-Policy":      "default-src 'none'; sandbox",
				"Cross-Origin-Resource-Policy": "cross-origin",
			}
			if tt.status == 200 {
				want["Content-Type"] = "image/jpeg"
				want["Content-Length"] = fmt.Sprint(len(pictureA))
			}
			for name, value := range want {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s: got %q, want %q", name, got, value)
				}
			}
		})
	}
}

func TestAvatarNotServed(t *testing.T) {
	t.Parallel()
	a, s := testAvatars(t)
	hash := putAvatar(t, a, alice, pictureA)
	unknown := strings.Repeat("0", len(hash))
	for _, file := range []string{
		"", ".jpg", hash, hash + ".png", hash + ".jpg.jpg", hash + ".JPG", strings.ToUpper(hash) + ".jpg", hash[1:] + ".jpg",
		"0" + hash + ".jpg", hash + "/.jpg", "../" + hash[3:] + ".jpg", hash[:61] + "%2e.jpg", hash[:63] + "\x00.jpg",
		hash[:32] + "/" + hash[33:] + ".jpg", strings.Repeat(".", 64) + ".jpg", unknown + ".jpg",
	} {
		s.calls = nil
		w := httptest.NewRecorder()
		if err := a.serve(w, httptest.NewRequest("GET", "/", nil), file); err != errNoPicture {
			t.Errorf("%q: got %v, want %v", file, err, errNoPicture)
		}
		if len(w.Header()) != 0 {
			t.Errorf("%q: got header %v before the error", file, w.Header())
		}
		if len(s.calls) != 0 && file != unknown+".jpg" {
			t.Errorf("%q reached the storage: %q", file, s.calls)
		}
	}
	s.fail("Load", errors.New("storage is away"))
	if err := a.serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), hash+".jpg"); err == nil || asError(err).status != 503 {
		t.Errorf("got %v, want 503", err)
	}
}
