-- Gives a partition a new incarnation, after which every record in it counts as cold; or, where nothing
-- was lost, takes it over as it is for the server that holds it now.
--
-- KEYS  1 meta, 2 incarnation alone
-- ARGV  1 incarnation that the caller found lacking ('0': there was none), 2 version to stay above
--       3 'lost' state, 'born' for the first time, or 'kept': nothing is missing
-- Returns {gen, ver} as they stand now; somebody else may have been first

local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local meta = redis.call('GET', KEYS[1])
local gen, ver, bytes, lost = '0', '0', '0', '0'
if meta then
    gen, ver, bytes, lost = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+)')
    if gen ~= ARGV[1] then return {gen, ver} end
end
if ARGV[3] == 'kept' and tonumber(ver) >= tonumber(ARGV[2]) then
    redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost .. ' ' .. server)
    return {gen, ver}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
ver = string.format('%.0f', math.max(tonumber(ARGV[2]) + 1, tonumber(ver) + 1, now))
if ARGV[3] ~= 'born' then lost = string.format('%.0f', now) end
redis.call('SET', KEYS[2], ver)
redis.call('SET', KEYS[1], ver .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost .. ' ' .. server)
return {ver, ver}
