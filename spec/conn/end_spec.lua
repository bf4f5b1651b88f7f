-- end_spec.lua: compares the words that close returns with what has passed on the wire, in each
-- state of a connection, over each transport, in both roles and protocols. Calls of the end that
-- have to wait, and data written before it, are here, too.

local Scene = require "spec.support.scene"
local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local KINDS = {"tls12_id", "tls13_stateful"}
local WIRES = {"pair", "fed", "tcp"}
local SENT, RECEIVED = tls.SENT_SHUTDOWN, tls.RECEIVED_SHUTDOWN

-- --------------------------------------------------------------------------------- what close says

local function send_close_notify(scene, from, to)
    from:shutdown()
    if scene.wire == "tcp" then scene:nap() end
    scene:deliver(to)
    expect.word("closed", to:read())
end

local function fill(scene)
    local subject = scene:subject()
    repeat until not subject:write(("x"):rep(16384))
end

-- What is done before close, what close() says then, and what it says when it is called once more.
local STATES = {
    {"before the handshake", "unsent", "unsent", before = function() end},
    {"in the handshake", "unsent", "unsent", before = function(scene) scene:begin() end},
    {"when no close_notify has passed", "sent", "sent", function() end},
    {"after our close_notify", "sent", "sent",
        function(scene) send_close_notify(scene, scene:subject(), scene:peer()) end},
    {"after the peer's close_notify", "done", "done",
        function(scene) send_close_notify(scene, scene:peer(), scene:subject()) end},
    {"after both close_notifys", "done", "done", function(scene)
        send_close_notify(scene, scene:peer(), scene:subject())
        send_close_notify(scene, scene:subject(), scene:peer())
    end},
    {"after close_transport", "unsent", "unsent",
        function(scene) scene:subject():close_transport() end},
    {"after the peer's close_notify and close_transport", "unsent", "unsent", function(scene)
        send_close_notify(scene, scene:peer(), scene:subject())
        scene:subject():close_transport()
    end},
    {"with quiet shutdown", "unsent", "unsent",
        function(scene) scene:subject():set_quiet_shutdown(true) end},
    {"after a quiet shutdown", "unsent", "unsent", function(scene)
        scene:subject():set_quiet_shutdown(true)
        assert.equal("done", scene:subject():shutdown())
    end},
    {"when SENT was set by hand", "unsent", "unsent",
        function(scene) scene:subject():set_shutdown(SENT) end},
    {"when RECEIVED was set by hand", "sent", "sent",
        function(scene) scene:subject():set_shutdown(RECEIVED) end},
    {"when both were set by hand", "unsent", "unsent",
        function(scene) scene:subject():set_shutdown(SENT | RECEIVED) end},
    {"after our close_notify, with the mask set back", "sent", "sent", function(scene)
        send_close_notify(scene, scene:subject(), scene:peer())
        scene:subject():set_shutdown(0)
    end},
    {"while a write waits", "timeout", "unsent", fill},
    {"after a write that failed", "sent", "sent", function(scene)
        scene:subject():shutdown()
        expect.fails("tls", scene:subject():write "late")
    end},
    {"after the stream was cut", "truncated", "truncated", function(scene)
        if scene.wire == "fed" then scene:subject():feed_eof() else scene:leave(scene:peer()) end
        expect.word("truncated", scene:subject():read())
    end},
    {"once cleared", "unsent", "unsent", function(scene)
        send_close_notify(scene, scene:subject(), scene:peer())
        scene:subject():clear()
    end},
}

local function word_of(result, message) return result or message end

-- The last word of the peer's reading, when all that the subject wrote has come and its stream has
-- ended.
local function peers_end(scene)
    local peer = scene:peer()
    if scene.wire == "tcp" then scene:nap() end
    for _ = 1, 1000 do
        scene:deliver(peer)
        local result, message = peer:read(65536)
        if not result and (message ~= "want_read" or scene.ended) then return message end
        if not result and scene.wire == "fed" then peer:feed_eof(); scene.ended = true end
    end
    error "no end comes"
end

for _, kind in ipairs(KINDS) do
    for _, role in ipairs {"client", "server"} do
        for _, wire in ipairs(WIRES) do
            describe(("close of a %s's %s over %s says what passed"):format(
                role, kind, wire), function()
                for _, state in ipairs(STATES) do
                    it(state[1], function()
                        local scene = Scene.new(kind, role)
                        if state.before then
                            scene:prepare(wire)
                            state.before(scene)
                        else
                            scene:meet(wire)
                            state[4](scene)
                        end
                        local subject, peer = scene:subject(), scene:peer()
                        local first, second = word_of(subject:close()), word_of(subject:close(1))
                        assert.equal(state[2], first)
                        assert.equal(state[3], second)
                        assert.is_nil(subject:fd())
                        local heard = peer:get_shutdown() & RECEIVED ~= 0
                        if not state.before and first ~= "truncated" and not heard then
                            local says_closed = first == "sent" or first == "done"
                            assert.equal(says_closed, peers_end(scene) == "closed")
                        end
                        scene:close()
                    end)
                end
            end)
        end
    end
