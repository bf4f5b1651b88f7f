-- psk_spec.lua: the hook on_psk, by which a server of TLS 1.2 learns the key of a PSK when a client
-- names it. libssl asks for it in the middle of a message; here the handshake is suspended.

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

    it("is not asked about what the context knows, nor in TLS 1.3", function()
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

    it("is a server's", function()
        local ok, why = pcall(tls.context, {role = "client", on_psk = print})
        assert.is_false(ok)
        assert.truthy(why:find("servers only", 1, true), why)
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
        local changes = {
            ["another type of record"] = function(bytes) return "\23" .. bytes:sub(2) end,
            ["another message"] = function(bytes)
                return bytes:sub(1, 5) .. "\1" .. bytes:sub(7)
            end,
            ["a length behind the end"] = function(bytes)
                return bytes:sub(1, 9) .. "\255\255" .. bytes:sub(12)
            end,
            ["a record without a message"] = function(bytes)
                return bytes:sub(1, 3) .. "\0\0" .. bytes:sub(6)
            end,
            ["a record that is too long"] = function(bytes)
                return bytes:sub(1, 3) .. "\255\255" .. bytes:sub(6)
            end,
        }
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
end)
