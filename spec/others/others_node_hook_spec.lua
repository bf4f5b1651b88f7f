-- others_node_hook_spec.lua: answers what Node's tests ask of the functions that a handshake calls:
-- for a server name, for ALPN, for a PSK; and of what becomes of a server when they raise (read in
-- nodejs/node 25.8.1, 2026).
--
-- Node's SNICallback, addContext and setKeyCert are on_hello, server_names and on_certificate; its
-- pskCallback is on_psk. Its event tlsClientError is what accept returns or raises.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local PARALLEL <const> = "test/parallel/test-"
local RAISES <const> = PARALLEL .. "tls-psk-alpn-callback-exception-handling.js"
local PSK <const> = "spec/context/psk_spec.lua"

local suite = others.suite(it, others.cases(PARALLEL, {
    {HERE, "tls-sni-option.js", "tls-sni-server-client.js", "tls-sni-servername.js",
        "tls-add-context.js", "tls-secure-context-usage-order.js", "tls-empty-sni-context.js",
        "tls-server-setkeycert.js", "tls-socket-snicallback-without-server.js",
        "tls-starttls-server.js", "tls-psk-alpn-callback-exception-handling.js",
        "tls-psk-circuit.js", "tls-psk-errors.js"},
    {{PSK, "meet as client and server, with a hint"}, "tls-psk-server.js",
        "test/sequential/test-tls-psk-client.js"},
    {{"spec/conn/handshake_spec.lua", "arrives where the client asked for it, "},
        "tls-ocsp-callback.js"},
    {{"spec/serve/serve_faults_spec.lua", " ends its connection alone, with close_notify"},
        "tls-handshake-exception.js", "tls-server-capture-rejection.js"},
}))

local CLIENT <const> = {certificate = p.client_cert, private_key = p.client_key}
local OTHER <const> = {certificate = p.other_client_cert, private_key = p.other_client_key}

-- ---------------------------------------------------------------------------------- server names

