// The stores of one machine, and what a store is.

package wechatauth

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/session/sqlitestore"
)

func init() {
	caddy.RegisterModule(SQLiteStore{})
	caddy.RegisterModule(MemoryStore{})
}

const storesNamespace = "http.handlers.wechat_auth.stores"

// storeKind returns what stands behind store in a Caddyfile.
func storeKind(module any) string {
	if m, ok := module.(caddy.Module); ok {
		return m.CaddyModule().ID.Name()
	}
	return "other"
}

// Store is a place for sessions, users and keys, as a Caddy module in the namespace
// `http.handlers.wechat_auth.stores`. Others can add theirs: session.Store says what it has to do,
// and sessiontest.Run whether it does.
type Store interface {
	// Identity is equal for configurations of one store: those share what Open returns. It may hold
	// secrets, only a digest of it is kept. It is called after Provision.
	Identity() string

	// Open returns the store. It is called when a configuration starts, not when it is only
	// validated, so this is the place to lock files; what is remote must not be waited for.
	Open(caddy.Context) (session.Store, error)
}

// SQLiteStore keeps everything in one SQLite file of this machine. It survives restarts. One
// process at a time can use it; another waits for it at the start.
type SQLiteStore struct {
	// The file. Default: `wechat_auth/sessions.db` in Caddy's data directory.
	File string `json:"file,omitempty"`

	logger *slog.Logger
}

// CaddyModule returns the Caddy module information.
func (SQLiteStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth.stores.sqlite",
		New: func() caddy.Module { return new(SQLiteStore) },
	}
}

// Provision resolves the file's name.
func (s *SQLiteStore) Provision(ctx caddy.Context) (err error) {
	file := orDefault(s.File, filepath.Join(caddy.AppDataDir(), "wechat_auth", "sessions.db"))
	if file, err = resolve(caddy.NewReplacer(), "store sqlite", file); err != nil {
		return err
	}
	s.logger = ctx.Slogger()
	s.File, err = filepath.Abs(file)
	return err
}

// Identity implements Store.
func (s *SQLiteStore) Identity() string { return "sqlite:" + s.File }

// Open implements Store.
func (s *SQLiteStore) Open(caddy.Context) (session.Store, error) {
	opts := sqlitestore.Options{Logger: s.logger}
	if caddy.ActiveContext().Context != nil { // a reload: nobody is about to hand the file over
		opts.Wait = -1
	}
	return sqlitestore.Open(s.File, opts)
}

// UnmarshalCaddyfile reads `sqlite [<file>]`.
func (s *SQLiteStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if d.NextArg() {
		s.File = d.Val()
	}
	return noMore(d)
}

// MemoryStore keeps everything in the process: a restart logs everybody out and forgets every
// phone. When it is full, it refuses logins rather than forget sessions.
type MemoryStore struct {
	// The most it takes, in MiB: 128 are enough for some 40,000 users who are logged in once.
	// Default: 128.
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
	_ Store                 = (*SQLiteStore)(nil)
	_ Store                 = (*MemoryStore)(nil)
	_ caddy.Provisioner     = (*SQLiteStore)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
)
