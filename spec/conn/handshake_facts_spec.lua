-- handshake_facts_spec.lua: tests what a connection reports about the algorithms and messages of
-- its handshake, compared with what both sides were set to.

local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()

local MUTUAL = {
    client = {certificate = p.client_cert, private_key = p.client_key},
    server = {verify = "required", ca = p.ca_file},
}

local function mutual(version, client, server)
    local ours = pair.with(MUTUAL.client, client)
    ours.max_version = version
    return {client = ours, server = pair.with(MUTUAL.server, server)}
end

-- The algorithms of both signatures, ours and the peer's, as the client reports them, then the
-- server.
local function signatures(options)
    local client, server = pair.connect(options)
    return client:signature_algorithm(), client:peer_signature_algorithm(),
        server:signature_algorithm(), server:peer_signature_algorithm()
end

describe("the signature algorithms", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("are reported on both sides, in the words that set them, " .. version, function()
            for _, algorithm in ipairs {"ECDSA+SHA256", "ECDSA+SHA384"} do
                -- TLS 1.3 binds SHA-256 to P-256, which is the key's curve
                if version == "TLSv1.2" or algorithm == "ECDSA+SHA256" then
                    local setting = {signature_algorithms = algorithm}
                    assert.same({algorithm, algorithm, algorithm, algorithm},
                        {signatures(mutual(version, setting, setting))})
                end
            end
        end)

        it("are reported for RSA, and for a server alone, " .. version, function()
            local rsa = {certificate = p.rsa_cert, private_key = p.rsa_key}
            local ours, peers, servers, clients = signatures {
                client = {max_version = version, signature_algorithms =
                    "RSA-PSS+SHA384:ECDSA+SHA256"}, server = rsa}
            assert.is_nil(ours)
            assert.is_nil(clients)
            assert.same({"RSA-PSS+SHA384", "RSA-PSS+SHA384"}, {peers, servers})
        end)

        it("are reported for keys of other kinds, " .. version, function()
            for kind, script in pairs {
                ed25519 = "-algorithm ed25519", ed448 = "-algorithm ed448",
                ["RSA-PSS+SHA256"] = "-algorithm RSA-PSS",
            } do
                local path = process.directory() .. "/other_kinds"
                local code, output = process.run {"sh", "-ec", ([[
                    openssl genpkey %s -out "$0.key"
                    openssl req -x509 -key "$0.key" -days 2 -subj /CN=localhost \
                        -addext subjectAltName=DNS:localhost -out "$0.pem"]]):format(script), path}
                assert.equal(0, code, output)
                local _, peers, servers = signatures {
                    client = {max_version = version, ca = path .. ".pem"},
                    server = {certificate = path .. ".pem", private_key = path .. ".key"}}
                assert.same({kind, kind}, {peers, servers})
            end
        end)

        it("are none in a resumed handshake, " .. version, function()
            local options = mutual(version)
            options.client, options.server = pair.client(options.client),
                pair.server(options.server)
            options.session = pair.session(options)
            assert.same({}, {signatures(options)})
        end)
    end

    it("are none where the server has decrypted to prove its key", function()
        local rsa = {certificate = p.rsa_cert, private_key = p.rsa_key}
        local _, peers, servers = signatures {server = rsa,
            client = {max_version = "TLSv1.2", ciphers = "AES128-GCM-SHA256"}}
        assert.is_nil(peers)
        assert.is_nil(servers)
    end)
end)

describe("the ciphers that were offered", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("are the same on both sides, in the client's order, " .. version, function()
            local options = {client = {ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:" ..
                "ECDHE-ECDSA-AES128-GCM-SHA256", ciphersuites =
                "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"},
                server = {max_version = version}}
            local want = {"TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"}
            local client, server = pair.join(options)
            assert.same(want, client:offered_ciphers())
            assert.is_nil(server:offered_ciphers())
            pair.drive(client, server)
            assert.same(want, client:offered_ciphers())
            assert.same(want, server:offered_ciphers())
        end)

        it("are reported for a handshake that resumed, too, in TLS 1.3: " .. version, function()
            local options = {client = pair.client {max_version = version}, server = pair.server()}
            options.session = pair.session(options)
            local client, server = pair.connect(options)
            assert.is_true(server:session_reused())
            assert.same(version == "TLSv1.3" and client:offered_ciphers() or nil,
                server:offered_ciphers())
        end)
    end
end)

