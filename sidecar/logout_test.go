// Logout of odd sessions.

package sidecar

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
)

// A token that somebody else made with a key of this site names its session as it likes; its logout
// counts.
func TestLogoutOfATokenMadeElsewhere(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.token("oElsewhere")
	s.want("before", token, "oElsewhere")
	if status, answer := s.do("POST", "/auth/logout", token, ""); status != 204 {
		t.Fatalf("logout: got %d %v", status, answer)
	}
	s.want("after the logout", token, "401 session_revoked")
}

// endingStore is a store that failed after it had marked sessions as ended, and before it revoked
// them.
type endingStore struct{ session.Store }

func (s endingStore) Account(ctx context.Context, user session.Tag) (session.Account, error) {
	a, err := s.Store.Account(ctx, user)
	for i := range a.Sessions {
		a.Sessions[i].Ended = session.Evicted
	}
	return a, err
}

// Redis hung in the middle of what ended a session: a login beyond the limit, or a logout that was
// refused with 503. The logout of that session is true only when its access token is refused, and
// one of all sessions goes on where it stopped.
func TestLogoutFinishesAnEndThatWasBegun(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"one": false, "all": true} {
		for _, by := range []string{"access_token", "refresh_token"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				s := newTestSite(t, func(_ *Config, d *Deps) { d.Store = newTestStore(t, endingStore{memstore.New(64 << 20)}) })
				status, answer := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
				if status != http.StatusOK {
					t.Fatalf("login: got %d %v", status, answer)
				}
				token, _ := answer["access_token"].(string)
				bearer, fields := token, map[string]any{"all": all}
				if by == "refresh_token" {
					bearer, fields[by] = "", answer[by]
				}
				body, _ := json.Marshal(fields)
				if status, answer := s.do("POST", "/auth/logout", bearer, string(body)); status != http.StatusNoContent {
					t.Fatalf("logout: got %d %v", status, answer)
				}
				s.want("after the logout", token, "401 session_revoked")
			})
		}
	}
}
