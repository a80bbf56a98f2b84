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
	kept, err := store.Replay(ctx, replay.key, h.now())
	if err != nil {
		return nil, err
	}
	if answer, ok := replay.open(kept, h.now()); ok {
		return answer, nil
	}
	// A tap must not be spent for a session that has ended.
	id, sid := userOf(req.claims), session.SID(req.claims.SID)
	account, err := store.Account(ctx, id.Tag())
	if err != nil {
		return nil, err
	}
	known := account.Session(sid)
	if known == nil || known.Ended != session.Unknown {
		return nil, session.ErrEnded
	}
	claims, err := readClaims(known.Claims)
	if err != nil {
		return nil, err
	}
	user := account.User
	exchange := phoneExchange{req.app, store, user, sid, req.proof}
	update := session.Update{SID: sid, User: session.User{UserID: id}}
	if err := h.exchangePhone(ctx, exchange, &update.User); err != nil {
		return nil, err
	}
	user.Merge(update.User)
	extra, err := h.ask(ctx, hookEvent{
		Event: "phone", AppID: user.AppID, OpenID: user.OpenID, UnionID: user.UnionID, Phone: user.Phone, ClientIP: req.clientIP,
	}, claims)
	if err != nil {
		return nil, h.keepProven(ctx, exchange, update.User, err)
	}
	if update.Claims, err = writeClaims(extra); err != nil {
		return nil, err
	}
	answer, err := h.tokenAnswer(ctx, user, sid, extra, false)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	update.Now, update.TokensUntil = h.now(), answer.expires
	until := update.Now.Add(phoneReplay)
	if update.Replay, err = replay.put(body, until, until); err != nil {
		return nil, err
	}
	_, err = store.Update(ctx, update)
	if errors.Is(err, session.ErrFull) {
		// The tap was paid for: the phone matters more than being able to repeat the answer.
		update.Replay = session.Replay{}
		_, err = store.Update(ctx, update)
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

// exchangePhone adds the number to the news of the user. The openid is always the verified one:
// without it a client could attach somebody else's code to its session.
func (h *Handler) exchangePhone(ctx context.Context, x phoneExchange, news *session.User) error {
	if proven, err := h.recallProven(ctx, x); err != nil || proven != nil {
		if err == nil {
			news.Merge(*proven)
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
	news.Phone, news.PhoneNumber, news.PhoneVerified = phone.Number, phone.E164(), h.now()
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
func (h *Handler) keepProven(ctx context.Context, x phoneExchange, news session.User, reason error) error {
	if !errors.Is(reason, errHookFailed) || x.proof == (phoneProof{}) || news.Phone == "" {
		return reason
	}
	body, err := json.Marshal(session.User{
		UserID: news.UserID, Phone: news.Phone, PhoneNumber: news.PhoneNumber, PhoneVerified: news.PhoneVerified,
	})
	if err != nil {
		return err
	}
	now := h.now()
	kept, err := x.proven().put(body, now.Add(provenLife), now.Add(provenLife))
	if err != nil {
		return err
	}
	if err := x.store.PutReplay(ctx, kept, now); err != nil {
		return err
	}
	return reason
}

// recallProven returns what keepProven kept, nil if there is nothing.
func (h *Handler) recallProven(ctx context.Context, x phoneExchange) (*session.User, error) {
	if h.hook == nil {
		return nil, nil
	}
	proven := x.proven()
	kept, err := x.store.Replay(ctx, proven.key, h.now())
	if err != nil {
		return nil, err
	}
	body, ok := proven.open(kept, h.now())
	if !ok {
		return nil, nil
	}
	user := new(session.User)
	return user, json.Unmarshal(body, user)
}

func (x phoneExchange) proven() replay {
	return newReplay(append([]string{"proven", x.user.AppID, x.user.OpenID}, x.proof.parts()...)...)
}
