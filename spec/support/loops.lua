--- Drivers of the loops that the module knows, so that one example runs in each: luv, cqueues,
-- copas, and "blocking", where a call waits in the system.
--
--   for _, driver in ipairs(loops.drivers) do
--       loops.run(driver, function(spawn, sleep) ... end)
--   end
--
-- A driver has these fields:
--   name
--   yields          whether a call that waits lets other coroutines run; where it does not, the
--                   peer must be another process (loops.peer)
--   spawn(f)        runs f in a coroutine of the loop
--   run()           runs the loop until all coroutines have ended; raises after TIME seconds
--   sleep(seconds)  suspends the coroutine
--
-- luv's adapter is loaded first. It takes every coroutine for one of its own, and the module asks
-- the adapter that was loaded last before the others.

local process = require "spec.support.process"
local program = require "spec.support.program"

local loops = {drivers = {}}

local TIME = 20 -- seconds for one example, which is far more than any needs

local function add(driver) loops.drivers[#loops.drivers + 1] = driver end

-- ---------------------------------------------------------------------------------------- blocking

local later = {}

add {
    name = "blocking",
    yields = false,
    spawn = function(f) later[#later + 1] = f end,
    run = function()
        while later[1] do table.remove(later, 1)() end
    end,
    sleep = process.sleep,
}

-- --------------------------------------------------------------------------------------------- luv

local clock = require "system".monotime
local has_luv, uv = pcall(require, "luv")
if has_luv then require "tlslife.wait.luv" end

local function add_luv()
    local live = 0
    add {
        name = "luv",
        yields = true,
        spawn = function(f)
            live = live + 1
            coroutine.wrap(function()
                f()
                live = live - 1
            end)()
        end,
        run = function()
            local timer, late = uv.new_timer(), false
            uv.update_time() -- it may be as old as the loop's last turn, and timers begin there
            timer:start(TIME * 1000, 0, function() late = true end)
            timer:unref()
            while live > 0 and not late and uv.run "once" do end
            timer:close()
            uv.run "nowait"
            local left = live
            live = 0
            if left > 0 then
                error(late and "the time is up" or
                    "coroutines wait, and the loop has nothing to do")
            end
        end,
        sleep = function(seconds)
            local co, timer = coroutine.running(), uv.new_timer()
            timer:start(math.ceil(seconds * 1000), 0, function()
                timer:close()
                assert(coroutine.resume(co))
            end)
            coroutine.yield()
        end,
    }
end

if has_luv then add_luv() end

-- ------------------------------------------------------------------------------- cqueues and copas

-- Adds a driver of a loop that is run step by step. start(f) begins a coroutine, and step(seconds)
-- runs the loop for at most that time.
local function add_stepped(name, start, step, sleep)
    local left = 0
    add {
        name = name,
        yields = true,
        spawn = function(f)
            left = left + 1
            start(function()
                f()
                left = left - 1
            end)
        end,
        run = function()
            local deadline = clock() + TIME
            while left > 0 and clock() < deadline do step(0.5) end
            local hanging = left
            left = 0
            if hanging > 0 then error "the time is up" end
        end,
        sleep = sleep,
    }
end

local has_cqueues, cqueues = pcall(require, "cqueues")
if has_cqueues then
    require "tlslife.wait.cqueues"
    local controller = cqueues.new()
    add_stepped("cqueues",
        function(f) controller:wrap(f) end,
        function(seconds) assert(controller:step(seconds)) end,
        cqueues.sleep)
end

local copas = require "spec.support.copas" ()
if copas then add_stepped("copas", copas.addthread, copas.step, copas.sleep) end

-- --------------------------------------------------------------------------------------------- all

--- The monotonic clock, in seconds.
function loops.now()
    return clock()
end

--- Runs main(spawn, sleep) and all that it spawns; raises the first error of any of them.
function loops.run(driver, main)
    local failure
    local function spawn(f)
        driver.spawn(function()
            local ok, message = xpcall(f, debug.traceback)
            if not ok then failure = failure or message end
        end)
    end
    spawn(function() main(spawn, driver.sleep) end)
    local ok, message = pcall(driver.run)
    if failure then error(failure, 0) end
    if not ok then error(message, 0) end
end

-- A server that serves one connection after the other, in the way that its third argument names:
-- echo, mute (makes the handshake and reads nothing), slow (reads slowly, and prints the length and
-- a checksum at the end) or full (writes 16 MiB at once).
local PEER = [[
local tls = require "tlslife"
local certificate, key, what = arg[1], arg[2], arg[3]
local context = assert(tls.context {role = "server", certificate = certificate, private_key = key})
local listener = assert(tls.listen("127.0.0.1", 0))
io.stdout:setvbuf "line"
print("port " .. listener:port())
while true do
    local conn <close> = assert(listener:accept(context))
    conn:set_timeout(15)
    if conn:accept() then
        local pieces, bytes = {}, nil
        if what == "full" then conn:write(("f"):rep(1 << 24)) end
        while what ~= "mute" do
            bytes = conn:read()
            if not bytes then break end
            if what == "echo" then conn:write(bytes) end
            if what == "slow" then
                pieces[#pieces + 1] = bytes
                if #pieces % 100 == 0 then os.execute "sleep 0.01" end
            end
        end
        if what == "mute" then io.read "l" end
        if what == "slow" then
            local all, sum = table.concat(pieces), 0
            for i = 1, #all, 97 do sum = (sum * 31 + all:byte(i)) % 1000000007 end
            print(("got %d %d."):format(#all, sum))
        end
        conn:close(what == "mute" and 0 or 1)
    end
end
]]

--- Starts PEER in another process. what is echo, mute, slow or full. Returns its port and the
-- process, which outlives the whole file of specs: that takes a minute and a half on a busy machine
-- under AddressSanitizer.
function loops.peer(pki, what)
    local path = process.spill(process.directory() .. "/loop_peer.lua", PEER)
    local started = process.start {program.path, path, pki.server_cert_file, pki.server_key_file,
        what, stdin = true, timeout = 600}
    return math.tointeger(tonumber(started:wait_for "port (%d+)")), started
end

--- Reads len bytes, or more if the last read gives more.
function loops.read_all(conn, len)
    local pieces, got = {}, 0
    while got < len do
        local piece = assert(conn:read())
        pieces[#pieces + 1] = piece
        got = got + #piece
    end
    return table.concat(pieces)
end

return loops
