-- Tells how much of a partition's log waits, and hands out what is old to whoever holds the lease.
--
-- KEYS  1 meta, 2 log, 3 lease, 4… due times of each kind of jobs
-- ARGV  1 name of the sweeper ('' takes without a lease), 2 lease in ms, 3 minimum age in ms, 4 at most this many ('0': only tell)
--       5 id of the last entry that was seen ('': from the beginning)
--       6 oldest incarnation of which the caller holds changes that PostgreSQL does not have ('': none)
-- Returns {entries waiting, age of the oldest in ms, bytes waiting, {entry…}, '1' when another server
--         wrote here last, or none, {number of jobs that are due, for each kind},
--         {number of jobs, id of the one due first or '', for each kind}}

local MINUTE = 60000000
local length = redis.call('XLEN', KEYS[2])
local gen, ver, bytes, lost, run = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) (%-?%d+) (%d+) (%x+)$')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local moved = run ~= server and '1' or '0'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- State was lost, and the caller cannot write yet what it holds from before. The others wait for it: for a minute at
-- most since the incarnation began (its name is the time).
if gen and moved == '0' and lost ~= '0' and ARGV[6] ~= '' and tonumber(ARGV[6]) < tonumber(gen)
    and now * 1000 < tonumber(gen) + MINUTE then
    lost = string.format('%.0f', now * 1000)
    redis.call('SET', KEYS[1], gen .. ' ' .. ver .. ' ' .. bytes .. ' ' .. lost .. ' ' .. run)
end
bytes = bytes or '0'
local due = {}
local jobs = {}
for n = 4, #KEYS do
    due[n - 3] = redis.call('ZCOUNT', KEYS[n], '-inf', now)
    jobs[#jobs + 1] = redis.call('ZCARD', KEYS[n])
    jobs[#jobs + 1] = redis.call('ZRANGE', KEYS[n], 0, 0)[1] or ''
end
if length == 0 then return {0, 0, tonumber(bytes), {}, moved, due, jobs} end

local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local age = math.max(0, now - tonumber(string.match(oldest[1], '^%d+')))
local none = {length, age, tonumber(bytes), {}, moved, due, jobs}
if ARGV[4] == '0' or age < tonumber(ARGV[3]) then return none end

if ARGV[1] ~= '' then
    local holder = redis.call('GET', KEYS[3])
    if holder and holder ~= ARGV[1] then return none end
    redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
end
-- '+': an entry may bear the clock of a server that was ahead of this one.
local newest = ARGV[3] == '0' and '+' or string.format('%.0f', now - tonumber(ARGV[3]))
local first = ARGV[5] == '' and '-' or '(' .. ARGV[5]
local page = redis.call('XRANGE', KEYS[2], first, newest, 'COUNT', ARGV[4])
return {length, age, tonumber(bytes), page, moved, due, jobs}
