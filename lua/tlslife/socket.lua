-- socket.lua: gives a connection the methods of LuaSocket's TCP objects (receive with patterns,
-- send with indices, settimeout with modes), for code that was written for those or for LuaSec's.
-- `require "tlslife.socket"(conn)` is tls.socket(conn).
--
-- The socket that this makes is a userdata, because programs ask type() and LuaSocket's select
-- calls its methods. Its state is a table, which a weak table finds. The drop-in for LuaSec
-- (luasec/connection.lua) has the same methods, and returns LuaSec's words for a wait.
--
-- One read takes a whole record. What receive does not return of it stays in the state, as text. So
-- nothing is copied twice, and an idle socket holds no buffer.

local core = require "tlslife.core"
local arguments = require "tlslife.arguments"

local find, sub, gsub, type = string.find, string.sub, string.gsub, type
local take_line = core.line
local concat, min, max = table.concat, math.min, math.max

local LARGE <const> = 1 << 53          -- bytes and indices beyond count as this one

-- The state of each socket: {conn, open, text, at, ...}. Bytes of text from at on were received and
-- not returned yet.
local states = setmetatable({}, {__mode = "k"})

local function clock()
    local ok, socket = pcall(require, "socket")
    clock = ok and socket.gettime or os.time
    return clock()
end

-- ------------------------------------------------------------------------------------------ state

local function new_state(conn, words)
    return {
        conn = conn, words = words, text = "", at = 1, received = 0, sent = 0, birth = clock(),
        open = conn ~= nil and conn:handshake_done(),
    }
end

local function state_of(sock)
    return states[sock] or arguments.raise("calling a method on a bad self (no socket of tlslife)")
end

-- Sets how long the connection's next call may wait.
local function limit(s, conn)
    local seconds = s.block
    if s.total then
        local left = max(s.total - (clock() - s.began), 0)
        seconds = seconds and min(seconds, left) or left
    end
    conn:set_blocking(seconds ~= 0)
    if seconds ~= 0 then conn:set_timeout(seconds) end
end

-- Returns what a call that ended early says of it, and notes what it waits for.
local function reason(s, why, err, default)
    if why == "want_read" or why == "want_write" or why == "timeout" then
        if why == "want_write" or (why == "timeout" and default == "write") then
            s.want = "write"
        else
            s.want = "read"
        end
    end
    return s.words(s, why, err)
end

-- ---------------------------------------------------------------------------------------- receive

-- The next bytes of the peer, or nil and why.
local function more(s)
    if not s.open then return nil, "closed" end
    local conn = s.conn
    if s.total then limit(s, conn) end
    local bytes, why, err = conn:read()
    if not bytes then return nil, reason(s, why, err, "read") end
    s.received = s.received + #bytes
    s.want = nil
    return bytes
end

-- Takes all that was received and not returned yet.
local function rest(s)
    local text, at = s.text, s.at
    s.text, s.at = "", 1
    return at == 1 and text or sub(text, at)
end

local function without_returns(line)
    return find(line, "\r", 1, true) and gsub(line, "\r", "") or line
end

local function receive_line(s, parts)
    local text, at = s.text, s.at
    while true do
        local len = #text
        if at <= len then
            local line, behind = take_line(text, at)
            if line then
                if behind > len then text, behind = "", 1 end
                s.text, s.at = text, behind
                return parts == "" and line or parts .. line, nil, nil
            end
            parts = parts .. without_returns(at == 1 and text or sub(text, at))
            s.text, s.at = "", 1
        end
        local why
        text, why = more(s)
        if not text then return nil, why, parts end
        s.text, at = text, 1
    end
end

