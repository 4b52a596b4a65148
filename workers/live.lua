-- Publish one candle to the live side.
--
-- KEYS[1]  the series' hash: open time (ms) -> candle JSON with its "seq" in front; fields seq, floor, epoch
-- ARGV     open time (ms), rev, when that rev was made (Unix ms), candle JSON, window, channel, quiet age (ms)
--
-- Returns 0: not newer than what is held; 1: stored and published; 2: stored only, being too old to be news;
-- 3: ignored, being older than the window.
--
-- Text is spliced and rev comes as an argument: cjson would cut prices to 14 digits. A rev is below 2^53, which Lua's
-- numbers hold exactly. One key per call, so that it also runs on a cluster.

local hash = KEYS[1]
local open_time, rev, made_ms, candle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local window, channel, quiet_ms = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])

local held = redis.call('HGET', hash, open_time)
if held then
    local held_rev = tonumber(string.match(held, '"rev":(%d+)'))
    if held_rev and held_rev >= rev then
        return 0
    end
end

-- The open times held, and the oldest of them. Only a new open time, one per interval, needs them.
local function open_times()
    local times, oldest = 0, nil
    for _, field in ipairs(redis.call('HKEYS', hash)) do
        local time = tonumber(field)
        if time then
            times = times + 1
            if not oldest or time < oldest then oldest = time end
        end
    end
    return times, oldest
end

if not held then
    local times, oldest = open_times()
    if times >= window and tonumber(open_time) < oldest then
        return 3
    end
end

-- Numbers that are given out again would mean something else, hence another epoch for a server that was restarted,
-- restored or failed over to, which may hold an older copy (its run_id tells), and for a hash that was emptied (the
-- time of its first candle tells).
local now = redis.call('TIME')
local run = string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 1, 16)
local epoch = redis.call('HGET', hash, 'epoch')
if not epoch or string.sub(epoch, 1, 17) ~= run .. '-' then
    epoch = run .. '-' .. now[1] .. string.format('%06d', now[2])
end
local seq = redis.call('HINCRBY', hash, 'seq', 1)
redis.call('HSET', hash, open_time, '{"seq":' .. seq .. ',' .. string.sub(candle, 2), 'epoch', epoch)

if not held then
    local times, oldest = open_times()
    while times > window do
        local field = string.format('%.0f', oldest)
        local trimmed = tonumber(string.match(redis.call('HGET', hash, field) or '', '^{"seq":(%d+),')) or 0
        local floor = tonumber(redis.call('HGET', hash, 'floor') or '0')
        if trimmed > floor then
            redis.call('HSET', hash, 'floor', string.format('%.0f', trimmed))
        end
        redis.call('HDEL', hash, field)
        times, oldest = open_times()
    end
end

if tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 - made_ms > quiet_ms then
    return 2
end
redis.call('PUBLISH', channel, '{"cursor":"' .. epoch .. ':' .. seq .. '","candle":' .. candle .. '}')
return 1
