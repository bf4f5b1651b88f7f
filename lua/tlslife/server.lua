-- tlslife.server: accepts connections, makes their handshakes, and runs the handler in a coroutine
-- for each connection, on luv.
--
-- Fairness. New connections are accepted a few at a time, because each costs a handshake, and
-- between two batches every open connection has its turn. A connection also costs one coroutine and
-- one entry of a table. A request costs nothing here, because the handler calls the connection
-- itself.
--
-- With on_request instead of a handler, a connection that waits for its next request has no
-- coroutine (parking.lua). Its entry in the table of open connections is false then. A coroutine
-- that has served a request is kept for the next one.
--
-- The end. A handler may end in any way: it returns, raises, closes or frees the connection itself,
-- or never ends. In each case the connection is closed and freed here, so that memory does not wait
-- for the garbage collector. Closing waits a moment for the peer's close_notify and drops what
-- comes, because a socket that is closed with unread bytes resets the connection, and the peer then
-- loses what it has not read yet.
--
-- Stopping. The core knows whether a connection is idle, but does not report when it becomes so,
-- since that would cost something for each request. So one timer for all connections asks every few
-- hundredths of a second while the server stops. A connection that is idle and reads is canceled:
-- the handler's read returns, and then the handler. At the deadline all connections are canceled.
-- One whose handler has not ended a moment later, because it waits for something else or reads
-- again, is closed together with its coroutine.
--
-- Memory that runs out costs the connections that need it, and nothing else. luv ends the program,
-- with status 255, when a callback raises, so nothing does: accepting pauses, and a connection is
-- forgotten here however its coroutine ends, even where there is no memory for a line in the log.
--
-- What an attacker would try: to connect and send nothing (handshake_timeout), to make thousands of
-- connections (max_connections; more wait in the backlog), to use up all descriptors (accepting
-- pauses, and open connections go on), to fail handshakes and fill the log (one line in ten
-- seconds), or not to read (a write waits, and with it the handler, until timeout ends it).

local Parking = require "tlslife.parking"
local arguments = require "tlslife.arguments"
local close_handle = require "tlslife.wait.closing"
local new_timer = require "tlslife.wait.timer"
local core = require "tlslife.core"
local new_limits = require "tlslife.limits".new
local setup = require "tlslife.setup"
local uv = require "luv"
require "tlslife.wait.luv"

local create, resume, close = coroutine.create, coroutine.resume, coroutine.close
local running, status, yield = coroutine.running, coroutine.status, coroutine.yield
local pcall, xpcall, traceback, next = pcall, xpcall, debug.traceback, next

local BATCH <const> = 8 -- connections accepted at a time
local CLOSE_SECONDS <const> = 1 -- that closing waits for the peer's close_notify
local PAUSE_MIN <const>, PAUSE_MAX <const> = 100, 1000 -- ms without accepting, after a failure
local LOG_EVERY <const> = 10000 -- ms between two lines of the same kind
-- While the server stops it looks for idle connections every LOOK_EVERY milliseconds, and one more
-- for each LOOK_PER_MS connections.
local LOOK_EVERY <const> = 50
local LOOK_PER_MS <const> = 50
local END_WITHIN <const> = 50 -- ms that handlers have after all connections were canceled
local PUBLISH_EVERY <const> = 1000 -- ms; what other workers see of this one's cache is so old
local DRAIN_MAX <const> = 1024 -- connections taken out of the backlog at the end
local SPARE_MAX <const> = 64 -- coroutines that wait for a request

local Server = {}
Server.__index = Server
Server.__name = "tlslife.server"

-- Logs one line of a kind in LOG_EVERY milliseconds. The next one says how many were left out.
local function log_limited(self, kind, level, message, conn)
    local state = self.logged[kind]
    if not state then
        state = {due = 0, more = 0}
        self.logged[kind] = state
    end
    local now = uv.now()
    if now < state.due then
        state.more = state.more + 1
        return
    end
    if conn then message = ("%s: %s"):format(conn:peer_address() or "a client", message) end
    if state.more > 0 then message = ("%s (and %d more)"):format(message, state.more) end
    state.due, state.more = now + LOG_EVERY, 0
    self.log(level, message)
end

-- --------------------------------------------------------------------------------------- accepting

