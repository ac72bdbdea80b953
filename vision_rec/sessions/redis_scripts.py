"""The scripts that change events in Redis; each runs as a whole or not at all.

Keys below the prefix `p`: `e:SEQ` an event; `ids` event id → SEQ; `all` SEQ by when it was stored; `acts`,
`u:USER:KIND`, `s:SESSION:KIND` and `anon:SESSION:KIND` (without a user) SEQ by `received_at`; `logins`
SESSION → USER; `ul:USER` its sessions; `tombs` mark → time; `seq` the last number; `key` a check word.
"""

from __future__ import annotations

APPEND = """
local p, stored, new = ARGV[1], ARGV[2], 0
local function give(session, user)
  for kind = 0, 2 do
    local key = p..'anon:'..session..':'..kind
    for _, seq in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('HSET', p..'e:'..seq, 'u', user)
      redis.call('ZADD', p..'u:'..user..':'..kind, redis.call('HGET', p..'e:'..seq, 'r'), seq)
    end
    redis.call('DEL', key)
  end
end
for i = 3, #ARGV, 6 do
  local id, kind, received, user, session, body = unpack(ARGV, i, i + 5)
  if redis.call('HEXISTS', p..'ids', id) == 0 then
    new = new + 1
    local seq = string.format('%016d', redis.call('INCR', p..'seq'))
    redis.call('HSET', p..'ids', id, seq)
    redis.call('ZADD', p..'all', stored, seq)
    if kind ~= '0' then redis.call('ZADD', p..'acts', received, seq) end
    if session ~= '' then
      redis.call('ZADD', p..'s:'..session..':'..kind, received, seq)
      local known = redis.call('HGET', p..'logins', session)
      if user == '' then
        if known then user = known else redis.call('ZADD', p..'anon:'..session..':'..kind, received, seq) end
      elseif known ~= user then
        if known then redis.call('SREM', p..'ul:'..known, session) end
        redis.call('HSET', p..'logins', session, user)
        redis.call('SADD', p..'ul:'..user, session)
        give(session, user)
      end
    end
    if user ~= '' then redis.call('ZADD', p..'u:'..user..':'..kind, received, seq) end
    redis.call('HSET', p..'e:'..seq, 'b', body, 'k', kind, 'r', received, 'u', user, 's', session, 'i', id)
  end
end
return new
"""
DELETE = """
local p = ARGV[1]
for i = 2, #ARGV do
  local seq = ARGV[i]
  local e = redis.call('HMGET', p..'e:'..seq, 'i', 'k', 'u', 's')
  if e[1] then
    redis.call('HDEL', p..'ids', e[1])
    if e[3] ~= '' then redis.call('ZREM', p..'u:'..e[3]..':'..e[2], seq) end
    if e[4] ~= '' then
      local s = p..'s:'..e[4]..':'
      redis.call('ZREM', s..e[2], seq)
      redis.call('ZREM', p..'anon:'..e[4]..':'..e[2], seq)
      if redis.call('EXISTS', s..'0', s..'1', s..'2') == 0 then
        local user = redis.call('HGET', p..'logins', e[4])
        if user then redis.call('SREM', p..'ul:'..user, e[4]) end
        redis.call('HDEL', p..'logins', e[4])
      end
    end
  end
  redis.call('ZREM', p..'all', seq)
  redis.call('ZREM', p..'acts', seq)
  redis.call('DEL', p..'e:'..seq)
end
return #ARGV - 1
"""
LOGOUT = """
local p, user = ARGV[1], ARGV[2]
for _, session in ipairs(redis.call('SMEMBERS', p..'ul:'..user)) do
  if redis.call('HGET', p..'logins', session) == user then redis.call('HDEL', p..'logins', session) end
end
return redis.call('DEL', p..'ul:'..user)
"""
