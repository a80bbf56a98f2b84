// Calls that others make with our access token.

package wechat

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"
)

const (
	// maxAgain bounds the body of a call that is kept to send it again.
	maxAgain = 1 << 20

	// maxRefusal bounds the answers that are searched for an errcode. WeChat's are some hundred
	// bytes; anything larger is what was asked for.
	maxRefusal = 4 << 10

	// relayTime bounds a relayed call, from its first byte to the last of the answer: files are
	// sent and pictures come back, and a place among the calls in flight is taken meanwhile.
	relayTime = time.Minute
)

// signable holds the paths whose calls WeChat takes encrypted and signed, and whose answers are
// JSON.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html
var signable = map[string]bool{
	"/wxa/business/getuserphonenumber": true,
	"/wxa/business/getuserencryptkey":  true,
	"/wxa/business/checkencryptedmsg":  true,
	"/wxa/msg_sec_check":               true,
	"/wxa/media_check_async":           true,
	"/wxa/getuserriskrank":             true,
	"/wxa/getpluginopenpid":            true,
	"/cgi-bin/clear_quota":             true,
	"/cgi-bin/openapi/quota/get":       true,
	"/cgi-bin/openapi/rid/get":         true,
}

// RelayedCall is a call of WeChat's API that another program asks for. It needs an access token and
// comes without.
type RelayedCall struct {
	Op          string // names the call in an [Error] and for Observe
	Method      string
	Path        string     // of WeChat's API, such as /wxa/msg_sec_check
	Query       url.Values // an access_token in it is replaced
	ContentType string     // "": none
	Body        io.Reader  // nil: none
	Length      int64      // of the body; -1: unknown
}

// RelayedAnswer is WeChat's answer to one.
type RelayedAnswer struct {
	Status int           // of HTTP, which WeChat sets to 200 for its own errors, too
	Header http.Header   // Content-Type, Content-Length and Content-Disposition, as far as they came
	Body   io.ReadCloser // the caller closes it
}

// Relay makes a call with the access token of the mini program added, encrypted and signed where
// [Signing] is configured and WeChat takes the call so. Whatever WeChat answers is the answer, an
// errcode too. One is not passed on: a refused access token is renewed and the call made once more,
// unless its body has more than 1 MiB and can't be sent again.
//
// An [*Error] is of a call that got no answer, or of fetching a token; any other error is that of
// reading the body. The call takes a place among the calls in flight until its answer is closed, and
// a minute at most. Calls of others take half of the places, so that there are some left for logins.
func (c *Client) Relay(ctx context.Context, call RelayedCall) (*RelayedAnswer, error) {
	call.Query = maps.Clone(call.Query)
	call.Query.Del("access_token")
	r := &relayed{RelayedCall: call}
	if err := r.read(); err != nil { // before the place is taken: whoever sends slowly must not hold it
		return nil, err
	}
	leave, err := c.enterSpare(call.Op)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, relayTime)
	leave = sync.OnceFunc(leave)
	context.AfterFunc(ctx, leave) // also while nobody reads the answer
	done := func() {
		cancel()
		leave()
	}
	answer, err := c.relay(ctx, r)
	if err != nil {
		done()
		return nil, err
	}
	answer.Body = closing{answer.Body, done}
	return answer, nil
}

// relayed is a call under way.
type relayed struct {
	RelayedCall
	start []byte // of the body, all of it unless more
	more  bool   // follows in Body
}

func (c *Client) relay(ctx context.Context, r *relayed) (*RelayedAnswer, error) {
	for again := false; ; again = true {
		tok, err := c.tokens.get(ctx, r.Op)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		answer, class, err := c.relayOnce(ctx, r, tok)
		if _, ours := errors.AsType[*Error](err); err == nil || ours {
			c.observe(ctx, r.Op, cmp.Or(ClassOf(err), class), time.Since(began))
		}
		if err != nil || class != ClassToken || again {
			return answer, err
		}
		c.tokens.drop(tok)
		if r.more {
			return answer, nil
		}
		_ = answer.Body.Close()
	}
}

// bodyError is the error of reading a body.
type bodyError struct{ error }

// bodyReader marks the errors of a body, which the transport returns among its own.
type bodyReader struct{ io.Reader }

func (r bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = bodyError{err}
	}
	return n, err
}

// read takes as much of the body as can be sent again.
func (r *relayed) read() error {
	if r.Body == nil {
		return nil
	}
	start, err := io.ReadAll(io.LimitReader(r.Body, maxAgain+1))
	r.start, r.more = start, len(start) > maxAgain
	return err
}

// relayOnce returns an answer, and the class of the errcode in it.
func (c *Client) relayOnce(ctx context.Context, r *relayed, tok token) (*RelayedAnswer, Class, error) {
	send := c.relayPlain
	if fields, ok := parseObject(r.start); ok && len(fields) > 0 && c.signing != nil && signable[r.Path] && !r.more {
		send = c.relaySigned
	}
	var last error
	for _, b := range c.bases {
		answer, class, err := send(ctx, b, r, tok)
		if err == nil {
			return answer, class, nil
		}
		last = err
		if broken, ok := errors.AsType[bodyError](err); ok {
			return nil, 0, broken.error
		}
		if ctx.Err() != nil {
			return nil, 0, gaveUp(ctx, r.Op)
		}
		if e, ok := errors.AsType[*Error](err); !ok || !e.elsewhere || r.more {
			break
		}
	}
	return nil, 0, last
}

