-- KEYS: the replay. ARGV: its value and its life.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
