// The hook: its configuration, and what becomes of its answers.

package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	// minHookSecret is the length of the hash, below which a secret weakens its HMAC (RFC 2104).
	minHookSecret = sha256.Size

	maxHookAnswer = 64 << 10

	// maxHookClaims leaves room for the claims that are always there: a token has 8 KiB at most.
	maxHookClaims = 4 << 10

	maxHookReason = 200 // characters
)

// Hook is a backend that is asked at login, phone and refresh.
type Hook struct {
	HookConfig

	transport *http.Transport
	closed    atomic.Bool
	reserved  sync.Once // logs that claims of reserved names are dropped
	outage    outage
}

// hookEvent is the question. The phone is as WeChat gives it.
type hookEvent struct {
	Event    string `json:"event"`
	AppID    string `json:"appid"`
	OpenID   string `json:"openid"`
	UnionID  string `json:"unionid,omitempty"`
	Phone    string `json:"phone,omitempty"`
	ClientIP string `json:"client_ip"`
	New      bool   `json:"new"`
	RiskRank *int   `json:"risk_rank,omitempty"` // at login and phone, where WeChat gave one
}

// HookConfig describes a hook.
type HookConfig struct {
	URL          string
	Secret       string
	Timeout      time.Duration // of one question
	AllowOnError bool          // a hook that gives no answer keeps nobody out
}

// Check returns an error for a hook that can't be asked.
func (c HookConfig) Check() error {
	// An address may hold a password, so it is not repeated.
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("hook: write an address such as http://127.0.0.1:3000/wechat-hook")
	}
	if len(c.Secret) < minHookSecret {
		return fmt.Errorf("hook secret has %d characters, it needs %d: openssl rand -hex 32 makes one", len(c.Secret), minHookSecret)
	}
	if c.Timeout <= 0 {
		return errors.New("hook timeout must be above zero")
	}
	return nil
}

// NewHook returns a hook of a checked configuration. It outlives the site that it is made for, and
// so must its log.
func NewHook(cfg HookConfig, log *slog.Logger) *Hook {
	log = log.With("let_in", cfg.AllowOnError)
	return &Hook{HookConfig: cfg, outage: outage{what: "the hook", log: log, now: time.Now, settle: settled}, transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxHookAnswer,
	}}
}

// Close ends idle connections. Logins that are under way may still ask.
func (k *Hook) Close() error {
	k.closed.Store(true)
	k.transport.CloseIdleConnections()
	return nil
}

// degradation returns a sentence about a hook that fails, "" for one that does not.
func (k *Hook) degradation() string {
	switch {
	case k == nil || !k.outage.recent(transientLife):
		return ""
	case k.AllowOnError:
		return "the hook fails: users are let in without it, as on_error allow says"
	}
	return "the hook fails: logins and refreshes are refused; the log has the reason"
}

// timeLimit returns the time that the hook adds to an exchange.
func (k *Hook) timeLimit() time.Duration {
	if k == nil {
		return 0
	}
	return k.Timeout
}

// address is the part of the hook that sessions belong to.
func (k *Hook) address() string {
	if k == nil {
		return ""
	}
	return k.URL
}

// identity is equal for hooks that decide in the same way.
func (k *Hook) identity() any {
	if k == nil {
		return nil
	}
	return k.HookConfig
}

// siteHook is a hook as a site uses it; without a Hook it lets everybody in.
type siteHook struct {
	*Hook

	log   *slog.Logger
	count Count
	trace Trace
}

func newSiteHook(deps Deps) siteHook {
	return siteHook{deps.Hook, deps.Logger, deps.Count, deps.Trace}
}

// question counts and traces what becomes of a question.
func (h siteHook) question(ctx context.Context, event hookEvent) (hookAnswer, error) {
	began, result := time.Now(), "deny"
	answer, err := h.Hook.question(ctx, event)
	switch {
	case err != nil:
		result = "failed"
	case answer.allow:
		result = "allow"
	}
	h.count(HookRequests, event.Event, result)
	if h.trace != nil {
		h.trace(ctx, "hook", event.Event, result, began)
	}
	return answer, err
}

// askRefresh asks about a session that goes on, and returns the claims that replace the session's;
// nil leaves them, where the hook gave no answer and on_error allows that.
func (h siteHook) askRefresh(ctx context.Context, event hookEvent, session map[string]any) (json.RawMessage, error) {
	answer, err := h.asked(ctx, event)
	answer.claims = keepRisk(answer.claims, session)
	if err == nil && tooManyClaims(answer.claims) {
		err = errors.New("its claims are larger than 4 KiB")
	}
	h.note(answer, err)
	switch {
	case err != nil && h.AllowOnError: // the session goes on as it was
		return nil, nil
	case err != nil:
		return nil, errHookAway
	case !answer.allow:
		return nil, denied(answer.reason)
	case len(answer.claims) == 0:
		return json.RawMessage("null"), nil
	}
	return writeClaims(answer.claims)
}

// note has the log say when the hook begins to fail, and when it works again. An answer that says
// no in a wrong form counts, and yet something is wrong with the hook.
func (h siteHook) note(answer hookAnswer, err error) {
	if answer.flaw != "" {
		err = errors.New("it says no, in an answer that is wrong: " + answer.flaw)
	}
	if err != nil {
		h.outage.failed("ask", err)
		return
	}
	h.outage.works("ask")
}

// asked asks, and logs claims that are dropped.
func (h siteHook) asked(ctx context.Context, event hookEvent) (hookAnswer, error) {
	answer, err := h.question(ctx, event)
	if len(answer.reserved) > 0 {
		h.reserved.Do(func() {
			h.log.Warn("the hook gives claims that are the sidecar's own; they are left out", "claims", answer.reserved)
		})
	}
	return answer, err
}

// isDenial reports whether the hook said no.
func isDenial(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == errDenied.Code
}

// ask returns the claims of the session with those that the hook adds, or why it does not let the
// user in.
func (h siteHook) ask(ctx context.Context, event hookEvent, session map[string]any) (map[string]any, error) {
	if h.Hook == nil {
		return session, nil
	}
	answer, err := h.asked(ctx, event)
	claims := addClaims(session, answer.claims)
	if err == nil && tooManyClaims(claims) {
		err = errors.New("its claims are, with those it gave before, larger than 4 KiB")
	}
	h.note(answer, err)
	switch {
	case err != nil && h.AllowOnError: // with the claims as they were
		return session, nil
	case err != nil:
		return nil, errHookFailed
	case !answer.allow:
		return nil, denied(answer.reason)
	}
	return claims, nil
}

func tooManyClaims(claims map[string]any) bool {
	text, err := json.Marshal(claims)
	return err != nil || len(text) > maxHookClaims
}

// denied is the answer to a user whom the hook keeps out, with the reason it gave.
func denied(reason string) *Error {
	e := *errDenied
	if printable(reason) && reason != "" && utf8.RuneCountInString(reason) <= maxHookReason {
		e.Description = reason
	}
	return &e
}

// addClaims returns the claims of a session together with those that the hook added later.
func addClaims(session, added map[string]any) map[string]any {
	if len(added) == 0 {
		return session
	}
	all := maps.Clone(session)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, added)
	return all
}
