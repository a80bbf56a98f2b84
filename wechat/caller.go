// The caller: hosts, transport and clock of one mini program's calls.

package wechat

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// caller makes calls for one mini program. A Client and the Tokens it made for itself share one.
type caller struct {
	appID     string
	bases     []base
	timeout   time.Duration
	transport http.RoundTripper
	closeIdle func()
	signing   *Signing // nil: every call is plain
	now       func() time.Time
	logger    *slog.Logger
	observe   func(ctx context.Context, op string, class Class, took time.Duration)
}

// newCaller takes a Config with its defaults filled in.
func newCaller(cfg Config) (*caller, error) {
	bases, err := parseBases(cfg.BaseURLs)
	if err != nil {
		return nil, err
	}

	c := &caller{
		appID:     cfg.AppID,
		bases:     bases,
		timeout:   cfg.Timeout,
		transport: cfg.transport,
		closeIdle: func() {},
		signing:   cfg.Signing,
		now:       cfg.Now,
		logger:    cfg.Logger,
		observe:   cfg.Observe,
	}
	if c.transport == nil {
		own := newTransport(cfg.Timeout)
		c.transport = own
		c.closeIdle = own.CloseIdleConnections
	}
	if c.signing != nil {
		c.signing.warn(c.logger, c.now())
	}
	return c, nil
}
