-- Session.Spend. KEYS: the session, its user, the user's boundary. ARGV: family, token, next, salt, now,
-- idle, lifetime, grace, slack, when it was made. Returns the verdict, whether the session must be revoked, and both records.
local s = redis.call('HMGET', KEYS[1], 'family', 'current', 'previous', 'spent', 'created', 'last_use', 'ended')
local now, idle, lifetime, grace = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if s[1] ~= ARGV[1] then
	return {'unknown', 0}
end
-- It has ended, and whoever ended it did not live to revoke it.
if s[7] == 'reused' then
	return {'reused', 1}
elseif s[7] then
	return {'unknown', 1}
end
-- One behind the boundary was stored by a version that did not look there.
if is_over(s[5], s[6], now, idle, lifetime) or is_bounded(KEYS[3], ARGV[10]) then
	return {'unknown', 0}
end

local verdict
if ARGV[2] == s[2] then
	verdict = 'rotated'
	redis.call('HSET', KEYS[1], 'previous', s[2], 'current', ARGV[3], 'salt', ARGV[4], 'spent', ARGV[5], 'last_use', ARGV[5])
	redis.call('PEXPIRE', KEYS[1], math.ceil(math.min(idle, tonumber(s[5]) + lifetime - now) + tonumber(ARGV[9])))
elseif ARGV[2] == s[3] and now < tonumber(s[4]) + grace then
	verdict = 'repeated'
	-- It may be asked again because the replicas did not have the first use in time. A write is what
	-- one can wait for.
	redis.call('HSET', KEYS[1], 'previous', s[3])
else
	redis.call('HSET', KEYS[1], 'ended', 'reused')
	return {'reused', 1}
end
return {verdict, 0, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
