// The memory of verified tokens.

package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/maphash"
	"strings"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/caddy-wechat/wechatauth/jwt"
)

const (
	// rememberShards lets processors work side by side.
	rememberShards = 64

	// firstRoom is taken at the start, but at most a quarter of the memory. A shard that grows is
	// copied while its readers wait. And the fewer bytes live in a program, the more often Go
	// collects its garbage, which would cost a request more than the guard itself.
	firstRoom = 8 << 20
)

// TokenCache is the memory of sites with equal sizes and token lives. It has no goroutine: what is
// older than any token makes room when something new comes, and when the memory is full, the oldest
// does.
type TokenCache struct {
	entries   *bigcache.BigCache
	maxRecord int // one of more bytes would push all others out of its shard
}

// NewTokenCache returns a memory of so many bytes for tokens that live so long.
func NewTokenCache(size int64, ttl time.Duration) (*TokenCache, error) {
	if size < 1<<20 || size > 1<<40 {
		return nil, errors.New("remember must be 1 MiB or more, or -1 for none")
	}
	return newTokenCache(size, ttl, seededHasher{maphash.MakeSeed()})
}

func newTokenCache(size int64, ttl time.Duration, hasher bigcache.Hasher) (*TokenCache, error) {
	const usualRecord = 512
	cache, err := bigcache.New(context.Background(), bigcache.Config{
		Shards:             rememberShards,
		LifeWindow:         ttl,
		CleanWindow:        0, // no goroutine
		MaxEntriesInWindow: int(min(size/4, firstRoom) / usualRecord),
		MaxEntrySize:       usualRecord,
		HardMaxCacheSize:   int(size >> 20),
		Hasher:             hasher,
	})
	if err != nil {
		return nil, err
	}
	return &TokenCache{cache, int(size / rememberShards / 4)}, nil
}

// seededHasher keeps clients from finding tokens that push each other out.
type seededHasher struct{ seed maphash.Seed }

// Sum64 implements bigcache.Hasher.
func (h seededHasher) Sum64(key string) uint64 { return maphash.String(h.seed, key) }

// verifiedTokens remembers the claims of tokens that were verified by one site, so that their
// signature is not computed with each request. Only verified tokens get in, so nobody who has none
// can fill it.
type verifiedTokens struct {
	cache  *TokenCache // nil remembers nothing
	site   [32]byte    // a digest of all that a verification depends on, except time and the keys' presence
	issuer string      // of all tokens
}

// key returns under what a token is remembered: a digest, for it is of fixed length and cannot be
// chosen, of the whole token, for a signature is part of what was verified, and of the site. It is
// empty if the token is not to be remembered.
func (m *verifiedTokens) key(token string) string {
	if m.cache == nil || len(token) > jwt.MaxToken {
		return ""
	}
	var room [1536]byte
	sum := sha256.Sum256(append(append(room[:0], m.site[:]...), token...))
	return string(sum[:])
}

// recall returns the claims that were remembered under a key, nil if there are none. They were true
// when they were verified: whether they still are is for the caller to find out.
func (m *verifiedTokens) recall(key string) *jwt.Claims {
	if key == "" {
		return nil
	}
	// Bigcache finds by a hash of 64 bits and then compares the whole key.
	record, err := m.cache.entries.Get(key)
	if err != nil {
		return nil
	}
	c := decodeClaims(string(record))
	c.Issuer = m.issuer
	return c
}

func (m *verifiedTokens) remember(key string, c *jwt.Claims) {
	if key == "" {
		return
	}
	record, err := encodeClaims(c)
	if err != nil || len(record) > m.cache.maxRecord {
		return // an unusual token is verified each time
	}
	_ = m.cache.entries.Set(key, record) // it fits
}

// What a record tells with one bit.
const (
	phoneVerified = 1 << iota
	forItsApp     // the audience is the app, and nobody else
)

// encodeClaims writes claims as a record: times, flags, then texts with their lengths in front.
// Left out are the subject, for it is the openid, and the issuer, for it is the site's.
func encodeClaims(c *jwt.Claims) ([]byte, error) {
	w := recordWriter{record: make([]byte, 0, 512)}
	for _, t := range []int64{c.IssuedAt, c.NotBefore, c.ExpiresAt} {
		w.record = binary.BigEndian.AppendUint64(w.record, uint64(t))
	}
	flags := byte(0)
	if c.PhoneNumberVerified {
		flags |= phoneVerified
	}
	audience := c.Audience
	if len(audience) == 1 && audience[0] == c.AppID {
		flags |= forItsApp
		audience = nil
	}
	w.record = append(w.record, flags)
	for _, text := range c.Texts() {
		w.text(*text)
	}
	w.count(len(audience))
	for _, text := range audience {
		w.text(text)
	}
	w.count(len(c.Extra))
	for name, value := range c.Extra {
		w.text(name)
		w.value(value)
	}
	return w.record, w.err
}

type recordWriter struct {
	record []byte
	err    error
}

func (w *recordWriter) count(n int) {
	if n > 0xffff {
		w.err = errors.New("too long")
	}
	w.record = binary.BigEndian.AppendUint16(w.record, uint16(n))
}

func (w *recordWriter) text(s string) {
	w.count(len(s))
	w.record = append(w.record, s...)
}

// value writes an extra claim. Hooks add texts and numbers; the rest is JSON.
func (w *recordWriter) value(v any) {
	switch v := v.(type) {
	case string:
		w.text("s" + v)
	case json.Number:
		w.text("n" + string(v))
	default:
		text, err := json.Marshal(v)
		if err != nil {
			w.err = err
		}
		w.text("j" + string(text))
	}
}

// decodeClaims reads what encodeClaims wrote. All texts are pieces of the record.
func decodeClaims(record string) *jwt.Claims {
	r := recordReader{record}
	var c struct { // one allocation
		jwt.Claims
		audience [1]string
	}
	c.IssuedAt, c.NotBefore, c.ExpiresAt = r.time(), r.time(), r.time()
	flags := r.take(1)[0]
	c.PhoneNumberVerified = flags&phoneVerified != 0
	for _, text := range c.Texts() {
		*text = r.text()
	}
	c.Subject = c.OpenID
	c.Audience = c.audience[:0]
	if flags&forItsApp != 0 {
		c.Audience = append(c.Audience, c.AppID)
	}
	for range r.count() {
		c.Audience = append(c.Audience, r.text())
	}
	if n := r.count(); n > 0 {
		c.Extra = make(map[string]any, n)
		for range n {
			name := r.text()
			c.Extra[name] = r.value()
		}
	}
	return &c.Claims
}

type recordReader struct{ rest string }

func (r *recordReader) take(n int) string {
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *recordReader) time() int64 { return int64(binary.BigEndian.Uint64([]byte(r.take(8)))) }

func (r *recordReader) count() int {
	two := r.take(2)
	return int(two[0])<<8 | int(two[1])
}

func (r *recordReader) text() string { return r.take(r.count()) }

func (r *recordReader) value() (v any) {
	text := r.text()
	switch kind, text := text[0], text[1:]; kind {
	case 's':
		return text
	case 'n':
		return json.Number(text)
	default:
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		_ = decoder.Decode(&v) // it was encoded by value
		return v
	}
}
