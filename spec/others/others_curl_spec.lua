-- others_curl_spec.lua: answers what curl's tests ask of its session cache and of the end of a
-- connection (read at its commit 5c61e168, 2026).
--
-- Most of curl's rules for sessions are in lib/vtls/vtls_scache.c, and its tests look at a few of
-- them through HTTP. So the functions of that file that state a rule are listed, too.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local SCACHE, SSL, SHUTDOWN = "vtls_scache.c: ", "test_17_ssl_use.py: ", "test_19_shutdown.py: "
local ERRORS, FTPS = "test_05_errors.py: ", "test_31_vsftpds.py: "
local EARLY = {"test_02_download.py: test_02_32_earlydata",
    "test_07_upload.py: test_07_70_put_earlydata", "test_08_caddy.py: test_08_08_earlydata"}

local suite = others.suite(it, {
    ["unit3304.c"] = HERE,
    ["cli_tls_session_reuse.c"] = HERE,
    ["lib1587.c"] = "hands out the SSL and the SSL_CTX, for whose hosts tlslife_openssl.h is",
    [SSL .. "test_17_01_sslinfo_plain"] = HERE,
    [SSL .. "test_17_02_sslinfo_reconnect"] = HERE,
    ["lib1678.c"] = HERE,
    ["lib3207.c"] = {"spec/c/threads/cache_threads.c",
        "uses one cache from several threads at once"},
    ["lib586.c"] = "a program gives curl the locks of what it shares; ours has its own",
    [EARLY[1]] = HERE,
    [EARLY[2]] = HERE,
    [EARLY[3]] = HERE,
    [ERRORS .. "test_05_04_unclean_tls_shutdown"] = HERE,
    [ERRORS .. "test_05_09_handshake_eof"] = HERE,
    [FTPS .. "test_31_03_download_10_serial"] = HERE,
    [FTPS .. "test_31_13_starttls_reuse"] = "asks which connections of curl's pool are used again",
    ["test_60_h3_proxy.py: test_60_12_quic_session_resumption"] = "there is no QUIC here",
    [SSL .. "test_17_03_trailing_dot"] = HERE,
    [SSL .. "test_17_04_double_dot"] = HERE,
    [SSL .. "test_17_10_h3_session_reuse"] = "there is no QUIC here",
    [SSL .. "test_17_15_session_export"] = HERE,
    [SHUTDOWN .. "test_19_01_check_tcp_rst"] = "looks for the TCP resets of curl's own default, "
        .. "which is not to shut down",
    [SHUTDOWN .. "test_19_02_check_shutdown"] = HERE,
    [SHUTDOWN .. "test_19_03_shutdown_by_server"] = HERE,
    [SHUTDOWN .. "test_19_04_shutdown_by_curl"] = HERE,
    [SHUTDOWN .. "test_19_05_event_shutdown_by_server"] = {"spec/lua/loop_spec.lua",
        "dial by name, shake hands, say something and get it back"},
    [SHUTDOWN .. "test_19_06_check_shutdown"] = "counts the connections of HTTP/2",
    [SHUTDOWN .. "test_19_07_shutdown_by_curl"] = "a limit of connections in all is the program's",
    [SHUTDOWN .. "test_19_08_event_shutdown_watched"] = HERE,
    [SCACHE .. "ssl_peer_key_build"] = HERE,
    [SCACHE .. "ssl_peer_key_add_vrfy"] = {"spec/session/isolation_spec.lua",
        "does not give a session from"},
    [SCACHE .. "cf_ssl_get_free_peer"] = HERE,
    [SCACHE .. "cf_scache_peer_add_session"] = HERE,
    [SCACHE .. "cf_scache_add_session"] = {"spec/session/resumption_spec.lua",
        "the session has expired"},
    [SCACHE .. "cf_ssl_scache_match_auth"] = HERE,
    [SCACHE .. "cf_ssl_find_peer_by_hmac"] = HERE,
    [SCACHE .. "cf_scache_peer_remove_expired"] = {"spec/session/cache_spec.lua",
        "sessions expire wherever they are kept"},
    [SCACHE .. "cf_scache_peer_remove_non13"] = HERE,
    [SCACHE .. "Curl_ssl_scache_remove_all"] = HERE,
    [SCACHE .. "Curl_ssl_scache_add_obj"] = "keeps what a TLS library parsed of its certificates",
    ["vtls_spack.c: Curl_ssl_session_unpack"] = {"spec/session/session_spec.lua",
        "is the same after export and import"},
    [SCACHE .. "Curl_ssl_scache_take"] = HERE,
    [SCACHE .. "Curl_ssl_scache_return"] = HERE,
    [SCACHE .. "Curl_ssl_session_export"] = HERE,
    [SCACHE .. "Curl_ssl_session_import"] = HERE,
})

