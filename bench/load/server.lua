-- server.lua: what bench/load.lua drives: tlslife server.lua certificate.pem key.pem
--
-- Two workers and a cache. E: the same bytes back, reversed; D: so many bytes of the pattern; U:
-- whether so many bytes of it came.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path
local tls, pattern = require "tlslife", require "pattern"

local OPERATIONS = {
    E = function(conn, read, number, length)
        local bytes, why = read(length)
        return bytes and conn:write { pattern.ANSWER:pack(number, length), bytes:reverse() }, why
    end,
    D = function(conn, _, number, length)
        local ok, why = conn:write(pattern.ANSWER:pack(number, length))
        if not ok then return nil, why end
        return pattern.goes(conn, number, length)
    end,
    U = function(conn, read, number, length)
        local good, why = pattern.comes(read, number, length)
        if good == nil then return nil, why end
        return conn:write(pattern.ANSWER:pack(number, good and 0 or 1))
    end,
}

local function handler(conn)
    local read = pattern.reader(conn)
    local head = read(pattern.REQUEST:packsize())
    while head do
        local kind, number, length = pattern.REQUEST:unpack(head)
        if not OPERATIONS[kind](conn, read, number, length) then return end
        head = read(pattern.REQUEST:packsize())
    end
end

assert(tls.serve {
    address = "127.0.0.1:0", workers = 2, handler = handler, handshake_timeout = 2, timeout = 30,
    stop_timeout = 5,
    context = { certificate = arg[1], private_key = arg[2], resumption = "stateful" },
    log = function(level, message)
        if level == "error" then io.stderr:write("error: ", message, "\n") end
    end,
    on_start = function(server)
        local status <close> = assert(io.open "/proc/self/stat")
        io.stdout:write(("worker %d %d\n"):format(server:ports()[1], status:read "n"))
        io.stdout:flush()
    end,
})
