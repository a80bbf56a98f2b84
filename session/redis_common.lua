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

-- Adds fields to a user: ARGV[from], ARGV[from+1] and so on are names and values. What is known as
-- first stays, the rest replaces.
local function learn(key, from, span)
	for i = from, #ARGV, 2 do
		if ARGV[i] == 'first_seen' then
			redis.call('HSETNX', key, ARGV[i], ARGV[i + 1])
		else
			redis.call('HSET', key, ARGV[i], ARGV[i + 1])
		end
	end
	live(key, tonumber(span))
end
