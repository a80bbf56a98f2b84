// The login route.

package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// loginReplay is the time for which a client that lost the answer can ask for it again, by its
	// nonce.
	loginReplay = 30 * time.Second

	// codeLife is the time for which a spent code is remembered; WeChat forgets it after five
	// minutes.
	codeLife = 10 * time.Minute
)

// logins answers the routes that exchange with WeChat: login and phone.
type logins struct {
	apps          Apps
	auth          *authenticator
	answers       answers
	tokens        *tokens
	store         *StoreHandle
	hook          siteHook
	exchanges     exchanges
	policy        session.Policy
	encryptedData bool
	risk          RiskConfig
	keepKeys      bool   // session_keys, sealed
	site          string // tells answers of this site from those of others that share an app
	limit         *Limiter
	phoneLimit    *Limiter
	server        Server
	count         Count
	now           func() time.Time
	log           *slog.Logger
	journal       journal
}

func newLogins(cfg Config, deps Deps, auth *authenticator, answers answers, site string) *logins {
	return &logins{
		apps: deps.Apps, auth: auth, answers: answers, tokens: auth.tokens, store: deps.Store,
		hook: newSiteHook(deps), exchanges: exchanges{deps.Store, deps.Hook}, policy: cfg.Session,
		encryptedData: cfg.EncryptedData, risk: cfg.Risk, keepKeys: cfg.EncryptedData || cfg.Service.Secret != "", site: site, limit: deps.Limits.Login, phoneLimit: deps.Limits.Phone,
		server: deps.Server, count: deps.Count, now: deps.Now, log: deps.Logger, journal: journal{deps.Logger, deps.Server},
	}
}

// loginRequest is the body of POST login.
type loginRequest struct {
	app       *App
	clientIP  string
	code      string
	nonce     string
	phoneCode string
	encrypted encrypted
}

// loginResult is the answer to a login, and the client it is for.
type loginResult struct {
	client string
	answer []byte
}

// login exchanges a wx.login code for tokens. Requests with the same code at the same moment share
// one exchange; it goes on when its client leaves, since the code is spent and the client will ask
// again.
func (l *logins) login(w http.ResponseWriter, r *http.Request) error {
	req, err := l.readLogin(w, r)
	if err != nil {
		return err
	}
	answer, err := l.answer(r.Context(), req)
	l.count(Logins, req.app.id, result(err))
	if err != nil {
		return err
	}
	writeAnswerBytes(w, answer)
	return nil
}

// answer makes the exchange of a login, or waits for the one that is under way with the same code.
func (l *logins) answer(ctx context.Context, req loginRequest) ([]byte, error) {
	name := digest("login", l.site, req.code)
	made, err := shared(ctx, l.exchanges, req.app, name, func(ctx context.Context) (loginResult, error) {
		answer, err := l.spendCode(ctx, req)
		return loginResult{req.client(), answer}, err
	})
	if err != nil {
		return nil, err
	}
	if made.client != req.client() {
		return nil, errCodeUsed
	}
	return made.answer, nil
}

func (l *logins) readLogin(w http.ResponseWriter, r *http.Request) (req loginRequest, err error) {
	f, err := readFields(w, r)
	if err != nil {
		return req, err
	}
	text, err := f.texts("code", "appid", "nonce", "phone_code", "encryptedData", "iv")
	if err != nil {
		return req, err
	}
	req.code, req.nonce, req.phoneCode = text["code"], text["nonce"], text["phone_code"]
	req.encrypted, req.clientIP = encrypted{text["encryptedData"], text["iv"]}, l.server.ClientIP(r)
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
	req.app, err = l.apps.of(text["appid"], r)
	return req, err
}

// client identifies the sender of a login request by what it sent beside the code.
func (req loginRequest) client() string {
	return digest(req.nonce, req.phoneCode, req.encrypted.data, req.encrypted.iv)
}

