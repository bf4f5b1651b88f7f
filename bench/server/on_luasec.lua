-- on_luasec.lua: the server of bench/server.lua on LuaSec, LuaSocket and luv.
--
--   lua5.4 on_luasec.lua certificate.pem key.pem
--
-- It prints "port pid". Each connection has a coroutine, and a uv_poll handle that stays started
-- for reading. It is started for writing, too, only while a write waits. A program cannot do less
-- with these libraries.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path
local socket, ssl, uv, http = require "socket", require "ssl", require "luv", require "http"

local certificate, private_key = table.unpack(arg)
local context = assert(ssl.newcontext {
    mode = "server", protocol = "tlsv1_3", certificate = certificate, key = private_key,
})

local yield <const> = coroutine.yield

-- Waits for what a method of LuaSec has asked for. Returns false if it has failed instead.
local function wait(stream, why)
    if why == "wantread" or why == "timeout" then
        yield()
    elseif why == "wantwrite" then
        stream.poll:start("rw", stream.resume)
        yield()
        stream.poll:start("r", stream.resume)
    else
        return false
    end
    return true
end

local function read(stream)
    while true do
        local bytes, why, partial = stream.conn:receive(8192)
        bytes = bytes or partial ~= "" and partial
        if bytes then return bytes end
        if not wait(stream, why) then return nil end
    end
end

local function write(stream, bytes)
    local i = 1
    while true do
        local last, why, partial = stream.conn:send(bytes, i)
        if last then return true end
        i = partial + 1
        if not wait(stream, why) then return nil end
    end
end

local function serve(stream)
    while true do
        local ok, why = stream.conn:dohandshake()
        if ok then return http(stream, read, write) end
        if not wait(stream, why) then return nil end
    end
end

local function finish(stream)
    stream.poll:stop()
    stream.poll:close()
    stream.conn:close()
end

local function start(accepted)
    accepted:setoption("tcp-nodelay", true)
    local conn = assert(ssl.wrap(accepted, context))
    conn:settimeout(0)
    local stream = { conn = conn, poll = uv.new_poll(conn:getfd()) }
    local co = coroutine.create(serve)
    function stream.resume()
        local ok, message = coroutine.resume(co, stream)
        if not ok then io.stderr:write(message, "\n") end
        if coroutine.status(co) == "dead" then finish(stream) end
    end
    stream.poll:start("r", stream.resume)
end

local listener = assert(socket.bind("127.0.0.1", 0, 1024))
listener:settimeout(0)
uv.new_poll(listener:getfd()):start("r", function()
    local accepted = listener:accept()
    while accepted do
        start(accepted)
        accepted = listener:accept()
    end
end)
local _, port = listener:getsockname()
print(math.tointeger(port), math.tointeger(uv.os_getpid()))
io.stdout:flush()
uv.run()
