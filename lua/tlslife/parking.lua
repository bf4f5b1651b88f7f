-- tlslife.parking: connections that wait for their next request without a coroutine, for a server
-- whose options have on_request.
--
-- A coroutine that waits in a read takes 2 KiB (docs/performance.md). A connection that is parked
-- takes a place in three arrays, whose index is its descriptor. A poller of this file watches the
-- descriptors. It goes on while their connections are served, so that a request costs no system
-- call here. When it reports a connection that is not parked, it stops watching that one.
--
--   local parking = Parking.new(function(conn, in_time) ... end)
--   parking:add(conn); parking:remove(conn); parking:close()
--
-- The function is called with true when there is something to read, and with false when the
-- connection's timeout is over. The connection is not parked any more then. The function raises
-- only if memory is short; then the connection is parked as before, and the function is called
-- again.
--
-- The program may free a connection that it has kept while it is parked here. Its descriptor drops
-- out of the poller then, and add returns the old connection when another one has its number.

local close_handle = require "tlslife.wait.closing"
local core = require "tlslife.core"
local new_deadlines = require "tlslife.wait.deadlines".new
local uv = require "luv"

local READ <const> = 1
local NEVER <const> = math.huge
local LATER <const> = 50 -- ms until what found no memory is tried again

local Parking = {}
Parking.__index = Parking

local function set_clock(self)
    local first = self.deadlines:first()
    if first == self.fires then return end
    self.fires = first
    if first then
        self.clock:start(math.max(first - uv.now(), 0), 0, self.on_clock)
    else
        self.clock:stop()
    end
end

-- Parks fd. The clock looks at it when the timeout is over, or earlier if that is planned already.
local function set_due(self, fd, seconds)
    local due = seconds and uv.now() + math.ceil(seconds * 1000) or NEVER
    local planned = self.planned[fd] or NEVER
    self.due[fd] = due
    if planned <= due then return end
    self.planned[fd] = due
    self.deadlines:add(due, fd)
    set_clock(self)
end

local function hand_over(self, fd, in_time)
    local due = self.due[fd]
    self.due[fd] = false
    local ok = pcall(self.on_ready, self.watched[fd], in_time)
    if not ok then self.due[fd] = due end
    return ok
end

local function on_came(self, fd)
    if self.due[fd] then return hand_over(self, fd, true) end
    self.poller:watch(fd, 0, true)
    self.watched[fd] = false
end

local function take_events(self)
    for i = 1, 2 * self.poller:events(self.list), 2 do on_came(self, self.list[i]) end
end

local function look(self, time)
    local fd, planned = self.deadlines:take(time)
    if not fd then return false end
    if self.planned[fd] ~= planned then return true end -- it was planned anew, for an earlier time
    self.planned[fd] = false
    local due = self.due[fd]
    local later = due and (due > time and due or not hand_over(self, fd, false) and time + LATER)
    if later and later < NEVER then
        self.planned[fd] = later
        -- This takes no memory, because the place of the one that was taken is free.
        self.deadlines:add(later, fd)
    end
    return true
end

local function on_clock(self)
    self.fires = nil
    local time = uv.now()
    repeat until not look(self, time)
    set_clock(self)
end

--- Parks a connection. Returns one that had its descriptor before and is parked still, or nil.
function Parking:add(conn)
    local fd = conn:fd()
    if not fd then error("on_request: the connection has no descriptor", 0) end
    local before = self.due[fd] and self.watched[fd]
    if self.watched[fd] ~= conn then
        local ok, message = self.poller:watch(fd, READ, false)
        if not ok then error(("cannot wait for descriptor %d: %s"):format(fd, message), 0) end
        self.watched[fd] = conn
    end
    conn:rest()
    set_due(self, fd, conn:get_timeout())
    return before or nil
end

--- Lets go of a connection, before its descriptor is closed.
function Parking:remove(conn)
    local known, fd = pcall(conn.fd, conn)
    if not known or not fd or self.watched[fd] ~= conn then return end
    self.watched[fd], self.due[fd] = false, false
    self.poller:watch(fd, 0, true)
end

function Parking:close()
    close_handle(self.watch)
    close_handle(self.clock)
    self.poller:close()
end

--- Makes a Parking. Its arrays have an entry for each descriptor: in watched the connection that
-- the poller watches, in due when its timeout is over (false: it is not parked), and in planned
-- when the clock looks at it next.
function Parking.new(on_ready)
    local self = setmetatable({
        on_ready = on_ready, poller = core.poller(), deadlines = new_deadlines(),
        watched = {}, due = {}, planned = {}, list = {}, clock = uv.new_timer(),
    }, Parking)
    self.on_clock = function() pcall(on_clock, self) end
    self.watch = uv.new_poll(self.poller:fd())
    self.watch:start("r", function() pcall(take_events, self) end)
    return self
end

return Parking
