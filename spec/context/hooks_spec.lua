-- hooks_spec.lua: tests the hooks of a handshake, which are on_hello (which context),
-- on_certificate (which certificate) and on_verify (is this peer accepted). A hook may answer,
-- return nothing, refuse, raise, return a wrong type, or yield and answer later. Its coroutine may
-- be dropped. No peer is accepted by mistake.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local CLIENT = {certificate = p.client_cert, private_key = p.client_key}

local function server_with(options)
    return pair.with({verify = "required", ca = p.ca_file}, options)
end

describe("on_hello", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("gets the contents of the ClientHello, " .. version, function()
            local seen, asked = nil, 0
            local client, server = pair.connect {hostname = "a.example",
                client = {alpn = {"h2", "http/1.1"}, max_version = version},
                server = {on_hello = function(conn, hello)
                    asked = asked + 1
                    seen = {conn = conn, hello = hello}
                end}}
            assert.equal(1, asked)
            assert.equal(server, seen.conn)
            assert.equal("a.example", seen.hello.server_name)
            assert.same({"h2", "http/1.1"}, seen.hello.alpn)
            assert.same(version == "TLSv1.3" and {"TLSv1.3", "TLSv1.2"} or {"TLSv1.2"},
                seen.hello.versions)
            assert.equal("integer", math.type(seen.hello.ciphers[1]))
            assert.same({}, seen.hello.psk_identities)
            assert.is_false(seen.hello.has_ticket)
            assert.equal("string", type(seen.hello.session_id))
            assert.equal("a.example", client:server_name())
        end)

        it("gets what session the client offers, " .. version, function()
            local seen
            local server = pair.server {on_hello = function(_, hello) seen = hello end}
            local client = pair.client {max_version = version}
            local session = pair.session {client = client, server = server}
            pair.connect {client = client, server = server, session = session}
            if version == "TLSv1.3" then
                assert.same({session:ticket()}, seen.psk_identities)
            else
                assert.is_true(seen.has_ticket)
            end
        end)

        it("chooses a context, " .. version, function()
            local other = pair.server {certificate = p.wrong_host_cert,
                private_key = p.wrong_host_key, alpn = {"other"}}
            local client, server = pair.connect {hostname = "elsewhere.example",
                client = {max_version = version, alpn = {"other"}},
                server = {on_hello = function() return other end}}
            assert.equal("CN=elsewhere.example", client:peer_certificates()[1].subject)
            assert.equal("other", client:alpn())
            assert.equal(other, server:context())
        end)

        it("chooses a context until the connection is cleared, " .. version, function()
            local other = pair.server {certificate = p.wrong_host_cert,
                private_key = p.wrong_host_key, alpn = {"other"}}
            local answer = other
            local first = pair.server {alpn = {"first"}, on_hello = function() return answer end}
            local client, server = pair.connect {client = {max_version = version,
                alpn = {"other", "first"}, verify_host = false}, server = first}
            assert.equal("other", client:alpn())
            answer = nil
            client:clear()
            server:clear()
            assert.equal(first, server:context())
            tls.pair(client, server)
            assert.truthy(pair.drive(client, server)[1])
            assert.same({"first", first}, {client:alpn(), server:context()})
            assert.equal("CN=localhost", client:peer_certificates()[1].subject)
        end)

        it("refuses with the alert that it names, " .. version, function()
            for given, alert in pairs {access_denied = "access_denied",
                [false] = "unrecognized_name"} do
                local c, s = pair.try {client = {max_version = version},
                    server = {on_hello = function() return false, given or nil end}}
                assert.equal(alert, expect.fails("alert", table.unpack(c, 1, 3)).alert)
                local err = expect.fails("tls", table.unpack(s, 1, 3))
                assert.equal(alert, err.alert)
                assert.is_false(err.alert_received)
            end
        end)
    end

    it("may not answer with a client's context", function()
        local c, s, _, server = pair.try {server = {on_hello = function() return pair.client() end}}
        assert.truthy(expect.fails("tls", table.unpack(s, 1, 3)).message:find("server's context", 1,
            true))
        assert.equal("internal_error", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        assert.is_false(server:handshake_done())
    end)

    it("gets the number of a version that has no name, such as browsers make up", function()
        local seen
        local client, server = pair.join {server = {on_hello = function(_, hello)
            seen = hello.versions
            return false
        end}}
        client:set_memory()
        server:set_memory()
        client:connect()
        -- supported_versions (43), RFC 8446 section 4.2.1, and RFC 8701
        local hello = client:drain()
        local _, at = hello:find("\0\43\0\5\4\3\4\3\3", 1, true)
        server:feed(hello:sub(1, at - 2) .. "\x8a\x8a" .. hello:sub(at + 1))
        server:accept()
        assert.same({"TLSv1.3", "0x8a8a"}, seen)
    end)

    it("is not called for a ClientHello that is garbage", function()
        local asked = 0
        local server = pair.server({on_hello = function() asked = asked + 1 end}):connection()
        server:set_blocking(false)
        server:set_memory()
        server:feed("\22\3\1\0\40\1\0\0\36" .. ("\255"):rep(36))
        expect.fails("tls", server:accept())
        assert.is_true(asked <= 1)
    end)
end)

describe("on_certificate", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("chooses what a client presents, " .. version, function()
            local seen
            local identity = pair.client(CLIENT)
            local _, server = pair.connect {
                client = {max_version = version,
                    on_certificate = function(_, request) seen = request; return identity end},
                server = server_with {client_ca = p.ca_file}}
            assert.equal("CN=client", server:peer_certificates()[1].subject)
            assert.equal(1, #seen.ca_names)
            assert.truthy(seen.ca_names[1]:match "CN=root")
            assert.equal("localhost", seen.server_name)
        end)

        it("may leave a client the certificate of its context, or none, " .. version, function()
            local _, server = pair.connect {server = server_with {max_version = version},
                client = {certificate = p.client_cert, private_key = p.client_key,
                    on_certificate = function() end}}
            assert.equal("CN=client", server:peer_certificates()[1].subject)
            _, server = pair.connect {server = server_with {verify = "optional",
                max_version = version}, client = {on_certificate = function() end}}
            assert.is_nil(server:peer_certificates())
        end)

        it("chooses what a server presents, " .. version, function()
            local seen
            local identity = pair.server {certificate = p.rsa_cert, private_key = p.rsa_key}
            local client = pair.connect {client = {max_version = version}, hostname = "a.example",
                server = {on_certificate = function(_, request)
                    seen = request; return identity
                end}}
            assert.equal(2, #client:peer_certificates())
            local plain = pair.connect {client = {max_version = version}}
            assert.not_equal(plain:peer_certificates()[1].fingerprint,
                client:peer_certificates()[1].fingerprint)
            assert.equal("a.example", seen.server_name)
            assert.same({}, seen.ca_names)
        end)

        it("may refuse the handshake, " .. version, function()
            local c, s = pair.try {client = {max_version = version},
                server = {on_certificate = function() return false end}}
            assert.is_nil(s[1])
            assert.equal("alert", expect.fails("alert", table.unpack(c, 1, 3)).code)
        end)
    end

    for _, version in ipairs(pair.VERSIONS) do
        it("forgets in clear what it chose for the peer before, " .. version, function()
            local answer
            local function choose() return answer end
            local client, server = pair.connect {
                client = {max_version = version, on_certificate = choose},
                server = {verify = "optional", ca = p.ca_file}}
            local identity = pair.client(CLIENT)
            for _, subject in ipairs {"none", "CN=client", "none"} do
                answer = subject ~= "none" and identity or nil
                client:clear()
                server:clear()
                tls.pair(client, server)
                assert.truthy(pair.drive(client, server)[1])
                local peer = server:peer_certificates() or {{subject = "none"}}
                assert.equal(subject, peer[1].subject)
            end
        end)

        it("forgets it on a server, too, and in a copy, " .. version, function()
            local answer = pair.server {certificate = p.rsa_cert, private_key = p.rsa_key}
            local client, server = pair.connect {client = {max_version = version},
                server = {on_certificate = function() return answer end}}
            local other = client:peer_certificates()[1].fingerprint
            local own = pair.connect():peer_certificates()[1].fingerprint
            answer = nil
            server:clear()
            for _, cleared in ipairs {server:dup(), server} do
                local new = pair.join {client = {max_version = version}}
                tls.pair(new, cleared)
                assert.truthy(pair.drive(new, cleared)[1])
                assert.equal(own, new:peer_certificates()[1].fingerprint)
            end
            assert.not_equal(other, own)
        end)
    end

    it("may not answer with a context without certificate", function()
        local client, server = pair.join {
            server = {on_certificate = function() return tls.context {role = "server"} end}}
        expect.word("want_read", client:connect())
        expect.raises("certificate", server.accept, server)
        assert.is_false(server:handshake_done())
    end)

    it("refuses in a renegotiation, in which libssl chooses the alert", function()
        local asked = 0
        local client, server = pair.connect {
            client = {max_version = "TLSv1.2", on_certificate = function()
                asked = asked + 1
                if asked == 2 then return false, "access_denied" end
            end},
            server = server_with {verify = "optional",
                options = {ALLOW_CLIENT_RENEGOTIATION = true}}}
        assert.equal(1, asked)
        assert.is_true(client:renegotiate())
        expect.word("want_read", client:handshake())
        expect.word("want_read", server:read())
        local err = expect.fails("tls", client:handshake())
        assert.equal(2, asked)
        assert.truthy(err.message:find("the program refused to present a certificate", 1, true))
        assert.equal("alert", expect.fails("alert", server:read()).code)
    end)
end)

describe("on_verify", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("of a client gets the server's certificates, " .. version, function()
            local seen, asked = nil, 0
            local client, server = pair.connect {
                client = {max_version = version, on_verify = function(_, peer)
                    asked = asked + 1
                    seen = peer
                    return true
                end}}
            assert.equal(1, asked)
            assert.equal(2, #seen.certificates)
            assert.equal("CN=localhost", seen.certificates[1].subject)
            assert.is_true(seen.verified)
            assert.is_nil(seen.verify)
            assert.equal(0, seen.verify_result)
            assert.is_false(seen.resumed)
            assert.equal("x", pair.send(client, server, "x"))
        end)

        it("of a client may refuse the server, " .. version, function()
            local c, s = pair.try {client = {max_version = version,
                on_verify = function() return false end}}
            local err = expect.fails("verify", table.unpack(c, 1, 3))
            assert.is_true(err.verify_result > 0)
            assert.is_false(err.alert_received)
            assert.equal(err.alert, expect.fails("alert", table.unpack(s, 1, 3)).alert)
        end)

        it("is not called for a peer that verification refused, " .. version, function()
            local asked = 0
            local c = pair.try {client = {max_version = version, ca = p.other_ca_file,
                on_verify = function() asked = asked + 1; return true end}}
            expect.fails("verify", table.unpack(c, 1, 3))
            assert.equal(0, asked)
        end)

        it("with verify_all decides about a peer that verification refused, " .. version, function()
            for _, answer in ipairs {true, false} do
                local seen
                local c, _, client = pair.try {
                    client = {max_version = version, ca = p.other_ca_file, verify_all = true,
                        on_verify = function(_, peer) seen = peer; return answer end}}
                assert.is_false(seen.verified)
                assert.truthy(seen.verify:match "issuer")
                assert.is_true(seen.verify_result > 0)
                if answer then
                    assert.is_true(c[1], c[2])
                    assert.is_true(select(2, client:verify_result()) > 0)
                else
                    expect.fails("verify", table.unpack(c, 1, 3))
                end
            end
        end)

        it("of a server is called before any data or tickets pass, " .. version, function()
            local state, client
            local server
            client, server = pair.join {client = {
                certificate = p.client_cert, private_key = p.client_key, max_version = version},
                server = server_with {on_verify = function(conn, peer)
                    state = {done = conn:handshake_done(), subject = peer.certificates[1].subject,
                        resumed = peer.resumed, verified = peer.verified}
                    return true
                end}}
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1])
            assert.same({done = false, subject = "CN=client", resumed = false, verified = true},
                state)
            assert.equal("x", pair.send(server, client, "x"))
            assert.is_not_nil(version == "TLSv1.3" and client:take_session() or client:session())
        end)

        it("of a server refuses with an alert and without a ticket, " .. version, function()
            for given, alert in pairs {access_denied = "access_denied",
                [false] = "handshake_failure"} do
                local told
                local c, s, client, server = pair.try {
                    client = {certificate = p.client_cert, private_key = p.client_key,
                    max_version = version}, server = server_with {on_verify = function(conn)
                        told = {conn:version(), conn:cipher() ~= nil, conn:group() ~= nil}
                        return false, given or nil
                    end}}
                assert.same({version, true, true}, told)
                local err = expect.fails("verify", table.unpack(s, 1, 3))
                assert.equal(alert, err.alert)
                assert.is_false(err.alert_received)
                assert.equal("failed", server:state())
                if c[1] then c = {client:read()} end
                err = expect.fails("alert", table.unpack(c, 1, 3))
                assert.equal(alert, err.alert)
                assert.is_true(err.alert_received)
                local kept = client:take_session()
                assert.is_nil(kept and kept:is_resumable() or nil)
                assert.is_nil((server:write "x"))
                assert.is_nil((server:read()))
                assert.equal(0, server:get_shutdown() & tls.SENT_SHUTDOWN)
            end
        end)

        it("of a server refuses with the alert of what verification found, " .. version, function()
            local c, s, client = pair.try {client = {
                certificate = p.client_cert, private_key = p.client_key, max_version = version},
                server = server_with {ca = p.other_ca_file, verify_all = true,
                    on_verify = function() return false end}}
            assert.equal("unknown_ca", expect.fails("verify", table.unpack(s, 1, 3)).alert)
            if c[1] then c = {client:read()} end
            assert.equal("unknown_ca", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        end)

        it("of a server refuses over sockets, too, " .. version, function()
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            local client = pair.client {certificate = p.client_cert, private_key = p.client_key,
                max_version = version}:connection()
            client:set_hostname "localhost"
            assert(client:dial("127.0.0.1", listener:port()))
            local server = assert(listener:accept(pair.server(server_with {on_verify = function()
                return false, "access_denied"
            end}), 5))
            client:set_blocking(false)
            server:set_blocking(false)
            local c = pair.drive(client, server)
            server:close()
            client:set_blocking(true)
            if c[1] then c = {client:read()} end
            assert.equal("access_denied", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        end)

        it("of a server refuses a resumed client, which reads no clean end, " .. version, function()
            local asked = 0
            local client = pair.client {certificate = p.client_cert, private_key = p.client_key,
                max_version = version}
            local server = pair.server(server_with {on_verify = function()
                asked = asked + 1; return asked == 1
            end})
            local session = pair.session {client = client, server = server}
            local _, s, conn, peer = pair.try {client = client, server = server, session = session}
            expect.fails("verify", table.unpack(s, 1, 3))
            peer:close(1)
            peer:free()
            local _, word, err = conn:read()
            if version == "TLSv1.3" then
                assert.equal("handshake_failure", err.alert)
            else
                assert.equal("truncated", word) -- libssl has no alert to send then
            end
        end)

        it("of a client is called for a resumed session, too, " .. version, function()
            local seen = {}
            local client = pair.client {max_version = version, on_verify = function(_, peer)
                seen[#seen + 1] = ("%s %s %s"):format(peer.resumed, peer.verified,
                    peer.certificates[1].subject)
                return #seen < 4
            end}
            local server = pair.server()
            local session = pair.session {client = client, server = server}
            local bytes = session:export()
            local conn, peer = pair.connect {client = client, server = server, session = session}
            assert.is_true(conn:session_reused())
            assert.equal("x", pair.send(peer, conn, "x"))
            pair.finish(conn, peer)
            conn, peer = pair.connect {client = client, server = server,
                session = client:import_session(bytes)}
            pair.finish(conn, peer)
            assert.same({"false true CN=localhost", "true true CN=localhost",
                "true true CN=localhost"}, seen)
            local c, _
            c, _, conn, peer = pair.try {client = client, server = server,
                session = client:import_session(bytes)}
            expect.fails("verify", table.unpack(c, 1, 3))
            assert.equal("failed", conn:state())
            conn:close(1)
            conn:free()
            expect.word("truncated", peer:read())
        end)

        it("of a server is called for a resumed session, too, " .. version, function()
            local seen = {}
            local client = pair.client {certificate = p.client_cert, private_key = p.client_key,
                max_version = version}
            local server = pair.server(server_with {on_verify = function(_, peer)
                seen[#seen + 1] = {resumed = peer.resumed,
                    subject = (peer.certificates[1] or {}).subject}
                return #seen < 3
            end})
            local session = pair.session {client = client, server = server}
            local bytes = session:export()
            pair.finish(pair.connect {client = client, server = server, session = session})
            assert.is_true(seen[2].resumed)
            assert.equal("CN=client", seen[2].subject)
            local _, s = pair.try {client = client, server = server,
                session = client:import_session(bytes)}
            expect.fails("verify", table.unpack(s, 1, 3))
        end)
    end

    it("of a server may refuse a certificate sent after the handshake", function()
        for _, version in ipairs(pair.VERSIONS) do
            local asked = 0
            local client, server = pair.connect {client = {certificate = p.client_cert,
                private_key = p.client_key, max_version = version,
                post_handshake_auth = version == "TLSv1.3" or nil},
                server = server_with {resumption = "off", on_verify = function()
                    asked = asked + 1
                    return asked == 1, "access_denied"
                end}}
            if version == "TLSv1.3" then
                server:request_client_certificate()
            else
                server:renegotiate()
            end
            local result = table.pack(server:handshake())
            for _ = 1, 6 do
                client:read()
                if not result[3] then result = table.pack(server:read()) end
            end
            expect.fails("verify", table.unpack(result, 1, 3))
            server:close(1)
            server:free()
            local _, word, err = client:read()
            assert.equal(2, asked)
            assert.equal(version == "TLSv1.3" and "access_denied" or "truncated",
                err and err.alert or word)
        end
    end)

    describe("of a server, about a certificate that comes after the handshake,", function()
        -- how the client's bytes can be had; each returns what read returns
        local READS = {
            read = function(server) return server:read() end,
            ["read of one byte"] = function(server)
                local byte, message, err = server:read(1)
                return byte and byte .. server:read(), message, err
            end,
            read_into = function(server)
                local buffer = tls.buffer(100)
                local n, message, err = server:read_into(buffer)
                return n and buffer:sub(1, n), message, err
            end,
            peek = function(server)
                local seen, message, err = server:peek()
                if seen then assert.equal(seen, server:read()) end
                return seen, message, err
            end,
        }

        -- A pair whose server has asked for the certificate after the handshake, and whose client
        -- has read that. The hook accepts the first time, and later as answer says. seen: what the
        -- server had to give each time it asked.
        local function ask_later(version, answer, capacity, chain)
            local seen = {}
            local client, server = pair.connect {capacity = capacity,
                client = {max_version = version,
                certificate = p.client_cert .. (chain or ""), private_key = p.client_key,
                post_handshake_auth = version == "TLSv1.3" or nil},
            server = server_with {resumption = "off", on_verify = function(conn)
                seen[#seen + 1] = {conn:handshake_done(), conn:pending(), conn:has_pending()}
                return #seen == 1 or answer, "access_denied"
            end}}
            if version == "TLSv1.3" then
                server:request_client_certificate()
            else
                server:renegotiate()
            end
            assert(server:handshake())
            assert.is_nil((client:read()))
            return client, server, seen
        end

        -- Calls that wait for nothing cannot ask again. A number of results that is none would ruin
        -- the stack of the script, which table.pack shows.
        it("is no question that a call can ask which waits for nothing", function()
            local calls = {key_update = {}, new_session_ticket = {}, renegotiate = {},
                request_client_certificate = {}, export_keying_material = {16, "EXPERIMENTAL-x"}}
            for _, version in ipairs(pair.VERSIONS) do
                local asked = 0
                local client, server = pair.connect {client = {max_version = version,
                    certificate = p.client_cert, private_key = p.client_key,
                    post_handshake_auth = version == "TLSv1.3" or nil},
                server = server_with {resumption = "off", on_verify = function()
                    asked = asked + 1
                    return asked == 1 or coroutine.yield()
                end}}
                if version == "TLSv1.3" then
                    server:request_client_certificate()
                else
                    server:renegotiate()
                end
                local co = coroutine.create(function()
                    while true do
                        server:handshake()
                        server:read()
                        coroutine.yield()
                    end
                end)
                for _ = 1, 5 do
                    if asked == 1 then
                        assert(coroutine.resume(co))
                        client:read()
                    end
                end
                assert.equal(2, asked)
                for name, args in pairs(calls) do
                    local packed = table.pack(pcall(server[name], server, table.unpack(args)))
                    assert.same({false, 2}, {packed[1], packed.n}, name)
                    assert.truthy(packed[2]:find(
                        "before the program has accepted the client's certificate", 1, true), name)
                end
            end
        end)

        for name, read in pairs(READS) do
            it("is called before " .. name .. " returns what followed the Finished", function()
                for _, answer in ipairs {true, false} do
                    local client, server, seen = ask_later("TLSv1.3", answer)
                    assert.equal(6, client:write("secret"))
                    local result = table.pack(read(server))
                    assert.same({{false, 0, false}, {false, 0, false}}, seen)
                    if answer then
                        assert.equal("secret", result[1])
                        assert.equal("answer", pair.send(server, client, "answer"))
                    else
                        expect.fails("verify", table.unpack(result, 1, 3))
                        expect.fails("verify", read(server))
                        assert.equal(0, server:pending())
                        assert.is_false(server:has_pending())
                        assert.equal("access_denied", expect.fails("alert", client:read()).alert)
                    end
                end
            end)
        end

        it("is called before a write goes out that reads the client's Finished", function()
            local chain = p.ca_cert:rep(40) -- with which the certificate is more than a record
            for _, version in ipairs(pair.VERSIONS) do
                for _, answer in ipairs {true, false} do
                    local client, server, seen = ask_later(version, answer, 17000, chain)
                    -- until the server has half of the certificate
                    for _ = 1, version == "TLSv1.3" and 1 or 2 do
                        expect.word("want_read", server:read())
                        assert.is_nil((client:read()))
                    end
                    assert.equal(1, #seen)
                    local result = table.pack(server:write("answer"))
                    assert.equal(2, #seen)
                    if answer then
                        assert.equal(6, result[1])
                        assert.equal("answer", client:read())
                    else
                        expect.fails("verify", table.unpack(result, 1, 3))
                        assert.is_nil((client:read()))
                    end
                end
            end
        end)

        it("leaves the connection as it is when read_early is called", function()
            local client, server = ask_later("TLSv1.3", true)
            assert.equal(6, client:write("secret"))
            expect.raises("after the handshake", server.read_early, server)
            assert.equal("secret", server:read())
        end)
    end)

    it("of a server refuses a peer without certificate, with an alert", function()
        for _, version in ipairs(pair.VERSIONS) do
            local c, s, client = pair.try {client = {max_version = version},
                server = server_with {verify = "optional", verify_all = true,
                    on_verify = function() return false, "access_denied" end}}
            expect.fails("verify", table.unpack(s, 1, 3))
            if c[1] then c = {client:read()} end
            assert.equal("access_denied", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        end
    end)

    it("with verify_all is called for a client without certificate", function()
        local seen
        local c, s = pair.try {server = server_with {verify = "optional", verify_all = true,
            on_verify = function(_, peer) seen = peer; return true end}}
        assert.is_true(c[1] and s[1])
        assert.same({}, seen.certificates)
    end)

    it("needs verify to be set on a server's context", function()
        local ok, result = pcall(function()
            return assert(tls.context {role = "server", on_verify = print}):connection()
        end)
        assert.is_true(not ok or result == nil)
    end)
end)

--- Makes both ends' handshake until the hook has been called and yields. Returns the coroutine in
-- which the server waits for its answer.
local function suspend(client, server, is_called)
    for _ = 1, 4 do
        client:connect()
        local thread = coroutine.create(function() return server:accept() end)
        assert(coroutine.resume(thread))
        if is_called() then return thread end
    end
    error "the hook was not called"
end

-- Joins a pair by a function of KINDS. The hook yields for ever when it is called first, and
-- returns the answer when it is called again. Returns both ends, and a function that says how often
-- it was called.
local function join_slow(join, answer)
    local calls = 0
    local client, server = join(function()
        calls = calls + 1
        if calls == 1 then coroutine.yield() end
        return answer
    end)
    return client, server, function() return calls end
end

describe("a hook", function()
    -- each question, and a pair whose handshake asks it once
    local KINDS = {
        on_hello = function(hook) return pair.join {server = {on_hello = hook}} end,
        on_certificate = function(hook) return pair.join {server = {on_certificate = hook}} end,
        on_verify = function(hook) return pair.join {client = CLIENT,
            server = server_with {on_verify = hook}} end,
    }
    local good = {on_verify = true}

    -- the client's part until the server's hook has been called
    local function until_asked(client, call)
        for _ = 1, 4 do
            client:connect()
            local results = table.pack(call())
            if results[2] ~= "want_read" then return table.unpack(results, 1, results.n) end
        end
        error "nothing was asked"
    end

    for kind, join in pairs(KINDS) do
        it("that raises makes the script's call raise, and is called again, " .. kind, function()
            local calls = 0
            local client, server = join(function()
                calls = calls + 1
                if calls == 1 then error("no database", 0) end
                return good[kind]
            end)
            local ok, message = until_asked(client,
                function() return pcall(server.accept, server) end)
            while ok do
                client:connect()
                ok, message = pcall(server.accept, server)
            end
            assert.equal("no database", message)
            assert.is_false(server:handshake_done())
            local c, s = pair.drive(client, server)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.equal(2, calls)
        end)

        it("that returns a wrong type raises and accepts no peer, " .. kind, function()
            local answers = {1, "yes", {}, io.stdout, tls.buffer(1), coroutine.create(print), print,
                kind ~= "on_verify" or nil}
            -- nil is no answer to a yes or no
            local count = kind == "on_verify" and #answers + 1 or #answers
            local at = 0
            local client, server = join(function()
                at = at + 1
                return answers[at]
            end)
            for _ = 1, 3 do
                client:connect()
                if not pcall(server.accept, server) then break end
            end
            while at < count do
                expect.raises(kind, server.accept, server)
                assert.is_false(server:handshake_done())
            end
        end)

        it("that names an unknown alert makes the call raise, " .. kind, function()
            if kind == "on_verify" then return end
            local client, server = join(function() return false, "no_such_alert" end)
            client:connect()
            expect.raises("no_such_alert", server.accept, server)
        end)

        it("may yield and answer later, " .. kind, function()
            local client, server = join(function(_, info) return coroutine.yield("asked", info) end)
            local thread = coroutine.create(function() return server:accept() end)
            local ok, what, info
            for _ = 1, 4 do
                client:connect()
                ok, what, info = coroutine.resume(thread)
                assert.is_true(ok, what)
                if what == "asked" then break end
                assert.equal("dead", coroutine.status(thread))
                thread = coroutine.create(function() return server:accept() end)
            end
            assert.equal("asked", what)
            assert.equal("table", type(info))
            collectgarbage()
            expect.word("busy", server:accept())
            expect.word("busy", server:handshake())
            assert.is_false(server:handshake_done())
            local result
            ok, result, what = coroutine.resume(thread, good[kind])
            assert.is_true(ok, result)
            assert.is_true(result or what == "want_read", what)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.equal("x", pair.send(client, server, "x"))
        end)

        it("whose coroutine is dropped is called again, " .. kind, function()
            local client, server, calls = join_slow(join, good[kind])
            suspend(client, server, function() return calls() > 0 end)
            assert.equal(1, calls())
            collectgarbage()
            collectgarbage()
            local c, s = pair.drive(client, server)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.equal(2, calls())
        end)

        it("whose coroutine is closed is called again, " .. kind, function()
            local client, server, calls = join_slow(join, good[kind])
            local thread = suspend(client, server, function() return calls() > 0 end)
            assert.is_true(coroutine.close(thread))
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], s[2])
            assert.equal(2, calls())
        end)

        it("may outlive its connection, " .. kind, function()
            for _, ending in ipairs {"free", "clear"} do
                local client, server, calls = join_slow(join, good[kind])
                local thread = suspend(client, server, function() return calls() > 0 end)
                server[ending](server)
                local ok, message = coroutine.resume(thread)
                assert.is_false(ok)
                assert.truthy(tostring(message):match(ending))
            end
        end)

        it("may run the collector after its contexts were dropped, " .. kind, function()
            local client, server = join(function()
                collectgarbage()
                collectgarbage()
                return good[kind]
            end)
            collectgarbage()
            collectgarbage()
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], s[2])
        end)

        it("may use another connection, " .. kind, function()
            local client, server = join(function()
                local a, b = pair.connect()
                assert(pair.send(a, b, "inside") == "inside")
                return good[kind]
            end)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], s[2])
            assert.equal("x", pair.send(client, server, "x"))
        end)

        it("may not call its own connection back, " .. kind, function()
            local word
            local client, server = join(function(conn)
                word = select(2, conn:accept())
                return good[kind]
            end)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], s[2])
            assert.equal("busy", word)
        end)
    end

    it("that yields outside of a coroutine makes the call raise", function()
        local client, server = KINDS.on_hello(function() coroutine.yield() end)
        client:connect()
        expect.raises("yield", function() return server:accept() end)
    end)

    it("yields for each of a hundred connections separately", function()
        local context, client_context = pair.server {
            on_hello = function(conn) return coroutine.yield(conn) end}, pair.client()
        local waiting = {}
        for i = 1, 100 do
            local client, server = pair.join {server = context, client = client_context}
            client:connect()
            local thread = coroutine.create(function() return server:accept() end)
            local _, asked = coroutine.resume(thread)
            assert.equal(server, asked)
            waiting[i] = {client, server, thread}
        end
        for i = 100, 1, -1 do
            local client, server, thread = table.unpack(waiting[i])
            coroutine.resume(thread, nil)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1])
        end
    end)
