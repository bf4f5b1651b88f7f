-- load.lua: minutes of mixed load with faults: memory flat, descriptors flat, no byte lost or
-- doubled. See bench/README.md.
--
-- The server (load/server.lua) has two workers and a cache. This process is all of the clients:
-- coroutines on luv, that is, the library's other half under the same load. One worker is killed
-- now and then, and started again by its parent. The other lives from the first to the last second.
-- Its memory and descriptors are what is judged, and those of this process.
local process, machine = require "spec.support.process", require "machine"

local servers, tls, uv = require "servers", require "tlslife", require "luv"
require "tlslife.wait.luv"
package.path = machine.HERE .. "/load/?.lua;" .. package.path
local pattern = require "pattern"

local LINES <const> = 20 -- of the report
-- What counts as flat, from the second quarter to the last.
local GROWTH <const>, GROWTH_BYTES <const> = 1.1, 2 << 20
local BIG <const> = 4 << 20

-- done: operations; bytes: checked; failed: a connection that ended when nothing had been done to
-- it; wrong: bytes that are not those that were sent.
local count = {
    connections = 0, resumed = 0, done = 0, bytes = 0, cut = 0, refused = 0, failed = 0, wrong = 0,
    kills = 0, reloads = 0,
}
local first_failure, number, open_now, last_kill, over = nil, 0, 0, -math.huge, false
local port, context

local function sleep(ms)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(ms, 0, function()
        timer:close()
        assert(coroutine.resume(co))
    end)
    coroutine.yield()
end

-- -------------------------------------------------------------------------------------- operations

local function next_number()
    number = number + 1
    return number
end

local function answered(read, wanted)
    local head, why = read(pattern.ANSWER:packsize())
    if not head then return nil, why end
    local found, value = pattern.ANSWER:unpack(head)
    return found == wanted and value or false
end

-- Each gives true; false where the bytes are wrong; nil and why where the connection failed.
local operation = {}

function operation.echo(conn, read, length)
    local n = next_number()
    local bytes = pattern.piece(n, 0, length)
    local ok, why = conn:write { pattern.REQUEST:pack("E", n, length), bytes }
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    local back
    back, why = read(length)
    return back and value == length and back == bytes:reverse(), why
end

function operation.down(conn, read, length, each)
    local n = next_number()
    local ok, why = conn:write(pattern.REQUEST:pack("D", n, length))
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    return value == length and pattern.comes(read, n, length, each), why
end

function operation.up(conn, read, length)
    local n = next_number()
    local ok, why = conn:write(pattern.REQUEST:pack("U", n, length))
    if ok then ok, why = pattern.goes(conn, n, length) end
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    return value == 0
end

-- What failed is excused where a worker was killed during the connection's life.
local function failed(began, what, why)
    if last_kill >= began - 1000 then
        count.cut = count.cut + 1
        return
    end
    count.failed = count.failed + 1
    first_failure = first_failure or ("%s: %s"):format(what, why)
end

-- One operation of a connection; whether there may be another.
local function run(conn, read, began, name, length, each)
    local good, why = operation[name](conn, read, length, each)
    if good then
        count.done, count.bytes = count.done + 1, count.bytes + length
    elseif good == false then
        count.wrong = count.wrong + 1
        first_failure = first_failure or ("%s %d of %d bytes: wrong bytes"):format(name,
            number, length)
    else
        failed(began, name, why)
    end
    return good
end

-- work(conn, run) on a connection, which is then closed; its session.
local function with_connection(session, work)
    local conn <close> = assert(context:connection())
    local began = uv.now()
    if session then conn:set_session(session) end
    local ok, why = conn:dial("127.0.0.1", port)
    if ok then ok, why = conn:connect() end
    if not ok then return failed(began, "connect", why) end
    count.connections, open_now = count.connections + 1, open_now + 1
    if conn:session_reused() then count.resumed = count.resumed + 1 end
    local read = pattern.reader(conn)
    local stays = work(conn, function(...) return run(conn, read, began, ...) end)
    open_now = open_now - 1
    if stays == false then return nil end -- it was ended in another way
    local taken = conn:take_session()
    conn:close(1)
    return taken
end

-- ----------------------------------------------------------------------------------------- clients

local clients = {}

function clients.keep_alive()
    with_connection(nil, function(_, go)
        for _ = 1, math.random(200) do
            if over or not go("echo", math.random(4000)) then return end
            sleep(math.random(5))
        end
    end)
end

function clients.short()
    with_connection(nil, function(_, go) go("echo", math.random(20000)) end)
    sleep(math.random(40))
end

function clients.resumed()
    local session
    for _ = 1, 20 do
        session = not over and
            with_connection(session, function(_, go) go("echo", math.random(2000)) end) or nil
        sleep(math.random(20))
    end
