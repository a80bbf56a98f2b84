// The default HTTP transport, and the translation of its errors into words that hold no secret.

package wechat

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxConnectTime bounds the name lookup and the TCP connection, and once more the TLS
	// handshake: a host that swallows packets must leave time for the next one.
	maxConnectTime = 2 * time.Second

	// idleTime is short because only a new connection looks the name up again, and WeChat retires
	// addresses.
	idleTime = 60 * time.Second

	// maxIdlePerHost keeps connections over the bursts of a morning; net/http's own 2 would close
	// and reopen them.
	maxIdlePerHost = 64

	// maxHeaderBytes is far above the few hundred bytes that WeChat sends, and far below net/http's
	// own 10 MiB.
	maxHeaderBytes = 64 << 10
)

// newTransport speaks HTTP/1.1 only: a connection that died silently then costs the one call that
// times out on it. In HTTP/2 it would be everybody's.
func newTransport(timeout time.Duration) *http.Transport {
	connect := min(maxConnectTime, timeout/2)
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Protocols:              &http1,
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connect}).DialContext,
		TLSHandshakeTimeout:    connect,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// progress records the stages of one HTTP request, as net/http's transport reports them. Other
// transports may report nothing.
type progress struct {
	started   atomic.Bool // the transport tells
	connected atomic.Bool // from here on WeChat may have read the request
	answered  atomic.Bool // at least one byte came back
}

func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { p.started.Store(true) },
		GotConn:              func(httptrace.GotConnInfo) { p.connected.Store(true) },
		GotFirstResponseByte: func() { p.answered.Store(true) },
	})
}

// connecting reports that the request certainly did not leave yet.
func (p *progress) connecting() bool {
	return p.started.Load() && !p.connected.Load()
}

// unanswered makes the error for a request that ended without an answer. The errors of net/http and
// of what lies under it quote addresses, certificates and bytes of the answer, so nothing of err is
// kept but its kind.
//
// A timeout while waiting ends the call: the code in it may be spent by now, and asking the next
// host would only say so. A connection that could not be made, or broke, is worth another host.
func (p *progress) unanswered(op, address string, err error) *Error {
	connecting := p.connecting() || isDial(err)
	timeout := isTimeout(err)
	if p.answered.Load() && !timeout {
		return badAnswer(op, "the answer's header is cut off, too large, or not HTTP (from "+address+")")
	}

	e := unavailable(op, describe(err, connecting)+" ("+address+")")
	e.elsewhere = connecting || !timeout
	if timeout {
		e.cause = context.DeadlineExceeded
	}
	return e
}

// describe names the kind of a network error in a fixed phrase.
func describe(err error, connecting bool) string {
	if phrase := describeTLS(err); phrase != "" {
		return phrase
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "the name does not exist in DNS"
		}
		return "the name could not be looked up in DNS"
	}

	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host"
	case isTimeout(err) && connecting:
		return "timeout while connecting"
	case isTimeout(err):
		return "timeout while waiting for the answer"
	case connecting:
		return "could not connect"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke before the answer"
	}
	return "network failure"
}

func describeTLS(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "TLS: the certificate is signed by an unknown authority; does a proxy intercept TLS?"
	case errors.As(err, &host):
		return "TLS: the certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS: the certificate is expired or not yet valid; is the clock right?"
	case errors.As(err, &roots):
		return "TLS: this system has no root certificates"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "TLS: the certificate is invalid"
	case errors.As(err, &record):
		return "TLS: the other side does not speak TLS"
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"):
		return "TLS: the handshake failed"
	}
	return ""
}

// isDial reports that err comes from making the connection, to WeChat or to a proxy.
func isDial(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
