// A Store over a DB that fails, or whose records are damaged.

package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// filled returns a store with a record of each kind, and its DB.
func filled(t *testing.T) (session.Store, *mapDB, session.Session) {
	t.Helper()
	db := &mapDB{}
	s := session.NewKVStore(db)
	made, _ := session.New(bob, site, start)
	_, err := s.Login(t.Context(), session.Login{
		Session: made, User: session.User{UserID: bob, Phone: "13800138000"}, Policy: policy,
		Replay: session.Replay{Key: session.Digest{1}, Value: []byte("answer"), Until: start.Add(time.Hour)},
	})
	gone, _ := session.New(bob, site, start)
	_, err2 := s.End(t.Context(), gone.SID, session.Ending{Now: start, Policy: policy})
	_, err3 := s.Count(t.Context(), session.Digest{1}, 1, start.Add(time.Hour), start)
	_, err4 := s.SwapKeys(t.Context(), 0, []byte("keys"))
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return s, db, made
}

// everything calls every method of a store, and returns their errors.
func everything(ctx context.Context, s session.Store, sid session.SID) map[string]error {
	e := session.Ending{Now: start, Policy: policy}
	made, token := session.New(bob, site, start)
	token.SID = sid
	user := session.User{UserID: bob}
	errs := map[string]error{}
	_, errs["Account"] = s.Account(ctx, bob.Tag())
	_, errs["Login"] = s.Login(ctx, session.Login{Session: made, User: user, Policy: policy})
	_, errs["Refresh"] = s.Refresh(ctx, session.NewRedemption(token, start, policy))
	_, errs["Update"] = s.Update(ctx, session.Update{SID: sid, User: user, Now: start})
	_, errs["End"] = s.End(ctx, sid, e)
	_, errs["EndAll"] = s.EndAll(ctx, bob.Tag(), e)
	_, errs["Erase"] = s.Erase(ctx, bob.Tag(), e)
	_, errs["Ban"] = s.Ban(ctx, bob.Tag(), session.Ban{Until: start}, e)
	_, errs["Withdraw"] = s.Withdraw(ctx, bob.Tag(), session.Withdrawal{Phone: true}, start)
	push := session.Push{ID: session.Digest{1}, Until: start}
	_, errs["AddPush"] = s.AddPush(ctx, &push, session.PushRoom{Pushes: 1, Bytes: 1, Line: 1}, start, start)
	_, errs["TakePush"] = s.TakePush(ctx, push.Queue, start, start)
	errs["EndPush"] = s.EndPush(ctx, push, start)
	errs["DelayPush"] = s.DelayPush(ctx, push, start)
	_, errs["HurryPush"] = s.HurryPush(ctx, push.Queue, push.Line, start)
	_, errs["Pushes"] = s.Pushes(ctx, push.Queue)
	errs["Unban"] = s.Unban(ctx, bob.Tag(), start)
	_, errs["Users"] = s.Users(ctx, session.UserQuery{})
	_, errs["Users by phone"] = s.Users(ctx, session.UserQuery{Phone: "13800138000"})
	_, errs["Stats"] = s.Stats(ctx)
	errs["Import"] = s.Import(ctx, []session.User{user}, start)
	errs["Dump"] = s.Dump(ctx, func(session.Dump) error { return nil })
	errs["Restore"] = s.Restore(ctx, session.Dump{Accounts: []session.DumpedAccount{{Tag: bob.Tag(), Account: session.Account{User: user}}}}, start)
	_, errs["Count"] = s.Count(ctx, session.Digest{1}, 1, start, start)
	errs["PutReplay"] = s.PutReplay(ctx, session.Replay{Key: session.Digest{1}, Until: start}, start)
	_, errs["Replay"] = s.Replay(ctx, session.Digest{1}, start)
	_, _, errs["Keys"] = s.Keys(ctx)
	_, errs["SwapKeys"] = s.SwapKeys(ctx, 1, nil)
	follow, stop := context.WithCancel(ctx)
	errs["Follow"] = s.Follow(follow, func([]session.Revocation) { stop() })
	stop()
	return errs
}

func TestFailuresOfADBAreToldApart(t *testing.T) {
	t.Parallel()
	disk := errors.New("input/output error")
	for name, test := range map[string]struct{ fails, want error }{
		"disk":    {disk, disk},
		"full":    {fmt.Errorf("disk: %w", session.ErrFull), session.ErrFull},
		"closed":  {session.ErrClosed, session.ErrClosed},
		"timeout": {context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		s, db, made := filled(t)
		db.fail(test.fails)
		for method, err := range everything(t.Context(), s, made.SID) {
			if !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, test.want) {
				t.Errorf("%s, %s: got %v, want %v and %v", name, method, err, session.ErrUnavailable, test.want)
			} else if got := session.Reason(err); got != test.fails.Error() {
				t.Errorf("%s, %s: got the reason %q, want %q whatever was asked", name, method, got, test.fails)
			}
		}
		db.fail(nil)
		if a, err := s.Account(t.Context(), bob.Tag()); err != nil || a.Session(made.SID) == nil {
			t.Errorf("%s: got %v, %v, want what was there before", name, a, err)
		}
	}
}

