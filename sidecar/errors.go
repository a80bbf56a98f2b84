// The errors that clients get.

package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/avatar"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// Error is an error as the client gets it. Its text is for the client's developer and is one of
// this file's, or the hook's: what the client sent never comes back, nor what WeChat or the system
// said.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	ErrCode     int    `json:"errcode,omitempty"` // WeChat's, 0 if the error is not
	RID         string `json:"rid,omitempty"`

	status     int
	bearer     string        // the error attribute of WWW-Authenticate
	retryAfter time.Duration // 0: no Retry-After
	allow      string
	cause      error // for the log
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }
func (e *Error) Unwrap() error { return e.cause }

// Status returns the HTTP status.
func (e *Error) Status() int { return e.status }

// Write answers with the error as JSON.
func (e *Error) Write(w http.ResponseWriter) { writeJSON(w, e.status, e) }

// The whole table of errors; docs/api.md shows it.
var (
	errNotFound    = entry(404, "not_found", "there is no such route")
	errNoPicture   = withDescription(errNotFound, "there is no such picture: it was removed or replaced, its user was erased, or it lies on a machine with a storage of its own")
	errTooLarge    = entry(413, "payload_too_large", "the request body is too large")
	errMediaType   = entry(415, "unsupported_media_type", "send the body as JSON")
	errPicture     = entry(415, "unsupported_media_type", "the avatar is not a JPEG, PNG, GIF or WebP picture that can be read")
	errPictureSize = entry(413, "payload_too_large", "the avatar has too many pixels")
	errCrowded     = entry(431, "too_many_headers", "a request with a token has 80 header lines at most: servers behind drop what they find too much")
	errTooEarly    = entry(425, "too_early", "send the request again after the TLS handshake")
	errCodeInvalid = entry(401, "code_invalid", "WeChat does not accept this code: it is wrong, too old, of another "+
		"kind, or another user's; get a new one")
	errCodeUsed     = entry(401, "code_used", "this code was used before; get a new one with wx.login")
	errTokenMissing = entry(401, "token_missing", "send the access token as Authorization: Bearer")
	errTokenInvalid = entry(401, "token_invalid", "the access token is not valid here").challenges("invalid_token")
	errTokenExpired = entry(401, "token_expired", "the access token has expired").challenges("invalid_token")
	errEncryptedOff = invalidRequest("encryptedData is not switched on here; send the code that the phone button gives")
	errNotEncrypted = invalidRequest("encryptedData and iv are not base64 of whole blocks: send both in JSON as the " +
		"phone button gives them; %2B or %3D in one means that it was escaped for a URL")
	errRefreshInvalid = entry(401, "refresh_invalid", "this refresh token is not valid or has expired; log in again")
	errRefreshReused  = entry(401, "refresh_reused", "this refresh token was used before; the session has ended for safety, log in again")
	errSessionRevoked = entry(401, "session_revoked", "this session has ended; log in again").challenges("invalid_token")
	errTwoTokens      = entry(400, "invalid_request", "send one access token, in one place").challenges("invalid_request")

	errKeyStale = entry(409, "session_key_stale", "this can't be decrypted: call wx.login, log in with its code, and "+
		"let the user tap the phone button again")

	errUserBlocked   = entry(403, "user_blocked", "WeChat does not let this user log in")
	errPhoneRequired = entry(403, "phone_required", "this needs a phone number: ask the user for it and call the phone "+
		"route").challenges("insufficient_scope")
	errCrossSite = entry(403, "cross_site", "a page of another origin sent this with the user's cookie: send the "+
		"token in the Authorization header, or have the origin listed in cors")

	errDenied     = entry(403, "denied", "this server does not let this user in")
	errHookFailed = entry(403, "denied", "this server can't tell at the moment whether to let this user in; try again later")
	errContent    = entry(403, "denied", "WeChat's content check does not pass this nickname")
	errInactive   = entry(403, "denied", "WeChat checks nicknames only of users who were active in the last two hours: "+
		"call wx.login and try again")

	errRateLimited   = entry(429, "rate_limited", "too many requests; try again later").retry(time.Minute)
	errMisconfigured = entry(502, "wechat_misconfigured", "WeChat refuses this server's configuration; its operator "+
		"finds the reason in the log")
	errBadAnswer   = entry(502, "wechat_bad_answer", "WeChat's answer made no sense")
	errUnavailable = entry(503, "wechat_unavailable", "WeChat can't be reached or is busy; try again").retry(2 * time.Second)
	errHookAway    = entry(503, "hook_unavailable", "this server can't tell at the moment whether to let this user "+
		"go on; try again").retry(2 * time.Second)
	errInternal = entry(500, "internal", "a fault in this server; its operator finds the cause in the log")
	errStore    = entry(503, "store_unavailable", "the session store can't be used at the moment; try again").retry(2 * time.Second)
)

