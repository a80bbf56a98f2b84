package wechatauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/avatar"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	defaultMaxUpload = 4_000_000
	defaultAvatar    = 512
)

func (h *Handler) provisionProfile(ctx caddy.Context) error {
	h.maxUpload = orDefault(h.Profile.MaxUpload, defaultMaxUpload)
	if h.maxUpload < 0 || h.maxUpload > 64<<20 {
		return errors.New("profile max_upload must be above zero and at most 64MiB")
	}
	h.uploadTime = uploadTime
	longest := orDefault(h.Profile.Avatar, defaultAvatar)
	if longest < 16 || longest > 2048 {
		return errors.New("profile avatar must be from 16 to 2048 pixels")
	}
	h.avatars, h.longest = newAvatars(ctx.Storage(), h.storeID, h.logger), longest
	return nil
}

// profile routes by method: the user may see, change and erase what is known.
func (h *Handler) profile(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.authenticate(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPost:
		return h.editProfile(w, r, claims)
	case http.MethodDelete:
		return h.eraseProfile(w, r, claims)
	}
	return h.showProfile(w, r, claims)
}

func userOf(c *jwt.Claims) session.UserID {
	return session.UserID{AppID: c.AppID, OpenID: c.OpenID}
}

func (h *Handler) showProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	store, err := h.state.opened()
	if err != nil {
		return err
	}
	account, err := store.Account(r.Context(), userOf(claims).Tag())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, h.userAnswer(r.Context(), account.User, false))
	return nil
}

func (h *Handler) editProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	user := userOf(claims)
	if err := h.editLimit.allow(user.AppID+"/"+user.OpenID, h.now()); err != nil {
		return err
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		end, err := uploading.begin(uploader{h.storeID, user}, h.formSize(r))
		if err != nil {
			return err
		}
		defer end()
	}
	e, err := h.readEdit(w, r)
	if err != nil {
		return err
	}
	if err := h.checkNickname(r.Context(), user, e.nickname); err != nil {
		return err
	}
	if e.picture != nil {
		if e.jpeg, err = avatar.JPEG(r.Context(), e.picture, h.longest); err != nil {
			return err
		}
	}
	known, err := h.keep(context.WithoutCancel(r.Context()), session.SID(claims.SID), user, e)
	if err != nil {
		return err
	}
	extra, err := readClaims(known.Claims)
	if err != nil {
		return err
	}
	answer, err := h.tokenAnswer(r.Context(), known.User, session.SID(claims.SID), extra, false)
	if err != nil {
		return err
	}
	return writeAnswer(w, answer)
}

// checkNickname has WeChat judge a nickname.
func (h *Handler) checkNickname(ctx context.Context, user session.UserID, nickname string) error {
	if nickname == "" || !h.Profile.Check {
		return nil
	}
	a := h.apps[user.AppID]
	leave, err := a.enter()
	if err != nil {
		return err
	}
	defer leave()
	err = a.client.CheckNickname(ctx, user.OpenID, nickname)
	a.heed(wechat.OpCheckNickname, err, h.logger)
	return err
}

// keep stores a change of the profile.
func (h *Handler) keep(ctx context.Context, sid session.SID, id session.UserID, e edit) (known session.Updated, err error) {
	store, err := h.state.opened()
	if err != nil {
		return known, err
	}
	now := h.now()
	update := session.Update{
		SID: sid, User: session.User{UserID: id, Nickname: e.nickname}, TokensUntil: h.tokensUntil(now), Now: now,
	}
	if e.jpeg == nil {
		return store.Update(ctx, update)
	}
	release, err := h.avatars.hold(ctx, id)
	if err != nil {
		return known, err
	}
	defer release()
	before, err := store.Account(ctx, id.Tag())
	if err != nil {
		return known, err
	}
	// The picture is there before the user is said to have it, and the one it replaces goes after.
	hash, err := h.avatars.put(ctx, id, before.User.Avatar, e.jpeg)
	if err != nil {
		return known, err
	}
	update.User.Avatar = hash
	known, err = store.Update(ctx, update)
	if errors.Is(err, session.ErrEnded) { // perhaps the user was erased meanwhile
		after, storeErr := store.Account(ctx, id.Tag())
		if storeErr != nil {
			return known, storeErr
		}
		return known, errors.Join(err, h.avatars.remove(ctx, id, hash, after.User.Avatar))
	}
	if err != nil {
		return known, err
	}
	return known, h.avatars.remove(ctx, id, hash, hash)
}

// eraseProfile forgets everything about the user and ends every session.
func (h *Handler) eraseProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	store, err := h.state.opened()
	if err != nil {
		return err
	}
	ctx, user := context.WithoutCancel(r.Context()), userOf(claims)
	release, err := h.avatars.hold(ctx, user)
	if err != nil {
		return err
	}
	defer release()
	// The pictures go first: after the sessions nobody could ask for it again.
	known, err := store.Account(ctx, user.Tag())
	if err != nil {
		return err
	}
	if err := h.avatars.remove(ctx, user, known.User.Avatar, ""); err != nil {
		return err
	}
	if _, err := store.Erase(ctx, user.Tag(), h.ending(session.SID(claims.SID))); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) avatar(w http.ResponseWriter, r *http.Request) error {
	raw, _ := rawPath(r.URL)
	return h.avatars.serve(w, r, strings.TrimPrefix(raw, h.base+"/avatar/"))
}
