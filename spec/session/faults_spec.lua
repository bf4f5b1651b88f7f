-- faults_spec.lua: tests that an external store that misbehaves costs full handshakes, each within
-- the store's timeout, and nothing else. There are Redis servers that answer wrongly, late or not
-- at all, and damaged shared memory.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local process = require "spec.support.process"
local tls = require "tlslife"

local SECRET = ("s"):rep(32)
local DEADLINE = 0.2 -- seconds, of one lookup
-- Where an answer must come at once the deadline is longer than what a hang is told by, since the
-- machine may be busy.
local HANG, LATE = 40, 60

-- A small Redis of its own that reads from a file, at each command, how it shall misbehave, and
-- says what it did. Its second port is one whose queue is full: who connects hears nothing.
local FAULTY = [==[
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
full = socket.socket()
full.bind(("127.0.0.1", int(sys.argv[2])))
full.listen(0)
queue = [socket.socket() for _ in range(3)]
for one in queue:
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", int(sys.argv[2])))
rows = {}

def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)

def well(words):
    verb = words[0].upper()
    if verb == b"SET":
        rows[words[1]] = words[2]
        return b"+OK\r\n"
    if verb == b"DEL":
        return b":%d\r\n" % (rows.pop(words[1], None) is not None)
    return bulk(rows.pop(words[1], None) if verb == b"GETDEL" else rows.get(words[1]))

def answer(kind, words):
    if kind == "slow":
        time.sleep(0.5)
    if kind == "close":
        return b"$100\r\nhalf of it"
    if kind == "garbage":
        return b"HTTP/1.1 400 Bad Request\r\n\r\n\0\xff"
    if kind == "huge":
        return b"$2147483647\r\n" + b"x" * 1000000
    if kind == "array":
        return b"*1\r\n" * 10000
    if kind == "many":
        return b"$-1\r\n" * 1000
    if kind == "error":
        return b"-ERR I am unwell\r\n"
    if kind == "oom" and words[0] == b"SET":
        return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    if kind == "lie" and words[0] == b"GET":
        return bulk(b"these are not the bytes that were put")
    return well(words)

def serve(conn):
    with conn, conn.makefile("rb") as lines:
        while head := lines.readline():
            words = []
            for _ in range(int(head[1:])):
                words.append(lines.read(int(lines.readline()[1:])))
                lines.readline()
            kind = open(sys.argv[3]).read()
            print(kind, words[0].decode(), words[1].split(b":")[0].decode(), flush=True)
            if kind == "skip":
                continue # and its place is taken by the next reply
            if kind == "mute":
                time.sleep(60) # as does what it has of this connection
            conn.sendall(answer(kind, words))
            if kind == "close":
                return

def served(conn):
    try:
        serve(conn)
    except OSError:
        pass # who was given garbage hangs up

print("ready", flush=True)
while True:
    threading.Thread(target=served, args=(listener.accept()[0],), daemon=True).start()
]==]

local faulty, faulty_port, full_port
local function kind_file() return process.directory() .. "/fault" end

local function behave(kind)
    process.spill(kind_file() .. ".new", kind)
    assert(os.rename(kind_file() .. ".new", kind_file()))
end

local unique = 0

-- How often the newest of our stores has asked so while it behaved so.
local function times(kind, verb)
    return select(2, faulty:output():gsub(("%s %s faults%d\n"):format(kind, verb, unique), ""))
end

local function redis(options)
    unique = unique + 1
    return assert(tls.redis(pair.with({timeout = DEADLINE, prefix = ("faults%d:"):format(unique)},
        options)))
end

local function server_of(store, version, options)
    local cache = assert(tls.cache {store = store, keyring = tls.keyring {SECRET},
        in_memory = false})
    return pair.server(pair.with({cache = cache, max_version = version, num_tickets = 1},
        options)), cache
end

-- One blocking server's connection from the first byte to the end, bytes both ways: its word, the
-- client's session, and the seconds that its handshake took.
local function visit(client, server, session)
    local conn, peer = pair.join {client = client, server = server, session = session,
        setup = function(_, s)
            s:set_blocking(true) -- in memory there is no other wait than the store's
        end}
    local before = process.now()
    local c, s = pair.drive(conn, peer)
    local took = process.now() - before
    assert(c[1] and s[1], c[2] or s[2])
    assert.equal("from client", pair.send(conn, peer, "from client"))
    assert.equal("from server", pair.send(peer, conn, "from server"))
    local word = peer:resumption()
    assert.equal(word == "resumed", peer:session_reused())
    local taken = conn:take_session() or conn:session()
    pair.finish(conn, peer)
    conn:free()
    peer:free()
    return word, taken, took
end

-- A session that no broken store was troubled with.
local function elsewhere(client, version)
    local _, session = visit(client, pair.server {cache = tls.cache(), max_version = version,
        num_tickets = 1})
    return session
end

