// Users brought along from elsewhere, and everything on the way to another store.

package redisstore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	for at := (cursor{}); at.node < len(nodes); {
		var users []session.Tag
		if users, at, err = r.scan(ctx, op, nodes, at, readStep); err != nil {
			return err
		}
		accounts, err := r.loadAll(ctx, op, users)
		if err != nil {
			return err
		}
		var part session.Dump
		for i, a := range accounts {
			if a.version != "" { // it may be gone since
				part.Accounts = append(part.Accounts, session.DumpedAccount{Tag: users[i], Account: a.Account})
			}
		}
		if err := each(part); err != nil {
			return err
		}
	}
	var last session.Dump
	if last.Revoked, _, err = r.kept(ctx); err != nil {
		return err
	}
	if last.Keys, _, err = r.Keys(ctx); err != nil {
		return err
	}
	return each(last)
}
