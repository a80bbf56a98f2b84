// The route of WeChat's message push.

package sidecar

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	pushPath = "/push/"

	// pushTime bounds the time in which the body of a push has to come: WeChat waits five seconds and
	// then pushes again.
	pushTime = 4500 * time.Millisecond

	// pushWork bounds the time in which it is dealt with. A step of the store that has begun then may
	// take two seconds more.
	pushWork = 2500 * time.Millisecond

	// pushMemory is the time for which a push is remembered, so that a repeat does nothing.
	pushMemory = 24 * time.Hour

	// consentMemory is the same for events about a user's authorization. Somebody may have a copy
	// of one, and an old copy must not take away what the user has given since.
	consentMemory = session.UserLife
)

// errPush is the answer to everything that is not proven to be WeChat's push. That it is one answer
// matters: see wechat.ErrPush.
var errPush = withDescription(errTokenInvalid, "this is no push of WeChat's for this mini program")

// PushConfig is the message push of one mini program.
type PushConfig struct {
	wechat.PushConfig

	Forward string // the backend's path that gets every push; "": none
}

// pushes answers the route of the message push.
type pushes struct {
	prefix   string
	apps     map[string]*pushedApp
	forward  *forwarder // nil: nowhere
	store    *StoreHandle
	policy   session.Policy
	pictures *pictures
	count    Count
	now      func() time.Time
	log      *slog.Logger
	journal  journal
}

// pushedApp is a mini program whose pushes are taken.
type pushedApp struct {
	*wechat.PushReceiver

	id   string
	told sync.Map // by error: why a push was refused, until one is taken
}

// newPushes returns nil where no mini program has a push.
func newPushes(cfg Config, deps Deps, p *pictures) (*pushes, error) {
	if len(cfg.Push) == 0 {
		return nil, nil
	}
	all := &pushes{
		prefix: cfg.BasePath + pushPath, apps: map[string]*pushedApp{}, store: deps.Store, policy: cfg.Session, pictures: p,
		count: deps.Count, now: deps.Now, log: deps.Logger, journal: journal{deps.Logger, deps.Server},
	}
	var err error
	if all.forward, err = newForwarder(cfg, deps); err != nil {
		return nil, err
	}
	for id, push := range cfg.Push {
		receiver, err := wechat.NewPushReceiver(push.PushConfig)
		if err != nil {
			return nil, err
		}
		all.apps[id] = &pushedApp{PushReceiver: receiver, id: id}
	}
	return all, nil
}

// see keeps what stands behind the site, for what goes on to the backend.
func (p *pushes) see(r *http.Request, next Handler) {
	if p != nil {
		p.forward.see(r, next)
	}
}

// push answers GET and POST push/{appid}.
func (p *pushes) push(w http.ResponseWriter, r *http.Request) error {
	raw, _ := rawPath(r.URL)
	app := p.apps[strings.TrimPrefix(raw, p.prefix)]
	if app == nil {
		return errNotFound
	}
	if r.Method == http.MethodGet {
		echo, err := app.Echo(r.URL.Query())
		if err != nil {
			return p.refused(app, err)
		}
		writeText(w, echo)
		return nil
	}
	result, err := p.take(w, r, app)
	p.count(Pushes, app.id, result)
	if err != nil {
		return err
	}
	writeText(w, "success")
	return nil
}

// take deals with a push, and returns what it is counted as.
func (p *pushes) take(w http.ResponseWriter, r *http.Request, app *pushedApp) (string, error) {
	body, end, err := readPushBody(w, r)
	if err != nil {
		return result(err), err
	}
	defer end()
	push, err := app.Open(r.URL.Query(), body)
	switch {
	case errors.Is(err, wechat.ErrUnreadablePush):
		// To refuse it would have WeChat push it again, and in the end switch the address off.
		p.log.Warn("a push of WeChat's is neither JSON nor XML, it is dropped", "appid", app.id)
		return "unreadable", nil
	case err != nil:
		err = p.refused(app, err)
		return result(err), err
	}
	app.told.Clear()
	// WeChat may hang up, and would push it again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), pushWork)
	defer cancel()
	repeated, err := p.once(ctx, app, push, r.Host)
	if repeated {
		return "repeated", nil
	}
	return result(err), err
}

