-- trace_wireshark_spec.lua: tests the capture that `tlslife trace --secrets -o FILE.pcapng` writes,
-- read by tshark, which nobody here wrote. It must find and decrypt all that the connections did:
-- handshake messages, HTTP, alerts, in TLS 1.2 and 1.3, a resumption, a key update; over TCP and in
-- memory.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local SCRIPT <const> = [[
    local tls = require "tlslife"
    local certificate, key, ca = ...
    local request = "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    local answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"

    local function rounds(...)
        local over = {}
        for _ = 1, 50 do
            for i, call in ipairs {...} do
                if not over[i] then over[i] = call() end
            end
        end
        assert(over[1] and over[2])
    end

    local function visit(version, path, session, more)
        local server = assert(SERVER:connection())
        local client = assert(tls.context {role = "client", ca = ca, max_version = version,
            ciphersuites = version and nil or "TLS_AES_128_GCM_SHA256"}:connection())
        if session then client = CLIENT[version or 0]:connection() end
        CLIENT[version or 0] = CLIENT[version or 0] or client:context()
        tls.pair(client, server)
        client:set_hostname "localhost"
        if session then client:set_session(session) end
        rounds(function() return client:connect() end, function() return server:accept() end)
        assert(client:session_reused() == (session ~= nil))
        client:write(request:format(path))
        assert(server:read(1000):match "^GET")
        if more then more(client, server) end
        server:write(answer)
        assert(client:read(1000):match "hello")
        local made = client:take_session() or client:session()
        client:shutdown()
        server:read(1)
        server:shutdown()
        client:shutdown()
        client:free()
        server:free()
        return made
    end

    CLIENT = {}
    SERVER = assert(tls.context {role = "server", certificate = certificate, private_key = key})
    for _, version in ipairs {"TLSv1.2", false} do
        local session = visit(version or nil, "full")
        visit(version or nil, "resumed", session)
    end
    visit(nil, "updated", nil, function(client, server)
        assert(client:key_update(true))
        client:write "GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n"
        server:read(1000)
    end)
    local refused = tls.context {role = "client"}:connection()
    local server = SERVER:connection()
    tls.pair(refused, server)
    refused:set_hostname "localhost"
    for _ = 1, 5 do refused:connect() server:accept() end

    local listener = assert(tls.listen("127.0.0.1", 0))
    local client = assert(tls.context {role = "client", ca = ca}:connection())
    client:set_hostname "localhost"
    client:set_timeout(10)
    assert(client:dial("127.0.0.1", listener:port()))
    server = assert(listener:accept(SERVER))
    client:set_blocking(false)
    server:set_blocking(false)
    local deadline = os.time() + 10
    local c, s
    repeat
        c, s = c or client:connect(), s or server:accept()
    until c and s or os.time() > deadline
    client:write(request:format "tcp")
    repeat local got = server:read(1000) until got or os.time() > deadline
]]

-- {{field = value}} of each packet for which the filter holds; a value that comes several times is
-- joined by commas.
local function packets(path, filter, ...)
    local fields = {...}
    local words = {"tshark", "-n", "-r", path, "-2", "-R", filter, "-T", "fields", "-E",
        "separator=|"}
    for _, field in ipairs(fields) do
        words[#words + 1], words[#words + 2] = "-e", field
    end
    words.timeout = 60
    local code, output = process.run(words)
    assert.equal(0, code, output)
    local found = {}
    for line in output:gmatch "[^\n]+" do
        if line:find("|", 1, true) then
            local packet, at = {}, 1
            for value in (line .. "|"):gmatch "([^|]*)|" do
                packet[fields[at]] = value
                at = at + 1
            end
            found[#found + 1] = packet
        end
    end
    return found
end

local function joined(list, field, want)
    local values = {}
    for _, packet in ipairs(list) do
        if packet["tcp.stream"] == want and packet[field] ~= "" then
            values[#values + 1] = packet[field]
        end
    end
    return table.concat(values, ",")
end

-- From some version after 4.0 on, tshark decrypts a Finished of TLS 1.2 that is not in one packet
-- with the ChangeCipherSpec (its debug_file says so, and what comes later is decrypted), and still
-- calls it encrypted. Also it gives a response the URI of its request.
local function as_of_4_0(packet)
    local info = packet["_ws.col.Info"]
    if info:find("Encrypted Handshake Message", 1, true) then
        packet["tls.handshake.type"] = "20"
    end
    if packet["http.response.code"] ~= "" then packet["http.request.uri"] = "" end
end

describe("a capture of a trace", function()
    local path = process.directory() .. "/trace.pcapng"
    local found

    setup(function()
        local p = pki.get()
        local script = process.spill(process.directory() .. "/wireshark.lua", SCRIPT)
        local code, output = process.run {program.path, "trace", "--secrets", "-o", path, script,
            p.server_cert_file, p.server_key_file, p.ca_file, timeout = 60}
        assert.equal(0, code, output)
        found = packets(path, "tls || http", "tcp.stream", "tls.handshake.type",
            "tls.alert_message.desc", "http.request.uri", "http.response.code", "_ws.col.Info")
        local _, version = process.run {"tshark", "--version", timeout = 60}
        if not version:find("TShark (Wireshark) 4.0", 1, true) then
            for _, packet in ipairs(found) do as_of_4_0(packet) end
        end
    end)

    -- the streams by what they asked for; each connection in memory is there from both ends
    local function streams(uri)
        local list = {}
        for _, packet in ipairs(found) do
            if packet["http.request.uri"]:find(uri, 1, true) then
                list[#list + 1] = packet["tcp.stream"]
            end
        end
        return list
    end

    it("has two connections for each one in memory, and Wireshark decrypts them", function()
        for uri, count in pairs {["/full"] = 4, ["/resumed"] = 4, ["/updated"] = 2, ["/again"] = 2,
            ["/tcp"] = 2} do
            assert.equal(count, #streams(uri), uri)
        end
    end)

    it("has the handshakes of TLS 1.2 and 1.3, full and resumed", function()
        local seen = {}
        for _, uri in ipairs {"/full", "/resumed"} do
            for _, stream in ipairs(streams(uri)) do
                local types = joined(found, "tls.handshake.type", stream)
                seen[types] = (seen[types] or 0) + 1
                assert.equal("200", joined(found, "http.response.code", stream))
                assert.equal("0,0", joined(found, "tls.alert_message.desc", stream))
            end
        end
        assert.same({
            ["1,2,11,12,14,16,20,4,20"] = 2, ["1,2,20,20"] = 2,
            ["1,2,8,11,15,20,20,4,4"] = 2, ["1,2,8,20,20,4"] = 2,
        }, seen)
    end)

    it("has a key update, and what comes after it", function()
        for _, stream in ipairs(streams "/again") do
            assert.matches(",24", joined(found, "tls.handshake.type", stream))
            assert.equal("/updated,/again", joined(found, "http.request.uri", stream))
        end
    end)

    it("has the alert that ends a handshake", function()
        local alerts = 0
        for _, packet in ipairs(found) do
            alerts = alerts + (packet["tls.alert_message.desc"] == "48" and 1 or 0)
        end
        assert.equal(2, alerts)
    end)

    it("is valid TCP, without a byte missing or twice", function()
        assert.same({}, packets(path, "tcp.analysis.flags || tcp.checksum.status == 0 || " ..
            "ip.checksum.status == 0 || _ws.malformed", "frame.number", "tcp.stream"))
    end)
end)
