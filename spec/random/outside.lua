--- outside.lua: starts what a random program uses beside its own Lua state, which are Redis,
--- threads of the program tlslife with states of their own, and servers with workers in other
--- processes.
--
-- A thread is given a cache, ticket keys and a seed. It chooses at random what it does with them,
-- while the program that has started it goes on. run.lua calls thread() in it.

local draw = require "spec.random.draw"
local pki = require "spec.support.pki"
local process = require "spec.support.process"

local outside = {}

-- ------------------------------------------------------------------------------------- in a thread

local T = setmetatable({}, {__index = draw})
T.__index = T

local SECRET <const> = ("k"):rep(32)

--- Both ends of a connection in memory, from the first byte to the last.
local function visit(tls, client, server, name)
    local a, b = assert(client:connection()), assert(server:connection())
    a:set_blocking(false)
    b:set_blocking(false)
    tls.pair(a, b)
    a:set_hostname(name)
    for _ = 1, 6 do
        a:connect()
        b:accept()
    end
    if not a:handshake_done() or not b:handshake_done() then return nil end
    b:write "hello"
    local read = a:read()
    if read ~= "hello" then error("a thread has read " .. tostring(read), 0) end
    local session = a:session()
    if session and a:session_reused() ~= b:session_reused() then
        error("a thread's ends disagree whether they resume", 0)
    end
    a:shutdown()
    b:close(0)
    return session
end

local STEPS = {
    function(self) self.cache:put(self.session) end,
    function(self) self.cache:get(self.session:id()) end,
    function(self) self.cache:take(self.session:id()) end,
    function(self) self.cache:remove(self.session:id()) end,
    function(self) self.cache:flush(self:chance(50)) end,
    function(self) self.cache:stats() end,
    function(self) for entry in self.cache:entries() do self.cache:remove(entry.id) end end,
    function(self)
        local sealed = self.cache:export(self.keyring)
        if sealed then self.cache:import(self.keyring, sealed) end
    end,
    function(self) self.ticket_keys:replace {("t"):rep(80)} end,
    function() collectgarbage() end,
}

local function contexts(self, tls)
    local p = pki.get()
    local version = self:pick {"TLSv1.2", "TLSv1.3"}
    local server = {role = "server", certificate = p.server_cert, private_key = p.server_key,
        timeout = 0.01}
    if self.ticket_keys then server.ticket_keys = self.ticket_keys end
    if self.cache and self:chance(50) then server.cache = self.cache end
    return assert(tls.context {role = "client", ca = p.ca_pem, max_version = version,
        cache = self:chance(50) and self.cache or nil, timeout = 0.01}), assert(tls.context(server))
end

--- The script of a thread. Its control tells the seed.
function outside.thread(worker)
    local tls = require "tlslife"
    local p = pki.get()
    local control = tls.context {role = "server", certificate = p.server_cert,
        private_key = p.server_key, timeout = 20}:connection()
    control:take_fd(worker.control)
    local seed = tonumber(assert(control:plain_read(100)))
    local self = setmetatable({x = (seed + 1) * 0x9E3779B97F4A7C15, cache = worker.cache,
        ticket_keys = worker.ticket_keys, keyring = tls.keyring {SECRET}}, T)
    for _ = 1, 4 do self:below(2) end
    for _ = 1, self:below(3) + 1 do
        local client, server = contexts(self, tls)
        for _ = 1, self:below(4) + 1 do
            local session = visit(tls, client, server, "localhost")
            self.session = session or self.session
            for _ = 1, self:below(6) do
                -- what is not there raises, and a mistake of the program's does
                pcall(self:pick(STEPS), self)
            end
        end
    end
    if self:chance(20) then os.exit(0, true) end
end

-- --------------------------------------------------------------------------------- for the program

