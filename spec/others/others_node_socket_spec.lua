-- others_node_socket_spec.lua: answers what Node's tests ask of junk, of connections that are
-- dropped or paused, of server names and of renegotiation (read in nodejs/node 25.8.1, 2026).
--
-- What its tests ask of sessions, tickets and the end is answered in others_node_spec.lua.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local process = require "spec.support.process"
local tls = require "tlslife"

local HERE = others.HERE
local PARALLEL = "test/parallel/test-"
local CLOSES_ALL = {"spec/serve/serve_spec.lua", "ends connections at the deadline"}

local suite = others.suite(it, {
    [PARALLEL .. "tls-junk-closes-server.js"] = HERE,
    [PARALLEL .. "tls-junk-server.js"] = HERE,
    [PARALLEL .. "tls-delayed-attach-error.js"] = HERE,
    [PARALLEL .. "tls-alert-handling.js"] = HERE,
    [PARALLEL .. "tls-write-error.js"] = HERE,
    [PARALLEL .. "tls-client-abort.js"] = HERE,
    [PARALLEL .. "tls-client-abort2.js"] = HERE,
    [PARALLEL .. "tls-connect-abort-controller.js"] = HERE,
    [PARALLEL .. "tls-tlswrap-segfault-2.js"] = HERE,
    [PARALLEL .. "tls-retain-handle-no-abort.js"] = HERE,
    [PARALLEL .. "tls-use-after-free-regression.js"] = HERE,
    [PARALLEL .. "tls-wrap-econnreset-pipe.js"] = HERE,
    [PARALLEL .. "tls-pause.js"] = HERE,
    [PARALLEL .. "tls-interleave.js"] = HERE,
    [PARALLEL .. "tls-inception.js"] = {"spec/net/nested_spec.lua", "may be carried in turn"},
    [PARALLEL .. "tls-streamwrap-buffersize.js"] = "Node's sockets count bytes that wait in Node",
    [PARALLEL .. "tls-reinitialize-listeners.js"] = "counts the listeners of Node's events",
    [PARALLEL .. "https-truncate.js"] = HERE,
    [PARALLEL .. "https-eof-for-eom.js"] = HERE,
    [PARALLEL .. "https-close.js"] = CLOSES_ALL,
    [PARALLEL .. "https-server-close-all.js"] = CLOSES_ALL,
    [PARALLEL .. "https-server-close-idle.js"] = {"spec/serve/serve_spec.lua",
        "closes idle connections at once, and busy ones after their answer"},
    [PARALLEL .. "https-agent-sni.js"] = HERE,
    [PARALLEL .. "https-agent-servername.js"] = HERE,
    [PARALLEL .. "https-agent-getname.js"] = {"spec/others/others_curl_spec.lua",
        "host and protocols (ALPN) do"},
    [PARALLEL .. "tls-snicallback-error.js"] = HERE,
    ["test/sequential/test-tls-session-timeout.js"] = {"spec/session/session_spec.lua",
        "ends, and then the session resumes no more"},
    [PARALLEL .. "tls-session-timeout-errors.js"] = HERE,
    [PARALLEL .. "tls-client-renegotiation-13.js"] = {"spec/others/others_rustls_io_spec.lua",
        "neither end asks for a renegotiation"},
    [PARALLEL .. "tls-disable-renegotiation.js"] = HERE,
})

describe("Node's cases of options:", function()
    suite.answer(PARALLEL .. "tls-session-timeout-errors.js",
        "a lifetime of sessions is not negative", function()
        local session = pair.session()
        for _, wrong in ipairs {-1, -100, -(1 << 31)} do
            expect.raises("session_timeout", pair.server, {session_timeout = wrong})
            expect.raises("timeout", tls.cache, {timeout = wrong})
            expect.refused(wrong, session.set_timeout, session, wrong)
        end
        assert.is_true(session:timeout() > 0)
    end)

    suite.answer(PARALLEL .. "tls-snicallback-error.js",
        "what is called with a ClientHello is a function", function()
        for _, wrong in ipairs {"fhqwhgads", 42, {}, true} do
            expect.raises("on_hello", pair.server, {on_hello = wrong})
        end
    end)

    suite.answer({PARALLEL .. "https-agent-sni.js", PARALLEL .. "https-agent-servername.js"},
        "each connection sends its own name, and has sessions of that name alone", function()
        local client = pair.client {cache = assert(tls.cache()), verify_host = false}
        local server = pair.server()
        for _, word in ipairs {"not_cached", "resumed"} do
            for i = 0, 3 do
                local name = ("sni.%d.example"):format(i)
                local conn, peer = pair.connect {client = client, server = server, hostname = name}
                assert.same({name, word}, {peer:server_name(), conn:resumption()})
                pair.finish(conn, peer)
            end
        end
    end)
end)

