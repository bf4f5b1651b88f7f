-- shutdown_spec.lua: tests when shutdown and close succeed, have to wait or fail. A stream that was
-- cut is never reported as closed, and a closed one never as cut.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local SENT, RECEIVED = tls.SENT_SHUTDOWN, tls.RECEIVED_SHUTDOWN

for _, version in ipairs(pair.VERSIONS) do
    describe("the end over " .. version, function()
        local client, server

        before_each(function()
            client, server = pair.connect {client = {max_version = version}}
        end)

        it("is sent, then received, then done", function()
            assert.equal("sent", client:shutdown())
            assert.equal(SENT, client:get_shutdown())
            expect.word("want_read", client:shutdown())
            expect.word("closed", server:read())
            assert.equal(RECEIVED, server:get_shutdown())
            assert.equal("done", server:shutdown())
            assert.equal(SENT | RECEIVED, server:get_shutdown())
            assert.equal("done", client:shutdown())
            assert.equal(SENT | RECEIVED, client:get_shutdown())
            assert.equal("done", client:shutdown())
            expect.word("closed", client:read())
            expect.word("closed", server:read())
        end)

        it("of one way leaves the other open", function()
            assert.equal("sent", client:shutdown())
            expect.word("closed", server:read())
            assert.equal(5, server:write "still")
            assert.equal("still", client:read())
            assert.equal("done", server:shutdown())
            expect.word("closed", client:read())
        end)

        it("closes writing", function()
            client:shutdown()
            local ok, result = pcall(client.write, client, "x")
            assert.is_true(not ok or result == nil)
        end)

        it("differs from a stream that is cut", function()
            client:close_transport()
            expect.word("truncated", server:read())
            expect.word("truncated", server:read())
            assert.equal(0, server:get_shutdown() & RECEIVED)
        end)

        it("differs from a stream that is cut after data", function()
            client:write "data"
            client:close_transport()
            assert.equal("data", server:read())
            expect.word("truncated", server:read())
        end)

        it("that was clean stays clean when the transport ends", function()
            client:write "data"
            client:shutdown()
            client:close_transport()
            assert.equal("data", server:read())
            expect.word("closed", server:read())
            expect.word("closed", server:read())
            assert.is_nil(server:error())
        end)

        it("with a peer that is gone is an end, too", function()
            server:close_transport()
            local result, message = client:shutdown()
            assert.is_true(result == "sent" or result == nil, message)
            result, message = client:shutdown()
            assert.is_nil(result)
            assert.not_equal("closed", message)
            assert.not_equal("want_read", message)
        end)

        it("with unread data fails, as in libssl", function()
            server:write "unread"
            assert.equal("sent", client:shutdown())
            local err = expect.fails("tls", client:shutdown())
            assert.truthy(err.reason:match "application data after close notify", err.reason)
        end)

        it("with unread data succeeds after they are read", function()
            server:write "unread"
            assert.equal("sent", client:shutdown())
            assert.equal("unread", client:read())
            expect.word("want_read", client:shutdown())
            server:shutdown()
            assert.equal("done", client:shutdown())
        end)

        it("waits while the transport is full", function()
            local full, peer = pair.connect {
                client = {max_version = version, ciphers = "ECDHE+AESGCM"}, capacity = 1000}
            local record = 1000 - (version == "TLSv1.3" and 22 or 29)
            assert.equal(record, full:write(("x"):rep(record)))
            expect.word("want_write", full:shutdown())
            expect.word("want_write", full:shutdown())
            assert.equal(record, #peer:read())
            assert.equal("sent", full:shutdown())
            expect.word("closed", peer:read())
        end)

        it("is refused while a write waits, and the write goes on", function()
            local bytes = ("x"):rep(1 << 18)
            local written = client:write(bytes)
            expect.word("want_write", client:write(bytes, written + 1))
            local ok, result, message = pcall(client.shutdown, client)
            assert.is_true(not ok or result == nil and message == "want_write", message)
            local got = 0
            for _ = 1, 100 do
                if written < #bytes then
                    written = written + (client:write(bytes, written + 1) or 0)
                end
                got = got + #(server:read(65536) or "")
            end
            assert.equal(#bytes, got)
            assert.equal("sent", client:shutdown())
            expect.word("closed", server:read())
        end)

        it("by set_shutdown does what it does in libssl", function()
            for mode = 0, 3 do
                assert.is_true(client:set_shutdown(mode))
                assert.equal(mode, client:get_shutdown())
            end
            assert.equal("done", client:shutdown())
            expect.word("want_read", server:read())
            expect.word("closed", client:read())
            for _, wrong in ipairs {-1, 4, 1.5, "x", {}} do
                assert.is_false((pcall(client.set_shutdown, client, wrong)), tostring(wrong))
            end
            assert.equal(3, client:get_shutdown())
        end)

        it("is sent again after the flags were set back", function()
            client:shutdown()
            client:set_shutdown(0)
            assert.equal("sent", client:shutdown())
            expect.word("closed", server:read())
        end)

        it("that is quiet sends nothing", function()
            client:set_quiet_shutdown(true)
            assert.equal("done", client:shutdown())
            assert.equal(SENT | RECEIVED, client:get_shutdown())
            expect.word("want_read", server:read())
        end)

        it("by close sends one close_notify and releases the transport", function()
            assert.equal("sent", client:close())
            expect.word("closed", server:read())
            local result, message = server:close() -- nobody is there to hear it
            assert.is_true(result == "done" or result == nil, message)
            expect.raises("transport", client.read, client)
        end)

        it("by close of both is done", function()
            assert.equal("sent", server:shutdown())
            assert.equal("done", client:close(1))
            expect.word("closed", server:read())
        end)

        it("by close drops what is unread", function()
            server:write(("x"):rep(50000))
            server:shutdown()
            assert.equal("done", client:close(1))
        end)

        it("by close after a cut is not clean", function()
            server:close_transport()
            local result, message = client:close(1)
            assert.is_nil(result)
            assert.not_equal("closed", message)
        end)

        it("makes the session bad in some cases only", function()
            -- what was done to the client's end before it is freed, and whether its session is
            -- resumable then
            local cases = {
                {"nothing", function() end, false},
                {"one shutdown", function(c) c:shutdown() end, true},
                {"quiet shutdown", function(c) c:set_quiet_shutdown(true); c:shutdown() end, true},
                {"the flag SENT", function(c) c:set_shutdown(SENT) end, true},
                {"the flag RECEIVED", function(c) c:set_shutdown(RECEIVED) end, false},
                {"both flags", function(c) c:set_shutdown(SENT | RECEIVED) end, true},
                {"the peer's close_notify unanswered", function(c, s) s:shutdown(); c:read() end,
                    false},
                {"close", function(c) c:close() end, true},
                {"a cut", function(c, s) s:close_transport(); c:read() end, false},
            }
            for _, case in ipairs(cases) do
                local c, s = pair.connect {client = {max_version = version}}
                local session = c:session()
                assert.is_true(session:is_resumable())
                case[2](c, s)
                c:free()
                assert.equal(case[3], session:is_resumable(), case[1])
            end
        end)
    end)
end

describe("the end of a TLS 1.3 connection", function()
    it("keeps tickets that arrive while shutdown waits", function()
        local client, server = pair.join()
        local c, s = pair.drive(client, server)
        assert.is_true(c[1] and s[1])
        assert.is_nil(client:take_session())
        assert.equal("sent", client:shutdown())
        expect.word("want_read", client:shutdown())
        server:read()
        server:shutdown()
        assert.equal("done", client:shutdown())
        assert.is_not_nil(client:take_session())
        assert.is_not_nil(client:take_session())
        assert.is_nil(client:take_session())
    end)

    it("by close keeps tickets, too", function()
        local client, server = pair.join()
        pair.drive(client, server)
        server:shutdown()
        assert.equal("done", client:close(1))
        assert.is_not_nil(client:take_session())
    end)

    it("by close without waiting leaves the session good", function()
        local client, server = pair.connect()
        local context = client:context()
        local session = client:take_session()
        assert.equal("sent", client:close())
        client:free()
        server:free()
        assert.is_true(session:is_resumable())
        assert.equal("client", context:role())
    end)
end)

describe("shutdown", function()
    it("during a handshake raises", function()
        local client, server = pair.join()
        client:connect()
        expect.raises("handshake", client.shutdown, client)
        server:accept()
        expect.raises("handshake", server.shutdown, server)
    end)

    it("before the handshake sends nothing", function()
        local client, server = pair.join()
        local ok, result = pcall(client.shutdown, client)
        assert.is_true(not ok or result == nil)
        local c, s = pair.drive(client, server)
        assert.is_true(c[1] and s[1])
    end)

    it("of a connection that failed fails again, the same way", function()
        local c, _, client = pair.try {hostname = "elsewhere.example"}
        local ok, result, message = pcall(client.shutdown, client)
        assert.is_true(not ok or result == nil)
        assert.is_true(not ok or message == c[2], message)
        assert.equal("verify", client:error().code)
    end)

    it("by close of a connection without transport does no harm", function()
        local conn = pair.client():connection()
        local ok = pcall(conn.close, conn)
        assert.is_boolean(ok)
        assert.equal("before", conn:state())
    end)

    it("refuses a timeout that is negative or no number", function()
        local client = pair.connect()
        for _, wrong in ipairs {-1, "x", {}, 0 / 0} do
            assert.is_false((pcall(client.close, client, wrong)), tostring(wrong))
        end
    end)
end)

describe("shutdown while on_verify has not answered", function()
    for _, version in ipairs(pair.VERSIONS) do
        for _, resumed in ipairs {false, true} do
            it("raises, and the peer reads no clean end, " .. version ..
                    (resumed and ", resumed" or ""), function()
                local answers = true
                local options = {client = pair.client {max_version = version},
                    server = pair.server {verify = "optional", ca = pki.get().ca_file,
                        on_verify = function() assert(answers, "not yet") return true end}}
                if resumed then options.session = pair.session(options) end
                local client, server = pair.join(options)
                answers = false
                for _ = 1, 4 do
                    client:handshake()
                    pcall(server.accept, server)
                end
                expect.raises("not yet", server.accept, server)
                expect.raises("before a handshake is done", server.shutdown, server)
                assert.equal(0, server:get_shutdown())
                client:handshake()
                if client:handshake_done() then expect.word("want_read", client:read()) end
                answers = true
                local c, s = pair.drive(client, server)
                assert.is_true(c[1] and s[1])
                assert.equal("sent", server:shutdown())
            end)
        end
    end
end)

describe("shutdown after a write to a peer that has left", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("fails, and raises nothing, " .. version, function()
            local client, server = pair.connect {client = {max_version = version}, capacity = 65536}
            client:write(("x"):rep(30000))
            client:close()
            assert.equal("x", server:read(1))
            local failure = expect.fails("system", server:write "answer")
            assert.equal(failure.message, expect.fails("system", server:shutdown()).message)
        end)

        it("returns closed after the peer's close_notify, and so does the write, " .. version,
            function()
                local function left_by_its_peer()
                    local client, server = pair.connect {client = {max_version = version}}
                    assert.equal("sent", server:shutdown())
                    expect.word("closed", client:peek())
                    server:close_transport()
                    expect.word("closed", client:write "0123456789")
                    return client
                end
                local client = left_by_its_peer()
                expect.word("closed", client:write "0123456789")
                expect.word("closed", client:write "others, and not as many")
                expect.word("closed", client:shutdown())
                expect.word("closed", client:shutdown())
                expect.word("unsent", client:close())
                expect.word("unsent", left_by_its_peer():close())
                client = left_by_its_peer()
                local other = pair.server():connection()
                tls.pair(client, other) -- a transport that takes the record
                assert.equal(10, client:write "0123456789")
                assert.equal("done", client:shutdown())
            end)
    end
end)
