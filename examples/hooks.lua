-- Answers the questions of a handshake by Lua functions, which may yield. on_hello chooses a
-- context by server name, and waits for a "database" while the client goes on. on_verify decides
-- whether the peer is acceptable. Client and server are in this process, joined in memory.
-- Usage: tlslife hooks.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"

local function server(options)
    options.role, options.certificate, options.private_key = "server", "cert.pem", "key.pem"
    return assert(tls.context(options))
end

local tenants = { localhost = server { alpn = { "h2" } } }

local front = server {
    on_hello = function(_, hello)
        print("on_hello", hello.server_name, table.concat(hello.alpn, " "))
        -- It may yield to any scheduler, since nothing of OpenSSL is on the stack.
        coroutine.yield "asking the database"
        local tenant = tenants[hello.server_name]
        if tenant then
            return tenant -- go on under this context: its certificate, ALPN, verification, sessions
        end
        return false, "unrecognized_name" -- end the handshake with this alert
    end,
}

local client = assert(tls.context {
    role = "client", ca = "cert.pem", verify_host = false, alpn = { "h2", "http/1.1" },
    on_verify = function(_, peer) -- the built-in verification has accepted the peer already
        print("on_verify", peer.certificates[1].subject)
        return peer.certificates[1].names[1] == "DNS:localhost"
    end,
})

--- Makes a coroutine that calls the handshake until it no longer has to wait, and prints the
-- result.
local function handshake(name, conn)
    conn:set_blocking(false)
    return coroutine.create(function()
        local ok, why
        repeat
            if why then
                coroutine.yield(why)
            end
            ok, why = conn:handshake()
        until ok or why ~= "want_read"
        print(name, ok and "ALPN " .. conn:alpn() or why)
    end)
end

for _, name in ipairs { "localhost", "elsewhere" } do
    local a, b = assert(client:connection()), assert(front:connection())
    tls.pair(a, b)
    a:set_hostname(name)
    local threads = { handshake("client", a), handshake("server", b) }
    while #threads > 0 do
        local thread = table.remove(threads, 1)
        local ok, waits_for = coroutine.resume(thread)
        assert(ok, waits_for)
        if coroutine.status(thread) ~= "dead" then
            threads[#threads + 1] = thread
        end
    end
end
