-- Gives back what was taken from buckets at a given time.
--
-- KEYS  1… buckets
-- ARGV  1 when it was taken in µs, then for each bucket: window in µs
-- Returns nothing

for n = 1, #KEYS do
    local slice = string.format('%.0f', math.floor(tonumber(ARGV[1]) / (tonumber(ARGV[n + 1]) / 16)))
    if tonumber(redis.call('HGET', KEYS[n], slice) or '0') > 0 then
        redis.call('HINCRBY', KEYS[n], slice, -1)
    end
end