-- Waits for what another process does, or an answer of its.
local function eventually(test)
    local before = process.now()
    while not test() do
        assert(process.now() - before < HANG, "it does not happen")
        process.sleep(0.01)
    end
end

-- Visits, each with the session of the last, until one is resumed.
local function recovers(client, server)
    local before, session = process.now(), nil
    while process.now() - before < HANG do
        local word, taken = visit(client, server, session)
        if word == "resumed" then return end
        session = taken
        process.sleep(0.02)
    end
    error(("nothing resumes within %g s"):format(HANG), 2)
end

local function start_redis(port, ...)
    local real = process.start {"redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", timeout = 600, ...}
    real:wait_for_port(port)
    return real
end

setup(function()
    faulty_port, full_port = process.free_port(), process.free_port()
    behave "well"
    faulty = process.start {"/usr/bin/python3", "-c", FAULTY, faulty_port, full_port, kind_file(),
        timeout = 1200}
    faulty:wait_for "ready"
end)

teardown(function() process.stop_all() end)

-- What it does, the server's word, the counter that moves and how far, and whether it takes the
-- whole deadline; the others say so at once. Where it costs the connection, the new session's put
-- fails, too.
local FAULTS = {
    {"mute", "store", "store_errors", 1, true},
    {"slow", "store", "store_errors", 1, true},
    {"skip", "store", "store_errors", 1, true},
    {"close", "store", "store_errors", 2},
    {"garbage", "store", "store_errors", 2},
    {"huge", "store", "store_errors", 2},
    {"array", "store", "store_errors", 2},
    {"error", "store", "store_errors", 1},
    {"many", "not_cached", "misses", 1},
    {"oom", "not_cached", "misses", 1},
    {"lie", "not_cached", "not_opened", 1},
}

if pcall(tls.redis) then -- hiredis is optional
    for _, version in ipairs(pair.VERSIONS) do
        describe("Redis, " .. version .. ",", function()
            local client
            before_each(function()
                behave "well"
                client = pair.client {max_version = version}
            end)

            for _, fault in ipairs(FAULTS) do
                local kind, expected, counter, count, waits = table.unpack(fault)
                it(("that misbehaves (%s) costs a full handshake"):format(kind), function()
                    local store = redis {port = faulty_port,
                        timeout = waits and DEADLINE or LATE}
                    local server, cache = server_of(store, version)
                    local session = elsewhere(client, version)
                    behave(kind)
                    local word, _, took = visit(client, server, session)
                    assert.equal(expected, word)
                    -- The put fails at once in the pause that a failure costs, and after the
                    -- pause with the store's next answer, or with none.
                    eventually(function()
                        store:pump()
                        return cache:stats()[counter] >= count
                    end)
                    assert.is_true(cache:stats()[counter] <= 2)
                    assert.equal(1, cache:stats().misses)
                    assert.equal(0, cache:stats().hits)
                    eventually(function() return times(kind, "GET") == 1 end)
                    assert(took < HANG, ("%g s"):format(took))
                    assert(not waits or took > DEADLINE * 0.8, ("only %g s"):format(took))
                    behave "well"
                    recovers(client, server)
                end)
            end

            it("that takes no connection costs a full handshake", function()
                local server, cache = server_of(redis {port = full_port}, version)
                local word, _, took = visit(client, server, elsewhere(client, version))
                assert.equal("store", word)
                assert.equal(1, cache:stats().store_errors)
                assert(took > DEADLINE * 0.8 and took < HANG, ("%g s"):format(took))
            end)

            it("that is killed and started again is used again", function()
                local port = process.free_port()
                local server, cache = server_of(redis {port = port, timeout = LATE}, version)
                local word, _, took = visit(client, server, elsewhere(client, version))
                assert.equal("store", word)
                assert(took < HANG, ("refused after %g s"):format(took))
                local errors = cache:stats().store_errors
                assert.is_true(errors >= 1)
                local real = start_redis(port)
                recovers(client, server)
                local session = select(2, visit(client, server))
                real:stop()
                word, session, took = visit(client, server, session)
                assert.equal("store", word)
                assert.is_true(cache:stats().store_errors > errors)
                assert(took < HANG, ("refused after %g s"):format(took))
                assert.equal("store", (visit(client, server, session)))
                real = start_redis(port)
                recovers(client, server)
                real:stop()
            end)

            it("that knows another password costs a full handshake", function()
                local port = process.free_port()
                local real = start_redis(port, "--requirepass", "right")
                for _, password in ipairs {"wrong", false} do
                    local server, cache = server_of(redis {port = port, timeout = LATE,
                        password = password or nil}, version)
                    local word, _, took = visit(client, server, elsewhere(client, version))
                    assert.equal("store", word)
                    assert.is_true(cache:stats().store_errors >= 1)
                    assert(took < HANG, ("%g s"):format(took))
                end
                recovers(client, (server_of(redis {port = port, password = "right"}, version)))
                real:stop()
            end)

            it("makes no other connection wait", function()
                local server = server_of(redis {port = faulty_port, timeout = LATE}, version)
                local session = elsewhere(client, version)
                behave "mute"
                local conn, peer = pair.join {client = client, server = server, session = session}
                conn:connect()
                expect.word("want_session", peer:accept())
                assert.equal("not_offered", (visit(client, server)))
                assert.not_equal("resumed", (visit(client, pair.server {max_version = version})))
                expect.word("want_session", peer:accept()) -- the others have not waited for it
                conn:free()
                peer:free()
            end)

            it("makes a connection wait for the store's timeout, and no longer", function()
                local patience = 0.3
                local store = redis {port = faulty_port, timeout = patience}
                local server, cache = server_of(store, version)
                local session = elsewhere(client, version)
                behave "mute"
                local conn, peer = pair.join {client = client, server = server, session = session}
                local before = process.now()
                conn:connect()
                expect.word("want_session", peer:accept())
                local word
                repeat
                    local fd, writing, timeout = store:wait()
                    assert.equal("integer", math.type(fd))
                    assert.equal("boolean", type(writing))
                    assert(timeout >= 0 and timeout <= patience, timeout)
                    process.sleep(math.min(timeout, 0.02))
                    store:pump()
                    word = select(2, peer:accept())
                until word ~= "want_session" or process.now() - before > HANG
                local took = process.now() - before
                pair.drive(conn, peer)
                assert.equal("store", peer:resumption())
                assert.equal(1, cache:stats().store_errors)
                assert(took > patience * 0.8 and took < HANG, ("%g s"):format(took))
                assert.equal("late", pair.send(conn, peer, "late"))
                pair.finish(conn, peer)
            end)
        end)
    end

    it("a Redis that keeps failing is not asked for a while", function()
        local client = pair.client {max_version = "TLSv1.2"}
        local patience = 0.5
        local server, cache = server_of(redis {port = faulty_port, timeout = patience}, "TLSv1.2")
        local session = elsewhere(client, "TLSv1.2")
        behave "mute"
        local before, quick, slow = process.now(), 0, 0
        while quick < 10 and process.now() - before < 2 * HANG do
            local word, _, took = visit(client, server, session)
            assert.equal("store", word)
            assert(took < HANG, ("%g s"):format(took))
            -- one that has asked the store waits as long as it may
            if took < patience * 0.8 then quick = quick + 1 else quick, slow = 0, slow + 1 end
            -- longer than the pauses after the first failures
            if quick > 0 and quick < 10 then process.sleep(0.02) end
        end
        assert.equal(10, quick)
        assert(slow >= 5, slow)
        assert.is_true(cache:stats().store_errors >= slow + quick)
        local asked = times("mute", "GET")
        visit(client, server, session)
        assert.equal(asked, times("mute", "GET"))
        behave "well"
        recovers(client, server)
    end)
