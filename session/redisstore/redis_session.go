package session

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// Login implements Store. It is one round trip, one more if there is a note, and two more if sessions
// have to go.
func (r *redisStore) Login(ctx context.Context, l Login) error {
	tag, made, ok := l.Session.SID.Parse()
	if !ok || tag != l.Session.User.Tag() || l.Learned.UserID != l.Session.User {
		return errors.New("session: the parts of a login belong to different users")
	}
	base := r.sessionBase(tag)
	session, err := r.encodeSession(base+string(l.Session.SID), &l.Session)
	if err != nil {
		return err
	}
	user, err := r.encodeUser(r.userKey(tag), l.Learned)
	if err != nil {
		return err
	}
	args := []any{
		l.Session.LastUse.UnixMilli(), l.Policy.Idle.Milliseconds(), l.Policy.Lifetime.Milliseconds(),
		l.Policy.MaxPerUser, redisSlack.Milliseconds(), (userLife + redisSlack).Milliseconds(),
		base, string(l.Session.SID), made.UnixMilli(), len(session),
	}
	reply, err := r.run(ctx, "login", loginScript,
		[]string{base + string(l.Session.SID), r.userKey(tag), r.indexKey(tag), r.boundaryKey(tag)},
		append(append(args, session...), user...)...)
	if err != nil {
		return err
	}
	if reply == nil {
		return ErrEnded
	}
	evicted, err := textList(reply)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what is begun is finished
	if err := r.endAnnounced(ctx, tag, evicted, l.Session.LastUse, l.Policy); err != nil {
		return err
	}
	return r.note(ctx, l.Note, l.Session.LastUse)
}

// Refresh implements Store. It is one round trip, and two more if the session has to go.
func (r *redisStore) Refresh(ctx context.Context, s Spend) (Refreshed, error) {
	tag, made, ok := s.SID.Parse()
	if !ok {
		return Refreshed{}, nil
	}
	key := r.sessionBase(tag) + string(s.SID)
	reply, err := r.run(ctx, "refresh", refreshScript, []string{key, r.userKey(tag), r.boundaryKey(tag)},
		text(s.Family[:]), text(s.Token[:]), text(s.Next[:]), text(s.Salt),
		s.Now.UnixMilli(), s.Policy.Idle.Milliseconds(), s.Policy.Lifetime.Milliseconds(),
		s.Policy.Grace.Milliseconds(), redisSlack.Milliseconds(), made.UnixMilli())
	if err != nil {
		return Refreshed{}, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) < 2 {
		return Refreshed{}, errDamaged
	}
	if list[1] == int64(1) {
		if err := r.endAnnounced(context.WithoutCancel(ctx), tag, []string{string(s.SID)}, s.Now, s.Policy); err != nil {
			return Refreshed{}, err
		}
	}
	switch list[0] {
	case "unknown":
		return Refreshed{}, nil
	case "reused":
		return Refreshed{Verdict: Reused, Session: Session{SID: s.SID}}, nil
	case "rotated":
		return r.refreshed(Rotated, tag, s, list)
	case "repeated":
		return r.refreshed(Repeated, tag, s, list)
	}
	return Refreshed{}, errDamaged
}

func (r *redisStore) refreshed(v Verdict, tag Tag, s Spend, reply []any) (Refreshed, error) {
	if len(reply) != 4 {
		return Refreshed{}, errDamaged
	}
	fields, err := hash(reply[2])
	if err != nil {
		return Refreshed{}, err
	}
	session, err := r.decodeSession(s.SID, fields)
	if err != nil {
		return Refreshed{}, err
	}
	if session.User.Tag() != tag || session.Family != s.Family {
		return Refreshed{}, errForeign
	}
	if fields, err = hash(reply[3]); err != nil {
		return Refreshed{}, err
	}
	user, err := r.decodeUser(session.User, fields)
	if err != nil {
		return Refreshed{}, err
	}
	return Refreshed{Verdict: v, Session: session, User: user}, nil
}

// End implements Store. The revocation is written first: should the second step fail, the session is
// revoked, if not yet removed, and the caller knows that it has to try again. It is two round trips.
func (r *redisStore) End(ctx context.Context, sid SID, now time.Time, p Policy) error {
	tag, _, ok := sid.Parse()
	if !ok {
		return r.revoke(ctx, now, Revocation{SID: sid, Until: now.Add(p.TokenTTL)})
	}
	return r.endAnnounced(ctx, tag, []string{string(sid)}, now, p)
}

// endAnnounced revokes sessions of one user and then removes them.
func (r *redisStore) endAnnounced(ctx context.Context, tag Tag, sids []string, now time.Time, p Policy) error {
	if len(sids) == 0 {
		return nil
	}
	until := now.Add(p.TokenTTL)
	revoked := make([]Revocation, len(sids))
	keys, args := []string{r.indexKey(tag)}, []any{r.rememberUntil(until)}
	for i, sid := range sids {
		revoked[i] = Revocation{SID: SID(sid), Until: until}
		keys, args = append(keys, r.sessionBase(tag)+sid), append(args, sid)
	}
	if err := r.revoke(ctx, now, revoked...); err != nil {
		return err
	}
	_, err := r.run(context.WithoutCancel(ctx), "end", endScript, keys, args...)
	return err
}

