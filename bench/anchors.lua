-- anchors.lua: compares handshakes of tlslife with those of the thinnest binding. That is a Lua
-- module whose every function calls one function of libssl, checks no more than the types of its
-- arguments, and frees nothing by itself. Any binding costs at least as much as it does.
--
-- The programs lie beside the project, not in it (../shared/anchors, or the folder in
-- TLSLIFE_ANCHORS). Where they do not, there are no rows.
local process, machine = require "spec.support.process", require "machine"

local NAMES <const> = {
    full13 = "full handshake, TLS 1.3", full12 = "full handshake, TLS 1.2",
    id12 = "resumed by id, TLS 1.2", tkt12 = "resumed by ticket, TLS 1.2",
    psk13 = "resumed, TLS 1.3",
}

local function folder()
    local beside = machine.HERE .. "/../../shared/anchors"
    for _, place in ipairs { os.getenv "TLSLIFE_ANCHORS" or beside, beside } do
        if process.slurp(place .. "/run.sh") then return place end
    end
end

local function absolute(path)
    return path:match "^/" and path or os.getenv "PWD" .. "/" .. path
end

-- The lines of the first part of what run.sh prints: a mode, C's microseconds, three ratios.
local function rows_of(output, report)
    local memory = output:match "^(.-)\nclient over TCP" or output
    local pattern = "\n%s+(%w+)%s+([%d.]+) ([%d.]+) ([%d.]+) ([%d.]+)"
    for mode, us, thin, program, stock in memory:gmatch(pattern) do
        local ns = us * 1000
        report {
            name = NAMES[mode], unit = "ns", figure = { "tlslife", "/", "thinnest" },
            values = {
                C = { ns }, thinnest = { ns * thin }, tlslife = { ns * program },
                ["in lua5.4"] = { ns * stock },
            },
        }
    end
end

return function()
    local place = folder()
    if not place then return end
    return {
        title = {
            "Handshakes in memory, processor time of both sides, beside the thinnest binding:",
            "medians of $ROUNDS rounds.",
        },
        sides = { "C", "thinnest", "tlslife", "in lua5.4" }, rounds = 7,
        measure = function(_, own, report)
            local status, output = process.run {
                "sh", place .. "/run.sh", own.rounds, timeout = 1800, environment = {
                    OUT = process.directory() .. "/anchors",
                    TLSLIFE = absolute(machine.BESIDE),
                    LUA_DIR = absolute(machine.HERE .. "/../lua"),
                },
            }
            assert(status == 0, output)
            rows_of(output, report)
        end,
    }
end
