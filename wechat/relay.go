// Calls that others make with our access token.

package wechat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
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
	Status int
	Header http.Header   // Content-Type, Content-Length and Content-Disposition, as far as they came
	Body   io.ReadCloser // the caller closes it
}

// Relay makes a call with the access token of the mini program added, encrypted and signed where
// [Signing] is configured and WeChat takes the call so. Whatever WeChat answers is the answer, an
// errcode too. One is not passed on: a refused access token is renewed and the call made once more,
// unless its body has more than 1 MiB and can't be sent again.
//
// Errors are of calls that got no answer, and those of fetching a token. The call takes a place
// among the calls in flight until its answer is closed, and a minute at most.
func (c *Client) Relay(ctx context.Context, call RelayedCall) (*RelayedAnswer, error) {
	call.Query = maps.Clone(call.Query)
	call.Query.Del("access_token")
	r := &relayed{RelayedCall: call}
	if err := r.read(); err != nil { // before the place is taken: whoever sends slowly must not hold it
		return nil, err
	}
	leave, err := c.enter(call.Op)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, relayTime)
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
		c.observe(ctx, r.Op, cmp.Or(ClassOf(err), class), time.Since(began))
		if class == ClassToken {
			c.tokens.drop(tok)
		}
		if err != nil || class != ClassToken || again || r.more {
			return answer, err
		}
		_ = answer.Body.Close()
	}
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
	if fields, ok := parseObject(r.start); ok && len(fields) > 0 && c.signing != nil && signable[r.Path] && !r.more {
		return c.relaySigned(ctx, r, tok)
	}
	var last *Error
	for _, b := range c.bases {
		answer, err := c.relayTo(ctx, b, r, tok)
		if err == nil {
			class, err := answer.class(r.Op, b)
			return answer, class, err
		}
		last = err
		if !err.elsewhere || r.more || ctx.Err() != nil {
			break
		}
	}
	return nil, 0, last
}

// relaySigned opens the answer for a program that knows nothing of signatures.
func (c *Client) relaySigned(ctx context.Context, r *relayed, tok token) (*RelayedAnswer, Class, error) {
	call := request{op: r.Op, method: r.Method, path: r.Path, query: r.Query, body: r.start, signable: true}
	var last *Error
	for _, b := range c.bases {
		got, err := c.exchange(ctx, b, call.withToken(tok))
		if err == nil {
			return c.openRelayed(ctx, r.Op, got)
		}
		last = err
		if !err.elsewhere || ctx.Err() != nil {
			break
		}
	}
	return nil, 0, last
}

func (c *Client) openRelayed(ctx context.Context, op string, got reply) (*RelayedAnswer, Class, error) {
	plain, err := c.read(ctx, op, got)
	body := got.body
	if refusal, refused := errors.AsType[*Error](err); refused {
		if refusal.Code == 0 {
			return nil, 0, refusal
		}
		if sealed, ok := parseObject(body); !ok || !sealed.has("errcode") {
			// The errcode was inside, and its text with it.
			body, err = json.Marshal(map[string]any{"errcode": refusal.Code, "errmsg": refusal.Reason + ", rid: " + refusal.RID})
		} else {
			err = nil
		}
	} else {
		body, err = encode(plain)
	}
	if err != nil {
		return nil, 0, badAnswer(op, "the answer can't be passed on")
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	answer := &RelayedAnswer{Status: got.status, Header: header, Body: io.NopCloser(bytes.NewReader(body))}
	return answer, classInside(body), nil
}

// relayTo sends the call to one host and returns once the answer begins.
func (c *Client) relayTo(ctx context.Context, b base, r *relayed, tok token) (*RelayedAnswer, *Error) {
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
	if err != nil {
		return nil, p.unanswered(r.Op, b.address, err)
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
		body, length = io.MultiReader(body, r.Body), r.Length
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, baseURL+r.Path+"?"+query.Encode(), body)
	if err != nil {
		return nil, unavailable(r.Op, "the request could not be made")
	}
	req.ContentLength = length // WeChat's upload calls take no chunked body
	req.GetBody = nil          // so that the transport repeats nothing by itself
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
	fields, ok := parseObject(bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff"))))
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
