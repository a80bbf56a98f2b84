package wechatauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/session"
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
	code      string
	nonce     string
	phoneCode string
	encrypted bool
}

// loginNote is what is remembered of a code that was spent here.
type loginNote struct {
	// Client tells the client that spent it from any other: a digest of what only it sent.
	Client string          `json:"client"`
	Until  time.Time       `json:"until"`
	Answer json.RawMessage `json:"answer"`
}

// login exchanges a wx.login code for a token. Requests with the same code at the same moment share one
// exchange; it goes on when its client leaves, since the code is spent and the client will ask again.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) error {
	req, err := h.readLogin(w, r)
	if err != nil {
		return err
	}
	clientIP, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	note, err := fly(r.Context(), req.app, digest("login", h.site, req.code), func(ctx context.Context) (loginNote, error) {
		return h.spendCode(ctx, req, clientIP)
	})
	if err != nil {
		return err
	}
	if note.Client != req.client() {
		return errCodeUsed
	}
	writeAnswer(w, note.Answer)
	return nil
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
	req.encrypted = text["encryptedData"] != "" || text["iv"] != ""
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
func (req loginRequest) client() string { return digest(req.nonce, req.phoneCode) }

// spendCode answers from memory if the code was spent here before, and asks WeChat otherwise.
func (h *Handler) spendCode(ctx context.Context, req loginRequest, clientIP string) (note loginNote, err error) {
	key := digest("login", h.site, req.app.id, req.code)
	if record, ok := h.users.Recall(key, h.now()); ok {
		if err := json.Unmarshal(record, &note); err != nil {
			return note, err
		}
		if req.nonce == "" || !h.now().Before(note.Until) {
			return note, errCodeUsed
		}
		return note, nil
	}
	if err := h.loginLimit.allow(addressBlock(clientIP), h.now()); err != nil {
		return note, err
	}
	answer, err := h.logIn(ctx, req)
	if err != nil {
		return note, err
	}
	note = loginNote{Client: req.client(), Until: h.now().Add(loginReplay), Answer: answer}
	record, err := json.Marshal(note)
	if err != nil {
		return note, err
	}
	return note, h.users.Note(key, record, h.now().Add(codeLife))
}

// logIn makes the exchange and the token answer.
func (h *Handler) logIn(ctx context.Context, req loginRequest) (json.RawMessage, error) {
	ws, err := req.app.client.Code2Session(ctx, req.code)
	req.app.heed(err, h.logger)
	if err != nil {
		return nil, err
	}
	isNew := false
	user, err := h.users.UpdateUser(req.app.id, ws.OpenID, func(u *session.User, unknown bool) {
		if isNew = unknown; unknown {
			u.FirstSeen = h.now()
		}
		if ws.UnionID != "" {
			u.UnionID = ws.UnionID
		}
	})
	if err != nil {
		return nil, err
	}
	var phoneError *apiError
	switch {
	case req.phoneCode != "":
		// One tap login: the login stands whatever becomes of the phone.
		if withPhone, err := h.exchangePhone(ctx, req.app, user.OpenID, req.phoneCode); err != nil {
			phoneError = asAPIError(err)
		} else {
			user = withPhone
		}
	case req.encrypted:
		phoneError = errEncryptedOff
	}
	answer, err := h.tokenAnswer(user, rand.Text(), isNew)
	if err != nil {
		return nil, err
	}
	answer.PhoneError = phoneError
	return json.Marshal(answer)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
