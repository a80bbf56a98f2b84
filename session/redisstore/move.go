// Users brought along from elsewhere, and everything on the way to another store.

package redisstore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// writers is the number of accounts written at once, for each takes a few round trips.
	writers = 16

	// readStep is about how many accounts a part of a dump has.
	readStep = 500
)

// Import implements session.Store.
func (r *store) Import(ctx context.Context, users []session.User, now time.Time) error {
	return atOnce(len(users), func(i int) error {
		u := users[i]
		return r.change(ctx, "import", u.Tag(), now, session.Policy{}, func(_ context.Context, a *session.Account) error {
			a.Import(u, now)
			return nil
		})
	})
}

// Restore implements session.Store.
func (r *store) Restore(ctx context.Context, part session.Dump, now time.Time) error {
	const op = "restore"
	err := atOnce(len(part.Accounts), func(i int) error {
		d := part.Accounts[i]
		return r.change(ctx, op, d.Tag, now, session.Policy{}, func(_ context.Context, a *session.Account) error {
			*a = d.Account
			return nil
		})
	})
	if err != nil {
		return err
	}
	for revoked := range slices.Chunk(part.Revoked, readStep) {
		if err := r.revoke(ctx, op, revoked); err != nil {
			return err
		}
	}
	if part.Keys == nil {
		return nil
	}
	for swapped := false; !swapped && err == nil; {
		var version int64
		if _, version, err = r.Keys(ctx); err == nil {
			swapped, err = r.SwapKeys(ctx, version, part.Keys)
		}
	}
	return err
}

// atOnce does n things, some at a time, until one fails.
func atOnce(n int, do func(i int) error) (err error) {
	var next atomic.Int64
	var once sync.Once
	var all sync.WaitGroup
	for range min(n, writers) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if failed := do(i); failed != nil {
					once.Do(func() { err = failed })
					next.Store(int64(n))
				}
			}
		})
	}
	all.Wait()
	return err
}

// Dump implements session.Store.
func (r *store) Dump(ctx context.Context, each func(session.Dump) error) error {
	const op = "dump"
	nodes, err := r.masters(ctx, op)
	if err != nil {
		return err
	}
	var first, last session.Dump
	if first.Revoked, _, err = r.kept(ctx); err != nil {
		return err
	}
	if last.Keys, _, err = r.Keys(ctx); err != nil {
		return err
	}
	if err := each(first); err != nil {
		return err
	}
	for at := (cursor{}); at.node < len(nodes); {
		var part session.Dump
		if part.Accounts, at, err = r.dumped(ctx, op, nodes, at); err != nil {
			return err
		}
		if err := each(part); err != nil {
			return err
		}
	}
	return each(last)
}

// dumped returns some accounts, and where the next are.
func (r *store) dumped(ctx context.Context, op string, nodes []*redis.Client, at cursor) (all []session.DumpedAccount, next cursor, err error) {
	users, next, err := r.scan(ctx, op, nodes, at, readStep)
	if err != nil {
		return nil, at, err
	}
	accounts, err := r.loadAll(ctx, op, users)
	if err != nil {
		return nil, at, err
	}
	for i, a := range accounts {
		if a.version != "" { // it may be gone since
			all = append(all, session.DumpedAccount{Tag: users[i], Account: a.Account})
		}
	}
	return all, next, nil
}