-- Starts or stops watching the listeners, as the state of the server demands.
local function watch(self)
    local should = not self.deadline and not self.pausing and self.count < self.max_connections
    if should == self.watching then return end
    for i, poll in ipairs(self.polls) do
        if should then poll:start("r", self.on_ready[i]) else poll:stop() end
    end
    self.watching = should
end

-- Called when the cache may have changed. A worker publishes what it has counted, but not each
-- time.
local function publish_soon(self)
    local timer = self.publish_timer
    if timer and not timer:is_active() then
        timer:start(PUBLISH_EVERY, 0, core.metrics_publish)
    end
end

-- Removes a connection from the server's tables and frees it.
local function forget(self, conn)
    self.open[conn], self.leaving[conn] = nil, nil
    self.count = self.count - 1
    if self.parking then pcall(self.parking.remove, self.parking, conn) end
    pcall(conn.free, conn)
    publish_soon(self)
    if self.deadline then
        if self.count == 0 then self.timer:start(0, 0, self.look) end
    elseif not self.watching then
        watch(self)
    end
end

-- Forgets the connections whose coroutines have ended without reaching their last lines, for want
-- of memory.
local function sweep(self)
    for conn, co in next, self.open do
        if co and status(co) == "dead" then forget(self, conn) end
    end
end

local function go_on(self)
    self.pausing = false
    sweep(self)
    watch(self)
end

-- Stops accepting for a while after a failure. Descriptors and memory come back when connections
-- end; accepting again at once would be a busy loop. The timer has its callback already, so that
-- nothing is allocated here.
local function pause(self, why)
    local first = self.pause == 0
    self.pause = math.min(math.max(self.pause * 2, PAUSE_MIN), PAUSE_MAX)
    self.pause_timer:set_repeat(self.pause)
    self.pause_timer:again()
    self.pausing = true
    watch(self)
    if first then self.log("warning", tostring(why) .. "; trying again") end
end

-- The handler of this connection has ended.
local function leave(self, conn)
    self.open[conn], self.leaving[conn] = nil, (running())
end

local function explain(raised)
    return traceback(tostring(raised), 2)
end

local function failed(self, what, message)
    self.handler_errors = self.handler_errors + 1
    core.metrics_count "handler_failed"
    self.log("error", what .. message)
end

local function end_before_tls(conn)
    pcall(conn.set_timeout, conn, 0)
    conn:cancel()
end

-- Runs what comes before TLS: true, or nil and why. All of it has one deadline, since a client that
-- sends a byte now and then would keep every call within its own.
local function before_tls(self, conn)
    local limit <close> = self.limits:begin(conn)
    local begin, why = self.before(conn, self)
    if limit.over then return nil, "before: timeout" end
    if not begin then
        return nil, why and why ~= "canceled" and "before: " .. tostring(why) or why
    end
    conn:set_timeout(self.handshake_timeout)
    return true
end

local function shake(self, conn)
    if self.before then
        local begin, why = before_tls(self, conn)
        if not begin then return nil, why end
    end
    if self.early_data then return conn:accept_early() end
    return conn:accept()
end

-- Closes and forgets a connection whose function has ended.
local function finish_one(self, conn)
    pcall(leave, self, conn)
    if self.parking then pcall(self.parking.remove, self.parking, conn) end
    pcall(conn.close, conn, self.close_timeout) -- the handler may have freed it
    forget(self, conn)
end

-- Parks a connection until more comes, or until the next turn if more is there than was read. What
-- was left unread altogether may mean something to the function together with what comes. Where no
-- more comes it means nothing, and the connection ends. Returns whether it is parked.
local function park(self, conn, first, ended)
    local taken = conn:rest() or first
    local again = taken and conn:has_pending()
    if not again and self.deadline or not taken and ended then return false end
    local before = again and self.parking:again(conn) or not again and self.parking:add(conn, taken)
    self.open[conn] = false
    if before then forget(self, before) end -- the program has freed it
    return true
end

-- Parks a connection, or says why not. Returns whether it is parked; otherwise it is to be closed.
local function try_park(self, conn, first, ended)
    local parked, done = pcall(park, self, conn, first, ended)
    if not parked then pcall(failed, self, "", done) end
    return parked and done
end

