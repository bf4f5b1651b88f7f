-- anchors.lua: compares handshakes of tlslife with those of the thinnest binding. That is a Lua
-- module whose every function calls one function of libssl, checks no more than the types of its
-- arguments, and frees nothing by itself. Any binding costs at least as much as it does.
--
-- Each side of a round is a process that runs for some 50 ms, between two of plain C. Its ratio is
-- that to the mean of these two, so that a load that comes and goes falls on all. What no load
-- changes is counted: the instructions, and the lines of code that the first cache misses, by
-- cachegrind, where valgrind is there. A count is the difference of two runs, without their start.
--
-- The programs lie beside the project, not in it (../shared/anchors, or the folder in
-- TLSLIFE_ANCHORS). Where they do not, there are no rows.
local process, machine = require "spec.support.process", require "machine"

-- name, mode, pairs of a turn, pairs that are counted, what lua5.4 may cost as a multiple of C
local MEMORY <const> = {
    { "full handshake, TLS 1.3", "full13", 25, 4, 1.01 },
    { "full handshake, TLS 1.2", "full12", 40, 4, 1.01 },
    { "resumed by id, TLS 1.2", "id12", 250, 20, 1.06 },
    { "resumed by ticket, TLS 1.2", "tkt12", 250, 20, 1.06 },
    { "resumed, TLS 1.3", "psk13", 60, 5, 1.06 },
}
local TCP <const> = {
    { "client over TCP, full handshake, TLS 1.3", "full13", 40, 6, 1.04 },
    { "client over TCP, resumed by id, TLS 1.2", "id12", 150, 20, 1.04 },
    { "client over TCP, resumed, TLS 1.3", "psk13", 60, 8, 1.04 },
}
local SIDES <const> = { "C", "thinnest", "tlslife", "in lua5.4" }

-- A cache of 32 KiB, whatever this machine has, so that counts of machines can be compared.
local CACHEGRIND <const> = "valgrind --tool=cachegrind --cache-sim=yes --I1=32768,8,64 "
    .. "--D1=32768,8,64 --LL=524288,8,64 --cachegrind-out-file=/dev/null"

local function source()
    local beside = machine.HERE .. "/../../shared/anchors"
    for _, place in ipairs { os.getenv "TLSLIFE_ANCHORS" or beside, beside } do
        if process.slurp(place .. "/run.sh") then return place end
    end
end

