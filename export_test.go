package wechatauth

import "time"

// SetNow lets tests move a handler's clock. Call it before the handler serves.
func (h *Handler) SetNow(now func() time.Time) {
	h.now, h.issuer.Now, h.verifier.Now = now, now, now
}

// RevocationLife is how long the handler has a revocation remembered.
func (h *Handler) RevocationLife() time.Duration { return h.sessionPolicy().TokenTTL }
