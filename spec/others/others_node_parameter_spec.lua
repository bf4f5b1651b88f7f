-- others_node_parameter_spec.lua: answers what Node's tests ask of the parameters of a handshake:
-- versions, ciphers, groups, signature algorithms, ALPN; and of what it leaves to be asked: key
-- material, Finished messages, key logs (read in nodejs/node 25.8.1, 2026).
--
-- Node's secureProtocol, which names a method of OpenSSL 1.0, is a range of versions here.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local PARALLEL <const> = "test/parallel/test-"
local RSA <const> = {certificate = p.rsa_cert_file, private_key = p.rsa_key_file}

local RENEGOTIATION <const> = {"spec/serve/serve_faults_spec.lua",
    "renegotiate, again and again, are refused"}
local ARGUMENTS <const> = "arguments of Node's command line"
local TRACE <const> = {"spec/program/trace_spec.lua", "has the life of a connection in "}

local suite = others.suite(it, others.cases(PARALLEL, {
    {HERE, "tls-min-max-version.js", "tls-no-sslv23.js", "tls-no-sslv3.js", "tls-getprotocol.js",
        "tls-alert.js", "tls-set-ciphers.js", "tls-set-ciphers-error.js", "tls-handshake-error.js",
        "tls-honorcipherorder.js", "tls-getcipher.js", "tls-ecdh.js", "tls-ecdh-auto.js",
        "tls-ecdh-multiple.js", "tls-dhe.js", "tls-client-mindhsize.js",
        "tls-client-getephemeralkeyinfo.js", "tls-set-sigalgs.js", "tls-alpn-server-client.js",
        "tls-socket-constructor-alpn-options-parsing.js", "tls-max-send-fragment.js",
        "tls-exportkeyingmaterial.js", "tls-finished.js", "tls-keylog-tlsv13.js",
        "tls-enable-keylog-cli.js"},
    {{"spec/conn/handshake_spec.lua", "without a common protocol ends in an alert, "},
        "http2-server-unknown-protocol.js", "http2-https-fallback.js"},
    {{"spec/conn/handshake_spec.lua", "is chosen for a server's connection, "}, "http2-alpn.js",
        "https-argument-of-creating.js"},
    {{"spec/conn/handshake_spec.lua", "keeps lines for take_keylog"}, "https-agent-keylog.js"},
    {RENEGOTIATION, "tls-client-renegotiation-limit.js", "https-client-renegotiation-limit.js"},
    {TRACE, "tls-enable-trace.js", "tls-enable-trace-cli.js"},
    {ARGUMENTS, "tls-cli-max-version-1.2.js", "tls-cli-max-version-1.3.js",
        "tls-cli-min-max-conflict.js", "tls-cli-min-version-1.0.js", "tls-cli-min-version-1.1.js",
        "tls-cli-min-version-1.2.js", "tls-cli-min-version-1.3.js", "tls-cipher-list.js",
        "tls-client-default-ciphers.js"},
}))

-- What came of a handshake: what `good` gives of the client, or {the client's word, the server's}.
local function outcome(options, good)
    local c, s, client, server = pair.try(options)
    local function word(result, conn)
        local err = result[3] or select(3, conn:read())
        return err and (err.alert_received and err.alert or err.reason or err.code)
    end
    return c[1] and s[1] and good(client, server) or {word(c, client), word(s, server)}
end

-- ---------------------------------------------------------------------------------------- versions

