// The journal: what happened to users, as lines of the log and as events.

package sidecar

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// The events. Each is a line of the log, too.
const (
	EventLogin         = "wechat_auth_login"
	EventPhone         = "wechat_auth_phone"
	EventDenied        = "wechat_auth_denied"
	EventLogout        = "wechat_auth_logout"
	EventBanned        = "wechat_auth_banned"
	EventUnbanned      = "wechat_auth_unbanned"
	EventErased        = "wechat_auth_erased"
	EventPush          = "wechat_auth_push"
	EventWithdrawn     = "wechat_auth_withdrawn"
	EventRefreshReused = "wechat_auth_refresh_reused"
)

var messages = map[string]string{
	EventLogin:         "a user logged in",
	EventPhone:         "a user proved a phone number",
	EventDenied:        "a user is not let in",
	EventLogout:        "a user was logged out",
	EventBanned:        "a user was banned",
	EventUnbanned:      "a user's ban was lifted",
	EventErased:        "a user was erased",
	EventPush:          "WeChat pushed a message",
	EventWithdrawn:     "a user took consent back",
	EventRefreshReused: "a refresh token was used twice, its session has ended",
}

// Events returns the names of all events.
func Events() []string { return slices.Sorted(maps.Keys(messages)) }

// journal logs and publishes what happened to users. It takes nothing that names one.
type journal struct {
	log    *slog.Logger
	server Server
}

// happened logs and publishes an event of a user, or, of a push without one, of nobody.
func (j journal) happened(event, appID string, user session.Tag, details ...slog.Attr) {
	attrs := []slog.Attr{slog.String("appid", appID)}
	if user != (session.Tag{}) {
		attrs = append(attrs, slog.String("user", hashForLog(user)))
	}
	attrs = append(attrs, details...)
	data, line := make(map[string]any, len(attrs)), make([]any, 0, len(attrs))
	for _, attr := range attrs {
		data[attr.Key] = attr.Value.Any()
		line = append(line, attr)
	}
	if event == EventRefreshReused {
		j.log.Warn(messages[event], line...)
	} else {
		j.log.Info(messages[event], line...)
	}
	j.server.Emit(event, data)
}

// denied reports whether the hook, a ban or a risk keeps a user out, and says so.
func (j journal) denied(at, appID string, user session.Tag, err error) bool {
	_, banned := errors.AsType[*session.BannedError](err)
	by := "hook"
	switch {
	case banned:
		by = "ban"
	case errors.Is(err, errRisky):
		by = "risk"
	case !isDenial(err) || errors.Is(err, errHookFailed):
		return false
	}
	j.happened(EventDenied, appID, user, slog.String("at", at), slog.String("by", by))
	return true
}

// refused logs why an exchange with WeChat came to nothing, where that is about the user or the
// code: an outage has lines of its own, and what is beyond a limit is only counted.
func (j journal) refused(what, appID string, user session.Tag, took time.Duration, err error) {
	e := asError(err)
	personal := e.status == http.StatusUnauthorized || e.status == http.StatusForbidden || e.status == http.StatusConflict
	if !personal || errors.Is(err, errHookFailed) {
		return
	}
	attrs := []any{slog.String("appid", appID), slog.String("result", e.Code), duration(took)}
	if user != (session.Tag{}) {
		attrs = append(attrs, slog.String("user", hashForLog(user)))
	}
	if we, ok := errors.AsType[*wechat.Error](err); ok {
		attrs = append(attrs, slog.Int("errcode", we.Code), slog.String("rid", we.RID))
	}
	j.log.Info(what+" is refused", attrs...)
}

// duration is in seconds, as in Caddy's access log.
func duration(took time.Duration) slog.Attr { return slog.Float64("duration", took.Seconds()) }
