// The store in Redis, for several nodes.

package wechatauth

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

func init() { caddy.RegisterModule(RedisStore{}) }

// RedisStore keeps everything in Redis, for several nodes: what one revokes, all refuse within a
// second. Every node needs the same Redis, prefix and seal_key.
type RedisStore struct {
	// Addresses: `redis://` or `rediss://` (TLS), with password and database as usual. Several are
	// the nodes of a Redis Cluster. `redis+sentinel://host1:26379,host2:26379/<master>/<db>` asks
	// sentinels. What a placeholder before the @ stands for is taken as it is, whatever characters
	// it has.
	URLs []string `json:"urls,omitempty"`

	// The user of Redis, if the addresses name none. Default: Redis' own default user.
	Username string `json:"username,omitempty"`

	// The password, if the addresses have none. It is taken as it is. Write it as a placeholder.
	Password string `json:"password,omitempty"`

	// A PEM file with the certificates of the authority that signed the one of Redis. Default: the
	// authorities that this machine trusts.
	CA string `json:"ca,omitempty"`

	// A PEM file with the certificate to be shown to a Redis that asks for one. It needs the key, too.
	Certificate string `json:"cert,omitempty"`

	// A PEM file with the private key of that certificate.
	Key string `json:"key,omitempty"`

	// A secret of at least 32 characters. With it, everything that tells something about a user is
	// encrypted with AES-256-GCM, and so are the automatic keys. Write it as a placeholder.
	// Default: phones and keys are stored in clear; tokens never are.
	SealKey string `json:"seal_key,omitempty"`

	// What the names of all keys begin with. Default: `wechat_auth:`.
	Prefix string `json:"prefix,omitempty"`

	// A write succeeds only after so many replicas have it, so that it survives the death of the
	// node that took it. With sentinels or a cluster, 1 is a good value. Default: 0, replicas
	// follow on their own.
	WaitReplicas int `json:"wait_replicas,omitempty"`

	config redisstore.Config
}

// CaddyModule returns the Caddy module information.
func (RedisStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth.stores.redis",
		New: func() caddy.Module { return new(RedisStore) },
	}
}

// Provision resolves placeholders, reads files and checks the addresses; it connects to none.
func (s *RedisStore) Provision(ctx caddy.Context) (err error) {
	repl := caddy.NewReplacer()
	s.config = redisstore.Config{WaitReplicas: s.WaitReplicas, Logger: ctx.Slogger()}
	for _, address := range s.URLs {
		if address, err = resolveURL(repl, "store redis", address); err != nil {
			return err
		}
		s.config.URLs = append(s.config.URLs, address)
	}
	for _, option := range []struct {
		name, from string
		to         *string
	}{
		{"username", s.Username, &s.config.Username},
		{"password", s.Password, &s.config.Password},
		{"seal_key", s.SealKey, &s.config.SealKey},
		{"prefix", s.Prefix, &s.config.Prefix},
	} {
		if option.from == "" {
			continue
		}
		if *option.to, err = resolve(repl, "store redis: "+option.name, option.from); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name, from string
		to         *[]byte
	}{
		{"ca", s.CA, &s.config.CA},
		{"cert", s.Certificate, &s.config.Certificate},
		{"cert", s.Key, &s.config.Key},
	} {
		if file.from == "" {
			continue
		}
		if *file.to, err = readPEM(repl, file.from); err != nil {
			return fmt.Errorf("store redis: %s: %w", file.name, err)
		}
	}
	store, err := redisstore.New(s.config)
	if err != nil {
		return fmt.Errorf("store %w", err)
	}
	return store.Close()
}

// Identity implements Store.
func (s *RedisStore) Identity() string {
	c := s.config
	return fmt.Sprintf("redis:%q %q %q %q %q %q %q %q %d",
		c.URLs, c.Username, c.Password, c.CA, c.Certificate, c.Key, c.SealKey, c.Prefix, c.WaitReplicas)
}

// Open implements Store.
func (s *RedisStore) Open(caddy.Context) (session.Store, error) { return redisstore.New(s.config) }

// UnmarshalCaddyfile reads
//
//	redis <url>... {
//		username      <name>
//		password      <secret>
//		ca            <pem file>
//		cert          <pem file> <key file>
//		seal_key      <secret>
//		prefix        <string>
//		wait_replicas <n>
//	}
func (s *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if err := allArgs(d, &s.URLs); err != nil {
		return err
	}
	return eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "username":
			return oneArg(d, &s.Username)
		case "password":
			return oneArg(d, &s.Password)
		case "ca":
			return oneArg(d, &s.CA)
		case "cert":
			if !d.AllArgs(&s.Certificate, &s.Key) {
				return d.ArgErr()
			}
			return nil
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

// Interface guards
var (
	_ Store                 = (*RedisStore)(nil)
	_ caddy.Provisioner     = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
)
