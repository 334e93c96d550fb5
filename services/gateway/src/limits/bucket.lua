-- resilience::Bucket in Redis: one key is one bucket, its value "level at" in millionths of a token and microseconds.
-- A bucket that is not there is full; it goes when it would be.
--   KEYS[1]  the bucket
--   ARGV     tokens a second, tokens of a full bucket, cost, "take" or "settle" or "look", and in tests the time
-- Answers whether it was taken (1 or 0) and the level.
local rate, burst, cost, act = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local PARTS = 1000000
local MOST = 1000000000 * PARTS
local capacity = burst * PARTS
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local level = capacity
local stored = redis.call('GET', KEYS[1])
if stored then
  local was, at = string.match(stored, '^(%S+) (%S+)$')
  level = math.min(tonumber(was) + math.max(now - tonumber(at), 0) * rate, capacity)
end

if act == 'look' then
  return { 1, level }
end
local taken = 1
if act == 'take' and level < math.min(cost, burst) * PARTS then
  taken = 0
else
  level = math.max(math.min(level - cost * PARTS, capacity), -MOST)
end
if level >= capacity then
  redis.call('DEL', KEYS[1])
else
  -- The time of a test is not that of the keys.
  local full_in = ARGV[5] and 60000 or math.ceil((capacity - level) / rate / 1000) + 1
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', level, now), 'PX', string.format('%.0f', full_in))
end
return { taken, level }
