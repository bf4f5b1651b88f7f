-- behaviour.lua: some calls of every function of LuaSec's, and what they return, a line each. The
-- specs run it with LuaSec itself (a stock lua5.4) and with the drop-in, and compare the lines.
--
--     lua5.4 spec/luasec/behaviour.lua DIRECTORY NAMES DH
--     tlslife -l tlslife.luasec spec/luasec/behaviour.lua DIRECTORY NAMES DH
--
-- DIRECTORY has the certificates of spec/support/pki.lua, NAMES is one with names of all kinds, and
-- DH has parameters of Diffie and Hellman's. A fourth argument selects cases by their names. Both
-- ends of a connection are in this process, over loopback.

local socket = require "socket"
local ssl = require "ssl"
local config = require "ssl.config"
local context = require "ssl.context"
local x509 = require "ssl.x509"

local dir = arg[1] .. "/"
local SERVER <const> = {mode = "server", protocol = "any", certificate = dir .. "server.pem",
    key = dir .. "server.key"}
local CLIENT <const> = {mode = "client", protocol = "any", verify = "none"}

local function with(base, changes)
    local made = {}
    for name, value in pairs(base) do made[name] = value end
    for name, value in pairs(changes or {}) do made[name] = value end
    return made
end

local function file(name)
    local handle = assert(io.open(name:find "^/" and name or dir .. name, "rb"))
    local text = handle:read "a"
    handle:close()
    return text
end

-- ------------------------------------------------------------------------------------ connections

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(10)
local _, port = listener:getsockname()

local function sockets()
    local near = assert(socket.tcp())
    near:settimeout(5)
    assert(near:connect("127.0.0.1", port))
    return near, assert(listener:accept())
end

local function wait(conn)
    local want = conn:want()
    if conn:dirty() then return end
    socket.select(want ~= "write" and {conn} or nil, want == "write" and {conn} or nil, 0.05)
end

-- Makes both handshakes, by turns; their results.
local function shake(client, server)
    client:settimeout(0)
    server:settimeout(0)
    local results = {}
    for _ = 1, 400 do
        for i, conn in ipairs {client, server} do
            if not results[i] then
                local ok, why = conn:dohandshake()
                if ok or (why ~= "wantread" and why ~= "wantwrite") then results[i] = {ok, why} end
            end
        end
        if results[1] and results[2] then break end
        wait(results[1] and server or client)
    end
    client:settimeout(5)
    server:settimeout(5)
    return results[1], results[2]
end

local function wrap(client_parameters, server_parameters)
    local near, far = sockets()
    local client = assert(ssl.wrap(near, client_parameters))
    local server = assert(ssl.wrap(far, server_parameters))
    return client, server
end

local function open(client_changes, server_changes)
    local client, server = wrap(with(CLIENT, client_changes), with(SERVER, server_changes))
    local a, b = shake(client, server)
    assert(a and a[1], a and a[2])
    assert(b and b[1], b and b[2])
    -- Takes the tickets of TLS 1.3, so that a close does not reset the connection.
    server:send "x"
    assert(client:receive(1) == "x")
    client:setstats(0, 0)
    server:setstats(0, 0)
    return client, server
end

-- ------------------------------------------------------------------------------------------ cases

local cases = {}

