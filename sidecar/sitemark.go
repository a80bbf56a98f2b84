// What tells a site's answers from those of other sites that share an app and a store.

package sidecar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/caddy-wechat/wechatauth/session"
)

// siteDigest depends on everything that may differ in the answers of two sites.
func siteDigest(cfg Config, deps Deps, mark session.Site) string {
	sum := digestOf("site", []any{
		mark, cfg.Token, deps.Keys.source(), deps.Store.id, deps.Hook.identity(), cfg.Profile.Check, cfg.EncryptedData, cfg.BasePath,
	})
	return hex.EncodeToString(sum[:])
}

// Accepts is equal for sites that accept each other's tokens, session marks apart.
func (s *Site) Accepts() [32]byte { return s.tokens.digest("accepts") }

// digestOf is a digest, since what something depends on includes secrets.
func digestOf(kind string, dependsOn []any) [32]byte {
	text, err := json.Marshal(dependsOn)
	if err != nil {
		panic(fmt.Sprintf("sidecar: digest of %s: %v", kind, err)) // only plain values are passed
	}
	return sha256.Sum256(append([]byte(kind+":"), text...))
}
