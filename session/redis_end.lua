-- Removes sessions. KEYS: the user's list of sessions, then the sessions. ARGV: their names.
for i, sid in ipairs(ARGV) do
	redis.call('DEL', KEYS[i + 1])
	redis.call('ZREM', KEYS[1], sid)
end