end

function clients.big()
    with_connection(nil, function(_, go)
        if go("up", math.random(BIG)) then go("down", math.random(BIG)) end
    end)
    sleep(math.random(100))
end

-- Reads so slowly that the server's writes have to wait.
function clients.slow()
    with_connection(nil, function(_, go)
        go("down", BIG, function(at)
            if at % (1 << 17) == 0 then sleep(20) end
        end)
    end)
end

-- Goes away in the middle of what is sent to it: unread bytes make the system say reset.
function clients.reset()
    with_connection(nil, function(conn)
        conn:write(pattern.REQUEST:pack("D", next_number(), BIG))
        conn:read()
        conn:close_transport()
        return false
    end)
    sleep(math.random(100))
end

-- Sends bytes that are no handshake, or half of one, and waits until the server ends it; or does
-- not.
local function rude(bytes, resets)
    local co, socket = coroutine.running(), uv.new_tcp()
    local ended = false
    local function finish()
        if ended then return end
        ended = true
        if resets and not socket:is_closing() then
            socket:close_reset(function() assert(coroutine.resume(co)) end)
        else
            socket:close(function() assert(coroutine.resume(co)) end)
        end
    end
    socket:connect("127.0.0.1", port, function(failure)
        if failure then return finish() end
        count.refused = count.refused + 1
        socket:write(bytes, resets and finish or nil)
        if not resets then
            socket:read_start(function(bad, answer)
                if bad or not answer then finish() end
            end)
        end
    end)
    coroutine.yield()
end

-- says 512 bytes, and stops early
local HELLO <const> = "\22\3\1\2\0\1\0\1\252\3\3" .. ("h"):rep(60)

function clients.half_hello() rude(HELLO) end

function clients.garbage()
    rude(pattern.piece(next_number(), 0, 2000))
    sleep(math.random(100))
end

function clients.rude_reset()
    rude(HELLO, true)
    sleep(math.random(100))
end

local MIX <const> = {
    keep_alive = 40, short = 4, resumed = 6, big = 2, slow = 6, reset = 2, half_hello = 6,
    garbage = 2,
    rude_reset = 2,
}

local living = 0

local function start_clients()
    for name, many in pairs(MIX) do
        for _ = 1, many do
            living = living + 1
            local co = coroutine.create(function()
                sleep(math.random(500))
                while not over do clients[name]() end
                living = living - 1
            end)
            assert(coroutine.resume(co))
        end
    end
end

-- ------------------------------------------------------------------------------- what is looked at

local function own_memory(pid)
    local text, kib = process.slurp(("/proc/%d/smaps_rollup"):format(pid)) or "", 0
    for found in text:gmatch "Private_%a+:%s*(%d+)" do kib = kib + tonumber(found) end
    return kib * 1024
end

local function descriptors(pid)
    local n = 0
    for _ in function(list) return list and uv.fs_scandir_next(list) end,
        uv.fs_scandir(("/proc/%d/fd"):format(pid)) do
        n = n + 1
    end
    return n
end

local function look(pid)
    return { memory = own_memory(pid), descriptors = descriptors(pid) }
end

