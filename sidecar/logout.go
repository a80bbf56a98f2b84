// The logout route.

package sidecar

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/caddy-wechat/wechatauth/session"
)

// logout ends the session of an access token or of a refresh token, or all sessions of its user.
func (s *sessions) logout(w http.ResponseWriter, r *http.Request) error {
	f, err := readOptionalFields(w, r)
	if err != nil {
		return err
	}
	all, err := f.flag("all")
	if err != nil {
		return err
	}
	text, err := f.text("refresh_token")
	if err != nil {
		return err
	}
	if _, sent := f["refresh_token"]; sent {
		err = s.logoutByRefreshToken(r, text, all)
	} else {
		err = s.logoutByAccessToken(r, all)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logoutByRefreshToken takes every token that the session ever had: one that is spent or too old to
// be refreshed still proves who asks. Without the session's record nothing is proven: then the
// session is gone, as was asked, but no other can be ended.
func (s *sessions) logoutByRefreshToken(r *http.Request, text string, all bool) error {
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		return invalidRequest("this refresh_token is not one: send that of the last login or refresh")
	}
	if _, err := s.ownApp(token.SID); err != nil {
		return err
	}
	store, err := s.store.get()
	if err != nil {
		return err
	}
	user, _, _ := token.SID.Parse()
	account, err := store.Account(r.Context(), user)
	if err != nil {
		return err
	}
	known := account.Session(token.SID)
	gone := known == nil || known.Ended != session.Unknown
	switch {
	case known == nil && !all:
		return nil
	case gone && !all: // its end was begun, and the store failed before the revocation was written
		return s.end(r, store, user, token.SID, false)
	case known == nil || known.Ended == session.Reused || known.Family != token.Family():
		return errRefreshInvalid
	}
	return s.end(r, store, user, token.SID, all)
}

func (s *sessions) logoutByAccessToken(r *http.Request, all bool) error {
	token, err := s.auth.find(r)
	if err != nil {
		return err
	}
	claims, err := s.tokens.verify(token)
	if err != nil {
		return err
	}
	sid := session.SID(claims.SID)
	revoked, err := s.tokens.revoked(claims)
	switch {
	case err != nil:
		return err
	case revoked && all:
		return errSessionRevoked
	case revoked:
		return nil
	}
	store, err := s.store.get()
	if err != nil {
		return err
	}
	user := userOf(claims).Tag()
	if all {
		if err := ownsSession(r.Context(), store, user, sid); err != nil {
			return err
		}
	}
	return s.end(r, store, user, sid, all)
}

// ownsSession returns an error if the user's account lacks the session. A token that was taken away
// must not end the sessions made since, also where the list of revocations is behind the store; one
// whose session was marked, and the store failed before the revocation was written, may go on with
// that. A token that was made elsewhere has no session here.
func ownsSession(ctx context.Context, store session.Store, user session.Tag, sid session.SID) error {
	if _, _, ours := sid.Parse(); !ours {
		return nil
	}
	account, err := store.Account(ctx, user)
	if err != nil {
		return err
	}
	if known := account.Session(sid); known == nil || known.Ended == session.Reused {
		return errSessionRevoked
	}
	return nil
}

// end ends a session, or all of its user.
func (s *sessions) end(r *http.Request, store session.Store, user session.Tag, sid session.SID, all bool) (err error) {
	ctx, ending := context.WithoutCancel(r.Context()), s.ending(sid)
	if all {
		_, err = store.EndAll(ctx, user, ending)
	} else {
		_, err = store.End(ctx, sid, ending)
	}
	if err == nil {
		s.journal.happened(EventLogout, s.appOf(user), user, slog.String("by", "user"))
	}
	return err
}