// table has each status and code once.
var table []string

func entry(status int, code, description string) *Error {
	if name := strconv.Itoa(status) + " " + code; !slices.Contains(table, name) {
		table = append(table, name)
	}
	return &Error{status: status, Code: code, Description: description}
}

func (e *Error) challenges(bearer string) *Error {
	e.bearer = bearer
	return e
}

func (e *Error) retry(after time.Duration) *Error {
	e.retryAfter = after
	return e
}

// Errors returns all errors by status and code, such as "404 not_found".
func Errors() []string {
	return append(slices.Clone(table), "405 "+methodNotAllowed().Code)
}

func invalidRequest(description string) *Error {
	return &Error{status: 400, Code: "invalid_request", Description: description}
}

func methodNotAllowed(allowed ...string) *Error {
	allow := strings.Join(allowed, ", ")
	return &Error{status: 405, Code: "method_not_allowed", Description: "this route takes " + allow, allow: allow}
}

// asError turns every error of the leaves into HTTP. An error that is not in the table is a fault
// of this program.
func asError(err error) *Error {
	var we *wechat.Error
	var known *Error
	var banned *session.BannedError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, jwt.ErrExpired):
		return errTokenExpired
	case errors.Is(err, jwt.ErrInvalid):
		return errTokenInvalid
	case errors.As(err, &we):
		return fromWeChat(we)
	case errors.As(err, &banned):
		return denied(banned.Ban.Reason)
	case errors.Is(err, session.ErrEnded):
		return errSessionRevoked
	case errors.Is(err, session.ErrUnavailable), errors.Is(err, context.DeadlineExceeded): // WeChat's have types
		return withCause(errStore, err)
	case errors.Is(err, avatar.ErrFormat):
		return errPicture
	case errors.Is(err, avatar.ErrTooLarge):
		return errPictureSize
	}
	return withCause(errInternal, err)
}

func fromWeChat(we *wechat.Error) *Error {
	entry := byClass[we.Class]
	if entry == nil {
		entry = errInternal
	}
	e := withCause(entry, we)
	e.ErrCode, e.RID = we.Code, we.RID
	if we.RetryAfter > 0 {
		e.retryAfter = we.RetryAfter
	}
	return e
}

var byClass = map[wechat.Class]*Error{
	wechat.ClassCode:        errCodeInvalid,
	wechat.ClassCodeUsed:    errCodeUsed,
	wechat.ClassBlocked:     errUserBlocked,
	wechat.ClassQuota:       errRateLimited,
	wechat.ClassConfig:      errMisconfigured,
	wechat.ClassBadAnswer:   errBadAnswer,
	wechat.ClassContent:     errContent,
	wechat.ClassInactive:    errInactive,
	wechat.ClassToken:       errUnavailable,
	wechat.ClassBusy:        errUnavailable,
	wechat.ClassUnavailable: errUnavailable,
}

// because is the table's entry with its cause.
func withCause(entry *Error, cause error) *Error {
	e := *entry
	e.cause = cause
	return &e
}

// failures answers, logs and counts what went wrong.
type failures struct {
	logger *slog.Logger
	count  Count
}

// write answers in JSON.
func (f failures) write(w http.ResponseWriter, err error) {
	e := asError(err)
	f.log(e)
	e.setHeader(w.Header())
	e.Write(w)
}

// log counts a refusal, and logs what went wrong here: what the store or WeChat does wrong was
// logged when it happened, once for all requests that waited for the same call.
func (f failures) log(e *Error) {
	if errors.Is(e, context.Canceled) { // the client left
		return
	}
	f.count(Refusals, e.Code)
	if e.Code == errInternal.Code {
		f.count(InternalErrors)
		f.logger.Error("unexpected error", "error", e.cause)
	}
}

func (e *Error) setHeader(header http.Header) {
	header.Set("Cache-Control", "no-store")
	if e.status == http.StatusUnauthorized || e.bearer != "" {
		header.Set("WWW-Authenticate", e.challenge())
	}
	if e.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	if e.allow != "" {
		header.Set("Allow", e.allow)
	}
}

// challenge follows RFC 6750 section 3: without a token there is no error to tell.
func (e *Error) challenge() string {
	if e.bearer == "" {
		return `Bearer realm="wechat_auth"`
	}
	return `Bearer realm="wechat_auth", error="` + e.bearer + `"`
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // only this package's own types are written
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	writeBytes(w, status, text)
}

func writeBytes(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
