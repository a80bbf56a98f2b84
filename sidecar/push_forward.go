// What WeChat pushed, on its way to the backend.

package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// forwardTime is the time that a backend has for a push.
	forwardTime = 4 * time.Second

	// forwardLease is longer: nobody else tries meanwhile.
	forwardLease = 10 * time.Second

	// forwardLife is the time for which a push is tried, and forwardTries how often at least, which
	// takes two hours: a node whose clock is a day ahead must not give up at once what all have.
	forwardLife  = 24 * time.Hour
	forwardTries = 20

	// The pause after the first failure, and the longest: each is twice the one before.
	firstPause = 2 * time.Second
	maxPause   = 10 * time.Minute

	// forwardPoll is the time between two looks into the queue, forwardFailures how many pushes may
	// fail in one of them: a backend that is away costs little.
	forwardPoll     = time.Second
	forwardFailures = 10
)

// forwardRoom bounds a queue: users can write to the customer service as they like, and each has
// room for a few.
var forwardRoom = session.PushRoom{Pushes: 10_000, Bytes: 64 << 20, Line: 100}

var errPushesFull = withDescription(errRateLimited, "too many pushes wait for the backend")

// forwarder passes pushes on through the handlers behind the site. A push is in the store before
// WeChat gets its answer, and leaves it when the backend has answered with success.
type forwarder struct {
	targets map[string]*pushTarget // by appid
	store   *StoreHandle
	server  Server
	count   Count
	now     func() time.Time
	log     *slog.Logger
	outage  outage

	behind atomic.Pointer[behind] // nil until it is known
	wake   chan struct{}
	start  func()
	stop   context.CancelFunc

	mu     sync.Mutex // guards what follows
	closed bool
}

// pushTarget is the backend's path for the pushes of one mini program.
type pushTarget struct {
	appID string
	path  string
	queue session.Digest
}

// behind is the handler after the site, and the preparation of a request for it.
type behind struct {
	next    Handler
	prepare func(http.ResponseWriter, *http.Request) *http.Request
}

// letter is a push in the store.
type letter struct {
	Host    string          `json:"host"`
	OpenID  string          `json:"openid,omitempty"`
	Message json.RawMessage `json:"message"`
}

// newForwarder returns nil where no push goes on.
func newForwarder(cfg Config, deps Deps) (*forwarder, error) {
	f := &forwarder{
		targets: map[string]*pushTarget{}, store: deps.Store, server: deps.Server, count: deps.Count, now: deps.Now, log: deps.Logger,
		wake:   make(chan struct{}, 1),
		outage: outage{what: "forwarding of pushes", log: deps.Logger, now: deps.Now},
	}
	for id, push := range cfg.Push {
		if push.Forward == "" {
			continue
		}
		if err := checkForward(cfg.BasePath, push.Forward); err != nil {
			return nil, err
		}
		// Not of the path: what waits follows a backend that moves.
		queue := digestOf("push queue", []any{cfg.BasePath, id})
		f.targets[id] = &pushTarget{id, push.Forward, queue}
	}
	if len(f.targets) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.start, f.stop = func() { go f.store.keep(ctx, f.run) }, cancel
	return f, nil
}

func checkForward(base, path string) error {
	below := path == base || strings.HasPrefix(path, base+"/")
	if !isCanonical(path) || escapeNonASCII(path) != path || strings.ContainsAny(path, "?#%*") || below {
		return fmt.Errorf("push forward %s: write a plain path of the backend such as /wechat/push, outside of %s", path, base)
	}
	return nil
}

// see takes from a request what stands behind the site, where that is not known.
func (f *forwarder) see(r *http.Request, next Handler) {
	if f != nil && f.behind.Load() == nil {
		f.begin(&behind{next, f.server.Internal(r)})
	}
}

// begin begins to look into the queue.
func (f *forwarder) begin(b *behind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.behind.Load() != nil {
		return
	}
	f.behind.Store(b)
	f.start()
}

// close ends the look into the queue. What is on its way to the backend goes on.
func (f *forwarder) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.stop()
}

// run forwards what is due until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.drain(ctx)
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-time.After(forwardPoll):
		}
	}
}

// hurry has the queue looked into now.
func (f *forwarder) hurry() {
	select {
	case f.wake <- struct{}{}:
	default: // it is about to be
	}
}

func (f *forwarder) drain(ctx context.Context) {
	release, err := f.store.retain() // also for what goes on when ctx ends
	if err != nil {
		return
	}
	defer release()
	store, err := f.store.get()
	if err != nil {
		return
	}
	for _, target := range f.targets {
		for failures := 0; failures < forwardFailures && ctx.Err() == nil; {
			now := f.now()
			p, err := store.TakePush(ctx, target.queue, now.Add(forwardLease), now)
			if err != nil || p == nil { // who logs in notices that the store is away, and logs it
				break
			}
			if !f.forward(context.WithoutCancel(ctx), store, target, *p) {
				failures++
			}
		}
	}
}

