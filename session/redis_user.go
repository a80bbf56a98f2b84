package session

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"
)

// phone is what is known of a user's number; it is replaced as a whole.
type phone struct {
	Phone    string `json:"phone"`
	Number   string `json:"phone_number,omitempty"`
	Verified int64  `json:"verified,omitempty"`
}

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
func (r *redisStore) Learn(ctx context.Context, learned User, note Note) (User, error) {
	key := r.userKey(learned.Tag())
	fields, err := r.encodeUser(key, learned)
	if err != nil {
		return User{}, err
	}
	args := append([]any{(userLife + redisSlack).Milliseconds()}, fields...)
	reply, err := r.run(ctx, "learn", learnScript, []string{key}, args...)
	if err != nil {
		return User{}, err
	}
	known, err := hash(reply)
	if err != nil {
		return User{}, err
	}
	u, err := r.decodeUser(learned.UserID, known)
	if err != nil {
		return User{}, err
	}
	return u, r.note(context.WithoutCancel(ctx), note, r.now()) // what is begun is finished
}

// encodeUser returns the fields and values of what was learned.
func (r *redisStore) encodeUser(key string, u User) (fields []any, err error) {
	add := func(field string, value []byte) {
		if err == nil {
			value, err = r.seal.seal(place(key, field), value)
			fields = append(fields, field, value)
		}
	}
	addJSON := func(field string, record any) {
		value, marshalErr := json.Marshal(record)
		if marshalErr != nil {
			err = errDamaged
		}
		add(field, value)
	}
	addJSON("id", u.UserID)
	if u.UnionID != "" {
		add("unionid", []byte(u.UnionID))
	}
	if !u.FirstSeen.IsZero() {
		add("first_seen", strconv.AppendInt(nil, u.FirstSeen.UnixMilli(), 10))
	}
	if u.Phone != "" {
		addJSON("phone", phone{u.Phone, u.PhoneNumber, optionalMillis(u.PhoneVerified)})
	}
	return fields, err
}

func (r *redisStore) decodeUser(id UserID, fields map[string]string) (User, error) {
	u := User{UserID: id}
	if len(fields) == 0 {
		return u, nil
	}
	key := r.userKey(id.Tag())
	open := func(field string) ([]byte, error) {
		value, ok := fields[field]
		if !ok {
			return nil, nil
		}
		return r.seal.open(place(key, field), value)
	}
	raw, err := r.seal.open(place(key, "id"), fields["id"])
	if err != nil {
		return User{}, err
	}
	var stored UserID
	if json.Unmarshal(raw, &stored) != nil {
		return User{}, errDamaged
	}
	if stored != id {
		return User{}, errForeign
	}
	if raw, err = open("unionid"); err != nil {
		return User{}, err
	}
	u.UnionID = string(raw)
	if raw, err = open("first_seen"); err != nil {
		return User{}, err
	}
	if raw != nil {
		millis, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return User{}, errDamaged
		}
		u.FirstSeen = time.UnixMilli(millis).UTC()
	}
	if raw, err = open("phone"); err != nil {
		return User{}, err
	}
	if raw != nil {
		var p phone
		if json.Unmarshal(raw, &p) != nil {
			return User{}, errDamaged
		}
		u.Phone, u.PhoneNumber, u.PhoneVerified = p.Phone, p.Number, optionalTime(p.Verified)
	}
	return u, nil
}

func optionalMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func optionalTime(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// note writes a note. It has a slot of its own, since whoever recalls it does not know the user, so it
// can't be part of the step that it follows.
func (r *redisStore) note(ctx context.Context, n Note, now time.Time) error {
	if n.Key == (Digest{}) {
		return nil
	}
	key := r.noteKey(n.Key)
	value := binary.BigEndian.AppendUint64(nil, uint64(n.Until.UnixNano()))
	sealed, err := r.seal.seal(place(key, ""), append(value, n.Value...))
	if err != nil {
		return err
	}
	life := max(n.Until.Sub(now), 0) + redisSlack
	_, err = r.run(ctx, "note", noteScript, []string{key}, sealed, life.Milliseconds())
	return err
}

// Recall implements Store. It is one round trip.
func (r *redisStore) Recall(ctx context.Context, k Digest, now time.Time) ([]byte, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	key := r.noteKey(k)
	// A list, for a missing value is not an error in it.
	reply, err := r.client.MGet(ctx, key).Result()
	if err != nil {
		return nil, redisError("recall", err)
	}
	if len(reply) != 1 || reply[0] == nil {
		return nil, nil
	}
	stored, _ := reply[0].(string)
	value, err := r.seal.open(place(key, ""), stored)
	if err != nil {
		return nil, err
	}
	if len(value) < 8 {
		return nil, errDamaged
	}
	if until := int64(binary.BigEndian.Uint64(value)); now.UnixNano() >= until {
		return nil, nil
	}
	return value[8:], nil
}

// Keys implements Store. It is one round trip.
func (r *redisStore) Keys(ctx context.Context) ([]byte, int64, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.keysKey()).Result()
	if err != nil {
		return nil, 0, redisError("keys", err)
	}
	if len(fields) == 0 {
		return nil, 0, nil
	}
	version, err := strconv.ParseInt(fields["version"], 10, 64)
	if err != nil {
		return nil, 0, errDamaged
	}
	// The version is part of the place, so that old keys can't be passed off as new ones.
	keys, err := r.seal.open(place(r.keysKey(), fields["version"]), fields["keys"])
	return keys, version, err
}

// SwapKeys implements Store. It is one round trip.
func (r *redisStore) SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error) {
	next := strconv.FormatInt(version+1, 10)
	sealed, err := r.seal.seal(place(r.keysKey(), next), keys)
	if err != nil {
		return false, err
	}
	reply, err := r.run(ctx, "swap keys", swapScript, []string{r.keysKey()}, version, next, sealed)
	return reply == int64(1), err
}
