-- The generic cell rate algorithm for several keys: each has the time at which it would be whole again, in microseconds.
-- KEYS: the limits. ARGV: 'take' or 'give', then for each key the microseconds between two and how many may come at once.
-- Returns 0 or the place of the limit that refused, how many are left of the last one looked at, and the microseconds to
-- wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local left = 0
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local whole = interval * burst
  local full = tonumber(redis.call('GET', key)) or now
  -- The clock of the server may have been set back.
  full = math.min(math.max(full, now), now + whole)
  if ARGV[1] == 'take' then
    if full + interval - now > whole then
      return {i, 0, full + interval - now - whole}
    end
    full = full + interval
  else
    full = full - interval
  end
  if full > now then
    redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  else
    redis.call('DEL', key)
  end
  left = math.floor((whole - math.max(full - now, 0)) / interval)
end
return {0, left, 0}
