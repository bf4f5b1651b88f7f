-- others_node_certificate_spec.lua: answers what Node's tests ask of certificates, keys and CAs,
-- and of clients and servers that verify them (read in nodejs/node 25.8.1, 2026).
--
-- Node's requestCert is the option verify of a server. Its rejectUnauthorized = false is "none" on
-- a client, and a hook with verify_all on a server. Its pfx is a source like any other.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local PARALLEL <const> = "test/parallel/test-"

local FORMATS <const> = "spec/context/formats_spec.lua"
local CERTIFICATES <const> = "spec/context/certificates_spec.lua"
local THREE_SERVERS <const> = {"spec/others/others_node_name_spec.lua",
    "each of three servers is refused for its own reason, or trusted"}
local SYSTEM <const> = {"spec/context/context_spec.lua",
    "trusts the system's certificates only where no ca is given"}
local DEFAULTS <const> = "Node has a list of CAs of its own, which variables, arguments and "
    .. "functions change for all contexts: here each context names its CAs"
local ENGINES <const> = "engines are OpenSSL 1's: a key in a token is a URI here"

local suite = others.suite(it, others.cases(PARALLEL, {
    {HERE, "tls-client-auth.js", "tls-server-verify.js", "tls-multi-key.js", "tls-multi-pfx.js",
        "tls-passphrase.js", "tls-invalid-pfx.js", "tls-ca-concat.js", "tls-cert-chains-concat.js",
        "tls-cert-chains-in-ca.js", "tls-addca.js", "tls-pfx-authorizationerror.js",
        "tls-reduced-SECLEVEL-in-cipher.js", "tls-options-boolean-check.js",
        "https-options-boolean-check.js", "tls-basic-validations.js"},
    {THREE_SERVERS, "tls-client-verify.js", "tls-socket-default-options.js",
        "tls-friendly-error-message.js", "https-simple.js", "tls-multiple-cas-as-string.js",
        "tls-connect-secure-context.js"},
    {{"spec/conn/handshake_spec.lua", "that is off still gives its result"}, "tls-client-reject.js",
        "tls-client-reject-12.js", "https-client-reject.js", "https-pfx.js",
        "https-unix-socket-self-signed.js"},
    {{FORMATS, "names the key of another certificate"}, "tls-key-mismatch.js"},
    {{FORMATS, "is encrypted by an algorithm that OpenSSL does not have"}, "tls-legacy-pfx.js"},
    {{FORMATS, "it lacks the last newline"}, "tls-cert-regression.js"},
    {{"spec/conn/connection_spec.lua", "says what kind of key it has"}, "tls-no-rsa-key.js"},
    {{"spec/context/revocation_spec.lua", "may end at an intermediate CA or the leaf"},
        "tls-client-allow-partial-trust-chain.js"},
    {{CERTIFICATES, "says of a key what openssl says"}, "tls-peer-certificate.js",
        "https-foafssl.js"},
    {{CERTIFICATES, "knows who issued whom"}, "crypto-x509.js"},
    {{CERTIFICATES, "tells its own certificates in "}, "tls-getcertificate-x509.js"},
    {{"spec/context/context_spec.lua", "that needs no certificate makes connections without one"},
        "tls-no-cert-required.js"},
    {SYSTEM, "tls-get-ca-certificates-system.js"},
    {DEFAULTS, "tls-root-certificates.js", "tls-env-bad-extra-ca.js", "tls-env-extra-ca.js",
        "tls-env-extra-ca-no-crypto.js", "tls-env-extra-ca-with-options.js",
        "tls-get-ca-certificates-bundled-subset.js", "tls-get-ca-certificates-bundled.js",
        "tls-get-ca-certificates-default.js", "tls-get-ca-certificates-error.js",
        "tls-get-ca-certificates-extra-empty.js", "tls-get-ca-certificates-extra-subset.js",
        "tls-get-ca-certificates-extra.js", "tls-get-ca-certificates-node-use-system-ca.js",
        "tls-get-ca-certificates-system-without-flag.js",
        "tls-get-ca-certificates-worker-no-use-system-ca.js",
        "tls-get-ca-certificates-worker-use-system-ca.js",
        "tls-off-thread-cert-loading-disabled.js", "tls-off-thread-cert-loading-system.js",
        "tls-off-thread-cert-loading.js", "tls-set-default-ca-certificates-append-fetch.mjs",
        "tls-set-default-ca-certificates-append-https-request.js",
        "tls-set-default-ca-certificates-array-buffer.js",
        "tls-set-default-ca-certificates-basic.js", "tls-set-default-ca-certificates-error.js",
        "tls-set-default-ca-certificates-extra-override.js",
        "tls-set-default-ca-certificates-mixed-types.js",
        "tls-set-default-ca-certificates-precedence-bundled.js",
        "tls-set-default-ca-certificates-precedence-empty.js",
        "tls-set-default-ca-certificates-recovery.js",
        "tls-set-default-ca-certificates-reset-fetch.mjs",
        "tls-set-default-ca-certificates-reset-https-request.js", "openssl-ca-options.js",
        "test/system-ca/test-set-default-ca-certificates-append-system-ca.mjs",
        "test/system-ca/test-set-default-ca-certificates-system-combinations.js",
        "test/system-ca/test-native-intermediate-certs.mjs",
        "test/system-ca/test-native-root-certs.mjs",
        "test/system-ca/test-native-root-certs-env.mjs",
        "test/system-ca/test-use-system-ca-worker-disable.mjs",
        "test/system-ca/test-use-system-ca-worker-enable.mjs"},
    {"two CAs of the past whose certificates Node treats in a way of its own",
        "tls-cnnic-whitelist.js", "tls-startcom-wosign-whitelist.js"},
    {ENGINES, "tls-clientcertengine-invalid-arg-type.js", "tls-clientcertengine-unsupported.js",
        "tls-keyengine-invalid-arg-type.js", "tls-keyengine-unsupported.js", "tls-error-stack.js",
        "test/addons/openssl-client-cert-engine/test.js", "test/addons/openssl-key-engine/test.js",
        "test/addons/openssl-test-engine/test.js"},
    {"providers are loaded as openssl.cnf says",
        "test/addons/openssl-providers/test-default-only-config.js",
        "test/addons/openssl-providers/test-legacy-provider-config.js",
        "test/addons/openssl-providers/test-legacy-provider-inactive-config.js",
        "test/addons/openssl-providers/test-legacy-provider-option.js",
        "test/addons/openssl-providers/test-no-legacy-provider-option.js"},
}))

