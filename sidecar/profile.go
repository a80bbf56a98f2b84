// The profile: what is known of the user, and the picture.

package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/avatar"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// ProfileConfig describes what nicknames and pictures are taken.
type ProfileConfig struct {
	MaxUpload  int64         // of a picture, in bytes
	UploadTime time.Duration // of a form: what has come of it lies in memory
	Longest    int           // side of a picture, in pixels
	Check      bool          // WeChat's content check has to pass a nickname
}

// profiles answers the routes profile and avatar.
type profiles struct {
	cfg      ProfileConfig
	apps     Apps
	auth     *authenticator
	answers  answers
	tokens   *tokens
	store    *StoreHandle
	policy   session.Policy
	pictures *pictures
	limit    *Limiter
	now      func() time.Time
	log      *slog.Logger
	journal  journal
}

func newProfiles(cfg Config, deps Deps, auth *authenticator, answers answers) (*profiles, error) {
	if cfg.Profile.MaxUpload < 0 || cfg.Profile.MaxUpload > 64<<20 {
		return nil, errors.New("profile max_upload must be above zero and at most 64MiB")
	}
	if cfg.Profile.Longest < 16 || cfg.Profile.Longest > 2048 {
		return nil, errors.New("profile avatar must be from 16 to 2048 pixels")
	}
	return &profiles{
		cfg: cfg.Profile, apps: deps.Apps, auth: auth, answers: answers, tokens: auth.tokens, store: deps.Store,
		policy: cfg.Session, pictures: newPictures(deps.Storage, deps.Store.id, deps.Machine, deps.Logger),
		limit: deps.Limits.Profile, now: deps.Now, log: deps.Logger, journal: journal{deps.Logger, deps.Server},
	}, nil
}

// profile routes by method: the user may see, change and erase what is known.
func (p *profiles) profile(w http.ResponseWriter, r *http.Request) error {
	claims, err := p.auth.authenticate(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPost:
		return p.editProfile(w, r, claims)
	case http.MethodDelete:
		return p.eraseProfile(w, r, claims)
	}
	return p.showProfile(w, r, claims)
}

func userOf(c *jwt.Claims) session.UserID {
	return session.UserID{AppID: c.AppID, OpenID: c.OpenID}
}

func (p *profiles) showProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	store, err := p.store.get()
	if err != nil {
		return err
	}
	account, err := store.Account(r.Context(), userOf(claims).Tag())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, p.answers.user(r.Context(), account.User, false))
	return nil
}

func (p *profiles) editProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	user := userOf(claims)
	if err := p.limit.allow(user.AppID+"/"+user.OpenID, p.now()); err != nil {
		return err
	}
	if isMultipart(mediaType(r)) {
		end, err := uploading.begin(uploader{p.store.id, user}, p.formSize(r))
		if err != nil {
			return err
		}
		defer end()
	}
	e, err := p.readEdit(w, r)
	if err != nil {
		return err
	}
	if err := p.checkNickname(r.Context(), user, e.nickname); err != nil {
		return err
	}
	if e.picture != nil {
		if e.jpeg, err = avatar.JPEG(r.Context(), e.picture, p.cfg.Longest); err != nil {
			return err
		}
	}
	known, err := p.keep(context.WithoutCancel(r.Context()), session.SID(claims.SID), user, e)
	if err != nil {
		return err
	}
	extra, err := readClaims(known.Claims)
	if err != nil {
		return err
	}
	answer, err := p.answers.token(r.Context(), known.User, session.SID(claims.SID), extra, false)
	if err != nil {
		return err
	}
	return writeAnswer(w, answer)
}

// checkNickname has WeChat judge a nickname.
func (p *profiles) checkNickname(ctx context.Context, user session.UserID, nickname string) error {
	if nickname == "" || !p.cfg.Check {
		return nil
	}
	a := p.apps[user.AppID]
	release, err := a.retain()
	if err != nil {
		return err
	}
	defer release()
	err = a.client.CheckNickname(ctx, user.OpenID, nickname)
	a.note(wechat.OpCheckNickname, err, p.log)
	return err
}

// keep stores a change of the profile.
func (p *profiles) keep(ctx context.Context, sid session.SID, id session.UserID, e profileUpdate) (known session.Updated, err error) {
	store, err := p.store.get()
	if err != nil {
		return known, err
	}
	now := p.now()
	update := session.Update{
		SID: sid, User: session.User{UserID: id, Nickname: e.nickname}, TokensUntil: p.tokens.until(now), Now: now,
		Policy: p.store.policy(p.policy),
	}
	if e.jpeg == nil {
		return store.Update(ctx, update)
	}
	release, err := p.pictures.hold(ctx, id)
	if err != nil {
		return known, err
	}
	defer release()
	before, err := store.Account(ctx, id.Tag())
	if err != nil {
		return known, err
	}
	// The picture is there before the user is said to have it, and the one it replaces goes after.
	hash, err := p.pictures.put(ctx, id, before.User.Avatar, e.jpeg)
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
		return known, errors.Join(err, p.pictures.remove(ctx, id, hash, after.User.Avatar))
	}
	if err != nil {
		return known, err
	}
	return known, p.pictures.remove(ctx, id, hash, hash)
}

// eraseProfile forgets everything about the user and ends every session.
func (p *profiles) eraseProfile(w http.ResponseWriter, r *http.Request, claims *jwt.Claims) error {
	store, err := p.store.get()
	if err != nil {
		return err
	}
	ending := p.store.ending(p.now(), p.policy, session.SID(claims.SID))
	if err := p.pictures.eraseUser(context.WithoutCancel(r.Context()), store, userOf(claims), ending); err != nil {
		return err
	}
	p.journal.happened(EventErased, claims.AppID, userOf(claims).Tag(), slog.String("by", "user"))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// eraseUser removes a user's pictures, and then the user: after the sessions nobody could ask for it
// again.
func (a *pictures) eraseUser(ctx context.Context, store session.Store, user session.UserID, e session.Ending) error {
	release, err := a.hold(ctx, user)
	if err != nil {
		return err
	}
	defer release()
	known, err := store.Account(ctx, user.Tag())
	if err != nil {
		return err
	}
	if err := a.remove(ctx, user, known.User.Avatar, ""); err != nil {
		return err
	}
	_, err = store.Erase(ctx, user.Tag(), e)
	return err
}

func (p *profiles) avatar(w http.ResponseWriter, r *http.Request) error {
	raw, _ := rawPath(r.URL)
	return p.pictures.serve(w, r, strings.TrimPrefix(raw, p.answers.base+"/avatar/"))
}
