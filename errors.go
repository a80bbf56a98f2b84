package wechatauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/avatar"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// apiError is an error as the client gets it. Its text is for the client's developer and is one of this
// file's, or the hook's: what the client sent never comes back, nor what WeChat or the system said.
type apiError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	ErrCode     int    `json:"errcode,omitempty"`
	RID         string `json:"rid,omitempty"`

	status     int
	bearer     string        // the error attribute of WWW-Authenticate
	retryAfter time.Duration // 0: no Retry-After
	allow      string
	cause      error // for the log
}

func (e *apiError) Error() string { return e.Code + ": " + e.Description }
func (e *apiError) Unwrap() error { return e.cause }

// The whole table of errors; README.md shows it.
var (
	errNotFound       = &apiError{status: 404, Code: "not_found", Description: "there is no such route"}
	errTooLarge       = &apiError{status: 413, Code: "payload_too_large", Description: "the request body is too large"}
	errMediaType      = &apiError{status: 415, Code: "unsupported_media_type", Description: "send the body as JSON"}
	errPicture        = &apiError{status: 415, Code: "unsupported_media_type", Description: "the avatar is not a JPEG, PNG, GIF or WebP picture that can be read"}
	errPictureSize    = &apiError{status: 413, Code: "payload_too_large", Description: "the avatar has too many pixels"}
	errTooEarly       = &apiError{status: 425, Code: "too_early", Description: "send the request again after the TLS handshake"}
	errCodeInvalid    = &apiError{status: 401, Code: "code_invalid", Description: "WeChat does not accept this code: it is wrong, too old, of another kind, or another user's; get a new one"}
	errCodeUsed       = &apiError{status: 401, Code: "code_used", Description: "this code was used before; get a new one with wx.login"}
	errTokenMissing   = &apiError{status: 401, Code: "token_missing", Description: "send the access token as Authorization: Bearer"}
	errTokenInvalid   = &apiError{status: 401, Code: "token_invalid", Description: "the access token is not valid here", bearer: "invalid_token"}
	errTokenExpired   = &apiError{status: 401, Code: "token_expired", Description: "the access token has expired", bearer: "invalid_token"}
	errEncryptedOff   = invalidRequest("encryptedData is not switched on here; send the code that the phone button gives")
	errNotEncrypted   = invalidRequest("encryptedData and iv are not base64 of whole blocks: send both in JSON as the phone button gives them; %2B or %3D in one means that it was escaped for a URL")
	errRefreshInvalid = &apiError{status: 401, Code: "refresh_invalid", Description: "this refresh token is not valid or has expired; log in again"}
	errRefreshReused  = &apiError{status: 401, Code: "refresh_reused", Description: "this refresh token was used before; the session has ended for safety, log in again"}
	errSessionRevoked = &apiError{status: 401, Code: "session_revoked", Description: "this session has ended; log in again", bearer: "invalid_token"}
	errTwoTokens      = &apiError{status: 400, Code: "invalid_request", Description: "send one access token, in one place", bearer: "invalid_request"}

	errKeyStale = &apiError{status: 409, Code: "session_key_stale", Description: "this can't be decrypted: call wx.login, log in with its code, and let the user tap the phone button again"}

	errUserBlocked   = &apiError{status: 403, Code: "user_blocked", Description: "WeChat does not let this user log in"}
	errPhoneRequired = &apiError{status: 403, Code: "phone_required", Description: "this needs a phone number: ask the user for it and call the phone route", bearer: "insufficient_scope"}
	errCrossSite     = &apiError{status: 403, Code: "cross_site", Description: "a page of another origin sent this with the user's cookie: send the token in the Authorization header, or have the origin listed in cors"}

	errDenied     = &apiError{status: 403, Code: "denied", Description: "this server does not let this user in"}
	errHookFailed = &apiError{status: 403, Code: "denied", Description: "this server can't tell at the moment whether to let this user in; try again later"}
	errContent    = &apiError{status: 403, Code: "denied", Description: "WeChat's content check does not pass this nickname"}
	errInactive   = &apiError{status: 403, Code: "denied", Description: "WeChat checks nicknames only of users who were active in the last two hours: call wx.login and try again"}

	errRateLimited   = &apiError{status: 429, Code: "rate_limited", Description: "too many requests; try again later", retryAfter: time.Minute}
	errMisconfigured = &apiError{status: 502, Code: "wechat_misconfigured", Description: "WeChat refuses this server's configuration; its operator finds the reason in the log"}
	errBadAnswer     = &apiError{status: 502, Code: "wechat_bad_answer", Description: "WeChat's answer made no sense"}
	errUnavailable   = &apiError{status: 503, Code: "wechat_unavailable", Description: "WeChat can't be reached or is busy; try again", retryAfter: 2 * time.Second}
	errHookAway      = &apiError{status: 503, Code: "hook_unavailable", Description: "this server can't tell at the moment whether to let this user go on; try again", retryAfter: 2 * time.Second}
	errInternal      = &apiError{status: 500, Code: "internal", Description: "a fault in this server; its operator finds the cause in the log"}
	errStore         = &apiError{status: 503, Code: "store_unavailable", Description: "the session store can't be used at the moment; try again", retryAfter: 2 * time.Second}
)

