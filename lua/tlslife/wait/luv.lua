-- tlslife.wait.luv: blocking calls yield to luv's loop, in every coroutine: it goes on in a callback of this file.
--
--   local uv = require "luv"
--   require "tlslife.wait.luv"
--   coroutine.wrap(function() conn:read() end)()
--   uv.run()
--
-- What a coroutine that went on here dies of is written to standard error: loop.failed(co, message) may be replaced.
--
-- libuv watches one descriptor for all: a poller (tls.poller), to which the kernel is told at once what is waited for, and
-- which also knows what is wrong with a descriptor. (uv_poll would be an object for each, ends the program when one is closed
-- too early, and luv writes a line to standard error for every connection that a peer has reset.)
--
-- A descriptor stays watched when a wait is over: a server that reads the next request from the connection that it has just
-- answered asks nothing of the kernel. What is told though nobody waits for it is left out then. A descriptor that comes
-- back with another file behind the same number has another owner, by which that is seen; the collector closes without a
-- word. Of those who wait for a store one goes on for each event: it takes everyone's answers off the wire, and
-- the module wakes whom they are for.
--
-- A deadline is no timer of its own: a descriptor is in a list of deadlines, once, and looked at again when the time has
-- come. A server that gives every read 30 s touches that list every 30 s, not with every read.

local core = require "tlslife.core"
local deadlines = require "tlslife.wait.deadlines".new()
local uv = require "luv"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local next, now = next, uv.now

local READ <const>, WRITE <const> = 1, 2
local NOBODY <const> = {}
local DEAD <const> = select(2, resume(coroutine.wrap(running)())) -- what resume says of one that has ended
local MASK <const> = {r = READ, w = WRITE, rw = READ | WRITE}

-- By descriptor: fd; mask, which is watched; co and wants: who waits, and for what, or nil and 0; more: the same of others,
-- by coroutine, or nil. A fifth field would double a table that each connection has.
local entries = {}
local fires_of = {} -- by entry: when its deadlines are looked at
local owners = setmetatable({}, {__mode = "v"}) -- by descriptor: whose it is
local entry_of, due_of = {}, {} -- by coroutine that waits
local waiting, watched = 0, 0 -- how many coroutines, and descriptors that are or were waited for

local poller = core.poller()
local watch, clock, waker = uv.new_poll(poller:fd()), uv.new_timer(), uv.new_timer()
local counted = true -- the watch keeps uv.run from returning

local loop = {name = "luv"}

function loop.running()
    local _, main = running()
    return not main
end

function loop.failed(co, message)
    io.stderr:write("tlslife: a coroutine has failed: ", debug.traceback(co, tostring(message)), "\n")
end

local function go_on(co, ready)
    local ok, message = resume(co, ready, loop)
    if not ok and message ~= DEAD then loop.failed(co, message) end -- dead: closed meanwhile
end

-- ---------------------------------------------------------------------------------------- who waits for what

-- uv.run goes on as long as somebody waits.
local function count(yes)
    if counted == yes then return end
    counted = yes
    if yes then uv.ref(watch) else uv.unref(watch) end
end

local function enter(entry, co, mask)
    entry_of[co] = entry
    waiting = waiting + 1
    if not entry.co then
        entry.co, entry.wants = co, mask
    else
        entry.more = entry.more or {}
        entry.more[co] = mask
    end
end

local function leave(entry, co)
    entry_of[co], due_of[co] = nil, nil
    waiting = waiting - 1
    local more = entry.more
    if entry.co ~= co then
        more[co] = nil
    elseif more then
        entry.co, entry.wants = next(more)
        if entry.co then more[entry.co] = nil end
    else
        entry.co, entry.wants = nil, 0
    end
    if more and not next(more) then entry.more = nil end
end

local function wanted(entry)
    local mask = entry.wants
    for _, one in next, entry.more or NOBODY do mask = mask | one end
    return mask
end

local function set_mask(entry, mask)
    local ok, message = poller:watch(entry.fd, mask, entry.mask > 0)
    entry.mask = ok and mask or 0
    return ok, message
end

