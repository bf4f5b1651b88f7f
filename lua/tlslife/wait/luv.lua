-- tlslife.wait.luv: makes blocking calls yield to luv's loop, in every coroutine. The coroutine
-- goes on in a callback of this file.
--
--   local uv = require "luv"
--   require "tlslife.wait.luv"
--   coroutine.wrap(function() conn:read() end)()
--   uv.run()
--
-- When a coroutine that goes on here raises, the error is written to standard error. A program may
-- replace loop.failed(co, message), which does it.
--
-- libuv watches one descriptor for all, that of a poller (tls.poller). The poller tells the kernel
-- at once what a coroutine waits for, and reports what is wrong with a descriptor. uv_poll would
-- need an object for each descriptor and would end the program when one is closed too early, and
-- luv would write a line to standard error for every connection that a peer has reset.
--
-- A descriptor stays watched when a wait is over. So a server that reads the next request from the
-- connection that it has just answered makes no system call for that. An event for which no
-- coroutine waits makes this file stop watching. The garbage collector closes descriptors without
-- calling this file. When a number comes back with another file, its owner is another, and the old
-- state is dropped. Of the coroutines that wait for a store, one goes on for each event: it
-- receives the answers of all lookups, and the module wakes those that they are for.
--
-- luv ends the program, with status 255, when a callback raises. So a callback of this file that
-- finds no memory says nothing, and what it was to do comes again: the poller reports events until
-- they are taken, and timers are set anew. What is changed in a table is changed where nothing is
-- left to be allocated.
--
-- A deadline is no timer of its own. A descriptor is in a list of deadlines at most once, and is
-- looked at again when the time has come. A server that gives every read 30 s changes that list
-- every 30 s, not with every read.

local core = require "tlslife.core"
local deadlines = require "tlslife.wait.deadlines".new()
local uv = require "luv"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local next, now = next, uv.now

local READ <const>, WRITE <const> = 1, 2
local NONE <const> = {}
local NO_MEMORY <const> = "not enough memory" -- as Lua raises it
local LATER <const> = 50 -- ms until what found no memory is tried again
-- what coroutine.resume says of a coroutine that has ended
local DEAD <const> = select(2, resume(coroutine.wrap(running)()))
local MASK <const> = {r = READ, w = WRITE, rw = READ | WRITE}

-- The state of each descriptor, by its number. Descriptors are small numbers, so these tables are
-- arrays: a descriptor has a place in each, and needs no table of its own.
local masks = {} -- what the poller watches
local waiters, wants = {}, {} -- the first coroutine that waits, and for what; or false, and 0
local owners = setmetatable({}, {__mode = "v"}) -- the owner
local fires_of = {} -- when its deadlines are looked at next, or false
local others = {} -- what other coroutines wait for, by coroutine; or nil

-- The descriptor and the deadline of each coroutine that waits.
local fd_of, due_of = {}, {}
-- How many coroutines wait, and how many descriptors are or were waited for.
local waiting, watched = 0, 0

local poller = assert(core.poller())
local watch, clock, waker = uv.new_poll(poller:fd()), uv.new_timer(), uv.new_timer()
local counted = true -- whether the watch keeps uv.run from returning

local loop = {name = "luv"}

function loop.running()
    local _, main = running()
    return not main
end

function loop.failed(co, message)
    local trace = debug.traceback(co, tostring(message))
    io.stderr:write("tlslife: a coroutine has failed: ", trace, "\n")
end

-- Raises the error why, unless it says that memory was short.
local function forgive(why)
    if why ~= NO_MEMORY then error(why, 0) end
end

local function go_on(co, ready)
    local ok, message = resume(co, ready, loop)
    if ok or message == DEAD then return end -- it may be closed meanwhile
    local told, why = pcall(loop.failed, co, message)
    if not told then forgive(why) end
end

-- ------------------------------------------------------------------------ what coroutines wait for

-- Lets uv.run go on as long as a coroutine waits.
local function count(yes)
    if counted == yes then return end
    counted = yes
    if yes then uv.ref(watch) else uv.unref(watch) end
end

-- Notes that the coroutine waits for a descriptor for which another one waits already.
local function enter_beside(fd, co, mask)
    others[fd] = others[fd] or {}
    others[fd][co] = mask
    local ok, why = pcall(rawset, fd_of, co, fd)
    if not ok then
        others[fd][co] = nil
        error(why, 0)
    end
end

local function enter(fd, co, mask)
    if waiters[fd] then
        enter_beside(fd, co, mask)
    else
        fd_of[co] = fd
        waiters[fd], wants[fd] = co, mask -- both are there already
    end
    waiting = waiting + 1
end

local function leave(fd, co)
    fd_of[co], due_of[co] = nil, nil
    waiting = waiting - 1
    local more = others[fd]
    if waiters[fd] ~= co then
        more[co] = nil
    else
        waiters[fd], wants[fd] = false, 0
        local other, mask = next(more or NONE)
        if other then waiters[fd], wants[fd], more[other] = other, mask, nil end
    end
    if more and not next(more) then others[fd] = nil end
end

local function wanted(fd)
    local mask = wants[fd]
    for _, one in next, others[fd] or NONE do mask = mask | one end
    return mask
end

local function set_mask(fd, mask)
    local ok, message = poller:watch(fd, mask, masks[fd] > 0)
    masks[fd] = ok and mask or 0
    return ok, message
