-- A server that keeps its sessions in Redis (or Valkey), so that each machine behind the same name
-- resumes them. If Redis is slow or down, clients make full handshakes, and nothing else happens.
-- Usage: tlslife cache_redis.lua [port] [redis port] (cert.pem and key.pem in this directory)
local tls = require "tlslife"

local cache = assert(tls.cache {
    store = assert(tls.redis { host = "127.0.0.1", port = arg[2] or 6379, timeout = 0.25 }),
    -- sessions leave sealed
    keyring = tls.keyring { os.getenv "TLSLIFE_SECRET" or ("not secret! "):rep(4) },
    in_memory = false, -- true: memory in front of Redis
})
local context = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem", timeout = 10, cache = cache,
})
local listener = assert(tls.listen("127.0.0.1", arg[1] or 8443))
io.stdout:setvbuf "line"
print("listening on port " .. listener:port())

while true do
    local conn <close>, why = listener:accept(context)
    if conn and conn:accept() then
        conn:write(conn:read() or "")
        conn:close(1)
        print(conn:version(), conn:resumption(), "found in Redis: " .. cache:stats().store_hits)
    else
        print(why or "handshake failed")
    end
end