-- Those for whom is_for(co, mask) is true. A list, since whoever goes on may wait again.
local function those(entry, is_for)
    local found = {}
    if entry.co and is_for(entry.co, entry.wants) then found[1] = entry.co end
    for co, mask in next, entry.more or NOBODY do
        if is_for(co, mask) then found[#found + 1] = co end
    end
    return found
end

local function go_on_all(entry, list, ready)
    for _, co in ipairs(list) do
        if entry_of[co] == entry then -- those before may have canceled it
            leave(entry, co)
            go_on(co, ready)
        end
    end
end

local function on_came_for_many(entry, came)
    local list = those(entry, function(_, mask) return mask & came ~= 0 end)
    if #list == 0 then set_mask(entry, wanted(entry)) end
    if core.type(owners[entry.fd]) == "store" then list = {list[1]} end
    go_on_all(entry, list, true)
end

local function on_came(entry, came)
    local co = entry.co
    if not co or entry.more or entry.wants & came == 0 then return on_came_for_many(entry, came) end
    leave(entry, co)
    go_on(co, true)
end

local list = {}

local function on_event()
    for i = 1, 2 * poller:events(list), 2 do
        local entry = entries[list[i]]
        if entry then on_came(entry, list[i + 1]) end
    end
    count(waiting > 0)
end

-- -------------------------------------------------------------------------------------------------- deadlines

local fires -- when the clock does

local function set_clock()
    local first = deadlines:first()
    if first == fires then return end
    fires = first
    if first then clock:start(math.max(first - now(), 0), 0, loop.on_clock) else clock:stop() end
end

local function look(entry, time)
    local nearest = math.huge
    local over = those(entry, function(co)
        local due = due_of[co] or math.huge
        if due > time then nearest = math.min(nearest, due) end
        return due <= time
    end)
    fires_of[entry] = nearest < math.huge and nearest or nil
    if fires_of[entry] then deadlines:add(nearest, entry) end
    go_on_all(entry, over, false)
end

local function is_due(entry, time)
    return fires_of[entry] == time
end

function loop.on_clock()
    local time = now()
    fires = nil
    repeat
        local entry, due = deadlines:take(time)
        if entry and is_due(entry, due) then look(entry, time) end
    until not entry
    set_clock()
    count(waiting > 0)
end

local function set_due(entry, co, seconds)
    local due = now() + math.ceil(seconds * 1000)
    due_of[co] = due
    local planned = fires_of[entry]
    if planned and planned <= due then return end
    fires_of[entry] = due
    deadlines:add(due, entry)
    if #deadlines > 2 * watched + 100 then deadlines:sift(is_due) end
    set_clock()
end

-- ---------------------------------------------------------------------------------------------------- waiting

local function entry_for(fd, owner)
    local entry = entries[fd]
    if not entry then
        entry = {fd = fd, mask = 0, wants = 0}
        entries[fd] = entry
        watched = watched + 1
    end
    if owners[fd] ~= owner then
        owners[fd] = owner
        entry.mask = 0
    end
    return entry
end

function loop.wait(fd, mode, seconds, owner)
    local co, entry, mask = running(), entry_for(fd, owner), MASK[mode]
    if entry.mask & mask ~= mask then
        local ok, message = set_mask(entry, wanted(entry) | mask)
        if not ok then error(("luv cannot wait for descriptor %d: %s"):format(fd, message), 0) end
    end
    enter(entry, co, mask)
    if not counted then count(true) end
    if seconds then set_due(entry, co, seconds) end
    local ready, by = yield()
    if by ~= loop then loop.give_up(co) end -- somebody else has resumed it
    return ready ~= false
end

-- ----------------------------------------------------------------------------------------------------- waking

local woken = {}

-- The coroutine does not wait any more.
function loop.give_up(co)
    local entry = entry_of[co]
    if entry and entry.fd then leave(entry, co) else entry_of[co] = nil end
end

local function on_wake()
    local these = woken
    woken = {}
    for _, co in ipairs(these) do
        if entry_of[co] == these then
            entry_of[co] = nil
            go_on(co, true)
        end
    end
    count(waiting > 0)
end

function loop.wake(co)
    local entry = entry_of[co]
    if not entry or not entry.fd then return end -- does not wait, or is woken already
    leave(entry, co)
    entry_of[co] = woken
    woken[#woken + 1] = co
    if #woken == 1 then waker:start(0, 0, on_wake) end
end

local function everybody()
    return true
end

function loop.forget(fd, owner)
    local entry = entries[fd]
    if not entry or owners[fd] ~= owner then return end
    for _, co in ipairs(those(entry, everybody)) do loop.wake(co) end
    if entry.mask > 0 then set_mask(entry, 0) end
    owners[fd] = nil
end

uv.unref(clock)
watch:start("r", on_event)
count(false)

return core.loop(loop)
