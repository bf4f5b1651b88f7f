-- error_spec.lua: tests the fields of errors, and that connections do not share them. Anything that
-- a peer sends or cuts off only makes its connection fail.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()

describe("an error", function()
    local KINDS = {
        code = "string", message = "string", library = "string", reason = "string",
        alert = "string", alert_received = "boolean",
        verify = "string", verify_result = "number", verify_depth = "number",
        verify_subject = "string", errno = "number",
        queue = "table",
    }

    local function check(err)
        for field, value in pairs(err) do assert.equal(KINDS[field], type(value), field) end
        assert.equal(err.message, tostring(err))
        assert.is_nil(err.message:match "\n")
        for _, entry in ipairs(err.queue) do
            assert.equal("number", type(entry.code))
            for _, field in ipairs {"library", "reason", "data"} do
                assert.equal("string", type(entry[field]))
            end
        end
        return err
    end

    it("of verification has the certificate and what is wrong with it", function()
        local c = pair.try {server = {certificate = p.expired_cert, private_key = p.expired_key}}
        local err = check(c[3])
        assert.equal("verify", err.code)
        assert.equal("certificate has expired", err.verify)
        assert.equal(10, err.verify_result)
        assert.equal(0, err.verify_depth)
        assert.equal("CN=localhost", err.verify_subject)
        assert.equal("certificate_expired", err.alert)
        assert.is_false(err.alert_received)
        assert.equal("SSL routines", err.library)
        assert.equal("certificate verify failed", err.reason)
        assert.is_true(#err.queue >= 1)
        assert.equal(err.reason, err.queue[1].reason)
        assert.truthy(err.message:match "expired")
    end)

    it("of an alert says who sent it", function()
        local c, s = pair.try {client = {alpn = {"a"}}, server = {alpn = {"b"}}}
        assert.equal("no_application_protocol", check(c[3]).alert)
        assert.is_true(c[3].alert_received)
        assert.is_false(check(s[3]).alert_received)
        assert.equal("no_application_protocol", s[3].alert)
    end)

    it("of the system has its errno", function()
        local conn = pair.client():connection()
        local listener = assert(tls.listen("127.0.0.1", 0))
        local port = listener:port()
        listener:close()
        local err = check(expect.fails("system", conn:dial("127.0.0.1", port)))
        assert.equal(111, err.errno)
        assert.truthy(err.message:find(tostring(port), 1, true), err.message)
    end)

    it("is what conn:error() returns afterwards", function()
        local c, _, client = pair.try {hostname = "elsewhere.example"}
        assert.same(c[3], client:error())
        local again = table.pack(client:connect())
        assert.is_nil(again[1])
        assert.equal("verify", again[3].code)
        assert.equal("verify", client:error().code)
        client:clear()
        assert.equal("before", client:state())
    end)

    it("is not made by waits and ends", function()
        local client, server = pair.connect()
        expect.word("want_read", client:read())
        assert.is_nil(client:error())
        server:shutdown()
        expect.word("closed", client:read())
        assert.is_nil(client:error())
    end)

    it("that is raised has the same shape where the core raised it", function()
        local conn = pair.client():connection()
        local ok, raised = pcall(conn.read, conn)
        assert.is_false(ok)
        if type(raised) == "table" then assert.equal("usage", raised.code) end
        assert.truthy(tostring(raised):match "handshake")
    end)
end)

describe("the errors of many connections", function()
    it("are not mixed up", function()
        local good_client, good_server = pair.connect()
        local context = pair.server()
        for i = 1, 10 do
            local bad = context:connection()
            bad:set_blocking(false)
            bad:set_memory()
            bad:feed(("GET / HTTP/1.%d\r\n\r\n"):format(i % 10))
            local err = expect.fails("tls", bad:accept())
            assert.truthy(err.reason:match "http request", err.reason)
            expect.word("want_read", good_client:read())
            assert.equal("x", pair.send(good_client, good_server, "x"))
            expect.fails("input", tls.context {role = "client", ca = p.garbage})
            assert.equal("y", pair.send(good_server, good_client, "y"))
            assert.is_nil(good_client:error())
            assert.is_nil(good_server:error())
            assert.equal(err.message, bad:error().message)
        end
    end)

    it("do not mix while their handshakes interleave", function()
        local server = pair.server()
        local all = {}
        for i = 1, 12 do
            local bad = i % 3 == 0
            local client, peer = pair.join {server = server,
                client = pair.client(bad and {ca = p.other_ca_file} or {})}
            all[i] = {bad = bad, client = client, server = peer, c = {nil, "want_read"},
                s = {nil, "want_read"}}
        end
        for _ = 1, 10 do
            for _, one in ipairs(all) do
                if one.c[2] == "want_read" then one.c = table.pack(one.client:connect()) end
            end
            for _, one in ipairs(all) do
                if one.s[2] == "want_read" then one.s = table.pack(one.server:accept()) end
            end
        end
        for i, one in ipairs(all) do
            assert.equal(not one.bad, one.c[1] == true, i)
            assert.equal(not one.bad, one.s[1] == true, i)
            if one.bad then
                expect.fails("verify", table.unpack(one.c, 1, 3))
                expect.fails("alert", table.unpack(one.s, 1, 3))
            end
        end
    end)
end)

-- what each end sends in a whole handshake and one exchange, in the order of sending: {"client" or
-- "server", bytes}
local function script(options)
    local ends = {
        client = pair.client(options.client):connection(),
        server = pair.server(options.server):connection(),
    }
    local flights = {}
    for _, conn in pairs(ends) do
        conn:set_blocking(false)
        conn:set_memory()
    end
    ends.client:set_hostname "localhost"
    local function step(name)
        local conn = ends[name]
        local call = name == "client" and conn.connect or conn.accept
        if not conn:handshake_done() then call(conn) else conn:read() end
        local bytes = conn:drain()
        if bytes ~= "" then
            flights[#flights + 1] = {name, bytes}
            ends[name == "client" and "server" or "client"]:feed(bytes)
        end
        return #bytes
    end
    repeat until step "client" + step "server" == 0
    return flights
end

-- A fresh connection that meets the recorded flights of its peer up to k bytes of them, then what
-- `ending` does.
local function meet(name, options, k, ending)
    local mine = name == "client" and pair.client(options.client):connection() or
        pair.server(options.server):connection()
    local peer = name == "client" and pair.server(options.server):connection() or
        pair.client(options.client):connection()
    for _, conn in ipairs {mine, peer} do
        conn:set_blocking(false)
        conn:set_memory()
    end
    if name == "client" then mine:set_hostname "localhost" else peer:set_hostname "localhost" end
    local function go(conn)
        if conn:handshake_done() then return conn:read() end
        return conn[conn:is_server() and "accept" or "connect"](conn)
    end
    local left, result = k, nil
    for _ = 1, 10 do
        result = table.pack(go(mine))
        peer:feed(mine:drain())
        go(peer)
        local bytes = peer:drain()
        mine:feed(bytes:sub(1, left))
        left = left - #bytes
        if left <= 0 then
            mine:feed((ending.bytes or ""))
            if ending.eof then mine:feed_eof() end
            result = table.pack(go(mine))
            if mine:handshake_done() and result[1] then result = table.pack(go(mine)) end
            break
        end
        if bytes == "" then break end
    end
    return mine, result
end

for _, version in ipairs(pair.VERSIONS) do
    local options = {
        client = {max_version = version, certificate = p.client_cert, private_key = p.client_key},
        server = {verify = "required", ca = p.ca_file},
    }
    local function length_of(name)
        local n = 0
        for _, flight in ipairs(script(options)) do
            if flight[1] ~= name then n = n + #flight[2] end
        end
        return n
    end

    describe("a peer that goes away, " .. version, function()
        for _, name in ipairs {"client", "server"} do
            it("leaves a truncated " .. name .. ", after any byte", function()
                local total = length_of(name)
                assert.is_true(total > 500)
                options.client = pair.client(options.client)
                options.server = pair.server(options.server)
                for k = 0, total - 1, 29 do
                    local conn, result = meet(name, options, k, {eof = true})
                    expect.word("truncated", table.unpack(result, 1, 3))
                    if not conn:handshake_done() then
                        if conn:version() or conn:peer_certificates() then
                            error("a lie after byte " .. k)
                        end
                        expect.word("truncated",
                            conn[name == "client" and "connect" or "accept"](conn))
                    end
                    tostring(conn)
                    conn:free()
                end
            end)

            it("or sends garbage fails the " .. name .. " alone, after any byte", function()
                local total = length_of(name)
                options.client = pair.client(options.client)
                options.server = pair.server(options.server)
                local good_client, good_server = pair.connect(options)
                for k = 0, total - 1, 61 do
                    local conn, result = meet(name, options, k,
                        {bytes = ("\255"):rep(20000), eof = true})
                    local code = result[3] and result[3].code
                    if code ~= "tls" and code ~= "alert" and code ~= "verify" then
                        expect.word("truncated", table.unpack(result, 1, 3))
                    end
                    conn:free()
                    if pair.send(good_client, good_server, "x") ~= "x" then
                        error("another connection was hurt after byte " .. k)
                    end
                end
            end)
        end
    end)

    describe("a bit flipped on the wire, " .. version, function()
        it("ends the connection with an alert, and no wrong byte is read", function()
            for at = 0, 60, 15 do
                local client, server = pair.fed {client = {max_version = version}}
                client:read()
                client:write(("secret "):rep(10))
                local bytes = client:drain()
                local where = 6 + at
                server:feed(bytes:sub(1, where - 1) .. string.char(bytes:byte(where) ~ 1) ..
                    bytes:sub(where + 1))
                local err = expect.fails("tls", server:read())
                assert.equal("bad_record_mac", err.alert)
                assert.is_false(err.alert_received)
                client:feed(server:drain())
                err = expect.fails("alert", client:read())
                assert.equal("bad_record_mac", err.alert)
                assert.is_true(err.alert_received)
                assert.equal("failed", server:state())
                assert.equal("failed", client:state())
            end
        end)
    end)
end

describe("garbage instead of a ClientHello", function()
    local cases = {
        http = "GET / HTTP/1.1\r\n\r\n", proxy = "CONNECT a:1 HTTP/1.1\r\n\r\n",
        ssh = "SSH-2.0-OpenSSH_9.2\r\n",
        zeros = ("\0"):rep(1000), ones = ("\255"):rep(1000),
        sslv2 = "\128\46\1\0\2\0\21\0\0\0\16" .. ("x"):rep(37),
        alert = "\21\3\1\0\2\2\40", warning = ("\21\3\1\0\2\1\90"):rep(10),
        longrecord = "\22\3\1\255\255" .. ("x"):rep(30000),
        emptyrecords = ("\22\3\1\0\0"):rep(100), hello0 = "\22\3\1\0\4\1\0\0\0",
        hugehello = "\22\3\1\0\4\1\255\255\255",
        applicationdata = "\23\3\3\0\5hello", ccs = ("\20\3\3\0\1\1"):rep(100),
    }
    for name, bytes in pairs(cases) do
        it("is refused: " .. name, function()
            for _, context in ipairs {pair.server(), pair.client()} do
                local conn = context:connection()
                conn:set_blocking(false)
                conn:set_memory()
                if not conn:is_server() then conn:set_hostname "localhost" end
                local call = conn:is_server() and conn.accept or conn.connect
                call(conn)
                conn:drain()
                conn:feed(bytes)
                conn:feed_eof()
                local result, message = call(conn)
                assert.is_nil(result)
                assert.is_string(message)
                assert.not_equal("want_read", message)
                assert.not_equal("closed", message)
                assert.equal(false, conn:handshake_done())
                tostring(conn)
            end
        end)
    end
end)
