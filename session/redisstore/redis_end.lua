-- Removes sessions. KEYS: the user's list of sessions, then the sessions. ARGV: how long their ends are
-- remembered, then their names. What is left of each tells a login that comes too late.
for i = 2, #ARGV do
	if redis.call('HGET', KEYS[i], 'ended') ~= 'revoked' then
		redis.call('DEL', KEYS[i])
		redis.call('HSET', KEYS[i], 'ended', 'revoked')
	end
	live(KEYS[i], tonumber(ARGV[1]))
	redis.call('ZREM', KEYS[1], ARGV[i])
end
