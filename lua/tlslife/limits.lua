-- tlslife.limits: ends what has taken too long, for the functions that a server runs before TLS.
--
-- luv ends the program where it finds no memory for a timer, so a timer for each connection would
-- let a crowd end a server. This has one timer, which is made at the start. All limits are equally
-- long, so those that began first are over first: they are in a list, which each leaves at its end.
--
--   local limits = require "tlslife.limits".new(10, function(conn) ... end)
--   local limit <close> = limits:begin(conn)
--   if limit.over then ...
--
-- The function is called once when the time is over, unless the limit was closed before.

local close_handle = require "tlslife.wait.closing"
local new_timer = require "tlslife.wait.timer"
local uv = require "luv"

local Limits = {}
Limits.__index = Limits

local Limit = {}

local function leave(limit)
    local list, before, after = limit.list, limit.before, limit.after
    if not list then return end
    limit.list = false
    if before then before.after = after else list.first = after end
    if after then after.before = before else list.last = before end
end

Limit.__close = leave

local function set_timer(self, time)
    if self.timer:is_closing() then return end
    if self.first then
        self.timer:set_repeat(math.max(1, self.first.due - time))
        self.timer:again()
    else
        self.timer:stop()
    end
end

-- What the function does may end other limits, and begin new ones.
local function look(self)
    local time, first = uv.now(), self.first
    while first and first.due <= time do
        leave(first)
        first.over = true
        pcall(self.on_over, first.of)
        first = self.first
    end
    set_timer(self, time)
end

--- Begins a limit of this connection.
function Limits:begin(conn)
    local time = uv.now()
    local limit = setmetatable({
        of = conn, due = time + self.ms, over = false, list = self, before = self.last or false,
        after = false,
    }, Limit)
    if self.last then self.last.after = limit else self.first = limit end
    self.last = limit
    if not self.timer:is_active() then set_timer(self, time) end
    return limit
end

function Limits:close()
    close_handle(self.timer)
end

local function new(seconds, on_over)
    local self = setmetatable({
        ms = math.ceil(seconds * 1000), on_over = on_over, first = false, last = false,
    }, Limits)
    self.timer = new_timer(function() pcall(look, self) end)
    return self
end

return {new = new}
