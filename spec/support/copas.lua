-- copas.lua: copas 4 with the adapter for it, of which each file of specs has its own.
--
--   local copas, loop = require "spec.support.copas" ()   -- nil, why: there is none
--
-- Copas 4 is what ./dev has brought (build/deps), or what is installed. path: where another copas
-- is looked for instead.

local PATH = "build/deps/copas/?.lua;" .. package.path .. ";spec/support/copas4/?.lua"

--- Loads copas and the adapter by that path, and leaves the tables of modules as they were.
local function load_both(path)
    local names = {"copas", "tlslife.wait.copas"}
    local path_before, before = package.path, {}
    for _, name in ipairs(names) do
        before[name], package.loaded[name] = package.loaded[name], nil
    end
    local ok, copas, loop = pcall(function()
        package.path = path .. ";" .. path_before
        local copas = require "copas"
        return copas, require "tlslife.wait.copas"
    end)
    package.path = path_before
    for _, name in ipairs(names) do package.loaded[name] = before[name] end
    if not ok then return nil, copas end
    return copas, loop
end

local kept = {}

return function(path)
    path = path or PATH
    kept[path] = kept[path] or {load_both(path)}
    return table.unpack(kept[path], 1, 2)
end
