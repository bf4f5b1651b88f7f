-- cache_spec.lua: runs the same examples for every place where a cache keeps sessions, which are
-- memory, shared memory, Redis and functions of the script.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local SECRET = ("s"):rep(32)
local unique = 0

local redis_port
local function redis()
    redis_port = redis_port or process.start_redis(300)
    unique = unique + 1
    return assert(tls.redis {port = redis_port, prefix = ("spec%d:"):format(unique), timeout = 2})
end

local function slab_file()
    unique = unique + 1
    return ("%s/slab%d"):format(process.directory(), unique)
end

-- A store of Lua functions over a table; wrap sees each call.
local function functions(wrap)
    local rows = {}
    return {
        get = function(key) return wrap("get", rows[key]) end,
        put = function(key, sealed)
            rows[key] = sealed
            wrap "put"
        end,
        remove = function(key)
            rows[key] = nil
            wrap "remove"
        end,
        rows = rows,
    }
end

local function plain(_, value) return value end

local function yielding(what, value)
    if coroutine.isyieldable() then coroutine.yield(what) end
    return value
end

local function only_functions(all)
    return {get = all.get, put = all.put, remove = all.remove, take = all.take}
end

-- Each place has a name, and a function that returns a store (nil: memory) and the cache's options.
local PLACES = {
    {"memory", function() return nil, {} end},
    {"a shared file", function()
        return assert(tls.shared {path = slab_file(), size = 1 << 20}), {in_memory = false}
    end},
    {"shared memory", function()
        unique = unique + 1
        local name = ("spec-%s-%d"):format(process.run_name(), unique)
        local store = assert(tls.shared {path = "shm:" .. name, size = 1 << 20, wipe = true})
        assert(os.remove("/dev/shm/tlslife-" .. name)) -- it lives while it is mapped
        return store, {in_memory = false}
    end},
    {"redis", function() return redis(), {in_memory = false} end},
    {"a table of functions",
        function() return only_functions(functions(plain)), {in_memory = false} end},
    {"a table of functions that yield",
        function() return only_functions(functions(yielding)), {in_memory = false} end},
    {"memory in front of a shared file", function()
        return assert(tls.shared {path = slab_file(), size = 1 << 20}), {in_memory = true}
    end},
}

local function cache_at(place, options)
    local store, all = place[2]()
    all.store = store
    all.keyring = store and tls.keyring {SECRET} or nil
    for name, value in pairs(options or {}) do all[name] = value end
    return assert(tls.cache(all))
end

-- Calls step in a coroutine, and resumes it until it ends, since functions of a store may yield.
local function looped(step, ...)
    local thread = coroutine.create(step)
    local result = table.pack(coroutine.resume(thread, ...))
    while coroutine.status(thread) ~= "dead" do result = table.pack(coroutine.resume(thread)) end
    assert(result[1], result[2])
    return table.unpack(result, 2, result.n)
end

-- Makes one connection and ends it: how is "drop" (freed without close_notify), "mark"
-- (set_shutdown alone) or nil (closed on both sides). Returns conn:resumption() of the client and
-- of the server, and the client's session.
local function visit(client, server, session, how)
    local conn, peer = pair.join {client = client, server = server, session = session,
        setup = function(_, s)
            s:set_blocking(true) -- in memory there is no other wait than the store's
        end}
    local c, s = pair.drive(conn, peer)
    assert(c[1] and s[1], c[2] or s[2])
    assert(select(2, conn:read()) == "want_read")
    local words = {conn:resumption(), peer:resumption()}
    local taken = conn:take_session() or conn:session()
    if how == "drop" then
        conn:free()
        peer:free()
    elseif how == "mark" then
        peer:set_shutdown(tls.SENT_SHUTDOWN)
        conn:set_shutdown(tls.SENT_SHUTDOWN)
        conn:free()
        peer:free()
    else
        pair.finish(conn, peer)
        conn:free()
        peer:free()
    end
    return words[1], words[2], taken
end

