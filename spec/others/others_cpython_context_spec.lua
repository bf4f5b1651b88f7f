-- others_cpython_context_spec.lua: answers what CPython's Lib/test/test_ssl.py asks of contexts,
-- certificates, hooks, PSKs and certificates after the handshake (read at its commit df30e9d4,
-- 2026). With others_cpython_spec.lua, which has sessions and the end, all its methods are listed.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE

local NAMES <const> = "spec/others/others_node_name_spec.lua"
local PARAMETERS <const> = "spec/others/others_node_parameter_spec.lua"
local FORMATS <const> = "spec/context/formats_spec.lua"
local HANDSHAKE <const> = "spec/conn/handshake_spec.lua"
local HOOKS <const> = "spec/context/hooks_spec.lua"
local VERSIONS <const> = {PARAMETERS, "the highest is taken that both ends allow"}
local MISMATCH <const> = {PARAMETERS, "where there is none, one end says so, and the other reads"}
local SSL3 <const> = {PARAMETERS, "a hello of SSL 3.0 gets an alert, whatever a context allows"}
local CIPHERS <const> = {PARAMETERS, "a list without any cipher is refused"}
local GROUPS <const> = {PARAMETERS, "one of the server's list is taken, and told by its name"}
local ALPN <const> = {PARAMETERS, "the server's order counts, and silence is no failure, "}
local DAMAGED <const> = {FORMATS, "names text in UTF-16, an empty file, and PEM of another kind"}
local PYTHON <const> = "asks of Python's classes, constants or warnings"

