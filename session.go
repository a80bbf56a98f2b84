// The routes of a session: refresh and logout.

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

	// maxRefreshes of one session in a minute: a mini program asks several times at once, and not for long.
	maxRefreshes = 60
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

// sessionPolicy is the policy as the store gets it. Its TokenTTL is that of all sites on the store: what
// one of them ends, all refuse.
func (h *Handler) sessionPolicy() session.Policy {
	p := h.policy
	p.TokenTTL = h.state.revocationLife()
	return p
}

// tokensUntil is when a token that is made from now on has expired, however long the store takes.
func (h *Handler) tokensUntil(now time.Time) time.Time {
	return now.Add(h.issuer.TTL + revocationSlack)
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
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		return errRefreshInvalid
	}
	a, err := h.ownApp(token.SID)
	if err != nil {
		return err
	}
	if err := h.refreshLimit.allow(string(token.SID), h.now()); err != nil {
		return err
	}
	answer, err := h.redeem(r, a, token)
	if err != nil {
		return err
	}
	return writeAnswer(w, answer)
}

// redeem uses a refresh token up. Once begun, it is carried out: a client that leaves would not know
// whether it was. Where there is a hook, it is asked once for all that use the token at the same moment.
func (h *Handler) redeem(r *http.Request, a *app, token session.RefreshToken) (*tokenAnswer, error) {
	if h.hook == nil {
		return h.rotate(context.WithoutCancel(r.Context()), token, nil)
	}
	ip := clientIP(r)
	return fly(r.Context(), h, a, digest("refresh", h.site, token.Text()), func(ctx context.Context) (*tokenAnswer, error) {
		claims, err := h.askAgain(ctx, token, ip)
		if err != nil {
			return nil, err
		}
		return h.rotate(ctx, token, claims)
	})
}

// askAgain asks the hook about a session that is about to be refreshed, and returns the claims that replace
// the session's; nil leaves them. A token that can't be used is not asked for.
func (h *Handler) askAgain(ctx context.Context, token session.RefreshToken, ip string) (json.RawMessage, error) {
	store, err := h.state.opened()
	if err != nil {
		return nil, err
	}
	user, _, _ := token.SID.Parse()
	account, err := store.Account(ctx, user)
	if err != nil {
		return nil, err
	}
	use := session.NewRedemption(token, h.now(), h.sessionPolicy())
	if outcome := account.Refresh(use).Outcome; outcome != session.Rotated && outcome != session.Repeated {
		return nil, nil
	}
	claims, err := h.askRefresh(ctx, hookEvent{
		Event: "refresh", AppID: account.User.AppID, OpenID: account.User.OpenID, UnionID: account.User.UnionID,
		Phone: account.User.Phone, ClientIP: ip,
	})
	if isDenial(err) {
		if _, err := store.End(ctx, token.SID, h.ending(token.SID)); err != nil {
			return nil, err
		}
	}
	return claims, err
}

// rotate exchanges a refresh token, with new claims for the session if there are any.
func (h *Handler) rotate(ctx context.Context, token session.RefreshToken, claims json.RawMessage) (*tokenAnswer, error) {
	store, err := h.state.opened()
	if err != nil {
		return nil, err
	}
	if _, err := h.keys.get(); err != nil { // a token must not be spent for an answer that can't be signed
		return nil, err
	}
	now := h.now()
	use := session.NewRedemption(token, now, h.sessionPolicy())
	use.TokensUntil, use.Claims = h.tokensUntil(now), claims
	result, err := store.Refresh(ctx, use)
	switch {
	case err != nil:
		return nil, err
	case result.Outcome == session.Reused:
		h.reused(token.SID)
		return nil, errRefreshReused
	case result.Outcome == session.Unknown:
		return nil, errRefreshInvalid
	}
	extra, err := readClaims(result.Session.Claims)
	if err != nil {
		return nil, err
	}
	answer, err := h.tokenAnswer(ctx, result.User, token.SID, extra, false)
	if err != nil {
		return nil, err
	}
	answer.refreshable(token.Successor(result.Session.Salt), result.Session.Ends(h.policy).Sub(now))
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

// ownApp returns the mini program of a session of this site. A token of another site must not be used up
// here, whatever the two share.
func (h *Handler) ownApp(sid session.SID) (*app, error) {
	user, site, _ := sid.Parse()
	if site == h.mark {
		for id, a := range h.apps {
			if user.IsOf(id) {
				return a, nil
			}
		}
	}
	return nil, errRefreshInvalid
}

// logout ends the session of an access token or of a refresh token, or all sessions of its user.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	f, err := readOptionalFields(w, r)
	if err != nil {
		return err
	}
	all, err := f.flag("all")
	if err != nil {
		return err
	}
	text, err := f.text("refresh_token")
	if err != nil {
		return err
	}
	if text != "" {
		err = h.logoutByRefreshToken(r, text, all)
	} else {
		err = h.logoutByAccessToken(r, all)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logoutByRefreshToken takes every token that the session ever had: one that is spent or too old to be
// refreshed still proves who asks. Without the session's record nothing is proven: then the session is gone,
// as was asked, but no other can be ended.
func (h *Handler) logoutByRefreshToken(r *http.Request, text string, all bool) error {
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		return invalidRequest("refresh_token is none: send the one of the last login or refresh")
	}
	if _, err := h.ownApp(token.SID); err != nil {
		return err
	}
	store, err := h.state.opened()
	if err != nil {
		return err
	}
	user, _, _ := token.SID.Parse()
	account, err := store.Account(r.Context(), user)
	if err != nil {
		return err
	}
	known := account.Session(token.SID)
	gone := known == nil || known.Ended != session.Unknown
	switch {
	case gone && !all:
		return nil
	case gone || known.Family != token.Family():
		return errRefreshInvalid
	}
	return h.end(r, store, user, token.SID, all)
}

func (h *Handler) logoutByAccessToken(r *http.Request, all bool) error {
	token, err := h.findToken(r)
	if err != nil {
		return err
	}
	claims, err := h.verifyToken(token)
	if err != nil {
		return err
	}
	sid := session.SID(claims.SID)
	revoked, err := h.state.revoked(sid, h.stale)
	switch {
	case err != nil:
		return err
	case revoked && all: // a token that was taken away must not end the sessions made since
		return errSessionRevoked
	case revoked:
		return nil
	}
	store, err := h.state.opened()
	if err != nil {
		return err
	}
	return h.end(r, store, userOf(claims).Tag(), sid, all)
}

// end ends a session, or all of its user.
func (h *Handler) end(r *http.Request, store session.Store, user session.Tag, sid session.SID, all bool) (err error) {
	ctx, ending := context.WithoutCancel(r.Context()), h.ending(sid)
	if all {
		_, err = store.EndAll(ctx, user, ending)
	} else {
		_, err = store.End(ctx, sid, ending)
	}
	return err
}

// ending is the end of sessions now, on behalf of one of them.
func (h *Handler) ending(sid session.SID) session.Ending {
	return session.Ending{Now: h.now(), Policy: h.sessionPolicy(), SID: sid}
}

// reused tells the operator that somebody holds a copy of a refresh token.
func (h *Handler) reused(sid session.SID) {
	user, _, _ := sid.Parse()
	metrics.reused.Inc()
	h.logger.Warn("a refresh token was used twice, its session has ended", zap.String("user", hashForLog(user)))
	h.emit("wechat_auth_refresh_reused", map[string]any{"user": hashForLog(user)})
}