end

describe("a store in shared memory", function()
    local function slab()
        unique = unique + 1
        local path = ("%s/faults%d"):format(process.directory(), unique)
        return assert(tls.shared {path = path, size = 1 << 16}), path
    end

    for _, version in ipairs(pair.VERSIONS) do
        it("that is full drops the oldest sessions, " .. version, function()
            local client = pair.client {max_version = version}
            local server, cache = server_of(slab(), version)
            local first, last
            for i = 1, 300 do
                local _, session = visit(client, server)
                first, last = first or session, session
                if i == 1 then
                    assert.equal("resumed",
                        (visit(client, server, client:import_session(session:export()))))
                end
            end
            assert.equal("resumed", (visit(client, server, last)))
            assert.equal("not_cached",
                (visit(client, server, client:import_session(first:export()))))
            assert.equal(0, cache:stats().store_errors)
        end)

        it("goes on when its file is replaced, " .. version, function()
            local client = pair.client {max_version = version}
            local store, path = slab()
            local server = server_of(store, version)
            local _, session = visit(client, server)
            process.spill(path .. ".new", ("junk"):rep(1 << 14))
            assert(os.rename(path .. ".new", path))
            assert.equal("resumed", (visit(client, server, session)))
        end)

        it("that is overwritten costs full handshakes, " .. version, function()
            local client = pair.client {max_version = version}
            for _, junk in ipairs {"\0", "\xff", "random"} do
                local store, path = slab()
                local server, cache = server_of(store, version)
                local sessions = {}
                for i = 1, 8 do sessions[i] = select(2, visit(client, server)) end
                local size = #process.slurp(path) - 4096
                local random <close> = assert(io.open("/dev/urandom", "rb"))
                local file = assert(io.open(path, "r+b"))
                file:seek("set", 4096)
                file:write(junk == "random" and random:read(size) or junk:rep(size))
                file:close()
                for _, session in ipairs(sessions) do
                    local word, _, took = visit(client, server, session)
                    assert(word == "not_cached" or word == "store", word)
                    assert(took < HANG, ("%g s"):format(took))
                end
                assert.equal(8, cache:stats().misses)
                recovers(client, server)
            end
        end)
    end
end)
