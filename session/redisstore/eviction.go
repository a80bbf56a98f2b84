// A Redis that evicts.

package redisstore

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// checkEviction warns once about a Redis that drops records when it is full. One that does not
// report its settings passes: managed ones often don't.
func (r *store) checkEviction(ctx context.Context) {
	ctx, cancel, err := r.begin(ctx, "follow")
	if err != nil {
		return
	}
	defer cancel()
	check := func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		if policy := evictionPolicy(info); policy != "" && policy != "noeviction" && !r.warned.Swap(true) {
			r.log.Warn("this Redis evicts: when it is full, users are logged out and revocations are dropped at random; "+
				"set maxmemory-policy noeviction", "maxmemory_policy", policy)
		}
		return nil
	}
	switch client := r.client.(type) {
	case *redis.ClusterClient:
		_ = client.ForEachMaster(ctx, check)
	case *redis.Client:
		_ = check(ctx, client)
	}
}

func evictionPolicy(info string) string {
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(policy)
		}
	}
	return ""
}
