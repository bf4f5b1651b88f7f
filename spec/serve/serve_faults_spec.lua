-- serve_faults_spec.lua: tests that a server of tls.serve goes on serving, without losing
-- descriptors or memory and without filling its log, whatever clients do, handlers raise or the
-- system refuses.

local expect = require "spec.support.expect"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"

local ask, connect, start, stop = serving.ask, serving.connect, serving.start, serving.stop

if not serving.has_luv then
    describe("a server under faults", function() pending "lua-luv is not installed" end)
    return
end

-- A client in memory, whose bytes go over a raw connection.
local function over(raw)
    local conn = assert(serving.context():connection())
    conn:set_hostname "localhost"
    conn:set_blocking(false)
    conn:set_memory()
    conn.connect(conn)
    return {
        conn = conn,
        push = function(n) raw:write(conn:drain(n)) end,
        handshake = function()
            assert.is_true(serving.eventually(20, function()
                raw:write(conn:drain())
                raw:pump(function(bytes) conn:feed(bytes) end)
                return conn:connect()
            end))
            raw:write(conn:drain())
        end,
    }
end

-- What a client may do and then be gone, by name: with a raw connection that is reset afterwards.
local ENDINGS = {
    {"nothing", function() end},
    {"half a ClientHello", function(raw) over(raw).push(100) end},
    {"a ClientHello", function(raw) over(raw).push() end},
    {"a ClientHello, and the server's answer in part", function(raw)
        local client = over(raw)
        client.push()
        raw:pump(function(bytes) client.conn:feed(bytes:sub(1, 50)) end)
    end},
    {"a handshake", function(raw) over(raw).handshake() end},
    {"a request", function(raw)
        local client = over(raw)
        client.handshake()
        client.conn:write "!slow 50"
        client.push()
    end},
    {"half a request", function(raw)
        local client = over(raw)
        client.handshake()
        client.conn:write "half a request"
        client.push(20)
    end},
    {"a part of the answer", function(raw)
        local client = over(raw)
        client.handshake()
        client.conn:write "!block 4000000"
        client.push()
        raw:pump(function() end)
    end},
    {"HTTP", function(raw) raw:write "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" end},
    {"noise", function(raw) raw:write(("\22\3\1\xff\xff"):rep(4000)) end},
    {"an alert", function(raw) raw:write "\21\3\1\0\2\2\40" end},
}

local function settle(server, connections)
    assert.is_true(serving.eventually(20, function()
        return serving.stats(server).connections == connections + 1
    end))
end

describe("clients that", function()
    local server
    setup(function() server = start [[handshake_timeout = 0.4, timeout = 0.6]] end)
    teardown(function() stop(server) end)

    for _, ending in ipairs(ENDINGS) do
        it("reset after " .. ending[1], function()
            local raw = serving.raw(server.port)
            ending[2](raw)
            raw:reset()
            settle(server, 0)
        end)
    end

    it("stop sending after any of these are disconnected at the timeout", function()
        local raws = {}
        for i, ending in ipairs(ENDINGS) do
            raws[i] = serving.raw(server.port)
            ending[2](raws[i])
        end
        for _, raw in ipairs(raws) do
            assert.truthy(select(2, raw:finish()))
            raw:close()
        end
    end)

    it("leave no descriptor and no memory behind", function()
        settle(server, 0)
        local function memory_of()
            return tonumber(serving.ask_once(server, "!memory"))
        end
        local function round()
            for _, ending in ipairs(ENDINGS) do
                local raw = serving.raw(server.port)
                ending[2](raw)
                raw:reset()
            end
            settle(server, 0)
        end
        round()
        local memory, descriptors = memory_of(), serving.descriptors(server.pid)
        for _ = 1, 5 do round() end
        assert.is_true(memory_of() - memory < 100)
        assert.is_true(serving.eventually(20, function()
            return serving.descriptors(server.pid) <= descriptors
        end))
    end)

    it("fail by the hundred make one or two lines in the log", function()
        local before = serving.stats(server).handshakes_failed
        for _ = 1, 100 do
            local raw = serving.raw(server.port)
            raw:write "GET / HTTP/1.0\r\n\r\n"
            raw:close()
        end
        assert.is_true(serving.eventually(20, function()
            return serving.stats(server).handshakes_failed == before + 100
        end))
        local _, lines = server:output():gsub("tlslife: info: ", "")
        assert.is_true(lines >= 1 and lines <= 3, server:output())
    end)
end)

