-- Many connections at once in one thread, in coroutines that luv runs: the calls are those of a
-- program without a loop, and yield. Needs luv (Debian: lua-luv).
-- Usage: tlslife loop_luv.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"
local uv = require "luv"
require "tlslife.wait.luv"

local server = assert(tls.context { role = "server", certificate = "cert.pem",
    private_key = "key.pem", timeout = 10 })
local client = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10 })
local listener = assert(tls.listen("127.0.0.1", 0))

local function go(f, ...) coroutine.wrap(f)(...) end

local function echo(conn)
    assert(conn:accept())
    local bytes = conn:read()
    while bytes do -- until the client's close_notify
        assert(conn:write(bytes))
        bytes = conn:read()
    end
    conn:close()
end

local answers = 0
local function say_hello()
    local conn = assert(client:connection())
    assert(conn:dial("localhost", listener:port()))
    assert(conn:connect())
    assert(conn:write "hello")
    assert(conn:read() == "hello")
    assert(conn:close())
    answers = answers + 1
end

go(function()
    for _ = 1, 10 do go(echo, assert(listener:accept(server))) end
end)
for _ = 1, 10 do go(say_hello) end
uv.run()
print(answers .. " answers")
