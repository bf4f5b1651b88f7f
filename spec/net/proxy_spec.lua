-- proxy_spec.lua: tests the PROXY protocol in front of TLS. Headers are right, wrong, cut, too long
-- or forged, and come from sources that may send them or not, from HAProxy and from curl.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local SIGNATURE <const> = "\r\n\r\n\0\r\nQUIT\n"

local function v2(command, kind, rest, len)
    return SIGNATURE .. string.char(command, kind) .. (">I2"):pack(len or #rest) .. rest
end

local IPV4 <const> = "\192\0\2\1" .. "\192\0\2\2" .. (">I2I2"):pack(56324, 443)
local IPV6 <const> = "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\1" .. ("\0"):rep(16)
    .. (">I2I2"):pack(56324, 443)
local UNIX <const> = "/tmp/x" .. ("\0"):rep(210)

local server_context

-- A client of a listener with these options, and its connection there, which does not wait.
local function connected(options, every)
    options = options or {proxy_protocol = true, proxy_from = {"127.0.0.1", "::1"}}
    local listener <close> = assert(tls.listen(not every and "127.0.0.1" or nil, 0, options))
    local client = pair.client():connection()
    client:set_timeout(20)
    client:set_hostname "localhost"
    assert(client:dial("127.0.0.1", listener:port()))
    server_context = server_context or pair.server()
    local server = assert(listener:accept(server_context, 20))
    server:set_blocking(false)
    return client, server
end

-- The results of reading what comes after a header, when it has come.
local function read(server)
    local results
    serving.eventually(20, function()
        results = table.pack(server:plain_read())
        return results[2] ~= "want_read"
    end)
    return table.unpack(results, 1, results.n)
end

local function judge(header, options)
    local client, server = connected(options)
    client:plain_write(header .. "!")
    client:close_transport()
    local got, why, err = read(server)
    if got then assert.equal("!", got) end
    return got and server:peer_address(), why, err, got and server:proxy_address()
end

local GOOD = {
    {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1:56324"},
    {"PROXY TCP6 2001:db8::1 :: 56324 443\r\n", "[2001:db8::1]:56324"},
    {"PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n", "192.0.2.1:0"},
    {"PROXY UNKNOWN\r\n"},
    {"PROXY UNKNOWN " .. ("f"):rep(91) .. "\r\n"},
    {v2(0x21, 0x11, IPV4), "192.0.2.1:56324"},
    {v2(0x21, 0x21, IPV6), "[2001:db8::1]:56324"},
    {v2(0x21, 0x11, IPV4 .. "\4\0\3abc" .. "\5\0\0"), "192.0.2.1:56324"},
    {v2(0x21, 0x11, IPV4 .. "\4" .. (">I2"):pack(2017) .. ("x"):rep(2017)), "192.0.2.1:56324"},
    {v2(0x20, 0x00, "")},
    {v2(0x20, 0x11, IPV4)},
    {v2(0x21, 0x00, "")},
    {v2(0x21, 0x31, UNIX)},
}

local WRONG = {
    "PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
    "PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
    "PROXY TCP4 010.0.0.1 192.0.2.2 1 443\r\n",
    "PROXY TCP4 2001:db8::1 :: 56324 443\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n",
    "PROXY TCP5 192.0.2.1 192.0.2.2 1 443\r\n",
    "PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n", "PROXY TCP4 localhost 192.0.2.2 56324 443\r\n",
    "PROXY TCP4 192.0.2.1\0 192.0.2.2 56324 443\r\n", "PROXY TCP6 fe80::1%lo :: 56324 443\r\n",
    "PROXY UNKNOWNS\r\n",
    "PROXY UNKNOWN\0\r\n", "PROXY UNKNOWN " .. ("f"):rep(92) .. "\r\n", "PROXY " .. ("x"):rep(1000),
    "PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n",
    "proxy TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", " PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n\r\n",
    "\22\3\1\2\0\1\0\1", "\r\n", "\0",
    v2(0x11, 0x11, IPV4), v2(0x22, 0x11, IPV4), v2(0x31, 0x11, IPV4), v2(0x21, 0x12, IPV4),
    v2(0x21, 0x41, IPV4), v2(0x21, 0x10, IPV4),
    v2(0x21, 0x11, IPV4:sub(2)), v2(0x21, 0x21, IPV4), v2(0x21, 0x31, IPV6),
    v2(0x21, 0x11, IPV4, 0), v2(0x21, 0x11, IPV4, 2033),
    v2(0x21, 0x11, IPV4, 65535), v2(0x20, 0x00, "", 65535), v2(0x21, 0x11, IPV4 .. "\4"),
    v2(0x21, 0x11, IPV4 .. "\4\0\1"),
    v2(0x21, 0x11, IPV4 .. "\4\255\255x"),
    SIGNATURE:sub(1, 11) .. "\r" .. v2(0x21, 0x11, IPV4):sub(13),
}

describe("a PROXY header", function()
    it("names the client", function()
        for _, case in ipairs(GOOD) do
            local address, why, _, proxy = judge(case[1])
            assert.truthy(address, ("%q: %s"):format(case[1], why))
            assert.truthy(proxy:find "^127%.0%.0%.1:%d+$")
            assert.equal(case[2] or proxy, address)
        end
    end)

    it("that is none, wrong or too long ends the connection, with the reason", function()
        for _, header in ipairs(WRONG) do
            local address, why, err = judge(header)
            assert.is_nil(address, ("%q"):format(header))
            assert.truthy(why:find "PROXY header", ("%q: %s"):format(header, why))
            assert.equal("tls", err.code)
        end
    end)

    it("with any byte changed is refused, or names another client",
        function()
        for _, case in ipairs {GOOD[1], GOOD[6]} do
            for at = 1, #case[1] do
                local byte = string.char(case[1]:byte(at) ~ (at % 3 == 0 and 128 or 1))
                local forged = case[1]:sub(1, at - 1) .. byte .. case[1]:sub(at + 1)
                local address, why = judge(forged)
                if not address then assert.truthy(why:find "PROXY header", why) end
                -- the addresses and ports of the proxy are in the header, too
                local other = address and address ~= case[2]
                local theirs = case == GOOD[1] and at > 22 or case == GOOD[6] and at > 20
                assert(not address or other or theirs, ("byte %d: %q"):format(at, forged))
            end
        end
    end)

    it("may be cut anywhere: then it is none", function()
        for _, case in ipairs {GOOD[1], GOOD[4], GOOD[6], GOOD[8]} do
            for len = 0, #case[1] - 1 do
                local client, server = connected()
                client:plain_write(case[1]:sub(1, len))
                expect.word("want_read", server:plain_read())
                client:close_transport()
                local got, why = read(server)
                assert.is_nil(got)
                assert.truthy(why:find("an end of its stream within the PROXY header", 1, true),
                    why)
                assert.equal(why, select(2, server:accept())) -- again, and at every call
                client:free()
            end
        end
    end)

    it("may come byte by byte, with TLS behind it in the same segment", function()
        for _, case in ipairs {GOOD[2], GOOD[5], GOOD[7]} do
            local client, server = connected()
            for i = 1, #case[1] - 1 do
                client:plain_write(case[1]:sub(i, i))
                expect.word("want_read", server:accept())
                assert.truthy(server:peer_address():find "^127%.0%.0%.1:")
                assert.is_nil(server:proxy_address())
            end
            client:plain_write(case[1]:sub(-1))
            client:set_blocking(false)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], c[2] or s[2])
            assert.equal("in TLS", pair.send(client, server, "in TLS"))
            assert.equal(case[2] or server:proxy_address(), server:peer_address())
            client:free()
            server:free()
        end
    end)

    it("that comes twice, or unasked, is named in the failure", function()
        for _, case in ipairs {GOOD[1], GOOD[6]} do
            for _, options in ipairs {{proxy_protocol = true, proxy_from = {"127.0.0.1"}}, {}} do
                local client, server = connected(options)
                client:plain_write(case[1]:rep(options.proxy_from and 2 or 1))
                local results
                serving.eventually(20, function()
                    results = table.pack(server:accept())
                    return results[2] ~= "want_read"
                end)
                assert.truthy(results[2]:find "PROXY protocol", results[2])
                client:free()
            end
        end
    end)

    it("has the version that was asked for", function()
        local from = {"127.0.0.1"}
        assert.equal("192.0.2.1:56324", (judge(GOOD[1][1], {proxy_protocol = "v1",
            proxy_from = from})))
        assert.equal("192.0.2.1:56324", (judge(GOOD[6][1], {proxy_protocol = "v2",
            proxy_from = from})))
        assert.is_nil((judge(GOOD[1][1], {proxy_protocol = "v2", proxy_from = from})))
        assert.is_nil((judge(GOOD[6][1], {proxy_protocol = "v1", proxy_from = from})))
        assert.truthy(judge("", {proxy_protocol = false}):find "^127%.0%.0%.1:") -- none at all
    end)

    it("comes before what unread gives back, and before a write", function()
        local client, server = connected()
        client:plain_write(GOOD[1][1])
        serving.eventually(20, function() return server:plain_write "220\n" end)
        assert.equal("220\n", client:plain_read())
        assert.equal(GOOD[1][2], server:peer_address())
        server:close_transport()
        assert.is_nil(server:peer_address())
        assert.is_nil(server:proxy_address())
    end)

    for _, driver in ipairs(loops.drivers) do
        if driver.yields then
            it("is waited for in a coroutine of " .. driver.name, function()
                local client, server = connected()
                server:set_blocking(true)
                server:set_timeout(20)
                local got
                loops.run(driver, function(spawn, sleep)
                    spawn(function() got = server:accept() and server:read() end)
                    spawn(function()
                        client:plain_write(GOOD[1][1]:sub(1, 9))
                        sleep(0.01)
                        client:plain_write(GOOD[1][1]:sub(10))
                        assert(client:connect())
                        client:write "in TLS"
                    end)
                end)
                assert.equal("in TLS", got)
                assert.equal(GOOD[1][2], server:peer_address())
            end)
        end
    end
end)

