// Fuzzing of the bytes of accounts and sessions.

package redisstore

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// fuzzStores are two without a Redis: one seals, the other only binds.
func fuzzStores(tb testing.TB) []*store {
	tb.Helper()
	var all []*store
	for _, secret := range []string{"", "a key for tests, of 32 characters or more"} {
		seal, err := newSealer(secret)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, &store{prefix: "p:", seal: seal})
	}
	return all
}

var fuzzUser = session.UserID{AppID: "wx1", OpenID: "o1"}

// What was damaged is an error; what was sealed, in whatever state an older or a newer version leaves
// a record, is one too or is an account that is written and read again as the same.
func FuzzUserRecord(f *testing.F) {
	now := time.UnixMilli(1_790_000_000_000).UTC()
	whole := session.Account{Generation: 3, Withdrawals: 2, LastLogin: now, Ban: &session.Ban{Reason: "封", Until: now}, User: session.User{
		UserID: fuzzUser, UnionID: "u", FirstSeen: now, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: now, Nickname: "小明",
		Avatar: "a", Key: []byte("key"), KeySince: now, PreviousKey: []byte("previous"),
	}}
	for _, a := range []session.Account{whole, {}, {Generation: 1}, {User: session.User{UserID: fuzzUser}}, {Ban: &session.Ban{}}, {Withdrawals: 1}} {
		f.Add(packUser(&a), uint16(3), byte(1))
		f.Add(append(packUser(&a), "what a newer version adds"...), uint16(0), byte(0))
	}
	f.Add([]byte("\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), uint16(99), byte(255))
	stores := fuzzStores(f)
	f.Fuzz(func(t *testing.T, raw []byte, at uint16, flip byte) {
		for _, r := range stores {
			key := r.accountKey(fuzzUser.Tag())
			stored, err := r.seal.seal(place(key, userField), raw)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := r.decodeUser(key, string(stored)); err == nil {
				first := packUser(&a)
				again, err := r.encodeUser(key, &a)
				if err != nil {
					t.Fatal(err)
				}
				b, err := r.decodeUser(key, string(again))
				if second := packUser(&b); err != nil || !bytes.Equal(first, second) {
					t.Errorf("got %x %v, want %x", second, err, first)
				}
				if len(first) > 2*len(raw)+64 {
					t.Errorf("%d bytes became %d", len(raw), len(first))
				}
			}
			if _, err := r.decodeUser(r.accountKey(session.UserID{AppID: "wx1", OpenID: "o2"}.Tag()), string(stored)); err == nil {
				t.Error("the record was read at another user's place")
			}
			if flip != 0 {
				stored[int(at)%len(stored)] ^= flip
				if _, err := r.decodeUser(key, string(stored)); err == nil {
					t.Error("a damaged record was read")
				}
			}
			if _, err := r.decodeUser(key, string(raw)); err == nil {
				t.Error("bytes without a seal were read")
			}
		}
	})
}

// A session of any values comes back as it was, but for times below a millisecond; a record that was
// damaged where no script writes is an error, and none is ever of another user.
func FuzzSessionRecord(f *testing.F) {
	f.Add(uint32(1), int64(1_790_000_000_000), int64(1_790_000_900_000), int64(0), []byte("digests"), []byte(`{"role":"admin"}`), byte(0), uint16(3), byte(1))
	f.Add(uint32(1<<31), int64(-1), int64(1<<62), int64(1), []byte{}, []byte(`null`), byte('r'), uint16(60), byte(1))
	stores := fuzzStores(f)
	made, _ := session.New(fuzzUser, session.NewSite("site"), time.UnixMilli(1_790_000_000_000))
	f.Fuzz(func(t *testing.T, number uint32, created, used, spent int64, digests, claims []byte, ended byte, at uint16, flip byte) {
		s := made
		s.User = session.UserID{}
		s.Created, s.LastUse, s.TokensUntil, s.Spent = timeOf(created), timeOf(used), timeOf(used), timeOf(spent)
		copy(s.Family[:], digests)
		copy(s.Current[:], digests[len(digests)/2:])
		copy(s.Previous[:], digests[len(digests)/3:])
		s.Salt, s.Claims = nil, nil
		if !s.Spent.IsZero() {
			s.Salt = bytes.Repeat([]byte{ended}, saltSize)
		}
		if json.Valid(claims) && string(claims) != "null" {
			s.Claims = claims
		}
		s.Ended = map[byte]session.Outcome{reused: session.Reused, evicted: session.Evicted}[ended]
		for _, r := range stores {
			key, tag := r.accountKey(fuzzUser.Tag()), fuzzUser.Tag()
			field, ok := fieldOf(tag, s.SID)
			if !ok {
				t.Fatal("no field")
			}
			stored, err := r.encodeSession(key, field, number, &s)
			if err != nil {
				t.Fatal(err)
			}
			got, n, err := r.decodeSession(tag, field, string(stored))
			if want, _ := json.Marshal(s); err != nil || n != number || !sameJSON(t, got, want) {
				t.Errorf("got %+v, number %d, %v, want %+v, number %d", got, n, err, s, number)
			}
			if flip != 0 {
				damaged := bytes.Clone(stored)
				damaged[int(at)%fixedStart] ^= flip
				if _, _, err := r.decodeSession(tag, field, string(damaged)); err == nil {
					t.Error("a session was read whose beginning is damaged")
				}
				damaged = bytes.Clone(stored)
				damaged[int(at)%len(stored)] ^= flip
				if got, _, err := r.decodeSession(tag, field, string(damaged)); err == nil && (got.SID != s.SID || got.Family != s.Family) {
					t.Errorf("got the session %v, want an error or the one at its place", got.SID)
				}
			}
			_, _, _ = r.decodeSession(tag, field, string(append([]byte{r.seal.mark()}, digests...)))
		}
	})
}

func sameJSON(t *testing.T, s session.Session, want []byte) bool {
	t.Helper()
	got, err := json.Marshal(s)
	if err != nil { // of years that can't be written; the digests are compared all the same
		return want == nil
	}
	return bytes.Equal(got, want)
}