describe("Node's cases of server names:", function()
    for _, version in ipairs(pair.VERSIONS) do
        -- The two contexts that names lead to trust clients of different CAs.
        local function by_name(hook)
            local function context(ca)
                return pair.server {ca = ca, verify = "optional", verify_all = true,
                    purpose = "any", on_verify = function() return true end}
            end
            local names = {["a.example"] = context(p.ca_file),
                ["*.b.example"] = context(p.other_ca_file)}
            local options = hook and {on_hello = function(_, hello)
                return names[hello.server_name]
            end} or {server_names = names}
            return pair.server(options)
        end

        suite.answer({PARALLEL .. "tls-sni-option.js", PARALLEL .. "tls-sni-server-client.js",
            PARALLEL .. "tls-add-context.js"},
            "each has its context, whose CAs count, and others have the server's, " .. version,
            function()
            for _, hook in ipairs {false, true} do
                local server = by_name(hook)
                for _, row in ipairs {{"a.example", CLIENT, "verified"},
                    {"a.example", OTHER, "not verified"},
                    {"x.b.example", OTHER, hook and "not asked" or "verified"},
                    {"x.b.example", CLIENT, hook and "not asked" or "not verified"},
                    {"x.y.b.example", OTHER, "not asked"}, {"wrong.example", CLIENT, "not asked"},
                } do
                    local _, peer = pair.connect {server = server, hostname = row[1],
                        client = pair.with(row[2], {max_version = version, verify_host = false})}
                    local _, result = peer:verify_result()
                    local word = not peer:peer_certificates() and "not asked"
                        or result == 0 and "verified" or "not verified"
                    assert.same({row[1], row[3]}, {peer:server_name(), word})
                end
            end
        end)

        suite.answer({PARALLEL .. "tls-sni-servername.js", PARALLEL .. "tls-sni-option.js"},
            "the name is known where the hook fails, refuses or answers wrongly, " .. version,
            function()
            for _, hook in ipairs {function() error "Invalid SNI context" end,
                function() return {} end, function() return "x" end, function() return false end} do
                local client, server = pair.join {hostname = "c.example",
                    client = {max_version = version}, server = {on_hello = hook}}
                client:connect()
                local ok, result = pcall(server.accept, server)
                assert.is_true(not ok or result == nil)
                assert.equal("c.example", server:server_name())
                assert.is_false(server:handshake_done())
                server:free()
                assert.is_nil((client:connect()))
            end
        end)

        suite.answer(PARALLEL .. "tls-empty-sni-context.js",
            "a context without certificate serves nobody, " .. version, function()
            local empty = assert(tls.context {role = "server"})
            local c, s = pair.try {client = {max_version = version},
                server = {on_hello = function() return empty end}}
            assert.equal("internal_error", expect.fails("alert", table.unpack(c, 1, c.n)).alert)
            assert.is_nil(s[1])
        end)

        suite.answer(PARALLEL .. "tls-secure-context-usage-order.js",
            "the newest context counts for connections to come, " .. version, function()
            local kept = {}
            local current = pair.server {alpn = {"old"}}
            local server = pair.server {on_hello = function() return current end}
            for _, word in ipairs {"old", "new", "new"} do
                local options = {server = server,
                    client = {alpn = {"old", "new"}, max_version = version}}
                kept[#kept + 1] = {word, pair.connect(options)}
                current = pair.server {alpn = {"new"}}
            end
            for _, one in ipairs(kept) do
                assert.equal(one[1], one[2]:alpn())
                assert.equal("data", pair.send(one[2], one[3], "data"))
            end
        end)

        suite.answer(PARALLEL .. "tls-starttls-server.js",
            "a hook takes its time while the client waits for an OCSP response, " .. version,
            function()
            local client, server = pair.join {hostname = "test.test",
                client = {max_version = version, ocsp_request = true, verify_host = false},
                server = {on_hello = function(_, hello) coroutine.yield(hello.server_name) end}}
            client:connect()
            local accept = coroutine.create(function() return server:accept() end)
            assert.same({true, "test.test"}, {coroutine.resume(accept)})
            expect.word("want_read", client:connect())
            coroutine.resume(accept)
            pair.drive(client, server)
            assert.is_true(client:handshake_done() and server:handshake_done())
            assert.is_nil(client:ocsp_response())
        end)
    end

    -- The other context allows TLS 1.2. Only its certificate is taken.
    suite.answer(PARALLEL .. "tls-server-setkeycert.js",
        "a certificate may be chosen by what ALPN asks for", function()
        local alternative = pair.server {certificate = p.rsa_cert_file,
            private_key = p.rsa_key_file, min_version = "TLSv1.2", alpn = {"other"}}
        local asked
        local server = pair.server {min_version = "TLSv1.3", alpn = {"acme-tls/1", "h2"},
            on_hello = function(_, hello) asked = hello.alpn[1] end,
            on_certificate = function() return asked == "acme-tls/1" and alternative or nil end}
        for protocol, key in pairs {["acme-tls/1"] = "RSA", h2 = "EC"} do
            local client = pair.connect {server = server, client = {alpn = {protocol}}}
            assert.same({protocol, key, "TLSv1.3"}, {client:alpn(),
                client:peer_certificates()[1].key_type, client:version()})
        end
        local c = pair.try {server = server, client = {max_version = "TLSv1.2"}}
        assert.equal("protocol_version", c[3].alert)
    end)

    -- Theirs is the hello of a browser. This one has a GREASE value in each list, as RFC 8701 says.
    suite.answer(PARALLEL .. "tls-socket-snicallback-without-server.js",
        "it is read from a hello with much that nobody knows", function()
        local client, server = pair.join {hostname = "www.example.com", client = {verify = "none"},
            server = {on_hello = function(_, hello)
                assert.equal("www.example.com", hello.server_name)
                assert.equal(0x2a2a, hello.ciphers[1])
                return false, "unrecognized_name"
            end}}
        client:set_memory()
        server:set_memory()
        client:connect()
        local hello = client:drain()
        -- version and random, session id, ciphers, compression, extensions
        local head, id, ciphers, methods, more = string.unpack(">c34 s1 s2 s1 s2", hello, 10)
        more = more .. "\x2a\x2a\0\0" .. "\x44\x69\0\5\0\3\2h2" .. "\xfe\x0d\0\3xyz"
        local body = string.pack(">c34 s1 s2 s1 s2", head, id, "\x2a\x2a" .. ciphers, methods, more)
        local message = "\1" .. string.pack(">I3", #body) .. body
        server:feed("\x16\3\1" .. string.pack(">s2", message))
        assert.equal("unrecognized_name", select(3, server:accept()).alert)
    end)
end)

-- ------------------------------------------------------------------------------------------- PSKs

describe("Node's cases of PSKs:", function()
    local USERS <const> = {A = ("a"):rep(128), B = ("b"):rep(16)}
    local CIPHERS <const> = "PSK+AESGCM:@SECLEVEL=1"

    local function try(identity, key, version)
        local function options(more)
            return assert(tls.context(pair.with({ciphers = CIPHERS, max_version = version,
                min_version = version}, more)))
        end
        return pair.try {
            client = options {role = "client", psk = {identity = identity, key = key},
                verify = "none"},
            server = options {role = "server",
                psk = {{identity = "A", key = USERS.A}, {identity = "B", key = USERS.B}}}}
    end

    for _, version in ipairs(pair.VERSIONS) do
        suite.answer(PARALLEL .. "tls-psk-circuit.js",
            "who names a user and has its key is served, and nobody else, " .. version, function()
            for name, key in pairs(USERS) do
                local _, _, client, server = try(name, key, version)
                assert.equal(name, server:psk_identity())
                assert.equal("x", pair.send(client, server, "x"))
                assert.equal("x", pair.send(server, client, "x"))
            end
            for _, wrong in ipairs {{"C", USERS.B}, {"B", USERS.A}, {"A", USERS.B}} do
                local c, s = try(wrong[1], wrong[2], version)
                assert.is_true(expect.fails("alert", table.unpack(c, 1, c.n)).alert_received)
                expect.fails("tls", table.unpack(s, 1, s.n))
            end
        end)
    end

    suite.answer(PARALLEL .. "tls-psk-errors.js", "a hint has 256 bytes at most", function()
        local psk = {identity = "A", key = USERS.A}
        pair.server {psk = psk, psk_identity_hint = ("a"):rep(256)}
        expect.raises("psk_identity_hint", pair.server,
            {psk = psk, psk_identity_hint = ("a"):rep(257)})
    end)
end)

-- ------------------------------------------------------------------------------------------ faults

-- What a hook may do wrong, by name.
local FAULTS <const> = {
    raises = function() error "raised on purpose" end,
    ["raises an object"] = function() error {} end,
    ["gives another type"] = function() return 42 end,
    ["names no alert"] = function() return false, "no_such_alert" end,
}
local PSK_ONLY <const> = {ciphers = "PSK+AESGCM:@SECLEVEL=1", max_version = "TLSv1.2"}
local KEY <const> = {identity = "A", key = ("k"):rep(32)}

describe("Node's cases of hooks that fail:", function()
    for name, fault in pairs(FAULTS) do
        suite.answer(RAISES, "the call of that end raises, which " .. name, function()
            local rows = {
                {"server", server = {on_hello = fault}},
                {"server", server = {on_certificate = fault}},
                {"server", server = {on_verify = fault, verify = "optional", ca = p.ca_file},
                    client = CLIENT},
                {"server", server = pair.with(PSK_ONLY, {on_psk = fault}),
                    client = pair.with(PSK_ONLY, {psk = KEY})},
                {"client", client = {on_verify = fault}},
                {"client", client = pair.with(PSK_ONLY, {on_psk = fault}),
                    server = pair.with(PSK_ONLY, {psk = KEY})},
            }
            for i, row in ipairs(rows) do
                local client, server = pair.join(row)
                local ok = true
                for _ = 1, 4 do
                    local good = pcall(client.connect, client)
                    ok = ok and (good or row[1] ~= "client")
                    good = pcall(server.accept, server)
                    ok = ok and (good or row[1] ~= "server")
                end
                assert.is_false(ok, "row " .. i)
                assert.is_false(client:handshake_done() and server:handshake_done())
                client:close()
                server:close()
                client:free()
                server:free()
            end
        end)
    end

    -- A client that finds such a hook must not stop the server.
    suite.answer(RAISES, "a server logs it, and serves the next client", function()
        for name, fault in pairs(FAULTS) do
            for _, hook in ipairs {"on_hello", "on_certificate", "on_verify", "on_psk"} do
                local log, broken, answer = {}, true, nil
                local context = pair.with({certificate = p.server_cert_file,
                    private_key = p.server_key_file, ciphers = "ALL:@SECLEVEL=1"},
                    hook == "on_verify" and {verify = "optional", ca = p.ca_file})
                context[hook] = function()
                    if broken then return fault() end
                    if hook == "on_verify" then return true end
                    if hook == "on_psk" then return KEY.key end
                end
                local function main()
                    local server = assert(tls.server {address = "127.0.0.1:0", context = context,
                        handler = function(conn) conn:write "hello" end,
                        log = function(level) log[#log + 1] = level end})
                    local function visit()
                        local client = hook == "on_psk" and pair.client(pair.with(PSK_ONLY,
                            {psk = KEY, verify = "none"})) or pair.client(CLIENT)
                        local conn <close> = assert(client:connection())
                        conn:set_timeout(20)
                        conn:set_hostname "localhost"
                        assert(conn:dial("127.0.0.1", server:ports()[1]))
                        return conn:connect() and conn:read()
                    end
                    assert.is_nil(visit())
                    broken = false
                    answer = visit()
                    server:stop(0)
                end
                for _, driver in ipairs(loops.drivers) do
                    if driver.name == "luv" then loops.run(driver, main) end
                end
                assert.equal("hello", answer, hook .. " " .. name)
                assert.same({"error"}, log)
            end
        end
    end)
end)

describe("Node's suite of hooks", function() suite.check() end)
