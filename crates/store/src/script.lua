-- Decides about all limits of one decision, and charges all of them or none.
--
-- KEYS: one for each limit. ARGV: what is to be done (d decide, c charge in any case, g give back, l only look),
-- then eight for each limit: its kind, five numbers, and what it takes to charge units ahead of need too, or 0 0.
-- Every number is a whole one below 2^53, so that doubles are exact. Answers the time in microseconds, 1 if all fit,
-- and four numbers for each limit: whether it fits (2: what was ahead of need too), and three that depend on the
-- kind. What costs nothing always fits. The time is that of the server.
local op = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {now, 1}
local writes = {}

local function foreign(key) return {err = 'GWFOREIGN ' .. key} end

for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 8
  local kind = ARGV[at]
  local p1, p2, p3, p4, p5 = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local e1, e2 = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local eager = op == 'd' and (e1 > 0 or e2 > 0)
  local kept = redis.pcall('GET', key)
  if type(kept) == 'table' then
    if string.sub(kept.err, 1, 9) == 'WRONGTYPE' then return foreign(key) end
    return kept
  end
  -- `more` is what is written and shown if units ahead of need fit.
  local fits, before, after, write, more = true, nil, nil, nil, nil

  if kind == 'g' then
    -- GCRA. Kept is the time at which the bucket is full again, as whole microseconds and a fraction with the
    -- denominator p5: nothing is ever rounded. p1, p2: what the cost takes; p3, p4: the whole bucket.
    local tat, part = now, 0
    if kept then
      local whole, rest = string.match(kept, '^(%d+) (%d+)$')
      if not whole then return foreign(key) end
      whole, rest = tonumber(whole), tonumber(rest)
      -- The denominator may have been another one.
      if rest >= p5 then whole, rest = whole + 1, 0 end
      if whole >= now then tat, part = whole, rest end
    end
    -- Nobody owes more than a whole bucket, not even if the clock was set back, or the limit was another.
    local most, most_part = now + p3, p4
    if tat > most or (tat == most and part > most_part) then tat, part = most, most_part end
    local to, to_part
    if op == 'g' then
      to, to_part = tat - p1, part - p2
      if to_part < 0 then to, to_part = to - 1, to_part + p5 end
      if to < now then to, to_part = now, 0 end
    else
      to, to_part = tat + p1, part + p2
      if to_part >= p5 then to, to_part = to + 1, to_part - p5 end
      if to > most or (to == most and to_part > most_part) then
        fits = false
        if op == 'c' then to, to_part = most, most_part end
      end
    end
    local function kept_as(to, to_part) return {string.format('%.0f %.0f', to, to_part), to - now} end
    before, after = {tat - now, part, 0}, {to - now, to_part, 0}
    write = kept_as(to, to_part)
    if eager and fits then
      local far, far_part = tat + e1, part + e2
      if far_part >= p5 then far, far_part = far + 1, far_part - p5 end
      if far < most or (far == most and far_part <= most_part) then
        more = {kept_as(far, far_part), {far - now, far_part, 0}}
      end
    end

  elseif kind == 'w' then
    -- A sliding window of p4 + 1 buckets of p3 microseconds. Kept are the number of the newest bucket and what is
    -- in each, newest first. p1: cost, p2: limit.
    local current = math.floor(now / p3)
    local counts, used = {}, 0
    for j = 0, p4 do counts[j] = 0 end
    if kept then
      local head, rest = string.match(kept, '^(%d+):([%d ]*)$')
      if not head then return foreign(key) end
      local j = math.max(0, current - tonumber(head))
      for count in string.gmatch(rest, '%d+') do
        if j > p4 then break end
        counts[j] = tonumber(count)
        used = used + counts[j]
        j = j + 1
      end
    end
    local function left_at(j) return (current - j + p4 + 1) * p3 - now end
    local function reset()
      for j = 0, p4 do if counts[j] > 0 then return left_at(j) end end
      return 0
    end
    local retry = 0
    if op ~= 'g' and op ~= 'c' and p1 > 0 and used + p1 > p2 then
      fits = false
      local freed = 0
      for j = p4, 0, -1 do
        freed = freed + counts[j]
        if used - freed + p1 <= p2 then retry = left_at(j) break end
      end
    end
    before = {used, reset(), retry}
    if op == 'g' then
      local back = p1
      for j = 0, p4 do
        local some = math.min(back, counts[j])
        counts[j], back, used = counts[j] - some, back - some, used - some
      end
    else
      local some = p1
      if op == 'c' then
        some = math.min(p1, math.max(0, p2 - used))
        fits = some == p1
      end
      counts[0], used = counts[0] + some, used + some
    end
    local function kept_now()
      local last = 0
      for j = 0, p4 do if counts[j] > 0 then last = j end end
      local texts = {}
      for j = 0, last do texts[j + 1] = string.format('%.0f', counts[j]) end
      return {string.format('%.0f:', current) .. table.concat(texts, ' '), used > 0 and reset() or 0}
    end
    after, write = {used, reset(), 0}, kept_now()
    if eager and fits and used - p1 + e1 <= p2 then
      counts[0], used = counts[0] - p1 + e1, used - p1 + e1
      more = {kept_now(), {used, reset(), 0}}
    end

  else
    -- A quota until p3, in milliseconds. p1: cost, p2: limit. It is kept two hours longer: clocks differ.
    local ends = p3 * 1000
    if now >= ends + 7200000000 then return {err = 'GWPERIOD the period is over'} end
    local used = 0
    if kept then
      if not string.match(kept, '^%d+$') then return foreign(key) end
      used = tonumber(kept)
    end
    local to = used + p1
    if op == 'g' then to = math.max(0, used - p1)
    elseif p1 > 0 and to > p2 then
      fits = false
      if op == 'c' then to = math.max(used, p2) end
    end
    before, after = {used, math.max(0, ends - now), 0}, {to, math.max(0, ends - now), 0}
    local function kept_as(to) return {string.format('%.0f', to), to > 0 and ends + 7200000000 - now or 0} end
    write = kept_as(to)
    if eager and fits and used + e1 <= p2 then
      more = {kept_as(used + e1), {used + e1, math.max(0, ends - now), 0}}
    end
  end

  if not fits then answer[2] = 0 end
  writes[i] = {key, kept, write, fits, before, after, more}
end

local charged = op == 'c' or op == 'g' or (op == 'd' and answer[2] == 1)
for i, w in ipairs(writes) do
  local key, kept, write, fits, before, after, more = w[1], w[2], w[3], w[4], w[5], w[6], w[7]
  local eager = charged and more
  if eager then write, after = more[1], more[2] end
  if charged and write[1] ~= kept then
    if write[2] > 0 then redis.call('SET', key, write[1], 'PX', string.format('%.0f', math.ceil(write[2] / 1000) + 1))
    elseif kept then redis.call('DEL', key) end
  end
  local shown = charged and after or before
  local at = 2 + (i - 1) * 4
  answer[at + 1] = (eager and 2) or (fits and 1) or 0
  answer[at + 2], answer[at + 3], answer[at + 4] = shown[1], shown[2], shown[3]
end
return answer
