-- Applies operations to hashes of daprd's layout: `data`, `version` (a counter: the etag), and fields of others, kept.
--
-- KEYS[i]      the key of operation i
-- ARGV[1]      'each': operations are independent, and those that can be done are done
--              'all':  all of them or none; each sees what those before it would leave
-- ARGV[2i]     what to do: a letter, a TTL in seconds or nothing, a colon, an etag or nothing
--              s = set, c = set where no row exists, d = delete, i = set with an etag that no version can equal,
--              t = another TTL, or none any more, for a row that stays as it is
-- ARGV[2i+1]   the value to set
--
-- Returns a triple for each refusal: i, its kind (missing | stale | exists | invalid | failed), and for `stale` the
-- present version, for `failed` the reason. Nothing at all: everything is done.

local together = ARGV[1] == 'all'
local pcall, may = redis.pcall, redis.acl_check_cmd

-- The short way, for plain sets and deletes, which most calls are: as few commands as can be. The rules below come to the
-- same in twice the time. What is not quite so plain (another option, a version that is no number, another type, a user
-- without all rights) is left to them with nothing written; so is what the server refuses, which it will say again there.
local function count_of(i) -- the version that a plain operation finds, as a number; nil: it is none for the short way
  local how = ARGV[2 * i]
  if how ~= 's:' then
    return how == 'd:' and 0 or nil
  end
  local version = pcall('HGET', KEYS[i], 'version')
  local count = version == false and 0 or type(version) == 'string' and tonumber(version)
  local exact = count and (not version or tostring(count) == version and count % 1 == 0 and math.abs(count) < 1e14)
  return exact and count or nil
end

local function done(i, count) -- carry out a plain operation; false if the server will not, with nothing written
  if ARGV[2 * i] == 'd:' then
    return type(pcall('DEL', KEYS[i])) ~= 'table'
  end
  if may and not together and not may('PERSIST', KEYS[i]) then
    return false
  end
  return type(pcall('HSET', KEYS[i], 'data', ARGV[2 * i + 1], 'version', count + 1)) ~= 'table'
    -- after HSET, for a full server refuses the first write of a script, and only if that asks for memory
    and type(pcall('PERSIST', KEYS[i])) ~= 'table'
end

local function may_be_done(i) -- asked for each key, as a user's rights may differ from key to key
  if ARGV[2 * i] == 'd:' then
    return may('DEL', KEYS[i])
  end
  return may('HSET', KEYS[i], 'data', '') and may('PERSIST', KEYS[i])
end

local first = 1 -- of those that are not done yet
if not together then
  local count = count_of(first)
  while count and done(first, count) do
    first = first + 1
    count = KEYS[first] and count_of(first)
  end
else -- all are looked at before the first is written, so that none is left half way
  local counts, seen, plain = {}, {}, true
  for i, key in ipairs(KEYS) do
    counts[i] = plain and not seen[key] and (not may or may_be_done(i)) and count_of(i)
    plain, seen[key] = counts[i], true
  end
  while plain and KEYS[first] and done(first, counts[first]) do
    first = first + 1
  end
end
if not KEYS[first] then
  return {}
end

local LONGEST = 15 -- digits: Lua counts so far exactly, and so many seconds are milliseconds that Redis can add to now

-- the version under a key: false if there is none; '' and true for a key of another type; nil and why it is not readable
local function read_head(key)
  local reply = pcall('HGET', key, 'version')
  if type(reply) ~= 'table' then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return '', true
  end
  return nil, reply.err
end

local function without_zeros(version)
  return (string.gsub(version, '^(-?)0+(%d)', '%1%2'))
end

-- Whether the user may not run a command of this write: known before anything is written. Before Redis 7 a script cannot
-- ask.
local function forbidden(key, verb, ttl, foreign)
  if not may then
    return false
  end
  if verb == 't' then
    return not may(unpack(ttl and { 'EXPIRE', key, '1' } or { 'PERSIST', key }))
  end
  if (verb == 'd' or foreign) and not may('DEL', key) then
    return true
  end
  return verb ~= 'd'
    and not (may('HSET', key, 'data', '') and may(unpack(ttl and { 'EXPIRE', key, '1' } or { 'PERSIST', key })))
end

