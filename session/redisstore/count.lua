-- KEYS: the counter. ARGV: what is added, now, until, slack. Returns the value.
local c = redis.call('HMGET', KEYS[1], 'count', 'until')
local count, ends = 0, ARGV[3]
if c[1] and tonumber(ARGV[2]) < tonumber(c[2]) then
	count, ends = tonumber(c[1]), c[2]
end
count = math.max(count + tonumber(ARGV[1]), 0)
if count == 0 then
	redis.call('DEL', KEYS[1])
else
	redis.call('HSET', KEYS[1], 'count', string.format('%.0f', count), 'until', ends)
	redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ends) - tonumber(ARGV[2]), 0) + tonumber(ARGV[4]))
end
return count