// add puts a push into the queue. The first of its user is tried at once.
func (f *forwarder) add(ctx context.Context, store session.Store, app *pushedApp, push wechat.Push, host string, id session.Digest) (send func(context.Context), err error) {
	target := f.targets[app.id]
	message, err := push.MarshalJSON()
	if err != nil {
		return nil, err
	}
	openid := push.OpenID()
	body, err := json.Marshal(letter{host, openid, message})
	if err != nil {
		return nil, err
	}
	now := f.now()
	p := session.Push{
		Queue: target.queue, Line: sha256.Sum256([]byte("push line\x00" + openid)), ID: id, Label: push.Kind(), Body: body,
		Since: now, Until: now.Add(forwardLife),
	}
	place, err := store.AddPush(ctx, &p, forwardRoom, now.Add(forwardLease), now)
	switch {
	case err != nil:
		return nil, err
	case place == session.PushFull:
		f.outage.failed("add", errPushesFull)
		return nil, errPushesFull
	case place == session.PushWaits:
		f.hurry()
	}
	f.outage.works("add")
	if place != session.PushTaken {
		return func(context.Context) {}, nil
	}
	return func(ctx context.Context) { f.try(ctx, store, target, p) }, nil
}

// try forwards a push, and returns when it is done or ctx ends: what becomes of it is written to the
// store, which may be slow, and WeChat waits.
func (f *forwarder) try(ctx context.Context, store session.Store, target *pushTarget, p session.Push) {
	release, err := f.store.retain()
	if err != nil { // the push is due again when its lease is over
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer release()
		if err := recovered(func() { f.forward(context.WithoutCancel(ctx), store, target, p) }); err != nil {
			f.count(InternalErrors)
			f.log.Error("unexpected error", "error", err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// forward gives the backend a push that was taken, and reports whether it is done with.
func (f *forwarder) forward(ctx context.Context, store session.Store, target *pushTarget, p session.Push) bool {
	err := f.send(ctx, target, p.Body)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwardTime)
	defer cancel()
	if err == nil {
		f.outage.works("forward")
		f.count(Pushes, target.appID, "forwarded")
		_ = store.EndPush(ctx, p, f.now()) // else it is sent again when the lease is over
		return true
	}
	f.outage.failed("forward", err)
	// Only now: perhaps no node ran for a day.
	if now := f.now(); now.After(p.Until) && p.Tries >= forwardTries {
		f.log.Error("a push is given up: the backend did not take it for a day", "appid", target.appID, "kind", p.Label, "tries", p.Tries)
		f.count(Pushes, target.appID, "dropped")
		_ = store.EndPush(ctx, p, now) // else somebody drops it later
		return true
	}
	f.count(Pushes, target.appID, "delayed")
	_ = store.DelayPush(ctx, p, f.now().Add(pauseAfter(p.Tries))) // likewise
	return false
}

func pauseAfter(tries int) time.Duration {
	pause := firstPause
	for range min(tries, 32) - 1 {
		pause = min(2*pause, maxPause)
	}
	return pause
}

var errNotForwarded = errors.New("the backend did not answer with success")

// send makes a request of the handlers behind the site, in place of a client. A handler that pays
// no attention to the context is left alone when the time is over.
func (f *forwarder) send(ctx context.Context, target *pushTarget, body []byte) error {
	var l letter
	if err := json.Unmarshal(body, &l); err != nil {
		return errNotForwarded
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	behind, done := f.behind.Load(), make(chan error, 1)
	go func() {
		w := &statusWriter{header: http.Header{}}
		err := recovered(func() { w.err = behind.next.ServeHTTP(w, behind.prepare(w, target.request(ctx, l))) })
		done <- errors.Join(err, w.failure())
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w in time", errNotForwarded)
	}
}

func (t *pushTarget) request(ctx context.Context, l letter) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: t.path}, RequestURI: t.path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":   {"application/json; charset=utf-8"},
			"Content-Length": {strconv.Itoa(len(l.Message))},
			"X-Wx-Source":    {"wx_push"},
			"X-Wx-Appid":     {t.appID},
		},
		Body: io.NopCloser(bytes.NewReader(l.Message)), ContentLength: int64(len(l.Message)),
		Host: l.Host, RemoteAddr: "127.0.0.1:0",
	}
	if l.OpenID != "" {
		r.Header["X-Wx-Openid"] = []string{l.OpenID}
	}
	return r.WithContext(ctx)
}

// statusWriter keeps the status of an answer, and nothing else of it.
type statusWriter struct {
	header http.Header
	status int
	err    error // of the handlers
}

// Header implements http.ResponseWriter.
func (w *statusWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// Flush implements http.Flusher.
func (w *statusWriter) Flush() { w.WriteHeader(http.StatusOK) }

// failure returns an error unless the backend said that it has the push. Its text has nothing that
// a backend or a server wrote.
func (w *statusWriter) failure() error {
	switch {
	case w.err != nil:
		return fmt.Errorf("%w: it can't be reached", errNotForwarded)
	case w.status == 0: // a client would get an empty 200
		return fmt.Errorf("%w: no handler behind wechat_auth takes that path", errNotForwarded)
	case w.status/100 == 2:
		return nil
	}
	return fmt.Errorf("%w: status %d", errNotForwarded, w.status)
}
