-- Commits a transaction: all of it or nothing.
--
-- KEYS  1 meta, 2 log, 3 pend, 4… the records that were read or are written,
--       then, where there are jobs, bodies of jobs and due times of each kind
-- ARGV  1 incarnation that the reader saw
--       2 how long after a loss mutations wait, in µs, highest version seen by the caller, number of records, server
--         that was read
--       3… for each record: expected version ('-' absent; '~' absent or of another incarnation, which for
--          a fleeting record is the same), action ('=' check, 'w' write, 'x' remove),
--          time to live in ms ('0' for ever, '-' leave; of a check: renewed when a thirtieth is over),
--          image ('' for a removal; of a check: name in pend, '' where it lives in Redis alone)
--       then for each logged change: name, flag ('r' record, 'd' deleted record, 't' trace), image,
--          or '#n' for the image of record n
--       and for each job that enters its queue, unless it is there: its id, 'p', 'k t body' with the number of
--          its kind's due times, the time until it is due (ms), and `attempts expires content`
-- Returns {'ok', ver, log id, n…} with the records that were only checked and are not in PostgreSQL yet
--         | {'conflict', n} | {'stale', gen} | {'moved', gen} | {'held'}

local meta = redis.call('GET', KEYS[1])
if not meta then return {'stale', '0'} end
local gen, ver, bytes, lost, run = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+) (%x+)$')
if gen ~= ARGV[1] then return {'stale', gen} end
-- A server that is not the one that wrote last may have lost what that one acknowledged, and one that the caller has
-- not confirmed may lack what the caller knows.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local hold, high, records, read = string.match(ARGV[2], '^(%d+) (%d+) (%d+) (%x+)$')
if run ~= server or string.sub(run, 1, 32) ~= read then return {'moved', gen} end
if tonumber(ver) < tonumber(high) then return {'moved', gen} end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now < tonumber(lost) + tonumber(hold) then return {'held'} end

records = tonumber(records)
local pending, writes = {}, false
for n = 1, records do
    local value, expected = redis.call('GET', KEYS[n + 3]), ARGV[n * 4 - 1]
    local found = '-'
    if value then
        local record_gen, record_ver = string.match(value, '^(%d+) (%d+) ')
        if record_gen == gen then
            found = record_ver
        elseif expected ~= '~' then
            return {'conflict', n}
        end
    end
    if found ~= expected and not (found == '-' and expected == '~') then return {'conflict', n} end
    local action, name = ARGV[n * 4], ARGV[n * 4 + 2]
    writes = writes or action ~= '='
    if action == '=' and name ~= '' and found ~= '-' and redis.call('HEXISTS', KEYS[3], name) == 1 then
        pending[#pending + 1] = tostring(n)
    end
end
-- Where nothing is written the checks were all that was asked for.
if not writes and #ARGV < records * 4 + 3 then return {'ok', ver, '', unpack(pending)} end

local next_ver = string.format('%.0f', math.max(tonumber(ver) + 1, now))
local first_change = records * 4 + 3
local changes, added = {'g', gen, 'v', next_ver}, 0
for i = first_change, #ARGV, 3 do
    local flag, image = ARGV[i + 1], ARGV[i + 2]
    if flag ~= 'p' then
        if string.sub(image, 1, 1) == '#' then image = ARGV[tonumber(string.sub(image, 2)) * 4 + 2] end
        changes[#changes + 1] = ARGV[i]
        changes[#changes + 1] = flag .. image
        added = added + #ARGV[i] + #image + 64
    end
end

-- Redis refuses a script only at its first write, so nothing below is ever half done.
redis.call('SET', KEYS[1], gen .. ' ' .. next_ver .. ' ' .. string.format('%.0f', bytes + added) .. ' ' .. lost .. ' ' .. run)
local id = ''
if added > 0 then id = redis.call('XADD', KEYS[2], '*', unpack(changes)) end
for n = 1, records do
    local ttl = ARGV[n * 4 + 1]
    if ARGV[n * 4] == 'w' then
        local value = gen .. ' ' .. next_ver .. ' ' .. ARGV[n * 4 + 2]
        if ttl == '0' then
            redis.call('SET', KEYS[n + 3], value)
        else
            redis.call('SET', KEYS[n + 3], value, 'PX', ttl)
        end
    elseif ARGV[n * 4] == 'x' then
        redis.call('DEL', KEYS[n + 3])
    elseif ttl ~= '-' and redis.call('PTTL', KEYS[n + 3]) < ttl / 30 * 29 then
        -- Not with every commit: each renewal is one more command for the append-only file and replicas.
        redis.call('PEXPIRE', KEYS[n + 3], ttl)
    end
end
for i = first_change, #ARGV, 3 do
    local flag = ARGV[i + 1]
    if flag == 'p' then
        local kind, due_in, body = string.match(ARGV[i + 2], '^(%d+) (%d+) (.*)$')
        local due = math.floor(now / 1000) + due_in
        if redis.call('ZADD', KEYS[records + 4 + kind], 'NX', due, ARGV[i]) == 1 then
            redis.call('HSET', KEYS[records + 4], ARGV[i], body)
        end
    elseif flag ~= 't' then
        redis.call('HSET', KEYS[3], ARGV[i], next_ver)
    end
end
return {'ok', next_ver, id, unpack(pending)}
