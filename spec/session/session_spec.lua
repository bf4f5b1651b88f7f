-- session_spec.lua: tests sessions as values. It covers their getters, their bytes (export and
-- import), and which contexts may resume them.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

local function reused(client, server, session)
    local conn, peer = pair.connect {client = client, server = server, session = session}
    local result = conn:session_reused()
    assert.equal(result, peer:session_reused())
    pair.finish(conn, peer)
    return result
end

describe("a session", function()
    for _, version in ipairs(pair.VERSIONS) do
        for _, resumption in ipairs {"tickets", "stateful"} do
            it(("has values for all getters, %s, %s"):format(version, resumption), function()
                local session = pair.session {client = {max_version = version, alpn = {"h2"}},
                    server = {resumption = resumption, alpn = {"h2"}, session_timeout = 1234}}
                assert.equal(version, session:protocol())
                assert.equal("h2", session:alpn())
                assert.equal("localhost", session:hostname())
                assert.truthy(session:cipher():match "^%u[%u%d_-]+$")
                assert.is_true(math.abs(session:time() - os.time()) <= 3)
                assert.is_true(session:timeout() > 0)
                assert.is_true(session:is_resumable())
                assert.equal(0, session:max_early_data())
                assert.equal(32, #session:id())
                if resumption == "tickets" or version == "TLSv1.3" then
                    assert.is_true(#session:ticket() >= 32)
                    assert.equal(1234, session:ticket_lifetime())
                else
                    assert.is_nil(session:ticket())
                    assert.equal(0, session:ticket_lifetime())
                end
                assert.equal("CN=localhost", session:peer_certificate().subject)
            end)

            it(("resumes, %s, %s"):format(version, resumption), function()
                local client = pair.client {max_version = version}
                local server = pair.server {resumption = resumption}
                local session = pair.session {client = client, server = server}
                assert.is_true(reused(client, server, session))
            end)
        end

        it("is not made by a server without resumption, " .. version, function()
            local client = pair.client {max_version = version}
            local server = pair.server {resumption = "off"}
            local conn, peer = pair.connect {client = client, server = server}
            pair.finish(conn, peer)
            local session = conn:take_session() or conn:session()
            if version == "TLSv1.3" then assert.is_nil(conn:take_session()) end
            if session and session:is_resumable() then
                assert.is_false(reused(client, server, session))
            end
        end)

        it("is refused by a client without resumption, " .. version, function()
            local session = pair.session {client = {max_version = version}}
            local conn = pair.client({max_version = version, resumption = "off"}):connection()
            expect.raises("off", conn.set_session, conn, session)
        end)

        it("is not kept by a client without resumption, " .. version, function()
            local client, server = pair.connect {
                client = {max_version = version, resumption = "off"}}
            pair.finish(client, server)
            assert.is_nil(client:take_session())
        end)

        it("is the same after export and import, " .. version, function()
            local session, client, server = pair.session {client = {max_version = version}}
            for _, format in ipairs {"der", "pem"} do
                local bytes = assert(session:export(format))
                assert.equal(format == "pem",
                    bytes:match "^%-%-%-%-%-BEGIN SSL SESSION PARAMETERS" ~= nil)
                local copy = assert(client:import_session(bytes))
                assert.equal("session", tls.type(copy))
                assert.is_false(rawequal(session, copy))
                assert.equal(session, copy)
                assert.equal(bytes, copy:export(format))
                for _, field in ipairs {"id", "time", "timeout", "ticket", "ticket_lifetime",
                    "protocol", "cipher", "hostname",
                    "alpn", "max_early_data", "is_resumable"} do
                    assert.equal(session[field](session), copy[field](copy), field)
                end
                assert.same(session:peer_certificate(), copy:peer_certificate())
                assert.is_true(reused(client, server, copy))
            end
            assert.equal(session:export(), session:export "der")
            expect.raises("", session.export, session, "xml")
        end)

        it("can be read by openssl, " .. version, function()
            local session = pair.session {client = {max_version = version}}
            local path = process.spill(process.directory() .. "/session.pem", session:export "pem")
            local code, output = process.run {"openssl", "sess_id", "-in", path, "-noout", "-text"}
            assert.equal(0, code, output)
            assert.truthy(output:find("Protocol  : " .. version, 1, true), output)
            assert.truthy(output:find(session:cipher(), 1, true))
        end)

        it("is duplicated, " .. version, function()
            local session, client, server = pair.session {client = {max_version = version}}
            local copy = session:dup()
            assert.is_false(rawequal(session, copy))
            assert.equal(session, copy)
            session:free()
            assert.is_true(reused(client, server, copy))
        end)

        it("passes to a context of the same policy, only as bytes, " .. version, function()
            local session, client, server = pair.session {client = {max_version = version}}
            local other = pair.client {max_version = version}
            assert.not_equal(client, other)
            local raised = expect.raises("context", other:connection().set_session,
                other:connection(), session)
            assert.truthy(tostring(raised):match "import", tostring(raised))
            local copy = assert(other:import_session(session:export()))
            assert.is_true(reused(other, server, copy))
        end)

        it("never passes to a context of another policy, " .. version, function()
            local lax = {max_version = version, verify = "none"}
            local bytes = pair.session({client = lax}):export()
            for _, policy in ipairs {{}, {ca = p.other_ca_file},
                {ca = {p.ca_file, p.other_ca_file}}, {verify_host = false},
                {verify_depth = 3}, {on_verify = print}} do
                policy.max_version = version
                local strict = pair.client(policy)
                local raised = expect.raises("policy", strict.import_session, strict, bytes)
                assert.equal("usage", type(raised) == "table" and raised.code or "usage")
            end
            assert.is_not_nil(pair.client(lax):import_session(bytes))
        end)

        it("of another host is refused at connect, " .. version, function()
            local session, client = pair.session {client = {max_version = version},
                hostname = "a.example"}
            local conn = pair.join {client = client, hostname = "localhost"}
            local ok, message = pcall(function()
                conn:set_session(session)
                return conn:connect()
            end)
            assert.is_false(ok)
            message = tostring(message)
            assert.truthy(message:find("a.example", 1, true) and
                message:find("localhost", 1, true), message)
            -- and the other way round
            conn = pair.join {client = client, hostname = "a.example"}
            conn:set_session(session)
            pcall(conn.set_hostname, conn, "localhost")
            assert.is_false((pcall(conn.connect, conn)) and conn:hostname() == "localhost")
        end)

        it("is offered on a fresh connection only, " .. version, function()
            local session, client, server = pair.session {client = {max_version = version}}
            local conn = pair.connect {client = client, server = server}
            expect.raises("handshake", conn.set_session, conn, session)
            assert.equal("open", conn:state())
            local begun = pair.join {client = client, server = server}
            begun:connect()
            expect.raises("handshake", begun.set_session, begun, session)
            local peer = server:connection()
            expect.raises("server", peer.set_session, peer, session)
            for _, wrong in ipairs {1, "x", {}, client, io.stdout} do
                local fresh = client:connection()
                assert.is_false((pcall(fresh.set_session, fresh, wrong)))
            end
        end)

        it("can be withdrawn before it is offered, " .. version, function()
            local session, client, server = pair.session {client = {max_version = version}}
            local conn, peer = pair.join {client = client, server = server, session = session}
            assert.equal(session, conn:session())
            assert.is_true(conn:set_session(nil))
            assert.is_nil(conn:session())
            local c = pair.drive(conn, peer)
            assert.is_true(c[1])
            assert.is_false(conn:session_reused())
        end)

        it("of another server does not resume, and the handshake succeeds, " .. version, function()
            local session, client = pair.session {client = {max_version = version}}
            assert.is_false(reused(client, pair.server {session_id_context = "another"}, session))
        end)

        it("of an unverified client does not resume where verify is on, " .. version, function()
            local client = pair.client {max_version = version, certificate = p.client_cert,
                private_key = p.client_key}
            local easy = pair.server {resumption = "tickets"}
            local strict = pair.server {resumption = "tickets", verify = "required", ca = p.ca_file}
            local session = pair.session {client = client, server = easy}
            assert.is_false(reused(client, strict, session))
        end)
    end
end)

describe("TLS 1.3 sessions", function()
    it("come one for each ticket, and each resumes once", function()
        for _, resumption in ipairs {"tickets", "stateful"} do
            local sessions, client, server = pair.sessions {
                server = {num_tickets = 3, resumption = resumption}}
            assert.equal(3, #sessions)
            local seen = {}
            for _, session in ipairs(sessions) do
                assert.is_nil(seen[session:ticket()])
                seen[session:ticket()] = true
            end
            for _, session in ipairs(sessions) do
                assert.is_true(reused(client, server, session), resumption)
            end
        end
    end)

    it("are offered once", function()
        for _, resumption in ipairs {"tickets", "stateful"} do
            local session, client, server = pair.session {server = {resumption = resumption}}
            assert.is_true(reused(client, server, session))
            assert.is_false(session:is_resumable())
            assert.is_false(reused(client, server, session))
        end
    end)

    it("are as many as the server's num_tickets", function()
        for _, n in ipairs {0, 1, 2, 16} do
            assert.equal(n, #pair.sessions {server = {num_tickets = n}})
            assert.equal(n, #pair.sessions {server = {num_tickets = n, resumption = "stateful"}})
            assert.equal(n,
                #pair.sessions {setup = function(_, server) server:set_num_tickets(n) end})
        end
        local conn = pair.server():connection()
        for _, wrong in ipairs {-1, 17, 1.5, "x"} do
            assert.is_false((pcall(conn.set_num_tickets, conn, wrong)))
        end
    end)

    it("come whenever the server sends a ticket", function()
        local client, server = pair.connect {server = {num_tickets = 0}}
        assert.is_nil(client:take_session())
        assert.is_true(server:new_session_ticket())
        server:write "x"
        assert.equal("x", client:read())
        local session = assert(client:take_session())
        pair.finish(client, server)
        assert.is_true(reused(client:context(), server:context(), session))
        expect.raises("client", client.new_session_ticket, client)
        local _, old = pair.connect {client = {max_version = "TLSv1.2"}}
        expect.raises("TLSv1", old.new_session_ticket, old)
    end)

    it("wait in a queue of sixteen, which keeps the newest", function()
        local client, server = pair.connect {server = {num_tickets = 0}}
        local last
        for i = 1, 20 do
            server:new_session_ticket()
            server:write(tostring(i))
            assert.equal(tostring(i), client:read())
            last = client:session()
        end
        local n, newest = 0, nil
        for session in function() return client:take_session() end do
            n = n + 1
            newest = session
        end
        assert.equal(16, n)
        assert.equal(last:ticket(), newest:ticket())
    end)
end)

describe("the time of a session", function()
    it("can be changed", function()
        local session = pair.session()
        assert.is_true(session:set_timeout(60))
        assert.equal(60, session:timeout())
        assert.is_true(session:set_timeout(0))
        assert.is_true(session:set_timeout(604800))
        for _, wrong in ipairs {-1, 604801, 1.5, "x", {}} do
            assert.is_false((pcall(session.set_timeout, session, wrong)), tostring(wrong))
        end
        assert.equal(604800, session:timeout())
    end)

    it("ends, and then the session resumes no more", function()
        local made = {}
        for _, version in ipairs(pair.VERSIONS) do
            for _, resumption in ipairs {"tickets", "stateful"} do
                local server = pair.server {session_timeout = 1, resumption = resumption,
                    max_version = version}
                local session, client = pair.session {server = server}
                made[#made + 1] = {client, server, session}
            end
        end
        process.sleep(2.1)
        for i, case in ipairs(made) do assert.is_false(reused(table.unpack(case)), i) end
    end)
end)

describe("import", function()
    local session, client = pair.session()
    local der, pem = session:export(), session:export "pem"

    it("refuses bytes that are not a session", function()
        for name, bytes in pairs {empty = "", text = "hello", zeros = ("\0"):rep(200),
            ones = ("\255"):rep(200),
            huge = ("x"):rep(1 << 20), hugepem = "-----BEGIN SSL SESSION PARAMETERS-----\n" ..
                ("A"):rep(1 << 20),
            longlength = "\48\132\255\255\255\255" .. der, trailing = der .. "x",
            certificate = p.server_cert,
            hugeder = "\48\131\16\0\0" .. ("\0"):rep(1 << 20)} do
            local err = expect.fails("input", client:import_session(bytes))
            assert.is_true(#err.message < 512, name)
        end
        for _, wrong in ipairs {1, {}, true, session} do
            assert.is_false((pcall(client.import_session, client, wrong)))
        end
    end)

    it("refuses every prefix of a session", function()
        for n = 0, #der - 1, 13 do expect.fails("input", client:import_session(der:sub(1, n))) end
        for n = 0, #pem - 40, 97 do expect.fails("input", client:import_session(pem:sub(1, n))) end
    end)

    it("never crashes when any bit is flipped", function()
        for at = 1, #der, 5 do
            local turned = der:sub(1, at - 1) .. string.char(der:byte(at) ~ (1 << at % 8)) ..
                der:sub(at + 1)
            local ok, result, message = pcall(client.import_session, client, turned)
            if ok and not result and type(message) ~= "string" then
                error("no message for byte " .. at)
            end
            if ok and result then
                tostring(result)
                result:export()
                result:peer_certificate()
                local conn = client:connection()
                pcall(conn.set_session, conn, result)
            end
        end
    end)

    it("brings a session into a new process, which resumes it", function()
        local server = pair.server {resumption = "tickets"}
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local saved = pair.session {server = server}
        local path = process.spill(process.directory() .. "/resume.session", saved:export "pem")
        local chunk = [[
            local tls = require "tlslife"
            local port, ca, path = ...
            local context = assert(tls.context {role = "client", ca = ca, timeout = 10})
            local conn = assert(context:connection())
            conn:set_hostname "localhost"
            conn:set_session(assert(context:import_session(io.open(path):read "a")))
            assert(conn:dial("127.0.0.1", tonumber(port)))
            assert(conn:connect())
            print("reused", conn:session_reused(), conn:read())
            assert(conn:close(5))
        ]]
        local script = process.spill(process.directory() .. "/resume.lua", chunk)
        local child = process.start {program.path, script, listener:port(), p.ca_file, path,
            timeout = 20}
        local conn = assert(listener:accept(server, 10))
        conn:set_timeout(10)
        assert(conn:accept())
        assert.is_true(conn:session_reused())
        conn:write "welcome back"
        conn:shutdown()
        expect.word("closed", conn:read())
        assert.equal(0, child:wait(10), child:output())
        assert.equal("reused\ttrue\twelcome back\n", child:output())
    end)
end)

describe("the protocol of a session", function()
    it("is named also where it is older than what is spoken here", function()
        local client = pair.client {max_version = "TLSv1.2"}
        local bytes = pair.session({client = client}):export()
        local head, tail = bytes:match "^(.-\x02\x02\x03)\x03(.*)$"
        for name, byte in pairs {["TLSv1.1"] = "\x02", ["TLSv1"] = "\x01", unknown = "\x00"} do
            assert.equal(name, client:import_session(head .. byte .. tail):protocol())
        end
    end)
end)

describe("the references of a session", function()
    it("are counted", function()
        local session = pair.session()
        assert.equal(session, session:up_ref())
        session:free()
        assert.equal("TLSv1.3", session:protocol())
        session:free()
        expect.raises("freed", session.protocol, session)
        expect.raises("freed", session.free, session)
    end)

    it("outlive the connection and the contexts", function()
        local session
        do
            local client, server = pair.connect()
            pair.finish(client, server)
            session = client:take_session()
            client:context():free()
            client:free()
            server:free()
        end
        collectgarbage()
        collectgarbage()
        assert.is_true(session:is_resumable())
        assert.is_true(#session:export() > 100)
    end)
end)
