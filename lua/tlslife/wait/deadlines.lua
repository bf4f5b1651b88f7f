-- tlslife.wait.deadlines: which things are due, soonest first: a binary heap, for the timers of a loop that has many of them
-- and of which nearly none ever fires.
--
--   local deadlines = require "tlslife.wait.deadlines".new()
--   deadlines:add(10.5, thing); deadlines:first(); local thing = deadlines:take(now)
--
-- A thing is not removed before its time: that it is not due any more is found when it is taken. Where many are added in
-- vain, sift leaves out those that are.

local Deadlines = {}
Deadlines.__index = Deadlines

local function swap(self, a, b)
    local times, things = self.times, self.things
    times[a], times[b] = times[b], times[a]
    things[a], things[b] = things[b], things[a]
end

--- A thing that is due at that time, of whatever clock.
function Deadlines:add(time, thing)
    local times, at = self.times, #self.times + 1
    times[at], self.things[at] = time, thing
    while at > 1 and times[at // 2] > times[at] do
        swap(self, at, at // 2)
        at = at // 2
    end
end

--- When the first is due; nil: there is none.
function Deadlines:first()
    return self.times[1]
end

--- The first thing, if it is due by now, which leaves, and when it was; or nil.
function Deadlines:take(now)
    local times, things = self.times, self.things
    local time, thing, last = times[1], things[1], #times
    if not time or time > now then return nil end
    swap(self, 1, last)
    times[last], things[last] = nil, nil
    local at, child = 1, 2
    while child < last do
        if child + 1 < last and times[child + 1] < times[child] then child = child + 1 end
        if times[at] <= times[child] then break end
        swap(self, at, child)
        at, child = child, child * 2
    end
    return thing, time
end

--- How many there are.
function Deadlines:__len()
    return #self.times
end

--- Leaves out all but those for which is_due(thing, time) is true.
function Deadlines:sift(is_due)
    local times, things = self.times, self.things
    self.times, self.things = {}, {}
    for i, thing in ipairs(things) do
        if is_due(thing, times[i]) then self:add(times[i], thing) end
    end
end

return {new = function() return setmetatable({times = {}, things = {}}, Deadlines) end}
