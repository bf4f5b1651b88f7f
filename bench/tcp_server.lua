-- tcp_server.lua: the server that bench/tcp.lua measures, as a script has it. It serves one
-- connection after the other.
--
--   tlslife tcp_server.lua TLSv1.2|TLSv1.3 stateful|tickets certificate.pem key.pem
--
-- It prints "port pid" and serves until it is killed. bench/tcp_server.c is the same in C.
local tls = require "tlslife"

local version, resumption, certificate, private_key = table.unpack(arg)
local ANSWER <const> =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n" ..
    "Connection: close\r\n\r\nok\n"

local context = assert(tls.context {
    role = "server", certificate = certificate, private_key = private_key, min_version = version,
    max_version = version,
    resumption = resumption, cache = resumption == "stateful" and tls.cache {} or nil,
})
local listener = assert(tls.listen("127.0.0.1", 0))

-- Whether all went as it should, to the client's close_notify.
local function serve(conn)
    return conn:accept() and conn:read() and conn:write(ANSWER) == #ANSWER and
        conn:shutdown() == "sent" and conn:shutdown() == "done"
end

local status <close> = assert(io.open "/proc/self/stat")
print(listener:port(), status:read "n")
io.stdout:flush()
while true do
    local conn <close> = assert(listener:accept(context))
    if not serve(conn) then
        error(tostring(conn:error() or "a connection ended early"), 0)
    end
end
