-- tlslife.signals: SIGTERM and SIGINT, of which a second one is in a hurry, and SIGHUP, by luv.
--
-- What stands above a server may send one signal twice: timeout(1) to the process and to its group, a terminal to the group
-- while a supervisor passes it on. So a second one counts a moment after the first.

local uv = require "luv"

local signals = {}

local SAME <const> = 100 -- ms

local Handles = {}
Handles.__index = Handles

--- Also runs the loop once, for what was closed until now: luv frees what is still being closed when the state is, and
-- then looks at it.
function Handles:close()
    for _, handle in ipairs(self) do handle:close() end
    uv.run "nowait"
end

local function ignore() end

--- Calls stop(), and stop(0) for the second; reload(). parted: a parent tells of SIGINT and SIGHUP, which a terminal sends to all.
function signals.watch(calls)
    local first
    local function on_stop()
        uv.update_time()
        if not first then
            first = uv.now()
            calls.stop()
        elseif uv.now() - first >= SAME then
            calls.stop(0)
        end
    end
    local handles = setmetatable({}, Handles)
    for name, call in pairs {sigterm = on_stop, sigint = calls.parted and ignore or on_stop, sighup = calls.reload or ignore} do
        local handle = uv.new_signal()
        handle:start(name, call)
        handles[#handles + 1] = handle
    end
    return handles
end

--- In a thread: signals are the main one's.
function signals.none()
    return setmetatable({}, Handles)
end

return signals