// largePushes has a place for each body above maxBody that is under way at any site: whoever sends
// them has proven nothing so far. Nearly all that WeChat pushes is smaller, and needs none.
var largePushes = make(chan struct{}, 32)

// readPushBody reads a body of at most wechat.MaxPush bytes, in the time that WeChat gives. The body
// is in use until end is called.
func readPushBody(w http.ResponseWriter, r *http.Request) (body []byte, end func(), err error) {
	if r.ContentLength > wechat.MaxPush {
		return nil, nil, errTooLarge
	}
	end = func() {}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(pushTime)) // not every server can
	defer func() { _ = deadline.SetReadDeadline(time.Time{}) }()
	limited := http.MaxBytesReader(w, r.Body, wechat.MaxPush)
	body, err = io.ReadAll(io.LimitReader(limited, maxBody))
	if err == nil && len(body) == maxBody {
		select {
		case largePushes <- struct{}{}:
			end = sync.OnceFunc(func() { <-largePushes })
		default:
			return nil, nil, errRateLimited
		}
		var rest []byte
		rest, err = io.ReadAll(limited)
		body = append(body, rest...)
	}
	if err == nil {
		return body, end, nil
	}
	end()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, nil, errTooLarge
	}
	return nil, nil, invalidRequest("the body broke off")
}

// refused logs why a push is refused, once until one is taken: who knows no secret must not fill
// the log.
func (p *pushes) refused(app *pushedApp, err error) error {
	why := "its signature is not right: either the Token in WeChat's console is another than token here, or somebody else sent it"
	switch {
	case errors.Is(err, wechat.ErrPlainPush):
		why = "it is not encrypted: choose 安全模式 (security mode) for the message push in WeChat's console"
	case errors.Is(err, wechat.ErrPlatformPush):
		why = "it was encrypted for another AppID, as those for a third-party platform (第三方平台) are: this address takes the mini program's own"
	case errors.Is(err, wechat.ErrSealedPush):
		why = "its signature is right, but aes_key does not open it: it must be the EncodingAESKey in WeChat's console"
	}
	if _, told := app.told.LoadOrStore(why, true); !told {
		p.log.Warn("a push is refused", "appid", app.id, "why", why)
	}
	return errPush
}

// once deals with a push that did not come before, on any node, and reports whether it did.
func (p *pushes) once(ctx context.Context, app *pushedApp, push wechat.Push, host string) (repeated bool, err error) {
	store, err := p.store.get()
	if err != nil {
		return false, err
	}
	now, concerns := p.now(), push.Concerns(app.id)
	seen := session.Replay{Key: sha256.Sum256([]byte("push\x00" + app.id + "\x00" + push.Identity())), Value: []byte{1}, Until: now.Add(pushMemory)}
	if concerns {
		seen.Until = now.Add(consentMemory)
	}
	kept, err := store.Replay(ctx, seen.Key, now)
	if err != nil || kept != nil {
		return kept != nil, err
	}
	if concerns {
		if err := p.act(ctx, store, app, push); err != nil {
			return false, err
		}
	}
	send := func(context.Context) {}
	if p.forward != nil && p.forward.targets[app.id] != nil {
		if send, err = p.forward.add(ctx, store, app, push, host, seen.Key); err != nil {
			return false, err
		}
	}
	if err := store.PutReplay(ctx, seen, now); err != nil {
		return false, err
	}
	p.journal.happened(EventPush, app.id, userOfPush(app, push), slog.String("kind", push.Kind()))
	send(ctx)
	return false, nil
}

func userOfPush(app *pushedApp, push wechat.Push) (tag session.Tag) {
	if openid := push.OpenID(); openid != "" {
		tag = session.UserID{AppID: app.id, OpenID: openid}.Tag()
	}
	return tag
}

func writeText(w http.ResponseWriter, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) //nolint:gosec // the echo is plain text, and no browser takes it for more
}