func invalidRequest(description string) *apiError {
	return &apiError{status: 400, Code: "invalid_request", Description: description}
}

func methodNotAllowed(allowed ...string) *apiError {
	allow := strings.Join(allowed, ", ")
	return &apiError{status: 405, Code: "method_not_allowed", Description: "this route takes " + allow, allow: allow}
}

// asAPIError turns every error of the leaves into HTTP. An error that is not in the table is a fault of this program.
func asAPIError(err error) *apiError {
	var we *wechat.Error
	var known *apiError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, jwt.ErrExpired):
		return errTokenExpired
	case errors.Is(err, jwt.ErrInvalid):
		return errTokenInvalid
	case errors.As(err, &we):
		return fromWeChat(we)
	case errors.Is(err, session.ErrEnded):
		return errSessionRevoked
	case errors.Is(err, session.ErrUnavailable):
		return because(errStore, err)
	case errors.Is(err, avatar.ErrFormat):
		return errPicture
	case errors.Is(err, avatar.ErrTooLarge):
		return errPictureSize
	}
	return because(errInternal, err)
}

func fromWeChat(we *wechat.Error) *apiError {
	entry := byClass[we.Class]
	if entry == nil {
		entry = errInternal
	}
	e := because(entry, we)
	e.ErrCode, e.RID = we.Code, we.RID
	if we.RetryAfter > 0 {
		e.retryAfter = we.RetryAfter
	}
	return e
}

var byClass = map[wechat.Class]*apiError{
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
func because(entry *apiError, cause error) *apiError {
	e := *entry
	e.cause = cause
	return &e
}

// errorPlaceholder has the code of a refusal.
const errorPlaceholder = "http.wechat_auth.error"

// refuse answers a request that the guard does not let pass: through the site's error routes if it has
// some, else in the sidecar's own JSON.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	e := asAPIError(err)
	h.logFailure(e)
	setPlaceholders(r, nobody) // error pages show them empty
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(errorPlaceholder, e.Code)
	}
	e.setHeader(w.Header())
	if !hasErrorRoutes(r) {
		writeJSON(w, e.status, e)
		return nil
	}
	return caddyhttp.Error(e.status, e)
}

// hasErrorRoutes tells whether handle_errors of this very site would see an error. Caddy keeps the
// error routes of all sites of a server in one list, each behind its site's host matcher; without a
// match the client would get an empty answer.
func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil {
		return false
	}
	for _, rt := range server.Errors.Routes {
		if match, err := rt.MatcherSets.AnyMatchWithError(r); match && err == nil {
			return true
		}
	}
	return false
}

// writeError answers in JSON.
func (h *Handler) writeError(w http.ResponseWriter, err error) {
	e := asAPIError(err)
	h.logFailure(e)
	e.setHeader(w.Header())
	writeJSON(w, e.status, e)
}

// logFailure logs and counts what went wrong here, and counts what the store does wrong: that was logged when it
// happened, as was what WeChat does wrong, once for all requests that waited for the same call.
func (h *Handler) logFailure(e *apiError) {
	if errors.Is(e, context.Canceled) { // the client left
		return
	}
	switch e.Code {
	case errInternal.Code:
		metrics.internalErrors.Inc()
		h.logger.Error("unexpected error", zap.Error(e.cause))
	case errStore.Code:
		metrics.storeErrors.Inc()
		if errors.Is(e, session.ErrFull) {
			metrics.storeFull.Inc()
		}
	}
}

func (e *apiError) setHeader(header http.Header) {
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
func (e *apiError) challenge() string {
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
