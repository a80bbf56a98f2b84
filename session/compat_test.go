//go:build unix

package session_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

// older is what a version before profiles, session_keys and claims has written.
type older struct {
	Token   string
	Records map[string][]byte            // of a DB, with keys in hexadecimal
	Open    map[string]map[string][]byte // of Redis
	Sealed  map[string]map[string][]byte
}

// olderUser and olderSession are what that version reads.
type (
	olderUser struct {
		session.UserID

		UnionID       string    `json:"unionid,omitempty"`
		FirstSeen     time.Time `json:"first_seen,omitzero"`
		Phone         string    `json:"phone,omitempty"`
		PhoneNumber   string    `json:"phone_number,omitempty"`
		PhoneVerified time.Time `json:"phone_verified,omitzero"`
	}
	olderSession struct {
		SID      session.SID    `json:"sid"`
		User     session.UserID `json:"user"`
		Created  time.Time      `json:"created"`
		LastUse  time.Time      `json:"last_use"`
		Family   session.Digest `json:"family"`
		Current  session.Digest `json:"current"`
		Previous session.Digest `json:"previous,omitzero"`
		Salt     []byte         `json:"salt,omitempty"`
		Spent    time.Time      `json:"spent,omitzero"`
	}
)

func TestOlderRecordsAreRead(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/before_profiles.json")
	if err != nil {
		t.Fatal(err)
	}
	var old older
	if err := json.Unmarshal(raw, &old); err != nil {
		t.Fatal(err)
	}
	inRedis := func(cfg session.RedisConfig, hashes map[string]map[string][]byte) func(*testing.T) session.Store {
		return func(t *testing.T) session.Store {
			t.Helper()
			server := redistest.Start(t)
			for key, fields := range hashes {
				for field, value := range fields {
					server.Do(t, "HSET", key, field, value)
				}
			}
			cfg.URLs = []string{server.URL}
			return openRedis(t, cfg)
		}
	}
	for name, open := range map[string]func(*testing.T) session.Store{
		"any DB": func(t *testing.T) session.Store {
			t.Helper()
			db := newMapDB()
			for key, value := range old.Records {
				raw, err := hex.DecodeString(key)
				if err != nil {
					t.Fatal(err)
				}
				db.values[string(raw)] = value
			}
			return session.Over(db)
		},
		"redis":        inRedis(session.RedisConfig{}, old.Open),
		"sealed redis": inRedis(session.RedisConfig{SealKey: sealKey}, old.Sealed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			readOlder(t, open(t), old.Token)
		})
	}
}

func readOlder(t *testing.T, s session.Store, text string) {
	t.Helper()
	token, ok := session.ParseRefreshToken(text)
	if !ok {
		t.Fatal("the token does not parse")
	}
	at := time.UnixMilli(1_790_000_000_000).UTC()
	want := session.User{
		UserID: session.UserID{AppID: "wx-old", OpenID: "o-old"}, UnionID: "union-old", FirstSeen: at,
		Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: at,
	}
	if got, err := s.User(t.Context(), want.UserID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	lesson := session.Lesson{
		SID: token.SID, Claims: json.RawMessage(`{"a":1}`),
		User: session.User{UserID: want.UserID, Nickname: "new", Key: []byte("key"), KeySince: at},
	}
	want.Nickname, want.Key, want.KeySince = "new", []byte("key"), at
	if got, err := s.Learn(t.Context(), lesson); err != nil || !reflect.DeepEqual(got, session.Learned{User: want, Claims: lesson.Claims}) {
		t.Errorf("learn: got %+v, %v, want %+v", got, err, want)
	}
	p := redisPolicy
	p.Idle, p.Lifetime = 100*365*24*time.Hour, 100*365*24*time.Hour
	got, err := s.Refresh(t.Context(), session.NewSpend(token, at, p))
	if err != nil || got.Verdict != session.Rotated || !reflect.DeepEqual(got.User, want) || string(got.Session.Claims) != `{"a":1}` {
		t.Errorf("refresh: got %+v, %v, want Rotated with what was learned", got, err)
	}
	if got, err := s.Forget(t.Context(), want.UserID, at, p); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("forget: got %+v, %v, want %+v", got, err, want)
	}
}

// TestOlderVersionsReadNewRecords: they know the same names, and pass over the rest.
func TestOlderVersionsReadNewRecords(t *testing.T) {
	t.Parallel()
	db := newMapDB()
	s := session.Over(db)
	made, token := session.New(redisUser.UserID, time.Now().UTC())
	made.Claims = redisClaims
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.Login(t.Context(), session.Login{Session: made, Learned: redisUser, Policy: redisPolicy}))
	got, err := s.Refresh(t.Context(), session.NewSpend(token, made.Created, redisPolicy))
	check(err)
	made = got.Session

	tag := redisUser.Tag()
	var u olderUser
	check(json.Unmarshal(db.values["u"+string(tag[:])], &u))
	u.FirstSeen, u.PhoneVerified = u.FirstSeen.Local(), u.PhoneVerified.Local()
	if want := (olderUser{
		redisUser.UserID, redisUser.UnionID, redisUser.FirstSeen, redisUser.Phone, redisUser.PhoneNumber, redisUser.PhoneVerified,
	}); !reflect.DeepEqual(u, want) {
		t.Errorf("got %+v, want %+v", u, want)
	}
	var old olderSession
	check(json.Unmarshal(db.values["s"+string(made.SID)], &old))
	if want := (olderSession{
		made.SID, made.User, made.Created, made.LastUse, made.Family, made.Current, made.Previous, made.Salt, made.Spent,
	}); !reflect.DeepEqual(old, want) {
		t.Errorf("got %+v, want %+v", old, want)
	}
}
