-- TLS over a transport of the program's own: the program moves the bytes, by drain and feed. Here
-- it moves them from one connection to the other.
-- Usage: tlslife transport.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"

local function connection(options)
    local conn = assert(assert(tls.context(options)):connection())
    conn:set_memory()
    conn:set_blocking(false) -- a call that waited would wait for bytes that this program must move
    return conn
end

local client = connection { role = "client", ca = "cert.pem" }
local server = connection { role = "server", certificate = "cert.pem", private_key = "key.pem" }
client:set_hostname "localhost"

local carried = 0 -- bytes, both ways

--- Moves the bytes that one side has for the other.
local function carry(from, to)
    local bytes, i = from:drain(), 1
    while i <= #bytes do
        i = i + to:feed(bytes, i)
    end
    carried = carried + #bytes
end

--- Calls a method until it no longer wants to read or write, and moves bytes between the calls.
local function drive(conn, method, ...)
    while true do
        local result, why, err = conn[method](conn, ...)
        carry(client, server)
        carry(server, client)
        if result or (why ~= "want_read" and why ~= "want_write") then
            return result, why, err
        end
        if not server:handshake_done() then
            server:accept()
        end
    end
end

assert(drive(client, "connect"))
assert(drive(client, "write", "hello"))
assert(server:handshake_done() or drive(server, "accept"))
print(drive(server, "read"), client:version(), client:cipher())
print(drive(client, "shutdown"), drive(server, "read"))
print(drive(server, "shutdown"), drive(client, "shutdown"))
print(carried > 1000 and "carried by hand")
