-- A client that resumes after a restart, because it writes its cache to a file, sealed. Run it
-- twice.
-- Usage: tlslife cache_restart.lua [port] [file] (cert.pem in this directory; the secret in the
-- environment variable TLSLIFE_SECRET)
local tls = require "tlslife"

local path = arg[2] or "sessions.sealed"
-- 32 bytes or more
local keyring = tls.keyring { os.getenv "TLSLIFE_SECRET" or ("not secret! "):rep(4) }
local cache = assert(tls.cache { capacity = 1000 })
local context = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10,
    cache = cache })

local file = io.open(path, "rb")
if file then
    print("imported", cache:import(keyring, file:read "a"))
    file:close()
end

-- The connection offers the session that the cache has for its peer, and conn:resumption() says
-- whether the server has resumed it.
local conn <close> = assert(context:connection())
assert(conn:dial("localhost", arg[1] or 8443))
assert(conn:connect())
assert(conn:write "hello")
print(assert(conn:read()), conn:resumption())
conn:close(1) -- a connection that is not closed spoils its session

local out <close> = assert(io.open(path, "wb"))
assert(out:write(assert(cache:export(keyring))))
