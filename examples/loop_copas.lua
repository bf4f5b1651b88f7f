-- Many connections at once in one thread, in the threads of copas: the calls are those of a program
-- without a loop, and yield. Needs copas and LuaSocket.
-- Usage: tlslife loop_copas.lua (cert.pem and key.pem in this directory)
local copas = require "copas"
local tls = require "tlslife"
require "tlslife.wait.copas" -- before threads are added

local server = assert(tls.context { role = "server", certificate = "cert.pem",
    private_key = "key.pem", timeout = 10 })
local client = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10 })
local listener = assert(tls.listen("127.0.0.1", 0))

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

copas.addthread(function()
    for _ = 1, 10 do
        local conn = assert(listener:accept(server))
        copas.addthread(function() echo(conn) end)
    end
end)
for _ = 1, 10 do copas.addthread(say_hello) end
copas.loop() -- returns when nothing is left to do
print(answers .. " answers")
