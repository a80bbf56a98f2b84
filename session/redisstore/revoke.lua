-- KEYS: the stream of revocations. ARGV: up to when revocations are over by the caller's clock, the margin,
-- then of each revocation its time and its value. Drops what is over by this clock and by Redis' own, so that
-- no single clock drops what others need; at most a page, for each call adds less than that.
local margin, time = tonumber(ARGV[2]), redis.call('TIME')
local over = math.min(tonumber(ARGV[1]), tonumber(time[1]) * 1000)
for i = 3, #ARGV, 2 do
	redis.call('XADD', KEYS[1], '*', 'until', ARGV[i], 'revoked', ARGV[i + 1])
	local life = math.max(tonumber(ARGV[i]) - over, 0) + margin
	if redis.call('PTTL', KEYS[1]) < life then
		redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life))
	end
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)) do
	if tonumber(entry[2][2]) + margin < over then
		redis.call('XDEL', KEYS[1], entry[1])
	end
end
return 1
