--- Functions that the lines of a program of generate.lua call, where one call of the module does
--- not do: connections and LuaSec's over descriptors, servers on a loop, writers of traces.
--
--   local helpers = helpers.new(fail, tls, own)     a table of functions, by name
--   helpers.stop()                                  at the program's end: servers and writers
--   helpers.give_back()                             and then descriptors that are ours
--
-- fail notes what must not be. own is a function that gives a directory of this program's.

local program = require "spec.support.program"

local helpers = {}

--- The library of descriptors. Programs without it, and those that have run out of descriptors,
-- have lines that raise.
local function descriptors()
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    local open = package.loadlib(build .. "/spec/support/descriptors.so", "luaopen_descriptors")
    return open and open() or {}
end

helpers.descriptors = descriptors

-- ------------------------------------------------------------------------------------- descriptors

--- Functions that give connections descriptors. lent: those that stay ours.
local function over_descriptors(of, lent)
    local function give(fd, take)
        local ok, result = pcall(take, fd)
        if not ok then of.close(fd) end
        return ok, result
    end
    local function keep(first, second)
        lent[#lent + 1], lent[#lent + 2] = first, second
        return first, second
    end
    return {
        sockets = function(a, b)
            local first, second = of.pair()
            give(first, function(fd) a:take_fd(fd) end)
            give(second, function(fd) b:take_fd(fd) end)
        end,
        lend = function(a, b)
            local first, second = keep(of.pair())
            a:set_fd(first)
            b:set_fd(second)
        end,
        pipes = function(a, b)
            local b_reads, a_writes = keep(of.pipe())
            local a_reads, b_writes = keep(of.pipe())
            a:set_fd(a_reads, a_writes)
            b:set_fd(b_reads, b_writes)
        end,
        hang_up = function()
            for _, fd in ipairs(lent) do of.hang_up(fd) end
        end,
        adopt = function(listener, tls)
            local ok, result = give(of.duplicate(listener:fd()), tls.listen_fd)
            return ok and result or error(result, 0)
        end,
        give_back = function()
            while #lent > 0 do of.close(table.remove(lent)) end
        end,
    }
end

-- ------------------------------------------------------------------------------------------ LuaSec

--- What a program of LuaSec's gives to wrap: an object of LuaSocket's, or one that keeps its
--- descriptor.
local function object_of(fd, keeps)
    local object = {getfd = function() return fd end}
    if not keeps then object.setfd = function(_, other) fd = other end end
    return object
end

--- ssl.wrap of both ends of a pair of sockets. Neither waits for long.
local function wrapper(of, lent)
    return function(a, b, how)
        local ssl, fds, faces = require "tlslife.luasec", {of.pair()}, {}
        for i, context in pairs {a, b} do
            local object = object_of(fds[i], how == "object")
            local ok, face = pcall(ssl.wrap, object, context)
            faces[i] = ok and face or nil
            if faces[i] then face:settimeout(0.01) end
        end
        for i, fd in ipairs(fds) do
            if not faces[i] or how == "object" then lent[#lent + 1] = fd end
        end
        return faces[1], faces[2]
    end
end

local function shake(a, b)
    a:settimeout(0)
    b:settimeout(0)
    for _ = 1, 6 do
        local one = a:dohandshake()
        if b:dohandshake() and one then break end
    end
    a:settimeout(0.01)
    b:settimeout(0.01)
end

-- --------------------------------------------------------------------------------------- on a loop

local found, uv = pcall(require, "luv")

local function tick()
    for _ = 1, found and 5 or 0 do uv.run "nowait" end
end

helpers.tick = tick

local HANG <const> = 20e9 -- nanoseconds after which a server that has not stopped hangs
local GET <const> = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

--- Functions for servers of tls.server, whose loop turns only where a line calls tick or visit, and
--- of tls.serve, which is told to stop as soon as it has begun.
local function served(fail, tls, own)
    if not found then return {stop_all = function() end, log = function() end} end
    local servers, page = {}, nil
    local function dial(conn, server)
        local port = server:ports()[1]
        conn:dial(port and "127.0.0.1:" .. port or "unix:" .. own() .. "/s")
    end
    local function shake_hands(conn)
        for _ = 1, 20 do
            if conn:handshake() then return true end
            tick()
        end
    end
    local self = {tick = tick}
    --- Where the page of metrics is, says the log.
    function self.log(_, message)
        local address = type(message) == "string" and message:match "metrics at (%S+)/metrics$"
        if address then page = address end
    end
    --- It is one of ours from its on_start on, which may raise.
    local function noted(options, begins)
        local before = options.on_start
        options.on_start = function(server)
            servers[#servers + 1] = server
            if begins then begins(server) end
            if before then before(server) end
        end
        return options
    end
    function self.serve(options) return tls.server(noted(options)) end
    function self.visit(conn, server)
        dial(conn, server)
        shake_hands(conn)
    end
    function self.serve_all(conn, options)
        return tls.serve(noted(options, function(server)
            pcall(dial, conn, server)
            pcall(conn.handshake, conn)
            server:stop(0.01)
        end))
    end
    function self.scrape(_, conn)
        local scheme, address = page:match "^(%a+)://(.*)$"
        conn:dial(address)
        conn:set_blocking(false)
        if scheme == "http" then
            conn:plain_write(GET)
        elseif shake_hands(conn) then
            conn:write(GET)
        end
        for _ = 1, 10 do
            tick()
            local answer = (scheme == "http" and conn.plain_read or conn.read)(conn)
            if answer and not answer:find "^HTTP/1.1 200 " then fail("metrics: %.40q", answer) end
            if answer then return end
        end
    end
    function self.stop_all()
        for _, server in ipairs(servers) do
            local stopped = false
            server:stop(0, function() stopped = true end)
            local hangs = uv.hrtime() + HANG
            while not stopped and uv.hrtime() < hangs do uv.run "nowait" end
            if not stopped then fail "the server does not stop" end
        end
        servers = {}
    end
    return self
end

-- ------------------------------------------------------------------------------------------ traces

local function written(own)
    local has_host, host = pcall(require, "tlslife.host")
    local writers, paths = {}, {}
    return {
        write_trace = has_host and function(trace, format, words)
            local path = ("%s/trace%d"):format(own(), #paths)
            paths[#paths + 1] = path
            local writer = host.trace_writer(trace, format, path, words)
            writers[#writers + 1] = writer
            return writer
        end,
        stop_writers = function()
            for _, writer in ipairs(writers) do pcall(writer.stop, writer) end
            for _, path in ipairs(paths) do os.remove(path) end
            writers, paths = {}, {}
        end,
    }
end

-- --------------------------------------------------------------------------------------------- all

function helpers.new(fail, tls, own)
    local of, lent = descriptors(), {}
    local self = {wrap = wrapper(of, lent), shake = shake}
    for _, some in ipairs {over_descriptors(of, lent), served(fail, tls, own), written(own)} do
        for name, value in pairs(some) do self[name] = value end
    end
    local adopt = self.adopt
    function self.adopt(listener) return adopt(listener, tls) end
    function self.stop()
        self.stop_all()
        self.stop_writers()
    end
    return self
end

return helpers