-- the refusal of an operation on a row of this version, if it is refused; `gone`: an operation before it deleted the row
local function refusal(key, version, gone, verb, ttl, etag)
  if verb == 'i' then
    return 'invalid'
  end
  if verb == 't' and (not version or version == '') then
    return 'missing'
  end
  if etag ~= '' then
    if not version then
      return 'missing'
    end
    if version ~= etag and without_zeros(version) ~= etag then
      return 'stale', version
    end
  end
  if verb == 'c' and not gone then
    local rows = version and 1 or pcall('EXISTS', key)
    if type(rows) == 'table' then
      return 'failed', rows.err
    end
    if rows == 1 then
      return 'exists'
    end
  end
  if #ttl > LONGEST then
    return 'failed', "ERR invalid expire time in 'expire' command"
  end
  return nil
end

-- the version that a set writes, or nil where daprd could not count on
local function successor(version, foreign)
  if not version or foreign then
    return '1'
  end
  if #version > LONGEST or not string.find(version, '^-?%d+$') then
    return nil
  end
  return string.format('%.0f', version + 1)
end

local function reason_of(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- carry out an operation that was not refused; the reason, if the server will not
local function write(key, verb, ttl, value, version, foreign)
  if verb == 'd' then
    return reason_of(pcall('DEL', key))
  end
  local reason = verb ~= 't' and foreign and reason_of(pcall('DEL', key)) or nil
  if not reason and verb ~= 't' then
    reason = reason_of(pcall('HSET', key, 'data', value, 'version', version))
  end
  if reason then
    return reason
  end
  if ttl ~= '' then
    return reason_of(pcall('EXPIRE', key, ttl))
  end
  return reason_of(pcall('PERSIST', key))
end

-- Whether the slot of a key is moving to another node of a cluster: then a key of it that nobody has is said to be there.
-- What a script has deleted is such a key. (A key with a } that ends no tag has no such neighbour: it is not asked for.)
local function moving(key)
  local tag = string.match(key, '^[^{]*{([^}]+)}') or not string.find(key, '}', 1, true) and key
  local reply = tag and pcall('EXISTS', '{' .. tag .. '}\0moving')
  return type(reply) == 'table' and string.find(reply.err, 'non local key', 1, true) ~= nil
end

local refusals, versions, plans, deleted = {}, {}, {}, {}

for i = first, #KEYS do
  local key = KEYS[i]
  local verb, ttl, etag = 's', '', ''
  if ARGV[2 * i] ~= 's:' then
    verb, ttl, etag = string.match(ARGV[2 * i], '^(%a)(%d*):(.*)$')
  end
  local version, foreign, after, kind, detail = versions[key]
  local gone = version == false
  if version == nil then
    version, foreign = read_head(key)
  end
  if version == nil then
    kind, detail = 'failed', foreign
  else
    kind, detail = refusal(key, version, gone, verb, ttl, etag)
  end
  if not kind and verb ~= 'd' and verb ~= 't' then
    after = successor(version, foreign)
    if not after then
      kind, detail = 'failed', 'ERR hash value is not an integer'
    end
  end
  if not kind and forbidden(key, verb, ttl ~= '', foreign) then
    kind, detail = 'failed', 'NOPERM this user may not run a command that the write needs'
  end
  if not kind and together then
    if (deleted[key] or foreign and verb ~= 'd') and moving(key) then
      kind, detail = 'failed', 'TRYAGAIN the slot of the key is moving to another node'
    end
    deleted[key] = deleted[key] or verb == 'd'
    versions[key] = after or false
    plans[i] = { verb, ttl, after, foreign }
  elseif not kind then
    detail = write(key, verb, ttl, ARGV[2 * i + 1], after, foreign)
    kind = detail and 'failed'
  end
  if kind then
    for _, part in ipairs({ i, kind, detail or '' }) do
      table.insert(refusals, part)
    end
    if together then
      return refusals
    end
  end
end

-- Every check is behind us. What the server may still refuse (it is full, a replica, cannot save) it refuses at the
-- first write of a script, never at a later one: so either all of these happen or none.
for i, plan in ipairs(plans) do
  local verb, ttl, after, foreign = unpack(plan, 1, 4)
  local reason = write(KEYS[i], verb, ttl, ARGV[2 * i + 1], after, foreign)
  if reason then
    return { i, 'failed', reason }
  end
end

return refusals
