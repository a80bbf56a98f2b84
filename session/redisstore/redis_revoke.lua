-- KEYS: the stream of revocations. ARGV: now, slack, then of each revocation when it is over, and its
-- value. Drops what is over, at most a page, for each call adds less than that.
local now, slack = tonumber(ARGV[1]), tonumber(ARGV[2])
local gone = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)) do
	if tonumber(entry[2][2]) + slack <= now then
		gone[#gone + 1] = entry[1]
	end
end
if #gone > 0 then
	redis.call('XDEL', KEYS[1], unpack(gone))
end
for i = 3, #ARGV, 2 do
	redis.call('XADD', KEYS[1], '*', 'until', ARGV[i], 'revoked', ARGV[i + 1])
	live(KEYS[1], math.max(tonumber(ARGV[i]) - now, 0) + slack)
end
