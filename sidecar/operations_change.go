// What the operator changes about users.

package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-wechat/wechatauth/session"
)

// done answers a change that was made.
func (o *operations) done(w http.ResponseWriter, event string, id session.UserID) error {
	o.changed(event, id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logout answers POST users/{app}/{openid}/logout: it ends the session sid, or all.
func (o *operations) logout(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	sid, err := sidToEnd(w, r)
	if err != nil {
		return err
	}
	store, _, err := o.known(r.Context(), id)
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context())
	if sid == "" {
		_, err = store.EndAll(ctx, id.Tag(), o.ending())
	} else if user, _, ok := sid.Parse(); !ok || user != id.Tag() {
		return withDescription(errNotFound, "the user has no such session")
	} else {
		_, err = store.End(ctx, sid, o.ending())
	}
	if err != nil {
		return err
	}
	return o.done(w, EventLogout, id)
}

func sidToEnd(w http.ResponseWriter, r *http.Request) (session.SID, error) {
	f, err := readOptionalFields(w, r)
	if err != nil {
		return "", err
	}
	if err := f.only("sid"); err != nil {
		return "", err
	}
	text, err := f.text("sid")
	if _, sent := f["sid"]; sent && text == "" && err == nil {
		err = invalidRequest("sid is empty: leave it out to end all sessions")
	}
	return session.SID(text), err
}

// only refuses fields that would be ignored.
func (f fields) only(names ...string) error {
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	for name := range f {
		if !known[name] {
			return invalidRequest("there may be only " + strings.Join(names, ", "))
		}
	}
	return nil
}

// ban answers PUT users/{app}/{openid}/ban.
func (o *operations) ban(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	ban, err := o.readBan(w, r)
	if err != nil {
		return err
	}
	store, _, err := o.known(r.Context(), id)
	if err != nil {
		return err
	}
	if _, err := store.Ban(context.WithoutCancel(r.Context()), id.Tag(), ban, o.ending()); err != nil {
		return err
	}
	return o.done(w, EventBanned, id)
}

func (o *operations) readBan(w http.ResponseWriter, r *http.Request) (ban session.Ban, err error) {
	f, err := readOptionalFields(w, r)
	if err != nil {
		return ban, err
	}
	if err := f.only("reason", "until"); err != nil {
		return ban, err
	}
	if ban.Reason, err = f.text("reason"); err != nil {
		return ban, err
	}
	if !printable(ban.Reason) || utf8.RuneCountInString(ban.Reason) > maxHookReason {
		return ban, invalidRequest(fmt.Sprintf("reason must be one line of at most %d characters", maxHookReason))
	}
	if ban.Until, err = f.time("until"); err != nil {
		return ban, err
	}
	if !ban.Until.IsZero() && !o.now().Before(ban.Until) {
		return ban, invalidRequest("until is past")
	}
	return ban, nil
}

// time returns a time as RFC 3339 writes it, the zero time when it is absent. It is in UTC: near the
// end of what can be written, another zone has a year that can't.
func (f fields) time(name string) (time.Time, error) {
	text, err := f.text(name)
	if _, sent := f[name]; err != nil || !sent {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	at = at.UTC()
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, invalidRequest(name + " must be a time such as 2027-01-31T08:00:00+08:00")
	}
	return at, nil
}

// unban answers DELETE users/{app}/{openid}/ban.
func (o *operations) unban(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	store, _, err := o.known(r.Context(), id)
	if err != nil {
		return err
	}
	if err := store.Unban(context.WithoutCancel(r.Context()), id.Tag(), o.now()); err != nil {
		return err
	}
	return o.done(w, EventUnbanned, id)
}

// erase answers DELETE users/{app}/{openid}.
func (o *operations) erase(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	store, account, err := o.known(r.Context(), id)
	if err != nil {
		return err
	}
	if account.User.UserID != id && len(account.Sessions) == 0 { // only the ban is left
		return errNoUser
	}
	ctx := context.WithoutCancel(r.Context())
	if err := o.sites[0].profiles.pictures.eraseUser(ctx, store, id, o.ending()); err != nil {
		return err
	}
	return o.done(w, EventErased, id)
}
