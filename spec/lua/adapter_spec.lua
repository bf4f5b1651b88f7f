-- adapter_spec.lua: tests each loop's adapter alone, over sockets without TLS, compared with what
-- types.lua promises of a tlslife.Loop; and the faults that only one of them can have.

local copas_of = require "spec.support.copas"
local has_socket, socket = pcall(require, "socket")
if not has_socket then -- Debian 13 has LuaSocket, but not for Lua 5.4
    describe("the adapters", function()
        it("can wait, wake and forget", function() pending "socket is not installed" end)
    end)
    return
end

local LIMIT = 20 -- seconds: whatever takes that long hangs

-- --------------------------------------------------------------------------------------- the loops

-- Each: {name =, loop = the adapter, run = function(...) runs these functions as coroutines of the
-- loop, to their end}
local drivers, missing = {}, {}

local function add(name, make)
    local ok, driver = pcall(make)
    if ok then
        driver.name = name
        drivers[#drivers + 1] = driver
    else
        missing[name] = tostring(driver):match "[^\n]*"
    end
end

-- Counts the coroutines down, and keeps what they raise.
local function tracked(functions)
    local state = {left = #functions}
    for i, f in ipairs(functions) do
        state[i] = function()
            local ok, why = xpcall(f, debug.traceback)
            state.left = state.left - 1
            if not ok then state.error = why end
        end
    end
    function state.finish()
        assert(not state.error, state.error)
        assert(state.left == 0, state.left .. " coroutines hang")
    end
    return state
end

add("cqueues", function()
    local cqueues = require "cqueues"
    return {loop = require "tlslife.wait.cqueues", run = function(...)
        local state, controller = tracked {...}, cqueues.new()
        for _, f in ipairs(state) do controller:wrap(f) end
        assert(controller:loop(LIMIT))
        state.finish()
        assert.is_true(controller:empty())
    end}
end)

add("copas", function()
    local copas, loop = copas_of()
    assert(copas, loop)
    return {loop = loop, copas = copas, version = copas._VERSION, run = function(...)
        local state, deadline = tracked {...}, socket.gettime() + LIMIT
        for _, f in ipairs(state) do copas.addthread(f) end
        while state.left > 0 and socket.gettime() < deadline do copas.step(0.5) end
        state.finish()
    end}
end)

-- ------------------------------------------------------------------------------------- the sockets

local open = {}

local listener, address, port

teardown(function()
    -- LuaSocket does not set close-on-exec, so that programs started later would inherit it
    if listener then listener:close() end
end)

-- Two ends of a connection. It opens two descriptors, so that those which were closed before come
-- back.
local function pair()
    if not listener then
        listener = assert(socket.bind("127.0.0.1", 0))
        address, port = listener:getsockname()
    end
    local client = assert(socket.connect(address, port))
    local server = assert(listener:accept())
    open[#open + 1], open[#open + 2] = client, server
    client:settimeout(0)
    server:settimeout(0)
    return client, server
end

local function fd_of(one) return math.tointeger(one:getfd()) end

-- Until nothing goes in any more: the kernel moves some of it to the other end a little later.
local function fill(one)
    local chunk = ("x"):rep(65536)
    repeat
        repeat local sent = one:send(chunk) until not sent
    until #select(2, socket.select(nil, {one}, 0.01)) == 0
end

local function has_room(one)
    return #select(2, socket.select(nil, {one}, 0)) == 1
end

local function drain(one)
    repeat local bytes, _, rest = one:receive(65536) until #(bytes or rest) == 0
end

-- ------------------------------------------------------------------------------------------- specs

describe("the loops that these specs use", function()
    it("are listed, and why others are not there", function()
        for _, driver in ipairs(drivers) do print("  " .. driver.name, driver.version or "") end
        for name, why in pairs(missing) do print("  no " .. name .. ":", why) end
    end)
end)

-- Copas 1 as Debian 12 and 13 have it, for Lua 5.1 and 5.2: it runs in 5.4, but cannot sleep.
local PATH_OF_1 = "/usr/share/lua/5.2/?.lua"

describe("the adapter for copas", function()
    it("refuses copas 1", function()
        for _, name in ipairs {"copas", "coxpcall"} do -- copas 1 requires the other
            if not package.searchpath(name, PATH_OF_1) then
                pending(name .. " for Lua 5.2 is not installed")
            end
        end
        local copas, why = copas_of(PATH_OF_1)
        assert.is_nil(copas)
        assert.equal("tlslife.wait.copas does not know this copas: Copas 1.1.7", why)
    end)
end)

for _, driver in ipairs(drivers) do
    local loop, run = driver.loop, driver.run

    describe("the adapter for " .. driver.name, function()
        after_each(function()
            for i = #open, 1, -1 do
                open[i]:close()
                open[i] = nil
            end
        end)

        -- a wait for one of LuaSocket's, whose owner is itself
        local function wait(one, mode, seconds)
            return loop.wait(fd_of(one), mode, seconds, one)
        end

        it("recognizes the coroutines that its loop runs", function()
            assert.is_false(loop.running())
            assert.is_false(coroutine.wrap(loop.running)())
            run(function()
                assert.is_true(loop.running())
                assert.is_false(coroutine.wrap(loop.running)())
            end)
        end)

        it("waits until there is something to read", function()
            local a, b = pair()
            local order = {}
            run(function()
                order[#order + 1] = "waits"
                assert.is_true(wait(a, "r"))
                order[#order + 1] = a:receive(5)
            end, function()
                assert.is_false(wait(b, "r", 0.01)) -- by then the first waits
                order[#order + 1] = "sends"
                b:send "bytes"
            end)
            assert.same({"waits", "sends", "bytes"}, order)
        end)

        it("waits until there is room to write", function()
            local a, b = pair()
            local quiet = pair()
            fill(a)
            local order = {}
            run(function()
                assert.is_true(wait(a, "w"))
                order[#order + 1] = "writes"
            end, function()
                wait(quiet, "r", 0.005)
                order[#order + 1] = "drains"
                while not order[2] do
                    drain(b)
                    wait(quiet, "r", 0.001)
                end
            end)
            assert.same({"drains", "writes"}, order)
        end)

        it("waits until there is something to read or room to write", function()
            local a, b = pair()
            run(function() assert.is_true(wait(a, "rw", LIMIT)) end)
            fill(a)
            b:send "x"
            run(function() assert.is_true(wait(a, "rw", LIMIT)) end)
        end)

        it("wakes when the peer has closed its end", function()
            local a, b = pair()
            run(function()
                assert.is_true(wait(a, "r"))
                assert.equal("closed", select(2, a:receive(1)))
            end, function()
                wait(b, "r", 0.01)
                b:close()
            end)
        end)

        it("waits no longer than its deadline", function()
            local a = pair()
            run(function()
                assert.is_false(wait(a, "r", 0))
                local from = socket.gettime()
                assert.is_false(wait(a, "r", 0.03))
                local took = socket.gettime() - from
                assert.is_true(took >= 0.029 and took < LIMIT, took)
            end)
        end)

        it("finds what is ready even when its deadline has passed", function()
            local a, b = pair()
            b:send "x"
            run(function()
                wait(b, "w")
                assert.is_true(wait(a, "r", LIMIT))
                assert.is_true(wait(a, "r", 0.01))
            end)
        end)

        it("keeps many deadlines at once, in their order", function()
            local ends, functions = {}, {}
            for i = 1, 20 do
                local a = pair()
                functions[i] = function()
                    assert.is_false(wait(a, "r", (21 - i) * 0.02))
                    ends[#ends + 1] = i
                end
            end
            run(table.unpack(functions))
            assert.equal(20, #ends)
            assert.is_true(ends[1] > 10 and ends[20] < 10, table.concat(ends, " "))
        end)

        it("wakes a coroutine without running it at once", function()
            local a, b = pair()
            local waiter, order = nil, {}
            run(function()
                waiter = coroutine.running()
                assert.is_true(wait(a, "r"))
                order[#order + 1] = "woken"
            end, function()
                while not waiter do wait(b, "r", 0.001) end
                wait(b, "r", 0.001)
                loop.wake(waiter)
                loop.wake(waiter)
                order[#order + 1] = "has woken"
                assert.is_false(wait(b, "r", 0.01))
            end)
            assert.same({"has woken", "woken"}, order)
        end)

        it("wakes a coroutine promptly, also one that waits with a deadline", function()
            local a, b = pair()
            local waiter
            local from = socket.gettime()
            run(function()
                waiter = coroutine.running()
                assert.is_true(wait(a, "w") and wait(a, "r", LIMIT))
            end, function()
                assert.is_false(wait(b, "r", 0.02))
                loop.wake(waiter)
            end)
            local took = socket.gettime() - from
            assert.is_true(took < LIMIT, took)
        end)

        it("has no effect when it wakes what does not wait, now or later", function()
            local a, b = pair()
            local first
            run(function()
                first = coroutine.running()
                loop.wake(first)
                assert.is_false(wait(a, "r", 0.02))
                loop.wake(first)
                assert.is_false(wait(a, "r", 0.02))
            end, function()
                b:send ""
            end)
            loop.wake(first)
            loop.wake(coroutine.create(print))
        end)

        it("lets one coroutine read and another write the same descriptor", function()
            local a, b = pair()
            local quiet = pair()
            fill(a)
            local order = {}
            run(function()
                repeat assert.is_true(wait(a, "r")) until a:receive(1)
                order[#order + 1] = "read"
            end, function()
                repeat assert.is_true(wait(a, "w")) until has_room(a)
                order[#order + 1] = "wrote"
            end, function()
                wait(quiet, "r", 0.001)
                b:send "x"
                while not order[1] do wait(quiet, "r", 0.001) end
                while not order[2] do
                    drain(b)
                    wait(quiet, "r", 0.001)
                end
            end)
            assert.same({"read", "wrote"}, order)
        end)

        it("lets several coroutines wait for the same event", function()
            local a, b = pair()
            local woken, late = 0, nil
            local function reader()
                assert.is_true(wait(a, "r", LIMIT))
                woken = woken + 1
            end
            run(reader, reader, reader, function()
                late = not wait(a, "r", 0.001) -- whose end does not end the others'
                assert.equal(0, woken)
                b:send "x"
            end)
            assert.equal(3, woken)
            assert.is_true(late)
        end)

        it("forgets a descriptor: its waiters go on, and its number can be used again", function()
            local a = pair()
            local fd, order = fd_of(a), {}
            run(function()
                wait(a, "r")
                order[#order + 1] = "goes on"
            end, function()
                wait(pair(), "r", 0.01)
                loop.forget(fd, a)
                a:close()
                local c, d = pair()
                if fd_of(c) ~= fd then c, d = d, c end
                assert.equal(fd, fd_of(c))
                assert.is_false(wait(c, "r", 0.01))
                d:send "x"
                assert.is_true(wait(c, "r", LIMIT))
                order[#order + 1] = "new"
            end)
            assert.same({"goes on", "new"}, order)
        end)

        it("need not be told when the collector closes a descriptor that was waited for", function()
            run(function()
                for i = 1, 5 do
                    local a, b = pair()
                    b:send "x"
                    assert.is_true(wait(a, "r", LIMIT))
                    if i % 2 == 0 then wait(a, "r", 0) end
                    a:close() -- nothing yields in between
                    b:close()
                    if i == 3 then wait(pair(), "w") end
                end
            end)
        end)

        it("survives a coroutine that is killed while it waits", function()
            local a, b = pair()
            local victim = coroutine.create(function() wait(a, "r") end)
            run(function()
                -- it yields to here: as one that its loop has given up
                assert(coroutine.resume(victim))
                loop.wake(victim)
                assert(coroutine.close(victim))
                loop.wake(victim)
                b:send "x"
                assert.is_true(wait(a, "r", LIMIT))
                loop.forget(fd_of(a), a)
            end)
        end)

        it("keeps the owner of a descriptor alive while a coroutine waits for it", function()
            local a, b = pair()
            local owners = setmetatable({}, {__mode = "k"})
            run(function()
                local owner = {}
                owners[owner] = true
                local fd = fd_of(a)
                local function waits(mine) return loop.wait(fd, "r", LIMIT, mine) end
                assert.is_true(waits(owner))
            end, function()
                wait(b, "r", 0.01)
                collectgarbage()
                assert.is_not_nil(next(owners))
                b:send "x"
            end)
            collectgarbage()
            collectgarbage()
            assert.is_nil(next(owners))
        end)
    end)
end
