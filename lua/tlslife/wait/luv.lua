-- tlslife.wait.luv: blocking calls yield to luv's loop, in every coroutine: it goes on in a callback of this file.
--
--   local uv = require "luv"
--   require "tlslife.wait.luv"
--   coroutine.wrap(function() conn:read() end)()
--   uv.run()
--
-- What a coroutine that went on here dies of is written to standard error: loop.failed(co, message) may be replaced.
--
-- A descriptor has one uv_poll handle, which is left started when a wait is over: a server that reads the next request
-- from the connection that it has just answered pays no epoll_ctl for that. The callback stops what fires though nobody
-- waits for it. Idle handles do not keep uv.run from returning.
--
-- A descriptor that is closed comes back with another file behind the same number. forget says when, except of what the
-- collector closes: so a handle knows its owner, weakly, and starts afresh for another. libuv does not hear of that:
-- beside luv's own sockets, close a connection that has waited here, do not drop it. And uv_poll sets O_NONBLOCK on what
-- it watches. Of those who wait for a store one goes on for each event: it takes everyone's answers off the wire, and
-- the module wakes whom they are for.
--
-- A deadline is no timer of its own. A descriptor has one timer, which looks, when it fires, whose time is over and
-- whether it must go on: a server that gives every read 30 s starts a timer every 30 s, not with every read.

local core = require "tlslife.core"
local uv = require "luv"

local resume, running, status, yield = coroutine.resume, coroutine.running, coroutine.status, coroutine.yield
local next, now, poll_start, poll_stop, timer_start = next, uv.now, uv.poll_start, uv.poll_stop, uv.timer_start
local ref, unref = uv.ref, uv.unref

local entries = {} -- by descriptor
local entry_of = {} -- by coroutine that waits
local WEAK = {__mode = "v"}

local loop = {name = "luv"}

function loop.running()
    local _, main = running()
    return not main
end

function loop.failed(co, message)
    io.stderr:write("tlslife: a coroutine has failed: ", debug.traceback(co, tostring(message)), "\n")
end

local function go_on(co, ready)
    if status(co) ~= "suspended" then return end -- closed meanwhile
    local ok, message = resume(co, ready)
    if not ok then loop.failed(co, message) end
end

-- ---------------------------------------------------------------------------------------- who waits for what

-- What is started libuv tells the kernel before it polls next, and aborts if the descriptor is closed by then. Methods say
-- when they close (forget); that the collector does not, the owner is kept so long: until the second look after a poll,
-- for the first may follow the very poll that has called us.
local untold, known, teller = {}, {}, uv.new_check()
unref(teller)

local function on_told()
    untold, known = {}, untold
    if not next(known) then uv.check_stop(teller) end
end

local function start(entry, events)
    entry.started = events
    poll_start(entry.handle, events, entry.on_event)
    if not next(untold) and not next(known) then uv.check_start(teller, on_told) end
    untold[entry] = entry.of[1]
end

local function stop(entry)
    if entry.started then poll_stop(entry.handle) end
    entry.started = nil
end

-- A handle that is counted keeps uv.run from returning: somebody waits.
local function count(entry)
    entry.counted = true
    ref(entry.handle)
end

local function discount(entry)
    entry.counted = false
    unref(entry.handle)
    if entry.timer then unref(entry.timer) end
end

-- Ends the wait of a coroutine. The handle goes on: the next wait may be for the same.
local function leave(entry, co)
    entry_of[co] = nil
    entry.modes[co] = nil
    entry.due[co] = nil
    if next(entry.modes) then return end
    discount(entry)
end

local function wanted(entry)
    local reads, writes = false, false
    for _, mode in next, entry.modes do
        reads = reads or mode ~= "w"
        writes = writes or mode ~= "r"
    end
    return reads and (writes and "rw" or "r") or writes and "w" or nil
end

