package wechatauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

const (
	defaultIdle       = 30 * 24 * time.Hour
	defaultLifetime   = 180 * 24 * time.Hour
	defaultGrace      = 30 * time.Second
	defaultMaxPerUser = 20
	defaultStale      = 10 * time.Minute
)

func (h *Handler) provisionSessions(*caddy.Replacer) error {
	s := h.Session
	h.policy = session.Policy{
		Idle:       time.Duration(orDefault(s.Idle, caddy.Duration(defaultIdle))),
		Lifetime:   time.Duration(orDefault(s.Lifetime, caddy.Duration(defaultLifetime))),
		Grace:      time.Duration(orDefault(s.Grace, caddy.Duration(defaultGrace))),
		MaxPerUser: orDefault(s.MaxPerUser, defaultMaxPerUser),
	}
	h.stale = time.Duration(orDefault(s.Stale, caddy.Duration(defaultStale)))
	for name, d := range map[string]time.Duration{
		"idle": h.policy.Idle, "lifetime": h.policy.Lifetime, "grace": h.policy.Grace, "stale": h.stale,
	} {
		if d < time.Second {
			return fmt.Errorf("session %s must be a second or more", name)
		}
	}
	if h.policy.MaxPerUser < 0 {
		return errors.New("session max_per_user must be above zero")
	}
	return nil
}

// revocationSlack is how much longer than a token a revocation is remembered: an exchange that began before
// the session ended may make one more token.
const revocationSlack = time.Minute

// sessionPolicy is the policy as the store gets it. Its TokenTTL is that of all sites on the store: what
// one of them ends, all refuse.
func (h *Handler) sessionPolicy() session.Policy {
	p := h.policy
	p.TokenTTL = h.state.longestTTL() + revocationSlack
	return p
}

// refresh exchanges a refresh token for an access token and the next refresh token.
func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) error {
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
	now := h.now()
	spent, result, err := h.spend(r, text, now)
	if err != nil {
		return err
	}
	extra, err := readClaims(result.Session.Claims)
	if err != nil {
		return err
	}
	answer, err := h.tokenAnswer(r.Context(), result.User, result.Session.SID, extra, false)
	if err != nil {
		return err
	}
	answer.refreshable(spent.Successor(result.Session.Salt), result.Session.Ends(h.policy).Sub(now))
	return writeAnswer(w, answer)
}

// spend uses a refresh token up.
func (h *Handler) spend(r *http.Request, text string, now time.Time) (spent session.RefreshToken, result session.Refreshed, err error) {
	spent, ok := session.ParseRefreshToken(text)
	if !ok || !h.serves(spent.SID) {
		return spent, result, errRefreshInvalid
	}
	store, err := h.state.opened()
	if err != nil {
		return spent, result, err
	}
	if _, err := h.keys.get(); err != nil { // a token must not be spent for an answer that can't be signed
		return spent, result, err
	}
	// Once begun, it is carried out: a client that leaves would not know whether it was.
	result, err = store.Refresh(context.WithoutCancel(r.Context()), session.NewSpend(spent, now, h.sessionPolicy()))
	switch {
	case err != nil:
		return spent, result, err
	case result.Verdict == session.Reused:
		h.reused(spent.SID)
		return spent, result, errRefreshReused
	case result.Verdict == session.Unknown || h.apps[result.Session.User.AppID] == nil:
		return spent, result, errRefreshInvalid
	}
	return spent, result, nil
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

// serves tells whether a session is of one of this site's mini programs. A token of another site must not
// be used up here.
func (h *Handler) serves(sid session.SID) bool {
	user, _, _ := sid.Parse()
	for id := range h.apps {
		if user.IsOf(id) {
			return true
		}
	}
	return false
}

// logout ends the session of an access token or of a refresh token, or all sessions of its user. One that
// is gone already is as good as one that ends now.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	f, err := readOptionalFields(w, r)
	if err != nil {
		return err
	}
	all, err := f.flag("all")
	if err != nil {
		return err
	}
	sid, user, err := h.sessionOf(r, f)
	if err != nil {
		return err
	}
	if sid != "" {
		if err := h.end(r, sid, user, all); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) end(r *http.Request, sid session.SID, user session.UserID, all bool) error {
	store, err := h.state.opened()
	if err != nil {
		return err
	}
	now, ctx := h.now(), context.WithoutCancel(r.Context())
	if !all {
		return store.End(ctx, sid, now, h.sessionPolicy())
	}
	// All sessions made up to this millisecond end. The answer waits until it is over, so that a login
	// that follows is none of them.
	err = store.EndAll(ctx, user, now, h.sessionPolicy())
	outwait(now)
	return err
}

// outwait waits until a millisecond is over.
func outwait(now time.Time) {
	time.Sleep(time.Millisecond - now.Sub(now.Truncate(time.Millisecond)))
}

// sessionOf returns the session that a logout is for; "" if it is gone already.
func (h *Handler) sessionOf(r *http.Request, f fields) (session.SID, session.UserID, error) {
	text, err := f.text("refresh_token")
	if err != nil {
		return "", session.UserID{}, err
	}
	if text != "" {
		_, result, err := h.spend(r, text, h.now())
		if errors.Is(err, errRefreshInvalid) || errors.Is(err, errRefreshReused) {
			return "", session.UserID{}, nil
		}
		return result.Session.SID, result.Session.User, err
	}
	token, err := h.findToken(r)
	if err != nil {
		return "", session.UserID{}, err
	}
	claims, err := h.verifyToken(token)
	if err != nil {
		return "", session.UserID{}, err
	}
	// A token that was taken away must not end the sessions made since.
	if revoked, err := h.state.revoked(session.SID(claims.SID), h.stale); revoked || err != nil {
		return "", session.UserID{}, err
	}
	return session.SID(claims.SID), session.UserID{AppID: claims.AppID, OpenID: claims.OpenID}, nil
}

// reused tells the operator that somebody holds a copy of a refresh token.
func (h *Handler) reused(sid session.SID) {
	user, _, _ := sid.Parse()
	metrics.reused.Inc()
	h.logger.Warn("a refresh token was used twice, its session has ended", zap.String("user", hashForLog(user)))
	h.emit("wechat_auth_refresh_reused", map[string]any{"user": hashForLog(user)})
}
