-- redis.lua: starts a Redis or Valkey server of spec/faults, and the proxy between it and tlslife
-- that does what a network does.
local uv = require "luv"
local clients = require "clients"
local process = require "spec.support.process"
local service = require "service"

local sleep <const> = clients.sleep

-- ------------------------------------------------------------------------------------------- proxy

local Proxy = {}
Proxy.__index = Proxy

local function close(handle)
    if not handle:is_closing() then handle:close() end
end

local function noise(n)
    local bytes = {}
    for i = 1, n do bytes[i] = string.char(math.random(0, 255)) end
    return table.concat(bytes)
end

-- What becomes of a piece of Redis' answer.
local on_answer = {
    well = function(self, to, bytes) self.forward(to, bytes) end,
    mute = function() end,
    slow = function(self, to, bytes)
        local timer = uv.new_timer()
        timer:start(1500, 0, function()
            timer:close()
            self.forward(to, bytes)
        end)
    end,
    cut = function(self, to, bytes)
        self.forward(to, bytes:sub(1, #bytes // 2))
        close(to)
    end,
    garbage = function(self, to, bytes) self.forward(to, noise(math.random(2 * #bytes))) end,
    damaged = function(self, to, bytes)
        local at = math.random(#bytes)
        self.forward(to, bytes:sub(1, at - 1) .. noise(1) .. bytes:sub(at + 1))
    end,
    huge = function(self, to) self.forward(to, "$2147483647\r\n" .. noise(10000)) end,
    pieces = function(self, to, bytes)
        for i = 1, #bytes do self.forward(to, bytes:sub(i, i)) end
    end,
}

local function join(self, from)
    local to = uv.new_tcp()
    local function both_end()
        close(from)
        close(to)
        self.pairs[from] = nil
    end
    self.pairs[from] = both_end
    to:connect("127.0.0.1", self.behind, function(failure)
        if failure then return both_end() end
        from:read_start(function(bad, bytes)
            if bad or not bytes then return both_end() end
            self.forward(to, bytes)
        end)
        to:read_start(function(bad, bytes)
            if bad or not bytes then return both_end() end
            on_answer[self.mode](self, from, bytes)
        end)
    end)
end

--- Listens on a port of its own, which it passes on to the port behind.
local function new_proxy(behind)
    local self = setmetatable({
        behind = behind, mode = "well", pairs = {}, listener = uv.new_tcp(),
    }, Proxy)
    function self.forward(to, bytes)
        if not to:is_closing() then to:write(bytes) end
    end
    assert(self.listener:bind("127.0.0.1", 0))
    assert(self.listener:listen(128, function()
        local from = uv.new_tcp()
        self.listener:accept(from)
        if self.mode == "refuse" then close(from) else join(self, from) end
    end))
    self.port = self.listener:getsockname().port
    return self
end

--- Ends every connection.
function Proxy:drop()
    for _, both_end in pairs(self.pairs) do both_end() end
end

-- ------------------------------------------------------------------------------------------ server

local redis = {}

local Redis = {}
Redis.__index = Redis

local function launch(self)
    self.one = process.start {
        self.program, "--port", self.port, "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", timeout = 7200,
    }
    return service.eventually(30, function() return process.is_listening(self.port) end) or
        self.one:complain "does not listen"
end

--- A server of this program, and a proxy before it.
function redis.start(path)
    local self = setmetatable({ program = path, port = process.free_port() }, Redis)
    launch(self)
    self.proxy = new_proxy(self.port)
    return self
end

-- A command of Redis, on a connection of its own.
local function command(self, text)
    local co, socket = coroutine.running(), uv.new_tcp()
    socket:connect("127.0.0.1", self.port, function(failure)
        if not failure then socket:write(text .. "\r\n") end
        socket:read_start(function()
            close(socket)
            if coroutine.status(co) == "suspended" then assert(coroutine.resume(co)) end
        end)
    end)
    coroutine.yield()
end

local function by_proxy(mode)
    return function(self, seconds)
        self.proxy.mode = mode
        if mode == "refuse" then self.proxy:drop() end
        sleep(seconds)
        self.proxy.mode = "well"
        if mode ~= "pieces" then self.proxy:drop() end -- what is half said stays half said
    end
end

--- What may happen to it, for so many seconds, and is then over.
redis.FAULTS = {
    { "hung", function(self, seconds)
        self.one:signal "STOP"
        sleep(seconds)
        self.one:signal "CONT"
    end },
    { "killed, and started anew", function(self, seconds)
        self.one:stop()
        sleep(seconds)
        launch(self)
    end },
    { "full", function(self, seconds)
        command(self, "CONFIG SET maxmemory 1")
        sleep(seconds)
        command(self, "CONFIG SET maxmemory 0")
    end },
    { "emptied", function(self) command(self, "FLUSHALL") end },
    { "mute", by_proxy "mute" }, { "slow", by_proxy "slow" },
    { "cut off within an answer", by_proxy "cut" },
    { "garbage", by_proxy "garbage" }, { "damaged in one byte", by_proxy "damaged" },
    { "answers of 2 GiB", by_proxy "huge" }, { "refused", by_proxy "refuse" },
    { "answers in pieces", by_proxy "pieces" },
}

function Redis:stop()
    self.one:stop()
    self.proxy:drop()
    close(self.proxy.listener)
end

return redis