-- All workers that have ever said so, oldest first.
local function workers(server)
    local pids = {}
    for found, pid in server:output():gmatch "worker (%d+) (%d+)\n" do
        port, pids[#pids + 1] = tonumber(found), tonumber(pid)
    end
    return pids
end

local function median_of(series, from, to)
    local values = {}
    for i = math.floor(#series * from) + 1, math.floor(#series * to) do
        values[#values + 1] = series[i].memory
    end
    table.sort(values)
    return values[(#values + 1) // 2] or 0
end

-- Rows, which harness.lua describes: what was found before and after, and the most that may be
-- found after.
local function row(name, unit, before, after, at_most)
    return {
        name = name, unit = unit, values = { before = before and { before }, after = { after } },
        figure = { "after" }, at_most = at_most,
    }
end

-- The private memory of a process, from the second quarter to the last.
local function memory(name, series)
    local before = median_of(series, 0.25, 0.5)
    return row(name, "B", before, median_of(series, 0.75, 1), before * GROWTH + GROWTH_BYTES)
end

local function descriptors_row(name, before, after)
    return row(name, "", before, after, before)
end

local function none(name, value)
    return row(name, "", nil, value, 0)
end

-- ----------------------------------------------------------------------------------------- the run

local function every(seconds, call)
    local timer = uv.new_timer()
    timer:start(math.ceil(seconds * 1000), math.ceil(seconds * 1000), call)
    return timer
end

local function show(say, series, own, seconds)
    local s, c = series[#series], own[#own]
    local layout <const> =
        "%5.1f s %7d conn %5d open %7d resumed %8d done %8.1f MiB %5d cut %4d kills " ..
        "%3d reloads | worker %6.1f MiB %4d fds | clients %6.1f MiB %4d fds"
    say(layout:format(#series * seconds / (LINES * 5), count.connections, open_now,
        count.resumed, count.done, count.bytes / 1048576, count.cut, count.kills, count.reloads,
        s.memory / 1048576, s.descriptors, c.memory / 1048576, c.descriptors))
end

-- Runs the loop until test() holds, or the seconds are over; whether it held.
local function until_true(seconds, test)
    local deadline, done = uv.now() + seconds * 1000, test()
    local timer
    timer = every(0.05, function()
        done = test()
        if done or uv.now() >= deadline then
            timer:close()
            uv.stop()
        end
    end)
    uv.run()
    return done
end

local function kill_one(server, survivor)
    local pids = workers(server)
    if pids[#pids] ~= survivor and uv.kill(pids[#pids], "sigkill") then
        last_kill, count.kills = uv.now(), count.kills + 1
    end
end

local function load_for(say, seconds, server, survivor)
    local mine, parent = uv.os_getpid(),
        tonumber(process.slurp(("/proc/%d/stat"):format(survivor)):match "%) %a (%d+)")
    local series, own = {}, {}
    local timers = {
        every(math.max(4, seconds // 20), function() kill_one(server, survivor) end),
        every(math.max(3, seconds // 30), function()
            count.reloads = count.reloads + (uv.kill(parent, "sighup") and 1 or 0)
        end),
        every(seconds / (LINES * 5), function()
            series[#series + 1], own[#own + 1] = look(survivor), look(mine)
            if #series % 5 == 0 then show(say, series, own, seconds) end
        end),
    }
    start_clients()
    until_true(seconds, function() return false end)
    over = true
    for _, timer in ipairs(timers) do timer:close() end
    local ended = until_true(40, function() return living == 0 end)
    return { series = series, own = own, ended = ended, parent = parent }
end

local function stop(server, parent)
    uv.kill(parent, "sigterm")
    local ok, status = pcall(server.wait, server, 15)
    return ok and status or 1
end

local function judge(server, survivor, load, before, report)
    collectgarbage()
    local mine = math.tointeger(uv.os_getpid())
    until_true(5, function()
        return descriptors(survivor) <= before.server and descriptors(mine) <= before.clients
    end)
    local _, errors = server:output():gsub("error: ", "")
    for _, verdict in ipairs {
        memory("worker's memory", load.series), memory("clients' memory", load.own),
        descriptors_row("worker's descriptors", before.server, descriptors(survivor)),
        descriptors_row("clients' descriptors", before.clients, descriptors(mine)),
        none("operations with wrong bytes", count.wrong),
        none("failures that nothing excuses", count.failed),
        none("clients that did not come to an end", load.ended and living or math.max(living, 1)),
        none("errors in the server's log", errors),
        none("the server's exit status", stop(server, load.parent)),
    } do
        report(verdict)
    end
    return first_failure or server:output():match "error: [^\n]*"
end

local function start_server(files, seconds)
    return process.start { machine.BESIDE .. "/tlslife", machine.HERE .. "/load/server.lua",
        files.certificate, files.private_key, timeout = seconds + 120 }
end

-- The first connection, and what libuv and the library open once only.
local function warm_up()
    local warm = coroutine.create(with_connection)
    assert(coroutine.resume(warm, nil, function(_, go) go("echo", 10) end))
    until_true(5, function() return coroutine.status(warm) == "dead" end)
    uv.new_tcp():close() -- with its first one libuv opens a descriptor in reserve
    until_true(0.5, function() return false end)
end

local function measure(settings, seconds, report)
    local identity = settings.side:identity()
    local server = start_server(servers.files(identity), seconds)
    server:await("two workers", 10, function() return workers(server)[2] end)
    local survivor = workers(server)[1]
    context = assert(tls.context { role = "client", ca = identity.ca, verify_host = false,
        timeout = 20 })
    warm_up()
    local before = { server = descriptors(survivor), clients = descriptors(uv.os_getpid()) }
    settings.say(("The worker that is never killed is process %d."):format(survivor))
    local first = judge(server, survivor, load_for(settings.say, seconds, server, survivor),
        before, report)
    if first then
        settings.say("The first failure: " .. first)
    end
end

return function(settings)
    local seconds = math.tointeger(tonumber(settings.seconds or 600)) or
        error("load wants a number of seconds", 0)
    return {
        title = { ("%d s of mixed load with faults."):format(seconds) },
        sides = { "before", "after" },
        measure = function(_, own, report) measure(own, seconds, report) end,
    }
end
