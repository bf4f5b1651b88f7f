-- ids_spec.lua: tests tickets and session ids side by side. A client that accepts tickets resumes
-- by one; a client of TLS 1.2 without tickets resumes by its session id, and only for these the
-- server uses memory. The context that serves a handshake decides, also where on_hello or a server
-- name has changed it.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"
local with_ticket = require "spec.support.with_ticket"

local MODES <const> = {"both", "tickets", "stateful", "off"}

-- The kinds of clients: options, what a server of each mode gives them, which of these it takes,
-- and how many sessions it keeps for them.
local CLIENTS = {
    ["TLS 1.2 with tickets"] = {
        options = {max_version = "TLSv1.2"},
        given = {both = "ticket", tickets = "ticket", stateful = "id"},
        taken = {both = "ticket id", tickets = "ticket", stateful = "id"}, kept = {stateful = 1},
    },
    ["TLS 1.2 without tickets"] = {
        options = {max_version = "TLSv1.2", options = {NO_TICKET = true}},
        given = {both = "id", stateful = "id"}, taken = {both = "id", stateful = "id"},
        kept = {both = 1, stateful = 1},
    },
    ["TLS 1.3"] = {
        options = {}, given = {both = "ticket", tickets = "ticket", stateful = "id"},
        taken = {both = "ticket", tickets = "ticket", stateful = "id"}, kept = {stateful = 2},
    },
}

-- Whether such a client resumes in the second mode by what it was given in the first.
local function may_resume(kind, first, second)
    local given, taken = kind.given[first], kind.taken[second]
    return given ~= nil and taken ~= nil and taken:find(given, 1, true) ~= nil
end

-- A server that lets two contexts of one policy be told apart by nothing but what is under test.
local function server(options)
    options.session_id_context = "one policy"
    return pair.server(options)
end

--- A connection that ends well: its session, and both ends' words.
local function visit(client, context, session, hostname)
    local conn, peer = pair.connect {client = client, server = context, session = session,
        hostname = hostname}
    local words = {conn:resumption(), peer:resumption()}
    pair.finish(conn, peer)
    local made = conn:take_session()
    while made and conn:take_session() do end
    return made or conn:session(), words[1], words[2]
end

local function resumes(client, context, session, hostname)
    local _, word, peer_word = visit(client, context, session, hostname)
    assert.equal(word == "resumed", peer_word == "resumed")
    return word == "resumed"
end

