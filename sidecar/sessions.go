// The routes of a session: refresh and logout.

package sidecar

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// MaxRefreshes of one session in a minute: a mini program asks several times at once, and not for
// long.
const MaxRefreshes = 60

// sessions answers the routes refresh and logout.
type sessions struct {
	apps      Apps
	auth      *authenticator
	answers   answers
	tokens    *tokens
	store     *StoreHandle
	hook      siteHook
	exchanges exchanges
	policy    session.Policy
	site      string // tells answers of this site from those of others that share an app
	limit     *Limiter
	server    Server
	now       func() time.Time
	journal   journal
}

func newSessions(cfg Config, deps Deps, auth *authenticator, answers answers, site string) *sessions {
	return &sessions{
		apps: deps.Apps, auth: auth, answers: answers, tokens: auth.tokens, store: deps.Store,
		hook: newSiteHook(deps), exchanges: exchanges{deps.Store, deps.Hook}, policy: cfg.Session,
		site: site, limit: deps.Limits.Refresh, server: deps.Server, now: deps.Now, journal: journal{deps.Logger, deps.Server},
	}
}

func checkSession(p session.Policy, stale time.Duration) error {
	for name, d := range map[string]time.Duration{
		"idle": p.Idle, "lifetime": p.Lifetime, "grace": p.Grace, "stale": stale,
	} {
		if d < time.Second {
			return fmt.Errorf("session %s must be a second or more", name)
		}
	}
	if p.MaxPerUser < 0 {
		return errors.New("session max_per_user must be above zero")
	}
	return nil
}

// refresh exchanges a refresh token for an access token and the next refresh token.
func (s *sessions) refresh(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(w, r)
	if err != nil {
		return err
	}
	text, err := f.text("refresh_token")
	if err != nil {
		return err
	}
	if text == "" {
		return invalidRequest("refresh_token is missing")
	}
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		return errRefreshInvalid
	}
	a, err := s.ownApp(token.SID)
	if err != nil {
		return err
	}
	if err := s.limit.allow(string(token.SID), s.now()); err != nil {
		return err
	}
	answer, err := s.redeem(r, a, token)
	if err != nil {
		return err
	}
	return writeAnswer(w, answer)
}

// redeem uses a refresh token up. Once begun, it is carried out: a client that leaves would not
// know whether it was. Where there is a hook, it is asked once for all that use the token at the
// same moment.
func (s *sessions) redeem(r *http.Request, a *App, token session.RefreshToken) (*tokenAnswer, error) {
	if s.hook.Hook == nil {
		return s.rotate(context.WithoutCancel(r.Context()), token, nil)
	}
	ip := s.server.ClientIP(r)
	return shared(r.Context(), s.exchanges, a, digest("refresh", s.site, token.Text()), func(ctx context.Context) (*tokenAnswer, error) {
		claims, err := s.askAgain(ctx, token, ip)
		if err != nil {
			return nil, err
		}
		return s.rotate(ctx, token, claims)
	})
}

// askAgain asks the hook about a session that is about to be refreshed, and returns the claims that
// replace the session's; nil leaves them. A token that can't be used is not asked for.
func (s *sessions) askAgain(ctx context.Context, token session.RefreshToken, ip string) (json.RawMessage, error) {
	store, err := s.store.get()
	if err != nil {
		return nil, err
	}
	user, _, _ := token.SID.Parse()
	account, err := store.Account(ctx, user)
	if err != nil {
		return nil, err
	}
	use := session.NewRedemption(token, s.now(), s.store.policy(s.policy))
	if outcome := account.Refresh(use).Outcome; outcome != session.Rotated && outcome != session.Repeated {
		return nil, nil
	}
	before, err := readClaims(account.Session(token.SID).Claims)
	if err != nil {
		return nil, err
	}
	claims, err := s.hook.askRefresh(ctx, hookEvent{
		Event: "refresh", AppID: account.User.AppID, OpenID: account.User.OpenID, UnionID: account.User.UnionID,
		Phone: account.User.Phone, ClientIP: ip,
	}, before)
	if s.journal.denied("refresh", account.User.AppID, user, err) {
		if _, err := store.End(ctx, token.SID, s.ending(token.SID)); err != nil {
			return nil, err
		}
	}
	return claims, err
}

// rotate exchanges a refresh token, with new claims for the session if there are any.
func (s *sessions) rotate(ctx context.Context, token session.RefreshToken, claims json.RawMessage) (*tokenAnswer, error) {
	store, err := s.store.get()
	if err != nil {
		return nil, err
	}
	if err := s.tokens.ready(); err != nil { // a token must not be spent for an answer that can't be signed
		return nil, err
	}
	now := s.now()
	use := session.NewRedemption(token, now, s.store.policy(s.policy))
	use.TokensUntil, use.Claims = s.tokens.until(now), claims
	result, err := store.Refresh(ctx, use)
	switch {
	case err != nil:
		return nil, err
	case result.Outcome == session.Reused:
		user, _, _ := token.SID.Parse()
		s.journal.happened(EventRefreshReused, s.appOf(user), user) // somebody holds a copy of it
		return nil, errRefreshReused
	case result.Outcome == session.Unknown:
		return nil, errRefreshInvalid
	}
	extra, err := readClaims(result.Session.Claims)
	if err != nil {
		return nil, err
	}
	answer, err := s.answers.token(ctx, result.User, token.SID, extra, false)
	if err != nil {
		return nil, err
	}
	answer.refreshable(token.Successor(result.Session.Salt), result.Session.Ends(s.policy).Sub(now))
	return answer, nil
}

// readClaims reads what the hook added to the tokens of a session, nil if nothing.
func readClaims(stored json.RawMessage) (map[string]any, error) {
	if stored == nil {
		return nil, nil
	}
	claims, _, err := jwt.ParseExtra(string(stored))
	return claims, err
}

// writeClaims is the reverse of readClaims.
func writeClaims(claims map[string]any) (json.RawMessage, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	return json.Marshal(claims)
}

// ownApp returns the mini program of a session of this site. A token of another site must not be
// used up here, whatever the two share.
func (s *sessions) ownApp(sid session.SID) (*App, error) {
	user, site, _ := sid.Parse()
	if site == s.tokens.mark {
		if a := s.apps[s.appOf(user)]; a != nil {
			return a, nil
		}
	}
	return nil, errRefreshInvalid
}

// ending is the end of sessions now, on behalf of one of them.
func (s *sessions) ending(sid session.SID) session.Ending {
	return s.store.ending(s.now(), s.policy, sid)
}

// appOf returns the appid of a user, "" for one of another site.
func (s *sessions) appOf(user session.Tag) string {
	for id := range s.apps {
		if user.IsOf(id) {
			return id
		}
	}
	return ""
}

// logKey makes hashes of users that are of use within this process only.
var logKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}()

// hashForLog stands for a user in logs and events: the same within this process, and nobody's
// outside.
func hashForLog(user session.Tag) string {
	mac := hmac.New(sha256.New, logKey)
	mac.Write(user[:])
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
