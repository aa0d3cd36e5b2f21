-- Ends the lease of a job: it leaves its queue, or is due again later.
--
-- KEYS  1 due times of the kind, 2 bodies of jobs
-- ARGV  1 its id, 2 number of the attempt that ends, 3 when it is due again, in ms from now ('-': never)
--       4 '0' when the attempt does not count
-- Returns 1, or 0 when another attempt has begun meanwhile

local attempts, rest = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+)( .*)$')
if attempts ~= ARGV[2] then return 0 end
if ARGV[3] == '-' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
else
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
    if ARGV[4] == '0' then
        redis.call('HSET', KEYS[2], ARGV[1], string.format('%d', attempts - 1) .. rest)
    end
end
return 1
