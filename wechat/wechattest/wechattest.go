// Package wechattest is a fake of the WeChat mini program server API for tests
// and local development. It is written from WeChat's documentation, not from
// any client, and keeps WeChat's rules: codes live five minutes and work once,
// access tokens overlap, errors come with HTTP status 200 and an errcode.
//
// Four lines give a server, a user and a code to log in with:
//
//	fake := wechattest.New(wechattest.App{ID: "wx0123456789abcdef", Secret: "s3cret"})
//	api := fake.Start(t) // base URL, instead of https://api.weixin.qq.com
//	alice := fake.NewUser("wx0123456789abcdef")
//	code := fake.LoginCode(alice) // what wx.login gives the mini program
//
// [Server.Fail] makes calls go wrong in a named way, [Server.Calls] lists the caller's requests,
// and [Server.Violations] their faults.
//
// It authenticates nobody. Never expose it.
package wechattest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The endpoints of the fake.
const (
	Login        = "/sns/jscode2session"
	Token        = "/cgi-bin/token"
	StableToken  = "/cgi-bin/stable_token"
	Phone        = "/wxa/business/getuserphonenumber"
	CheckSession = "/wxa/checksession"
	OpenData     = "/wxa/getopendata"
	CheckContent = "/wxa/msg_sec_check"
	RiskRank     = "/wxa/getuserriskrank"
	QRCode       = "/wxa/getwxacodeunlimit"
	Balance      = "/xpay/query_user_balance"

	// Any stands for every endpoint, in Fail and Count.
	Any = ""
)

// maxBody bounds the body of a request. WeChat's own bound is not documented; the longest body of
// these calls is a few hundred bytes.
const maxBody = 1 << 20

// App is a mini program registered at the fake.
type App struct {
	ID     string
	Secret string

	// OpenPlatform binds the app to the Open Platform account of the fake:
	// its users have a unionid, equal in all apps so bound.
	OpenPlatform bool

	// AllowIPs is the IP whitelist of the calls that carry the AppSecret.
	// Empty means the whitelist is off, as in a new mini program.
	AllowIPs []string
}

// Server is the fake. It is an http.Handler, safe for concurrent use.
type Server struct {
	// Now is the clock; nil means time.Now. Set it before the first use, and
	// move it by Advance while the fake is in use.
	Now func() time.Time

	closed    chan struct{}
	closeOnce sync.Once
	markKey   []byte // tells codes of this fake from others

	// mu guards everything below and the unexported fields of users.
	mu       sync.Mutex
	offset   time.Duration
	apps     map[string]*app  // by AppID
	codes    map[string]*code // by the code itself
	codeLine []*code          // the same, oldest first
	keep     int              // bound of codes; 0: none
	tokens   map[string]*token
	mismatch int               // errcode when a phone code belongs to another openid
	objects  bool              // OpenData answers objects instead of strings of JSON
	users    map[string]*User  // by openid
	verdicts map[string]string // by word: what CheckContent says of a text with it
	quotas   quotas
	faults   []*planned
	record   record
	turns    turns
	platform platform

	lastSealed sealed // the last signed answer
}

// app is an App and what the fake issued to it.
type app struct {
	App
	security    *Security // nil: calls are plain
	foreign     *foreign  // nil: codes that the fake did not make are invalid
	stable      *token    // the current stable_token
	plain       []*token  // issued by /cgi-bin/token, oldest first
	refreshedAt time.Time
	refreshDay  string // day of the refreshes counted below
	refreshes   int
}

// New returns a fake with these apps.
func New(apps ...App) *Server {
	s := &Server{
		closed:   make(chan struct{}),
		markKey:  random(32),
		apps:     make(map[string]*app),
		codes:    make(map[string]*code),
		tokens:   make(map[string]*token),
		mismatch: errInvalidCode,
		users:    make(map[string]*User),
		verdicts: make(map[string]string),
		quotas:   quotas{limits: make(map[string]int), used: make(map[quotaKey]int)},
		record:   newRecord(),
	}
	for _, a := range apps {
		s.SetApp(a)
	}
	return s
}

// SetApp registers an app, or changes one: a reset secret, another whitelist.
// What was issued to it stays valid.
func (s *Server) SetApp(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.apps[a.ID]; ok {
		known.App = a
		return
	}
	s.apps[a.ID] = &app{App: a}
}

// Knows reports whether the fake has an app of that AppID.
func (s *Server) Knows(appid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.apps[appid]
	return ok
}

// Start serves the fake at a loopback address until the test ends, and returns
// the base URL, without a slash at the end.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	ts := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close() // first: hanging answers would block the server's Close
		ts.CloseClientConnections()
		ts.Close()
	})
	return ts.URL
}

// Close ends all hanging answers. It may be called more than once.
func (s *Server) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
}

// Advance moves the clock of the fake forward, on top of Now.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// now returns the time of the fake. The caller holds mu.
func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().Add(s.offset)
	}
	return time.Now().Add(s.offset)
}

// Handles reports whether the path is an endpoint of the fake.
func (s *Server) Handles(path string) bool {
	_, ok := rules[path]
	return ok
}

// rules holds, by endpoint, how WeChat answers a call. They run under mu.
var rules = map[string]func(*Server, *request) answer{
	Login:        (*Server).login,
	Token:        (*Server).token,
	StableToken:  (*Server).stableToken,
	Phone:        (*Server).phone,
	CheckSession: (*Server).checkSession,
	OpenData:     (*Server).openData,
	CheckContent: (*Server).checkContent,
	RiskRank:     (*Server).riskRank,
	QRCode:       (*Server).qrCode,
	Balance:      (*Server).balance,
}

// ServeHTTP answers a call as WeChat would, unless a fault is planned for it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // the caller is gone, or broke its own body off
	}
	q := newRequest(r, body)
	f := s.arrive(q)

	rule, ok := rules[q.endpoint]
	if q.refusal != nil {
		rule = func(*Server, *request) answer { return *q.refusal }
	}
	if f != nil {
		f.serve(s, w, q, rule)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.write(w, q, s.run(rule, q))
}

// arrive records the call and takes the fault planned for it, in one step, so
// that faults meet calls in the order of the record.
func (s *Server) arrive(q *request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseal(q)
	q.call = s.record.add(q, s.now())
	s.inspect(q)
	return s.takeFault(q.endpoint)
}

// run lets the rule answer the call.
func (s *Server) run(rule func(*Server, *request) answer, q *request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := rule(s, q)
	q.call.ErrCode, q.call.Answer = a.code, a.body
	return a
}

// pause waits and reports whether the whole time went by before the caller
// gave up or the fake was closed.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}
