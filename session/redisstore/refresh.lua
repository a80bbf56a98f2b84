-- Account.Refresh of package session. KEYS: the account. ARGV: the session's field, family, token, next, salt,
-- now, idle, lifetime, grace, tokens until, the claims or '' for none, whether to replace them, the next
-- version, how long the account lives. Returns the outcome, then the session and the user. Times and spans
-- are in milliseconds.
local UNKNOWN, ROTATED, REPEATED, REUSED = 0, 1, 2, 3
local LIVE, IS_REUSED, IS_EVICTED = 0, string.byte('r'), string.byte('e')
local ORIGIN, FIXED = 61, '>Bi8i8c32i8c32c16' -- record.go says what it holds

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or string.sub(stored, 14, 45) ~= ARGV[2] then
	return {UNKNOWN}
end
local created = struct.unpack('>i8', stored, 6)
local ended, last_use, tokens_until, current, spent, previous, salt, claims_at = struct.unpack(FIXED, stored, ORIGIN + 1)
local claims = string.sub(stored, claims_at)
local token, next, next_salt, now = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local idle, lifetime, grace = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local function user()
	return redis.call('HGET', KEYS[1], 'u') or ''
end

-- Session.Redeem.
local outcome
if ended == IS_REUSED then
	return {REUSED, stored, user()}
elseif ended == IS_EVICTED then -- who evicted it may have died before the revocation was written
	return {UNKNOWN, stored, user()}
elseif ended ~= LIVE or now >= math.min(last_use + idle, created + lifetime) then
	return {UNKNOWN}
elseif token == current then
	outcome = ROTATED
	previous, current, salt, spent, last_use = current, next, next_salt, now, math.max(last_use, now)
elseif token == previous and next == current and salt == next_salt then
	outcome = ROTATED -- by an earlier sending of this very step, whose answer was lost
elseif token == previous and now < spent + grace then
	outcome = REPEATED
else
	outcome, ended = REUSED, IS_REUSED
end

if outcome ~= REUSED then
	tokens_until = math.max(tokens_until, tonumber(ARGV[10]))
	if ARGV[12] == '1' then
		claims = ARGV[11]
	end
end
-- After a repeated use it may be the same as before. It is written all the same: the first use may not have
-- reached the replicas, and a write is what one can wait for.
stored = string.sub(stored, 1, ORIGIN) ..
	struct.pack(FIXED, ended, last_use, tokens_until, current, spent, previous, salt) .. claims
redis.call('HSET', KEYS[1], ARGV[1], stored, 'v', ARGV[13])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[14]) then
	redis.call('PEXPIRE', KEYS[1], ARGV[14])
end
return {outcome, stored, user()}
