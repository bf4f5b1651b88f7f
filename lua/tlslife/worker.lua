-- tlslife.worker: says which worker of tlslife.serve this is, or false when it is none.
--
--   index        1..workers
--   control      a descriptor by which the parent gives orders; it ends with the parent
--   listeners    a list of tlslife.Listener: what the parent listens on, for all or for this worker
--   metrics      processes: the descriptor of the memory in which workers count, or nil
--   cache, ticket_keys   threads only: the parent's own objects, shared
--   thread       true in a thread
--
-- In a thread, the program tlslife has put another module in this one's place
-- (src/program/threads.c).
-- A process gets the values from its environment, in TLSLIFE_WORKER, as
-- "index:control:listener,listener:metrics". Where there is luv, the variable is removed, so that
-- programs that the worker starts do not take it for theirs.

local core = require "tlslife.core"

local NAME = "TLSLIFE_WORKER"
local INT_MAX = 0x7fffffff

local function refuse(value, why)
    error(("%s=%s: %s; it is for tlslife.serve, not for people"):format(NAME, value, why), 0)
end

local function number(value, text, least)
    local n = #text <= 10 and math.tointeger(tonumber(text))
    if not n or n < least or n > INT_MAX then refuse(value, "'" .. text .. "' is out of range") end
    return n
end

local function parse(value)
    local index, control, listeners, metrics = value:match "^(%d+):(%d+):([%d,]*):?(%d*)$"
    if not index then refuse(value, "'index:control:listener,listener:metrics' expected") end
    local worker = {
        index = number(value, index, 1), control = number(value, control, 0), listeners = {},
        thread = false, metrics = metrics ~= "" and number(value, metrics, 0) or nil,
    }
    for fd in listeners:gmatch "[^,]+" do
        worker.listeners[#worker.listeners + 1] = core.listen_fd(number(value, fd, 0))
    end
    return worker
end

local value = os.getenv(NAME)
if not value then return false end
local worker = parse(value)
local has_luv, uv = pcall(require, "luv")
if has_luv then uv.os_unsetenv(NAME) end
return worker
