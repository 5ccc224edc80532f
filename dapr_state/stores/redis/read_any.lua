-- Reads one key in one moment, whatever its type: for the few that a plain HMGET does not explain.
--
-- KEYS[1]   the key
--
-- Returns type, data, version, and when it expires in unix milliseconds (-1: never). A plain string is data without a
-- version; for any other type `data` is the server's error.

local key = KEYS[1]
local kind = redis.call('TYPE', key).ok
local expiry = redis.call('PTTL', key)
if expiry >= 0 then
  local now = redis.call('TIME')
  expiry = expiry + now[1] * 1000 + math.floor(now[2] / 1000)
end
if kind == 'hash' then
  local row = redis.call('HMGET', key, 'data', 'version')
  return { kind, row[1], row[2], expiry }
end
if kind == 'none' then
  return { kind, false, false, expiry }
end
return { kind, redis.pcall('GET', key), false, expiry }
