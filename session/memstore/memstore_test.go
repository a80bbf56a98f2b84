// What a store in memory promises beside the contract: it stays in its bounds, and drops what is
// over.

package memstore

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var policy = session.Policy{
	Idle: time.Hour, Lifetime: 24 * time.Hour, Grace: time.Minute, MaxPerUser: 5, TokenTTL: time.Minute,
}

func login(t *testing.T, s session.Store, openID string) (session.RefreshToken, error) {
	t.Helper()
	now := time.Now()
	made, token := session.New(session.UserID{AppID: "wx0123456789abcdef", OpenID: openID}, session.Site{}, now)
	_, err := s.Login(t.Context(), session.Login{
		Session: made, User: session.User{UserID: made.User, FirstSeen: now}, Policy: policy,
	})
	return token, err
}

func TestFullStoreRefusesLoginsAndGoesOn(t *testing.T) {
	t.Parallel()
	s := New(1 << 20)
	defer s.Close()
	var tokens []session.RefreshToken
	for i := 0; ; i++ {
		token, err := login(t, s, "openid-"+string(rune('a'+i%26))+time.Duration(i).String())
		if errors.Is(err, session.ErrFull) && errors.Is(err, session.ErrUnavailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if len(tokens) < 500 {
		t.Errorf("got %d users in a MiB, want 500 or more", len(tokens))
	}
	for _, token := range tokens {
		r, err := s.Refresh(t.Context(), session.NewRedemption(token, time.Now(), policy))
		if err != nil || r.Outcome != session.Rotated {
			t.Fatalf("refresh in a full store: got %v, %v, want %v", r.Outcome, err, session.Rotated)
		}
	}
	for _, token := range tokens {
		if _, err := s.End(t.Context(), token.SID, session.Ending{Now: time.Now(), Policy: policy}); err != nil {
			t.Fatalf("end in a full store: %v", err)
		}
	}
}

func TestRefusedUpdateWritesNothing(t *testing.T) {
	t.Parallel()
	d := newDB(10_000)
	put := func(key string, size int) error {
		return d.Update(t.Context(), func(tx session.Tx) error {
			return errors.Join(tx.Put([]byte("small"), []byte(key), time.Time{}), tx.Put([]byte(key), make([]byte, size), time.Time{}))
		})
	}
	if err := put("a", 1000); err != nil {
		t.Fatal(err)
	}
	if err := put("b", 20_000); !errors.Is(err, session.ErrFull) {
		t.Fatalf("got %v, want %v", err, session.ErrFull)
	}
	err := d.View(t.Context(), func(tx session.Tx) error {
		if value, _ := tx.Get([]byte("small")); string(value) != "a" {
			t.Errorf("got %q, want a", value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsOverIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDB(1 << 20)
		for i := range uint64(1000) {
			put(t, d, binary.BigEndian.AppendUint64(nil, i), time.Now().Add(time.Minute))
		}
		put(t, d, []byte("for ever"), time.Time{})
		time.Sleep(3 * time.Minute)
		put(t, d, []byte("one more"), time.Now().Add(time.Hour))
		if len(d.records) != 2 {
			t.Errorf("got %d records, want 2", len(d.records))
		}
		if want := int64(2*overhead + 2*8 + 2*1); d.size != want {
			t.Errorf("got size %d, want %d", d.size, want)
		}
	})
}

// A wall clock that is ahead for a while drops nothing.
func TestWrongClockDropsNothing(t *testing.T) {
	t.Parallel()
	wall, elapsed := time.Now(), time.Duration(0)
	d := newDB(1 << 20)
	d.clock = session.NewClockOf(func() time.Time { return wall }, func() time.Duration { return elapsed })
	put(t, d, []byte("a"), wall.Add(time.Hour))
	elapsed += 2 * time.Minute
	wall = wall.Add(240 * time.Hour)
	put(t, d, []byte("b"), time.Time{})
	if len(d.records) != 2 {
		t.Errorf("got %d records, want 2", len(d.records))
	}
}

func put(t *testing.T, d *db, key []byte, expires time.Time) {
	t.Helper()
	err := d.Update(t.Context(), func(tx session.Tx) error { return tx.Put(key, []byte{1}, expires) })
	if err != nil {
		t.Fatal(err)
	}
}