local function words(n, client, server)
    local seen = {}
    for i = 1, n do seen[i] = others.word(client, server) end
    return table.concat(seen, " ")
end

local ALICE = {certificate = p.client_cert_file, private_key = p.client_key_file}

describe("curl's cases of what keeps sessions apart:", function()
    --- Whether a session that a client of the first options left behind is offered by one of the
    -- second, to the same server.
    local function shares(first, second, version)
        local cache = assert(tls.cache())
        local server = pair.server {verify = "optional", ca = {p.ca_file, p.other_ca_file}}
        local function visit(options)
            return others.word(pair.client(pair.with({cache = cache, max_version = version},
                options)), server)
        end
        assert.equal("not_cached", visit(first))
        local word = visit(second)
        assert.is_true(word == "resumed" or word == "not_cached", word)
        return word == "resumed"
    end

    -- curl compares paths, and the types of the files. Here the certificate counts, wherever it
    -- comes from.
    for _, version in ipairs(pair.VERSIONS) do
        suite.answer({"unit3304.c", SCACHE .. "cf_ssl_scache_match_auth"},
            "the client's certificate does, not where it lies, " .. version, function()
            local text = {certificate = p.client_cert, private_key = p.client_key}
            local namesake = {certificate = p.other_client_cert_file,
                private_key = p.other_client_key_file}
            assert.is_true(shares(ALICE, ALICE, version))
            assert.is_true(shares(ALICE, text, version))
            assert.is_false(shares(ALICE, namesake, version))
            assert.is_false(shares(ALICE, {}, version))
            assert.is_false(shares({}, ALICE, version))
        end)
    end

    suite.answer("unit3304.c", "the passphrase of its key does not", function()
        local sealed = process.directory() .. "/sealed.key"
        assert.equal(0, (process.run {"openssl", "pkcs8", "-topk8", "-in", p.client_key_file,
            "-passout", "pass:secret", "-out", sealed}))
        assert.is_true(shares(ALICE, {certificate = p.client_cert_file, private_key = sealed,
            passphrase = "secret"}))
    end)

    suite.answer(SCACHE .. "ssl_peer_key_build", "host and protocols (ALPN) do", function()
        local cache, server = assert(tls.cache()), pair.server {alpn = {"h2", "http/1.1"}}
        local function visit(hostname, alpn)
            local client = pair.client {cache = cache, alpn = alpn}
            return others.visit({client = client, server = server, hostname = hostname}).client
        end
        assert.equal("not_cached", visit("localhost", {"h2"}))
        assert.equal("not_cached", visit("localhost", {"http/1.1"}))
        assert.equal("not_cached", visit("a.example", {"h2"}))
        assert.equal("resumed", visit("localhost", {"h2"}))
        assert.equal("resumed", visit("a.example", {"h2"}))
    end)

    suite.answer({SSL .. "test_17_03_trailing_dot", SSL .. "test_17_04_double_dot"},
        "a dot at the end of the host does not, and two are refused", function()
        local client, server = pair.client {cache = assert(tls.cache())}, pair.server()
        assert.equal("not_cached", words(1, client, server))
        local conn, peer = pair.connect {client = client, server = server, hostname = "localhost."}
        assert.equal("localhost", peer:server_name())
        assert.equal("resumed", conn:resumption())
        pair.finish(conn, peer)
        conn = assert(client:connection())
        expect.raises("host name", conn.set_hostname, conn, "localhost..")
    end)

    suite.answer(SCACHE .. "cf_scache_peer_remove_non13",
        "a session of another version takes the place of those before it", function()
        local cache = assert(tls.cache())
        local client, kept = pair.client {cache = cache}, {}
        for i, version in ipairs {"TLSv1.3", "TLSv1.2", "TLSv1.3"} do
            local server = pair.server {min_version = version, max_version = version}
            assert.equal(i == 1 and "not_cached" or "other_version", words(1, client, server))
            kept[i] = #cache
        end
        assert.same({2, 1, 2}, kept)
    end)
end)