end

-- ------------------------------------------------------------------ what can follow a close_notify

-- libssl sends what these calls ask for behind our close_notify. A renegotiation makes it forget
-- which close_notify passed.
local LATER <const> = {["TLSv1.2"] = {"renegotiate"},
    ["TLSv1.3"] = {"key_update", "new_session_ticket", "request_client_certificate"}}
local ORDERS <const> = {
    {"ours", SENT, function(own) own:shutdown() end, raises = true},
    {"the peer's", RECEIVED, function(own, peer)
        peer:shutdown()
        own:read()
    end},
    {"both", SENT | RECEIVED, function(own, peer)
        peer:shutdown()
        own:read()
        own:shutdown()
    end, raises = true},
}

describe("a close_notify", function()
    local p = pki.get()

    local function meet(version)
        local client, server = pair.connect {
            client = {post_handshake_auth = version == "TLSv1.3" or nil,
                certificate = p.client_cert, private_key = p.client_key},
            server = {max_version = version, ca = p.ca_pem, verify = "optional"}}
        client:read()
        return client, server
    end

    for version, verbs in pairs(LATER) do
        for _, verb in ipairs(verbs) do
            for _, order in ipairs(ORDERS) do
                it(("stays in the mask after %s: %s, before it and after it"):format(verb,
                        order[1]), function()
                    local client, server = meet(version)
                    order[3](server, client)
                    if order.raises then
                        expect.raises(verb .. " after shutdown", server[verb], server)
                    elseif verb == "renegotiate" then
                        assert.same({nil, "closed"}, {server:renegotiate()})
                    else
                        assert.is_true(server[verb](server))
                    end
                    assert.equal(order[2], server:get_shutdown())
                    client, server = meet(version)
                    assert.is_true(server[verb](server))
                    order[3](server, client)
                    for _ = 1, 2 do
                        server:handshake()
                        local data, why = server:read()
                        assert.is_nil(data)
                        assert.equal(order[2] == SENT and "want_read" or "closed", why)
                    end
                    assert.equal(order[2], server:get_shutdown())
                end)
            end
        end
    end

    it("stays in the mask of a client that was asked to renegotiate before", function()
        local client, server = meet "TLSv1.2"
        assert.is_true(client:renegotiate())
        client:shutdown()
        assert.same({nil, "want_read"}, {client:read()})
        server:read()
        assert.equal("done", server:shutdown())
        assert.equal("done", client:shutdown())
        assert.equal(SENT | RECEIVED, client:get_shutdown())
        assert.equal("done", client:shutdown())
        assert.same({nil, "closed"}, {client:read()})
        assert.is_true(client:session():is_resumable())
        assert.equal("done", client:close(0))
    end)

    it("ends the wait of a client that was asked to renegotiate before", function()
        local client, server = meet "TLSv1.2"
        assert.is_true(client:renegotiate())
        client:shutdown()
        client:read()
        server:close(0)
        assert.equal("done", client:close(5))
    end)
end)

-- ------------------------------------------------------------------ what a call leaves to the next

describe("after shutdown", function()
    local client, server

    before_each(function() client, server = pair.connect() end)

    it("a write fails, and no record waits to be sent", function()
        client:shutdown()
        for _, corked in ipairs {false, true} do
            client:cork(corked)
            local err = expect.fails("tls", client:write "late")
            assert.equal("protocol is shutdown", err.reason)
        end
        expect.word("closed", server:read())
        server:shutdown()
        assert.equal("done", client:shutdown())
        assert.equal("done", client:close(1))
    end)

    it("a write fails, and close still works", function()
        server:shutdown()
        client:shutdown()
        expect.fails("tls", client:write "late")
        assert.equal("done", client:close(1))
    end)

    it("a write that had to wait can still be finished", function()
        repeat until not client:write(("x"):rep(16384))
        client:set_shutdown(SENT)
        expect.fails("tls", client:write(("x"):rep(16384)))
        client:set_shutdown(0)
        expect.raises("while a write waits", client.shutdown, client)
    end)
end)

