-- others_cpython_spec.lua: answers what CPython's Lib/test/test_ssl.py asks of sessions and of the
-- end of a connection (read at its commit df30e9d4, 2026).
--
-- The ssl module's unwrap() is SSL_shutdown until it is done; its session attribute is
-- SSL_get1_session and SSL_set_session. The names below are those of its classes and methods.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"
local uv = require "luv"

local p = pki.get()
local HERE = others.HERE

local suite = others.suite(it, {
    ["ContextTests.test_session_stats"] = HERE,
    ["ContextTests.test_num_tickest"] = HERE,
    ["ContextTests.test_sni_callback_refcycle"] = HERE,
    ["MemoryBIOTests.test_eof"] = HERE,
    ["MemoryBIOTests.test_pending"] = HERE,
    ["MemoryBIOTests.test_read_write"] = HERE,
    ["SSLObjectTests.test_unwrap"] = HERE,
    ["SimpleBackgroundTests.test_bio_handshake"] = HERE,
    ["SimpleBackgroundTests.test_bio_read_write_data"] = {"spec/net/transport_spec.lua",
        "move as many bytes as fit"},
    ["SimpleBackgroundTests.test_transport_eof"] = HERE,
    ["SimpleBackgroundTests.test_makefile_close"] = HERE,
    ["SimpleBackgroundTests.test_context_setget"] = "a connection keeps its context: only the "
        .. "hooks and server_names lead to another one, in the handshake",
    ["ThreadedTests.test_do_handshake_enotconn"] = HERE,
    ["ThreadedTests.test_getpeercert_enotconn"] = HERE,
    ["ThreadedTests.test_handshake_timeout"] = HERE,
    ["ThreadedTests.test_recv_send"] = HERE,
    ["ThreadedTests.test_recv_zero"] = HERE,
    ["ThreadedTests.test_tls_unique_channel_binding"] = HERE,
    ["ThreadedTests.test_rude_shutdown"] = HERE,
    ["ThreadedTests.test_starttls"] = HERE,
    ["ThreadedTests.test_sni_callback"] = HERE,
    ["ThreadedTests.test_read_write_after_close_raises_valuerror"] = HERE,
    ["ThreadedTests.test_nonblocking_send"] = HERE,
    ["ThreadedTests.test_version_basic"] = HERE,
    ["ThreadedTests.test_wrong_cert_tls12"] = HERE,
    ["ThreadedTests.test_wrong_cert_tls13"] = HERE,
    ["ThreadedTests.test_session"] = HERE,
    ["ThreadedTests.test_session_handling"] = HERE,
    ["TestPreHandshakeClose.test_preauth_data_to_tls_server"] = HERE,
    ["TestPreHandshakeClose.test_preauth_data_to_tls_client"] = HERE,
    ["TestPreHandshakeClose.test_https_client_non_tls_response_ignored"] = "asks the same as "
        .. "test_preauth_data_to_tls_client of http.client, which is not here",
})

--- Both ends in memory of their own, as the ssl module's MemoryBIO: nothing moves but by carry.
local function apart(options)
    local client, server = pair.join(options)
    client:set_memory()
    server:set_memory()
    local function carry()
        local moved
        repeat
            local to_server, to_client = client:drain(), server:drain()
            server:feed(to_server)
            client:feed(to_client)
            moved = #to_server + #to_client
        until moved == 0
    end
    for _ = 1, 5 do
        client:handshake()
        carry()
        server:handshake()
        carry()
    end
    assert(client:handshake_done() and server:handshake_done())
    return client, server, carry
end

