// What the operator can do: the routes, and the choice of store and user.

package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

var errNoUser = entry(404, "not_found", "there is no such user")

// Operations answers the operator of sites at work. Who may ask is decided before.
type Operations struct{ stores []*operations }

// operations are those on one store, for all sites that share it.
type operations struct {
	name     string // among the stores
	store    *StoreHandle
	sites    []*Site
	confined bool // to the mini programs of the sites, and to what may be on the network
	failures failures
}

// NewOperations returns the operations on the stores of some sites.
func NewOperations(sites []*Site) *Operations {
	byID := map[string]*operations{}
	for _, s := range sites {
		o, ok := byID[s.store.id]
		if !ok {
			o = &operations{store: s.store, failures: s.failures}
			byID[s.store.id] = o
		}
		o.sites = append(o.sites, s)
	}
	all, kinds := &Operations{}, map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(byID)) { // so that a store keeps its name
		o := byID[id]
		kinds[o.store.kind]++
		o.name = o.store.kind
		if n := kinds[o.name]; n > 1 {
			o.name = fmt.Sprintf("%s-%d", o.name, n)
		}
		all.stores = append(all.stores, o)
	}
	return all
}

// ServeHTTP answers a request whose path begins with the name of an operation.
func (all *Operations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // what can't be read would be left out, and a filter with it
		err = invalidRequest("the query is malformed: percent-encode its values")
	}
	var o *operations
	if err == nil {
		o, err = all.choose(query.Get("store"))
	}
	if err != nil {
		asError(err).Write(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	release, err := o.store.retain()
	if err == nil {
		defer release()
		err = o.serve(w, r)
	}
	if err != nil {
		o.failures.write(w, err)
	}
}

func (all *Operations) choose(name string) (*operations, error) {
	var names []string
	for _, o := range all.stores {
		if name != "" && o.name == name || name == "" && len(all.stores) == 1 {
			return o, nil
		}
		names = append(names, o.name)
	}
	switch {
	case len(names) == 0:
		return nil, withDescription(errNotFound, "no site with wechat_auth is at work here")
	case name == "":
		return nil, invalidRequest("there are several stores, choose one by store: " + strings.Join(names, ", "))
	}
	return nil, withDescription(errNotFound, "there is no such store, choose one of "+strings.Join(names, ", "))
}

func withDescription(entry *Error, description string) *Error {
	e := *entry
	e.Description = description
	return &e
}

// serve finds the route.
func (o *operations) serve(w http.ResponseWriter, r *http.Request) error {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 3 || parts[0] != "users" {
		name := strings.Join(parts, "/")
		rt, ok := o.routes()[name]
		if !ok || !o.onNetwork(name) {
			return errNotFound
		}
		if err := checkQuery(r, name); err != nil {
			return err
		}
		return rt.serve(w, r)
	}
	id, err := o.user(parts[1], parts[2])
	if err != nil {
		return err
	}
	name := strings.Join(parts[3:], "/")
	methods, ok := o.userRoutes(id)[name]
	if !ok {
		return errNotFound
	}
	handle := methods[r.Method]
	if handle == nil {
		return methodNotAllowed(slices.Sorted(maps.Keys(methods))...)
	}
	if err := checkQuery(r, "user/"+name); err != nil {
		return err
	}
	return handle(w, r)
}

type operation = func(http.ResponseWriter, *http.Request) error

func (o *operations) routes() map[string]route {
	return map[string]route{
		"status": {[]string{http.MethodGet}, o.status},
		"users": {[]string{http.MethodGet, http.MethodPost}, func(w http.ResponseWriter, r *http.Request) error {
			if r.Method == http.MethodPost {
				return o.importUsers(w, r)
			}
			return o.list(w, r)
		}},
		"backup":      {[]string{http.MethodPost}, o.backup},
		"keys/rotate": {[]string{http.MethodPost}, o.rotate},
		"pushes":      {[]string{http.MethodGet, http.MethodPost}, o.pushes},
		"sign":        {[]string{http.MethodPost}, o.sign},
		"decrypt":     {[]string{http.MethodPost}, o.decrypt},
		"token":       {[]string{http.MethodGet}, o.token},
	}
}

func (o *operations) userRoutes(id session.UserID) map[string]map[string]operation {
	of := func(do func(http.ResponseWriter, *http.Request, session.UserID) error) operation {
		return func(w http.ResponseWriter, r *http.Request) error { return do(w, r, id) }
	}
	return map[string]map[string]operation{
		"":       {http.MethodGet: of(o.show), http.MethodDelete: of(o.erase)},
		"logout": {http.MethodPost: of(o.logout)},
		"ban":    {http.MethodPut: of(o.ban), http.MethodDelete: of(o.unban)},
		"export": {http.MethodGet: of(o.export)},
	}
}

// user reads the name of a user. An app of "-" is the only one.
func (o *operations) user(app, openID string) (id session.UserID, err error) {
	if id.AppID, err = o.app(app); err != nil {
		return id, err
	}
	if !wechat.ValidUserID(openID) {
		return id, errNoUser
	}
	id.OpenID = openID
	return id, nil
}

func (o *operations) app(name string) (string, error) {
	all := o.apps()
	switch {
	case name == "-" && len(all) == 1:
		return all[0], nil
	case name == "-":
		return "", invalidRequest("there are several mini programs, name one: " + strings.Join(all, ", "))
	case !slices.Contains(all, name):
		return "", withDescription(errNotFound, "no such mini program is configured")
	}
	return name, nil
}

// apps returns the appids of all sites.
func (o *operations) apps() (all []string) {
	for _, s := range o.sites {
		all = append(all, s.profiles.apps.IDs()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// known returns the account of a user who is known, or banned, or whose erasure is not through.
func (o *operations) known(ctx context.Context, id session.UserID) (session.Store, session.Account, error) {
	store, err := o.store.get()
	if err != nil {
		return nil, session.Account{}, err
	}
	account, err := store.Account(ctx, id.Tag())
	if err == nil && account.User.UserID == (session.UserID{}) && account.Ban == nil && len(account.Sessions) == 0 {
		err = errNoUser
	}
	return store, account, err
}

// shown returns the account of a user who is known or banned. Of one whose erasure is not through there is
// nothing to see.
func (o *operations) shown(ctx context.Context, id session.UserID) (session.Account, error) {
	_, account, err := o.known(ctx, id)
	if err == nil && account.User.UserID == (session.UserID{}) && account.Ban == nil {
		err = errNoUser
	}
	return account, err
}

func (o *operations) now() time.Time { return o.sites[0].profiles.now() }

// ending is the end of sessions now. An account is kept as long as the most patient site wants.
func (o *operations) ending() session.Ending {
	p := slices.MaxFunc(o.sites, func(a, b *Site) int {
		return cmp.Compare(a.profiles.policy.Lifetime, b.profiles.policy.Lifetime)
	}).profiles.policy
	return o.store.ending(o.now(), p, "")
}

// changed logs and publishes a change of a user.
func (o *operations) changed(event string, id session.UserID) {
	o.sites[0].profiles.journal.happened(event, id.AppID, id.Tag(), slog.String("by", "operator"))
}

// parameters are those of the routes that take any besides store.
var parameters = map[string][]string{
	"GET users": {"appid", "phone", "openid", "unionid", "limit", "after", "phones"},
	"GET user/": {"phones"},
	"GET token": {"appid"},
}

// checkQuery refuses a parameter that would be ignored: a typing error in a filter lists everybody.
func checkQuery(r *http.Request, route string) error {
	known := parameters[r.Method+" "+route]
	for name, values := range r.URL.Query() {
		switch {
		case name != "store" && !slices.Contains(known, name) || len(values) > 1 || values[0] == "":
			return invalidRequest("the query may have once each, and not empty: " + strings.Join(append(slices.Clone(known), "store"), ", "))
		case name == "phones" && values[0] != "full":
			return invalidRequest("phones must be full, or left out")
		}
	}
	return nil
}
