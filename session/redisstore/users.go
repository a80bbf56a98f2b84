// Users by page: the keys of accounts, node by node, in the order that Redis scans them.

package redisstore

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// scanStep is the least number of keys that a scan passes at once, and maxScans how many of
	// these a page has, if there is time: other keys may be many, and Redis slow.
	scanStep = 10
	maxScans = 200

	// sampled is the number of keys on a node up to which all are counted.
	sampled = 5000
)

// Ban implements session.Store.
func (r *store) Ban(ctx context.Context, user session.Tag, b session.Ban, e session.Ending) ([]session.Revocation, error) {
	return r.end(ctx, "ban", user, e, func(a *session.Account) []session.Revocation { return a.SetBan(b, e) })
}

// Withdraw implements session.Store.
func (r *store) Withdraw(ctx context.Context, user session.Tag, w session.Withdrawal, now time.Time) (had session.Withdrawal, err error) {
	err = r.change(ctx, "withdraw", user, now, session.Policy{}, func(_ context.Context, a *session.Account) error {
		had = a.Withdraw(w, now)
		return nil
	})
	return had, err
}

// Unban implements session.Store.
func (r *store) Unban(ctx context.Context, user session.Tag, now time.Time) error {
	return r.change(ctx, "unban", user, now, session.Policy{}, func(_ context.Context, a *session.Account) error {
		a.Ban = nil
		return nil
	})
}

// Users implements session.Store.
func (r *store) Users(ctx context.Context, q session.UserQuery) (page session.UserPage, err error) {
	const op = "list users"
	var users []session.Tag
	if labels := q.Labels(); len(labels) > 0 {
		users, page.Next, err = r.labeledPage(ctx, op, labels, q)
	} else {
		users, page.Next, err = r.scannedPage(ctx, op, q)
	}
	if err != nil {
		return session.UserPage{}, err
	}
	accounts, err := r.loadAll(ctx, op, users)
	if err != nil {
		return session.UserPage{}, err
	}
	for _, a := range accounts {
		if q.Matches(&a.Account) {
			page.Accounts = append(page.Accounts, a.Account)
		}
	}
	return page, nil
}

// labeledPage returns the users of a page that the index leads to. Its cursor is the last tag.
func (r *store) labeledPage(ctx context.Context, op string, labels []string, q session.UserQuery) (users []session.Tag, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || len(after) != 0 && len(after) != tagSize {
		return nil, "", session.ErrCursor
	}
	users, err = r.labeled(ctx, op, labels)
	users = slices.DeleteFunc(users, func(user session.Tag) bool { return slices.Compare(user[:], after) <= 0 })
	if limit := q.Bounded(); len(users) > limit {
		users = users[:limit]
		next = text(users[limit-1][:])
	}
	return users, next, err
}

// scannedPage returns the users of a page of all.
func (r *store) scannedPage(ctx context.Context, op string, q session.UserQuery) (users []session.Tag, next string, err error) {
	at, err := parseCursor(q.After)
	if err != nil {
		return nil, "", err
	}
	nodes, err := r.masters(ctx, op)
	if err != nil {
		return nil, "", err
	}
	began := time.Now()
	for range maxScans {
		if at.node >= len(nodes) || len(users) >= q.Bounded() || time.Since(began) > timeout {
			break
		}
		var found []session.Tag
		if found, at, err = r.scan(ctx, op, nodes, at, max(q.Bounded()-len(users), scanStep)); err != nil {
			return nil, "", err
		}
		for _, user := range found {
			if q.AppID == "" || user.IsOf(q.AppID) {
				users = append(users, user)
			}
		}
	}
	if at.node < len(nodes) {
		next = at.text()
	}
	return users, next, nil
}

// cursor is a place in a walk over the nodes.
type cursor struct {
	node int
	at   uint64 // of Redis
}

