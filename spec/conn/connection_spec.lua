-- connection_spec.lua: tests how a connection is made, copied, referenced, freed and cleared, and
-- what its userdata promises.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()

local function count(methods)
    local n = 0
    for _ in pairs(methods) do n = n + 1 end
    return n
end

describe("a new connection", function()
    local conn

    before_each(function()
        conn = pair.client({timeout = 3}):connection()
    end)

    it("has its context's settings and no results of a handshake", function()
        assert.equal("connection", tls.type(conn))
        assert.equal("before", conn:state())
        assert.is_false(conn:is_server())
        assert.is_true(conn:blocking())
        assert.equal(3, conn:get_timeout())
        assert.is_nil(conn:hostname())
        assert.is_nil(conn:fd())
        assert.is_nil(conn:peer_address())
        assert.is_nil(conn:error())
        assert.equal(0, conn:get_shutdown())
        assert.is_true(pair.server():connection():is_server())
    end)

    it("takes quiet shutdown from its context", function()
        assert.is_false(conn:quiet_shutdown())
        assert.is_true(pair.client({quiet_shutdown = true}):connection():quiet_shutdown())
        conn:set_quiet_shutdown(true)
        assert.is_true(conn:quiet_shutdown())
    end)

    it("returns the timeout that was set", function()
        conn:set_timeout(0.125)
        assert.equal(0.125, conn:get_timeout())
        conn:set_timeout(nil)
        assert.is_nil(conn:get_timeout())
        for _, wrong in ipairs {-1, "1s", {}, 0 / 0} do
            assert.is_false((pcall(conn.set_timeout, conn, wrong)), tostring(wrong))
        end
    end)

    it("raises in calls that need a transport", function()
        conn:set_hostname "localhost"
        expect.raises("transport", conn.connect, conn)
        expect.raises("", conn.read, conn)
        expect.raises("", conn.write, conn, "x")
        expect.raises("", conn.feed, conn, "x")
        expect.raises("", conn.drain, conn)
    end)

    it("takes the role of its context only", function()
        conn:set_memory()
        conn:set_hostname "localhost"
        expect.raises("client", conn.accept, conn)
        local server = pair.server():connection()
        server:set_memory()
        expect.raises("server", server.connect, server)
    end)
end)

describe("set_hostname", function()
    local conn = pair.client():connection()

    it("takes names and addresses", function()
        for _, name in ipairs {"localhost", "a.example", "xn--bcher-kva.example",
            "under_score.example", "127.0.0.1", "::1",
            ("x"):rep(63) .. ".example", (("x"):rep(49) .. "."):rep(5) .. "abc"} do
            assert.is_true(conn:set_hostname(name))
            assert.equal(name, conn:hostname())
        end
    end)

    it("refuses what is neither a name nor an address", function()
        conn:set_hostname "kept.example"
        for _, name in ipairs {"", ".", "a..b", ".a", "a b", "a/b", "a\nb", "b\195\188cher.example",
            "a\0.example", ("x"):rep(64),
            ("x."):rep(127) .. "x", "https://a.example", "*.b.example", 1, {}, true} do
            assert.is_false((pcall(conn.set_hostname, conn, name)), tostring(name))
            assert.equal("kept.example", conn:hostname())
        end
    end)

    it("is refused once the handshake has begun", function()
        local client = pair.connect()
        expect.raises("handshake", client.set_hostname, client, "a.example")
        assert.equal("localhost", client:hostname())
    end)
end)

