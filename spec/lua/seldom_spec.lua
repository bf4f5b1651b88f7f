-- seldom_spec.lua: tests calls of the module in rare situations. An adapter closes what a call
-- waits for, an object changes while a call waits, and values are at their limits.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local p = require "spec.support.pki".get()
local program = require "spec.support.program"
local tls = require "tlslife"

-- Runs a script in a process of its own, since loops stay registered.
local function runs(script)
    local code, output = program.run([[
        local tls = require "tlslife"
        local function loop(how)
            how.name = how.name or "own"
            how.running = how.running or function() return not select(2, coroutine.running()) end
            how.wait = how.wait or function() return coroutine.yield() end
            how.wake = how.wake or function() end
            return tls.loop(how)
        end
        local context = assert(tls.context {role = "client", verify = "none", timeout = 0.05})
        local listener = assert(tls.listen("127.0.0.1", 0))
        local function dial()
            local conn = assert(context:connection())
            assert(conn:dial("127.0.0.1", listener:port()))
            return conn
        end
    ]] .. script .. "\nprint 'well done'")
    assert.equal(0, code, output)
    assert.truthy(output:find "well done", output)
    return output
end

local SERVER <const> = ([[
    local server = assert(tls.context {role = "server", psk = {identity = "i", key = "k"}})
]])

