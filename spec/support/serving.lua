--- Starts tls.serve in another process, and makes clients for it.
--
--   local server = serving.start([[workers = 3, timeout = 5]])   -- options, beside those below
--   local client = serving.connect(server)          -- a tlslife connection, blocking, 5 s
--   serving.ask(client, "hello")                    -- an echo; "!command" calls one of those below
--   serving.signal(server.pid, "sigterm"); server:wait(5)
--   local raw = serving.raw(server.port)            -- bytes over TCP: write, read, close, reset
--
-- The certificate and its key are in server.home, a directory of the server's own. A spec may
-- replace server.pem and server.key there.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"
local has_luv, uv = pcall(require, "luv")

local serving = {has_luv = has_luv}

local SCRIPT = [[
local directory = arg[1]
local tls, uv = require "tlslife", require "luv"
local commands = {}
local kept = {}
function commands.pid() return tostring(uv.os_getpid()) end
function commands.worker(_, server) return tostring(server:stats().worker) end
function commands.reused(conn) return tostring(conn:session_reused()) end
function commands.stats(_, server)
    local words = {}
    for name, value in pairs(server:stats()) do words[#words + 1] = name .. "=" .. value end
    return table.concat(words, " ")
end
-- The lines of the metrics with these names whose value is not 0.
function commands.metrics(_, server, line)
    local found = {}
    for sample in server:metrics():gmatch "[^\n]+" do
        local named = sample:find(line:match "^!metrics ([%w_]+)", 1, true) == 1
        if named and not sample:find " 0$" then found[#found + 1] = sample .. "\n" end
    end
    return table.concat(found) .. "#"
end
function commands.error() error "raised on purpose" end
function commands.object()
    error(setmetatable({}, {__tostring = function() return "an object" end}))
end
function commands.hang() coroutine.yield() end
function commands.deaf(conn) while true do conn:read() end end
function commands.twice(conn) conn:close() conn:close() end
function commands.free(conn) conn:free() end
function commands.keep(conn) kept[#kept + 1] = conn end
function commands.kept() return tostring(select(2, pcall(kept[1].read, kept[1]))) end
function commands.memory()
    collectgarbage() collectgarbage()
    return ("%d"):format(collectgarbage "count" // 1)
end
function commands.block(_, _, line) return ("b"):rep(tonumber(line:match "%d+")) end
function commands.slow(_, _, line)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(tonumber(line:match "%d+"), 0, function() timer:close() coroutine.resume(co) end)
    coroutine.yield()
    return "slow"
end
-- The timer is made first: luv 1.44 and 1.48 crash later if they find no memory for a new handle.
function commands.hog(_, _, line)
    local co, timer, milliseconds = coroutine.running(), uv.new_timer(), tonumber(line:match "%d+")
    timer:start(milliseconds, milliseconds, function() timer:close() coroutine.resume(co) end)
    timer:stop()
    local held, piece = {}, 1 << 22
    while piece >= 64 do
        local ok, bytes = pcall(string.rep, ("m"):rep(64), piece // 64)
        if ok then ok = pcall(table.insert, held, bytes) end
        if not ok then piece = piece // 2 end
    end
    timer:again()
    coroutine.yield()
    held[1] = nil
    return "hogged"
end
function commands.stop(_, server) server:stop(0) return "stopping" end
function commands.reload(_, server) return tostring(server:reload()) end
local function handler(conn, server)
    local line = conn:read()
    while line do
        local name = line:match "^!(%w+)"
        local answer = line
        if name then answer = commands[name](conn, server, line) end
        if not answer or not conn:write(answer) then return end
        line = conn:read()
    end
end
local function on_start(server)
    io.stdout:write(("worker %d: listening on port %d\n"):format(server:stats().worker,
        server:ports()[1]))
    io.stdout:flush()
end
io.stdout:write(("process %d\n"):format(uv.os_getpid()))
io.stdout:flush()
local certificate, private_key = directory .. "/server.pem", directory .. "/server.key"
local ok, message = tls.serve {
    address = "127.0.0.1:0", handler = handler, on_start = on_start, stop_timeout = 5, timeout = 10,
    context = {certificate = certificate, private_key = private_key},
    %s
}
io.stdout:write(ok and "served\n" or "refused: " .. message .. "\n")
os.exit(ok, true)
]]

--- Starts a server. shell is a command of sh that runs before it ("ulimit -n 40").
function serving.launch(options, shell)
    local p = pki.get()
    -- this module is loaded again for each file of specs
    process.kept.servers = (process.kept.servers or 0) + 1
    local directory = ("%s/serving%d"):format(process.directory(), process.kept.servers)
    assert(os.execute("mkdir " .. process.quote(directory)))
    process.spill(directory .. "/server.pem", p.server_cert)
    process.spill(directory .. "/server.key", p.server_key)
    local script = process.spill(directory .. "/serve.lua",
        (SCRIPT:gsub("%%s", function() return options or "" end)))
    local server = process.start {
        "sh", "-c", (shell or ":") .. '; exec "$0" "$@"', program.path, script, directory,
        timeout = 300,
    }
    server.home = directory
    return server
end

--- Does the same, and waits until that number of workers listens.
function serving.start(options, workers, shell)
    local server = serving.launch(options, shell)
    for _ = 1, workers or 1 do server.port = server:wait_for "listening on port (%d+)" end
    for i = 1, workers or 1 do server:wait_for(("worker %d: listening"):format(i)) end
    server.pid = tonumber(server:wait_for "process (%d+)")
    return server
end

function serving.signal(pid, name)
    assert(uv.kill(tonumber(pid), name))
end

--- Sends a signal, and asserts that the server ends with status 0 in time. Returns its output.
function serving.stop(server, name, seconds)
    serving.signal(server.pid, name or "sigterm")
    local status = server:wait(seconds or 20)
    if status ~= 0 then server:complain("ended with status " .. status) end
    return server:output()
end

local context
function serving.context(options)
    if not options and context then return context end
    local all = {role = "client", ca = pki.get().ca_file, timeout = 5}
    for name, value in pairs(options or {}) do all[name] = value end
    local made = assert(tls.context(all))
    if not options then context = made end
    return made
end

--- Makes a connection. Returns it, or nil and why. with has the fields context, session, early (the
-- handshake is left to the caller).
function serving.try(server, with)
    with = with or {}
    local conn = assert((with.context or serving.context()):connection())
    conn:set_hostname "localhost"
    if with.session then conn:set_session(with.session) end
    local ok, why, err = conn:dial("127.0.0.1", server.port)
    if ok and with.early then return conn end
    if ok then ok, why, err = conn:connect() end
    if not ok then
        conn:free()
        return nil, why, err
    end
    return conn
end

function serving.connect(server, with)
    local conn, why = serving.try(server, with)
    if not conn then server:complain("no connection: " .. why) end
    return conn
end

--- Writes a text and reads the answer.
function serving.ask(conn, text)
    local ok, why, err = conn:write(text)
    if not ok then return nil, why, err end
    return conn:read()
end

--- Does the same on a connection of its own.
function serving.ask_once(server, text, with)
    local conn <close> = serving.connect(server, with)
    local answer = serving.ask(conn, text)
    conn:close()
    return answer
end

function serving.stats(server)
    local stats = {}
    for name, value in serving.ask_once(server, "!stats"):gmatch "([%w_]+)=(%d+)" do
        stats[name] = tonumber(value)
    end
    return stats
end

--- Reads to the end. Returns how many bytes came, and how the stream ended.
function serving.drain(conn)
    local bytes = 0
    while true do
        local piece, why = conn:read()
        if not piece then return bytes, why end
        bytes = bytes + #piece
    end
end

--- How many descriptors a process has open.
function serving.descriptors(pid)
    local n, scan = 0, assert(uv.fs_scandir(("/proc/%d/fd"):format(pid)))
    while uv.fs_scandir_next(scan) do n = n + 1 end
    return n
end

--- Seconds of processor time that a process has had.
function serving.cpu(pid)
    local fields = process.slurp(("/proc/%d/stat"):format(pid)):match "%) (.*)"
    local user, system = fields:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
    return (user + system) / 100
end

function serving.eventually(seconds, test)
    local deadline = process.now() + seconds
    repeat
        if test() then return true end
        process.sleep(0.02)
    until process.now() > deadline
    return false
end

-- ---------------------------------------------------------------------------------- bytes over TCP

local Raw = {}
Raw.__index = Raw

-- Runs the loop until something is so, or 20 s are over: a hang, and not a slow machine.
local function run_until(test)
    local late, timer = false, uv.new_timer()
    uv.update_time() -- the loop has not run for a while
    timer:start(20000, 0, function() late = true end)
    while not late and not test() do uv.run "once" end
    timer:close()
    uv.run "nowait"
    return not late
end

function serving.raw(port)
    local self = setmetatable({tcp = uv.new_tcp(), got = "", over = nil}, Raw)
    local connected
    self.tcp:connect("127.0.0.1", tonumber(port), function(failure) connected = failure or "ok" end)
    assert(run_until(function() return connected end))
    assert(connected == "ok", connected)
    self.tcp:read_start(function(failure, bytes)
        if bytes then self.got = self.got .. bytes else self.over = failure or "EOF" end
    end)
    return self
end

function Raw:write(bytes)
    local done
    self.tcp:write(bytes, function(failure) done = failure or "ok" end)
    run_until(function() return done end)
    return done
end

--- Calls the function with the bytes that have come, or come within a moment.
function Raw:pump(take)
    uv.run "nowait"
    if self.got == "" then
        process.sleep(0.02)
        uv.run "nowait"
    end
    take(self.got)
    self.got = ""
end

--- Waits until the peer has ended the stream. Returns the bytes that have come, and "EOF" or
-- "ECONNRESET"; nil: it has not ended.
function Raw:finish()
    run_until(function() return self.over end)
    return self.got, self.over
end

function Raw:close()
    self.tcp:close()
    uv.run "nowait"
end

--- Closes the socket with RST instead of FIN.
function Raw:reset()
    self.tcp:close_reset()
    uv.run "nowait"
end

return serving
