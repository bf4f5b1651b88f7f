-- transport_spec.lua: tests the transports, which are TCP, descriptors of the program and memory.
-- No call outlives its deadline, no write raises SIGPIPE, and no child inherits a descriptor.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

local has_ipv6 = (function()
    local listener = tls.listen("::1", 0)
    if listener then listener:close() end
    return listener ~= nil
end)()

-- a client and a server over TCP, driven by turns
local function over_tcp(host, setup)
    local listener <close> = assert(tls.listen(host, 0))
    local client = pair.client():connection()
    client:set_hostname "localhost"
    if setup then setup(client) end
    assert(client:dial(host, listener:port()))
    local server = assert(listener:accept(pair.server(), 5))
    client:set_blocking(false)
    server:set_blocking(false)
    -- loopback is quick, and not instant
    for _ = 1, 2000 do
        local a, why = client:connect()
        local b, reason = server:accept()
        assert.is_true(a or why == "want_read", why)
        assert.is_true(b or reason == "want_read", reason)
        if a and b then break end
    end
    for _, conn in ipairs {client, server} do
        conn:set_blocking(true)
        conn:set_timeout(5)
    end
    return client, server
end

local HANG <const> = 20 -- seconds

-- seconds that a call took, then its results
local function timed(call, ...)
    local began = process.now()
    local results = table.pack(call(...))
    return process.now() - began, table.unpack(results, 1, results.n)
end

