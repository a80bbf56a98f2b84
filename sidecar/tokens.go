// The access tokens of a site.

package sidecar

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// TokenConfig describes access tokens.
type TokenConfig struct {
	Algorithm string
	Issuer    string
	Audience  []string      // none: the appid of the user
	TTL       time.Duration // of an access token
	SealPhone bool          // so that only the sidecar reads it
}

// Check returns an error for tokens that can't be made.
func (c TokenConfig) Check() error {
	if err := checkAlgorithm(c.Algorithm); err != nil {
		return fmt.Errorf("token %w", err)
	}
	if c.TTL < time.Second || c.TTL%time.Second != 0 {
		return errors.New("token ttl must be one or more whole seconds, such as 1h")
	}
	return nil
}

// tokens issues and verifies access tokens, and knows which sessions have ended.
type tokens struct {
	issuer   jwt.Issuer
	verifier jwt.Verifier
	keys     Keys
	verified verifiedTokens
	accepted *Verifications
	store    *StoreHandle
	mark     session.Site // of the sessions made here
	stale    time.Duration
	now      func() time.Time
}

func newTokens(cfg Config, deps Deps) *tokens {
	c := cfg.Token
	deps.Store.raiseTTL(c.TTL)
	t := &tokens{
		issuer: jwt.Issuer{Name: c.Issuer, Audience: c.Audience, TTL: c.TTL, SealPhone: c.SealPhone, Now: deps.Now},
		verifier: jwt.Verifier{
			Issuer: c.Issuer, Audience: c.Audience, AppIDs: deps.Apps.IDs(), TTL: c.TTL, Now: deps.Now,
		},
		keys: deps.Keys, accepted: deps.Verifications, store: deps.Store, stale: cfg.Stale, now: deps.Now,
		mark: session.NewSite(append([]string{c.Issuer, deps.Hook.address(), deps.Store.instance}, c.Audience...)...),
	}
	t.verified = verifiedTokens{cache: deps.Verified, issuer: c.Issuer, site: t.digest("verified", t.mark)}
	return t
}

// digest names something that depends on all that a verification depends on, except time and the
// keys' presence.
func (t *tokens) digest(kind string, more ...any) [32]byte {
	v := &t.verifier
	return digestOf(kind, append([]any{v.Issuer, v.Audience, v.AppIDs, v.TTL, t.store.id, t.keys.source()}, more...))
}

// ready returns an error while there is no key to sign with. What is spent for a token must not be
// spent then.
func (t *tokens) ready() error {
	_, err := t.keys.get()
	return err
}

// until returns when a token that is made from now on has expired, however long the store takes.
func (t *tokens) until(now time.Time) time.Time { return now.Add(t.issuer.TTL + revocationSlack) }

// authenticate verifies an access token and that its session goes on.
func (t *tokens) authenticate(token string) (*jwt.Claims, error) {
	claims, err := t.verify(token)
	if err != nil {
		return nil, err
	}
	revoked, err := t.revoked(claims)
	if err != nil {
		return nil, err
	}
	if revoked {
		return nil, errSessionRevoked
	}
	return claims, nil
}

// revoked reports whether the session of a token has ended.
func (t *tokens) revoked(c *jwt.Claims) (bool, error) {
	return t.store.revoked(session.SID(c.SID), t.stale)
}

// issue makes an access token, with the key that signs now.
func (t *tokens) issue(c jwt.Claims) (string, jwt.Claims, error) {
	ring, err := t.keys.get()
	if err != nil {
		return "", jwt.Claims{}, err
	}
	issuer := t.issuer
	issuer.Ring = ring
	return issuer.Issue(c)
}

// verify verifies an access token; it does not look whether its session has ended.
func (t *tokens) verify(token string) (*jwt.Claims, error) {
	ring, err := t.keys.get()
	if err != nil {
		return nil, err
	}
	key := t.verified.key(token)
	if claims := t.verified.recall(key); claims != nil && t.stillGood(claims, ring) {
		t.accepted.Remembered.Add(1)
		return claims, nil
	}
	verifier := t.verifier
	verifier.Ring = ring
	claims, err := verifier.Verify(token)
	if err != nil {
		return nil, err
	}
	if t.isForeign(session.SID(claims.SID)) {
		return nil, jwt.ErrInvalid
	}
	t.accepted.Verified.Add(1)
	t.verified.remember(key, claims)
	return claims, nil
}

// stillGood tells whether a token that was verified would be verified now. What it depends on
// besides is part of what it is remembered under.
func (t *tokens) stillGood(c *jwt.Claims, ring *jwt.Ring) bool {
	now := t.now()
	return c.Begun(now) && now.Unix() < c.ExpiresAt && ring.Has(c.KeyID)
}

// isForeign reports whether a session was made by another site, or by a store that is no more. A
// name that is none of ours is that of a token somebody else made with a key of this site.
func (t *tokens) isForeign(sid session.SID) bool {
	_, site, ok := sid.Parse()
	return ok && site != t.mark
}
