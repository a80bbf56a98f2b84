// The hook: its configuration, and what becomes of its answers.

package wechatauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

const (
	defaultHookTimeout = 2 * time.Second

	// minHookSecret is the length of the hash, below which a secret weakens its HMAC (RFC 2104).
	minHookSecret = sha256.Size

	maxHookAnswer = 64 << 10

	// maxHookClaims leaves room for the claims that are always there: a token has 8 KiB at most.
	maxHookClaims = 4 << 10

	maxHookReason = 200 // characters
)

// hook is a backend at work that is asked at login and phone.
type hook struct {
	url          string
	secret       []byte
	timeout      time.Duration
	allowOnError bool
	transport    *http.Transport
	ended        atomic.Bool
	reserved     sync.Once // logs that claims of reserved names are dropped
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
}

func (h *Handler) provisionHook(repl *caddy.Replacer) (err error) {
	if h.Hook == nil {
		return nil
	}
	made := &hook{timeout: time.Duration(orDefault(h.Hook.Timeout, caddy.Duration(defaultHookTimeout)))}
	if made.url, err = resolveURL(repl, "hook", h.Hook.URL); err != nil {
		return err
	}
	// An address may hold a password, so it is not repeated.
	if u, err := url.Parse(made.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("hook: write an address such as http://127.0.0.1:3000/wechat-hook")
	}
	if h.Hook.Secret == "" {
		return errors.New("hook has no secret: write secret {env.HOOK_SECRET}")
	}
	secret, err := resolve(repl, "hook secret", h.Hook.Secret)
	if err != nil {
		return err
	}
	if len(secret) < minHookSecret {
		return fmt.Errorf("hook secret has %d characters, it needs %d: openssl rand -hex 32 makes one", len(secret), minHookSecret)
	}
	if made.timeout <= 0 {
		return errors.New("hook timeout must be above zero")
	}
	switch orDefault(h.Hook.OnError, "deny") {
	case "deny":
	case "allow":
		made.allowOnError = true
	default:
		return fmt.Errorf("hook on_error %s: write deny or allow", h.Hook.OnError)
	}
	made.secret = []byte(secret)
	dependsOn := []any{made.url, secret, made.timeout, made.allowOnError}
	h.hook, err = take(h, "hook", dependsOn, func() (*hook, error) {
		made.transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHookAnswer,
		}
		return made, nil
	})
	return err
}

// Destruct implements caddy.Destructor. Logins that are under way may still ask.
func (k *hook) Destruct() error {
	k.ended.Store(true)
	k.transport.CloseIdleConnections()
	return nil
}

// hookTimeout is how much longer an exchange may take because of the hook.
func (h *Handler) hookTimeout() time.Duration {
	if h.hook == nil {
		return 0
	}
	return h.hook.timeout
}

// askRefresh asks about a session that goes on, and returns the claims that replace the session's; nil leaves
// them, where the hook gave no answer and on_error allows that.
func (h *Handler) askRefresh(ctx context.Context, event hookEvent) (json.RawMessage, error) {
	answer, err := h.hook.ask(ctx, event)
	if err == nil && tooManyClaims(answer.claims) {
		err = errors.New("its claims are larger than 4 KiB")
	}
	switch {
	case err != nil && h.hook.allowOnError:
		h.logger.Warn("the hook failed, the session goes on as it was", zap.Error(err))
		return nil, nil
	case err != nil:
		h.logger.Error("the hook failed, the session is not refreshed", zap.Error(err))
		return nil, errHookAway
	case !answer.allow:
		return nil, denied(answer.reason)
	case len(answer.claims) == 0:
		return json.RawMessage("null"), nil
	}
	return writeClaims(answer.claims)
}

// isDenial reports whether the hook said no.
func isDenial(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.Code == errDenied.Code
}

// ask returns the claims of the session with those that the hook adds, or why it does not let the user in.
func (h *Handler) ask(ctx context.Context, event hookEvent, session map[string]any) (map[string]any, error) {
	if h.hook == nil {
		return session, nil
	}
	answer, err := h.hook.ask(ctx, event)
	if answer.flaw != "" {
		h.logger.Warn("the hook says no, in an answer that is wrong", zap.String("event", event.Event), zap.String("flaw", answer.flaw))
	}
	if len(answer.reserved) > 0 {
		h.hook.reserved.Do(func() {
			h.logger.Warn("the hook gives claims that are the sidecar's own; they are left out", zap.Strings("claims", answer.reserved))
		})
	}
	claims := addClaims(session, answer.claims)
	if err == nil && tooManyClaims(claims) {
		err = errors.New("its claims are, with those it gave before, larger than 4 KiB")
	}
	switch {
	case err != nil && h.hook.allowOnError:
		h.logger.Warn("the hook failed, the user is let in", zap.String("event", event.Event), zap.Error(err))
		return session, nil
	case err != nil:
		h.logger.Error("the hook failed, the user is kept out", zap.String("event", event.Event), zap.Error(err))
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
func denied(reason string) *apiError {
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
