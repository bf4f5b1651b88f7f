-- cache_binding_spec.lua: tests what Lua adds to caches, which are userdata, tables of options, and
-- stores that are functions of the script. These may yield, raise and outlive their cache.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local program = require "spec.support.program"
local tls = require "tlslife"

local SECRET = ("s"):rep(32)
local KEY = ("k"):rep(80)

-- Functions over a table, and what was called. changes: functions to put in the place of these,
-- false: none.
local function functions(changes)
    local rows, calls = {}, {}
    local all = {
        get = function(key)
            calls[#calls + 1] = "get"
            return rows[key]
        end,
        put = function(key, sealed)
            calls[#calls + 1] = "put"
            rows[key] = sealed
        end,
        remove = function(key)
            calls[#calls + 1] = "remove"
            rows[key] = nil
        end,
    }
    for name, change in pairs(changes or {}) do
        all[name] = change and change(rows, calls, all[name]) or nil
    end
    return all, calls, rows
end

local function yielding(_, _, call)
    return function(...)
        coroutine.yield "store"
        return call(...)
    end
end

local function cache_of(store, options)
    return assert(tls.cache(pair.with({store = store, keyring = tls.keyring {SECRET},
        in_memory = false}, options)))
end

-- A server of TLS 1.2 whose sessions are in these functions, and a client.
local function server_of(store, options)
    return pair.server {cache = cache_of(store, options), max_version = "TLSv1.2"},
        pair.client {max_version = "TLSv1.2"}
end

-- Runs a step in a coroutine till it is done: its results, after how many yields.
local function finish(thread, ...)
    local yields, result = 0, table.pack(coroutine.resume(thread, ...))
    while coroutine.status(thread) ~= "dead" do
        yields = yields + 1
        result = table.pack(coroutine.resume(thread))
    end
    assert(result[1], result[2])
    return yields, table.unpack(result, 2, result.n)
end

local function looped(step, ...) return finish(coroutine.create(step), ...) end

local function visit(client, server, session)
    local conn, peer = pair.connect {client = client, server = server, session = session}
    local word = peer:resumption()
    pair.finish(conn, peer)
    return word, conn:session(), conn, peer
end

-- A server's connection that waits in its store's function, in a coroutine that is suspended there;
-- then the client's.
local function suspended(client, server, session)
    local conn, peer = pair.join {client = client, server = server, session = session}
    conn:connect()
    local thread = coroutine.create(function() return peer:accept() end)
    assert.same({true, "store"}, {coroutine.resume(thread)})
    return thread, peer, conn
end

describe("userdata of", function()
    local made = {
        cache = function() return tls.cache() end,
        keyring = function() return tls.keyring {SECRET, ("t"):rep(40)} end,
        ticket_keys = function() return tls.ticket_keys {secret = SECRET} end,
    }
    local use = {cache = "stats", keyring = "rotate", ticket_keys = "replace"}

    for kind, make in pairs(made) do
        it(kind .. " count their references, and raise once they are freed", function()
            local object = make()
            assert.equal(kind, tls.type(object))
            assert.equal(object, object:up_ref())
            object:free()
            assert.is_nil(tostring(object):find "freed")
            object:free()
            assert.truthy(tostring(object):find "freed")
            expect.raises("was freed", object.free, object)
            expect.raises("was freed", object.up_ref, object)
            expect.raises("was freed", object[use[kind]], object, SECRET)
            expect.raises(kind .. " expected as self", object.free, tls.buffer(1))
            local scoped
            do
                local closed <close> = make()
                scoped = closed
            end
            expect.raises("was freed", scoped.free, scoped)
        end)
    end

    it("keys show no secret", function()
        for _, object in ipairs {tls.keyring {SECRET}, tls.ticket_keys {secret = SECRET},
            tls.ticket_keys {keys = {KEY}}} do
            assert.is_nil(tostring(object):find "sss")
            assert.is_nil(tostring(object):find "kkk")
            assert.truthy(tostring(object):find "secret")
        end
    end)

    it("keys rotate and are replaced", function()
        local keyring = tls.keyring {SECRET}
        assert.is_true(keyring:rotate(("r"):rep(32)))
        expect.raises("32", keyring.rotate, keyring, "short")
        expect.raises("string expected", keyring.rotate, keyring, 42)
        local keys = tls.ticket_keys {keys = {KEY}}
        assert.is_true(keys:replace {("n"):rep(80), KEY})
        expect.raises("element 2 has 79 bytes", keys.replace, keys, {KEY, ("n"):rep(79)})
        expect.raises("list of strings", keys.replace, keys, {})
        local derived = tls.ticket_keys {secret = SECRET, epoch = 60, older = 16}
        expect.refused("derived keys that are replaced", derived.replace, derived, {KEY})
    end)
end)

describe("options of", function()
    local store = functions()
    local freed = tls.keyring {SECRET}
    freed:free()
    local mistakes = {
        cache = {
            ["unknown option 'capcity'"] = {capcity = 1},
            ["option 'capacity': integer expected, got string"] = {capacity = "1"},
            ["option 'capacity': -1 is not in"] = {capacity = -1},
            ["option 'capacity': 1.5 is not in"] = {capacity = 1.5},
            ["option 'timeout': 0 is not in"] = {timeout = 0},
            ["option 'sessions_per_peer': 17 is not in 1..16"] = {sessions_per_peer = 17},
            ["option 'in_memory': boolean expected"] = {in_memory = 1},
            ["option 'keyring': tlslife.keyring expected, got table"] = {keyring = {SECRET}},
            ["option 'keyring': tlslife.keyring expected, got tlslife.buffer"] =
                {keyring = tls.buffer(1)},
            ["option 'keyring': the keyring was freed"] = {keyring = freed},
            ["option 'store': tlslife.store or table of functions expected, got string"] =
                {store = "redis"},
            ["option 'store': tlslife.store expected, got tlslife.keyring"] =
                {store = tls.keyring {SECRET}},
            ["option 'store': unknown field 'putt'"] =
                {store = {get = print, put = print, remove = print, putt = print}},
            ["option 'store': put is a nil, not a function"] =
                {store = {get = print, remove = print}},
            ["option 'store': get is a string, not a function"] =
                {store = {get = "x", put = print, remove = print}},
            ["option 'store': take is a boolean, not a function"] = {
                store = {get = print, put = print, remove = print, take = true},
                keyring = tls.keyring {SECRET}},
            ["cache: .*keyring"] = {store = store},
        },
        shared = {
            ["option 'path': string expected, got nil"] = {size = 65536},
            ["option 'size': integer expected, got nil"] = {path = "/tmp/x"},
            ["option 'path': a NUL is in it"] = {path = "/tmp/x\0y", size = 65536},
            ["option 'size': 0 is not in"] = {path = "/tmp/x", size = 0},
            ["unknown option 'bytes'"] = {path = "/tmp/x", size = 65536, bytes = 1},
        },
        redis = {
            ["unknown option 'hots'"] = {hots = "x"},
            ["option 'port': 65536 is not in"] = {port = 65536},
            ["option 'port': integer or string expected"] = {port = true},
            ["option 'tls': tlslife.context expected, got boolean"] = {tls = true},
            ["option 'timeout': 0 seconds are not in"] = {timeout = 0},
            ["option 'timeout': 61 seconds are not in"] = {timeout = 61},
            ["option 'database': -1 is not in"] = {database = -1},
            ["option 'path': it takes the place of options 'host' and 'port'"] =
                {path = "/tmp/redis", host = "localhost"},
            ["option 'password': a NUL is in it"] = {password = "a\0b"},
        },
        ticket_keys = {
            ["unknown option 'scret'"] = {scret = SECRET},
            ["option 'epoch': 59 is not in 60..604800"] = {secret = SECRET, epoch = 59},
            ["option 'older': 17 is not in 1..16"] = {older = 17},
            ["option 'keys': options 'secret', 'epoch' and 'older' do not go with it"] =
                {keys = {KEY}, secret = SECRET},
            ["option 'keys': element 1 has 3 bytes, and a key has 80"] = {keys = {"abc"}},
            ["option 'keys': element 1 is a number, not a string"] = {keys = {1}},
            ["option 'keys': 17 keys, and 16 are the most"] = {
                keys = {KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY,
                    KEY, KEY}},
            ["option 'keys': a list of strings"] = {keys = {}},
            ["ticket_keys: .*32"] = {secret = "short"},
        },
        keyring = {
            ["keyring: a list of strings expected"] = {},
            ["keyring: element 1 is a number, not a string"] = {42},
            ["keyring: element 2: .*32"] = {SECRET, "short"},
            ["keyring: a list of strings expected: {"] = {SECRET, name = SECRET},
        },
    }
    for maker, cases in pairs(mistakes) do
        for message, options in pairs(cases) do
            it(("%s that raise %s"):format(maker, message), function()
                expect.raises(message:gsub("[-%%()%[%]]", "%%%0"), tls[maker], options)
            end)
        end
    end

    it("contexts: a cache and ticket keys by their types", function()
        expect.raises("option 'cache': tlslife.cache expected, got table", tls.context,
            {role = "client", cache = {}})
        expect.raises("option 'ticket_keys': tlslife.ticket_keys expected", tls.context,
            {role = "server", ticket_keys = tls.cache()})
        local cache = tls.cache()
        cache:free()
        expect.raises("option 'cache': the cache was freed", tls.context,
            {role = "client", cache = cache})
    end)

    it("more keys than a ring holds", function()
        local secrets = {}
        for i = 1, 9 do secrets[i] = ("%032d"):format(i) end
        expect.raises("keyring: element 9", tls.keyring, secrets)
    end)
end)

describe("functions as a store", function()
    it("are called by the call that needs or makes a session, before it returns", function()
        local store, calls = functions()
        local server, client = server_of(store)
        local word, session = visit(client, server)
        assert.equal("not_offered", word)
        assert.same({"put"}, calls)
        assert.equal("resumed", (visit(client, server, session)))
        assert.same({"put", "get"}, calls)
    end)

    it("get a key of 32 bytes, a string and its lifetime in seconds", function()
        local seen
        local server, client = server_of(functions {put = function()
            return function(...) seen = table.pack(...) end
        end}, {timeout = 100})
        visit(client, server)
        assert.equal(3, seen.n)
        assert.equal(32, #seen[1])
        assert.equal("string", type(seen[2]))
        assert.equal("integer", math.type(seen[3]))
        assert.is_true(seen[3] > 90 and seen[3] <= 100)
    end)

    it("may each yield, and the call's results are the same", function()
        local store, calls = functions {get = yielding, put = yielding, remove = yielding}
        local server, client = server_of(store)
        local yields, word, session = looped(visit, client, server)
        assert.same({1, "not_offered"}, {yields, word})
        yields, word = looped(visit, client, server, session)
        assert.same({1, "resumed"}, {yields, word})
        assert.same({"put", "get"}, calls)
        yields, word = looped(server_of(store).connection, server) -- makes one, asks nothing
        assert.equal(0, yields)
        assert.equal("connection", tls.type(word))
    end)

    it("that yield do not change the results of read and write", function()
        -- in TLS 1.3 the tickets go out, and are told of, with what the server does next
        local store, calls = functions {put = yielding}
        local server, client = pair.server {cache = cache_of(store)}, pair.client()
        looped(function()
            local conn, peer = pair.connect {client = client, server = server}
            conn:write "hello"
            assert.equal("hello", peer:read(100))
            assert.is_true(peer:new_session_ticket())
            local wrote = table.pack(peer:write "answer")
            assert.same({6, n = 1}, wrote)
            assert.equal("answer", conn:read(100))
            expect.word("want_read", peer:read(100))
        end)
        assert.same({"put", "put", "put"}, calls)
    end)

    it("that yield hold up their own handshake and no other", function()
        local store = functions {get = yielding}
        local server, client = server_of(store)
        local _, session = visit(client, server)
        local threads = {}
        for i = 1, 64 do
            threads[i] = suspended(client, server, client:import_session(session:export()))
        end
        assert.equal("not_offered", (visit(client, server)))
        for i = 64, 1, -1 do coroutine.resume(threads[i]) end
    end)

    it("make their connection busy while they run, and only then", function()
        local server, client = server_of(functions {get = yielding, put = yielding})
        local _, _, session = looped(visit, client, server)
        local thread, peer, conn = suspended(client, server, session)
        expect.word("busy", peer:accept())
        expect.word("busy", peer:read(1))
        finish(thread)
        local c, s = pair.drive(conn, peer)
        assert.is_true(c[1] and s[1])
        assert.equal("resumed", peer:resumption())
    end)

    for how, message in pairs {free = "was freed while", clear = "was cleared while"} do
        it(("may return after the connection was ended by %s"):format(how), function()
            local server, client = server_of(functions {get = yielding})
            local _, session = visit(client, server)
            local thread, peer = suspended(client, server, session)
            peer[how](peer)
            local ok, raised = coroutine.resume(thread)
            assert.is_false(ok)
            assert.truthy(tostring(raised):find(message, 1, true))
            assert.equal("dead", coroutine.status(thread))
        end)
    end

    it("may have their coroutine dropped or closed; the next call asks again", function()
        local store, calls = functions {get = yielding}
        local server, client = server_of(store)
        local _, session = visit(client, server)
        local thread, peer, conn = suspended(client, server, session)
        assert.is_true(coroutine.close(thread))
        do
            local dropped = coroutine.create(function() return peer:accept() end)
            assert.same({true, "store"}, {coroutine.resume(dropped)})
        end
        collectgarbage()
        collectgarbage()
        looped(function() pair.drive(conn, peer) end)
        assert.equal("resumed", peer:resumption())
        assert.same({"put", "get"}, calls)
    end)

    it("that raise cost a full handshake, which stats() counts", function()
        local store = functions {
            get = function() return function() error "the database is on fire" end end}
        local cache = cache_of(store)
        local server, client = pair.server {cache = cache, max_version = "TLSv1.2"}, pair.client()
        local _, session = visit(client, server)
        local errors = cache:stats().store_errors
        assert.equal("store", (visit(client, server, session)))
        assert.equal(errors + 1, cache:stats().store_errors)
    end)

    it("that raise after a yield cost a full handshake, too", function()
        local store = functions {
            get = function() return function() error(coroutine.yield()) end end,
            put = function(_, _, call) return function(...)
                call(...)
                coroutine.yield()
                error {}
            end end,
        }
        local server, client = server_of(store)
        local _, _, session = looped(visit, client, server)
        local yields, word = looped(visit, client, server, session)
        assert.equal("store", word)
        assert.equal(2, yields)
    end)

    it("that raise are reported by warn", function()
        local status, output = program.run [[
            package.path = "./?.lua;" .. package.path
            local pair, tls = require "spec.support.pair", require "tlslife"
            warn "@on"
            local odd = setmetatable({}, {__tostring = function() error "no text" end})
            local server = pair.server {max_version = "TLSv1.2", cache = tls.cache {
                keyring = tls.keyring {("k"):rep(32)}, in_memory = false, store = {
                    get = function() error("@off", 0) end, put = function() error(odd) end,
                    remove = print}}}
            local client = pair.client {max_version = "TLSv1.2"}
            local conn, peer = pair.connect {client = client, server = server}
            pair.finish(conn, peer)
            pair.connect {client = client, server = server, session = conn:session()}
        ]]
        assert.equal(0, status, output)
        local warnings = {}
        for text in output:gmatch "Lua warning: ([^\n]*)" do warnings[#warnings + 1] = text end
        assert.same(
            {"tlslife: a store's put: an error that has no text", "tlslife: a store's lookup: @off",
                "tlslife: a store's put: an error that has no text"}, warnings)
    end)

    it("that yield where their caller cannot cost a full handshake", function()
        local server, client = server_of(functions {get = yielding})
        local _, session = visit(client, server)
        local conn, peer = pair.join {client = client, server = server, session = session}
        local word
        table.sort({1, 2}, function()
            if not word then
                pair.drive(conn, peer)
                word = peer:resumption()
            end
            return false
        end)
        assert.equal("store", word)
    end)

    local function early_server(store)
        return pair.server {cache = cache_of(store), max_early_data = 100, num_tickets = 1},
            pair.client {min_version = "TLSv1.3", max_early_data = 100}
    end

    it("with take are called for a session that may be used once", function()
        local store, calls = functions {take = function(rows, calls) return function(key)
            calls[#calls + 1] = "take"
            local sealed = rows[key]
            rows[key] = nil
            return sealed
        end end}
        local server, client = early_server(store)
        local conn, peer = pair.connect {client = client, server = server}
        pair.finish(conn, peer)
        local session = conn:take_session()
        assert.equal("resumed", (visit(client, server, session)))
        assert.same({"put", "take"}, {calls[1], calls[2]})
        assert.is_nil(table.concat(calls, " "):find "get")
    end)

    it("without take are asked to get and then to remove; both may yield", function()
        local store, calls = functions {get = yielding, remove = yielding}
        local server, client = early_server(store)
        local conn, peer = pair.connect {client = client, server = server}
        pair.finish(conn, peer)
        local yields, word = looped(visit, client, server, conn:take_session())
        assert.equal("resumed", word)
        assert.is_true(yields >= 2)
        assert.same({"put", "get", "remove"}, {calls[1], calls[2], calls[3]})
    end)

    it("whose remove fails resume no session that may be used once", function()
        local store = functions {remove = function() return function() error "read-only" end end}
        local server, client = early_server(store)
        local conn, peer = pair.connect {client = client, server = server}
        pair.finish(conn, peer)
        assert.equal("store", (visit(client, server, conn:take_session())))
    end)

    it("are never called by the collector, but by the next call that uses the cache", function()
        local store, calls = functions()
        local server, client = server_of(store)
        local other = server:connection()
        local function open_and_drop() pair.connect {client = client, server = server} end
        open_and_drop()
        assert.same({"put"}, calls)
        collectgarbage()
        collectgarbage()
        assert.same({"put"}, calls)
        other:set_blocking(false)
        other:set_memory()
        expect.word("want_read", other:accept())
        assert.same({"put", "remove"}, calls)
    end)

    it("are called by cache:remove", function()
        local store, calls, rows = functions {remove = yielding}
        local cache = cache_of(store)
        local server, client = pair.server {cache = cache, max_version = "TLSv1.2"}, pair.client()
        local _, session = visit(client, server)
        assert.is_not_nil(next(rows))
        local _, removed = looped(cache.remove, cache, session:id())
        assert.is_false(removed)
        assert.is_nil(next(rows))
        assert.equal("remove", calls[#calls])
    end)

    it("are kept as long as a connection may need them, and no longer", function()
        local alive = setmetatable({}, {__mode = "k"})
        local store, calls = functions()
        for _, call in pairs(store) do alive[call] = true end
        local server, client = server_of(store)
        store = nil
        local _, session = visit(client, server)
        local conn, peer = pair.join {client = client, server = server, session = session}
        server:free()
        server = nil
        collectgarbage()
        collectgarbage()
        pair.drive(conn, peer)
        assert.equal("resumed", peer:resumption())
        assert.same({"put", "get"}, calls)
        peer:free()
        peer, conn = nil, nil
        for _ = 1, 4 do collectgarbage() end
        assert.is_nil(next(alive), "the functions are kept, by nobody that can be seen")
        assert.is_nil(store or server or peer or conn)
    end)

    it("outlive the cache's userdata, and serve copies of connections", function()
        local store, calls = functions()
        local cache = cache_of(store)
        local server, client = pair.server {cache = cache, max_version = "TLSv1.2"},
            pair.client {max_version = "TLSv1.2"}
        cache:free()
        cache = nil
        collectgarbage()
        local _, session = visit(client, server)
        local conn, peer = pair.join {client = client, server = server, session = session}
        local copy = peer:dup()
        peer:free()
        tls.pair(conn, copy)
        copy:set_blocking(false)
        pair.drive(conn, copy)
        assert.equal("resumed", copy:resumption())
        assert.same({"put", "get"}, calls)
        assert.is_nil(cache)
    end)

    it("are read from their table once: later changes of it have no effect", function()
        local store, calls = functions()
        local server, client = server_of(store)
        for name in pairs(store) do store[name] = nil end
        local _, session = visit(client, server)
        assert.equal("resumed", (visit(client, server, session)))
        assert.same({"put", "get"}, calls)
    end)

    it("may use the cache, its connections and themselves", function()
        local cache, inner
        local store = functions {
            get = function(_, _, call) return function(key)
                cache:remove("x")
                inner = cache:stats()
                collectgarbage()
                return call(key)
            end end,
            put = function(_, _, call) return function(...)
                local conn = pair.join {server = {cache = cache, max_version = "TLSv1.2"}}
                conn:connect()
                return call(...)
            end end,
        }
        cache = cache_of(store)
        local server, client = pair.server {cache = cache, max_version = "TLSv1.2"}, pair.client()
        local _, session = visit(client, server)
        assert.equal("resumed", (visit(client, server, session)))
        assert.equal("table", type(inner))
    end)

    it("serve a client's cache, too", function()
        local store, calls = functions {get = yielding, put = yielding, remove = yielding}
        local client, server = pair.client {cache = cache_of(store)}, pair.server {num_tickets = 1}
        looped(visit, client, server)
        local conn, peer
        looped(function() conn, peer = pair.connect {client = client, server = server} end)
        assert.equal("resumed", conn:resumption())
        assert.same({"get", "put", "get", "remove"}, {table.unpack(calls, 1, 4)})
        assert.is_true(peer:session_reused())
    end)
end)

describe("a cache", function()
    -- n sessions of TLS 1.2 in memory, and their ids
    local function filled(n)
        local cache, ids = tls.cache(), {}
        local server, client = pair.server {cache = cache, max_version = "TLSv1.2"}, pair.client()
        for i = 1, n do
            local _, session = visit(client, server)
            ids[i] = session:id()
        end
        return cache, ids
    end

    it("shows its entries one by one, however many, each once", function()
        local cache, ids = filled(37)
        local seen, n = {}, 0
        for entry in cache:entries() do
            assert.is_nil(seen[entry.id])
            seen[entry.id] = true
            n = n + 1
        end
        assert.same({37, 37}, {n, #cache})
        for _, id in ipairs(ids) do assert.is_true(seen[id]) end
        local next_entry = tls.cache():entries()
        assert.is_nil(next_entry())
        assert.is_nil(next_entry())
    end)

    it("raises when it is freed while its entries are listed", function()
        local cache = filled(20)
        local raised = expect.raises("the cache was freed", function()
            for _ in cache:entries() do
                if tls.type(cache) and not tostring(cache):find "freed" then cache:free() end
            end
        end)
        assert.truthy(tostring(raised):find "entries")
    end)

    it("gets, takes and removes by id", function()
        local cache, ids = filled(3)
        local session = cache:get(ids[1])
        assert.equal(ids[1], session:id())
        assert.equal(session, cache:get(ids[1]))
        assert.equal(ids[2], cache:take(ids[2]):id())
        assert.is_nil(cache:take(ids[2]))
        assert.is_true(cache:remove(ids[3]))
        assert.is_false(cache:remove(ids[3]))
        assert.equal(1, #cache)
        local another = tls.cache()
        assert.is_true(another:put(session))
        assert.equal(ids[1], another:get(ids[1]):id())
        assert.equal(0, cache:flush())
        assert.equal(1, cache:flush(true))
    end)

    it("finds nothing under strings that cannot be ids", function()
        local cache = filled(1)
        for _, id in ipairs {"", "x", ("x"):rep(33), ("x"):rep(1 << 16), "\0"} do
            assert.is_nil(cache:get(id))
            assert.is_nil(cache:take(id))
            assert.is_false(cache:remove(id))
        end
        for _, id in ipairs {1, true, {}} do
            expect.raises("string expected", cache.get, cache, id)
            expect.raises("string expected", cache.remove, cache, id)
        end
        expect.raises("tlslife.session expected", cache.put, cache, "x")
        expect.raises("tlslife.keyring expected", cache.export, cache, SECRET)
        expect.raises("tlslife.keyring expected", cache.import, cache, nil, "")
        expect.raises("boolean expected", cache.flush, cache, 1)
    end)

    it("counts in numbers", function()
        local cache = filled(2)
        local stats = cache:stats()
        local names = {}
        for name, value in pairs(stats) do
            names[#names + 1] = name
            assert.equal("integer", math.type(value))
        end
        assert.equal(12, #names)
        assert.same({2, 2}, {stats.entries, stats.puts})
        assert.truthy(tostring(cache):find "2 sessions")
    end)
end)

describe("ticket data", function()
    local function connect(client, server, session, data)
        local conn, peer = pair.join {client = client, server = server, session = session}
        if data then assert.is_true(peer:set_ticket_data(data)) end
        assert.is_nil(peer:ticket_data())
        pair.drive(conn, peer)
        conn:read()
        pair.finish(conn, peer)
        assert.equal(session and "resumed" or "not_offered", peer:resumption())
        return peer:ticket_data(), conn:take_session() or session
    end

    for _, kind in ipairs { {"TLSv1.2", "tickets"}, {"TLSv1.3", "tickets"},
        {"TLSv1.3", "stateful"} } do
        local version, resumption = table.unpack(kind)
        it(("passes to the next connection, %s, %s"):format(version, resumption), function()
            local server = pair.server {resumption = resumption, max_version = version}
            local client = pair.client {max_version = version}
            local got, session = connect(client, server, nil, "user\0 42")
            assert.is_nil(got)
            got, session = connect(client, server, session)
            assert.equal("user\0 42", got)
            got, session = connect(client, server, session, "user 43")
            assert.equal("user\0 42", got)
            if version == "TLSv1.3" then -- in 1.2 a connection that resumes gets no new ticket
                assert.equal("user 43", (connect(client, server, session)))
            end
        end)
    end

    it("is not passed on where there is no ticket: session ids of TLS 1.2", function()
        local server = pair.server {resumption = "stateful", max_version = "TLSv1.2"}
        local client = pair.client {max_version = "TLSv1.2"}
        local _, session = connect(client, server, nil, "user 42")
        assert.is_nil((connect(client, server, session)))
    end)

    it("is refused where it is too long, no string, or a client's", function()
        local conn, peer = pair.connect()
        expect.raises("1024", peer.set_ticket_data, peer, ("x"):rep(1025))
        expect.raises("string expected", peer.set_ticket_data, peer, 42)
        expect.raises("server", conn.set_ticket_data, conn, "x")
    end)
end)

-- hiredis is optional
if pcall(tls.redis) then
    describe("tls.redis", function()
        it("takes a socket, a user and TLS, and refuses what contradicts itself", function()
            local client = tls.context {role = "client", verify = "none"}
            local server = tls.context {role = "server"}
            for _, options in ipairs {
                {path = "/nowhere/socket", username = "me", password = "word", database = 3},
                {host = "localhost", port = "redis", tls = client, prefix = "p", pending = 1},
            } do
                assert.matches("^tlslife%.store: %S+ %(open%)$", tostring(tls.redis(options)))
            end
            expect.raises("password", tls.redis, {username = "me"})
            expect.raises("needs a client's context", tls.redis, {tls = server})
            expect.raises("and a host", tls.redis, {path = "/nowhere/socket", tls = client})
            expect.raises("without a cache", tls.redis,
                {tls = tls.context {role = "client", verify = "none", cache = tls.cache {}}})
        end)
    end)

    describe("a store that has to be waited for", function()
        it("makes a non-blocking connection return want words until it has answered", function()
            local mute <close> = assert(tls.listen("127.0.0.1", 0))
            local store = tls.redis {port = mute:port(), timeout = 0.2}
            local cache = cache_of(store)
            local server, client = pair.server {cache = cache, max_version = "TLSv1.2"},
                pair.client {max_version = "TLSv1.2"}
            local _, session = visit(client, server)
            local conn, peer = pair.join {client = client, server = server, session = session}
            conn:connect()
            expect.word("want_session", peer:accept())
            local fd, writing, timeout = store:wait()
            assert.equal("integer", math.type(fd))
            assert.equal("boolean", type(writing))
            assert.is_true(timeout > 0 and timeout <= 1)
            local deadline, word = os.time() + 3
            repeat
                store:pump()
                _, word = peer:accept()
            until word ~= "want_session" or os.time() > deadline
            pair.drive(conn, peer)
            assert.equal("store", peer:resumption())
            assert.is_true(cache:stats().store_errors >= 1)
        end)
    end)
end
