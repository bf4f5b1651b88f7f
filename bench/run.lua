-- run.lua: plain C on libssl beside the Lua module, in turns; then servers over TCP (bench/tcp.lua).
-- See bench/README.md.
--
--   tlslife bench/run.lua [--rounds n] [--only text] [--careless] [--json] [--check] [--plain path]
--   tlslife bench/run.lua cache [full] [--check]      other benchmarks: bench/cache.lua,
--   tlslife bench/run.lua server [...]                bench/server.lua
--   tlslife bench/run.lua idle [connections]          bench/idle.lua
--   tlslife bench/run.lua load [seconds]              and bench/load.lua
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. here .. "/../?.lua;" .. package.path

if arg[1] == "cache" then
    return dofile(here .. "/cache.lua")
end

local settings = { rounds = 15, turns = 16, turn_seconds = 0.01 }

local function usage(message)
    io.stderr:write(message, "\nusage: run.lua [--rounds n] [--only text] [--careless] [--json] [--check] [--plain path]\n")
    os.exit(2)
end

local function options()
    local flags = { ["--json"] = "json", ["--check"] = "check", ["--careless"] = "careless" }
    local values = { ["--rounds"] = "rounds", ["--only"] = "only", ["--plain"] = "plain" }
    local found, i = {}, 1
    while arg[i] do
        if flags[arg[i]] then
            found[flags[arg[i]]] = true
        elseif values[arg[i]] and arg[i + 1] then
            found[values[arg[i]]] = arg[i + 1]
            i = i + 1
        else
            usage("not understood: " .. arg[i])
        end
        i = i + 1
    end
    return found
end

-- Where the program that runs us is, and what was built beside it.
local function beside()
    return (arg[-1] or ""):match "^(.*)/[^/]*$" or "."
end

local machine = require "machine"

local function plain_side(path)
    return require "plain".new(path or beside() .. "/bench/plain", machine.SERVERS)
end

if arg[1] == "server" then
    os.exit(dofile(here .. "/server.lua")(plain_side():identity()), true)
elseif arg[1] == "idle" then
    os.exit(dofile(here .. "/idle.lua")(plain_side():identity()), true)
elseif arg[1] == "load" then
    os.exit(dofile(here .. "/load.lua")(plain_side():identity()), true)
end

local function describe_machine()
    local model, processors = "unknown processor", 0
    for line in io.lines "/proc/cpuinfo" do
        model = line:match "^model name%s*:%s*(.*)" or model
        processors = processors + (line:match "^processor%s*:" and 1 or 0)
    end
    local load = io.open "/proc/loadavg"
    local average = load and load:read "n" or 0
    if load then
        load:close()
    end
    return ("%s, %d processors, load %.1f"):format(model, processors, average)
end

-- Whether the median reaches the row's target, and how target, median and spread are written.
local function judge(row, result)
    local r = result.ratio
    local median, spread = ("%.3f"):format(r.median), ("%.3f .. %.3f"):format(r.least, r.most)
    if not row.target then
        return true, "", median, spread
    elseif row.target.within_ns then
        local d = result.difference
        return d.median * 1e9 <= row.target.within_ns,
            ("<= +%d ns"):format(row.target.within_ns),
            ("%+.1f ns"):format(d.median * 1e9),
            ("%+.1f .. %+.1f"):format(d.least * 1e9, d.most * 1e9)
    end
    return r.median >= row.target.ratio, (">= %g"):format(row.target.ratio), median, spread
end

local function duration(seconds)
    return seconds < 1e-6 and ("%.1f ns"):format(seconds * 1e9) or ("%.2f us"):format(seconds * 1e6)
end

local function json(row, result, met)
    local function three(spread, scale)
        return ("[%.9g,%.9g,%.9g]"):format(spread.median * scale, spread.least * scale, spread.most * scale)
    end
    local name, wanted = next(row.target or { control = true })
    return ('{"name":"%s","c_ns":%s,"lua_ns":%s,"ratio":%s,"difference_ns":%s,"target_%s":%s,"met":%s}'):format(
        row.name, three(result.c, 1e9), three(result.lua, 1e9), three(result.ratio, 1), three(result.difference, 1e9),
        name, wanted, met)
end

local function main()
    local given = options()
    settings.rounds = given.rounds and math.tointeger(tonumber(given.rounds)) or settings.rounds
    if settings.rounds < 1 then
        usage "--rounds wants a number from 1"
    end
    local tls, measure = require "tlslife", require "measure"
    local plain = plain_side(given.plain)
    machine.pin(machine.SERVERS)
    local say = given.json and function() end or function(...) print(string.format(...)) end
    say("tlslife %s, %s, %s", tls.version, tls.openssl_version, _VERSION)
    say("%s", describe_machine())
    say("%d rounds; in each, C and Lua take %d turns of some %g ms; processor time an operation, medians.",
        settings.rounds, settings.turns, settings.turn_seconds * 1000)
    say("ratio = C's time / Lua's: 1 is C's speed, 10 is ten times it. Then the least and the most of all rounds.\n")
    local layout <const> = "%-34s %12s %12s %9s  %-18s %-10s %s"
    say(layout, "", "C", "Lua", "ratio", "least .. most", "target", "")
    local rows, met, lines = 0, 0, {}
    for _, row in ipairs(require "rows" (tls, plain, given.careless)) do
        if row.name:find(given.only or "", 1, true) then
            local pair = row.make()
            local result = measure.compare(pair, settings)
            pair.close()
            local ok, target, median, spread = judge(row, result)
            say(layout, row.name, duration(result.c.median), duration(result.lua.median), median, spread, target,
                row.target and (ok and "met" or "NOT MET") or "")
            if row.target then
                rows, met = rows + 1, met + (ok and 1 or 0)
            end
            lines[#lines + 1] = json(row, result, ok)
        end
    end
    local tcp_rows, tcp_met = require "tcp" (say, lines, plain:identity(), beside(), settings.rounds, given.only or "")
    rows, met = rows + tcp_rows, met + tcp_met
    say("\n%d of %d targets met", met, rows)
    if given.json then
        print("[" .. table.concat(lines, ",\n ") .. "]")
    end
    return not given.check or met == rows
end

os.exit(main(), true)
