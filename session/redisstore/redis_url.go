package session

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisAddress is what the URLs of a RedisConfig say together.
type redisAddress struct {
	kind             string // "", "cluster" or "sentinel"
	tls              bool
	hosts            []string
	user, password   string
	master           string
	db               int
	sentinelUser     string
	sentinelPassword string
}

// The errors below say what is wrong and quote nothing: there is a password in the URL.
var (
	errRedisURL     = errors.New("want redis://[[user]:password@]host[:port][/db], or rediss, redis+cluster, redis+sentinel")
	errRedisCluster = errors.New("a cluster has no databases: want redis+cluster://[[user]:password@]host[:port][,host...]")
	errSentinel     = errors.New("want redis+sentinel://[[user]:password@]host[:port][,host...]/master[/db]")
)

func parseRedisURLs(urls []string) (all redisAddress, err error) {
	if len(urls) == 0 {
		return all, fmt.Errorf("session: no redis address: %w", errRedisURL)
	}
	for i, text := range urls {
		a, err := parseRedisURL(text)
		if err != nil {
			return all, fmt.Errorf("session: redis address %d: %w", i+1, err)
		}
		if i == 0 {
			all = a
			continue
		}
		hosts := append(slices.Clip(all.hosts), a.hosts...)
		all.hosts, a.hosts = nil, nil
		if fmt.Sprint(a) != fmt.Sprint(all) {
			return all, errors.New("session: redis addresses of one store differ in more than the host")
		}
		all.hosts = hosts
	}
	if all.kind == "" && len(all.hosts) > 1 {
		all.kind = "cluster"
	}
	if all.kind == "cluster" && all.db != 0 {
		return all, fmt.Errorf("session: redis: %w", errRedisCluster)
	}
	return all, nil
}

func parseRedisURL(text string) (a redisAddress, err error) {
	// The hosts are a list, which is no URL, so they are taken apart first.
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return a, errRedisURL
	}
	scheme, a.kind, _ = strings.Cut(scheme, "+")
	a.tls = scheme == "rediss"
	if scheme != "redis" && scheme != "rediss" || a.kind != "" && a.kind != "cluster" && a.kind != "sentinel" {
		return a, errRedisURL
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	login, list := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		login, list = authority[:at+1], authority[at+1:]
	}
	hosts := strings.Split(list, ",")
	if a.kind == "" && len(hosts) > 1 {
		return a, errRedisURL
	}
	var u *url.URL
	for _, host := range hosts {
		if u, err = url.Parse("redis://" + login + host + tail); err != nil || u.Hostname() == "" || u.Fragment != "" {
			return a, errRedisURL
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"sentinel": "26379"}[a.kind]
		}
		if port == "" {
			port = "6379"
		}
		a.hosts = append(a.hosts, net.JoinHostPort(u.Hostname(), port))
	}
	a.user = u.User.Username()
	a.password, _ = u.User.Password()
	return a, a.parseTail(u)
}

// parseTail reads what follows the hosts.
func (a *redisAddress) parseTail(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errRedisURL
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if a.kind == "sentinel" {
		a.master, path = path[0], path[1:]
		a.sentinelUser, a.sentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")
		query.Del("sentinel_user")
		query.Del("sentinel_password")
		if a.master == "" {
			return errSentinel
		}
	}
	if len(query) > 0 || len(path) > 1 {
		return errRedisURL
	}
	if len(path) == 0 || path[0] == "" {
		return nil
	}
	if a.db, err = strconv.Atoi(path[0]); err != nil || a.db < 0 {
		return errRedisURL
	}
	return nil
}

// client makes the client. It does not connect yet.
func (a redisAddress) client(config *tls.Config) redis.UniversalClient {
	o := &redis.UniversalOptions{
		Addrs: a.hosts, MasterName: a.master, IsClusterMode: a.kind == "cluster", DB: a.db,
		Username: a.user, Password: a.password,
		SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,

		// An operation ends with its context, whatever it waits for.
		ContextTimeoutEnabled: true,
		DialTimeout:           redisTimeout / 2,
		DialerRetries:         1,
		ReadTimeout:           redisTimeout,
		PoolTimeout:           redisTimeout,

		// What is not needed can't go wrong: introducing ourselves has once mixed up answers
		// (CVE-2025-29923), and the rest is for services that move connections about.
		Protocol:                 2,
		DisableIdentity:          true,
		PipelinePoolSize:         -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if a.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if config != nil {
			o.TLSConfig = config.Clone()
		}
	}
	return redis.NewUniversalClient(o)
}
