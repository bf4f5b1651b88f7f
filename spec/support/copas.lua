-- copas.lua: the copas that is wanted, with the adapter for it, in a program that may have several.
--
--   local copas, loop = require "spec.support.copas" (4)   -- nil, why: there is none
--   local copas, loop = require "spec.support.copas" (1)
--
-- Copas 4 is what ./dev has brought (build/deps), or what is installed; copas 1 is Debian 12's, which is for Lua 5.2 but
-- runs in 5.4. Each file of specs has its own of both: an adapter that was loaded later takes precedence.

local PATHS = {
    [1] = "/usr/share/lua/5.2/?.lua;/usr/share/lua/5.1/?.lua",
    [4] = "build/deps/copas/?.lua;" .. package.path .. ";spec/support/copas4/?.lua",
}

local kept = {}

--- Loads copas and the adapter by that path, and leaves the tables of modules as they were.
local function load_with(path)
    local names = {"copas", "tlslife.wait.copas"}
    local path_before, before = package.path, {}
    for _, name in ipairs(names) do before[name], package.loaded[name] = package.loaded[name], nil end
    local function load_both()
        package.path = path .. ";" .. path_before
        local copas = require "copas"
        return copas, require "tlslife.wait.copas"
    end
    local ok, copas, loop = pcall(load_both)
    package.path = path_before
    for _, name in ipairs(names) do package.loaded[name] = before[name] end
    if not ok then return nil, copas end
    return copas, loop
end

return function(version)
    if not kept[version] then
        local copas, loop = load_with(PATHS[version])
        if copas and not copas._VERSION:find("Copas " .. version, 1, true) then
            copas, loop = nil, "this is " .. copas._VERSION
        end
        kept[version] = {copas, loop}
    end
    return table.unpack(kept[version], 1, 2)
end
