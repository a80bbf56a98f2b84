// One call: its hosts, its retry, and the bound of its answer.

package wechat

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxAnswer bounds an answer after decompression. Real ones are under 1 KiB.
	maxAnswer = 1 << 20

	// busyPause is the middle of the pause before the one retry after errcode -1. It varies by
	// half, so that the clients that a hiccup of WeChat refused together do not come back together.
	busyPause = 200 * time.Millisecond
)

// request is a call before a host is chosen for it.
type request struct {
	op     string
	method string
	path   string
	query  url.Values
	body   []byte

	signable bool        // whether WeChat takes the call encrypted and signed; it then must be, where that is switched on
	spare    bool        // whether logins come first when places among the calls in flight are scarce
	header   http.Header // what signing adds
}

// reply is the answer of one host.
type reply struct {
	url    string // as requested, without the query
	status int
	header http.Header
	body   []byte
	sealed bool // the call was signed, so the answer must be
}

// call makes a call, and makes it once more if WeChat says it is busy. Nothing else is ever retried
// here: every further attempt may spend a code that the user paid for, or try a wrong secret
// against WeChat's wall.
func (c *caller) call(ctx context.Context, r request) (answer, error) {
	a, err := c.attempt(ctx, r)
	if ClassOf(err) != ClassBusy {
		return a, err
	}

	pause := time.NewTimer(busyPause/2 + jitter(busyPause))
	defer pause.Stop()
	select {
	case <-pause.C:
		return c.attempt(ctx, r)
	case <-ctx.Done():
		return nil, gaveUp(ctx, r.op)
	}
}

// business makes a call that takes an access token.
//
// A token that WeChat refuses is renewed, and the call made once more: the tap behind a phone code
// was paid for, so a stale token must not cost the user another one. Once only: WeChat may hand
// back the token it just refused.
func (c *Client) business(ctx context.Context, r request) (answer, error) {
	enter := c.enter
	if r.spare {
		enter = c.enterSpare
	}
	leave, err := enter(r.op)
	if err != nil {
		return nil, err
	}
	defer leave()

	tok, err := c.tokens.get(ctx, r.op)
	if err != nil {
		return nil, err
	}
	a, err := c.call(ctx, r.withToken(tok))
	if ClassOf(err) != ClassToken {
		return a, err
	}

	c.tokens.drop(tok)
	tok, err = c.tokens.get(ctx, r.op)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, r.withToken(tok))
}

// withToken returns r with the token where WeChat looks for it, and leaves r alone.
func (r request) withToken(tok token) request {
	query := url.Values{"access_token": {tok.value}}
	maps.Copy(query, r.query)
	r.query = query
	return r
}

// encode writes the JSON of a body with all letters as they are. WeChat is said to judge escapes
// such as \u4e2d by their letters, and json.Marshal escapes <, > and &.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// attempt makes a call once.
func (c *caller) attempt(ctx context.Context, r request) (answer, error) {
	began := time.Now()
	a, err := c.ask(ctx, r)
	c.observe(ctx, r.op, ClassOf(err), time.Since(began))
	return a, err
}

// ask asks the hosts in order until one is reached.
func (c *caller) ask(ctx context.Context, r request) (answer, error) {
	var last *Error
	for i, b := range c.bases {
		if ctx.Err() != nil {
			return nil, gaveUp(ctx, r.op)
		}
		got, err := c.exchange(ctx, b, r)
		if err == nil {
			return c.read(ctx, r.op, got)
		}
		if ctx.Err() != nil {
			return nil, gaveUp(ctx, r.op)
		}

		last = err
		if !err.elsewhere {
			break
		}
		if i+1 < len(c.bases) {
			c.logger.WarnContext(ctx, "WeChat host out of reach, trying the next", "reason", err.Reason, "call", r.op)
		}
	}
	return nil, last
}

// read parses an answer and turns an errcode in it into an error.
func (c *caller) read(ctx context.Context, op string, got reply) (answer, error) {
	a, err := parseAnswer(op, got.body)
	if op == OpTokenServer && got.status >= http.StatusBadRequest {
		err = serverFailure(got.status, err)
	}
	if err == nil && got.sealed {
		if a, err = c.open(ctx, op, got, a); err == nil {
			a, err = a.succeeded(op)
		}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Code {
		case codeRetiredIP:
			c.closeIdle()
		case codeDayQuota:
			e.RetryAfter = untilMidnight(c.now())
		}
	}
	return a, err
}

// exchange sends r to one host and returns the answer.
//
// It goes to the RoundTripper directly. http.Client would add an error that quotes the whole URL,
// AppSecret included, and an interest in redirects: following one would hand secret and code to
// whoever wrote the Location.
func (c *caller) exchange(ctx context.Context, b base, r request) (reply, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	got := reply{url: b.url + r.path, sealed: r.signable && c.signing != nil}
	if got.sealed {
		var err *Error
		if r, err = c.signing.sign(r, c.appID, got.url, c.now()); err != nil {
			return got, err
		}
	}
	var p progress
	req, e := r.toHTTP(p.trace(ctx), got.url)
	if e != nil {
		return got, e
	}

	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return got, p.unanswered(r.op, b.address, err)
	}
	defer resp.Body.Close()

	// WeChat answers 200 to everything, errors included, and the body alone shows which. A redirect
	// or a change of protocol is not WeChat's; the body of the latter would never end.
	if resp.StatusCode < 200 {
		return got, badAnswer(r.op, "the answer changes the protocol (from "+b.address+")")
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return got, badAnswer(r.op, "the answer is a redirect, which is never followed (from "+b.address+")")
	}

	got.status, got.header = resp.StatusCode, resp.Header
	got.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil && (isTimeout(err) || ctx.Err() != nil):
		e := unavailable(r.op, "timeout while reading the answer ("+b.address+")")
		e.cause = context.DeadlineExceeded
		return got, e
	case err != nil:
		return got, badAnswer(r.op, "the answer is cut off (from "+b.address+")")
	case len(got.body) > maxAnswer:
		return got, badAnswer(r.op, "the answer is larger than 1 MiB (from "+b.address+")")
	}
	return got, nil
}

// toHTTP makes the request for a URL that may bring a query or a user of its own.
func (r request) toHTTP(ctx context.Context, target string) (*http.Request, *Error) {
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, unavailable(r.op, "the request could not be made")
	}
	maps.Copy(req.Header, r.header)
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if user := req.URL.User; user != nil { // http.Client would do this
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
		req.URL.User = nil
	}
	return req, nil
}

// gaveUp makes the error for a caller whose context ended.
func gaveUp(ctx context.Context, op string) *Error {
	e := unavailable(op, "the caller gave up")
	e.cause = context.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Reason = "the caller's deadline passed"
		e.cause = context.DeadlineExceeded
	}
	return e
}

// jitter returns a random part of a duration, so that many clients do not come back at once.
func jitter(most time.Duration) time.Duration {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return most * time.Duration(binary.BigEndian.Uint16(b[:])) >> 16
}
