-- Takes one from each bucket, or from none when one refuses.
--
-- A bucket counts in slices of a sixteenth of its window and looks at the sixteen before the present
-- one too: whatever span of one window you take, the bucket has counted all of it. So there are never
-- more than the quota in any span; a place is free again at the latest a slice after its window.
--
-- KEYS  1 meta, 2… buckets
-- ARGV  1 now in µs, then for each bucket: quota, window in µs
-- Returns {'cold'} when the partition has no incarnation yet, else for each bucket
--         {1 allowed | 0 refused, quota in force, remaining, µs until one is free or all are}

local SLICES = 16
local meta = redis.call('GET', KEYS[1])
if not meta then return {'cold'} end
local lost = tonumber(string.match(meta, '^%d+ %d+ %-?%d+ (%d+)'))
local now = tonumber(ARGV[1])

local answers, allowed = {}, true
for n = 2, #KEYS do
    local quota, window = tonumber(ARGV[n * 2 - 2]), tonumber(ARGV[n * 2 - 1])
    -- What Redis forgot may have been spent: until a window has passed, half the budget.
    if lost > 0 and now < lost + window then quota = math.max(1, math.floor(quota / 2)) end
    local slice = window / SLICES
    local present = math.floor(now / slice)
    local counts, used, oldest = redis.call('HGETALL', KEYS[n]), 0, nil
    for i = 1, #counts, 2 do
        local index, count = tonumber(counts[i]), tonumber(counts[i + 1])
        if index < present - SLICES then
            redis.call('HDEL', KEYS[n], counts[i])
        elseif count > 0 then
            used = used + count
            if not oldest or index < oldest then oldest = index end
        end
    end
    local passes = used < quota
    allowed = allowed and passes
    local decisive = used + 1 < quota and present or (oldest or present)
    local reset = (decisive + SLICES + 1) * slice - now
    answers[n - 1] = {passes and 1 or 0, quota, math.max(0, quota - used), math.ceil(reset)}
end
if allowed then
    for n = 2, #KEYS do
        local slice = tonumber(ARGV[n * 2 - 1]) / SLICES
        redis.call('HINCRBY', KEYS[n], string.format('%.0f', math.floor(now / slice)), 1)
        redis.call('PEXPIRE', KEYS[n], math.ceil(slice * (SLICES + 1) / 1000))
        answers[n - 1][3] = answers[n - 1][3] - 1
    end
end
return answers
