-- KEYS: as in push_add.lua. ARGV: the place, its line, the name, the tries, now, when it is due again, '' if it is
-- done. Does nothing to a push that somebody else has taken since.
local record = redis.call('HGET', KEYS[3], ARGV[1])
record = record and cjson.decode(record)
if not record or record.id ~= ARGV[3] or record.tries ~= tonumber(ARGV[4]) then
	return 0
end
local due, place = ARGV[6], ARGV[1]
if due == '' then
	due = ARGV[5]
	redis.call('ZREM', KEYS[2], place)
	redis.call('HDEL', KEYS[3], place)
	redis.call('HDEL', KEYS[4], place)
	redis.call('HINCRBY', KEYS[3], 'bytes', -record.size)
	place = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[2] .. ':', '(' .. ARGV[2] .. ';', 'LIMIT', 0, 1)[1]
	local next = place and redis.call('HGET', KEYS[3], place)
	if not next then
		redis.call('ZREM', KEYS[1], ARGV[2])
		return 1
	end
	record = cjson.decode(next)
end
record.taken, record.due = false, due
redis.call('HSET', KEYS[3], place, cjson.encode(record))
redis.call('ZADD', KEYS[1], due, ARGV[2])
return 1
