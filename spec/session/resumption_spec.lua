--- Resumption between our caches, our ticket keys and what Debian has, over real TCP: the same
-- peers as in spec/others/interop_spec.lua, but here sessions live where the program says, and
-- conn:resumption() tells what became of them. Each connection of ours has a context of its own, as
-- in another worker: what resumes came by the cache or the keys that they share, and in nothing
-- else.
--
-- An attacker would like a session to resume where it should not: so each peer also meets a server
-- with another cache or other keys, and the reasons that our client gives are made by servers that
-- really refuse.

local peers = require "spec.support.peers"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local DEADLINE = 20 -- seconds for any single call: none takes one, but beside a load
local VERSIONS = {"TLSv1.2", "TLSv1.3"}

--- Everything until it ends, and the word for the end.
local function read_all(conn)
    local parts = {}
    while true do
        local bytes, ended = conn:read(65536)
        if not bytes then return table.concat(parts), ended end
        parts[#parts + 1] = bytes
    end
end

describe("our server", function()
    -- What peers.lua calls the kinds, made of a cache or of keys. home() makes one, options(home)
    -- shares it, refused is the word for a session that another home made.
    local HOMES = {
        stateful = {
            name = "in a cache",
            home = function() return assert(tls.cache()) end,
            options = function(cache) return {cache = cache} end,
            refused = "not_cached",
        },
        tickets = {
            name = "in tickets by a secret",
            home = function()
                local file <close> = assert(io.open("/dev/urandom", "rb"))
                return file:read(32)
            end,
            options = function(secret) return {ticket_keys = tls.ticket_keys {secret = secret}} end,
            refused = "ticket",
        },
    }

    local listener, visitors

    before_each(function()
        visitors = {}
        listener = assert(tls.listen("127.0.0.1", 0))
    end)

    after_each(function()
        for _, one in ipairs(visitors) do one:stop() end
        listener:close()
    end)

    local function watched(one)
        visitors[#visitors + 1] = one
        return one
    end

    local function context(options)
        local p = pki.get()
        options.role, options.timeout = "server", DEADLINE
        options.certificate, options.private_key = p.server_cert_file, p.server_key_file
        return assert(tls.context(options))
    end

    local function accept(server, one) return peers.accept(listener, server, one, DEADLINE) end

    local function answer(conn, peer, one)
        local got = ""
        repeat
            got = got .. assert(conn:read(65536))
        until got:sub(-#peers.request_body) == peers.request_body
        assert(conn:write {("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"):format(
            #peers.reply_body), peers.reply_body})
        if peer.finish then peer.finish(one) end
    end

    --- Two connections of the peer, the second with the session of the first, to these contexts:
    -- both connections' words for it.
    local function visits(peer, version, contexts)
        local words, one = {}, nil
        for i = 1, 2 do
            if i == 1 or peer.single then
                one = watched(peer.start(listener:port(), version,
                    {times = 2, ends = "client", resume = i > 1}))
            end
            local conn <close> = accept(contexts[i], one)
            assert.equal(version, conn:version())
            words[i] = conn:resumption()
            assert.equal(words[i] == "resumed", conn:session_reused())
            if i == 2 or not peer.silent then answer(conn, peer, one) end
            assert.equal("closed", select(2, read_all(conn)))
            conn:shutdown() -- its answer may find nobody: some are gone by now
            conn:close_transport()
            if i == 2 or peer.single then assert.equal(0, one:wait(DEADLINE), one:output()) end
        end
        return words, one:output()
    end

    -- Accepts the six connections of `openssl s_client -reconnect`, of which the last five must
    -- resume, each with the context that next_context returns. Returns the process after its end.
    local function reconnects(next_context, ...)
        local one, words = watched(process.start {"openssl", "s_client", "-connect",
            "127.0.0.1:" .. listener:port(), "-CAfile", pki.get().ca_file, "-verify_return_error",
            "-tls1_2", "-reconnect", ...}), {}
        for i = 1, 6 do
            local conn <close> = accept(next_context(), one)
            words[i] = conn:resumption()
            assert.equal("closed", select(2, read_all(conn)))
            conn:shutdown()
        end
        assert.same({"not_offered", "resumed", "resumed", "resumed", "resumed", "resumed"}, words)
        assert.equal(0, one:wait(DEADLINE))
        return one
    end

    -- With one context that has no option for resumption a client resumes, whether it takes tickets
    -- or not.
    for _, peer in ipairs(peers.clients) do
        for _, version in ipairs(VERSIONS) do
            it(("resumes %s, %s, by default"):format(peer.name, version), function()
                local default = context {}
                assert.same({"not_offered", "resumed"}, (visits(peer, version, {default, default})))
            end)
        end
    end

    for _, ticketless in ipairs {false, true} do
        it("resumes openssl s_client -reconnect, TLSv1.2, by default" ..
            (ticketless and ", -no_ticket" or ""), function()
            local default = context {}
            reconnects(function() return default end, ticketless and "-no_ticket" or nil)
        end)
    end

    for _, peer in ipairs(peers.clients) do
        for _, version in ipairs(VERSIONS) do
            for _, kind in ipairs(peer.kinds[version]) do
                local way = HOMES[kind]
                local function homes(...)
                    local contexts = {}
                    for i, home in ipairs {...} do contexts[i] = context(way.options(home)) end
                    return contexts
                end

                it(("resumes %s, %s, sessions %s"):format(peer.name, version, way.name), function()
                    local home = way.home()
                    local words, output = visits(peer, version, homes(home, home))
                    assert.same({"not_offered", "resumed"}, words)
                    if peer.says_reused then
                        assert.truthy(output:match(peer.says_reused), output)
                    end
                    if kind == "stateful" then
                        assert.equal(1, home:stats().hits)
                        assert.equal(0, home:stats().misses) -- nothing was looked up for the first
                        assert.equal(0, home:stats().bad)
                    end
                end)

                it(("does not resume a session %s of another server: %s, %s"):format(way.name,
                        peer.name, version), function()
                    local words, output = visits(peer, version, homes(way.home(), way.home()))
                    assert.same({"not_offered", way.refused}, words)
                    if peer.says_reused then assert.is_nil(output:match(peer.says_reused)) end
                end)
            end
        end
    end

    -- In TLS 1.3 -reconnect has nothing to offer: it goes as soon as the handshake is done, before
    -- it reads a ticket.
    for kind, way in pairs(HOMES) do
        it("resumes openssl s_client -reconnect, TLSv1.2, five times, sessions " ..
            way.name, function()
            local home = way.home()
            local one = reconnects(function() return context(way.options(home)) end)
            assert.equal(5, select(2, one:output():gsub("\nReused, ", "")))
            if kind == "stateful" then
                assert.equal(5, home:stats().hits)
                assert.equal(1, #home)
            end
        end)
    end
end)

describe("our client with a cache", function()
    local running = {}

    teardown(function()
        for _, one in pairs(running) do one[1]:stop() end
    end)

    local function context(options)
        local all = {role = "client", ca = pki.get().ca_file, timeout = DEADLINE}
        for name, value in pairs(options) do all[name] = value end
        return assert(tls.context(all))
    end

    local function connect(client, port)
        local conn = assert(client:connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        assert(conn:connect())
        return conn
    end

    --- Request and reply; the peer closes first and we answer it.
    local function finish(conn, request)
        assert.equal(#request, conn:write(request))
        local reply, ended = read_all(conn)
        assert.equal("closed", ended)
        assert.equal("done", conn:shutdown())
        return reply
    end

    describe("resumes without any call of the script,", function()
        --- The peer's server of that kind, started once for both versions.
        local function server(peer, kind)
            local id = peer.name .. " " .. kind
            running[id] = running[id] or table.pack(peer.start(kind))
            return running[id][1], running[id][2]
        end

        for _, peer in ipairs(peers.servers) do
            for _, version in ipairs(VERSIONS) do
                for _, kind in ipairs(peer.kinds[version]) do
                    it(("%s, %s (%s)"):format(peer.name, version, kind), function()
                        local one, port = server(peer, kind)
                        local cache = assert(tls.cache())
                        local words = {}
                        for i = 1, 3 do
                            local before = #one:output()
                            local client = context {cache = cache, min_version = version,
                                max_version = version}
                            local conn <close> = connect(client, port)
                            assert.equal(version, conn:version())
                            words[i] = conn:resumption()
                            local reply = finish(conn, peer.request)
                            assert.equal(i > 1,
                                peer.says_reused(reply, one:output():sub(before + 1)))
                        end
                        assert.same({"not_cached", "resumed", "resumed"}, words)
                        local stats = cache:stats()
                        assert.same({2, 1, 0}, {stats.hits, stats.misses, stats.bad})
                    end)
                end
            end
        end
    end)

    describe("gives the reason when it does not resume:", function()
        local one

        after_each(function()
            if one then one:stop() end
            one = nil
        end)

        local GET = "GET / HTTP/1.0\r\n\r\n"

        --- An s_server on that port, where another may have been.
        local function serve(port, ...)
            local p = pki.get()
            if one then one:stop() end
            one = process.start {"openssl", "s_server", "-accept", port, "-www",
                "-cert", p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key",
                p.server_key_file, ...}
            one:wait_for_port(port)
        end

        --- One connection, its word and its version; unless clean it is just dropped, once its
        -- tickets have come.
        local function visit(client, port, dirty)
            local conn <close> = connect(client, port)
            local word, version = conn:resumption(), conn:version()
            if not dirty then
                finish(conn, GET)
                return word, version
            end
            assert.equal(#GET, conn:write(GET))
            assert.truthy(conn:read(65536))
            assert.equal(0, conn:get_shutdown())
            return word, version
        end

        for _, version in ipairs(VERSIONS) do
            it("the server was started again, " .. version, function()
                local port = process.free_port()
                local client = context {cache = assert(tls.cache()), max_version = version}
                serve(port)
                assert.equal("not_cached", (visit(client, port)))
                assert.equal("resumed", (visit(client, port)))
                serve(port)
                assert.equal("not_accepted", (visit(client, port)))
                if version == "TLSv1.2" then assert.equal("resumed", (visit(client, port))) end
            end)

            it("the last connection was not closed, " .. version, function()
                local port = process.free_port()
                local cache = assert(tls.cache {sessions_per_peer = 1})
                local client = context {cache = cache, max_version = version}
                serve(port)
                assert.equal("not_cached", (visit(client, port, "dirty")))
                assert.equal(0, #cache) -- not only when somebody asks for it
                assert.equal("not_closed", (visit(client, port)))
                assert.equal("resumed", (visit(client, port)))
                assert.equal(1, cache:stats().bad)
            end)
        end

        it("the session has expired", function()
            local port, caches, clients = process.free_port(), {}, {}
            serve(port)
            for i, version in ipairs(VERSIONS) do
                caches[i] = assert(tls.cache {timeout = 3})
                clients[i] = context {cache = caches[i], max_version = version}
                assert.same({"not_cached", version}, {visit(clients[i], port)})
            end
            process.sleep(4.1)
            for i, version in ipairs(VERSIONS) do
                assert.same({"expired", version}, {visit(clients[i], port)})
                assert.same({"resumed", version}, {visit(clients[i], port)})
                assert.is_true(caches[i]:stats().expired >= 1)
            end
        end)

        for from, to in pairs {["TLSv1.3"] = "TLSv1.2", ["TLSv1.2"] = "TLSv1.3"} do
            it(("the session is of %s, and the server has %s now"):format(from, to), function()
                local flags = {["TLSv1.2"] = "-tls1_2", ["TLSv1.3"] = "-tls1_3"}
                local port = process.free_port()
                local client = context {cache = assert(tls.cache())}
                serve(port, flags[from])
                assert.same({"not_cached", from}, {visit(client, port)})
                serve(port, flags[to])
                assert.same({"other_version", to}, {visit(client, port)})
            end)
        end
    end)
end)
