-- psk_spec.lua: tests the hook on_psk, by which a server of TLS 1.2 learns the key of a PSK when a
-- client names it, and a client which PSK a server wants. libssl asks for it in the middle of a
-- message; here the handshake is suspended.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require("spec.support.pki").get()
local process = require "spec.support.process"
local tls = require "tlslife"

local KEY <const> = ("k"):rep(32)
local CIPHERS <const> = {
    PSK = "PSK-AES128-GCM-SHA256", DHE_PSK = "DHE-PSK-AES128-GCM-SHA256",
    ECDHE_PSK = "ECDHE-PSK-AES128-CBC-SHA256", RSA_PSK = "RSA-PSK-AES128-GCM-SHA256",
}

local function server_context(on_psk, options)
    return assert(tls.context(pair.with({role = "server", ciphers = "PSK:@SECLEVEL=1",
        on_psk = on_psk, timeout = 20, dh_auto = true}, options)))
end

local function client_options(options)
    return pair.with({psk = {identity = "me", key = KEY}, max_version = "TLSv1.2", verify = "none",
        ciphers = "PSK+AESGCM:@SECLEVEL=1"}, options)
end

-- Both handshakes; what each end got, and the connections.
local function try(on_psk, options, client)
    return pair.try {client = client_options(client), server = server_context(on_psk, options)}
end

describe("on_psk", function()
    it("gives the key, and may take its time", function()
        local seen
        local c, s, client, server = try(function(conn, asked)
            coroutine.isyieldable()
            seen = asked
            assert.equal("me", conn:psk_identity())
            return KEY
        end, {psk_identity_hint = "which?"})
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        assert.same({identity = "me", server_name = "localhost"}, seen)
        assert.equal("me", server:psk_identity())
        assert.equal("me", client:psk_identity())
        assert.equal("which?", client:psk_identity_hint())
        assert.equal("hello", pair.send(client, server, "hello"))
    end)

    it("may yield, however often the handshake is called meanwhile", function()
        local client = pair.client(client_options()):connection()
        local server = server_context(function() return coroutine.yield() end):connection()
        client:set_hostname "localhost"
        tls.pair(client, server)
        client:set_blocking(false)
        server:set_blocking(false)
        local co = coroutine.wrap(function()
            repeat local ok, why = server:accept()
                if not ok then
                    assert(why == "want_read", why)
                    coroutine.yield "want_read"
                end
            until ok
            return "done"
        end)
        local state
        repeat
            client:connect()
            state = co()
        until state ~= "want_read"
        assert.is_nil(state) -- the hook has yielded
        assert.same({nil, "busy"}, {server:accept()})
        state = co(KEY)
        while state ~= "done" do
            client:connect()
            state = co()
        end
        assert.is_true(client:connect())
    end)

    it("is not asked about an identity that the context knows, nor in TLS 1.3", function()
        local asked = 0
        local function on_psk() asked = asked + 1 end
        local known = {psk = {identity = "me", key = KEY}}
        local c, s = try(on_psk, known)
        assert.is_true(c[1] and s[1], c[2] or s[2])
        c, s = try(on_psk, known, {max_version = "TLSv1.3"})
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.equal(0, asked)
    end)

    it("is not asked of a client with a certificate's cipher", function()
        local c, s = pair.try {client = {max_version = "TLSv1.2"}, server = {on_psk = error}}
        assert.is_true(c[1] and s[1], c[2] or s[2])
    end)

    for what, answer in pairs {["that there is no key"] = {}, ["false"] = {false}} do
        it("says " .. what .. ": unknown_psk_identity", function()
            local c, s = try(function() return table.unpack(answer, 1, 1) end)
            local err = expect.fails("alert", table.unpack(c, 1, 3))
            assert.equal("unknown_psk_identity", err.alert)
            assert.is_nil(s[1])
            assert.equal("tls", s[3].code)
        end)
    end

    it("chooses the alert", function()
        local c, s = try(function() return false, "access_denied" end)
        assert.equal("access_denied", expect.fails("alert", table.unpack(c, 1, 3)).alert)
        assert.truthy(s[2]:find("the program refused the identity of a PSK with the alert " ..
            "access_denied", 1, true), s[2])
    end)

    it("gives another key: the handshake fails", function()
        local c, s = try(function() return ("x"):rep(32) end)
        assert.is_nil(c[1])
        assert.is_nil(s[1])
    end)

    it("returns a string, nil or false, and a key of 1 to 256 bytes", function()
        for _, answer in ipairs {{7}, {{}}, {true}, {""}, {("k"):rep(257)}} do
            local client = pair.client(client_options()):connection()
            local server = server_context(function() return answer[1] end):connection()
            client:set_hostname "localhost"
            tls.pair(client, server)
            client:set_blocking(false)
            server:set_blocking(false)
            client:connect()
            local ok = pcall(function()
                for _ = 1, 5 do
                    server:accept()
                    client:connect()
                end
            end)
            assert.is_false(ok)
        end
    end)

    it("resumes without being asked again", function()
        local asked = 0
        local server = server_context(function() asked = asked + 1; return KEY end)
        local client = pair.client(client_options())
        local a, b = pair.connect {client = client, server = server}
        local session = a:session()
        pair.finish(a, b)
        local again = pair.connect {client = client, server = server, session = session}
        assert.is_true(again:session_reused())
        assert.equal(1, asked)
    end)
end)

