-- Makes a claim last, unless the name belongs to somebody else by now.
--
-- KEYS  1 the entry
-- ARGV  1 id of the owner, 2 time to live in ms
-- Returns 1 when the entry is the owner's now

local entry = redis.call('GET', KEYS[1])
if entry and entry ~= ARGV[1] and entry ~= '?' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
