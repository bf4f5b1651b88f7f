-- copas.lua: loads copas 4 and the adapter for it, anew for each file of specs.
--
--   local copas, loop = require "spec.support.copas" ()   -- nil, why: there is none
--
-- Copas 4 is the one in build/deps, where ./dev has put it, or an installed one. The argument path
-- names another place to look for it.

local PATH = "build/deps/copas/?.lua;" .. package.path .. ";spec/support/copas4/?.lua"

--- Loads copas and the adapter from path, and leaves package.loaded as it was.
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
