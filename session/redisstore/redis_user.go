package session

import (
	"context"
	"time"
)

// User implements Store. It is one round trip.
func (r *redisStore) User(ctx context.Context, user UserID) (User, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return User{}, err
	}
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.userKey(user.Tag())).Result()
	if err != nil {
		return User{}, redisError("user", err)
	}
	return r.decodeUser(user, fields)
}

// Learn implements Store. It is one round trip, one more if there is a note.
func (r *redisStore) Learn(ctx context.Context, l Lesson) (learned Learned, err error) {
	tag := l.User.Tag()
	keys := []string{r.userKey(tag)}
	if l.SID != "" {
		if sessionTag, _, ok := l.SID.Parse(); !ok || sessionTag != tag {
			return Learned{}, ErrEnded // there never was one
		}
		keys = append(keys, r.sessionBase(tag)+string(l.SID))
	}
	args, err := r.encodeLesson(keys, l)
	if err != nil {
		return Learned{}, err
	}
	reply, err := r.run(ctx, "learn", learnScript, keys, args...)
	if err != nil {
		return Learned{}, err
	}
	if reply == nil {
		return Learned{}, ErrEnded
	}
	if learned, err = r.decodeLearned(l, reply); err != nil {
		return Learned{}, err
	}
	return learned, r.note(context.WithoutCancel(ctx), l.Note, r.now()) // what is begun is finished
}

// decodeLearned reads the reply of the script.
func (r *redisStore) decodeLearned(l Lesson, reply any) (learned Learned, err error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return Learned{}, errDamaged
	}
	fields, err := hash(list[0])
	if err != nil {
		return Learned{}, err
	}
	if learned.User, err = r.decodeUser(l.User.UserID, fields); err != nil {
		return Learned{}, err
	}
	if claims, ok := list[1].(string); ok {
		learned.Claims, err = r.decodeClaims(r.sessionBase(l.User.Tag())+string(l.SID), claims)
	}
	return learned, err
}

// encodeLesson returns the arguments of the script.
func (r *redisStore) encodeLesson(keys []string, l Lesson) (args []any, err error) {
	var claims, dropped []byte
	if len(keys) > 1 && len(l.Claims) > 0 {
		if claims, err = r.encodeClaims(keys[1], l.Claims); err != nil {
			return nil, err
		}
	}
	if len(l.DropKey) > 0 {
		if dropped, err = r.seal.mark(place(keys[0], sessionKeyField), l.DropKey); err != nil {
			return nil, err
		}
	}
	fields, err := r.encodeUser(keys[0], l.User)
	return append([]any{(userLife + redisSlack).Milliseconds(), claims, dropped}, fields...), err
}

// Forget implements Store. Like End, it writes the revocation first. It is two round trips, and two more
// if there are sessions made later.
func (r *redisStore) Forget(ctx context.Context, user UserID, before time.Time, p Policy) (User, error) {
	tag := user.Tag()
	until, err := r.revokeAll(ctx, tag, before, p)
	if err != nil {
		return User{}, err
	}
	ctx = context.WithoutCancel(ctx) // what is begun is finished
	reply, err := r.run(ctx, "forget", forgetScript, []string{r.userKey(tag), r.indexKey(tag), r.boundaryKey(tag)},
		before.UnixMilli(), r.sessionBase(tag), r.rememberUntil(until))
	if err != nil {
		return User{}, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return User{}, errDamaged
	}
	sids, err := textList(list[1])
	if err != nil {
		return User{}, err
	}
	last := r.now()
	for _, sid := range sids {
		_, made, _ := SID(sid).Parse()
		last = later(last, made)
	}
	if err := r.endAnnounced(ctx, tag, sids, last, p); err != nil {
		return User{}, err
	}
	fields, err := hash(list[0])
	if err != nil {
		return User{}, err
	}
	return r.decodeUser(user, fields)
}