local suite = others.suite(it, others.cases("", {
    {HERE, "ContextTests.test_load_verify_cadata", "ContextTests.test_load_cert_chain",
        "ContextTests.test_verify_mode_protocol", "ContextTests.test_check_hostname",
        "ContextTests.test_context_client_server", "ContextTests.test_create_default_context",
        "ContextTests.test__create_stdlib_context", "ThreadedTests.test_check_hostname_idn",
        "ThreadedTests.test_psk", "ThreadedTests.test_psk_tls1_3",
        "ThreadedTests.test_sni_callback_raising",
        "ThreadedTests.test_sni_callback_wrong_return_type",
        "TestPostHandshakeAuth.test_pha_setter",
        "TestPostHandshakeAuth.test_pha_required",
        "TestPostHandshakeAuth.test_pha_required_nocert", "TestPostHandshakeAuth.test_pha_optional",
        "TestPostHandshakeAuth.test_pha_optional_nocert",
        "TestPostHandshakeAuth.test_pha_no_pha_client",
        "TestPostHandshakeAuth.test_pha_no_pha_server", "TestPostHandshakeAuth.test_pha_not_tls13",
        "TestPostHandshakeAuth.test_bpo37428_pha_cert_none",
        "TestSSLDebug.test_msg_callback_deadlock_bpo43577"},
    -- names and certificates
    {{NAMES, "each name is printed as one, and nothing is cut"},
        "BasicSocketTests.test_parse_cert_CVE_2013_4238"},
    {{NAMES, "it is a name, and no server's connection has one"},
        "SSLErrorTests.test_bad_server_hostname", "BasicSocketTests.test_server_side"},
    {{"spec/context/details_spec.lua", "are those of the kinds that have a value"},
        "BasicSocketTests.test_parse_all_sans"},
    {{"spec/context/certificates_spec.lua", "takes names apart"},
        "BasicSocketTests.test_parse_cert"},
    {{"spec/context/details_spec.lua", "a certificate of which any byte was changed is read or"},
        "BasicSocketTests.test_parse_cert_CVE_2019_5010"},
    {{"spec/conn/connection_spec.lua", "is returned with all its fields"},
        "BasicSocketTests.test_DER_to_PEM", "ThreadedTests.test_getpeercert",
        "ThreadedTests.test_ecc_cert"},
    {{HANDSHAKE, "accepts the names in the certificate"}, "ThreadedTests.test_check_hostname"},
    {{HANDSHAKE, "choose between an RSA and an ECDSA certificate"},
        "ThreadedTests.test_dual_rsa_ecc"},
    {{HANDSHAKE, "uses a directory of CAs"}, "SimpleBackgroundTests.test_connect_capath",
        "SimpleBackgroundTests.test_get_ca_certs_capath"},
    {{HANDSHAKE, '"an unknown CA"'}, "SimpleBackgroundTests.test_connect_fail",
        "SimpleBackgroundTests.test_connect_with_context_fail",
        "ThreadedTests.test_ssl_cert_verify_error"},
    {{HANDSHAKE, "that is off still gives its result"}, "SimpleBackgroundTests.test_connect",
        "SimpleBackgroundTests.test_connect_with_context"},
    {{"spec/context/revocation_spec.lua", "refuses one whose issuer has none"},
        "ThreadedTests.test_crl_check", "ContextTests.test_verify_flags"},
    {DAMAGED, "BasicSocketTests.test_empty_cert", "BasicSocketTests.test_malformed_cert",
        "BasicSocketTests.test_malformed_key", "ContextTests.test_load_verify_locations"},
    {{FORMATS, '(("in %s, by %s"):format(name, way[1])'},
        "SimpleBackgroundTests.test_connect_cadata"},
    {{"spec/context/context_spec.lua", "trusts the system's certificates only where no ca is"},
        "ContextTests.test_set_default_verify_paths", "ContextTests.test_load_default_certs",
        "ContextTests.test_load_default_certs_env"},
    -- parameters
    {CIPHERS, "ContextTests.test_ciphers", "SimpleBackgroundTests.test_ciphers"},
    {{PARAMETERS, "one that both ends have is taken, by its version's list"},
        "ThreadedTests.test_no_shared_ciphers", "ThreadedTests.test_tls1_3"},
    {VERSIONS, "ContextTests.test_min_max_version", "ThreadedTests.test_PROTOCOL_TLS",
        "ThreadedTests.test_protocol_tlsv1", "ThreadedTests.test_protocol_tlsv1_1",
        "ThreadedTests.test_protocol_tlsv1_2", "ThreadedTests.test_min_max_version_tlsv1_1",
        "ThreadedTests.test_min_max_version_tlsv1_2"},
    {MISMATCH, "ThreadedTests.test_min_max_version_mismatch"},
    {SSL3, "ThreadedTests.test_protocol_sslv3", "ThreadedTests.test_min_max_version_sslv3"},
    {GROUPS, "ThreadedTests.test_default_ecdh_curve", "ThreadedTests.test_ecdh_curve"},
    {{PARAMETERS, "a list with a name that is not known is refused"},
        "ContextTests.test_set_ecdh_curve"},
    {{PARAMETERS, "DHE is offered where a server says so, and never with small parameters"},
        "ContextTests.test_load_dh_params", "ThreadedTests.test_dh_params",
        "SSLErrorTests.test_lib_reason"},
    {ALPN, "ThreadedTests.test_selected_alpn_protocol", "ThreadedTests.test_alpn_protocols",
        "ThreadedTests.test_selected_alpn_protocol_if_server_uses_alpn"},
    {{"spec/conn/handshake_facts_spec.lua", "are the same on both sides, in the client's order"},
        "ThreadedTests.test_shared_ciphers"},
    {{"spec/others/others_node_certificate_spec.lua", "a small key needs a lower security level"},
        "ContextTests.test_security_level"},
    {{"spec/conn/hint_spec.lua", "a server that is too old for secure renegotiation"},
        "ThreadedTests.test_legacy_server_connect", "ThreadedTests.test_no_legacy_server_connect"},
    -- hooks, logs and traces
    {{"spec/others/others_node_socket_spec.lua", "what is called with a ClientHello is a function"},
        "ContextTests.test_sni_callback"},
    {{HOOKS, "refuses with the alert that it names, "}, "ThreadedTests.test_sni_callback_alert"},
    {{"spec/context/keylog_spec.lua", "refuses a path that is "},
        "TestSSLDebug.test_keylog_defaults"},
    {{PARAMETERS, "both ends log the same lines, "}, "TestSSLDebug.test_keylog_filename"},
    {{"spec/context/keylog_spec.lua", "makes the program's contexts log their keys, and say so"},
        "TestSSLDebug.test_keylog_env"},
    {{"spec/program/trace_spec.lua", "has the life of a connection in "},
        "TestSSLDebug.test_msg_callback", "TestSSLDebug.test_msg_callback_tls12"},
    -- sockets and data
    {{"spec/conn/connection_spec.lua", "raises in calls that need a transport"},
        "BasicSocketTests.test_wrapped_unconnected"},
    {{"spec/conn/connection_spec.lua", "takes the role of its context only"},
        "ThreadedTests.test_echo", "ThreadedTests.test_server_accept"},
    {{"spec/conn/connection_spec.lua", "returns the timeout that was set"},
        "BasicSocketTests.test_timeout"},
    {{"spec/net/transport_spec.lua", "fails where nobody listens"},
        "BasicSocketTests.test_connect_ex_error"},
    {{"spec/net/transport_spec.lua", "dials without blocking"},
        "SimpleBackgroundTests.test_connect_ex",
        "SimpleBackgroundTests.test_non_blocking_connect_ex",
        "SimpleBackgroundTests.test_non_blocking_handshake", "SSLErrorTests.test_subclass"},
    {{"spec/net/transport_spec.lua", "holds for a handshake with a silent peer"},
        "NetworkedTests.test_timeout_connect_ex",
        "SimpleBackgroundTests.test_get_server_certificate_timeout"},
    {{"spec/others/others_cpython_spec.lua", "ThreadedTests.test_recv_zero"},
        "BasicSocketTests.test_read_write_zero"},
    {{"spec/lua/gc_spec.lua", "frees dropped connections before they fill the memory"},
        "BasicSocketTests.test_refcycle"},
    {{"spec/net/transport_spec.lua", "end at feed_eof, after the bytes that were fed"},
        "MemoryBIOTests.test_buffer_types", "MemoryBIOTests.test_error_types"},
    {{"spec/project/threads_spec.lua", "has a row for each public function, and none for another"},
        "ThreadedTests.test_ssl_in_multiple_threads"},
    {{"spec/serve/serve_spec.lua", "serves until it is stopped, on every address"},
        "ThreadedTests.test_socketserver", "ThreadedTests.test_asyncore_server"},
    {{"spec/program/probe_spec.lua", "finds that a server of nginx with tickets and ids is right"},
        "SimpleBackgroundTests.test_get_server_certificate",
        "SimpleBackgroundTests.test_get_server_certificate_sni",
        "SimpleBackgroundTests.test_get_server_certificate_fail",
        "NetworkedTests.test_get_server_certificate_ipv6"},
    -- not ours
    {"whether a common name counts where there is no DNS name is no option here",
        "ContextTests.test_hostname_checks_common_name",
        "ThreadedTests.test_hostname_checks_common_name"},
    {"X509_V_FLAG_X509_STRICT is no option here", "ThreadedTests.test_verify_strict"},
    {"peer_certificates() are those that the peer has sent: what was added to verify them is not "
        .. "kept", "TestPostHandshakeAuth.test_internal_chain_client",
        "TestPostHandshakeAuth.test_certificate_chain",
        "TestPostHandshakeAuth.test_internal_chain_server"},
    {"nobody asks here what a context has been given", "ContextTests.test_get_ciphers",
        "ContextTests.test_python_ciphers", "ContextTests.test_options",
        "ContextTests.test_cert_store_stats", "ContextTests.test_get_ca_certs"},
    {"libssl has no compression in TLS 1.3, and Debian's has none at all",
        "ThreadedTests.test_compression", "ThreadedTests.test_compression_disabled"},
    {"a file is read by the program, and written as any string", "ThreadedTests.test_sendfile"},
    {"a name of RFC 5929 has no call here: finished() and export_keying_material() have the bytes",
        "BasicSocketTests.test_unknown_channel_binding",
        "BasicSocketTests.test_tls_unique_channel_binding"},
    {"Windows alone", "BasicSocketTests.test_enum_certificates",
        "BasicSocketTests.test_enum_crls", "ContextTests.test_load_default_certs_env_windows"},
    {PYTHON, "BasicSocketTests.test_constants", "BasicSocketTests.test_options",
        "BasicSocketTests.test_ssl_types", "BasicSocketTests.test_private_init",
        "BasicSocketTests.test_str_for_enums", "BasicSocketTests.test_random",
        "BasicSocketTests.test_openssl_version", "BasicSocketTests.test_openssl111_deprecations",
        "BasicSocketTests.test_dealloc_warn", "BasicSocketTests.test_get_default_verify_paths",
        "BasicSocketTests.test_asn1object", "BasicSocketTests.test_purpose_enum",
        "BasicSocketTests.test_unsupported_dtls",
        "BasicSocketTests.test_cert_time_to_seconds_timezone",
        "BasicSocketTests.test_cert_time_to_seconds",
        "BasicSocketTests.test_cert_time_to_seconds_locale", "ContextTests.test_constructor",
        "ContextTests.test_context_custom_class", "SSLErrorTests.test_str",
        "SSLObjectTests.test_private_init", "ThreadedTests.test_npn_protocols",
        "ThreadedTests.test_recv_into_buffer_protocol_len", "TestEnumerations.test_tlsversion",
        "TestEnumerations.test_tlscontenttype", "TestEnumerations.test_tlsalerttype",
        "TestEnumerations.test_tlsmessagetype", "TestEnumerations.test_sslmethod",
        "TestEnumerations.test_options", "TestEnumerations.test_alertdescription",
        "TestEnumerations.test_sslerrornumber", "TestEnumerations.test_verifyflags",
        "TestEnumerations.test_verifymode"},
}))