describe("dup", function()
    it("before the handshake copies the settings, but not the transport", function()
        local session, context = pair.session()
        local conn = context:connection()
        conn:set_hostname "localhost"
        conn:set_alpn {"h2", "http/1.1"}
        conn:set_groups "P-256"
        conn:set_blocking(false)
        conn:set_timeout(4)
        conn:set_quiet_shutdown(true)
        conn:set_session(session)
        conn:set_memory()
        local other = assert(conn:dup())
        assert.not_equal(conn, other)
        assert.equal("localhost", other:hostname())
        assert.is_false(other:blocking())
        assert.equal(4, other:get_timeout())
        assert.is_true(other:quiet_shutdown())
        assert.equal(session, other:session())
        assert.equal(context, other:context())
        expect.raises("transport", other.connect, other)
    end)

    for _, version in ipairs(pair.VERSIONS) do
        it("makes the same handshake as its original, " .. version, function()
            local offered, group
            local server = pair.server {max_version = version, alpn = {"http/1.1"},
                on_hello = function(_, hello)
                    offered = hello.alpn
                end}
            local original = pair.client():connection()
            original:set_hostname "a.example"
            original:set_alpn {"h2", "http/1.1"}
            original:set_groups "P-256"
            local client, peer = assert(original:dup()), server:connection()
            original:free()
            client:set_blocking(false)
            peer:set_blocking(false)
            tls.pair(client, peer)
            local c, s = pair.drive(client, peer)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            group = client:group()
            assert.same({"h2", "http/1.1"}, offered)
            assert.equal("http/1.1", client:alpn())
            assert.equal("a.example", peer:server_name())
            assert.truthy(group:lower():match "256", group)
            assert.equal(version, client:version())
        end)
    end

    it("of a server's connection copies its number of tickets", function()
        local original = pair.server():connection()
        original:set_num_tickets(5)
        local client, server = pair.client():connection(), assert(original:dup())
        client:set_blocking(false)
        server:set_blocking(false)
        client:set_hostname "localhost"
        tls.pair(client, server)
        pair.drive(client, server)
        client:read()
        local tickets = 0
        while client:take_session() do tickets = tickets + 1 end
        assert.equal(5, tickets)
    end)

    it("copies the hooks of the context", function()
        local asked = 0
        local original = pair.client({on_verify = function()
            asked = asked + 1; return true
        end}):connection()
        local client, server = assert(original:dup()), pair.server():connection()
        client:set_blocking(false)
        server:set_blocking(false)
        client:set_hostname "localhost"
        tls.pair(client, server)
        assert.is_true(pair.drive(client, server)[1])
        assert.equal(1, asked)
    end)

    it("once the handshake has begun gives the same connection, with one more reference", function()
        local client, server = pair.connect()
        for _, conn in ipairs {client, server} do
            local same = assert(conn:dup())
            assert.equal(conn, same)
            assert.is_true(rawequal(conn, same))
            conn:free()
            assert.equal("open", same:state())
            conn:free()
            expect.raises("freed", same.state, same)
        end
    end)

    it("in the middle of a handshake returns the same connection, too", function()
        local client = pair.join()
        expect.word("want_read", client:connect())
        assert.equal(client, client:dup())
        client:free()
        assert.equal("handshake", client:state())
    end)
end)

