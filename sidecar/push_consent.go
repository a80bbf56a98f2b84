// Events by which WeChat says that a user took consent back.

package sidecar

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// act does at once what an event about a user's authorization asks for. All of it can be done again
// without harm.
func (p *pushes) act(ctx context.Context, store session.Store, app *pushedApp, push wechat.Push) error {
	id := session.UserID{AppID: app.id, OpenID: push.OpenID()}
	switch push.Event() {
	case wechat.EventRevoke, wechat.EventCancellation:
	default:
		return nil
	}
	if id.OpenID == "" {
		p.log.Warn("a push about a user's consent names no user, nothing is removed", "appid", app.id, "kind", push.Kind())
		return nil
	}
	if push.Event() == wechat.EventCancellation {
		return p.cancel(ctx, store, id)
	}
	kinds, unknown := push.Revoked()
	if len(unknown) > 0 || len(kinds) == 0 {
		p.log.Warn("a user took consent back for something that is not known here, it is passed on", "appid", app.id, "revoke_info", unknown)
	}
	w := withdrawal(kinds)
	w.At = push.Created()
	return p.withdraw(ctx, store, id, w)
}

func withdrawal(kinds []string) (w session.Withdrawal) {
	for _, kind := range kinds {
		switch kind {
		case wechat.RevokedPhone:
			w.Phone = true
		case wechat.RevokedProfile:
			w.Nickname, w.Avatar = true, true
		case wechat.RevokedNickname:
			w.Nickname = true
		case wechat.RevokedAvatar:
			w.Avatar = true
		}
	}
	return w
}

// cancel erases a user who has no WeChat account any more.
func (p *pushes) cancel(ctx context.Context, store session.Store, id session.UserID) error {
	known, err := store.Account(ctx, id.Tag())
	if err != nil {
		return err
	}
	// Also one who is not known: a login may be under way.
	if err := p.pictures.eraseUser(ctx, store, id, p.store.ending(p.now(), p.policy, "")); err != nil {
		return err
	}
	if known.User.UserID == id {
		p.journal.happened(EventErased, id.AppID, id.Tag(), slog.String("by", "wechat"))
	}
	return nil
}

// withdraw removes what a user took consent back for. The picture comes last: its storage may be
// away, which must not keep the phone.
func (p *pushes) withdraw(ctx context.Context, store session.Store, id session.UserID, w session.Withdrawal) error {
	if w.Empty() {
		return nil
	}
	had, err := store.Withdraw(ctx, id.Tag(), session.Withdrawal{Phone: w.Phone, Nickname: w.Nickname, At: w.At}, p.now())
	if err == nil && w.Avatar {
		had.Avatar, err = p.pictures.withdraw(ctx, store, id, p.now())
	}
	if !had.Empty() {
		p.journal.happened(EventWithdrawn, id.AppID, id.Tag(), slog.String("what", names(had)))
	}
	return err
}

// names lists what was removed.
func names(w session.Withdrawal) string {
	var all []string
	if w.Phone {
		all = append(all, "phone")
	}
	if w.Nickname {
		all = append(all, "nickname")
	}
	if w.Avatar {
		all = append(all, "avatar")
	}
	return strings.Join(all, " ")
}

// withdraw removes a user's pictures, and then what the record says of them.
func (a *pictures) withdraw(ctx context.Context, store session.Store, user session.UserID, now time.Time) (had bool, err error) {
	release, err := a.hold(ctx, user)
	if err != nil {
		return false, err
	}
	defer release()
	known, err := store.Account(ctx, user.Tag())
	if err != nil {
		return false, err
	}
	if err := a.remove(ctx, user, known.User.Avatar, ""); err != nil {
		return false, err
	}
	gone, err := store.Withdraw(ctx, user.Tag(), session.Withdrawal{Avatar: true}, now)
	return gone.Avatar, err
}
