-- Forgets changes that PostgreSQL has committed.
--
-- A change that PostgreSQL refused is forgotten by the log alone: its record stays pending, so that nobody
-- brings an older state back.
--
-- KEYS  1 meta, 2 log, 3 pend, 4… the records that were changed
-- ARGV  1 number of log entries, then for each: id, bytes it was counted with
--       then for each record: name, committed version, its incarnation, '1' when it is a tombstone
-- Returns how many entries were removed

local entries = tonumber(ARGV[1])
local removed, freed = 0, 0
local meta = redis.call('GET', KEYS[1])
for i = 2, entries * 2, 2 do
    if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 then
        removed = removed + 1
        freed = freed + ARGV[i + 1]
    end
end
local present = meta and string.match(meta, '^%d+') or ''
if removed > 0 and meta then
    local gen, ver, bytes, rest = string.match(meta, '^(%d+) (%d+) (%-?%d+) (.+)$')
    bytes = math.max(0, bytes - freed)
    redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. string.format('%.0f', bytes) .. ' ' .. rest)
end
for n = 4, #KEYS do
    local i = entries * 2 + 2 + (n - 4) * 4
    local name, ver, gen, buried = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3] == '1'
    local pending = redis.call('HGET', KEYS[3], name)
    if pending and tonumber(pending) <= tonumber(ver) then redis.call('HDEL', KEYS[3], name) end
    if gen ~= present then
        -- Redis lost its state while this was on its way. What stands here may have been brought back
        -- from a PostgreSQL that did not have it yet: leave a mark that lets only a newer row in.
        local value = redis.call('GET', KEYS[n])
        local found = value and string.match(value, '^%d+ (%d+) ')
        if not found or tonumber(found) < tonumber(ver) then
            redis.call('SET', KEYS[n], '0 ' .. ver .. ' ', 'PX', 60000)
        end
    elseif buried then
        -- A tombstone stays a minute longer, so that no reader brings the record back from an older answer.
        redis.call('PEXPIRE', KEYS[n], 60000)
    end
end
return removed
