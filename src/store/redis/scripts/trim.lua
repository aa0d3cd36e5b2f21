-- Forgets changes that PostgreSQL has committed.
--
-- A change that PostgreSQL refused is forgotten by the log alone: its record stays pending, so that nobody
-- brings an older state back.
--
-- KEYS  1 meta, 2 log, 3 pend, 4… the records that were changed
-- ARGV  1 number of log entries, then for each: id, version, bytes it was counted with
--       then for each record: name, committed version, its incarnation,
--          '1' when it is a tombstone, '-' when PostgreSQL did not take it and it was undone,
--          'x' and the version in PostgreSQL when that stands there in its place
-- Returns how many entries were removed

local entries = tonumber(ARGV[1])
local removed, freed = 0, 0
local meta = redis.call('GET', KEYS[1])
for i = 2, entries * 3, 3 do
    -- After a fail-over another commit may have got the same id: its version tells them apart.
    local entry = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
    if entry and entry[2][4] == ARGV[i + 1] then
        redis.call('XDEL', KEYS[2], ARGV[i])
        removed = removed + 1
        freed = freed + ARGV[i + 2]
    end
end
local present = meta and string.match(meta, '^%d+') or ''
if removed > 0 and meta then
    local gen, ver, bytes, rest = string.match(meta, '^(%d+) (%d+) (%-?%d+) (.+)$')
    bytes = math.max(0, bytes - freed)
    redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. string.format('%.0f', bytes) .. ' ' .. rest)
end
for n = 4, #KEYS do
    local i = entries * 3 + 2 + (n - 4) * 4
    local name, ver, gen = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local buried, undone = ARGV[i + 3] == '1', ARGV[i + 3] == '-'
    local stands = tonumber(string.match(ARGV[i + 3], '^x(%d+)$'))
    local pending = redis.call('HGET', KEYS[3], name)
    if pending and tonumber(pending) <= tonumber(ver) then
        redis.call('HDEL', KEYS[3], name)
        pending = false
    end
    local value = redis.call('GET', KEYS[n])
    local found_gen, found
    if value then found_gen, found = string.match(value, '^(%d+) (%d+) ') end
    local is_older = not found or tonumber(found) < tonumber(ver)
    if stands then
        -- What is older than the row, the change itself, and what was built upon it here give way to the row.
        local is_built_upon = stands < tonumber(ver) and found_gen == gen and not is_older
        if not found or tonumber(found) < stands or is_built_upon then
            redis.call('SET', KEYS[n], '0 ' .. string.format('%.0f', stands) .. ' ', 'PX', 60000)
        end
    elseif not undone and is_older and (gen ~= present or not pending) then
        -- What stands here, or is about to, was brought back from a PostgreSQL that did not have this change yet:
        -- leave a mark that lets only a newer row in.
        redis.call('SET', KEYS[n], '0 ' .. ver .. ' ', 'PX', 60000)
    elseif buried and gen == present then
        -- A tombstone stays a minute longer, so that no reader brings the record back from an older answer.
        redis.call('PEXPIRE', KEYS[n], 60000)
    end
end
return removed