func (c cursor) text() string { return fmt.Sprintf("%d-%d", c.node, c.at) }

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return cursor{}, nil
	}
	if n, err := fmt.Sscanf(text, "%d-%d", &c.node, &c.at); n != 2 || err != nil || c.node < 0 || c.text() != text {
		return cursor{}, session.ErrCursor
	}
	return c, nil
}

// masters returns the nodes that have keys, in an order that lasts as long as they do.
func (r *store) masters(ctx context.Context, op string) (nodes []*redis.Client, err error) {
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return []*redis.Client{r.client.(*redis.Client)}, nil //nolint:forcetypeassert // New makes no other
	}
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	})
	slices.SortFunc(nodes, func(a, b *redis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	return nodes, r.failure(ctx, op, err)
}

var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// scan returns some users, and where the next are.
func (r *store) scan(ctx context.Context, op string, nodes []*redis.Client, c cursor, count int) ([]session.Tag, cursor, error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, c, err
	}
	defer cancel()
	start := r.prefix + "user:"
	keys, next, err := nodes[c.node].Scan(ctx, c.at, globs.Replace(start)+"*", int64(count)).Result()
	if err != nil {
		return nil, c, r.failure(ctx, op, err)
	}
	if c.at = next; next == 0 {
		c.node++
	}
	var users []session.Tag
	for _, key := range keys {
		if raw, err := base64.RawURLEncoding.DecodeString(key[len(start):]); err == nil && len(raw) == tagSize {
			users = append(users, session.Tag(raw))
		}
	}
	return users, c, nil
}

// loadAll reads accounts in one round trip to each node.
func (r *store) loadAll(ctx context.Context, op string, users []session.Tag) ([]account, error) {
	if len(users) == 0 {
		return nil, nil
	}
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	pipe := r.client.Pipeline()
	replies := make([]*redis.MapStringStringCmd, len(users))
	for i, user := range users {
		replies[i] = pipe.HGetAll(ctx, r.accountKey(user))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, r.failure(ctx, op, err)
	}
	accounts := make([]account, len(users))
	for i, user := range users {
		if accounts[i], err = r.decode(user, replies[i].Val()); err != nil {
			return nil, r.failure(ctx, op, err)
		}
	}
	return accounts, nil
}

// Stats implements session.Store. On a node with many keys it counts a part of them, which is as
// good as any: Redis scans in no order.
func (r *store) Stats(ctx context.Context) (s session.Stats, err error) {
	const op = "count users"
	nodes, err := r.masters(ctx, op)
	for i := 0; i < len(nodes) && err == nil; i++ {
		err = r.count(ctx, op, nodes, i, &s)
	}
	return s, err
}

// count adds the users of a node.
func (r *store) count(ctx context.Context, op string, nodes []*redis.Client, node int, s *session.Stats) error {
	seen := map[session.Tag]bool{}
	var users, sessions float64
	at, scanned := cursor{node: node}, 0
	for ; at.node == node && scanned < sampled; scanned += readStep {
		found, next, err := r.scan(ctx, op, nodes, at, readStep)
		if err != nil {
			return err
		}
		accounts, err := r.loadAll(ctx, op, found)
		if err != nil {
			return err
		}
		for i, a := range accounts {
			if a.User.UserID != (session.UserID{}) && !seen[found[i]] {
				seen[found[i]] = true
				users++
				sessions += float64(a.Live())
			}
		}
		at = next
	}
	factor := 1.0
	if at.node == node {
		keys, err := r.keysOn(ctx, op, nodes[node])
		if err != nil {
			return err
		}
		factor, s.Estimated = float64(keys)/float64(scanned), true
	}
	s.Users += int64(users * factor)
	s.Sessions += int64(sessions * factor)
	return nil
}

func (r *store) keysOn(ctx context.Context, op string, node *redis.Client) (int64, error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return 0, err
	}
	defer cancel()
	keys, err := node.DBSize(ctx).Result()
	return keys, r.failure(ctx, op, err)
}
