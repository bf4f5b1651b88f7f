-- Connects twice and says hello; the second time it resumes the session of the first.
-- Usage: tlslife client.lua [port]
local tls = require "tlslife"

local context = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10 })

local function hello(session)
    local conn <close> = assert(context:connection())
    conn:set_session(session)
    assert(conn:dial("localhost", arg[1] or 8443)) -- also the name that the certificate must bear
    assert(conn:connect())
    assert(conn:write "hello")
    print(conn:read(), conn:version(), conn:session_reused() and "resumed" or "new session")
    print(conn:shutdown()) -- "sent": ours is out
    print(conn:shutdown()) -- "done": the server's has come
    return conn:session()
end

hello(hello(nil))
