package wechatauth

import (
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/session"
)

func init() {
	caddy.RegisterModule(BoltStore{})
	caddy.RegisterModule(MemoryStore{})
	caddy.RegisterModule(RedisStore{})
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

// BoltStore keeps everything in one file of this machine. It survives restarts. One process at a time
// can use it.
type BoltStore struct {
	// The file. Default: `wechat_auth/sessions.db` in Caddy's data directory.
	File string `json:"file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth.stores.bolt",
		New: func() caddy.Module { return new(BoltStore) },
	}
}

// Provision resolves the file's name.
func (s *BoltStore) Provision(caddy.Context) (err error) {
	file := orDefault(s.File, filepath.Join(caddy.AppDataDir(), "wechat_auth", "sessions.db"))
	if file, err = resolve(caddy.NewReplacer(), "store bolt", file); err != nil {
		return err
	}
	s.File, err = filepath.Abs(file)
	return err
}

// Identity implements Store.
func (s *BoltStore) Identity() string { return "bolt:" + s.File }

// Open implements Store.
func (s *BoltStore) Open(caddy.Context) (session.Store, error) {
	return session.OpenBolt(s.File, session.BoltOptions{})
}

// UnmarshalCaddyfile reads `bolt [<file>]`.
func (s *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if d.NextArg() {
		s.File = d.Val()
	}
	return noMore(d)
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
func (s *MemoryStore) Open(caddy.Context) (session.Store, error) { return session.NewMemory(s.MaxMiB) }

// UnmarshalCaddyfile reads `memory`.
func (s *MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	return noMore(d)
}

// RedisStore keeps everything in Redis, for several nodes: what one revokes, all refuse within a second.
// Every node needs the same Redis, prefix and seal_key.
type RedisStore struct {
	// Addresses: `redis://` or `rediss://` (TLS), with password and database as usual. Several are the
	// nodes of a Redis Cluster. `redis+sentinel://host1:26379,host2:26379/<master>/<db>` asks sentinels.
	// Placeholders are allowed: a password is better written as one.
	URLs []string `json:"urls,omitempty"`

	// A secret of at least 32 characters. With it, everything that tells something about a user is
	// encrypted with AES-256-GCM, and so are the automatic keys. Write it as a placeholder. Default: phones
	// and keys are stored in clear; tokens never are.
	SealKey string `json:"seal_key,omitempty"`

	// What the names of all keys begin with. Default: `wechat_auth:`.
	Prefix string `json:"prefix,omitempty"`

	// A write succeeds only after so many replicas have it, so that it survives the death of the node
	// that took it. With sentinels or a cluster, 1 is a good value. Default: 0, replicas follow on their own.
	WaitReplicas int `json:"wait_replicas,omitempty"`

	config session.RedisConfig
}

// CaddyModule returns the Caddy module information.
func (RedisStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth.stores.redis",
		New: func() caddy.Module { return new(RedisStore) },
	}
}

// Provision resolves placeholders and checks the addresses; it connects to none.
func (s *RedisStore) Provision(caddy.Context) (err error) {
	repl := caddy.NewReplacer()
	s.config = session.RedisConfig{WaitReplicas: s.WaitReplicas}
	if s.config.Prefix, err = resolve(repl, "prefix", orDefault(s.Prefix, "wechat_auth:")); err != nil {
		return err
	}
	for _, url := range s.URLs {
		if url, err = resolve(repl, "store redis", url); err != nil {
			return err
		}
		s.config.URLs = append(s.config.URLs, url)
	}
	if s.SealKey != "" {
		if s.config.SealKey, err = resolve(repl, "seal_key", s.SealKey); err != nil {
			return err
		}
	}
	store, err := session.NewRedis(s.config)
	if err != nil {
		return err
	}
	return store.Close()
}

// Identity implements Store.
func (s *RedisStore) Identity() string {
	c := s.config
	return fmt.Sprintf("redis:%q %q %q %d", c.URLs, c.SealKey, c.Prefix, c.WaitReplicas)
}

// Open implements Store.
func (s *RedisStore) Open(caddy.Context) (session.Store, error) { return session.NewRedis(s.config) }

// UnmarshalCaddyfile reads `redis <url>... { seal_key <secret>; prefix <string>; wait_replicas <n> }`.
func (s *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if err := allArgs(d, &s.URLs); err != nil {
		return err
	}
	return eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "seal_key":
			return oneArg(d, &s.SealKey)
		case "prefix":
			return oneArg(d, &s.Prefix)
		case "wait_replicas":
			return countArg(d, &s.WaitReplicas)
		}
		return d.Errf("unrecognized subdirective of store redis: %s", d.Val())
	})
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
	_ Store                 = (*BoltStore)(nil)
	_ Store                 = (*MemoryStore)(nil)
	_ Store                 = (*RedisStore)(nil)
	_ caddy.Provisioner     = (*BoltStore)(nil)
	_ caddy.Provisioner     = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
)
