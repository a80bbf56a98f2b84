package wechatauth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// previousKeyLife is how long data encrypted under the session_key before the current one is taken: a
	// login may replace the key between the tap and the request.
	previousKeyLife = 10 * time.Minute

	// maxDecryptFailures in decryptWindow end the session. CBC without a MAC makes of whoever may try often
	// enough one who can encrypt what he likes (Rizzo and Duong, 2010): some two thousand tries a block.
	maxDecryptFailures = 5
	decryptWindow      = time.Hour
)

// keySeal encrypts session_keys for the store. Its own key is derived from the AppSecret: that is never in
// the store, every node has it, and who has it needs no session_key any more.
type keySeal struct {
	aead cipher.AEAD
	mac  []byte
}

func newKeySeal(appSecret string) (*keySeal, error) {
	key, err := hkdf.Key(sha256.New, []byte(appSecret), nil, "wechatauth session_key", 64)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &keySeal{aead, key[32:]}, err
}

// seal encrypts a session_key. The same key of the same user gives the same bytes, so that the store sees
// whether WeChat gave a new one; the nonce is therefore a MAC of both, as in SIV.
func (s *keySeal) seal(user session.UserID, sessionKey string) []byte {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write(keyOwner(user))
	mac.Write([]byte(sessionKey))
	nonce := mac.Sum(nil)[:s.aead.NonceSize()]
	return s.aead.Seal(nonce, nonce, []byte(sessionKey), keyOwner(user))
}

// open returns what was sealed; false if it was sealed for somebody else or under another AppSecret.
func (s *keySeal) open(user session.UserID, sealed []byte) (string, bool) {
	size := s.aead.NonceSize()
	if len(sealed) < size {
		return "", false
	}
	key, err := s.aead.Open(nil, sealed[:size], sealed[size:], keyOwner(user))
	return string(key), err == nil
}

func keyOwner(user session.UserID) []byte {
	return []byte(user.AppID + "\x00" + user.OpenID + "\x00")
}

// encrypted is a phone as the old phone button gives it.
type encrypted struct{ data, iv string }

// decryptPhone decrypts what the old phone button gave, with the user's session_key or the one before it.
// There is one answer to everything that can be wrong with it. An attempt is counted before it is made, so
// that many at once are not more than one after the other. At a login there is no session yet.
func (h *Handler) decryptPhone(ctx context.Context, x phoneExchange) (phone wechat.Phone, err error) {
	now := h.now()
	keys := x.app.sessionKeys(x.user, now)
	if len(keys) == 0 {
		return phone, errKeyStale
	}
	counter := session.Digest(sha256.Sum256([]byte("decrypt\x00" + string(keyOwner(x.user.UserID)))))
	attempts, err := x.store.Count(ctx, counter, 1, now.Add(decryptWindow), now)
	if err != nil {
		return phone, err
	}
	takeBack := func() error {
		_, err := x.store.Count(ctx, counter, -1, now.Add(decryptWindow), now)
		return err
	}
	if attempts <= maxDecryptFailures {
		for _, key := range keys {
			if phone, err = wechat.DecryptPhone(key, x.proof.encrypted.data, x.proof.encrypted.iv, x.app.id, now); err == nil {
				return phone, takeBack()
			}
		}
		if x.sid != "" && h.isStale(ctx, x) {
			// Nobody's fault. The key goes, so that nobody can try on with it uncounted.
			stale := session.Lesson{SID: x.sid, User: session.User{UserID: x.user.UserID}, DropKey: x.user.Key}
			if _, err := x.store.Learn(ctx, stale); err != nil {
				return phone, err
			}
			return phone, errors.Join(takeBack(), errKeyStale)
		}
	}
	if attempts >= maxDecryptFailures && x.sid != "" {
		if err := x.store.End(ctx, x.sid, now, h.sessionPolicy()); err != nil {
			return phone, err
		}
	}
	return phone, errKeyStale
}

// sessionKeys returns the keys that data may be encrypted with, the current one first.
func (a *app) sessionKeys(user session.User, now time.Time) (keys []string) {
	sealed := [][]byte{user.Key}
	if now.Before(user.KeySince.Add(previousKeyLife)) {
		sealed = append(sealed, user.PreviousKey)
	}
	for _, s := range sealed {
		if key, ok := a.seal.open(user.UserID, s); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// isStale asks WeChat whether the current session_key is not the user's any more. When WeChat can't tell, the
// key is taken for good: then the failure counts.
func (h *Handler) isStale(ctx context.Context, x phoneExchange) bool {
	key, ok := x.app.seal.open(x.user.UserID, x.user.Key)
	if !ok {
		return false
	}
	valid, err := x.app.client.CheckSession(ctx, x.user.OpenID, key)
	x.app.heed(wechat.OpCheckSession, err, h.logger)
	return err == nil && !valid
}