describe("clients that", function()
    it("do not read hold up no other client, and are disconnected", function()
        local server = start [[timeout = 0.5]]
        local greedy, other = connect(server), connect(server)
        assert(greedy:write "!block 30000000")
        for _ = 1, 5 do assert.equal("x", ask(other, "x")) end
        process.sleep(0.7)
        local bytes = serving.drain(greedy)
        assert.is_true(bytes < 30000000)
        greedy:free()
        other:free()
        settle(server, 0)
        stop(server)
    end)

    it("renegotiate, again and again, are refused", function()
        local server = start()
        local client = process.start {
            "openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:" .. server.port, "-CAfile",
            pki.get().ca_file,
            stdin = true, timeout = 10,
        }
        client:wait_for "Verify return code: 0"
        for _ = 1, 20 do client:write "R\n" end
        client:wait_for "[Nn]o.renegotiation"
        client:stop()
        assert.equal("x", serving.ask_once(server, "x"))
        stop(server)
    end)

    it("exceed max_connections wait for their turn", function()
        local server = start [[max_connections = 3]]
        local conns = {}
        for i = 1, 3 do
            conns[i] = connect(server)
            assert.equal("x", ask(conns[i], "x"))
        end
        local fourth = assert(serving.try(server, {early = true}))
        fourth:set_timeout(0.2)
        local _, why = fourth:connect()
        assert.equal("timeout", why)
        fourth:free()
        local fifth = assert(serving.try(server, {early = true}))
        conns[1]:close()
        assert.is_true(fifth:connect())
        assert.equal("x", ask(fifth, "x"))
        for i = 2, 3 do conns[i]:close() end
        fifth:close()
        local output = stop(server)
        assert.truthy(output:find("warning: 3 connections: others wait", 1, true), output)
    end)
end)

-- All but the first resume a session of TLS 1.2, which costs a fourth of a full handshake.
local CROWD = [[
local tls = require "tlslife"
local context = assert(tls.context {role = "client", ca = arg[2], timeout = 20,
    max_version = "TLSv1.2", cache = tls.cache()})
local conns = {}
for i = 1, tonumber(arg[3]) do
    local conn = assert(context:connection())
    conn:set_hostname "localhost"
    assert(conn:dial("127.0.0.1", arg[1]))
    assert(conn:connect())
    conns[i] = conn
end
print "all here"
io.stdout:flush()
io.read "l"
for i, conn in ipairs(conns) do
    assert(conn:write("number " .. i))
    assert(conn:read() == "number " .. i)
end
print "all answered"
io.stdout:flush()
io.read "l"
]]

-- As many as there may be descriptors for; with a sanitizer a thousand take as long.
local function crowd_size()
    local pipe = assert(io.popen "ulimit -Hn")
    local limit = pipe:read "a"
    pipe:close()
    local enough = limit:find "unlimited" or tonumber(limit) >= 10100
    return enough and not program.is_sanitized() and 10000 or 1000
end

describe("ten thousand idle connections", function()
    it("use no processor time, are answered, and end at once", function()
        local size = crowd_size()
        local limit = "ulimit -n " .. size + 100
        local server = start("max_connections = 20000, timeout = 90", 1, limit)
        local script = process.spill(process.directory() .. "/crowd.lua", CROWD)
        local crowd = process.start {
            "sh", "-c", limit .. '; exec "$0" "$@"', program.path, script, server.port,
            pki.get().ca_file, size,
            stdin = true, timeout = 300,
        }
        crowd:wait_for("all here", 200)
        local before = serving.cpu(server.pid)
        process.sleep(0.3)
        assert.is_true(serving.cpu(server.pid) - before < 0.1)
        assert.equal(size + 1, serving.stats(server).connections)
        crowd:write "go on\n"
        crowd:wait_for("all answered", 20)
        serving.signal(server.pid, "sigterm")
        assert.is_true(serving.eventually(20, function()
            return not process.is_listening(tonumber(server.port))
        end))
        crowd:stop() -- the server waits for close_notify, or for the end, for a second
        assert.equal(0, server:wait(20))
    end)
end)