describe("TCP", function()
    for _, host in ipairs {"127.0.0.1", "::1"} do
        it("carries a connection over " .. host, function()
            if host == "::1" and not has_ipv6 then return pending "no IPv6 here" end
            local client, server = over_tcp(host)
            assert.is_true(client:handshake_done() and server:handshake_done())
            local shown = host == "::1" and "^%[::1%]:%d+$" or "^127%.0%.0%.1:%d+$"
            assert.truthy(client:peer_address():match(shown), client:peer_address())
            assert.truthy(server:peer_address():match(shown))
            assert.equal("number", type(client:fd()))
            assert.equal(client:fd(), client:pollfd())
            client:write "hello"
            assert.equal("hello", server:read())
            local bytes = ("x"):rep(30000)
            server:write(bytes)
            local got = ""
            while #got < #bytes do got = got .. client:read() end
            assert.equal(bytes, got)
            assert.equal("sent", client:shutdown())
            expect.word("closed", server:read())
            assert.equal("done", server:close(5))
            assert.equal("done", client:close(5))
            assert.is_nil(client:fd())
            assert.is_nil(client:peer_address())
        end)
    end

    it("listens on every address", function()
        local listener <close> = assert(tls.listen(nil, 0))
        for _, host in ipairs {"127.0.0.1", has_ipv6 and "::1" or "127.0.0.1"} do
            local client = pair.client():connection()
            assert.is_true(client:dial(host, listener:port()))
            assert.is_not_nil(listener:accept(pair.server(), 5))
        end
    end)

    it("tries each address of a name, and sets the host name", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local client = pair.client():connection()
        assert.is_true(client:dial("localhost", listener:port()))
        assert.equal("localhost", client:hostname())
        local other = pair.client():connection()
        other:set_hostname "a.example"
        assert.is_true(other:dial("localhost", tostring(listener:port())))
        assert.equal("a.example", other:hostname())
    end)

    it("is dialled by a server's connection too, which makes the server's handshake", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local server = pair.server():connection()
        assert.is_true(server:dial("localhost", listener:port()))
        assert.is_nil(server:hostname())
        local client = assert(listener:accept(pair.client(), 20))
        client:set_hostname "localhost"
        client:set_blocking(false)
        server:set_blocking(false)
        local c, s = pair.drive(client, server)
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.equal("hello", pair.send(server, client, "hello"))
        expect.raises("before its handshake", server.dial, server, "localhost", listener:port())
    end)

    it("fails where nobody listens", function()
        local port = process.free_port()
        local conn = pair.client():connection()
        local err = expect.fails("system", conn:dial("127.0.0.1", port))
        assert.equal(111, err.errno)
        assert.is_nil(conn:fd())
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        assert.is_true(conn:dial("127.0.0.1", listener:port()))
    end)

    it("fails for unknown names", function()
        local conn = pair.client():connection()
        for _, name in ipairs {"nowhere.invalid", "127.0.0.1.invalid"} do
            local err = expect.fails("resolve", conn:dial(name, 443))
            assert.truthy(err.message:find(name, 1, true))
        end
        assert.is_nil(conn:dial("127.0.0.1", "no-such-service"))
        for _, wrong in ipairs {-1, 65536, 1.5, {}, true} do
            assert.is_false((pcall(conn.dial, conn, "127.0.0.1", wrong)), tostring(wrong))
        end
        assert.is_false((pcall(conn.dial, conn, "a b\0c", 443)))
    end)

    it("fails to listen on a port that is taken", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local err = expect.fails("system", tls.listen("127.0.0.1", listener:port()))
        assert.equal(98, err.errno)
        assert.truthy(err.message:find(tostring(listener:port()), 1, true))
    end)

    it("shares a port where both listeners ask for it", function()
        local one <close> = assert(tls.listen("127.0.0.1", 0, {reuse_port = true}))
        local two <close> = assert(tls.listen("127.0.0.1", one:port(),
            {reuse_port = true, backlog = 3}))
        assert.equal(one:port(), two:port())
        assert.is_false((pcall(tls.listen, "127.0.0.1", 0, {resue_port = true})))
        assert.is_false((pcall(tls.listen, "127.0.0.1", 0, {backlog = "x"})))
    end)

    it("dials without blocking", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local client = pair.client():connection()
        client:set_blocking(false)
        local ok, message
        for _ = 1, 1000 do
            ok, message = client:dial("127.0.0.1", listener:port())
            if ok then break end
            assert.equal("want_write", message)
            assert.equal("w", client:events())
            assert.equal("number", type(client:pollfd()))
        end
        assert.is_true(ok)
        expect.word("want_read", client:connect())
        assert.equal("r", client:events())
    end)

    local function wait_for(fd, events)
        local uv = require "luv"
        local poll, timer, came = uv.new_poll(fd), uv.new_timer(), nil
        local function stop()
            poll:close()
            timer:close()
        end
        uv.update_time()
        poll:start(events, function() came = true; stop() end)
        timer:start(5000, 0, stop)
        uv.run()
        return came
    end

    -- as a loop would: to the end, with a wait for what the connection says
    local function dial_without_blocking(conn, ...)
        local waits = {}
        for _ = 1, 100 do
            local ok, message, err = conn:dial(...)
            if ok or message ~= "want_read" and message ~= "want_write" then
                return waits, ok, message, err
            end
            waits[#waits + 1] = message
            assert.equal(message == "want_read" and "r" or "w", conn:events())
            assert(wait_for(conn:pollfd(), conn:events()), "nothing came")
        end
        error "it never ends"
    end

    it("resolves a name without blocking", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local waited = 0
        for _ = 1, 20 do -- a name that is found at once needs no wait
            local client = pair.client():connection()
            client:set_blocking(false)
            local waits, ok = dial_without_blocking(client, "localhost", listener:port())
            assert.is_true(ok)
            assert.equal("localhost", client:hostname())
            if waits[1] == "want_read" then waited = waited + 1 end
        end
        assert.is_true(waited > 0)
    end)

    it("fails for unknown names, without blocking", function()
        local conn = pair.client():connection()
        conn:set_blocking(false)
        local _, ok, message, err = dial_without_blocking(conn, "nowhere.invalid", 443)
        assert.truthy(expect.fails("resolve", ok, message, err).message:find("nowhere.invalid", 1,
            true))
        assert.is_nil(conn:fd())
        -- what is begun for nobody ends by itself
        for i = 1, 100 do
            assert.is_nil((conn:dial("nowhere-" .. i .. ".invalid", 443)))
        end
        conn:free()
    end)

    it("sets the host name of the last dial", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local conn = pair.client():connection()
        assert.is_nil((conn:dial("nowhere.invalid", 443)))
        assert.is_true(conn:dial("localhost", listener:port()))
        assert.equal("localhost", conn:hostname())
    end)

    it("sets TCP_NODELAY at both ends", function()
        -- Nagle's algorithm and delayed acknowledgements would cost 40 ms for each of these, twice
        local client, server = over_tcp "127.0.0.1"
        local seconds = timed(function()
            for _ = 1, 125 do
                client:write "a"
                client:write "b"
                assert.equal("a", server:read(1))
                assert.equal("b", server:read(1))
                server:write "c"
                server:write "d"
                assert.equal("c", client:read(1))
                assert.equal("d", client:read(1))
            end
        end)
        assert.is_true(seconds < 5, seconds .. " s")
    end)

    it("that is reset is not a clean end", function()
        local client, server = over_tcp "127.0.0.1"
        server:write "never read"
        client:free()
        collectgarbage()
        local result, message
        for _ = 1, 100 do
            result, message = server:write(("x"):rep(100000))
            if not result then break end
        end
        assert.is_nil(result)
        assert.is_true(message ~= "closed" and message ~= "want_write", message)
    end)
end)

describe("the tickets of TLS 1.3, which a server holds back for what it writes next,", function()
    -- what a client finds within that time, seconds
    local function finds_session(client, timeout)
        client:set_timeout(timeout)
        local _, why = client:read()
        assert.equal("timeout", why)
        return client:take_session() ~= nil
    end

    it("are sent with that write", function()
        local client, server = over_tcp "127.0.0.1"
        assert.equal(5, client:write "hello")
        assert.equal("hello", server:read())
        assert.equal(3, server:write "bye")
        assert.equal("bye", client:read())
        assert.is_truthy(client:take_session())
    end)

    it("are sent when a read finds nothing", function()
        local client, server = over_tcp "127.0.0.1"
        server:set_blocking(false)
        assert.equal("want_read", select(2, server:read()))
        assert.is_true(finds_session(client, 0.1))
    end)

    it("are sent when a read begins to wait in a loop", function()
        if not pcall(require, "luv") then return pending "lua-luv is not installed" end
        local uv = require "luv"
        require "tlslife.wait.luv"
        local client, server = over_tcp "127.0.0.1"
        local why
        coroutine.wrap(function() why = select(2, server:read()) end)()
        assert.is_true(finds_session(client, 0.1))
        server:cancel()
        uv.run()
        assert.equal("canceled", why)
    end)

    it("are sent after a while when it does nothing", function()
        local client, _ = over_tcp "127.0.0.1"
        assert.is_true(finds_session(client, 1))
    end)

    it("are sent before the close_notify, whichever call sends it", function()
        for _, name in ipairs {"close", "free", "shutdown"} do
            local client, server = over_tcp "127.0.0.1"
            if name == "shutdown" then assert.equal("sent", server:shutdown()) elseif name ==
                "close" then server:close(0)
            else server:free() end
            assert.is_nil((client:read()))
            assert.is_truthy(client:take_session(), name)
        end
    end)

    it("are sent over other kinds of sockets, too", function()
        if not pcall(require, "luv") then return pending "lua-luv is not installed" end
        local ends = require "luv".socketpair(nil, nil, {nonblock = true}, {nonblock = true})
        local client, server = pair.client():connection(), pair.server():connection()
        client:set_hostname "localhost"
        for i, conn in ipairs {client, server} do
            conn:set_blocking(false)
            assert(conn:take_fd(ends[i]))
        end
        pair.drive(client, server)
        assert.equal("want_read", select(2, server:read()))
        assert.equal("want_read", select(2, client:read()))
        assert.is_truthy(client:take_session())
    end)
end)

describe("a listener", function()
    it("does not wait where it is non-blocking", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        expect.word("want_read", listener:accept(pair.server(), 0))
        local seconds, result, message = timed(listener.accept, listener, pair.server(), 0.2)
        assert.is_nil(result)
        assert.equal("timeout", message)
        assert.is_true(seconds >= 0.18 and seconds < HANG, seconds)
    end)

    it("returns its port and descriptor, and may be closed twice", function()
        local listener = assert(tls.listen("127.0.0.1", 0))
        assert.is_true(listener:port() > 0)
        assert.is_true(listener:fd() > 2)
        assert.equal("listener", tls.type(listener))
        assert.truthy(tostring(listener):match "^tlslife.listener")
        local port = listener:port()
        assert.is_true(process.is_listening(port))
        listener:close()
        listener:close()
        assert.is_false(process.is_listening(port))
        assert.is_false((pcall(listener.accept, listener, pair.server(), 0)))
    end)

    it("raises where accept gets no context", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        for _, wrong in ipairs {1, "x", {}, io.stdout} do
            assert.is_false((pcall(listener.accept, listener, wrong, 0)))
        end
    end)

    it("works again after descriptors had run out", function()
        local chunk = [[
            local tls = require "tlslife"
            local cert, key = ...
            local server = assert(tls.context {role = "server", certificate = cert,
                private_key = key})
            local client = assert(tls.context {role = "client", verify = "none"})
            local listener = assert(tls.listen("127.0.0.1", 0))
            local kept, failed = {}, nil
            for i = 1, 200 do
                local conn = client:connection()
                local ok, message, err = conn:dial("127.0.0.1", listener:port())
                if not ok then failed = {message, err}; break end
                kept[#kept + 1] = conn
                local accepted
                accepted, message, err = listener:accept(server, 1)
                if not accepted then failed = {message, err}; break end
                kept[#kept + 1] = accepted
            end
            assert(failed and failed[2].code == "system" and failed[2].errno == 24,
                failed and failed[1])
            for _, conn in ipairs(kept) do conn:free() end
            local conn = client:connection()
            assert(conn:dial("127.0.0.1", listener:port()))
            assert(listener:accept(server, 1))
            print "usable"
        ]]
        local path = process.spill(process.directory() .. "/emfile.lua", chunk)
        local code, output = process.run {"sh", "-c", "ulimit -n 40; exec \"$@\"", "sh",
            program.path, path, p.server_cert_file, p.server_key_file, timeout = 20}
        assert.equal(0, code, output)
        assert.equal("usable\n", output)
    end)
end)

describe("a deadline", function()
    -- a peer that accepts and says nothing
    local function silent()
        local listener = assert(tls.listen("127.0.0.1", 0))
        local conn = pair.client({timeout = 0.2}):connection()
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", listener:port()))
        return conn, listener
    end

    it("holds for a handshake with a silent peer", function()
        local conn, listener = silent()
        local seconds, result, message = timed(conn.connect, conn)
        assert.is_nil(result)
        assert.equal("timeout", message)
        assert.is_true(seconds >= 0.18 and seconds < HANG, seconds)
        assert.equal("handshake", conn:state())
        assert.is_nil(conn:error())
        expect.word("timeout", conn:connect())
        listener:close()
    end)

    it("holds for reading, writing and closing", function()
        local client, server = over_tcp "127.0.0.1"
        client:set_timeout(0.2)
        for name, call in pairs {
            read = function() return client:read() end,
            peek = function() return client:peek() end,
            read_into = function() return client:read_into(tls.buffer(10)) end,
        } do
            local seconds, result, message = timed(call)
            assert.is_nil(result)
            assert.equal("timeout", message)
            assert.is_true(seconds >= 0.18 and seconds < HANG, name .. seconds)
        end
        local bytes = ("x"):rep(20 << 20)
        local seconds, written = timed(client.write, client, bytes)
        assert.is_true(written < #bytes)
        assert.is_true(seconds < HANG)
        local message
        for _ = 1, 50 do -- the system's buffers grow
            local more
            more, message = client:write(bytes, written + 1)
            if not more then break end
            written = written + more
        end
        assert.equal("timeout", message)
        assert.equal("open", client:state())
        -- nothing is lost by it
        server:set_timeout(0.05)
        local got = 0
        while written < #bytes do
            written = written + (client:write(bytes, written + 1) or 0)
            for piece in function() return (server:read(1 << 20)) end do got = got + #piece end
        end
        for piece in function() return (server:read(1 << 20)) end do got = got + #piece end
        assert.equal(#bytes, got)
        seconds = timed(client.close, client, 0.2)
        assert.is_true(seconds >= 0.18 and seconds < HANG, seconds)
    end)

    it("is for the whole call, not for each byte", function()
        -- a peer that sends a byte of a record now and then
        local script = process.spill(process.directory() .. "/drip.py", [[
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
for byte in b"\x16\x03\x03\x40\x00\x02" + b"\x00" * 300:
    peer.send(bytes([byte]))
    time.sleep(0.02)
]])
        local peer = process.start {"python3", script, timeout = 20}
        local conn = pair.client({timeout = 0.3}):connection()
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", tonumber((peer:wait_for "(%d+)\n"))))
        local seconds, result, message = timed(conn.connect, conn)
        peer:stop()
        assert.is_nil(result)
        assert.equal("timeout", message)
        assert.is_true(seconds >= 0.28 and seconds < 6, seconds)
    end)

    it("that has already passed makes no call wait", function()
        local conn, listener = silent()
        conn:set_timeout(0)
        local seconds, _, message = timed(conn.connect, conn)
        assert.equal("timeout", message)
        assert.is_true(seconds < HANG)
        listener:close()
    end)
end)

describe("a descriptor of the program's", function()
    -- the ends of a TCP connection as descriptors that stay open: those of two other connections
    local function sockets()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local a = pair.client():connection()
        assert(a:dial("127.0.0.1", listener:port()))
        local b = assert(listener:accept(pair.server(), 5))
        return a, b
    end

    local function is_open(fd)
        return select(3, io.open("/proc/self/fd/" .. fd)) ~= 2 -- ENOENT
    end

    local function shake(client, server)
        client:set_hostname "localhost"
        client:set_blocking(false)
        server:set_blocking(false)
        for _ = 1, 2000 do
            local a, b = client:connect(), server:accept()
            if a and b then return true end
        end
    end

    it("stays open when the connection is freed", function()
        local a, b = sockets()
        local client, server = pair.client():connection(), pair.server():connection()
        assert.is_true(client:set_fd(a:fd()))
        assert.is_true(server:set_fd(b:fd()))
        assert.equal(a:fd(), client:fd())
        assert.is_true(shake(client, server))
        local fds = {a:fd(), b:fd()}
        client:free()
        server:close_transport()
        assert.is_nil(server:fd())
        assert.is_true(is_open(fds[1]) and is_open(fds[2]))
        a:free()
        b:free()
        assert.is_false(is_open(fds[1]) or is_open(fds[2]))
    end)

    it("may be given by an object, which is kept alive", function()
        for _, method in ipairs {"fd", "getfd", "fileno", "pollfd"} do
            local a, b = sockets()
            local collected = false
            local client, server = pair.client():connection(), pair.server():connection()
            do
                local object = setmetatable({[method] = function() return a:fd() end},
                    {__gc = function() collected = true end})
                client:set_fd(object)
            end
            server:set_fd(b:fd())
            collectgarbage()
            collectgarbage()
            assert.is_false(collected)
            assert.is_true(shake(client, server), method)
            client:close_transport()
            collectgarbage()
            collectgarbage()
            assert.is_true(collected, method)
        end
    end)

    it("may be two, to read and to write", function()
        local a, b = sockets()
        local client, server = pair.client():connection(), pair.server():connection()
        client:set_fd(a:fd(), a:fd())
        local object = {fd = function() return b:fd() end}
        server:set_fd(object, object)
        assert.is_true(shake(client, server))
    end)

    it("must be a number or such an object", function()
        local conn = pair.client():connection()
        for _, wrong in ipairs {-1, 1.5, "x", {}, true, {fd = 1}, {fd = function() return "x" end},
            {fd = function() return -1 end},
            io.stdout, function() end} do
            assert.is_false((pcall(conn.set_fd, conn, wrong)), tostring(wrong))
            assert.is_nil(conn:fd())
        end
        assert.is_false((pcall(conn.set_fd, conn)))
        local other = pair.connect() -- TLS inside of TLS
        for _, arguments in ipairs {{other}, {0, other}, {other, 0}} do
            local ok, why = pcall(conn.set_fd, conn, table.unpack(arguments))
            assert.is_false(ok)
            assert.truthy(
                why:find("is a TLS connection: for TLS in TLS use set_connection", 1, true), why)
        end
        assert.is_false((pcall(conn.take_fd, conn, -1)))
        assert.is_false((pcall(conn.take_fd, conn, {})))
    end)

    it("that is no descriptor fails when it is used", function()
        local conn = pair.client():connection()
        conn:set_hostname "localhost"
        local ok = pcall(conn.set_fd, conn, 9999)
        if ok then
            local err = expect.fails("system", conn:connect())
            assert.equal(9, err.errno)
        end
    end)

    it("belongs to the connection after take_fd", function()
        local path = process.spill(process.directory() .. "/take.lua", [[
            local tls = require "tlslife"
            local context = assert(tls.context {role = "client", verify = "none"})
            for fd = 7, 9 do
                local conn = context:connection()
                assert(conn:take_fd(fd) and conn:fd() == fd)
                assert(io.open("/proc/self/fd/" .. fd)):close()
                if fd == 7 then
                    conn:free()
                elseif fd == 8 then
                    conn:close_transport()
                else
                    conn:set_memory()
                end
                assert(select(3, io.open("/proc/self/fd/" .. fd)) == 2, "still open")
            end
            print "closed"
        ]])
        local code, output = process.run {"sh", "-c",
            'exec 7</dev/null 8</dev/null 9</dev/null "$@"', "sh", program.path, path}
        assert.equal(0, code, output)
        assert.equal("closed\n", output)
    end)
end)

describe("feed and drain", function()
    it("move as many bytes as fit", function()
        local conn = pair.client():connection()
        conn:set_memory(10)
        assert.equal(10, conn:feed(("x"):rep(20)))
        assert.equal(0, conn:feed "x")
        assert.equal("", conn:drain())
        conn:set_memory(10)
        assert.equal(2, conn:feed("hello", 4))
        assert.equal(0, conn:feed("hello", 6))
        for _, wrong in ipairs {0, 7, 1.5, "x"} do
            assert.is_false((pcall(conn.feed, conn, "hello", wrong)))
        end
        for _, wrong in ipairs {0, -1, "x"} do assert.is_false((pcall(conn.drain, conn, wrong))) end
        for _, wrong in ipairs {0, -1, 1.5, "x", {}} do
            assert.is_false((pcall(conn.set_memory, conn, wrong)), tostring(wrong))
        end
    end)

    it("give at most what was asked for", function()
        local conn = pair.client():connection()
        conn:set_memory()
        conn:set_blocking(false)
        conn:set_hostname "localhost"
        expect.word("want_read", conn:connect())
        assert.equal("\22\3\1", conn:drain(3))
        assert.is_true(#conn:drain() > 100)
        assert.equal("", conn:drain())
    end)

    it("do not wait, even of a blocking connection", function()
        local conn = pair.client():connection()
        conn:set_memory()
        conn:set_hostname "localhost"
        assert.is_true(conn:blocking())
        expect.word("want_read", conn:connect())
    end)

    it("end at feed_eof, after the bytes that were fed", function()
        local client, server = pair.client():connection(), pair.server():connection()
        client:set_hostname "localhost"
        client:set_memory()
        server:set_memory()
        pair.move(client, server)
        server:write "last"
        client:feed(server:drain())
        assert.is_true(client:feed_eof())
        expect.raises("feed_eof", client.feed, client, "more")
        assert.equal("last", client:read())
        expect.word("truncated", client:read())
    end)

    it("raise for other transports", function()
        local client = pair.connect()
        expect.raises("", client.feed, client, "x")
        expect.raises("", client.drain, client)
        expect.raises("", client.feed_eof, client)
    end)
end)

describe("a pair", function()
    it("joins two different connections", function()
        local a, b = pair.client():connection(), pair.server():connection()
        assert.is_true(tls.pair(a, b))
        assert.is_true(tls.pair(a, b, 1))
        assert.is_false((pcall(tls.pair, a, a)))
        assert.is_false((pcall(tls.pair, a)))
        for _, wrong in ipairs {0, -1, 1.5, "x"} do
            assert.is_false((pcall(tls.pair, a, b, wrong)), tostring(wrong))
        end
    end)

    it("that is joined again leaves the old peer with an ended stream", function()
        local client, server = pair.connect()
        local other = pair.server():connection()
        client:clear()
        tls.pair(client, other)
        expect.word("truncated", server:read())
    end)
end)

describe("a process", function()
    local chunk = [[
            local tls = require "tlslife"
            local cert, key, ca = ...
            local server = assert(tls.context {role = "server", certificate = cert,
                private_key = key, timeout = 5})
            local client = assert(tls.context {role = "client", ca = ca, timeout = 5})
            local function joined()
                local listener <close> = assert(tls.listen("127.0.0.1", 0))
                local a = client:connection()
                a:set_hostname "localhost"
                assert(a:dial("127.0.0.1", listener:port()))
                local b = assert(listener:accept(server, 5))
                local child = io.popen "ls -l /proc/self/fd"
                local sockets = select(2, child:read "a":gsub("socket:", ""))
                child:close()
                assert(sockets == tonumber(os.getenv "SOCKETS" or 0),
                    "a child has " .. sockets .. " sockets")
                a:set_blocking(false)
                b:set_blocking(false)
                repeat local x, y = a:connect(), b:accept() until x and y
                return a, b
            end
            local a, b = joined()
            b:free()
            for i = 1, 100 do
                local n, message = a:write(("x"):rep(10000))
                if not n and message ~= "want_write" then print "alive"; break end
            end
            a, b = joined()
            b:free()
            print((a:close()) or "alive")
        ]]

    it("is never ended by SIGPIPE, and its children inherit no descriptor", function()
        local code, output = program.run(chunk, p.server_cert_file, p.server_key_file, p.ca_file)
        assert.equal(0, code, output)
        assert.truthy(output:match "^alive\n%a+\n$", output)
    end)

    it("is not ended by SIGPIPE under lua5.4, either", function()
        local code, output = program.run_stock(chunk, p.server_cert_file, p.server_key_file,
            p.ca_file)
        if not code then return end
        assert.equal(0, code, output)
        assert.truthy(output:match "^alive\n%a+\n$", output)
    end)
end)
