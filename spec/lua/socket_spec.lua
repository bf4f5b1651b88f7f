-- socket_spec.lua: tests tls.socket, which gives a connection the methods of LuaSocket's TCP
-- objects. The same calls on a pair of LuaSocket's own objects must have the same results. Then
-- come unmodified libraries that were written for LuaSocket and know nothing of TLS: socket.http,
-- socket.smtp, and Debian's lua-redis.

local pki = require("spec.support.pki").get()
local process = require "spec.support.process"
local tls = require "tlslife"

local has_socket, socket = pcall(require, "socket")
if not has_socket then return end

local function client_context()
    return assert(tls.context {role = "client", ca = pki.ca_file, timeout = 20})
end

local function server_context()
    return assert(tls.context {role = "server", certificate = pki.server_cert_file,
        private_key = pki.server_key_file, timeout = 20})
end

-- ----------------------------------------------------------------------------- beside LuaSocket's

-- Two LuaSocket objects that are connected.
local function sockets()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local near = assert(socket.connect("127.0.0.1", tonumber(port)))
    local far = assert(listener:accept())
    listener:close()
    return near, far
end

-- tls.socket of two connections whose handshake is done.
local function faces()
    local client = client_context():connection()
    local listener = assert(tls.listen("127.0.0.1", 0))
    assert(client:dial("localhost", listener:port()))
    local server = assert(listener:accept(server_context()))
    listener:close()
    client:set_blocking(false)
    server:set_blocking(false)
    local a, b
    repeat a, b = a or client:connect(), b or server:accept() until a and b
    return tls.socket(client), tls.socket(server)
end

-- Results as text. LuaSocket's numbers are floats, and ours integers.
local function said(...)
    local words = table.pack(...)
    for i = 1, words.n do
        local value = words[i]
        words[i] = tostring(type(value) == "number" and math.tointeger(value) or value)
    end
    return table.concat(words, " ", 1, words.n)
end

-- What a method raises, without the place.
local function raised(sock, method, ...)
    local arguments = table.pack(...)
    local _, why = pcall(function()
        sock[method](sock, table.unpack(arguments, 1, arguments.n))
    end)
    return tostring(why):gsub("^[^ ]+ ", ""):gsub("#%d ", "")
end