describe("Node's cases of versions:", function()
    local ALL <const> = "ALL:@SECLEVEL=0"
    local ONE <const>, TWO <const>, THREE <const> = "TLSv1.1", "TLSv1.2", "TLSv1.3"
    local ZERO <const> = "TLSv1"

    local function of(client, server)
        local function options(range)
            return {min_version = range[1], max_version = range[2], ciphers = ALL}
        end
        return outcome({client = options(client), server = pair.with(RSA, options(server))},
            function(conn) return conn:version() end)
    end

    suite.answer({PARALLEL .. "tls-min-max-version.js", PARALLEL .. "tls-getprotocol.js"},
        "the highest is taken that both ends allow", function()
        for i, row in ipairs {
            {{}, {}, THREE}, {{nil, TWO}, {}, TWO}, {{}, {nil, TWO}, TWO},
            {{ZERO, TWO}, {ZERO, ZERO}, ZERO}, {{ZERO, TWO}, {ONE, ONE}, ONE},
            {{ZERO, TWO}, {TWO, TWO}, TWO}, {{ZERO, ZERO}, {ZERO, THREE}, ZERO},
            {{ONE, ONE}, {ZERO, TWO}, ONE}, {{TWO, TWO}, {ZERO, THREE}, TWO},
            {{ZERO, ONE}, {ZERO, THREE}, ONE}, {{ZERO, THREE}, {ZERO, ONE}, ONE},
            {{ZERO, THREE}, {ZERO, ZERO}, ZERO}, {{ZERO, THREE}, {THREE, THREE}, THREE},
            {{THREE, THREE}, {ZERO, THREE}, THREE}, {{ZERO, THREE}, {TWO, THREE}, THREE},
        } do
            assert.equal(row[3], of(row[1], row[2]), "row " .. i)
        end
    end)

    suite.answer({PARALLEL .. "tls-min-max-version.js", PARALLEL .. "tls-alert.js"},
        "where there is none, one end says so, and the other reads its alert", function()
        for i, row in ipairs {
            {{ZERO, ONE}, {}, "protocol_version", "unsupported protocol"},
            {{ONE, ONE}, {TWO, TWO}, "protocol_version", "unsupported protocol"},
            {{TWO, TWO}, {THREE, THREE}, "protocol_version", "unsupported protocol"},
            {{}, {ZERO, ONE}, "protocol_version", "unsupported protocol"},
            {{TWO, TWO}, {ZERO, ONE}, "unsupported protocol", "wrong version number"},
        } do
            local words = of(row[1], row[2])
            assert.same({row[3], row[4]}, words, "row " .. i)
        end
    end)

    suite.answer(PARALLEL .. "tls-no-sslv3.js",
        "a hello of SSL 3.0 gets an alert, whatever a context allows", function()
        for _, lowest in ipairs {ZERO, TWO} do
            local client, server = pair.join {client = {max_version = TWO, ciphers = ALL},
                server = pair.with(RSA, {min_version = lowest, ciphers = ALL})}
            client:set_memory()
            server:set_memory()
            client:connect()
            local hello = client:drain() -- its record and its message begin with versions
            server:feed("\x16\3\0" .. hello:sub(4, 9) .. "\3\0" .. hello:sub(12))
            local err = expect.fails("tls", server:accept())
            -- SSL 3.0 has no alert protocol_version, so libssl sends handshake_failure.
            assert.truthy(err.alert == "handshake_failure" or err.alert == "protocol_version")
            assert.same({false, "version too low"}, {err.alert_received, err.reason})
            assert.equal("\21", server:drain():sub(1, 1))
        end
    end)

    suite.answer({PARALLEL .. "tls-min-max-version.js", PARALLEL .. "tls-no-sslv23.js"},
        "a name that is none is refused, and printed as it is", function()
        for _, name in ipairs {"SSLv2", "SSLv3", "SSLv23", "fhqwhgads", "%s%n", "", "TLS", 3} do
            for _, option in ipairs {"min_version", "max_version"} do
                expect.refused(name, pair.server, {[option] = name})
            end
        end
        local said = expect.raises("min_version", pair.server, {min_version = "%s%n"})
        assert.truthy(tostring(said):find("%s%n", 1, true))
        expect.raises("range", pair.server, {min_version = THREE, max_version = TWO})
    end)
end)

-- ----------------------------------------------------------------------------------------- ciphers

