-- Takes the same amount from each bucket, or as much as all of them have left, or nothing when one has nothing.
--
-- A bucket counts in slices of a sixteenth of its window and looks at the sixteen before the present
-- one too: whatever span of one window you take, the bucket has counted all of it. So there are never
-- more than the quota in any span; a place is free again at the latest a slice after its window.
--
-- KEYS  1 meta, 2… buckets
-- ARGV  1 now in µs, 2 amount, then for each bucket: quota, window in µs
-- Returns {'cold'} when the partition has no incarnation yet, else for each bucket
--         {how many it gives | 0 refused, quota in force, remaining, µs until one is free or all are}

local SLICES = 16
local meta = redis.call('GET', KEYS[1])
if not meta then return {'cold'} end
local lost = tonumber(string.match(meta, '^%d+ %d+ %-?%d+ (%d+)'))
local now, amount = tonumber(ARGV[1]), tonumber(ARGV[2])

local buckets, taken = {}, amount
for n = 2, #KEYS do
    local quota, window = tonumber(ARGV[n * 2 - 1]), tonumber(ARGV[n * 2])
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
    local left = math.max(0, quota - used)
    taken = math.min(taken, left)
    buckets[n] = {quota = quota, slice = slice, present = present, used = used, oldest = oldest, left = left}
end

local answers = {}
for n = 2, #KEYS do
    local bucket = buckets[n]
    local has_more = bucket.used + math.max(1, taken) < bucket.quota
    local decisive = has_more and bucket.present or (bucket.oldest or bucket.present)
    local reset = (decisive + SLICES + 1) * bucket.slice - now
    answers[n - 1] = {math.min(amount, bucket.left), bucket.quota, bucket.left - taken, math.ceil(reset)}
    if taken > 0 then
        redis.call('HINCRBY', KEYS[n], string.format('%.0f', bucket.present), taken)
        redis.call('PEXPIRE', KEYS[n], math.ceil(bucket.slice * (SLICES + 1) / 1000))
    end
end
return answers
