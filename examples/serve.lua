-- An echo server for any number of clients. Needs luv (Debian: lua-luv), cert.pem and key.pem.
-- Usage: tlslife serve.lua [address [workers]]; SIGTERM stops it, SIGHUP has it read the
-- certificate anew.
local tls = require "tlslife"

assert(tls.serve {
    address = arg[1] or "127.0.0.1:8443", workers = math.tointeger(arg[2]) or 1, timeout = 60,
    context = { certificate = "cert.pem", private_key = "key.pem" },
    on_start = function(server)
        print("listening on port " .. server:ports()[1])
        io.stdout:flush()
    end,
    handler = function(conn)
        repeat local bytes = conn:read() until not bytes or not conn:write(bytes)
    end,
})