describe("curl's cases of early data:", function()
    suite.answer(EARLY, "the first connection sends none, the next as many as it may, and the "
        .. "rest follows", function()
        local MOST <const> = 1000
        local client = pair.client {cache = assert(tls.cache()), max_early_data = MOST}
        local server = pair.server {max_early_data = MOST}
        local body = ("0123456789"):rep(400)
        for i, expected in ipairs {0, MOST, MOST} do
            local conn, peer = pair.join {client = client, server = server}
            assert.equal(expected, conn:write_early(body))
            local c, s = pair.drive(conn, peer, nil, peer.accept_early)
            assert.is_true(c[1] and s[1])
            local before = expected > 0 and peer:read(MOST) or ""
            local rest = pair.send(conn, peer, body:sub(expected + 1))
            assert.equal(body, before .. rest)
            local word = i == 1 and "not_sent" or "accepted"
            assert.same({word, word}, {conn:early_data_status(), peer:early_data_status()})
            pair.finish(conn, peer)
        end
    end)
end)

for _, version in ipairs(pair.VERSIONS) do
    local tls13 = version == "TLSv1.3"

    describe("curl's cases of a client's cache, " .. version .. ":", function()
        local cache, client

        before_each(function()
            cache = assert(tls.cache())
            client = pair.client {cache = cache, max_version = version}
        end)

        suite.answer({SSL .. "test_17_01_sslinfo_plain", SSL .. "test_17_02_sslinfo_reconnect"},
            "the first of three connections is a full handshake, the others resume", function()
            assert.equal("not_cached resumed resumed", words(3, client, pair.server()))
        end)

        suite.answer(SSL .. "test_17_15_session_export",
            "a new process resumes what the one before it has exported", function()
            local server, keyring = pair.server(), tls.keyring {("k"):rep(32)}
            assert.equal("not_cached", words(1, client, server))
            local bytes = assert(cache:export(keyring))
            local later = assert(tls.cache())
            assert.is_true(later:import(keyring, bytes) >= 1)
            client = pair.client {cache = later, max_version = version}
            assert.equal("resumed", words(1, client, server))
        end)

        suite.answer(SCACHE .. "Curl_ssl_session_export",
            "sessions of a client with a certificate are not exported", function()
            local keyring = tls.keyring {("k"):rep(32)}
            local server = pair.server {verify = "required", ca = p.ca_file}
            local alice = pair.client {cache = cache, max_version = version,
                certificate = ALICE.certificate, private_key = ALICE.private_key}
            words(1, alice, server)
            assert.is_true(#cache > 0)
            assert.equal(0, assert(tls.cache()):import(keyring, assert(cache:export(keyring))))
            local asked = assert(cache:export(keyring, true))
            assert.is_true(assert(tls.cache()):import(keyring, asked) > 0)
        end)

        suite.answer(SCACHE .. "Curl_ssl_session_import",
            "what is damaged, cut or sealed by another is not imported", function()
            local keyring = tls.keyring {("k"):rep(32)}
            words(1, client, pair.server())
            local bytes, before = assert(cache:export(keyring)), #cache
            for _, wrong in ipairs {"", "garbage", bytes:sub(1, -2), bytes .. "x", bytes:sub(2),
                bytes:sub(1, 40) .. string.char(bytes:byte(41) ~ 1) .. bytes:sub(42)} do
                expect.fails("input", cache:import(keyring, wrong))
            end
            expect.fails("input", cache:import(tls.keyring {("x"):rep(32)}, bytes))
            assert.equal(before, #cache)
        end)

        suite.answer({"lib1678.c", SCACHE .. "cf_ssl_find_peer_by_hmac"},
            "what is imported again and again is there once, and bytes tell no name", function()
            local keyring = tls.keyring {("k"):rep(32)}
            words(1, client, pair.server())
            local bytes, count = assert(cache:export(keyring)), #cache
            assert.is_nil(bytes:find("localhost", 1, true))
            for _, into in ipairs {cache, assert(tls.cache())} do
                for _ = 1, 64 do
                    assert.equal(count, into:import(keyring, bytes))
                    assert.equal(count, #into)
                end
            end
        end)

        -- curl drops all that it has for a host whose certificate is wrong. Here each session was
        -- made with a peer that was verified, and no other can resume it.
        suite.answer(SCACHE .. "Curl_ssl_scache_remove_all",
            "a peer with a wrong certificate gets none of them, and adds none", function()
            local server = pair.server()
            words(1, client, server)
            local before = #cache
            local c = pair.try {client = client, server = {
                certificate = p.wrong_host_cert_file, private_key = p.wrong_host_key_file}}
            expect.fails("verify", table.unpack(c, 1, c.n))
            assert.equal(tls13 and before - 1 or before, #cache)
            assert.equal("resumed", words(1, client, server))
        end)

        suite.answer(FTPS .. "test_31_03_download_10_serial",
            "ten connections for data resume the session of one that stays open", function()
            local server = pair.server()
            local control, peer = pair.connect {client = client, server = server}
            assert.equal("not_cached", control:resumption())
            assert.equal(("resumed "):rep(10):sub(1, -2), words(10, client, server))
            assert.equal("226", pair.send(peer, control, "226"))
            pair.finish(control, peer)
        end)

        -- RFC 8446 appendix C.4 for TLS 1.3.
        suite.answer({SCACHE .. "Curl_ssl_scache_take", SCACHE .. "Curl_ssl_scache_return"},
            "a session is taken by one connection, or goes on serving all", function()
            local server = pair.server {num_tickets = 1}
            assert.equal("not_cached", words(1, client, server))
            local open = {}
            for i = 1, 2 do open[i] = table.pack(pair.connect {client = client,
                server = pair.server {num_tickets = 0, resumption = "off"}}) end
            assert.equal(tls13 and 0 or 1, #cache)
            for i = 1, 2 do pair.finish(open[i][1], open[i][2]) end
            assert.equal("not_accepted", open[1][1]:resumption())
            assert.equal(tls13 and "spent" or "not_accepted", open[2][1]:resumption())
        end)

        suite.answer(SCACHE .. "cf_scache_peer_add_session",
            "a peer has a few sessions of TLS 1.3, the newest, and one of TLS 1.2", function()
            cache = assert(tls.cache {sessions_per_peer = 3})
            client = pair.client {cache = cache, max_version = version}
            local server = pair.server {num_tickets = 8}
            for _ = 1, 3 do
                client = pair.client {cache = cache, max_version = version}
                words(1, client, server)
                assert.equal(tls13 and 3 or 1, #cache)
            end
        end)

        suite.answer(SCACHE .. "cf_ssl_get_free_peer",
            "a full cache drops the peer that was used longest ago", function()
            cache = assert(tls.cache {capacity = 2, sessions_per_peer = 1})
            client = pair.client {cache = cache, max_version = version}
            local server = pair.server {num_tickets = 1}
            local function visit(hostname)
                return others.visit({client = client, server = server, hostname = hostname}).client
            end
            assert.equal("not_cached", visit "localhost")
            assert.equal("not_cached", visit "a.example")
            assert.equal("resumed", visit "localhost")
            assert.equal("not_cached", visit "x.b.example")
            assert.equal("resumed", visit "localhost")
            assert.equal("not_cached", visit "a.example")
            assert.equal(2, #cache)
        end)

        suite.answer("cli_tls_session_reuse.c",
            "six connections at once share one cache, and none fails", function()
            local server, open, resumed = pair.server(), {}, 0
            words(1, client, server)
            for i = 1, 6 do open[i] = table.pack(pair.join {client = client, server = server}) end
            for i = 1, 6 do open[i][1]:connect() end
            for i = 6, 1, -1 do
                local c, s = pair.drive(open[i][1], open[i][2])
                assert.is_true(c[1] and s[1])
                resumed = resumed + (open[i][1]:session_reused() and 1 or 0)
                pair.finish(open[i][1], open[i][2])
            end
            assert.equal(tls13 and 2 or 6, resumed) -- a server sends two tickets
        end)
    end)

    describe("curl's cases of the end, " .. version .. ":", function()
        --- Ten requests; after each the first end shuts down first. Every end is clean, and the
        -- sessions stay good.
        local function ten(first)
            local client = pair.client {cache = assert(tls.cache()), max_version = version}
            local server = pair.server()
            for i = 1, 10 do
                local ends = {}
                ends.client, ends.server = pair.connect {client = client, server = server}
                assert.equal(i > 1, ends.client:session_reused())
                local one, other = ends[first], ends[first == "client" and "server" or "client"]
                assert.equal("data", pair.send(one, other, "data"))
                assert.equal("sent", one:shutdown())
                expect.word("closed", other:read())
                assert.equal("done", other:shutdown())
                assert.equal("done", one:shutdown())
                for _, conn in pairs(ends) do
                    assert.equal("done", conn:close())
                    conn:free()
                end
            end
        end

        local by_client = {SHUTDOWN .. "test_19_02_check_shutdown",
            SHUTDOWN .. "test_19_04_shutdown_by_curl"}
        suite.answer(by_client,
            "the client ends ten connections, each end is clean", function() ten "client" end)

        suite.answer(SHUTDOWN .. "test_19_03_shutdown_by_server",
            "the server ends ten connections, each end is clean", function() ten "server" end)

        suite.answer(ERRORS .. "test_05_04_unclean_tls_shutdown",
            "an end without close_notify harms no reader who knows the length, and is no end "
            .. "for another", function()
            local client, server = pair.connect {client = {max_version = version}}
            server:write "length: 4\n"
            server:write "body"
            server:close_transport()
            assert.equal("length: 4\nbody", client:read(11) .. client:read(4))
            expect.word("truncated", client:read())
            expect.word("truncated", client:read())
        end)

        suite.answer(ERRORS .. "test_05_09_handshake_eof",
            "a server that leaves after the first byte of the hello fails the handshake", function()
            local cache = assert(tls.cache())
            local client, server = pair.join {client = {max_version = version, cache = cache}}
            expect.word("want_read", client:connect())
            server:close_transport()
            for _ = 1, 2 do expect.word("truncated", client:connect()) end
            assert.equal("failed", client:state())
            assert.equal(0, #cache)
        end)

        suite.answer(SHUTDOWN .. "test_19_08_event_shutdown_watched",
            "close that must wait says for what, and goes on when it comes", function()
            local listener <close> = setmetatable({it = assert(tls.listen("127.0.0.1", 0))}, {
                __close = function(one) one.it:close() end,
            })
            local client = assert(pair.client({max_version = version}):connection())
            client:set_hostname "localhost"
            assert(client:dial("127.0.0.1", listener.it:port()))
            client:set_blocking(false)
            local server = assert(listener.it:accept(pair.server(), 20))
            server:set_blocking(false)
            pair.drive(client, server)
            expect.word("want_read", client:close(20))
            assert.equal("r", client:events())
            assert.equal("integer", math.type(client:pollfd()))
            expect.word("closed", (function()
                local bytes, word
                repeat bytes, word = server:read() until word ~= "want_read"
                return bytes, word
            end)())
            assert.equal("done", server:shutdown())
            local done, word
            repeat done, word = client:close(20) until word ~= "want_read"
            assert.equal("done", done)
            assert.is_nil(client:fd())
        end)
    end)
end

describe("curl's suite", function() suite.check() end)