// spendCode answers from the store if the code was spent here before, and asks WeChat otherwise.
func (l *logins) spendCode(ctx context.Context, req loginRequest) ([]byte, error) {
	store, err := l.store.get()
	if err != nil {
		return nil, err
	}
	replay := newReplay("login", l.site, req.app.id, req.code).knownBy(req.client())
	kept, err := store.Replay(ctx, replay.key, l.now())
	if err != nil {
		return nil, err
	}
	if kept != nil {
		answer, ok := replay.open(kept, l.now())
		if !ok || req.nonce == "" {
			return nil, errCodeUsed
		}
		return answer, nil
	}
	if err := l.tokens.ready(); err != nil { // a code must not be spent for an answer that can't be signed
		return nil, err
	}
	if err := l.limit.allow(addressBlock(req.clientIP), l.now()); err != nil {
		return nil, err
	}
	began, note := l.now(), loginNote{}
	answer, err := l.logIn(ctx, store, req, replay, &note)
	took := l.now().Sub(began)
	switch {
	case err == nil:
		l.journal.happened(EventLogin, req.app.id, note.user, slog.Bool("new", note.isNew), duration(took))
	case !l.journal.denied("login", req.app.id, note.user, err):
		l.journal.refused("a login", req.app.id, note.user, took, err)
	}
	return answer, err
}

// loginNote has what the journal says of a login, as far as it came.
type loginNote struct {
	user  session.Tag
	isNew bool
}

// logIn makes the exchange, the session and the token answer.
func (l *logins) logIn(
	ctx context.Context, store session.Store, req loginRequest, replay replay, note *loginNote,
) ([]byte, error) {
	ws, err := req.app.client.Code2Session(ctx, req.code)
	req.app.note(wechat.OpCode2Session, err, l.log)
	if err != nil {
		return nil, err
	}
	id := session.UserID{AppID: req.app.id, OpenID: ws.OpenID}
	note.user = id.Tag()
	account, err := store.Account(ctx, note.user)
	if err != nil {
		return nil, err
	}
	rank, err := l.askRisk(ctx, req.app, ws.OpenID, req.clientIP)
	if err != nil {
		return nil, err
	}
	now, user := l.now(), account.User
	isNew := user.FirstSeen.IsZero()
	note.isNew = isNew
	news := session.User{UserID: id, UnionID: ws.UnionID, FirstSeen: now}
	if l.keepKeys {
		news.Key, news.KeySince = req.app.seal.seal(id, ws.SessionKey), now
	}
	user.Merge(news)
	exchange := phoneExchange{req.app, store, user, account.Withdrawals, "", phoneProof{code: req.phoneCode, encrypted: req.encrypted}}
	phoneError := l.oneTap(ctx, exchange, &news)
	user.Merge(news)
	extra, err := l.hook.ask(ctx, hookEvent{
		Event: "login", AppID: user.AppID, OpenID: user.OpenID, UnionID: user.UnionID, Phone: user.Phone,
		ClientIP: req.clientIP, New: isNew, RiskRank: rank,
	}, nil)
	if err != nil {
		return nil, l.stashPhone(ctx, exchange, news, err)
	}
	extra = withRisk(extra, rank)

	made, token := session.New(id, l.tokens.mark, now)
	if made.Claims, err = writeClaims(extra); err != nil {
		return nil, err
	}
	answer, err := l.answers.token(ctx, user, made.SID, extra, isNew)
	if err != nil {
		return nil, err
	}
	made.TokensUntil = answer.expires
	answer.PhoneError = phoneError
	answer.refreshable(token, made.Ends(l.policy).Sub(now))
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	kept, err := replay.put(body, now.Add(loginReplay), now.Add(codeLife))
	if err != nil {
		return nil, err
	}
	_, err = store.Login(ctx, session.Login{
		Session: made, User: news, Generation: account.Generation, Withdrawals: account.Withdrawals, Replay: kept, Policy: l.store.policy(l.policy),
	})
	if err == nil {
		exchange.done()
	}
	return body, err
}

// oneTap adds the phone of a one tap login to the news of the user. The login stands whatever
// becomes of it.
func (l *logins) oneTap(ctx context.Context, x phoneExchange, news *session.User) *Error {
	if x.proof == (phoneProof{}) {
		return nil
	}
	var proven *session.User
	err := l.checkProof(x.proof)
	if err == nil {
		proven, err = l.beginPhone(ctx, x)
	}
	if err == nil {
		err = l.exchangePhone(ctx, x, proven, news)
	}
	if err != nil {
		return asError(err)
	}
	return nil
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
