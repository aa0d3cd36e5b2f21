-- Gives a partition a new incarnation, after which every record in it counts as cold.
--
-- KEYS  1 meta
-- ARGV  1 incarnation that the caller found lacking ('0': there was none), 2 version to stay above,
--       3 '1' when state was lost, '0' at birth
-- Returns {gen, ver} as they stand now; somebody else may have been first

local meta = redis.call('GET', KEYS[1])
local bytes, lost = '0', '0'
if meta then
    local gen, ver
    gen, ver, bytes, lost = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+)$')
    if gen ~= ARGV[1] then return {gen, ver} end
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ver = string.format('%.0f', math.max(tonumber(ARGV[2]) + 1, now))
if ARGV[3] == '1' then lost = string.format('%.0f', now) end
redis.call('SET', KEYS[1], ver .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost)
return {ver, ver}
