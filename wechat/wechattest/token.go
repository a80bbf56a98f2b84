// Access tokens: getAccessToken and getStableAccessToken.

package wechattest

import (
	"math"
	"net/http"
	"time"
)

const (
	tokenLife    = 2 * time.Hour
	tokenOverlap = 5 * time.Minute // how long a replaced token still works

	refreshPause = 30 * time.Second // between two forced refreshes
	refreshDaily = 20               // forced refreshes in a day

	// keepPlain bounds the tokens of /cgi-bin/token that are remembered, since each call makes one.
	keepPlain = 1000
)

// chinaTime is the time zone of daily limits.
var chinaTime = time.FixedZone("CST", 8*60*60)

// token is an access token, of either endpoint.
type token struct {
	value    string
	app      *app
	stable   bool // by which endpoint
	expires  time.Time
	replaced time.Time // from then on invalid; zero: it is the latest
}

// token answers getAccessToken: every call issues a new token, and the one
// before works five more minutes. See
// https://developers.weixin.qq.com/doc/oplatform/developers/dev/AccessToken.html
func (s *Server) token(q *request) answer {
	if q.http.Method != http.MethodGet {
		return s.fail(errAppIDMissing)
	}
	if q.query.Get("grant_type") != "client_credential" {
		return s.fail(errGrantType)
	}
	a, refusal := s.authenticate(q, q.query.Get("appid"), q.query.Get("secret"))
	if refusal != nil {
		return *refusal
	}
	now := s.now()
	if !s.quotas.take(now, Token, a.ID) {
		return s.fail(errMinuteQuota)
	}
	if n := len(a.plain); n > 0 {
		a.plain[n-1].replaced = now.Add(tokenOverlap)
	}
	fresh := s.newToken(a)
	a.plain = append(a.plain, fresh)
	if len(a.plain) > keepPlain {
		delete(s.tokens, a.plain[0].value)
		a.plain = append([]*token(nil), a.plain[1:]...)
	}
	return grant(fresh, now)
}

// stableToken answers getStableAccessToken: the same token until its last five
// minutes, unless a refresh is forced. See
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken
func (s *Server) stableToken(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	var field [3]string
	for i, name := range []string{"grant_type", "appid", "secret"} {
		value, ok := q.text(name)
		if !ok {
			return s.fail(errMalformedInput)
		}
		field[i] = value
	}
	force, ok := q.json["force_refresh"].(bool)
	if _, given := q.json["force_refresh"]; given && !ok {
		return s.fail(errMalformedInput)
	}
	if field[0] != "client_credential" {
		return s.fail(errGrantType)
	}
	a, refusal := s.authenticate(q, field[1], field[2])
	if refusal != nil {
		return *refusal
	}
	now := s.now()
	if !s.quotas.take(now, StableToken, a.ID) {
		return s.fail(errMinuteQuota)
	}
	// A forced refresh too soon after another is not one.
	if force && now.Sub(a.refreshedAt) >= refreshPause {
		return s.forceRefresh(a, now)
	}
	if a.stable == nil || a.stable.expires.Sub(now) < tokenOverlap {
		s.dropExpired(now)
		a.stable = s.newStable(a) // the one before works to its own end
	}
	return grant(a.stable, now)
}

// forceRefresh kills the stable tokens of the app at once.
func (s *Server) forceRefresh(a *app, now time.Time) answer {
	if day := now.In(chinaTime).Format(time.DateOnly); day != a.refreshDay {
		a.refreshDay, a.refreshes = day, 0
	}
	if a.refreshes >= refreshDaily {
		return s.fail(errDailyQuota)
	}
	a.refreshes++
	a.refreshedAt = now

	for _, t := range s.tokens {
		if t.app == a && t.stable && t.replaced.IsZero() {
			t.replaced = now
		}
	}
	a.stable = s.newStable(a)
	return grant(a.stable, now)
}

// dropExpired removes the tokens that expired a day ago and more; until then
// they are told apart from unknown ones.
func (s *Server) dropExpired(now time.Time) {
	for value, t := range s.tokens {
		if now.Sub(t.expires) > 24*time.Hour {
			delete(s.tokens, value)
		}
	}
}

func (s *Server) newToken(a *app) *token {
	// Real ones have up to 512 characters and begin with a number.
	t := &token{value: "94_" + letters(136), app: a, expires: s.now().Add(tokenLife)}
	s.tokens[t.value] = t
	return t
}

func (s *Server) newStable(a *app) *token {
	t := s.newToken(a)
	t.stable = true
	return t
}

// grant answers with the time the token has left, in whole seconds.
func grant(t *token, now time.Time) answer {
	left := math.Floor(t.expires.Sub(now).Seconds())
	return answer{body: map[string]any{"access_token": t.value, "expires_in": int(left)}}
}

// checkToken returns the app an access_token belongs to.
func (s *Server) checkToken(q *request) (*app, *answer) {
	refuse := func(code int) (*app, *answer) {
		a := s.fail(code)
		return nil, &a
	}
	value := q.query.Get("access_token")
	if value == "" {
		return refuse(errTokenMissing)
	}
	t, ok := s.tokens[value]
	if !ok {
		return refuse(errBadCredential)
	}
	now := s.now()
	if !t.replaced.IsZero() && !now.Before(t.replaced) {
		return refuse(errBadCredential)
	}
	if !now.Before(t.expires) {
		return refuse(errTokenExpired)
	}
	return t.app, nil
}

// ExpireTokens makes all access tokens expire now: business calls answer 42001.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, t := range s.tokens {
		if now.Before(t.expires) {
			t.expires = now
		}
	}
}

// RevokeTokens makes all access tokens invalid now, as when another server got
// newer ones: business calls answer 40001.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
	for _, a := range s.apps {
		a.stable, a.plain = nil, nil
	}
}
