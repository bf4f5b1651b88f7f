-- failing_spec.lua: tests that a scene ends with a clear error or succeeds, whatever allocation or
-- system call in it fails. Nothing is lost, and what was made before can be used afterwards.
-- spec/failing has the scenes, and `./dev failing` runs them all.
--
-- Here one allocation of ours fails in each scene (under AddressSanitizer every one in two scenes),
-- and a few calls of the system and a few allocations of OpenSSL's in one that the seed chooses.
-- What no scene calls is found, too, since it cannot fail. The seed is the same each time, so that
-- a run of the suite does not depend on the clock; TLSLIFE_SEED is another one. `./dev failing
-- --every` lets every allocation and every call of all scenes fail, which takes a night; without
-- --every it leaves out those whose stack an earlier one had.

local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local SCENES = {"slab", "loopback", "resolver", "client", "server"}
local SAMPLED = {"bytes", "handshake", "serve", "shared_memory", "threads", "tickets"}
-- Allocations of OpenSSL's that fail in each scene, once and from then on. AddressSanitizer takes
-- three times as long for each.
local RUNS <const> = program.is_sanitized() and 8 or 20
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
        if program.is_sanitized() then
            local failed = play("--kind", "ours", "bytes", "getters")
            assert.is_true(failed > 80, failed)
        else
            local failed = play("--kind", "ours", "--runs", "1") -- in all scenes
            assert.is_true(failed > 120, failed)
        end
    end)
end)

describe("each fault of OpenSSL, Lua and luv that failing_known.c excuses", function()
    it("is shown in plain C, without tlslife", function()
        if program.is_sanitized() then return pending "it has none of our code, and crashes" end
        local known = program.path:match "^(.*)/" .. "/spec/failing/known"
        local status, output = process.run {known, timeout = 200}
        assert.equal(0, status, output)
        local newer = _VERSION ~= "Lua 5.4"
        local without_luv = newer or output:find("no luv", 1, true) ~= nil
        assert.equal(newer or not pcall(require, "luv"), without_luv)
        local openssl = tonumber(tls.openssl_version:match "3%.(%d+)")
        local listed, gone = 0, {buffer_never_again = newer, handle_without_data = without_luv,
            key_without_size = openssl >= 5}
        for name in process.slurp "spec/failing/failing_known.c":gmatch '"([%l_]+)",%s*"' do
            if not gone[name] then
                listed, gone[name] = listed + 1, true -- which two lines may have
                assert.truthy(output:find("shown " .. name .. ":", 1, true), name)
            end
        end
        assert.equal(select(2, output:gsub("shown ", "")), listed)
    end)
end)

describe("when something fails", function()
    local seed = tonumber(os.getenv "TLSLIFE_SEED") or program.is_sanitized() and 2 or 1
    it(("of the system, nothing is lost, with the seed %d"):format(seed), function()
        local scene = SCENES[seed % #SCENES + 1]
        local _, called = play("--kind", "calls", "--runs", "1", "--seed", tostring(seed), scene)
        assert.is_true(called > 20, called)
    end)

    it(("of OpenSSL's memory, nothing is lost, with the seed %d"):format(seed), function()
        local scene = SAMPLED[seed % #SAMPLED + 1]
        local failed = play("--kind", "openssl", "--runs", tostring(RUNS), "--seed",
            tostring(seed), "plain", scene)
        assert.is_true(failed > 2 * RUNS, failed)
    end)
end)
