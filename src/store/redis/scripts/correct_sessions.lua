-- Corrects which sessions are noted of an account.
--
-- KEYS  1 sorted set of the account's sessions, by their end in ms
-- ARGV  1 now in ms, 2 number of sessions to forget, then those, then for each session to note: its end in ms, itself
-- Returns nothing

local forgotten = tonumber(ARGV[2])
for n = 3, 2 + forgotten do redis.call('ZREM', KEYS[1], ARGV[n]) end
for n = 3 + forgotten, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[n], ARGV[n + 1]) end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, tonumber(last) - tonumber(ARGV[1]))))
end