// A caller who went away is no failure of the store.
func TestACancelledCallIsNoFailure(t *testing.T) {
	t.Parallel()
	s, _, made := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, err := range everything(ctx, s, made.SID) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v alone", method, err, context.Canceled)
		}
	}
}

// An update that a DB runs twice counts once.
func TestUpdatesMayRunTwice(t *testing.T) {
	t.Parallel()
	db := &mapDB{}
	s := session.NewKVStore(twice{db})
	var last session.Account
	for i := range 3 {
		made, token := session.New(bob, site, start)
		l := session.Login{Session: made, User: session.User{UserID: bob}, Policy: policy}
		evicted, err := s.Login(t.Context(), l)
		if err != nil || len(evicted) > 0 {
			t.Fatalf("got %d evicted, %v", len(evicted), err)
		}
		if n, err := s.Count(t.Context(), session.Digest{1}, 1, start.Add(time.Hour), start); n != i+1 || err != nil {
			t.Errorf("got count %d, %v, want %d", n, err, i+1)
		}
		if ok, err := s.SwapKeys(t.Context(), int64(i), nil); !ok || err != nil {
			t.Errorf("got swapped %t, %v", ok, err)
		}
		r, err := s.Refresh(t.Context(), session.NewRedemption(token, start, policy))
		if r.Outcome != session.Rotated || err != nil {
			t.Errorf("got %v, %v, want Rotated", r.Outcome, err)
		}
		if last, err = s.Account(t.Context(), bob.Tag()); err != nil || len(last.Sessions) != i+1 {
			t.Errorf("got %d sessions, %v, want %d", len(last.Sessions), err, i+1)
		}
	}
	revoked, err := s.EndAll(t.Context(), bob.Tag(), session.Ending{Now: start, Policy: policy})
	if len(revoked) != len(last.Sessions) || err != nil {
		t.Errorf("got %d revocations, %v, want %d", len(revoked), err, len(last.Sessions))
	}
}

// twice is a DB that runs each update twice, the first time for nothing.
type twice struct{ *mapDB }

func (d twice) Update(ctx context.Context, change func(session.Tx) error) error {
	_ = d.mapDB.Update(ctx, func(tx session.Tx) error {
		return errors.Join(change(tx), errors.New("a conflict"))
	})
	return d.mapDB.Update(ctx, change)
}

// A disk that returns one record in place of another must not hand out another user's session.
func TestForeignRecordsAreRefused(t *testing.T) {
	t.Parallel()
	s, db, made := filled(t)
	eve := session.UserID{AppID: bob.AppID, OpenID: "oEve"}
	other, token := session.New(eve, site, start)
	l := session.Login{Session: other, User: session.User{UserID: eve}, Policy: policy}
	if _, err := s.Login(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	key := func(user session.UserID) string {
		tag := user.Tag()
		return "a" + string(tag[:])
	}
	db.records[key(eve)] = db.records[key(bob)]
	if a, err := s.Account(t.Context(), eve.Tag()); !errors.Is(err, session.ErrUnavailable) || a.Session(made.SID) != nil {
		t.Errorf("got %d sessions, %v, want %v", len(a.Sessions), err, session.ErrUnavailable)
	}
	got, err := s.Refresh(t.Context(), session.NewRedemption(token, start, policy))
	if !errors.Is(err, session.ErrUnavailable) || got.Outcome != session.Unknown {
		t.Errorf("got %v, %v, want %v", got.Outcome, err, session.ErrUnavailable)
	}
	for k, r := range db.records {
		if k[0] == 'r' {
			delete(db.records, k)
			db.records["r"+string(other.SID)] = r
		}
	}
	err = s.Follow(t.Context(), func([]session.Revocation) { t.Error("got a report") })
	if !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, session.ErrUnavailable)
	}
}

