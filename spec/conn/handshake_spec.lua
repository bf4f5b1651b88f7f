-- handshake_spec.lua: tests that a handshake can be continued after every wait, what it refuses,
-- what it negotiates, and what may follow it (key updates, renegotiation, post-handshake
-- authentication, early data).

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()

local MUTUAL_SERVER = {verify = "required", ca = p.ca_file, client_ca = p.ca_file}
local MUTUAL_CLIENT = {certificate = p.client_cert, private_key = p.client_key}

local with <const> = pair.with

-- both ends over feed and drain, `step` bytes at a time; each byte is one more chance to wait
local function byte_by_byte(client, server, step)
    client:set_memory()
    server:set_memory()
    local waits = 0
    local function turn(conn, call, peer)
        if not conn:handshake_done() then
            local ok, message = call(conn)
            if not ok and message ~= "want_read" then error(message) end
            waits = waits + 1
        else
            conn:read() -- tickets
        end
        local bytes = conn:drain()
        for at = 1, #bytes, step do
            local piece = bytes:sub(at, at + step - 1)
            if peer:feed(piece) ~= #piece then error "not all was taken" end
            if not peer:handshake_done() then
                local ok, message = peer[peer:is_server() and "accept" or "connect"](peer)
                if not ok and message ~= "want_read" then error(message) end
                waits = waits + 1
            end
        end
        return #bytes
    end
    for _ = 1, 20 do
        local moved = turn(client, client.connect, server) + turn(server, server.accept, client)
        if moved == 0 then break end
    end
    return waits
end

describe("the handshake", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("can be continued after every wait, " .. version, function()
            local client = pair.client(with(MUTUAL_CLIENT, {max_version = version})):connection()
            local server = pair.server(MUTUAL_SERVER):connection()
            client:set_hostname "localhost"
            client:set_blocking(false)
            server:set_blocking(false)
            local waits = byte_by_byte(client, server, 11)
            assert.is_true(client:handshake_done() and server:handshake_done())
            assert.is_true(waits > 150, waits .. " waits")
            assert.equal("open", client:state())
            assert.equal("open", server:state())
            assert.equal(version, server:version())
            client:write "x"
            server:feed(client:drain())
            assert.equal("x", server:read())
        end)

        it("can be continued through a transport of 64 bytes, " .. version, function()
            local client, server = pair.join {client = {max_version = version}, capacity = 64}
            local ends = {{client, client.connect, {}}, {server, server.accept, {}}}
            for _ = 1, 1000 do
                for _, one in ipairs(ends) do
                    if not one[1]:handshake_done() then
                        local ok, message = one[2](one[1])
                        if not ok then one[3][message] = true end
                    else
                        one[1]:read()
                    end
                end
            end
            assert.is_true(client:handshake_done() and server:handshake_done())
            assert.is_true(ends[1][3].want_read and ends[2][3].want_write)
        end)

        it("succeeds again when called again, " .. version, function()
            local client, server = pair.connect {client = {max_version = version}}
            assert.is_true(client:connect())
            assert.is_true(client:handshake())
            assert.is_true(server:accept())
            assert.is_true(server:handshake())
        end)

        it("works by connect and accept, " .. version, function()
            local client, server = pair.join {client = {max_version = version}}
            local c, s = pair.drive(client, server, client.handshake, server.handshake)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
        end)
    end

    it("moves through its states", function()
        local client, server = pair.join()
        assert.equal("before", client:state())
        assert.is_false(client:handshake_done())
        expect.word("want_read", client:connect())
        assert.equal("handshake", client:state())
        assert.equal("string", type(client:state_text()))
        pair.drive(client, server)
        assert.equal("open", client:state())
        assert.is_true(client:handshake_done())
    end)

    it("accepts TLS 1.2 and newer by default", function()
        local c, s = pair.try {client = {min_version = "TLSv1", max_version = "TLSv1.1",
            ciphers = "ALL:@SECLEVEL=0"}}
        assert.is_nil(c[1])
        assert.is_nil(s[1])
    end)

    it("accepts TLS 1.1 where both contexts allow it", function()
        local old = {min_version = "TLSv1", max_version = "TLSv1.1", ciphers = "ALL:@SECLEVEL=0"}
        assert.equal("TLSv1.1", pair.connect({client = old, server = old}):version())
    end)

    it("fails where the versions of the two do not overlap", function()
        local c, s = pair.try {client = {max_version = "TLSv1.2"},
            server = {min_version = "TLSv1.3"}}
        local err = expect.fails("alert", table.unpack(c, 1, 3))
        assert.equal("protocol_version", err.alert)
        assert.is_true(err.alert_received)
        err = expect.fails("tls", table.unpack(s, 1, 3))
        assert.equal("protocol_version", err.alert)
        assert.is_false(err.alert_received)
    end)
end)

