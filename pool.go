// Parts that sites share, and that outlive a reload.

package wechatauth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
)

// pool keeps what users would miss after a config reload: WeChat clients with their access tokens,
// open stores, automatic keys and spent limits.
var pool = caddy.NewUsagePool()

// acquire returns the part that every handler depending on the same things shares. The handler's
// Cleanup releases it.
func acquire[T any](h *Handler, kind string, dependsOn any, construct func() (T, error)) (T, error) {
	key := poolKey(kind, dependsOn)
	value, err := load(key, construct)
	if err == nil {
		h.acquired = append(h.acquired, key)
	}
	return value, err
}

// load returns the part of a key, which the caller has to delete from the pool.
func load[T any](key string, construct func() (T, error)) (value T, err error) {
	shared, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		made, err := construct()
		return pooled[T]{made}, err
	})
	if err != nil {
		return value, err
	}
	return shared.(pooled[T]).value, nil
}

// pooled is a part in the pool.
type pooled[T any] struct{ value T }

// Destruct implements caddy.Destructor.
func (p pooled[T]) Destruct() error {
	if c, ok := any(p.value).(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// poolKey is a digest, since what a part depends on includes secrets.
func poolKey(kind string, dependsOn any) string {
	text, err := json.Marshal(dependsOn)
	if err != nil {
		panic(fmt.Sprintf("wechat_auth: pool key of %s: %v", kind, err)) // only plain values are passed
	}
	digest := sha256.Sum256(text)
	return kind + ":" + hex.EncodeToString(digest[:])
}
