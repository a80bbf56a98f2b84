// The question to the hook, and the reading of its answer.

package sidecar

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// hookAnswer is a hook's decision about a user.
type hookAnswer struct {
	allow    bool
	reason   string
	claims   map[string]any
	reserved []string // names of claims that it may not give
	flaw     string   // of an answer that says no in a wrong form
}

// question sends the question. Its errors hold nothing of the address, which may hold a secret, nor
// of the answer.
func (k *Hook) question(ctx context.Context, event hookEvent) (hookAnswer, error) {
	body, err := json.Marshal(event)
	if err != nil {
		return hookAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	defer func() {
		if k.closed.Load() { // nobody will use the connection again
			k.transport.CloseIdleConnections()
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.URL, bytes.NewReader(body))
	if err != nil {
		return hookAnswer{}, errors.New("its address makes no request")
	}
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	// A question may be asked twice. The transport does so for a name without values, which is not
	// sent, when the connection is one from before and turns out to be dead.
	req.Header["Idempotency-Key"] = nil

	// Without http.Client there is nobody to follow a redirect.
	resp, err := k.transport.RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return hookAnswer{}, fmt.Errorf("no answer within %s", k.Timeout)
	case err != nil:
		return hookAnswer{}, errors.New("it can't be reached")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxHookAnswer+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("it answered with status %d", resp.StatusCode)
	case err != nil:
		err = errors.New("its answer broke off")
	case len(text) > maxHookAnswer:
		err = errors.New("its answer is too large")
	default:
		var answer hookAnswer
		if answer, err = parseHookAnswer(text); err == nil {
			return answer, nil
		}
	}
	// A decision was made, however badly it is written: on_error does not make a yes of it.
	if resp.StatusCode == http.StatusForbidden || noSaid.Match(text) {
		return hookAnswer{flaw: err.Error()}, nil
	}
	return hookAnswer{}, err
}

// A no is false, and what the languages of backends make of it on the way to JSON.
const no = `(false|no|off|deny|0\b|["']\s*(false|no|off|deny|0)?\s*["'])`

var (
	noValue = regexp.MustCompile(`(?i)^` + no)
	noSaid  = regexp.MustCompile(`(?i)\ballow["']?\s*[:=]\s*` + no)
)

func parseHookAnswer(text []byte) (answer hookAnswer, err error) {
	f, err := parseFields(text)
	if err != nil {
		return answer, errors.New("its answer is not one JSON object")
	}
	answer.reason, err = f.text("reason")
	if string(f["reason"]) == "null" {
		err = nil
	}
	for name, value := range f {
		if strings.EqualFold(name, "allow") && noValue.Match(value) {
			if name != "allow" || string(value) != "false" {
				answer.flaw = `it is not written "allow":false`
			}
			return answer, nil // whatever else stands there
		}
	}
	switch {
	case string(f["allow"]) != "true":
		return hookAnswer{}, errors.New(`its answer has no "allow" that is true or false`)
	case err != nil:
		return hookAnswer{}, errors.New("the reason in its answer is no text")
	}
	answer.allow = true
	if answer.claims, answer.reserved, err = parseHookClaims(f["claims"]); err != nil {
		return hookAnswer{}, errors.New("its claims are not a plain JSON object")
	}
	return answer, nil
}

// parseHookClaims takes an empty list for none: that is how PHP writes an empty object.
func parseHookClaims(text []byte) (claims map[string]any, reserved []string, err error) {
	var list []json.RawMessage
	if len(text) == 0 || json.Unmarshal(text, &list) == nil && len(list) == 0 {
		return nil, nil, nil
	}
	claims, reserved, err = jwt.ParseExtra(string(text))
	if _, given := claims[riskClaim]; given {
		delete(claims, riskClaim)
		reserved = append(reserved, riskClaim)
	}
	return claims, reserved, err
}
