// Answers that carry tokens.

package sidecar

import (
	"context"
	"encoding/json"
	"net/http"
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
	PhoneError       *Error     `json:"phone_error,omitempty"`

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

// answers makes the answers of a site.
type answers struct {
	tokens *tokens
	base   string
}

// user is the answer about a user.
func (a answers) user(ctx context.Context, u session.User, isNew bool) userAnswer {
	return userAnswer{
		AppID:       u.AppID,
		OpenID:      u.OpenID,
		UnionID:     u.UnionID,
		Phone:       u.Phone,
		PhoneNumber: u.PhoneNumber,
		Nickname:    u.Nickname,
		Avatar:      a.avatarPath(ctx, u.Avatar),
		New:         isNew,
	}
}

// token makes an access token. The extra claims are those of the session, by the hook.
func (a answers) token(ctx context.Context, u session.User, sid session.SID, extra map[string]any, isNew bool) (*tokenAnswer, error) {
	token, claims, err := a.tokens.issue(jwt.Claims{
		AppID:               u.AppID,
		OpenID:              u.OpenID,
		UnionID:             u.UnionID,
		SID:                 string(sid),
		Phone:               u.Phone,
		PhoneNumber:         u.PhoneNumber,
		PhoneNumberVerified: !u.PhoneVerified.IsZero(),
		Nickname:            u.Nickname,
		Picture:             a.avatarPath(ctx, u.Avatar),
		Extra:               extra,
	})
	if err != nil {
		return nil, err
	}
	return &tokenAnswer{
		TokenType:   "Bearer",
		AccessToken: token,
		ExpiresIn:   claims.ExpiresAt - claims.IssuedAt,
		User:        a.user(ctx, u, isNew),
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
