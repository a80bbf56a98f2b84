// The old way of the phone button: data encrypted with the session_key.

package sidecar

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// previousKeyLife is the time for which data encrypted under the session_key before the current
	// one is taken: a login may replace the key between the tap and the request.
	previousKeyLife = 10 * time.Minute

	// maxDecryptFailures with one key in decryptWindow end the session, and the key is not tried
	// again that long. CBC without a MAC makes of whoever may try often enough one who can encrypt
	// what he likes (Rizzo and Duong, 2010): some two thousand tries a block.
	maxDecryptFailures = 5
	decryptWindow      = time.Hour
)

// keySeal encrypts session_keys for the store. Its own key is derived from the AppSecret: that is
// never in the store, every node has it, and who has it needs no session_key any more.
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

// seal encrypts a session_key. The same key of the same user gives the same bytes, so that the
// store sees whether WeChat gave a new one; the nonce is therefore a MAC of both, as in SIV.
func (s *keySeal) seal(user session.UserID, sessionKey string) []byte {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write(keyOwner(user))
	mac.Write([]byte(sessionKey))
	nonce := mac.Sum(nil)[:s.aead.NonceSize()]
	return s.aead.Seal(nonce, nonce, []byte(sessionKey), keyOwner(user))
}

// open returns what was sealed; false if it was sealed for somebody else or under another
// AppSecret.
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

// openedKey is a session_key that data may be encrypted with.
type openedKey struct {
	text    string
	current bool
	counter session.Digest // of the attempts with this key
}

// decryptPhone decrypts what the old phone button gave, with the user's session_key or the one
// before it. There is one answer to everything that can be wrong with it.
func (l *logins) decryptPhone(ctx context.Context, x phoneExchange) (phone wechat.Phone, err error) {
	keys, ends, err := l.countAttempt(ctx, x)
	if err != nil {
		return phone, err
	}
	for _, key := range keys {
		if phone, err = wechat.DecryptPhone(key.text, x.proof.encrypted.data, x.proof.encrypted.iv, x.app.id, l.now()); err == nil {
			return phone, l.takeBack(ctx, x, keys)
		}
	}
	if x.sid == "" { // a login: its key is fresh, and there is no session to end
		return phone, errKeyStale
	}
	if len(keys) > 0 && keys[0].current && l.isStale(ctx, x, keys[0]) {
		// Nobody's fault. The key goes, so that nobody can try on with it uncounted.
		stale := session.Update{
			SID: x.sid, User: session.User{UserID: x.user.UserID}, DropKey: x.user.Key, Now: l.now(), Policy: l.store.policy(l.policy),
		}
		if _, err := x.store.Update(ctx, stale); err != nil {
			return phone, err
		}
		if err := l.takeBack(ctx, x, keys[:1]); err != nil {
			return phone, err
		}
		return phone, errKeyStale
	}
	if ends {
		if _, err := x.store.End(ctx, x.sid, l.store.ending(l.now(), l.policy, x.sid)); err != nil {
			return phone, err
		}
	}
	return phone, errKeyStale
}

// decryptData decrypts open data that is no phone. Whoever has a backend ask may try as often as
// with a phone, with the same count. A key that WeChat replaced is no excuse: it decrypts as well as
// before, and the next login brings one with a count of its own.
func (l *logins) decryptData(ctx context.Context, x phoneExchange) (json.RawMessage, error) {
	keys, _, err := l.countAttempt(ctx, x)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		data, err := wechat.DecryptData(key.text, x.proof.encrypted.data, x.proof.encrypted.iv, x.app.id, l.now())
		if errors.Is(err, wechat.ErrDecrypt) {
			continue
		}
		if failed := l.takeBack(ctx, x, keys); failed != nil {
			return nil, failed
		}
		if errors.Is(err, wechat.ErrPhoneData) {
			return nil, errPhoneData
		}
		return data, err
	}
	return nil, errDataStale
}

// countAttempt returns the keys that may be tried once more, and whether a failure ends the
// session. An attempt is counted before it is made, so that many at once are not more than one
// after the other.
func (l *logins) countAttempt(ctx context.Context, x phoneExchange) (keys []openedKey, ends bool, err error) {
	now := l.now()
	for _, key := range x.app.sessionKeys(x.user, now) {
		attempts, err := x.store.Count(ctx, key.counter, 1, now.Add(decryptWindow), now)
		if err != nil {
			return nil, false, err
		}
		if attempts <= maxDecryptFailures {
			keys = append(keys, key)
		}
		ends = ends || attempts == maxDecryptFailures
	}
	return keys, ends, nil
}

// takeBack uncounts an attempt that was no failure.
func (l *logins) takeBack(ctx context.Context, x phoneExchange, keys []openedKey) error {
	now := l.now()
	for _, key := range keys {
		if _, err := x.store.Count(ctx, key.counter, -1, now.Add(decryptWindow), now); err != nil {
			return err
		}
	}
	return nil
}

// sessionKeys returns the keys that data may be encrypted with, the current one first.
func (a *App) sessionKeys(user session.User, now time.Time) (keys []openedKey) {
	sealed := [][]byte{user.Key}
	if now.Before(user.KeySince.Add(previousKeyLife)) {
		sealed = append(sealed, user.PreviousKey)
	}
	for i, s := range sealed {
		if text, ok := a.seal.open(user.UserID, s); ok {
			counter := sha256.Sum256(append([]byte("decrypt\x00"), s...))
			keys = append(keys, openedKey{text, i == 0, counter})
		}
	}
	return keys
}

// isStale asks WeChat whether the current session_key is not the user's any more. When WeChat can't
// tell, the key is taken for good: then the failure counts.
func (l *logins) isStale(ctx context.Context, x phoneExchange, key openedKey) bool {
	valid, err := x.app.client.CheckSession(ctx, x.user.OpenID, key.text)
	x.app.note(wechat.OpCheckSession, err, l.log)
	return err == nil && !valid
}
