// A Store over a DB whose disk is full when it commits.

package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// fullDB runs each change and then can't write it.
type fullDB struct{ *mapDB }

var errNoRoom = errors.New("disk is full")

func (d fullDB) Update(ctx context.Context, change func(session.Tx) error) error {
	return d.mapDB.Update(ctx, func(tx session.Tx) error { return errors.Join(change(tx), errNoRoom) })
}

// A logout is answered with 503 because the disk is full. Its caller refuses the tokens of what the
// store says was revoked, and the session, which goes on, would get tokens that this node refuses.
func TestAChangeThatWasNotWrittenRevokesNothing(t *testing.T) {
	t.Parallel()
	_, db, made := filled(t)
	s := session.NewKVStore(fullDB{db})
	e := session.Ending{Now: start, Policy: policy, SID: made.SID}
	evicting := policy
	evicting.MaxPerUser = 1
	next, token := session.New(bob, site, start)
	stolen := session.NewRedemption(token, start, policy)
	stolen.SID, stolen.Family = made.SID, made.Family
	for name, call := range map[string]func() ([]session.Revocation, error){
		"login": func() ([]session.Revocation, error) {
			return s.Login(t.Context(), session.Login{Session: next, User: session.User{UserID: bob}, Policy: evicting})
		},
		"refresh": func() ([]session.Revocation, error) {
			result, err := s.Refresh(t.Context(), stolen)
			return result.Revoked, err
		},
		"end":     func() ([]session.Revocation, error) { return s.End(t.Context(), made.SID, e) },
		"end all": func() ([]session.Revocation, error) { return s.EndAll(t.Context(), bob.Tag(), e) },
		"erase":   func() ([]session.Revocation, error) { return s.Erase(t.Context(), bob.Tag(), e) },
		"ban": func() ([]session.Revocation, error) {
			return s.Ban(t.Context(), bob.Tag(), session.Ban{Until: start.Add(time.Hour)}, e)
		},
	} {
		if revoked, err := call(); !errors.Is(err, errNoRoom) || len(revoked) > 0 {
			t.Errorf("%s: got %v and %v, want the failure and nothing revoked", name, revoked, err)
		}
	}
}