// EndAll implements Store. Like End, it writes the revocation first.
func (r *redisStore) EndAll(ctx context.Context, user UserID, before time.Time, p Policy) error {
	tag := user.Tag()
	until, err := r.revokeAll(ctx, tag, before, p)
	if err != nil {
		return err
	}
	_, err = r.run(context.WithoutCancel(ctx), "end all", endAllScript, []string{r.indexKey(tag), r.boundaryKey(tag)},
		before.UnixMilli(), r.sessionBase(tag), r.rememberUntil(until))
	return err
}

// rememberUntil returns how many milliseconds what is needed until a time is kept.
func (r *redisStore) rememberUntil(until time.Time) int64 {
	return (max(until.Sub(r.now()), 0) + redisSlack).Milliseconds()
}

// revokeAll revokes the sessions of a user made at or before a time, and returns when that is over.
func (r *redisStore) revokeAll(ctx context.Context, user Tag, before time.Time, p Policy) (until time.Time, err error) {
	now := r.now()
	// A session made long before may have got an access token just now.
	until = later(before, now).Add(p.TokenTTL)
	return until, r.revoke(ctx, now, Revocation{Tag: user, Before: before, Until: until})
}

// origin is what never changes of a session. It is sealed, and what of it scripts have to see stands
// beside it once more: a family or a time that somebody changed there is found out.
type origin struct {
	User    UserID `json:"user"`
	Created int64  `json:"created"`
	Family  Digest `json:"family"`
}

// encodeSession returns a session's fields and values. Digests tell nothing about a token, so that the
// scripts may see them.
func (r *redisStore) encodeSession(key string, s *Session) ([]any, error) {
	raw, err := json.Marshal(origin{s.User, s.Created.UnixMilli(), s.Family})
	if err != nil {
		return nil, errUnfit
	}
	sealed, err := r.seal.seal(place(key, "origin"), raw)
	if err != nil {
		return nil, err
	}
	fields := []any{
		"origin", sealed, "created", s.Created.UnixMilli(), "last_use", s.LastUse.UnixMilli(),
		"family", text(s.Family[:]), "current", text(s.Current[:]),
	}
	if !s.Spent.IsZero() {
		fields = append(fields, "previous", text(s.Previous[:]), "salt", text(s.Salt), "spent", s.Spent.UnixMilli())
	}
	if len(s.Claims) > 0 {
		claims, err := r.encodeClaims(key, s.Claims)
		if err != nil {
			return nil, err
		}
		fields = append(fields, "claims", claims)
	}
	return fields, nil
}

// encodeClaims returns the field of a session's claims, which is not part of its origin since they change.
func (r *redisStore) encodeClaims(key string, claims json.RawMessage) ([]byte, error) {
	raw, err := json.Marshal(claims)
	if err != nil {
		return nil, errUnfit
	}
	return r.seal.seal(place(key, "claims"), raw)
}

func (r *redisStore) decodeSession(sid SID, fields map[string]string) (s Session, err error) {
	tag, _, _ := sid.Parse()
	raw, err := r.seal.open(place(r.sessionBase(tag)+string(sid), "origin"), fields["origin"])
	if err != nil {
		return Session{}, err
	}
	var o origin
	if json.Unmarshal(raw, &o) != nil {
		return Session{}, errDamaged
	}
	s = Session{SID: sid, User: o.User, Created: time.UnixMilli(o.Created).UTC(), Family: o.Family}
	if fields["family"] != text(o.Family[:]) || fields["created"] != strconv.FormatInt(o.Created, 10) {
		return Session{}, errForeign
	}
	used, err1 := strconv.ParseInt(fields["last_use"], 10, 64)
	spent, err2 := strconv.ParseInt(fields["spent"], 10, 64)
	salt, err3 := base64.RawURLEncoding.DecodeString(fields["salt"])
	if errors.Join(
		err1, err2, err3,
		readText(s.Current[:], []byte(fields["current"])), readText(s.Previous[:], []byte(fields["previous"])),
	) != nil {
		return Session{}, errDamaged
	}
	s.LastUse, s.Spent, s.Salt = time.UnixMilli(used).UTC(), time.UnixMilli(spent).UTC(), salt
	if claims, ok := fields["claims"]; ok {
		if s.Claims, err = r.decodeClaims(r.sessionBase(tag)+string(sid), claims); err != nil {
			return Session{}, err
		}
	}
	return s, nil
}

func (r *redisStore) decodeClaims(key, stored string) (json.RawMessage, error) {
	claims, err := r.seal.open(place(key, "claims"), stored)
	return knownClaims(claims), err
}
