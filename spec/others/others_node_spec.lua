-- others_node_spec.lua: answers what Node's tests ask of TLS sessions and of the end of a
-- connection (read in nodejs/node 25.8.1, 2026). Those of its files whose names end in -12 run
-- another one in TLS 1.2.
--
-- Node's getSession() is SSL_get_session as DER, its "session" event is new_session_cb, its
-- "newSession" and "resumeSession" events are a server's external store, and its https.Agent is a
-- client's cache. The names below are those of its files.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local PARALLEL = "test/parallel/test-"

local suite = others.suite(it, {
    [PARALLEL .. "tls-session-cache.js"] = HERE,
    [PARALLEL .. "tls-client-resume.js"] = HERE,
    [PARALLEL .. "tls-client-resume-12.js"] = HERE,
    [PARALLEL .. "https-client-resume.js"] = HERE,
    [PARALLEL .. "tls-secure-session.js"] = HERE,
    [PARALLEL .. "tls-ticket.js"] = HERE,
    [PARALLEL .. "tls-ticket-12.js"] = HERE,
    [PARALLEL .. "tls-ticket-cluster.js"] = {"spec/session/tickets_spec.lua",
        "resumes a client with a cache, workers %d"},
    [PARALLEL .. "tls-ticket-invalid-arg.js"] = HERE,
    [PARALLEL .. "tls-async-cb-after-socket-end.js"] = HERE,
    [PARALLEL .. "https-resume-after-renew.js"] = HERE,
    [PARALLEL .. "https-agent-session-reuse.js"] = HERE,
    [PARALLEL .. "https-agent-session-eviction.js"] = HERE,
    [PARALLEL .. "https-agent-session-injection.js"] = HERE,
    [PARALLEL .. "https-agent-disable-session-reuse.js"] = HERE,
    [PARALLEL .. "tls-set-secure-context.js"] = HERE,
    [PARALLEL .. "tls-close-notify.js"] = HERE,
    [PARALLEL .. "tls-close-error.js"] = HERE,
    [PARALLEL .. "tls-close-event-after-write.js"] = HERE,
    [PARALLEL .. "tls-client-destroy-soon.js"] = HERE,
    [PARALLEL .. "tls-connect-allow-half-open-option.js"] = HERE,
    [PARALLEL .. "tls-socket-allow-half-open-option.js"] = "an option of Node's sockets: here a "
        .. "connection is half open until it is closed, as in the case of tls-connect-",
    [PARALLEL .. "tls-destroy-stream.js"] = HERE,
    [PARALLEL .. "tls-destroy-stream-12.js"] = HERE,
    [PARALLEL .. "tls-destroy-whilst-write.js"] = HERE,
    [PARALLEL .. "tls-socket-destroy.js"] = HERE,
    [PARALLEL .. "tls-socket-close.js"] = HERE,
    [PARALLEL .. "tls-wrap-econnreset.js"] = HERE,
    [PARALLEL .. "tls-transport-destroy-after-own-gc.js"] = HERE,
    [PARALLEL .. "http2-create-client-session.js"] = "a session of HTTP/2 is a connection",
})

-- --------------------------------------------------------------------------------------- sessions

--- A store in a table, which counts what it is asked.
local function store(change)
    local rows, count = {}, {get = 0, put = 0}
    return {
        get = function(key)
            count.get = count.get + 1
            return rows[key] and change(rows[key])
        end,
        put = function(key, sealed)
            count.put = count.put + 1
            rows[key] = sealed
        end,
        remove = function(key) rows[key] = nil end,
    }, count
end

local function far_cache(functions)
    local keyring = tls.keyring {("k"):rep(32)}
    return assert(tls.cache {store = functions, keyring = keyring, in_memory = false})
end

local ONCE_THEN_RESUMED = {"not_offered", "resumed", "resumed", "resumed", "resumed", "resumed"}

