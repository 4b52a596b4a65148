-- Take one request out of a client's allowance.
--
-- KEYS[1]  the client's key: when its allowance is whole again (Unix microseconds)
-- ARGV     requests per window, window (microseconds)
--
-- Returns 1 or 0 (allowed or not), the requests left, microseconds until the allowance is whole again, and microseconds
-- until one request is allowed again.
--
-- The allowance refills evenly (the generic cell rate algorithm): one number per client, no edge between windows at
-- which twice the quota would fit, and the key is gone once it would say nothing. The time is Redis', so that all
-- processes and machines agree on it.

local quota, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = window / quota
local whole_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- A clock that was set back must not lock a client out for longer than a window.
whole_at = math.min(whole_at, now + window)

local excess = whole_at + cost - (now + window)
-- Half a cost below one microsecond is rounding, not a request.
if excess > 0.5 then
    return {0, 0, math.ceil(whole_at - now), math.ceil(excess)}
end
whole_at = whole_at + cost
redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', math.ceil((whole_at - now) / 1000))
return {1, math.floor((now + window - whole_at) / cost + 0.5 / cost), math.ceil(whole_at - now), 0}