-- ---------------------------------------------------------------------------------------- contexts

describe("CPython's cases of contexts:", function()
    suite.answer({"ContextTests.test_context_client_server",
        "ContextTests.test_create_default_context", "ContextTests.test__create_stdlib_context",
        "ContextTests.test_verify_mode_protocol", "ContextTests.test_check_hostname"},
        "a client verifies its server and its name unless it says otherwise, a server nobody",
        function()
        for _, row in ipairs {
            {{}, "localhost", "ok"}, {{}, "elsewhere.example", "verify"},
            {{ca = p.other_ca_file}, "localhost", "verify"},
            {{verify_host = false}, "elsewhere.example", "ok"},
            {{ca = p.other_ca_file, verify_host = false}, "elsewhere.example", "verify"},
            {{ca = p.other_ca_file, verify = "none"}, "elsewhere.example", "ok"},
        } do
            local c, s, _, server = pair.try {client = row[1], hostname = row[2]}
            assert.equal(row[3], c[1] and "ok" or c[3].code)
            assert.equal(row[3] == "ok", s[1] == true)
            assert.is_nil(server:peer_certificates())
        end
        for _, wrong in ipairs {42, "CERT_NONE", {}, "", "optional"} do
            expect.refused(wrong, pair.client, {verify = wrong})
        end
        expect.refused(42, pair.client, {verify_host = 42})
    end)

    suite.answer("ContextTests.test_load_verify_cadata",
        "CAs may be several in one text, in PEM among other text, or in DER", function()
        local function der(pem) return assert(tls.certificate(pem)).der end
        local ca, other = der(p.ca_pem), der(p.other_ca_pem)
        for i, source in ipairs {ca .. other, other .. ca, ca .. other .. ca,
            p.ca_pem .. "\n" .. p.other_ca_pem,
            table.concat({"head", p.ca_pem, "other", p.other_ca_pem, "again", p.ca_pem, "tail"},
                "\n")} do
            local context = pair.client {ca = source, purpose = "any", verify_host = false}
            for _, server in ipairs {{}, {certificate = p.other_client_cert,
                private_key = p.other_client_key}} do
                assert.is_true((pair.try {client = context, server = server})[1], i)
            end
        end
        for _, wrong in ipairs {"broken", ca .. "A", ca .. other:sub(1, 50), ca .. "\0\0",
            p.ca_pem .. p.ca_pem:sub(1, 300)} do
            expect.fails("input", tls.context {role = "client", ca = wrong})
        end
    end)

    -- Theirs takes a function for the passphrase, and refuses one that is longer than 1 KiB.
    suite.answer("ContextTests.test_load_cert_chain",
        "a certificate may come with its key, whose passphrase is a string", function()
        local both = p.server_cert .. p.server_key
        for _, options in ipairs {{certificate = both}, {certificate = both, private_key = both},
            {certificate = p.server_cert .. p.encrypted_key, passphrase = p.passphrase}} do
            assert(tls.context(pair.with(options, {role = "server"})))
        end
        for _, options in ipairs {{certificate = p.server_cert}, {certificate = p.server_key},
            {certificate = p.server_key, private_key = p.server_cert},
            {certificate = p.ca_pem, private_key = p.server_key},
            {certificate = p.server_cert, private_key = p.encrypted_key, passphrase = "bad"},
            {certificate = p.server_cert, private_key = p.encrypted_key,
                passphrase = ("a"):rep(102400)}} do
            expect.fails("input", tls.context(pair.with(options, {role = "server"})))
        end
        for _, wrong in ipairs {true, 9, {}, function() return p.passphrase end} do
            expect.refused(wrong, pair.server,
                {private_key = p.encrypted_key_file, passphrase = wrong})
        end
    end)

    -- Theirs turns a U-label into an A-label. Here the program does, which knows how (RFC 5891).
    suite.answer("ThreadedTests.test_check_hostname_idn",
        "an internationalized name is verified as A-labels, and taken as nothing else", function()
        for _, name in ipairs {"xn--knig-5qa.b.example", "XN--KNIG-5QA.B.Example"} do
            local client, server = pair.connect {hostname = name}
            assert.same({name:lower(), name:lower()}, {client:hostname(), server:server_name()})
        end
        local conn = assert(pair.client():connection())
        for _, wrong in ipairs {"k\u{f6}nig.b.example", "k\xf6nig.b.example", ".b.example"} do
            expect.refused(wrong, conn.set_hostname, conn, wrong)
        end
    end)
end)

