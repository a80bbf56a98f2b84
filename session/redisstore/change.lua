-- KEYS: the account. ARGV: the version that was read, the next, how long the account lives from now on, 0 for
-- ever, whether no longer than that, how many fields go; these; then fields and values. Returns whether the account
-- was changed, be it by an earlier sending of this very step.
local version = redis.call('HGET', KEYS[1], 'v') or ''
if version == ARGV[2] then
	return 1
elseif version ~= ARGV[1] then
	return 0
end
-- A Redis that is full refuses the first write of a script, so that this one is done as a whole or not at all.
redis.call('HSET', KEYS[1], 'v', ARGV[2])
local gone = tonumber(ARGV[5])
for i = 6 + gone, #ARGV, 2 do
	redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = 6, 5 + gone do
	redis.call('HDEL', KEYS[1], ARGV[i])
end
if ARGV[3] == '0' then
	redis.call('PERSIST', KEYS[1])
elseif ARGV[4] == '1' or redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
