-- tlslife.workers: runs processes or threads that serve side by side, and the parent that starts
-- them, sends them orders and waits for them.
--
-- A worker is the program run again: the same script with the same arguments, up to its call of
-- tls.serve, which finds that it is in a worker (tlslife.worker) and does not return. So whatever
-- the script has set up is there, and only sockets and secrets are handed over. The parent listens
-- and keeps the sockets: a worker that dies loses its own connections, and none of those to come.
-- With reuse_port the parent makes a set of sockets for each worker.
--
-- A socket, the control, leads to each worker. It carries lines from the parent, "reload" and "stop
-- SECONDS". For a process, a first line precedes them with the secret from which ticket keys and
-- the keys that seal the cache are derived. The secret is not in the environment or the command
-- line, which other processes can read. When the control ends, the parent has ended, in whatever
-- way, and the worker stops gracefully. In the other direction, the end of a thread ends its
-- control; the system reports the end of a process.
--
-- The parent makes each context first, so that an error is reported once, by serve's result or by a
-- line in the log, and no worker meets it. A worker that ends without an order is started again,
-- after a pause that doubles while workers do not live long. What fails in the parent while one is
-- started, such as memory that is short, is logged, and tried again after the longest pause: luv
-- would end the program if it were raised.

local arguments = require "tlslife.arguments"
local core = require "tlslife.core"
local server = require "tlslife.server"
local setup = require "tlslife.setup"
local signals = require "tlslife.signals"
local uv = require "luv"

local workers = {}

local PAUSE_MIN <const>, PAUSE_MAX <const> = 100, 5000 -- ms before a worker is started again
local LONG <const> = 5000 -- ms: a worker that has lived so long is started again soon
local GRACE <const> = 2000 -- ms after the deadline, for workers to end by themselves
-- The first line for a process: the secret's hexadecimal digits, then those of the slab's name.
local SECRET <const> = 64
local FIRST_LINE <const> = SECRET + 32