describe("the sources of PROXY headers", function()
    local function from(...)
        local address, why = judge(GOOD[1][1], {proxy_protocol = true, proxy_from = {...}})
        if not address then assert.truthy(why:find "none of the proxies", why) end
        return address == GOOD[1][2]
    end

    it("are addresses and networks, and no other source is accepted", function()
        assert.is_true(from "127.0.0.1")
        assert.is_true(from("10.0.0.0/8", "127.0.0.0/8"))
        assert.is_true(from "0.0.0.0/0")
        assert.is_true(from "127.0.0.0/31")
        assert.is_false(from "127.0.0.2/31")
        assert.is_false(from "127.0.0.2")
        assert.is_false(from "10.0.0.0/8")
        assert.is_false(from "::/0")
        assert.is_false(from "unix")
    end)

    it("are found behind a socket for both families", function()
        for source, good in pairs {["127.0.0.1"] = true, ["127.0.0.2"] = false, ["::/0"] = false} do
            local client, server = connected({proxy_protocol = true, proxy_from = {source}}, true)
            client:plain_write(GOOD[1][1] .. "!")
            assert.equal(good and "!" or nil, (read(server)))
            client:free()
        end
    end)

    it("over a Unix socket are all clients that may connect", function()
        local name = "unix:" .. process.directory() .. "/proxied"
        local listener <close> = assert(tls.listen(name, nil, {proxy_protocol = true,
            proxy_from = {"unix"}}))
        local client <close> = pair.client():connection()
        assert(client:dial(name))
        local server <close> = assert(listener:accept(pair.server(), 20))
        client:plain_write(GOOD[2][1] .. "!")
        assert.equal("!", server:plain_read())
        assert.equal(GOOD[2][2], server:peer_address())
        assert.is_nil(server:proxy_address())
    end)

    it("must be given, and must be valid", function()
        for _, bad in ipairs {{}, {"x"}, {"localhost"}, {"10.0.0.1/8"}, {"10.0.0.0/33"}, {"::/129"},
            {"1.2.3.4/"}, {"/8"}, {1}, {true},
            {"127.0.0.1:80"}, {"[::1]"}, {"::1%lo"}, {"10.0.0.0/-1"}, {"10.0.0.0/ 8"},
                {"10.0.0.0/08888"}, {"a\0b"}, "127.0.0.1",
            1, true} do
            expect.refused("a source", tls.listen, "127.0.0.1", 0, {proxy_protocol = true,
                proxy_from = bad})
        end
        expect.refused("no source", tls.listen, "127.0.0.1", 0, {proxy_protocol = true})
        expect.refused("no protocol", tls.listen, "127.0.0.1", 0, {proxy_from = {"127.0.0.1"}})
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        for _, bad in ipairs {"v3", "", 1, {}, "V1"} do
            expect.refused("a version", listener.set_proxy_protocol, listener, bad, {"127.0.0.1"})
        end
        listener:set_proxy_protocol(true, {"127.0.0.1"})
        listener:set_proxy_protocol(false)
        for _, options in ipairs {{proxy_protocol = true}, {proxy_from = {"127.0.0.1"}}} do
            options.address, options.context, options.handler = ":0", {}, print
            expect.raises("belong together", tls.server, options)
        end
    end)
end)