--- A Redis that gives false answers: it answers anything that comes to a listener with these bytes.
local function false_answers()
    local context, open = nil, {}
    return function(listener, bytes)
        local tls, p = require "tlslife", pki.get()
        context = context or tls.context {role = "server", certificate = p.server_cert,
            private_key = p.server_key}
        open[#open + 1] = listener:accept(context, 0)
        for _, conn in ipairs(open) do
            conn:set_blocking(false)
            pcall(conn.plain_write, conn, bytes)
        end
    end
end

--- Functions for the lines of a program. fail notes what must not be. of: descriptors.so.
function outside.new(fail, of)
    local threads, servers, asking, context = {}, {}, {}, nil
    local self = {redis = os.getenv "TLSLIFE_RANDOM_REDIS" or "/nonexistent"}

    self.answer = false_answers()

    function self.thread(seed, cache, ticket_keys)
        local host = require "tlslife.host"
        local tls = require "tlslife"
        if #threads >= 4 then self.join() end
        local mine, theirs = of.pair()
        local made, thread = pcall(host.thread, {index = #threads + 1, control = theirs,
            cache = cache, ticket_keys = ticket_keys})
        if not made or not thread then
            of.close(mine)
            of.close(theirs)
            return
        end
        context = context or tls.context {role = "client", verify = "none"}
        local control = context:connection()
        control:take_fd(mine)
        threads[#threads + 1] = {thread = thread, control = control}
        control:plain_write(("%d"):format(seed))
        return thread
    end

    function self.join()
        for _, one in ipairs(threads) do
            local status = one.thread:join()
            if status ~= 0 then fail("a thread ended with status %d", status) end
            one.control:close_transport()
        end
        threads = {}
    end

    --- options: text of tls.serve's, beside those of spec/support/serving.lua.
    function self.workers(options)
        local serving = require "spec.support.serving"
        if not serving.has_luv then return nil end
        local server = serving.start("workers = 2, " .. options, 2)
        servers[#servers + 1] = server
        return server
    end

    --- One question to a server with workers, which must be answered where no worker was killed.
    function self.ask(server, what)
        local serving = require "spec.support.serving"
        local conn, why = serving.try(server)
        local answer
        if conn then
            -- Its peer is another process's, and the model of play.lua does not see what that says.
            conn:set_shutdown(conn:get_shutdown())
            conn:set_timeout(20)
            asking[#asking + 1] = conn
            answer, why = serving.ask(conn, what)
            if what:find "^!" then conn:close_transport() else conn:close(0) end
            if answer and what == "hello" and answer ~= what then
                fail("a worker answers %q", answer)
            end
        end
        local in_another_year = why and (why:find "is not yet valid" or why:find "has expired")
        if not answer and what == "hello" and not server.hurt and not in_another_year then
            fail("workers do not answer: %s", why)
        end
    end

    --- SIGHUP to the parent; or kills a worker, which is started again.
    function self.hurt(server, how)
        local serving = require "spec.support.serving"
        if how == "reload" then return serving.signal(server.pid, "sighup") end
        local conn = serving.try(server)
        local pid = conn and serving.ask(conn, "!pid")
        if conn then conn:close_transport() end
        if not pid or tonumber(pid) == server.pid then return end -- workers may be threads
        server.hurt = true
        serving.signal(tonumber(pid), "sigkill")
    end

    function self.stop()
        self.join()
        for _, conn in ipairs(asking) do pcall(conn.close_transport, conn) end
        asking = {}
        for _, server in ipairs(servers) do
            local serving = require "spec.support.serving"
            server.hurt = true -- what still waits for an answer gets none
            serving.signal(server.pid, "sigterm")
            local status = server:wait(40)
            if status ~= 0 then
                fail("a server with workers ended with status %d: %s", status, server:output())
            end
        end
        servers = {}
    end

    return self
end

--- A Redis for all programs, if there is one here: the path of its socket, or nil.
function outside.start_redis()
    return (process.start_redis_socket(86400 * 2, "--maxmemory", "64mb", "--maxmemory-policy",
        "allkeys-lru"))
end

return outside
