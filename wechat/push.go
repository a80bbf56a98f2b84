// WeChat's message push: who sent a message, and what is in it.

package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // WeChat's choice
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

var (
	// ErrPush is wrapped by every error about a push that is not proven to be WeChat's. There must
	// be one answer to all of them: CBC has no MAC, and the signature is only as secret as the
	// token.
	ErrPush = errors.New("wechat: this is no push for this mini program")

	// ErrPlainPush is the ErrPush of a push that is signed and not encrypted. The signature of that
	// mode does not cover the body.
	ErrPlainPush = fmt.Errorf("%w: it is signed but not encrypted", ErrPush)

	// ErrPlatformPush is the ErrPush of a push that was encrypted with this key for another AppID:
	// a third-party platform's.
	ErrPlatformPush = fmt.Errorf("%w: it was encrypted for another AppID", ErrPush)

	// ErrSealedPush is the ErrPush of a push whose signature is right and that no key opens. It is
	// for the operator alone.
	ErrSealedPush = fmt.Errorf("%w: no key opens it", ErrPush)

	// ErrUnreadablePush is returned for a push that is WeChat's, and neither JSON nor XML.
	ErrUnreadablePush = errors.New("wechat: the push is neither JSON nor XML")
)

const (
	// MaxPush bounds the body of a push.
	MaxPush = 1 << 20

	encodingKeySize = 43 // characters: 258 bits for the 256 of a key
	maxPushToken    = 64

	maxPushQuery = 128 // each parameter
	maxEcho      = 1024

	pushBlock  = 32 // of the padding, not of AES
	pushRandom = 16 // bytes before the length
)

// PushConfig is a mini program's message push as its console has it.
type PushConfig struct {
	AppID       string
	Token       string
	AESKey      string // EncodingAESKey
	PreviousKey string // the EncodingAESKey before it, "" if there is none
}

// Check returns an error for a configuration that can't be right. It quotes no value.
func (c PushConfig) Check() error {
	if c.Token == "" || len(c.Token) > maxPushToken || strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("token: write the Token of the console's message push, letters and digits")
	}
	if _, err := newPushKey(c.AESKey); err != nil {
		return fmt.Errorf("aes_key: %w", err)
	}
	if c.PreviousKey == "" {
		return nil
	}
	if _, err := newPushKey(c.PreviousKey); err != nil {
		return fmt.Errorf("previous_aes_key: %w", err)
	}
	return nil
}

// PushReceiver verifies and opens what WeChat pushes for one mini program.
type PushReceiver struct {
	redacted

	appID string
	token string
	keys  []pushKey // the current one first
}

