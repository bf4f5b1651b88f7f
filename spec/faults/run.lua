-- run.lua: runs scenes in which a machine or its programs fail.
--
--   tlslife spec/faults/run.lua [--minutes N] [SCENE...]
--
-- Each scene of scenes.lua runs for its share of the time. It has a server in processes of its own,
-- under load, while its workers are killed, its store fails, its clock jumps, its disk is full, or
-- its descriptors or its memory run out. The output is what was counted, and what is not as it must
-- be. Its last line also says which scenes cannot be played here, and why. The exit status is 0
-- when nothing was found.
package.path = "spec/faults/?.lua;./?.lua;" .. package.path
local uv = require "luv"
require "tlslife.wait.luv"
local process = require "spec.support.process"
local scenes = require "scenes"
local stage = require "stage"

local ORDER <const> = {
    "kills", "kills_by_default", "parked", "redis", "valkey", "slab", "clock", "descriptors",
    "memory", "control_group", "no_room", "full",
}

local function options()
    local minutes, names, i = 10, {}, 1
    while arg[i] do
        if arg[i] == "--minutes" then
            minutes = tonumber(arg[i + 1]) or error("--minutes wants a number", 0)
            i = i + 1
        else
            names[#names + 1] = scenes[arg[i]] and arg[i] or
                error("there is no scene " .. arg[i], 0)
        end
        i = i + 1
    end
    return minutes, names[1] and names or ORDER
end

-- The scenes that can be played here, the sum of their shares, and those that are left out, as the
-- last line says them.
local function cast(names)
    local list, shares, left_out = {}, 0, ""
    for _, name in ipairs(names) do
        local scene = scenes[name]()
        if type(scene) == "string" then
            print(("%-38s left out: %s"):format(name, scene))
            left_out = ("%s, %s left out (%s)"):format(left_out, name, scene)
        else
            list[#list + 1], shares = scene, shares + scene.share
        end
    end
    return list, shares, left_out
end

local HEAD <const> = "%-38s %10s %8s %9s %8s %6s %5s %6s %9s %6s %5s %5s %8s %13s %9s"
local TITLES <const> = {
    "", "handshakes", "resumed", "answers", "MiB", "faults", "kills", "cut off", "forgotten",
    "failed", "lost", "wrong", "slowest", "memory", "fds",
}

local function show(self)
    local count, judged = self.clients.count, self.judged
    local memory, fds = self.memory, self.descriptors
    print(HEAD:format(self.scene.name, count.handshakes, count.resumed, count.done,
        count.bytes >> 20, self.faults, self.kills, judged.cut, judged.excused, judged.failed,
        judged.lost, count.wrong, ("%.2f s"):format(self.clients.slowest),
        memory and ("%.1f > %.1f"):format(memory.before / 1048576, memory.after / 1048576) or "-",
        fds.after and ("%d > %d"):format(fds.before, fds.after) or "-"))
end

local function report(self, sum)
    if self.judged then
        show(self)
        sum.handshakes = sum.handshakes + self.clients.count.handshakes
        sum.kills, sum.reloads = sum.kills + self.kills, sum.reloads + self.reloads
        sum.redis = sum.redis + (self.redis_faults or 0)
    end
    for _, text in ipairs(self.findings) do print("    FOUND: " .. text) end
    if #self.findings > 0 then
        for _, text in ipairs(self.lines) do print("        " .. text) end
    end
    sum.findings = sum.findings + #self.findings
end

local function main()
    local minutes, names = options()
    local list, shares, left_out = cast(names)
    local sum = { handshakes = 0, kills = 0, reloads = 0, redis = 0, findings = 0 }
    print(HEAD:format(table.unpack(TITLES)))
    for _, scene in ipairs(list) do
        report(stage.play(scene, minutes * 60 * scene.share / shares), sum)
    end
    print(("proved faults: %d handshakes, %d kills -9, %d reloads, %d Redis faults%s; %d findings")
        :format(sum.handshakes, sum.kills, sum.reloads, sum.redis, left_out, sum.findings))
    process.stop_all()
    return sum.findings == 0
end

io.stdout:setvbuf "line"
local good = false
local co = coroutine.create(function()
    good = main()
    uv.stop()
end)
local ok, message = coroutine.resume(co)
if ok then uv.run() end
if not ok or coroutine.status(co) ~= "dead" then
    io.stderr:write(tostring(message), "\n")
end
os.exit(good, true)