local function receive_all(s, prefix)
    local parts = {prefix, rest(s)}
    while true do
        local bytes, why = more(s)
        if not bytes then
            local all = concat(parts)
            if why == "closed" and #all > #prefix then return all, nil, nil end
            return nil, why, all
        end
        parts[#parts + 1] = bytes
    end
end

-- Waits for a byte, and returns none.
local function receive_nothing(s)
    if s.at > #s.text then
        local bytes, why = more(s)
        if not bytes then return nil, why, "" end
        s.text, s.at = bytes, 1
    end
    return "", nil, nil
end

-- Returns the first n bytes, and keeps the others for the next receive.
local function split(s, bytes, n)
    s.text, s.at = bytes, n + 1
    return sub(bytes, 1, n)
end

local function receive_many(s, wanted, parts)
    while true do
        local bytes, why = more(s)
        if not bytes then return nil, why, concat(parts) end
        local len = #bytes
        if len >= wanted then
            parts[#parts + 1] = len == wanted and bytes or split(s, bytes, wanted)
            return #parts == 1 and parts[1] or concat(parts), nil, nil
        end
        parts[#parts + 1] = bytes
        wanted = wanted - len
    end
end

-- Returns wanted bytes of what comes next, where none is left of what was received.
local function receive_next(s, wanted)
    local bytes, why = more(s)
    if not bytes then return nil, why, "" end
    local len = #bytes
    if len == wanted then return bytes, nil, nil end
    if len > wanted then return split(s, bytes, wanted), nil, nil end
    return receive_many(s, wanted - len, {bytes})
end

local function receive_bytes(s, n, prefix)
    local wanted = n - #prefix
    if wanted <= 0 then
        if prefix ~= "" then return prefix, nil, nil end
        return receive_nothing(s)
    end
    local text, at = s.text, s.at
    if at > #text then
        if prefix == "" then return receive_next(s, wanted) end
        return receive_many(s, wanted, {prefix})
    end
    local stop = at + wanted - 1
    if stop <= #text then
        if stop == #text then
            s.text, s.at = "", 1
        else
            s.at = stop + 1
        end
        return prefix .. sub(text, at, stop), nil, nil
    end
    return receive_many(s, stop - #text, {prefix, rest(s)})
end

local Socket = {}

function Socket:receive(pattern, prefix)
    local s = states[self] or state_of(self)
    if s.total then s.began = clock() end
    if prefix == nil then -- as it is nearly always
        if pattern == nil or pattern == "*l" then return receive_line(s, "") end
        if type(pattern) == "number" and pattern > 0 and pattern < LARGE then
            return receive_bytes(s, pattern // 1 | 0, "")
        end
    end
    prefix = prefix == nil and "" or arguments.string(prefix, 2, "receive")
    local text = pattern == nil and "*l" or arguments.string(pattern, 1, "receive")
    local n = tonumber(pattern)
    if n and n >= 0 then return receive_bytes(s, min(n, LARGE) // 1 | 0, prefix) end
    local kind = sub(text, 1, 2)
    if kind == "*l" then return receive_line(s, prefix) end
    if kind == "*a" then return receive_all(s, prefix) end
    arguments.raise("bad argument #1 to 'receive' (invalid receive pattern)")
end

-- ------------------------------------------------------------------------------------------- send

-- An index that is cut to an integer, toward 0.
local function to_index(number)
    if number ~= number then return 0 end
    number = max(min(number, LARGE), -LARGE)
    return (number < 0 and -(-number // 1) or number // 1) | 0
end

function Socket:send(data, i, j)
    local s = states[self] or state_of(self)
    if type(data) ~= "string" then data = arguments.string(data, 1, "send") end
    local size = #data
    if i == nil and j == nil then
        i, j = 1, size
    else
        i = i == nil and 1 or to_index(arguments.number(i, 2, "send"))
        j = j == nil and -1 or to_index(arguments.number(j, 3, "send"))
        if i < 0 then i = size + i + 1 end
        if j < 0 then j = size + j + 1 end
        i, j = max(i, 1), min(j, size)
        if j < size then data = sub(data, 1, j) end
    end
    if i > j then return i - 1, nil, nil end
    if s.total then s.began = clock() end
    repeat
        if not s.open then return nil, "closed", i - 1 end
        local conn = s.conn
        if s.total then limit(s, conn) end
        local n, why, err = conn:write(data, i)
        if not n then return nil, reason(s, why, err, "write"), i - 1 end
        s.sent = s.sent + n
        i = i + n
    until i > j
    s.want = nil
    return j, nil, nil
end

-- --------------------------------------------------------------------------------------- the rest

function Socket:settimeout(seconds, mode)
    local s = states[self] or state_of(self)
    if seconds ~= nil then
        seconds = arguments.number(seconds, 1, "settimeout")
        if seconds ~= seconds then seconds = 0 end -- NaN
        -- a wait that may last longer has no limit
        if seconds < 0 or seconds > arguments.SECONDS_MAX then seconds = nil end
    end
    mode = mode == nil and "b" or sub(arguments.string(mode, 2, "settimeout"), 1, 1)
    if mode == "b" then
        s.block = seconds
    elseif mode == "t" or mode == "r" then
        s.total, s.began = seconds, clock()
    else
        arguments.raise("bad argument #2 to 'settimeout' (invalid timeout mode)")
    end
    if s.conn then limit(s, s.conn) end
    return 1
end

-- Makes the handshake, or goes on with it, for the method of this name. Returns true, or nil and
-- why.
local function handshake(s, name)
    local conn = s.conn
    if s.total then limit(s, conn) end
    local ok, why, err = arguments.judged(name, conn.handshake, conn)
    if not ok then return nil, reason(s, why, err, "read") end
    s.open, s.want = true, nil
    return true
end

-- A call after one that had to wait goes on with the same dial or handshake.
function Socket:connect(host, port)
    local s = states[self] or state_of(self)
    local conn = s.conn
    if not conn then return nil, "closed" end
    if s.open then return nil, "already connected" end
    if s.total then
        s.began = clock()
        limit(s, conn)
    end
    if not s.dialled then
        local ok, why, err = arguments.judged("connect", conn.dial, conn, host, port)
        if not ok then return nil, reason(s, why, err, "write") end
        s.dialled = true
    end
    local ok, why = handshake(s, "connect")
    if not ok then return nil, why end
    return 1
end

function Socket:dohandshake()
    local s = states[self] or state_of(self)
    if not s.conn then return nil, "closed" end
    if s.total then s.began = clock() end
    return handshake(s, "dohandshake")
end

-- Closes the connection. Its close_notify is sent if that is possible without waiting.
local function close(s)
    local conn = s.conn
    if not conn then return end
    s.conn, s.open, s.text, s.at, s.want = nil, false, "", 1, nil
    conn:close(0)
    if conn:fd() then conn:close_transport() end
    if s.owned then conn:free() end
end

function Socket:close()
    close(states[self] or state_of(self))
    return 1
end

function Socket:shutdown(how)
    local s = states[self] or state_of(self)
    if how ~= nil and how ~= "both" and how ~= "send" and how ~= "receive" then
        arguments.raise("bad argument #1 to 'shutdown' (invalid option '" .. tostring(how) .. "')")
    end
    if not s.open then return nil, "closed" end
    if how == "receive" then return 1 end
    local ok, why, err = s.conn:shutdown()
    if not ok then return nil, reason(s, why, err, "write") end
    return 1
end

function Socket:dirty()
    local s = states[self] or state_of(self)
    return s.at <= #s.text or (s.open and s.conn:timeout() == 0)
end

function Socket:want()
    local s = states[self] or state_of(self)
    return s.want or "nothing"
end

function Socket:getfd()
    local s = states[self] or state_of(self)
    return s.conn and s.conn:fd() or -1
end

function Socket:getstats()
    local s = states[self] or state_of(self)
    return s.received, s.sent, clock() - s.birth
end

function Socket:setstats(received, sent, age)
    local s = states[self] or state_of(self)
    received = received ~= nil and to_index(arguments.number(received, 1, "setstats"))
    s.received = received or s.received
    sent = sent ~= nil and to_index(arguments.number(sent, 2, "setstats"))
    s.sent = sent or s.sent
    age = (type(age) == "number" or type(age) == "string") and tonumber(age)
    if age then s.birth = clock() - age end
    return 1
end

function Socket:connection()
    return (states[self] or state_of(self)).conn
end

-- Calls a method of LuaSocket's TCP objects on our descriptor, which is lent for the call.
local function by_luasocket(self, method, ...)
    local s = state_of(self)
    local fd = s.conn and s.conn:fd()
    if not fd then return nil, "closed" end
    local ok, socket = pcall(require, "socket")
    if not ok then return nil, method .. " needs LuaSocket" end
    local lent = socket.tcp()
    lent:setfd(fd)
    local results = table.pack(pcall(lent[method], lent, ...))
    lent:setfd(-1)
    if not results[1] then arguments.raise(arguments.of_method(tostring(results[2]), method)) end
    return table.unpack(results, 2, results.n)
end

function Socket:setoption(name, value)
    return by_luasocket(self, "setoption", name, value)
end

function Socket:getoption(name)
    return by_luasocket(self, "getoption", name)
end

function Socket:getsockname()
    return by_luasocket(self, "getsockname")
end

function Socket:getpeername()
    local s = states[self] or state_of(self)
    local address = s.conn and s.conn:peer_address()
    if not address then return nil, "closed" end
    local host, port = core.split_address(address)
    return host, tonumber(port)
end

-- ---------------------------------------------------------------------------------------- sockets

local function words(_, why, err)
    if why == "want_read" or why == "want_write" then return "timeout" end
    if err and err.code == "system" and (err.errno == 104 or err.errno == 32) then
        return "closed" -- ECONNRESET, EPIPE: LuaSocket's word for them
    end
    return why
end

local make, metatable = core.class "tlslife.socket"
metatable.__index = Socket
metatable.__close = function(self) close(state_of(self)) end
metatable.__tostring = function(self)
    local s = state_of(self)
    return ("tlslife.socket: %p%s"):format(self, s.conn and "" or " (closed)")
end

local function new(conn)
    if core.type(conn) ~= "connection" then
        arguments.refuse(conn, 1, "socket", "tlslife.connection")
    end
    local self = make()
    local s = new_state(conn, words)
    s.block = conn:blocking() and conn:get_timeout() or nil
    if not conn:blocking() then s.block = 0 end
    states[self] = s
    return self
end

return setmetatable({
    states = states, methods = Socket, new_state = new_state, limit = limit, reason = reason,
    handshake = handshake, close = close, clock = function() return clock() end,
}, {__call = function(_, conn) return new(conn) end})
