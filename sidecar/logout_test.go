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

// Redis hung in the middle of a login that ended the oldest session. The logout of that session is
// true only when its access token is refused.
func TestLogoutFinishesAnEndThatWasBegun(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, func(_ *Config, d *Deps) { d.Store = newTestStore(t, endingStore{memstore.New(64 << 20)}) })
	status, answer := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
	if status != http.StatusOK {
		t.Fatalf("login: got %d %v", status, answer)
	}
	token, _ := answer["access_token"].(string)
	body, _ := json.Marshal(map[string]any{"refresh_token": answer["refresh_token"]})
	if status, answer := s.do("POST", "/auth/logout", "", string(body)); status != http.StatusNoContent {
		t.Fatalf("logout: got %d %v", status, answer)
	}
	s.want("after the logout", token, "401 session_revoked")
}
