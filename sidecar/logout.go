// The logout route.

package sidecar

import (
	"context"
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
	if text != "" {
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

// logoutByRefreshToken takes every token that the session ever had: one that is spent or too old to be
// refreshed still proves who asks. Without the session's record nothing is proven: then the session is gone,
// as was asked, but no other can be ended.
func (s *sessions) logoutByRefreshToken(r *http.Request, text string, all bool) error {
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		return invalidRequest("refresh_token is none: send the one of the last login or refresh")
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
	case gone || known.Family != token.Family():
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
	case revoked && all: // a token that was taken away must not end the sessions made since
		return errSessionRevoked
	case revoked:
		return nil
	}
	store, err := s.store.get()
	if err != nil {
		return err
	}
	return s.end(r, store, userOf(claims).Tag(), sid, all)
}

// end ends a session, or all of its user.
func (s *sessions) end(r *http.Request, store session.Store, user session.Tag, sid session.SID, all bool) (err error) {
	ctx, ending := context.WithoutCancel(r.Context()), s.ending(sid)
	if all {
		_, err = store.EndAll(ctx, user, ending)
	} else {
		_, err = store.End(ctx, sid, ending)
	}
	return err
}
