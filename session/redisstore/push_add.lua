-- KEYS: the lines by when they are due, all places, the records, the bodies, the known names. ARGV: the line, the
-- name, the label, since, until, now, the end of the lease, the size, the body, the most pushes, bytes and pushes in a
-- line, and the life of all. A place is the line and a number. Returns what became of the push,
-- and its number.
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ARGV[6])
if redis.call('ZSCORE', KEYS[5], ARGV[2]) then
	return {0, 0}
end
local bytes = tonumber(redis.call('HGET', KEYS[3], 'bytes') or '0')
local before = redis.call('ZLEXCOUNT', KEYS[2], '[' .. ARGV[1] .. ':', '(' .. ARGV[1] .. ';')
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[10]) or bytes + tonumber(ARGV[8]) > tonumber(ARGV[11])
	or before >= tonumber(ARGV[12]) then
	return {1, 0}
end
local number = redis.call('HINCRBY', KEYS[3], 'last', 1)
local place = ARGV[1] .. ':' .. string.format('%016d', number)
local record = {
	id = ARGV[2], label = ARGV[3], since = ARGV[4], ['until'] = ARGV[5], size = tonumber(ARGV[8]), tries = 0, due = ARGV[6],
	taken = false,
}
if before == 0 then
	record.tries, record.due, record.taken = 1, ARGV[7], true
	redis.call('ZADD', KEYS[1], ARGV[7], ARGV[1])
end
redis.call('ZADD', KEYS[2], 0, place)
redis.call('HSET', KEYS[3], place, cjson.encode(record), 'bytes', bytes + tonumber(ARGV[8]))
redis.call('HSET', KEYS[4], place, ARGV[9])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[2])
for i = 1, 5 do
	redis.call('PEXPIRE', KEYS[i], ARGV[13])
end
return {before == 0 and 3 or 2, number}
