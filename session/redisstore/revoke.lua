-- KEYS: the stream of revocations. ARGV: up to when revocations are over by the caller's clock, the margin, for how
-- long the caller has been at work, how long the stream lives, then of each revocation its time and its value. Drops
-- what is over by this clock and by Redis' own, so that no single clock drops what others need. Both may have been
-- ahead since they started, as on one machine: the caller must have been at work for as long as the tokens lived. At
-- most a page is dropped, for each call adds less than that.
local margin, time = tonumber(ARGV[2]), redis.call('TIME')
local over = math.min(tonumber(ARGV[1]), tonumber(time[1]) * 1000)
for i = 5, #ARGV, 2 do
	redis.call('XADD', KEYS[1], '*', 'until', ARGV[i], 'revoked', ARGV[i + 1])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
	redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)) do
	local ends, added = tonumber(entry[2][2]), tonumber(string.match(entry[1], '^%d+'))
	if ends + margin < over and ends - added < tonumber(ARGV[3]) then
		redis.call('XDEL', KEYS[1], entry[1])
	end
end
return 1