-- Every setter has to show here, alone, in its connection's portrait, and in its dup's.
describe("dup, setter by setter,", function()
    local cache = {}
    -- dup copies no transport. set_dane wants a context with DANE: certificates_spec has its case.
    local ELSEWHERE = {set_fd = true, set_memory = true, set_connection = true, set_dane = true}

    local function context(role)
        if not cache[role] then
            cache.client = pair.client {verify_host = false, alpn = {"first"}}
            cache.server = pair.server {resumption = "tickets", alpn = {"second", "first"}}
        end
        return cache[role]
    end

    local CASES = {
        set_hostname = {"client", function(conn) conn:set_hostname "a.example" end},
        set_alpn = {"client", function(conn) conn:set_alpn {"second"} end},
        set_groups = {"client", function(conn) conn:set_groups "P-384:P-256" end},
        set_session = {"client", function(conn)
            cache.session = cache.session or pair.session {client = context "client",
                server = context "server", hostname = false}
            conn:set_session(context "client":import_session(cache.session:export()))
        end},
        ["set_alpn of none"] = {"client", function(conn) conn:set_alpn {} end},
        ["set_alpn of a server"] = {"server", function(conn) conn:set_alpn {} end},
        set_num_tickets = {"server", function(conn) conn:set_num_tickets(5) end},
        set_ticket_data = {"server", function(conn) conn:set_ticket_data "data\0 of its own" end},
        set_blocking = {"client", function(conn) conn:set_blocking(false) end},
        set_timeout = {"client", function(conn) conn:set_timeout(7) end},
        set_quiet_shutdown = {"client", function(conn) conn:set_quiet_shutdown(true) end},
        set_shutdown = {"client", function(conn) conn:set_shutdown(1) end},
        cork = {"client", function(conn) conn:cork(true) end},
    }

    local function handshake(client, server)
        client:set_blocking(false)
        server:set_blocking(false)
        tls.pair(client, server)
        local c, s = pair.drive(client, server)
        assert(c[1] and s[1], c[2])
        assert(select(2, client:read()) == "want_read")
    end

    local function tickets_of(client)
        local tickets = {}
        for session in function()
            return client:take_session()
        end do tickets[#tickets + 1] = session end
        return tickets
    end

    -- what a ticket tells the server later
    local function told(ticket)
        local client, server = context "client":connection(), context "server":connection()
        if ticket then client:set_session(ticket) end
        handshake(client, server)
        return server:ticket_data()
    end

    local function portrait(role, conn)
        local seen = {blocking = conn:blocking(), timeout = conn:get_timeout(),
            hostname = conn:hostname(), shutdown = conn:get_shutdown(),
            quiet = conn:quiet_shutdown()}
        local client, server = conn, context "server":connection()
        if role == "server" then client, server = context "client":connection(), conn end
        handshake(client, server)
        seen.name, seen.alpn, seen.group, seen.reused = server:server_name(), client:alpn(),
            client:group(), client:session_reused()
        client:write "x"
        seen.held = server:read() == nil
        local tickets = tickets_of(client)
        seen.tickets = #tickets
        if role == "server" then
            pair.finish(client, server)
            seen.data = told(tickets[1])
        end
        return seen
    end

    local function made(role, set)
        local conn = context(role):connection()
        if set then set(conn) end
        return conn
    end

    local setters = {cork = true}
    for name in pairs(debug.getmetatable(pair.client():connection()).__index) do
        if name:match "^set_" and not ELSEWHERE[name] then setters[name] = true end
    end
    for name in pairs(setters) do
        it("copies what " .. name .. " set", function()
            local case = assert(CASES[name], "a setter that nobody compares")
            local role, set = case[1], case[2]
            local as_set = portrait(role, made(role, set))
            assert.not_same(portrait(role, made(role)), as_set)
            assert.same(as_set, portrait(role, assert(made(role, set):dup())))
        end)
    end
end)

describe("the references of a connection", function()
    it("are counted", function()
        local conn = pair.client():connection()
        assert.equal(conn, conn:up_ref())
        conn:free()
        assert.equal("before", conn:state())
        conn:free()
        expect.raises("freed", conn.state, conn)
        expect.raises("freed", conn.free, conn)
        expect.raises("freed", conn.up_ref, conn)
        expect.raises("freed", conn.dup, conn)
    end)

    it("of many up_ref calls need as many free calls", function()
        local conn = pair.client():connection()
        for _ = 1, 100 do conn:up_ref() end
        for _ = 1, 100 do conn:free() end
        assert.equal("before", conn:state())
        conn:free()
        expect.raises("freed", conn.free, conn)
    end)

    it("are one less when a to-be-closed variable goes out of scope", function()
        local kept
        do
            local conn <close> = pair.client():connection()
            conn:up_ref()
            kept = conn
        end
        assert.equal("before", kept:state())
        do local _ <close> = kept end
        expect.raises("freed", kept.state, kept)
    end)

    it("stay with the original when a dup goes out of scope", function()
        local client, server = pair.connect()
        do
            local dup <close> = client:dup()
            assert.equal(client, dup)
        end
        assert.equal("hello", pair.send(client, server, "hello"))
    end)

    it("may be freed within the block whose end would free them", function()
        do
            local conn <close> = pair.client():connection()
            conn:free()
        end
        assert.has_no.errors(function()
            local conn <close> = pair.client():connection()
            conn:free()
        end)
    end)

    it("let the peer read what was written before the last one was freed", function()
        local client, server = pair.connect()
        client:write "last words"
        client:free()
        assert.equal("last words", server:read())
        expect.word("truncated", server:read())
    end)
end)

describe("a freed userdata", function()
    local wrong = {0, "x", true, {}, print}

    local function check(object, name)
        object:free()
        local methods = debug.getmetatable(object).__index
        local checked = 0
        for method, call in pairs(methods) do
            if name ~= "listener" or method ~= "close" then
                expect.raises(name .. ".*freed", call, object)
                expect.raises(name .. ".*freed", call, object, 1, "x")
                checked = checked + 1
            end
        end
        assert.equal(count(methods), checked)
        assert.truthy(tostring(object):match "freed")
        assert.equal(name, tls.type(object))
        for method, call in pairs(methods) do
            for _, value in ipairs(wrong) do
                expect.refused(method, call, value)
            end
        end
    end

    it("raises on every method of a connection", function()
        check(pair.client():connection(), "connection")
    end)

    it("raises on every method of a connection that was open", function()
        local client, server = pair.connect()
        check(client, "connection")
        check(server, "connection")
    end)

    it("raises on every method of a context", function()
        check(pair.client(), "context")
    end)

    it("raises on every method of a session", function()
        check(pair.session(), "session")
    end)

    it("raises where it is an argument", function()
        local session, context = pair.session()
        local conn, freed = context:connection(), pair.client():connection()
        session:free()
        freed:free()
        expect.raises("freed", conn.set_session, conn, session)
        expect.raises("freed", tls.pair, conn, freed)
        expect.raises("freed", tls.pair, freed, conn)
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local server = pair.server()
        server:free()
        expect.raises("freed", listener.accept, listener, server, 0)
        expect.raises("freed", tls.context,
            {role = "server", server_names = {["a.example"] = server}})
    end)
end)

describe("a userdata", function()
    it("is the same one for the same object", function()
        local client, server = pair.connect()
        assert.is_true(rawequal(client:context(), client:context()))
        assert.is_true(rawequal(client:session(), client:session()))
        assert.is_true(rawequal(server:session(), server:session()))
        local context = pair.client()
        assert.is_true(rawequal(context, context:connection():context()))
    end)

    it("that was collected can be had again from its object", function()
        local client = pair.connect()
        local id = client:session():id()
        collectgarbage()
        collectgarbage()
        assert.equal(id, client:session():id())
        assert.equal("client", client:context():role())
    end)

    it("equals only itself", function()
        local client, server = pair.connect()
        assert.equal(client, client)
        assert.not_equal(client, server)
        assert.not_equal(client, client:context())
        assert.not_equal(client:context(), server:context())
        assert.is_false(client == 1)
    end)

    it("prints its type and no secrets", function()
        local client, server = pair.connect {client = {keylog = true, max_version = "TLSv1.2"}}
        local master = client:take_keylog():match "^CLIENT_RANDOM %x+ (%x+)$"
        assert.equal(96, #master)
        for _, object in ipairs {client, server, client:context(), client:session(),
            tls.buffer(16)} do
            local text = tostring(object)
            assert.truthy(text:find("tlslife." .. tls.type(object), 1, true), text)
            assert.is_nil(text:lower():find(master:sub(1, 8):lower(), 1, true))
            assert.is_true(#text < 200)
        end
        assert.is_nil(tls.type(1) or tls.type {} or tls.type(io.stdout) or tls.type "connection")
    end)

    it("cannot be made to crash through its metatable", function()
        local conn = pair.client():connection()
        local metatable = debug.getmetatable(conn)
        for _, name in ipairs {"__gc", "__close", "__tostring", "__eq", "__len"} do
            if metatable[name] then
                pcall(metatable[name], io.stdout)
                pcall(metatable[name], {})
                pcall(metatable[name])
            end
        end
        metatable.__gc(conn)
        metatable.__gc(conn)
        expect.raises("freed", conn.state, conn)
    end)
end)

describe("clear", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("lets a connection make another handshake, which resumes, " .. version, function()
            local client, server = pair.connect {client = {max_version = version}}
            assert.is_false(client:session_reused())
            pair.finish(client, server)
            assert.is_true(client:clear())
            assert.is_true(server:clear())
            assert.equal("before", client:state())
            assert.equal(0, client:get_shutdown())
            assert.is_nil(client:version())
            assert.is_nil(client:verify_result())
            assert.is_nil(client:peer_certificates())
            assert.equal("localhost", client:hostname())
            tls.pair(client, server)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1], c[2])
            assert.is_true(s[1], s[2])
            assert.is_true(client:session_reused())
            assert.is_true(server:session_reused())
            assert.equal(version, client:version())
            assert.equal("again", pair.send(client, server, "again"))
        end)
    end

    -- What set_session gave is the program's choice, with a cache as without. (A cache of the
    -- client's; libssl has none.)
    local MOMENTS = {
        ["before the handshake"] = function(client, server)
            client:clear()
            server:clear()
        end,
        ["in the middle of it"] = function(client, server)
            expect.word("want_read", client:connect())
            client:clear()
            server:clear()
        end,
        ["after a connection that resumed"] = function(client, server)
            pair.drive(client, server)
            client:read()
            assert.is_true(client:session_reused())
            pair.finish(client, server)
            client:clear()
            server:clear()
        end,
    }
    for moment, reach in pairs(MOMENTS) do
        for _, version in ipairs(pair.VERSIONS) do
            for _, cached in ipairs {false, true} do
                it(("%s lets the session of set_session be offered again, %s, %s"):format(
                    moment, version, cached and "with a cache" or "without"),
                    function()
                        local session, _, context = pair.session {client = {max_version = version}}
                        local client = pair.client {max_version = version,
                            cache = cached and tls.cache() or nil}
                        local function visit(duplicate)
                            -- libssl uses a TLS 1.3 one once
                            local given = client:import_session(session:export())
                            local conn, peer = pair.join {client = client, server = context,
                                session = given}
                            if duplicate then
                                conn = conn:dup()
                                tls.pair(conn, peer)
                            end
                            reach(conn, peer)
                            tls.pair(conn, peer)
                            local c, s = pair.drive(conn, peer)
                            assert.is_true(c[1] and s[1])
                            assert.equal("resumed", conn:resumption())
                            pair.finish(conn, peer)
                        end
                        visit(false)
                        visit(true)
                    end)
            end
        end
    end

    it("with a cache offers the cache's session unless set_session gave a good one", function()
        local cache = tls.cache()
        local client, server = pair.client {max_version = "TLSv1.2", cache = cache}, pair.server()
        pair.finish(pair.connect {client = client, server = server})
        local conn, peer = pair.connect {client = client, server = server}
        pair.finish(conn, peer)
        conn:clear()
        peer:clear()
        assert.equal(1, cache:flush(true))
        pair.drive(conn, peer)
        assert.equal("not_cached", conn:resumption())
        pair.finish(conn, peer)
        local session = conn:session()
        conn, peer = pair.connect {client = client, server = server, session = session}
        assert.equal("resumed", conn:resumption())
        conn:clear() -- open: bad
        peer:clear()
        tls.pair(conn, peer)
        pair.drive(conn, peer)
        assert.equal("not_closed", conn:resumption())
    end)

    it("keeps the transport", function()
        local client, server = pair.connect()
        pair.finish(client, server)
        client:clear()
        server:clear()
        local c, s = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        assert.is_true(client:session_reused())
    end)

    it("makes the session of a connection bad that was not closed", function()
        local client, server = pair.connect {client = {max_version = "TLSv1.2"}}
        local session = client:session()
        assert.is_true(session:is_resumable())
        client:clear()
        assert.is_false(session:is_resumable())
        server:clear()
        tls.pair(client, server)
        local c = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_false(client:session_reused())
    end)

    it("works on a new connection, and in the middle of a handshake", function()
        local conn = pair.client():connection()
        assert.is_true(conn:clear())
        local client = pair.join()
        expect.word("want_read", client:connect())
        assert.is_true(client:clear())
        assert.equal("before", client:state())
    end)

    it("forgets a failure", function()
        local c, s, client, server = pair.try {hostname = "elsewhere.example"}
        assert.is_nil(c[1])
        assert.is_nil(s[1])
        assert.equal("failed", client:state())
        client:clear()
        server:clear()
        assert.equal("before", client:state())
        client:set_hostname "localhost"
        tls.pair(client, server)
        c, s = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        assert.equal("ok", (client:verify_result()))
    end)

    it("drops what cork holds", function()
        local client, server = pair.connect()
        client:cork(true)
        client:write "never sent"
        client:clear()
        server:clear()
        tls.pair(client, server)
        local c, s = pair.drive(client, server)
        assert.is_true(c[1] and s[1])
        client:flush()
        expect.word("want_read", server:read())
    end)

    -- What is pending at an end when it is cleared, by whose doing. Each gives the end.
    local pending = {
        ["that the client asked for"] =
            function(client) assert(client:renegotiate()) return client end,
        ["that the server asked for"] =
            function(_, server) assert(server:renegotiate(true)) return server end,
        ["that a HelloRequest asked for"] = function(client, server)
            assert(server:renegotiate())
            server:handshake()
            expect.word("want_read", client:read())
            return client
        end,
        ["that is half done, on a client"] = function(client, server)
            assert(client:renegotiate())
            expect.word("want_read", client:handshake())
            server:read()
            return client
        end,
        ["that is half done, on a server"] = function(client, server)
            assert(client:renegotiate())
            client:handshake()
            expect.word("want_read", server:read())
            return server
        end,
    }
    local afters = {
        ["and goes on"] = function() end,
        ["whose peer left"] = function(one, other) other:close_transport() one:read() end,
        ["whose transport was let go"] = function(one) one:close_transport() end,
        ["whose session was taken"] = function(one) one:set_session(nil) end,
    }
    for what, ask in pairs(pending) do
        for how, after in pairs(afters) do
            it(("ends a renegotiation %s, on a connection %s"):format(what, how), function()
                local contexts = {client = pair.client {max_version = "TLSv1.2"},
                    server = pair.server {alpn = {"own"},
                        options = {ALLOW_CLIENT_RENEGOTIATION = true}}}
                local client, server = pair.connect {client = contexts.client,
                    server = contexts.server, setup = function(client)
                        client:set_alpn {"own"}
                        client:set_groups "P-384:P-256"
                        client:set_timeout(5)
                    end}
                client:set_quiet_shutdown(true)
                server:set_quiet_shutdown(true)
                local cleared = ask(client, server)
                assert.is_true(cleared:renegotiate_pending())
                after(cleared, cleared == client and server or client)
                assert.is_true(cleared:clear())
                assert.equal("before", cleared:state())
                assert.is_false(cleared:renegotiate_pending())
                assert.equal(0, cleared:get_shutdown())
                assert.is_true(cleared:quiet_shutdown())
                if cleared == client then
                    server = contexts.server:connection()
                else
                    client = contexts.client:connection()
                end
                for _, one in ipairs {client, server} do one:set_blocking(false) end
                if cleared == server then
                    client:set_hostname "localhost" client:set_alpn {
                        "own"} client:set_groups "P-384:P-256"
                end
                tls.pair(client, server)
                local c, s = pair.drive(client, server)
                assert.is_true(c[1] and s[1], tostring(c[2]) .. tostring(s[2]))
                assert.same({"own", "secp384r1", "localhost"},
                    {server:alpn(), server:group(), server:server_name()})
                assert.equal("a byte", pair.send(client, server, "a byte"))
                assert.equal("a byte", pair.send(server, client, "a byte"))
            end)
        end
    end
end)

describe("a connection of a freed context", function()
    it("goes on working", function()
        local context = pair.client()
        local conn = context:connection()
        context:free()
        assert.equal("client", conn:context():role())
    end)
end)

describe("a certificate", function()
    it("is returned with all its fields", function()
        local client = pair.connect()
        local chain = client:peer_certificates()
        assert.equal(2, #chain)
        local leaf = chain[1]
        assert.equal("CN=localhost", leaf.subject)
        assert.truthy(leaf.issuer:match "CN=intermediate")
        assert.equal(leaf.issuer, chain[2].subject)
        assert.equal("1234", leaf.serial)
        assert.is_true(leaf.not_before <= os.time() and os.time() < leaf.not_after)
        assert.truthy(table.concat(leaf.names, " "):find("DNS:localhost IP:127.0.0.1", 1, true))
        assert.truthy(table.concat(leaf.names, " "):find("DNS:*.b.example", 1, true))
        assert.truthy(leaf.fingerprint:match "^%x+$" and #leaf.fingerprint == 64)
        assert.same({"EC", 256, "prime256v1"}, {leaf.key_type, leaf.key_bits, leaf.key_group})
        assert.equal((p.server_leaf:gsub("%s", "")), (leaf.pem:gsub("%s", "")))
        assert.equal("0", leaf.der:sub(1, 1))
    end)

    it("says what kind of key it has, and of how many bits", function()
        local rsa = pair.connect({server = {certificate = p.rsa_cert, private_key = p.rsa_key}})
            :peer_certificates()[1]
        assert.same({"RSA", 2048}, {rsa.key_type, rsa.key_bits})
        assert.is_nil(rsa.key_group)
    end)
end)

it("a connection has no empty list of groups, which OpenSSL 3.5 takes", function()
    local conn = pair.client():connection()
    expect.raises('groups "" cannot be used', conn.set_groups, conn, "")
    assert.is_true(conn:set_groups "P-256")
end)
