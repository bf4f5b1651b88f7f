-- Many connections at once in one thread, over TCP, without an adapter: each connection has a
-- coroutine that yields what it waits for, and the program polls. Needs luv (Debian: lua-luv), for
-- its uv_poll only.
-- Usage: tlslife nonblocking.lua (cert.pem and key.pem in this directory)
local tls = require "tlslife"
local uv = require "luv"

--- Runs a function as a coroutine; when it yields "want_read" or "want_write" it goes on once the
-- descriptor is ready.
local function spawn(conn, main)
    conn:set_blocking(false)
    local thread, poll = coroutine.create(main), nil
    local function go_on()
        local ok, want = coroutine.resume(thread, conn)
        assert(ok, want)
        poll = poll or uv.new_poll(conn:fd())
        if coroutine.status(thread) == "dead" then
            poll:close()
            conn:free()
        else
            poll:start(want == "want_read" and "r" or "w", function() poll:stop() go_on() end)
        end
    end
    go_on()
end

--- Makes a call until it no longer has to wait.
local function wait(method, conn, ...)
    while true do
        local result, why, err = method(conn, ...)
        if result or (why ~= "want_read" and why ~= "want_write") then
            return result, why, err
        end
        coroutine.yield(why)
    end
end

local server = assert(tls.context { role = "server", certificate = "cert.pem",
    private_key = "key.pem" })
local client = assert(tls.context { role = "client", ca = "cert.pem" })
local listener = assert(tls.listen("127.0.0.1", 0))

local function echo(conn)
    assert(wait(conn.accept, conn))
    local bytes = wait(conn.read, conn)
    while bytes do -- until the client's close_notify
        assert(wait(conn.write, conn, bytes))
        bytes = wait(conn.read, conn)
    end
    wait(conn.shutdown, conn)
end

local answers = 0
local function say_hello(conn)
    assert(wait(conn.connect, conn))
    assert(wait(conn.write, conn, "hello"))
    assert(wait(conn.read, conn) == "hello")
    assert(wait(conn.shutdown, conn) == "sent")
    assert(wait(conn.shutdown, conn) == "done")
    answers = answers + 1
end

for _ = 1, 10 do
    local conn = assert(client:connection())
    conn:set_hostname "localhost"
    -- The connection still blocks here, because the loop needs a descriptor to poll.
    assert(conn:dial("127.0.0.1", listener:port()))
    spawn(assert(listener:accept(server)), echo)
    spawn(conn, say_hello)
end
uv.run()
print(answers .. " answers")
