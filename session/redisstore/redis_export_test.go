package session

import "github.com/redis/go-redis/v9"

// AddRedisHook lets a test see, or refuse, what a store sends.
func AddRedisHook(s Store, h redis.Hook) { s.(*redisStore).client.AddHook(h) }
