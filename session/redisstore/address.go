// Addresses and the client's options.

package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The errors below say what is wrong and quote nothing: there is a password in the URL.
var (
	errURL = errors.New("want redis://[[user]:password@]host[:port][/db], or rediss, redis+cluster, redis+sentinel; " +
		"characters such as / @ : % in a password are percent-encoded in a URL, and need not be in the option password")
	errCluster  = errors.New("a cluster has no databases: want redis+cluster://[[user]:password@]host[:port][,host...]")
	errSentinel = errors.New("want redis+sentinel://[[user]:password@]host[:port][,host...]/master[/db]")
	errTwice    = errors.New("redis: username and password stand either in the URL or beside it, not in both")
)

const (
	cluster  = "cluster"
	sentinel = "sentinel"
)

// options returns the settings of the client.
func (cfg *Config) options() (*redis.UniversalOptions, error) {
	o, err := parseURLs(cfg.URLs)
	if err != nil {
		return nil, err
	}
	if cfg.Username != "" || cfg.Password != "" {
		if o.Username != "" || o.Password != "" {
			return nil, errTwice
		}
		o.Username, o.Password = cfg.Username, cfg.Password
	}
	if o.TLSConfig, err = cfg.tls(o.TLSConfig != nil); err != nil {
		return nil, err
	}
	// An operation ends with its context, whatever it waits for.
	o.ContextTimeoutEnabled = true
	o.DialTimeout = timeout / 2
	o.DialerRetries = 1
	o.ReadTimeout = timeout
	o.PoolTimeout = timeout
	// What is not needed can't go wrong: introducing ourselves has once mixed up answers
	// (CVE-2025-29923), and the rest is for services that move connections about.
	o.Protocol = 2
	o.DisableIdentity = true
	o.PipelinePoolSize = -1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// tls returns the settings of TLS. Without a server name each node is checked by its own address.
func (cfg *Config) tls(used bool) (*tls.Config, error) {
	if !used {
		if len(cfg.CA)+len(cfg.Certificate)+len(cfg.Key) > 0 {
			return nil, errors.New("redis: ca and cert are for TLS: write rediss:// in place of redis://")
		}
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(cfg.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(cfg.CA) {
			return nil, errors.New("redis: ca holds no certificate: want a PEM file")
		}
	}
	if len(cfg.Certificate)+len(cfg.Key) > 0 {
		pair, err := tls.X509KeyPair(cfg.Certificate, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("redis: cert: want a certificate and its private key, both as PEM files: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// parseURLs returns what the URLs say together.
func parseURLs(urls []string) (*redis.UniversalOptions, error) {
	if len(urls) == 0 {
		return nil, fmt.Errorf("redis: no address: %w", errURL)
	}
	all := &redis.UniversalOptions{}
	for i, text := range urls {
		o, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("redis: address %d: %w", i+1, err)
		}
		if i == 0 {
			all = o
			continue
		}
		if !alike(all, o) {
			return nil, errors.New("redis: the addresses of one store differ in more than the host")
		}
		all.Addrs = append(all.Addrs, o.Addrs...)
	}
	if len(all.Addrs) > 1 && all.MasterName == "" {
		all.IsClusterMode = true
	}
	if all.IsClusterMode && all.DB != 0 {
		return nil, fmt.Errorf("redis: %w", errCluster)
	}
	return all, nil
}

// alike reports whether two addresses differ in nothing but the host.
func alike(a, b *redis.UniversalOptions) bool {
	return a.IsClusterMode == b.IsClusterMode && a.MasterName == b.MasterName && a.DB == b.DB &&
		a.Username == b.Username && a.Password == b.Password && (a.TLSConfig == nil) == (b.TLSConfig == nil) &&
		a.SentinelUsername == b.SentinelUsername && a.SentinelPassword == b.SentinelPassword
}

// parseURL reads one URL. What a list of hosts and a master add to the usual form is taken out
// first; go-redis reads the rest.
func parseURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	scheme, kind, _ := strings.Cut(scheme, "+")
	if scheme != "redis" && scheme != "rediss" || kind != "" && kind != cluster && kind != sentinel {
		return nil, errURL
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	login, list := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		login, list = authority[:at+1], authority[at+1:]
	}
	hosts := strings.Split(list, ",")
	if kind == "" && len(hosts) > 1 {
		return nil, errURL
	}
	o := &redis.UniversalOptions{IsClusterMode: kind == cluster}
	if kind == sentinel {
		var err error
		if tail, err = parseMaster(o, tail); err != nil {
			return nil, err
		}
	}
	for _, host := range hosts {
		if err := parseHost(o, scheme+"://"+login, host, tail, kind); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// parseHost adds one host, and what stands around it.
func parseHost(o *redis.UniversalOptions, before, host, tail, kind string) error {
	u, err := url.Parse(before + host + tail)
	if err != nil || u.Hostname() == "" || u.Fragment != "" || u.RawQuery != "" {
		return errURL
	}
	if u.Port() == "" && kind == sentinel {
		u.Host += ":26379"
	}
	one, err := redis.ParseURL(u.String())
	if err != nil || one.DB < 0 {
		return errURL
	}
	o.Addrs = append(o.Addrs, one.Addr)
	o.Username, o.Password, o.DB, o.TLSConfig = one.Username, one.Password, one.DB, one.TLSConfig
	return nil
}

// parseMaster takes the master and the sentinels' login from what follows the hosts, and returns
// the rest.
func parseMaster(o *redis.UniversalOptions, tail string) (rest string, err error) {
	u, err := url.Parse(tail)
	if err != nil || u.Fragment != "" {
		return "", errSentinel
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errSentinel
	}
	o.SentinelUsername, o.SentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")
	query.Del("sentinel_user")
	query.Del("sentinel_password")
	master, db, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if o.MasterName = master; master == "" || len(query) > 0 {
		return "", errSentinel
	}
	return "/" + db, nil
}