local BUILD <const> = [[
set -e
mkdir -p "$OUT/tmp"
cp "$PLACE"/* "$OUT"
cd "$OUT"
./mkpki.sh
for f in hs_mem hs_client echo_server; do gcc -O2 -w -o $f $f.c -lssl -lcrypto -lpthread; done
gcc -O2 -w -fPIC -shared -I/usr/include/lua5.4 -o thin.so thin.c -lssl -lcrypto
]]

-- The folder in which the programs are built, and the environment that they need.
local function build(place)
    local out = process.directory() .. "/anchors"
    local lua = machine.absolute(machine.HERE .. "/../lua")
    local environment = {
        OUT = out, PLACE = place, PKI_DIR = out .. "/tmp/pki", BUILD_DIR = out,
        LUA_PATH = ("%s/?.lua;%s/?.lua;%s/?/init.lua;;"):format(out, lua, lua),
        LUA_CPATH = machine.absolute(machine.BESIDE) .. "/lua/?.so;;",
    }
    local status, output = process.run { "sh", "-c", BUILD, environment = environment,
        timeout = 120 }
    assert(status == 0, output)
    return out, environment
end

-- The commands of a row's sides; those over TCP have no thinnest binding.
local function commands(out, port)
    local program = machine.absolute(machine.BESIDE) .. "/tlslife"
    local function script(interpreter, name)
        return ("%s %s"):format(process.quote(interpreter), process.quote(out .. "/" .. name))
    end
    if port then
        return {
            C = process.quote(out .. "/hs_client"),
            tlslife = script(program, "tlslife_hs_client.lua"),
            ["in lua5.4"] = script("lua5.4", "tlslife_hs_client.lua"),
        }
    end
    return {
        C = process.quote(out .. "/hs_mem"), thinnest = script("lua5.4", "thin_hs_mem.lua"),
        tlslife = script(program, "tlslife_hs_mem.lua"),
        ["in lua5.4"] = script("lua5.4", "tlslife_hs_mem.lua"),
    }
end

-- Runs lines of a shell, and returns their output.
local function run(lines, environment)
    local status, output = process.run { "sh", "-c", table.concat(lines, "\n"),
        environment = environment, timeout = 300 }
    assert(status == 0, output)
    return output
end

-- A row that is being measured: what to run, and for how long.
local function words(own, n)
    return ("%s %s %d"):format(own.mode, own.port or "", n)
end

-- Nanoseconds an operation, of each process that has printed its result.
local function times(output)
    local list = {}
    for operations, seconds in output:gmatch "ops=(%d+) secs=[%d.]+ cpu=([%d.]+)" do
        list[#list + 1] = seconds * 1e9 / operations
    end
    return list
end

-- One round: C before and after each of the other sides.
local function round(row, own, i)
    local pinned = machine.CLIENTS and "taskset -c " .. machine.CLIENTS .. " " or ""
    local lines, others = { pinned .. own.commands.C .. " " .. words(own, own.turn) }, {}
    for _, side in ipairs(SIDES) do
        if side ~= "C" and own.commands[side] then
            others[#others + 1] = side
            lines[#lines + 1] = pinned .. own.commands[side] .. " " .. words(own, own.turn)
            lines[#lines + 1] = lines[1]
        end
    end
    local found = times(run(lines, own.environment))
    assert(#found == #lines, "a side has printed no result")
    local c = (found[#found - 2] + found[#found]) / 2
    row.values.C[i] = c
    for k, side in ipairs(others) do
        row.values[side] = row.values[side] or {}
        row.values[side][i] = found[2 * k] / ((found[2 * k - 1] + found[2 * k + 1]) / 2) * c
    end
end

-- Instructions and missed lines of code of one operation, by side.
local function counts(own)
    local instructions, lines = {}, {}
    for side, command in pairs(own.commands) do
        local total = {}
        for k, n in ipairs { own.counted, 3 * own.counted } do
            local output = run({ ("%s %s %s"):format(CACHEGRIND, command, words(own, n)) },
                own.environment)
            total[k] = { output:match "I +refs: +([%d,]+)", output:match "I1 +misses: +([%d,]+)" }
            for i = 1, 2 do total[k][i] = tonumber((total[k][i]:gsub(",", ""))) end
        end
        instructions[side] = { (total[2][1] - total[1][1]) / (2 * own.counted) // 1 }
        lines[side] = { (total[2][2] - total[1][2]) / (2 * own.counted) // 1 }
    end
    return instructions, lines
end

-- Calls work(own) with the row's commands, and with its server where it is over TCP.
local function with_server(row, out, environment, work)
    local own = { mode = row.mode, turn = row.turn, counted = row.counted,
        environment = environment }
    local server
    if row.tcp then
        own.port = process.free_port()
        local command = machine.pinned(machine.SERVERS,
            { out .. "/echo_server", row.mode, own.port })
        command.environment, command.timeout = environment, 600
        server = process.start(command)
        server:wait_for_port(own.port)
    end
    own.commands = commands(out, own.port)
    work(own)
    if server then server:stop() end
end

local function rows_of(kinds)
    local rows = {}
    for i, list in ipairs { MEMORY, TCP } do
        for _, row in ipairs(list) do
            for _, kind in ipairs(kinds) do
                rows[#rows + 1] = {
                    name = row[1] .. kind.suffix, mode = row[2], turn = row[3], counted = row[4],
                    tcp = i == 2, unit = kind.unit, kind = kind.kind, values = {},
                    figure = { "in lua5.4", "/", "C" },
                    at_most = kind.judged and row[5] or nil,
                }
            end
        end
    end
    return rows
end

local place = source()
local out, environment

local function built()
    if not out then out, environment = build(place) end
    return out, environment
end

local function measure_times(rows, own, report)
    local where, with = built()
    for _, row in ipairs(rows) do
        row.values = { C = {} }
        with_server(row, where, with, function(mine)
            for i = 1, own.rounds do round(row, mine, i) end
        end)
        report(row)
    end
end

local function measure_counts(rows, _, report)
    local where, with = built()
    local kept = {}
    for _, row in ipairs(rows) do
        local key = row.mode .. tostring(row.tcp)
        if not kept[key] then
            with_server(row, where, with, function(mine) kept[key] = { counts(mine) } end)
        end
        row.values = kept[key][row.kind]
        report(row)
    end
end

return function()
    if not place then return end
    local timed = {
        title = {
            "Handshakes beside the thinnest binding and plain C, processor time: both sides in",
            "memory, and a client over TCP; medians of $ROUNDS rounds.",
        },
        sides = SIDES, rounds = 15, name_width = 44,
        rows = rows_of { { suffix = "", unit = "ns", judged = true } }, measure = measure_times,
    }
    if not machine.find "valgrind" then return timed end
    return timed, {
        title = {
            "The same, counted by cachegrind: instructions of the process, without the kernel's,",
            "and lines of code that are not in a first cache of 32 KiB.",
        },
        sides = SIDES, rounds = 1, name_width = 54,
        rows = rows_of {
            { suffix = ", instructions", unit = "", kind = 1 },
            { suffix = ", lines", unit = "", kind = 2 },
        },
        measure = measure_counts,
    }
end
