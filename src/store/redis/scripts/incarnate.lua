-- Confirms whether this server is as far as the partition has come. Every instance says what it has seen. Where
-- nothing is missing the server is noted as the one that writes from now on; where state was lost, the partition gets
-- a new incarnation, after which every record in it counts as cold.
--
-- A server that was paused, or cut off, may go on writing after another one has taken over. An instance that wrote
-- there holds what the other lacks, whichever version is higher. So the servers that wrote are remembered, each with
-- the version with which it began, and whoever saw more of one than the next began with tells of a loss.
--
-- KEYS  1 meta, 2 incarnation alone, 3 instances, 4 writers
-- ARGV  1 name of the instance, 2 highest version that it has seen
--       3 version that PostgreSQL has reached ('?' when it was not asked yet, '-' when it is away)
--       4 how long others may take to say what they have seen, in µs
--       5 '1' when PostgreSQL has what this instance held and what the log here holds
--       6 server that the instance believed last (its first 32 digits; '' none), 7 highest version that it saw there
-- Returns {'confirmed' | 'born' | 'empty' | 'rewound', gen, ver, server} as they stand now (the last two: state was
--         lost) | {'wait'} for other instances | {'ask'} PostgreSQL | {'flush'} first | {'away'} without PostgreSQL
--         nobody knows

local HOUR, REFRESHED = 3600000000, 600000000
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked = tonumber(ARGV[3])
local meta = redis.call('GET', KEYS[1])
local gen, ver, bytes, lost, run = '0', '0', '0', '0', ''
if meta then
    gen, ver, bytes, lost, run = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+) (%x+)$')
end

-- Each instance: the server that it has told, what it had seen by then, since when. One that has not told this
-- server may hold what it lacks. 'older' are those of versions that tell nobody: they may be here for an hour after
-- the first that tells.
local floor, since, missing = math.max(tonumber(ARGV[2]), asked or 0), now, {}
local told, at = '', now
local instances = redis.call('HGETALL', KEYS[3])
if #instances == 0 then
    local older = '0 0 ' .. (meta and string.format('%.0f', now) or '0')
    redis.call('HSET', KEYS[3], 'older', older)
    instances = {'older', older}
end
for i = 1, #instances, 2 do
    local name = instances[i]
    local its_server, seen, its_at = string.match(instances[i + 1], '^(%x+) (%d+) (%d+)$')
    its_at = tonumber(its_at)
    if its_server == server then
        floor, since = math.max(floor, tonumber(seen)), math.min(since, its_at)
    end
    if name == ARGV[1] then
        told, at = its_server, its_at
    elseif now - its_at > HOUR then
        if name ~= 'older' then redis.call('HDEL', KEYS[3], name) end
    elseif its_server ~= server then
        missing[#missing + 1] = name
    end
end
if told ~= server or (run == server and now - at > REFRESHED) then
    redis.call('HSET', KEYS[3], ARGV[1], server .. ' ' .. ARGV[2] .. ' ' .. string.format('%.0f', now))
end

-- A server that is not in the list wrote before the first one there, or beside it.
local writers, believed = {}, 0
for its_server, began in string.gmatch(redis.call('GET', KEYS[4]) or '', '(%x+) (%d+)') do
    writers[#writers + 1] = {its_server, began}
    if string.sub(its_server, 1, 32) == ARGV[6] then believed = #writers end
end
local next_writer = writers[believed + 1]
local parted = ARGV[6] ~= '' and ARGV[6] ~= string.sub(server, 1, 32)
    and next_writer and tonumber(ARGV[7]) > tonumber(next_writer[2])
local function note_writer()
    if #writers == 0 and run ~= '' then writers[1] = {run, '0'} end
    local last = writers[#writers]
    if last and last[1] == server then return end
    writers[#writers + 1] = {server, ver}
    local words = {}
    for i = math.max(1, #writers - 15), #writers do
        words[#words + 1] = writers[i][1] .. ' ' .. writers[i][2]
    end
    redis.call('SET', KEYS[4], table.concat(words, ' '))
end

if meta and tonumber(ver) >= floor and not parted then
    if run == server then
        note_writer()
        return {'confirmed', gen, ver, server}
    end
    if #missing > 0 and now < since + tonumber(ARGV[4]) then return {'wait'} end
    if ARGV[3] == '?' then return {'ask'} end
    if not asked and (#missing > 0 or floor == 0) then return {'away'} end
    for _, name in ipairs(missing) do
        if name ~= 'older' then redis.call('HDEL', KEYS[3], name) end
    end
    -- The clock of the server before may have been ahead: nobody waits for its present.
    lost = string.format('%.0f', math.min(lost, now))
    redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost .. ' ' .. server)
    note_writer()
    return {'confirmed', gen, ver, server}
end

if not asked then return {ARGV[3] == '?' and 'ask' or 'away'} end
local became = meta and 'rewound' or floor > 0 and 'empty' or 'born'
if became ~= 'born' then
    if ARGV[5] ~= '1' then return {'flush'} end
    lost = string.format('%.0f', now)
end
ver = string.format('%.0f', math.max(floor + 1, tonumber(ver) + 1, now))
redis.call('SET', KEYS[2], ver)
redis.call('SET', KEYS[1], ver .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost .. ' ' .. server)
-- What was seen on any server before is older than this incarnation, and so has been told.
redis.call('SET', KEYS[4], server .. ' ' .. ver)
return {became, ver, ver, server}
