-- failing_spec.lua: whatever allocation or call of the system fails, the scene ends with a clear error or succeeds, nothing
-- is lost, and what was made before can be used afterwards. spec/failing plays the scenes; `./dev failing` plays them all.
--
-- Here every allocation of ours fails in a few, and in others, which the seed chooses, a few of everything.

local process = require "spec.support.process"
local program = require "spec.support.program"

local SCENES = {"handshake", "refused", "getters", "stranger", "clear", "later_certificate", "renegotiate", "bytes", "early",
    "tickets", "memory", "file", "slab", "program", "cache", "loopback", "resolver"}

local function play(...)
    local status, output = process.run {program.path, "spec/failing/run.lua", timeout = 600, ...}
    assert.equal(0, status, output)
    local failed, called = output:match "proved failing: (%d+) allocations and (%d+) system calls failed in %d+ scenes; 0 findings"
    assert.is_truthy(failed, output)
    return tonumber(failed), tonumber(called)
end

describe("when memory ends", function()
    it("at any allocation of ours, nothing is lost", function()
        local failed = play("--kind", "ours", "bytes", "getters")
        assert.is_true(failed > 80, failed)
    end)
end)

describe("when something fails", function()
    local seed = os.time() % 1000
    it(("nothing is lost, with the seed %d"):format(seed), function()
        local words = {"--runs", "1", "--seed", tostring(seed)}
        for i = 1, 2 do words[#words + 1] = SCENES[(seed + 7 * i) % #SCENES + 1] end
        assert.is_true(play(table.unpack(words)) > 10)
    end)
end)
