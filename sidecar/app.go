// The mini programs of a site.

package sidecar

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// exchangeCalls bounds an exchange that goes on after its client has left, in call timeouts: WeChat
// may be asked for an access token, a session, a risk rank and a phone, each twice.
const exchangeCalls = 8

// App is one mini program at work. Sites that serve the same app in the same way share it, so they
// share its access token and never spend a code twice.
type App struct {
	refCount

	id        string
	timeout   time.Duration
	client    *wechat.Client
	seal      *keySeal
	exchanges singleflight.Group
	proven    provenPhones

	// complained has, by call, the errcode the operator was told about last: a broken configuration
	// fails every request, and one line says it.
	complained sync.Map

	log     *slog.Logger
	outages sync.Map // by call

	riskOff atomic.Bool // WeChat gives the app no risk ranks

	transient atomic.Pointer[transientFailure] // why the last call failed, by itself; nil: it did not
}

// transientFailure is a failure that passes by itself.
type transientFailure struct {
	class wechat.Class
	at    time.Time
}

// transientLife bounds the age of a failure that says something about the present.
const transientLife = time.Minute

// NewApp returns an app at work. It calls closed when the app is closed and its last exchange has
// ended.
func NewApp(cfg wechat.Config, closed func()) (*App, error) {
	client, err := wechat.New(cfg)
	if err != nil {
		return nil, err
	}
	seal, err := newKeySeal(cfg.Secret)
	if err != nil {
		return nil, err
	}
	a := &App{id: cfg.AppID, timeout: cfg.Timeout, client: client, seal: seal, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}
	a.onLast = func() {
		client.Close()
		closed()
	}
	return a, nil
}

// TokenAge returns the age of the access token, and false if there is none.
func (a *App) TokenAge() (time.Duration, bool) { return a.client.TokenAge() }

// degradation returns a sentence about what keeps WeChat from answering, "" if nothing does.
func (a *App) degradation() string {
	for range a.complained.Range {
		return "WeChat refuses the configuration of a mini program; the log has the reason"
	}
	transient := a.transient.Load()
	switch {
	case transient == nil || time.Since(transient.at) > transientLife:
		return ""
	case transient.class == wechat.ClassQuota:
		return "WeChat's quota of a mini program is used up"
	}
	return "WeChat does not answer as it should"
}

// Apps are the mini programs of a site by appid.
type Apps map[string]*App

// IDs returns the appids in order.
func (all Apps) IDs() []string { return slices.Sorted(maps.Keys(all)) }

// of decides which mini program a login is for: the one it names, else the one WeChat's client
// names in the Referer, else the only one. The Referer can be forged, so it only ever chooses; the
// code must still belong to the app.
func (all Apps) of(named string, r *http.Request) (*App, error) {
	if named != "" {
		if a := all[named]; a != nil {
			return a, nil
		}
		return nil, invalidRequest("appid is not one of this site's mini programs")
	}
	if a := all[refererAppID(r.Referer())]; a != nil {
		return a, nil
	}
	if len(all) == 1 {
		for _, a := range all {
			return a, nil
		}
	}
	return nil, invalidRequest("this site serves several mini programs: send appid")
}

// refererAppID reads https://servicewechat.com/{appid}/{version}/page-frame.html.
func refererAppID(referer string) string {
	u, err := url.Parse(referer)
	if err != nil || u.Scheme != "https" || u.Host != "servicewechat.com" {
		return ""
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return id
}

// outage returns that of a call.
func (a *App) outage(call string) *outage {
	o, ok := a.outages.Load(call)
	if !ok {
		o, _ = a.outages.LoadOrStore(call, &outage{what: "WeChat", log: a.log.With("call", call), now: time.Now, settle: settled})
	}
	return o.(*outage)
}

// wechatFailure is a failure without what differs between two of a kind.
type wechatFailure struct{ err *wechat.Error }

func (f wechatFailure) Error() string { return f.err.Error() }

// Reason returns the text without the rid, which no two calls share.
func (f wechatFailure) Reason() string {
	e := *f.err
	e.RID = ""
	return e.Error()
}

// note logs how a call went wrong. A broken configuration fails every request, so it is told once.
func (a *App) note(call string, err error, log *slog.Logger) {
	we := new(wechat.Error)
	if err == nil {
		a.works(call)
		return
	}
	if !errors.As(err, &we) {
		return
	}
	if errors.Is(err, context.Canceled) { // the client left
		return
	}
	switch we.Class {
	case wechat.ClassConfig:
		if told, _ := a.complained.Swap(call, we.Code); told != we.Code {
			log.Error("WeChat refuses this configuration, the operator must act", "appid", a.id, "error", err)
		}
	case wechat.ClassQuota, wechat.ClassBusy, wechat.ClassToken, wechat.ClassUnavailable, wechat.ClassBadAnswer:
		a.transient.Store(&transientFailure{we.Class, time.Now()})
		a.outage(call).failed(call, wechatFailure{we})
	default: // WeChat is well, and says something about the user
		a.works(call)
	}
}

// works notes that WeChat answers a call as it should.
func (a *App) works(call string) {
	a.complained.Delete(call)
	a.transient.Store(nil)
	a.outage(call).works(call)
}
