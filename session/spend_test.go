package session_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	p := session.Policy{Idle: time.Hour, Lifetime: 3 * time.Hour, Grace: 30 * time.Second}
	begin := time.Now()
	fresh, first := session.New(bob, begin)
	used := fresh
	use := session.NewSpend(first, begin, p)
	if got := used.Spend(use); got != session.Rotated {
		t.Fatalf("got %v, want Rotated", got)
	}
	second := first.Successor(use.Salt)
	old := fresh // used until shortly before its lifetime is over
	old.LastUse = begin.Add(p.Lifetime - time.Minute)
	_, foreign := session.New(bob, begin)
	otherSession := session.NewSpend(second, begin, p)
	otherSession.SID = foreign.SID
	otherFamily := session.NewSpend(second, begin, p)
	otherFamily.Family = foreign.Family()

	for _, row := range []struct {
		name string
		s    session.Session
		use  session.Spend
		want session.Verdict
	}{
		{"first use", fresh, session.NewSpend(first, begin, p), session.Rotated},
		{"use of the successor", used, session.NewSpend(second, begin, p), session.Rotated},
		{"again at once", used, session.NewSpend(first, begin, p), session.Repeated},
		{"again at the end of grace", used, session.NewSpend(first, begin.Add(p.Grace-1), p), session.Repeated},
		{"again after grace", used, session.NewSpend(first, begin.Add(p.Grace), p), session.Reused},
		{"a secret never given", used, session.NewSpend(second.Successor(nil), begin, p), session.Reused},
		{"a secret never given, unused", fresh, session.NewSpend(second, begin, p), session.Reused},
		{"another session's token", used, session.NewSpend(foreign, begin, p), session.Unknown},
		{"another session's name", used, otherSession, session.Unknown},
		{"another family", used, otherFamily, session.Unknown},
		{"no session", session.Session{}, session.NewSpend(first, begin, p), session.Unknown},
		{"before idle", fresh, session.NewSpend(first, begin.Add(p.Idle-1), p), session.Rotated},
		{"idle", fresh, session.NewSpend(first, begin.Add(p.Idle), p), session.Unknown},
		{"spent token of an idle session", used, session.NewSpend(first, begin.Add(p.Idle), p), session.Unknown},
		{"before the lifetime is over", old, session.NewSpend(first, begin.Add(p.Lifetime-1), p), session.Rotated},
		{"the lifetime is over", old, session.NewSpend(first, begin.Add(p.Lifetime), p), session.Unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := row.s
			if got := s.Spend(row.use); got != row.want {
				t.Fatalf("got %v, want %v", got, row.want)
			}
			if row.want != session.Rotated {
				if !reflect.DeepEqual(s, row.s) {
					t.Errorf("got %+v, want the session unchanged", s)
				}
				return
			}
			want := row.s
			want.Previous, want.Current, want.Salt = row.s.Current, row.use.Next, row.use.Salt
			want.Spent, want.LastUse = row.use.Now, row.use.Now
			if !reflect.DeepEqual(s, want) {
				t.Errorf("got %+v, want %+v", s, want)
			}
		})
	}
}
