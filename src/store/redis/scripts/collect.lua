-- Leases jobs that are due: nobody else gets them for a while.
--
-- KEYS  1 due times of the kind, 2 bodies of jobs
-- ARGV  1 lease in ms, 2 at most this many
-- Returns for each: its id, the number of this attempt, when it expires (µs), its content

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local attempts, expires, content = string.match(redis.call('HGET', KEYS[2], id) or '', '^(%d+) (%d+) (.*)$')
    if attempts then
        attempts = string.format('%d', attempts + 1)
        redis.call('ZADD', KEYS[1], now + ARGV[1], id)
        redis.call('HSET', KEYS[2], id, attempts .. ' ' .. expires .. ' ' .. content)
        taken[#taken + 1] = id
        taken[#taken + 1] = attempts
        taken[#taken + 1] = expires
        taken[#taken + 1] = content
    else
        redis.call('ZREM', KEYS[1], id)
    end
end
return taken