for _, place in ipairs(PLACES) do
    for _, version in ipairs(pair.VERSIONS) do
        describe(("a cache in %s, %s,"):format(place[1], version), function()
            local cache, client, server
            before_each(function()
                cache = cache_at(place)
                client = pair.client {max_version = version}
                server = pair.server {cache = cache, num_tickets = 1}
            end)

            local function go(session, how) return looped(visit, client, server, session, how) end

            it("resumes a session whose connection was closed", function()
                local c, s, session = go()
                assert.equal("not_offered", c)
                assert.not_equal("resumed", s)
                c, s = go(session)
                assert.same({"resumed", "resumed"}, {c, s})
                assert.equal(1, cache:stats().hits)
                assert.equal(0, cache:stats().store_errors + cache:stats().not_opened)
            end)

            it("looks nothing up for a client that offers no session", function()
                for _ = 1, 3 do
                    local fresh = pair.client {max_version = "TLSv1.3"}
                    looped(visit, fresh, server)
                end
                assert.equal(0, cache:stats().misses + cache:stats().hits)
            end)

            it("forgets a session whose connection was not closed", function()
                local _, _, session = go()
                local bytes = session:export()
                local _, s, second = go(session)
                assert.equal("resumed", s)
                -- bytes: a copy that does not know that its connection ended badly
                local copy = version == "TLSv1.2" and client:import_session(bytes)
                    or client:import_session(second:export())
                go(client:import_session(copy:export()), "drop")
                local before = cache:stats().bad
                assert.is_true(before >= 1)
                if version == "TLSv1.2" then
                    _, s = go(client:import_session(bytes))
                    assert.equal("not_cached", s)
                end
            end)

            it("keeps a session whose connection was marked by set_shutdown", function()
                local _, _, session = go(nil, "mark")
                local _, s = go(session)
                assert.equal("resumed", s)
            end)

            it("serves another context of the same policy", function()
                local _, _, session = go()
                server = pair.server {cache = cache}
                assert.equal("resumed", select(2, go(session)))
            end)

            it("does not resume under another policy", function()
                local _, _, session = go()
                server = pair.server {cache = cache, verify = "optional", ca = p.ca_file}
                local c, s = go(session)
                assert.equal("not_accepted", c)
                assert.not_equal("resumed", s)
            end)

            it("removes by id from memory and from the store", function()
                local _, _, session = go()
                cache:remove(version == "TLSv1.2" and session:id() or session:ticket())
                looped(function() server:connection():free() end)
                assert.equal("not_cached", select(2, go(session)))
            end)
        end)
    end

    it("a newer session outlives an older connection that ends badly, in " .. place[1], function()
        -- The fleets of spec/random test functions, whose remove is told which entry it may remove.
        if place[1]:find "functions" then return end
        if place[1] == "memory" then return end -- memory removes that very object
        local cache = cache_at(place)
        local first, second = pair.server(), pair.server() -- each with ticket keys of its own
        local function join(server)
            return pair.join {client = pair.client {max_version = "TLSv1.2", cache = cache},
                server = server}
        end
        local function drive(conn, peer)
            for _ = 1, 2000 do
                local c, s = pair.drive(conn, peer)
                if c[1] and s[1] then return end
                if c[2] == "want_session" then process.sleep(0.005) end
            end
            error "no handshake"
        end
        local old, old_peer = join(first)
        drive(old, old_peer)
        -- the second server does not know that session, and gives a newer one
        cache:flush(true)
        local new, new_peer = join(second)
        drive(new, new_peer)
        assert.is_false(new:session_reused())
        local newer = new:session():id()
        pair.finish(new, new_peer)
        old:free()
        cache:flush(true)
        local last, last_peer = join(second)
        drive(last, last_peer)
        assert.is_true(last:session_reused())
        assert.equal(newer, last:session():id())
        -- The newer session is removed when its own connection ends badly.
        last:free()
        cache:flush(true)
        last, last_peer = join(second)
        drive(last, last_peer)
        assert.is_false(last:session_reused())
    end)

    it("early data is accepted once for a session in " .. place[1], function()
        local cache = cache_at(place)
        local client = pair.client {min_version = "TLSv1.3", max_early_data = 1000}
        local server = pair.server {cache = cache, max_early_data = 1000, num_tickets = 1}
        local _, _, session = looped(visit, client, server)
        assert.equal(1000, session:max_early_data())
        local bytes = session:export()
        local taken = 0
        for attempt = 1, 2 do -- the second is a replay
            looped(function()
                local conn, peer = pair.join {client = client,
                    server = server, session = client:import_session(bytes),
                    setup = function(_, s) s:set_blocking(true) end}
                assert.equal(5, conn:write_early "hello")
                local early = peer:read_early()
                if early == "hello" then taken = taken + 1 end
                while early and early ~= "" do early = peer:read_early() end
                local c, s = pair.drive(conn, peer)
                assert(c[1] and s[1], c[2] or s[2])
                assert.equal(attempt == 1 and taken == 1 and "accepted" or "rejected",
                    conn:early_data_status())
                pair.finish(conn, peer)
            end)
        end
        assert.equal(1, taken)
    end)