-- Calls on_request once. What it leaves unread has its turn later. ended says that the peer sends
-- no more than what is there. Returns whether the connection is parked; otherwise it is to be
-- closed.
local function answer(self, conn, ended)
    local ok, stays = xpcall(self.on_request, explain, conn, self)
    if not ok then pcall(failed, self, "on_request failed: ", stays) end
    return ok and stays == true and pcall(conn.fd, conn) and try_park(self, conn, false, ended)
end

-- Serves one connection from its handshake to its end, in its coroutine, or until it is parked.
-- With early data the handler begins before the end of the handshake, and its calls make the rest.
-- It has no pcall of its own around all of it: that would cost every idle connection the memory of
-- two more calls.
local function serve_one(self, conn)
    local timeout = self.timeout or conn:get_timeout()
    conn:set_timeout(self.handshake_timeout)
    local ok, done, why = xpcall(shake, explain, self, conn)
    if not ok then -- a hook has raised
        pcall(failed, self, "", done)
    elseif done then
        conn:set_timeout(timeout)
        if conn:resumption() == "resumed" then self.resumed = self.resumed + 1 end
        publish_soon(self)
        if self.on_request then
            local has_come = self.early_data or conn:has_pending()
            if has_come and answer(self, conn, false) then return end
            if not has_come and try_park(self, conn, true, false) then return end
        else
            ok, why = xpcall(self.handler, explain, conn, self)
            if not ok then pcall(failed, self, "the handler failed: ", why) end
        end
    elseif why and why ~= "canceled" then
        self.handshakes_failed = self.handshakes_failed + 1
        pcall(log_limited, self, "handshake", "info", why, conn)
    end
    finish_one(self, conn)
end

-- Answers what has come on a connection that was parked.
local function serve_again(self, conn)
    if not answer(self, conn, false) then finish_one(self, conn) end
end

-- The same where no more comes.
local function serve_last(self, conn)
    if not answer(self, conn, true) then finish_one(self, conn) end
end

