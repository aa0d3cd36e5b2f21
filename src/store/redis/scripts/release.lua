-- Removes an index entry that is still its owner's, claimed (`?id`) or kept (`id`).
--
-- KEYS  1 the entry
-- ARGV  1 id of the owner
-- Returns 1 when it was removed

local entry = redis.call('GET', KEYS[1])
if entry == ARGV[1] or entry == '?' .. ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
