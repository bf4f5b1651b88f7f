-- gc_spec.lua: tests that Lua's collector frees connections, contexts and sessions in time and in
-- any order, and sends nothing to the peer. The end of a Lua state is here, too.

local collector = require "spec.support.collector"
local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local program = require "spec.support.program"

local p = pki.get()

-- AddressSanitizer keeps what was freed for a while: memory says nothing there
local sanitized = program.is_sanitized()

-- Runs round(n), which the chunk defines, twice in a process of its own, and returns by how many
-- KiB the process grew in the second run. The collector lets a heap grow in proportion to its size,
-- and the heap of this process, with all its specs, may be large.
local function growth(chunk, warm, rounds)
    local code, output = program.run(([[
        local pair = require "spec.support.pair"
        local client, server = pair.client(), pair.server()
        %s
        local function rss_kib()
            local file <close> = io.open "/proc/self/status"
            return tonumber(file:read "a":match "VmRSS:%%s+(%%d+)")
        end
        round(%d)
        local before = rss_kib()
        round(%d)
        print(rss_kib() - before)]]):format(chunk, warm, rounds))
    assert.equal(0, code, output)
    return tonumber(output)
end

describe("the collector", function()
    it("frees dropped connections before they fill the memory", function()
        local grown = growth([[local function round(n)
            for _ = 1, n do pair.connect {client = client, server = server} end
        end]], sanitized and 20 or 100, sanitized and 20 or 400)
        assert.is_true(sanitized or grown < 4 * 1024, grown .. " KiB more")
    end)

    it("frees thousands of connections that were never used", function()
        local grown = growth([[local function round(n)
            for _ = 1, n do client:connection() end
            assert(server)
        end]], 500, sanitized and 100 or 5000)
        assert.is_true(sanitized or grown < 4 * 1024, grown .. " KiB more")
    end)

    it("sends no close_notify, in memory", function()
        local client, server = pair.connect()
        assert.equal("open", client:state())
        client = nil
        collectgarbage()
        collectgarbage()
        expect.word("truncated", server:read())
        assert.is_nil(client)
    end)

    it("closes sockets without sending close_notify", function()
        local code, output = program.run([[
            local tls = require "tlslife"
            local function is_open(fd) return select(3, io.open("/proc/self/fd/" .. fd)) ~= 2 end
            local context = assert(tls.context {role = "client", verify = "none"})
            local one, two
            do
                local listener = tls.listen("127.0.0.1", 0)
                local conn = context:connection()
                assert(conn:dial("127.0.0.1", listener:port()))
                one, two = listener:fd(), conn:fd()
                assert(is_open(one) and is_open(two))
            end
            collectgarbage() collectgarbage()
            print(is_open(one), is_open(two))
        ]])
        assert.equal(0, code, output)
        assert.equal("false\tfalse\n", output)
    end)

    it("may run at any allocation", function()
        local mode, pause, multiplier = collectgarbage "incremental", collector.set("pause", 0),
            collector.set("stepmul", 1000)
        finally(function()
            collector.set("pause", pause)
            collector.set("stepmul", multiplier)
            collectgarbage(mode)
        end)
        local client, server = pair.connect {server = {
            on_hello = function() collectgarbage() end, resumption = "stateful"}, client = {
                on_verify = function(_, peer) collectgarbage(); return #peer.certificates == 2 end}}
        for i = 1, 20 do
            assert.equal(("%d"):format(i), pair.send(client, server, ("%d"):format(i)))
            client:peer_certificates()
            client:session():export "pem"
            collectgarbage "step"
        end
        pair.finish(client, server)
    end)

    it("frees the same objects in both of its modes", function()
        local old = collectgarbage "generational"
        for _, mode in ipairs {"generational", "incremental"} do
            collectgarbage(mode)
            local client, server = pair.connect()
            local context = client:context()
            for _ = 1, 20 do
                collectgarbage "step"
                assert.is_true(rawequal(context, client:context()))
            end
            assert.equal("x", pair.send(client, server, "x"))
        end
        collectgarbage(old)
    end)

    it("keeps a context whose hook a connection may still call", function()
        local asked = 0
        local client, server = pair.join {server = {on_hello = function() asked = asked + 1 end}}
        collectgarbage()
        collectgarbage()
        pair.drive(client, server)
        assert.equal(1, asked)
    end)
end)

describe("the end of a Lua state", function()
    local PRELUDE = [[
        local tls = require "tlslife"
        local cert, key, ca = ...
        server = assert(tls.context {role = "server", certificate = cert, private_key = key})
        client = assert(tls.context {role = "client", ca = ca})
        a, b = client:connection(), server:connection()
        a:set_blocking(false) b:set_blocking(false)
        a:set_hostname "localhost"
        tls.pair(a, b)
        for _ = 1, 4 do a:connect() b:accept() end
        a:read()
        session, other = a:session(), a:take_session()
        listener = tls.listen("127.0.0.1", 0)
        buffer = tls.buffer(100)
    ]]
    local endings = {
        ["is clean whatever the order of finalizers"] = "",
        ["is clean after an error"] = "error {}",
        ["is clean by os.exit with close"] = "os.exit(0, true)",
        ["is clean by os.exit"] = "os.exit(0)",
        ["is clean while finalizers use objects"] = [[
            setmetatable({}, {__gc = function()
                pcall(a.write, a, "x") pcall(b.read, b) pcall(tostring, session)
                pcall(a.free, a) pcall(a.free, a) pcall(client.connection, client)
                pcall(a.context, a) pcall(a.session, a) pcall(listener.close, listener)
            end})]],
        ["is clean with a coroutine in a hook"] = [[
            local asking = assert(tls.context {role = "server", certificate = cert,
                private_key = key, on_hello = function() coroutine.yield() end})
            local c, s = client:connection(), asking:connection()
            c:set_hostname "localhost"
            c:set_blocking(false) s:set_blocking(false)
            tls.pair(c, s)
            c:connect()
            thread = coroutine.create(function() s:accept() end)
            assert(coroutine.resume(thread))
            assert(coroutine.status(thread) == "suspended")]],
        ["is clean with a to-be-closed connection"] =
            "local x <close> = a; local y <close> = client; os.exit(0, true)",
        ["is clean with references to spare"] =
            "for _ = 1, 10 do a:up_ref() client:up_ref() session:up_ref() end",
    }
    for what, ending in pairs(endings) do
        it(what, function()
            local code, output = program.run(PRELUDE .. ending, p.server_cert_file,
                p.server_key_file, p.ca_file)
            assert.equal(what:match "error" and 1 or 0, code, output)
            assert.is_nil(output:match "Sanitizer", output)
        end)
    end
end)
