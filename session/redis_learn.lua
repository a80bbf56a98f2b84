-- KEYS: the user. ARGV: a user's life, then names and values. Returns the user.
learn(KEYS[1], 2, ARGV[1])
return redis.call('HGETALL', KEYS[1])
