-- ours.lua: the server of bench/server.lua on tls.serve.
--
--   tlslife ours.lua certificate.pem key.pem [workers [threads|requests|metrics ADDRESS]]
--
-- Each worker prints "port pid". It does what bench/server/plain.c does, in a handler, or with
-- "requests" in on_request. With "metrics" it has the page of metrics at the address.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path
local tls, http = require "tlslife", require "http"

local certificate, private_key, workers, kind, metrics = table.unpack(arg)

local function write(conn, bytes)
    return conn:write(bytes) == #bytes
end

assert(tls.serve {
    address = "127.0.0.1:0", backlog = 1024,
    context = { certificate = certificate, private_key = private_key, min_version = "TLSv1.3" },
    handler = kind ~= "requests" and function(conn) http(conn, conn.read, write) end or nil,
    on_request = kind == "requests" and
        function(conn) return http(conn, conn.read, write, true) end or nil,
    workers = math.tointeger(tonumber(workers or 1)), threads = kind == "threads",
    metrics = metrics,
    on_start = function(server)
        local status <close> = assert(io.open "/proc/self/stat")
        io.stdout:write(("%d %d\n"):format(server:ports()[1], status:read "n"))
        io.stdout:flush()
    end,
})
