-- data_spec.lua: tests reading and writing on an open connection, as a whole, in full records, in
-- pieces, and over transports that hold less than a record.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local tls = require "tlslife"

local RECORD = 16384

-- repeats after 10007 bytes, a prime: a byte or a record lost, doubled or moved shows
local base = {}
for i = 1, 10007 do base[i] = string.char(i * i * 31 % 251) end
base = table.concat(base)

local function pattern(n)
    return base:rep(n // #base + 1):sub(1, n)
end

-- two open connections over feed and drain; pump() moves everything, and returns what went from the
-- client
local function wired(version, capacity)
    local client = pair.client({max_version = version}):connection()
    local server = pair.server():connection()
    for _, conn in ipairs {client, server} do
        conn:set_blocking(false)
        conn:set_memory(capacity)
    end
    client:set_hostname "localhost"
    local function pump()
        local sent = {}
        local moved
        repeat
            moved = 0
            for from, to in pairs {[client] = server, [server] = client} do
                local bytes = from:drain(1 << 24)
                moved = moved + #bytes
                if from == client then sent[#sent + 1] = bytes end
                assert.equal(#bytes, to:feed(bytes))
            end
        until moved == 0
        return table.concat(sent)
    end
    for _ = 1, 5 do
        client:connect()
        pump()
        server:accept()
        pump()
    end
    assert.is_true(client:handshake_done() and server:handshake_done())
    client:read()
    return client, server, pump
end

-- the lengths of the records on the wire, as plaintext
local function records(wire, version)
    local overhead = version == "TLSv1.3" and 17 or 24
    local lengths, at = {}, 1
    while at <= #wire do
        local kind, length = wire:byte(at), (">I2"):unpack(wire, at + 3)
        assert.equal(23, kind)
        lengths[#lengths + 1] = length - overhead
        at = at + 5 + length
    end
    assert.equal(#wire + 1, at)
    return lengths
end

for _, version in ipairs(pair.VERSIONS) do
    describe("data over " .. version, function()
        local options = {client = {max_version = version, ciphers = "ECDHE+AESGCM"}}

        it("arrives whole, whatever its size", function()
            local client, server = pair.connect(options)
            for _, size in ipairs {1, 100, RECORD - 1, RECORD, RECORD + 1, 100 * 1024} do
                local bytes = pattern(size)
                assert.is_true(bytes == pair.send(client, server, bytes), size)
                assert.is_true(bytes == pair.send(server, client, bytes), size)
            end
            local huge = pattern(5 * 1024 * 1024)
            assert.is_true(huge == pair.send(client, server, huge))
        end)

        it("arrives whole through a transport of 100 bytes", function()
            options.capacity = 100
            local client, server = pair.connect(options)
            options.capacity = nil
            local bytes = pattern(100 * 1024)
            assert.is_true(bytes == pair.send(client, server, bytes))
            assert.is_true(bytes == pair.send(server, client, bytes))
        end)

        it("goes out in full records", function()
            local client, server, pump = wired(version, 1 << 20)
            assert.equal(100 * 1024, client:write(pattern(100 * 1024)))
            assert.same({RECORD, RECORD, RECORD, RECORD, RECORD, RECORD, 4096},
                records(pump(), version))
            for i = 1, 7 do assert.equal(i < 7 and RECORD or 4096, #server:read(65536)) end
            expect.word("want_read", server:read())
        end)

        it("of many strings goes out in full records, too", function()
            local client, server, pump = wired(version, 1 << 20)
            local pieces, bytes = {}, pattern(64 * 600)
            for i = 0, 599 do pieces[i + 1] = bytes:sub(64 * i + 1, 64 * i + 64) end
            assert.equal(#bytes, client:write(pieces))
            assert.same({RECORD, RECORD, #bytes - 2 * RECORD}, records(pump(), version))
            assert.equal(bytes, server:read(RECORD) .. server:read(RECORD) .. server:read(RECORD))
        end)

        it("held back by cork goes out in full records", function()
            local client, server, pump = wired(version, 1 << 20)
            client:cork(true)
            for i = 1, 300 do assert.equal(64, client:write(("%064d"):format(i))) end
            assert.same({RECORD}, records(pump(), version))
            assert.is_true(client:flush())
            assert.same({300 * 64 - RECORD}, records(pump(), version))
            assert.is_true(client:flush())
            assert.equal("", pump())
            client:write "a"
            client:cork(false)
            assert.equal("", pump())
            client:write "b"
            local total = 0
            for _, length in ipairs(records(pump(), version)) do total = total + length end
            assert.equal(2, total)
            client:write "c"
            assert.same({1}, records(pump(), version))
            local got = ""
            for bytes in function() return (server:read(65536)) end do got = got .. bytes end
            assert.equal(300 * 64 + 3, #got)
            assert.equal("abc", got:sub(-3))
            assert.equal(("%064d"):format(300), got:sub(-67, -4))
        end)
    end)
end

describe("write", function()
    local client, server

    before_each(function()
        client, server = pair.connect()
    end)

    it("may begin at any byte of the string", function()
        assert.equal(3, client:write("hello", 3))
        assert.equal("llo", server:read())
        assert.equal(1, client:write("hello", 5))
        assert.equal("o", server:read())
        assert.equal(4, client:write({"hel", "", "lo", "!"}, 3))
        assert.equal("llo!", server:read())
        assert.equal(1, client:write({"hel", "lo"}, 5))
        assert.equal("o", server:read())
        assert.equal(0, client:write("hello", 6))
        assert.equal(0, client:write({"hel", "lo"}, 6))
        for _, wrong in ipairs {0, 7, 1.5, "x", {}} do
            assert.is_false((pcall(client.write, client, "hello", wrong)), tostring(wrong))
            assert.is_false((pcall(client.write, client, {"hel", "lo"}, wrong)), tostring(wrong))
        end
        expect.word("want_read", server:read())
    end)

    it("of nothing sends nothing", function()
        assert.equal(0, client:write "")
        assert.equal(0, client:write {})
        assert.equal(0, client:write {"", "", ""})
        expect.word("want_read", server:read())
        assert.equal("x", pair.send(client, server, "x"))
    end)

    it("takes strings, tables of strings, and buffers", function()
        assert.equal(6, client:write {"a", "", "bc", ("d"):rep(3)})
        assert.equal("abcddd", server:read())
        local buffer = tls.buffer(10):set "buffered"
        assert.equal(8, client:write(buffer))
        assert.equal("buffered", server:read())
        assert.equal(3, client:write(buffer, 6))
        assert.equal("red", server:read())
        assert.equal(2, client:write {"\0", "\0"})
        assert.equal("\0\0", server:read())
        for _, wrong in ipairs {1, true, print, io.stdout, {1}, {"a", {}}, {"a", 1},
            {"a", false}} do
            assert.is_false((pcall(client.write, client, wrong)), tostring(wrong))
        end
        assert.is_false((pcall(client.write, client)))
        expect.word("want_read", server:read())
    end)

    it("of a huge table of huge strings arrives whole", function()
        local huge = pattern(3 * 1024 * 1024)
        local pieces = {"", "head", huge, "", "middle", huge:sub(1, 70000), ("x"):rep(RECORD),
            "tail", ""}
        local whole = table.concat(pieces)
        local sent, got = 1, {}
        while sent <= #whole do
            local written, message = client:write(pieces, sent)
            assert.is_true(written ~= nil or message == "want_write", message)
            sent = sent + (written or 0)
            for bytes in function() return (server:read(65536)) end do got[#got + 1] = bytes end
        end
        assert.is_true(whole == table.concat(got))
    end)

    it("says how much went out where it cannot write all", function()
        local bytes = pattern(1 << 20)
        local written, message = client:write(bytes)
        assert.is_nil(message)
        assert.is_true(written > 0 and written < #bytes)
        expect.word("want_write", client:write(bytes, written + 1))
        expect.word("want_write", client:write(bytes, written + 1))
        local got = {}
        for piece in function() return (server:read(65536)) end do got[#got + 1] = piece end
        got = table.concat(got)
        assert.is_true(bytes:sub(1, #got) == got)
        while written < #bytes do
            written = written + (client:write(bytes, written + 1) or 0)
            for piece in function() return (server:read(65536)) end do got = got .. piece end
        end
        assert.is_true(bytes == got)
    end)

    it("of a table that changes while it is written does no harm", function()
        local pieces = setmetatable({}, {__index = function(t, i) t[i] = "x"; return "x" end,
            __len = function() return 3 end})
        pcall(client.write, client, pieces)
        assert.equal("open", client:state())
    end)
end)

describe("cork", function()
    it("holds back what a full transport cannot take", function()
        local client, server = pair.connect {capacity = 2000}
        client:cork(true)
        local bytes = pattern(60000)
        local sent, got = 1, ""
        while sent <= #bytes do
            local written, message = client:write(bytes, sent)
            assert.is_true(written ~= nil or message == "want_write")
            sent = sent + (written or 0)
            for piece in function() return (server:read(65536)) end do got = got .. piece end
        end
        while not client:flush() do
            for piece in function() return (server:read(65536)) end do got = got .. piece end
        end
        for piece in function() return (server:read(65536)) end do got = got .. piece end
        assert.is_true(bytes == got)
    end)

    it("is flushed by shutdown", function()
        local client, server = pair.connect()
        client:cork(true)
        client:write "last"
        expect.word("want_read", server:read())
        assert.equal("sent", client:shutdown())
        assert.equal("last", server:read())
        expect.word("closed", server:read())
    end)

    it("works with tables, too", function()
        local client, server = pair.connect()
        client:cork(true)
        assert.equal(3, client:write {"a", "b", "c"})
        assert.equal(2, client:write({"d", "e", "f"}, 2))
        client:flush()
        assert.equal("abcef", server:read())
    end)
end)

describe("read", function()
    local client, server

    before_each(function()
        client, server = pair.connect()
    end)

    it("returns at most as many bytes as were asked for", function()
        client:write "hello world"
        assert.equal("h", server:read(1))
        assert.equal("ello", server:read(4))
        assert.equal(6, server:pending())
        assert.is_true(server:has_pending())
        assert.equal(" world", server:read(100))
        assert.equal(0, server:pending())
        expect.word("want_read", server:read())
        for _, wrong in ipairs {0, -1, 1.5, "x", {}, (1 << 30) + 1} do
            assert.is_false((pcall(server.read, server, wrong)), tostring(wrong))
        end
    end)

    it("returns again what peek has returned", function()
        client:write "hello"
        assert.equal("he", server:peek(2))
        assert.equal("hello", server:peek())
        assert.equal(5, server:pending())
        assert.equal("hello", server:read())
        expect.word("want_read", server:peek())
    end)

    it("has_pending tells of bytes that no read has decrypted yet", function()
        assert.is_false(server:has_pending())
        client:write "one"
        client:write "two"
        assert.equal(0, server:pending())
        assert.equal("one", server:read())
        assert.equal("two", server:read())
    end)

    it("into a buffer replaces what it held", function()
        local buffer = tls.buffer(8)
        assert.equal(8, buffer:capacity())
        assert.equal(0, #buffer)
        client:write "hello world"
        assert.equal(8, server:read_into(buffer))
        assert.equal("hello wo", buffer:sub())
        assert.equal(3, server:read_into(buffer))
        assert.equal("rld", buffer:sub(1, -1))
        assert.equal(3, #buffer)
        expect.word("want_read", server:read_into(buffer))
        assert.equal(3, #buffer)
        for _, wrong in ipairs {1, "x", {}, io.stdout, client} do
            assert.is_false((pcall(server.read_into, server, wrong)))
        end
    end)

    it("and write move a megabyte through one buffer", function()
        local buffer = tls.buffer()
        assert.equal(RECORD, buffer:capacity())
        local echo_client, echo_server = pair.connect()
        local bytes = pattern(1 << 20)
        local sent, got = 1, {}
        for _ = 1, 10000 do
            if sent <= #bytes then
                sent = sent + (client:write(bytes:sub(sent, sent + 9999)) or 0)
            end
            local n = server:read_into(buffer)
            if n then
                local at = 1
                while at <= n do
                    at = at + (echo_client:write(buffer, at) or 0)
                    for piece in function()
                        return (echo_server:read(65536))
                    end do got[#got + 1] = piece end
                end
            elseif sent > #bytes then
                break
            end
        end
        assert.is_true(bytes == table.concat(got))
    end)
end)

describe("a buffer", function()
    it("counts positions as string.sub does", function()
        local text = "hello"
        local buffer = tls.buffer(10):set(text)
        for i = -7, 7 do
            for j = -7, 7 do assert.equal(text:sub(i, j), buffer:sub(i, j)) end
            assert.equal(text:sub(i), buffer:sub(i))
        end
        assert.equal(text:sub(math.mininteger, math.maxinteger),
            buffer:sub(math.mininteger, math.maxinteger))
        assert.equal("", buffer:sub(math.maxinteger))
    end)

    it("has the size that it was made with", function()
        local buffer = tls.buffer(3)
        assert.equal(buffer, buffer:set "abc")
        expect.raises("", buffer.set, buffer, "abcd")
        assert.equal("abc", buffer:sub())
        assert.equal("", buffer:set(""):sub())
        for _, wrong in ipairs {0, -1, 1.5, (1 << 30) + 1, "x", {}} do
            assert.is_false((pcall(tls.buffer, wrong)), tostring(wrong))
        end
    end)
end)

describe("reading and writing", function()
    it("raise before the handshake is done", function()
        local client, server = pair.join()
        for _, conn in ipairs {client, server} do
            expect.raises("handshake", conn.read, conn)
            expect.raises("handshake", conn.peek, conn)
            expect.raises("handshake", conn.write, conn, "x")
            expect.raises("handshake", conn.write, conn, {"x"})
            expect.raises("handshake", conn.read_into, conn, tls.buffer(1))
        end
        client:connect()
        expect.raises("handshake", client.write, client, "x")
        client:cork(true)
        expect.raises("handshake", client.write, client, "x")
    end)

    it("in both directions at once never come to a standstill", function()
        local client, server = pair.connect {capacity = 3000}
        local bytes = pattern(200000)
        local ends = {{client, 1, {}}, {server, 1, {}}}
        for _ = 1, 1000 do
            for _, one in ipairs(ends) do
                if one[2] <= #bytes then one[2] = one[2] + (one[1]:write(bytes, one[2]) or 0) end
                local piece = one[1]:read(65536)
                if piece then one[3][#one[3] + 1] = piece end
            end
        end
        assert.is_true(bytes == table.concat(ends[1][3]))
        assert.is_true(bytes == table.concat(ends[2][3]))
    end)
end)

describe("data that come within a renegotiation", function()
    local function tcp(client, server)
        local listener = assert(tls.listen("127.0.0.1", 0))
        client:set_blocking(true)
        assert(client:dial("127.0.0.1", listener:port()))
        client:set_blocking(false)
        local accepted = assert(listener:accept(server:context(), 5))
        accepted:set_blocking(false)
        listener:close()
        return accepted
    end

    for _, wire in ipairs {"memory", "tcp"} do
        it("are read before the handshake goes on, over " .. wire, function()
            local client, server = pair.join {client = {max_version = "TLSv1.2"}}
            if wire == "tcp" then server = tcp(client, server) end
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1])
            expect.word("want_read", client:read()) -- which leaves an errno
            server:write "one"
            server:renegotiate()
            server:write "two"
            assert.is_true(client:renegotiate())
            local got repeat got = client:read() until got
            assert.equal("one", got)
            expect.fails("tls", client:handshake())
            assert.equal("open", client:state())
            assert.equal("two", client:read())
            for _ = 1, 100 do
                client:read()
                server:read()
            end
            assert.is_false(client:renegotiate_pending())
            assert.equal("on", pair.send(client, server, "on"))
            assert.equal("on", pair.send(server, client, "on"))
        end)
    end
end)
