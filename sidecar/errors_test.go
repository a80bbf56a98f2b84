// Errors of the leaves as answers.

package sidecar

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// A fault of this module must not look like a store that is away: the operator would look in the
// wrong place.
func TestOnlyStoresAreCalledStores(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want *Error
	}{
		{errors.New("something else"), errInternal},
		{jwt.ErrTooLarge, errInternal},
		{fmt.Errorf("%w: sid", jwt.ErrClaims), errInternal},
		{session.ErrUnavailable, errStore},
		{fmt.Errorf("reading a session: %w: no route to host", session.ErrUnavailable), errStore},
		{session.ErrClosed, errStore},
		{session.ErrFull, errStore},
		{session.ErrEnded, errSessionRevoked},
		{&session.BannedError{}, errDenied},
		{&wechat.Error{Class: wechat.ClassUnavailable}, errUnavailable},
		{withCause(errStore, errors.New("x")), errStore},
	} {
		if got := asError(test.err); got.Code != test.want.Code || got.status != test.want.status {
			t.Errorf("%v: got %d %s, want %d %s", test.err, got.status, got.Code, test.want.status, test.want.Code)
		}
	}
}

// A user who is banned is told why, where the operator says so.
func TestABanHasItsReason(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{"": errDenied.Description, "请联系客服": "请联系客服", "a\nb": errDenied.Description} {
		err := fmt.Errorf("login: %w", &session.BannedError{Ban: session.Ban{Reason: reason}})
		if got := asError(err); got.status != 403 || got.Code != "denied" || got.Description != want {
			t.Errorf("%q: got %d %v, want %q", reason, got.status, got, want)
		}
	}
}
