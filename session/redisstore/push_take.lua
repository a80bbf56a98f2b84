-- KEYS: as in push_add.lua. ARGV: now, the end of the lease, up to when a push can be put off. Returns the place,
-- the record and the body of the push that is due the longest, nothing if none is.
while true do
	local line = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1)[1]
		or redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[3], '+inf', 'LIMIT', 0, 1)[1]
	if not line then
		return {}
	end
	local place = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. line .. ':', '(' .. line .. ';', 'LIMIT', 0, 1)[1]
	local record = place and redis.call('HGET', KEYS[3], place)
	if record then
		record = cjson.decode(record)
		record.tries, record.taken, record.due = record.tries + 1, true, ARGV[2]
		record = cjson.encode(record)
		redis.call('HSET', KEYS[3], place, record)
		redis.call('ZADD', KEYS[1], ARGV[2], line)
		return {place, record, redis.call('HGET', KEYS[4], place) or ''}
	end
	redis.call('ZREM', KEYS[1], line)
	if place then
		redis.call('ZREM', KEYS[2], place)
	end
end
