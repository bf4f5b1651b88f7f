-- loop_spec.lua: tests that blocking calls give the same results if they wait in the system and if
-- they wait in a coroutine of a loop (luv, cqueues, copas). What only loops can do is here, too,
-- which is several coroutines at one connection, and cancellation.

local collector = require "spec.support.collector"
local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local client = assert(tls.context {role = "client", ca = pki.ca_file})
local server = assert(tls.context {role = "server", certificate = pki.server_cert_file,
    private_key = pki.server_key_file})

local ports, peers = {}, {}

-- The port of a peer in another process, one for all examples.
local function port_of(what)
    if not ports[what] then ports[what], peers[what] = loops.peer(pki, what) end
    return ports[what]
end

local function dial(port)
    local conn = assert(client:connection())
    conn:set_timeout(10)
    assert(conn:dial("localhost", port))
    return conn
end

local function connect(port)
    local conn = dial(port)
    assert(conn:connect())
    return conn
end

-- Bytes that are nowhere the same.
local function noise(len)
    local words, state = {}, 12345
    for i = 1, len // 8 do
        state = (state * 6364136223846793005 + 1442695040888963407)
        words[i] = ("i8"):pack(state)
    end
    return table.concat(words)
end

local MANY = noise(3 << 20)

local HANG <const> = 20 -- seconds

local function took(seconds, call, ...)
    local before = loops.now()
    local results = table.pack(call(...))
    local passed = loops.now() - before
    assert.is_true(passed >= seconds - 0.03, ("%.2f s are too few"):format(passed))
    assert.is_true(passed < seconds + HANG, ("%.2f s are too many"):format(passed))
    return table.unpack(results, 1, results.n)
end

-- Whatever a loop's connections need: both ends in this process. f(a client's end, a server's,
-- spawn, sleep).
local function both(driver, f)
    loops.run(driver, function(spawn, sleep)
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local a, b
        spawn(function()
            b = assert(listener:accept(server))
            b:set_timeout(10)
            assert(b:accept())
        end)
        a = connect(listener:port())
        while not (b and b:handshake_done()) do sleep(0.001) end
        f(a, b, spawn, sleep)
    end)
end

local read_all = loops.read_all

teardown(function()
    for _, peer in pairs(peers) do peer:stop() end
end)