describe("a server that has no descriptors left", function()
    it("logs it once, keeps its connections, and accepts again later", function()
        local server = start("", 1, "ulimit -n 40")
        local there = connect(server)
        local raws = {}
        for i = 1, 50 do raws[i] = serving.raw(server.port) end
        server:wait_for "warning: cannot accept a connection: Too many open files; trying again"
        local before = serving.cpu(server.pid)
        for _ = 1, 10 do
            assert.equal("still here", ask(there, "still here"))
            process.sleep(0.05)
        end
        assert.is_true(serving.cpu(server.pid) - before < 0.2)
        for _, raw in ipairs(raws) do raw:close() end
        assert.equal("x", serving.ask_once(server, "x"))
        server:wait_for "info: accepting again"
        local _, warnings = server:output():gsub("Too many open files", "")
        assert.equal(1, warnings)
        there:close()
        stop(server)
    end)
end)

describe("a handler that", function()
    local server
    setup(function() server = start() end)
    teardown(function() stop(server) end)

    for _, case in ipairs {
        {"raises", "!error", "raised on purpose\nstack traceback"},
        {"raises an object", "!object", "an object\nstack traceback"},
        {"closes twice", "!twice"},
    } do
        it(case[1] .. " ends its connection alone, with close_notify", function()
            local other, conn = connect(server), connect(server)
            local errors = serving.stats(server).handler_errors
            expect.word("closed", ask(conn, case[2]))
            conn:close()
            if case[3] then
                server:wait_for(case[3])
                assert.equal(errors + 1, serving.stats(server).handler_errors)
            end
            assert.equal("x", ask(other, "x"))
            other:close()
            settle(server, 0)
        end)
    end

    it("frees its connection ends that connection only", function()
        local conn = connect(server)
        expect.word("truncated", ask(conn, "!free"))
        conn:free()
        settle(server, 0)
    end)

    it("keeps its connection finds it freed afterwards", function()
        local conn = connect(server)
        expect.word("closed", ask(conn, "!keep"))
        conn:close()
        settle(server, 0)
        assert.truthy(serving.ask_once(server, "!kept"):find("freed", 1, true))
    end)

    it("yields for ever keeps its connection until the server stops", function()
        local conn = connect(server)
        assert(conn:write "!hang")
        settle(server, 1)
        assert.equal("x", serving.ask_once(server, "x"))
        serving.signal(server.pid, "sigterm")
        process.sleep(0.15)
        serving.signal(server.pid, "sigterm")
        expect.word("closed", conn:read())
        conn:free()
        assert.equal(0, server:wait(20))
        server = start()
    end)
end)

local LOAD = [[
local tls, uv = require "tlslife", require "luv"
require "tlslife.wait.luv"
local context = assert(tls.context {role = "client", ca = arg[2], timeout = 10})
local answered, refused, broken, clients = 0, 0, 0, 0
local function client()
    local conn = assert(context:connection())
    conn:set_hostname "localhost"
    local ok = conn:dial("127.0.0.1", arg[1]) and conn:connect()
    while ok do
        local got, why = 0, nil
        ok, why = conn:write "!block 40000"
        while ok and got < 40000 do
            local bytes
            bytes, why = conn:read()
            ok = bytes ~= nil
            got = got + #(bytes or "")
        end
        if got == 40000 then answered = answered + 1
        elseif got == 0 and why == "closed" then refused = refused + 1
        else
            broken = broken + 1
            print("broken", got, why)
        end
        if answered == 100 then print "under load" io.stdout:flush() end
    end
    conn:close(1)
    clients = clients - 1
end
for i = 1, 20 do
    clients = clients + 1
    coroutine.wrap(client)()
end
uv.run()
print(("answered %d, refused %d, broken %d"):format(answered, refused, broken))
]]

