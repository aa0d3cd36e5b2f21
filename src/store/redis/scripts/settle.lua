-- Ends the care for a parcel, or makes it due again later.
--
-- KEYS  1 outbox, 2 parcels
-- ARGV  1 its id, 2 number of the attempt that is settled, 3 when it is due again, in ms from now ('-': never)
-- Returns 1, or 0 when another attempt has begun meanwhile

local attempts = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+) ')
if attempts ~= ARGV[2] then return 0 end
if ARGV[3] == '-' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
else
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
end
return 1
