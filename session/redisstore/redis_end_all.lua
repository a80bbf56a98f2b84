-- Removes the sessions made at or before a time. KEYS: the user's list of sessions, the user's boundary.
-- ARGV: the time, how all session keys of the user begin, how long the boundary lives. Sessions of one
-- millisecond have fractions as their scores.
bound(KEYS[2], ARGV[1], ARGV[3])
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', tonumber(ARGV[1]) + 1))) do
	redis.call('DEL', ARGV[2] .. sid)
	redis.call('ZREM', KEYS[1], sid)
end