end

-- The waiting coroutines for which is_for(co, mask) is true, as a list, since one that goes on may
-- wait again.
local function waiters_for(fd, is_for)
    local found, co = {}, waiters[fd]
    if co and is_for(co, wants[fd]) then found[1] = co end
    for other, mask in next, others[fd] or NONE do
        if is_for(other, mask) then found[#found + 1] = other end
    end
    return found
end

local function go_on_all(fd, list, ready)
    for _, co in ipairs(list) do
        if fd_of[co] == fd then -- one before it may have canceled it
            leave(fd, co)
            go_on(co, ready)
        end
    end
end

local function on_came_for_many(fd, came)
    local list = waiters_for(fd, function(_, mask) return mask & came ~= 0 end)
    if #list == 0 then set_mask(fd, wanted(fd)) end
    if core.type(owners[fd]) == "store" then list = {list[1]} end
    go_on_all(fd, list, true)
end

local function on_came(fd, came)
    local co = waiters[fd]
    if not co or others[fd] or wants[fd] & came == 0 then return on_came_for_many(fd, came) end
    leave(fd, co)
    go_on(co, true)
end

local list = {}

local function take_events()
    for i = 1, 2 * poller:events(list), 2 do
        if masks[list[i]] then on_came(list[i], list[i + 1]) end
    end
end

local function on_event()
    local ok, why = pcall(take_events)
    if not ok then forgive(why) end
    count(waiting > 0)
end

-- --------------------------------------------------------------------------------------- deadlines

local fires -- when the clock fires, or nil

local function set_clock()
    local first = deadlines:first()
    if first == fires then return end
    fires = first
    if first then clock:start(math.max(first - now(), 0), 0, loop.on_clock) else clock:stop() end
end

local function look(fd, time)
    local nearest = math.huge
    local over = waiters_for(fd, function(co)
        local due = due_of[co] or math.huge
        if due > time then nearest = math.min(nearest, due) end
        return due <= time
    end)
    fires_of[fd] = nearest < math.huge and nearest
    if fires_of[fd] then deadlines:add(nearest, fd) end
    go_on_all(fd, over, false)
end

local function is_due(fd, time)
    return fires_of[fd] == time
end

function loop.on_clock()
    local time = now()
    fires = nil
    repeat
        local fd, due = deadlines:take(time)
        if fd and is_due(fd, due) then
            local ok, why = pcall(look, fd, time)
            if not ok then
                forgive(why)
                fires_of[fd] = time + LATER
                -- This takes no memory, because the place of the one that was taken is free.
                deadlines:add(time + LATER, fd)
            end
        end
    until not fd
    set_clock()
    count(waiting > 0)
end

local function set_due(fd, co, seconds)
    local due = now() + math.ceil(seconds * 1000)
    due_of[co] = due
    local planned = fires_of[fd]
    if planned and planned <= due then return end
    fires_of[fd] = due
    deadlines:add(due, fd)
    if #deadlines > 2 * watched + 100 then deadlines:sift(is_due) end
    set_clock()
end

-- ----------------------------------------------------------------------------------------- waiting

local function own(fd, owner)
    if not masks[fd] then
        waiters[fd], wants[fd], fires_of[fd] = false, 0, false
        watched = watched + 1
    end
    owners[fd], masks[fd] = owner, 0
end

function loop.wait(fd, mode, seconds, owner)
    local co, mask = running(), MASK[mode]
    if owners[fd] ~= owner or not masks[fd] then own(fd, owner) end
    if masks[fd] & mask ~= mask then
        local ok, message = set_mask(fd, wanted(fd) | mask)
        if not ok then error(("luv cannot wait for descriptor %d: %s"):format(fd, message), 0) end
    end
    if seconds then set_due(fd, co, seconds) else due_of[co] = nil end
    enter(fd, co, mask)
    if not counted then count(true) end
    local ready, by = yield()
    if by ~= loop then loop.give_up(co) end -- code outside of this file has resumed it
    return ready ~= false
end

-- ------------------------------------------------------------------------------------------ waking

local woken, spare = {}, {} -- the coroutines that go on next; and an empty list
local woken_in = {} -- that list, by coroutine

-- Removes a coroutine that no longer waits.
function loop.give_up(co)
    woken_in[co] = nil
    if fd_of[co] then leave(fd_of[co], co) end
end

local function on_wake()
    local these = woken
    woken, spare = spare, these
    for i, co in ipairs(these) do
        these[i] = nil
        if woken_in[co] == these then
            woken_in[co] = nil
            go_on(co, true)
        end
    end
    count(waiting > 0)
end

function loop.wake(co)
    local fd = fd_of[co]
    if not fd then return end -- it does not wait, or is woken already
    woken_in[co] = woken
    woken[#woken + 1] = co
    leave(fd, co)
    if #woken == 1 then waker:start(0, 0, on_wake) end
end

local function any()
    return true
end

function loop.forget(fd, owner)
    if not masks[fd] or owners[fd] ~= owner then return end
    for _, co in ipairs(waiters_for(fd, any)) do loop.wake(co) end
    if masks[fd] > 0 then set_mask(fd, 0) end
    owners[fd] = nil
end

uv.unref(clock)
watch:start("r", on_event)
count(false)

return core.loop(loop)
