// The phone route.

package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// phoneReplay is the time for which a session can ask again for the answer to a phone tap: the
// user's tap was paid for.
const phoneReplay = 60 * time.Second

// phoneRequest is a request of POST phone.
type phoneRequest struct {
	app      *App
	claims   *jwt.Claims
	clientIP string
	proof    phoneProof
}

// phoneProof is the data of the phone button: one of a code, a cloudID, and encrypted data.
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
func (l *logins) phone(w http.ResponseWriter, r *http.Request) error {
	claims, err := l.auth.authenticate(r)
	if err != nil {
		return err
	}
	proof, err := l.readPhone(w, r)
	if err != nil {
		return err
	}
	req := phoneRequest{l.apps[claims.AppID], claims, l.server.ClientIP(r), proof}
	name := append([]string{"phone", l.site, claims.SID}, proof.parts()...)
	answer, err := shared(r.Context(), l.exchanges, req.app, digest(name...), func(ctx context.Context) ([]byte, error) {
		answer, err := l.spendPhone(ctx, req)
		l.journal.denied("phone", claims.AppID, userOf(claims).Tag(), err)
		return answer, err
	})
	if err != nil {
		return err
	}
	writeAnswerBytes(w, answer)
	return nil
}

func (l *logins) readPhone(w http.ResponseWriter, r *http.Request) (p phoneProof, err error) {
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
	return p, l.checkProof(p)
}

// checkProof keeps anything that can't be a proof away from WeChat.
func (l *logins) checkProof(p phoneProof) error {
	switch {
	case p.cloudID != "":
		return checkCloudID(p.cloudID)
	case p.code != "" || p.encrypted == (encrypted{}):
		return checkCode("code", p.code)
	case !l.encryptedData:
		return errEncryptedOff
	case p.encrypted.data == "" || p.encrypted.iv == "":
		return invalidRequest("encryptedData and iv go together")
	case !wechat.ValidEncrypted(p.encrypted.data, p.encrypted.iv):
		return errNotEncrypted
	}
	return nil
}

