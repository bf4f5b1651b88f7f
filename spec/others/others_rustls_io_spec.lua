-- others_rustls_io_spec.lua: answers what rustls's tests ask of input that comes in pieces, of
-- records, of errors that stay, and of a close_notify beside data (read at its commit 6868ee84,
-- 2026; midstate.rs, state.rs, datagram.rs and unbuffered.rs in a stored version of each).
--
-- What its tests ask of resumption and of the end alone is answered in others_rustls_spec.lua.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"

local HERE = others.HERE
local IO, API, SPLIT = "api/io.rs: ", "api/api.rs: ", "api/split.rs: "
local UNBUFFERED = "api/unbuffered.rs: "
local MIDSTATE, STATE, DATAGRAM = "api/midstate.rs: ", "api/state.rs: ", "api/datagram.rs: "
local ACCEPTOR = "rustls's acceptor reads a ClientHello without a connection; ours is on_hello, "
    .. "within one"
local STREAM = "asks of rustls's Stream, whose output has a limit of its own; ours is the "
    .. "transport's, as in spec/net/transport_spec.lua"

local IN_HELLO = API .. "test_illegal_client_renegotiation_attempt_during_tls12_handshake"
local AFTER_TLS13 = {API .. "test_illegal_client_renegotiation_attempt_after_tls13_handshake",
    API .. "test_illegal_server_renegotiation_attempt_after_tls13_handshake"}
local FRAGMENT_SIZES = {IO .. "bad_client_max_fragment_sizes",
    IO .. "handshakes_complete_and_data_flows_with_gratuitous_max_fragment_sizes",
    IO .. "test_client_mtu_reduction", IO .. "test_server_mtu_reduction",
    UNBUFFERED .. "tls12_handshake_fragmented", UNBUFFERED .. "tls13_handshake_fragmented"}
local REFUSED = {IO .. "server_complete_io_for_handshake_ending_with_alert",
    IO .. "client_stream_handshake_error", IO .. "client_streamowned_handshake_error",
    IO .. "server_stream_handshake_error", IO .. "server_streamowned_handshake_error"}

