-- random_spec.lua: random programs (spec/random) in processes of their own, and those that once failed.

local process = require "spec.support.process"
local program = require "spec.support.program"
local pki = require "spec.support.pki"
local walk = require "spec.random.walk"

-- Under a sanitizer a program takes ten times as long.
local SEQUENCES, LINES = program.is_sanitized() and 300 or 5000, 30
local PARTS = 5
local WALKS, VERBS = 500, 10

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

describe("a random walk", function()
    local walks, lines = {}, {}
    local failures, alike = {}, 0

    setup(function()
        local input = {}
        for seed = 1, WALKS do
            walks[seed] = walk.make(seed, VERBS)
            input[seed] = table.concat(walks[seed], " ") .. "\n"
        end
        local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
        local status, output = process.run {build .. "/spec/c/oracle", "walk", stdin = table.concat(input), timeout = 100}
        assert(status == 0, output)
        for line in output:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
        assert(#lines == WALKS, #lines .. " lines")
    end)

    it("goes as libssl's own, but for what docs/differences.md lists", function()
        for seed = 1, WALKS do
            local differs, n = walk.compare(lines[seed], walk.play(walks[seed]))
            alike = alike + n
            if differs then failures[#failures + 1] = ("%d: %s\n%s"):format(seed, table.concat(walks[seed], " "), differs) end
        end
        assert.equal("", table.concat(failures, "\n"))
        assert.is_true(alike > 4 * WALKS, alike .. " tokens were compared")
    end)
end)
