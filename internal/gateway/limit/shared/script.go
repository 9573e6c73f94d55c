package shared

import "github.com/redis/go-redis/v9"

// takeScript takes all bounds or none. KEYS are what is counted. ARGV are the
// lease's name, its length, and for each key what it costs (microseconds of the
// period), the most places, and the period (microseconds; 0: places).
//
// A debt of more than a period can only come from a clock that was set back, and
// counts as a period.
var takeScript = redis.NewScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local lease, hold = ARGV[1], tonumber(ARGV[2])
local full = {}
for i = 1, #KEYS do
  local cost, most, per = tonumber(ARGV[3*i]), tonumber(ARGV[3*i+1]), tonumber(ARGV[3*i+2])
  if per == 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', string.format('%.0f', now))
    if redis.call('ZCARD', KEYS[i]) >= most then return {i, 0} end
  else
    local debt = now
    local known = redis.call('GET', KEYS[i])
    if known then debt = math.min(math.max(tonumber(known), now), now + per) end
    debt = debt + cost
    if debt > now + per then return {i, debt - now - per} end
    full[i] = debt
  end
end
for i = 1, #KEYS do
  if full[i] then
    redis.call('SET', KEYS[i], string.format('%.0f', full[i]), 'PX', string.format('%.0f', math.ceil((full[i] - now) / 1000) + 1))
  else
    redis.call('ZADD', KEYS[i], string.format('%.0f', now + hold), lease)
    redis.call('PEXPIRE', KEYS[i], string.format('%.0f', math.ceil(hold / 1000)))
  end
end
return {0, 0}`)

// renewScript holds on to leases, also to those that the server has forgotten.
// KEYS are where they are, ARGV are their length and their names.
var renewScript = redis.NewScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local hold = tonumber(ARGV[1])
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], string.format('%.0f', now + hold), ARGV[i+1])
  redis.call('PEXPIRE', KEYS[i], string.format('%.0f', math.ceil(hold / 1000)))
end
return #KEYS`)

// beatScript says that a gateway shares the counts, and returns how many do.
// KEYS is where they are listed, ARGV how long one is counted, and its name.
var beatScript = redis.NewScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local present = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + present), ARGV[2])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(present / 1000)))
return redis.call('ZCARD', KEYS[1])`)