-- A list, since whoever goes on may wait again. Without events, the descriptor has failed: all.
local function concerned(entry, events)
    local list = {}
    for co, mode in next, entry.modes do
        if not events or mode == "rw" or events:find(mode, 1, true) then
            list[#list + 1] = co
            if entry.store then break end
        end
    end
    return list
end

local function go_on_all(entry, list, ready)
    for _, co in ipairs(list) do
        if entry_of[co] == entry then -- those before may have canceled it
            leave(entry, co)
            go_on(co, ready)
        end
    end
end

-- It goes on, and most likely waits again: the handle is counted till then, and nothing is asked of libuv.
local function go_on_alone(entry, co)
    entry_of[co] = nil
    entry.modes[co] = nil
    entry.due[co] = nil
    go_on(co, true)
    if entry.counted and not next(entry.modes) then discount(entry) end
end

local function on_event(entry, events)
    local co, mode = next(entry.modes)
    if mode == events and co and not next(entry.modes, co) then -- one, and what it waits for: nearly always
        return go_on_alone(entry, co)
    end
    local list = concerned(entry, events)
    if not events then entry.started = nil end -- libuv has stopped it
    if #list == 0 then
        local wants = wanted(entry)
        if wants then start(entry, wants) else stop(entry) end
    end
    go_on_all(entry, list, true)
end

-- -------------------------------------------------------------------------------------------------- deadlines

local function arm(entry, due)
    entry.fires = due
    timer_start(entry.timer, math.max(due - now(), 0), 0, entry.on_timer)
end

local function on_timer(entry)
    local time, nearest, over = now(), math.huge, {}
    for co, due in next, entry.due do
        if due <= time then over[#over + 1] = co else nearest = math.min(nearest, due) end
    end
    entry.fires = nil
    if nearest < math.huge then arm(entry, nearest) end
    go_on_all(entry, over, false)
end

local function set_due(entry, co, seconds)
    local due = now() + math.ceil(seconds * 1000)
    entry.due[co] = due
    if entry.timer then ref(entry.timer) else entry.timer = uv.new_timer() end
    if not entry.fires or due < entry.fires then arm(entry, due) end
end

-- ---------------------------------------------------------------------------------------------------- waiting

local function new_entry(fd)
    local handle, message = uv.new_poll(fd)
    if not handle then error(("luv cannot wait for descriptor %d: %s"):format(fd, message), 0) end
    local entry = {handle = handle, modes = {}, due = {}, of = setmetatable({}, WEAK)}
    function entry.on_event(failure, events) on_event(entry, not failure and events or nil) end
    function entry.on_timer() on_timer(entry) end
    unref(handle)
    entries[fd] = entry
    return entry
end

local function entry_for(fd, owner)
    local entry = entries[fd] or new_entry(fd)
    local of = entry.of
    if of[1] ~= owner then
        stop(entry)
        of[1] = owner
        entry.store = core.type(owner) == "store"
    end
    return entry
end

function loop.wait(fd, mode, seconds, owner)
    local co, entry = running(), entry_for(fd, owner)
    if not entry.counted then count(entry) end
    entry.modes[co] = mode
    entry_of[co] = entry
    if seconds then set_due(entry, co, seconds) end
    local started = entry.started
    if started ~= mode and started ~= "rw" then start(entry, started and wanted(entry) or mode) end
    local ready = yield()
    if entry_of[co] == entry then leave(entry, co) else entry_of[co] = nil end -- where somebody else has resumed it
    return ready ~= false
end

-- ----------------------------------------------------------------------------------------------------- waking

local woken, waker = {}, nil

local function on_wake()
    local list = woken
    woken = {}
    for _, co in ipairs(list) do
        if entry_of[co] == list then
            entry_of[co] = nil
            go_on(co, true)
        end
    end
end

function loop.wake(co)
    local entry = entry_of[co]
    if not entry or not entry.handle then return end -- does not wait, or is woken already
    leave(entry, co)
    entry_of[co] = woken
    woken[#woken + 1] = co
    waker = waker or uv.new_timer()
    if #woken == 1 then timer_start(waker, 0, 0, on_wake) end
end

function loop.forget(fd, owner)
    local entry = entries[fd]
    if not entry or entry.of[1] ~= owner then return end
    for co in next, entry.modes do loop.wake(co) end
    stop(entry)
    entry.of[1] = nil
end

return core.loop(loop)
