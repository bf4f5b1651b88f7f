-- address_spec.lua: tests addresses as text. Every call that takes a host accepts what another call
-- prints, and all of them refuse what is no address.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local p = pki.get()

-- An address of this machine that is good on one of its links only, with the link: "fe80::1%eth0".
local function scoped()
    for line in (process.slurp "/proc/net/if_inet6" or ""):gmatch "[^\n]+" do
        local digits, scope, link = line:match "^(%x+) %x+ %x+ (%x+) %x+ +(%S+)$"
        if scope == "20" then
            return (digits:gsub("%x%x%x%x", "%0:", 7):gsub("0000", "0"):gsub(":0+(%x)", ":%1")) ..
                "%" .. link
        end
    end
end

local function answers(host)
    local listener = tls.listen(host, 0)
    if listener then listener:close() end
    return listener ~= nil
end

local hosts = {{"127.0.0.1"}}
if answers "::1" then
    hosts[2] = {"::1"}
    local link = scoped()
    if link and answers(link) then hosts[3] = {link, shown = "fe80::[%x:]+%%%S+"} end
end

-- Of what may listen on a port that a client has just had, which is not free yet.
local function opened(object, message, err)
    if not object and err.errno ~= 98 then error(message) end
    return object
end

-- Each takes a text, and what is to come of it: the host, and the port or nil. A text without a
-- port is given one.
local consumers = {
    dial = function(text, host, port, of_client)
        if of_client then return end -- nobody listens there
        local listener <close> = assert(tls.listen(host, port or 0))
        local conn <close> = pair.client():connection()
        assert.is_true(conn:dial(text, not port and listener:port() or nil))
        assert.equal(host:lower(), conn:hostname():lower())
    end,
    listen = function(text, _, port)
        local listener <close> = opened(tls.listen(text, not port and 0 or nil))
        if listener and port then assert.equal(tonumber(port), listener:port()) end
    end,
    set_hostname = function(text, host)
        local conn <close> = pair.client():connection()
        assert.is_true(conn:set_hostname(text))
        assert.equal(host, conn:hostname())
    end,
    split_address = function(text, host, port)
        local found = {tls.split_address(text)}
        assert.same({host, port}, found)
    end,
    redis = function(text)
        assert.is_not_nil(tls.redis {host = text})
    end,
}
if serving.has_luv then
    function consumers.serve(text, _, port)
        if not port and text:match "^[^%[]*:" then text = "[" .. text .. "]" end
        local server = opened(tls.server {
            address = port and text or text .. ":0", handler = function() end,
            context = {certificate = p.server_cert_file, private_key = p.server_key_file},
        })
        if not server then return end
        if port then assert.equal(tonumber(port), server:ports()[1]) end
        server:stop(0)
        require "luv".run()
    end
end

-- both ends of a connection to host, closed, and what they said of each other
local function printed(host)
    local listener <close> = assert(tls.listen(host, 0))
    local client <close> = pair.client():connection()
    assert.is_true(client:dial(host, listener:port()))
    local server <close> = assert(listener:accept(pair.server(), 5))
    return client:peer_address(), server:peer_address(), client:hostname()
end