describe("SIGTERM under load", function()
    for _, case in ipairs {{"one server", "", 1}, {"two processes", "workers = 2", 2}} do
        it("cuts no answer short, of " .. case[1], function()
            local server = start(case[2], case[3])
            local script = process.spill(process.directory() .. "/load.lua", LOAD)
            local load = process.start {program.path, script, server.port, pki.get().ca_file,
                timeout = 30}
            load:wait_for("under load", 20)
            stop(server)
            assert.equal(0, load:wait(10))
            local answered, broken = load:output():match "answered (%d+), refused %d+, broken (%d+)"
            assert.is_true(tonumber(answered) >= 100)
            assert.equal("0", broken, load:output())
        end)
    end
end)

-- A server in one process with its clients, in which what makes coroutines or starts the timer by
-- which the server goes on finds no memory twice. It makes no timers any more.
local SHORT = [[
local create, fails = coroutine.create, 0
local function find_memory()
    if fails == 0 then return end
    fails = fails - 1
    error("not enough memory", 0)
end
coroutine.create = function(f)
    find_memory()
    return create(f)
end
local tls, uv = require "tlslife", require "luv"
local server
local timers = getmetatable(uv.new_timer()).__index
local start = timers.start
timers.start = function(timer, ...)
    if server and timer == server.pause_timer then find_memory() end
    return start(timer, ...)
end
server = assert(tls.server {
    address = "127.0.0.1:0", context = {certificate = arg[1], private_key = arg[2]},
    before = function() return true end, handler = function(conn) conn:write(conn:read()) end,
    log = function(level, message) print(level, message) end,
})
uv.new_timer = function() error "luv ends the program where it finds no memory for a timer" end
local context = assert(tls.context {role = "client", ca = arg[3], timeout = 1})
fails = 2
coroutine.wrap(function()
    for _ = 1, 5 do
        local conn <close> = context:connection()
        local ok = conn:dial("localhost", server:ports()[1]) and conn:connect()
        print(ok and conn:write "hello" and conn:read() or "refused")
        collectgarbage()
    end
    print("left", server:stats().connections <= 1)
    server:stop(0)
end)()
uv.run()
]]

describe("a server whose callback finds no memory", function()
    it("pauses, and goes on", function()
        local script = process.spill(process.directory() .. "/short.lua", SHORT)
        local p = pki.get()
        local status, output = process.run {program.path, script, p.server_cert_file,
            p.server_key_file, p.ca_file, timeout = 60}
        assert.equal(0, status, output)
        assert.equal(2, select(2, output:gsub("refused\n", "")), output)
        assert.equal(3, select(2, output:gsub("hello\n", "")), output)
        assert.truthy(output:find("warning\tnot enough memory; trying again", 1, true), output)
        assert.truthy(output:find("left\ttrue", 1, true), output)
    end)
end)

-- Clients that come again and again, and a handler that takes all memory.
local HOG = [[
local tls, uv = require "tlslife", require "luv"
require "tlslife.wait.luv"
local context = assert(tls.context {role = "client", ca = arg[2], timeout = 20})
local over = false
local function ask(what)
    local conn <close> = context:connection()
    conn:set_hostname "localhost"
    if not conn:dial("127.0.0.1", tonumber(arg[1])) or not conn:connect() then return nil end
    local answer = conn:write(what) and conn:read()
    conn:close(0)
    return answer
end
for _ = 1, 8 do
    coroutine.wrap(function() while not over do ask "hello" end end)()
end
coroutine.wrap(function()
    print("hog", ask "!hog 300")
    over = true
end)()
uv.run()
]]

describe("a handler that takes all memory", function()
    if program.is_sanitized() then return pending "a sanitizer's memory has no limit" end

    it("does not end the process, and no connection is left behind", function()
        local server = start("", 1, "ulimit -v 300000")
        local script = process.spill(process.directory() .. "/hog.lua", HOG)
        local status, output = process.run {program.path, script, server.port, pki.get().ca_file,
            timeout = 60}
        assert.equal(0, status, output)
        assert.truthy(output:find("hog\t", 1, true), output)
        -- what the handler has left takes the memory until it is collected, which may cost those
        -- who ask first their connections
        assert.is_true(serving.eventually(20, function()
            local conn <close> = serving.try(server)
            local answer = conn and serving.ask(conn, "!pid")
            return tonumber(answer) == server.pid
        end), server:output())
        assert.is_true(serving.eventually(20, function()
            return serving.stats(server).connections == 1
        end), server:output())
        stop(server)
    end)
end)