-- ------------------------------------------------------------------------------------------- hooks

describe("CPython's cases of hooks:", function()
    for _, version in ipairs(pair.VERSIONS) do
        -- Theirs sends the alert handshake_failure or internal_error by itself. Here the script
        -- gets the error, and may answer when the call is made again.
        suite.answer({"ThreadedTests.test_sni_callback_raising",
            "ThreadedTests.test_sni_callback_wrong_return_type"},
            "one that raises or answers wrongly may still refuse, with an alert, " .. version,
            function()
            for alert, fault in pairs {handshake_failure = function() error "on purpose" end,
                internal_error = function() return "foo" end} do
                local calls = 0
                local client, server = pair.join {client = {max_version = version},
                    server = {on_hello = function()
                        calls = calls + 1
                        if calls == 1 then return fault() end
                        return false, alert
                    end}}
                client:connect()
                expect.refused(alert, server.accept, server)
                expect.word("want_read", client:connect())
                assert.is_nil((server:accept()))
                local err = expect.fails("alert", client:connect())
                assert.same({alert, true}, {err.alert, err.alert_received})
            end
        end)

        suite.answer("TestSSLDebug.test_msg_callback_deadlock_bpo43577",
            "a trace goes on where a hook chooses another context, " .. version, function()
            local trace = tls.trace()
            local other = pair.server()
            local server = pair.server {trace = trace, on_hello = function() return other end}
            for _ = 1, 2 do
                local client, peer = pair.connect {client = {max_version = version},
                    server = server}
                pair.finish(client, peer)
            end
            local kinds = {}
            for event in function() return trace:next() end do
                kinds[event.kind] = (kinds[event.kind] or 0) + 1
            end
            assert.is_true(kinds.message >= 8, kinds.message)
        end)
    end
end)

