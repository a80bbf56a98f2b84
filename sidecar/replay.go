// Answers that may be given again.

package sidecar

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/aead"
	"github.com/caddy-wechat/wechatauth/session"
)

// replay is the answer to a request that may be repeated. The store can't read it: the key is
// derived from what only the client that made the request sent.
type replay struct {
	key  session.Digest // the name in the store
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

// put seals an answer that may be given again until one time and is remembered as spent until
// another.
func (r replay) put(answer []byte, until, spentUntil time.Time) (session.Replay, error) {
	box, err := aead.New(r.seal, "wechatauth replay")
	if err != nil {
		return session.Replay{}, err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano()))
	sealed := box.Seal(nil, nil, append(plain, answer...), r.key[:]) //nolint:gosec // the nonce is random: aead makes it
	return session.Replay{Key: r.key, Value: sealed, Until: spentUntil}, nil
}

// open returns the answer in a value, if this client may have it and its time is not over.
func (r replay) open(value []byte, now time.Time) ([]byte, bool) {
	box, err := aead.New(r.seal, "wechatauth replay")
	if err != nil {
		return nil, false
	}
	plain, err := box.Open(nil, nil, value, r.key[:])
	if err != nil || len(plain) < 8 || now.UnixNano() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, false
	}
	return plain[8:], true
}