// relayPlain sends a call as it is.
func (c *Client) relayPlain(ctx context.Context, b base, r *relayed, tok token) (*RelayedAnswer, Class, error) {
	answer, err := c.relayTo(ctx, b, r, tok)
	if err != nil {
		return nil, 0, err
	}
	class, err := answer.class(r.Op, b)
	return answer, class, err
}

// relaySigned signs a call, and opens the answer for a program that knows nothing of signatures.
func (c *Client) relaySigned(ctx context.Context, b base, r *relayed, tok token) (*RelayedAnswer, Class, error) {
	call := request{op: r.Op, method: r.Method, path: r.Path, query: r.Query, body: r.start, signable: true}
	got, e := c.exchange(ctx, b, call.withToken(tok))
	if e != nil {
		return nil, 0, e
	}
	body := got.body
	outer, err := parseFields(r.Op, body)
	if err == nil && !outer.has("errcode") {
		var plain answer
		if plain, err = c.open(ctx, r.Op, got, outer); err == nil {
			body, err = encode(plain)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	return &RelayedAnswer{Status: got.status, Header: header, Body: io.NopCloser(bytes.NewReader(body))}, classInside(body), nil
}

// relayTo sends the call to one host and returns once the answer begins.
func (c *Client) relayTo(ctx context.Context, b base, r *relayed, tok token) (*RelayedAnswer, error) {
	var p progress
	ctx, late := c.answerTimeout(p.trace(ctx))
	req, e := r.toHTTP(ctx, b.url, tok)
	if e != nil {
		return nil, e
	}
	resp, err := c.transport.RoundTrip(req)
	if late() {
		if err == nil {
			_ = resp.Body.Close()
		}
		e := unavailable(r.Op, "timeout while waiting for the answer ("+b.address+")")
		e.cause = context.DeadlineExceeded
		return nil, e
	}
	if broken, ok := errors.AsType[bodyError](err); ok {
		return nil, broken
	}
	if err != nil {
		e := p.unanswered(r.Op, b.address, err)
		// WeChat may have done what it was asked, and to pay or to notify twice is worse than an error.
		e.elsewhere = e.elsewhere && (p.connecting() || isDial(err) || r.Method == http.MethodGet || r.Method == http.MethodHead)
		return nil, e
	}
	if resp.Header.Get("Content-Encoding") != "" { // one that was not asked for: nobody could read it
		_ = resp.Body.Close()
		return nil, badAnswer(r.Op, "the answer is in an encoding that was not asked for (from "+b.address+")")
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400 {
		_ = resp.Body.Close()
		return nil, badAnswer(r.Op, "the answer is a redirect or changes the protocol, which is never followed (from "+b.address+")")
	}
	answer := &RelayedAnswer{Status: resp.StatusCode, Header: http.Header{}, Body: resp.Body}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition"} {
		if values := resp.Header[name]; len(values) == 1 {
			answer.Header[name] = values
		}
	}
	return answer, nil
}

// answerTimeout ends a context when an answer has not begun in the time of a call, counted from when
// the request was written: an upload may take longer. late stops that, and reports whether it was
// too late.
func (c *Client) answerTimeout(ctx context.Context) (_ context.Context, late func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(relayTime, cancel)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { timer.Reset(c.timeout) },
	})
	return ctx, func() bool { return !timer.Stop() }
}

// toHTTP makes a request of nothing but what the call consists of: no header of the program that
// asks goes to WeChat, apart from the content type.
func (r *relayed) toHTTP(ctx context.Context, baseURL string, tok token) (*http.Request, *Error) {
	query := url.Values{"access_token": {tok.value}}
	maps.Copy(query, r.Query)
	var body io.Reader = bytes.NewReader(r.start)
	length := int64(len(r.start))
	if r.more {
		body, length = io.MultiReader(body, bodyReader{r.Body}), r.Length
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, baseURL+r.Path+"?"+query.Encode(), body)
	if err != nil {
		return nil, unavailable(r.Op, "the request could not be made")
	}
	req.ContentLength = length // WeChat's upload calls take no chunked body
	if length == 0 {
		req.Body = http.NoBody
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	return req, nil
}

// class looks for an errcode in the beginning of an answer, which it leaves whole.
func (a *RelayedAnswer) class(op string, from base) (Class, error) {
	start, err := io.ReadAll(io.LimitReader(a.Body, maxRefusal+1))
	if err != nil {
		_ = a.Body.Close()
		return 0, badAnswer(op, "the answer is cut off (from "+from.address+")")
	}
	a.Body = rejoined{io.MultiReader(bytes.NewReader(start), a.Body), a.Body}
	if len(start) > maxRefusal {
		return 0, nil
	}
	return classInside(start), nil
}

// classInside returns the class of the errcode in an answer.
func classInside(body []byte) Class {
	fields, ok := parseObject(trimmed(body))
	if !ok {
		return 0
	}
	code, ok := fields.integer("errcode")
	if !ok || code == 0 {
		return 0
	}
	return classifyRelayed(int(code))
}

// rejoined reads the bytes that were read ahead, and then the rest.
type rejoined struct {
	io.Reader
	io.Closer
}

// closing calls done when a body is closed.
type closing struct {
	io.ReadCloser
	done func()
}

func (c closing) Close() error {
	defer c.done()
	return c.ReadCloser.Close()
}