describe("verification", function()
    local cases = {
        {"an unknown CA", client = {ca = p.other_ca_file}, verify = "local issuer",
            alert = "unknown_ca", depth = 1},
        {"an expired certificate",
            server = {certificate = p.expired_cert, private_key = p.expired_key},
            verify = "expired", alert = "certificate_expired", depth = 0},
        {"another host's certificate",
            server = {certificate = p.wrong_host_cert, private_key = p.wrong_host_key},
            verify = "mismatch", alert = "bad_certificate", depth = 0},
        {"another host's name", hostname = "c.b.example.org", verify = "mismatch",
            alert = "bad_certificate", depth = 0},
        {"another address", hostname = "127.0.0.2", verify = "mismatch", alert = "bad_certificate",
            depth = 0},
        {"two labels under a wildcard", hostname = "x.y.b.example", verify = "mismatch",
            alert = "bad_certificate", depth = 0},
        {"a chain that is too deep", client = {verify_depth = 0}, verify = "chain", depth = 1},
        {"a chain with a gap", server = {certificate = p.server_leaf}, verify = "issuer",
            depth = 0},
    }
    for _, version in ipairs(pair.VERSIONS) do
        for _, case in ipairs(cases) do
            it(("refuses %s, %s"):format(case[1], version), function()
                local c, s, client, server = pair.try {
                    client = case.client, hostname = case.hostname,
                    server = with(case.server or {}, {max_version = version})}
                local err = expect.fails("verify", table.unpack(c, 1, 3))
                assert.truthy(err.verify:lower():find(case.verify), err.verify)
                assert.equal(case.depth, err.verify_depth)
                assert.truthy(err.verify_subject:match "^CN=" or err.verify_subject:match "CN=")
                assert.is_true(err.verify_result > 0)
                if case.alert then assert.equal(case.alert, err.alert) end
                assert.is_false(err.alert_received)
                assert.same(err, client:error())
                assert.equal("failed", client:state())
                local peer_err = expect.fails("alert", table.unpack(s, 1, 3))
                assert.equal(err.alert, peer_err.alert)
                assert.is_true(peer_err.alert_received)
                assert.equal("failed", server:state())
            end)
        end

        it("refuses a client without certificate, " .. version, function()
            local c, s, client = pair.try {client = {max_version = version}, server = MUTUAL_SERVER}
            local err = expect.fails("tls", table.unpack(s, 1, 3))
            assert.truthy(err.reason:match "certificate", err.reason)
            if version == "TLSv1.3" then c = table.pack(client:read()) end
            err = expect.fails("alert", c[1], c[2], c[3])
            assert.equal(version == "TLSv1.3" and "certificate_required" or "handshake_failure",
                err.alert)
        end)

        it("refuses a client of another CA, " .. version, function()
            local c, s, client = pair.try {server = with(MUTUAL_SERVER, {max_version = version}),
                client = {certificate = p.other_client_cert, private_key = p.other_client_key}}
            local err = expect.fails("verify", table.unpack(s, 1, 3))
            assert.equal("unknown_ca", err.alert)
            if version == "TLSv1.3" then c = table.pack(client:read()) end
            err = expect.fails("alert", c[1], c[2], c[3])
            assert.equal("unknown_ca", err.alert)
        end)

        it("accepts a client of the CA, " .. version, function()
            local client, server = pair.connect {
                client = with(MUTUAL_CLIENT, {max_version = version}), server = MUTUAL_SERVER}
            assert.equal("CN=client", server:peer_certificates()[1].subject)
            assert.same({"ok", 0}, {server:verify_result()})
            assert.same({"ok", 0}, {client:verify_result()})
        end)

        it("that is optional accepts a missing certificate, but no bad one, " .. version, function()
            local optional = with(MUTUAL_SERVER, {verify = "optional", max_version = version})
            local _, server = pair.connect {server = optional}
            assert.is_nil(server:peer_certificates())
            local _, s = pair.try {server = optional,
                client = {certificate = p.other_client_cert, private_key = p.other_client_key}}
            expect.fails("verify", table.unpack(s, 1, 3))
        end)
    end

    it("accepts the names in the certificate", function()
        for _, name in ipairs {"localhost", "LOCALHOST", "127.0.0.1", "::1", "a.example",
            "x.b.example"} do
            local client, server = pair.connect {hostname = name}
            assert.same({"ok", 0}, {client:verify_result()})
            assert.equal(name:match "^[%d:.]+$" and "" or name:lower(),
                (server:server_name() or ""):lower())
        end
    end)

    it("makes connect raise without a host name", function()
        -- held: a peer that is collected is gone
        local client, server = pair.join {hostname = false}
        expect.raises("host ?name", client.connect, client)
        assert.equal("before", client:state())
        client:set_hostname "localhost"
        expect.word("want_read", client:connect())
        assert.equal("before", server:state())
    end)

    it("needs no host name where verify_host is off", function()
        for _, options in ipairs {{verify_host = false}, {verify = "none"}} do
            local client = pair.connect {hostname = false, client = options}
            assert.is_nil(client:server_name())
        end
        assert.is_not_nil(pair.connect {hostname = "elsewhere.example",
            client = {verify_host = false}})
    end)

    it("that is off still gives its result", function()
        local client = pair.connect {client = {verify = "none", ca = p.other_ca_file}}
        local text, result = client:verify_result()
        assert.is_true(result > 0)
        assert.truthy(text:match "issuer")
    end)

    it("uses a directory of CAs", function()
        assert.is_not_nil(pair.connect {client = {ca = p.ca_dir}})
    end)
end)