for _, version in ipairs(pair.VERSIONS) do
    local options = {client = {max_version = version}}

    describe("Node's cases of junk, " .. version .. ":", function()
        local junk = {[PARALLEL .. "tls-junk-closes-server.js"] = "blah\nblah\nblah\n",
            [PARALLEL .. "tls-junk-server.js"] = "I was waiting for you, hello!",
            [PARALLEL .. "tls-delayed-attach-error.js"] = ("*"):rep(1024)}
        for which, bytes in pairs(junk) do
            suite.answer(which, "no handshake comes of it, and no end that looks clean", function()
                local client, server = pair.join(options)
                local one = which:find("junk-server", 1, true) and client or server
                one:set_memory()
                one:handshake()
                one:drain()
                one:feed(bytes)
                one:feed_eof()
                for _ = 1, 2 do expect.fails("tls", one:handshake()) end
                assert.same({"failed", false}, {one:state(), one:handshake_done()})
                local session = one:session()
                assert.is_false(session ~= nil and session:is_resumable())
            end)
        end

        suite.answer(PARALLEL .. "tls-alert-handling.js",
            "a bad record ends its own connection and no other", function()
            local client, server = pair.client(options.client), pair.server()
            local good, good_peer = pair.connect {client = client, server = server}
            for i = 1, 20 do
                assert.equal("a", pair.send(good, good_peer, "a"))
                assert.equal("a", pair.send(good_peer, good, "a"))
                if i % 5 == 0 then
                    local _, peer = pair.fed {client = client, server = server}
                    peer:feed(("\xff"):rep(6))
                    expect.fails("tls", peer:read())
                    peer:free()
                end
            end
            assert.equal("done", pair.finish(good, good_peer))
        end)

        suite.answer(PARALLEL .. "tls-write-error.js",
            "a write behind a message that was none fails as the read did", function()
            local client, server = pair.fed(options)
            client:write "request"
            local record = client:drain()
            server:feed(record:sub(1, -2) .. string.char(record:byte(-1) ~ 1))
            local reason = expect.fails("tls", server:read()).reason
            for _ = 1, 2 do
                assert.equal(reason, expect.fails("tls", server:write "hello").reason)
            end
            server:free()
        end)
    end)

    describe("Node's cases of connections that are dropped, " .. version .. ":", function()
        local client = pair.client(options.client)
        local aborts = {PARALLEL .. "tls-client-abort.js", PARALLEL .. "tls-client-abort2.js",
            PARALLEL .. "tls-connect-abort-controller.js"}

        suite.answer(aborts, "one may be dropped before, in and after a dial", function()
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            local port = listener:port()
            for _, stage in ipairs {"before", "begun", "hello", "failed"} do
                local conn = assert(client:connection())
                conn:set_blocking(false)
                if stage == "failed" then
                    conn:set_blocking(true)
                    expect.fails("system", conn:dial("unix:" .. process.directory() .. "/none"))
                elseif stage ~= "before" then
                    local done, word = conn:dial("127.0.0.1", port)
                    assert.is_true(done or word == "want_write", word)
                    if stage == "hello" then conn:connect() end
                end
                conn:close()
                assert.is_nil(conn:fd())
                expect.raises("transport", conn.connect, conn)
                conn:free()
            end
        end)

        suite.answer({PARALLEL .. "tls-tlswrap-segfault-2.js",
            PARALLEL .. "tls-retain-handle-no-abort.js"},
            "one that is over is asked what it was, and answers", function()
            local conn, peer = pair.connect(options)
            pair.finish(conn, peer)
            conn:close()
            local failed = pair.join(options)
            failed:close_transport()
            for _, one in ipairs {conn, peer, failed} do
                assert.equal("string", type(tostring(one)))
                for _, getter in ipairs {"session", "take_session", "cipher", "version", "alpn",
                    "peer_certificates", "resumption", "state", "server_name"} do
                    assert.is_true(pcall(one[getter], one), getter)
                end
            end
            assert.is_nil(failed:session() or failed:take_session())
        end)

        suite.answer(PARALLEL .. "tls-use-after-free-regression.js",
            "one is freed with the answer in hand, and its peer goes on writing", function()
            local conn, peer = pair.connect(options)
            for _ = 1, 3 do conn:write "request" end
            for _ = 1, 3 do assert.equal("request", peer:read(7)) end
            for _ = 1, 3 do peer:write "boom goes the dynamite\n" end
            assert.equal("boom goes the dynamite\n", conn:read())
            conn:free()
            local done, message, err
            repeat done, message, err = peer:write(("x"):rep(65536)) until not done
            assert.is_true(message ~= "want_write" and err ~= nil, message)
            peer:free()
        end)

        suite.answer(PARALLEL .. "tls-wrap-econnreset-pipe.js",
            "a socket of a file that is closed in the handshake is no clean end", function()
            local path = process.directory() .. "/reset.sock"
            local listener <close> = assert(tls.listen("unix:" .. path))
            local conn = assert(client:connection())
            conn:set_hostname "localhost"
            assert(conn:dial("unix:" .. path))
            conn:set_blocking(false)
            expect.word("want_read", conn:connect())
            local peer = assert(listener:accept(pair.server(), 20))
            peer:close_transport()
            conn:set_blocking(true)
            conn:set_timeout(20)
            local done, message, err = conn:connect()
            assert.is_nil(done)
            assert.is_true(message == "truncated" or err ~= nil and err.code == "system", message)
            assert.equal("failed", conn:state())
        end)
    end)

    describe("Node's cases of data, " .. version .. ":", function()
        suite.answer(PARALLEL .. "tls-pause.js",
            "a reader that pauses stops its writer, and gets all when it goes on", function()
            local client, server = pair.connect(options)
            local sent, got, block = 0, 0, ("p"):rep(1 << 16)
            local n, word
            repeat
                n, word = client:write(block)
                sent = sent + (n or 0)
            until n ~= #block
            assert.is_true(n ~= nil or word == "want_write", word)
            local bytes = server:read(1 << 16)
            while bytes do
                assert.equal(bytes, ("p"):rep(#bytes))
                got, bytes = got + #bytes, server:read(1 << 16)
            end
            assert.is_true(got >= sent and got < sent + 16384 + 1, got)
        end)

        suite.answer(PARALLEL .. "tls-interleave.js",
            "what both ends write before either reads arrives in its order", function()
            local client, server = pair.connect(options)
            local writes = {"some server data", "and a separate packet", "and one more"}
            for i, bytes in ipairs(writes) do
                server:write(bytes)
                client:write("client " .. i)
            end
            for i, bytes in ipairs(writes) do
                assert.equal(bytes, client:read(#bytes))
                assert.equal("client " .. i, server:read(8))
            end
        end)

        suite.answer(PARALLEL .. "https-truncate.js",
            "a lone byte behind two full records is read, however small the reads are", function()
            for _, size in ipairs {1 << 16, 16384, 16383, 1000} do
                local client, server = pair.connect(options)
                local bytes, got = ("t"):rep(2 * 16384 + 1), 0
                assert.equal(#bytes, server:write(bytes))
                assert.equal("sent", server:close())
                local piece, word = client:read(size)
                while piece do
                    got = got + #piece
                    piece, word = client:read(size)
                end
                assert.same({#bytes, "closed"}, {got, word})
            end
        end)

        suite.answer(PARALLEL .. "https-eof-for-eom.js",
            "data of no told length end with close_notify", function()
            local client, server = pair.connect(options)
            server:write "hello world\n"
            assert.equal("hello world\n", client:read())
            expect.word("want_read", client:read())
            server:write "hello world\n"
            server:close()
            assert.equal("hello world\n", client:read())
            expect.word("closed", client:read())
        end)
    end)
end

describe("Node's cases of renegotiation:", function()
    suite.answer(PARALLEL .. "tls-disable-renegotiation.js",
        "a client's is made where it is allowed, and nowhere else", function()
        for _, allowed in ipairs {true, false} do
            local client, server = pair.connect {client = {max_version = "TLSv1.2"},
                server = {options = {ALLOW_CLIENT_RENEGOTIATION = allowed}}}
            assert.is_true(client:renegotiate())
            expect.word("want_read", client:handshake())
            for _ = 1, 4 do
                server:read()
                client:read()
            end
            assert.same({allowed and 1 or 0, allowed and 1 or 0},
                {client:num_renegotiations(), server:num_renegotiations()})
            if allowed then assert.equal("data", pair.send(client, server, "data")) end
        end
    end)
end)

describe("Node's suite of sockets", function() suite.check() end)
