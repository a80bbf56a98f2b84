package wechatauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
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
	answer, err := fly(r.Context(), h, a, digest("phone", h.site, claims.SID, code), func(ctx context.Context) ([]byte, error) {
		return h.spendPhoneCode(ctx, a, claims, code)
	})
	if err != nil {
		return err
	}
	writeAnswerBytes(w, answer)
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

// spendPhoneCode answers from the store if this session spent the code before, and asks WeChat otherwise.
func (h *Handler) spendPhoneCode(ctx context.Context, a *app, claims *jwt.Claims, code string) ([]byte, error) {
	store, err := h.state.opened()
	if err != nil {
		return nil, err
	}
	replay := newReplay("phone", h.site, claims.SID, code)
	note, err := store.Recall(ctx, replay.key, h.now())
	if err != nil {
		return nil, err
	}
	if answer, ok := replay.open(note, h.now()); ok {
		return answer, nil
	}
	user, err := store.User(ctx, session.UserID{AppID: claims.AppID, OpenID: claims.OpenID})
	if err != nil {
		return nil, err
	}
	learned := session.User{UserID: user.UserID, FirstSeen: h.now()}
	if err := h.exchangePhone(ctx, a, code, &learned); err != nil {
		return nil, err
	}
	user.Learn(learned)
	answer, err := h.tokenAnswer(user, session.SID(claims.SID), false)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	until := h.now().Add(phoneReplay)
	repeated, err := replay.note(body, until, until)
	if err != nil {
		return nil, err
	}
	_, err = store.Learn(ctx, session.Lesson{User: learned, Note: repeated})
	if errors.Is(err, session.ErrFull) {
		// The tap was paid for: the phone matters more than being able to repeat the answer.
		_, err = store.Learn(ctx, session.Lesson{User: learned})
	}
	return body, err
}

// exchangePhone asks WeChat for the number behind a phone code of this user. The openid is always the
// verified one: without it a client could attach somebody else's code to its session.
func (h *Handler) exchangePhone(ctx context.Context, a *app, code string, learned *session.User) error {
	if err := h.phoneLimit.allow(a.id+"/"+learned.OpenID, h.now()); err != nil {
		return err
	}
	phone, err := a.client.PhoneNumber(ctx, code, learned.OpenID)
	a.heed(wechat.OpPhoneNumber, err, h.logger)
	if err != nil {
		return err
	}
	learned.Phone, learned.PhoneNumber, learned.PhoneVerified = phone.Number, phone.E164(), h.now()
	return nil
}
