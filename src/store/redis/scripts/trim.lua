-- Forgets changes that PostgreSQL has committed.
--
-- KEYS  1 meta, 2 log, 3 pend, 4… records whose newest committed image is a deletion
-- ARGV  1 number of log entries, then for each: id, bytes it was counted with
--       then for each record in pend: name, committed version
-- Returns how many entries were removed

local entries = tonumber(ARGV[1])
local removed, freed = 0, 0
for i = 2, entries * 2, 2 do
    if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 then
        removed = removed + 1
        freed = freed + ARGV[i + 1]
    end
end
if removed > 0 then
    local meta = redis.call('GET', KEYS[1])
    if meta then
        local gen, ver, bytes, lost = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+)$')
        bytes = math.max(0, bytes - freed)
        redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. string.format('%.0f', bytes) .. ' ' .. lost)
    end
end
for i = entries * 2 + 2, #ARGV, 2 do
    local pending = redis.call('HGET', KEYS[3], ARGV[i])
    if pending and tonumber(pending) <= tonumber(ARGV[i + 1]) then redis.call('HDEL', KEYS[3], ARGV[i]) end
end
-- A tombstone stays a minute longer, so that no reader brings the record back from an older answer.
for n = 4, #KEYS do redis.call('PEXPIRE', KEYS[n], 60000) end
return removed
