-- The beginning of every script. Times and spans are in milliseconds and come from the caller.

-- Whether a session's time is over. Missing fields are of a session that is gone.
local function is_over(created, last_use, now, idle, lifetime)
	if not created or not last_use then
		return true
	end
	return now >= math.min(tonumber(last_use) + idle, tonumber(created) + lifetime)
end

-- Lets a key live so long at least.
local function live(key, span)
	if redis.call('PTTL', key) < span then
		redis.call('PEXPIRE', key, math.ceil(span))
	end
end

-- Remembers, for so long at least, that the sessions made at or before a time have ended. A
-- boundary never goes back.
local function bound(key, before, span)
	local last = redis.call('GET', key)
	if not last or tonumber(last) < tonumber(before) then
		redis.call('SET', key, before, 'KEEPTTL')
	end
	live(key, tonumber(span))
end

-- Whether a session that was made then has ended with all others.
local function is_bounded(key, made)
	local before = redis.call('GET', key)
	return before and tonumber(made) <= tonumber(before)
end

-- Whether two session_keys are the same: they begin with a mark that tells, and the rest is sealed.
local function same_key(a, b)
	return a and b and string.sub(a, 1, 16) == string.sub(b, 1, 16)
end

-- User.Learn: ARGV[from], ARGV[from+1] and so on are names and values. What is known as first stays, the
-- rest replaces, and another session_key puts the last aside.
local function learn(key, from, span)
	local fields = {}
	for i = from, #ARGV, 2 do
		fields[ARGV[i]] = ARGV[i + 1]
	end
	if fields.key then
		local last = redis.call('HGET', key, 'key')
		if same_key(last, fields.key) then
			fields.key, fields.key_since = nil, nil
		elseif last then
			fields.previous_key = last
		else
			redis.call('HDEL', key, 'previous_key')
		end
	end
	for name, value in pairs(fields) do
		if name == 'first_seen' then
			redis.call('HSETNX', key, name, value)
		else
			redis.call('HSET', key, name, value)
		end
	end
	live(key, tonumber(span))
end
