-- interop_features_spec.lua: tests the features of a handshake beside plain data (ALPN, OCSP,
-- client certificates, PSKs, key updates, early data) against OpenSSL's own programs. An extension
-- that both of our ends got wrong in the same way would pass every spec that joins the two.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"
local uv = require "luv"

local DEADLINE = 20
local VERSIONS = {["TLSv1.2"] = "-tls1_2", ["TLSv1.3"] = "-tls1_3"}
local PSK = {identity = "someone", key = ("k"):rep(32)}
local PSK_HEX = PSK.key:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)

local function each_version(body)
    for version, flag in pairs(VERSIONS) do body(version, flag) end
end

describe("our client and openssl s_server", function()
    after_each(process.stop_all)

    --- A running s_server with a certificate; what is written to it goes to us, what we write it
    -- prints.
    local function start(...)
        local p = pki.get()
        local port = process.free_port()
        local one = process.start {"stdbuf", "-oL", "openssl", "s_server", "-accept", port, "-cert",
            p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key", p.server_key_file,
            stdin = true, ...}
        one:wait_for_port(port)
        return one, port
    end

    local function context(options)
        local all = {role = "client", ca = pki.get().ca_file, timeout = DEADLINE}
        for name, value in pairs(options or {}) do all[name] = value end
        return assert(tls.context(all))
    end

    local function dial(client, port)
        local conn = assert(client:connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        return conn
    end

    --- A line each way, each time another, on a connection whatever was done to it before.
    local said = 0
    local function talk(conn, one)
        said = said + 1
        local from, to = ("from us %d\n"):format(said), ("to us %d\n"):format(said)
        assert.equal(#from, conn:write(from))
        one:wait_for(from)
        one:write(to)
        assert.equal(to, conn:read())
    end

    it("agree on a protocol by ALPN", function()
        local one, port = start("-alpn", "second,third")
        local conn <close> = dial(context {alpn = {"first", "second", "third"}}, port)
        assert(conn:connect())
        assert.equal("second", conn:alpn())
        one:wait_for "ALPN protocols selected: second"
    end)

    --- Fingerprints of what a server at that port sends.
    local function chain_of(port)
        local conn = dial(context {verify = "none"}, port)
        assert(conn:connect())
        local prints = {}
        for i, certificate in ipairs(conn:peer_certificates()) do
            prints[i] = certificate.fingerprint
        end
        conn:close()
        return prints
    end

    it("agree on the chain of a certificate that came alone", function()
        local p = pki.get()
        local bundle = process.spill(process.directory() .. "/bundle.pem",
            p.intermediate_cert .. p.ca_cert)
        for ca, certificates in pairs {[bundle] = 3, [p.intermediate_cert_file] = 2,
            [p.other_ca_file] = 1} do
            local port = process.free_port()
            process.start {"openssl", "s_server", "-accept", port, "-cert", p.server_leaf_file,
                "-key", p.server_key_file, "-CAfile", ca, stdin = true}:wait_for_port(port)
            local server = assert(tls.context {role = "server", certificate = p.server_leaf_file,
                private_key = p.server_key_file, ca = ca, verify = "none"})
            local listener = assert(tls.listen("127.0.0.1", 0))
            local client = process.start {"openssl", "s_client", "-connect",
                "127.0.0.1:" .. listener:port(), "-showcerts"}
            local conn = assert(listener:accept(server, DEADLINE))
            assert(conn:accept())
            conn:close()
            client:wait(DEADLINE)
            local _, shown = client:output():gsub("BEGIN CERTIFICATE", "")
            assert.equal(certificates, #chain_of(port), ca)
            assert.equal(certificates, shown, ca)
        end
    end)

    it("pass an OCSP response", function()
        local p = pki.get()
        local _, port = start("-status_file", p.ocsp_file)
        local conn <close> = dial(context {ocsp_request = true}, port)
        assert(conn:connect())
        assert.equal(p.ocsp_der, conn:ocsp_response())
    end)

    it("export the same keying material", function()
        local one, port = start("-keymatexport", "tlslife specs", "-keymatexportlen", 20)
        local conn <close> = dial(context(), port)
        assert(conn:connect())
        local hex = one:wait_for "Keying material: (%x+)"
        local ours = conn:export_keying_material(20, "tlslife specs")
        assert.equal(hex, (ours:gsub(".", function(byte) return ("%02X"):format(byte:byte()) end)))
    end)

    --- A connection to the server whose bytes go through our hands: relay.call(verb, ...) calls
    -- until it waits no longer, with one record more before each call.
    local function relay(conn, port)
        local tcp, inbox, ended = uv.new_tcp(), "", false
        conn:set_memory()
        conn:set_hostname "localhost"
        tcp:connect("127.0.0.1", port, function(err)
            assert(not err, err)
            tcp:read_start(function(_, bytes)
                inbox, ended = inbox .. (bytes or ""), not bytes
            end)
        end)
        local function feed_record()
            while not ended and (#inbox < 5 or #inbox < 5 + (">I2"):unpack(inbox, 4)) do
                uv.run "once"
            end
            local record = inbox:sub(1, #inbox < 5 and 0 or 5 + (">I2"):unpack(inbox, 4))
            assert.equal(#record, conn:feed(record))
            inbox = inbox:sub(#record + 1)
        end
        local self = {records = 0}
        function self.call(verb, ...)
            while true do
                local result, message = conn[verb](conn, ...)
                local bytes = conn:drain()
                if bytes ~= "" then tcp:write(bytes) end
                if message ~= "want_read" then return result, message end
                feed_record()
                self.records = self.records + 1
            end
        end
        function self.close()
            tcp:close()
            uv.run()
        end
        return self
    end

    for _, verb in ipairs {"shutdown", "close"} do
        it("end well by " .. verb .. ", although each ticket takes two records", function()
            local p = pki.get()
            local _, port = start("-tls1_3", "-max_send_frag", 512, "-Verify", 2, "-CAfile",
                p.ca_file, "-num_tickets", 3)
            local client = context {certificate = p.client_cert_file,
                private_key = p.client_key_file}
            local conn <close> = client:connection()
            local carried = relay(conn, port)
            assert.is_true(carried.call "connect")
            assert.equal("sent", carried.call "shutdown")
            carried.records = 0
            assert.equal("done", carried.call(verb, verb == "close" and DEADLINE or nil))
            assert.is_true(carried.records >= 7, carried.records)
            assert.is_true(conn:session():is_resumable())
            carried.close()
        end)
    end

    each_version(function(version, flag)
        it("pass a client's certificate, " .. version, function()
            local p = pki.get()
            local one, port = start(flag, "-Verify", 2, "-verify_return_error", "-CAfile",
                p.ca_file)
            local conn <close> = dial(
                context {certificate = p.client_cert_file, private_key = p.client_key_file}, port)
            assert(conn:connect())
            talk(conn, one)
            assert.truthy(one:output():match "subject=CN ?= ?client")
        end)

        it("report that a client's certificate is missing, " .. version, function()
            local _, port = start(flag, "-Verify", 2, "-CAfile", pki.get().ca_file)
            local conn <close> = dial(context(), port)
            local ok, message, err = conn:connect()
            -- TLS 1.3's client is done before its server has looked
            if ok then ok, message, err = conn:read() end
            assert.is_nil(ok)
            assert.equal("table", type(err), message)
            assert.is_true(err.alert_received)
            assert.equal(version == "TLSv1.3" and "certificate_required" or "handshake_failure",
                err.alert)
        end)

        it("connect with a pre-shared key, " .. version, function()
            local one, port = start(flag, "-psk_identity", PSK.identity, "-psk", PSK_HEX, "-cipher",
                "PSK", "-nocert")
            local conn <close> = dial(
                context {psk = PSK, ciphers = "PSK", ciphersuites = "TLS_AES_128_GCM_SHA256"}, port)
            assert(conn:connect())
            assert.is_nil(conn:peer_certificates())
            talk(conn, one)
        end)
    end)

    it("update their keys when we ask, and when it asks", function()
        local one, port = start "-tls1_3"
        local conn <close> = dial(context(), port)
        assert(conn:connect())
        assert(conn:key_update(true))
        talk(conn, one)
        one:write "K\n" -- with a request for ours
        one:wait_for "SSL_do_handshake %-> 1"
        talk(conn, one)
    end)

    it("renegotiate, TLS 1.2", function()
        local one, port = start("-tls1_2", "-client_renegotiation")
        local conn <close> = dial(context(), port)
        assert(conn:connect())
        local before = conn:finished()
        assert(conn:renegotiate())
        assert(conn:handshake())
        assert.is_false(conn:renegotiate_pending())
        assert.is_not.equal(before, conn:finished())
        talk(conn, one)
    end)

    it("authenticate after the handshake, TLS 1.3", function()
        local p = pki.get()
        local one, port = start("-tls1_3", "-verify", 2, "-CAfile", p.ca_file)
        local conn <close> = dial(context {certificate = p.client_cert_file,
            private_key = p.client_key_file, post_handshake_auth = true}, port)
        assert(conn:connect())
        one:write "c\n"
        one:wait_for "SSL_do_handshake %-> 1"
        one:write "then\n"
        assert.equal("then\n", conn:read()) -- and answers the request on the way
        one:wait_for "CN ?= ?client"
    end)

    it("pass early data", function()
        local one, port = start("-tls1_3", "-early_data")
        local client = context {max_early_data = 1000}
        local first <close> = dial(client, port)
        assert(first:connect())
        talk(first, one)
        local session = first:take_session()
        assert.truthy(session:max_early_data() > 0)
        first:shutdown()
        first:close_transport()
        one:wait_for "DONE"
        local conn <close> = dial(client, port)
        conn:set_session(session)
        assert.equal(6, conn:write_early "early\n")
        assert(conn:connect())
        assert.equal("accepted", conn:early_data_status())
        one:wait_for "early\n"
        talk(conn, one)
    end)
end)

describe("our server and openssl s_client", function()
    local listener

    setup(function() listener = assert(tls.listen("127.0.0.1", 0)) end)
    teardown(function() listener:close() end)
    after_each(process.stop_all)

    local function context(options)
        local p = pki.get()
        local all = {role = "server", certificate = p.server_cert_file,
            private_key = p.server_key_file, timeout = DEADLINE}
        for name, value in pairs(options or {}) do all[name] = value end
        return assert(tls.context(all))
    end

    local function start(...)
        return process.start {"openssl", "s_client", "-connect", "127.0.0.1:" .. listener:port(),
            "-servername", "localhost", "-CAfile", pki.get().ca_file, stdin = true, ...}
    end

    local function arrive(server)
        return assert(listener:accept(server, DEADLINE))
    end

    --- A line each way, each time another, on a connection whatever was done to it before.
    local said = 0
    local function talk(conn, one)
        said = said + 1
        local from, to = ("from us %d\n"):format(said), ("to us %d\n"):format(said)
        one:write(to)
        assert.equal(to, conn:read())
        assert.equal(#from, conn:write(from))
        one:wait_for(from)
    end

    it("agree on a protocol by ALPN, or not at all", function()
        local server = context {alpn = {"third", "second"}}
        local one = start("-alpn", "first,second,third")
        local conn <close> = arrive(server)
        assert(conn:accept())
        assert.equal("third", conn:alpn())
        one:wait_for "ALPN protocol: third"
        local other = start("-alpn", "first")
        local refused <close> = arrive(server)
        local ok, _, err = refused:accept()
        assert.is_nil(ok)
        assert.equal("no_application_protocol", err.alert)
        other:wait_for "no application protocol"
    end)

    it("pass an OCSP response", function()
        local one = start "-status"
        local conn <close> = arrive(context {ocsp_response = pki.get().ocsp_der})
        assert(conn:accept())
        one:wait_for "OCSP Response Status: successful"
        one:wait_for "Cert Status: good"
    end)

    each_version(function(version, flag)
        it("pass a client's certificate, " .. version, function()
            local p = pki.get()
            local one = start(flag, "-cert", p.client_cert_file, "-key", p.client_key_file)
            local conn <close> = arrive(context {verify = "required", ca = p.ca_file,
                client_ca = p.ca_file})
            assert(conn:accept())
            assert.equal("CN=client", conn:peer_certificates()[1].subject)
            one:wait_for "Acceptable client certificate CA names\nO ?= ?tlslife specs, CN ?= ?root"
            talk(conn, one)
        end)

        it("end with the alert that on_verify names, and without a ticket, " .. version, function()
            local p = pki.get()
            local file = process.directory() .. "/refused-" .. version
            local one = start(flag, "-cert", p.client_cert_file, "-key", p.client_key_file,
                "-sess_out", file)
            local conn <close> = arrive(context {verify = "required", ca = p.ca_file,
                on_verify = function() return false, "access_denied" end})
            local ok, _, err = conn:accept()
            assert.is_nil(ok)
            assert.equal("access_denied", err.alert)
            one:wait_for "alert access denied"
            one:wait(DEADLINE)
            assert.is_nil(io.open(file))
            local other = process.start {"gnutls-cli", "--x509cafile", p.ca_file, "--x509certfile",
                p.client_cert_file, "--x509keyfile", p.client_key_file, "-p", listener:port(),
                "localhost", stdin = true}
            local again <close> = arrive(context {verify = "required", ca = p.ca_file,
                max_version = version, on_verify = function() return false, "access_denied" end})
            assert.is_nil((again:accept()))
            other:wait_for "Received alert %[49%]"
        end)

        it("connect with a pre-shared key, " .. version, function()
            local one = start(flag, "-psk_identity", PSK.identity, "-psk", PSK_HEX, "-cipher",
                "PSK", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
            local conn <close> = arrive(context {psk = PSK, ciphers = "PSK"})
            assert(conn:accept())
            talk(conn, one)
        end)

        it("connect with PSK identities of any length that libssl allows, " .. version, function()
            -- s_client's: TLS 1.3 has no empty one, and for TLS 1.2 it has room for 255
            for _, len in ipairs {version == "TLSv1.2" and 0 or 256, 1, 129, 255} do
                local own = {identity = ("i"):rep(len), key = PSK.key}
                local one = start(flag, "-psk_identity", own.identity, "-psk", PSK_HEX, "-cipher",
                    "PSK", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
                local conn <close> = arrive(context {psk = {PSK, own}, ciphers = "PSK"})
                assert(conn:accept())
                talk(conn, one)
            end
        end)

        it("refuse a wrong pre-shared key, " .. version, function()
            start(flag, "-psk_identity", PSK.identity, "-psk", ("00"):rep(32), "-cipher", "PSK",
                "-ciphersuites", "TLS_AES_128_GCM_SHA256")
            local conn <close> = arrive(context {psk = PSK, ciphers = "PSK"})
            local ok, _, err = conn:accept()
            assert.is_nil(ok)
            assert.equal("tls", err.code)
        end)

        it("choose a context by server name, " .. version, function()
            local p = pki.get()
            local chosen = context {certificate = p.rsa_cert_file, private_key = p.rsa_key_file}
            local one = start(flag, "-servername", "x.b.example", "-verify_hostname", "x.b.example")
            local conn <close> = arrive(context {server_names = {["*.b.example"] = chosen}})
            assert(conn:accept())
            assert.equal(chosen, conn:context())
            one:wait_for "PKEY: [rR][sS][aA]"
            one:wait_for "Verified peername: %*?%.?b?x?%.b%.example"
        end)
    end)

    it("update their keys when we ask, and when it asks", function()
        local one = start "-tls1_3"
        local conn <close> = arrive(context())
        assert(conn:accept())
        assert(conn:key_update(true))
        talk(conn, one)
        one:write "K\n"
        one:wait_for "KEYUPDATE"
        talk(conn, one)
    end)

    it("renegotiate when we ask, and not when it asks, TLS 1.2", function()
        local one = start "-tls1_2"
        local conn <close> = arrive(context())
        assert(conn:accept())
        talk(conn, one)
        assert(conn:renegotiate())
        assert(conn:handshake())
        talk(conn, one)
        one:write "R\n"
        one:wait_for "RENEGOTIATING"
        local got = conn:read()
        assert.is_nil(got)
        one:wait_for "no renegotiation"
    end)

    it("authenticate after the handshake, TLS 1.3", function()
        local p = pki.get()
        local one = start("-tls1_3", "-cert", p.client_cert_file, "-key",
            p.client_key_file, "-enable_pha")
        local conn <close> = arrive(context {ca = p.ca_file})
        assert(conn:accept())
        assert.is_nil(conn:peer_certificates())
        assert(conn:request_client_certificate())
        assert(conn:handshake())
        talk(conn, one)
        assert.equal("CN=client", conn:peer_certificates()[1].subject)
    end)

    it("pass early data", function()
        local server = context {max_early_data = 1000, resumption = "stateful"}
        local file = process.directory() .. "/early.session"
        local one = start("-tls1_3", "-sess_out", file)
        local first <close> = arrive(server)
        assert(first:accept())
        talk(first, one)
        one:finish_input()
        assert.equal("closed", select(2, first:read()))
        first:shutdown()
        first:close_transport()
        one:wait()
        local early = process.spill(process.directory() .. "/early", "early\n")
        local two = start("-tls1_3", "-sess_in", file, "-early_data", early)
        local conn <close> = arrive(server)
        assert.equal("early\n", conn:read_early())
        assert.equal("", conn:read_early())
        assert(conn:accept())
        assert.is_true(conn:session_reused())
        assert.equal("accepted", conn:early_data_status())
        two:wait_for "Early data was accepted"
        talk(conn, two)
    end)
end)

describe("a session that openssl has saved", function()
    local port

    setup(function()
        local p = pki.get()
        port = process.free_port()
        process.start {"openssl", "s_server", "-accept", port, "-www", "-cert", p.server_leaf_file,
            "-cert_chain", p.intermediate_cert_file, "-key", p.server_key_file}:wait_for_port(port)
    end)
    teardown(process.stop_all)

    --- A connection that has had its answer and its end.
    local function visit(client, session)
        local conn = assert(client:connection())
        conn:set_hostname "localhost"
        if session then conn:set_session(session) end
        assert(conn:dial("127.0.0.1", port))
        assert(conn:connect())
        assert(conn:write "GET / HTTP/1.0\r\n\r\n")
        while conn:read() do end
        assert(conn:shutdown())
        return conn
    end

    each_version(function(version, flag)
        it("resumes at a context that does not verify, and at no other, " .. version, function()
            local ca = pki.get().ca_file
            local file = process.directory() .. "/session" .. version
            assert.equal(0, (process.run {"openssl", "s_client", "-connect", "127.0.0.1:" .. port,
                "-servername", "localhost", flag, "-CAfile", ca, "-sess_out", file, "-ign_eof",
                stdin = "GET / HTTP/1.0\r\n\r\n"}))
            local pem = process.slurp(file)
            local careless = assert(tls.context {role = "client", verify = false,
                max_version = version, timeout = DEADLINE})
            local conn <close> = visit(careless, assert(careless:import_session(pem)))
            assert.is_true(conn:session_reused())
            local careful = assert(tls.context {role = "client", ca = ca, timeout = DEADLINE})
            assert.error_matches(function() careful:import_session(pem) end, "another policy")
        end)

        it("can be read by openssl when we export it, " .. version, function()
            local client = assert(tls.context {role = "client", ca = pki.get().ca_file,
                min_version = version, max_version = version, timeout = DEADLINE})
            local conn <close> = visit(client)
            local session = conn:take_session() or conn:session()
            local file = process.spill(process.directory() .. "/exported" .. version,
                session:export "pem")
            local status, text = process.run {"openssl", "sess_id", "-noout", "-text", "-in", file}
            assert.equal(0, status)
            assert.equal(version, text:match "Protocol%s+: (%S+)")
            assert.equal(session:cipher(), text:match "Cipher%s+: (%S+)")
            assert.equal(session:timeout(), tonumber(text:match "Timeout%s+: (%d+)"))
        end)
    end)
end)
