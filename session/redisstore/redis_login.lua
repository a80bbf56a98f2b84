-- KEYS: the new session, its user, the user's list of sessions, the user's boundary. ARGV: now, idle, lifetime, the most
-- sessions a user may have, slack, a user's life, how all session keys of the user begin, the session's
-- name, when it was made, how many fields and values of the session follow; these; then the user's.
-- Returns the sessions that must be revoked: they are marked, so that they can't be used, and stay in
-- the list until that is done, so that the next login returns them again if this one's caller dies.
-- Returns nothing, and writes nothing, if the new session has ended already.
local now, idle, lifetime, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slack, base, sid, made, fields = tonumber(ARGV[5]), ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])

if is_bounded(KEYS[4], made) or redis.call('HEXISTS', KEYS[1], 'ended') == 1 then
	return false
end

learn(KEYS[2], 11 + fields, ARGV[6])
redis.call('HSET', KEYS[1], unpack(ARGV, 11, 10 + fields))
live(KEYS[1], math.min(idle, lifetime) + slack)

-- Those made in the same millisecond keep their order.
local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
if last[2] and math.floor(tonumber(last[2])) == made then
	made = tonumber(last[2]) + 1 / 1024
end
redis.call('ZADD', KEYS[3], 'NX', string.format('%.6f', made), sid)
live(KEYS[3], math.max(lifetime, tonumber(ARGV[6])))

local ended, others = {}, {}
for _, other in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
	local s = redis.call('HMGET', base .. other, 'created', 'last_use', 'ended')
	if s[3] then
		ended[#ended + 1] = other
	elseif is_over(s[1], s[2], now, idle, lifetime) then
		redis.call('DEL', base .. other)
		redis.call('ZREM', KEYS[3], other)
	else
		others[#others + 1] = other
	end
end
for i = 1, math.min(#others - most, #others) do
	redis.call('HSET', base .. others[i], 'ended', 'evicted')
	ended[#ended + 1] = others[i]
end
return ended
