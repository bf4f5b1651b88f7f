-- Two servers that share only a secret resume each other's sessions, because each derives the keys
-- of its tickets from the secret and the time. Here both are in one process, in memory.
-- Usage: tlslife tickets_by_secret.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"

local secret = os.getenv "TLSLIFE_SECRET" or ("not secret! "):rep(4) -- 32 bytes or more

local function machine()
    return assert(tls.context {
        role = "server", certificate = "cert.pem", private_key = "key.pem",
        ticket_keys = tls.ticket_keys { secret = secret, epoch = 3600, older = 2 },
    })
end

local client = assert(tls.context { role = "client", ca = "cert.pem", cache = assert(tls.cache()) })

for _, server in ipairs { machine(), machine() } do
    local a, b = assert(client:connection()), assert(server:connection())
    assert(a:set_hostname "localhost")
    tls.pair(a, b)
    repeat -- in memory neither end can wait for the other, so they take turns
        local done, why = a:connect()
        assert(done or why == "want_read", why)
        local accepted, refused = b:accept()
        assert(accepted or refused == "want_read", refused)
    until done and accepted
    assert(b:write "hello")
    print(a:read(), "client: " .. a:resumption(), "server: " .. b:resumption())
    a:shutdown()
    b:close()
    a:close()
end