describe("CPython's cases of sessions:", function()
    suite.answer("ContextTests.test_session_stats",
        "a new cache has counted nothing", function()
        for name, count in pairs(assert(tls.cache()):stats()) do assert.equal(0, count, name) end
    end)

    -- Theirs refuses a number on a client. OpenSSL takes it without effect, and so do we.
    suite.answer("ContextTests.test_num_tickest",
        "a server sends two tickets, or as many as it is told", function()
        assert.equal(2, #pair.sessions())
        for n = 0, 1 do assert.equal(n, #pair.sessions {server = {num_tickets = n}}) end
        for _, wrong in ipairs {-1, "two", {}, 1.5} do
            expect.raises("num_tickets", pair.server, {num_tickets = wrong})
        end
    end)

    suite.answer("ContextTests.test_sni_callback_refcycle",
        "a context that its own hook refers to is collected", function()
        local gone = setmetatable({}, {__mode = "k"})
        do
            local box = {}
            box.context = pair.server {on_hello = function() return box.context end}
            assert(box.context:connection()):free()
            gone[box.context] = true
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(next(gone))
    end)

    -- Theirs is for TLS 1.2 alone. In TLS 1.3 each connection brings sessions of its own, and each
    -- of them is offered once.
    suite.answer("ThreadedTests.test_session",
        "a session resumes again and again in TLS 1.2, and says what it is", function()
        local client, server = pair.client {max_version = "TLSv1.2"}, pair.server()
        local first = others.visit {client = client, server = server}
        local session = first.sessions[1]
        assert.equal("not_offered", first.client)
        assert.is_true(#session:id() > 0 and session:time() > 0 and session:timeout() > 0)
        assert.is_true(session:ticket() ~= nil and session:ticket_lifetime() > 0)
        for _ = 1, 2 do
            local conn, peer = pair.connect {client = client, server = server, session = session}
            assert.is_true(conn:session_reused() and peer:session_reused())
            assert.equal(session, conn:session())
            assert.equal(session:id(), conn:session():id())
            assert.is_true(conn:session():time() >= session:time())
            pair.finish(conn, peer)
        end
        local other = others.visit {client = client, server = server}
        assert.equal("not_offered", other.client)
        assert.not_equal(session, other.sessions[1])
        assert.not_equal(session:id(), other.sessions[1]:id())
        assert.equal("resumed", others.word(client, server, session))
    end)

    for _, version in ipairs(pair.VERSIONS) do
        suite.answer("ThreadedTests.test_session_handling",
            "a session is set before the handshake, and of its own context, " .. version, function()
            local client, server = pair.client {max_version = version}, pair.server()
            local conn, peer = pair.join {client = client, server = server}
            assert.is_nil(conn:session())
            assert.is_false(conn:session_reused())
            pair.drive(conn, peer)
            conn:read()
            local session = assert(conn:session())
            expect.raises("session", conn.set_session, conn, {})
            expect.raises("handshake", conn.set_session, conn, session)
            pair.finish(conn, peer)
            conn, peer = pair.connect {client = client, server = server, session = session}
            assert.is_true(conn:session_reused())
            pair.finish(conn, peer)
            local other = pair.client({max_version = version}):connection()
            expect.raises("another context", other.set_session, other, session)
        end)

        -- Theirs looks at the certificate that the callback's context leads to; a session must not
        -- lead from one of them to the other.
        suite.answer("ThreadedTests.test_sni_callback",
            "the context that a name leads to, or none, is told by its certificate and has "
            .. "sessions of its own, " .. version, function()
            local named = pair.server {certificate = p.rsa_cert_file, private_key = p.rsa_key_file}
            local main = pair.server {server_names = {["a.example"] = named}}
            local client = pair.client {max_version = version, verify_host = false}
            local sessions, certificates = {}, {}
            for _, name in ipairs {"a.example", false} do
                local conn, peer = pair.connect {client = client, server = main, hostname = name}
                certificates[name] = conn:peer_certificates()[1].fingerprint
                assert.equal(name or nil, peer:server_name())
                pair.finish(conn, peer)
                sessions[name] = conn:take_session() or conn:session()
            end
            assert.not_equal(certificates["a.example"], certificates[false])
            local seen = others.visit {client = client, server = main, hostname = false,
                session = client:import_session(sessions["a.example"]:export())}
            assert.same({"not_accepted", "other_context"}, {seen.client, seen.server})
            seen = others.visit {client = client, server = main, hostname = "a.example",
                session = sessions["a.example"]}
            assert.equal("resumed", seen.client)
        end)
    end
end)

for _, version in ipairs(pair.VERSIONS) do
    describe("CPython's cases of the end, " .. version .. ":", function()
        local options = {client = {max_version = version}}

        suite.answer("SSLObjectTests.test_unwrap",
            "the first to shut down waits for the other, who is done at once", function()
            local client, server, carry = apart(options)
            assert.equal("sent", client:shutdown())
            expect.word("want_read", client:shutdown())
            carry()
            expect.word("closed", server:read())
            assert.equal("done", server:shutdown())
            carry()
            assert.equal("done", client:shutdown())
        end)

        suite.answer("SimpleBackgroundTests.test_bio_handshake",
            "what the handshake found is known after it only, and nothing is written after "
            .. "the shutdown", function()
            local fresh = pair.client():connection()
            assert.is_nil(fresh:cipher() or fresh:version() or fresh:peer_certificates())
            local client, server, carry = apart(options)
            assert.truthy(client:cipher() and client:version() and client:peer_certificates())
            client:shutdown()
            carry()
            server:read()
            server:shutdown()
            carry()
            assert.equal("done", client:shutdown())
            local err = expect.fails("tls", client:write "foo")
            assert.truthy(err.reason:match "protocol is shutdown", err.reason)
        end)

        -- RFC 8446 section 6.1 and RFC 5246 section 7.2.1: an end without close_notify is no end of
        -- the data.
        suite.answer({"SimpleBackgroundTests.test_transport_eof", "MemoryBIOTests.test_eof"},
            "an end of the stream is a truncation, behind what came before it", function()
            local client, server, carry = apart(options)
            server:write "before"
            carry()
            client:feed_eof()
            assert.equal("bef", client:read(3))
            assert.equal("ore", client:read())
            expect.word("truncated", client:read())
            expect.word("truncated", client:read())
        end)

        -- Theirs returns no bytes for 0. SSL_read of 0 bytes says nothing of the connection, so to
        -- ask for it is a mistake here.
        suite.answer({"ThreadedTests.test_recv_zero", "ThreadedTests.test_recv_send"},
            "a read of no bytes, or of fewer, raises and takes none", function()
            local client, server = pair.connect(options)
            for _, text in ipairs {"", "data"} do
                if text ~= "" then server:write(text) end
                for _, wrong in ipairs {0, -1, math.mininteger, 0.5, "x"} do
                    expect.refused(wrong, client.read, client, wrong)
                end
            end
            assert.equal("data", client:read())
            expect.word("want_read", client:read())
        end)

        suite.answer("ThreadedTests.test_tls_unique_channel_binding",
            "what both ends know of their Finished is the same, and new each time, also where "
            .. "a session is resumed", function()
            local client, server = pair.client(options.client), pair.server()
            local seen, session = {}, nil
            for i = 1, 3 do
                local conn, peer = pair.connect {client = client, server = server,
                    session = session}
                assert.equal(i > 1, conn:session_reused())
                for _, bytes in ipairs {conn:finished(), peer:finished()} do
                    assert.is_true(#bytes >= 12 and not seen[bytes])
                    seen[bytes] = true
                end
                assert.equal(conn:finished(), peer:peer_finished())
                assert.equal(peer:finished(), conn:peer_finished())
                pair.finish(conn, peer)
                session = conn:take_session() or conn:session()
            end
        end)

        suite.answer({"MemoryBIOTests.test_pending", "MemoryBIOTests.test_read_write"},
            "what is drained piece by piece is what was written, and no more", function()
            local client, server = apart(options)
            client:write(("w"):rep(100))
            local pieces = {}
            repeat
                pieces[#pieces + 1] = client:drain(7)
                assert.is_true(#pieces[#pieces] <= 7)
            until pieces[#pieces] == ""
            for _, piece in ipairs(pieces) do server:feed(piece) end
            assert.equal(("w"):rep(60), server:read(60))
            assert.equal(40, server:pending())
            assert.equal(("w"):rep(40), server:read())
            assert.equal(0, server:pending())
        end)

        suite.answer("ThreadedTests.test_read_write_after_close_raises_valuerror",
            "after close a read and a write raise", function()
            local client = pair.connect(options)
            client:close()
            expect.raises("transport", client.read, client)
            expect.raises("transport", client.write, client, "hello")
        end)

        suite.answer("ThreadedTests.test_nonblocking_send",
            "a connection whose writes wait is closed without harm, and its peer is told of "
            .. "no clean end", function()
            local client, server = pair.connect(options)
            local sent = 0
            while true do
                local n, word = client:write(("x"):rep(8192))
                if not n or n < 8192 then
                    assert.is_true(n ~= nil or word == "want_write", word)
                    break
                end
                sent = sent + n
            end
            expect.word("timeout", client:close())
            local got = 0
            while server:peek(1) do got = got + #server:read(65536) end
            assert.is_true(got >= sent)
            expect.word("truncated", server:read())
        end)

        -- Theirs forgets the version with the socket. Ours stays known, as it does in libssl.
        suite.answer("ThreadedTests.test_version_basic",
            "the version is known from the handshake on, and stays known after close", function()
            local client, server = pair.join(options)
            assert.is_nil(client:version())
            pair.drive(client, server)
            assert.equal(version, client:version())
            client:close()
            assert.equal(version, client:version())
        end)

        suite.answer("ThreadedTests.test_wrong_cert_" .. version:lower():gsub("[v.]", ""),
            "a client whose certificate is refused gets an alert, and no session", function()
            local cache = assert(tls.cache())
            local c, s, client = pair.try {client = {max_version = version, cache = cache,
                certificate = p.other_client_cert_file, private_key = p.other_client_key_file},
                server = {verify = "required", ca = p.ca_file}}
            assert.equal("verify", s[3].code)
            local err = c[3]
            if version == "TLSv1.3" then -- its handshake is done before the server has looked
                assert.is_true(c[1])
                err = select(3, client:read())
            end
            assert.same({"alert", "unknown_ca", true}, {err.code, err.alert, err.alert_received})
            assert.equal(0, #cache)
        end)

        suite.answer("ThreadedTests.test_rude_shutdown",
            "a server that leaves before the handshake is no success", function()
            local client, server = pair.join(options)
            server:close_transport()
            local done, message = client:connect()
            assert.is_nil(done)
            assert.is_string(message)
            assert.equal("failed", client:state())
            assert.is_nil(client:version())
        end)

        -- Theirs may go on at once. Here a read takes more of a descriptor than a record, so that
        -- a peer has to wait for our close_notify before it goes on without TLS.
        suite.answer("ThreadedTests.test_starttls",
            "TLS begins and ends on a descriptor that goes on in plain text", function()
            local fds = uv.socketpair("stream", nil, {}, {})
            local function plain(from, to, text)
                assert(uv.fs_write(from, text, -1))
                assert.equal(text, uv.fs_read(to, 100, -1))
            end
            plain(fds[1], fds[2], "STARTTLS")
            plain(fds[2], fds[1], "OK")
            local client, server = pair.connect {client = options.client, setup = function(c, s)
                c:set_fd(fds[1])
                s:set_fd(fds[2])
            end}
            assert.equal("ENDTLS", pair.send(client, server, "ENDTLS"))
            assert.equal("sent", client:shutdown())
            expect.word("closed", server:read())
            assert.equal("done", server:shutdown())
            assert.equal("done", client:shutdown())
            client:free()
            server:free()
            plain(fds[1], fds[2], "msg 5")
            plain(fds[2], fds[1], "msg 6")
            for i = 1, 2 do uv.fs_close(fds[i]) end
        end)

        it("what comes behind a close_notify at once is dropped with it", function()
            local fds = uv.socketpair("stream", nil, {}, {})
            local client, server = pair.connect {client = options.client, setup = function(c, s)
                c:set_fd(fds[1])
                s:set_fd(fds[2])
            end}
            client:shutdown()
            assert(uv.fs_write(fds[1], "msg 5", -1))
            expect.word("closed", server:read())
            client:free()
            uv.fs_close(fds[1])
            server:free()
            assert.equal("", uv.fs_read(fds[2], 100, -1))
            uv.fs_close(fds[2])
        end)
    end)
end

describe("CPython's cases of the end, without TLS:", function()
    local REQUEST = "DELETE /data HTTP/1.0\r\n\r\n"

    for _, role in ipairs {"server", "client"} do
        suite.answer("TestPreHandshakeClose.test_preauth_data_to_tls_" .. role,
            "plain data before the handshake of a " .. role .. " are never given", function()
            local client, server = pair.join()
            local conn = role == "server" and server or client
            conn:set_memory()
            conn:feed(REQUEST)
            conn:feed_eof()
            local err = expect.fails("tls", conn:handshake())
            assert.truthy(err.message)
            local ok, data = pcall(conn.read, conn)
            assert.is_true(not ok or data == nil)
            assert.equal("failed", conn:state())
        end)
    end

    suite.answer({"ThreadedTests.test_do_handshake_enotconn",
        "ThreadedTests.test_getpeercert_enotconn"},
        "a connection without a peer makes no handshake, and knows no certificate", function()
        local conn = assert(pair.client():connection())
        conn:set_hostname "localhost"
        expect.raises("transport", conn.connect, conn)
        assert.is_nil(conn:peer_certificates())
    end)

    suite.answer("ThreadedTests.test_handshake_timeout",
        "a handshake with a peer that says nothing ends with its time", function()
        local listener <close> = setmetatable({it = assert(tls.listen("127.0.0.1", 0))}, {
            __close = function(one) one.it:close() end,
        })
        for _, when in ipairs {"before", "after"} do
            local conn = assert(pair.client():connection())
            conn:set_hostname "localhost"
            if when == "before" then conn:set_timeout(0.2) end
            local dialled, word = conn:dial("127.0.0.1", listener.it:port())
            if when == "after" then
                assert(dialled, word)
                conn:set_timeout(0.05)
            end
            if dialled then
                expect.word("timeout", conn:connect())
            else
                assert.equal("timeout", word) -- on a busy machine
            end
            assert.is_false(conn:handshake_done())
            conn:close()
        end
    end)

    suite.answer("SimpleBackgroundTests.test_makefile_close",
        "close closes the descriptor, whatever else refers to the connection", function()
        local listener <close> = setmetatable({it = assert(tls.listen("127.0.0.1", 0))}, {
            __close = function(one) one.it:close() end,
        })
        local conn = assert(pair.client():connection())
        assert(conn:dial("127.0.0.1", listener.it:port()))
        local fd, second = conn:fd(), conn:up_ref()
        local function open() return os.execute(("test -e /proc/$PPID/fd/%d"):format(fd)) end
        assert.is_true(open())
        conn:close()
        assert.is_nil(conn:fd())
        assert.is_nil(open())
        assert.equal(second, conn)
    end)
end)

describe("CPython's suite", function() suite.check() end)
