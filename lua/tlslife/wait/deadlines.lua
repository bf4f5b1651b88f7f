-- tlslife.wait.deadlines: keeps things by the time when they are due, in a binary heap. It is made
-- for the deadlines of a loop, of which there are many and nearly none passes.
--
--   local deadlines = require "tlslife.wait.deadlines".new()
--   deadlines:add(10.5, thing); deadlines:first(); local thing = deadlines:take(now)
--
-- A thing cannot be removed before its time. The caller finds out that it is no longer due when it
-- takes it. Where many such things gather, sift removes them.

local Deadlines = {}
Deadlines.__index = Deadlines

local function swap(self, a, b)
    local times, things = self.times, self.things
    times[a], times[b] = times[b], times[a]
    things[a], things[b] = things[b], things[a]
end

--- Adds a thing that is due at that time, of any clock.
function Deadlines:add(time, thing)
    local times, at = self.times, #self.times + 1
    times[at], self.things[at] = time, thing
    while at > 1 and times[at // 2] > times[at] do
        swap(self, at, at // 2)
        at = at // 2
    end
end

--- When the first thing is due, or nil if there is none.
function Deadlines:first()
    return self.times[1]
end

--- Removes the first thing if it is due by now. Returns it and its time, or nil.
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

--- How many things there are.
function Deadlines:__len()
    return #self.times
end

--- Removes all things but those for which is_due(thing, time) is true.
function Deadlines:sift(is_due)
    local times, things = self.times, self.things
    self.times, self.things = {}, {}
    for i, thing in ipairs(things) do
        if is_due(thing, times[i]) then self:add(times[i], thing) end
    end
end

return {new = function() return setmetatable({times = {}, things = {}}, Deadlines) end}
