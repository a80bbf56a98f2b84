package wechatauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// tokenAnswer is the answer to login, refresh, phone and profile. Times are in seconds.
type tokenAnswer struct {
	TokenType        string     `json:"token_type"`
	AccessToken      string     `json:"access_token"`
	ExpiresIn        int64      `json:"expires_in"`
	RefreshToken     string     `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64      `json:"refresh_expires_in,omitempty"`
	User             userAnswer `json:"user"`
	PhoneError       *apiError  `json:"phone_error,omitempty"`

	expires time.Time // of the access token
}

// refreshable adds the refresh token.
func (a *tokenAnswer) refreshable(t session.RefreshToken, lives time.Duration) {
	a.RefreshToken, a.RefreshExpiresIn = t.Text(), int64(lives/time.Second)
}

// userAnswer is the user as the client sees it.
type userAnswer struct {
	AppID       string `json:"appid"`
	OpenID      string `json:"openid"`
	UnionID     string `json:"unionid,omitempty"`
	Phone       string `json:"phone,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	Nickname    string `json:"nickname,omitempty"`
	Avatar      string `json:"avatar,omitempty"` // a path of this site
	New         bool   `json:"new"`
}

func (h *Handler) userAnswer(ctx context.Context, u session.User, isNew bool) userAnswer {
	return userAnswer{
		AppID:       u.AppID,
		OpenID:      u.OpenID,
		UnionID:     u.UnionID,
		Phone:       u.Phone,
		PhoneNumber: u.PhoneNumber,
		Nickname:    u.Nickname,
		Avatar:      h.avatarPath(ctx, u.Avatar),
		New:         isNew,
	}
}

// tokenAnswer makes an access token. The extra claims are those of the session, by the hook.
func (h *Handler) tokenAnswer(ctx context.Context, u session.User, sid session.SID, extra map[string]any, isNew bool) (*tokenAnswer, error) {
	token, claims, err := h.issue(jwt.Claims{
		AppID:               u.AppID,
		OpenID:              u.OpenID,
		UnionID:             u.UnionID,
		SID:                 string(sid),
		Phone:               u.Phone,
		PhoneNumber:         u.PhoneNumber,
		PhoneNumberVerified: u.Phone != "",
		Nickname:            u.Nickname,
		Picture:             h.avatarPath(ctx, u.Avatar),
		Extra:               extra,
	})
	if err != nil {
		return nil, err
	}
	return &tokenAnswer{
		TokenType:   "Bearer",
		AccessToken: token,
		ExpiresIn:   claims.ExpiresAt - claims.IssuedAt,
		User:        h.userAnswer(ctx, u, isNew),
		expires:     time.Unix(claims.ExpiresAt, 0),
	}, nil
}

func writeAnswer(w http.ResponseWriter, answer *tokenAnswer) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	writeAnswerBytes(w, body)
	return nil
}

func writeAnswerBytes(w http.ResponseWriter, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	writeBytes(w, http.StatusOK, body)
}

// fly runs an exchange with WeChat that all requests with the same key share. It does not end with the
// request that started it, only with the app's time limit.
func fly[T any](ctx context.Context, h *Handler, a *app, key string, exchange func(context.Context) (T, error)) (T, error) {
	var none T
	flight := a.flights.DoChan(key, func() (answer any, err error) {
		// The exchange has a goroutine of its own, where a panic would end the process.
		defer func() {
			if p := recover(); p != nil {
				answer, err = none, because(errInternal, asError(p))
			}
		}()
		for _, shared := range []*lease{&h.state.lease, &a.lease} {
			leave, err := shared.enter()
			if err != nil {
				return none, err
			}
			defer leave()
		}
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightCalls*a.timeout+h.hookTimeout())
		defer cancel()
		return exchange(detached)
	})
	select {
	case result := <-flight:
		return result.Val.(T), result.Err
	case <-ctx.Done():
		return none, because(errUnavailable, ctx.Err()) // nobody reads it
	}
}

// asError is a panic for the log. The runtime's own texts hold no data; others may quote what the program
// worked on.
func asError(p any) error {
	what := fmt.Sprintf("%T", p)
	if text, ok := p.(runtime.Error); ok {
		what = text.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
