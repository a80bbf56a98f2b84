package wechatauth

import (
	"testing"
	"time"

	"github.com/allegro/bigcache/v3"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// SetNow lets tests move a handler's clock. Call it before the handler serves.
func (h *Handler) SetNow(now func() time.Time) {
	h.now, h.issuer.Now, h.verifier.Now = now, now, now
}

// RevocationLife is how long the handler has a revocation remembered.
func (h *Handler) RevocationLife() time.Duration { return h.sessionPolicy().TokenTTL }

// VerifyToken is what the guard does with a token before it looks for revocations.
func (h *Handler) VerifyToken(token string) (*jwt.Claims, error) { return h.verifyToken(token) }

// Remembers tells whether a token is in the handler's memory, true or not.
func (h *Handler) Remembers(token string) bool { return h.memory.recall(h.memory.key(token)) != nil }

// Remembered is how many tokens are in memory, and how many bytes they take.
func (h *Handler) Remembered() (tokens, bytes int) {
	return h.memory.cache.Len(), h.memory.cache.Capacity()
}

// SetTokenHasher gives the handler a memory of its own with another hash.
func (h *Handler) SetTokenHasher(hasher bigcache.Hasher) (err error) {
	h.memory.cache, err = newTokenCache(defaultRemember, h.verifier.TTL, hasher)
	return err
}

// ReplaceKeys puts other keys in place of the configured ones.
func (h *Handler) ReplaceKeys(signing *jwt.Key, others ...*jwt.Key) error {
	return h.keys.(configuredKeys).ring.Replace(signing, others...)
}

// SetStale sets for how long a silent store is believed.
func (h *Handler) SetStale(d time.Duration) { h.stale = d }

// SetUploadTime bounds how long a form may take. Call it before the handler serves.
func (h *Handler) SetUploadTime(d time.Duration) { h.uploadTime = d }

// PanicText is what is logged of a panic.
func PanicText(p any) string { return asError(p).Error() }

// InternalErrors is the number of answers with status 500.
func InternalErrors(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := metrics.internalErrors.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
