-- starttls_spec.lua: tests plain bytes before TLS in every way of waiting, the option before of
-- tls.serve, and the programs of docs/starttls.md against programs that others wrote.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"
local tls = require "tlslife"

-- A client's and a server's connection over TCP, nothing done yet.
local function connected()
    local listener <close> = assert(tls.listen("127.0.0.1", 0))
    local client = pair.client():connection()
    client:set_timeout(20)
    assert(client:dial("localhost", listener:port()))
    local server = assert(listener:accept(pair.server(), 20))
    server:set_timeout(20)
    return client, server
end

-- The same in memory, where nothing waits.
local function joined()
    return pair.join {}
end

local function shake(client, server)
    client:set_blocking(false)
    server:set_blocking(false)
    return pair.drive(client, server)
end

describe("plain bytes", function()
    for name, make in pairs {tcp = connected, memory = joined} do
        it("travel before TLS over " .. name, function()
            local client, server = make()
            assert.equal(6, client:plain_write "hello\n")
            assert.equal("h", server:plain_read(1))
            assert.equal("ello\n", server:plain_read())
            assert.equal(2, server:plain_write("220", 2))
            assert.equal("20", client:plain_read())
            assert.equal(0, client:plain_write "")
            local c, s = shake(client, server)
            assert.is_true(c[1] and s[1], c[2] or s[2])
            assert.equal("in TLS", pair.send(client, server, "in TLS"))
            for _, conn in ipairs {client, server} do
                expect.raises("after the handshake has begun", conn.plain_read, conn)
                expect.raises("after the handshake has begun", conn.plain_write, conn, "x")
                expect.raises("after the handshake has begun", conn.unread, conn, "x")
                conn:free()
            end
        end)

        it("may be given back over " .. name .. ", and are found first and in order", function()
            local client, server = make()
            client:set_blocking(false)
            server:set_blocking(false)
            client:plain_write "STARTTLS\n"
            client:connect()
            -- the ClientHello was read together with the line, as much of it as there is
            local got = ""
            serving.eventually(20, function()
                got = got .. (server:plain_read() or "")
                return #got > 200
            end)
            local line, rest = got:match "^(STARTTLS\n)(.+)$"
            assert.equal("STARTTLS\n", line)
            server:unread(rest:sub(11))
            server:unread ""
            server:unread(rest:sub(1, 10))
            assert.equal(rest:sub(1, 1), server:plain_read(1))
            server:unread(rest:sub(1, 1))
            local c, s = shake(client, server)
            assert.is_true(c[1] and s[1], c[2] or s[2])
            assert.equal("in TLS", pair.send(client, server, "in TLS"))
        end)
    end

    it("end where the stream ends", function()
        for _, make in ipairs {connected, joined} do
            local client, server = make()
            client:plain_write "last"
            client:close_transport()
            assert.equal("last", server:plain_read())
            expect.word("closed", server:plain_read())
            server:unread "more"
            assert.equal("more", server:plain_read())
            expect.word("closed", server:plain_read())
        end
    end)

    it("wait for the deadline, or not at all", function()
        local client, server = connected()
        client:set_timeout(0.03)
        expect.word("timeout", client:plain_read())
        client:set_blocking(false)
        expect.word("want_read", client:plain_read())
        local block, sent, word = ("x"):rep(1 << 20), 0, nil
        for _ = 1, 1000 do
            local n
            n, word = client:plain_write(block)
            if not n then break end
            sent = sent + n
        end
        assert.equal("want_write", word)
        local got = 0
        while got < sent do got = got + #assert(server:plain_read()) end
        assert.equal(sent, got)
        client:close_transport()
        server:close_transport()
    end)

    it("need a transport, and arguments that are right", function()
        local conn <close> = pair.client():connection()
        expect.raises("without a transport", conn.plain_read, conn)
        expect.raises("without a transport", conn.plain_write, conn, "x")
        expect.raises("without a transport", conn.unread, conn, "x")
        local client = joined()
        for _, bad in ipairs {0, -1, 1.5, 2 ^ 40, "x", {}} do expect.refused(bad, client.plain_read,
            client, bad) end
        for _, bad in ipairs {1, {}, true} do
            expect.refused(bad, client.plain_write, client, bad)
            expect.refused(bad, client.unread, client, bad)
        end
        expect.refused("beyond the end", client.plain_write, client, "abc", 5)
        client:unread(("x"):rep(1 << 20))
        expect.raises("more than 1 MiB", client.unread, client, "y")
        assert.equal("xx", client:plain_read(2))
        client:unread "ab"
        client:free()
    end)

    it("that come behind STARTTLS are no TLS, and the handshake says so", function()
        local client, server = connected()
        client:plain_write "STARTTLS\r\nMAIL FROM:<mallory@example>\r\n"
        local line = ""
        repeat line = line .. assert(server:plain_read(1)) until line:sub(-1) == "\n"
        local c, s = shake(client, server)
        assert.is_nil(s[1])
        assert.is_nil(c[1])
        assert.equal("tls", s[3].code)
    end)

    it("are a reset where the peer resets", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local raw = serving.raw(listener:port())
        local server = assert(listener:accept(pair.server(), 20))
        server:set_timeout(20)
        raw:reset()
        assert.equal(104, expect.fails("system", server:plain_read()).errno)
    end)

    for _, driver in ipairs(loops.drivers) do
        if driver.yields then
            it("are waited for in a coroutine of " .. driver.name, function()
                local client, server = connected()
                local order = {}
                local function note(text) order[#order + 1] = text end
                loops.run(driver, function(spawn, sleep)
                    spawn(function()
                        note(assert(server:plain_read()))
                        assert(server:plain_write "go ahead\n")
                        assert(server:accept())
                        note(assert(server:read()))
                    end)
                    spawn(function()
                        sleep(0.01)
                        note("first")
                        client:plain_write "STARTTLS\n"
                        note(assert(client:plain_read()))
                        assert(client:connect())
                        client:write "in TLS"
                    end)
                end)
                assert.same({"first", "STARTTLS\n", "go ahead\n", "in TLS"}, order)
                client:free()
                server:free()
            end)
        end
    end
end)

describe("tls.serve's before", function()
    local server

    setup(function()
        server = serving.start [[
            handshake_timeout = 0.5,
            before = function(conn)
                local line = ""
                repeat
                    local byte, why = conn:plain_read(1)
                    if not byte then return nil, why end
                    line = line .. byte
                until byte == "\n"
                if line == "tls\n" then return conn:plain_write "yes\n" end
                if line == "raise\n" then error "raised on purpose" end
                if line == "free\n" then conn:free() return true end
                if line == "hang\n" then coroutine.yield() end
                if line == "no\n" then return false, "a reason" end
                if line == "plain\n" then conn:plain_write "bye\n" end
            end,
        ]]
    end)

    teardown(function() serving.stop(server) end)

    local function tls_client()
        local conn = assert(serving.context():connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", server.port))
        return conn
    end

    it("speaks before the handshake", function()
        local conn <close> = tls_client()
        conn:plain_write "tls\n"
        assert.equal("yes\n", conn:plain_read())
        assert(conn:connect())
        assert.equal("hello", serving.ask(conn, "hello"))
        conn:close()
    end)

    it("ends connections that it does not let pass, and only these", function()
        local open <close> = tls_client()
        open:plain_write "tls\n"
        open:plain_read()
        assert(open:connect())
        for _, case in ipairs {{"no\n", ""}, {"raise\n", ""}, {"free\n", ""}, {"plain\n",
            "bye\n"}} do
            local raw = serving.raw(server.port)
            raw:write(case[1])
            local got, over = raw:finish()
            assert.equal(case[2], got)
            assert.equal("EOF", over)
            raw:close()
        end
        local gone = serving.raw(server.port)
        gone:reset()
        assert.equal("still here", serving.ask(open, "still here"))
        assert.truthy(server:wait_for "before: a reason")
        assert.truthy(server:wait_for "raised on purpose")
        open:close()
    end)

    it("has one deadline, however slowly a client sends", function()
        local raw = serving.raw(server.port)
        local done
        for _ = 1, 1000 do
            raw:write "x"
            process.sleep(0.03)
            raw:pump(function() end)
            done = raw.over
            if done then break end
        end
        assert.is_not_nil(done)
        raw:close()
        local conn <close> = tls_client()
        conn:plain_write "tls\n"
        conn:plain_read()
        assert(conn:connect())
        assert.truthy(tonumber(serving.ask(conn, "!stats"):match "handshakes_failed=(%d+)") >= 1)
    end)
end)

-- ------------------------------------------------------------------------------ docs/starttls.md

local named = {}

-- The page's programs in a directory with a certificate, by name.
local function programs()
    if next(named) then return named end
    local directory = process.directory() .. "/starttls"
    assert(os.execute("mkdir " .. process.quote(directory)))
    process.spill(directory .. "/cert.pem", pki.server_cert)
    process.spill(directory .. "/key.pem", pki.server_key)
    for block in process.slurp "docs/starttls.md":gmatch "```lua\n(.-)```" do
        local name = assert(block:match "^%-%- ([%w_]+)%.lua:")
        named[name] = {path = process.spill(directory .. "/" .. name .. ".lua", block),
            directory = directory}
    end
    return named
end

local servers = {}

local function port_of(name)
    if not servers[name] then
        local one = programs()[name]
        servers[name] = process.start {"sh", "-c", 'cd "$0"; exec "$@"', one.directory,
            program.path, one.path, "127.0.0.1:0",
            timeout = 120}
        servers[name].port = servers[name]:wait_for "listening on port (%d+)"
    end
    return servers[name].port
end

local function client(name, ...)
    return process.run {program.path, programs()[name].path, timeout = 60, ...}
end

local PYTHON = [[
import ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3])
if sys.argv[1] == "smtp":
    import smtplib
    with smtplib.SMTP("localhost", int(sys.argv[2]), timeout=30) as smtp:
        smtp.starttls(context=context)
        smtp.sendmail("a@example", ["b@example"], "Subject: hello\r\n\r\nhello\r\n")
else:
    import imaplib
    imap = imaplib.IMAP4("localhost", int(sys.argv[2]))
    imap.starttls(context)
    assert imap.capability()[1] == [b"IMAP4rev1"], imap.capability()
    imap.logout()
print("well done")
]]