describe("Node's cases of ciphers:", function()
    local function of(client, server, more)
        return outcome({client = pair.with(client, more), server = pair.with(pair.with(RSA, server),
            more)}, function(conn) return conn:cipher() end)
    end
    local TWO <const> = {max_version = "TLSv1.2"}
    local NONE_SHARED <const> = {"handshake_failure", "no shared cipher"}

    suite.answer({PARALLEL .. "tls-set-ciphers.js", PARALLEL .. "tls-getcipher.js"},
        "one that both ends have is taken, by its version's list", function()
        local OLD <const>, NEW <const> = "AES256-SHA256", "TLS_AES_256_GCM_SHA384"
        assert.equal(OLD, of({}, {ciphers = OLD}, TWO))
        assert.equal(OLD, of({ciphers = OLD}, {}, TWO))
        assert.equal(NEW, of({}, {ciphersuites = NEW}))
        assert.equal(NEW, of({ciphersuites = NEW}, {}))
        -- The list of TLS 1.2 and that of TLS 1.3 do not touch one another.
        assert.equal(NEW, of({ciphers = OLD, ciphersuites = NEW}, {}))
        assert.equal(NEW, of({ciphers = OLD}, {}))
        assert.same(NONE_SHARED, of({ciphersuites = NEW},
            {ciphersuites = "TLS_CHACHA20_POLY1305_SHA256"}, {min_version = "TLSv1.3"}))
        assert.same(NONE_SHARED, of({ciphers = "AES256-SHA"}, {ciphers = OLD}, TWO))
    end)

    suite.answer({PARALLEL .. "tls-set-ciphers.js", PARALLEL .. "tls-set-ciphers-error.js",
        PARALLEL .. "tls-handshake-error.js"}, "a list without any cipher is refused", function()
        for _, list in ipairs {"aes256-sha", "FOOBARBAZ", "TLS_not_a_cipher", ":", "", 9} do
            expect.refused(list, pair.server, {ciphers = list})
            expect.refused(list, pair.client, {ciphers = list})
            if list ~= "" then expect.refused(list, pair.server, {ciphersuites = list}) end
        end
    end)

    suite.answer(PARALLEL .. "tls-honorcipherorder.js",
        "the client's order counts, or the server's where it says so", function()
        local SERVER <const> = "AES256-SHA256:AES128-GCM-SHA256:AES128-SHA256"
        local CLIENT <const> = "AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256"
        for _, row in ipairs {{false, CLIENT, "AES128-GCM-SHA256"},
            {true, CLIENT, "AES256-SHA256"}, {true, "AES128-SHA256", "AES128-SHA256"},
            {true, "AES128-SHA256:AES128-GCM-SHA256", "AES128-GCM-SHA256"}} do
            assert.equal(row[3], of({ciphers = row[2]}, {ciphers = SERVER,
                options = {CIPHER_SERVER_PREFERENCE = row[1]}}, TWO))
        end
    end)
end)

-- ------------------------------------------------------------------------------------------ groups

describe("Node's cases of groups:", function()
    local function of(client, server)
        return outcome({client = pair.with({max_version = "TLSv1.2"}, client),
            server = pair.with(RSA, server)}, function(conn) return conn:group() or "none" end)
    end

    suite.answer({PARALLEL .. "tls-ecdh.js", PARALLEL .. "tls-ecdh-auto.js",
        PARALLEL .. "tls-ecdh-multiple.js", PARALLEL .. "tls-client-getephemeralkeyinfo.js"},
        "one of the server's list is taken, and told by its name", function()
        local ECDHE <const> = {ciphers = "ECDHE-RSA-AES128-SHA256"}
        for name, told in pairs {["prime256v1"] = "secp256r1", ["secp521r1"] = "secp521r1",
            ["X25519"] = "x25519", ["X448"] = "x448"} do
            assert.equal(told, of(ECDHE, {groups = name}):lower())
        end
        assert.is_string(of(ECDHE, {}))
        assert.equal("secp256r1", of(ECDHE, {groups = "secp256k1:prime256v1:secp521r1"}):lower())
        assert.equal("none", of({ciphers = "AES256-SHA256"}, {}))
        assert.same({"handshake_failure", "no shared cipher"},
            of(pair.with(ECDHE, {groups = "P-384"}), {groups = "P-256"}))
    end)

    suite.answer(PARALLEL .. "tls-ecdh-multiple.js",
        "a list with a name that is not known is refused", function()
        for _, name in ipairs {"wap-wsg-idm-ecid-wtls1", "c2pnb163v1", "prime192v3", "P-256:none",
            "", ":", 1} do
            expect.refused(name, pair.server, {groups = name})
        end
    end)

    suite.answer({PARALLEL .. "tls-dhe.js", PARALLEL .. "tls-client-mindhsize.js",
        PARALLEL .. "tls-client-getephemeralkeyinfo.js"},
        "DHE is offered where a server says so, and never with small parameters", function()
        local DHE <const> = "DHE-RSA-AES128-SHA256"
        local BOTH <const> = {ciphers = DHE .. ":ECDHE-RSA-AES128-SHA256"}
        local function cipher(server)
            return outcome({client = pair.with(BOTH, {max_version = "TLSv1.2"}),
                server = pair.with(pair.with(RSA, BOTH), server)},
                function(conn) return conn:cipher() end)
        end
        assert.equal("ECDHE-RSA-AES128-SHA256", cipher {})
        assert.equal(DHE, cipher {dh_auto = true})
        local function parameters(group)
            local code, pem = process.run {"openssl", "genpkey", "-genparam", "-algorithm", "DH",
                "-pkeyopt", group, timeout = 60}
            assert.equal(0, code, pem)
            return pem
        end
        assert.equal(DHE, cipher {dh_params = parameters "group:ffdhe2048"})
        -- 1024 bits. Node drops what it cannot use; here it is an error.
        local function refused(wrong)
            return expect.fails("input", tls.context(pair.with(RSA,
                {role = "server", dh_params = wrong}))).message
        end
        assert.truthy(refused(parameters "dh_rfc5114:1"):find "too small")
        for _, wrong in ipairs {"error", p.garbage, ""} do refused(wrong) end
    end)
end)

