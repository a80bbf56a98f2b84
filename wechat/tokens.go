// The sources of access tokens, and the keeper that several clients can share.

package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

const (
	// maxTokenLife is far above WeChat's 7200 seconds. More is not a life but a mistake.
	maxTokenLife = 24 * time.Hour

	// maxTokenLength is four times the 512 characters that WeChat asks to make room for.
	maxTokenLength = 2048
)

// tokenPattern is visible ASCII.
var tokenPattern = regexp.MustCompile(`^[!-~]+$`)

// Tokens keeps the access token of one mini program: fetched when it is first needed, renewed
// before it ends, and the same for all who ask. A [Client] makes its own unless its [Config] brings
// one; clients that differ in their limits share one so.
//
// Tokens is safe for concurrent use. Printing or logging it shows none of its fields.
type Tokens struct {
	redacted
	*tokenCache
	caller *caller
	secret string
	server bool // asks a central token server
}

// NewTokens checks cfg and returns a keeper for the access token of its mini program. It makes no
// network call. MaxInFlight, Tokens and Signing play no part: a token call takes no place among the
// calls in flight, and WeChat does not take it signed.
func NewTokens(cfg Config) (*Tokens, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg.Signing = nil
	caller, err := newCaller(cfg)
	if err != nil {
		return nil, err
	}
	return newTokens(cfg, caller)
}

// newTokens shares the caller of a client, apart from the hosts if there is a central token server.
func newTokens(cfg Config, shared *caller) (*Tokens, error) {
	t := &Tokens{caller: shared, secret: cfg.Secret}
	if cfg.TokenURL != "" {
		b, err := parseTokenURL(cfg.TokenURL)
		if err != nil {
			return nil, err
		}
		to := *shared
		to.bases = []base{b}
		t.caller, t.server = &to, true
	}
	t.tokenCache = newTokenCache(t.fetch, cfg.Now, cfg.Logger)
	return t, nil
}

// Close ends a fetch that is under way, waits for it, and closes idle connections. Clients that
// still use the keeper fail with [ClassUnavailable] when they need a new token, so close it after
// the last of them. Closing twice is harmless.
func (t *Tokens) Close() {
	t.close()
	t.caller.closeIdle()
}

// Check asks for an access token and keeps nothing of it: an operator sees whether that works.
// WeChat hands out the token that it gave before as long as that is good, so others go on with it.
func (t *Tokens) Check(ctx context.Context) error {
	_, err := t.fetch(ctx)
	return err
}

// fetch asks for a token in the normal mode: as long as a token has more than 5 minutes, everybody
// who asks gets the same one, so several servers need no common store. force_refresh is never used:
// it kills the token of the others at once, and works 20 times a day.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken.html
func (t *Tokens) fetch(ctx context.Context) (grant, error) {
	if t.server {
		return t.ask(ctx, request{op: OpTokenServer, method: http.MethodGet})
	}
	body, err := json.Marshal(map[string]string{"grant_type": "client_credential", "appid": t.caller.appID, "secret": t.secret})
	if err != nil {
		return grant{}, unavailable(OpToken, "the request could not be made")
	}
	return t.ask(ctx, request{op: OpToken, method: http.MethodPost, path: "/cgi-bin/stable_token", body: body})
}

func (t *Tokens) ask(ctx context.Context, r request) (grant, error) {
	a, err := t.caller.call(ctx, r)
	if err != nil {
		return grant{}, err
	}
	value, ok := a.text("access_token")
	if !ok || len(value) > maxTokenLength || !tokenPattern.MatchString(value) {
		return grant{}, badAnswer(r.op, "access_token is missing or malformed")
	}
	seconds, ok := a.integer("expires_in")
	if !ok || seconds <= 0 || seconds > int64(maxTokenLife/time.Second) {
		return grant{}, badAnswer(r.op, "expires_in is missing or absurd")
	}
	return grant{value: value, life: time.Duration(seconds) * time.Second}, nil
}

// serverFailure makes the error for an HTTP status that WeChat never answers, but token servers do.
// An errcode says more.
func serverFailure(status int, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != 0 {
		return e
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return unavailable(OpTokenServer, fmt.Sprintf("the token server answers with HTTP status %d", status))
	}
	return &Error{
		Op: OpTokenServer, Class: ClassConfig,
		Reason: fmt.Sprintf("the token server refuses with HTTP status %d; is its URL right, and the key in it?", status),
	}
}
