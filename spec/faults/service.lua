-- service.lua: starts and watches one server of spec/faults, which are the processes of server.lua,
-- their output, their memory and their descriptors.
local uv = require "luv"
local clients = require "clients"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local now <const>, sleep <const> = clients.now, clients.sleep
local PATIENCE <const> = 30 -- seconds: a machine under load starts nothing sooner

local Service = {}
Service.__index = Service

local service = {}

--- Waits until test() gives something, which is returned; nil when the seconds are over.
function service.eventually(seconds, test)
    local deadline = now() + seconds
    while true do
        local found = test()
        if found then return found end
        if now() > deadline then return nil end
        sleep(0.02)
    end
end

--- Reads what the processes have said since the last time.
function Service:listen()
    local file <close> = io.open(self.one.directory .. "/out", "rb")
    if not file then return end
    file:seek("set", self.heard)
    for line in file:lines "L" do
        if line:sub(-1) ~= "\n" then break end -- the rest of it comes later
        self.heard = self.heard + #line
        local port, pid = line:match "^worker (%d+) (%d+)\n"
        local dead, how = line:match "^warning: worker %d+ %(process (%d+)%) ended with (%l+ %d+)"
        if pid then
            self.port = tonumber(port)
            self.workers[#self.workers + 1] = { pid = tonumber(pid), since = now() }
        else
            if dead then self.ended[tonumber(dead)] = how end
            self.lines[#self.lines + 1] = line:sub(1, -2)
        end
    end
end

-- The parent of the first worker.
local function find_parent(self)
    local text = self.workers[1] and process.slurp(("/proc/%d/stat"):format(self.workers[1].pid))
    self.parent = self.parent or text and tonumber(text:match "%) %a (%d+)")
end

--- options: store, workers, keylog, socket, environment. The server lives for so many seconds, and
--- some more. The words after them are what its command begins with, before the program.
function service.start(options, seconds, ...)
    local p, words = pki.get(), { ... }
    table.move({ program.path, "spec/faults/server.lua", p.server_cert_file, p.server_key_file,
        options.workers, options.store, options.keylog or "", options.socket or "" }, 1, 8,
        #words + 1, words)
    words.environment, words.timeout = options.environment, seconds + 300
    local self = setmetatable({
        one = process.start(words), heard = 0, workers = {}, ended = {}, lines = {},
    }, Service)
    service.eventually(PATIENCE, function()
        self:listen()
        find_parent(self)
        return #self.workers >= options.workers or self.one:exit_status()
    end)
    return self
end

--- The workers that live, oldest first.
function Service:living()
    self:listen()
    local list = {}
    for _, worker in ipairs(self.workers) do
        if not self.ended[worker.pid] and not worker.killed then list[#list + 1] = worker end
    end
    return list
end

--- The lines, but for "info", that are as none of the patterns; each once, whatever numbers are
--- in it.
function Service:complaints(expected)
    self:listen()
    local list, seen = {}, {}
    for _, line in ipairs(self.lines) do
        local plain = line:gsub("%d+", "")
        local is_expected = line:find "^info: " ~= nil or seen[plain]
        seen[plain] = true
        for _, pattern in ipairs(expected) do
            is_expected = is_expected or line:find(pattern) ~= nil
        end
        if not is_expected then list[#list + 1] = line end
    end
    return list
end

--- SIGTERM, and the parent's exit status; nil when it does not come.
function Service:stop()
    uv.kill(self.parent, "sigterm")
    return service.eventually(PATIENCE, function() return self.one:exit_status() end)
end

--- Private memory of a process, bytes.
function service.memory(pid)
    local text, kib = process.slurp(("/proc/%d/smaps_rollup"):format(pid)) or "", 0
    for found in text:gmatch "Private_%a+:%s*(%d+)" do kib = kib + tonumber(found) end
    return kib * 1024
end

--- What each of its descriptors is, and how many there are.
function service.descriptors(pid)
    local place, found = ("/proc/%d/fd"):format(pid), {}
    local list = uv.fs_scandir(place)
    for name in function() return list and uv.fs_scandir_next(list) end do
        found[#found + 1] = uv.fs_readlink(place .. "/" .. name)
    end
    table.sort(found)
    return #found, table.concat(found, " ")
end

return service
