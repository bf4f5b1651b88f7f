-- An HTTPS proxy: clients speak TLS to it, and send CONNECT (curl --proxy https://…). A tunnel
-- mostly carries TLS again, so that the client's connection is TLS in TLS. The proxy connects to
-- this machine alone. Needs luv (Debian: lua-luv), cert.pem and key.pem.
-- Usage: tlslife https_proxy.lua [address]
local tls = require "tlslife"

local HEAD_MAX <const> = 8192
local HOSTS <const> = { localhost = true, ["127.0.0.1"] = true, ["::1"] = true }
-- A connection of this context never makes a handshake: it moves plain bytes.
local plain = assert(tls.context { role = "client", verify = "none", timeout = 60 })

-- Reads the request's head, byte by byte: what follows it belongs to the tunnel.
local function target(conn)
    local head = ""
    repeat
        local byte = conn:read(1)
        if not byte or #head == HEAD_MAX then return nil end
        head = head .. byte
    until head:sub(-4) == "\r\n\r\n"
    return head:match "^CONNECT (%S+) HTTP/1%.[01]\r\n"
end

local function open(address)
    local ok, host, port = pcall(tls.split_address, address or "")
    if not ok or not port then return nil, "400 Bad Request" end
    if not HOSTS[host] then return nil, "403 Forbidden" end
    local peer = assert(plain:connection())
    if not peer:dial(host, port) then return nil, "502 Bad Gateway" end
    return peer
end

-- Moves bytes one way until either end has no more.
local function pump(read, from, write, to)
    local bytes = read(from)
    while bytes and write(to, bytes) == #bytes do bytes = read(from) end
end

local function handle(conn)
    local peer <close>, refused = open(target(conn))
    if not peer then return conn:write(("HTTP/1.1 %s\r\n\r\n"):format(refused)) end
    conn:write "HTTP/1.1 200 OK\r\n\r\n"
    coroutine.wrap(function()
        pump(conn.read, conn, peer.plain_write, peer)
        peer:close_transport() -- which ends the other direction, too
    end)()
    pump(peer.plain_read, peer, conn.write, conn)
    conn:cancel()
end

assert(tls.serve {
    address = arg[1] or "127.0.0.1:8443", handler = handle, timeout = 60,
    context = { certificate = "cert.pem", private_key = "key.pem" },
    on_start =
        function(server) print("listening on port " .. server:ports()[1]) io.stdout:flush() end,
})
