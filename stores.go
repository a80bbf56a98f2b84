package wechatauth

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
)

func init() {
	caddy.RegisterModule(MemoryStore{})
}

const storesNamespace = "http.handlers.wechat_auth.stores"

// Store is a place for sessions, users and keys, as a Caddy module in the namespace
// `http.handlers.wechat_auth.stores`. Others can add theirs: session.Store says what it has to do, and
// sessiontest.Run whether it does.
type Store interface {
	// Identity is equal for configurations of one store: those share what Open returns. It may hold
	// secrets, only a digest of it is kept. It is called after Provision.
	Identity() string

	// Open returns the store. It is called when a configuration starts, not when it is only validated,
	// so this is the place to lock files; what is remote must not be waited for.
	Open(caddy.Context) (session.Store, error)
}

// MemoryStore keeps everything in the process: a restart logs everybody out and forgets every phone.
// When it is full, it refuses logins rather than forget sessions.
type MemoryStore struct {
	// The most it takes, in MiB: 128 are enough for some 40,000 users who are logged in once. Default: 128.
	MaxMiB int `json:"max_mib,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth.stores.memory",
		New: func() caddy.Module { return new(MemoryStore) },
	}
}

// Identity implements Store.
func (s *MemoryStore) Identity() string { return fmt.Sprint("memory:", s.MaxMiB) }

// Open implements Store.
func (s *MemoryStore) Open(caddy.Context) (session.Store, error) {
	return memstore.New(int64(orDefault(s.MaxMiB, 128)) << 20), nil
}

func (*MemoryStore) volatile() {}

// volatileStore is a store that keeps nothing over a restart.
type volatileStore interface{ volatile() }

// UnmarshalCaddyfile reads `memory`.
func (s *MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	return noMore(d)
}

// noMore refuses arguments and a block that a store does not have.
func noMore(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("unrecognized subdirective of store: %s", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ Store                 = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
)
