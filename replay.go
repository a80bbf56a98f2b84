package wechatauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// replay is the answer to a request that may be repeated. The store can't read it: the key is derived
// from what only the client that made the request sent.
type replay struct {
	key  session.Digest // the note's name
	seal []byte
}

// newReplay names the answer to a request by what it spent.
func newReplay(spent ...string) replay {
	text := strings.Join(spent, "\x00")
	return replay{key: sha256.Sum256([]byte("name\x00" + text)), seal: []byte(text)}
}

// knownBy keeps the answer from clients that spent the same but are not the same.
func (r replay) knownBy(client string) replay {
	r.seal = append(r.seal, "\x00"+client...)
	return r
}

// note seals an answer that may be given again until one time and is remembered as spent until another.
func (r replay) note(answer []byte, until, spentUntil time.Time) session.Note {
	plain := binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano()))
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // never fails
	return session.Note{Key: r.key, Value: r.aead().Seal(nonce, nonce, append(plain, answer...), r.key[:]), Until: spentUntil}
}

// open returns the answer in a note, if this client may have it and its time is not over.
func (r replay) open(note []byte, now time.Time) ([]byte, bool) {
	if len(note) < 12 {
		return nil, false
	}
	plain, err := r.aead().Open(nil, note[:12], note[12:], r.key[:])
	if err != nil || len(plain) < 8 || now.UnixNano() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, false
	}
	return plain[8:], true
}

func (r replay) aead() cipher.AEAD {
	key, err := hkdf.Key(sha256.New, r.seal, nil, "wechatauth replay", 32)
	if err != nil {
		panic("wechat_auth: replay key: " + err.Error()) // 32 bytes are within what HKDF gives
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("wechat_auth: replay key: " + err.Error()) // 32 bytes are an AES key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("wechat_auth: replay key: " + err.Error()) // AES has GCM's block size
	}
	return aead
}