-- ------------------------------------------------------------------------------------- TLS 1.3

-- libssl says of such a handshake that it has resumed a session, and nothing of the PSK.
describe("a PSK of TLS 1.3", function()
    local ALL <const> = {{identity = "me", key = KEY}, {identity = "you", key = KEY:rep(2)}}

    local function server(options)
        return tls.context(pair.with({role = "server", psk = ALL, timeout = 20}, options))
    end

    local function client(n, options)
        return pair.client(pair.with({psk = ALL[n], verify = "none"}, options))
    end

    local function told(conn)
        return {conn:psk_identity() or "none", conn:resumption()}
    end

    local function check(options, identity, word)
        local a, b = pair.connect(options)
        assert.same({identity, word or "not_offered"}, told(a))
        assert.same({identity, word or "not_offered"}, told(b))
        assert.is_true(a:session_reused() and b:session_reused()) -- as libssl says of both
        return a, b
    end

    it("is told by its identity, at both ends, and is no session that has resumed", function()
        for n, psk in ipairs(ALL) do
            for _, options in ipairs {{}, {groups = "P-384"}} do
                local a, b = check({client = client(n), server = server(options)}, psk.identity)
                assert.equal(options.groups ~= nil, b:hello_retry())
                assert.equal("data", pair.send(a, b, "data"))
                pair.finish(a, b)
                assert.equal(psk.identity, b:psk_identity())
                a:clear()
                b:clear()
                assert.is_nil(a:psk_identity() or b:psk_identity())
            end
        end
        local function choose() return "you", KEY:rep(2) end
        local chosen = client(1, {psk = pair.none, on_psk = choose})
        check({client = chosen, server = server()}, "you")
    end)

    it("of a context that a hook has chosen is told, too", function()
        local known = server()
        check({client = client(2), server = server {psk = pair.none,
            certificate = pki.server_cert_file, private_key = pki.server_key_file,
            on_hello = function(_, hello)
                assert.same({"you"}, hello.psk_identities)
                return known
            end}}, "you")
    end)

    it("is no session for on_verify either, which is asked at both ends", function()
        local resumed = {}
        local function on_verify(conn, peer)
            resumed[#resumed + 1] = {conn:is_server(), peer.resumed, #peer.certificates}
            return true
        end
        local ours = pair.client {psk = ALL[2], verify_host = false, on_verify = on_verify}
        local theirs = server {verify = "optional", ca = pki.ca_file, on_verify = on_verify}
        local function session() return pair.sessions({client = ours, server = theirs})[1] end
        check({client = ours, server = theirs}, "you")
        assert.same({{false, false, 0}, {true, false, 0}}, resumed)
        local one = session()
        resumed = {}
        check({client = ours, server = theirs, session = one}, "none", "resumed")
        assert.same({{false, true, 0}, {true, true, 0}}, resumed)
    end)

    it("makes a session that resumes, and then no PSK was used", function()
        local ours, theirs = client(2), server()
        local function session() return pair.sessions({client = ours, server = theirs})[1] end
        check({client = ours, server = theirs, session = session()}, "none", "resumed")
        -- A server that cannot open the ticket takes the PSK beside it.
        local a, b = pair.connect {client = ours, server = server(), session = session()}
        assert.same({"you", "not_accepted"}, told(a))
        assert.same({"you", "ticket"}, told(b))
    end)

    it("is none where it was offered and not used", function()
        for _, options in ipairs {{psk = pair.none}, {ciphersuites = "TLS_AES_256_GCM_SHA384"}} do
            local a, b = pair.connect {client = client(1), server = server(pair.with({
                certificate = pki.server_cert_file, private_key = pki.server_key_file}, options))}
            assert.is_false(a:session_reused() or b:session_reused())
            assert.is_nil(a:psk_identity() or b:psk_identity())
            assert.equal("not_offered", a:resumption())
        end
    end)

end)

-- ------------------------------------------------------------------------------------- a client's

-- A client whose hook keeps what it is told in `seen` and returns what `answers` has for the hint.
local function asking(seen, answers, options)
    local all = {psk = false, on_psk = function(conn, asked)
        assert.equal(asked.hint, conn:psk_identity_hint())
        assert.is_nil(conn:psk_identity())
        seen[#seen + 1] = asked.hint or "none"
        return table.unpack(answers[asked.hint or "none"] or {}, 1, 2)
    end}
    for name, value in pairs(options or {}) do all[name] = value end
    all = client_options(all)
    all.psk = all.psk or nil
    return all
end

local ME <const> = {"me", KEY}
local KNOWS <const> = {psk = {{identity = "me", key = KEY}, {identity = "you", key = KEY:rep(2)}}}

local function server_options(options)
    local all = {role = "server", ciphers = "PSK:@SECLEVEL=1", timeout = 20, dh_auto = true,
        psk = KNOWS.psk}
    for name, value in pairs(options or {}) do all[name] = value end
    return tls.context(all)
end

describe("on_psk of a client", function()
    for exchange, cipher in pairs(CIPHERS) do
        for _, hint in ipairs {"which?", "none"} do
            it("is told the hint, " .. hint .. ", by " .. exchange, function()
                local seen = {}
                local c, s, client, server = pair.try {
                    client = asking(seen, {["which?"] = {"you", KEY:rep(2)}, none = ME},
                        {ciphers = cipher .. ":@SECLEVEL=1"}),
                    server = server_options {certificate = pki.rsa_cert_file,
                        private_key = pki.rsa_key_file,
                        psk_identity_hint = hint ~= "none" and hint or nil},
                }
                assert.is_true(c[1], c[2])
                assert.is_true(s[1], s[2])
                assert.same({hint}, seen)
                assert.equal(cipher, client:cipher())
                assert.equal(hint == "none" and "me" or "you", server:psk_identity())
                assert.equal("hello", pair.send(client, server, "hello"))
            end)
        end
    end

    it("is asked before a ClientHello that may lead to TLS 1.3, and of TLS 1.2 again", function()
        local seen = {}
        local answers = {none = ME, ["which?"] = {"you", KEY:rep(2)}}
        local c, s, _, server = pair.try {
            client = asking(seen, answers, {max_version = "TLSv1.3"}),
            server = server_options {psk_identity_hint = "which?", max_version = "TLSv1.2"},
        }
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.same({"none", "which?"}, seen)
        assert.equal("you", server:psk_identity())
        seen = {}
        c, s, _, server = pair.try {
            client = asking(seen, answers, {max_version = "TLSv1.3"}),
            server = server_options {psk_identity_hint = "which?"},
        }
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.same({"none"}, seen)
        assert.equal("TLSv1.3", server:version())
        assert.same({"me", "not_offered"}, {server:psk_identity(), server:resumption()})
        assert.is_true(server:session_reused()) -- as libssl says of a PSK
    end)

    it("is asked once where a HelloRetryRequest comes", function()
        local seen = {}
        local c, s, client = pair.try {
            client = asking(seen, {none = ME}, {min_version = "TLSv1.3", max_version = "TLSv1.3",
                groups = "X25519:P-256"}),
            server = server_options {groups = "P-256"},
        }
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.is_true(client:hello_retry())
        assert.same({"none"}, seen)
    end)

    it("may give no key: TLS 1.2 fails, and TLS 1.3 uses a certificate", function()
        local c = pair.try {client = asking({}, {}), server = server_options()}
        expect.fails("tls", table.unpack(c, 1, 3))
        local seen = {}
        local client_result, s, client = pair.try {
            client = asking(seen, {}, {max_version = "TLSv1.3"}),
            server = server_options {certificate = pki.server_cert_file,
                private_key = pki.server_key_file},
        }
        c = client_result
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.same({"none"}, seen)
        assert.is_false(client:session_reused())
    end)

    it("refuses with an alert", function()
        for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
            local c, s = pair.try {
                client = asking({}, {none = {false, "access_denied"}}, {max_version = version}),
                server = server_options(),
            }
            assert.truthy(c[2]:find("the alert access_denied", 1, true), c[2])
            if version == "TLSv1.2" then
                assert.equal("access_denied", expect.fails("alert", table.unpack(s, 1, 3)).alert)
            else
                assert.equal("want_read", s[2]) -- nothing was sent yet
            end
        end
    end)

    it("is not asked where the server wants a certificate, or TLS 1.2 resumes", function()
        local seen = {}
        local options = asking(seen, {none = ME}, {ciphers = "ALL:@SECLEVEL=1"})
        local c, s = pair.try {client = options, server = {}}
        assert.is_true(c[1] and s[1], c[2] or s[2])
        assert.same({}, seen)
        local client, server = pair.client(asking(seen, {none = ME})), server_options()
        local a, b = pair.connect {client = client, server = server}
        local session = a:session()
        pair.finish(a, b)
        local again = pair.connect {client = client, server = server, session = session}
        assert.is_true(again:session_reused())
        assert.same({"none"}, seen)
    end)

    it("is not asked where a session resumes and the server sends a new ticket", function()
        local seen, keys = {}, tls.ticket_keys {keys = {("1"):rep(80)}}
        local client, server = pair.client(asking(seen, {none = ME})),
            server_options {ticket_keys = keys}
        local a, b = pair.connect {client = client, server = server}
        local session = a:session()
        pair.finish(a, b)
        keys:replace {("2"):rep(80), ("1"):rep(80)}
        local again, peer = pair.connect {client = client, server = server, session = session}
        assert.is_true(again:session_reused())
        assert.not_equal(session:ticket(), again:session():ticket())
        assert.same({"none"}, seen)
        assert.equal("hello", pair.send(again, peer, "hello"))
    end)

    it("may yield", function()
        local options = asking({}, {})
        options.on_psk = function() return coroutine.yield "asked" end
        local client, server = pair.client(options):connection(), server_options():connection()
        client:set_hostname "localhost"
        tls.pair(client, server)
        client:set_blocking(false)
        server:set_blocking(false)
        local co = coroutine.wrap(function()
            while true do coroutine.yield((client:connect())) end
        end)
        local state
        repeat
            state = co()
            server:accept()
        until state == "asked"
        assert.same({nil, "busy"}, {client:connect()})
        state = co(table.unpack(ME))
        for _ = 1, 5 do
            server:accept()
            state = co()
        end
        assert.is_true(state)
    end)

    it("returns an identity and a key, nil or false", function()
        for _, answer in ipairs {{7, KEY}, {"me"}, {"me", 7}, {true}, {"me", ""}, {"a\0b", KEY},
            {("i"):rep(256), KEY}, {"me", ("k"):rep(257)}} do
            assert.has_error(function()
                pair.try {client = asking({}, {none = answer}), server = server_options()}
            end)
        end
        local c, s = pair.try {client = asking({}, {none = {("i"):rep(255), ("k"):rep(256)}}),
            server = server_options {psk = {identity = ("i"):rep(255), key = ("k"):rep(256)}}}
        assert.is_true(c[1] and s[1], c[2] or s[2])
    end)

    it("contradicts the option psk", function()
        local ok, why = pcall(tls.context, {role = "client", on_psk = print, psk = KNOWS.psk})
        assert.is_false(ok)
        assert.truthy(why:find("not both", 1, true), why)
    end)
end)

-- The client's result where the server's first flight is changed on its way, and the hints.
local function flight(change, step)
    local seen = {}
    local client = pair.client(asking(seen, {["which?"] = ME, none = ME})):connection()
    local server = server_options {psk_identity_hint = "which?"}:connection()
    client:set_hostname "localhost"
    for _, conn in ipairs {client, server} do
        conn:set_memory()
        conn:set_blocking(false)
    end
    client:connect()
    server:feed(client:drain())
    server:accept()
    local bytes = change(server:drain())
    local results
    for i = 1, #bytes, step or #bytes do
        client:feed(bytes:sub(i, i + (step or #bytes) - 1))
        results = table.pack(client:connect())
        if results[2] ~= "want_read" then return results, seen end
    end
    for _ = 1, 3 do
        server:feed(client:drain())
        server:accept()
        client:feed(server:drain())
        results = table.pack(client:connect())
    end
    return results, seen
end

-- The handshake messages of records that follow each other, in records of `size` bytes.
local function repacked(size)
    return function(bytes)
        local messages, at = {}, 1
        while at <= #bytes do
            local record
            record, at = string.unpack(">s2", bytes, at + 3)
            messages[#messages + 1] = record
        end
        local all, records = table.concat(messages), {}
        for i = 1, #all, size do
            records[#records + 1] = "\22\3\3" .. string.pack(">s2", all:sub(i, i + size - 1))
        end
        return table.concat(records)
    end
end

-- Changes of a record of the handshake that libssl is to refuse.
local BROKEN <const> = {
    ["another type of record"] = function(bytes) return "\23" .. bytes:sub(2) end,
    ["another message"] = function(bytes) return bytes:sub(1, 5) .. "\1" .. bytes:sub(7) end,
    ["a record without a message"] = function(bytes)
        return bytes:sub(1, 3) .. "\0\0" .. bytes:sub(6)
    end,
    ["a record that is too long"] = function(bytes)
        return bytes:sub(1, 3) .. "\255\255" .. bytes:sub(6)
    end,
}

describe("the flight in which a server hints", function()
    it("may be one record, or many, and come byte by byte", function()
        for _, size in ipairs {1, 3, 40, 16384} do
            for _, step in ipairs {1, 1 << 20} do
                local results, seen = flight(repacked(size), step)
                assert.is_true(results[1], results[2])
                assert.same({"which?"}, seen)
            end
        end
    end)

    it("is left to libssl where it is not as expected", function()
        local function without(bytes, from, to) return bytes:sub(1, from - 1) .. bytes:sub(to) end
        local changes = pair.with(BROKEN, {
            ["an id behind the end"] = function(bytes)
                return bytes:sub(1, 43) .. "\255" .. bytes:sub(45)
            end,
            ["a message of 16 MiB"] = function(bytes)
                return bytes:sub(1, 6) .. "\255\255\255" .. bytes:sub(10):rep(2000)
            end,
            ["a hint behind the end"] = function(bytes)
                local at = bytes:find("\0\6which?", 1, true)
                return bytes:sub(1, at - 1) .. "\255" .. bytes:sub(at + 1)
            end,
            ["no ServerHello"] = function(bytes)
                return without(bytes, 1, 6 + string.unpack(">I2", bytes, 4))
            end,
        })
        for what, change in pairs(changes) do
            local results, seen = flight(change)
            assert.is_nil(results[1], what)
            assert.equal("tls", results[3] and results[3].code, what .. ": " .. results[2])
            assert.same({}, seen, what)
        end
    end)

    it("asks for another key where the hint is changed, and the handshake fails", function()
        local results, seen = flight(function(bytes) return (bytes:gsub("which%?", "where?")) end)
        assert.is_nil(results[1])
        assert.same({"where?"}, seen)
    end)

    it("may be cut anywhere", function()
        local len
        flight(function(bytes) len = #bytes; return bytes end)
        for at = 1, len - 1, 5 do
            local results = flight(function(bytes) return bytes:sub(1, at) end)
            assert.is_nil(results[1])
        end
    end)
end)

-- What a server says to bytes that are fed one by one, or changed on their way.
local function fed(change)
    local client = pair.client(client_options()):connection()
    local server = server_context(function() return KEY end):connection()
    client:set_hostname "localhost"
    for _, conn in ipairs {client, server} do
        conn:set_memory()
        conn:set_blocking(false)
    end
    local results
    for round = 1, 3 do
        client:connect()
        local bytes = client:drain()
        if round == 2 then bytes = change(bytes) end
        for i = 1, #bytes do
            server:feed(bytes:sub(i, i))
            results = table.pack(server:accept())
            if results[2] ~= "want_read" then break end
        end
        client:feed(server:drain())
        if results[2] ~= "want_read" then break end
    end
    return results, server
end

describe("the record that names a PSK", function()
    it("may come byte by byte", function()
        local results = fed(function(bytes) return bytes end)
        assert.is_true(results[1], results[2])
    end)

    it("is left to libssl where it is not as expected", function()
        local changes = pair.with(BROKEN, {
            ["a length behind the end"] = function(bytes)
                return bytes:sub(1, 9) .. "\255\255" .. bytes:sub(12)
            end,
        })
        for what, change in pairs(changes) do
            local results = fed(change)
            assert.is_nil(results[1], what)
            assert.equal("tls", results[3] and results[3].code, what .. ": " .. results[2])
        end
    end)

    it("may be cut", function()
        local results, server = fed(function(bytes) return bytes:sub(1, 12) end)
        assert.same({nil, "want_read"}, {results[1], results[2]})
        server:feed_eof()
        assert.same({nil, "truncated"}, {server:accept()})
    end)
end)

describe("on_psk and openssl", function()
    after_each(process.stop_all)
    for exchange, cipher in pairs(CIPHERS) do
        it("meet by " .. exchange, function()
            local listener = assert(tls.listen("127.0.0.1", 0))
            local context = server_context(function(_, asked)
                return asked.identity == "someone" and KEY or nil
            end, {certificate = pki.rsa_cert_file, private_key = pki.rsa_key_file})
            local function meet(identity)
                local client = process.start {"openssl", "s_client", "-tls1_2", "-psk",
                    (KEY:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)),
                    "-psk_identity", identity, "-cipher", cipher .. ":@SECLEVEL=1", "-connect",
                    "127.0.0.1:" .. listener:port(), stdin = true}
                local conn <close> = assert(listener:accept(context, 20))
                local ok, why = conn:accept()
                if ok then
                    assert.equal(cipher, conn:cipher())
                    client:write "hello\n"
                    assert.equal("hello\n", conn:read())
                end
                client:stop()
                return ok, why
            end
            assert.is_true(meet "someone")
            assert.is_nil((meet "nobody"))
        end)
    end

    it("meet as client and server, with a hint", function()
        local port = process.free_port()
        local peer = process.start {"openssl", "s_server", "-accept", port, "-nocert", "-tls1_2",
            "-psk_hint", "which?", "-psk", (KEY:gsub(".", function(byte)
                return ("%02x"):format(byte:byte())
            end)), "-cipher", "PSK:@SECLEVEL=1", stdin = true}
        peer:wait_for_port(port)
        local seen = {}
        local context = pair.client(asking(seen, {["which?"] = {"Client_identity", KEY}},
            {timeout = 20}))
        local conn <close> = context:connection()
        assert(conn:dial("localhost", port))
        assert(conn:connect())
        assert.same({"which?"}, seen)
    end)
end)