describe("the end of a corked connection", function()
    for verb, last in pairs {shutdown = "sent", close = "want_read"} do
        it("by " .. verb .. " needs more calls until all data are sent", function()
            local client, server = pair.connect {capacity = 8192}
            local got, calls = 0, 0
            local result, message
            client:cork(true)
            assert.equal(16000, client:write(("x"):rep(16000)))
            repeat
                calls = calls + 1
                result, message = client[verb](client, verb == "close" and 1 or nil)
                for piece in function() return server:read(65536) end do got = got + #piece end
            until message ~= "want_write"
            assert.equal(last, result or message)
            assert.is_true(calls > 1)
            assert.equal(16000, got)
            expect.word("closed", server:read())
        end)
    end
end)

describe("a close_notify for which the transport was full", function()
    it("is sent by close, although data were read meanwhile", function()
        local client, server = pair.connect {
            client = {max_version = "TLSv1.2", ciphers = "ECDHE+AESGCM"}, capacity = 1000}
        assert.equal(971, client:write(("x"):rep(971)))
        expect.word("want_write", client:shutdown())
        expect.word("want_read", client:read())
        assert.equal(971, #server:read())
        assert.equal("sent", client:close())
        expect.word("closed", server:read())
    end)

    it("counts as unsent after close_transport", function()
        local client, server = pair.connect {
            client = {max_version = "TLSv1.2", ciphers = "ECDHE+AESGCM"}, capacity = 1000}
        assert.equal(971, client:write(("x"):rep(971)))
        expect.word("want_write", client:shutdown())
        client:close_transport()
        expect.word("unsent", client:close())
        assert.equal(971, #server:read())
        expect.word("truncated", server:read())
    end)
end)

-- ----------------------------------------------------------------- what was written before the end

describe("drain", function()
    local client, server

    before_each(function() client, server = pair.fed() end)

    for _, verb in ipairs {"close", "close_transport"} do
        it("returns what was written before " .. verb, function()
            client:write "last words"
            client[verb](client)
            local first = client:drain(7)
            assert.equal(7, #first)
            server:feed(first .. client:drain())
            server:feed_eof()
            assert.equal("", client:drain())
            assert.equal("last words", server:read())
            expect.word(verb == "close" and "closed" or "truncated", server:read())
            expect.raises("was closed", client.feed, client, "x")
            expect.raises("was closed", client.feed_eof, client)
        end)
    end

    it("returns the close_notify of a close that waits, and of one that times out", function()
        expect.word("want_read", client:close(1))
        server:feed(client:drain())
        expect.word("closed", server:read())
        assert.equal("sent", client:close(0))
        assert.equal("", client:drain())
        assert.equal("done", server:close())
        assert.is_true(#server:drain() > 0)
    end)

    it("returns nothing of a transport that was replaced", function()
        client:close()
        client:set_memory()
        assert.equal("", client:drain())
        client:close_transport()
        tls.pair(client, server)
        expect.raises("set_memory", client.drain, client)
    end)
end)

-- ---------------------------------------------------------------------- a failure is not forgotten

describe("a connection that has ended says why", function()
    local VERBS = {"read", "peek", "write", "flush_corked", "shutdown", "close", "handshake",
        "connect", "key_update", "renegotiate"}

    local function garbled(version)
        local scene = Scene.new(version == "TLSv1.2" and "tls12_id" or "tls13_stateful", "client")
        scene:meet "fed"
        scene:garble(scene:subject())
        scene:subject():read()
        return scene:subject(), scene
    end

    local function call(conn, verb)
        if verb ~= "flush_corked" then return conn[verb](conn, verb == "write" and "x" or nil) end
        conn:cork(true)
        return conn:write "x"
    end

    for _, version in ipairs(pair.VERSIONS) do
        it("also after a later mistake of the program, " .. version, function()
            for _, verb in ipairs(VERBS) do
                local conn, scene = garbled(version)
                local why = conn:error().message
                expect.raises("on a client's connection", conn.request_client_certificate, conn)
                expect.raises("before the handshake begins", conn.set_hostname, conn, "localhost")
                local result, message, err = call(conn, verb)
                assert.is_nil(result, verb)
                assert.equal(why, message, verb)
                assert.equal("tls", err.code)
                assert.equal(why, conn:error().message)
                scene:close()
            end
        end)

        it("also after its stream was cut, " .. version, function()
            local client, server = pair.connect {client = {max_version = version}}
            server:close_transport()
            expect.word("truncated", client:read())
            expect.raises("before the handshake begins", client.set_hostname, client, "localhost")
            for _, verb in ipairs {"read", "write", "shutdown", "close", "close"} do
                expect.word("truncated", call(client, verb))
            end
        end)
    end

    it("until it is cleared", function()
        local conn, scene = garbled "TLSv1.3"
        local why = conn:error().message
        assert(conn:clear())
        assert.equal(why, conn:error().message)
        expect.raises("before", conn.read, conn)
        assert.not_equal(why, conn:error().message)
        scene:close()
    end)
end)
