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

-- What a client or a pair may cost in a stock lua5.4, as a multiple of plain C.
local function most(mode, tcp)
    if tcp then return 1.04 end
    return mode:find "^full" and 1.01 or 1.06
end

-- The lines of what run.sh prints. In memory: a mode, C's microseconds, the ratios of the thinnest
-- binding, of the program and of the module in lua5.4. Over TCP there is no thinnest binding.
local function rows_of(output, report)
    local memory, tcp = output:match "^(.-)\nclient over TCP(.*)$"
    local function rows(text, pattern, columns, name)
        for mode, us, ratios in text:gmatch("\n%s+(%w+)%s+([%d.]+)" .. pattern) do
            local ns = us * 1000
            local row = {
                name = name .. NAMES[mode], unit = "ns", figure = { "in lua5.4", "/", "C" },
                at_most = most(mode, text == tcp), values = { C = { ns } },
            }
            local i = 0
            for ratio in ratios:gmatch "[%d.]+" do
                i = i + 1
                row.values[columns[i]] = { ns * ratio }
            end
            report(row)
        end
    end
    rows(memory, "( [%d.]+ [%d.]+ [%d.]+)", { "thinnest", "tlslife", "in lua5.4" }, "")
    rows(tcp, "( [%d.]+ [%d.]+)", { "tlslife", "in lua5.4" }, "client over TCP, ")
end

return function()
    local place = folder()
    if not place then return end
    return {
        title = {
            "Handshakes beside the thinnest binding and plain C, processor time: both sides in",
            "memory, and a client over TCP; medians of $ROUNDS rounds.",
        },
        sides = { "C", "thinnest", "tlslife", "in lua5.4" }, rounds = 7, name_width = 44,
        measure = function(_, own, report)
            local status, output = process.run {
                "sh", place .. "/run.sh", own.rounds, timeout = 1800, environment = {
                    OUT = process.directory() .. "/anchors",
                    TLSLIFE = machine.absolute(machine.BESIDE),
                    LUA_DIR = machine.absolute(machine.HERE .. "/../lua"),
                },
            }
            assert(status == 0, output)
            rows_of(output, report)
        end,
    }
end