-- ------------------------------------------------------------------------------------------ chains

-- The client's result of a handshake: true, or what is wrong with the server's certificate.
local function as_client(client, server)
    local c = pair.try {client = client, server = server}
    return c[1] or expect.fails("verify", table.unpack(c, 1, c.n)).verify
end

-- The server's result: true, "alert" (its client refused it), or what it found.
local function as_server(client, server)
    local _, s = pair.try {client = client, server = server}
    return s[1] or s[3].verify or s[3].reason
end

describe("Node's cases of chains:", function()
    local LEAF <const> = {certificate = p.server_leaf, private_key = p.server_key}
    local ISSUER <const> = "unable to get local issuer certificate"

    suite.answer({PARALLEL .. "tls-client-auth.js", PARALLEL .. "tls-ca-concat.js",
        PARALLEL .. "tls-cert-chains-concat.js"},
        "what one end does not send the other must know, and may know in any form", function()
        local both = p.ca_pem .. "\n" .. p.intermediate_cert
        for _, ca in ipairs {{p.ca_file, p.intermediate_cert_file}, both, {both},
            p.client_cert .. "\n" .. both} do
            assert.is_true(as_client({ca = ca}, LEAF))
        end
        assert.equal(ISSUER, as_client({ca = p.ca_file}, LEAF))
        assert.equal(ISSUER, as_client({ca = p.other_ca_file}, {}))
    end)

    suite.answer(PARALLEL .. "tls-client-auth.js",
        "a root that is sent is trusted where it was trusted anyway", function()
        local whole = {certificate = p.server_cert .. p.ca_pem, private_key = p.server_key}
        assert.is_true(as_client({}, whole))
        assert.equal("self-signed certificate in certificate chain",
            as_client({ca = p.other_ca_file}, whole))
    end)

    suite.answer(PARALLEL .. "tls-client-auth.js",
        "certificates may be labelled as OpenSSL has labelled them once", function()
        for _, label in ipairs {"TRUSTED CERTIFICATE", "X509 CERTIFICATE"} do
            local function labelled(pem) return (pem:gsub("CERTIFICATE", label)) end
            assert.is_true(as_client({ca = labelled(p.ca_pem)}, {}))
            assert.is_true(as_client({}, {certificate = labelled(p.server_cert)}))
            assert.is_true(as_server({certificate = p.client_cert, private_key = p.client_key},
                {verify = true, ca = labelled(p.ca_pem)}))
        end
    end)

    suite.answer(PARALLEL .. "tls-cert-chains-in-ca.js",
        "a server completes its chain with the CAs that it trusts", function()
        local client = pair.connect {server = pair.with(LEAF, {ca = p.intermediate_cert})}
        assert.equal(2, #client:peer_certificates())
    end)

    suite.answer(PARALLEL .. "tls-addca.js",
        "a CA of one context is none of another's", function()
        local with = pair.client()
        local without = pair.client {ca = p.other_ca_file}
        for _ = 1, 2 do
            assert.is_true(as_client(with, {}))
            assert.equal(ISSUER, as_client(without, {}))
        end
    end)
end)

describe("Node's cases of servers that verify their clients:", function()
    local OWN <const> = {certificate = p.other_ca_cert, private_key = p.other_ca_key}
    local CLIENTS <const> = {
        ours = {certificate = p.client_cert, private_key = p.client_key},
        other = {certificate = p.other_client_cert, private_key = p.other_client_key},
        own = OWN,
        none = {},
    }

    -- What a server says of each client: whether it takes it, and as verified.
    local function judged(options)
        local words = {}
        for name, client in pairs(CLIENTS) do
            local _, s, _, server = pair.try {client = client, server = options}
            local verified = s[1] and select(2, server:verify_result()) == 0
                and server:peer_certificates() ~= nil
            words[name] = not s[1] and "refused" or verified and "verified" or "taken"
        end
        return words
    end

    for _, version in ipairs(pair.VERSIONS) do
        suite.answer({PARALLEL .. "tls-server-verify.js", PARALLEL .. "tls-client-auth.js"},
            "each client is refused, taken or verified, " .. version, function()
            local function server(options)
                return pair.with({ca = p.ca_file, purpose = "any", max_version = version}, options)
            end
            assert.same({ours = "taken", other = "taken", own = "taken", none = "taken"},
                judged(server {verify = "none"}))
            -- The hook accepts every client, as Node's rejectUnauthorized = false does.
            assert.same({ours = "verified", other = "taken", own = "taken", none = "taken"},
                judged(server {verify = "optional", verify_all = true,
                    on_verify = function() return true end}))
            assert.same({ours = "verified", other = "refused", own = "refused", none = "taken"},
                judged(server {verify = "optional"}))
            assert.same({ours = "verified", other = "refused", own = "refused", none = "refused"},
                judged(server {verify = "required"}))
            assert.same({ours = "verified", other = "verified", own = "verified", none = "refused"},
                judged(server {verify = "required", ca = {p.ca_file, p.other_ca_file}}))
        end)
    end

    -- In TLS 1.2 Node renegotiates to ask for a certificate later. We ask in TLS 1.3 alone.
    suite.answer(PARALLEL .. "tls-server-verify.js",
        "a certificate may be asked for after the handshake", function()
        for name, code in pairs {ours = "want_read", none = "tls", other = "verify"} do
            local client, server = pair.connect {
                client = pair.with(CLIENTS[name], {post_handshake_auth = true}),
                server = {ca = p.ca_file, purpose = "any"}}
            assert.is_nil(server:peer_certificates())
            server:request_client_certificate()
            server:handshake()
            client:read()
            local _, message, err = server:read()
            assert.equal(code, err and err.code or message)
            assert.equal(name == "ours", server:peer_certificates() ~= nil, name)
        end
    end)

    suite.answer(PARALLEL .. "tls-pfx-authorizationerror.js",
        "both ends may have one certificate, and ask for it often", function()
        local own = {certificate = p.server_p12_file, private_key = pair.none,
            passphrase = p.passphrase, ca = p.ca_file, purpose = "any"}
        local client, server = pair.connect {client = pair.with(own, {purpose = "server"}),
            server = pair.with(own, {verify = "required"})}
        assert.same({"ok", 0}, {server:verify_result()})
        for _ = 1, 10 do
            assert.equal("1234", client:local_certificates()[1].serial)
            assert.equal("1234", server:peer_certificates()[1].serial)
            collectgarbage()
        end
        client:free()
        server:free()
    end)
end)

-- -------------------------------------------------------------------------------------------- keys

describe("Node's cases of several certificates:", function()
    local RSA <const> = {certificate = p.rsa_cert, private_key = p.rsa_key}
    local EC <const> = {certificate = p.server_cert, private_key = p.server_key}
    local P12 <const> = {certificate = p.server_p12_file, passphrase = p.passphrase}

    suite.answer({PARALLEL .. "tls-multi-key.js", PARALLEL .. "tls-multi-pfx.js"},
        "the cipher decides which is shown, in whatever order and form they came", function()
        for i, list in ipairs {{EC, RSA}, {RSA, EC}, {P12, RSA}, {RSA, P12}} do
            local server = pair.server {certificate = list, private_key = pair.none}
            for cipher, key in pairs {["ECDHE-ECDSA-AES256-GCM-SHA384"] = "EC",
                ["ECDHE-RSA-AES256-GCM-SHA384"] = "RSA"} do
                local client = pair.connect {server = server,
                    client = {max_version = "TLSv1.2", ciphers = cipher}}
                local chain = client:peer_certificates()
                assert.same({cipher, key, 2}, {client:cipher(), chain[1].key_type, #chain}, i)
            end
        end
    end)

    suite.answer(PARALLEL .. "tls-passphrase.js",
        "each key has its own passphrase, which a key without one ignores", function()
        local function server(key, passphrase)
            return tls.context {role = "server", certificate = p.server_cert, private_key = key,
                passphrase = passphrase}
        end
        for _, key in ipairs {p.encrypted_key, p.encrypted_key_file} do
            assert(server(key, p.passphrase))
            for _, wrong in ipairs {"invalid", "", p.passphrase .. "x", false} do
                local err = expect.fails("input", server(key, wrong or nil))
                assert.truthy(err.message:find "passphrase", err.message)
            end
        end
        for _, key in ipairs {p.server_key, p.server_key_file} do assert(server(key, "ignored")) end
        local list = {{certificate = p.server_cert, private_key = p.encrypted_key,
            passphrase = p.passphrase}, {certificate = p.rsa_cert, private_key = p.rsa_key,
            passphrase = "ignored"}}
        assert(tls.context {role = "server", certificate = list})
        list[1].passphrase = "invalid"
        expect.fails("input", tls.context {role = "server", certificate = list})
    end)

    suite.answer(PARALLEL .. "tls-invalid-pfx.js",
        "PKCS#12 without a key is no certificate with its key", function()
        local file = process.directory() .. "/nokey.p12"
        local code, said = process.run {"openssl", "pkcs12", "-export", "-nokeys", "-in",
            p.server_cert_file, "-passout", "pass:test", "-out", file, timeout = 60}
        assert.equal(0, code, said)
        local err = expect.fails("input",
            tls.context {role = "client", certificate = file, passphrase = "test"})
        assert.truthy(err.message:find "private key was expected", err.message)
    end)

    -- The ciphers are set before the certificate, whatever order a table gives them in.
    suite.answer(PARALLEL .. "tls-reduced-SECLEVEL-in-cipher.js",
        "a small key needs a lower security level, which ciphers set", function()
        local dir = process.directory()
        local code, said = process.run {"openssl", "req", "-x509", "-newkey", "rsa:1024", "-noenc",
            "-subj", "/CN=localhost", "-keyout", dir .. "/weak.key", "-out", dir .. "/weak.pem",
            timeout = 60}
        assert.equal(0, code, said)
        local weak = {role = "server", certificate = dir .. "/weak.pem",
            private_key = dir .. "/weak.key"}
        local err = expect.fails("input", tls.context(pair.with(weak, {ciphers = "DEFAULT"})))
        assert.truthy(err.message:find "key too small", err.message)
        for _ = 1, 5 do
            assert(tls.context(pair.with(weak, {ciphers = "DEFAULT:@SECLEVEL=0"})))
        end
    end)
end)

describe("Node's cases of options of a context:", function()
    suite.answer({PARALLEL .. "tls-options-boolean-check.js",
        PARALLEL .. "https-options-boolean-check.js", PARALLEL .. "tls-basic-validations.js"},
        "each has its type", function()
        local WRONG <const> = {true, 1, 1.5, {{}}, {true}, {1}, print, io.stdout}
        for _, name in ipairs {"certificate", "private_key", "ca", "client_ca", "crl", "passphrase",
            "ciphers", "ciphersuites", "groups", "signature_algorithms", "min_version",
            "max_version", "ocsp_response", "session_id_context", "psk_identity_hint"} do
            for i, wrong in ipairs(WRONG) do
                expect.refused(name .. i, pair.server, {[name] = wrong})
            end
        end
        for _, name in ipairs {"session_timeout", "timeout", "num_tickets", "verify_depth",
            "max_send_fragment", "max_cert_list", "max_early_data", "ticket_keys", "cache"} do
            for _, wrong in ipairs {"abcd", "", {}, true, print} do
                expect.refused(name, pair.server, {[name] = wrong})
            end
        end
        for _, name in ipairs {"on_hello", "on_certificate", "on_verify", "on_psk"} do
            for _, wrong in ipairs {1, true, "x", {}} do
                expect.refused(name, pair.server, {[name] = wrong})
            end
        end
        for _, wrong in ipairs {"foo", 42, true} do expect.refused(wrong, tls.context, wrong) end
    end)
end)

describe("Node's suite of certificates", function() suite.check() end)
