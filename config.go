// Defaults and placeholders of the configuration. What they stand for may be a secret, and so may
// the text around them: no error quotes either.

package wechatauth

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// The defaults of all options, apart from those of the stores.
const (
	defaultBasePath    = "/auth"
	defaultTimeout     = wechat.DefaultTimeout
	defaultMaxInFlight = wechat.DefaultMaxInFlight
	defaultHeaders     = "cloudrun"

	defaultAlgorithm = "ES256"
	defaultIssuer    = "wechat_auth"
	defaultTTL       = time.Hour
	defaultRotate    = 30 * 24 * time.Hour
	defaultRemember  = 32 << 20

	defaultIdle       = 30 * 24 * time.Hour
	defaultLifetime   = 180 * 24 * time.Hour
	defaultGrace      = 30 * time.Second
	defaultMaxPerUser = 20
	defaultStale      = 10 * time.Minute

	defaultMaxUpload = 4_000_000
	uploadTime       = time.Minute // mini programs wait no longer
	defaultAvatar    = 512

	defaultHookTimeout = 2 * time.Second
)

// The default limits.
var (
	defaultLoginRate   = Rate{Events: 600, Window: caddy.Duration(time.Minute)}
	defaultPhoneRate   = Rate{Events: 10, Window: caddy.Duration(time.Minute)}
	defaultProfileRate = Rate{Events: 10, Window: caddy.Duration(time.Minute)}
)

// orDefault is the value, or what stands in for one that is not set.
func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// duration is orDefault for a duration.
func duration(value caddy.Duration, fallback time.Duration) time.Duration {
	return orDefault(time.Duration(value), fallback)
}

// resolve replaces placeholders; one that is unknown or empty is an error, for a forgotten
// environment variable must not become an empty secret.
func resolve(repl *caddy.Replacer, what, s string) (string, error) {
	out, err := repl.ReplaceOrErr(s, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, placeholderError(err))
	}
	return out, nil
}

// source names where a value comes from. Other text in braces may be a piece of a secret that has
// braces.
var source = regexp.MustCompile(`\{((?:env|file)\.[^{}:]+)`)

func placeholderError(err error) error {
	if m := source.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("{%s} is not set, empty, or can't be read", m[1])
	}
	return errors.New("braces that are no known placeholder: write {env.NAME} or {file./path}, " +
		"or a backslash before each brace of the value itself")
}

// resolveURL is resolve for an address with a user and password in it. What a placeholder in that
// part stands for is taken as it is: a password has whatever characters it has, and in an address
// they mean something else.
func resolveURL(repl *caddy.Replacer, what, s string) (string, error) {
	start, end := userPart(s)
	user, err := repl.ReplaceFunc(s[start:end], func(name string, value any) (any, error) {
		text := caddy.ToString(value)
		if text == "" {
			return nil, fmt.Errorf("{%s}", name)
		}
		return strings.ReplaceAll(url.QueryEscape(text), "+", "%20"), nil
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, placeholderError(err))
	}
	before, err := resolve(repl, what, s[:start])
	if err != nil {
		return "", err
	}
	after, err := resolve(repl, what, s[end:])
	return before + user + after, err
}

// userPart finds what stands between :// and @. What is in braces does not count: a file's name has
// slashes.
func userPart(s string) (start, end int) {
	masked := []byte(s)
	inside := false
	for i, c := range masked {
		escaped := i > 0 && s[i-1] == '\\'
		switch {
		case !escaped && c == '{':
			inside = true
		case !escaped && c == '}':
			inside = false
		case inside:
			masked[i] = 'x'
		}
	}
	scheme, rest, ok := strings.Cut(string(masked), "://")
	if !ok {
		return 0, 0
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return 0, 0
	}
	start = len(scheme) + len("://")
	return start, start + at
}

// readPEM reads PEM text, or the PEM file of that name. A secret written in the wrong place is
// taken for the name of a file, so a name is only told when it is one by its look.
func readPEM(repl *caddy.Replacer, text string) ([]byte, error) {
	resolved, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return nil, placeholderError(err)
	}
	if strings.Contains(resolved, "-----BEGIN") {
		return []byte(resolved), nil
	}
	data, err := os.ReadFile(resolved)
	if err == nil {
		return data, nil
	}
	why := err
	if pathError := new(os.PathError); errors.As(err, &pathError) {
		why = pathError.Err
	}
	name := "the value"
	if fileName.MatchString(text) {
		name = text
	}
	return nil, fmt.Errorf("%s is neither PEM text nor the name of a PEM file that can be read (%w)", name, why)
}

var fileName = regexp.MustCompile(`\.(pem|crt|cer|key)$`)
