-- others_rustls_spec.lua: answers what rustls's tests ask of resumption, tickets, early data and
-- the end of a connection (read at its commit 6868ee84, 2026).
--
-- rustls and libssl differ in one thing that its cases look at. A server of rustls takes a session
-- out of its store when it resumes, and sends as many tickets then as after a full handshake. Ours
-- keeps it, unless it allows early data, and libssl sends one.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local RESUME, API, IO = "api/resume.rs: ", "api/api.rs: ", "api/io.rs: "
local NO_QUIC, NO_REQUESTS = "there is no QUIC here", "OpenSSL has no ticket requests (RFC 9149)"

local UNDECRYPTABLE = API
    .. "test_client_removes_tls12_session_if_server_sends_undecryptable_first_message"

local suite = others.suite(it, {
    [RESUME .. "client_only_attempts_resumption_with_compatible_security"] = HERE,
    [RESUME .. "resumption_combinations"] = HERE,
    [RESUME .. "test_client_tls12_no_resume_after_server_downgrade"] = HERE,
    [RESUME .. "test_tls13_client_resumption_does_not_reuse_tickets"] = HERE,
    [RESUME .. "tls13_stateful_resumption"] = HERE,
    [RESUME .. "tls13_stateless_resumption"] = HERE,
    [RESUME .. "early_data_not_available"] = HERE,
    [RESUME .. "early_data_is_available_on_resumption"] = HERE,
    [RESUME .. "early_data_not_available_on_server_before_client_hello"] = HERE,
    [RESUME .. "early_data_is_limited_on_client"] = HERE,
    [RESUME .. "server_detects_excess_early_data"] = HERE,
    [RESUME .. "server_detects_excess_streamed_early_data"] = HERE,
    [RESUME .. "tls13_ticket_request_new_vs_resumed"] = NO_REQUESTS,
    [RESUME .. "tls13_ticket_request_zero_means_no_tickets"] = NO_REQUESTS,
    [RESUME .. "tls13_ticket_request_capped_by_server"] = NO_REQUESTS,
    [RESUME .. "tls13_ticket_request_not_sent_when_none"] = NO_REQUESTS,
    [RESUME .. "tls13_ticket_request_survives_hello_retry_request"] = NO_REQUESTS,
    [API .. "client_can_get_server_cert_after_resumption"] = HERE,
    [API .. "server_can_get_client_cert_after_resumption"] = HERE,
    [UNDECRYPTABLE] = HERE,
    [IO .. "server_close_notify"] = HERE,
    [IO .. "client_close_notify"] = HERE,
    [IO .. "server_closes_uncleanly"] = HERE,
    [IO .. "client_closes_uncleanly"] = HERE,
    [IO .. "client_complete_io_for_handshake_eof"] = HERE,
    [IO .. "server_complete_io_for_handshake_eof"] = HERE,
    [IO .. "server_complete_io_for_write_eof"] = {"spec/conn/shutdown_spec.lua",
        "waits while the transport is full"},
    [IO .. "test_complete_io_errors_if_close_notify_received_too_early"] = HERE,
    [IO .. "test_close_notify_sent_prior_to_handshake_complete"] = HERE,
    [IO .. "test_junk_after_close_notify_received"] = HERE,
    [IO .. "test_data_after_close_notify_is_ignored"] = HERE,
    [IO .. "test_subsequent_close_notify_ignored"] = "a close_notify before the handshake is done "
        .. "raises here (docs/differences.md)",
    [IO .. "test_second_close_notify_after_handshake"] = HERE,
    [IO .. "test_read_tls_artificial_eof_after_close_notify"] = "asks what rustls's input buffer "
        .. "takes after the end",
    ["api/split.rs: split_client_tickets_received"] = {"spec/session/session_spec.lua",
        "are as many as the server's num_tickets"},
    ["api/kernel.rs: tls12_handle_new_session_ticket"] = "secrets are not handed to a kernel here",
    ["api/kernel.rs: tls13_handle_new_session_ticket"] = "secrets are not handed to a kernel here",
    ["api/quic.rs: test_quic_resumption_data_basic"] = NO_QUIC,
    ["api/quic.rs: test_quic_resumption_data_0rtt"] = NO_QUIC,
    ["api/quic.rs: test_quic_invalid_early_data_size"] = NO_QUIC,
    ["api/quic.rs: quic_client_ignores_stored_session_with_non_quic_suite"] = NO_QUIC,
    ["openssl-tests: test_early_exporter"] = "keying material of early data is not exported here",
    ["ticketer.rs: ticketrotator_switching_test"] = HERE,
    ["ticketer.rs: ticketrotator_remains_usable_over_temporary_ticketer_creation_failure"] = {
        "spec/others/others_node_spec.lua", "those in use stay"},
    ["rustls-ring ticketer.rs: basic_pairwise_test"] = {"spec/c/conn/ticket_keys_test.c",
        "tickets open"},
    ["rustls-ring ticketer.rs: refuses_decrypt_before_encrypt"] = HERE,
    ["rustls-ring ticketer.rs: refuses_decrypt_larger_than_largest_encryption"] = "libssl bounds a "
        .. "ticket at 65535 bytes",
    ["rustls-aws-lc-rs ticketer.rs: refuses_decrypt_truncated_ciphertext"] = HERE,
    ["limited_cache.rs: test_updates_existing_item"] = HERE,
    ["limited_cache.rs: test_evicts_oldest_item"] = HERE,
    ["limited_cache.rs: test_evicts_second_oldest_item_if_first_removed"] = HERE,
    ["limited_cache.rs: test_evicts_after_second_oldest_item_removed"] = HERE,
    ["limited_cache.rs: test_removes_all_items"] = HERE,
    ["limited_cache.rs: test_inserts_many_items"] = {"spec/c/cache/cache_model_test.c",
        "test_model"},
    ["limited_cache.rs: test_get_or_insert_default_and_edit_edits_existing_item"] = "a session in "
        .. "the cache is not edited",
    ["server/handy.rs: test_serversessionmemorycache_accepts_put"] = HERE,
    ["server/handy.rs: test_serversessionmemorycache_persists_put"] = HERE,
    ["server/handy.rs: test_serversessionmemorycache_overwrites_put"] = HERE,
    ["server/handy.rs: test_serversessionmemorycache_drops_to_maintain_size_invariant"] = HERE,
    ["server/handy.rs: test_noserversessionstorage_drops_put"] = HERE,
    ["server/handy.rs: test_noserversessionstorage_denies_gets"] = HERE,
    ["server/handy.rs: test_noserversessionstorage_denies_takes"] = HERE,
    ["client/handy.rs: test_noclientsessionstorage_does_nothing"] = HERE,
    ["client/test.rs: tls12_client_session_value_roundtrip"] = {"spec/session/session_spec.lua",
        "is the same after export and import"},
    ["client/test.rs: tls13_client_session_value_roundtrip"] = {"spec/session/session_spec.lua",
        "is the same after export and import"},
    ["client/test.rs: test_no_session_ticket_request_on_tls_1_3"] = "libssl makes the ClientHello",
    ["client/test.rs: test_client_rejects_hrr_with_varied_session_id"] = "libssl checks the answer",
    ["server/test.rs: serversessionvalue_with_cert"] = {"spec/c/cache/external_test.c",
        "test_round_trip"},
    ["tls13/mod.rs: test_can_resume_to"] = HERE,
})

