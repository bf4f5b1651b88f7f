-- Keeps a session in a file, so that the next run of this script resumes it.
-- The file holds the session's secret. Who can read it can decrypt the traffic, so keep it in a
-- directory that is yours alone.
-- Usage: tlslife session_file.lua [port] [file] (cert.pem in this directory)
local tls = require "tlslife"

local path = arg[2] or "session.pem"
local context = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10 })
local conn <close> = assert(context:connection())

local file = io.open(path, "rb")
if file then
    local session, why = context:import_session(file:read "a")
    file:close()
    if session then conn:set_session(session) else print("not used: " .. why) end
end

assert(conn:dial("localhost", arg[1] or 8443))
assert(conn:connect())
assert(conn:write "hello")
print(assert(conn:read()), conn:session_reused() and "resumed" or "new session")
assert(conn:shutdown()) -- without it the session would not be resumable

-- In TLS 1.3 the tickets came with the answer, and conn:session() is the newest of them.
local out <close> = assert(io.open(path, "wb"))
assert(out:write(assert(conn:session():export "pem")))
