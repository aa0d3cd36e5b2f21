-- Brings a record back from PostgreSQL, unless Redis knows better.
--
-- KEYS  1 meta, 2 pend, 3 the record
-- ARGV  1 incarnation that the reader saw, 2 how long after a loss hydration waits, in µs
--       3 name in pend, 4 version in PostgreSQL ('-' when it has none), 5 image, 6 time to live in ms
-- Returns {'ok', ver, image} with what stands now | {'absent'} | {'stale', gen} | {'held'} | {'pending'}
--         | {'rewound'} | {'moved', gen}

local meta = redis.call('GET', KEYS[1])
if not meta then return {'stale', '0'} end
local gen, ver, _, lost, run = string.match(meta, '^(%d+) (%d+) (%-?%d+) (%d+) (%x+)$')
if gen ~= ARGV[1] then return {'stale', gen} end
-- A server that is not the one that wrote last may have lost what that one acknowledged.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run ~= server then return {'moved', gen} end
local time = redis.call('TIME')
if time[1] * 1000000 + time[2] < tonumber(lost) + tonumber(ARGV[2]) then return {'held'} end
local stored = tonumber(ARGV[4]) or 0
if stored > tonumber(ver) then return {'rewound'} end

local value = redis.call('GET', KEYS[3])
if value then
    local record_gen, record_ver, at = string.match(value, '^(%d+) (%d+) ()')
    if record_gen == gen and tonumber(record_ver) >= stored then
        return {'ok', record_ver, string.sub(value, at)}
    end
    -- A change that came to PostgreSQL after a loss; this row was read before it.
    if record_gen == '0' and tonumber(record_ver) > stored then return {'stale', gen} end
end
-- The record left Redis while its newest image is still on the way.
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return {'pending'} end
if ARGV[4] == '-' then return {'absent'} end
redis.call('SET', KEYS[3], gen .. ' ' .. ARGV[4] .. ' ' .. ARGV[5], 'PX', ARGV[6])
return {'ok', ARGV[4], ARGV[5]}
