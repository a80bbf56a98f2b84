-- KEYS: a bucket of the index. ARGV: what to do: 'add' an entry, 'remove' it, or 'tidy', which removes
-- it if it has the value given; the value; how long the bucket lives at least; then the entries.
-- Returns something.
for i = 4, #ARGV do
	if ARGV[1] == 'add' then
		redis.call('HSET', KEYS[1], ARGV[i], ARGV[2])
	elseif ARGV[1] == 'remove' or redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[2] then
		redis.call('HDEL', KEYS[1], ARGV[i])
	end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
