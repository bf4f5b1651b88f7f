-- random_spec.lua: random programs (spec/random) in processes of their own, and those that once failed.

local process = require "spec.support.process"
local program = require "spec.support.program"
local pki = require "spec.support.pki"

-- Under a sanitizer a program takes ten times as long.
local SEQUENCES, LINES = program.is_sanitized() and 300 or 5000, 30
local PARTS = 5

describe("a random program", function()
    if not program.ours then return pending "not in the program tlslife" end

    for part = 1, PARTS do
        local n = SEQUENCES // PARTS
        local first = (part - 1) * n + 1
        it(("leaves the process and every object whole, %d to %d"):format(first, first + n - 1), function()
            local status, output = process.run {program.path, "spec/random/run.lua", "--seed", first, "--sequences", n, "--lines", LINES,
                timeout = 240, environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
            assert(status == 0, output)
            assert.truthy(output:find(("%d sequences"):format(n), 1, true), output)
        end)
    end
end)