// spendPhone answers from the store if this session spent the proof before, and asks WeChat
// otherwise.
func (l *logins) spendPhone(ctx context.Context, req phoneRequest) ([]byte, error) {
	store, err := l.store.get()
	if err != nil {
		return nil, err
	}
	replay := newReplay(append([]string{"phone", l.site, req.claims.SID}, req.proof.parts()...)...)
	kept, err := store.Replay(ctx, replay.key, l.now())
	if err != nil {
		return nil, err
	}
	if answer, ok := replay.open(kept, l.now()); ok {
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
	user := account.User
	exchange := phoneExchange{req.app, store, user, account.Withdrawals, sid, req.proof}
	proven, err := l.beginPhone(ctx, exchange)
	if err != nil {
		return nil, err
	}
	rank, err := l.askRisk(ctx, req.app, user.OpenID, req.clientIP)
	if err != nil {
		return nil, err
	}
	update := session.Update{SID: sid, User: session.User{UserID: id}, Withdrawals: account.Withdrawals, Policy: l.store.policy(l.policy)}
	if err := l.exchangePhone(ctx, exchange, proven, &update.User); err != nil {
		return nil, err
	}
	user.Merge(update.User)
	extra, err := l.askPhone(ctx, store, known, hookEvent{
		Event: "phone", AppID: user.AppID, OpenID: user.OpenID, UnionID: user.UnionID, Phone: user.Phone, ClientIP: req.clientIP, RiskRank: rank,
	})
	if err != nil {
		return nil, l.stashPhone(ctx, exchange, update.User, err)
	}
	extra = withRisk(extra, rank)
	if update.Claims, err = writeClaims(extra); err != nil {
		return nil, err
	}
	answer, err := l.answers.token(ctx, user, sid, extra, false)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	update.Now, update.TokensUntil = l.now(), answer.expires
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
	if err == nil {
		exchange.done()
	}
	return body, err
}

// askPhone returns the claims of a session with those that the hook adds to them. WeChat and the
// hook take their time: a refresh meanwhile may have taken a role away, which must not come back
// with what was read before.
func (l *logins) askPhone(ctx context.Context, store session.Store, known *session.Session, event hookEvent) (map[string]any, error) {
	for {
		claims, err := readClaims(known.Claims)
		if err != nil {
			return nil, err
		}
		extra, err := l.hook.ask(ctx, event, claims)
		if err != nil || l.hook.Hook == nil {
			return extra, err
		}
		account, err := store.Account(ctx, session.UserID{AppID: event.AppID, OpenID: event.OpenID}.Tag())
		if err != nil {
			return nil, err
		}
		now := account.Session(known.SID)
		if now == nil || now.Ended != session.Unknown {
			return nil, session.ErrEnded
		}
		if bytes.Equal(now.Claims, known.Claims) {
			return extra, nil
		}
		known = now
	}
}

// phoneExchange is a user who proves a phone. At a login there is no session yet.
type phoneExchange struct {
	app   *App
	store session.Store
	user  session.User
	since int64 // the account's Withdrawals
	sid   session.SID
	proof phoneProof
}

// beginPhone returns what stashPhone kept of a tap. Where there is nothing, WeChat will be asked, and
// the limit counts.
func (l *logins) beginPhone(ctx context.Context, x phoneExchange) (*session.User, error) {
	proven, err := l.stashedPhone(ctx, x)
	if err != nil || proven != nil {
		return proven, err
	}
	return nil, l.phoneLimit.allow(x.app.id+"/"+x.user.OpenID, l.now())
}

// exchangePhone adds the number to the news of the user, that of beginPhone if it is proven. The
// openid is always the verified one: without it a client could attach somebody else's code to its
// session.
func (l *logins) exchangePhone(ctx context.Context, x phoneExchange, proven, news *session.User) error {
	if proven != nil {
		news.Merge(*proven)
		return nil
	}
	phone, err := l.provenPhone(ctx, x)
	if err != nil {
		return err
	}
	news.Phone, news.PhoneNumber, news.PhoneVerified = phone.Number, phone.E164(), l.now()
	x.app.proven.keep(x.proven().key, provenUser(*news), l.now())
	return nil
}

// provenUser is the part of a user that a tap proves.
func provenUser(u session.User) session.User {
	return session.User{UserID: u.UserID, Phone: u.Phone, PhoneNumber: u.PhoneNumber, PhoneVerified: u.PhoneVerified}
}

func (l *logins) provenPhone(ctx context.Context, x phoneExchange) (phone wechat.Phone, err error) {
	way, began := "encrypted", l.now()
	switch client := x.app.client; {
	case x.proof.code != "":
		way = "code"
		phone, err = client.PhoneNumber(ctx, x.proof.code, x.user.OpenID)
		x.app.note(wechat.OpPhoneNumber, err, l.log)
	case x.proof.cloudID != "":
		way = "cloud_id"
		phone, err = client.PhoneFromCloudID(ctx, x.proof.cloudID, x.user.OpenID)
		x.app.note(wechat.OpOpenData, err, l.log)
	default:
		phone, err = l.decryptPhone(ctx, x)
	}
	l.count(Phones, x.app.id, way, result(err))
	user, took := x.user.Tag(), l.now().Sub(began)
	if err == nil {
		l.journal.happened(EventPhone, x.app.id, user, slog.String("way", way), duration(took))
	} else {
		l.journal.refused("a phone exchange", x.app.id, user, took, err)
	}
	return phone, err
}

// stashPhone keeps the number of a tap, for all nodes, when the hook could not say whether the user
// may have it. The tap is spent and was paid for; when the client repeats the request, only the hook
// is asked again.
func (l *logins) stashPhone(ctx context.Context, x phoneExchange, news session.User, reason error) error {
	if !errors.Is(reason, errHookFailed) || x.proof == (phoneProof{}) || news.Phone == "" {
		return reason
	}
	body, err := json.Marshal(provenUser(news))
	if err != nil {
		return err
	}
	now := l.now()
	kept, err := x.proven().put(body, now.Add(provenLife), now.Add(provenLife))
	if err != nil {
		return err
	}
	if err := x.store.PutReplay(ctx, kept, now); err != nil {
		return err
	}
	return reason
}

// stashedPhone returns what this process or stashPhone kept, nil if there is nothing.
func (l *logins) stashedPhone(ctx context.Context, x phoneExchange) (*session.User, error) {
	proven := x.proven()
	if user := x.app.proven.get(proven.key, l.now()); user != nil {
		return user, nil
	}
	if l.hook.Hook == nil {
		return nil, nil
	}
	kept, err := x.store.Replay(ctx, proven.key, l.now())
	if err != nil {
		return nil, err
	}
	body, ok := proven.open(kept, l.now())
	if !ok {
		return nil, nil
	}
	user := new(session.User)
	return user, json.Unmarshal(body, user)
}

// done lets go of a number that is with its user now.
func (x phoneExchange) done() { x.app.proven.drop(x.proven().key) }

func (x phoneExchange) proven() replay {
	return newReplay(append([]string{"proven", x.user.AppID, x.user.OpenID, strconv.FormatInt(x.since, 10)}, x.proof.parts()...)...)
}
