--- run.lua: plays scenes (scenes.lua) in which allocations and calls of the system fail.
--
--   tlslife spec/failing/run.lua [options of the program failing] [--every] [SCENE...]
--
-- Plays all scenes by default, and of the calls of a scene that have the same stack the first.
-- --every lets each of them fail, which takes hours; --across only those whose stack has not failed
-- in an earlier scene either. Starts a Redis where there is one. The last line counts.
-- Exit status 1: something was found.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local words, scenes = {"--stacks"}, {}
local i = 1
while arg[i] do
    if arg[i]:find "^%-%-" then
        if arg[i] == "--every" then
            table.remove(words, 1)
        else
            words[#words + 1] = arg[i]
            if arg[i] ~= "--said" and arg[i] ~= "--across" then
                i = i + 1
                words[#words + 1] = arg[i]
            end
        end
    else
        scenes[#scenes + 1] = arg[i]
    end
    i = i + 1
end

if #scenes == 0 then
    local all = assert(loadfile "spec/failing/scenes.lua") {redis = "named"}
    for name in pairs(all) do scenes[#scenes + 1] = name end
    table.sort(scenes)
    table.insert(scenes, 1, "plain") -- first, since what it shows is OpenSSL's own
    words[#words + 1] = "--all"
end
for n = #scenes, 1, -1 do
    if scenes[n] == "redis" then
        local socket = process.start_redis_socket(86400)
        if not socket then table.remove(scenes, n) end
        table.move({"--redis", socket}, 1, 2, #words + 1, words)
    end
end
local command = {program.path:match "^(.*)/" .. "/spec/failing/failing"}
for _, list in ipairs {words, {"spec/failing/scenes.lua"}, scenes} do
    table.move(list, 1, #list, #command + 1, command)
end
for n, word in ipairs(command) do command[n] = process.quote(word) end
local OF_PKI = {judged = true, overruled = true, dane = true}
for _, name in ipairs(scenes) do
    if OF_PKI[name] then -- all processes use the same files
        table.insert(command, 1, "TLSLIFE_PKI_DIR=" .. process.quote(pki.get().dir))
        break
    end
end
local _, _, status = os.execute(table.concat(command, " "))
os.exit(status, true)
