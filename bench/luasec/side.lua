-- side.lua: measures one side of bench/luasec.lua, which is LuaSec or the drop-in. Both get the
-- same calls.
--
--     lua5.4 [-l tlslife.luasec] side.lua ROW OPERATIONS CERTIFICATE KEY
--
-- Both ends are in this process, over loopback. Prints the nanoseconds of processor time of one
-- operation, or the bytes that one connection holds.
local socket = require "socket"
local ssl = require "ssl"

local row, operations, certificate, key = arg[1], tonumber(arg[2]), arg[3], arg[4]
local listener = assert(socket.bind("127.0.0.1", 0, 512))
local _, port = listener:getsockname()

local function contexts(protocol)
    return assert(ssl.newcontext { mode = "client", protocol = protocol, verify = "peer",
        cafile = certificate }), assert(ssl.newcontext { mode = "server", protocol = protocol,
        certificate = certificate, key = key })
end

local function connect(client_context, server_context, name)
    local near = assert(socket.tcp())
    assert(near:connect("127.0.0.1", port))
    local far = assert(listener:accept())
    near:setoption("tcp-nodelay", true)
    far:setoption("tcp-nodelay", true)
    local client = assert(ssl.wrap(near, client_context))
    local server = assert(ssl.wrap(far, server_context))
    client:sni(name or "localhost")
    client:settimeout(0)
    server:settimeout(0)
    local a, b
    repeat
        a = a or client:dohandshake()
        b = b or server:dohandshake()
    until a and b
    client:settimeout(5)
    server:settimeout(5)
    return client, server
end

local function timed(work, n)
    work(math.max(1, n // 10))
    collectgarbage()
    local start = os.clock()
    work(n)
    return (os.clock() - start) * 1e9 / n
end

-- Sends a byte, so that a client of TLS 1.3 has its tickets, and closes both ends.
local function finish(client, server)
    server:send "x"
    assert(client:receive(1) == "x")
    client:close()
    server:close()
end

-- With names, each connection has another one, under which there is no session.
local function handshakes(protocol, names)
    local client_context, server_context = contexts(protocol)
    local count = 0
    return function(n)
        for _ = 1, n do
            count = count + 1
            finish(connect(client_context, server_context,
                names and "a" .. count .. ".example"))
        end
    end
end

-- The client has a table of parameters for each connection, as in most of LuaSec's samples.
local function tables(n)
    local _, server_context = contexts "any"
    for _ = 1, n do
        finish(connect({ mode = "client", protocol = "any", verify = "peer",
            cafile = certificate }, server_context))
    end
end

local function data(len)
    local client, server = connect(contexts "any")
    local text = ("x"):rep(len)
    return function(n)
        for _ = 1, n do
            client:send(text)
            assert(#server:receive(len) == len)
        end
    end
end

local function lines()
    local client, server = connect(contexts "any")
    local text = ("x"):rep(63) .. "\n"
    return function(n)
        for _ = 1, n do
            client:send(text)
            assert(#server:receive "*l" == 63)
        end
    end
end

local REQUEST <const> = "GET /a/path HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n"
    .. "Accept: */*\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\n\r\n"
local RESPONSE <const> = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    .. "Content-Length: 1024\r\nServer: bench\r\nConnection: keep-alive\r\n\r\n" .. ("b"):rep(1024)

local function read_head(conn)
    repeat local line = conn:receive "*l" until line == ""
end

local function requests()
    local client, server = connect(contexts "any")
    return function(n)
        for _ = 1, n do
            client:send(REQUEST)
            read_head(server)
            server:send(RESPONSE)
            read_head(client)
            assert(#client:receive(1024) == 1024)
        end
    end
end

local function resident()
    collectgarbage()
    collectgarbage()
    local file = assert(io.open "/proc/self/statm")
    local pages = file:read "a":match "^%d+ (%d+)"
    file:close()
    return tonumber(pages) * 4096
end

-- Of both ends, which have exchanged a line, divided by two.
local function idle(n)
    local client_context, server_context = contexts "any"
    local kept = {}
    local function open(count)
        for _ = 1, count do
            local client, server = connect(client_context, server_context)
            server:send "hello\n"
            assert(client:receive "*l" == "hello")
            kept[#kept + 1] = { client, server }
        end
    end
    open(20)
    local before = resident()
    open(n)
    return (resident() - before) / n / 2
end

local ROWS <const> = {
    full12 = function(n) return timed(handshakes("tlsv1_2", true), n) end,
    full13 = function(n) return timed(handshakes("tlsv1_3", true), n) end,
    again12 = function(n) return timed(handshakes "tlsv1_2", n) end,
    again13 = function(n) return timed(handshakes "tlsv1_3", n) end,
    tables = function(n) return timed(tables, n) end,
    record = function(n) return timed(data(16384), n) end,
    small = function(n) return timed(data(64), n) end,
    line = function(n) return timed(lines(), n) end,
    request = function(n) return timed(requests(), n) end,
    idle = idle,
}

print(("%.1f"):format(ROWS[row](operations)))
