--- clock.lua: sets the time of day of this process, which has spec/faults/clock.c loaded before it.
--
-- The time stands still where it was set, so that a seed decides what expires. The clock of
-- deadlines goes on.
--
--   clock.start()      stops at the next full hour, which is returned, in seconds since 1970
--   clock.set(at)      stops at that time; 0: the time of day goes on
--   clock.is_loaded()  false: this process cannot set its time
--   clock.bytes(at)    what the file of the clock has to hold

local clock = {}

local PATH <const> = os.getenv "TLSLIFE_CLOCK_FILE"
local HOUR <const> = 3600

function clock.bytes(at) return ("jj"):pack(0, at) end

function clock.is_loaded() return PATH ~= nil end

function clock.set(at)
    local file <close> = assert(io.open(assert(PATH, "no clock"), "r+b"))
    assert(file:write(clock.bytes(at)))
end

function clock.start()
    clock.set(0)
    local now = (os.time() // HOUR + 1) * HOUR
    clock.set(now)
    assert(os.time() == now, "the clock was not loaded")
    return now
end

return clock
