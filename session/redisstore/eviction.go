// A Redis that evicts.

package redisstore

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

// checkEviction warns once about a Redis that drops records when it is full. One that does not
// report its settings passes: managed ones often don't.
func (r *store) checkEviction(ctx context.Context) {
	if policy := r.policy(ctx); policy != "" && policy != "noeviction" && !r.warned.Swap(true) {
		r.log.Warn("this Redis evicts: when it is full, users are logged out and revocations are dropped at random; "+
			"set maxmemory-policy noeviction", "maxmemory_policy", policy)
	}
}

// EvictionPolicy returns the maxmemory-policy of the Redis of a store that [New] returned, of
// several nodes a bad one if there is one, and "" if Redis does not report it.
func EvictionPolicy(ctx context.Context, s session.Store) string {
	if r, ok := s.(*store); ok {
		return r.policy(ctx)
	}
	return ""
}

func (r *store) policy(ctx context.Context) (worst string) {
	ctx, cancel, err := r.begin(ctx, "follow")
	if err != nil {
		return ""
	}
	defer cancel()
	var mu sync.Mutex // a cluster's nodes are asked at once
	check := func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if policy := evictionPolicy(info); policy != "" && (worst == "" || worst == "noeviction") {
			worst = policy
		}
		return nil
	}
	switch client := r.client.(type) {
	case *redis.ClusterClient:
		_ = client.ForEachMaster(ctx, check)
	case *redis.Client:
		_ = check(ctx, client)
	}
	return worst
}

func evictionPolicy(info string) string {
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(policy)
		}
	}
	return ""
}