local PROXY = [[
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
print("listening on port", listener.getsockname()[1], flush=True)
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    host, port = head.split()[1].decode().rsplit(":", 1)
    if host == "forbidden.example":
        return client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    peer = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    threading.Thread(target=pump, args=(peer, client), daemon=True).start()
    pump(client, peer)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
]]

local function has(name)
    return os.execute("command -v " .. name .. " >/dev/null 2>&1") == true
end

describe("the programs of docs/starttls.md", function()
    teardown(function()
        for _, one in pairs(servers) do one:stop() end
        servers = {}
    end)

    for protocol, server in pairs {smtp = "smtp_server", imap = "imap_server",
        postgres = "postgres_server"} do
        it("serve OpenSSL's program " .. protocol, function()
            local code, output = process.run {"sh", "-c",
                'openssl s_client -starttls "$0" -connect "$1" -CAfile "$2" '
                .. '-verify_hostname localhost -verify_return_error </dev/null', protocol,
                    "127.0.0.1:" .. port_of(server), pki.ca_file,
                timeout = 60}
            assert.equal(0, code, output)
            assert.truthy(output:find("Verification: OK", 1, true), output)
        end)
    end

    for protocol, server in pairs {smtp = "smtp_server", imap = "imap_server"} do
        it("serve Python's module for " .. protocol, function()
            local script = process.spill(process.directory() .. "/starttls.py", PYTHON)
            local code, output = process.run {"python3", script, protocol, port_of(server),
                pki.ca_file, timeout = 60}
            assert.equal(0, code, output)
            assert.truthy(output:find "well done")
        end)
    end

    it("serve psql", function()
        if not has "psql" then return pending "psql is not installed" end
        local _, output = process.run {"psql",
            ("host=localhost port=%s user=a dbname=a sslmode=verify-full sslrootcert='%s'"):format(
            port_of "postgres_server", pki.ca_file), timeout = 60}
        assert.truthy(output:find "this is an example", output)
    end)

    it("are clients of SMTP, IMAP and PostgreSQL", function()
        for name, server in pairs {smtp_client = "smtp_server", imap_client = "imap_server",
            postgres_client = "postgres_server"} do
            local code, output = client(name, "localhost", port_of(server), pki.ca_file)
            assert.equal(0, code, output)
            assert.truthy(output:find "^TLSv1%.3\t", output)
            code, output = client(name, "localhost", port_of(server), pki.other_ca_file)
            assert.is_true(code ~= 0, output)
        end
        local code, output = client("smtp_client", "localhost", port_of "imap_server", pki.ca_file)
        assert.is_true(code ~= 0 and output:find "IMAP4rev1" ~= nil, output)
    end)

    it("are a client of IMAP that goes on with nothing but OK", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        for _, answers in ipairs {
            {"* PREAUTH ready\r\n"}, {"220 ready\r\n"}, {"* OK ready\r\n", "a1 NO\r\n"},
            {"* OK ready\r\n", "a2 OK\r\n"}, {"* OK ready\r\n", "a1 BAD\r\n"},
            {"* OK ready\r\n", "* BYE\r\n"},
        } do
            local one = process.start {program.path, programs().imap_client.path, "localhost",
                listener:port(), pki.ca_file, timeout = 60}
            local conn <close> = assert(listener:accept(pair.server(), 20))
            conn:set_timeout(20)
            conn:plain_write(answers[1])
            if answers[2] and conn:plain_read() then conn:plain_write(answers[2]) end
            conn:close_transport()
            assert.is_true(one:wait(20) ~= 0, one:output())
        end
    end)

    it("go through an HTTP proxy", function()
        local proxy = process.start {"python3", process.spill(process.directory() .. "/proxy.py",
            PROXY), timeout = 60}
        local port = proxy:wait_for "listening on port (%d+)"
        local server = serving.start ""
        local code, output = client("connect", "127.0.0.1", port, "localhost", server.port,
            pki.ca_file)
        assert.equal(0, code, output)
        assert.truthy(output:find "^TLSv1%.3\t", output)
        code, output = client("connect", "127.0.0.1", port, "forbidden.example", server.port,
            pki.ca_file)
        assert.is_true(code ~= 0 and output:find "403" ~= nil, output)
        serving.stop(server)
        proxy:stop()
    end)

    it("take over a descriptor that was read from", function()
        local take = assert(loadfile(programs().taken.path, "t", {assert = assert}))
        assert.is_nil(take())
        local text = process.slurp(programs().taken.path)
        take = assert(load(text .. "\nreturn take"))()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local conn = assert(pair.client():connection())
        conn:set_blocking(false)
        conn:set_hostname "localhost"
        serving.eventually(20, function() return conn:dial("127.0.0.1", listener:port()) end)
        local other <close> = assert(listener:accept(pair.server(), 20)) -- the other library
        other:set_timeout(20)
        conn:plain_write "STARTTLS\n"
        conn:connect()
        local got = ""
        while #got < 300 do got = got .. assert(other:plain_read()) end
        local context = pair.server {timeout = 0.05}
        local ok = pcall(take, context, other, got)
        assert.is_false(ok) -- a connection is no descriptor
        local server = take(context, other:fd(), got:match "\n(.+)$")
        assert.is_falsy(server) -- the client goes on only now
        assert.truthy(conn:connect())
    end)
end)
