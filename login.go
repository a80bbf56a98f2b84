package wechatauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// loginReplay is how long a client that lost the answer can ask for it again with its nonce.
	loginReplay = 30 * time.Second

	// codeLife is how long a spent code is remembered; WeChat forgets it after five minutes.
	codeLife = 10 * time.Minute
)

// loginRequest is the body of POST login.
type loginRequest struct {
	app       *app
	clientIP  string
	code      string
	nonce     string
	phoneCode string
	encrypted encrypted
}

// login exchanges a wx.login code for tokens. Requests with the same code at the same moment share one
// exchange; it goes on when its client leaves, since the code is spent and the client will ask again.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) error {
	req, err := h.readLogin(w, r)
	if err != nil {
		return err
	}
	flown, err := fly(r.Context(), h, req.app, digest("login", h.site, req.code), func(ctx context.Context) (loginFlight, error) {
		answer, err := h.spendCode(ctx, req)
		return loginFlight{req.client(), answer}, err
	})
	if err != nil {
		return err
	}
	if flown.client != req.client() {
		return errCodeUsed
	}
	writeAnswerBytes(w, flown.answer)
	return nil
}

// loginFlight is the answer to a login, and the client it is for.
type loginFlight struct {
	client string
	answer []byte
}

func (h *Handler) readLogin(w http.ResponseWriter, r *http.Request) (req loginRequest, err error) {
	f, err := readFields(w, r)
	if err != nil {
		return req, err
	}
	text, err := f.texts("code", "appid", "nonce", "phone_code", "encryptedData", "iv")
	if err != nil {
		return req, err
	}
	req.code, req.nonce, req.phoneCode = text["code"], text["nonce"], text["phone_code"]
	req.encrypted, req.clientIP = encrypted{text["encryptedData"], text["iv"]}, clientIP(r)
	if err := checkCode("code", req.code); err != nil {
		return req, err
	}
	if req.phoneCode != "" {
		if err := checkCode("phone_code", req.phoneCode); err != nil {
			return req, err
		}
	}
	if len(req.nonce) > maxNonce {
		return req, invalidRequest("nonce is too long")
	}
	req.app, err = h.appOf(text["appid"], r)
	return req, err
}

// client identifies the sender of a login request by what it sent beside the code.
func (req loginRequest) client() string {
	return digest(req.nonce, req.phoneCode, req.encrypted.data, req.encrypted.iv)
}

func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// spendCode answers from the store if the code was spent here before, and asks WeChat otherwise.
func (h *Handler) spendCode(ctx context.Context, req loginRequest) ([]byte, error) {
	store, err := h.state.opened()
	if err != nil {
		return nil, err
	}
	replay := newReplay("login", h.site, req.app.id, req.code).knownBy(req.client())
	kept, err := store.Replay(ctx, replay.key, h.now())
	if err != nil {
		return nil, err
	}
	if kept != nil {
		answer, ok := replay.open(kept, h.now())
		if !ok || req.nonce == "" {
			return nil, errCodeUsed
		}
		return answer, nil
	}
	if _, err := h.keys.get(); err != nil { // a code must not be spent for an answer that can't be signed
		return nil, err
	}
	if err := h.loginLimit.allow(addressBlock(req.clientIP), h.now()); err != nil {
		return nil, err
	}
	return h.logIn(ctx, store, req, replay)
}

// logIn makes the exchange, the session and the token answer.
func (h *Handler) logIn(ctx context.Context, store session.Store, req loginRequest, replay replay) ([]byte, error) {
	ws, err := req.app.client.Code2Session(ctx, req.code)
	req.app.heed(wechat.OpCode2Session, err, h.logger)
	if err != nil {
		return nil, err
	}
	id := session.UserID{AppID: req.app.id, OpenID: ws.OpenID}
	account, err := store.Account(ctx, id.Tag())
	if err != nil {
		return nil, err
	}
	now, user := h.now(), account.User
	isNew := user.FirstSeen.IsZero()
	news := session.User{UserID: id, UnionID: ws.UnionID, FirstSeen: now}
	if h.EncryptedData {
		news.Key, news.KeySince = req.app.seal.seal(id, ws.SessionKey), now
	}
	user.Merge(news)
	exchange := phoneExchange{req.app, store, user, "", phoneProof{code: req.phoneCode, encrypted: req.encrypted}}
	phoneError := h.oneTap(ctx, exchange, &news)
	user.Merge(news)
	extra, err := h.ask(ctx, hookEvent{
		Event: "login", AppID: user.AppID, OpenID: user.OpenID, UnionID: user.UnionID, Phone: user.Phone,
		ClientIP: req.clientIP, New: isNew,
	}, nil)
	if err != nil {
		return nil, h.keepProven(ctx, exchange, news, err)
	}

	made, token := session.New(id, h.mark, now)
	if made.Claims, err = writeClaims(extra); err != nil {
		return nil, err
	}
	answer, err := h.tokenAnswer(ctx, user, made.SID, extra, isNew)
	if err != nil {
		return nil, err
	}
	made.TokensUntil = answer.expires
	answer.PhoneError = phoneError
	answer.refreshable(token, made.Ends(h.policy).Sub(now))
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	kept, err := replay.put(body, now.Add(loginReplay), now.Add(codeLife))
	if err != nil {
		return nil, err
	}
	_, err = store.Login(ctx, session.Login{
		Session: made, User: news, Generation: account.Generation, Replay: kept, Policy: h.sessionPolicy(),
	})
	return body, err
}

// oneTap adds the phone of a one tap login to the news of the user. The login stands whatever becomes of it.
func (h *Handler) oneTap(ctx context.Context, x phoneExchange, news *session.User) *apiError {
	if x.proof == (phoneProof{}) {
		return nil
	}
	err := h.checkProof(x.proof)
	if err == nil {
		err = h.exchangePhone(ctx, x, news)
	}
	if err != nil {
		return asAPIError(err)
	}
	return nil
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
