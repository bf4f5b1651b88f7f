-- Many connections at once in one thread, in the coroutines of cqueues: the calls are those of a
-- program without a loop, and yield. Needs cqueues (Debian: lua-cqueues).
-- Usage: tlslife loop_cqueues.lua (cert.pem and key.pem in this directory)
local cqueues = require "cqueues"
local tls = require "tlslife"
require "tlslife.wait.cqueues"

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

local loop = cqueues.new()
loop:wrap(function()
    for _ = 1, 10 do loop:wrap(echo, assert(listener:accept(server))) end
end)
for _ = 1, 10 do loop:wrap(say_hello) end
assert(loop:loop())
print(answers .. " answers")
