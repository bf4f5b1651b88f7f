-- luasec.lua: LuaSec and the drop-in (docs/luasec.md), the same script (luasec/side.lua) in a stock
-- lua5.4. Each round has new processes, by turns.
local process, machine = require "spec.support.process", require "machine"

-- name, the side's word, operations in a round, unit
local ROWS <const> = {
    { "full handshake, TLS 1.2", "full12", 200 },
    { "full handshake, TLS 1.3", "full13", 200 },
    { "the same context again, TLS 1.2", "again12", 300 },
    { "the same context again, TLS 1.3", "again13", 300 },
    { "a table of parameters each", "tables", 200 },
    { "16 KiB send + receive", "record", 3000 },
    { "64 bytes send + receive", "small", 20000 },
    { "a line of 64 bytes", "line", 20000 },
    { "a request and its response", "request", 3000 },
    { "an idle connection", "idle", 300, "B" },
}

local function measure(row, files, with)
    local words = { "lua5.4" }
    if with == "drop-in" then
        words[#words + 1] = "-l"
        words[#words + 1] = "tlslife.luasec"
    end
    for _, word in ipairs { machine.HERE .. "/luasec/side.lua", row.word, row.operations,
        files.certificate, files.private_key } do
        words[#words + 1] = tostring(word)
    end
    words.timeout = 120
    -- LuaSec 1.3, where .ci/luasec has built it; else what is installed.
    local lua, luasec = machine.absolute(machine.HERE .. "/../lua"),
        machine.absolute(machine.HERE .. "/../build/deps/luasec/lua")
    words.environment = with == "drop-in" and {
        LUA_PATH = lua .. "/?.lua;" .. lua .. "/?/init.lua;;",
        LUA_CPATH = machine.absolute(machine.BESIDE) .. "/lua/?.so;;",
    } or { LUA_PATH = luasec .. "/?.lua;;", LUA_CPATH = luasec .. "/?.so;;" }
    local status, output = process.run(words)
    assert(status == 0, output)
    return assert(tonumber(output:match "^[%d.]+"), output)
end

return function()
    local rows = {}
    for i, row in ipairs(ROWS) do
        rows[i] = {
            name = row[1], word = row[2], operations = row[3], unit = row[4],
            figure = { "LuaSec", "/", "drop-in" }, at_least = 1, values = {},
        }
    end
    return {
        title = {
            "LuaSec and the drop-in, the same script in a stock lua5.4, processor time of both",
            "ends: medians of $ROUNDS rounds. LuaSec does not resume; \"the same context again\"",
            "is a resumed handshake of the drop-in.",
        },
        sides = { "LuaSec", "drop-in" }, rounds = 9, rows = rows,
        measure = function(measured, own, report)
            local files = machine.self_signed("luasec", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
            for _, row in ipairs(measured) do
                row.values = { LuaSec = {}, ["drop-in"] = {} }
                for round = 1, own.rounds do
                    local order = round % 2 == 1 and { "LuaSec", "drop-in" } or
                        { "drop-in", "LuaSec" }
                    for _, side in ipairs(order) do
                        row.values[side][round] = measure(row, files, side)
                    end
                end
                report(row)
            end
        end,
    }
end
