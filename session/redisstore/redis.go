package session

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisConfig is where a shared store is and how it is used. Only URLs is needed.
//
// Redis must be 6.2 or newer, or Valkey, and must not evict: maxmemory-policy noeviction. How much of
// what was acknowledged survives is a matter of its settings: appendonly with appendfsync always keeps
// all over a crash of the machine, the default of one second may lose that second; WaitReplicas is
// about the loss of a whole node.
type RedisConfig struct {
	// URLs is one or more of
	//
	//	redis://[[user]:password@]host[:6379][/db]
	//	redis+cluster://[[user]:password@]host[:6379][,host...]
	//	redis+sentinel://[[user]:password@]host[:26379][,host...]/master[/db][?sentinel_user=...&sentinel_password=...]
	//
	// or the same with rediss, for TLS. Several redis:// are a cluster, too. The user and password of
	// a sentinel URL are those of the servers; the sentinels have their own.
	URLs []string

	// SealKey, if not empty, encrypts with AES-256-GCM whatever tells something about a user. It needs
	// 32 characters or more. What was written with another key, or without, can't be read.
	SealKey string

	// Prefix begins every key: "wechat_auth:" if empty. It can't hold braces.
	Prefix string

	// WaitReplicas, if not 0, lets a write succeed only after so many replicas have it, so that it
	// survives the death of the node that took it. With sentinels or a cluster, 1 is a good value; and
	// min-replicas-to-write 1 there, so that a master that was cut off does not go on alone. A write
	// that failed for this may have happened all the same; repeating it does no harm but to a counter,
	// which counts it twice.
	WaitReplicas int

	// TLS is for rediss: nil is the machine's certificates.
	TLS *tls.Config

	// Now is the clock for what has no time of its own: time.Now if nil.
	Now func() time.Time
}

const (
	// redisTimeout is how long an operation takes at most. A store that is away has to say so quickly:
	// somebody waits for the answer.
	redisTimeout = 2 * time.Second

	// redisSlack is how much longer than needed Redis keeps what expires. Whether something is over is
	// decided by the times inside it and the caller's clock; Redis only has to forget, and clocks differ.
	redisSlack = 5 * time.Minute
)

// redisStore is a Store in Redis. All keys of a user are in one slot, so that a script can change them
// in one step; revocations, notes, counters and the signing keys are in slots of their own.
type redisStore struct {
	client redis.UniversalClient
	prefix string
	seal   sealer
	wait   int
	now    func() time.Time
	hub    hub
}

// quiet keeps go-redis, whose logger is one for the whole process, from writing to standard error: what
// fails is returned, and whoever gets it logs it.
type quiet struct{}

// Printf implements go-redis's logger.
func (quiet) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// NewRedis returns a store that many processes share. It connects when it is first used, and again
// whenever the connection is lost.
func NewRedis(cfg RedisConfig) (Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "wechat_auth:"
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, errors.New("session: a redis prefix can't hold braces: they decide about the node in a cluster")
	}
	if cfg.WaitReplicas < 0 {
		return nil, errors.New("session: the number of redis replicas to wait for can't be negative")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	seal, err := newSealer(cfg.SealKey)
	if err != nil {
		return nil, err
	}
	address, err := parseRedisURLs(cfg.URLs)
	if err != nil {
		return nil, err
	}
	silence()
	return &redisStore{
		client: address.client(cfg.TLS), prefix: cfg.Prefix, seal: seal, wait: cfg.WaitReplicas, now: cfg.Now,
	}, nil
}

// Close implements Store.
func (r *redisStore) Close() error {
	r.hub.close()
	if err := r.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return redisError("close", err)
	}
	return nil
}

// Where things are. The braces make a user's keys one slot.

func (r *redisStore) userKey(tag Tag) string     { return r.userBase(tag) + "user" }
func (r *redisStore) indexKey(tag Tag) string    { return r.userBase(tag) + "sessions" }
func (r *redisStore) boundaryKey(tag Tag) string { return r.userBase(tag) + "before" }
func (r *redisStore) sessionBase(tag Tag) string { return r.userBase(tag) + "session:" }
func (r *redisStore) userBase(tag Tag) string    { return r.prefix + "{" + text(tag[:]) + "}" }
func (r *redisStore) noteKey(d Digest) string    { return r.prefix + "note:" + text(d[:]) }
func (r *redisStore) countKey(d Digest) string   { return r.prefix + "count:" + text(d[:]) }
func (r *redisStore) keysKey() string            { return r.prefix + "keys" }
func (r *redisStore) revokedKey() string         { return r.prefix + "revoked" }

func text(raw []byte) string { return string(appendText(raw)) }

// begin limits the time of an operation, and refuses one that must not begin.
func (r *redisStore) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	select {
	case <-r.hub.done():
		return nil, nil, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	return ctx, cancel, nil
}

// run runs a script, which is one step, and returns its reply. What it writes has reached the replicas
// asked for when it returns.
func (r *redisStore) run(ctx context.Context, op string, script *redis.Script, keys []string, args ...any) (any, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	reply, err := r.runScript(ctx, script, keys, args)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, redisError(op, err)
	}
	return reply, nil
}

func (r *redisStore) runScript(ctx context.Context, script *redis.Script, keys []string, args []any) (any, error) {
	if r.wait == 0 {
		return script.Run(ctx, r.client, keys, args...).Result()
	}
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return r.runAndWait(ctx, r.client, script, keys, args)
	}
	// WAIT is about the writes of its own connection, so both must go to the node itself, and nobody
	// follows a redirection for us.
	for attempt := 0; ; attempt++ {
		node, err := cluster.MasterForKey(ctx, keys[0])
		if err != nil {
			return nil, err
		}
		reply, err := r.runAndWait(ctx, node, script, keys, args)
		moved := redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")
		if !moved || attempt == 2 {
			return reply, err
		}
		cluster.ReloadState(ctx)
	}
}

var errFewReplicas = errors.New("written, but not by as many replicas as wanted")

// runAndWait runs a script and lets its connection wait for the replicas, in one round trip.
func (r *redisStore) runAndWait(ctx context.Context, node redis.Cmdable, script *redis.Script, keys []string, args []any) (any, error) {
	try := func(begin func(redis.Pipeliner) *redis.Cmd) (any, error) {
		pipe := node.Pipeline()
		reply, replicas := begin(pipe), pipe.Do(ctx, "WAIT", r.wait, (redisTimeout/4).Milliseconds())
		_, _ = pipe.Exec(ctx) // the commands have their errors
		if err := reply.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		have, err := replicas.Int()
		if err != nil {
			return nil, err
		}
		if have < r.wait {
			return nil, errFewReplicas
		}
		return reply.Val(), nil
	}
	reply, err := try(func(p redis.Pipeliner) *redis.Cmd { return script.EvalSha(ctx, p, keys, args...) })
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return try(func(p redis.Pipeliner) *redis.Cmd { return script.Eval(ctx, p, keys, args...) })
	}
	return reply, err
}

// failure is an error of Redis. Its text is made here, for Redis quotes at times what it was sent.
type failure struct {
	op    string
	cause error
}

func redisError(op string, cause error) error {
	if errors.Is(cause, redis.ErrClosed) {
		return ErrClosed
	}
	return &failure{op, cause}
}

func (f *failure) Error() string {
	cause := f.cause.Error()
	if _, ok := errors.AsType[redis.Error](f.cause); ok {
		cause, _, _ = strings.Cut(cause, ", with args")
		cause, _, _ = strings.Cut(cause, "\n")
	}
	return "session: redis: " + f.op + ": " + cause
}

func (f *failure) Unwrap() error { return f.cause }
