// The fakes and users that outlive a reload.

package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// The bounds of what callers can make the sandbox remember.
const (
	maxUsers = 1000   // more are refused
	maxCodes = 10_000 // the oldest go; each goes after five minutes anyway
)

// The user of all codes that the sandbox did not make.
const (
	devTools      = "devtools"
	devToolsPhone = "13900139000"
)

// verdicts are the results of the content check for a text that contains one of these
// words. All others pass.
var verdicts = map[string]string{"risky": "risky", "review": "review"}

// pool keeps the fakes over config reloads: a reload must not log out a user who
// tries something at the moment.
var pool = caddy.NewUsagePool()

// state is a fake and the names of its users.
type state struct {
	fake    *wechattest.Server
	apps    []wechattest.App
	appid   string // the only app; empty if there are several
	started time.Time

	refused   atomic.Bool // a public caller was logged as a warning
	announced atomic.Bool // where the playground is
	reloading sync.Mutex

	mu     sync.Mutex
	users  map[string]*wechattest.User // by name, in the app they came by first
	serial int                         // of the last name made up
	broken map[string]bool             // by the name of a fault
	ttls   map[string]any              // of tokens, in the configuration before they were shortened; guarded by reloading
	side   []sideCall                  // of the hook and the push, oldest first
	count  int                         // of them all
}

var (
	errNoUser     = errors.New("user is required: any name will do")
	errBadName    = errors.New("a name has at most 64 characters and no control characters")
	errNoLogin    = errors.New(`the user has no session_key to encrypt with: get a code of kind "login" first, and log in with it`)
	errTooMany    = fmt.Errorf("there are %d users already; restart Caddy to begin anew", maxUsers)
	errWhichApp   = errors.New("appid is required, since the sandbox has several apps")
	errUnknownApp = errors.New("appid is none of the sandbox's apps")
)

// acquire takes the fake of exactly these apps from the pool.
func (h *Handler) acquire(apps []App) error {
	key := h.poolKey(apps)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return newState(apps, h.OpenPlatform, h.AcceptAnyCode), nil
	})
	if err != nil {
		return err
	}
	h.key, h.state = key, value.(*state)
	if h.Playground != nil {
		h.state.fake.KeepCalls(keepCalls)
	}
	return nil
}

// poolKey is a hash, for pool keys may show up in panics. The order of the apps does not count.
func (h *Handler) poolKey(apps []App) string {
	lines := make([]string, 0, len(apps)+1)
	for _, a := range apps {
		lines = append(lines, strconv.Quote(a.AppID)+" "+strconv.Quote(a.Secret))
	}
	slices.Sort(lines)
	lines = append(lines, strconv.FormatBool(h.OpenPlatform), strconv.FormatBool(h.AcceptAnyCode))
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

func newState(apps []App, openPlatform, anyCode bool) *state {
	s := &state{
		fake: wechattest.New(), started: time.Now(),
		users: make(map[string]*wechattest.User), broken: make(map[string]bool), ttls: make(map[string]any),
	}
	for _, a := range apps {
		app := wechattest.App{ID: a.AppID, Secret: a.Secret, OpenPlatform: openPlatform}
		s.apps = append(s.apps, app)
		s.fake.SetApp(app)
	}
	for word, verdict := range verdicts {
		s.fake.Judge(word, verdict)
	}
	if anyCode {
		first := s.fake.NewUserNamed(devTools, apps[0].AppID)
		s.users[devTools] = first
		for _, a := range apps {
			s.fake.AcceptAnyCode(s.fake.Same(first, a.AppID), devToolsPhone)
		}
	}
	s.fake.KeepCodes(maxCodes)
	s.fake.KeepCalls(0) // they hold secrets, and nobody could read them without a playground
	if len(apps) == 1 {
		s.appid = apps[0].AppID
	}
	return s
}

// Destruct ends the fake when the last config that uses it is gone.
func (s *state) Destruct() error {
	s.fake.Close()
	return nil
}

// user returns the user of that name in an app, and makes one if need be. The
// same name is the same person in every app. An empty appid is the only app.
func (s *state) user(name, appid string) (*wechattest.User, error) {
	if appid == "" {
		appid = s.appid
	}
	if appid == "" {
		return nil, errWhichApp
	}
	if !s.fake.Knows(appid) {
		return nil, errUnknownApp
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, known := s.users[name]
	switch {
	case known:
		u = s.fake.Same(u, appid)
	case len(s.users) >= maxUsers:
		return nil, errTooMany
	default:
		u = s.fake.NewUserNamed(name, appid)
		s.users[name] = u
	}
	if strings.Contains(name, "risky") {
		s.fake.SetRisk(u, maxRisk)
	}
	return u, nil
}

// newName returns an unused name.
func (s *state) newName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.serial++
		name := fmt.Sprintf("user%d", s.serial)
		if _, taken := s.users[name]; !taken {
			return name
		}
	}
}

// Interface guards
var (
	_ caddy.Destructor = (*state)(nil)
)