-- ------------------------------------------------------------------------------------- other lists

describe("Node's cases of signature algorithms:", function()
    suite.answer(PARALLEL .. "tls-set-sigalgs.js",
        "one of those is taken that both ends have, in the client's order", function()
        local function of(client, server)
            return outcome({client = {signature_algorithms = client},
                server = pair.with(RSA, {signature_algorithms = server})},
                function(conn) return conn:peer_signature_algorithm() end)
        end
        assert.equal("RSA-PSS+SHA384", of("RSA-PSS+SHA384", "RSA-PSS+SHA384"))
        assert.equal("RSA-PSS+SHA256", of("RSA-PSS+SHA256:RSA-PSS+SHA512:ECDSA+SHA256",
            "RSA-PSS+SHA256:ECDSA+SHA256"))
        local NONE <const> = {"handshake_failure", "no shared signature algorithms"}
        assert.same(NONE, of("RSA-PSS+SHA384", "ECDSA+SHA256"))
        assert.same(NONE, of("RSA-PSS+SHA384:ECDSA+SHA256", "ECDSA+SHA384:RSA-PSS+SHA256"))
        for _, wrong in ipairs {"", ":", "RSA-PSS", "RSA-PSS+SHA999", "none", 1} do
            expect.refused(wrong, pair.server, {signature_algorithms = wrong})
        end
    end)
end)

describe("Node's cases of ALPN:", function()
    for _, version in ipairs(pair.VERSIONS) do
        suite.answer({PARALLEL .. "tls-alpn-server-client.js",
            PARALLEL .. "tls-socket-constructor-alpn-options-parsing.js"},
            "the server's order counts, and silence is no failure, " .. version, function()
            local function of(client, server, choose)
                return outcome({client = {alpn = client, max_version = version},
                    server = {alpn = server, on_hello = choose}},
                    function(conn, peer)
                        assert.equal(conn:alpn(), peer:alpn())
                        return conn:alpn() or "none"
                    end)
            end
            local ABC <const> = {"a", "b", "c"}
            assert.equal("a", of(ABC, ABC))
            assert.equal("b", of({"c", "b", "e"}, ABC))
            assert.equal("c", of({"x", "y", "c"}, ABC))
            assert.equal("none", of(nil, ABC))
            assert.equal("none", of(ABC, nil))
            assert.equal("none", of(nil, nil))
            assert.equal("no_application_protocol", of({"bar"}, {"foo"})[1])
            -- A server that takes whatever its client prefers second.
            local function second(conn, hello) conn:set_alpn {hello.alpn[2] or "none"} end
            assert.equal("b", of(ABC, nil, second))
            assert.equal("no_application_protocol", of({"a"}, nil, second)[1])
        end)
    end

    suite.answer(PARALLEL .. "tls-alpn-server-client.js",
        "a protocol has 1 to 255 bytes, and a server chooses by a list or by a hook", function()
        for _, wrong in ipairs {{""}, {("a"):rep(256)}, {1}, {true}, {}, "h2", 1} do
            expect.refused(wrong, pair.server, {alpn = wrong})
            expect.refused(wrong, pair.client, {alpn = wrong})
        end
        local long = ("a"):rep(255)
        local client = pair.connect {client = {alpn = {long}}, server = {alpn = {long}}}
        assert.equal(long, client:alpn())
        client = pair.connect {client = {alpn = {"a"}}, server = {on_hello = function(conn)
            expect.refused("256 bytes", conn.set_alpn, conn, {("a"):rep(256)})
        end}}
        assert.is_nil(client:alpn())
    end)
end)

