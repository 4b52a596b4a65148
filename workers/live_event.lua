-- Publish the newest event of one exchange's feed.
--
-- KEYS[1]  the hash exchange -> newest event JSON, which is also the channel
-- ARGV     exchange, at (Unix ms), event JSON
--
-- Returns 1: stored and published; 0: not newer than what is held.

local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
    local held_at = tonumber(string.match(held, '"at":(%d+)'))
    if held == ARGV[3] or (held_at and held_at > tonumber(ARGV[2])) then
        return 0
    end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 1
