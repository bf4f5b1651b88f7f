-- timerwheel.lua: stands in for the module of this name, which copas 4 needs for copas.timeout and
-- Debian does not have. It has what copas calls: new, set, cancel, count, step. The timers are a
-- table, and each step looks at all of them.

local Wheel = {}
Wheel.__index = Wheel

function Wheel:set(seconds, callback, argument)
    self.last = self.last + 1
    self.timers[self.last] = {time = self.now() + seconds, callback = callback, argument = argument}
    return self.last
end

function Wheel:cancel(id)
    local was = self.timers[id] ~= nil
    self.timers[id] = nil
    return was
end

function Wheel:count()
    local count = 0
    for _ in pairs(self.timers) do count = count + 1 end
    return count
end

function Wheel:step()
    local now, due = self.now(), {}
    for id, timer in pairs(self.timers) do
        if timer.time <= now then due[#due + 1] = id end
    end
    for _, id in ipairs(due) do
        local timer = self.timers[id] -- nil: another one's callback has canceled it
        if timer then
            self.timers[id] = nil
            xpcall(timer.callback, self.failed, timer.argument)
        end
    end
    return true
end

return {new = function(options)
    return setmetatable({timers = {}, last = 0, now = options.now, failed = options.err_handler},
        Wheel)
end}