describe("getters", function()
    local NOTHING = {"version", "cipher", "group", "alpn", "verify_result", "peer_certificates",
        "finished", "peer_finished", "ocsp_response", "take_keylog", "take_session"}

    local function check(conn)
        for _, name in ipairs(NOTHING) do assert.is_nil(conn[name](conn), name) end
        -- libssl shows the session that it is making: one that nobody can resume
        local session = conn:session()
        if session then
            assert.is_false(session:is_resumable())
            tostring(session)
            pcall(session.export, session)
        end
        assert.is_false(conn:session_reused())
        assert.is_false(conn:handshake_done())
        assert.is_false(conn:renegotiate_pending())
        assert.is_false(conn:has_pending())
        assert.equal(0, conn:pending())
        assert.equal("not_sent", conn:early_data_status())
        expect.raises("handshake", conn.export_keying_material, conn, 32, "EXPORTER-x")
        expect.raises("handshake", conn.key_update, conn)
        expect.raises("handshake", conn.renegotiate, conn)
        expect.raises("handshake", conn.read, conn)
        expect.raises("handshake", conn.peek, conn)
        expect.raises("handshake", conn.write, conn, "x")
        expect.raises("handshake", conn.read_into, conn, tls.buffer(16))
    end

    it("return nil for a connection without transport", function()
        check(pair.client():connection())
        check(pair.server():connection())
    end)

    for _, version in ipairs(pair.VERSIONS) do
        it("return nil before the handshake is done, " .. version, function()
            local client, server = pair.join {client = {max_version = version}}
            check(client)
            check(server)
            expect.word("want_read", client:connect())
            check(client)
            expect.raises("handshake", client.shutdown, client)
            expect.word("want_read", server:accept())
            assert.equal("localhost", server:server_name())
            check(server)
            expect.raises("handshake", server.shutdown, server)
        end)

        it("return nil after a handshake that failed, " .. version, function()
            local _, _, client, server = pair.try {
                client = {max_version = version, ca = p.other_ca_file}}
            for _, conn in ipairs {client, server} do
                assert.equal("failed", conn:state())
                assert.is_false(conn:handshake_done())
                assert.is_nil(conn:version())
                assert.is_nil(conn:finished())
                assert.is_nil((conn:write "x"))
                assert.is_nil((conn:read()))
            end
        end)

        it("return the same at both ends after the handshake, " .. version, function()
            local client, server = pair.connect {
                client = {max_version = version, groups = "P-384:P-256"}}
            for _, name in ipairs {"version", "cipher", "group", "server_name", "alpn",
                "session_reused"} do
                assert.equal(client[name](client), server[name](server), name)
            end
            assert.equal(version, client:version())
            -- which of the two is libssl's choice
            assert.is_nil(client:group():lower():find "x25519")
            assert.equal(client:finished(), server:peer_finished())
            assert.equal(client:peer_finished(), server:finished())
            assert.not_equal(client:finished(), server:finished())
            assert.equal(version == "TLSv1.2" and 12 or #client:finished(), #client:finished())
            assert.equal(version, client:session():protocol())
        end)

        it("export the same keys at both ends, " .. version, function()
            local client, server = pair.connect {client = {max_version = version}}
            local function both(...)
                local one = assert(client:export_keying_material(...))
                assert.equal(one, server:export_keying_material(...))
                assert.equal((...), #one)
                return one
            end
            local plain = both(32, "EXPORTER-spec")
            assert.not_equal(plain, both(32, "EXPORTER-other"))
            assert.not_equal(plain, both(32, "EXPORTER-spec", "context"))
            if version == "TLSv1.2" then
                assert.not_equal(plain, both(32, "EXPORTER-spec", ""))
            else
                assert.equal(plain, both(32, "EXPORTER-spec", ""))
            end
            both(1, "EXPORTER-spec")
            both(1000, "EXPORTER-spec", "a\0b")
            for _, wrong in ipairs {0, -1, 65536, 1.5, "x"} do
                assert.is_false((pcall(client.export_keying_material, client, wrong,
                    "EXPORTER-spec")), tostring(wrong))
            end
        end)
    end
end)

describe("ALPN", function()
    for _, version in ipairs(pair.VERSIONS) do
        local function alpn(client, server)
            local c, s, conn, peer = pair.try {client = {alpn = client, max_version = version},
                server = {alpn = server}}
            return c, s, conn, peer
        end

        it("is the server's choice among the client's, " .. version, function()
            local _, _, client, server = alpn({"a", "b", "c"}, {"x", "c", "b"})
            assert.equal("c", client:alpn())
            assert.equal("c", server:alpn())
        end)

        it("without a common protocol ends in an alert, " .. version, function()
            local c, s = alpn({"a"}, {"b"})
            for _, case in ipairs {{"alert", c}, {"tls", s}} do
                local err = expect.fails(case[1], table.unpack(case[2], 1, 3))
                assert.equal("no_application_protocol", err.alert)
            end
        end)

        it("is nil where one end has none, " .. version, function()
            for _, case in ipairs {{{"a"}, nil}, {nil, {"a"}}, {nil, nil}} do
                local _, _, client, server = alpn(case[1], case[2])
                assert.is_nil(client:alpn())
                assert.is_nil(server:alpn())
                assert.is_true(client:handshake_done())
            end
        end)
    end

    it("of a connection replaces that of its context", function()
        local client = pair.connect {client = {alpn = {"a"}}, server = {alpn = {"a", "b"}},
            setup = function(client) client:set_alpn {"b"} end}
        assert.equal("b", client:alpn())
        expect.raises("handshake", client.set_alpn, client, {"a"})
    end)

    it("of a client's connection may be none", function()
        local client, server = pair.connect {client = {alpn = {"a"}}, server = {alpn = {"a"}},
            setup = function(client) client:set_alpn {} end}
        assert.is_nil(client:alpn() or server:alpn())
    end)

    for _, version in ipairs(pair.VERSIONS) do
        -- What a server chooses for a client that offers a, b, where its context prefers b and its
        -- connection sets what the function says.
        local function chosen(set, options)
            options = options or {}
            options.alpn = {"b", "a"}
            local c, s, client, server = pair.try {
                client = {alpn = {"a", "b"}, max_version = version}, server = options,
                setup = set and function(_, server) set(server) end}
            if s[1] then
                assert.equal(client:alpn(), server:alpn())
                return server:alpn()
            end
            return {expect.fails("alert", table.unpack(c, 1, 3)).alert, s[3].alert}
        end

        it("is chosen for a server's connection, " .. version, function()
            local NONE = {"no_application_protocol", "no_application_protocol"}
            assert.equal("b", chosen())
            assert.equal("a", chosen(function(server) server:set_alpn {"a", "b"} end))
            assert.same(NONE, chosen(function(server) server:set_alpn {"c"} end))
            assert.is_nil(chosen(function(server) server:set_alpn {} end))
            local function in_hook(protocols, set)
                return chosen(set, {on_hello = function(conn) conn:set_alpn(protocols) end})
            end
            assert.equal("a", in_hook {"a"})
            assert.same(NONE, in_hook {"c"})
            assert.is_nil(in_hook {})
            assert.is_nil(in_hook({}, function(server) server:set_alpn {"a"} end))
        end)

        it("is chosen over that of the context which on_hello chose, " .. version, function()
            local other = pair.server {alpn = {"b"}}
            assert.equal("a", chosen(nil, {on_hello = function(conn)
                conn:set_alpn {"a"}
                return other
            end}))
        end)

        it("that was chosen in a hook is not kept by clear, " .. version, function()
            local hello = {}
            local client, server = pair.connect {
                client = {alpn = {"a", "b"}, max_version = version},
                server = {alpn = {"b"}, on_hello = function(conn, one)
                    hello[#hello + 1] = one.alpn[1]
                    if #hello == 1 then conn:set_alpn {"a"} end
                end}}
            assert.equal("a", server:alpn())
            expect.raises("before the protocol is chosen", server.set_alpn, server, {"a"})
            pair.finish(client, server)
            client:clear()
            client:set_session(nil)
            server:clear()
            tls.pair(client, server)
            pair.drive(client, server)
            assert.equal("b", server:alpn())
        end)
    end
end)

describe("ciphers and groups", function()
    it("are those of the list", function()
        for _, case in ipairs {
            {"ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305", "cipher",
                "ECDHE%-ECDSA%-CHACHA20%-POLY1305", "TLSv1.2"},
            {"ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "cipher",
                "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3"},
            {"groups", "P-521", "group", "521", "TLSv1.3"},
            {"groups", "P-256", "group", "256", "TLSv1.2"},
            {"groups", "X25519", "group", "25519", "TLSv1.3"},
        } do
            for _, owner in ipairs {"client", "server"} do
                local other = owner == "client" and "server" or "client"
                local conn = pair.connect {[owner] = {[case[1]] = case[2], max_version = case[5]},
                    [other] = {}}
                assert.truthy(conn[case[3]](conn):upper():match(case[4]:upper()),
                    case[1] .. " of the " .. owner)
            end
        end
    end)

    it("without a common one make the handshake fail", function()
        local c, s = pair.try {client = {groups = "P-256"},
            server = {groups = "P-384", min_version = "TLSv1.3"}}
        assert.equal("handshake_failure", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        expect.fails("tls", table.unpack(s, 1, 3))
    end)

    it("choose between an RSA and an ECDSA certificate", function()
        local both = {certificate = {{certificate = p.server_cert, private_key = p.server_key},
            {certificate = p.rsa_cert, private_key = p.rsa_key}}, private_key = pair.none}
        local rsa = pair.connect {server = both,
            client = {max_version = "TLSv1.2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256"}}
        local ec = pair.connect {server = both,
            client = {max_version = "TLSv1.2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}}
        assert.not_equal(rsa:peer_certificates()[1].fingerprint,
            ec:peer_certificates()[1].fingerprint)
        assert.equal(2, #rsa:peer_certificates())
        assert.equal(2, #ec:peer_certificates())
        local new = pair.connect {server = both,
            client = {signature_algorithms = "RSA-PSS+SHA256:ECDSA+SHA256"}}
        assert.is_not_nil(new:peer_certificates())
    end)
end)

describe("a pre-shared key", function()
    local KEY = {identity = "me", key = ("k"):rep(32)}
    for _, version in ipairs(pair.VERSIONS) do
        local function psk(client, server)
            return pair.try {
                client = {psk = client, max_version = version, ciphers = "PSK+AESGCM:@SECLEVEL=1",
                    verify = "none"},
                server = {psk = server, certificate = pair.none, private_key = pair.none,
                    ciphers = "PSK+AESGCM:@SECLEVEL=1"},
            }
        end

        it("needs no certificate, " .. version, function()
            local c, s, client, server = psk(KEY, {{identity = "other", key = "x"}, KEY})
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.equal(version, client:version())
            assert.is_nil(client:peer_certificates())
            assert.equal("hello", pair.send(client, server, "hello"))
        end)

        it("has a hint of the server's in TLS 1.2: " .. version, function()
            for _, hint in ipairs {"which key?", "", ("h"):rep(256)} do
                local client, server = pair.connect {
                    client = {psk = KEY, max_version = version, ciphers = "PSK+AESGCM:@SECLEVEL=1"},
                    server = {psk = KEY, psk_identity_hint = hint, certificate = pair.none,
                        private_key = pair.none, ciphers = "PSK+AESGCM:@SECLEVEL=1"}}
                local told = version == "TLSv1.2" and hint ~= "" and hint or nil
                assert.equal(told, client:psk_identity_hint())
                server:free()
            end
        end)

        it("that is another fails, " .. version, function()
            local c, s = psk({identity = "me", key = ("x"):rep(32)}, KEY)
            assert.is_nil(c[1])
            assert.is_nil(s[1])
        end)

        it("has an identity of 0 to 256 bytes, " .. version, function()
            for _, len in ipairs {0, 1, 127, 128, 129, 255} do
                local one = {identity = ("i"):rep(len), key = KEY.key}
                local c, s = psk(one, {KEY, one})
                if len == 0 and version == "TLSv1.3" then -- which has no empty identity
                    assert.is_nil(c[1])
                    local err = expect.fails("alert", table.unpack(c, 1, 3))
                    assert.equal("handshake_failure", err.alert)
                    goto continue
                end
                assert.is_true(c[1], c[2])
                assert.is_true(s[1], s[2])
                ::continue::
            end
        end)

        it("of an unknown identity fails, " .. version, function()
            local c, s = psk({identity = "you", key = KEY.key}, KEY)
            assert.is_nil(c[1])
            assert.is_nil(s[1])
        end)
    end
end)

describe("a stapled OCSP response", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("arrives where the client asked for it, " .. version, function()
            local client, server = pair.connect {client = {
                ocsp_request = true, max_version = version}, server = {ocsp_response = p.ocsp_der}}
            assert.equal(p.ocsp_der, client:ocsp_response())
            assert.is_nil(server:ocsp_response())
            client = pair.connect {client = {max_version = version},
                server = {ocsp_response = p.ocsp_der}}
            assert.is_nil(client:ocsp_response())
            client = pair.connect {client = {ocsp_request = true, max_version = version}}
            assert.is_nil(client:ocsp_response())
        end)
    end
end)

describe("the key log", function()
    it("keeps lines for take_keylog", function()
        local client, server = pair.connect {client = {keylog = true, max_version = "TLSv1.3"}}
        local labels = {}
        for line in function() return client:take_keylog() end do
            labels[#labels + 1] = line:match "^([%u_%d]+) %x+ %x+$"
        end
        assert.same({"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0",
            "EXPORTER_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"},
            (function() table.sort(labels); return labels end)())
        assert.is_nil(client:take_keylog())
        assert.is_nil(server:take_keylog())
    end)

    it("goes to a file that only its owner can read", function()
        local path = process.directory() .. "/keys.log"
        os.remove(path)
        pair.connect {server = {keylog = path, max_version = "TLSv1.2"}}
        pair.connect {server = {keylog = path, max_version = "TLSv1.2"}}
        local lines = 0
        for line in io.lines(path) do
            lines = lines + 1
            assert.truthy(line:match "^CLIENT_RANDOM %x+ %x+$", line)
        end
        assert.equal(2, lines)
        local code, mode = process.run {"stat", "-c", "%a", path}
        assert.equal(0, code)
        assert.equal("600\n", mode)
    end)
end)

describe("key_update", function()
    it("changes the keys of one end, or of both", function()
        local client, server = pair.connect {client = {keylog = true}}
        while client:take_keylog() do end
        for _, both in ipairs {false, true} do
            assert.is_true(client:key_update(both))
            assert.equal("up", pair.send(client, server, "up"))
            assert.equal("down", pair.send(server, client, "down"))
            assert.is_true(server:key_update(both))
            assert.equal("down", pair.send(server, client, "down"))
            assert.equal("up", pair.send(client, server, "up"))
        end
    end)

    it("is sent by handshake(), too", function()
        local client, server = pair.connect()
        assert.is_true(client:key_update())
        assert.is_true(client:handshake())
        expect.word("want_read", server:read())
        assert.equal("x", pair.send(client, server, "x"))
    end)

    it("raises in TLS 1.2", function()
        local client = pair.connect {client = {max_version = "TLSv1.2"}}
        expect.raises("TLSv1", client.key_update, client)
    end)
end)

describe("renegotiation", function()
    local allow = {options = {ALLOW_CLIENT_RENEGOTIATION = true}, max_version = "TLSv1.2"}

    -- the other end renegotiates as it reads
    local function settle(from, to)
        assert.is_true(from:renegotiate_pending())
        for _ = 1, 10 do
            local ok, message = from:handshake()
            assert.is_true(ok or message == "want_read", message)
            local bytes
            for _, conn in ipairs {to, from} do
                bytes, message = conn:read()
                assert.is_true(bytes ~= nil or message == "want_read", message)
            end
            if ok and not from:renegotiate_pending() then return end
        end
        error "it does not end"
    end

    for _, abbreviated in ipairs {false, true} do
        it("by the client works, abbreviated " .. tostring(abbreviated), function()
            local client, server = pair.connect {server = allow}
            local finished = client:finished()
            assert.is_true(client:renegotiate(abbreviated))
            settle(client, server)
            assert.not_equal(finished, client:finished())
            assert.equal(abbreviated, client:session_reused())
            assert.equal("x", pair.send(client, server, "x"))
            assert.equal("y", pair.send(server, client, "y"))
        end)
    end

    it("by the server works", function()
        local client, server = pair.connect {server = allow}
        local finished = server:finished()
        assert.is_true(server:renegotiate())
        settle(server, client)
        assert.not_equal(finished, server:finished())
        assert.equal("x", pair.send(server, client, "x"))
    end)

    it("is refused by a server that does not allow it", function()
        local client, server = pair.connect {server = {max_version = "TLSv1.2"}}
        client:renegotiate()
        client:handshake()
        server:read()
        local ok, _, err = client:handshake()
        assert.is_nil(ok)
        assert.equal("no renegotiation", err.reason)
    end)

    it("raises in TLS 1.3", function()
        local client = pair.connect {client = {min_version = "TLSv1.3"}}
        expect.raises("TLSv1", client.renegotiate, client)
    end)
end)

describe("post-handshake authentication", function()
    it("asks for the certificate when the server wants it", function()
        local client, server = pair.connect {client = with(MUTUAL_CLIENT, {
            post_handshake_auth = true}), server = {ca = p.ca_file, min_version = "TLSv1.3"}}
        assert.is_nil(server:peer_certificates())
        assert.is_true(server:request_client_certificate())
        assert.is_true(server:handshake())
        expect.word("want_read", client:read())
        assert.equal("x", pair.send(client, server, "x"))
        assert.equal("CN=client", server:peer_certificates()[1].subject)
        assert.same({"ok", 0}, {server:verify_result()})
    end)

    it("is refused where the client did not offer it", function()
        local _, server = pair.connect {client = MUTUAL_CLIENT,
            server = {ca = p.ca_file, min_version = "TLSv1.3"}}
        local ok, result, _, err = pcall(server.request_client_certificate, server)
        assert.is_true(not ok or result == nil and err.code == "tls")
    end)

    it("raises in TLS 1.2 and for clients", function()
        local client, server = pair.connect {client = {max_version = "TLSv1.2"}}
        expect.raises("TLSv1", server.request_client_certificate, server)
        expect.raises("client", client.request_client_certificate, client)
    end)

    it("refuses a client of another CA", function()
        local client, server = pair.connect {server = {ca = p.ca_file, min_version = "TLSv1.3"},
            client = {post_handshake_auth = true, certificate = p.other_client_cert,
                private_key = p.other_client_key}}
        server:request_client_certificate()
        server:handshake()
        client:read()
        expect.fails("verify", server:read())
        expect.fails("alert", client:read())
    end)
end)

describe("early data", function()
    local function contexts(limit)
        return pair.client {max_early_data = limit},
            pair.server {max_early_data = limit, min_version = "TLSv1.3"}
    end

    local function early(limit, data)
        local client_context, server_context = contexts(limit)
        local session = pair.session {client = client_context, server = server_context}
        local client, server = pair.join {client = client_context, server = server_context,
            session = session}
        return client, server, session, client:write_early(data)
    end

    it("is read before the handshake is done, and accepted", function()
        local client, server, session, written = early(16384, "early bird")
        assert.equal(16384, session:max_early_data())
        assert.equal(10, written)
        local bytes, message
        for _ = 1, 10 do
            bytes, message = server:read_early()
            if bytes then break end
            assert.equal("want_read", message)
        end
        assert.equal("early bird", bytes)
        assert.is_false(server:handshake_done())
        client:connect()
        repeat
            bytes, message = server:read_early()
            if not bytes then
                assert.equal("want_read", message)
                client:connect()
            end
        until bytes
        assert.equal("", bytes)
        local c, s = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        assert.equal("accepted", client:early_data_status())
        assert.equal("accepted", server:early_data_status())
        assert.is_true(client:session_reused())
        assert.equal("late", pair.send(client, server, "late"))
        assert.equal("down", pair.send(server, client, "down"))
    end)

    it("that is not read is rejected or skipped", function()
        local client, server = early(16384, "ignored")
        local c, s = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        assert.equal("rejected", client:early_data_status())
        assert.equal("again", pair.send(client, server, "again"))
    end)

    -- Calls that come too late; each gives the end and the verb.
    local late = {
        ["write_early after connect began"] = function(client)
            client:connect()
            return client.write_early, client
        end,
        ["write_early after write_early and connect"] = function(client)
            client:write_early "early"
            client:connect()
            return client.write_early, client
        end,
        ["read_early after accept began"] = function(client, server)
            client:connect()
            server:accept()
            return server.read_early, server
        end,
        ["read_early after the last"] = function(client, server)
            client:write_early "early"
            client:connect()
            repeat
                local bytes = server:read_early()
                client:connect()
            until bytes == ""
            return server.read_early, server
        end,
    }
    for what, begin in pairs(late) do
        it("raises and leaves the connection usable: " .. what, function()
            local client_context, server_context = contexts(16384)
            local session = pair.session {client = client_context, server = server_context}
            local client, server = pair.join {client = client_context, server = server_context,
                session = session}
            local verb, conn = begin(client, server)
            expect.raises("early", verb, conn, conn == client and "late" or nil)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.equal("on", pair.send(client, server, "on"))
        end)
    end

    it("cannot be replayed", function()
        local client_context, server_context = contexts(16384)
        local session = pair.session {client = client_context, server = server_context}
        local bytes = session:export()
        local statuses = {}
        for i = 1, 2 do
            local client, server = pair.join {client = client_context, server = server_context,
                session = client_context:import_session(bytes)}
            client:write_early "pay 100"
            local got
            for _ = 1, 20 do
                got = server:read_early()
                if got then break end
                client:connect()
            end
            if got ~= "" then
                client:connect()
                for _ = 1, 20 do
                    if server:read_early() == "" then break end
                    client:connect()
                end
            end
            pair.drive(client, server)
            statuses[i] = client:early_data_status()
            pair.finish(client, server)
        end
        assert.same({"accepted", "rejected"}, statuses)
    end)

    it("written from byte i on are the rest of the string", function()
        local client, server = early(16384, "x")
        assert.equal(2, client:write_early("abc", 2))
        local got = ""
        for _ = 1, 20 do
            local bytes = server:read_early()
            got = got .. (bytes or "")
            if #got >= 3 then break end
        end
        assert.equal("xbc", got)
    end)

    it("needs a session that allows it", function()
        local client = pair.join()
        expect.raises("session", client.write_early, client, "x")
        local session, context = pair.session()
        client = pair.join {client = context, session = session}
        expect.raises("early", client.write_early, client, "x")
    end)

    it("does not go beyond the limit", function()
        local client, _, _, written = early(100, ("x"):rep(100))
        assert.equal(100, written)
        assert.equal(0, client:write_early "y")
    end)

    it("is a client's to write and a server's to read", function()
        local client, server = pair.join()
        expect.raises("server", server.write_early, server, "x")
        expect.raises("client", client.read_early, client)
    end)
end)
