package session_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func newMemory(t *testing.T) *session.Memory {
	t.Helper()
	m, err := session.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
	return m
}

func TestUserIsRemembered(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	if _, known, err := m.User("wx1", "o1"); known || err != nil {
		t.Fatalf("empty memory: got %t, %v", known, err)
	}
	first := time.Unix(1700000000, 0).UTC()
	for i := range 2 {
		_, err := m.UpdateUser("wx1", "o1", func(u *session.User, isNew bool) {
			if isNew != (i == 0) {
				t.Errorf("update %d: got new %t", i, isNew)
			}
			if isNew {
				u.FirstSeen = first
			}
			u.Phone = fmt.Sprint("1380013800", i)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, known, err := m.User("wx1", "o1")
	want := session.User{AppID: "wx1", OpenID: "o1", FirstSeen: first, Phone: "13800138001"}
	if !known || err != nil || got != want {
		t.Errorf("got %+v, %t, %v, want %+v", got, known, err, want)
	}
	for _, other := range [][2]string{{"wx2", "o1"}, {"wx1", "o2"}, {"wx", "1o1"}} {
		if _, known, _ := m.User(other[0], other[1]); known {
			t.Errorf("%v: got the user of another app or openid", other)
		}
	}
}

func TestUpdatesAreNotLost(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := m.UpdateUser("wx1", "o1", func(u *session.User, _ bool) { u.Phone += "1" }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if u, _, _ := m.User("wx1", "o1"); len(u.Phone) != 100 {
		t.Errorf("got %d of 100 updates", len(u.Phone))
	}
}

func TestNoteEndsAtItsTime(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	now := time.Now()
	if _, ok := m.Recall("k", now); ok {
		t.Error("empty memory: got a note")
	}
	if err := m.Note("k", []byte("v1"), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, ok := m.Recall("k", now.Add(59*time.Second)); !ok || !bytes.Equal(got, []byte("v1")) {
		t.Errorf("before its time: got %q, %t", got, ok)
	}
	if _, ok := m.Recall("k", now.Add(time.Minute)); ok {
		t.Error("at its time: got a note")
	}
	if err := m.Note("k", []byte("v2"), now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, ok := m.Recall("k", now.Add(time.Minute)); !ok || !bytes.Equal(got, []byte("v2")) {
		t.Errorf("replaced: got %q, %t", got, ok)
	}
}

// A flood of codes must push out old notes, not fill the memory.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	until := time.Now().Add(time.Minute)
	value := bytes.Repeat([]byte("x"), 4096)
	const floods = 20_000 // 80 MB
	for i := range floods {
		if err := m.Note(fmt.Sprint(i), value, until); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range floods {
		if _, ok := m.Recall(fmt.Sprint(i), time.Now()); ok {
			kept++
		}
	}
	if _, ok := m.Recall(fmt.Sprint(floods-1), time.Now()); !ok || kept*len(value) > 64<<20 {
		t.Errorf("kept %d of %d notes of %d bytes, the newest: %t", kept, floods, len(value), ok)
	}
}