end)

describe("server names", function()
    local function context(name, options)
        local all = {alpn = {name}}
        for key, value in pairs(options or {}) do all[key] = value end
        return pair.server(all)
    end

    local exact, wild, strict = context "exact", context "wild",
        context("strict", {verify = "required", ca = p.ca_file})
    local names = {["a.example"] = exact, ["*.b.example"] = wild, ["localhost"] = strict,
        ["Special.B.Example"] = exact}
    local ALPN = {"exact", "wild", "strict", "base"}

    for _, version in ipairs(pair.VERSIONS) do
        it("choose their contexts, " .. version, function()
            local base = context("base", {server_names = names})
            for name, expected in pairs {["a.example"] = "exact", ["A.EXAMPLE"] = "exact",
                ["x.b.example"] = "wild",
                ["special.b.example"] = "exact", ["b.example"] = "base", ["127.0.0.1"] = "base",
                ["x.y.b.example"] = "base",
                ["nowhere.example"] = "base"} do
                local client, server = pair.connect {server = base, hostname = name,
                    client = {alpn = ALPN, max_version = version, verify_host = false}}
                assert.equal(expected, client:alpn(), name)
                assert.equal(expected == "base" and base or names[name:lower()] or
                    expected == "exact" and exact or wild, server:context())
            end
        end)

        it("apply the whole policy of their context, " .. version, function()
            local base = context("base", {server_names = names})
            local _, s = pair.try {server = base, client = {max_version = version, alpn = ALPN}}
            expect.fails("tls", table.unpack(s, 1, 3))
            local _, server = pair.connect {server = base, client = {max_version = version,
                alpn = ALPN, certificate = p.client_cert, private_key = p.client_key}}
            assert.equal("CN=client", server:peer_certificates()[1].subject)
        end)

        it("do not let a session of one name resume at another, " .. version, function()
            -- one listener, one set of ticket keys, two policies: the session of the name that asks
            -- for no certificate is offered under the name that does, by a client that does not
            -- look at names
            local base = context("base", {server_names = names})
            local function client(options)
                options.max_version, options.alpn, options.verify_host = version, ALPN, false
                return pair.client(options)
            end
            local liar = client {}
            local function session()
                return pair.session {server = base, client = liar, hostname = "a.example"}
            end
            assert.is_true(pair.connect({server = base, client = liar, hostname = "a.example",
                session = session()}):session_reused())
            local _, s, _, server = pair.try {server = base, client = liar, hostname = "localhost",
                session = session()}
            expect.fails("tls", table.unpack(s, 1, 3))
            assert.is_false(server:session_reused())
            assert.equal(strict, server:context())
            -- nor does it resume where the policy is no stricter
            local conn = pair.connect {server = base, client = liar, hostname = "nowhere.example",
                session = session()}
            assert.equal("base", conn:alpn())
            -- and a client with a certificate has to show it
            local honest = client {certificate = p.client_cert, private_key = p.client_key}
            conn, server = pair.connect {server = base, client = honest, hostname = "localhost",
                session = pair.session {server = base, client = honest, hostname = "a.example"}}
            assert.is_false(conn:session_reused())
            assert.equal("CN=client", server:peer_certificates()[1].subject)
        end)
    end

    it("may have a session id context each", function()
        assert.not_equal(strict:session_id_context(), exact:session_id_context())
    end)

    it("apply the options of their context", function()
        local only12 = context("old", {max_version = "TLSv1.2"})
        local base = pair.server {server_names = {["a.example"] = only12}}
        assert.equal("TLSv1.2", pair.connect({server = base, hostname = "a.example"}):version())
        assert.equal("TLSv1.3", pair.connect({server = base}):version())
        local without = {NO_TLSv1_3 = true}
        base = pair.server {server_names = {["a.example"] = pair.server {options = without}}}
        assert.equal("TLSv1.2", pair.connect({server = base, hostname = "a.example"}):version())
        base = pair.server {options = without, server_names = {["a.example"] = pair.server()}}
        assert.equal("TLSv1.3", pair.connect({server = base, hostname = "a.example"}):version())
        assert.equal("TLSv1.2", pair.connect({server = base}):version())
        local quiet = pair.server {
            server_names = {["a.example"] = pair.server {quiet_shutdown = true, num_tickets = 5}}}
        local client, server = pair.connect {server = quiet, hostname = "a.example"}
        assert.is_true(server:quiet_shutdown())
        local tickets = 0
        while client:take_session() do tickets = tickets + 1 end
        assert.equal(5, tickets)
    end)

    it("that are not valid are refused", function()
        for _, name in ipairs {"", "a b", "*", "*.", "*.*.example", "a.*.example", "x*.example",
            ("x"):rep(300)} do
            assert.is_false((pcall(function()
                return assert(tls.context {role = "server", server_names = {[name] = exact}})
            end)), name)
        end
        assert.is_false(
            (pcall(tls.context, {role = "server", server_names = {["a.example"] = pair.client()}})))
        assert.is_false(
            (pcall(tls.context, {role = "client", server_names = {["a.example"] = exact}})))
    end)
end)
