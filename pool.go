package wechatauth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// pool keeps what users would miss after a config reload: WeChat clients with their access tokens, open
// stores, automatic keys and spent limits.
var pool = caddy.NewUsagePool()

// take returns the part that every handler depending on the same things shares. Cleanup gives it back.
func take[T caddy.Destructor](h *Handler, kind string, dependsOn any, construct func() (T, error)) (T, error) {
	key := poolKey(kind, dependsOn)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return construct() })
	if err != nil {
		var none T
		return none, err
	}
	h.taken = append(h.taken, key)
	return value.(T), nil
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
