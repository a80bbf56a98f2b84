// Errors of calls and their classes.

package wechat

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// The calls an [Error] can come from. Each is the last element of the path WeChat gives the call,
// so an operator finds it in WeChat's own documentation, and the set is small enough to label a
// metric.
const (
	OpCode2Session  = "jscode2session"
	OpPhoneNumber   = "getuserphonenumber"
	OpToken         = "stable_token"
	OpTokenServer   = "token_server" // Config.TokenURL, which is not WeChat's
	OpCheckSession  = "checksession"
	OpOpenData      = "getopendata"
	OpCheckNickname = "msg_sec_check"
	OpUserRisk      = "getuserriskrank"
)

// Class is the meaning of a failure for the caller, so that no error codes need comparing.
type Class int

// The classes. The zero Class belongs to no [Error].
const (
	// ClassCode: the code is wrong, expired, or not this user's or app's. The client must ask
	// WeChat for a new one.
	ClassCode Class = iota + 1

	// ClassCodeUsed: the code was exchanged before. Double taps and client retries do this; it is
	// no sign of an attack by itself.
	ClassCodeUsed

	// ClassBlocked: WeChat holds the user for high-risk and refuses the login. Trying again does
	// not help.
	ClassBlocked

	// ClassContent: WeChat would not show the text to others. The user must choose another.
	ClassContent

	// ClassInactive: the user did nothing in the mini program for 2 hours, so WeChat does not check
	// what they wrote. Whether to accept it unchecked is the caller's choice.
	ClassInactive

	// ClassConfig: the operator must act: wrong AppSecret, an address missing from the whitelist, a
	// frozen account, or anything WeChat says that this package does not know.
	ClassConfig

	// ClassQuota: too many calls this minute or today.
	ClassQuota

	// ClassToken: WeChat refuses the access token, and refused it again after it was renewed.
	ClassToken

	// ClassBusy: WeChat says it is busy, and said so again a moment later.
	ClassBusy

	// ClassUnavailable: no answer. The network, a timeout, the caller gave up, or too many calls
	// are under way.
	ClassUnavailable

	// ClassBadAnswer: an answer came that WeChat would not give: not JSON, too large, a redirect, a
	// promised field missing.
	ClassBadAnswer

	// ClassRefused: WeChat refuses a relayed call for a reason that concerns the program that made
	// it. No [Error] has it: the program has WeChat's own answer.
	ClassRefused
)

// String returns the name of the class, for logs and metrics: "ok" is that of no failure.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return "unknown"
	}
	return classNames[c]
}

var classNames = [...]string{
	0: "ok", ClassCode: "code", ClassCodeUsed: "code_used", ClassBlocked: "blocked", ClassContent: "content",
	ClassInactive: "inactive", ClassConfig: "config", ClassQuota: "quota", ClassToken: "token", ClassBusy: "busy",
	ClassUnavailable: "unavailable", ClassBadAnswer: "bad_answer",
	ClassRefused: "refused",
}

// Error is the one type of error that calls return.
//
// It is safe to log and to show to an operator: it never holds a URL, the AppSecret, a token, a
// code, an openid, a phone number, a nickname, or any byte of WeChat's answer but those that RID
// and IP name.
type Error struct {
	Op     string // the call: one of the Op constants
	Code   int    // WeChat's errcode; 0 when there was none
	RID    string // WeChat's name for the call, to quote to its support or to look up within 7 days
	Class  Class  // what the failure means
	IP     string // with errcode 40164: the address to put on the whitelist
	Reason string // a sentence of this package's own, never WeChat's

	// RetryAfter is the time until WeChat takes the call again, where that is known: a daily quota
	// is reset at midnight in Beijing.
	RetryAfter time.Duration

	// cause is context.Canceled, context.DeadlineExceeded or nil: sentinels carry no data, the
	// errors of net/http do.
	cause error

	// elsewhere is set when no answer came and none is awaited, so another host may be tried.
	elsewhere bool
}

// Error returns one line with everything an operator needs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat: ")
	b.WriteString(e.Op)
	if e.Code != 0 {
		b.WriteString(": errcode ")
		b.WriteString(strconv.Itoa(e.Code))
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	if e.IP != "" {
		b.WriteString(": ")
		b.WriteString(e.IP)
	}
	if e.RID != "" {
		b.WriteString(" (rid ")
		b.WriteString(e.RID)
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns [context.Canceled] or [context.DeadlineExceeded] when one of them is why the call
// ended, else nil.
func (e *Error) Unwrap() error {
	return e.cause
}

// ClassOf returns the class of the [Error] in err's chain, and 0 when there is none.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return 0
}

func badAnswer(op, reason string) *Error {
	return &Error{Op: op, Class: ClassBadAnswer, Reason: reason}
}

func unavailable(op, reason string) *Error {
	return &Error{Op: op, Class: ClassUnavailable, Reason: reason}
}