end

it("sessions expire wherever they are kept", function()
    local all = {}
    for _, place in ipairs(PLACES) do
        for _, version in ipairs(pair.VERSIONS) do
            local client = pair.client {max_version = version}
            local server = pair.server {cache = cache_at(place, {timeout = 1})}
            local _, _, session = looped(visit, client, server)
            all[#all + 1] = {client, server, session, place[1] .. " " .. version}
        end
    end
    os.execute "sleep 2.1"
    for _, one in ipairs(all) do
        local client, server, session, where = table.unpack(one)
        local _, s = looped(visit, client, server, session)
        assert(s == "expired" or s == "not_cached", where .. ": " .. s)
    end
end)

describe("a client's cache", function()
    for _, version in ipairs(pair.VERSIONS) do
        it("resumes without any call of the script, " .. version, function()
            local cache = assert(tls.cache())
            local client = pair.client {max_version = version, cache = cache}
            local server = pair.server()
            local words = {}
            for i = 1, 3 do words[i] = visit(client, server) end
            assert.same({"not_cached", "resumed", "resumed"}, words)
            assert.is_true(#cache >= 1)
        end)

        it("offers a session only to the peer that gave it, " .. version, function()
            local cache = assert(tls.cache())
            local client, server = pair.client {max_version = version, cache = cache}, pair.server()
            visit(client, server)
            local conn = pair.connect {client = client, server = server, hostname = "a.example"}
            assert.equal("not_cached", conn:resumption())
        end)

        it("serves another context of the same policy, and no other, " .. version, function()
            local cache, server = assert(tls.cache()), pair.server()
            visit(pair.client {max_version = version, cache = cache}, server)
            assert.equal("resumed",
                (visit(pair.client {max_version = version, cache = cache}, server)))
            local lax = pair.client {max_version = version, cache = cache, verify = false}
            assert.equal("not_cached", (visit(lax, server)))
        end)

        it("gives the reason when the last connection was not closed, " .. version, function()
            local cache = assert(tls.cache {sessions_per_peer = 1})
            local client, server = pair.client {max_version = version, cache = cache},
                pair.server {num_tickets = 1}
            visit(client, server, nil, "drop")
            assert.equal("not_closed", (visit(client, server)))
            assert.equal("resumed", (visit(client, server)))
        end)
    end

    it("offers a TLS 1.3 session once", function()
        local cache = assert(tls.cache())
        local client, server = pair.client {cache = cache}, pair.server {num_tickets = 2}
        visit(client, server)
        assert.equal(2, #cache)
        local last = pair.server {num_tickets = 0}
        for i = 1, 3 do -- none of them gets what another has taken
            local conn <close> = pair.connect {client = client, server = last}
            assert.equal(i < 3 and "not_accepted" or "spent", conn:resumption())
        end
    end)

    it("survives a restart of the program in a sealed file", function()
        local keyring = tls.keyring {SECRET}
        local cache, server = assert(tls.cache()), pair.server()
        visit(pair.client {cache = cache}, server)
        local bytes = assert(cache:export(keyring))
        assert.is_nil(bytes:find("localhost", 1, true))
        local another = assert(tls.cache())
        assert.is_true(another:import(keyring, bytes) >= 1)
        assert.equal("resumed", (visit(pair.client {cache = another}, server)))
        expect.fails("input", assert(tls.cache()):import(tls.keyring {("x"):rep(32)}, bytes))
        for i = 1, #bytes, 7 do
            local damaged = bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 1) ..
                bytes:sub(i + 1)
            local empty = assert(tls.cache())
            expect.fails("input", empty:import(keyring, damaged))
            assert.equal(0, #empty)
        end
        for i = 0, #bytes - 1, 13 do
            expect.fails("input", assert(tls.cache()):import(keyring, bytes:sub(1, i)))
        end
    end)
end)

describe("a store of functions", function()
    local function resumed_with(store, options)
        local cache = assert(tls.cache(pair.with({store = store, keyring = tls.keyring {SECRET},
            in_memory = false}, options)))
        local client = pair.client {max_version = "TLSv1.2"}
        local server = pair.server {cache = cache}
        local _, _, session = looped(visit, client, server)
        local _, s = looped(visit, client, server, session)
        return s, cache:stats()
    end

    local GARBAGE = {["nothing"] = function() end, ["a number"] = function() return 42 end,
        ["a table"] = function() return {} end, ["true"] = function() return true end,
        ["an empty string"] = function() return "" end, ["junk"] = function()
            return ("junk"):rep(100)
        end, ["a MiB"] = function() return ("x"):rep(1 << 20) end,
        ["an error"] = function() error "database on fire" end}
    for what, get in pairs(GARBAGE) do
        it("that gives " .. what .. " costs a full handshake", function()
            local all = functions(plain)
            all.get = get
            local word, stats = resumed_with(only_functions(all))
            assert.not_equal("resumed", word)
            assert.equal(0, stats.hits)
            assert.is_true(stats.misses + stats.store_errors >= 1)
        end)
    end

    it("that returns the bytes of another session costs a full handshake", function()
        local all = functions(plain)
        local one
        all.get = function() return one end
        all.put = function(_, sealed) one = one or sealed end
        local cache = assert(tls.cache {store = only_functions(all), keyring = tls.keyring {SECRET},
            in_memory = false})
        local client, server = pair.client {max_version = "TLSv1.2"}, pair.server {cache = cache}
        visit(client, server)
        local _, _, second = visit(client, server)
        local _, s = visit(client, server, second)
        assert.not_equal("resumed", s)
        assert.equal(1, cache:stats().not_opened)
    end)

    it("that raises in put or remove does not make a connection fail", function()
        local all = functions(plain)
        all.put = function() error "no" end
        all.remove = function() error "no" end
        assert.not_equal("resumed", (resumed_with(only_functions(all))))
    end)

    it("holds only bytes that open under their own key, policy and id", function()
        local all = functions(plain)
        local keys = {}
        all.put = function(key, sealed)
            assert.equal(32, #key)
            keys[#keys + 1], all.rows[key] = key, sealed
        end
        assert.equal("resumed", (resumed_with(only_functions(all))))
        assert.is_true(#keys >= 1)
        local before = all.rows
        local again = functions(plain)
        again.get = function() return before[keys[1]] end
        local _, stats = resumed_with(only_functions(again),
            {keyring = tls.keyring {("k"):rep(32)}})
        assert.equal(1, stats.not_opened)
    end)
end)

describe("a cache", function()
    it("raises for wrong options, which the message names", function()
        expect.raises("keyring", tls.cache,
            {store = only_functions(functions(plain))})
        expect.raises("capacityy", tls.cache, {capacityy = 1})
        expect.raises("sessions_per_peer", tls.cache, {sessions_per_peer = 0})
        expect.raises("32", tls.keyring, {"short"})
        expect.raises("store", tls.cache, {store = 42})
    end)

    for _, capacity in ipairs {0, 1} do
        it("of capacity " .. capacity .. " never makes a handshake fail", function()
            local cache = assert(tls.cache {capacity = capacity})
            local client = pair.client {max_version = "TLSv1.2"}
            local server = pair.server {cache = cache}
            local _, _, first = visit(client, server)
            local _, _, second = visit(client, server)
            assert.equal(capacity, #cache)
            assert.equal(capacity == 1 and "resumed" or "not_cached",
                (select(2, visit(client, server, second))))
            assert.equal("not_cached", (select(2, visit(client, server, first))))
        end)
    end

    it("prints what it holds without secrets", function()
        local cache = assert(tls.cache())
        local client, server = pair.client {cache = cache}, pair.server {cache = cache}
        for _ = 1, 2 do visit(client, server) end
        local n, clients = 0, 0
        for entry in cache:entries() do
            n = n + 1
            if entry.client then
                clients = clients + 1
                assert.truthy(entry.peer:find "^localhost")
            end
            assert.equal("TLSv1.3", entry.protocol)
            assert.is_true(entry.expires > entry.time)
            for field in pairs(entry) do
                assert.truthy(("id client protocol peer time expires"):find(field, 1, true))
            end
        end
        assert.equal(#cache, n)
        assert.is_true(clients >= 1 and clients < n)
        assert.equal(n, cache:flush(true))
        assert.equal(0, #cache)
    end)
end)