-- A field.
local function tlv(kind, value)
    return string.char(kind) .. (">I2"):pack(#value) .. value
end

local function crc32c(bytes)
    local crc = 0xffffffff
    for i = 1, #bytes do
        crc = crc ~ bytes:byte(i)
        for _ = 1, 8 do crc = (crc >> 1) ~ (crc & 1 ~= 0 and 0x82f63b78 or 0) end
    end
    return crc ~ 0xffffffff
end

-- A header whose checksum, somewhere in the middle, is right; or wrong by so much.
local function checked(before, after, wrong)
    local zeros = v2(0x21, 0x11, IPV4 .. before .. tlv(3, "\0\0\0\0") .. after)
    local sum = (">I4"):pack(crc32c(zeros) ~ (wrong or 0))
    return v2(0x21, 0x11, IPV4 .. before .. tlv(3, sum) .. after)
end

local SSL <const> = tlv(0x20, "\7\0\0\0\0" .. tlv(0x21, "TLSv1.3") .. tlv(0x22, "a client") ..
    tlv(0x25, "EC256") .. tlv(0x24, "SHA256") .. tlv(0x23, "TLS_AES"))

describe("the fields of a PROXY header", function()
    local function fields_of(header, ...)
        local client, server = connected()
        client:plain_write(header .. "!")
        assert.is_nil(server:proxy_tlv "ssl")
        assert.equal("!", (read(server)))
        local values = {}
        for i, kind in ipairs {...} do values[i] = server:proxy_tlv(kind) or false end
        client:free()
        return values, server
    end

    it("are given by name and by number", function()
        local header = v2(0x21, 0x11, IPV4 .. tlv(4, "") .. tlv(2, "a.example") .. tlv(1, "h2") ..
            tlv(4, "pad") .. tlv(5, "id\0") .. SSL .. tlv(0x30, "blue") .. tlv(0xea, "x") ..
            tlv(0xea, "y") .. tlv(0xff, ""))
        local values, server = fields_of(header, "authority", "alpn", "unique_id", "ssl_version",
            "ssl_cn", "ssl_cipher", "ssl_sig_alg", "ssl_key_alg", "netns", "crc32c", 0xea, 0xff,
            0xe0, 2, 0x22)
        assert.same({"a.example", "h2", "id\0", "TLSv1.3", "a client", "TLS_AES", "SHA256",
            "EC256", "blue", false, "x", "", false, "a.example", "a client"}, values)
        local flags, verified = (">B I4"):unpack(server:proxy_tlv "ssl")
        assert.same({7, 0}, {flags, verified})
        for _, bad in ipairs {"sslcn", "", -1, 256, 1.5, {}, true} do
            expect.refused(bad, server.proxy_tlv, server, bad)
        end
        server:close_transport()
        assert.is_nil(server:proxy_tlv "alpn")
    end)

    it("are none in version 1, and where the proxy speaks for itself", function()
        for _, header in ipairs {GOOD[1][1], v2(0x20, 0x11, IPV4 .. tlv(2, "x")),
            v2(0x21, 0x11, IPV4)} do
            assert.same({false, false}, (fields_of(header, "authority", 4)))
        end
    end)

    it("may have a checksum, which must be right", function()
        for _, place in ipairs {{"", ""}, {tlv(2, "a.example"), SSL}, {SSL, ""}, {"", SSL}} do
            assert.truthy(judge(checked(place[1], place[2])))
            for bit = 0, 31, 7 do
                local _, why, err = judge(checked(place[1], place[2], 1 << bit))
                assert.truthy(why and why:find "whose checksum is wrong", why)
                assert.equal("tls", err.code)
            end
        end
        -- each byte of the header counts
        local good = checked(tlv(2, "b"), "")
        for i = 17, #good do
            local bad = good:sub(1, i - 1) .. string.char(good:byte(i) ~ 1) .. good:sub(i + 1)
            assert.is_nil((judge(bad)), i)
        end
    end)

    it("end the connection where they are malformed", function()
        for name, fields in pairs {
            ["a short checksum"] = tlv(3, "\0\0\0"), ["a long checksum"] = tlv(3, ("\0"):rep(5)),
            ["two checksums"] = tlv(3, "\0\0\0\0") .. tlv(3, "\0\0\0\0"),
            ["two names"] = tlv(2, "a") .. tlv(2, "b"), ["two of TLS"] = SSL .. SSL,
            ["a long id"] = tlv(5, ("x"):rep(129)), ["a short one of TLS"] = tlv(0x20, "\1\0\0\0"),
            ["a cut one within TLS"] = tlv(0x20, "\1\0\0\0\0\33\0\4abc"),
            ["two common names"] = tlv(0x20, "\7\0\0\0\0" .. tlv(0x22, "a") .. tlv(0x22, "b")),
            ["a common name outside of TLS"] = tlv(0x22, "a"),
            ["a name within TLS"] = tlv(0x20, "\7\0\0\0\0" .. tlv(2, "a")),
            ["TLS within TLS"] = tlv(0x20, "\7\0\0\0\0" .. SSL), ["no length"] = "\2\0",
            ["a lying length"] = "\2\0\9abc", ["a byte behind"] = tlv(2, "a") .. "\4",
        } do
            local address, why, err = judge(v2(0x21, 0x11, IPV4 .. fields))
            assert.is_nil(address, name)
            assert.truthy(why:find "PROXY header", name .. ": " .. why)
            assert.equal("tls", err.code)
        end
        assert.truthy(judge(v2(0x21, 0x11, IPV4 .. tlv(5, ("x"):rep(128)))))
    end)
end)

describe("tls.serve behind a proxy", function()
    local OPTIONS <const> = [[
        proxy_protocol = true, proxy_from = {"127.0.0.1"}, workers = 2,
        handler = function(conn)
            conn:read()
            local text = conn:peer_address() .. " by " .. conn:proxy_address()
            if conn:proxy_tlv "crc32c" then
                local flags, verified = (">B I4"):unpack(conn:proxy_tlv "ssl")
                text = ("%s, %s of %s, %d %d %s, %s"):format(text, conn:proxy_tlv "unique_id",
                    conn:proxy_tlv "authority", flags, verified,
                    tostring(conn:proxy_tlv "ssl_cn"), conn:proxy_tlv "ssl_version")
            end
            local head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            conn:write(head:format(#text, text))
        end,
    ]]
    local server

    setup(function() server = serving.start(OPTIONS, 2) end)
    teardown(function() serving.stop(server) end)

    it("loses a connection with a wrong header alone, and logs why", function()
        for _, wrong in ipairs {"GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1 2 3 4\r\n"} do
            local raw = serving.raw(server.port)
            raw:write(wrong)
            raw:finish()
            raw:close()
        end
        assert.truthy(server:wait_for "the peer sent (.- PROXY header)")
        local conn <close> = assert(serving.context():connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", server.port))
        conn:plain_write(GOOD[2][1])
        assert(conn:connect())
        assert.truthy(serving.ask(conn, "x"):find("[2001:db8::1]:56324 by 127.0.0.1:", 1, true))
        conn:close()
    end)

    it("serves curl --haproxy-protocol", function()
        local code, output = process.run {"curl", "-sS", "--haproxy-protocol", "--cacert",
            pki.ca_file, "--max-time", "60",
            "https://127.0.0.1:" .. server.port .. "/", timeout = 60}
        assert.equal(0, code, output)
        local client, proxy = output:match "^(127%.0%.0%.1:%d+) by (127%.0%.0%.1:%d+)$"
        assert.truthy(client, output)
        assert.equal(client, proxy) -- curl speaks for itself
    end)

    it("serves clients of HAProxy, in both versions and beside its checks", function()
        if not os.execute "command -v haproxy >/dev/null 2>&1" then
            return pending "haproxy is not installed"
        end
        for _, word in ipairs {"send-proxy", "send-proxy-v2"} do
            local port = process.free_port()
            local path = process.spill(("%s/%s.cfg"):format(process.directory(), word), ([[
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
listen one
    bind 127.0.0.1:%d
    server one 127.0.0.1:%d %s check inter 100ms
]]):format(port, server.port, word))
            local haproxy = process.start {"haproxy", "-db", "-f", path, timeout = 60}
            haproxy:wait_for_port(port)
            for _ = 1, 2 do
                local code, output = process.run {"curl", "-sS", "--interface", "127.0.0.5",
                    "--cacert", pki.ca_file, "--max-time", "60",
                    "https://127.0.0.1:" .. port .. "/", timeout = 60}
                assert.equal(0, code, output)
                assert.truthy(output:find "^127%.0%.0%.5:%d+ by 127%.0%.0%.1:%d+$", output)
            end
            haproxy:stop()
        end
    end)

    it("learns from HAProxy which client certificate it has verified", function()
        if not os.execute "command -v haproxy >/dev/null 2>&1" then
            return pending "haproxy is not installed"
        end
        local port = process.free_port()
        local pem = process.spill(process.directory() .. "/front.pem",
            pki.server_cert .. pki.server_key)
        local path = process.spill(process.directory() .. "/ssl-cn.cfg", ([[
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
frontend front
    unique-id-format id-%%pid
    bind 127.0.0.1:%d ssl crt "%s" ca-file "%s" verify optional
    default_backend back
backend back
    server one 127.0.0.1:%d ssl verify none send-proxy-v2-ssl-cn %s
]]):format(port, pem, pki.ca_file, server.port,
            "proxy-v2-options crc32c,authority,unique-id"))
        local haproxy = process.start {"haproxy", "-db", "-f", path, timeout = 60}
        haproxy:wait_for_port(port)
        for _, case in ipairs {
            {"", "1 0 nil"}, -- HAProxy says 0 also where it has verified nothing
            {pki.client_cert_file, "7 0 client"},
        } do
            local words = {"curl", "-sS", "--cacert", pki.ca_file, "--max-time", "60",
                "https://localhost:" .. port .. "/", timeout = 60}
            if case[1] ~= "" then
                table.move({"--cert", case[1], "--key", pki.client_key_file}, 1, 4, #words + 1,
                    words)
            end
            local code, output = process.run(words)
            assert.equal(0, code, output)
            assert.truthy(output:find(", id%-%d+ of localhost, " .. case[2] .. ", TLSv1%.3$"),
                output)
        end
        haproxy:stop()
    end)
end)
