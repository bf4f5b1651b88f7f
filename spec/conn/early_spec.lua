-- early_spec.lua: tests early data that are read like any others. It covers accept_early,
-- conn:early() and what each call does until the client's Finished is there. Early data are
-- accepted once, wherever the session is kept. Servers with workers are in early_serve_spec.lua.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"
local with_ticket = require "spec.support.with_ticket"

local p = pki.get()
local SECRET = ("0123456789abcdef"):rep(2)
local MOST = 1000

local function client_context(options)
    return pair.client(pair.with({min_version = "TLSv1.3", max_early_data = MOST}, options))
end

local function server_context(options)
    return pair.server(pair.with({max_early_data = MOST, num_tickets = 1,
        ticket_keys = tls.ticket_keys {}}, options))
end

--- Both ends of a connection whose client has sent early data, and whose server has not begun.
local function arrive(options)
    options = options or {}
    local server = options.context or server_context(options.server)
    local client = options.client_context or client_context(options.client)
    local session = options.session or pair.session {client = client, server = server}
    local conn, peer = pair.join {client = client, server = server, session = session,
        capacity = options.capacity}
    assert.equal(#(options.early or "early"), conn:write_early(options.early or "early"))
    return conn, peer, {client = client, server = server, session = session}
end

--- The client's part of the handshake, and the server's as its next read makes it.
local function finish(conn, peer)
    assert(conn:connect())
    expect.word("want_read", peer:read())
    assert.is_true(peer:handshake_done())
    assert.is_false(peer:early())
end

describe("accept_early", function()
    it("returns at the first early data, and read goes on to the handshake and what follows",
        function()
        local conn, peer = arrive()
        assert.is_true(peer:accept_early())
        assert.is_true(peer:early())
        assert.is_false(peer:handshake_done())
        assert.equal(5, peer:pending())
        assert.equal("early", peer:peek())
        assert.equal("ear", peer:read(3))
        assert.equal("ly", peer:read())
        expect.word("want_read", peer:read())
        assert.equal(6, conn:write_early " again")
        assert.equal(" again", peer:read())
        assert.is_true(peer:early())
        finish(conn, peer)
        assert.equal("later", pair.send(conn, peer, "later"))
        assert.same({"accepted", "accepted"}, {conn:early_data_status(), peer:early_data_status()})
        assert.is_true(peer:accept_early())
        pair.finish(conn, peer)
    end)

    it("says nothing of a server that has not answered yet", function()
        local conn, peer = arrive()
        for _, getter in ipairs {"version", "cipher", "group", "resumption", "verify_result"} do
            assert.is_nil(conn[getter](conn), getter)
        end
        assert(peer:accept_early())
        assert(conn:connect())
        assert.equal("resumed", conn:resumption())
    end)

    it("knows what the ClientHello has settled before the handshake is done", function()
        local conn, peer = arrive {client = {alpn = {"h2"}}, server = {alpn = {"h2"}}}
        assert(peer:accept_early())
        for _ = 1, 2 do
            assert.equal("h2", peer:alpn())
            assert.equal("TLSv1.3", peer:version())
            assert.equal("localhost", peer:server_name())
            assert.equal("resumed", peer:resumption())
            assert.is_true(peer:session_reused())
            assert(peer:read())
            expect.word("want_read", peer:read())
            conn:write_early "more"
        end
    end)

    it("lets the server answer at once", function()
        local conn, peer = arrive()
        assert(peer:accept_early())
        assert.equal(6, peer:write "answer")
        assert.is_false(peer:idle())
        assert(conn:connect())
        assert.equal("answer", conn:read())
        assert.equal("early", peer:read())
        finish(conn, peer)
        assert.equal(4, peer:write "more")
        assert.equal("more", conn:read())
        assert.is_true(peer:idle())
    end)

    it("sends an answer that finds no room with whatever call comes next", function()
        for _, call in ipairs {"write", "read", "handshake", "flush", "close"} do
            local conn, peer = arrive {capacity = 4096}
            assert(peer:accept_early())
            local answer, sent = ("a"):rep(50000), 0
            while sent < #answer do
                local now, why = peer:write(answer, sent + 1)
                sent = sent + (now or 0)
                if not now or why then break end
                if now < #answer then break end
            end
            assert.is_true(sent < #answer, "there was room for " .. sent)
            local got, done = {}, false
            for _ = 1, 2000 do
                if not conn:handshake_done() then conn:connect() end
                local bytes = conn:handshake_done() and conn:read(65536)
                got[#got + 1] = bytes or nil
                if call == "write" and sent < #answer then
                    sent = sent + (peer:write(answer, sent + 1) or 0)
                elseif call == "close" then
                    done = done or select(2, peer:close(1)) ~= "want_write"
                elseif call ~= "write" then
                    peer[call](peer)
                end
            end
            assert.equal(answer:sub(1, sent), table.concat(got), call)
        end
    end)

    it("corks what is written", function()
        local conn, peer = arrive()
        assert(peer:accept_early())
        peer:cork(true)
        assert.equal(2, peer:write "an")
        assert.equal(4, peer:write "swer")
        assert(conn:connect())
        expect.word("want_read", conn:read())
        assert(peer:flush())
        assert.equal("answer", conn:read())
        peer:cork(false)
        assert.equal("early", peer:read())
        finish(conn, peer)
        assert.equal("more", pair.send(peer, conn, "more"))
    end)

    it("waits for the client's Finished before it writes where clients are verified", function()
        local conn, peer = arrive {
            client = {certificate = p.client_cert, private_key = p.client_key},
            server = {verify = "required", ca = p.ca_file},
        }
        assert(peer:accept_early())
        assert.equal("early", peer:read())
        expect.word("want_read", peer:write "answer")
        assert.is_true(peer:early())
        assert(conn:connect())
        assert.equal(6, peer:write "answer")
        assert.is_false(peer:early())
        assert.equal("answer", conn:read())
    end)

    it("keeps early data for read where handshake comes first", function()
        local conn, peer = arrive()
        assert(peer:accept_early())
        expect.word("want_read", peer:handshake())
        assert.equal(5, conn:write_early " data")
        expect.word("want_read", peer:handshake())
        assert.is_true(peer:early())
        assert(conn:connect())
        assert.is_true(peer:handshake())
        assert.is_false(peer:early())
        assert.equal(10, peer:pending())
        assert.is_true(peer:has_pending())
        assert.is_false(peer:idle())
        assert.equal("ear", peer:peek(3))
        assert.equal("early data", peer:read())
        assert.equal("later", pair.send(conn, peer, "later"))
    end)

    it("ends with close_notify on both sides: shutdown and close make the handshake", function()
        for _, verb in ipairs {"shutdown", "close"} do
            local conn, peer = arrive()
            assert(peer:accept_early())
            assert(peer:write "answer")
            if verb == "shutdown" then expect.word("want_read", peer:shutdown())
            else expect.word("want_read", peer:close(1)) end
            assert(conn:connect())
            assert.equal("sent", peer[verb](peer, 0))
            assert.equal("answer", conn:read())
            expect.word("closed", conn:read())
        end
        local _, peer = arrive()
        assert(peer:accept_early())
        expect.word("timeout", peer:close(0))
    end)

    it("fails where the client goes away, and where it sends too much", function()
        local conn, peer = arrive()
        assert(peer:accept_early())
        conn:close_transport()
        assert.equal("early", peer:read())
        expect.word("truncated", peer:read())
        assert.is_true(peer:early())

        -- a client whose session says 2000 (0x07d0), where the server allows 1000 (0x03e8)
        local context, server = client_context(), server_context()
        for _, early in ipairs {("a"):rep(1500), ("a"):rep(900)} do
            local bytes = pair.session({client = context, server = server}):export()
            local head, tail = bytes:match "^(.*)\x02\x02\x03\xe8(.*)$"
            conn, peer = arrive {client_context = context, early = early, context = server,
                session = context:import_session(head .. "\x02\x02\x07\xd0" .. tail)}
            local ok, _, err = peer:accept_early()
            if #early == 900 then
                assert.is_true(ok)
                assert.equal(900, #peer:read())
                assert.equal(400, conn:write_early(("b"):rep(400)))
                ok, _, err = peer:read()
            end
            assert.is_nil(ok)
            assert.truthy(err.reason:match "too much early data", err.message)
        end
    end)

    it("is accept where no early data are sent, taken or known", function()
        local function plain(options, early)
            local client = pair.client(options.client)
            local server = pair.server(options.server)
            local session = pair.session {client = client, server = server}
            local conn, peer = pair.join {client = client, server = server, session = session}
            if early then assert(conn:write_early "early") end
            local c, s = pair.drive(conn, peer, nil, peer.accept_early)
            assert(c[1] and s[1], c[2] or s[2])
            assert.is_false(peer:early())
            assert.is_true(peer:handshake_done())
            assert.equal("later", pair.send(conn, peer, "later"))
            return conn:early_data_status()
        end
        plain {}
        plain {client = {max_version = "TLSv1.2"}}
        plain {server = {max_early_data = MOST}}
        plain {client = {max_early_data = MOST}, server = {max_early_data = MOST}}
        -- the program is asked about its client before it reads a byte
        assert.equal("rejected", plain({
            client = {certificate = p.client_cert, private_key = p.client_key,
                max_early_data = MOST},
            server = {max_early_data = MOST, verify = "required", ca = p.ca_file,
                on_verify = function() return true end},
        }, true))
        -- after a HelloRetryRequest
        assert.equal("rejected", (function()
            local client = client_context {groups = "X25519:P-256"}
            local server = server_context {groups = "P-256"}
            return plain({client = client, server = server}, true)
        end)())
    end)

    it("raises on a client's connection, and may be called again", function()
        local conn, peer = pair.join()
        expect.raises("client's connection", conn.accept_early, conn)
        expect.word("want_read", peer:accept_early())
        expect.raises("before the handshake", peer.read, peer)
        expect.raises("before the handshake", peer.write, peer, "x")
        expect.word("want_read", peer:accept())
        assert.is_false(peer:early())
        local c, s = pair.drive(conn, peer, nil, peer.accept_early)
        assert(c[1] and s[1])
        assert.is_false(conn:early())
    end)

    it("begins anew after clear, and may be left at any point", function()
        local _, peer = arrive()
        assert(peer:accept_early())
        assert(peer:clear())
        assert.is_false(peer:early())
        expect.raises("before the handshake", peer.read, peer)
        _, peer = arrive()
        assert(peer:accept_early())
        peer:free()
        _, peer = arrive()
        assert(peer:accept_early())
        peer:close_transport()
        assert.equal("early", peer:read())
        expect.raises("without a transport", peer.read, peer)
    end)
end)

-- ------------------------------------------------------------------------------- accepted once

-- Where the permit of a ticket, or the session of an id, is kept. By name: what makes the options
-- of a server's context, again and again for the same home.
local function slab()
    local path = os.tmpname()
    os.remove(path)
    return {keyring = tls.keyring {SECRET}, store = assert(tls.shared {path = path,
        size = 1 << 20})}, path
end

local HOMES = {
    ["tickets, derived keys, a cache in memory"] = function()
        local keys, cache = tls.ticket_keys {secret = SECRET}, tls.cache()
        return function() return {ticket_keys = keys, cache = cache, resumption = "tickets"} end
    end,
    ["tickets, random keys, their own cache"] = function()
        local keys = tls.ticket_keys {}
        local context
        return function()
            context = context or server_context {ticket_keys = keys}
            return context
        end
    end,
    ["tickets, a program's own keys, a slab"] = function()
        local keys = tls.ticket_keys {keys = {("k"):rep(80)}}
        local options = slab()
        return function()
            return {ticket_keys = keys, cache = tls.cache(options), resumption = "both"}
        end
    end,
    ["ids in a slab"] = function()
        local options = slab()
        return function() return {cache = tls.cache(options), resumption = "stateful"} end, false
    end,
    ["libssl's own keys"] = function()
        local context = pair.server {max_early_data = MOST, num_tickets = 1}
        return function() return context end, false
    end,
    ["tickets, a store of Lua functions"] = function()
        local rows, keys = {}, tls.ticket_keys {secret = SECRET}
        local store = {
            get = function(key) return rows[key] end,
            put = function(key, sealed) rows[key] = sealed end,
            remove = function(key) rows[key] = nil end,
            take = function(key)
                local sealed = rows[key]
                rows[key] = nil
                return sealed
            end,
        }
        return function()
            return {ticket_keys = keys, resumption = "tickets",
                cache = tls.cache {store = store, keyring = tls.keyring {SECRET}}}
        end
    end,
}

--- One connection with the session's bytes and early data: whether they were accepted, and whether
-- the session was resumed. None is lost without an answer.
local function replay(client, server, bytes)
    local conn, peer = pair.join {client = client, server = server,
        session = client:import_session(bytes), setup = function(_, s) s:set_blocking(true) end}
    assert.equal(5, conn:write_early "early")
    local _, s = pair.drive(conn, peer, nil, peer.accept_early)
    local accepted = s[1] and peer:early()
    if accepted then assert.equal("early", peer:read()) end
    local c, again = pair.drive(conn, peer, nil, peer.accept_early)
    assert(c[1] and again[1], c[2] or again[2])
    assert.equal("later", pair.send(conn, peer, "later"))
    assert.equal("answer", pair.send(peer, conn, "answer"))
    assert.equal(accepted and "accepted" or "rejected", conn:early_data_status())
    local resumed = peer:session_reused()
    pair.finish(conn, peer)
    return accepted, resumed
end

local function context_of(options)
    return tls.type(options) == "context" and options or server_context(options)
end

describe("early data are accepted once:", function()
    for name, home in pairs(HOMES) do
        it(name, function()
            local make, resumes = home()
            local client = client_context()
            local servers = {context_of(make()), context_of(make())}
            local session = pair.session {client = client, server = servers[1]}
            assert.equal(MOST, session:max_early_data())
            local bytes, accepted, resumed = session:export(), 0, 0
            for i = 1, 6 do
                local early, again = replay(client, servers[i % 2 + 1], bytes)
                accepted, resumed = accepted + (early and 1 or 0), resumed + (again and 1 or 0)
            end
            assert.equal(1, accepted)
            assert.equal(resumes == false and 1 or 6, resumed)
        end)
    end

    it("and each ticket of a connection has its own permit, also that of a resumed one", function()
        local options, keys = slab(), tls.ticket_keys {}
        local server = server_context {num_tickets = 3, ticket_keys = keys, resumption = "tickets",
            cache = tls.cache(options)}
        local client = client_context()
        local sessions = pair.sessions {client = client, server = server}
        assert.equal(3, #sessions)
        for _, session in ipairs(sessions) do
            assert.is_true(replay(client, server, session:export()))
        end
        local conn, peer = pair.connect {client = client, server = server, session = sessions[1]}
        pair.finish(conn, peer)
        assert.is_true(replay(client, server, conn:take_session():export()))
    end)

    it("and not at all without the permit: another cache, an emptied or full one", function()
        local keys = tls.ticket_keys {secret = SECRET}
        local client = client_context()
        local cache = tls.cache {capacity = 4}
        local function with(one)
            return server_context {ticket_keys = keys, resumption = "tickets", cache = one}
        end
        local server = with(cache)
        local bytes = pair.session({client = client, server = server}):export()
        local early, resumed = replay(client, with(tls.cache()), bytes)
        assert.same({false, true}, {early, resumed})

        cache:flush(true)
        early, resumed = replay(client, server, bytes)
        assert.same({false, true}, {early, resumed})

        bytes = pair.session({client = client, server = server}):export()
        for _ = 1, 5 do pair.session {client = client, server = server} end
        assert.equal(4, #cache)
        early, resumed = replay(client, server, bytes)
        assert.same({false, true}, {early, resumed})
    end)

    it("and not under a ticket that is too short to be known by its head", function()
        local server = server_context {ticket_keys = tls.ticket_keys {}, cache = tls.cache(),
            resumption = "tickets"}
        local client = client_context()
        local bytes = pair.session({client = client, server = server}):export()
        for _, len in ipairs {31, 16, 1} do
            local accepted, resumed = replay(client, server, with_ticket(bytes, ("t"):rep(len)))
            assert.is_false(accepted)
            assert.is_false(resumed)
        end
        assert.is_true(replay(client, server, bytes))
    end)

    it("and not where the store fails, which costs no resumption", function()
        local rows, broken = {}, false
        local function fails() if broken then error "down" end end
        local store = {
            get = function(key) fails() return rows[key] end,
            put = function(key, sealed) fails() rows[key] = sealed end,
            remove = function(key) fails() rows[key] = nil end,
        }
        local cache = tls.cache {store = store, keyring = tls.keyring {SECRET}}
        local server = server_context {resumption = "tickets", cache = cache}
        local client = client_context()
        local bytes = pair.session({client = client, server = server}):export()
        broken = true
        assert.same({false, true}, {replay(client, server, bytes)})
        assert.is_true(cache:stats().store_errors > 0)
        broken = false
        -- what was put under another's key does not open
        for key in pairs(rows) do rows[key] = "made up" end
        assert.same({false, true}, {replay(client, server, bytes)})
    end)

    it("and a permit of one context does not count under another policy", function()
        local options, keys = slab(), tls.ticket_keys {}
        local function with(id)
            return server_context {ticket_keys = keys, cache = tls.cache(options),
                resumption = "tickets", session_id_context = id}
        end
        local one, two, client = with "one", with "two", client_context()
        local bytes = pair.session({client = client, server = one}):export()
        assert.same({false, false}, {replay(client, two, bytes)})
    end)

    it("and not where the ticket allows more than the server does now, which harms nothing",
        function()
        local keys, cache, client = tls.ticket_keys {}, tls.cache(), client_context()
        local function with(most)
            return server_context {ticket_keys = keys, cache = cache, resumption = "tickets",
                max_early_data = most}
        end
        local generous = with(16384)
        for _, most in ipairs {0, 200, 16383} do
            local session = pair.session {client = client, server = generous}
            local conn, peer = pair.join {client = client, server = with(most), session = session}
            local early = ("e"):rep(16384)
            assert.equal(#early, conn:write_early(early))
            local c, s = pair.drive(conn, peer, nil, peer.accept_early)
            assert(c[1] and s[1], c[2] or s[2])
            assert.equal("rejected", conn:early_data_status())
            assert.equal("resumed", peer:resumption())
            assert.equal(early, pair.send(conn, peer, early))
            pair.finish(conn, peer)
        end
        assert.is_true(replay(client, with(16384), pair.session({client = client,
            server = with(200)}):export()))
    end)

    it("and not where the client alone believes that they are allowed", function()
        local cache, client = tls.cache(), client_context()
        local function with(most)
            return server_context {cache = cache, resumption = "stateful", ticket_keys = pair.none,
                max_early_data = most}
        end
        local session = pair.session {client = client, server = with(MOST)}
        session = pair.session {client = client, server = with(0), session = session}
        assert.equal(MOST, session:max_early_data()) -- libssl's belief (docs/design.md)
        assert.same({false, true}, {replay(client, with(MOST), session:export())})
    end)

    it("unless the option NO_ANTI_REPLAY says otherwise", function()
        local server = server_context {options = {NO_ANTI_REPLAY = true}}
        local client = client_context()
        local bytes = pair.session({client = client, server = server}):export()
        for _ = 1, 3 do assert.is_true(replay(client, server, bytes)) end
    end)

    it("and a handshake without early data asks no store", function()
        local asked = 0
        local store = {
            get = function() asked = asked + 1 end, put = function() end, remove = function() end,
        }
        local server = server_context {resumption = "tickets",
            cache = tls.cache {store = store, keyring = tls.keyring {SECRET}}}
        local client = client_context()
        local session = pair.session {client = client, server = server}
        local conn, peer = pair.connect {client = client, server = server, session = session}
        assert.is_true(peer:session_reused())
        assert.equal(0, asked)
        pair.finish(conn, peer)
    end)
end)

describe("a client with a cache", function()
    local server = server_context {num_tickets = 2}
    local context, conn, peer

    --- Both ends, of which the client offers what its cache has. clean: how it ended before.
    local function join(to)
        conn, peer = pair.join {client = context, server = to or server}
    end

    local function visit()
        join()
        local c, s = pair.drive(conn, peer)
        assert(c[1] and s[1])
        pair.finish(conn, peer)
    end

    before_each(function() context = client_context {cache = assert(tls.cache())} end)

    it("sends early data with what the cache has, and 0 bytes where it has nothing", function()
        join()
        assert.equal(0, conn:write_early "early")
        assert.equal(0, conn:write_early "early")
        local c, s = pair.drive(conn, peer, nil, peer.accept_early)
        assert(c[1] and s[1])
        assert.same({"not_cached", "not_sent"}, {conn:resumption(), conn:early_data_status()})
        expect.raises("after the handshake", conn.write_early, conn, "early")
        pair.finish(conn, peer)
        for _ = 1, 2 do
            join()
            assert.equal(5, conn:write_early "early")
            assert(peer:accept_early())
            assert.equal("early", peer:read())
            finish(conn, peer)
            assert.same({"resumed", "accepted"}, {conn:resumption(), conn:early_data_status()})
            pair.finish(conn, peer)
        end
    end)

    it("sends no more than the session allows, which it cannot know before", function()
        visit()
        join()
        assert.equal(MOST, conn:write_early(("e"):rep(MOST + 1)))
        assert.equal(0, conn:write_early "more")
        assert(peer:accept_early())
        assert.equal(MOST, #peer:read())
        finish(conn, peer)
        pair.finish(conn, peer)
    end)

    it("sends none where the session allows none, and none too late", function()
        local other = pair.server()
        join(other)
        local c, s = pair.drive(conn, peer)
        assert(c[1] and s[1])
        pair.finish(conn, peer)
        join(other)
        assert.equal(0, conn:write_early "early")
        assert(pair.drive(conn, peer)[1])
        assert.equal("resumed", conn:resumption())
        join()
        expect.word("want_read", conn:connect())
        expect.raises("too late", conn.write_early, conn, "early")
    end)

    it("asks its store before it sends them", function()
        local rows = {}
        context = client_context {cache = tls.cache {keyring = tls.keyring {SECRET}, store = {
            get = function(key) return rows[key] end,
            put = function(key, sealed) rows[key] = sealed end,
            remove = function(key) rows[key] = nil end,
        }}}
        visit()
        join()
        assert.equal(5, conn:write_early "early")
        assert(peer:accept_early())
        assert.equal("early", peer:read())
        finish(conn, peer)
        pair.finish(conn, peer)
    end)
end)

describe("no early data are sent", function()
    --- A client of that session, and whether its server saw early data.
    local function sends_none(client, server, session, word)
        local conn, peer = pair.join {client = client, server = server, session = session}
        assert.equal(0, conn:write_early "early")
        local c, s = pair.drive(conn, peer, nil, peer.accept_early)
        assert(c[1] and s[1], c[2] or s[2])
        assert.same({word, "not_sent"}, {conn:resumption(), peer:early_data_status()})
        assert.equal("later", pair.send(conn, peer, "later"))
        pair.finish(conn, peer)
    end

    it("beside a ticket that is older than its server said", function()
        local client, server = client_context(), server_context {session_timeout = 1}
        local session = pair.session {client = client, server = server}
        while os.time() <= session:time() + session:ticket_lifetime() do os.execute "sleep 0.2" end
        sends_none(client, server, session, "expired")
    end)

    it("by a client that does not speak TLS 1.3", function()
        local client, server = client_context(), server_context()
        local bytes = pair.session({client = client, server = server}):export()
        for _, options in ipairs {{max_version = "TLSv1.2"}, {options = {NO_TLSv1_3 = true}}} do
            options.ca = p.ca_file
            options.min_version = "TLSv1.2"
            local older = pair.client(options)
            sends_none(older, server, older:import_session(bytes), "other_version")
        end
    end)
end)

teardown(process.stop_all)
