-- tlslife.testserver.faults: what a server can do wrong on purpose, so that a client can be seen to
-- bear it.

local uv = require "luv"

local faults = {}

local SILENT_SECONDS <const> = 600

--- Each fault by its name: what it does, for --help.
faults.list = {
    {"no-close-notify", "answers in full, and closes without close_notify"},
    {"truncated", "answers with half of the body, and closes without close_notify"},
    {"slow", "waits before the handshake and before each answer (--delay)"},
    {"expired", "has a self-signed certificate that is over since yesterday"},
    {"silent", "accepts, and says nothing"},
    {"plain", "answers in HTTP without TLS"},
    {"reset", "resets the connection at the first byte"},
}

faults.known = {}
for _, one in ipairs(faults.list) do faults.known[one[1]] = true end

--- Faults that a request can ask for, as the path /fault/NAME.
faults.of_answers = {["no-close-notify"] = true, truncated = true, slow = true}

--- Waits, in a coroutine of the server. Where the server closes the coroutine, the timer goes, too.
function faults.pause(seconds)
    local co, over, timer = coroutine.running(), false, uv.new_timer()
    local _ <close> = setmetatable({}, {__close = function() timer:close() end})
    timer:start(math.ceil(seconds * 1000), 0, function()
        over = true
        coroutine.resume(co)
    end)
    while not over do coroutine.yield() end
end

-- What the faults before TLS do with a connection. The connection is closed afterwards.
local before = {}

function before.silent(conn)
    conn:set_timeout(SILENT_SECONDS)
    while conn:plain_read() do end
end

function before.plain(conn)
    conn:plain_read()
    conn:plain_write "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
end

-- A socket that is closed with unread bytes resets the connection.
function before.reset(conn)
    conn:plain_read(1)
end

--- Commits a fault that comes before TLS. Returns whether the connection is over by that.
function faults.before(name, conn, delay)
    if name == "slow" then faults.pause(delay) end
    if not before[name] then return false end
    before[name](conn)
    return true
end

return faults
