-- tlslife.wait.cqueues: makes blocking calls yield to cqueues, in coroutines that one of its
-- controllers runs.
--
--   local cqueues = require "cqueues"
--   require "tlslife.wait.cqueues"
--   controller:wrap(function() conn:read() end)
--
-- A wait is one cqueues.poll of the descriptor, of a condition that wake signals, and of the
-- seconds.
--
-- cqueues remembers by number which descriptors the kernel watches, and has the kernel forget one
-- when the coroutine yields next. If the garbage collector has closed the descriptor meanwhile,
-- that fails, and cqueues drops the coroutine. So this file calls cqueues.cancel, which does the
-- same at once, as soon as no coroutine waits for the descriptor. While one waits, the owner is
-- alive and its descriptor open. Another owner shows that the number was reused; coroutines that
-- wait for the older descriptor are not counted.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local core = require "tlslife.core"

local conditions = setmetatable({}, {__mode = "k"}) -- by coroutine: what wakes it
local waiters = {} -- by descriptor: {count = coroutines that wait, owner = its owner}
local WEAK = {__mode = "v"}

local function enter(fd, owner)
    local here = waiters[fd]
    if not here or here.owner ~= owner then
        here = setmetatable({count = 0, owner = owner}, WEAK)
        waiters[fd] = here
    end
    here.count = here.count + 1
    return here
end

local function leave(fd, here)
    here.count = here.count - 1
    if here.count == 0 and waiters[fd] == here then
        waiters[fd] = nil
        cqueues.cancel(fd)
    end
end

local loop = {name = "cqueues"}

--- true only in a coroutine that the controller itself resumes. One inside of that yields to that
-- one, not to cqueues.
function loop.running()
    local _, ours = cqueues.running()
    return ours
end

function loop.wait(fd, mode, seconds, owner)
    local co = coroutine.running()
    local woken = conditions[co]
    if not woken then
        woken = condition.new()
        conditions[co] = woken
    end
    local here = enter(fd, owner)
    local first = cqueues.poll({pollfd = fd, events = mode}, woken, seconds)
    leave(fd, here)
    -- cqueues.poll returns what is ready in the order in which it was given. It returns nothing
    -- when the descriptor has failed or another coroutine waits for it; then the call is tried
    -- again.
    return type(first) ~= "number"
end

function loop.wake(co)
    local woken = conditions[co]
    if woken then woken:signal() end
end

--- Also wakes coroutines that poll the connection by cqueues.poll themselves.
function loop.forget(fd)
    waiters[fd] = nil
    cqueues.cancel(fd)
end

return core.loop(loop)
