-- server.lua: our own server, in a process of its own. It does what `openssl s_server -rev` does:
-- sends each line back reversed, and ends the connection when the line is CLOSE. It says its port,
-- then one line for each connection that has ended.
-- Usage: tlslife examples/demo/server.lua certificate private-key

local tls = require "tlslife"

io.stdout:setvbuf "line"

local context = assert(tls.context {
    role = "server", certificate = arg[1], private_key = arg[2], resumption = "stateful",
    timeout = 20,
})
local listener = assert(tls.listen("127.0.0.1", 0))
print("port " .. listener:port())

--- Answers lines until the peer or CLOSE ends it; returns how.
local function serve(conn)
    local line = ""
    while true do
        local bytes, message = conn:read()
        if not bytes then
            return message == "closed" and "ended by close_notify" or message
        end
        line = line .. bytes
        if line == "CLOSE\n" then
            return "ended by ourselves"
        elseif line:sub(-1) == "\n" then
            assert(conn:write(line:sub(1, -2):reverse() .. "\n"))
            line = ""
        end
    end
end

while true do
    local conn <close> = assert(listener:accept(context))
    local ok, message = conn:accept()
    if ok then
        message = serve(conn)
        conn:close(1)
    end
    print((conn:session_reused() and "resumed, " or "full handshake, ") .. message)
end
