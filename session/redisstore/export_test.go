// Access for the tests of this package.

package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

// AddHook lets a test see, or refuse, what a store sends.
func AddHook(s session.Store, h redis.Hook) { s.(*store).client.AddHook(h) }

// AccountKey returns where an account is.
func AccountKey(s session.Store, user session.Tag) string { return s.(*store).accountKey(user) }

// PutAccount writes an account in any state.
func PutAccount(ctx context.Context, s session.Store, user session.Tag, whole session.Account) error {
	now := whole.User.FirstSeen
	return s.(*store).change(ctx, "test", user, now, session.Policy{}, func(_ context.Context, a *session.Account) error {
		*a = whole
		return nil
	})
}

// Tidy tidies a bucket of the index.
func Tidy(ctx context.Context, s session.Store, bucket string, now time.Time) error {
	return s.(*store).tidy(ctx, bucket, now)
}
