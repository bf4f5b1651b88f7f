-- context_spec.lua: tests every option of a context, with right and wrong values, the policy that
-- is derived from them (the session id context), and that the first connection freezes the
-- settings.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

local function server(options)
    options.role = "server"
    return tls.context(options)
end

-- the system's CAs cost 50 ms to read: they have a case of their own
local function client(options)
    options.role = "client"
    options.ca = options.ca or p.ca_file
    return tls.context(options)
end

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- ffdhe2048 (RFC 7919), as openssl genpkey -genparam writes it
local DH_PARAMS <const> = [[
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
]]

describe("a context", function()
    local good = {
        {client, {purpose = "any"}},
        {server, {purpose = "server", dh_params = DH_PARAMS}},
        {client, {dane = true}},
        {client, {dane = "no_ee_namechecks"}},
        {client, {}},
        {server, {}},
        {server, {certificate = p.server_cert_file, private_key = p.server_key_file}},
        {server, {certificate = p.server_cert, private_key = p.server_key}},
        {server, {certificate = p.server_cert, private_key = p.encrypted_key,
            passphrase = p.passphrase}},
        {server, {certificate = p.server_cert_file, private_key = p.encrypted_key_file,
            passphrase = p.passphrase}},
        {server, {certificate = {
            {certificate = p.server_cert, private_key = p.encrypted_key, passphrase = p.passphrase},
            {certificate = p.rsa_cert_file, private_key = p.rsa_key_file}}}},
        {client, {certificate = p.client_cert, private_key = p.client_key}},
        {client, {ca = p.ca_file}},
        {client, {ca = p.ca_pem}},
        {client, {ca = p.ca_dir}},
        {client, {ca = "system"}},
        {client, {ca = {p.ca_file, p.other_ca_pem, p.ca_dir, "system"}}},
        {client, {verify = true}},
        {client, {verify = false}},
        {client, {verify = "none"}},
        {client, {verify = "required"}},
        {server, {verify = "optional", ca = p.ca_file}},
        {server, {verify = "required", ca = p.ca_file, client_ca = p.ca_file}},
        {server, {client_ca = {p.ca_file, p.other_ca_pem}, dh_auto = true}},
        {client, {crl_check = "leaf", partial_chain = true, max_cert_list = 1000}},
        {client, {crl = p.crl_file, crl_check = "chain", max_send_fragment = 512}},
        {server, {client_ca = p.ca_pem}},
        {client, {verify_depth = 0}},
        {client, {verify_depth = 100}},
        {client, {verify_host = false}},
        {client, {min_version = "TLSv1.2", max_version = "TLSv1.3"}},
        {client, {min_version = "TLSv1", max_version = "TLSv1.1"}},
        {client, {ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0"}},
        {client, {ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"}},
        {client, {groups = "X25519:P-256"}},
        {client, {signature_algorithms = "ECDSA+SHA256:RSA-PSS+SHA256"}},
        {client, {alpn = {"h2", ("x"):rep(255)}}},
        {server, {psk = {identity = "me", key = "k"}}},
        {server, {psk = {{identity = "", key = "k"}, {identity = ("i"):rep(256), key = "k"}}}},
        {client, {psk = {{identity = ("i"):rep(255), key = ("k"):rep(256)},
            {identity = "b", key = "k"}}}},
        {server, {psk = {identity = "me", key = "k"}, psk_identity_hint = "you"}},
        {server, {resumption = "tickets"}},
        {server, {resumption = "stateful"}},
        {server, {resumption = "off"}},
        {server, {num_tickets = 0}},
        {server, {num_tickets = 16}},
        {server, {session_timeout = 1}},
        {server, {session_timeout = 604800}},
        {server, {session_id_context = "x"}},
        {server, {session_id_context = ("x"):rep(32)}},
        {server, {ocsp_response = p.ocsp_der}},
        {server, {ocsp_response = p.ocsp_file}},
        {client, {ocsp_request = true}},
        {client, {ocsp_verify = true}},
        {client, {ocsp_verify = "optional", ocsp_request = true}},
        {client, {ocsp_verify = "none"}},
        {client, {keylog = true}},
        {client, {keylog = process.directory() .. "/keylog"}},
        {client, {trace = tls.trace()}},
        {server, {trace = tls.trace {bytes = 4096, secrets = true}}},
        {server, {options = {NO_TICKET = true, SSL_OP_NO_RENEGOTIATION = true,
            cipher_server_preference = false}}},
        {server, {modes = {AUTO_RETRY = true, RELEASE_BUFFERS = false}}},
        {server, {quiet_shutdown = true}},
        {server, {max_early_data = 16384}},
        {server, {cache = tls.cache()}},
        {client, {cache = tls.cache {capacity = 0}}},
        {server, {ticket_keys = tls.ticket_keys {}}},
        {client, {post_handshake_auth = true}},
        {client, {timeout = 1.5}},
        {server, {on_hello = print, on_certificate = print, on_psk = print}},
        {client, {on_verify = print, verify_all = true}},
    }

    it("takes every option, in every form", function()
        for i, case in ipairs(good) do
            local options = case[2]
            if case[1] == server and not options.psk and not options.certificate then
                options.certificate, options.private_key = p.server_cert, p.server_key
            end
            local context, message = case[1](options)
            if tls.type(context) ~= "context" or not context:connection() then
                error(("case %d: %s"):format(i, message))
            end
        end
        local target = server {certificate = p.server_cert, private_key = p.server_key}
        assert.is_not_nil(
            server {server_names = {["a.example"] = target, ["*.b.example"] = target}})
    end)

    it("of a server without certificate or PSK cannot be used for any connection", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local uncertain = assert(tls.context {role = "server"})
        assert(uncertain:conf("Certificate", p.server_cert_file))
        local cases = {["serve no client"] = server {}, ["no private key"] = uncertain}
        for said, context in pairs(cases) do
            for _, results in ipairs {
                {context:connection()}, {listener:accept(context, 5)},
                {server {server_names = {["a.example"] = context}}},
            } do
                local err = expect.fails("input", results[1], results[2], results[3])
                assert.truthy(err.message:find(said), err.message)
            end
        end
        local own = client {}
        assert(own:conf("Certificate", p.client_cert_file))
        assert.truthy(expect.fails("input", own:connection()).message:find "no private key")
        -- a server whose context fails takes no client out of the backlog
        local conn <close> = pair.client():connection()
        assert.is_true(conn:dial("127.0.0.1", listener:port()))
        expect.fails("input", listener:accept(server {}, 5))
        assert.is_not_nil(listener:accept(pair.server(), 5))
    end)

    it("that needs no certificate makes connections without one", function()
        local target = pair.server()
        for what, options in pairs {
            ["a PSK"] = {psk = {identity = "me", key = "k"}},
            ["a server name"] = {server_names = {["a.example"] = target}},
            on_hello = {on_hello = print}, on_certificate = {on_certificate = print},
            on_psk = {on_psk = print},
            anonymous = {ciphers = "aNULL:@SECLEVEL=0"},
        } do
            local conn, message = server(options):connection()
            if not conn then error(what .. ": " .. message) end
        end
        local c, s = pair.try {client = {
            ciphers = "aNULL:@SECLEVEL=0", max_version = "TLSv1.2", verify = "none"}, server = {
                ciphers = "aNULL:@SECLEVEL=0", certificate = pair.none, private_key = pair.none}}
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
    end)

    it("has a case here for every option", function()
        local seen = {role = true, server_names = true}
        for _, case in ipairs(good) do
            for name in pairs(case[2]) do seen[name] = true end
        end
        local types = process.slurp "lua/tlslife/types.lua"
        local options = types:match "%-%-%-@class tlslife.ContextOptions\n(.-)\n\n"
        local missing = {}
        for name in options:gmatch "@field ([%w_]+)" do
            if not seen[name] then missing[#missing + 1] = name end
        end
        assert.same({}, missing)
    end)

    local unusable = {
        ["a missing certificate"] = {server, {certificate = "/nowhere/at/all.pem"},
            "/nowhere/at/all.pem"},
        ["a garbage certificate file"] = {server, {certificate = p.garbage_file}},
        ["a garbage certificate"] = {server, {certificate = p.garbage}},
        ["an empty certificate file"] = {server, {certificate = p.empty_file}},
        ["a certificate that is a directory"] = {server, {certificate = p.ca_dir}},
        ["a missing key"] = {server,
            {certificate = p.server_cert, private_key = "/nowhere/key.pem"}, "/nowhere/key.pem"},
        ["a garbage key"] = {server, {certificate = p.server_cert, private_key = p.garbage}},
        ["a certificate for a key"] = {server,
            {certificate = p.server_cert, private_key = p.server_cert}},
        ["another certificate's key"] = {server,
            {certificate = p.server_cert, private_key = p.client_key}},
        ["a key of another type"] = {server,
            {certificate = p.server_cert, private_key = p.rsa_key}},
        ["an encrypted key, no passphrase"] = {server,
            {certificate = p.server_cert, private_key = p.encrypted_key}, "passphrase"},
        ["an encrypted key, a wrong passphrase"] =
            {server, {certificate = p.server_cert, private_key = p.encrypted_key,
                passphrase = "wrong"}, "passphrase"},
        ["a second pair that is wrong"] = {server,
            {certificate = {{certificate = p.server_cert, private_key = p.server_key},
                {certificate = p.rsa_cert, private_key = p.client_key}}}},
        ["a missing CA"] = {client, {ca = "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
        ["a garbage CA"] = {client, {ca = p.garbage}},
        ["an empty CA file"] = {client, {ca = p.empty_file}},
        ["a second CA that is wrong"] = {client, {ca = {p.ca_file, p.garbage_file}}},
        ["a garbage client CA"] = {server, {client_ca = p.garbage}},
        ["a missing client CA"] = {server, {client_ca = "/nowhere/ca.pem"}},
        ["a cipher list of nothing"] = {client, {ciphers = "NO-SUCH-CIPHER"}, "NO%-SUCH%-CIPHER"},
        ["a suite that is none"] = {client, {ciphersuites = "TLS_NO_SUCH"}, "TLS_NO_SUCH"},
        ["a group that is none"] = {client, {groups = "P-257"}, "P%-257"},
        ["no group"] = {client, {groups = ""}},
        ["signature algorithms that are none"] = {client, {signature_algorithms = "ROT13"},
            "ROT13"},
        ["a key log that cannot be written"] = {client, {keylog = "/nowhere/keys"},
            "/nowhere/keys"},
        ["a missing OCSP response"] = {server, {ocsp_response = "/nowhere/ocsp.der"}},
        ["a file whose name begins as a DER of 16 MiB"] = {server,
            {ocsp_response = "0\x84\1\1\1\1"}, "No such file"},
        ["a file whose name ends within a DER's length"] = {server, {ocsp_response = "0\x82\1"},
            "No such file"},
        ["a garbage OCSP response"] = {server, {ocsp_response = "\x30\3\2\1\5"}, "wrong tag"},
        ["an OCSP response in PEM"] = {server, {ocsp_response = p.ca_file}, "ca.pem"},
    }
    for what, case in pairs(unusable) do
        it("fails with \"input\" for " .. what, function()
            local err = expect.fails("input", case[1](case[2]))
            if case[3] then assert.truthy(err.message:find(case[3]), err.message) end
        end)
    end

    it("does not wait for a FIFO in place of a file", function()
        local fifo = process.directory() .. "/context.fifo"
        os.remove(fifo)
        assert(os.execute("mkfifo " .. process.quote(fifo)))
        local code, output = program.run([[
            local tls = require "tlslife"
            local fifo, cert = ...
            for _, options in ipairs {
                {certificate = fifo}, {certificate = cert, private_key = fifo}, {ca = fifo},
                {client_ca = fifo}, {ocsp_response = fifo},
            } do
                options.role = "server"
                local context, message, err = tls.context(options)
                assert(not context and err.code == "input" and message:find(fifo, 1, true), message)
            end
            io.write "done"
        ]], fifo, p.server_cert_file)
        assert.equal(0, code, output)
        assert.equal("done", output)
    end)

    local mistakes = {
        ["no options"] = {nil},
        ["no role"] = {{}},
        ["a role that is none"] = {{role = "peer"}},
        ["an unknown option"] = {{role = "client", cetificate = "x"}, "cetificate"},
        ["verification by halves"] = {{role = "client", verify = "maybe"}, "verify"},
        ["a client that verifies optionally"] = {{role = "client", verify = "optional"}},
        ["a depth below none"] = {{role = "client", verify_depth = -1}, "depth"},
        ["a depth above all"] = {{role = "client", verify_depth = 101}, "depth"},
        ["a version that is none"] = {{role = "client", min_version = "TLSv2"}, "version"},
        ["versions upside down"] =
            {{role = "client", min_version = "TLSv1.3", max_version = "TLSv1.2"}, "version"},
        ["an empty protocol"] = {{role = "client", alpn = {""}}, "alpn"},
        ["a protocol too long"] = {{role = "client", alpn = {("x"):rep(256)}}, "alpn"},
        ["protocols that are a string"] = {{role = "client", alpn = "h2"}, "alpn"},
        ["protocols that are numbers"] = {{role = "client", alpn = {1}}, "alpn"},
        ["resumption that is none"] = {{role = "server", resumption = "maybe"}, "resumption"},
        ["too many tickets"] = {{role = "server", num_tickets = 17}, "tickets"},
        ["fewer tickets than none"] = {{role = "server", num_tickets = -1}, "tickets"},
        ["half a ticket"] = {{role = "server", num_tickets = 1.5}, "num_tickets"},
        ["a session that never lives"] = {{role = "server", session_timeout = 0}, "timeout"},
        ["a session that never dies"] = {{role = "server", session_timeout = 604801}, "timeout"},
        ["an empty session id context"] = {{role = "server", session_id_context = ""},
            "session id context"},
        ["a session id context too long"] = {{role = "server", session_id_context = ("x"):rep(33)},
            "session id context"},
        ["an identity too long"] = {{role = "server", psk = {identity = ("i"):rep(257), key = "k"}},
            "identity"},
        ["a client's identity too long"] =
            {{role = "client", psk = {identity = ("i"):rep(256), key = "k"}}, "identity"},
        ["an identity with a NUL"] = {{role = "server", psk = {identity = "a\0b", key = "k"}},
            "psk"},
        ["an identity without key"] = {{role = "server", psk = {identity = "i", key = ""}}, "key"},
        ["a key too long"] = {{role = "server", psk = {identity = "i", key = ("k"):rep(257)}},
            "key"},
        ["an unknown option of OpenSSL"] = {{role = "server", options = {NO_SUCH = true}},
            "NO_SUCH"},
        ["an unknown mode of OpenSSL"] = {{role = "server", modes = {NO_SUCH = true}}, "NO_SUCH"},
        ["an option that is no boolean"] = {{role = "server", options = {NO_TICKET = 1}},
            "NO_TICKET"},
        ["a server name that is none"] = {{role = "server", server_names = {["a b"] = true}},
            "server_names"},
        ["a hook that is no function"] = {{role = "server", on_hello = "hello"}, "on_hello"},
        ["a client's on_hello"] = {{role = "client", on_hello = print}},
        ["a deadline that is no number"] = {{role = "client", timeout = "soon"}, "timeout"},
        ["a negative deadline"] = {{role = "client", timeout = -1}, "timeout"},
        ["early data below none"] = {{role = "server", max_early_data = -1}, "max_early_data"},
        ["early data above all"] = {{role = "server", max_early_data = 1 << 32}, "max_early_data"},
        ["a key without certificate"] = {{role = "server", private_key = p.server_key}},
    }
    for what, case in pairs(mistakes) do
        it("raises for " .. what, function()
            expect.raises(case[2] or "", tls.context, case[1])
        end)
    end

    -- Options of which one would be without effect, and what the message names.
    local keys = tls.ticket_keys {}
    local contradictions = {
        {server, {resumption = "both", options = {NO_TICKET = true}}, "NO_TICKET"},
        {server, {resumption = "tickets", options = {NO_TICKET = true}}, "NO_TICKET"},
        {server, {resumption = "stateful", options = {NO_TICKET = false}}, "NO_TICKET"},
        {server, {resumption = "off", options = {NO_TICKET = false}}, "NO_TICKET"},
        {server, {resumption = "tickets", options = {ssl_op_no_ticket = true}}, "NO_TICKET"},
        {client, {resumption = "tickets", options = {NO_TICKET = true}}, "NO_TICKET"},
        {client, {resumption = "off", options = {NO_TICKET = false}}, "NO_TICKET"},
        {server, {resumption = "off", cache = tls.cache()}, "a cache"},
        {client, {resumption = "off", cache = tls.cache()}, "a cache"},
        {server, {resumption = "off", ticket_keys = keys}, "ticket keys"},
        {server, {resumption = "off", num_tickets = 1}, "tickets"},
        {server, {resumption = "off", max_early_data = 1}, "early data"},
        {server, {max_version = "TLSv1.2", max_early_data = 1}, "early data"},
        {server, {options = {NO_TLSv1_3 = true}, max_early_data = 1}, "early data"},
        {client, {max_version = "TLSv1.2", post_handshake_auth = true}, "post.handshake"},
        {client, {max_version = "TLSv1.3", options = {NO_TLSv1_3 = true}}, "TLSv1.3"},
        {client, {min_version = "TLSv1.2", options = {NO_TLSv1_2 = true}}, "TLSv1.2"},
        {client, {min_version = "TLSv1", options = {NO_TLSv1 = true}}, "TLSv1"},
        {client, {options = {NO_TLSv1_2 = true, NO_TLSv1_3 = true}}, "no version"},
        {client, {max_version = "TLSv1.2", min_version = "TLSv1.1", options = {NO_SSL_MASK = true}},
            "TLSv1.1"},
        {client, {verify = "none", verify_host = true}, "verify_host"},
    }
    for i, case in ipairs(contradictions) do
        it(("raises for a contradiction, %d: %s"):format(i, case[3]), function()
            expect.raises(case[3], case[1], case[2])
        end)
    end

    -- Options that would have no effect in this role.
    for name, case in pairs {
        num_tickets = {client, 1}, client_ca = {client, p.ca_file}, dh_auto = {client, true},
        dh_params = {client, DH_PARAMS}, dane = {server, true},
        session_id_context = {client, "id"}, ticket_keys = {client, keys},
        on_hello = {client, print}, server_names = {client, {["a.example"] = pair.server()}},
        ocsp_response = {client, p.ocsp_der},
        post_handshake_auth = {server, true}, verify_host = {server, true},
        ocsp_request = {server, true},
    } do
        it("raises for an option of the other role: " .. name, function()
            local ok, raised = pcall(case[1], {[name] = case[2]})
            assert.is_false(ok)
            assert.truthy(tostring(raised):find("server", 1, true) or
                tostring(raised):find("client", 1, true), raised)
        end)
    end

    -- The same by lines of configuration, which come after the options.
    local afterwards = {
        {server, {resumption = "tickets"}, {"Options", "-SessionTicket"}, "NO_TICKET"},
        {server, {resumption = "stateful"}, {"Options", "SessionTicket"}, "NO_TICKET"},
        {server, {resumption = "off"}, {"NumTickets", "1"}, "tickets"},
        {server, {max_early_data = 1}, {"MaxProtocol", "TLSv1.2"}, "early data"},
        {client, {max_version = "TLSv1.3"}, {"Protocol", "-TLSv1.3"}, "TLSv1.3"},
        {client, {max_version = "TLSv1.2"}, {"MinProtocol", "TLSv1.3"}, "no version"},
    }
    for _, case in ipairs(afterwards) do
        local make, options, line, message = table.unpack(case)
        it("raises where context:conf contradicts its options, and stays as it was: " ..
                table.concat(line, " "), function()
            if make == server then
                options.certificate, options.private_key = p.server_cert, p.server_key
            end
            local context = make(options)
            expect.raises(message, context.conf, context, table.unpack(line))
            assert(context:connection())
        end)
    end

    it("accepts settings that are repeated, and those that only look contradictory", function()
        for _, case in ipairs {
            {server, {resumption = "stateful", options = {NO_TICKET = true}}},
            {server, {resumption = "off", options = {NO_TICKET = true}}},
            {server, {resumption = "tickets", options = {NO_TICKET = false}}},
            {server, {resumption = "both", options = {NO_TICKET = false}, cache = tls.cache(),
                ticket_keys = keys}},
            {server, {resumption = "off", num_tickets = 0, max_early_data = 0}},
            {server, {resumption = "stateful", ticket_keys = keys}}, -- for the contexts behind it
            {server, {resumption = "tickets", cache = tls.cache()}},
            {server, {options = {NO_TICKET = true}, ticket_keys = keys}},
            {client, {options = {NO_TICKET = true}, cache = tls.cache()}},
            {client, {options = {NO_TLSv1_2 = true}}},
            {client, {max_version = "TLSv1.2", options = {NO_TLSv1_3 = true}}},
            {client, {verify = "none", verify_host = false}},
        } do
            assert(case[1](case[2]))
        end
        local context = server {resumption = "stateful"}
        assert(context:conf("Options", "-SessionTicket"))
    end)

    it("keeps an option when a related one is set later", function()
        local without = client {options = {NO_TICKET = true}, cache = tls.cache(),
            max_version = "TLSv1.2"}
        local conn = pair.connect {client = without, server = {resumption = "tickets"}}
        assert.equal("", conn:session():ticket() or "")
    end)

    it("trusts the system's certificates only where no ca is given", function()
        local _, s, conn = pair.try {client = {ca = pair.none}}
        assert.equal("verify", conn:error().code)
        assert.equal("unknown_ca", s[3].alert)
        assert.is_true(s[3].alert_received)
    end)

    it("never asks the terminal for a passphrase", function()
        local chunk = [[
            local tls, file = require "tlslife", ...
            print(tls.context {role = "server", certificate = os.getenv "CERT",
                private_key = os.getenv "KEY"})
        ]]
        local path = process.spill(process.directory() .. "/prompt.lua", chunk)
        -- script(1) gives the program a terminal of its own, where a question would be seen
        local code, output = process.run {"script", "-qec",
            process.quote(program.path) .. " " .. process.quote(path), "/dev/null",
            environment = {CERT = p.server_cert_file, KEY = p.encrypted_key_file}, timeout = 10}
        assert.equal(0, code, output)
        assert.truthy(output:match "nil%s+%S.*passphrase", output)
        assert.is_nil(output:match "Enter", output)
    end)

    it("knows its role", function()
        assert.equal("client", client({}):role())
        assert.equal("server", server({}):role())
    end)

    it("prints itself without its secrets", function()
        local context = server {certificate = p.server_cert, private_key = p.server_key,
            psk = {identity = "me", key = "hush"}}
        local text = tostring(context)
        assert.truthy(text:match "^tlslife.context")
        assert.is_nil(text:match "hush" or text:match "PRIVATE")
    end)

    it("raises when a method is called without it", function()
        local context = client {}
        for _, wrong in ipairs {1, "x", {}, io.stdout, tls.buffer(1)} do
            assert.is_false((pcall(context.role, wrong)))
        end
        assert.is_false((pcall(context.role)))
    end)
end)

describe("context:conf", function()
    it("sets what SSL_CONF_cmd sets", function()
        local context = client {ca = p.ca_file}
        assert.is_true(context:conf("MaxProtocol", "TLSv1.2"))
        assert.is_true(context:conf("CipherString", "ECDHE-ECDSA-AES256-GCM-SHA384"))
        local conn = pair.connect {client = context}
        assert.equal("TLSv1.2", conn:version())
        assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", conn:cipher())
    end)

    it("refuses unknown commands and values", function()
        local context = client {}
        local function refused(command, value)
            local ok, result, _, err = pcall(context.conf, context, command, value)
            if ok then
                assert.is_nil(result)
                assert.equal("input", err.code)
            end
            return true
        end
        assert.is_true(refused("NoSuchCommand", "x"))
        assert.is_true(refused("MinProtocol", "TLSv9"))
        expect.raises("", context.conf, context, "MinProtocol")
        expect.raises("", context.conf, context, {}, {})
    end)

    it("raises once the context has made a connection", function()
        local context = client {}
        assert(context:connection())
        expect.raises("connection", context.conf, context, "MaxProtocol", "TLSv1.2")
    end)
end)

describe("the session id context", function()
    local base = {certificate = p.server_cert, private_key = p.server_key}
    local function id(change, make)
        local options = {}
        for name, value in pairs(base) do options[name] = value end
        for name, value in pairs(change) do options[name] = value end
        return hex((make or server)(options):session_id_context())
    end

    it("is 32 bytes, the same for the same policy", function()
        assert.equal(64, #id {})
        assert.equal(id {}, id {})
        assert.equal(id {}, id {certificate = p.server_cert_file, private_key = p.server_key_file})
    end)

    it("differs for every other policy", function()
        local changes = {
            {}, {verify = "optional", ca = p.ca_file}, {verify = "required", ca = p.ca_file},
            {verify = "required", ca = p.other_ca_file},
            {verify = "required", ca = {p.ca_file, p.other_ca_file}},
            {verify = "required", ca = p.ca_file, verify_depth = 3},
            {certificate = p.wrong_host_cert, private_key = p.wrong_host_key},
            {verify = "required", ca = p.ca_file, on_verify = print},
            {verify = "required", ca = p.ca_file, on_verify = print, verify_all = true},
        }
        local seen = {}
        for i, change in ipairs(changes) do
            local one = id(change)
            assert.is_nil(seen[one],
                ("policies %s and %d are told apart by nothing"):format(seen[one], i))
            seen[one] = i
        end
    end)

    it("does not depend on the order of settings, nor on repeated ones", function()
        local function trusting(...) return id {verify = "required", ca = {...}} end
        assert.equal(trusting(p.ca_file, p.other_ca_file), trusting(p.other_ca_file, p.ca_file))
        assert.equal(trusting(p.ca_file, p.other_ca_file),
            trusting(p.ca_file, p.other_ca_pem, p.ca_pem))
    end)

    -- Lines of a configuration file, as pairs, on top of a server that asks for certificates.
    local ASKING = {verify = "optional", ca = p.ca_file}
    local function id_with(lines)
        return id(ASKING, function(options)
            local context = server(options)
            for _, line in ipairs(lines) do assert(context:conf(table.unpack(line))) end
            return context
        end)
    end

    it("does not change by configuration that is not about who may connect", function()
        local lines = {
            {"MinProtocol", "TLSv1.2"}, {"MinProtocol", "TLSv1.3"}, {"MaxProtocol", "TLSv1.3"},
            {"NumTickets", "2"},
            {"NumTickets", "3"}, {"CipherString", "DEFAULT"}, {"CipherString", "ECDHE+AESGCM"},
            {"Ciphersuites", "TLS_AES_128_GCM_SHA256"}, {"Groups", "P-256"},
            {"SignatureAlgorithms", "ECDSA+SHA256"},
            {"Options", "ServerPreference"}, {"RecordPadding", "512"}, {"RequestCAFile", p.ca_file},
            {"VerifyMode", "Request"}, -- as it was
        }
        for _, line in ipairs(lines) do
            assert.equal(id(ASKING), id_with {line}, table.concat(line, " = "))
            assert.equal(id(ASKING), id_with {line, {"MinProtocol", "TLSv1.2"}, line},
                table.concat(line, " = ") .. ", twice")
        end
        assert.equal(id(ASKING), id_with(lines))
    end)

    it("changes with each line of configuration that decides who may connect", function()
        local seen = {[id(ASKING)] = "no line"}
        for _, line in ipairs {
            {"VerifyMode", "Require"}, {"VerifyMode", "Require,RequirePostHandshake"},
            {"VerifyCAFile", p.other_ca_file},
            {"VerifyCAFile", p.ca_file}, {"VerifyCAPath", "/etc/ssl/certs"},
            {"VerifyCAPath", "/etc/ssl"},
            {"CipherString", "DEFAULT@SECLEVEL=1"}, {"CipherString", "DEFAULT@SECLEVEL=3"},
            {"CipherString", "SUITEB128"},
        } do
            local one, text = id_with {line}, table.concat(line, " = ")
            assert.is_nil(seen[one], ("%s and %s are told apart by nothing"):format(seen[one],
                text))
            seen[one] = text
            assert.equal(one, id_with {{"MinProtocol", "TLSv1.2"}, line, line}, text .. ", twice")
        end
    end)

    it("depends on a setting's value, not on the call that has set it", function()
        assert.equal(id {verify = "required", ca = p.ca_file}, id_with {{"VerifyMode", "Require"}})
        local low = {verify = "optional", ca = p.ca_file, ciphers = "DEFAULT@SECLEVEL=1"}
        assert.equal(id(low), id_with {{"CipherString", "DEFAULT@SECLEVEL=1"}})
        local names = {certificate = p.wrong_host_cert, private_key = p.wrong_host_key}
        assert.equal(id(names), id({certificate = false, private_key = false}, function()
            local context = assert(tls.context {role = "server"})
            assert(context:conf("Certificate", p.wrong_host_cert_file))
            assert(context:conf("PrivateKey", p.wrong_host_key_file))
            return context
        end))
    end)

    it("lets a client import what another client of its policy has exported", function()
        local session, _, peer = pair.session {client = {max_version = "TLSv1.2"}}
        local function importing(...)
            local context = client {max_version = "TLSv1.2"}
            assert(context:conf(...))
            return context, context.import_session, context, session:export()
        end
        local same, import, self, bytes = importing("MinProtocol", "TLSv1.2")
        local conn = pair.connect {client = same, server = peer, session = import(self, bytes)}
        assert.is_true(conn:session_reused())
        expect.raises("another policy", select(2, importing("CipherString", "DEFAULT@SECLEVEL=3")))
        expect.raises("another policy", select(2, importing("VerifyCAFile", p.other_ca_file)))
    end)

    it("of two clients is never the same", function()
        assert.not_equal(client({}):session_id_context(), client({}):session_id_context())
    end)

    it("can be set", function()
        assert.equal("mine", server({session_id_context = "mine"}):session_id_context())
    end)

    it("freezes the context's settings when it is asked for", function()
        local context = server {}
        context:session_id_context()
        expect.raises("connection", context.conf, context, "MaxProtocol", "TLSv1.2")
    end)
end)

describe("a context's timeout", function()
    it("applies to connections made from then on", function()
        local context = client {timeout = 2}
        local before = context:connection()
        context:set_timeout(0.25)
        assert.equal(2, before:get_timeout())
        assert.equal(0.25, context:connection():get_timeout())
        context:set_timeout(nil)
        assert.is_nil(context:connection():get_timeout())
    end)
end)

describe("the references of a context", function()
    it("are counted", function()
        local context = client {}
        assert.equal(context, context:up_ref())
        context:free()
        assert.equal("client", context:role())
        context:free()
        expect.raises("freed", context.role, context)
        expect.raises("freed", context.free, context)
        expect.raises("freed", context.up_ref, context)
        assert.truthy(tostring(context):match "freed")
    end)

    it("keep it alive while connections need it", function()
        local context = pair.client()
        local conn, peer = pair.connect {client = context}
        context:free()
        assert.equal("hi", pair.send(conn, peer, "hi"))
        assert.equal("client", conn:context():role())
    end)

    it("are given back when a to-be-closed variable goes out of scope", function()
        local kept
        do
            local context <close> = client {}
            kept = context
        end
        expect.raises("freed", kept.connection, kept)
    end)
end)

describe("a context with hostile input", function()
    it("is a megabyte of nothing", function()
        local junk = "-----BEGIN CERTIFICATE-----\n" .. ("A"):rep(1 << 20)
        expect.fails("input", client {ca = junk})
        expect.fails("input", server {certificate = junk})
    end)

    it("refuses strings with zero bytes in the middle", function()
        assert.is_false((pcall(function() return assert(client {ciphers = "ALL\0x"}) end)))
        assert.is_false((pcall(function()
            return assert(client {alpn = {"h2"}, groups = "X25519\0"})
        end)))
        assert.is_false((pcall(function() return assert(client {ca = p.ca_file .. "\0/x"}) end)))
    end)
end)
