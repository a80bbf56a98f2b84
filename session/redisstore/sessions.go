// Logins, refreshes, updates and endings.

package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Login implements session.Store. It is two round trips, one more if there is a replay, and three
// more if sessions have to go. These are marked with the login, and can't be used, and stay until
// they are revoked: should this call die before, the next login goes on with them.
func (r *store) Login(ctx context.Context, l session.Login) (revoked []session.Revocation, err error) {
	user, now := l.Session.User.Tag(), l.Session.LastUse
	if _, ok := fieldOf(user, l.Session.SID); !ok || l.Session.User != l.User.UserID {
		return nil, r.failure(ctx, "login", &Error{Cause: Unfit})
	}
	err = r.change(ctx, "login", user, now, l.Policy, func(_ context.Context, a *session.Account) error {
		revoked, err = a.Login(l)
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // what is begun is finished
	if err := r.finish(ctx, "login", user, revoked, now, l.Policy); err != nil {
		return nil, err
	}
	return revoked, r.putReplay(ctx, l.Replay, now)
}

// finish revokes sessions that are marked as ended, and then drops them.
func (r *store) finish(ctx context.Context, op string, user session.Tag, ended []session.Revocation, now time.Time, p session.Policy) error {
	if len(ended) == 0 {
		return nil
	}
	if err := r.revoke(ctx, op, ended); err != nil {
		return err
	}
	return r.change(ctx, op, user, now, p, func(_ context.Context, a *session.Account) error {
		a.Drop(ended)
		return nil
	})
}

// Refresh implements session.Store. It is one round trip, and three more if the session has to go.
func (r *store) Refresh(ctx context.Context, d session.Redemption) (session.Refreshed, error) {
	const op = "refresh"
	user, _, ok := d.SID.Parse()
	field, known := fieldOf(user, d.SID)
	if !ok || !known {
		return session.Refreshed{}, nil
	}
	key := r.accountKey(user)
	claims, err := r.encodeClaims(key, field, d.Claims)
	if err != nil {
		return session.Refreshed{}, r.failure(ctx, op, err)
	}
	if len(d.Salt) != saltSize {
		return session.Refreshed{}, r.failure(ctx, op, &Error{Cause: Unfit})
	}
	replace := 0
	if d.Claims != nil {
		replace = 1
	}
	life := max(session.UserLife, d.Policy.Lifetime) + session.RecordMargin
	reply, err := r.run(ctx, op, refreshScript, []string{key},
		field, d.Family[:], d.Token[:], d.Next[:], d.Salt, d.Now.UnixMilli(), d.Policy.Idle.Milliseconds(),
		d.Policy.Lifetime.Milliseconds(), d.Policy.Grace.Milliseconds(), millisUp(d.TokensUntil), claims, replace,
		newVersion(), life.Milliseconds())
	if err != nil {
		return session.Refreshed{}, err
	}
	result, err := r.refreshed(user, field, d, reply)
	if err != nil {
		return session.Refreshed{}, r.failure(ctx, op, err)
	}
	if err := r.finish(context.WithoutCancel(ctx), op, user, result.Revoked, d.Now, d.Policy); err != nil {
		return session.Refreshed{}, err // nobody may act on a revocation that may not be written
	}
	return result, nil
}

// refreshed reads the reply of the script.
func (r *store) refreshed(user session.Tag, field string, d session.Redemption, reply any) (session.Refreshed, error) {
	list, _ := reply.([]any)
	if len(list) == 1 && list[0] == int64(session.Unknown) {
		return session.Refreshed{}, nil
	}
	if len(list) != 3 {
		return session.Refreshed{}, &Error{Cause: BadRecord}
	}
	outcome, _ := list[0].(int64)
	record, _ := list[1].(string)
	known, _ := list[2].(string)
	a, err := r.decode(user, map[string]string{field: record, userField: known})
	if err != nil {
		return session.Refreshed{}, err
	}
	result := session.Refreshed{Outcome: session.Outcome(outcome)}
	switch s := a.Sessions[0]; result.Outcome {
	case session.Rotated, session.Repeated:
		result.Session, result.User = s, a.User
	case session.Reused, session.Unknown: // unknown, with its record, is one that was evicted
		result.Revoked = []session.Revocation{s.Revocation(session.Ending{Now: d.Now, Policy: d.Policy})}
	default:
		return session.Refreshed{}, &Error{Cause: BadRecord}
	}
	return result, nil
}

// Update implements session.Store. It is two round trips, one more if there is a replay.
func (r *store) Update(ctx context.Context, u session.Update) (updated session.Updated, err error) {
	err = r.change(ctx, "update", u.User.Tag(), u.Now, u.Policy, func(_ context.Context, a *session.Account) error {
		updated, err = a.Update(u)
		return err
	})
	if err != nil {
		return session.Updated{}, err
	}
	return updated, r.putReplay(context.WithoutCancel(ctx), u.Replay, u.Now)
}

// End implements session.Store.
func (r *store) End(ctx context.Context, sid session.SID, e session.Ending) ([]session.Revocation, error) {
	user, _, _ := sid.Parse() // a name that is none of ours is in nobody's account
	return r.end(ctx, "end", user, e, func(a *session.Account) []session.Revocation { return a.End(sid, e) })
}

// EndAll implements session.Store.
func (r *store) EndAll(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	return r.end(ctx, "end all", user, e, func(a *session.Account) []session.Revocation { return a.EndAll(e) })
}

// Erase implements session.Store.
func (r *store) Erase(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	return r.end(ctx, "erase", user, e, func(a *session.Account) []session.Revocation { return a.Erase(e) })
}

// end ends sessions, in four round trips. What it does to the account comes first, with the sessions
// marked; then they are revoked, and then dropped. Should this call fail before they are revoked,
// nobody can refresh them, and the tokens that are left prove who may ask again. Were they revoked
// first, nobody could ask again, and they would be back when their revocations are over.
func (r *store) end(ctx context.Context, op string, user session.Tag, e session.Ending,
	end func(*session.Account) []session.Revocation,
) (revoked []session.Revocation, err error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	marked, err := r.changed(ctx, op, user, e.Now, e.Policy, func(_ context.Context, a *session.Account) error {
		before := slices.Clone(a.Sessions)
		revoked = end(a)
		a.Mark(before)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.revoke(ctx, op, revoked); err != nil {
		return nil, err
	}
	r.drop(ctx, op, user, marked, revoked, e)
	return revoked, nil
}

// drop drops sessions that are revoked from an account that was just read, or as it is by now. What
// it fails to drop is used by nobody, and dropped at the user's next login.
func (r *store) drop(ctx context.Context, op string, user session.Tag, read account, revoked []session.Revocation, e session.Ending) {
	left := read.Account
	left.Sessions = slices.Clone(left.Sessions)
	left.Drop(revoked)
	_, done, err := r.swap(ctx, op, user, &read, &left, newVersion(), life(&left, e.Now, e.Policy))
	if done || err != nil {
		return
	}
	_ = r.change(ctx, op, user, e.Now, e.Policy, func(_ context.Context, a *session.Account) error {
		a.Drop(revoked)
		return nil
	})
}
