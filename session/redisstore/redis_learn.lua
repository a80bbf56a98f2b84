-- KEYS: the user, and the session that learned it, if one did. ARGV: a user's life, the session's new
-- claims, the mark of a session_key to be forgotten, each empty if there is none, then names and values.
-- Returns the user and the session's claims, or nothing if the session has ended.
if KEYS[2] then
	local s = redis.call('HMGET', KEYS[2], 'family', 'ended')
	if not s[1] or s[2] then
		return false
	end
	if ARGV[2] ~= '' then
		redis.call('HSET', KEYS[2], 'claims', ARGV[2])
	end
end
learn(KEYS[1], 4, ARGV[1])

-- User.DropKey.
if ARGV[3] ~= '' then
	for _, name in ipairs({'key', 'previous_key'}) do
		if same_key(redis.call('HGET', KEYS[1], name), ARGV[3]) then
			redis.call('HDEL', KEYS[1], name)
		end
	end
	if redis.call('HEXISTS', KEYS[1], 'key') + redis.call('HEXISTS', KEYS[1], 'previous_key') == 0 then
		redis.call('HDEL', KEYS[1], 'key_since')
	end
end
return {redis.call('HGETALL', KEYS[1]), KEYS[2] and redis.call('HGET', KEYS[2], 'claims') or false}
