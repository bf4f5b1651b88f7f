-- stage.lua: runs the scenes of spec/faults. Each has a server, clients, counters, and rules for
-- what is a finding.
local uv = require "luv"
local clients = require "clients"
local pki = require "spec.support.pki"
local service = require "service"

local now <const>, sleep <const> = clients.now, clients.sleep

-- What counts as flat, from the second quarter of a scene to its end: a factor, and bytes besides.
local GROWTH <const>, GROWTH_BYTES <const> = 1.1, 3 << 20
local SAMPLES <const> = 40 -- fewer say nothing about growth
local PATIENCE <const> = 60 -- seconds: whatever takes longer hangs
local SETTLE <const> = 30 -- seconds for the server to see that all clients have gone

local Stage = {}
Stage.__index = Stage

local stage = {}

--- Notes that something is not as it must be.
function Stage:find(text, ...)
    self.findings[#self.findings + 1] = text:format(...)
end

--- Whether the scene is to go on.
function Stage:goes_on()
    return now() < self.deadline
end

--- The worker that no scene kills.
function Stage:survivor()
    return self.server.workers[1].pid
end

--- Kills a worker with SIGKILL.
function Stage:kill(worker)
    if uv.kill(worker.pid, "sigkill") then
        worker.killed = true
        self.clients:death(worker.pid, now())
        self.kills = self.kills + 1
    end
end

--- Sends the parent SIGHUP.
function Stage:reload()
    if uv.kill(self.server.parent, "sighup") then self.reloads = self.reloads + 1 end
end

--- A fault of so many seconds, and of a time after it in which sessions may be lost.
function Stage:fault(act, seconds, after, breaks)
    local from = now()
    act(seconds)
    self.clients:fault(from, now() + after, breaks)
    self.faults = self.faults + 1
end

--- Waits until sessions are resumed again, as they must be.
function Stage:must_resume(when)
    local before = self.clients.count.resumed
    local resumes = service.eventually(PATIENCE, function()
        return self.clients.count.resumed >= before + 5
    end)
    if not resumes then self:find("nothing resumes %s", when) end
end

-- Every worker has served before anything is counted.
local function warm_up(self, scene)
    local first = clients.new(self.server.port, pki.get().ca_file, scene.server.socket)
    first:start { short = 4 * #self.server.workers, resumed = 4 * #self.server.workers }
    sleep(2)
    first:finish()
    self.first = first
end

-- Samples of the survivor's memory while the clients come and go.
local function watch(self)
    self.series = {}
    self.timer = uv.new_timer()
    self.timer:start(500, 500, function()
        self.series[#self.series + 1] = service.memory(self:survivor())
        self.server:listen()
        for pid in pairs(self.server.ended) do self.clients:death(pid, now()) end
    end)
end

local function median_of(series, from, to)
    local first, last = math.floor(#series * from) + 1, math.floor(#series * to)
    local values = table.move(series, first, last, 1, {})
    table.sort(values)
    return values[(#values + 1) // 2] or 0
end

-- Workers that died of something else than our SIGKILL.
local function judge_deaths(self, scene)
    for pid, how in pairs(self.server.ended) do
        local killed = false
        for _, worker in ipairs(self.server.workers) do
            killed = killed or worker.pid == pid and worker.killed
        end
        if not killed and not scene.dies then self:find("a worker died with %s", how) end
    end
end

-- Calls measure until it gives no more than that, or the time is up; what it gave at last.
local function settled(measure, at_most)
    local last
    service.eventually(SETTLE, function()
        last = measure()
        return last <= at_most
    end)
    return last
end

-- The survivor's descriptors and memory, when all clients have gone.
local function judge_resources(self, scene)
    if scene.dies or self.server.ended[self:survivor()] then return end
    local pid, fds = self:survivor(), self.descriptors
    local allowed = fds.before + (scene.spare_descriptors or 0)
    fds.after = settled(function() return (service.descriptors(pid)) end, allowed)
    if fds.after > allowed then
        local _, names = service.descriptors(pid)
        self:find("%d descriptors before, %d at the end: %s", allowed, fds.after, names)
    end
    if scene.keeps_memory or #self.series < SAMPLES then return end
    local before = median_of(self.series, 0.25, 0.5)
    local at_most = before * GROWTH + GROWTH_BYTES
    local after = settled(function() return service.memory(pid) end, at_most)
    self.memory = { before = before, after = after }
    if after > at_most then
        self:find("memory grew from %.1f to %.1f MiB", before / 1048576, after / 1048576)
    end
end

-- A fault that did not show proves nothing.
local function judge_log(self, scene)
    local expected = { scene.says or "^$", table.unpack(scene.expected or {}) }
    for _, line in ipairs(self.server:complaints(expected)) do
        self:find("the log says: %s", line)
    end
    if not scene.says then return end
    for _, line in ipairs(self.server.lines) do
        if line:find(scene.says) then return end
    end
    self:find("the log does not say: %s", scene.says)
end

local function judge_clients(self, left)
    local judged = self.clients:judge()
    self.judged = judged
    for _, what in ipairs { "failed", "lost" } do
        if judged[what] > 0 then self:find("%d %s", judged[what], what) end
    end
    local count = self.clients.count
    if count.wrong > 0 then self:find("%d with wrong bytes", count.wrong) end
    if left > 0 then self:find("%d clients that did not come to an end", left) end
    if count.handshakes == 0 then self:find "no handshake was made at all" end
    for _, line in ipairs(judged.lines) do self.lines[#self.lines + 1] = line end
end

--- Plays a scene:
--    name, mix        what it is called; the clients
--    server           the options of service.start
--    command          the words that the server's command begins with
--    during(self)     what happens, until self:goes_on() is false
--    expected         patterns of lines in the log that the faults explain
--    says             a pattern that a line of it must have, or the fault was not there
--    keeps_memory     true: nothing is said about memory
--    spare_descriptors  so many more than before may be open at the end
--    dies             true: workers may die by themselves, and nothing is said about their memory
--    after(self)      what else is judged when the clients have gone, before the server stops
--    finish(self)     what is to be undone
function stage.play(scene, seconds)
    local self = setmetatable({
        scene = scene, findings = {}, lines = {}, kills = 0, reloads = 0, faults = 0,
        server = service.start(scene.server, seconds, table.unpack(scene.command or {})),
    }, Stage)
    if not self.server.port then
        self:find("the server does not start: %s", self.server.one:output())
        return self
    end
    warm_up(self, scene)
    self.clients = clients.new(self.server.port, pki.get().ca_file, scene.server.socket)
    self.descriptors = { before = service.descriptors(self:survivor()) }
    self.deadline = now() + seconds
    watch(self)
    self.clients:start(scene.mix)
    scene.during(self)
    local left = self.clients:finish()
    self.timer:close()
    judge_resources(self, scene)
    if scene.after then scene.after(self) end
    local status = self.server:stop()
    if status ~= 0 then self:find("the server ended with status %s", tostring(status)) end
    for pid in pairs(self.server.ended) do self.clients:death(pid, now()) end
    judge_clients(self, left)
    judge_deaths(self, scene)
    judge_log(self, scene)
    if scene.finish then scene.finish(self) end
    return self
end

return stage
