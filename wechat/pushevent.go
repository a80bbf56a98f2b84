// What a push is about.

package wechat

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The events about a user's authorization.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/event_push/platform/authorized_user_information_changes
const (
	EventInfoModified = "user_info_modified"
	EventRevoke       = "user_authorization_revoke"
	EventCancellation = "user_authorization_cancellation"
)

// The kinds of data in an EventRevoke that are kept about a user.
const (
	RevokedProfile  = "6" // nickname and avatar
	RevokedPhone    = "8"
	RevokedNickname = "19" // of the nickname keyboard
	RevokedAvatar   = "20" // of chooseAvatar
)

// revokedElsewhere are the kinds of data that WeChat's page lists and nobody here keeps.
var revokedElsewhere = map[string]bool{
	"1": true, "2": true, "3": true, "4": true, "5": true, "7": true, "12": true, "13": true, "14": true, "15": true, "16": true, "18": true,
}

// pushName is the form of all known events and message types: what is logged is one of these.
var pushName = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

// Event returns the name of an event, and "" for a message.
func (p Push) Event() string {
	if name := p.Text("Event"); strings.EqualFold(p.Text("MsgType"), "event") && pushName.MatchString(name) {
		return name
	}
	return ""
}

// Kind returns the name of an event, or the type of a message, "" if it has none.
func (p Push) Kind() string {
	if event := p.Event(); event != "" {
		return event
	}
	if kind := p.Text("MsgType"); pushName.MatchString(kind) {
		return kind
	}
	return ""
}

// isAuthorization reports whether the user is in OpenID. FromUserName is WeChat's own account then.
func (p Push) isAuthorization() bool {
	switch p.Event() {
	case EventInfoModified, EventRevoke, EventCancellation:
		return true
	}
	return false
}

// OpenID returns the user whom a push is about or from, "" if there is none. Events came without
// one that should have had it.
func (p Push) OpenID() string {
	openid := p.Text("OpenID")
	if openid == "" && !p.isAuthorization() {
		openid = p.Text("FromUserName")
	}
	if !userIDPattern.MatchString(openid) {
		return ""
	}
	return openid
}

// Concerns reports whether an event of authorization is about the mini program itself, and not
// about a plugin in it.
func (p Push) Concerns(appID string) bool {
	named := p.Text("AppID")
	return p.isAuthorization() && p.Text("PluginID") == "" && (named == "" || named == appID)
}

// Revoked returns the kinds of data that an EventRevoke names, and those among them that WeChat's
// page does not list. It is one number on that page; should it ever be a list, each counts.
func (p Push) Revoked() (kinds, unknown []string) {
	for _, text := range p.texts("RevokeInfo") {
		kinds = append(kinds, strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	for _, kind := range kinds {
		switch kind {
		case RevokedProfile, RevokedPhone, RevokedNickname, RevokedAvatar:
		default:
			if !revokedElsewhere[kind] {
				unknown = append(unknown, kind)
			}
		}
	}
	return kinds, unknown
}

// Created returns when WeChat says that the event happened, zero if it does not.
func (p Push) Created() time.Time {
	seconds, err := strconv.ParseInt(p.Text("CreateTime"), 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// Identity is equal for the repeats of a push, and differs for two pushes. Events of different
// users have one sender, and come in the same second.
func (p Push) Identity() string {
	if p.isAuthorization() {
		return p.sum("authorization", p.Text("Event"), p.Text("AppID"), p.Text("OpenID"), p.Text("CreateTime"), strings.Join(p.texts("RevokeInfo"), ","), p.Text("PluginID"))
	}
	for _, name := range []string{"MsgId", "MsgID"} {
		if id := p.Text(name); id != "" {
			return p.sum("message", p.Kind(), p.Text("FromUserName"), id)
		}
	}
	// RetryTimes alone differs in the repeats of virtual payment's events.
	rest := maps.Clone(p.fields)
	delete(rest, "RetryTimes")
	text, err := Push{rest}.MarshalJSON()
	if err != nil {
		return p.sum("event", p.Kind(), p.Text("FromUserName"), p.Text("CreateTime"))
	}
	return p.sum("content", string(text))
}

func (Push) sum(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