for name, kind in pairs(CLIENTS) do
    describe("a client of " .. name, function()
        it("resumes by default", function()
            local client, context = pair.client(kind.options), pair.server()
            assert.is_true(resumes(client, context, (visit(client, context))))
        end)

        it("resumes by default at a server with ticket keys", function()
            local client, context = pair.client(kind.options),
                pair.server {ticket_keys = tls.ticket_keys {}}
            assert.is_true(resumes(client, context, (visit(client, context))))
        end)

        for _, mode in ipairs(MODES) do
            it("resumes by ticket or id as resumption allows: " .. mode, function()
                local cache = mode ~= "off" and tls.cache() or nil
                local client, context = pair.client(kind.options),
                    pair.server {resumption = mode, cache = cache}
                local session = visit(client, context)
                assert.equal(kind.kept[mode] or 0, cache and #cache or 0)
                assert.equal(may_resume(kind, mode, mode), resumes(client, context, session))
            end)
        end

        it("gets no ticket where the option NO_TICKET is on, but an id", function()
            local cache = tls.cache()
            local client = pair.client(kind.options)
            for _, options in ipairs {{}, {cache = cache}} do
                options.options = {NO_TICKET = true}
                local context = pair.server(options)
                assert.is_true(resumes(client, context, (visit(client, context))))
            end
            assert.is_true(#cache > 0)
        end)
    end)
end

-- -------------------------------------------------------------------- contexts behind one listener

describe("contexts behind one listener", function()
    -- How the listener's context leads to another, from the second connection on.
    local WAYS = {
        on_hello = function(options, target)
            local hellos = 0
            options.on_hello = function()
                hellos = hellos + 1
                return hellos > 1 and target or nil
            end
            return server(options), "localhost"
        end,
        server_names = function(options, target)
            options.server_names = {["a.example"] = target}
            return server(options), "a.example"
        end,
    }

    -- libssl gives out ids, or none, for an SSL_CTX: of which a handshake may need the other.
    local NOWHERE = {
        ["tickets and early data"] = {{resumption = "tickets", max_early_data = 1000}},
        ["tickets, early data and ticket keys"] = {{resumption = "tickets", max_early_data = 1000,
            ticket_keys = tls.ticket_keys {}}},
        ["tickets before a server name"] = {{resumption = "tickets"}, {}, "localhost"},
        ["tickets behind a server name"] = {{}, {resumption = "tickets"}, "a.example"},
        ["no resumption before a server name"] = {{resumption = "off"}, {}, "localhost"},
        ["no resumption behind a server name"] = {{}, {resumption = "off"}, "a.example"},
    }
    for what, case in pairs(NOWHERE) do
        it("give no id under which no session is kept: " .. what, function()
            local context = case[2] and WAYS.server_names(case[1], server(case[2])) or
                server(case[1])
            local session = visit(pair.client(CLIENTS["TLS 1.2 without tickets"].options), context,
                nil, case[3])
            assert.same({"", false}, {session:id(), session:is_resumable()})
            local off = case[1].resumption == "off" or case[2] and case[2].resumption == "off"
            local client = pair.client(CLIENTS["TLS 1.2 with tickets"].options)
            session = visit(client, context, nil, case[3])
            assert.equal(not off, session:is_resumable() and
                resumes(client, context, session, case[3]))
        end)
    end

    for _, first in ipairs(MODES) do
        for _, second in ipairs(MODES) do
            it(("may have resumption %s and %s of their own"):format(first, second), function()
                for name, kind in pairs(CLIENTS) do
                    local what = ("%s, %s"):format(name, second)
                    local client = pair.client(kind.options)
                    -- made under the first, offered to the second: both must allow it
                    local listener = WAYS.on_hello({resumption = first},
                        server {resumption = second})
                    local session, word = visit(client, listener)
                    assert.is_true(word == "not_offered", what)
                    session = session:is_resumable() and session or nil
                    assert.equal(may_resume(kind, first, second),
                        session ~= nil and resumes(client, listener, session), what)
                    -- and both of its sessions under the second
                    local hostname
                    for way, make in pairs(WAYS) do
                        listener, hostname = make({resumption = first},
                            server {resumption = second})
                        if way == "on_hello" then visit(client, listener) end
                        session = visit(client, listener, nil, hostname)
                        session = session:is_resumable() and session or nil
                        assert.equal(may_resume(kind, second, second), session ~= nil and
                            resumes(client, listener, session, hostname), what .. way)
                    end
                end
            end)
        end
    end

    -- A mistake in one context must not end the server that others are served by.
    local UNFIT = {
        ["a client's"] = {function() return pair.client() end, "server's context"},
        ["one that cannot be used"] = {function() return pair.server {on_verify = print} end,
            "verification"},
    }
    for what, case in pairs(UNFIT) do
        it(("fail with an alert and an error where the new context is %s"):format(what), function()
            local target = case[1]()
            local listener = pair.server {on_hello = function(_, hello)
                return hello.server_name == "a.example" and target or nil
            end}
            local c, s = pair.try {server = listener, hostname = "a.example"}
            local err = expect.fails("tls", table.unpack(s, 1, 3))
            assert.truthy(err.message:find(case[2], 1, true), err.message)
            assert.equal("internal_error", expect.fails("alert", table.unpack(c, 1, 3)).alert)
            assert.is_true(pair.connect({server = listener}):handshake_done())
        end)
    end
end)

-- ------------------------------------------------------------------------------------ both at once

describe("a client that offers a ticket and an id at once", function()
    local KEYRING <const> = {("k"):rep(32)}
    local function functions()
        local rows, asked = {}, 0
        return {
            get = function(key)
                asked = asked + 1
                return rows[key]
            end,
            put = function(key, sealed) rows[key] = sealed end,
            remove = function(key) rows[key] = nil end,
        }, function() return asked end
    end

    local HOMES = {
        ["a context's own"] = function() return nil end,
        ["a cache"] = function() return tls.cache() end,
        ["an external store"] = function()
            local store, asked = functions()
            return tls.cache {store = store, keyring = tls.keyring(KEYRING), in_memory = false},
                asked
        end,
        ["an external store behind memory"] = function()
            local store, asked = functions()
            return tls.cache {store = store, keyring = tls.keyring(KEYRING)}, asked
        end,
    }
    local KEYS = {
        ["libssl's ticket keys"] = function() return nil end,
        ["ticket keys"] = function() return tls.ticket_keys {} end,
    }
    local plain = {max_version = "TLSv1.2", options = {NO_TICKET = true}}

    for home, make_home in pairs(HOMES) do
        for keys, make_keys in pairs(KEYS) do
            local function setup()
                local cache, asked = make_home()
                return pair.server {resumption = "both", cache = cache, ticket_keys = make_keys()},
                    pair.client {max_version = "TLSv1.2"}, cache, asked
            end

            it(("resumes by id where the ticket is unknown: %s, %s"):format(home, keys), function()
                local context, client = setup()
                local ided = visit(pair.client(plain), context)
                assert.equal(32, #ided:id())
                for _, len in ipairs {176, 16, 15, 1} do -- a key's name has 16 bytes
                    local both = client:import_session(with_ticket(ided:export(), ("t"):rep(len)))
                    assert.equal(32, #both:id())
                    assert.equal(len, #both:ticket())
                    assert.is_true(resumes(client, context, both))
                end
            end)

            it(("resumes by a known ticket with no lookup: %s, %s"):format(home, keys), function()
                local context, client, cache, asked = setup()
                local session = visit(client, context)
                assert.is_true(#session:id() > 0) -- made up by the client (RFC 5077 section 3.4)
                assert.is_true(resumes(client, context, session))
                if cache then assert.equal(0, cache:stats().misses + #cache) end
                if asked then assert.equal(0, asked()) end
            end)

            it(("gets a new ticket where neither is known: %s, %s"):format(home, keys), function()
                local context, client = setup()
                local session = visit(client, context)
                local stale = client:import_session(with_ticket(session:export(), ("t"):rep(176)))
                local fresh, _, word = visit(client, context, stale)
                assert.equal("ticket", word)
                assert.not_equal(("t"):rep(176), fresh:ticket())
                assert.is_true(resumes(client, context, fresh))
            end)
        end
    end
end)

-- --------------------------------------------------------------------------------------- tls.serve

if not serving.has_luv then return end

local kinds = {{"", 1}, {"workers = 2", 2}}
if require "spec.support.program".ours then kinds[3] = {"workers = 2, threads = true", 2} end

for _, kind in ipairs(kinds) do
    local options, workers = table.unpack(kind)

    describe(("tls.serve {%s}"):format(options), function()
        local running

        setup(function() running = serving.start(options, workers) end)
        teardown(function() serving.stop(running) end)

        for name, client in pairs(CLIENTS) do
            it("resumes a client of " .. name .. " at each worker, and after a reload", function()
                local context, seen, made = serving.context(client.options), {}, nil
                for i = 1, 24 do
                    if i == 13 then assert.equal("true", serving.ask_once(running, "!reload")) end
                    local conn <close> = serving.connect(running,
                        {context = context, session = made})
                    seen[serving.ask(conn, "!worker")] = true
                    assert.equal(i > 1, conn:session_reused())
                    conn:close()
                    made = conn:take_session() or made
                end
                assert.is_true(next(seen) ~= nil)
            end)
        end

        it("resumes openssl s_client -no_ticket -reconnect", function()
            local output, reused, code
            -- libssl makes the session known after its Finished has gone, so a client that is quick
            -- may come to another worker before that; but not each time
            for _ = 1, 10 do
                code, output = process.run {"openssl", "s_client", "-connect",
                    "127.0.0.1:" .. running.port, "-CAfile", pki.get().ca_file, "-tls1_2",
                    "-no_ticket", "-reconnect", timeout = 20}
                assert.equal(0, code, output)
                reused = select(2, output:gsub("\nReused, ", ""))
                if workers == 1 or reused == 5 then break end
            end
            assert.equal(5, reused, output)
        end)
    end)
end

describe("tls.serve without room in shared memory", function()
    local NO_ROOM <const> = "trap '' XFSZ; ulimit -f 1000"
    local STATEFUL <const> = "context = {certificate = certificate, private_key = private_key, " ..
        "resumption = 'stateful'}, "

    it("serves, and logs once that each worker keeps its own ids", function()
        local running = serving.start("workers = 2", 2, NO_ROOM)
        local client = serving.context(CLIENTS["TLS 1.2 without tickets"].options)
        assert.equal("x", serving.ask_once(running, "x", {context = client}))
        local output = serving.stop(running)
        local _, times = output:gsub("warning: session ids resume at their own worker only", "")
        assert.equal(1, times, output)
    end)

    it("does not start where resumption by id was asked for", function()
        local running = serving.launch(STATEFUL .. "workers = 2", NO_ROOM)
        assert.truthy(running:wait_for("refused: ([^\n]+)"):find("serve-", 1, true),
            running:output())
    end)
end)