describe("an address", function()
    for _, case in ipairs(hosts) do
        local host = case[1]
        local bracketed = host:find(":", 1, true) and "[" .. host .. "]" or host
        for name, consume in pairs(consumers) do
            it(("%s is taken by %s as every call prints it"):format(bracketed, name), function()
                local server, client, alone = printed(host)
                for i, text in ipairs {server, client} do
                    local of, port = text:match "^%[?([^%]]+)%]?:(%d+)$"
                    assert.truthy(of == host or case.shown and
                        of:match("^" .. case.shown .. "$"), text)
                    consume(text, of, port, i == 2)
                end
                consume(alone, alone, nil)
                consume(bracketed, host, nil)
            end)
        end
    end

    it("is refused with two ports, and without one where it needs one", function()
        local conn = pair.client():connection()
        for _, call in ipairs {tls.listen, function(...) return conn:dial(...) end} do
            expect.raises("names a port", call, "127.0.0.1:443", 443)
            expect.raises("names no port", call, "127.0.0.1")
        end
        expect.raises("names no port", tls.listen, nil)
        expect.raises("names no host", conn.dial, conn, ":443")
        expect.raises("names no host", conn.set_hostname, conn, ":443")
    end)

    it("may mean every address of the machine, for a listener", function()
        assert.same({nil, "8443"}, {tls.split_address ":8443"})
        local listener <close> = assert(tls.listen ":0")
        local conn <close> = pair.client():connection()
        assert.is_true(conn:dial("127.0.0.1", listener:port()))
    end)

    it("may name its port by a service", function()
        assert.same({"localhost", "https"}, {tls.split_address "localhost:https"})
        assert.same({"a.example.", "whois++"}, {tls.split_address "a.example.:whois++"})
        local conn = pair.client():connection()
        expect.fails("resolve", conn:dial("127.0.0.1", "no-such-service"))
    end)

    it("is compared with a certificate without its zone (fe80::1%eth0)", function()
        local base = process.directory() .. "/scoped"
        local code, output = process.run {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=scoped", "-addext",
            "subjectAltName=IP:fe80::1", "-keyout", base .. ".key", "-out", base .. ".pem"}
        assert.equal(0, code, output)
        local server = {certificate = base .. ".pem", private_key = base .. ".key"}
        for name, good in pairs {["fe80::1%lo"] = true, ["[fe80::1%lo]:443"] = true,
            ["fe80::2%lo"] = false} do
            local client, _, conn = pair.try {client = {ca = base .. ".pem"}, server = server,
                hostname = name}
            assert.equal(good, client[1] == true, client[2])
            assert.equal(name:match "fe80::%d%%lo", conn:hostname())
        end
    end)

    it("keeps the case of a zone's name, but not of a host's", function()
        local conn = pair.client():connection()
        conn:set_hostname "FE80::A%Up0"
        assert.equal("fe80::a%Up0", conn:hostname())
        conn:set_hostname "A.Example.:443"
        assert.equal("a.example", conn:hostname())
    end)
end)

describe("what cannot be a host", function()
    local bad = {
        "", "a b", "a/b", "[::1", "::1]", "[::1]]", "[]", "[127.0.0.1]", "[localhost]", "a:b:c",
        "127.0.0.1:", "localhost:",
        -- an IPv6 address without brackets has no port, whether or not it would be one with it
        "::1:44300", "fe80::1:12345", "fe80::1%lo:443", "1:2:3:4:5:6:7:8:443", "::1.2.3.4:443",
        "::1:https",
        "a:70000", "a:-1", "a:4 3", "%lo", "fe80::1%", "fe80::1%a/b", "fe80::1%a]:1",
        "fe80::1%abcdefghijklmnop", "127.0.0.1%lo",
        "1.2.3.4.:x/y", "b\195\188cher.example", "a..b", "user@a.example", "https://a.example",
        "*.a.example", "a\n", ("x"):rep(64)}
    local conn = pair.client():connection()
    local calls = {
        dial = function(text) return conn:dial(text, 443) end,
        listen = function(text) return tls.listen(text, 0) end,
        set_hostname = function(text) return conn:set_hostname(text) end,
        split_address = tls.split_address,
        redis = function(text) return tls.redis {host = text} end,
        server_names = function(text)
            return assert(tls.context {role = "server",
                server_names = {["*." .. text] = pair.server()}})
        end,
        server = function(text) return tls.server {address = text .. ":1", context = {},
            handler = print} end,
    }
    for name, call in pairs(calls) do
        if name ~= "server" or serving.has_luv then
            it("is a mistake of the program, which " .. name .. " raises", function()
                for _, text in ipairs(bad) do
                    -- ":1" is every address, for a server
                    if text ~= "" or name ~= "server" then
                        expect.refused(("%q"):format(text), call, text)
                    end
                end
            end)
        end
    end

    it("is refused with a port above 65535, as a number or as text", function()
        for _, port in ipairs {65536, "65536", "70000", "99999999999999999999", -1, "-1", "",
            "4 3"} do
            expect.refused(port, conn.dial, conn, "127.0.0.1", port)
            expect.refused(port, tls.listen, "127.0.0.1", port)
        end
    end)
end)

describe("a server name", function()
    it("is not an IP address, which no client sends", function()
        for _, name in ipairs {"127.0.0.1", "::1", "[::1]", "fe80::1%lo", "*.127.0.0.1"} do
            expect.raises("IP address is never sent", tls.context,
                {role = "server", server_names = {[name] = pair.server()}})
        end
    end)
end)
