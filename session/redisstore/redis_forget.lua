-- Removes all there is of a user. KEYS: the user, the user's list of sessions, the user's boundary. ARGV:
-- the time up to which sessions are revoked already, how all session keys of the user begin, how long the
-- boundary lives. Returns the user, and the sessions made later, which must be revoked: as after a login,
-- they are marked and stay in the list until then, but nothing in them tells of the user.
bound(KEYS[3], ARGV[1], ARGV[3])
local user = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
local from = string.format('%.0f', tonumber(ARGV[1]) + 1)
local later = redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf')
for _, sid in ipairs(later) do
	if redis.call('EXISTS', ARGV[2] .. sid) == 1 then
		redis.call('HDEL', ARGV[2] .. sid, 'origin', 'claims')
		redis.call('HSET', ARGV[2] .. sid, 'ended', 'forgotten')
	end
end
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. from)) do
	redis.call('DEL', ARGV[2] .. sid)
	redis.call('ZREM', KEYS[2], sid)
end
return {user, later}