describe("a loop", function()
    it("is one of sixteen at most", function()
        runs [[
            local made = 0
            local ok, why
            repeat
                ok, why = pcall(loop, {})
                made = made + 1
            until not ok or made > 100
            assert(why:find "loop: there are %d+ loops already", why)
        ]]
    end)

    it("that runs no coroutine leaves calls to block", function()
        runs(SERVER .. [[
            loop {running = function() return false end}
            coroutine.wrap(function()
                local conn = dial()
                assert(select(2, conn:connect()) == "timeout")
                local other = assert(tls.listen("127.0.0.1", 0))
                assert(select(2, other:accept(server, 0.02)) == "timeout")
                print "both have blocked"
            end)()
        ]])
    end)

    it("may free a connection where it is asked whether it runs", function()
        runs [[
            local conn = dial()
            loop {running = function()
                conn:free()
                return true
            end}
            coroutine.wrap(function()
                assert(select(2, conn:connect()) == "canceled")
            end)()
        ]]
    end)

    it("whose wake raises is told of by a warning", function()
        assert.truthy(runs [[
            warn "@on"
            loop {wake = function() error "on purpose" end}
            local conn = dial()
            local co = coroutine.create(function() conn:connect() end)
            assert(coroutine.resume(co))
            assert(conn:cancel())
        ]]:find "on purpose")
    end)

    it("is told to forget both descriptors of a connection", function()
        runs [[
            local forgotten = {}
            loop {forget = function(fd) forgotten[#forgotten + 1] = fd end}
            local one, other = dial(), dial()
            local conn = assert(context:connection())
            conn:set_fd(one:fd(), other:fd())
            local co = coroutine.create(function() conn:connect() end)
            assert(coroutine.resume(co))
            coroutine.close(co)
            conn:close_transport()
            table.sort(forgotten)
            assert(#forgotten == 2 and forgotten[1] == one:fd() and forgotten[2] == other:fd())
        ]]
    end)
end)

describe("a listener in a loop", function()
    it("that is closed or split cancels the call that waits, and is forgotten", function()
        runs(SERVER .. [[
            local forgotten = {}
            loop {forget = function(fd) forgotten[#forgotten + 1] = fd end}
            for _, verb in ipairs {"close", "split"} do
                local one = assert(tls.listen {"127.0.0.1:0", "127.0.0.1:0"})
                local fd, results = one:fd(), nil
                local co = coroutine.create(function()
                    results = {one:accept(server)}
                end)
                assert(coroutine.resume(co))
                one[verb](one)
                assert(forgotten[#forgotten] == fd)
                assert(coroutine.resume(co, true))
                assert(results[1] == nil and results[2] == "canceled", results[2])
            end
        ]])
    end)

    it("that is split by the adapter's wait cancels the call, too", function()
        runs(SERVER .. [[
            loop {wait = function()
                listener:split()
                return true
            end}
            coroutine.wrap(function()
                assert(select(2, listener:accept(server)) == "canceled")
            end)()
        ]])
    end)

    it("raises what the adapter's wait raises, at once and later", function()
        runs(SERVER .. [[
            local yields = false
            loop {wait = function()
                if yields then coroutine.yield() end
                error("on purpose", 0)
            end}
            for _ = 1, 2 do
                local co = coroutine.create(function()
                    return pcall(listener.accept, listener, server)
                end)
                local _, ok, why = coroutine.resume(co)
                if yields then _, ok, why = coroutine.resume(co) end
                assert(ok == false and why == "on purpose", why)
                yields = true
            end
        ]])
    end)

    it("may be closed again", function()
        local listener = assert(tls.listen("127.0.0.1", 0))
        listener:close()
        listener:close()
    end)
end)

describe("a write that waits", function()
    it("raises if its buffer has become shorter than what was sent", function()
        runs [[
            loop {}
            local function options(role)
                return {role = role, psk = {identity = "i", key = ("k"):rep(32)}, ciphers = "PSK",
                    max_version = "TLSv1.2"}
            end
            local a = assert(assert(tls.context(options "client")):connection())
            assert(a:dial("127.0.0.1", listener:port()))
            local b = assert(listener:accept(assert(tls.context(options "server"))))
            a:set_blocking(false)
            b:set_blocking(false)
            for _ = 1, 10000 do
                local done = a:connect()
                if b:accept() and done then break end
            end
            a:set_blocking(true)
            local buffer = tls.buffer(1 << 25)
            buffer:set(("x"):rep(1 << 25))
            local ok, why
            local co = coroutine.create(function() ok, why = pcall(a.write, a, buffer) end)
            assert(coroutine.resume(co))
            assert(coroutine.status(co) == "suspended")
            buffer:set "short"
            assert(coroutine.resume(co, true))
            assert(ok == false and why:find "short", why)
        ]]
    end)

    it("of bytes that cork holds goes before the next one", function()
        local client, server = pair.connect {}
        client:cork(true)
        assert.equal(5, client:write "first")
        tls.pair(client, server, 1)
        client:cork(false)
        assert.same({nil, "want_write"}, {client:write "second"})
        client:free()
        server:free()
    end)
end)

describe("values at their limits:", function()
    it("a buffer takes no more than its capacity", function()
        local buffer = tls.buffer(3)
        expect.raises("4 bytes do not fit into 3", buffer.set, buffer, "four")
    end)

    it("DER whose length has more than three octets is none", function()
        expect.fails("input", tls.context {role = "client", ca = "0\x84\1\1\1\1" .. ("x"):rep(20)})
    end)

    it("a version that there is not is refused beside one that there is", function()
        expect.raises("max_version", tls.context,
            {role = "client", min_version = "TLSv1.2", max_version = "TLSv9"})
    end)

    it("a context that can serve nobody imports no session", function()
        expect.fails("input", assert(tls.context {role = "server"}):import_session "x")
    end)

    it("plain bytes end with the connection that carries them", function()
        local client, server = pair.connect {}
        local inner = assert(client:context():connection())
        inner:set_connection(client)
        client:set_memory()
        client:feed "no record at all"
        assert.is_nil((inner:plain_read(5)))
        inner:free()
        client:free()
        server:free()
    end)

    it("a server's certificate may be its own issuer where its OCSP response is judged", function()
        local client, server = pair.connect {
            client = {ca = p.ca_pem, verify_host = false, ocsp_verify = "optional"},
            server = {certificate = p.ca_pem, private_key = p.ca_key},
        }
        assert.is_true(client:handshake_done())
        client:free()
        server:free()
    end)

    it("metrics sum the certificates of more than a hundred server names", function()
        local own = {certificate = p.server_cert, private_key = p.server_key}
        local target = pair.server(own)
        assert(target:connection()):free()
        local names = {}
        for i = 1, 120 do names[("n%d.example"):format(i)] = target end
        local context = pair.server {server_names = names}
        assert(context:connection()):free()
        local text = tls.metrics("prometheus", context)
        assert.truthy(text:find('certificate_left_seconds{server_name="others",key="any"} %d'))
        local series = 'certificate_left_seconds{server_name="[no][^"]'
        assert.equal(101, select(2, text:gsub(series, "")))
    end)
end)
