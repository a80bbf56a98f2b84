// Package wechat calls the server API of WeChat mini programs: it turns a login code into an openid
// and a phone code into a phone number, and keeps the access token that the latter needs. For the
// older ways to a phone number there are [DecryptPhone] and [Client.PhoneFromCloudID].
//
//	client, err := wechat.New(wechat.Config{AppID: "wx…", Secret: secret})
//	…
//	defer client.Close()
//
//	session, err := client.Code2Session(ctx, code)
//	switch wechat.ClassOf(err) {
//	case 0: // session.OpenID is who logged in
//	case wechat.ClassCode, wechat.ClassCodeUsed: // the client must call wx.login again
//	case wechat.ClassConfig: // for the operator: err names the remedy
//	…
//	}
//
// A call takes at most a few seconds, is retried only where that is harmless, and asks a second
// host when the first is out of reach. Every failure is an [*Error] whose [Class] says what it
// means. No error, log line or printed value of this package holds the AppSecret, a token, a code,
// a session_key, an openid, a phone number or a nickname.
//
// A [Client] is safe for concurrent use. Make one for each mini program and keep it: it holds the
// access token. Several clients of one mini program share a token by [Tokens]. Where API安全 is
// switched on in WeChat's console, [Signing] encrypts and signs the calls and verifies the answers.
package wechat

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Client calls WeChat for one mini program.
type Client struct {
	redacted
	*caller
	secret string

	slots     chan struct{} // one element for each call in flight
	spare     chan struct{} // one for each of those that logins come before; it holds half as many
	tokens    *Tokens
	ownTokens bool // made by New, so Close ends them
	closed    atomic.Bool
}

// New checks cfg and returns a client for it. It makes no network call.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Tokens != nil && cfg.Tokens.caller.appID != cfg.AppID {
		return nil, errors.New("wechat: the Tokens belong to another mini program")
	}
	caller, err := newCaller(cfg)
	if err != nil {
		return nil, err
	}

	c := &Client{caller: caller, secret: cfg.Secret, tokens: cfg.Tokens}
	c.slots, c.spare = make(chan struct{}, cfg.MaxInFlight), make(chan struct{}, (cfg.MaxInFlight+1)/2)
	if c.tokens == nil {
		c.ownTokens = true
		if c.tokens, err = newTokens(cfg, caller); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Close stops what the client started, waits for it, and closes idle connections. Calls under way
// that need nothing more than their own connection end as they would; later calls fail with
// [ClassUnavailable]. Tokens that came with the [Config] are left alone: their maker closes them,
// after the last client. Closing twice is harmless.
func (c *Client) Close() {
	c.closed.Store(true)
	if c.ownTokens {
		c.tokens.Close()
	}
	c.closeIdle()
}

// TokenAge returns the age of the access token, and false if there is none that works. WeChat gives
// a token 2 hours and the client renews it 5 minutes before its end, so one that is older than that
// is not renewed.
func (c *Client) TokenAge() (time.Duration, bool) { return c.tokens.age() }

// AccessToken returns the access token, for a program that makes calls of its own, and the time for
// which it is good at least. Such a program asks again each time: fetching one by itself could end
// the token of everybody else.
func (c *Client) AccessToken(ctx context.Context) (value string, life time.Duration, err error) {
	leave, err := c.enter(OpToken)
	if err != nil {
		return "", 0, err
	}
	defer leave()
	return c.tokens.left(ctx, OpToken)
}

// enter takes a place among the calls in flight and returns how to give it back. It never waits: a
// queue would only move the pile-up from WeChat's door to ours.
func (c *Client) enter(op string) (leave func(), err error) {
	if c.closed.Load() {
		return nil, unavailable(op, "the client is closed")
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	default:
		return nil, unavailable(op, "too many calls in flight")
	}
}

// enterSpare takes a place for a call that logins come before. However long such calls take, half of
// the places are left.
func (c *Client) enterSpare(op string) (leave func(), err error) {
	select {
	case c.spare <- struct{}{}:
	default:
		return nil, unavailable(op, "too many calls in flight")
	}
	leaveAll, err := c.enter(op)
	if err != nil {
		<-c.spare
		return nil, err
	}
	return func() {
		leaveAll()
		<-c.spare
	}, nil
}
