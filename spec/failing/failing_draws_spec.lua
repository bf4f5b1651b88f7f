-- failing_draws_spec.lua: compares the scenes of spec/failing with lua/tlslife/types.lua: each
-- option of tls.context and each function of the module is in a scene, so that what it allocates
-- and calls fails there. What is built later enters the scenes by this, too.

local process = require "spec.support.process"

local TYPES = "lua/tlslife/types.lua"
local SCENES = {"spec/failing/scenes.lua", "spec/failing/features.lua"}

-- What no scene has, with the reason.
local NOT_PLAYED = {
    ["tls.class"] = "only Lua's memory: what luasec's scene loads calls it before faults are armed",
    ["tls.line"] = "only Lua's memory: tls.socket's receive calls it",
    ["tls.listen_fd"] = "it takes a descriptor that a scene cannot make, as tls.listen does",
    ["tls.loop"] = "only Lua's memory: tlslife.wait.luv calls it before faults are armed",
    ["tls.serve"] = "it has processes of its own; it is tls.server there, which serve has",
    ["tls.type"] = "it allocates nothing",
    ["context.dh_params"] = "dh_auto is there; making parameters takes seconds",
}

-- All that types.lua has: "tls.NAME" and "context.OPTION".
local function of_types(text)
    local all, class = {}, nil
    for line in text:gmatch "[^\n]+" do
        class = line:match "^%-%-%-@class tlslife%.(%w+)" or class
        local option = class == "ContextOptions" and line:match "^%-%-%-@field ([%l_]+)"
        if option then all["context." .. option] = "%f[%w_]" .. option .. " =" end
        local name = line:match "^function tlslife%.([%l_]+)%("
        if name then all["tls." .. name] = "tls%." .. name .. "%f[^%w_]" end
    end
    return all
end

local function missing(all, scenes)
    local names = {}
    for name, pattern in pairs(all) do
        if not scenes:find(pattern) and not NOT_PLAYED[name] then names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

describe("the scenes in which something fails", function()
    local types, scenes = process.slurp(TYPES), ""
    for _, path in ipairs(SCENES) do
        scenes = scenes .. process.slurp(path):gsub("%-%-[^\n]*", "")
    end

    it("have each option of tls.context and each function of the module", function()
        assert.same({}, missing(of_types(types), scenes))
    end)

    it("are compared by a spec that would find what they do not have", function()
        local more = types .. "---@class tlslife.ContextOptions\n---@field newly boolean?\n"
            .. "function tlslife.renew() end\n"
        assert.same({"context.newly", "tls.renew"}, missing(of_types(more), scenes))
    end)

    it("have no exception that is not needed", function()
        local all = of_types(types)
        for name in pairs(NOT_PLAYED) do
            local pattern = assert(all[name], name)
            assert.is_nil(scenes:find(pattern), name)
        end
    end)
end)
