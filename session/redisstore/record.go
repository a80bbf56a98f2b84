// The bytes of an account.

package redisstore

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Fields of the hash. All others are sessions, named by the part of the SID that follows the user's
// tag.
const (
	userField    = "u" // the account without its sessions, sealed
	versionField = "v" // random, new at each change
)

// A session is a record of fixed size, as refresh.lua has it, and its claims, sealed, if there are
// any.
//
//	mark 1, number 4, created 8, family 32, sum of these 16,
//	ended 1, last use 8, tokens until 8, current 32, spent 8, previous 32, salt 16
//
// The number gives the order of the logins. What comes after the sum is changed by the script.
const (
	originSize  = 1 + 4 + 8 + len(session.Digest{})
	fixedStart  = originSize + sumSize
	saltSize    = 16
	sessionSize = fixedStart + 1 + 3*8 + 2*len(session.Digest{}) + saltSize
	fieldSize   = 8 + 16
)

// Why a session has ended, as refresh.lua has it.
const (
	live    = 0
	reused  = 'r'
	evicted = 'e'
)

// tagSize is the length of what precedes the field in a SID.
const tagSize = len(session.Tag{})

// fieldOf returns the field of a session of a user, and false if its name is not one of that
// user's.
func fieldOf(user session.Tag, sid session.SID) (field string, ok bool) {
	tag, _, ok := sid.Parse()
	if !ok || tag != user {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(sid))
	if err != nil || len(raw) != tagSize+fieldSize {
		return "", false
	}
	return string(raw[tagSize:]), true
}

func sidOf(user session.Tag, field string) session.SID {
	return session.SID(text(append(user[:], field...)))
}

func claimsPlace(key, field string) string { return place(key, field) + "claims" }

// encodeClaims returns sealed claims, nothing for those that say nothing.
func (r *store) encodeClaims(key, field string, claims json.RawMessage) ([]byte, error) {
	if len(claims) == 0 || string(claims) == "null" {
		return nil, nil
	}
	return r.seal.seal(claimsPlace(key, field), claims)
}

func (r *store) encodeSession(key, field string, number uint32, s *session.Session) ([]byte, error) {
	if len(s.Salt) != 0 && len(s.Salt) != saltSize {
		return nil, &Error{Cause: Unfit}
	}
	b := make([]byte, 0, sessionSize)
	b = append(b, r.seal.mark())
	b = binary.BigEndian.AppendUint32(b, number)
	b = appendMillis(b, millis(s.Created))
	b = append(b, s.Family[:]...)
	sum, err := r.seal.sum(place(key, field), b)
	if err != nil {
		return nil, err
	}
	b = append(b, sum...)
	b = append(b, map[session.Outcome]byte{session.Reused: reused, session.Evicted: evicted}[s.Ended])
	b = appendMillis(b, millis(s.LastUse))
	b = appendMillis(b, millisUp(s.TokensUntil))
	b = append(b, s.Current[:]...)
	b = appendMillis(b, millis(s.Spent))
	b = append(b, s.Previous[:]...)
	b = append(b, s.Salt...)
	b = append(b, make([]byte, sessionSize-len(b))...)
	claims, err := r.encodeClaims(key, field, s.Claims)
	return append(b, claims...), err
}

// decodeSession returns a session and its number.
func (r *store) decodeSession(user session.Tag, field, stored string) (s session.Session, number uint32, err error) {
	key := r.accountKey(user)
	if err := r.seal.check(stored); err != nil {
		return s, 0, err
	}
	if len(field) != fieldSize || len(stored) < sessionSize {
		return s, 0, &Error{Cause: BadRecord}
	}
	if err := r.seal.verify(place(key, field), []byte(stored[:originSize]), stored[originSize:fixedStart]); err != nil {
		return s, 0, err
	}
	in := stored
	next := func(size int) (part string) {
		part, in = in[:size], in[size:]
		return part
	}
	nextTime := func() time.Time { return timeOf(int64(binary.BigEndian.Uint64([]byte(next(8))))) }
	next(1) // the mark
	number = binary.BigEndian.Uint32([]byte(next(4)))
	s.SID = sidOf(user, field)
	s.Created = nextTime()
	copy(s.Family[:], next(len(s.Family)))
	next(sumSize)
	s.Ended = map[byte]session.Outcome{reused: session.Reused, evicted: session.Evicted}[next(1)[0]]
	s.LastUse = nextTime()
	s.TokensUntil = nextTime()
	copy(s.Current[:], next(len(s.Current)))
	s.Spent = nextTime()
	copy(s.Previous[:], next(len(s.Previous)))
	if salt := next(saltSize); !s.Spent.IsZero() {
		s.Salt = []byte(salt)
	}
	if in != "" {
		s.Claims, err = r.seal.open(claimsPlace(key, field), in)
	}
	return s, number, err
}

func appendMillis(b []byte, millis int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(millis))
}
