-- Gives back what was taken from buckets at a given time, or part of it.
--
-- KEYS  1… buckets
-- ARGV  1 when it was taken in µs, 2 amount, then for each bucket: window in µs
-- Returns nothing

for n = 1, #KEYS do
    local slice = string.format('%.0f', math.floor(tonumber(ARGV[1]) / (tonumber(ARGV[n + 2]) / 16)))
    local amount = math.min(tonumber(ARGV[2]), tonumber(redis.call('HGET', KEYS[n], slice) or '0'))
    if amount > 0 then
        redis.call('HINCRBY', KEYS[n], slice, -amount)
    end
end