local function hex(bytes)
    return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function unhex(text)
    return (text:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- --------------------------------------------------------------------------------------- processes

-- The words of our own command line after the program's name.
local function command_line()
    local words, first = {}, 0
    if type(arg) ~= "table" then
        arguments.raise "serve: workers run the script again, and there is no table arg"
    end
    while arg[first - 1] do first = first - 1 end
    for i = first + 1, #arg do words[#words + 1] = arg[i] end
    if arg[0] == "-" or #words == 0 then
        arguments.raise "serve: workers run the script again, and this one comes from stdin"
    end
    return words
end

local function environment(index, listeners, has_metrics)
    local list, numbers = {}, {}
    for name, value in pairs(uv.os_environ()) do list[#list + 1] = name .. "=" .. value end
    for i = 1, #listeners do numbers[i] = 3 + i end
    list[#list + 1] = ("TLSLIFE_WORKER=%d:3:%s%s"):format(index, table.concat(numbers, ","),
        has_metrics and ":" .. 4 + #listeners or "")
    return list
end

local function start_process(self, one)
    local control = uv.new_pipe(false)
    local stdio = {0, 1, 2, control}
    for _, listener in ipairs(one.listeners) do stdio[#stdio + 1] = listener:fd() end
    stdio[#stdio + 1] = self.metrics
    local process, pid = uv.spawn(self.program, {
        args = self.words, env = environment(one.index, one.listeners, self.metrics),
        stdio = stdio,
    }, function(status, signal)
        self.on_end(one, signal > 0 and "signal" or "status", signal > 0 and signal or status)
    end)
    if not process then
        control:close()
        return nil, pid
    end
    control:write(self.first_line)
    one.control, one.process = control, process
    one.name = ("worker %d (process %d)"):format(one.index, pid)
    return true
end

-- ----------------------------------------------------------------------------------------- threads

local function start_thread(self, one)
    local ends, problem = uv.socketpair(nil, nil, {nonblock = true}, {})
    if not ends then return nil, problem end
    local control = uv.new_pipe(false)
    control:open(ends[1])
    local thread, message = require "tlslife.host".thread {
        index = one.index, control = ends[2], listeners = one.listeners,
        cache = self.shared.cache, ticket_keys = self.shared.ticket_keys,
    }
    if not thread then
        control:close()
        uv.fs_close(ends[2])
        return nil, message
    end
    control:read_start(function(_, bytes)
        if not bytes then self.on_end(one, "status", thread:join()) end
    end)
    one.control, one.name = control, ("worker %d (thread)"):format(one.index)
    return true
end

-- -------------------------------------------------------------------------------------- the parent

local function send(self, line)
    for _, one in ipairs(self.workers) do
        if one.control then one.control:write(line .. "\n") end
    end
end

-- May raise where there is no memory for the line.
local function say(self, level, format, ...)
    self.log(level, format:format(...))
end

local function start(self, one)
    one.timer:stop()
    one.since = uv.now()
    local called, ok, message = pcall(self.start, self, one)
    if called and ok then
        self.running = self.running + 1
        return
    end
    one.pause = PAUSE_MAX
    one.timer:start(PAUSE_MAX, 0, one.again)
    pcall(say, self, "error", "worker %d cannot be started: %s", one.index,
        called and message or ok)
end

-- how: "signal" or "status", and its number.
local function ended(self, one, how, number)
    self.running = self.running - 1
    one.control:close()
    if one.process then one.process:close() end
    one.control, one.process = nil, nil
    if self.metrics then core.metrics_leave(one.index) end
    if self.stopping then
        if self.running == 0 then uv.stop() end
        return
    end
    core.metrics_count "worker_ended"
    local lived = uv.now() - one.since
    local doubled = math.min(math.max(one.pause * 2, PAUSE_MIN), PAUSE_MAX)
    one.pause = lived < LONG and doubled or PAUSE_MIN
    one.timer:start(one.pause, 0, one.again)
    pcall(say, self, "warning", "%s ended with %s %d; another starts in %g s", one.name, how,
        number, one.pause / 1000)
end

-- Kills the workers that have not ended in time. Threads cannot be killed; they end with the
-- process.
local function kill_workers(self)
    for _, one in ipairs(self.workers) do
        if one.control then self.log("warning", one.name .. " does not end") end
        if one.process then one.process:kill "sigkill" end
    end
    if self.options.threads then
        self.running = 0
        uv.stop()
    end
end

local function stop(self, timeout)
    timeout = timeout or self.options.stop_timeout or 30
    self.stopping = true
    for _, one in ipairs(self.workers) do
        one.timer:stop()
        for _, listener in ipairs(one.listeners) do listener:close() end
    end
    send(self, ("stop %.3f"):format(timeout))
    self.timer:start(math.ceil(timeout * 1000) + GRACE, 0, function() kill_workers(self) end)
    if self.running == 0 then uv.stop() end
end

-- Makes one set of sockets for all workers, or one for each. On failure the caller closes them.
local function listen(self)
    local listeners, ports, of_addresses = setup.listen(self.options)
    if not listeners then return nil, ports, of_addresses end
    for i = 1, self.options.workers do
        local one = {index = i, listeners = listeners, timer = uv.new_timer(), pause = 0}
        one.again = function() start(self, one) end
        self.workers[i] = one
        if self.options.reuse_port and i < self.options.workers then
            local message, err
            listeners, message, err = setup.listen(self.options, of_addresses)
            if not listeners then
                return nil, message, err
            end
        end
    end
    return true
end

local function close(self)
    self.timer:close()
    for _, one in ipairs(self.workers) do
        one.timer:close()
        for _, listener in ipairs(one.listeners) do listener:close() end
    end
    if self.slab then setup.forget_slab(self.slab) end
    if self.endpoint then setup.stop(self.endpoint) end
    self.handles:close()
end

local function reload(self)
    local context, message = setup.try_context(self.options, self.shared)
    if context then
        self.context = context
        if self.endpoint then self.endpoint:reload() end
        return send(self, "reload")
    end
    self.log("error", "reload failed, the old context stays: " .. message)
end

local function parent(options)
    local secret = uv.random(32, 0)
    local self = {
        options = options, log = setup.log(options), workers = {}, running = 0, stopping = false,
        timer = uv.new_timer(), start = options.threads and start_thread or start_process,
    }
    if not options.threads then
        -- The path is read now, because the file may be replaced while the server runs.
        self.words, self.program = command_line(), uv.exepath()
        self.slab = "serve-" .. hex(uv.random(16, 0))
        self.first_line = hex(secret) .. self.slab:match "%x+$" .. "\n"
        local fd, message = core.metrics_share(options.workers)
        if not fd then self.log("warning", "metrics are those of each worker: " .. message) end
        self.metrics = fd
    end
    self.shared = setup.shared {worker = 0, secret = secret, slab = self.slab, log = self.log}
    self.on_end = function(one, ...) ended(self, one, ...) end
    self.handles = signals.watch {
        stop = function(timeout) stop(self, timeout) end,
        reload = function() reload(self) end,
    }
    return self
end

-- The page of metrics is the parent's, which has time for it, however busy the workers are.
local function serve_metrics(self)
    if not self.options.metrics then return true end
    local message, err
    self.endpoint, message, err = require "tlslife.metrics".serve(self.options.metrics, self.log,
        function(format) return core.metrics(format, self.context) end)
    return self.endpoint and true, message, err
end

--- Serves by workers. Returns true when all have stopped, or nil, message, err.
function workers.run_parent(options)
    local self = parent(options)
    local context, message, err = setup.try_context(options, self.shared)
    self.context = context
    local ok = context
    if ok then ok, message, err = listen(self) end
    if ok then ok, message, err = serve_metrics(self) end
    if not ok then
        close(self)
        return nil, message, err
    end
    for _, one in ipairs(self.workers) do start(self, one) end
    repeat uv.run() until self.stopping and self.running == 0
    close(self)
    return true
end

-- -------------------------------------------------------------------------------------- the worker

-- What the parent's first line says, or nil if the parent has ended already.
local function read_first_line(fd)
    local got = ""
    while #got <= FIRST_LINE do
        local bytes = uv.fs_read(fd, FIRST_LINE + 1 - #got, -1)
        if not bytes or bytes == "" then return nil end
        got = got .. bytes
    end
    return {secret = unhex(got:sub(1, SECRET)), slab = "serve-" .. got:sub(SECRET + 1, FIRST_LINE)}
end

local function follow(self, line)
    local seconds = line:match "^stop ([%d.]+)$"
    if seconds then
        self:stop(tonumber(seconds))
    elseif line == "reload" then
        self:reload()
    end
end

local function listen_to_parent(self, worker, slab)
    local control, rest = uv.new_pipe(false), ""
    assert(control:open(worker.control))
    control:read_start(function(_, bytes)
        if not bytes then
            control:close()
            if slab then setup.forget_slab(slab) end -- the parent may have had no time to do it
            return self:stop()
        end
        rest = rest .. bytes
        for line in rest:gmatch "([^\n]*)\n" do follow(self, line) end
        rest = rest:match "[^\n]*$"
    end)
end

-- From now on this worker counts in memory that its parent and the other workers see.
local function join_metrics(worker, log)
    if not worker.metrics then return end
    local ok, message = core.metrics_join(worker.metrics, worker.index)
    if not ok then log("warning", "metrics without this worker: " .. message) end
    uv.fs_close(worker.metrics)
end

--- Serves as one of the workers. Does not return.
function workers.run_worker(options, worker)
    local given = worker.thread and {} or read_first_line(worker.control)
    if not given then os.exit(true, true) end
    given.worker, given.cache, given.ticket_keys = worker.index, worker.cache, worker.ticket_keys
    local log = setup.log(options, "worker " .. worker.index)
    given.log = log
    join_metrics(worker, log)
    local self, message = server(options, {
        listeners = worker.listeners, shared = setup.shared(given), log = log,
        publishes = worker.metrics ~= nil,
    })
    if not self then
        log("error", message)
        os.exit(false, true)
    end
    listen_to_parent(self, worker, given.slab)
    local handles = worker.thread and signals.none() or
        signals.watch {parted = true, stop = function(timeout) self:stop(timeout) end}
    setup.run(self)
    handles:close()
    os.exit(true, true)
end

return workers