// Marks that lead to the wrong account find nobody.
func TestForeignMarksFindNobody(t *testing.T) {
	t.Parallel()
	s, db, _ := filled(t)
	eve := session.User{UserID: session.UserID{AppID: bob.AppID, OpenID: "oEve"}, Phone: "13900139000", UnionID: "oUnion"}
	if err := s.Import(t.Context(), []session.User{eve}, start); err != nil {
		t.Fatal(err)
	}
	mine, theirs := bob.Tag(), eve.Tag()
	mineKey, theirsKey := "a"+string(mine[:]), "a"+string(theirs[:])
	a, b := db.records[mineKey], db.records[theirsKey]
	a.marks, b.marks = b.marks, a.marks
	db.records[mineKey], db.records[theirsKey] = a, b
	replay := db.records["n"+string([]byte{1})+strings.Repeat("\x00", 31)]
	replay.marks = a.marks // a record of another kind
	db.records["n"+string([]byte{1})+strings.Repeat("\x00", 31)] = replay
	for _, q := range []session.UserQuery{{Phone: "13800138000"}, {Phone: "13900139000"}, {UnionID: "oUnion"}} {
		if page, err := s.Users(t.Context(), q); err == nil && len(page.Accounts) > 0 {
			t.Errorf("%+v: got %d users, want none", q, len(page.Accounts))
		}
	}
}

// FuzzRecords reads damaged records: no panic, no value in an error, and never somebody else's
// record.
func FuzzRecords(f *testing.F) {
	sid := "0123456789abcdef" // of which only the length and the tag matter
	tag := bob.Tag()
	sid = base64.RawURLEncoding.EncodeToString(append(tag[:], (sid + "01234567")...))
	account := `{"user":{"appid":"` + bob.AppID + `","openid":"oBob"},"sessions":[{"sid":"` + sid + `","created":"2026-11-22T08:00:00Z"}]}`
	for _, seed := range []string{
		account,
		strings.Replace(account, "oBob", "oEve", 1),
		strings.Replace(account, `"sid":"`, `"sid":"A`, 1),
		account[:len(account)-1],
		strings.Replace(account, "2026", "9999999", 1),
		`{"generation":-1}`, `{"sessions":[{}]}`, `{"sessions":null}`, `[]`, `null`, ``, `{"user":{"key":"!"}}`,
		`{"sid":"` + sid + `","until":"2026-11-22T08:00:00Z"}`,
		"\x00\x00\x00\x00\x00\x00\x00\x01keys", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		digest := session.Digest{1}
		keys := []string{"a" + string(tag[:]), "r" + sid, "k", "n" + string(digest[:]), "c" + string(digest[:])}
		db := &mapDB{records: map[string]mapRecord{}}
		for _, key := range keys {
			db.records[key] = mapRecord{value: value}
		}
		s := session.NewKVStore(db)
		a, err := s.Account(t.Context(), bob.Tag())
		if err == nil && (len(a.Sessions) > 0 || a.User.UserID != session.UserID{}) && a.User.UserID != bob {
			t.Errorf("got the account of %v", a.User.UserID)
		}
		for _, kept := range a.Sessions {
			if user, _, ok := kept.SID.Parse(); err == nil && (!ok || user != bob.Tag() || kept.User != bob) {
				t.Errorf("got a session of %v", kept.User)
			}
		}
		err = s.Follow(canceledAtReport(t, func(revoked []session.Revocation) {
			if len(revoked) != 1 || string(revoked[0].SID) != sid {
				t.Errorf("got revocations %v", revoked)
			}
		}))
		if err == nil {
			t.Error("got no error from Follow")
		}
		errs := everything(t.Context(), s, session.SID(sid))
		for _, method := range slices.Sorted(maps.Keys(errs)) {
			err := errs[method]
			switch {
			case err == nil, errors.Is(err, session.ErrEnded), errors.Is(err, context.Canceled):
			case !errors.Is(err, session.ErrUnavailable):
				t.Errorf("%s: got %v, want %v", method, err, session.ErrUnavailable)
			case len(value) > 8 && strings.Contains(err.Error(), string(value)):
				t.Errorf("%s: got an error with the record in it", method)
			}
		}
	})
}

// canceledAtReport returns what Follow is called with to report once.
func canceledAtReport(t *testing.T, report func([]session.Revocation)) (context.Context, func([]session.Revocation)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, func(revoked []session.Revocation) {
		report(revoked)
		cancel()
	}
}

// A site whose sessions live for longer than a user who never comes back lost them at an update.
func TestAnUpdateKeepsTheAccountAsLongAsItsSessions(t *testing.T) {
	t.Parallel()
	s, db, made := filled(t)
	long := policy
	long.Lifetime = 3 * session.UserLife
	u := session.Update{SID: made.SID, User: session.User{UserID: bob}, Now: start, Policy: long}
	if _, err := s.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	tag := bob.Tag()
	if got := db.records["a"+string(tag[:])].expires; got.Before(start.Add(long.Lifetime)) {
		t.Errorf("got the account dropped at %v, want it as long as its session may live", got)
	}
}