local cases = {
    [IO .. "client_data_sent"] = HERE,
    [IO .. "server_data_sent"] = HERE,
    [IO .. "both_data_sent"] = HERE,
    [IO .. "buf_read"] = HERE,
    [IO .. "client_detects_broken_write_impl"] = "a transport that is a Lua function is checked in "
        .. "spec/net/transport_spec.lua",
    [IO .. "client_complete_io_with_nonblocking_io"] = HERE,
    [IO .. "test_complete_io_with_no_io_needed"] = HERE,
    [IO .. "stream_write_would_block_while_handshaking"] = HERE,
    [IO .. "stream_write_reports_underlying_io_error_before_plaintext_processed"] = {
        "spec/others/others_node_spec.lua", "a server drops a connection in the midst"},
    [IO .. "stream_write_swallows_underlying_io_error_after_plaintext_processed"] = STREAM,
    [IO .. "stream_write_respects_output_limit"] = STREAM,
    [IO .. "stream_write_would_block_when_output_over_limit"] = STREAM,
    [IO .. "client_appdata_record_layout"] = HERE,
    [IO .. "server_appdata_record_layout"] = HERE,
    [IO .. "client_handshake_flights"] = HERE,
    [IO .. "server_handshake_with_half_rtt_data"] = {"spec/conn/early_spec.lua",
        "lets the server answer at once"},
    [IO .. "server_handshake_no_half_rtt_by_default"] = HERE,
    [IO .. "server_handshake_no_half_rtt_with_client_auth"] = {"spec/conn/early_spec.lua",
        "waits for the client's Finished before it writes where clients are verified"},
    [IO .. "test_acceptor_rejected_handshake"] = ACCEPTOR,
    [IO .. "test_acceptor_continues_tls13_hrr_with_compatibility_ccs"] = ACCEPTOR,
    [API .. "client_error_is_sticky"] = HERE,
    [API .. "server_error_is_sticky"] = HERE,
    [API .. "test_tls13_valid_early_plaintext_alert"] = HERE,
    [API .. "test_tls13_late_plaintext_alert"] = HERE,
    [API .. "inject_corrupt_finished_message"] = HERE,
    [IN_HELLO] = HERE,
    [SPLIT .. "split_pairwise"] = HERE,
    [SPLIT .. "split_incremental"] = HERE,
    [SPLIT .. "split_fails_during_handshake"] = "a connection is not taken apart here",
    [SPLIT .. "key_update"] = HERE,
    [SPLIT .. "key_update_alongside_data"] = HERE,
    [SPLIT .. "close_alongside_data"] = HERE,
    [SPLIT .. "read_invalid_data_and_send_alert"] = HERE,
    [MIDSTATE .. "test_client_smoke"] = HERE,
    [STATE .. "test_client_smoke"] = HERE,
    [STATE .. "test_server_smoke"] = HERE,
    [DATAGRAM .. "anti_replay_dtls_12"] = HERE,
    [DATAGRAM .. "anti_replay_dtls_13"] = HERE,
    [UNBUFFERED .. "app_data_client_to_server"] = HERE,
    [UNBUFFERED .. "app_data_server_to_client"] = HERE,
    [UNBUFFERED .. "close_notify_client_to_server"] = HERE,
    [UNBUFFERED .. "close_notify_server_to_client"] = HERE,
    [UNBUFFERED .. "early_data"] = {"spec/others/others_rustls_spec.lua",
        "a session says how much, and they arrive before the handshake is done"},
    [UNBUFFERED .. "full_closure_server_to_client"] = HERE,
    [UNBUFFERED .. "junk_after_close_notify_received"] = HERE,
    [UNBUFFERED .. "queue_close_notify_is_idempotent"] = {"spec/others/others_rustls_spec.lua",
        "a second shutdown sends nothing more"},
    [UNBUFFERED .. "refresh_traffic_keys_manually"] = HERE,
    [UNBUFFERED .. "refresh_traffic_keys_on_tls12_connection"] = HERE,
    [UNBUFFERED .. "refresh_traffic_keys_automatically"] = "libssl renews keys when it is asked",
    [UNBUFFERED .. "rejects_junk"] = HERE,
    [UNBUFFERED .. "server_receives_handshake_byte_by_byte"] = HERE,
    [UNBUFFERED .. "server_receives_incorrect_first_handshake_message"] = HERE,
    [UNBUFFERED .. "test_secret_extraction_enabled"] = "keys are not handed to a kernel here",
    [UNBUFFERED .. "tls13_packed_handshake"] = "has bytes for rustls's own keys",
    [DATAGRAM .. "handshake_flight_acks"] = "there is no DTLS here",
}
for _, list in ipairs {AFTER_TLS13, FRAGMENT_SIZES, REFUSED} do
    for _, case in ipairs(list) do cases[case] = HERE end
end
local suite = others.suite(it, cases)