for _, driver in ipairs(loops.drivers) do
    local function it_runs(name, main)
        it(name, function() loops.run(driver, main) end)
    end

    describe("blocking calls (" .. driver.name .. ")", function()
        it_runs("dial by name, shake hands, say something and get it back", function()
            local conn <close> = connect(port_of "echo")
            assert.equal("TLSv1.3", conn:version())
            for _, bytes in ipairs {"x", ("y"):rep(16384), "z"} do
                assert.equal(#bytes, conn:write(bytes))
                assert.equal(bytes, read_all(conn, #bytes))
            end
            assert.equal("done", conn:close(5))
        end)

        it_runs("are not the calls of a connection that is not blocking", function()
            local conn <close> = connect(port_of "echo")
            conn:set_blocking(false)
            expect.word("want_read", conn:read())
            assert.is_false(conn:blocking())
            conn:set_blocking(true)
            conn:set_timeout(0.05)
            expect.word("timeout", conn:read())
            assert.is_true(conn:blocking())
        end)

        it_runs("do not wait in memory, where there is nothing to wait for", function()
            local a, b = client:connection(), server:connection()
            a:set_hostname "localhost"
            tls.pair(a, b)
            expect.word("want_read", a:connect())
            expect.word("want_read", b:accept())
            assert.is_true(a:connect())
        end)

        it_runs("find what is decrypted already", function()
            local conn <close> = connect(port_of "echo")
            conn:write "abcdefgh"
            assert.equal("a", conn:peek(1))
            for letter in ("abcdefgh"):gmatch "." do assert.equal(letter, conn:read(1)) end
        end)

        it_runs("keep the deadline of the whole call", function()
            -- the kernel answers, and nobody else
            local mute <close> = assert(tls.listen("127.0.0.1", 0))
            local conn <close> = dial(mute:port())
            conn:set_timeout(0.04)
            expect.word("timeout", took(0.04, conn.connect, conn))
            expect.word("timeout", took(0.04, conn.handshake, conn))
            conn:set_timeout(0)
            expect.word("timeout", took(0, conn.connect, conn))
            local silent <close> = connect(port_of "echo")
            silent:set_timeout(0.04)
            expect.word("timeout", took(0.04, silent.read, silent))
            expect.word("timeout", took(0.04, silent.peek, silent))
            expect.word("timeout", took(0.04, silent.read_into, silent, tls.buffer(16)))
            silent:write "still there"
            assert.equal("still there", silent:read())
        end)

        it_runs("have the deadline of accept, and of a listener's", function()
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            expect.word("timeout", took(0.04, listener.accept, listener, server, 0.04))
            expect.word("want_read", listener:accept(server, 0))
            local dumb <close> = dial(listener:port())
            local conn <close> = assert(listener:accept(server, 5))
            conn:set_timeout(0.04)
            expect.word("timeout", took(0.04, conn.accept, conn))
            local stupid <close> = dial(listener:port())
            local early <close> = assert(listener:accept(server, 5))
            early:set_timeout(0.04)
            expect.word("timeout", took(0.04, early.read_early, early))
            assert.is_true(dumb:fd() ~= stupid:fd())
        end)

        it_runs("write to nobody until the time is up, and say how much", function()
            local conn = connect(port_of "mute")
            conn:set_timeout(0.04)
            local sent, bytes = 0, ("x"):rep(1 << 26)
            local message
            local out = took(0.04, conn.write, conn, bytes)
            repeat -- the kernel finds some room still
                assert.is_true(out > 0 and sent + out < #bytes)
                sent = sent + out
                out, message = conn:write(bytes, sent + 1)
            until not out
            assert.equal("timeout", message)
            conn:free()
            peers.mute:write "\n"
        end)

        it_runs("let go when a close takes too long", function()
            local conn = connect(port_of "mute")
            expect.word("timeout", took(0.04, conn.close, conn, 0.04))
            assert.is_nil(conn:fd())
            peers.mute:write "\n"
        end)

        it_runs("write all to a slow reader, in order", function()
            local conn = connect(port_of "slow")
            local half, last = #MANY // 2, MANY:sub(1 + #driver.name)
            assert.equal(#MANY, conn:write(MANY))
            assert.equal(#MANY, conn:write {MANY:sub(1, half), "", MANY:sub(half + 1)})
            assert.equal(#last, conn:write(MANY, 1 + #driver.name))
            assert.equal("done", conn:close(10))
            local all, sum = MANY .. MANY .. last, 0
            for i = 1, #all, 97 do sum = (sum * 31 + all:byte(i)) % 1000000007 end
            peers.slow:wait_for(("got %d %d%%."):format(#all, sum))
        end)

        it_runs("read what comes unasked", function()
            local conn <close> = connect(port_of "full")
            assert.equal(1 << 20, #read_all(conn, 1 << 20):sub(1, 1 << 20))
        end)

        it_runs("say that a dial is refused, or that there is no such name", function()
            local conn = client:connection()
            conn:set_timeout(10)
            expect.fails("system", conn:dial("127.0.0.1", process.free_port()))
            expect.fails("resolve", conn:dial("no-such-name.invalid", 443))
            assert.is_true(conn:dial("127.0.0.1", port_of "echo"))
            conn:set_hostname "localhost"
            assert.is_true(conn:connect())
            conn:close()
        end)

        it_runs("raise what they raise elsewhere, and work after it", function()
            local conn <close> = connect(port_of "echo")
            expect.raises("number expected", conn.read, conn, {})
            expect.raises("out of range", conn.write, conn, "abc", 9)
            expect.raises("client's connection", conn.accept, conn)
            assert.is_true(conn:blocking())
            conn:write "x"
            assert.equal("x", conn:read())
        end)
    end)
end

-- ----------------------------------------------------------------------------- what only loops can

local function in_loops(name, run)
    for _, driver in ipairs(loops.drivers) do
        if driver.yields then
            it(("%s (%s)"):format(name, driver.name), function() run(driver) end)
        end
    end
end

local function with_both(name, f)
    in_loops(name, function(driver) both(driver, f) end)
end

-- Calls in a coroutine of its own; results are in what is returned, once it is over.
local function begin(spawn, call, ...)
    local arguments, task = table.pack(...), {}
    spawn(function()
        local results = table.pack(call(table.unpack(arguments, 1, arguments.n)))
        task.results = results
    end)
    return task
end

local function await(task, sleep)
    for _ = 1, 5000 do
        if task.results then return table.unpack(task.results, 1, task.results.n) end
        sleep(0.001)
    end
    error("the call does not end", 2)
end

describe("in a loop", function()
    with_both("other coroutines run while one waits", function(a, b, spawn, sleep)
        local read = begin(spawn, b.read, b)
        sleep(0.01)
        assert.is_nil(read.results)
        a:write "hello"
        assert.equal("hello", await(read, sleep))
    end)

    with_both("one coroutine reads while another writes megabytes", function(a, b, spawn, sleep)
        local sent = {begin(spawn, a.write, a, MANY), begin(spawn, b.write, b, MANY)}
        local got = {begin(spawn, read_all, a, #MANY), begin(spawn, read_all, b, #MANY)}
        for i = 1, 2 do
            assert.is_true(await(got[i], sleep) == MANY)
            assert.equal(#MANY, await(sent[i], sleep))
        end
    end)

    with_both("a second reader of a connection is refused", function(a, b, spawn, sleep)
        local read = begin(spawn, b.read, b)
        sleep(0.005)
        expect.word("busy", b:read())
        expect.word("busy", b:peek())
        expect.word("busy", b:handshake())
        assert.equal(1, b:write "w")
        a:write "hello"
        assert.equal("hello", await(read, sleep))
    end)

    with_both("a second writer is refused, and reading goes on", function(a, b, spawn, sleep)
        local written = begin(spawn, a.write, a, ("x"):rep(1 << 23))
        sleep(0.005)
        expect.word("busy", a:write "x")
        expect.word("busy", a:shutdown())
        b:write "hello"
        assert.equal("hello", a:read())
        read_all(b, 1 << 23)
        assert.equal(1 << 23, await(written, sleep))
    end)

    for name, cancel in pairs {
        cancel = function(conn) assert.is_true(conn:cancel()) end,
        close = function(conn) conn:close() end,
        free = function(conn) conn:free() end,
        clear = function(conn) conn:clear() end,
        close_transport = function(conn) conn:close_transport() end,
        set_memory = function(conn) conn:set_memory() end,
    } do
        in_loops(name .. " wakes the coroutine that waits", function(driver)
            both(driver, function(a, b, spawn, sleep)
                local read = begin(spawn, a.read, a)
                sleep(0.005)
                assert.is_nil(read.results)
                cancel(a)
                expect.word("canceled", await(read, sleep))
                if name ~= "free" then assert.is_false(a:cancel()) end
                b:close()
            end)
        end)
    end

    for _, verb in ipairs {"read", "peek", "connect", "accept", "handshake", "read_early",
        "read_into"} do
        in_loops("cancel ends " .. verb, function(driver)
            loops.run(driver, function(spawn, sleep)
                local listener <close> = assert(tls.listen("127.0.0.1", 0))
                local a <close> = dial(listener:port())
                local b <close> = assert(listener:accept(server))
                local conn = (verb == "accept" or verb == "read_early") and b or a
                if verb == "read" or verb == "peek" or verb == "read_into" then
                    local done = begin(spawn, b.accept, b)
                    assert(a:connect())
                    assert(await(done, sleep))
                end
                local call = begin(spawn, conn[verb], conn, verb == "read_into" and
                    tls.buffer(8) or nil)
                sleep(0.005)
                assert.is_true(conn:cancel())
                expect.word("canceled", await(call, sleep))
                assert.is_false(conn:cancel())
            end)
        end)
    end

    with_both("a canceled write says how much it has written", function(a, b, spawn, sleep)
        local written = begin(spawn, a.write, a, MANY .. MANY .. MANY)
        sleep(0.01)
        assert.is_true(a:cancel())
        local out = await(written, sleep)
        assert.is_true(out > 0 and out < 3 * #MANY)
        local rest = begin(spawn, a.write, a, MANY .. MANY .. MANY, out + 1)
        assert.is_true(read_all(b, 3 * #MANY) == MANY .. MANY .. MANY)
        assert.equal(3 * #MANY - out, await(rest, sleep))
    end)

    with_both("a reader that never has to wait lets others run", function(a, b, spawn, sleep)
        local RECORDS <const> = 1000
        for _ = 1, RECORDS do assert.equal(100, a:write(MANY:sub(1, 100))) end
        local others, over = 0, false
        spawn(function()
            while not over do
                others = others + 1
                sleep(0.001)
            end
        end)
        local before = others
        for _ = 1, RECORDS do assert.equal(100, #b:read(100)) end
        over = true
        -- how long a sleep of 1 ms takes is the loop's affair
        assert.is_true(others - before >= 3, others - before)
    end)

    with_both("a close that waits is ended by a second close", function(a, _, spawn, sleep)
        local closing = begin(spawn, a.close, a, 5)
        sleep(0.005)
        a:close()
        expect.word("canceled", await(closing, sleep))
        assert.is_nil(a:fd())
    end)

    in_loops("a listener's close wakes the accept that waits", function(driver)
        loops.run(driver, function(spawn, sleep)
            local listener = assert(tls.listen("127.0.0.1", 0))
            local accepted = begin(spawn, listener.accept, listener, server)
            sleep(0.005)
            expect.word("busy", listener:accept(server, 1))
            listener:close()
            expect.word("canceled", await(accepted, sleep))
            expect.raises("closed", listener.accept, listener, server)
        end)
    end)

    with_both("a coroutine may be closed while it waits", function(a, b, spawn, sleep)
        local co = coroutine.create(function() return a:read() end)
        spawn(function() coroutine.resume(co) end)
        sleep(0.005)
        if coroutine.status(co) == "suspended" then assert.is_true(coroutine.close(co)) end
        local read = begin(spawn, a.read, a)
        sleep(0.005)
        b:write "after"
        assert.equal("after", await(read, sleep))
    end)

    in_loops("a coroutine may be closed before its loop has seen the wait", function(driver)
        loops.run(driver, function(spawn, sleep)
            for _ = 1, 3 do
                local mute <close> = assert(tls.listen("127.0.0.1", 0))
                spawn(function()
                    local co = coroutine.create(function() dial(mute:port()):connect() end)
                    coroutine.resume(co)
                    coroutine.close(co)
                    collectgarbage()
                    collectgarbage()
                end)
                sleep(0.001)
            end
        end)
    end)

    in_loops("hooks may yield", function(driver)
        loops.run(driver, function(spawn, sleep)
            local asked = 0
            local context = assert(tls.context {
                role = "server", certificate = pki.server_cert_file,
                private_key = pki.server_key_file,
                on_hello = function()
                    sleep(0.01)
                    asked = asked + 1
                end,
            })
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            for _ = 1, 5 do
                spawn(function()
                    local conn <close> = connect(listener:port())
                    assert.equal("done", conn:close(5))
                end)
            end
            local closed = {}
            for i = 1, 5 do
                local conn = assert(listener:accept(context))
                closed[i] = begin(spawn, function()
                    assert(conn:accept())
                    return conn:close(5)
                end)
            end
            for i = 1, 5 do assert.equal("done", await(closed[i], sleep)) end
            assert.equal(5, asked)
        end)
    end)

    -- Each wait for the store is one round trip to Redis; they must not come one after another.
    local redis_port
    in_loops("handshakes wait for Redis at the same time", function(driver)
        if not pcall(tls.redis, {port = 1}) then return end -- hiredis is optional
        redis_port = redis_port or process.start_redis(60)
        loops.run(driver, function(spawn, sleep)
            local store = assert(tls.redis {port = redis_port, prefix = driver.name, timeout = 5,
                connect_timeout = 5})
            local cache = assert(tls.cache {store = store, in_memory = false,
                keyring = tls.keyring {("k"):rep(32)}})
            local context = assert(tls.context {
                role = "server", certificate = pki.server_cert_file,
                private_key = pki.server_key_file, cache = cache,
                resumption = "stateful",
            })
            local listener = assert(tls.listen("127.0.0.1", 0))
            spawn(function()
                while true do
                    local conn = listener:accept(context)
                    if not conn then return end
                    spawn(function()
                        conn:set_timeout(10)
                        assert(conn:accept())
                        conn:write "x"
                        conn:close(5)
                    end)
                end
            end)
            local function visit(session)
                local conn = dial(listener:port())
                if session then conn:set_session(session) end
                assert(conn:connect())
                assert.equal("x", conn:read())
                assert.equal("done", conn:close(5))
                return conn:session_reused(), conn:take_session()
            end
            local sessions, tasks = {}, {}
            for i = 1, 20 do tasks[i] = begin(spawn, visit) end
            for i = 1, 20 do
                local reused
                reused, sessions[i] = await(tasks[i], sleep)
                assert.is_false(reused)
            end
            for i = 1, 20 do tasks[i] = begin(spawn, visit, sessions[i]) end
            for i = 1, 20 do assert.is_true((await(tasks[i], sleep))) end
            listener:close()
        end)
    end)

    in_loops("closed, freed and dropped connections leave no descriptor open", function(driver)
        loops.run(driver, function(spawn, sleep)
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            spawn(function()
                while true do
                    local conn = listener:accept(server)
                    if not conn then return end
                    spawn(function()
                        if not conn:accept() then return end
                        while true do
                            local bytes = conn:read()
                            if not bytes then break end
                            conn:write(bytes)
                        end
                        conn:close()
                    end)
                end
            end)
            for i = 1, 60 do
                local conn = connect(listener:port())
                conn:write(tostring(i))
                assert.equal(tostring(i), conn:read())
                if i % 3 == 0 then conn:close() elseif i % 3 == 1 then conn:free() end
                conn = nil -- luacheck: ignore
                if i % 5 == 0 then collectgarbage() end
            end
            collectgarbage()
            listener:close()
            sleep(0.01)
        end)
    end)

    in_loops("everything works while the collector runs all the time", function(driver)
        local mode = collectgarbage "incremental"
        local pause, multiplier = collector.set("pause", 0), collector.set("stepmul", 10)
        local ok, message = pcall(both, driver, function(a, b, spawn, sleep)
            local echo = begin(spawn, function()
                for _ = 1, 200 do assert(b:write(assert(b:read()))) end
                return true
            end)
            for i = 1, 200 do
                a:write(tostring(i))
                assert.equal(tostring(i), a:read())
            end
            assert.is_true(await(echo, sleep))
        end)
        collector.set("pause", pause)
        collector.set("stepmul", multiplier)
        collectgarbage(mode)
        assert(ok, message)
    end)
end)

it("a poller says why it cannot watch a descriptor", function()
    local err = expect.fails("system", tls.poller():watch(65535, 1))
    assert.equal("cannot watch the descriptor: Bad file descriptor", err.message)
    assert.equal(9, err.errno) -- EBADF
    assert.is_true(tls.poller():watch(65535, 0)) -- what is closed is watched no more
end)

describe("an adapter", function()
    local current, calls = nil, {}
    local adapter = {
        name = "spec",
        running = function() return current ~= nil end,
        wait = function(...) return current(...) end,
        wake = function(co) calls[#calls + 1] = co end,
        forget = function(fd, owner) calls[#calls + 1] = {fd, owner} end,
    }

    -- Runs f in a coroutine whose waits are this function.
    local function with(wait, f)
        tls.loop(adapter)
        current, calls = wait, {}
        local co = coroutine.create(f)
        local results = table.pack(coroutine.resume(co))
        while coroutine.status(co) == "suspended" do
            results = table.pack(coroutine.resume(co, true))
        end
        current = nil
        if not results[1] then error(results[2], 0) end
        return table.unpack(results, 2, results.n)
    end

    it("is registered once, and must have all functions", function()
        assert.equal(adapter, tls.loop(adapter))
        assert.equal(adapter, tls.loop(adapter))
        expect.raises("table expected", tls.loop, nil)
        for _, field in ipairs {"name", "running", "wait", "wake"} do
            local part = {name = "x", running = print, wait = print, wake = print}
            part[field] = nil
            expect.raises("field '" .. field .. "'", tls.loop, part)
        end
        expect.raises("field 'forget'", tls.loop,
            {name = "x", running = print, wait = print, wake = print, forget = 1})
    end)

    it("may free what it is to forget, in a call of that connection", function()
        local code, output = program.run([[
            local tls = require "tlslife"
            local listener = assert(tls.listen("127.0.0.1", 0))
            local context = assert(tls.context {role = "client", verify = "none"})
            tls.loop {
                name = "frees",
                running = function() return not select(2, coroutine.running()) end,
                wait = function() return coroutine.yield() end, wake = function() end,
                forget = function(_, owner) owner:free() end,
            }
            for _, verb in ipairs {"close", "dial", "close_transport", "set_memory", "free"} do
                local conn = assert(context:connection())
                conn:set_timeout(0.01)
                assert(conn:dial("127.0.0.1", listener:port()))
                local co = coroutine.create(function() conn:connect() end)
                assert(coroutine.resume(co))
                assert(coroutine.status(co) == "suspended")
                coroutine.close(co)
                local arguments = verb == "dial" and {"127.0.0.1", 1} or {}
                print(pcall(conn[verb], conn, table.unpack(arguments)))
                assert(verb ~= "close" or tostring(conn):find "freed")
            end
            print "well done"
        ]])
        assert.equal(0, code, output)
        assert.truthy(output:find "well done", output)
    end)

    it("gets descriptor, direction, seconds and owner", function()
        local mute <close> = assert(tls.listen("127.0.0.1", 0))
        local conn <close> = dial(mute:port())
        conn:set_timeout(2)
        local told
        with(function(...)
            told = table.pack(...)
            conn:set_timeout(0)
            error("enough", 0)
        end, function() pcall(conn.connect, conn) end)
        assert.same({conn:fd(), "r"}, {told[1], told[2]})
        assert.is_true(told[3] > 1 and told[3] <= 2)
        assert.equal(conn, told[4])
    end)

    it("gets the whole timeout of a dial, also after a canceled one", function()
        local full <close> = assert(tls.listen("127.0.0.1", 0, {backlog = 1}))
        local crowd = {}
        for i = 1, 4 do -- of whom the last ones wait
            crowd[i] = assert(client:connection())
            crowd[i]:set_blocking(false)
            crowd[i]:dial("127.0.0.1", full:port())
        end
        local conn = assert(client:connection())
        conn:set_timeout(2)
        for _ = 1, 2 do
            local told
            local done, why = with(function(_, _, seconds)
                told = seconds
                process.sleep(0.3)
                conn:cancel()
            end, function() return conn:dial("127.0.0.1", full:port()) end)
            assert.same({nil, "canceled"}, {done, why})
            assert.is_true(told > 1.8 and told <= 2, told)
        end
    end)

    it("that raises makes the call raise, and leaves the connection usable", function()
        local conn <close> = connect(port_of "echo")
        local ok, message = with(function() error("broken loop", 0) end,
            function() return pcall(conn.read, conn) end)
        assert.is_false(ok)
        assert.equal("broken loop", message)
        ok, message = with(function()
            coroutine.yield()
            error("broken later", 0)
        end, function() return pcall(conn.read, conn) end)
        assert.is_false(ok)
        assert.equal("broken later", message)
        assert.is_false(conn:cancel())
        conn:write "x"
        assert.equal("x", conn:read())
    end)

    it("that returns without waiting makes the call try again", function()
        local conn <close> = connect(port_of "echo")
        conn:write "x"
        assert.equal("x", with(function() return true end, function() return conn:read() end))
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        expect.word("timeout", with(function() return true end,
            function() return listener:accept(server, 0.05) end))
    end)

    it("is called before a descriptor is closed, and wakes its waiters", function()
        local conn = connect(port_of "echo")
        local fd, co = conn:fd(), nil
        with(function()
            co = coroutine.running()
            coroutine.wrap(function() conn:free() end)()
            coroutine.yield()
        end, function() expect.word("canceled", conn:read()) end)
        assert.equal(co, calls[1])
        assert.same({fd, conn}, calls[2])
    end)

    it("is not called outside of coroutines", function()
        local conn <close> = connect(port_of "echo")
        conn:set_timeout(0.02)
        tls.loop(adapter)
        current = function() error "asked" end
        local _, main = coroutine.running()
        assert.is_true(main)
        expect.word("timeout", conn:read())
        current = nil
    end)
end)
