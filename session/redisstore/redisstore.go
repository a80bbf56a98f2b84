// Package redisstore keeps accounts in Redis, for several machines at once.
//
// An account is one hash: the user, a version, and a field for each session. A refresh is a script
// on it, one round trip; every other change is read, made by the rules of [session.Account], and
// written by a script if the version is still the one that was read. Revocations, replays, counters
// and signing keys are keys of their own.
package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

// Config holds the address of Redis and the options. Only URLs is needed.
//
// Redis must be 6.2 or newer, or Valkey, and must not evict: maxmemory-policy noeviction. How much
// of what was acknowledged survives depends on its settings: appendonly with appendfsync always
// keeps all over a crash of the machine, the default of one second may lose that second;
// WaitReplicas is for the loss of a whole node.
type Config struct {
	// URLs is one or more of
	//
	//	redis://[[user]:password@]host[:6379][/db]
	//	redis+cluster://[[user]:password@]host[:6379][,host...]
	//	redis+sentinel://[[user]:password@]host[:26379][,host...]/master[/db][?sentinel_user=...&sentinel_password=...]
	//
	// or the same with rediss, for TLS. Several redis:// are a cluster, too. The user and password
	// of a sentinel URL are those of the servers; the sentinels have their own.
	URLs []string

	// Username and Password are used as they are, whatever characters they have. The URLs have none
	// then.
	Username, Password string

	// CA, in PEM, vouches for the server in place of the machine's certificates. Certificate and
	// Key, in PEM, are shown to a server that asks for a certificate. All need rediss.
	CA, Certificate, Key []byte

	// SealKey, if not empty, encrypts everything about a user with AES-256-GCM. It needs
	// 32 characters or more. What was written with another key, or without, can't be read.
	SealKey string

	// Prefix begins every key: DefaultPrefix if empty. It can't hold braces.
	Prefix string

	// WaitReplicas, if not 0, lets a write succeed only after so many replicas have it, so that it
	// survives the death of the node that took it. With sentinels or a cluster, 1 is a good value;
	// and min-replicas-to-write 1 there, so that a master that was cut off does not go on alone. A
	// write that failed for this may have happened all the same; repeating it does no harm but to a
	// counter, which counts it twice.
	WaitReplicas int

	// Clock decides which revocations are over: session.NewClock() if nil.
	Clock *session.Clock

	// Logger gets a warning about a Redis that evicts. None if nil.
	Logger *slog.Logger
}

const (
	// DefaultPrefix begins every key unless Config.Prefix does.
	DefaultPrefix = "wechat_auth:"

	// timeout bounds one round trip, and all that one change of an account takes. A store that is
	// away has to say so quickly: somebody waits for the answer.
	timeout = 2 * time.Second

	// slack is added to the time Redis keeps replays and counters. Whether one is over is decided
	// by its own time and the caller's clock.
	slack = 5 * time.Minute
)

// store is a session.Store in Redis.
type store struct {
	client   redis.UniversalClient
	prefix   string
	seal     sealer
	replicas int
	clock    *session.Clock
	begun    time.Duration // by the clock
	log      *slog.Logger
	warned   atomic.Bool // of a Redis that evicts
	once     sync.Once
	closed   chan struct{}
}

// quiet keeps go-redis, whose logger is one for the whole process, from writing to standard error:
// what fails is returned, and its caller logs it.
type quiet struct{}

// Printf implements go-redis's logger.
func (quiet) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// New returns a store that many processes share. It connects when it is first used, and again
// whenever the connection is lost.
func New(cfg Config) (session.Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, errors.New("redis: a prefix can't hold braces: they would put all keys on one node of a cluster")
	}
	if cfg.WaitReplicas < 0 {
		return nil, errors.New("redis: the number of replicas to wait for can't be negative")
	}
	seal, err := newSealer(cfg.SealKey)
	if err != nil {
		return nil, err
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if cfg.Clock == nil {
		cfg.Clock = session.NewClock()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	silence()
	return &store{
		client: redis.NewUniversalClient(options), prefix: cfg.Prefix, seal: seal, replicas: cfg.WaitReplicas,
		clock: cfg.Clock, begun: cfg.Clock.Elapsed(), log: cfg.Logger, closed: make(chan struct{}),
	}, nil
}

// Close implements session.Store.
func (r *store) Close() (err error) {
	r.once.Do(func() {
		close(r.closed)
		if r.client.Close() != nil {
			err = &Error{Op: "close", Cause: Unreachable}
		}
	})
	return err
}

func (r *store) accountKey(user session.Tag) string { return r.prefix + "user:" + text(user[:]) }
func (r *store) replayKey(d session.Digest) string  { return r.prefix + "replay:" + text(d[:]) }
func (r *store) countKey(d session.Digest) string   { return r.prefix + "count:" + text(d[:]) }
func (r *store) keysKey() string                    { return r.prefix + "keys" }
func (r *store) revokedKey() string                 { return r.prefix + "revoked" }

func text(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// errSlow is the cause of a context that ended by timeout, not by its caller.
var errSlow = errors.New("no answer in time")

// begin limits the time of an operation, and refuses one that must not begin.
func (r *store) begin(ctx context.Context, op string) (context.Context, context.CancelFunc, error) {
	select {
	case <-r.closed:
		return nil, nil, &Error{Op: op, Cause: Closed}
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, r.failure(ctx, op, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSlow)
	return ctx, cancel, nil
}

// millis rounds down, millisUp up, so that nothing is over early. The zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func millisUp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}