--- The lengths of the records in bytes, which are whole.
local function records(bytes)
    local lengths, at = {}, 1
    while at <= #bytes do
        local length = string.unpack(">I2", bytes, at + 3)
        lengths[#lengths + 1] = length
        at = at + 5 + length
    end
    assert(at == #bytes + 1, "a record is cut")
    return lengths
end

--- Both ends in memory of their own; nothing is sent yet.
local function apart(options)
    local client, server = pair.join(options)
    client:set_memory()
    server:set_memory()
    return client, server
end

--- Makes the handshake with bytes one at a time: no call but the last one of an end is done.
local function trickle(client, server)
    for _ = 1, 4 do
        for _, from in ipairs {client, server} do
            local to = from == client and server or client
            from:handshake()
            for byte in from:drain():gmatch "." do
                to:feed(byte)
                if not to:handshake_done() then to:handshake() end
            end
        end
    end
    return client:handshake_done() and server:handshake_done()
end

for _, version in ipairs(pair.VERSIONS) do
    local tls13 = version == "TLSv1.3"
    local options = {client = {max_version = version}}

    describe("rustls's cases of input in pieces, " .. version .. ":", function()
        suite.answer({IO .. "client_complete_io_with_nonblocking_io",
            UNBUFFERED .. "server_receives_handshake_byte_by_byte"},
            "a handshake whose bytes come one at a time is made", function()
            local client, server = apart(options)
            assert.is_true(trickle(client, server))
            assert.same({version, version}, {client:version(), server:version()})
        end)

        suite.answer(IO .. "test_complete_io_with_no_io_needed",
            "a handshake that is done asks for nothing more", function()
            local client, server = pair.fed(options)
            client:read()
            for _, conn in ipairs {client, server} do
                conn:drain()
                assert.is_true(conn:handshake())
                assert.equal("", conn:drain())
                assert.equal("open", conn:state())
            end
        end)

        suite.answer(SPLIT .. "split_incremental",
            "nothing of a record is read before its last byte", function()
            local client, server = pair.fed(options)
            client:write "client to server"
            local record = client:drain()
            for i = 1, #record - 1 do
                server:feed(record:sub(i, i))
                expect.word("want_read", server:read())
                assert.equal(0, server:pending())
            end
            server:feed(record:sub(-1))
            assert.equal("client to server", server:read())
        end)

        suite.answer({SPLIT .. "split_pairwise", IO .. "client_data_sent", IO .. "server_data_sent",
            IO .. "both_data_sent", IO .. "stream_write_would_block_while_handshaking",
            UNBUFFERED .. "app_data_client_to_server", UNBUFFERED .. "app_data_server_to_client"},
            "both ends know the same, and data cross once the handshake is done", function()
            local client, server = apart {client = {max_version = version, alpn = {"h2"}},
                server = {alpn = {"h2"}}}
            client:connect()
            assert.is_false(client:handshake_done())
            for _, conn in ipairs {client, server} do
                expect.raises("handshake", conn.write, conn, "early")
            end
            assert.is_true(trickle(client, server))
            for _, name in ipairs {"alpn", "version", "cipher", "group", "session_reused"} do
                assert.equal(client[name](client), server[name](server), name)
            end
            client:write "from client"
            server:write "from server"
            server:feed(client:drain())
            client:feed(server:drain())
            assert.equal("from client", server:read())
            assert.equal("from server", client:read())
        end)
    end)

    describe("rustls's cases of records, " .. version .. ":", function()
        suite.answer({IO .. "client_appdata_record_layout", IO .. "server_appdata_record_layout",
            IO .. "buf_read"},
            "each write is a record, and an empty one is none", function()
            local client, server = pair.fed(options)
            client:read()
            for _, from in ipairs {client, server} do
                local to = from == client and server or client
                from:drain()
                for _, bytes in ipairs {"", "01234567890123456789", "", "hello"} do
                    assert.equal(#bytes, from:write(bytes))
                end
                local sent = from:drain()
                assert.equal(2, #records(sent))
                to:feed(sent)
                assert.equal("01234567890123456789", to:read())
                assert.equal("hello", to:read())
                expect.word("want_read", to:read())
            end
        end)

        suite.answer(IO .. "client_handshake_flights",
            "a ClientHello is one record, and data come with the client's Finished", function()
            local client, server = apart(options)
            client:connect()
            local hello = client:drain()
            assert.equal(1, #records(hello))
            server:feed(hello)
            server:accept()
            client:feed(server:drain())
            client:connect()
            if not tls13 then
                server:feed(client:drain())
                server:accept()
                client:feed(server:drain())
                client:connect()
            end
            client:write "01234567890123456789"
            client:write "0123456789"
            server:feed(client:drain())
            assert.is_true(server:accept())
            assert.equal("012345678901234567890123456789", server:read() .. server:read())
        end)

        suite.answer(FRAGMENT_SIZES,
            "records are as short as is asked, and a size of none is refused", function()
            for _, wrong in ipairs {0, 511, 16385, -1} do
                expect.raises("max_send_fragment", pair.client, {max_send_fragment = wrong})
            end
            for _, size in ipairs {512, 1460, 16384} do
                local limit = {max_version = version, max_send_fragment = size}
                local client, server = pair.fed {client = limit, server = limit}
                client:read()
                for _, from in ipairs {client, server} do
                    local to, bytes = from == client and server or client, ("x"):rep(16384)
                    from:drain()
                    assert.equal(#bytes, from:write(bytes))
                    local sent, got = from:drain(), {}
                    assert.equal(math.ceil(#bytes / size), #records(sent))
                    to:feed(sent)
                    while to:peek(1) do got[#got + 1] = to:read(65536) end
                    assert.equal(bytes, table.concat(got))
                end
            end
        end)

        suite.answer({DATAGRAM .. "anti_replay_dtls_" .. (tls13 and "13" or "12")},
            "a record that comes twice ends a stream", function()
            local client, server = pair.fed(options)
            client:write "once"
            local record = client:drain()
            server:feed(record .. record)
            assert.equal("once", server:read())
            expect.fails("tls", server:read())
            assert.equal("failed", server:state())
            client:feed(server:drain())
            local err = expect.fails("alert", client:read())
            assert.equal("bad_record_mac", err.alert)
        end)

        suite.answer(IO .. "server_handshake_no_half_rtt_by_default",
            "a server that accepts writes nothing before the client's Finished", function()
            local client, server = apart(options)
            client:connect()
            server:feed(client:drain())
            server:accept()
            server:drain()
            expect.raises("handshake", server.write, server, "half")
            assert.equal("", server:drain())
        end)
    end)

    describe("rustls's cases of errors, " .. version .. ":", function()
        suite.answer(REFUSED,
            "ends without a cipher in common fail again and again in the same way", function()
            local cipher = tls13 and {"ciphersuites", "TLS_AES_128_GCM_SHA256",
                "TLS_AES_256_GCM_SHA384"} or {"ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384"}
            local c, s, client, server = pair.try {
                client = {max_version = version, [cipher[1]] = cipher[2]},
                server = {max_version = version, [cipher[1]] = cipher[3]}}
            assert.is_nil(c[1] or s[1])
            for _ = 1, 2 do
                local err = expect.fails("alert", client:connect())
                assert.equal("handshake_failure", err.alert)
                assert.truthy(expect.fails("tls", server:accept()).reason:match "no shared cipher")
            end
            assert.same({"failed", "failed"}, {client:state(), server:state()})
        end)

        for _, who in ipairs {"client", "server"} do
            suite.answer(API .. who .. "_error_is_sticky",
                "what is no handshake fails, and so does what comes behind it", function()
                local client, server = apart(options)
                local one = who == "client" and client or server
                one:handshake()
                one:drain()
                one:feed "\x16\x03\x03\x00\x08\x0f\x00\x00\x04junk"
                local first = expect.fails("tls", one:handshake())
                one:feed "\x16\x03\x03\x00\x04\x0e\x00\x00\x00"
                assert.equal(first.reason, expect.fails("tls", one:handshake()).reason)
                assert.is_false(one:handshake_done())
            end)
        end

        suite.answer(API .. "inject_corrupt_finished_message",
            "a Finished with one bit changed ends the handshake of both", function()
            local client, server = apart(options)
            client:connect()
            server:feed(client:drain())
            server:accept()
            client:feed(server:drain())
            client:connect()
            local flight = client:drain()
            server:feed(flight:sub(1, -2) .. string.char(flight:byte(-1) ~ 1))
            expect.fails("tls", server:accept())
            client:feed(server:drain())
            local err = expect.fails("alert", (tls13 and client.read or client.connect)(client))
            assert.is_true(err.alert_received)
            assert.is_false(server:handshake_done())
        end)

        suite.answer(SPLIT .. "read_invalid_data_and_send_alert",
            "what is no record fails, and the peer is told by an alert", function()
            local client, server = pair.fed(options)
            client:read()
            client:drain()
            client:feed(("\0"):rep(5))
            expect.fails("tls", client:read())
            server:feed(client:drain())
            local err = expect.fails("alert", server:read())
            assert.is_true(err.alert_received)
            assert.same({"failed", "failed"}, {client:state(), server:state()})
        end)
    end)

    describe("rustls's cases of an end beside data, " .. version .. ":", function()
        suite.answer({SPLIT .. "close_alongside_data",
            UNBUFFERED .. "junk_after_close_notify_received"},
            "data, the end and rubbish in one flight: data, then the end", function()
            for _, junk in ipairs {"rubbish", "\x17\3\3\1", "\11\12\13\14\15\16\17\18\19\20"} do
                local client, server = pair.fed(options)
                client:write "client to server"
                client:shutdown()
                server:feed(client:drain() .. junk)
                assert.equal("client to server", server:read())
                expect.word("closed", server:read())
                server:feed(junk)
                expect.word("closed", server:read())
            end
        end)

        suite.answer(UNBUFFERED .. "full_closure_server_to_client",
            "each end sends data and its end in one flight, and both are done", function()
            for _, first in ipairs {"client", "server"} do
                local client, server = pair.fed(options)
                client:read()
                client:drain()
                local one, other = client, server
                if first == "server" then one, other = server, client end
                one:drain()
                one:write "hello"
                assert.equal("sent", one:shutdown())
                other:feed(one:drain())
                assert.equal("hello", other:read())
                expect.word("closed", other:read())
                other:write "goodbye"
                assert.equal("done", other:shutdown())
                one:feed(other:drain())
                assert.equal("goodbye", one:read())
                expect.word("closed", one:read())
                assert.equal("done", one:shutdown())
                assert.same({"", ""}, {one:drain(), other:drain()})
            end
        end)

        local smoke = {client = {MIDSTATE .. "test_client_smoke", STATE .. "test_client_smoke",
            UNBUFFERED .. "close_notify_client_to_server"}, server = {STATE .. "test_server_smoke",
            UNBUFFERED .. "close_notify_server_to_client"}}
        for who, which in pairs(smoke) do
            suite.answer(which, "a " .. who .. " that answers and ends in one flight makes its "
                .. "peer send nothing", function()
                local client, server = pair.fed {client = {max_version = version,
                    max_send_fragment = 512}}
                client:read()
                local one, other = client, server
                if who == "server" then one, other = server, client end
                one:drain()
                other:drain()
                other:write "hello"
                one:feed(other:drain())
                assert.equal("hello", one:read())
                assert.equal(14, one:write "client says hi")
                one:shutdown()
                other:feed(one:drain())
                assert.equal("client says hi", other:read(100))
                expect.word("closed", other:read(100))
                assert.equal("", other:drain())
            end)
        end
    end)
end

describe("rustls's cases of TLS 1.3 alone:", function()
    local options = {client = {min_version = "TLSv1.3"}}
    local ALERT = "\x15\x03\x03\x00\x02\x02\x30" -- fatal, unknown_ca

    suite.answer(API .. "test_tls13_valid_early_plaintext_alert",
        "a client's alert in plain text is read while it has sent a hello only", function()
        local client, server = apart(options)
        client:connect()
        server:feed(client:drain())
        server:accept()
        server:feed(ALERT)
        local err = expect.fails("alert", server:accept())
        assert.equal("unknown_ca", err.alert)
    end)

    suite.answer(API .. "test_tls13_late_plaintext_alert",
        "an alert in plain text after the handshake is no alert", function()
        local _, server = pair.fed(options)
        server:feed(ALERT)
        local err = expect.fails("tls", server:read())
        assert.is_falsy(err.alert_received)
    end)

    suite.answer({SPLIT .. "key_update", UNBUFFERED .. "refresh_traffic_keys_manually"},
        "keys are renewed, and data go both ways", function()
        for _, both in ipairs {false, true} do
            local client, server = pair.fed(options)
            client:read()
            client:drain()
            assert.is_true(client:key_update(both))
            client:write "client to server"
            local flight = client:drain()
            assert.equal(2, #records(flight))
            server:feed(flight)
            assert.equal("client to server", server:read())
            server:write "server to client"
            flight = server:drain()
            assert.equal(both and 2 or 1, #records(flight))
            client:feed(flight)
            assert.equal("server to client", client:read())
            client:write "and back"
            server:feed(client:drain())
            assert.equal("and back", server:read())
        end
    end)

    suite.answer(SPLIT .. "key_update_alongside_data",
        "a key update between two writes is a record of its own", function()
        local client, server = pair.fed(options)
        client:read()
        client:drain()
        client:write "before"
        client:key_update(true)
        client:write "after"
        local flight = client:drain()
        assert.equal(3, #records(flight))
        server:feed(flight)
        assert.equal("before", server:read())
        assert.equal("after", server:read())
        server:write "answer"
        local answer = server:drain()
        assert.equal(2, #records(answer))
        client:feed(answer)
        assert.equal("answer", client:read())
    end)

    suite.answer(AFTER_TLS13, "neither end asks for a renegotiation", function()
        local client, server = pair.fed(options)
        client:read()
        for _, conn in ipairs {client, server} do
            conn:drain()
            local ok, done = pcall(conn.renegotiate, conn)
            assert.is_true(not ok or not done)
            assert.equal("", conn:drain())
            assert.equal("open", conn:state())
        end
    end)
end)

describe("rustls's cases of TLS 1.2 alone:", function()
    suite.answer(UNBUFFERED .. "refresh_traffic_keys_on_tls12_connection",
        "keys are not renewed, and data go on", function()
        local client, server = pair.connect {client = {max_version = "TLSv1.2"}}
        for _, conn in ipairs {client, server} do
            local ok, done = pcall(conn.key_update, conn, true)
            assert.is_true(not ok or not done)
        end
        assert.equal("data", pair.send(client, server, "data"))
    end)

    suite.answer(IN_HELLO, "a second ClientHello in the handshake ends it", function()
        local client, server = apart {client = {max_version = "TLSv1.2"}}
        client:connect()
        local hello = client:drain()
        -- A first ClientHello may have another version in its record (RFC 5246 appendix E.1).
        server:feed(hello .. "\x16\x03\x03" .. hello:sub(4))
        local done, message, err
        repeat done, message, err = server:accept() until message ~= "want_write"
        if message == "want_read" then done, message, err = server:accept() end
        assert.truthy(expect.fails("tls", done, message, err).reason:match "unexpected message")
        assert.is_false(server:handshake_done())
    end)
end)

describe("rustls's cases of a server's first bytes:", function()
    -- rustls sends an alert. libssl sends none to what does not look like TLS.
    suite.answer(UNBUFFERED .. "rejects_junk", "five bytes of no record fail", function()
        local _, server = apart()
        server:feed(("\xff"):rep(5))
        for _ = 1, 2 do expect.fails("tls", server:accept()) end
        local sent = server:drain()
        assert.is_true(sent == "" or sent:sub(1, 2) == "\x15\x03" and #sent == 7, sent)
        assert.equal("failed", server:state())
    end)

    suite.answer(UNBUFFERED .. "server_receives_incorrect_first_handshake_message",
        "a message that is no ClientHello fails, and the client gets the alert", function()
        local client, server = apart()
        client:connect()
        client:drain()
        server:feed "\x16\x03\x01\x00\x04\xff\x00\x00\x00"
        assert.truthy(expect.fails("tls", server:accept()).reason:match "unexpected message")
        client:feed(server:drain())
        assert.equal("unexpected_message", expect.fails("alert", client:connect()).alert)
    end)
end)

describe("rustls's suite of input and records", function() suite.check() end)