--- Six connections of a client of TLS 1.2 that offers the first session each time; the server's
-- words and what its store was asked.
local function six_visits(options, change)
    local functions, count = store(change)
    local cache = far_cache(functions)
    local server = pair.server {cache = cache, resumption = options.resumption}
    local client, session = pair.client {max_version = "TLSv1.2"}, nil
    local words = {}
    for i = 1, 6 do
        local seen = others.visit {client = client, server = server, session = session,
            setup = function(_, s) s:set_blocking(true) end}
        words[i] = seen.server
        session = session or seen.sessions[1]
    end
    return words, count
end

local function as_it_is(sealed) return sealed end

describe("Node's cases of a server's store:", function()
    suite.answer(PARALLEL .. "tls-session-cache.js",
        "it is asked for each id, and told of the first session alone", function()
        local words, count = six_visits({resumption = "stateful"}, as_it_is)
        assert.same(ONCE_THEN_RESUMED, words)
        assert.same({get = 5, put = 1}, count)
    end)

    suite.answer(PARALLEL .. "tls-session-cache.js",
        "it is asked nothing where the client has tickets", function()
        local words, count = six_visits({resumption = "both"}, as_it_is)
        assert.same(ONCE_THEN_RESUMED, words)
        assert.same({get = 0, put = 0}, count)
    end)

    for what, answer in pairs {["what is no session"] = "INVALID SESSION", nothing = ""} do
        suite.answer(PARALLEL .. "tls-session-cache.js",
            "it gives back " .. what .. ", and each handshake is a full one", function()
            local words, count = six_visits({resumption = "stateful"}, function() return answer end)
            assert.equal("not_offered", words[1])
            for i = 2, 6 do assert.not_equal("resumed", words[i]) end
            assert.same({get = 5, put = 6}, count)
        end)
    end

    suite.answer(PARALLEL .. "tls-async-cb-after-socket-end.js",
        "it answers when the client has gone, and the handshake fails", function()
        local functions = store(function(sealed)
            coroutine.yield "asked"
            return sealed
        end)
        local server = pair.server {cache = far_cache(functions)}
        local client = pair.client {max_version = "TLSv1.2"}
        local session = others.visit({client = client, server = server,
            setup = function(_, s) s:set_blocking(true) end}).sessions[1]
        local conn, peer = pair.join {client = client, server = server, session = session}
        conn:connect()
        local accept = coroutine.create(function() return peer:accept() end)
        assert.same({true, "asked"}, {coroutine.resume(accept)})
        conn:close_transport()
        conn:free()
        local _, done, message = coroutine.resume(accept)
        for _ = 1, 3 do
            if message == "want_read" then done, message = peer:accept() end
        end
        assert.is_nil(done)
        assert.is_string(message)
        assert.equal("failed", peer:state())
    end)
end)

