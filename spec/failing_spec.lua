-- failing_spec.lua: whatever allocation or call of the system fails, the scene ends with a clear
-- error or succeeds, nothing is lost, and what was made before can be used afterwards. spec/failing
-- plays the scenes; `./dev failing` plays them all.
--
-- Here every allocation of ours fails in a few scenes, and a few calls of the system in one that
-- the seed chooses.

local process = require "spec.support.process"
local program = require "spec.support.program"

local SCENES = {"slab", "loopback", "resolver", "client", "server"}
local COUNTED = "proved failing: (%d+) allocations and (%d+) system calls failed in %d+ scenes; "
    .. "0 findings"

local function play(...)
    local status, output = process.run {program.path, "spec/failing/run.lua", timeout = 600, ...}
    assert.equal(0, status, output)
    local failed, called = output:match(COUNTED)
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
    it(("of the system, nothing is lost, with the seed %d"):format(seed), function()
        local scene = SCENES[seed % #SCENES + 1]
        local _, called = play("--kind", "calls", "--runs", "1", "--seed", tostring(seed), scene)
        assert.is_true(called > 20, called)
    end)
end)