-- -------------------------------------------------------------------------------------------- PSKs

describe("CPython's cases of PSKs:", function()
    local PSK <const>, OTHER <const> = "\xde\xad\xbe\xef", "\xca\xfe\xba\xbe"
    local ONLY <const> = {ciphers = "PSK:@SECLEVEL=1", max_version = "TLSv1.2"}

    local function try(ours, theirs, hint)
        return pair.try {
            client = assert(tls.context(pair.with(ONLY, {role = "client", verify = "none",
                on_psk = ours}))),
            server = assert(tls.context(pair.with(ONLY, {role = "server", on_psk = theirs,
                psk_identity_hint = hint})))}
    end

    suite.answer("ThreadedTests.test_psk",
        "hint and identity reach the other end, in any script, and the key must be one", function()
        for hint, identity in pairs {["identity-hint"] = "client-identity",
            ["身份暗示"] = "客户身份", [false] = ""} do
            local c, s, client, server = try(function(_, asked)
                assert.equal(hint or nil, asked.hint)
                return identity, PSK
            end, function(_, asked)
                assert.equal(identity, asked.identity)
                return PSK
            end, hint or nil)
            assert.is_true(c[1] and s[1], c[2] or s[2])
            assert.same({identity, identity}, {client:psk_identity(), server:psk_identity()})
        end
        local c, s = try(function() return "x", OTHER end, function() return PSK end)
        assert.is_nil(c[1] or s[1])
        expect.raises("psk_identity_hint", pair.client, {psk_identity_hint = "x"})
    end)

    suite.answer("ThreadedTests.test_psk_tls1_3",
        "in TLS 1.3 no hint comes, and the server knows the identity", function()
        local c, s, client, server = pair.try {
            client = {min_version = "TLSv1.3", verify = "none", on_psk = function(_, asked)
                assert.is_nil(asked.hint)
                return "client-identity", PSK
            end},
            server = assert(tls.context {role = "server", min_version = "TLSv1.3",
                psk = {identity = "client-identity", key = PSK},
                psk_identity_hint = "identity-hint"})}
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.same({"client-identity", "client-identity"},
            {client:psk_identity(), server:psk_identity()})
        assert.is_nil(client:psk_identity_hint())
    end)
end)

