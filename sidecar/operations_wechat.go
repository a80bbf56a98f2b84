// What a backend needs of the session_key and the access token, which both stay here.

package sidecar

import (
	"context"
	"net/http"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// MaxKeyUses bounds the uses of one user's session_key in a minute: each asks WeChat, whose quota is
// everybody's.
const MaxKeyUses = 60

var (
	errNoKeys = withDescription(errNotFound, "session_keys are kept only for a site with service { secret … }, from the user's next "+
		"login on")
	errKeyOver = withDescription(errKeyStale, "WeChat has another session_key for this user by now, or none: have the mini program "+
		"call wx.login, log in with its code, and ask again")
	errPhoneData = invalidRequest("this is a phone number: the mini program sends it to the phone route")
	errDataStale = withDescription(errKeyStale, "this can't be decrypted: have the mini program call wx.login, log in with its code, "+
		"and get the data anew")
)

// keyHolder is a user whose session_key is needed.
type keyHolder struct {
	site  *Site
	app   *App
	store session.Store
	user  session.User
}

// sign answers POST sign: it signs data with the user's session_key, as virtual payment demands.
func (o *operations) sign(w http.ResponseWriter, r *http.Request) error {
	text, err := readTexts(w, r, "appid", "openid", "data")
	if err != nil {
		return err
	}
	if text["data"] == "" {
		return invalidRequest("data is empty, and a signature of nothing would prove the session_key to WeChat for any purpose")
	}
	holder, err := o.keyHolder(r.Context(), text)
	if err != nil {
		return err
	}
	keys := holder.app.sessionKeys(holder.user, o.now())
	if len(keys) == 0 || !keys[0].current {
		return errKeyOver
	}
	valid, err := holder.app.client.CheckSession(r.Context(), holder.user.OpenID, keys[0].text)
	holder.app.note(wechat.OpCheckSession, err, o.failures.logger)
	switch {
	case err != nil:
		return err
	case !valid:
		return errKeyOver
	}
	writeJSON(w, http.StatusOK, struct {
		Signature string `json:"signature"`
	}{wechat.SignUser(keys[0].text, text["data"])})
	return nil
}

// decrypt answers POST decrypt: it reads open data of a user, as wx.getWeRunData gives it.
func (o *operations) decrypt(w http.ResponseWriter, r *http.Request) error {
	text, err := readTexts(w, r, "appid", "openid", "encryptedData", "iv")
	if err != nil {
		return err
	}
	sent := encrypted{text["encryptedData"], text["iv"]}
	if !wechat.ValidEncrypted(sent.data, sent.iv) {
		return errNotEncrypted
	}
	holder, err := o.keyHolder(r.Context(), text)
	if err != nil {
		return err
	}
	exchange := phoneExchange{app: holder.app, store: holder.store, user: holder.user, proof: phoneProof{encrypted: sent}}
	data, err := holder.site.logins.decryptData(context.WithoutCancel(r.Context()), exchange)
	if err != nil {
		return err
	}
	writeBytes(w, http.StatusOK, data)
	return nil
}

// token answers GET token: the access token, for programs that call WeChat themselves.
func (o *operations) token(w http.ResponseWriter, r *http.Request) error {
	app, err := o.appNamed(r.URL.Query()["appid"])
	if err != nil {
		return err
	}
	value, life, err := app.client.AccessToken(r.Context())
	app.note(wechat.OpToken, err, o.failures.logger)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"` // seconds
	}{value, int64(life / time.Second)})
	return nil
}

// readTexts reads a body that has just these fields, all of them strings.
func readTexts(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	f, err := readFields(w, r)
	if err != nil {
		return nil, err
	}
	if err := f.only(names...); err != nil {
		return nil, err
	}
	return f.texts(names...)
}

// keyHolder finds the user that a request names.
func (o *operations) keyHolder(ctx context.Context, text map[string]string) (h keyHolder, err error) {
	if h.app, err = o.appNamed([]string{text["appid"]}); err != nil {
		return h, err
	}
	if h.site = o.siteWithKeys(h.app.id); h.site == nil {
		return h, errNoKeys
	}
	id, err := o.user(h.app.id, text["openid"])
	if err != nil {
		return h, err
	}
	if err := h.site.service.keyUses.allow(id.AppID+"/"+id.OpenID, o.now()); err != nil {
		return h, err
	}
	store, account, err := o.known(ctx, id)
	if err != nil {
		return h, err
	}
	if account.User.UserID != id { // only a ban is left
		return h, errNoUser
	}
	h.store, h.user = store, account.User
	return h, nil
}

// siteWithKeys returns a site that keeps the session_keys of a mini program, nil if none does.
func (o *operations) siteWithKeys(appID string) *Site {
	for _, s := range o.sites {
		if s.service != nil && s.profiles.apps[appID] != nil {
			return s
		}
	}
	return nil
}

// appNamed returns a mini program of one of the sites.
func (o *operations) appNamed(values []string) (*App, error) {
	all := Apps{}
	for _, s := range o.sites {
		for id, app := range s.profiles.apps {
			if all[id] == nil || s.service != nil {
				all[id] = app
			}
		}
	}
	return all.named(values)
}
