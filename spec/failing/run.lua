--- run.lua: lets allocations and calls of the system fail in scenes (scenes.lua), by the program failing.
--
--   tlslife spec/failing/run.lua [options of failing] [SCENE...]      all scenes by default
--
-- Starts a Redis for them where there is one. The last line counts. Exit status 1: something was found.

local process = require "spec.support.process"
local program = require "spec.support.program"

local words, scenes = {}, {}
local i = 1
while arg[i] do
    if arg[i]:find "^%-%-" then
        words[#words + 1] = arg[i]
        if arg[i] ~= "--said" and arg[i] ~= "--stacks" then
            i = i + 1
            words[#words + 1] = arg[i]
        end
    else
        scenes[#scenes + 1] = arg[i]
    end
    i = i + 1
end

local function redis_socket()
    if not os.execute "command -v redis-server >/dev/null" then return nil end
    local path = process.directory() .. "/redis.sock"
    local server = process.start {"redis-server", "--port", "0", "--unixsocket", path, "--save", "", timeout = 86400}
    server:wait_for("[Rr]eady to accept connections", 20)
    return path
end

if #scenes == 0 then
    for name in pairs(assert(loadfile "spec/failing/scenes.lua") {redis = "named"}) do scenes[#scenes + 1] = name end
    table.sort(scenes)
    table.insert(scenes, 1, "plain") -- first, since what it shows is OpenSSL's own
end
for n = #scenes, 1, -1 do
    if scenes[n] == "redis" then
        local socket = redis_socket()
        if not socket then table.remove(scenes, n) end
        table.move({"--redis", socket}, 1, 2, #words + 1, words)
    end
end
local command = {program.path:match "^(.*)/" .. "/spec/failing/failing"}
for _, list in ipairs {words, {"spec/failing/scenes.lua"}, scenes} do table.move(list, 1, #list, #command + 1, command) end
for n, word in ipairs(command) do command[n] = process.quote(word) end
local _, _, status = os.execute(table.concat(command, " "))
os.exit(status, true)
