-- An echo server, one client at a time. It needs cert.pem and key.pem.
-- Usage: tlslife server.lua [port]
local tls = require "tlslife"

local context = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem",
    timeout = 10, -- seconds, for each call as a whole: no client can hold us up for longer
})
local listener = assert(tls.listen("127.0.0.1", arg[1] or 8443))
io.stdout:setvbuf "line"
print("listening on port " .. listener:port())

local function echo(conn)
    local ok, why = conn:accept()
    while ok do
        local bytes
        bytes, why = conn:read()
        ok = bytes and conn:write(bytes)
    end
    conn:close(1) -- our close_notify, and up to a second for the client's
    print(conn:version(), conn:session_reused() and "resumed" or "new session", why)
end

while true do
    local conn <close>, why = listener:accept(context)
    if conn then echo(conn) else print(why) end
end
