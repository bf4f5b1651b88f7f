-- run.lua: runs the benchmarks. Each is a list of sets of rows, which harness.lua measures and
-- prints. See bench/README.md.
--
--   tlslife bench/run.lua [OPTION...]        the Lua module beside plain C (rows.lua), then servers
--                                            over TCP (tcp.lua)
--   tlslife bench/run.lua cache [full]       session caches and stores (cache.lua)
--   tlslife bench/run.lua server             servers with many connections (server.lua)
--   tlslife bench/run.lua anchors            handshakes beside the thinnest binding (anchors.lua)
--   tlslife bench/run.lua luasec             the drop-in beside LuaSec (luasec.lua)
--   tlslife bench/run.lua idle [CONNECTIONS] what an idle connection holds (idle.lua)
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. here .. "/../?.lua;" .. package.path
local machine, harness, page = require "machine", require "harness", require "page"
local process = require "spec.support.process"

-- What each command runs, and what its further word sets.
local COMMANDS <const> = {
    default = { modules = { "rows", "tcp" } },
    cache = { modules = { "cache" }, word = "full" },
    server = { modules = { "server" } },
    anchors = { modules = { "anchors" } },
    luasec = { modules = { "luasec" } },
    idle = { modules = { "idle" }, word = "connections" },
}
local FLAGS <const> = { ["--check"] = "check", ["--page"] = "page", ["--careless"] = "careless" }
local VALUES <const> = { ["--rounds"] = "rounds", ["--only"] = "only", ["--plain"] = "plain" }

local function usage(message)
    io.stderr:write(message, "\nusage: run.lua ",
        "[cache [full] | server | anchors | luasec | idle [CONNECTIONS]] [--rounds n] ",
        "[--only text] [--careless] [--check] [--page] [--plain path]\n")
    os.exit(2)
end

local function options()
    local command = COMMANDS[arg[1]]
    local found, i = { only = "", command = command or COMMANDS.default }, command and 2 or 1
    while arg[i] do
        if FLAGS[arg[i]] then
            found[FLAGS[arg[i]]] = true
        elseif VALUES[arg[i]] and arg[i + 1] then
            found[VALUES[arg[i]]] = arg[i + 1]
            i = i + 1
        elseif found.command.word and not found[found.command.word] and arg[i]:sub(1, 1) ~= "-" then
            found[found.command.word] = arg[i]
        else
            usage("not understood: " .. arg[i])
        end
        i = i + 1
    end
    if found.rounds then
        found.rounds = math.tointeger(tonumber(found.rounds))
        if not found.rounds or found.rounds < 1 then
            usage "--rounds wants a number from 1"
        end
    end
    return found
end

-- The ticks that all processors have spent in work so far, and in idleness.
local function ticks()
    local user, nice, system, idle, waiting = (process.slurp "/proc/stat" or "cpu 0 0 0 0 0")
        :match "^cpu%s+(%d+) (%d+) (%d+) (%d+) (%d+)"
    return user + nice + system, idle + waiting
end

-- How many processors others keep busy now. The load average will not do: it remembers the
-- benchmark that has just ended.
local function busy_processors(processors)
    local work, idle = ticks()
    process.sleep(2)
    local work_later, idle_later = ticks()
    local worked = work_later - work
    return processors * worked / math.max(1, worked + idle_later - idle)
end

local function describe_machine()
    local model, processors = "unknown processor", 0
    for line in io.lines "/proc/cpuinfo" do
        model = line:match "^model name%s*:%s*(.*)" or model
        processors = processors + (line:match "^processor%s*:" and 1 or 0)
    end
    return ("%s, %d processors"):format(model, processors), processors
end

local function main()
    local settings, tls = options(), require "tlslife"
    io.stdout:setvbuf "line"
    settings.side = require "plain".new(settings.plain or machine.BESIDE .. "/bench/plain",
        machine.SERVERS)
    local versions = ("tlslife %s, %s, %s"):format(tls.version, tls.openssl_version, _VERSION)
    local machine_is, processors = describe_machine()
    local busy = busy_processors(processors)
    print(versions)
    print(("%s, %.1f of them busy"):format(machine_is, busy))
    local sets = {}
    for _, name in ipairs(settings.command.modules) do
        for _, set in ipairs { require(name)(settings) } do
            sets[#sets + 1] = set
        end
    end
    local good, tables = harness.run(sets, settings)
    if settings.page then
        local command = "./dev bench" .. (COMMANDS[arg[1]] and " " .. arg[1] or "")
        page.write(command, { versions, machine_is }, busy, tables)
    end
    return good or not settings.check
end

os.exit(main(), true)