local ALICE = {certificate = p.client_cert_file, private_key = p.client_key_file}

local with <const> = pair.with

for _, version in ipairs(pair.VERSIONS) do
    describe("rustls's cases of resumption, " .. version .. ":", function()
        suite.answer(RESUME .. "client_only_attempts_resumption_with_compatible_security",
            "it is tried with the same identity and verifier alone", function()
            local cache = assert(tls.cache())
            local server = pair.server {verify = "optional", ca = p.ca_file}
            local base = {cache = cache, max_version = version}
            local client = pair.client(base)
            assert.equal("not_cached", others.word(client, server))
            assert.equal("resumed", others.word(client, server))
            assert.equal("resumed", others.word(pair.client(base), server))
            assert.equal("not_cached", others.word(pair.client(with(base, ALICE)), server))
            local asks = with(base, {on_verify = function() return true end})
            client = pair.client(asks)
            local conn, peer = pair.join {client = client, server = server}
            conn:set_blocking(true)
            pair.drive(conn, peer)
            assert.equal("not_cached", conn:resumption())
        end)

        for _, resumption in ipairs {"tickets", "stateful", "both"} do
            for who, identity in pairs {anonymous = {}, ["client with a certificate"] = ALICE} do
                suite.answer({RESUME .. "resumption_combinations",
                    API .. "client_can_get_server_cert_after_resumption",
                    API .. "server_can_get_client_cert_after_resumption"},
                    ("what is known of a resumed %s, %s"):format(who, resumption), function()
                    local client = pair.client(with(identity, {max_version = version}))
                    local server = pair.server {resumption = resumption, verify = "optional",
                        ca = p.ca_file}
                    local function label(_, s)
                        if resumption ~= "stateful" then s:set_ticket_data "resumption data" end
                    end
                    local visit = {client = client, server = server, setup = label}
                    local conn, peer = pair.connect(visit)
                    local before = {conn:peer_certificates(), peer:peer_certificates()}
                    local group = assert(conn:group())
                    pair.finish(conn, peer)
                    local session = conn:take_session() or conn:session()
                    conn, peer = pair.connect {client = client, server = server, session = session}
                    assert.is_true(conn:session_reused() and peer:session_reused())
                    assert.same(before[1][1], conn:peer_certificates()[1])
                    local ours = peer:peer_certificates()
                    assert.same(before[2] and before[2][1], ours and ours[1])
                    if resumption ~= "stateful" then
                        assert.equal("resumption data", peer:ticket_data())
                    end
                    -- A session of TLS 1.2 remembers its group: SSL_get_negotiated_group(3).
                    assert.same({group, group}, {conn:group(), peer:group()})
                    pair.finish(conn, peer)
                end)
            end
        end

        suite.answer("client/handy.rs: test_noclientsessionstorage_does_nothing",
            "a client without it offers nothing and keeps nothing", function()
            local client = pair.client {resumption = "off", max_version = version}
            local server = pair.server()
            for _ = 1, 2 do
                local seen = others.visit {client = client, server = server}
                assert.same({"not_offered", "not_offered"}, {seen.client, seen.server})
                assert.equal(0, #seen.sessions)
            end
        end)

        suite.answer({"server/handy.rs: test_noserversessionstorage_drops_put",
            "server/handy.rs: test_noserversessionstorage_denies_gets",
            "server/handy.rs: test_noserversessionstorage_denies_takes"},
            "a server whose cache has no room resumes nothing", function()
            local cache = assert(tls.cache {capacity = 0})
            local client, server = pair.client {max_version = version}, pair.server {cache = cache}
            local seen = others.visit {client = client, server = server}
            local session = assert(seen.sessions[1])
            assert.is_false(cache:put(session))
            assert.is_nil(cache:get(session:id()))
            assert.is_nil(cache:take(session:id()))
            assert.equal("not_accepted", others.word(client, server, session))
        end)

        suite.answer("ticketer.rs: ticketrotator_switching_test",
            "a ticket opens under the key before the newest, and not under an older one", function()
            local keys = tls.ticket_keys {keys = {("1"):rep(80)}}
            local client = pair.client {max_version = version}
            local server, tickets = pair.server {ticket_keys = keys}, {}
            local function make()
                local seen = others.visit {client = client, server = server}
                tickets[#tickets + 1] = seen.sessions[1]
            end
            local function opens(i)
                local copy = client:import_session(tickets[i]:export())
                local seen = others.visit {client = client, server = server, session = copy}
                assert.is_true(seen.server == "resumed" or seen.server == "ticket", seen.server)
                return seen.server == "resumed"
            end
            make()
            assert.is_true(opens(1))
            keys:replace {("2"):rep(80), ("1"):rep(80)}
            make()
            assert.is_true(opens(1) and opens(2))
            keys:replace {("3"):rep(80), ("2"):rep(80)}
            make()
            assert.is_false(opens(1))
            assert.is_true(opens(2) and opens(3))
        end)

        suite.answer({"rustls-ring ticketer.rs: refuses_decrypt_before_encrypt",
            "rustls-aws-lc-rs ticketer.rs: refuses_decrypt_truncated_ciphertext"},
            "a ticket of another server, or with one byte changed, is a full handshake", function()
            local client = pair.client {max_version = version}
            local server = pair.server {resumption = "tickets"}
            local session = others.visit({client = client, server = server}).sessions[1]
            local bytes, ticket = session:export(), session:ticket()
            local at = assert(bytes:find(ticket, 1, true))
            local function offer(der, to)
                local seen = others.visit {client = client, server = to,
                    session = assert(client:import_session(der))}
                return {seen.client, seen.server}
            end
            local stranger = pair.server {resumption = "tickets"}
            assert.same({"not_accepted", "ticket"}, offer(bytes, stranger))
            for _, offset in ipairs {0, 15, 16, 31, 32, #ticket // 2, #ticket - 1} do
                local byte = string.char(bytes:byte(at + offset) ~ 1)
                local changed = bytes:sub(1, at + offset - 1) .. byte .. bytes:sub(at + offset + 1)
                assert.same({"not_accepted", "ticket"}, offer(changed, server), offset)
            end
            assert.same({"resumed", "resumed"}, offer(bytes, server))
        end)
    end)
end

describe("rustls's cases of TLS 1.3 tickets:", function()
    for resumption, counts in pairs {stateful = {2, 3, 4}, tickets = {0, 0, 0}} do
        local name = resumption == "stateful" and "stateful" or "stateless"
        suite.answer(RESUME .. ("tls13_%s_resumption"):format(name),
            "what a server's cache counts, " .. resumption, function()
            local cache = assert(tls.cache())
            local client = pair.client {cache = assert(tls.cache {sessions_per_peer = 16})}
            local server = pair.server {cache = cache, resumption = resumption}
            for i, puts in ipairs(counts) do
                local seen = others.visit {client = client, server = server}
                assert.equal(i > 1, seen.server == "resumed")
                local stats, hits = cache:stats(), puts == 0 and 0 or i - 1
                assert.same({puts, hits, 0}, {stats.puts, stats.hits, stats.misses})
            end
        end)
    end

    suite.answer(RESUME .. "test_tls13_client_resumption_does_not_reuse_tickets",
        "five tickets are offered by five connections, whatever becomes of them", function()
        local cache = assert(tls.cache {sessions_per_peer = 8})
        local client, server = pair.client {cache = cache}, pair.server {num_tickets = 5}
        assert.equal("not_cached", others.word(client, server))
        local begun = {}
        for left = 4, 0, -1 do
            local conn = pair.join {client = client, server = server}
            conn:connect()
            assert.equal(left, #cache)
            begun[#begun + 1] = conn
        end
        assert.equal("spent", others.word(client, server))
        for _, conn in ipairs(begun) do conn:free() end
    end)

    suite.answer(RESUME .. "test_client_tls12_no_resume_after_server_downgrade",
        "a server that has gone back to TLS 1.2 makes a full handshake", function()
        local client = pair.client {cache = assert(tls.cache())}
        assert.equal("not_cached", others.word(client, pair.server {min_version = "TLSv1.3"}))
        local older = pair.server {max_version = "TLSv1.2", resumption = "off"}
        local seen = others.visit {client = client, server = older}
        assert.same({"other_version", "TLSv1.2"}, {seen.client, seen.version})
    end)

    suite.answer("tls13/mod.rs: test_can_resume_to",
        "a session resumes under another cipher suite with the same hash, and no other", function()
        local SHA256, SHA384 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"
        local server = pair.server()
        local function resumes(suites)
            local cache = assert(tls.cache())
            local first = pair.client {cache = cache, ciphersuites = SHA256}
            others.visit {client = first, server = server}
            local second = pair.client {cache = cache, ciphersuites = suites}
            local seen = others.visit {client = second, server = server}
            return seen.client == "resumed" and seen.cipher
        end
        assert.equal(SHA256, resumes(SHA256))
        assert.equal("TLS_CHACHA20_POLY1305_SHA256", resumes "TLS_CHACHA20_POLY1305_SHA256")
        assert.is_false(resumes(SHA384))
    end)
end)

describe("rustls's cases of a server's cache:", function()
    --- Three sessions of a server, and a cache with room for two.
    local function some()
        local home = assert(tls.cache())
        local server, sessions = pair.server {max_version = "TLSv1.2", cache = home}, {}
        for i = 1, 3 do
            local conn, peer = pair.connect {server = server}
            sessions[i] = peer:session()
            pair.finish(conn, peer)
        end
        return assert(tls.cache {capacity = 2}), table.unpack(sessions)
    end

    suite.answer({"server/handy.rs: test_serversessionmemorycache_accepts_put",
        "server/handy.rs: test_serversessionmemorycache_persists_put",
        "server/handy.rs: test_serversessionmemorycache_overwrites_put",
        "limited_cache.rs: test_updates_existing_item"},
        "what was put is found each time, and the same id is put in its place", function()
        local cache, a = some()
        for _ = 1, 2 do
            assert.is_true(cache:put(a))
            assert.equal(a, cache:get(a:id()))
            assert.equal(a, cache:get(a:id()))
            assert.equal(1, #cache)
        end
    end)

    suite.answer({"server/handy.rs: test_serversessionmemorycache_drops_to_maintain_size_invariant",
        "limited_cache.rs: test_evicts_oldest_item"},
        "a third session takes the place of the oldest", function()
        local cache, a, b, c = some()
        for _, one in ipairs {a, b, c} do cache:put(one) end
        assert.same({2, 1}, {#cache, cache:stats().evicted})
        assert.is_nil(cache:get(a:id()))
        assert.is_true(cache:get(b:id()) == b and cache:get(c:id()) == c)
    end)

    suite.answer({"limited_cache.rs: test_evicts_second_oldest_item_if_first_removed",
        "limited_cache.rs: test_evicts_after_second_oldest_item_removed",
        "limited_cache.rs: test_removes_all_items"},
        "what was removed leaves its place to the next", function()
        for first = 1, 2 do
            local cache, a, b, c = some()
            cache:put(a)
            cache:put(b)
            local gone, left = table.unpack(first == 1 and {a, b} or {b, a})
            assert.is_true(cache:remove(gone:id()))
            cache:put(c)
            assert.equal(0, cache:stats().evicted)
            assert.equal(left, cache:take(left:id()))
            assert.equal(c, cache:take(c:id()))
            assert.equal(0, #cache)
            assert.is_false(cache:remove(c:id()))
        end
    end)
end)

describe("rustls's cases of early data:", function()
    local MAX = 1234
    local client, server

    before_each(function()
        client = pair.client {max_early_data = 16384}
        server = pair.server {max_early_data = MAX}
    end)

    local function session()
        return assert(others.visit({client = client, server = server}).sessions[1])
    end

    suite.answer(RESUME .. "early_data_not_available",
        "without a session there are none", function()
        local conn = pair.join {client = client, server = server}
        local ok, sent = pcall(conn.write_early, conn, "hello")
        assert.is_true(not ok or sent == nil)
    end)

    suite.answer(RESUME .. "early_data_not_available_on_server_before_client_hello",
        "a server has none before the ClientHello", function()
        local _, peer = pair.join {client = client, server = server}
        expect.word("want_read", peer:read_early())
        assert.equal("not_sent", peer:early_data_status())
    end)

    suite.answer(RESUME .. "early_data_is_available_on_resumption",
        "a session says how much, and they arrive before the handshake is done", function()
        local offered = session()
        assert.equal(MAX, offered:max_early_data())
        local conn, peer = pair.join {client = client, server = server, session = offered}
        assert.equal(5, conn:write_early "hello")
        assert.equal("hello", peer:read_early())
        assert.is_false(peer:handshake_done())
        local c, s = pair.drive(conn, peer, nil, function(one)
            local bytes, message, err = one:read_early()
            if bytes ~= "" then return bytes, message, err end
            return one:accept()
        end)
        assert.is_true(c[1] and s[1])
        assert.same({"accepted", "accepted"}, {conn:early_data_status(), peer:early_data_status()})
    end)

    suite.answer(RESUME .. "early_data_is_limited_on_client",
        "a client sends all that is allowed, and no byte more", function()
        local conn, peer = pair.join {client = client, server = server, session = session()}
        assert.equal(MAX, conn:write_early(("a"):rep(MAX)))
        assert.equal(MAX, #peer:read_early())
        assert.equal(0, conn:write_early "a")
        conn = pair.join {client = client, server = server, session = session()}
        assert.equal(1000, conn:write_early(("a"):rep(1000)))
        assert.equal(MAX - 1000, conn:write_early(("a"):rep(MAX)))
    end)

    --- A session whose client believes that the server allows 2024 bytes.
    local function altered()
        local bytes = session():export()
        local head, tail = bytes:match "^(.*)\x02\x02\x04\xd2(.*)$"
        return assert(client:import_session(head .. "\x02\x02\x07\xe8" .. tail))
    end

    suite.answer(RESUME .. "server_detects_excess_early_data",
        "a server that gets more than it allows at once fails", function()
        local conn, peer = pair.join {client = client, server = server, session = altered()}
        assert.equal(2024, conn:write_early(("a"):rep(2024)))
        assert.truthy(expect.fails("tls", peer:read_early()).reason:match "too much early data")
    end)

    suite.answer(RESUME .. "server_detects_excess_streamed_early_data",
        "a server that gets more than it allows piece by piece fails", function()
        local conn, peer = pair.join {client = client, server = server, session = altered()}
        assert.equal(1024, conn:write_early(("a"):rep(1024)))
        assert.equal(1024, #peer:read_early())
        assert.equal(1000, conn:write_early(("b"):rep(1000)))
        assert.truthy(expect.fails("tls", peer:read_early()).reason:match "too much early data")
    end)
end)

for _, version in ipairs(pair.VERSIONS) do
    describe("rustls's cases of the end, " .. version .. ":", function()
        local options = {client = {max_version = version}}

        local function ends(of)
            local client, server = pair.connect(options)
            if of == "client" then return client, server end
            return server, client
        end

        for _, who in ipairs {"client", "server"} do
            suite.answer(IO .. who .. "_close_notify",
                "the end does not overtake data, and the other way stays open", function()
                local one, other = ends(who)
                one:write "from one"
                other:write "from other"
                one:shutdown()
                assert.equal("from one", other:read())
                expect.word("closed", other:read())
                assert.equal("from other", one:read())
            end)

            suite.answer(IO .. who .. "_closes_uncleanly",
                "a stream that ends after data is truncated behind them", function()
                local one, other = ends(who)
                one:write "from one"
                one:close_transport()
                assert.equal("from one", other:read())
                expect.word("truncated", other:read())
            end)

            suite.answer(IO .. who .. "_complete_io_for_handshake_eof",
                "a stream that ends in the handshake is truncated", function()
                local client, server = pair.join(options)
                local one = who == "client" and client or server
                one:set_memory()
                one:handshake()
                one:feed_eof()
                expect.word("truncated", one:handshake())
                assert.equal("failed", one:state())
            end)
        end

        suite.answer({IO .. "test_complete_io_errors_if_close_notify_received_too_early",
            IO .. "test_close_notify_sent_prior_to_handshake_complete"},
            "a close_notify in the handshake is no success", function()
            local client, server = pair.join(options)
            client:set_memory()
            server:set_memory()
            client:connect()
            server:feed(client:drain())
            server:feed "\x15\x03\x03\x00\x02\x01\x00"
            local done, message
            repeat done, message = server:accept() until message ~= "want_write"
            if message == "want_read" then done, message = server:accept() end
            assert.is_nil(done)
            assert.not_equal("want_read", message)
            assert.is_false(server:handshake_done())
            expect.raises("handshake", server.read, server)
        end)

        suite.answer({IO .. "test_junk_after_close_notify_received",
            IO .. "test_data_after_close_notify_is_ignored"},
            "what comes behind the end is never read, and nothing is written there", function()
            local client, server = pair.connect(options)
            client:set_memory()
            server:set_memory()
            client:write "before"
            client:shutdown()
            local err = expect.fails("tls", client:write "after")
            assert.truthy(err.reason:match "protocol is shutdown")
            server:feed(client:drain() .. "\x17\x03\x03\x01")
            assert.equal("before", server:read())
            expect.word("closed", server:read())
            server:feed(("\0"):rep(100))
            expect.word("closed", server:read())
            assert.equal("done", server:shutdown())
        end)

        suite.answer(IO .. "test_second_close_notify_after_handshake",
            "a second shutdown sends nothing more", function()
            local client = pair.connect(options)
            client:set_memory()
            client:shutdown()
            assert.is_true(#client:drain() > 0)
            client:shutdown()
            assert.equal("", client:drain())
        end)
    end)
end

describe("rustls's cases of TLS 1.2:", function()
    suite.answer(UNDECRYPTABLE,
        "a client forgets a session whose resumption failed", function()
        local cache = assert(tls.cache())
        local client, server = pair.client {cache = cache, max_version = "TLSv1.2"}, pair.server()
        others.visit {client = client, server = server}
        assert.equal(1, #cache)
        local conn, peer = pair.join {client = client, server = server}
        conn:set_memory()
        peer:set_memory()
        conn:connect()
        peer:feed(conn:drain())
        peer:accept()
        local flight = peer:drain()
        conn:feed(flight:sub(1, -2) .. string.char(flight:byte(-1) ~ 1))
        expect.fails("tls", conn:connect())
        assert.equal(0, #cache)
        assert.equal("not_closed", others.word(client, server))
    end)
end)

describe("rustls's suite", function() suite.check() end)
