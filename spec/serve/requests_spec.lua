-- requests_spec.lua: tests on_request of tls.serve. A connection that waits for its next request
-- has no coroutine, and is otherwise like one whose handler waits in a read.

local expect = require "spec.support.expect"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"

if not serving.has_luv then
    describe("on_request", function() pending "lua-luv is not installed" end)
    return
end

local ask, connect, stop = serving.ask, serving.connect, serving.stop

-- Echoes what it reads, or runs it as a command of spec/support/serving.lua if it begins with "!".
-- "!bye" ends the connection, and "!calls" asks how often this function was called for it.
local ON_REQUEST = [[handler = nil, on_request = function(conn, server)
    local line = conn:read(BYTES)
    if not line or line == "!bye" then return "anything but true" end
    calls = calls or setmetatable({}, {__mode = "k"})
    calls[conn] = (calls[conn] or 0) + 1
    local name = line:match "^!(%w+)"
    local answer = line
    if name == "calls" then
        answer = tostring(calls[conn])
    elseif name == "forget" then
        for _, one in ipairs(kept) do one:free() end
    elseif name == "keep" then
        kept[#kept + 1] = conn
    elseif name then
        answer = commands[name](conn, server, line)
    end
    return answer and conn:write(answer) and true
end, ]]

local function start(options, bytes, shell)
    return serving.start(ON_REQUEST:gsub("BYTES", bytes or "nil") .. (options or ""), 1, shell)
end

local function connections(server)
    return serving.stats(server).connections
end

describe("on_request", function()
    it("is called for each request of a connection, which stays", function()
        local server = start()
        local first, second = connect(server), connect(server)
        for i = 1, 5 do
            assert.equal("a" .. i, ask(first, "a" .. i))
            assert.equal("b" .. i, ask(second, "b" .. i))
        end
        assert.equal("6", ask(first, "!calls"))
        first:close()
        assert.equal("6", ask(second, "!calls"))
        second:close()
        assert.is_true(serving.eventually(20, function() return connections(server) == 1 end))
        stop(server)
    end)

    it("is called again where more has come than it has read", function()
        local server = start(nil, "1")
        local conn = connect(server)
        conn:cork(true)
        assert(conn:write "abc")
        conn:cork(false)
        assert(conn:write "de")
        local got = ""
        while #got < 5 do got = got .. assert(conn:read()) end
        assert.equal("abcde", got)
        conn:close()
        stop(server)
    end)

    -- All bytes of a record had their calls in one turn with libuv 1.44, and each record that came
    -- meanwhile added one to each turn.
    it("is called at most twice in a turn of the loop for one client", function()
        local server = serving.start [[handler = nil, on_request = function(conn)
            if not turns then
                most, calls, turns = 0, 0, uv.new_prepare()
                turns:start(function() calls = 0 end)
                turns:unref()
            end
            calls = calls + 1
            most = math.max(most, calls)
            local byte = conn:read(1)
            return byte and (byte ~= "?" or conn:write(tostring(most))) and true
        end, ]]
        local conn = connect(server)
        for _ = 1, 20 do assert(conn:write(("x"):rep(50))) end
        local most = tonumber(ask(conn, "?"))
        assert.is_true(most <= 2, most .. " calls in a turn")
        conn:close()
        stop(server)
    end)

    it("answers all that has come in a server that stops", function()
        local server = serving.start [[handler = nil, on_request = function(conn, server)
            local byte = conn:read(1)
            if byte == "s" then server:stop() end
            return byte and conn:write(byte) and true
        end, ]]
        local conn, got = connect(server), ""
        assert(conn:write "sabc")
        for bytes in function() return conn:read() end do got = got .. bytes end
        assert.equal("sabc", got)
        conn:close()
        assert.equal(0, server:wait(20))
    end)

    it("ends the connection with anything but true, and where it raises", function()
        local server = start()
        local conn = connect(server)
        assert.equal("x", ask(conn, "x"))
        expect.word("closed", ask(conn, "!bye"))
        conn:close()
        conn = connect(server)
        expect.word("closed", ask(conn, "!error"))
        conn:close()
        assert.equal("x", serving.ask_once(server, "x"))
        assert.is_true(serving.eventually(20, function() return connections(server) == 1 end))
        local output = stop(server)
        assert.truthy(output:find("on_request failed: .*raised on purpose"), output)
        assert.truthy(output:find("stack traceback", 1, true), output)
    end)

    it("ends a client that sends nothing at its timeout", function()
        local server = start "timeout = 0.5,"
        local silent, asked = connect(server), connect(server)
        assert.equal("x", ask(asked, "x"))
        expect.word("closed", silent:read())
        expect.word("closed", asked:read())
        silent:close()
        asked:close()
        assert.is_true(serving.eventually(20, function() return connections(server) == 1 end))
        stop(server)
    end)

    it("begins the timeout anew with each request", function()
        local server = start "timeout = 1.5,"
        local conn, began = connect(server), process.now()
        while process.now() - began < 1.8 do
            local asked_at = process.now()
            local answer = ask(conn, "x")
            -- A machine that stood still for so long tells nothing.
            if process.now() - asked_at > 0.7 then break end
            assert.equal("x", answer)
            process.sleep(0.1)
        end
        conn:close()
        stop(server)
    end)

    it("has no coroutine for a connection that waits", function()
        local function each_takes(options)
            local server = serving.start(options)
            local list, before = {}, nil
            for i = 1, 120 do
                list[i] = connect(server)
                assert.equal("x", ask(list[i], "x"))
                if i == 20 then before = tonumber(ask(list[1], "!memory")) end
            end
            local kib = (tonumber(ask(list[1], "!memory")) - before) / 100
            for _, conn in ipairs(list) do conn:free() end
            stop(server)
            return kib
        end
        local with, without = each_takes(), each_takes((ON_REQUEST:gsub("BYTES", "nil")))
        assert.is_true(with > 2, with .. " KiB of Lua for a handler that waits")
        assert.is_true(without < 1, without .. " KiB of Lua for a connection that is parked")
    end)

    it("forgets a connection that the program frees while it waits", function()
        local server = start()
        local kept, other = connect(server), connect(server)
        assert.equal("!keep", ask(kept, "!keep"))
        assert.equal("!forget", ask(other, "!forget"))
        expect.word("truncated", kept:read())
        kept:free()
        -- the descriptor's next owner
        assert.is_true(serving.eventually(20, function() return connections(server) == 2 end))
        other:close()
        stop(server)
    end)

    it("is told of early data at once", function()
        local server = start("early_data = true,")
        local context = serving.context {}
        local conn = connect(server, {context = context})
        assert.equal("x", ask(conn, "x"))
        conn:close()
        local session = conn:take_session()
        conn:free()
        conn = connect(server, {context = context, session = session, early = true})
        assert.equal(5, conn:write_early "early")
        assert(conn:connect())
        assert.equal("early", conn:read())
        assert.equal("late", ask(conn, "late"))
        assert.equal("accepted", conn:early_data_status())
        conn:close()
        stop(server)
    end)
end)

-- One that reads nothing used to be called without end.
describe("on_request that reads nothing, and returns true,", function()
    -- The first client gets nothing read; the others ask how often the function was called for it.
    local LAZY = [[handler = nil, timeout = 100, on_request = function(conn, server)
        calls = calls or {}
        first = first or conn
        if conn == first then
            calls.n = (calls.n or 0) + 1
            return true
        end
        local line = conn:read()
        if not line then return end
        local answer = line == "?" and tostring(calls.n) or commands.stats(conn, server)
        return conn:write(answer) and true
    end, ]]

    local server, lazy, other

    before_each(function()
        server = serving.start(LAZY)
        lazy = connect(server)
        assert(lazy:write "x")
        other = connect(server)
    end)

    after_each(function()
        other:close()
        stop(server)
    end)

    local function calls()
        return math.tointeger(ask(other, "?"))
    end

    it("leaves the others their turn, and takes no processor", function()
        assert.is_truthy(calls())
        process.sleep(0.2)
        assert.is_true(calls() <= 2, calls() .. " calls")
        lazy:close()
    end)

    it("is called again when more comes", function()
        assert.is_truthy(calls())
        process.sleep(0.2)
        local before = calls()
        assert(lazy:write "y")
        assert.is_true(serving.eventually(20, function() return calls() > before end))
        process.sleep(0.2)
        assert.is_true(calls() <= before + 2, calls() .. " calls")
        lazy:close()
    end)

    it("does not keep a connection whose client has left", function()
        assert.is_truthy(calls())
        lazy:close()
        lazy:free()
        assert.is_true(serving.eventually(20, function()
            return ask(other, "stats"):find "connections=1%f[%D]"
        end))
    end)
end)

describe("a server with on_request that stops", function()
    it("closes the connections that wait at once, and those that are served after that", function()
        local server = start()
        local idle, silent, busy = connect(server), connect(server), connect(server)
        assert.equal("x", ask(idle, "x"))
        assert(busy:write "!slow 1500")
        process.sleep(0.3)
        serving.signal(server.pid, "sigterm")
        expect.word("closed", idle:read())
        expect.word("closed", silent:read())
        idle:close()
        silent:close()
        assert.is_nil(server:exit_status())
        assert.equal("slow", busy:read())
        expect.word("closed", busy:read())
        busy:close()
        assert.equal(0, server:wait(20))
    end)

    it("ends those at the deadline that have not answered what they read", function()
        local server = serving.start [[stop_timeout = 0.3, handler = nil,
            on_request = function(conn) return conn:read() ~= nil end,]]
        local owed = connect(server)
        assert(owed:write "a question")
        process.sleep(0.3)
        serving.signal(server.pid, "sigterm")
        expect.word("closed", owed:read())
        owed:close()
        assert.equal(0, server:wait(20))
    end)

    it("has stopped as soon as the last one has ended, which a deadline of 0 ends", function()
        local uv, certs = require "luv", require "spec.support.pki".get()
        local stopped
        local server = assert(tls.server {
            address = "127.0.0.1:0", on_request = function() end, log = function() end,
            context = {certificate = certs.server_cert, private_key = certs.server_key},
        })
        local conn <close> = tls.context {role = "client", ca = certs.ca_pem}:connection()
        conn:set_hostname "localhost"
        conn:set_blocking(false)
        conn:dial("127.0.0.1:" .. server:ports()[1])
        while not conn:handshake() do uv.run "nowait" end
        uv.run "nowait"
        server:stop(0, function() stopped = true end)
        for _ = 1, 5 do uv.run "nowait" end -- no time passes here
        assert.is_true(stopped)
    end)
end)

it("tls.server refuses both a handler and on_request", function()
    local options = {address = "127.0.0.1:0", context = {}, handler = print, on_request = print}
    expect.raises("'handler' and 'on_request' exclude each other", tls.server, options)
end)
