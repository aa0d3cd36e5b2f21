-- Notes a login: its session among those of the account, its client among those that the account knows.
--
-- KEYS  1 sorted set of the account's sessions, by their end in ms; 2 hash of its clients to their last login in ms
-- ARGV  1 now in ms, 2 session, 3 its end in ms, 4 client, 5 most sessions, 6 most clients, 7 life of a client in ms
-- Returns the sessions that are noted, when they are more than the most or none was noted before; else nothing

local now = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local before = redis.call('ZCARD', KEYS[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, tonumber(last) - now)))

redis.call('HSET', KEYS[2], ARGV[4], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
local clients = redis.call('HGETALL', KEYS[2])
local oldest, oldest_at = nil, nil
for n = 1, #clients, 2 do
    local at = tonumber(clients[n + 1])
    if not oldest_at or at < oldest_at then oldest, oldest_at = clients[n], at end
end
if #clients / 2 > tonumber(ARGV[6]) then redis.call('HDEL', KEYS[2], oldest) end

if before > 0 and before < tonumber(ARGV[5]) then return {} end
return redis.call('ZRANGE', KEYS[1], 0, -1)
