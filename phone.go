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

// phoneReplay is how long a session can ask again for the answer to a phone tap: the user's tap was paid for.
const phoneReplay = 60 * time.Second

// phoneRequest is a request of POST phone.
type phoneRequest struct {
	app      *app
	claims   *jwt.Claims
	clientIP string
	proof    phoneProof
}

// phoneProof is what the phone button gave: one of a code, a cloudID, and encrypted data.
type phoneProof struct {
	code      string
	cloudID   string
	encrypted encrypted
}

// parts tell one proof from all others.
func (p phoneProof) parts() []string {
	return []string{p.code, p.cloudID, p.encrypted.data, p.encrypted.iv}
}

// phone exchanges what the phone button gave for the number, and answers with a token that has it.
func (h *Handler) phone(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.authenticate(r)
	if err != nil {
		return err
	}
	proof, err := h.readPhone(w, r)
	if err != nil {
		return err
	}
	req := phoneRequest{h.apps[claims.AppID], claims, clientIP(r), proof}
	name := append([]string{"phone", h.site, claims.SID}, proof.parts()...)
	answer, err := fly(r.Context(), h, req.app, digest(name...), func(ctx context.Context) ([]byte, error) {
		return h.spendPhone(ctx, req)
	})
	if err != nil {
		return err
	}
	writeAnswerBytes(w, answer)
	return nil
}

func (h *Handler) readPhone(w http.ResponseWriter, r *http.Request) (p phoneProof, err error) {
	f, err := readFields(w, r)
	if err != nil {
		return p, err
	}
	text, err := f.texts("code", "cloudID", "encryptedData", "iv")
	if err != nil {
		return p, err
	}
	// A client may send all that the button gave it. The code is the newest way and the safest.
	switch {
	case text["code"] != "":
		p.code = text["code"]
	case text["cloudID"] != "":
		p.cloudID = text["cloudID"]
	default:
		p.encrypted = encrypted{text["encryptedData"], text["iv"]}
	}
	return p, h.checkProof(p)
}

// checkProof keeps anything that can't be a proof away from WeChat.
func (h *Handler) checkProof(p phoneProof) error {
	switch {
	case p.cloudID != "":
		return checkCloudID(p.cloudID)
	case p.code != "" || p.encrypted == (encrypted{}):
		return checkCode("code", p.code)
	case !h.EncryptedData:
		return errEncryptedOff
	case p.encrypted.data == "" || p.encrypted.iv == "":
		return invalidRequest("encryptedData and iv go together")
	case !wechat.ValidEncrypted(p.encrypted.data, p.encrypted.iv):
		return errNotEncrypted
	}
	return nil
}

// spendPhone answers from the store if this session spent the proof before, and asks WeChat otherwise.
func (h *Handler) spendPhone(ctx context.Context, req phoneRequest) ([]byte, error) {
	store, err := h.state.opened()
	if err != nil {
		return nil, err
	}
	replay := newReplay(append([]string{"phone", h.site, req.claims.SID}, req.proof.parts()...)...)
	note, err := store.Recall(ctx, replay.key, h.now())
	if err != nil {
		return nil, err
	}
	if answer, ok := replay.open(note, h.now()); ok {
		return answer, nil
	}
	lesson := session.Lesson{
		SID:  session.SID(req.claims.SID),
		User: session.User{UserID: session.UserID{AppID: req.claims.AppID, OpenID: req.claims.OpenID}, FirstSeen: h.now()},
	}
	// A tap must not be spent for a session that has ended.
	known, err := store.Learn(ctx, lesson)
	if err != nil {
		return nil, err
	}
	claims, err := readClaims(known.Claims)
	if err != nil {
		return nil, err
	}
	user := known.User
	exchange := phoneExchange{req.app, store, user, lesson.SID, req.proof}
	if err := h.exchangePhone(ctx, exchange, &lesson.User); err != nil {
		return nil, err
	}
	user.Learn(lesson.User)
	extra, err := h.ask(ctx, hookEvent{
		Event: "phone", AppID: user.AppID, OpenID: user.OpenID, UnionID: user.UnionID, Phone: user.Phone, ClientIP: req.clientIP,
	}, claims)
	if err != nil {
		return nil, h.keepProven(ctx, exchange, lesson.User, err)
	}
	if lesson.Claims, err = writeClaims(extra); err != nil {
		return nil, err
	}
	answer, err := h.tokenAnswer(ctx, user, lesson.SID, extra, false)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	until := h.now().Add(phoneReplay)
	if lesson.Note, err = replay.note(body, until, until); err != nil {
		return nil, err
	}
	_, err = store.Learn(ctx, lesson)
	if errors.Is(err, session.ErrFull) {
		// The tap was paid for: the phone matters more than being able to repeat the answer.
		lesson.Note = session.Note{}
		_, err = store.Learn(ctx, lesson)
	}
	return body, err
}

