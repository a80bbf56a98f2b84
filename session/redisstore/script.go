// Scripts, each of which is one step, and how they are run. Each returns something: go-redis
// reports a missing reply in the same way as sentinels that know no master.

package redisstore

import (
	"context"
	_ "embed" // for the scripts

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed change.lua
	changeLua string
	//go:embed refresh.lua
	refreshLua string
	//go:embed count.lua
	countLua string
	//go:embed replay.lua
	replayLua string
	//go:embed keys.lua
	keysLua string
	//go:embed revoke.lua
	revokeLua string
	//go:embed find.lua
	findLua string
	//go:embed push_add.lua
	pushAddLua string
	//go:embed push_take.lua
	pushTakeLua string
	//go:embed push_end.lua
	pushEndLua string
	//go:embed push_hurry.lua
	pushHurryLua string
)

var (
	changeScript  = redis.NewScript(changeLua)
	refreshScript = redis.NewScript(refreshLua)
	countScript   = redis.NewScript(countLua)
	replayScript  = redis.NewScript(replayLua)
	keysScript    = redis.NewScript(keysLua)
	revokeScript  = redis.NewScript(revokeLua)
	findScript    = redis.NewScript(findLua)

	pushAddScript   = redis.NewScript(pushAddLua)
	pushTakeScript  = redis.NewScript(pushTakeLua)
	pushEndScript   = redis.NewScript(pushEndLua)
	pushHurryScript = redis.NewScript(pushHurryLua)
)

// run runs a script and returns its reply. What it writes has reached the replicas asked for when
// it returns.
func (r *store) run(ctx context.Context, op string, script *redis.Script, keys []string, args ...any) (any, error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	reply, err := r.runScript(ctx, script, keys, args)
	return reply, r.failure(ctx, op, err)
}

func (r *store) runScript(ctx context.Context, script *redis.Script, keys []string, args []any) (any, error) {
	if r.replicas == 0 {
		return script.Run(ctx, r.client, keys, args...).Result()
	}
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return r.runAndWait(ctx, r.client, script, keys, args)
	}
	// WAIT is for the writes of its own connection, so both must go to the node itself, and nobody
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

// runAndWait runs a script and lets its connection wait for the replicas, in one round trip.
func (r *store) runAndWait(ctx context.Context, node redis.Cmdable, script *redis.Script, keys []string, args []any) (any, error) {
	try := func(begin func(redis.Pipeliner) *redis.Cmd) (any, error) {
		pipe := node.Pipeline()
		reply, replicas := begin(pipe), pipe.Do(ctx, "WAIT", r.replicas, (timeout/4).Milliseconds())
		_, _ = pipe.Exec(ctx) // the commands have their errors
		if err := reply.Err(); err != nil {
			return nil, err
		}
		have, err := replicas.Int()
		if err != nil {
			return nil, err
		}
		if have < r.replicas {
			return nil, &Error{Cause: FewReplicas}
		}
		return reply.Val(), nil
	}
	reply, err := try(func(p redis.Pipeliner) *redis.Cmd { return script.EvalSha(ctx, p, keys, args...) })
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return try(func(p redis.Pipeliner) *redis.Cmd { return script.Eval(ctx, p, keys, args...) })
	}
	return reply, err
}