-- --------------------------------------------------------------------------------- what is asked

describe("Node's cases of fragments:", function()
    suite.answer(PARALLEL .. "tls-max-send-fragment.js",
        "a record has 512 to 16384 bytes at most, and a read gives no more than one", function()
        for _, wrong in ipairs {511, 16385, 0, -1, 2^31, 0/0, 1/0, "", {}, true, 1.5} do
            expect.refused(wrong, pair.server, {max_send_fragment = wrong})
        end
        for _, size in ipairs {512, 768, 16384} do
            local client, server = pair.connect {server = {max_send_fragment = size}}
            local bytes, got = ("f"):rep(10000), {}
            assert.equal(#bytes, server:write(bytes))
            server:close()
            for piece in function() return client:read(65536) end do
                assert.is_true(#piece <= size, #piece)
                got[#got + 1] = piece
            end
            assert.equal(bytes, table.concat(got))
        end
    end)
end)

describe("Node's cases of what a handshake leaves:", function()
    for _, version in ipairs(pair.VERSIONS) do
        local options = {client = {max_version = version, keylog = true}, server = {keylog = true}}

        suite.answer(PARALLEL .. "tls-exportkeyingmaterial.js",
            "key material depends on label and context, and is there after it, " .. version,
            function()
            local client, server = pair.join(options)
            for _, conn in ipairs {client, server} do
                expect.raises("handshake", conn.export_keying_material, conn, 128, "label")
            end
            client, server = pair.connect(options)
            local seen = {}
            for _, context in ipairs {false, "\0\1\2\3", ""} do
                local bytes = client:export_keying_material(128, "EXPORTER-x", context or nil)
                assert.equal(bytes,
                    server:export_keying_material(128, "EXPORTER-x", context or nil))
                assert.equal(128, #bytes)
                seen[#seen + 1] = bytes
            end
            assert.not_equal(seen[1], seen[2])
            -- RFC 5705 section 4 tells no context from an empty one, RFC 8446 section 7.5 does not.
            assert.equal(version == "TLSv1.3", seen[1] == seen[3])
            for _, wrong in ipairs {{128, "label", 1234}, {128, "label", {}}, {10}, {10, 1234},
                {"length", "label"}, {-3, "a"}, {0, "a"}, {2^40, "a"}} do
                expect.refused(wrong, client.export_keying_material, client, table.unpack(wrong))
            end
        end)

        suite.answer(PARALLEL .. "tls-finished.js",
            "each end's Finished is what the other has received, " .. version, function()
            local client, server = pair.join(options)
            assert.is_nil(client:finished() or client:peer_finished() or server:finished())
            client, server = pair.connect(options)
            assert.is_true(#client:finished() > 0 and #server:finished() > 0)
            assert.equal(client:finished(), server:peer_finished())
            assert.equal(server:finished(), client:peer_finished())
            assert.not_equal(client:finished(), server:finished())
        end)

        suite.answer({PARALLEL .. "tls-keylog-tlsv13.js", PARALLEL .. "tls-enable-keylog-cli.js"},
            "both ends log the same lines, " .. version, function()
            local client, server = pair.connect(options)
            local function lines(conn)
                local found = {}
                for line in function() return conn:take_keylog() end do
                    found[#found + 1] = line
                end
                table.sort(found)
                return found
            end
            local logged = lines(client)
            assert.equal(version == "TLSv1.3" and 5 or 1, #logged)
            assert.same(logged, lines(server))
            assert.same({}, lines(client))
        end)
    end
end)

describe("Node's suite of parameters", function() suite.check() end)
