package wechatauth

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// phoneReplay is how long a session can ask again for the answer to a phone code: the user's tap was paid for.
const phoneReplay = 60 * time.Second

// phone exchanges the code of the phone button for the number, and answers with a token that has it.
func (h *Handler) phone(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.authenticate(r)
	if err != nil {
		return err
	}
	code, err := readPhone(w, r)
	if err != nil {
		return err
	}
	a := h.apps[claims.AppID]
	answer, err := fly(r.Context(), a, digest("phone", h.site, claims.SID, code), func(ctx context.Context) (json.RawMessage, error) {
		return h.spendPhoneCode(ctx, a, claims, code)
	})
	if err != nil {
		return err
	}
	writeAnswer(w, answer)
	return nil
}

func readPhone(w http.ResponseWriter, r *http.Request) (code string, err error) {
	f, err := readFields(w, r)
	if err != nil {
		return "", err
	}
	text, err := f.texts("code", "cloudID", "encryptedData", "iv")
	if err != nil {
		return "", err
	}
	code = text["code"]
	if code == "" && (text["encryptedData"] != "" || text["iv"] != "") {
		return "", errEncryptedOff
	}
	return code, checkCode("code", code)
}

// spendPhoneCode answers from memory if this session spent the code before, and asks WeChat otherwise.
func (h *Handler) spendPhoneCode(ctx context.Context, a *app, claims *jwt.Claims, code string) (json.RawMessage, error) {
	key := digest("phone", h.site, claims.SID, code)
	if answer, ok := h.users.Recall(key, h.now()); ok {
		return answer, nil
	}
	user, err := h.exchangePhone(ctx, a, claims.OpenID, code)
	if err != nil {
		return nil, err
	}
	body, err := h.tokenAnswer(user, claims.SID, false)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return answer, h.users.Note(key, answer, h.now().Add(phoneReplay))
}

// exchangePhone asks WeChat for the number behind a phone code of this user and remembers it. The openid
// is always the verified one: without it a client could attach somebody else's code to its session.
func (h *Handler) exchangePhone(ctx context.Context, a *app, openID, code string) (session.User, error) {
	if err := h.phoneLimit.allow(a.id+"/"+openID, h.now()); err != nil {
		return session.User{}, err
	}
	phone, err := a.client.PhoneNumber(ctx, code, openID)
	a.heed(err, h.logger)
	if err != nil {
		return session.User{}, err
	}
	return h.users.UpdateUser(a.id, openID, func(u *session.User, isNew bool) {
		if isNew {
			u.FirstSeen = h.now()
		}
		u.Phone, u.PhoneNumber, u.PhoneVerified = phone.Number, phone.E164(), h.now()
	})
}