// NewPushReceiver returns the receiver of a mini program's pushes.
func NewPushReceiver(cfg PushConfig) (*PushReceiver, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := &PushReceiver{appID: cfg.AppID, token: cfg.Token}
	for _, text := range []string{cfg.AESKey, cfg.PreviousKey} {
		if text == "" {
			continue
		}
		key, err := newPushKey(text)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

// Echo returns the answer to the GET by which WeChat's console verifies the address.
func (r *PushReceiver) Echo(query url.Values) (string, error) {
	echo, ok := one(query, "echostr", maxEcho)
	if !ok || !r.signed(query, "signature") {
		return "", ErrPush
	}
	return echo, nil
}

// Open returns the message in the body of a POST. Only what is encrypted is believed: nothing else
// in the body is covered by the signature, and the query's openid is not either.
func (r *PushReceiver) Open(query url.Values, body []byte) (Push, error) {
	if len(body) > MaxPush {
		return Push{}, ErrPush
	}
	outer, err := readPush(body)
	if err != nil {
		return Push{}, ErrPush
	}
	encrypted := outer.Text("Encrypt")
	if encrypted == "" {
		if r.signed(query, "signature") {
			return Push{}, ErrPlainPush
		}
		return Push{}, ErrPush
	}
	if !r.signed(query, "msg_signature", encrypted) {
		return Push{}, ErrPush
	}
	message, err := r.decrypt(encrypted)
	if err != nil {
		return Push{}, err
	}
	return readPush(message)
}

// signed reports whether a signature in the query is that of its timestamp and nonce, and of what
// else it covers.
func (r *PushReceiver) signed(query url.Values, name string, covered ...string) bool {
	signature, ok := one(query, name, hex.EncodedLen(sha1.Size))
	timestamp, ok2 := one(query, "timestamp", maxPushQuery)
	nonce, ok3 := one(query, "nonce", maxPushQuery)
	if !ok || !ok2 || !ok3 {
		return false
	}
	want := pushSignature(append(covered, r.token, timestamp, nonce)...)
	return subtle.ConstantTimeCompare([]byte(signature), []byte(want)) == 1
}

// one returns a parameter that is there once, and not too long.
func one(query url.Values, name string, longest int) (string, bool) {
	values := query[name]
	if len(values) != 1 || values[0] == "" || len(values[0]) > longest {
		return "", false
	}
	return values[0], true
}

// pushSignature is the SHA-1 of the parts in the order of their bytes, in small hex digits.
func pushSignature(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // WeChat's choice
	return hex.EncodeToString(sum[:])
}

// decrypt returns the text in Encrypt. The previous key is tried because WeChat changes to a new
// one while pushes are on their way.
func (r *PushReceiver) decrypt(encrypted string) ([]byte, error) {
	var err error
	for _, key := range r.keys {
		message, appID, ok := key.open(encrypted)
		switch {
		case !ok:
		case appID == r.appID:
			return message, nil
		case isAppID(appID):
			err = ErrPlatformPush
		}
	}
	if err == nil {
		err = ErrSealedPush
	}
	return nil, err
}

// isAppID reports whether text looks like an AppID: a wrong key leaves garbage in its place.
func isAppID(text string) bool {
	return strings.HasPrefix(text, "wx") && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// pushKey is an EncodingAESKey.
type pushKey struct {
	block cipher.Block
	iv    []byte
}

var errEncodingKey = errors.New("write the EncodingAESKey of the console's message push, 43 letters and digits")

// newPushKey reads an EncodingAESKey. Its last character has two bits more than the key, and WeChat
// makes keys in which they are set: base64 that is strict refuses those.
func newPushKey(text string) (pushKey, error) {
	if len(text) != encodingKeySize || strings.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return pushKey{}, errEncodingKey
	}
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return pushKey{}, errEncodingKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return pushKey{}, errEncodingKey
	}
	return pushKey{block, key[:aes.BlockSize]}, nil
}

// open decrypts a frame: random bytes, the length of the message, the message and the AppID. It
// reports false for what is none.
func (k pushKey) open(encrypted string) (message []byte, appID string, ok bool) {
	frame, err := base64.StdEncoding.DecodeString(encrypted)
	if err != nil || !wholeBlocks(len(frame)) {
		return nil, "", false
	}
	cipher.NewCBCDecrypter(k.block, k.iv).CryptBlocks(frame, frame)
	frame, ok = unpadPush(frame)
	if !ok || len(frame) < pushRandom+4 {
		return nil, "", false
	}
	size, rest := binary.BigEndian.Uint32(frame[pushRandom:]), frame[pushRandom+4:]
	if uint64(size) > uint64(len(rest)) {
		return nil, "", false
	}
	return rest[:size], string(rest[size:]), true
}

// unpadPush removes a padding of 1 to 32 bytes that each say how many they are.
func unpadPush(frame []byte) ([]byte, bool) {
	n := int(frame[len(frame)-1])
	if n < 1 || n > pushBlock || n > len(frame) {
		return nil, false
	}
	wrong := byte(0)
	for _, b := range frame[len(frame)-n:] {
		wrong |= b ^ byte(n)
	}
	return frame[:len(frame)-n], wrong == 0
}