-- The main function of a coroutine, which serves one connection after another.
local function work(self, serve, conn)
    local spare = self.spare
    while true do
        serve(self, conn)
        if self.deadline or #spare >= SPARE_MAX then return end
        spare[#spare + 1] = running()
        local owner
        repeat owner, serve, conn = yield() until owner == self -- nobody else has anything to say
    end
end

-- Serves a connection that is not parked any more, in a spare coroutine or a new one.
local function go_on_with(self, conn, serve)
    local spare = self.spare
    local co = spare[#spare] or create(work)
    self.open[conn] = co
    if co == spare[#spare] then spare[#spare] = nil end
    local ok, why = resume(co, self, serve, conn)
    if not ok then pcall(pause, self, why) end
end

-- Closes a parked connection while the server stops. One that is not idle stays until the deadline.
local function end_parked(self, conn)
    local alive, idle = pcall(conn.idle, conn)
    if alive and not idle and not self.forced then return end
    pcall(self.parking.remove, self.parking, conn)
    go_on_with(self, conn, finish_one)
end

local function take(self, listener)
    local conn, why = listener:accept(self.context, 0)
    if not conn then
        if why ~= "want_read" then pause(self, why) end
        return false
    end
    local co = create(serve_one)
    self.open[conn] = co
    self.accepted = self.accepted + 1
    self.count = self.count + 1
    if self.pause > 0 then
        self.pause = 0
        pcall(self.log, "info", "accepting again")
    end
    assert(resume(co, self, conn))
    return true
end

local function accept(self, listener)
    local left = BATCH
    while left > 0 and not self.deadline and self.count < self.max_connections
        and take(self, listener) do
        left = left - 1
    end
    if self.count >= self.max_connections then
        log_limited(self, "full", "warning", ("%d connections: others wait"):format(self.count))
    end
    watch(self)
end

-- ---------------------------------------------------------------------------------------- stopping

local function close_timers(self)
    if self.timer:is_closing() then return end
    close_handle(self.timer)
    close_handle(self.pause_timer)
    if self.parking then self.parking:close() end
    if self.limits then self.limits:close() end
    if self.publish_timer then
        core.metrics_publish()
        close_handle(self.publish_timer)
        self.publish_timer = nil
    end
end

local function finish(self)
    close_timers(self)
    local endpoint = self.endpoint
    if endpoint then
        self.endpoint = nil
        return endpoint:stop(0, function() finish(self) end)
    end
    local list = self.on_stopped
    self.on_stopped = {}
    for _, func in ipairs(list) do
        local ok, message = xpcall(func, explain)
        if not ok then self.log("error", "on_stopped failed: " .. message) end
    end
end

local function cancel(self, conn, co)
    if co then conn:cancel() else end_parked(self, conn) end
end

local function cancel_all(self)
    self.close_timeout = 0
    for _, list in ipairs {self.open, self.leaving} do
        for conn, co in next, list do pcall(cancel, self, conn, co) end
    end
end

-- Closes every connection and its coroutine. Each is removed from its table first, because closing
-- the coroutine runs code of the handler.
local function close_all(self)
    for _, list in ipairs {self.open, self.leaving} do
        for conn, co in next, list do
            list[conn] = nil
            local ok, message = true, nil
            if co then ok, message = close(co) end
            if not ok then
                self.log("error", "the handler failed at its end: " .. tostring(message))
            end
            pcall(conn.close, conn, 0)
            forget(self, conn)
        end
    end
end

local function cancel_idle(self, conn, co)
    if not co then return end_parked(self, conn) end
    if conn:idle() then conn:cancel() end
end

-- The next look, which is at once where those that were canceled have ended already.
local function look_after(self, milliseconds)
    self.timer:start(self.count == 0 and 0 or milliseconds, 0, self.look)
end

-- Looks once for idle connections while the server stops, and enforces the deadline.
local function look(self)
    local now = uv.now()
    if self.count == 0 then return finish(self) end
    if now < self.deadline then
        for conn, co in next, self.open do pcall(cancel_idle, self, conn, co) end
        return look_after(self, math.min(LOOK_EVERY + self.count // LOOK_PER_MS,
            self.deadline - now))
    end
    if not self.forced then
        self.forced = true
        cancel_all(self)
        return look_after(self, END_WITHIN)
    end
    self.log("warning", ("%d connections did not end in time"):format(self.count))
    close_all(self)
    finish(self)
end

local function close_listeners(self)
    for _, poll in ipairs(self.polls) do close_handle(poll) end
    for _, listener in ipairs(self.listeners) do listener:close() end
    self.polls, self.listeners = {}, {}
end

-- Accepts what is in the backlog, because these clients see an open connection already.
local function drain(self)
    for _, listener in ipairs(self.listeners) do
        local left = DRAIN_MAX
        while left > 0 and self.count < self.max_connections and take(self, listener) do
            left = left - 1
        end
    end
    self.pause_timer:stop()
end

-- Raises for what is no server, as server.stop(1) has it.
local function check(self, name)
    if getmetatable(self) ~= Server then arguments.refuse(self, 1, name, Server.__name) end
end

local function check_seconds(timeout)
    if not setup.is_seconds(timeout) then
        arguments.raise(("bad argument #1 to 'stop' (seconds are 0 to %d, got %s)"):format(
            arguments.SECONDS_MAX, tostring(timeout)))
    end
end

function Server:stop(timeout, on_stopped)
    check(self, "stop")
    timeout = timeout == nil and self.stop_timeout or timeout
    check_seconds(timeout)
    if on_stopped ~= nil and type(on_stopped) ~= "function" then
        arguments.refuse(on_stopped, 2, "stop", "function")
    end
    uv.update_time()
    local deadline = uv.now() + math.ceil(timeout * 1000)
    self.on_stopped[#self.on_stopped + 1] = on_stopped
    if self.timer:is_closing() then return finish(self) end
    if not self.deadline then
        self.deadline, self.watching = deadline, false
        if timeout > 0 then drain(self) end
        close_listeners(self)
    else
        self.deadline = math.min(self.deadline, deadline)
    end
    self.timer:start(0, 0, self.look)
end

function Server:stopping()
    check(self, "stopping")
    return self.deadline ~= nil
end

-- ------------------------------------------------------------------------ methods and construction

function Server:ports()
    check(self, "ports")
    return {table.unpack(self.found_ports)}
end

function Server:reload()
    check(self, "reload")
    local context, message, err = setup.try_context(self.options, self.shared)
    if not context then
        self.log("error", "reload failed, the old context stays: " .. message)
        return nil, message, err
    end
    self.context = context
    if self.endpoint then self.endpoint:reload() end
    self.log("info", "reloaded")
    return true
end

function Server:stats()
    check(self, "stats")
    return {
        connections = self.count, accepted = self.accepted, resumed = self.resumed,
        handshakes_failed = self.handshakes_failed, handler_errors = self.handler_errors,
        worker = self.worker,
    }
end

function Server:metrics(format)
    check(self, "metrics")
    local text = arguments.judged("metrics", core.metrics, format, self.context)
    return text
end

function Server:__tostring()
    check(self, "tostring")
    return ("%s: %d connections"):format(Server.__name, self.count)
end

local function new(options, shared, log)
    local self = setmetatable({
        options = options, shared = shared, log = log, worker = shared.worker,
        handler = options.handler, on_request = options.on_request, before = options.before,
        early_data = options.early_data,
        timeout = options.timeout, handshake_timeout = options.handshake_timeout or 10,
        stop_timeout = options.stop_timeout or 30, close_timeout = CLOSE_SECONDS,
        max_connections = options.max_connections or 10000,
        -- the coroutine of each connection, or false of one that is parked: open until the handler
        -- has ended, leaving from then on
        open = {}, leaving = {}, spare = {},
        count = 0, accepted = 0, handshakes_failed = 0, handler_errors = 0, resumed = 0,
        pause = 0, pausing = false, watching = false, logged = {}, on_stopped = {}, polls = {},
        on_ready = {},
    }, Server)
    self.go_on = function() -- again and again, until it has found the memory that it needs
        if pcall(go_on, self) then self.pause_timer:stop() end
    end
    self.look = function()
        if not pcall(look, self) then self.timer:start(LOOK_EVERY, 0, self.look) end
    end
    return self
end

local function listen(self, listeners)
    self.listeners, self.found_ports = listeners, {}
    self.timer, self.pause_timer = new_timer(self.look), new_timer(self.go_on)
    self.parking = self.on_request and Parking.new(function(conn, in_time, ended)
        go_on_with(self, conn, not in_time and finish_one or ended and serve_last or serve_again)
    end)
    self.limits = self.before and new_limits(self.handshake_timeout, end_before_tls)
    self.publish_timer = self.publishes and uv.new_timer() or nil
    for i, listener in ipairs(listeners) do
        self.found_ports[i] = listener:port() or false
        if self.options.proxy_protocol then -- a worker's listener comes from its parent without it
            listener:set_proxy_protocol(self.options.proxy_protocol, self.options.proxy_from)
        end
        self.polls[i] = assert(uv.new_poll(listener:fd()))
        self.on_ready[i] = function()
            local ok, why = pcall(accept, self, listener)
            if not ok then pcall(pause, self, why) end
        end
    end
    watch(self)
end

-- The listeners of a server that is no worker, which serves the page of metrics, too. Or nil,
-- message, err.
local function make_listeners(self)
    local listeners, message, err = setup.listen(self.options)
    if not listeners or not self.options.metrics then return listeners, message, err end
    self.endpoint, message, err = require "tlslife.metrics".serve(self.options.metrics, self.log,
        function(format) return self:metrics(format) end)
    if self.endpoint then return listeners end
    for _, listener in ipairs(listeners) do listener:close() end
    return nil, message, err
end

--- Starts a server, which accepts as soon as the loop runs. For a worker, part has the listeners,
-- what is shared, and the log.
local function start(options, part)
    options = setup.check(options)
    local log = part and part.log or setup.log(options)
    part = part or {
        shared = setup.shared {worker = 1, secret = uv.random(32, 0), log = log}, log = log,
    }
    local self = new(options, part.shared, part.log)
    self.publishes = part.publishes
    local message, err
    self.context, message, err = setup.context(options, part.shared)
    if not self.context then return nil, message, err end
    local listeners = part.listeners
    if not listeners then
        listeners, message, err = make_listeners(self)
        if not listeners then return nil, message, err end
    end
    listen(self, listeners)
    if options.on_start then
        local ok, raised = pcall(options.on_start, self)
        if not ok then
            self:stop(0)
            error(raised, 0)
        end
    end
    return self
end

return start