local function case(name, run)
    cases[#cases + 1] = {name, run}
end

-- newcontext and its mistakes
local GOOD <const> = {
    ["nothing but mode and protocol"] = {mode = "client", protocol = "tlsv1_2"},
    ["the old name of any"] = {mode = "client", protocol = "sslv23"},
    ["all options"] = {mode = "client", protocol = "any", options = "all"},
    ["a list of options"] = {mode = "client", protocol = "any", options = {"all", "no_tlsv1"}},
    ["ciphers"] = {mode = "client", protocol = "any", ciphers = "ALL:!ADH:@STRENGTH"},
    ["cipher suites"] = {mode = "client", protocol = "any",
        ciphersuites = "TLS_AES_128_GCM_SHA256"},
    ["a curve"] = {mode = "client", protocol = "any", curve = "secp384r1"},
    ["a list of curves"] = {mode = "client", protocol = "any", curveslist = "P-256:P-384"},
    ["depth"] = {mode = "client", protocol = "any", depth = 3},
    ["a server without a certificate"] = {mode = "server", protocol = "any"},
    ["verification"] = {mode = "server", protocol = "any", verify = {"peer", "client_once"}},
    ["a CA file"] = {mode = "client", protocol = "any", cafile = dir .. "ca.pem"},
    ["a CA directory"] = {mode = "client", protocol = "any", capath = dir},
    ["verifyext"] = {mode = "client", protocol = "any", verify = "peer",
        verifyext = {"lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain"}},
    ["ALPN as a string"] = {mode = "client", protocol = "any", alpn = "h2"},
    ["ALPN as a list"] = {mode = "server", protocol = "any", alpn = {"h2", "http/1.1"}},
    ["a key alone"] = {mode = "client", protocol = "any", key = dir .. "server.key"},
    ["an encrypted key alone"] = {mode = "client", protocol = "any", key = dir .. "encrypted.key",
        password = "secret"},
    ["a certificate alone"] = {mode = "client", protocol = "any",
        certificate = dir .. "server.pem"},
    ["a dhparam function"] = {mode = "server", protocol = "any", dhparam = function() end},
    ["dane"] = {mode = "client", protocol = "any", dane = true},
}
for name, parameters in pairs(GOOD) do
    case("newcontext takes " .. name, function()
        local ctx, message = ssl.newcontext(parameters)
        return type(ctx), message
    end)
end

local BAD <const> = {
    ["no such protocol"] = {mode = "client", protocol = "sslv9"},
    ["no such option"] = {mode = "client", protocol = "any", options = {"all", "none_such"}},
    ["no such verify flag"] = {mode = "client", protocol = "any", verify = {"peer", "none_such"}},
    ["no such verifyext flag"] = {mode = "client", protocol = "any", verifyext = "none_such"},
    ["a password of a wrong type"] = {mode = "client", protocol = "any", key = dir .. "server.key",
        password = 12},
    ["a dhparam that is no function"] = {mode = "server", protocol = "any", dhparam = "x"},
    ["an empty ALPN list"] = {mode = "client", protocol = "any", alpn = {}},
    ["an empty ALPN name"] = {mode = "client", protocol = "any", alpn = {""}},
    ["ALPN of a wrong type"] = {mode = "client", protocol = "any", alpn = 7},
    ["an unknown curve"] = {mode = "client", protocol = "any", curve = "none_such"},
    ["a number for a curve"] = {mode = "client", protocol = "any", curve = -7},
    ["an unknown curve in a list"] = {mode = "client", protocol = "any", curveslist = "none_such"},
    ["the key of another certificate"] = {mode = "server", protocol = "any",
        certificate = dir .. "server.pem", key = dir .. "rsa.key"},
}
for name, parameters in pairs(BAD) do
    case("newcontext refuses " .. name, function()
        local ctx, message = ssl.newcontext(parameters)
        return type(ctx), message
    end)
end

-- where the sentence in brackets is the library's, and only what is before it is compared
local BRACKETED <const> = {
    ["no such key"] = {mode = "client", protocol = "any", key = dir .. "none_such"},
    ["no such certificate"] = {mode = "client", protocol = "any", certificate = dir .. "none_such"},
    ["no such CA"] = {mode = "client", protocol = "any", cafile = dir .. "none_such"},
    ["a wrong password"] = {mode = "client", protocol = "any", key = dir .. "encrypted.key",
        password = "wrong"},
    ["garbage for a key"] = {mode = "client", protocol = "any", key = dir .. "garbage.pem"},
    ["no such cipher"] = {mode = "client", protocol = "any", ciphers = "NONE_SUCH"},
}
for name, parameters in pairs(BRACKETED) do
    case("newcontext refuses " .. name, function()
        local ctx, message = ssl.newcontext(parameters)
        return type(ctx), (message:gsub("%(.*%)$", "(…)"))
    end)
end

case("a password function is called", function()
    local calls = 0
    local ctx = ssl.newcontext {mode = "client", protocol = "any", key = dir .. "encrypted.key",
        password = function() calls = calls + 1; return "secret" end}
    return type(ctx), calls
end)

-- ssl.context by itself
case("the functions of ssl.context", function()
    local ctx = context.create "any"
    return context.setmode(ctx, "client"), context.setcipher(ctx, "HIGH"),
        context.setciphersuites(ctx, "TLS_AES_256_GCM_SHA384"), context.setdepth(ctx, 2),
        context.setverify(ctx, "peer"), context.setoptions(ctx, "all", "no_ticket"),
        context.setcurve(ctx, "P-256"), context.setcurveslist(ctx, "P-256:P-384"),
        context.setalpn(ctx, "\2h2"), context.locations(ctx, dir .. "ca.pem", nil),
        ctx:setverifyext("lsec_continue")
end)
case("context.loadcert, loadkey, checkkey", function()
    local ctx = context.create "any"
    context.setmode(ctx, "server")
    return context.loadkey(ctx, dir .. "server.key", nil),
        context.loadcert(ctx, dir .. "server.pem"), context.checkkey(ctx)
end)
case("context.create of no protocol", function() return context.create "none" end)
case("context.setcipher of none", function()
    local ctx = context.create "any"
    local ok, message = context.setcipher(ctx, "NONE_SUCH")
    return ok, message:match "^[^(]+"
end)
case("tostring of a context", function() return tostring(context.create "any"):match "^[^x]+" end)
case("type of a context", function() return type(context.create "any") end)
case("wrap without a mode", function()
    local near = sockets()
    return ssl.wrap(near, context.create "any")
end)
case("wrap takes the descriptor out of the socket", function()
    local near = sockets()
    local fd = near:getfd()
    local conn = ssl.wrap(near, CLIENT)
    return near:getfd(), conn:getfd() == fd
end)

-- ssl.config
case("config", function()
    local names = {}
    for _, group in ipairs {"algorithms", "capabilities", "options", "protocols"} do
        local found = {}
        for name in pairs(config[group]) do found[#found + 1] = name end
        table.sort(found)
        names[#names + 1] = table.concat(found, " ")
    end
    return table.unpack(names)
end)
case("config.curves", function()
    return config.curves["P-256"], config.curves.secp384r1, config.curves.X25519,
        config.curves.none_such
end)
case("the modules", function()
    return type(ssl._VERSION), type(ssl._COPYRIGHT), ssl.config == config,
        ssl.loadcertificate == x509.load
end)

-- the handshake and its data
for _, protocol in ipairs {"tlsv1_2", "tlsv1_3"} do
    local both = {protocol = protocol}
    case(protocol .. ": send and receive", function()
        local client, server = open(both, both)
        local results = {client:send "one\r\ntwo\nthree"}
        results[#results + 1] = select("#", client:send "x")
        client:close()
        for _, pattern in ipairs {"*l", "*l", 2, "*a"} do
            local got, why, partial = server:receive(pattern)
            results[#results + 1] = ("%s/%s/%s"):format(got, why, partial)
        end
        results[#results + 1] = ("%s/%s/%q"):format(server:receive "*a")
        results[#results + 1] = ("%s/%s/%q"):format(server:receive "*l")
        results[#results + 1] = ("%s/%s/%q"):format(server:receive(3))
        return table.unpack(results)
    end)
    case(protocol .. ": info", function()
        local client, server = open(both, both)
        local found = client:info()
        return found.protocol, found.cipher, found.bits, found.algbits, found.key,
            found.authentication, found.encryption, found.mac, found.export, found.compression,
            server:info "protocol", server:info "cipher", server:info "compression"
    end)
    case(protocol .. ": what is known of the peer", function()
        local client, server = open(both, both)
        return #client:getpeerchain(), type(client:getpeercertificate()),
            type(client:getpeercertificate(2)), client:getpeercertificate(9),
            client:getpeercertificate(0), server:getpeercertificate(),
            client:getpeerverification()
    end)
    case(protocol .. ": a verified peer", function()
        local client = open(with(both, {verify = "peer", cafile = dir .. "ca.pem"}), both)
        return client:getpeerverification()
    end)
    case(protocol .. ": finished messages", function()
        local client, server = open(both, both)
        return client:getfinished() == server:getpeerfinished(),
            client:getpeerfinished() == server:getfinished(), #client:getfinished()
    end)
    case(protocol .. ": keying material", function()
        local client, server = open(both, both)
        local a = client:exportkeyingmaterial("EXPERIMENTAL spec", 32)
        local b = server:exportkeyingmaterial("EXPERIMENTAL spec", 32)
        return a == b, #a, client:exportkeyingmaterial("EXPERIMENTAL spec", 32, "x") == a
    end)
    case(protocol .. ": our own certificates", function()
        local client, server = open(both, both)
        local chain = server:getlocalchain()
        local leaf = client:getpeercertificate()
        return #chain, chain[1]:pem() == leaf:pem(), server:getlocalcertificate():pem() ==
            leaf:pem(), type(client:getlocalcertificate()), server:getlocalcertificate(9),
            select(2, server:getlocalcertificate(0))
    end)
    case(protocol .. ": a client's certificate", function()
        local client, server = open(with(both, {certificate = dir .. "client.pem",
            key = dir .. "client.key"}), with(both, {verify = {"peer", "fail_if_no_peer_cert"},
            cafile = dir .. "ca.pem"}))
        local leaf = server:getpeercertificate()
        return client:getpeerverification(), server:getpeerverification(), leaf:subject()[1].value,
            #server:getpeerchain()
    end)
    case(protocol .. ": lsec_continue tells all errors by depth", function()
        local client = open(with(both, {verify = "peer", verifyext = "lsec_continue",
            cafile = dir .. "other_ca.pem"}), both)
        local ok, errors = client:getpeerverification()
        local seen = {}
        for depth, list in pairs(errors) do
            seen[#seen + 1] = depth .. ": " .. table.concat(list, "; ")
        end
        table.sort(seen)
        return ok, table.unpack(seen)
    end)
    case(protocol .. ": an empty map of names and none", function()
        local client, server = wrap(with(CLIENT, both), with(SERVER, both))
        client:sni "a.example"
        server:sni({}, false)
        local a, b = shake(client, server)
        return a[1], b[1], client:getsniname(), server:getsniname()
    end)
    case(protocol .. ": sni chooses the context", function()
        local client, server = wrap(with(CLIENT, both), with(SERVER, both))
        local other = ssl.newcontext(with(SERVER, {protocol = protocol, key = dir .. "rsa.key",
            certificate = dir .. "rsa.pem"}))
        client:sni "a.example"
        server:sni({["a.example"] = other, ["b.example"] = other}, true)
        local a, b = shake(client, server)
        return a[1], b[1], select(2, client:getpeercertificate():pubkey())
    end)
    case(protocol .. ": strict sni refuses other names", function()
        local client, server = wrap(with(CLIENT, both), with(SERVER, both))
        client:sni "c.example"
        server:sni({["a.example"] = ssl.newcontext(SERVER)}, true)
        local a, b = shake(client, server)
        return a[1], a[2], b[1], type(b[2])
    end)
    case(protocol .. ": ALPN", function()
        local client, server = open(with(both, {alpn = {"a", "b"}}),
            with(both, {alpn = {"b", "a"}}))
        return client:getalpn(), server:getalpn()
    end)
    case(protocol .. ": ALPN by a function", function()
        local seen
        local client, server = open(with(both, {alpn = {"a", "b", "c"}}), with(both,
            {alpn = function(offered) seen = table.concat(offered, " "); return {"c", "b"} end}))
        return client:getalpn(), server:getalpn(), seen
    end)
    case(protocol .. ": ALPN without a common protocol", function()
        local client, server = open(with(both, {alpn = "a"}), with(both, {alpn = {"b"}}))
        return client:getalpn(), server:getalpn()
    end)
    case(protocol .. ": a client that verifies and must not", function()
        local client, server = wrap(with(CLIENT, with(both, {verify = "peer",
            cafile = dir .. "other_ca.pem"})), with(SERVER, both))
        local a = shake(client, server)
        return a[1], a[2]
    end)
    case(protocol .. ": a server that misses a certificate", function()
        local client, server = wrap(with(CLIENT, both), with(SERVER, with(both,
            {verify = {"peer", "fail_if_no_peer_cert"}, cafile = dir .. "ca.pem"})))
        local _, b = shake(client, server)
        return b[1], b[2]
    end)
    case(protocol .. ": timeouts", function()
        local client = open(both, both)
        client:settimeout(0)
        local nothing = {client:receive "*l"}
        client:settimeout(0.01)
        local still = {client:receive(5)}
        client:settimeout(0.02, "t")
        local whole = {client:receive "*a"}
        return nothing[1], nothing[2], nothing[3], still[1], still[2], still[3], whole[1], whole[2],
            client:want(), client:dirty()
    end)
    case(protocol .. ": timeouts that were set before the handshake", function()
        local said = {}
        for _, mode in ipairs {"b", "t", "r"} do
            local client = wrap(with(CLIENT, both), with(SERVER, both))
            said[#said + 1] = client:settimeout(0.02, mode)
            for _ = 1, 2 do
                local ok, why = client:dohandshake()
                said[#said + 1] = ("%s %s"):format(ok, why)
            end
            client:close()
        end
        return table.unpack(said)
    end)
    case(protocol .. ": what was received before a timeout", function()
        local client, server = open(both, both)
        server:send "part"
        client:settimeout(0.05)
        local first = {client:receive "*l"}
        server:send " and rest\nnext"
        client:settimeout(5)
        local second = client:receive("*l", first[3])
        return first[1], first[2], first[3], second, client:receive(4), client:receive(4, "full"),
            client:receive(2, "already")
    end)
    case(protocol .. ": parts of a string are sent", function()
        local client, server = open(both, both)
        local results = {client:send("abcdef", 2, 4), client:send("abcdef", -2),
            client:send("x", 2), client:send "", client:send("abc", 1, -2)}
        client:close()
        results[#results + 1] = ("%s/%s"):format(server:receive "*a")
        return table.unpack(results)
    end)
    case(protocol .. ": statistics", function()
        local client, server = open(both, both)
        client:send "hello"
        local got = server:receive(5)
        local received, _, age = server:getstats()
        local _, sent = client:getstats()
        return got, received, sent, age >= 0, server:setstats(1, 2), (server:getstats())
    end)
    case(protocol .. ": after close", function()
        local client, server = open(both, both)
        local closed = select("#", client:close())
        return closed, client:getfd(), client:want(), client:dirty(),
            select(2, client:send "x"), select(2, client:receive()),
            select(2, client:getpeercertificate()), select(2, client:getpeerverification()),
            select(2, client:info()), tostring(client):match "%((.-)%)$", client:close(),
            server:receive "*l"
    end)
    case(protocol .. ": a stream that is cut", function()
        local near, far = sockets()
        local server = assert(ssl.wrap(far, with(SERVER, both)))
        local fd_client = assert(ssl.wrap(near, with(CLIENT, both)))
        shake(fd_client, server)
        local lent = socket.tcp()
        lent:connect("127.0.0.1", port) -- which makes it one that has shutdown
        listener:accept():close()
        local own = lent:getfd()
        lent:setfd(fd_client:getfd())
        lent:shutdown "send"
        lent:setfd(own)
        return server:receive "*l"
    end)
    case(protocol .. ": an end before the handshake", function()
        local near, far = sockets()
        local server = assert(ssl.wrap(far, with(SERVER, both)))
        near:close()
        server:settimeout(5)
        return server:dohandshake()
    end)
    case(protocol .. ": bytes that are no TLS", function()
        local near, far = sockets()
        local server = assert(ssl.wrap(far, with(SERVER, both)))
        near:send "GET / HTTP/1.0\r\n\r\n"
        server:settimeout(5)
        return server:dohandshake()
    end)
end

case("lsec_continue and no verification", function()
    local client, server = open({verify = "none", verifyext = "lsec_continue"},
        {verify = "none", verifyext = {"lsec_continue", "lsec_ignore_purpose"}})
    local ok, errors = client:getpeerverification()
    return ok, type(errors), server:getpeercertificate(), server:getpeerverification()
end)
case("before the handshake", function()
    local client = wrap(CLIENT, SERVER)
    local text = tostring(client):match "^[^:]+"
    return client:want(), client:dirty(), text, type(client),
        select(2, client:getpeercertificate()),
        select(2, client:getfinished()), select(2, client:send "x"), select(2, client:receive()),
        client:getalpn(), client:getsniname(), client:settimeout(1)
end)
case("versions that have nothing in common", function()
    local client, server = wrap(with(CLIENT, {protocol = "tlsv1_2"}), with(SERVER,
        {protocol = "tlsv1_3"}))
    local a, b = shake(client, server)
    return a[1], a[2], b[1], b[2]
end)
case("several certificates", function()
    local server = {certificate = false, key = false, certificates = {
        {certificate = dir .. "server.pem", key = dir .. "server.key"},
        {certificate = dir .. "rsa.pem", key = dir .. "rsa.key"}}}
    local kinds = {}
    for i, ciphers in ipairs {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"} do
        local client = open({protocol = "tlsv1_2", ciphers = ciphers}, server)
        kinds[i] = select(2, client:getpeercertificate():pubkey())
    end
    return table.unpack(kinds)
end)

-- pre-shared keys, by functions on both sides
for _, protocol in ipairs {"tlsv1_2", "tlsv1_3"} do
    local function meet(client_key, server_psk)
        local seen = {}
        local client, server = wrap({mode = "client", protocol = protocol,
            ciphers = "PSK:@SECLEVEL=0", psk = function(_, identity_max, key_max)
                seen.identity_max, seen.key_max = identity_max, key_max
                return "me", client_key
            end},
            {mode = "server", protocol = protocol, ciphers = "PSK:@SECLEVEL=0",
                psk = server_psk(seen)})
        local a, b = shake(client, server)
        return a[1], b[1], seen.identity, seen.identity_max, seen.key_max, seen.server_max
    end
    local function by_function(seen)
        return function(identity, key_max)
            seen.identity, seen.server_max = identity, key_max
            return identity == "me" and "0123456789abcdef" or nil
        end
    end
    case(protocol .. ": a PSK by functions", function()
        return meet("0123456789abcdef", by_function)
    end)
    case(protocol .. ": a PSK by functions, and a hint", function()
        return meet("0123456789abcdef", function(seen)
            return {hint = "which?", callback = by_function(seen)}
        end)
    end)
    case(protocol .. ": a PSK that the server does not know", function()
        return meet("0123456789abcdef", function() return function() end end)
    end)
    case(protocol .. ": a PSK that is another", function()
        return meet("fedcba9876543210", by_function)
    end)
end
for name, psk in pairs {["a string"] = "x", ["a table without a hint"] = {callback = print},
    ["a table without a function"] = {hint = "x"}, number = 7} do
    for _, mode in ipairs {"client", "server"} do
        case(mode .. ": a PSK by " .. name, function()
            local ctx, message = ssl.newcontext {mode = mode, protocol = "any", psk = psk}
            return type(ctx), message
        end)
    end
end
case("PSK functions of ssl.context", function()
    local ctx = context.create "any"
    context.setmode(ctx, "server")
    return context.setpskhint(ctx, "which?"), context.setserverpskcb(ctx, print),
        context.setclientpskcb(ctx, print)
end)

-- DANE (RFC 7671): a digest of the server's certificate stands for the CAs
local function dane(data)
    local client, server = wrap({mode = "client", protocol = "any", verify = "peer",
        dane = {"no_ee_namechecks"}}, SERVER)
    local set, added = client:setdane "a.example", client:settlsa(3, 0, 1, data)
    local a, b = shake(client, server)
    return set, added, a[1], b[1] == a[1] or b[1], (client:getpeerverification())
end
case("a TLSA record that fits", function()
    local hex = x509.load(file "server.pem"):digest "sha256"
    return dane((hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)))
end)
case("a TLSA record that does not", function() return (select(3, dane(("x"):rep(32)))) end)
case("a TLSA record that is none", function()
    local client = wrap({mode = "client", protocol = "any", dane = true}, SERVER)
    return client:setdane "a.example", client:settlsa(9, 0, 1, "x")
end)
case("context.setdane", function()
    local ctx = context.create "any"
    context.setmode(ctx, "client")
    return context.setdane(ctx), context.setdane(ctx, "no_ee_namechecks"),
        context.setdane(ctx, "none_such")
end)

-- what is left of ssl.context and ssl.core
case("context.setalpncb", function()
    local ctx = assert(ssl.newcontext(SERVER))
    local seen
    local ok = context.setalpncb(ctx, function(wire) seen = wire; return "\1b" end)
    local near, far = sockets()
    local client = assert(ssl.wrap(near, with(CLIENT, {alpn = {"a", "b"}})))
    shake(client, assert(ssl.wrap(far, ctx)))
    return ok, seen, client:getalpn()
end)
case("context.setdhparam", function()
    local client, server = wrap(with(CLIENT, {protocol = "tlsv1_2",
        ciphers = "DHE-RSA-AES128-GCM-SHA256"}), with(SERVER, {protocol = "tlsv1_2",
        certificate = dir .. "rsa.pem", key = dir .. "rsa.key",
        dhparam = function() return file(arg[3]) end}))
    local a, b = shake(client, server)
    return a[1], b[1], client:info "cipher"
end)
case("core.setmethod", function()
    require "ssl.core".setmethod("twice", function(_, n) return 2 * n end)
    return wrap(CLIENT, SERVER):twice(21)
end)
case("core.copyright, core.SOCKET_INVALID", function()
    local core = require "ssl.core"
    return type(core.copyright()), core.SOCKET_INVALID
end)

-- certificates
for _, name in ipairs {"server.pem", "rsa.pem", "ca.pem", "client.pem"} do
    case("x509 of " .. name, function()
        local cert = x509.load(file(name))
        local function text(names)
            local parts = {}
            for i, entry in ipairs(names) do
                parts[i] = ("%s %s=%s"):format(entry.oid, entry.name, entry.value)
            end
            return table.concat(parts, ", ")
        end
        local pem, kind, bits = cert:pubkey()
        return cert:serial(), cert:notbefore(), cert:notafter(), text(cert:subject()),
            text(cert:issuer()), cert:digest(), cert:digest "sha1", cert:digest "sha256",
            cert:digest "sha512", pem, kind, bits, cert:getsignaturename(), cert:pem(),
            cert:validat(os.time()), cert:validat(0), tostring(cert):match "^[^:]+", type(cert)
    end)
end
case("a connection that was never used closes its socket when it is collected", function()
    local near, far = sockets()
    assert(ssl.wrap(near, CLIENT))
    for _ = 1, 2 do collectgarbage() end
    far:settimeout(5)
    return far:receive(1)
end)
case("x509 extensions", function()
    local cert = x509.load(file(arg[2]))
    local lines = {}
    local function list(value, path)
        for key, inner in pairs(value) do
            if type(inner) == "table" then
                list(inner, path .. "." .. tostring(key))
            else
                lines[#lines + 1] = ("%s.%s=%s"):format(path, key, inner)
            end
        end
    end
    list(cert:extensions(), "")
    table.sort(lines)
    return cert:setencode "utf8", cert:setencode "ai5", cert:setencode "none", table.unpack(lines)
end)
case("x509 of no certificate", function() return x509.load "none" end)
case("a digest that there is not", function()
    return x509.load(file "ca.pem"):digest "md9"
end)
case("issued", function()
    local ca, other = x509.load(file "ca.pem"), x509.load(file "other_ca.pem")
    local client = x509.load(file "client.pem")
    return ca:issued(client), other:issued(client)
end)
case("issued by way of an intermediate", function()
    local ca, leaf = x509.load(file "ca.pem"), x509.load(file "server.pem")
    local middle = x509.load(file "intermediate.pem")
    return ca:issued(leaf, middle), ca:issued(leaf)
end)

-- ----------------------------------------------------------------------------------- odd arguments

-- The result of a method, or the sentence that it raises.
local function odd(object, method, ...)
    local call = load(("local object = ...; return object:%s(select(2, ...))"):format(method))
    local results = table.pack(pcall(call, object, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    return "raised", (results[2]:gsub("^.-:%d+: ", ""):gsub("no value", "nil"))
end

local ODD <const> = {
    receive = {{"*x"}, {""}, {{}}, {true}, {-1}, {0 / 0}, {"0x2"}, {2.9}, {"*line"}, {0, "x"},
        {2, "abc"}, {5, 12}, {5, {}}, {"*l", 7}, {nil, "p"}, {"2"}},
    send = {{}, {{}}, {"abc", "x"}, {"abc", {}}, {"abc", 1, "x"}, {"abc", "2", "2"}, {"abc", 2.7},
        {"abc", -10}, {"abc", 10}, {"abc", 3, 1}, {"abc", 0, 0}, {12345, 2, 3}, {"abc", 1, 2 ^ 62},
        {"abc", 0 / 0}},
    settimeout = {{}, {"x"}, {"1"}, {{}}, {1e300}, {math.huge}, {-math.huge}, {2 ^ 60}, {1, "x"},
        {1, ""}, {1, "total"}, {1, {}}, {1, 7}, {true}, {2 ^ 60, "t"}},
    setstats = {{}, {"x"}, {1, "x"}, {"1", "2", "3"}, {{}}, {1, 2, {}}},
    getpeercertificate = {{"x"}, {1.5}, {-1}, {"2"}, {{}}, {true}},
    getlocalcertificate = {{"x"}, {1.5}, {-1}, {{}}, {true}},
    exportkeyingmaterial = {{}, {"x"}, {"x", "y"}, {"x", 0}, {"x", 1.5}, {"x", 8, {}}},
}
for method, all in pairs(ODD) do
    for i, arguments in ipairs(all) do
        case(("odd arguments of %s, %d"):format(method, i), function()
            local client, server = open({protocol = "tlsv1_2"}, {protocol = "tlsv1_2"})
            server:send "he\rllo\nworld"
            if method == "receive" then server:close() end
            local results = table.pack(odd(client, method, table.unpack(arguments, 1, 3)))
            for n = 1, results.n do
                if type(results[n]) == "userdata" then results[n] = "userdata" end
            end
            client:settimeout(5)
            results[results.n + 1] = client:receive "*l"
            return table.unpack(results, 1, results.n + 1)
        end)
    end
end

local ODD_OF_CERTIFICATES <const> = {
    setencode = {{}, {0}, {{}}, {"utf8mb4"}, {"AI5"}}, digest = {{0}, {{}}, {"SHA1"}},
    validat = {{}, {"0"}, {"x"}, {1.5}, {2 ^ 70}, {0 / 0}, {{}}}, issued = {{}, {0}, {{}}},
}
for method, all in pairs(ODD_OF_CERTIFICATES) do
    for i, arguments in ipairs(all) do
        case(("odd arguments of a certificate's %s, %d"):format(method, i), function()
            return odd(x509.load(file "ca.pem"), method, arguments[1])
        end)
    end
end

for name, depth in pairs {text = "x", fraction = 1.5, NaN = 0 / 0, negative = -1} do
    case("newcontext and a depth: " .. name, function()
        local ok, result = pcall(ssl.newcontext, {mode = "client", protocol = "any", depth = depth,
            verify = "peer", cafile = dir .. "ca.pem"})
        if not ok then return (result:gsub("^.-:%d+: ", "")) end
        local client, server = wrap(result, SERVER)
        return shake(client, server)[1]
    end)
end
case("context.setalpn of what is no list", function()
    local ctx = context.create "any"
    local ok, message = context.setalpn(ctx, "\5ab")
    return ok, message:match "^[^(]+%f[ \0]", (context.setalpn(ctx, "\0"))
end)
for _, method in ipairs {"setverify", "setoptions"} do
    case("a table whose length is 2^60, for " .. method, function()
        local trap = setmetatable({}, {__len = function() return 1 << 60 end})
        local ok, message = pcall(ssl.newcontext, {mode = "client", protocol = "any",
            [method:sub(4)] = trap})
        return ok, (message:gsub("^.-:%d+: ", ""))
    end)
end

-- What a connection has from the context that a server name chooses, and what from its own.
for _, protocol in ipairs {"tlsv1_2", "tlsv1_3"} do
    local DEMANDS <const> = {verify = {"peer", "fail_if_no_peer_cert"}, cafile = dir .. "ca.pem"}
    for i = 0, 7 do
        local first, named, shows = i & 1 > 0, i & 2 > 0, i & 4 > 0
        case(("%s: sni, %s, %s, %s"):format(protocol, first and "demanded" or "not demanded",
            named and "demanded by name" or "not by name", shows and "shown" or "not shown"),
            function()
                local base = with(SERVER, {protocol = protocol})
                local other = with(base, {certificate = dir .. "rsa.pem", key = dir .. "rsa.key"})
                local client, server = wrap(with(CLIENT, {protocol = protocol,
                    certificate = shows and dir .. "client.pem" or nil,
                    key = shows and dir .. "client.key" or nil}),
                    with(base, first and DEMANDS or {}))
                server:sni({["a.example"] = assert(ssl.newcontext(with(other, named and DEMANDS or
                    {})))}, true)
                client:sni "a.example"
                local _, b = shake(client, server)
                return b[1], b[2], type(b[1] and server:getpeercertificate())
            end)
    end
end
case("sni and a context of fewer versions", function()
    local client, server = wrap(CLIENT, SERVER)
    server:sni {["a.example"] = assert(ssl.newcontext(with(SERVER, {protocol = "tlsv1_2"})))}
    client:sni "a.example"
    shake(client, server)
    return client:info "protocol"
end)

-- Hints for PSKs: which a client's function is told, and when.
for _, versions in ipairs {"tlsv1_2 tlsv1_2", "tlsv1_2 any", "any tlsv1_2", "any any",
    "tlsv1_3 any"} do
    for _, hint in ipairs {"which?", false} do
        for what, answer in pairs {["a key"] = {"me", "0123456789abcdef"}, nothing = {},
            ["no key"] = {"me"}, ["a number"] = {7, 1234567812345678},
            ["a long name"] = {("i"):rep(256), "0123456789abcdef"}} do
            case(("PSK, %s, hint %s, %s"):format(versions, hint, what), function()
                local hints, names = {}, {}
                local function find(name)
                    names[#names + 1] = name
                    return answer[2] and tostring(answer[2])
                end
                local mine, theirs = versions:match "(%S+) (%S+)"
                local client, server = wrap({mode = "client", protocol = mine,
                    ciphers = "PSK:@SECLEVEL=0", psk = function(told)
                        hints[#hints + 1] = tostring(told)
                        return answer[1], answer[2]
                    end}, {mode = "server", protocol = theirs, ciphers = "PSK:@SECLEVEL=0",
                    psk = hint and {hint = hint, callback = find} or find})
                local a, b = shake(client, server)
                return table.concat(hints, " "), table.concat(names, " "), a and a[1], b and b[1]
            end)
        end
    end
end

-- ----------------------------------------------------------------------------------------- output

table.sort(cases, function(a, b) return a[1] < b[1] end)
io.stdout:setvbuf "no"
for _, one in ipairs(cases) do
    if not arg[4] or one[1]:find(arg[4], 1, true) then
        local results = table.pack(pcall(one[2]))
        for i = 1, results.n do
            local value = results[i]
            if math.type(value) == "float" and value == value // 1 then value = value // 1 | 0 end
            results[i] = type(value) == "string" and ("%q"):format(value):gsub("\n", "n") or
                tostring(value)
        end
        print(one[1] .. "\t" .. table.concat(results, " ", 1, results.n))
    end
    collectgarbage()
end
