// What the operator sees of users.

package sidecar

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// listedUser is a user as the operator sees one.
type listedUser struct {
	AppID         string       `json:"appid"`
	OpenID        string       `json:"openid"`
	UnionID       string       `json:"unionid,omitempty"`
	Phone         string       `json:"phone,omitempty"`
	PhoneNumber   string       `json:"phone_number,omitempty"`
	PhoneVerified time.Time    `json:"verified_at,omitzero"`
	Nickname      string       `json:"nickname,omitempty"`
	Avatar        string       `json:"avatar,omitempty"`
	FirstSeen     time.Time    `json:"first_seen,omitzero"`
	LastLogin     time.Time    `json:"last_login,omitzero"`
	Sessions      int          `json:"sessions"` // that are live
	Ban           *session.Ban `json:"ban,omitempty"`
}

// listedSession is a session as the operator sees one.
type listedSession struct {
	SID     session.SID     `json:"sid"`
	Site    string          `json:"site,omitempty"` // the issuer of its tokens
	Created time.Time       `json:"created"`
	LastUse time.Time       `json:"last_use"`
	Ends    time.Time       `json:"ends,omitzero"` // unless it is used
	Claims  json.RawMessage `json:"claims,omitempty"`
}

// list answers GET users.
func (o *operations) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	q := session.UserQuery{
		AppID: query.Get("appid"), Phone: query.Get("phone"), UnionID: query.Get("unionid"), After: query.Get("after"),
	}
	if q.Phone != "" && !importedPhone.MatchString(q.Phone) {
		return invalidRequest("phone must be a whole number, such as 13800138000 or +85291234567")
	}
	if text := query.Get("limit"); text != "" {
		var err error
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > session.MaxPage {
			return invalidRequest("limit must be from 1 to " + strconv.Itoa(session.MaxPage))
		}
	}
	page, err := o.page(r, q, query.Get("openid"))
	if errors.Is(err, session.ErrCursor) {
		return invalidRequest("after is not the next of a page from this store")
	}
	if err != nil {
		return err
	}
	answer := struct {
		Users []listedUser `json:"users"`
		Next  string       `json:"next,omitempty"`
	}{make([]listedUser, 0, len(page.Accounts)), page.Next}
	for i := range page.Accounts {
		answer.Users = append(answer.Users, o.listed(page.Accounts[i], query))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// page asks the store. An openid names one user of each mini program.
func (o *operations) page(r *http.Request, q session.UserQuery, openID string) (page session.UserPage, err error) {
	store, err := o.store.get()
	if err != nil {
		return page, err
	}
	apps := o.apps()
	if o.confined && q.AppID == "" && len(apps) == 1 {
		q.AppID = apps[0]
	}
	if o.confined && q.AppID != "" && !slices.Contains(apps, q.AppID) {
		return page, nil
	}
	if openID == "" {
		if page, err = store.Users(r.Context(), q); o.confined {
			page.Accounts = slices.DeleteFunc(page.Accounts, func(a session.Account) bool { return !slices.Contains(apps, a.User.AppID) })
		}
		return page, err
	}
	for _, app := range apps {
		account, err := store.Account(r.Context(), session.UserID{AppID: app, OpenID: openID}.Tag())
		if err != nil {
			return page, err
		}
		if q.Matches(&account) {
			page.Accounts = append(page.Accounts, account)
		}
	}
	return page, nil
}

// show answers GET users/{app}/{openid}.
func (o *operations) show(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	account, err := o.shown(r.Context(), id)
	if err != nil {
		return err
	}
	account.User.UserID = id // an erased user who is banned has none
	writeJSON(w, http.StatusOK, struct {
		User     listedUser      `json:"user"`
		Sessions []listedSession `json:"sessions"`
	}{o.listed(account, r.URL.Query()), o.live(account)})
	return nil
}

// listed is an account for the operator, with the phone masked unless the query asks for it.
func (o *operations) listed(a session.Account, query url.Values) listedUser {
	u := a.User
	listed := listedUser{
		AppID: u.AppID, OpenID: u.OpenID, UnionID: u.UnionID, Phone: u.Phone, PhoneNumber: u.PhoneNumber,
		PhoneVerified: u.PhoneVerified, Nickname: u.Nickname, FirstSeen: u.FirstSeen, LastLogin: a.LastLogin,
		Sessions: len(o.live(a)),
	}
	if u.Avatar != "" {
		listed.Avatar = o.sites[0].base + "/avatar/" + u.Avatar + avatarExt
	}
	if a.Ban.Holds(o.now()) {
		listed.Ban = a.Ban
	}
	if query.Get("phones") != "full" {
		listed.Phone, listed.PhoneNumber = masked(u.Phone), masked(u.PhoneNumber)
	}
	return listed
}

// masked leaves of a phone what two people need to agree that they mean the same.
func masked(phone string) string {
	const end = 4
	if len(phone) <= 2*end {
		return strings.Repeat("*", len(phone))
	}
	begin := max(len(phone)-2*end, 0)
	return phone[:begin] + "****" + phone[len(phone)-end:]
}

// live returns the sessions that go on.
func (o *operations) live(a session.Account) []listedSession {
	all := []listedSession{}
	for _, s := range a.Sessions {
		listed := listedSession{SID: s.SID, Created: s.Created, LastUse: s.LastUse, Claims: s.Claims}
		if site := o.siteOf(s.SID); site != nil {
			listed.Site, listed.Ends = site.tokens.issuer.Name, s.Ends(site.profiles.policy)
		}
		if s.Ended == session.Unknown && (listed.Ends.IsZero() || o.now().Before(listed.Ends)) {
			all = append(all, listed)
		}
	}
	return all
}

// siteOf returns the site that made a session, nil if it is configured no more.
func (o *operations) siteOf(sid session.SID) *Site {
	_, mark, _ := sid.Parse()
	for _, s := range o.sites {
		if s.tokens.mark == mark {
			return s
		}
	}
	return nil
}

// exported is everything stored about a user. WeChat's session_key is a secret between WeChat and
// the mini program's owner, so only its time is there.
type exported struct {
	session.User

	Key         *struct{} `json:"key,omitempty"`
	PreviousKey *struct{} `json:"previous_key,omitempty"`

	LastLogin time.Time         `json:"last_login,omitzero"`
	Ban       *session.Ban      `json:"ban,omitempty"`
	Sessions  []exportedSession `json:"sessions"`
	Picture   []byte            `json:"avatar_jpeg,omitempty"`
}

type exportedSession struct {
	listedSession

	TokensUntil time.Time `json:"tokens_until"`
}

// export answers GET users/{app}/{openid}/export.
func (o *operations) export(w http.ResponseWriter, r *http.Request, id session.UserID) error {
	account, err := o.shown(r.Context(), id)
	if err != nil {
		return err
	}
	account.User.UserID = id
	all := exported{User: account.User, LastLogin: account.LastLogin, Ban: account.Ban, Sessions: []exportedSession{}}
	for _, s := range account.Sessions {
		e := exportedSession{listedSession{SID: s.SID, Created: s.Created, LastUse: s.LastUse, Claims: s.Claims}, s.TokensUntil}
		if site := o.siteOf(s.SID); site != nil {
			e.Site, e.Ends = site.tokens.issuer.Name, s.Ends(site.profiles.policy)
		}
		all.Sessions = append(all.Sessions, e)
	}
	if hash := account.User.Avatar; hash != "" {
		all.Picture, err = o.sites[0].profiles.pictures.get(r.Context(), hash)
		if err != nil && !errors.Is(err, errNoPicture) {
			return err
		}
	}
	writeJSON(w, http.StatusOK, all)
	return nil
}
