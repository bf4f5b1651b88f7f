-- A server whose cache keeps its sessions by functions of this script. The functions may yield,
-- here to a loop of four lines. Then the handshake that asked waits, and the others go on. What
-- they keep is sealed. Client and server are in this process, joined in memory.
-- Usage: tlslife cache_lua.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"

local rows = {} -- a database, say

local cache = assert(tls.cache {
    store = {
        get = function(key)
            coroutine.yield "asking the database"
            return rows[key]
        end,
        put = function(key, sealed, lifetime)
            print(("put: %d sealed bytes for %d s"):format(#sealed, lifetime))
            rows[key] = sealed
        end,
        remove = function(key) rows[key] = nil end,
    },
    keyring = tls.keyring { ("not secret! "):rep(4) },
    in_memory = false,
})
local server = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem", cache = cache,
    num_tickets = 1,
})
local client = assert(tls.context { role = "client", ca = "cert.pem", cache = assert(tls.cache()) })

local function handshake(conn)
    return coroutine.create(function()
        local done, why = conn:handshake()
        while not done and why == "want_read" do
            coroutine.yield(why)
            done, why = conn:handshake()
        end
        assert(done, why)
    end)
end

for _ = 1, 2 do
    local a, b = assert(client:connection()), assert(server:connection())
    assert(a:set_hostname "localhost")
    tls.pair(a, b)
    local threads = { handshake(a), handshake(b) }
    while #threads > 0 do -- the loop
        local thread = table.remove(threads, 1)
        local _, waits_for = assert(coroutine.resume(thread))
        if waits_for == "asking the database" then print(waits_for) end
        if coroutine.status(thread) ~= "dead" then threads[#threads + 1] = thread end
    end
    assert(b:write "hello")
    print(a:read(), "client: " .. a:resumption(), "server: " .. b:resumption())
    a:shutdown()
    b:close()
    a:close()
end