-- What calls of every kind return, a line each.
local function lines(near, far)
    local found = {}
    local function line(...) found[#found + 1] = said(...) end
    for _, one in ipairs {near, far} do line(one:settimeout(5)) end
    line(near:send "one\r\ntwo\n\nrest")
    for _ = 1, 3 do line(far:receive "*l") end
    line(far:receive(2))
    line(far:receive(4, "pr"))
    line(far:receive(2, "already"))
    line(near:send("abcdef", 2, 4))
    line(near:send("abcdef", -2))
    line(near:send "")
    line(far:receive(5))
    far:settimeout(0)
    line(far:receive(0))
    line(far:receive())
    far:settimeout(0.01)
    line(far:receive(5))
    far:settimeout(0.02, "t")
    line(far:receive "*a")
    far:settimeout(nil, "t")
    line(near:send "part")
    far:settimeout(0.05)
    line(far:receive "*l")
    line(near:setoption("tcp-nodelay", true))
    line(near:getoption "tcp-nodelay")
    line((near:getpeername()), (far:getsockname()))
    line(near:setstats(7, 8, 9))
    line(near:getstats() == 7, math.floor(select(3, near:getstats())))
    line(near:dirty())
    line(raised(near, "receive", "*x"):match "%(.*")
    line(raised(near, "receive", -1):match "%(.*")
    line(raised(near, "settimeout", 1, "x"):match "%(.*")
    line(raised(near, "shutdown", "x"):match "%(.*")
    far:settimeout(5)
    line(far:send(("x"):rep(100000)) == 100000, #near:receive(100000))
    line(near:send "the end")
    line(near:close())
    line(far:receive "*a")
    line(far:receive "*a")
    line(far:receive "*l")
    line(near:send "x")
    line(near:receive())
    line(near:getfd())
    return found
end

describe("tls.socket", function()
    it("returns what LuaSocket's objects return", function()
        local theirs, ours = lines(sockets()), lines(faces())
        assert.same(theirs, ours)
    end)

    it("names its method where LuaSocket refuses an option", function()
        local near = faces()
        local function of(method, ...)
            return (select(2, pcall(function(...) near[method](near, ...) end, ...)))
        end
        assert.truthy(of("setoption", "tcp-nodelay", {}):find(
            "^spec/lua/socket_spec.lua:%d+: bad argument #2 to 'setoption' %(boolean expected"))
        assert.truthy(of("getoption", print):find(
            "^spec/lua/socket_spec.lua:%d+: bad argument #1 to 'getoption' %(string expected"))
    end)

    it("raises in the file of its caller, by a tail call and by pcall, too", function()
        local near = faces()
        local listener = assert(tls.listen("127.0.0.1", 0))
        local calls = {
            {near, "receive", "*x"}, {near, "receive", {}}, {near, "settimeout", 1, "x"},
            {near, "shutdown", "x"}, {near, "setoption", "nosuch", 1},
        }
        for _, call in ipairs(calls) do
            local sock, method = call[1], call[2]
            for _, self in ipairs {sock, listener} do
                local function by_tail() return sock[method](self, table.unpack(call, 3)) end
                for _, why in ipairs {
                    (select(2, pcall(by_tail))),
                    (select(2, pcall(sock[method], self, table.unpack(call, 3)))),
                    (select(2, coroutine.resume(coroutine.create(function()
                        local results = table.pack(by_tail())
                        return table.unpack(results)
                    end)))),
                } do
                    assert.truthy(why:find "^spec/lua/socket_spec.lua:%d+: ", why)
                end
            end
        end
        listener:close()
    end)

    it("says truncated where LuaSocket's says closed", function()
        local near, far = faces()
        near:connection():close_transport()
        far:settimeout(5)
        assert.same({nil, "truncated", ""}, {far:receive "*l"})
    end)

    it("connects without blocking", function()
        local listener = assert(tls.listen("127.0.0.1", 0))
        local near = tls.socket(client_context():connection())
        near:settimeout(0)
        local ok, why = near:connect("127.0.0.1", listener:port())
        assert.same({nil, "timeout"}, {ok, why})
        local server = assert(listener:accept(server_context()))
        server:set_blocking(false)
        local done
        repeat
            ok, why = near:connect("127.0.0.1", listener:port())
            assert(ok or why == "timeout", why)
            done = done or server:accept()
        until ok and done
        assert.same({nil, "already connected"}, {near:connect("127.0.0.1", listener:port())})
        near:close()
        assert.same({nil, "closed"}, {near:connect("127.0.0.1", listener:port())})
    end)
end)

-- ------------------------------------------------------------------------------------- libraries

-- A socket as these libraries make theirs: not connected yet.
local function creator(context)
    return function()
        return tls.socket(context:connection())
    end
end

local function has(command)
    return process.run {"sh", "-c", "command -v " .. command, timeout = 10} == 0
end

describe("a library that was written for LuaSocket", function()
    after_each(process.stop_all)

    it("asks for pages: socket.http", function()
        local http, ltn12 = require "socket.http", require "ltn12"
        local port = process.free_port()
        local text = ("a line of a page\r\n"):rep(5000)
        process.spill(process.directory() .. "/page.txt", text)
        process.start({"sh", "-c", 'cd "$0" && exec openssl "$@"', process.directory(), "s_server",
            "-accept", port, "-WWW", "-quiet", "-cert", pki.server_cert_file, "-key",
            pki.server_key_file, "-cert_chain", pki.intermediate_cert_file}):wait_for_port(port)
        local parts = {}
        local result, code = http.request {url = ("http://localhost:%d/page.txt"):format(port),
            sink = ltn12.sink.table(parts), create = creator(client_context())}
        assert.equal(1, result, code)
        assert.equal(200, code)
        assert.equal(text, table.concat(parts))
        local stranger = assert(tls.context {role = "client", ca = pki.other_ca_file})
        result, code = http.request {url = ("http://localhost:%d/page.txt"):format(port),
            create = creator(stranger)}
        assert.is_nil(result)
        assert.truthy(code:find("certificate verify failed", 1, true), code)
    end)

    it("sends mail: socket.smtp", function()
        if not has "aiosmtpd" then return pending "there is no aiosmtpd" end
        local smtp = require "socket.smtp"
        local port = process.free_port()
        local server = process.start {"aiosmtpd", "-n", "-l", "localhost:" .. port, "--smtpscert",
            pki.server_cert_file, "--smtpskey", pki.server_key_file, "-c",
            "aiosmtpd.handlers.Debugging", "stdout", environment = {PYTHONUNBUFFERED = "1"}}
        server:wait_for_port(port, 20)
        local ok, why = smtp.send {from = "<a@a.example>", rcpt = "<b@b.example>",
            server = "localhost", port = port, create = creator(client_context()),
            source = smtp.message {headers = {subject = "specs"}, body = ("a line\r\n"):rep(2000)
                .. "the last line\r\n"}}
        assert.equal(1, ok, why)
        server:wait_for "the last line"
        assert.truthy(server:output():find("Subject: specs", 1, true), server:output())
    end)

    it("speaks to Redis: lua-redis", function()
        local path = package.searchpath("redis",
            "/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua")
        if not (path and has "redis-server") then return pending "no lua-redis or no Redis" end
        local redis = dofile(path)
        local port = process.free_port()
        process.start({"redis-server", "--port", "0", "--tls-port", port, "--tls-cert-file",
            pki.server_cert_file, "--tls-key-file", pki.server_key_file, "--tls-ca-cert-file",
            pki.ca_file, "--tls-auth-clients", "no", "--save", "", "--dir", process.directory()})
            :wait_for_port(port)
        local sock = creator(client_context())()
        assert.equal(1, sock:connect("localhost", port))
        local client = redis.connect {socket = sock}
        assert.is_true(client:ping())
        local value = ("\0\r\n" .. "x"):rep(30000)
        assert.is_true(client:set("key", value))
        assert.equal(value, client:get "key")
        for i = 1, 20 do client:rpush("list", i) end
        assert.equal("20", client:lrange("list", 0, -1)[20])
        client:quit()
    end)
end)
