package session

import (
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

// sessionKeyField is what WeChat's session_key is sealed as, be it the last or the one before it: a script
// makes the one the other.
const sessionKeyField = "session_key"

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
			err = errUnfit
		}
		add(field, value)
	}
	addText := func(field, value string) {
		if value != "" {
			add(field, []byte(value))
		}
	}
	addJSON("id", u.UserID)
	addText("unionid", u.UnionID)
	if !u.FirstSeen.IsZero() {
		add("first_seen", strconv.AppendInt(nil, u.FirstSeen.UnixMilli(), 10))
	}
	if u.Phone != "" {
		addJSON("phone", phone{u.Phone, u.PhoneNumber, optionalMillis(u.PhoneVerified)})
	}
	addText("nickname", u.Nickname)
	addText("avatar", u.Avatar)
	if len(u.Key) == 0 || err != nil {
		return fields, err
	}
	add("key_since", strconv.AppendInt(nil, optionalMillis(u.KeySince), 10))
	sealed, err := r.encodeKey(key, u.Key)
	return append(fields, "key", sealed), err
}

// encodeKey returns a session_key after the mark by which the scripts know it again.
func (r *redisStore) encodeKey(key string, value []byte) ([]byte, error) {
	mark, err := r.seal.mark(place(key, sessionKeyField), value)
	if err != nil {
		return nil, err
	}
	sealed, err := r.seal.seal(place(key, sessionKeyField), value)
	return append(mark, sealed...), err
}

func (r *redisStore) decodeUser(id UserID, fields map[string]string) (User, error) {
	if len(fields) == 0 {
		return User{UserID: id}, nil
	}
	f := userFields{seal: r.seal, key: r.userKey(id.Tag()), fields: fields}
	stored := UserID{}
	f.json("id", &stored)
	p := phone{}
	if _, ok := fields["phone"]; ok {
		f.json("phone", &p)
	}
	u := User{
		UserID: stored, UnionID: string(f.open("unionid")), FirstSeen: f.time("first_seen"),
		Phone: p.Phone, PhoneNumber: p.Number, PhoneVerified: optionalTime(p.Verified),
		Nickname: string(f.open("nickname")), Avatar: string(f.open("avatar")),
		Key: f.sessionKey("key"), KeySince: f.time("key_since"), PreviousKey: f.sessionKey("previous_key"),
	}
	if f.err != nil {
		return User{}, f.err
	}
	if stored != id {
		return User{}, errForeign
	}
	return u, nil
}

// userFields opens what is stored of a user, until something does not open.
type userFields struct {
	seal   sealer
	key    string
	fields map[string]string
	err    error
}

// open returns a field, nil if there is none.
func (f *userFields) open(field string) []byte {
	stored, ok := f.fields[field]
	if !ok {
		return nil
	}
	return f.openAs(field, stored)
}

func (f *userFields) openAs(field, stored string) (value []byte) {
	if f.err == nil {
		value, f.err = f.seal.open(place(f.key, field), stored)
	}
	return value
}

// json reads a field that must be there.
func (f *userFields) json(field string, record any) {
	raw := f.openAs(field, f.fields[field])
	if f.err == nil && json.Unmarshal(raw, record) != nil {
		f.err = errDamaged
	}
}

func (f *userFields) time(field string) time.Time {
	raw := f.open(field)
	if raw == nil {
		return time.Time{}
	}
	millis, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		f.err = errDamaged
	}
	return optionalTime(millis)
}

func (f *userFields) sessionKey(field string) []byte {
	stored, ok := f.fields[field]
	if !ok {
		return nil
	}
	if len(stored) < markSize {
		f.err = errDamaged
		return nil
	}
	return f.openAs(sessionKeyField, stored[markSize:])
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
