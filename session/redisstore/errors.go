// Errors that name a remedy.

package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

// Cause names why Redis can't be used. Errors of one cause are one outage.
type Cause string

// The causes.
const (
	Unreachable  Cause = "unreachable"
	WrongLogin   Cause = "wrong_login"
	NotPermitted Cause = "not_permitted"
	TLSFailed    Cause = "tls"
	OtherKind    Cause = "other_kind"
	NoMaster     Cause = "no_master"
	ReadOnly     Cause = "read_only"
	Full         Cause = "full"
	FewReplicas  Cause = "few_replicas"
	Refused      Cause = "refused"
	WrongSealKey Cause = "wrong_seal_key"
	NoSealKey    Cause = "no_seal_key"
	NotSealed    Cause = "not_sealed"
	BadRecord    Cause = "bad_record"
	Unfit        Cause = "unfit"
	Busy         Cause = "busy"
	Closed       Cause = "closed"
)

var advice = map[Cause]string{
	Unreachable:  "Redis does not answer: check its address, redis:// or rediss://, that it runs, and the network between",
	WrongLogin:   "Redis refuses the login: check username and password of the store, and sentinel_password in a sentinel URL",
	NotPermitted: "the Redis user may not do what the store needs: grant it ~<prefix>* +@all -@dangerous +info in its ACL",
	TLSFailed:    "the TLS connection to Redis fails: check rediss://, the names in its certificate, and cert if it asks for one",
	OtherKind:    "the Redis there is of another kind: redis:// is for one, redis+cluster:// for a cluster, redis+sentinel:// for sentinels",
	NoMaster:     "the sentinels know no such master: check its name, which follows the hosts in redis+sentinel://",
	ReadOnly:     "this Redis is a read-only replica: name the master, or use redis+sentinel://",
	Full:         "Redis is out of memory: raise maxmemory",
	FewReplicas:  "too few replicas of Redis have the write: check them, or lower wait_replicas or min-replicas-to-write",
	Refused:      "Redis refuses the command: see its log",
	WrongSealKey: "a value in Redis does not open: it was sealed with another seal_key, or belongs to another key",
	NoSealKey:    "the values in Redis are sealed: set the seal_key that they were sealed with",
	NotSealed:    "the values in Redis are not sealed, for they were written without seal_key: remove it, or use another prefix",
	BadRecord:    "a record in Redis is damaged, or belongs to another key",
	Unfit:        "a record does not fit the store",
	Busy:         "one account is changed too often at once",
	Closed:       "the store is closed",
}

// Error is a failure of the store. Its text holds nothing of users, keys or passwords.
type Error struct {
	Op    string
	Cause Cause

	detail string
}

// Advice returns a sentence for the operator.
func (e *Error) Advice() string {
	if e.Cause == TLSFailed && strings.HasPrefix(e.detail, unknownCA) {
		return "nobody known vouches for the certificate of Redis: name its authority with ca"
	}
	return advice[e.Cause]
}

// Error returns the operation, the advice and the cause.
func (e *Error) Error() string {
	text := "session: redis: " + e.Op + ": " + e.Advice()
	if e.detail != "" {
		text += " (" + e.detail + ")"
	}
	return text
}

// Reason returns the cause, for session.Reason.
func (e *Error) Reason() string { return string(e.Cause) }

// Unwrap returns the errors of the contract.
func (e *Error) Unwrap() []error {
	switch e.Cause {
	case Closed:
		return []error{session.ErrUnavailable, session.ErrClosed}
	case Full:
		return []error{session.ErrUnavailable, session.ErrFull}
	}
	return []error{session.ErrUnavailable}
}

const unknownCA = "x509: certificate signed by unknown authority"

// replies are the beginnings of Redis' errors, which may stand inside the error of a script.
var replies = []struct {
	code  string
	cause Cause
}{
	{"NOAUTH", WrongLogin},
	{"WRONGPASS", WrongLogin},
	{"ERR invalid password", WrongLogin},
	{"ERR AUTH", WrongLogin},
	{"NOPERM", NotPermitted},
	{"READONLY", ReadOnly},
	{"OOM", Full},
	{"NOREPLICAS", FewReplicas},
	{"MOVED", OtherKind},
	{"ERR This instance has cluster support disabled", OtherKind},
	{"ERR unknown command", OtherKind},
}

// failure makes an error of the store's. The text of the cause is made here, for Redis quotes at
// times what it was sent.
func (r *store) failure(ctx context.Context, op string, cause error) error {
	if cause == nil {
		return nil
	}
	select {
	case <-r.closed:
		return &Error{Op: op, Cause: Closed}
	default:
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow) {
		return ctx.Err()
	}
	if known, ok := errors.AsType[*Error](cause); ok {
		return &Error{op, known.Cause, known.detail}
	}
	e := &Error{Op: op, Cause: Unreachable}
	if errors.Is(cause, redis.Nil) { // nothing asks Redis for what may be missing in this way
		e.Cause = NoMaster
		return e
	}
	if reply, ok := errors.AsType[redis.Error](cause); ok {
		e.Cause, e.detail = replyCause(reply.Error())
		return e
	}
	switch {
	case isTLS(cause):
		e.Cause, e.detail = TLSFailed, tlsDetail(cause)
	case errors.Is(cause, context.DeadlineExceeded):
		e.detail = fmt.Sprintf("no answer within %v", timeout)
	default:
		e.detail = networkDetail(cause)
	}
	return e
}

// replyCause returns the cause that an error of Redis names, and its text without what it quotes.
func replyCause(reply string) (Cause, string) {
	detail, _, _ := strings.Cut(reply, ", with args")
	detail, _, _ = strings.Cut(detail, "\n")
	for _, known := range replies {
		if strings.HasPrefix(reply, known.code) || strings.Contains(reply, "-"+known.code+" ") {
			return known.cause, detail
		}
	}
	switch {
	case strings.Contains(reply, "unauthenticated"):
		return WrongLogin, detail
	case strings.Contains(reply, "The user executing the script"):
		return NotPermitted, detail
	}
	return Refused, detail
}

func isTLS(err error) bool {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	// An alert of the other side comes without a type.
	return authority || name || invalid || plain || alert || strings.Contains(err.Error(), "tls: ")
}

func tlsDetail(err error) string {
	text := err.Error()
	if at := strings.Index(text, "x509: "); at >= 0 {
		return text[at:]
	}
	if at := strings.Index(text, "tls: "); at >= 0 {
		return text[at:]
	}
	return "tls"
}

// networkDetail returns the text of an error that comes from the network; others may hold anything.
func networkDetail(err error) string {
	if failed, ok := errors.AsType[net.Error](err); ok {
		return failed.Error()
	}
	return ""
}