describe("Node's cases of tickets:", function()
    for _, version in ipairs(pair.VERSIONS) do
        local file = PARALLEL .. (version == "TLSv1.2" and "tls-ticket-12.js" or "tls-ticket.js")

        suite.answer(file,
            "six servers with the same keys resume one client's session, " .. version, function()
            local keys, client = {string.rep("t", 80)}, pair.client {max_version = version}
            local session, words, tickets = nil, {}, {}
            for i = 1, 6 do
                local server = pair.server {ticket_keys = tls.ticket_keys {keys = keys}}
                local seen = others.visit {client = client, server = server, session = session}
                session = seen.sessions[#seen.sessions] or session
                words[i], tickets[i] = seen.client, session:ticket()
            end
            assert.same(ONCE_THEN_RESUMED, words)
            -- In TLS 1.3 each connection has a ticket of its own (RFC 8446 appendix C.4).
            for i = 2, 6 do assert.equal(version == "TLSv1.2", tickets[1] == tickets[i]) end
        end)

        suite.answer(PARALLEL .. "https-resume-after-renew.js",
            "a ticket under an older key resumes and is renewed, " .. version, function()
            local old, new = ("o"):rep(80), ("n"):rep(80)
            local keys = tls.ticket_keys {keys = {old}}
            local server = pair.server {ticket_keys = keys}
            local client = pair.client {max_version = version}
            local first = others.visit({client = client, server = server}).sessions[1]
            keys:replace {new, old}
            local seen = others.visit {client = client, server = server, session = first}
            assert.equal("resumed", seen.client)
            local renewed = assert(seen.sessions[1], "no ticket came")
            assert.not_equal(first:ticket(), renewed:ticket())
            keys:replace {new}
            assert.equal("resumed", others.word(client, server, renewed))
        end)
    end

    suite.answer(PARALLEL .. "tls-ticket-invalid-arg.js",
        "keys of another type or length are refused, and those in use stay", function()
        local keys = tls.ticket_keys {keys = {("k"):rep(80)}}
        for _, wrong in ipairs {0, 1, true, false, "", print, io.stdout, {1}, {{}}, {"\1"}, {""},
            {("k"):rep(79)}, {("k"):rep(81)}, {}} do
            expect.refused(wrong, keys.replace, keys, wrong)
            expect.refused(wrong, tls.ticket_keys, {keys = wrong})
        end
        expect.refused("nil", keys.replace, keys, nil)
        local server, client = pair.server {ticket_keys = keys}, pair.client()
        local session = others.visit({client = client, server = server}).sessions[1]
        assert.equal("resumed", others.word(client, server, session))
    end)
end)

describe("Node's cases of a client's sessions:", function()
    for _, version in ipairs(pair.VERSIONS) do
        local resume = version == "TLSv1.2" and PARALLEL .. "tls-client-resume-12.js"
            or {PARALLEL .. "tls-client-resume.js", PARALLEL .. "https-client-resume.js"}

        suite.answer(resume,
            "one that was kept when its connection closed resumes the next", function()
            local client, server = pair.client {max_version = version}, pair.server()
            local conn, peer = pair.connect {client = client, server = server}
            assert.is_false(conn:session_reused())
            assert.equal("Goodbye", pair.send(peer, conn, "Goodbye"))
            local session = conn:session()
            pair.finish(conn, peer)
            conn, peer = pair.connect {client = client, server = server, session = session}
            assert.is_true(conn:session_reused())
            assert.equal("Goodbye", pair.send(peer, conn, "Goodbye"))
            pair.finish(conn, peer)
        end)

        suite.answer(PARALLEL .. "https-agent-session-injection.js",
            "a server of another name leaves none behind, and fails again, " .. version, function()
            local cache = assert(tls.cache())
            local client = pair.client {cache = cache, max_version = version}
            local server = pair.server {certificate = p.wrong_host_cert_file,
                private_key = p.wrong_host_key_file}
            for _ = 1, 2 do
                local c = pair.try {client = client, server = server}
                local err = expect.fails("verify", table.unpack(c, 1, c.n))
                assert.truthy(err.verify:match "mismatch", err.verify)
                assert.equal(0, #cache)
            end
        end)

        suite.answer(PARALLEL .. "https-agent-disable-session-reuse.js",
            "a cache without room keeps none, " .. version, function()
            local cache = assert(tls.cache {capacity = 0})
            local client, server = pair.client {cache = cache, max_version = version}, pair.server()
            for _ = 1, 2 do
                local seen = others.visit {client = client, server = server}
                assert.same({"not_cached", "not_offered"}, {seen.client, seen.server})
            end
            assert.equal(0, #cache)
        end)

        suite.answer(PARALLEL .. "tls-set-secure-context.js",
            "a new context leaves the connections of the old one alone, " .. version, function()
            local client = pair.client {max_version = version}
            local first, first_peer = pair.connect {client = client}
            assert.equal("multi-", pair.send(first_peer, first, "multi-"))
            local c = pair.try {client = client, server = {certificate = p.wrong_host_cert_file,
                private_key = p.wrong_host_key_file}}
            assert.equal("verify", c[3].code)
            assert.equal("request", pair.send(first_peer, first, "request"))
            local second = pair.connect {client = client}
            assert.equal("open", second:state())
            assert.equal("done", pair.finish(first, first_peer))
        end)
    end

    suite.answer(PARALLEL .. "tls-secure-session.js",
        "TLS 1.2 gives one session, with the handshake and not before", function()
        local client, server = pair.join {client = {max_version = "TLSv1.2"}}
        for _ = 1, 2 do
            assert.is_nil(client:take_session())
            client:connect()
            server:accept()
        end
        pair.drive(client, server)
        assert.equal("session", tls.type(client:take_session()))
        assert.is_nil(client:take_session())
    end)

    -- Node's agent has an entry for each list of ciphers; ours has one for the peer, and offers
    -- what fits this connection's ciphers.
    suite.answer(PARALLEL .. "https-agent-session-reuse.js",
        "one is offered again, not with other ciphers, and not under new keys", function()
        local cache, keys = assert(tls.cache()), tls.ticket_keys {keys = {("a"):rep(80)}}
        local server = pair.server {ticket_keys = keys}
        local function visit(ciphers)
            local options = {cache = cache, max_version = "TLSv1.2", ciphers = ciphers}
            return others.word(pair.client(options), server)
        end
        local AES, CHACHA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"
        assert.equal("not_cached", visit(AES))
        assert.equal("resumed", visit(AES))
        assert.equal("not_offered", visit(CHACHA))
        assert.equal("resumed", visit(CHACHA))
        keys:replace {("b"):rep(80)}
        assert.equal("not_accepted", visit(CHACHA))
        assert.equal("resumed", visit(CHACHA))
    end)

    for _, versions in ipairs {{"TLSv1.3", "TLSv1.2"}, {"TLSv1.2", "TLSv1.3"}} do
        suite.answer(PARALLEL .. "https-agent-session-eviction.js",
            ("one of %s does no harm in %s"):format(table.unpack(versions)), function()
            local client = pair.client {cache = assert(tls.cache())}
            local server = {}
            for i, version in ipairs(versions) do
                server[i] = pair.server {min_version = version, max_version = version}
            end
            assert.equal("not_cached", others.word(client, server[1]))
            local seen = others.visit {client = client, server = server[2]}
            assert.same({"other_version", versions[2]}, {seen.client, seen.version})
            assert.equal("resumed", others.word(client, server[2]))
        end)
    end
end)

-- -------------------------------------------------------------------------------------------- end

describe("Node's cases of the collector:", function()
    suite.answer(PARALLEL .. "tls-transport-destroy-after-own-gc.js",
        "a connection is collected before what carries it, and after it", function()
        for _, order in ipairs {{"outer", "inner"}, {"inner", "outer"}} do
            local outer, outer_peer = pair.connect()
            local inner = assert(pair.client():connection())
            inner:set_blocking(false)
            inner:set_hostname "localhost"
            inner:set_connection(outer)
            expect.word("want_read", inner:connect())
            local held, gone = {outer = outer, inner = inner}, setmetatable({}, {__mode = "v"})
            gone.outer, gone.inner = outer, inner
            outer, inner = nil, nil -- luacheck: ignore 311
            for _, name in ipairs(order) do
                held[name] = nil
                collectgarbage()
                collectgarbage()
                -- What carries another connection lives as long as that one.
                assert.equal(held.inner ~= nil, gone.inner ~= nil)
                assert.equal(next(held) ~= nil, gone.outer ~= nil)
            end
            assert.is_true(outer_peer:peek(1) ~= nil)
        end
    end)
end)

for _, version in ipairs(pair.VERSIONS) do
    describe("Node's cases of the end, " .. version .. ":", function()
        local options = {client = {max_version = version}}

        suite.answer(PARALLEL .. "tls-close-notify.js",
            "a close_notify ends the data where the stream goes on", function()
            local client, server = pair.connect(options)
            server:shutdown()
            expect.word("closed", client:read())
            assert.equal("more", pair.send(client, server, "more"))
        end)

        suite.answer(PARALLEL .. "tls-close-error.js",
            "a client that trusts its server not fails, tells it, and is not open", function()
            local distrust = {max_version = version, ca = p.other_ca_file}
            local c, s, client, server = pair.try {client = distrust}
            assert.equal("verify", c[3].code)
            assert.equal("failed", client:state())
            local err = s[3] or select(3, server:read())
            assert.same({"alert", "unknown_ca"}, {err.code, err.alert})
            assert.equal("verify", select(3, client:close()).code)
        end)

        local after_data = {PARALLEL .. "tls-close-event-after-write.js",
            PARALLEL .. "tls-client-destroy-soon.js"}
        suite.answer(after_data, "all of 2 MiB arrives before the end that follows them", function()
            local client, server = pair.connect(options)
            local bytes = ("Y"):rep(2 << 20)
            assert.equal(bytes, pair.send(server, client, bytes))
            assert.equal("sent", server:close())
            expect.word("closed", client:read())
        end)

        suite.answer(PARALLEL .. "tls-connect-allow-half-open-option.js",
            "who has read the end still writes, and who has sent it still reads", function()
            local client, server = pair.connect(options)
            assert.equal("Hello", pair.send(client, server, "Hello"))
            assert.equal("Hello", pair.send(server, client, "Hello"))
            server:shutdown()
            expect.word("closed", client:read())
            assert.equal("Bye", pair.send(client, server, "Bye"))
            assert.equal("tls", select(3, server:write "late").code)
            assert.equal("done", client:shutdown())
            expect.word("closed", server:read())
        end)

        -- Node says "end" here. Without a close_notify we say "truncated" (RFC 8446 section 6.1).
        local suffix = version == "TLSv1.2" and "-12.js" or ".js"
        suite.answer(PARALLEL .. "tls-destroy-stream" .. suffix,
            "what was written before a connection is dropped arrives, then an end", function()
            local client, server = pair.connect(options)
            server:write "Hello World"
            server:free()
            assert.equal("Hello World", client:read())
            expect.word("truncated", client:read())
        end)

        suite.answer(PARALLEL .. "tls-destroy-whilst-write.js",
            "a connection whose write waits is dropped, before and after the handshake", function()
            local client, server = pair.connect(options)
            local written = client:write(("x"):rep(1 << 20))
            expect.word("want_write", client:write(("x"):rep(1 << 20), written + 1))
            client:free()
            while server:peek(1) do server:read(65536) end
            expect.word("truncated", server:read())
            local begun = pair.join {client = options.client, capacity = 64}
            expect.word("want_write", begun:connect())
            begun:free()
        end)

        suite.answer(PARALLEL .. "tls-socket-destroy.js",
            "a server drops a connection in the midst of its client's data", function()
            local client, server = pair.connect(options)
            client:write(("*"):rep(1 << 16))
            assert.equal(100, #server:read(100))
            server:free()
            local done, message, err
            repeat done, message, err = client:write(("*"):rep(1 << 16)) until not done
            assert.equal("system", err and err.code or message)
        end)

        suite.answer(PARALLEL .. "tls-socket-close.js",
            "a write raises when our transport is closed, and does not crash", function()
            local client, server = pair.connect(options)
            assert.equal("foo", pair.send(client, server, "foo"))
            server:close_transport()
            expect.raises("transport", server.write, server, "bar")
            expect.word("truncated", client:read())
        end)

        suite.answer(PARALLEL .. "tls-wrap-econnreset.js",
            "a server that ends the stream in place of its hello truncates it", function()
            local client, server = pair.join(options)
            expect.word("want_read", client:connect())
            server:close_transport()
            local done, message = client:connect()
            assert.is_nil(done)
            assert.equal("truncated", message)
            assert.equal("failed", client:state())
        end)
    end)
end

describe("Node's suite", function() suite.check() end)
