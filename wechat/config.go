// The configuration of a Client, its defaults and its checks.

package wechat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultTimeout bounds one call. WeChat answers in tens of milliseconds; a mini program's own
	// request lives 60 s at most.
	DefaultTimeout = 5 * time.Second

	// DefaultMaxInFlight bounds the goroutines and connections that a slow WeChat can pile up.
	DefaultMaxInFlight = 256
)

// defaultBaseURLs are the nearest host and the one WeChat names for when the first is out of reach.
//
// https://developers.weixin.qq.com/doc/service/Basic_Information/Interface_field_description.html
var defaultBaseURLs = []string{"https://api.weixin.qq.com", "https://api2.weixin.qq.com"}

// DefaultBaseURLs returns the hosts of WeChat's API.
func DefaultBaseURLs() []string { return slices.Clone(defaultBaseURLs) }

// Config configures [New]. Its zero fields are defaults, AppID and Secret apart. Printing or
// logging a Config shows none of its fields; a struct that holds one in an unexported field has to
// take care of that itself.
type Config struct {
	redacted

	// AppID and Secret identify the mini program.
	AppID  string
	Secret string `json:"-"`

	// BaseURLs are tried in order when the network fails. Each is http or https, a host, and at
	// most a path to put before WeChat's own. Default: https://api.weixin.qq.com and
	// https://api2.weixin.qq.com.
	BaseURLs []string

	// Timeout bounds one call to one host, from the name lookup to the last byte of the answer.
	// Default: 5 seconds.
	Timeout time.Duration

	// MaxInFlight bounds the calls made at once; one more fails at once with [ClassUnavailable].
	// Default: 256.
	MaxInFlight int

	// TokenURL is a central token server to GET the access token from, where another program
	// already keeps it: http or https, answering {"access_token":"…","expires_in":7200}, or errcode
	// and errmsg as WeChat does. A user in it is sent as Basic authentication. Default: WeChat
	// itself.
	TokenURL string `json:"-"`

	// Tokens keeps the access token for several clients of the same mini program. It brings its own
	// TokenURL, timeout and transport. Default: a keeper of the client's own.
	Tokens *Tokens `json:"-"`

	// Signing encrypts and signs the calls that WeChat takes so. Default: every call is plain.
	Signing *Signing `json:"-"`

	// Now is the clock that access tokens and cloudIDs age by and signatures are dated by. Default:
	// time.Now.
	Now func() time.Time `json:"-"`

	// Logger reports what no caller sees: a host given up for the next, an early token renewal that
	// failed. Default: none.
	Logger *slog.Logger `json:"-"`

	// Observe is called after each call that was sent, with its caller's context, the Op, what became of it (0: it worked)
	// and its duration. A retry is another call, a second host is not. Default: none.
	Observe func(ctx context.Context, op string, class Class, took time.Duration) `json:"-"`

	transport http.RoundTripper // set by tests; nil is newTransport
}

var (
	// appIDPattern is wider than the "wx" and 16 hex digits of today, so that fakes can name their
	// apps. It stops what a forgotten placeholder looks like.
	appIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

	formOfAppID  = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
	formOfSecret = regexp.MustCompile(`^[0-9a-f]{32}$`)

	// secretPattern likewise: visible ASCII without the braces of a placeholder.
	secretPattern = regexp.MustCompile(`^[!-z|~]{1,256}$`)
)

// IsAppID reports whether a text has the form of a real AppID.
func IsAppID(s string) bool { return formOfAppID.MatchString(s) }

// IsAppSecret reports whether a text has the form that AppSecrets have today. No page promises it:
// it is good for finding one in the wrong place.
func IsAppSecret(s string) bool { return formOfSecret.MatchString(s) }

// withDefaults returns c with every zero field filled in, or an error that says what to write
// instead. No error quotes a value: people put secrets into the wrong field.
func (c Config) withDefaults() (Config, error) {
	if !appIDPattern.MatchString(c.AppID) {
		return c, errors.New("wechat: the AppID must be 1 to 64 letters, digits, '-' or '_'; it is in the mini program's console")
	}
	if !secretPattern.MatchString(c.Secret) {
		return c, errors.New("wechat: the AppSecret is missing, holds blanks, or is a placeholder that was not filled in")
	}
	if IsAppID(c.Secret) || IsAppSecret(c.AppID) {
		return c, errors.New("wechat: the AppID stands in the place of the AppSecret, or the other way round: the AppID is wx and 16 hex digits, and comes first")
	}
	if c.Timeout < 0 {
		return c, errors.New("wechat: the timeout must be positive")
	}
	if c.MaxInFlight < 0 {
		return c, errors.New("wechat: the number of calls in flight must be positive")
	}

	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if len(c.BaseURLs) == 0 {
		c.BaseURLs = defaultBaseURLs
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(context.Context, string, Class, time.Duration) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// base is one host that speaks WeChat's API.
type base struct {
	url     string // without a trailing slash
	address string // host:port, for errors
}

func parseBases(raw []string) ([]base, error) {
	bases := make([]base, 0, len(raw))
	for i, r := range raw {
		u, err := url.Parse(r)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil ||
			strings.ContainsAny(r, "?#") {
			return nil, fmt.Errorf("wechat: base URL %d must be http:// or https://, a host, and at most a path", i+1)
		}
		bases = append(bases, base{url: strings.TrimRight(u.String(), "/"), address: addressOf(u)})
	}
	return bases, nil
}

// parseTokenURL takes a user and a query, too: that is where token servers want their key.
func parseTokenURL(raw string) (base, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.ContainsAny(raw, "#{}") {
		return base{}, errors.New("wechat: the token URL must be http:// or https://, a host, and at most a user, a path and a query; " +
			"or is it a placeholder that was not filled in?")
	}
	return base{url: u.String(), address: addressOf(u)}, nil
}

func addressOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
