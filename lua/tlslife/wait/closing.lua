-- tlslife.wait.closing: closes a handle of luv's, so that a script may end before the loop has run
-- again.
--
-- Where Lua's state is closed, luv frees each handle of the state, and lets libuv run once more
-- after that. libuv then reads the handles that were closing already, and the process crashes (luv
-- 1.44 and 1.48: `lua5.4 -e 'require "luv".new_timer():close()'`). Finalizers run in the reverse
-- order in which their objects were made, so one that is newer than the handle lets libuv finish
-- with it first.

local uv = require "luv"

local newest

local function finish(object)
    if object == newest then pcall(uv.run, "nowait") end -- an older one is collected as garbage
end

local metatable <const> = {__gc = finish}

return function(handle)
    handle:close()
    newest = setmetatable({}, metatable)
end