// phoneExchange is a user who proves a phone. At a login there is no session yet.
type phoneExchange struct {
	app   *app
	store session.Store
	user  session.User
	sid   session.SID
	proof phoneProof
}

// exchangePhone adds the number to what is learned about the user. The openid is always the verified one:
// without it a client could attach somebody else's code to its session.
func (h *Handler) exchangePhone(ctx context.Context, x phoneExchange, learned *session.User) error {
	if proven, err := h.recallProven(ctx, x); err != nil || proven != nil {
		if err == nil {
			learned.Learn(*proven)
		}
		return err
	}
	if err := h.phoneLimit.allow(x.app.id+"/"+x.user.OpenID, h.now()); err != nil {
		return err
	}
	phone, err := h.provenPhone(ctx, x)
	if err != nil {
		return err
	}
	learned.Phone, learned.PhoneNumber, learned.PhoneVerified = phone.Number, phone.E164(), h.now()
	return nil
}

func (h *Handler) provenPhone(ctx context.Context, x phoneExchange) (phone wechat.Phone, err error) {
	switch client := x.app.client; {
	case x.proof.code != "":
		phone, err = client.PhoneNumber(ctx, x.proof.code, x.user.OpenID)
		x.app.heed(wechat.OpPhoneNumber, err, h.logger)
	case x.proof.cloudID != "":
		phone, err = client.PhoneFromCloudID(ctx, x.proof.cloudID, x.user.OpenID)
		x.app.heed(wechat.OpOpenData, err, h.logger)
	default:
		phone, err = h.decryptPhone(ctx, x)
	}
	return phone, err
}

// provenLife is how long a number is kept for a hook that failed: as long as WeChat would take the code.
const provenLife = 5 * time.Minute

// keepProven keeps the number of a tap when the hook could not say whether the user may have it. The tap is
// spent and was paid for; when the client repeats the request, only the hook is asked again.
func (h *Handler) keepProven(ctx context.Context, x phoneExchange, learned session.User, reason error) error {
	if !errors.Is(reason, errHookFailed) || x.proof == (phoneProof{}) || learned.Phone == "" {
		return reason
	}
	body, err := json.Marshal(session.User{
		UserID: learned.UserID, Phone: learned.Phone, PhoneNumber: learned.PhoneNumber, PhoneVerified: learned.PhoneVerified,
	})
	if err != nil {
		return err
	}
	until := h.now().Add(provenLife)
	note, err := x.proven().note(body, until, until)
	if err != nil {
		return err
	}
	if _, err := x.store.Learn(ctx, session.Lesson{SID: x.sid, User: session.User{UserID: learned.UserID}, Note: note}); err != nil {
		return err
	}
	return reason
}

// recallProven returns what keepProven kept, nil if there is nothing.
func (h *Handler) recallProven(ctx context.Context, x phoneExchange) (*session.User, error) {
	if h.hook == nil {
		return nil, nil
	}
	kept := x.proven()
	note, err := x.store.Recall(ctx, kept.key, h.now())
	if err != nil {
		return nil, err
	}
	body, ok := kept.open(note, h.now())
	if !ok {
		return nil, nil
	}
	user := new(session.User)
	return user, json.Unmarshal(body, user)
}

func (x phoneExchange) proven() replay {
	return newReplay(append([]string{"proven", x.user.AppID, x.user.OpenID}, x.proof.parts()...)...)
}
