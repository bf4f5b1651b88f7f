-- tlslife.wait.cqueues: blocking calls of coroutines that a cqueues controller runs yield to it.
--
--   local cqueues = require "cqueues"
--   require "tlslife.wait.cqueues"
--   controller:wrap(function() conn:read() end)
--
-- A wait is one cqueues.poll of the descriptor, of a condition that wake signals, and of the seconds.
--
-- cqueues keeps by number what it has told the kernel about a descriptor, and takes it back when the coroutine yields
-- next. A descriptor that is closed in between - by the collector, which asks nobody - would make that fail, and cqueues
-- drop the coroutine. So it is told at once, by cqueues.cancel, as soon as nobody waits for the descriptor any more:
-- it would have asked the kernel for the same a little later. While somebody waits the owner is alive, and its
-- descriptor open. The owner also tells who waits for an older descriptor of that number, and does not count.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local core = require "tlslife.core"

local conditions = setmetatable({}, {__mode = "k"}) -- by coroutine: what wakes it
local waiters = {} -- by descriptor: {count = coroutines that wait for it, owner = whose it is}
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

--- Only what the controller itself resumes: a coroutine inside of such a one yields to that one, not to cqueues.
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
    -- What is ready comes in the order in which it was given. Nothing at all: the descriptor has failed, or another
    -- coroutine waited for it; the call that is tried again will see.
    return type(first) ~= "number"
end

function loop.wake(co)
    local woken = conditions[co]
    if woken then woken:signal() end
end

--- Wakes those, too, that poll the connection by themselves.
function loop.forget(fd)
    waiters[fd] = nil
    cqueues.cancel(fd)
end

return core.loop(loop)
