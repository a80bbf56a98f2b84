-- KEYS: the signing keys. ARGV: the version that is replaced, the next, the value. Returns whether.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then
	return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'keys', ARGV[3])
return 1
