-- KEYS: as in push_add.lua. ARGV: the line, now. Returns whether the first of the line is due now.
local place = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[1] .. ':', '(' .. ARGV[1] .. ';', 'LIMIT', 0, 1)[1]
local record = place and redis.call('HGET', KEYS[3], place)
record = record and cjson.decode(record)
if not record or record.taken and tonumber(record.due) > tonumber(ARGV[2]) then
	return 0
end
record.taken, record.due = false, ARGV[2]
redis.call('HSET', KEYS[3], place, cjson.encode(record))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