-- ---------------------------------------------------------------- certificates after the handshake

describe("CPython's cases of certificates after the handshake:", function()
    local MINE <const> = {certificate = p.client_cert, private_key = p.client_key}

    -- Asks twice. Returns the server's last word, and whether it has a certificate before, after.
    local function ask(client, server)
        local a, b = pair.connect {client = client, server = pair.with({ca = p.ca_file}, server)}
        local before = b:peer_certificates() ~= nil
        local word
        for _ = 1, 2 do
            b:request_client_certificate()
            b:handshake()
            a:read()
            local _, message, err = b:read()
            word = word ~= nil and word ~= "want_read" and word or err and err.code or message
        end
        return {word, before, b:peer_certificates() ~= nil}, a
    end

    suite.answer({"TestPostHandshakeAuth.test_pha_required",
        "TestPostHandshakeAuth.test_pha_optional", "TestPostHandshakeAuth.test_pha_no_pha_server",
        "TestPostHandshakeAuth.test_bpo37428_pha_cert_none"},
        "it comes when it is asked for, and may have come before", function()
        local offers = pair.with(MINE, {post_handshake_auth = true})
        assert.same({"want_read", false, true}, (ask(offers, {})))
        assert.same({"want_read", true, true}, (ask(offers, {verify = "optional"})))
        assert.same({"want_read", true, true}, (ask(offers, {verify = "required"})))
        assert.same({"want_read", false, true},
            (ask(pair.with(offers, {verify = "none", ca = p.other_ca_file}), {})))
    end)

    suite.answer({"TestPostHandshakeAuth.test_pha_required_nocert",
        "TestPostHandshakeAuth.test_pha_optional_nocert"},
        "who has none is refused, unless the server has said that it is optional", function()
        local word, client = ask({post_handshake_auth = true}, {})
        assert.same({"tls", false, false}, word)
        assert.equal("certificate_required", select(3, client:read()).alert)
        assert.same({"want_read", false, false},
            (ask({post_handshake_auth = true}, {verify = "optional"})))
    end)

    suite.answer({"TestPostHandshakeAuth.test_pha_no_pha_client",
        "TestPostHandshakeAuth.test_pha_not_tls13", "TestPostHandshakeAuth.test_pha_setter"},
        "it is a server's to ask for, in TLS 1.3, of a client that has offered it", function()
        local client, server = pair.connect {client = MINE}
        expect.raises("client", client.request_client_certificate, client)
        local ok, result = pcall(server.request_client_certificate, server)
        assert.is_true(not ok or result == nil)
        client, server = pair.connect {client = pair.with(MINE, {post_handshake_auth = true}),
            server = {max_version = "TLSv1.2"}}
        expect.raises("TLSv1", server.request_client_certificate, server)
        assert.equal("data", pair.send(client, server, "data"))
        for _, wrong in ipairs {1, "yes", {}} do
            expect.refused(wrong, pair.client, {post_handshake_auth = wrong})
        end
        expect.refused("a server's", pair.server, {post_handshake_auth = true})
    end)
end)

describe("CPython's suite of contexts", function() suite.check() end)
