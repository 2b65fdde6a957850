-- One operation of the shared cache.
-- KEYS: the state, a value. ARGV: the operation, a fresh epoch, then its own.
--
-- The state is one hash, so that it is evicted as a whole or not at all: `server` (which server in which history wrote
-- it), `epoch`, `tick`, and `t:<tag>`, the tick of a tag's last invalidation. Another server, or the same one with
-- another history (a restart, a failover), may have lost invalidations: then a new epoch begins, and no value of the
-- epoch before is ever returned.
local state, operation, epoch, tick = KEYS[1], ARGV[1], nil, nil
local info = redis.call('INFO', 'server', 'replication')
local server = string.match(info, 'run_id:(%x+)') .. string.match(info, 'master_replid:(%x+)')
local known = redis.call('HMGET', state, 'server', 'epoch', 'tick')
-- The last is a bound on memory: about 10 MB of tags.
if known[1] == server and redis.call('HLEN', state) <= 100000 then
  epoch, tick = known[2], tonumber(known[3])
else
  epoch, tick = ARGV[2], 0
  redis.call('UNLINK', state)
  redis.call('HSET', state, 'server', server, 'epoch', epoch, 'tick', tick)
end

local function valid(tags, since)
  for tag in string.gmatch(tags, '[^\n]+') do
    local at = redis.call('HGET', state, 't:' .. tag)
    if at and tonumber(at) > since then return false end
  end
  return true
end

if operation == 'get' then
  local value = redis.call('HMGET', KEYS[2], 'epoch', 'tick', 'tags', 'bytes')
  if value[1] == epoch and valid(value[3], tonumber(value[2])) then
    return {epoch, tick, value[4]}
  end
  return {epoch, tick, false}
elseif operation == 'put' then
  -- ARGV: epoch, tick, milliseconds to live, tags, bytes.
  redis.call('UNLINK', KEYS[2])
  if ARGV[3] == epoch and valid(ARGV[6], tonumber(ARGV[4])) then
    redis.call('HSET', KEYS[2], 'epoch', epoch, 'tick', ARGV[4], 'tags', ARGV[6], 'bytes', ARGV[7])
    redis.call('PEXPIRE', KEYS[2], ARGV[5])
  end
  return {epoch, tick, false}
else
  -- ARGV: tags.
  tick = redis.call('HINCRBY', state, 'tick', 1)
  for n = 3, #ARGV do
    redis.call('HSET', state, 't:' .. ARGV[n], tick)
  end
  return {epoch, tick, false}
end
