-- Removes the sessions made at or before a time. KEYS: the user's list of sessions. ARGV: the time, how
-- all session keys of the user begin. Those of one millisecond have fractions as their scores.
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', tonumber(ARGV[1]) + 1))) do
	redis.call('DEL', ARGV[2] .. sid)
	redis.call('ZREM', KEYS[1], sid)
end
