-- tlslife.parking: connections that wait for their next request without a coroutine, for a server
-- whose options have on_request.
--
-- A coroutine that waits in a read takes 2 KiB (docs/performance.md). A connection that is parked
-- takes a place in three arrays, whose index is its descriptor. A poller of this file watches the
-- descriptors. It goes on while their connections are served, so that a request costs no system
-- call here. When it reports a connection that is not parked, it stops watching that one.
--
--   local parking = Parking.new(function(conn, in_time) ... end)
--   parking:add(conn, taken); parking:again(conn); parking:remove(conn); parking:close()
--
-- The function is called with true when there is something to read, and with false when the
-- connection's timeout is over. The connection is not parked any more then. The function raises
-- only if memory is short; then the connection is parked as before, and the function is called
-- again. A third argument says whether the peer sends no more than what is there.
--
-- What a call has left unread would be reported at once and for ever. So a connection of which
-- nothing was read is parked with taken = false, until more comes. One whose bytes were read in
-- part, and wait in OpenSSL's memory, is parked by again: the function is called in the loop's next
-- turn, so that a client that sends much at once does not keep the loop from the others. An idle
-- handle of luv is called once a turn. A timer that its callback starts again with 0 is due in the
-- same turn (libuv before 1.45).
--
-- The program may free a connection that it has kept while it is parked here. Its descriptor drops
-- out of the poller then, and add returns the old connection when another one has its number.

local close_handle = require "tlslife.wait.closing"
local new_timer = require "tlslife.wait.timer"
local core = require "tlslife.core"
local new_deadlines = require "tlslife.wait.deadlines".new
local uv = require "luv"

local READ <const>, ANEW <const>, ENDED <const> = 1, 4, 4
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

-- An event about what comes anew is not reported again, unless it is asked for again.
local function hand_over(self, fd, in_time, ended)
    local due = self.due[fd]
    self.due[fd] = false
    local ok = pcall(self.on_ready, self.watched[fd], in_time, ended)
    if not ok then
        self.due[fd] = due
        if self.anew[fd] then self.poller:watch(fd, READ | ANEW, true) end
    end
    return ok
end

local function on_came(self, fd, came)
    if self.due[fd] then return hand_over(self, fd, true, came & ENDED ~= 0) end
    self.poller:watch(fd, 0, true)
    self.watched[fd] = false
end

local function take_events(self)
    local list = self.list
    for i = 1, 2 * self.poller:events(list), 2 do on_came(self, list[i], list[i + 1]) end
end

-- Whether a connection that is to be served again is so: it is parked still, and its bytes are
-- there. If there is no memory for it, it stays in the list.
local function go_on(self, conn)
    self.listed[conn] = nil
    local known, fd = pcall(conn.fd, conn)
    if not known or not fd or self.watched[fd] ~= conn or not self.due[fd] then return true end
    return not conn:has_pending() or hand_over(self, fd, true)
end

-- Those that are added meanwhile, behind the others, have their turn later. Nothing is allocated.
local function on_soon(self)
    local soon = self.soon
    local before, left = #soon, 0
    for i = 1, before do
        local conn = soon[i]
        if not go_on(self, conn) then
            left = left + 1
            soon[left] = conn
        end
    end
    local came = #soon > before
    table.move(soon, before + 1, #soon, left + 1)
    for i = #soon, #soon - (before - left) + 1, -1 do soon[i] = nil end
    if came then return end
    self.turns:stop()
    if left > 0 then self.soon_timer:start(LATER, 0, self.on_soon) end
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

local function watch(self, fd, conn, taken)
    local known, anew = self.watched[fd] == conn, not taken or nil
    if known and self.anew[fd] == anew then return end
    local ok, message = self.poller:watch(fd, anew and READ | ANEW or READ, known)
    if not ok then error(("cannot wait for descriptor %d: %s"):format(fd, message), 0) end
    self.watched[fd], self.anew[fd] = conn, anew
end

--- Parks a connection. Returns one that had its descriptor before and is parked still, or nil.
function Parking:add(conn, taken)
    local fd = conn:fd()
    if not fd then error("on_request: the connection has no descriptor", 0) end
    local before = self.due[fd] and self.watched[fd]
    watch(self, fd, conn, taken)
    set_due(self, fd, conn:get_timeout())
    return before or nil
end

--- Parks a connection whose bytes are there. Returns the same. The poller may report one that is in
-- the list already. It stays there once, or its turns would become more and more.
function Parking:again(conn)
    local soon, listed = self.soon, self.listed
    if not listed[conn] then
        soon[#soon + 1] = conn
        listed[conn] = true
    end
    self.turns:start(self.on_soon)
    return self:add(conn, true)
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
    close_handle(self.turns)
    close_handle(self.soon_timer)
    self.poller:close()
end

--- Makes a Parking. Its arrays have an entry for each descriptor: in watched the connection that
-- the poller watches, in due when its timeout is over (false: it is not parked), and in planned
-- when the clock looks at it next. anew has the few of which only what comes anew is reported, and
-- soon the connections that are to be served in the next turn, which are the keys of listed.
function Parking.new(on_ready)
    local self = setmetatable({
        on_ready = on_ready, poller = assert(core.poller()), deadlines = new_deadlines(),
        watched = {}, due = {}, planned = {}, anew = {}, soon = {}, listed = {}, list = {},
        clock = uv.new_timer(), turns = uv.new_idle(),
    }, Parking)
    self.on_soon = function() pcall(on_soon, self) end
    self.turns:start(self.on_soon) -- so that luv has a record of it, as new_timer does
    self.turns:stop()
    self.soon_timer = new_timer(self.on_soon)
    self.on_clock = function() pcall(on_clock, self) end
    self.watch = uv.new_poll(self.poller:fd())
    self.watch:start("r", function() pcall(take_events, self) end)
    return self
end

return Parking