describe("the names of CAs", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("that the server sent are there after the handshake, too, " .. version, function()
            local client, server = pair.connect(mutual(version, nil,
                {client_ca = {p.ca_file, p.other_ca_file}}))
            assert.same({"CN=root,O=tlslife specs", "CN=stranger,O=tlslife specs"},
                client:ca_names())
            assert.is_nil(server:ca_names())
            pair.finish(client, server)
            client:clear()
            assert.is_nil(client:ca_names())
        end)
    end

    it("that the client sent are there on the server", function()
        local context = pair.client()
        assert(context:conf("RequestCAFile", p.other_ca_file))
        local client, server = pair.connect {client = context}
        assert.same({"CN=stranger,O=tlslife specs"}, server:ca_names())
        assert.is_nil(client:ca_names())
    end)
end)

describe("the extended master secret", function()
    it("is reported on both sides", function()
        for _, without in ipairs {"client", "server", "neither"} do
            local options = {client = {max_version = "TLSv1.2"}, server = {}}
            if options[without] then
                options[without].options = {NO_EXTENDED_MASTER_SECRET = true}
            end
            local client, server = pair.connect(options)
            assert.equal(without == "neither", client:extended_master_secret())
            assert.equal(without == "neither", server:extended_master_secret())
            server:free()
            client:read()
            assert.equal("failed", client:state())
            assert.equal(without == "neither", client:extended_master_secret())
        end
        local client, server = pair.connect()
        assert.is_true(client:extended_master_secret() and server:extended_master_secret())
    end)
end)

describe("a HelloRetryRequest", function()
    local RETRIED = {client = {groups = "X25519:P-256"}, server = {groups = "P-256"}}

    it("is reported on both sides", function()
        for _, version in ipairs(pair.VERSIONS) do
            for _, options in ipairs {RETRIED, {}} do
                local retried = options == RETRIED and version == "TLSv1.3"
                local client, server = pair.connect {client = options.client,
                    server = {groups = options.server and options.server.groups,
                        max_version = version}}
                assert.equal(retried, client:hello_retry())
                assert.equal(retried, server:hello_retry())
            end
        end
    end)

    it("is reported after hooks, lookups and resumption, too, and clear forgets it", function()
        local options = {
            client = pair.client {groups = "X25519:P-256"},
            server = pair.server {groups = "P-256", on_hello = function() end,
                on_certificate = function() end},
        }
        options.session = pair.session(options)
        local client, server = pair.connect(options)
        assert.is_true(client:session_reused())
        assert.is_true(client:hello_retry() and server:hello_retry())
        pair.finish(client, server)
        client:clear()
        server:clear()
        client:set_groups "P-256"
        tls.pair(client, server)
        pair.drive(client, server)
        assert.is_false(client:hello_retry())
        assert.is_false(server:hello_retry())
    end)
end)

describe("renegotiations", function()
    local function go_on(client, server)
        for _ = 1, 8 do
            client:handshake(); client:read(); server:handshake(); server:read()
        end
    end

    it("are counted, whichever side begins them", function()
        local client, server = pair.connect {client = {max_version = "TLSv1.2"},
            server = {options = {ALLOW_CLIENT_RENEGOTIATION = true}}}
        assert.same({0, 0}, {client:num_renegotiations(), server:num_renegotiations()})
        assert.is_true(client:secure_renegotiation() and server:secure_renegotiation())
        for n, one in ipairs {server, client, server} do
            one:renegotiate(n == 3)
            go_on(client, server)
            assert.same({n, n}, {client:num_renegotiations(), server:num_renegotiations()})
        end
        pair.finish(client, server)
        server:clear()
        assert.equal(0, server:num_renegotiations())
    end)

    it("are none in TLS 1.3, whatever comes after the handshake", function()
        local client, server = pair.connect(mutual("TLSv1.3", {post_handshake_auth = true}))
        server:request_client_certificate()
        client:key_update(true)
        server:new_session_ticket()
        go_on(client, server)
        assert.same({0, 0}, {client:num_renegotiations(), server:num_renegotiations()})
        assert.is_false(client:secure_renegotiation())
    end)
end)
