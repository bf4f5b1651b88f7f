-- tlslife.signals: watches SIGTERM, SIGINT and SIGHUP, by luv. A second SIGTERM or SIGINT stops the
-- server at once.
--
-- One event may arrive as two signals: timeout(1) sends one to the process and one to its group,
-- and a terminal sends one to the group while a supervisor passes another on. So a second signal
-- counts only if it comes SAME milliseconds after the first or later.

local uv = require "luv"

local signals = {}

local SAME <const> = 100 -- ms within which two signals are one

local Handles = {}
Handles.__index = Handles

--- Closes the handles, and runs the loop once. When luv closes with the state while handles are
-- still being closed, it uses their memory after it has freed it.
--
-- A second signal of the same event would find no handle, and end the program with a status that
-- says that it was killed. So the handles stay until that signal must have come.
function Handles:close()
    if self.first then
        uv.update_time()
        uv.sleep(math.max(SAME - (uv.now() - self.first), 0))
    end
    for _, handle in ipairs(self) do handle:close() end
    uv.run "nowait"
end

local function ignore() end

--- Calls stop() at the first SIGTERM or SIGINT, stop(0) at the second, and reload() at SIGHUP.
-- parted: SIGINT and SIGHUP, which a terminal sends to parent and workers, are ignored, because the
-- parent passes them on.
function signals.watch(calls)
    local handles = setmetatable({}, Handles)
    local function on_stop()
        uv.update_time()
        if not handles.first then
            handles.first = uv.now()
            calls.stop()
        elseif uv.now() - handles.first >= SAME then
            calls.stop(0)
        end
    end
    local actions = {
        sigterm = on_stop, sigint = calls.parted and ignore or on_stop,
        sighup = calls.reload or ignore,
    }
    for name, call in pairs(actions) do
        local handle = uv.new_signal()
        handle:start(name, call)
        handles[#handles + 1] = handle
    end
    return handles
end

--- The handles of a thread, which has none: the main thread gets the signals.
function signals.none()
    return setmetatable({}, Handles)
end

return signals
