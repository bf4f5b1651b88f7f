--- The collector's parameters, in each Lua that the module is for: 5.5 has other names and calls.
--
--   local before = collector.set("pause", 0)      -- or "stepmul"; the value before
--   collector.generational(1, 1)                  -- per cent of growth: a young collection, an old

local collector = {}

local LATER <const> = _VERSION ~= "Lua 5.4"

function collector.set(name, value)
    if LATER then return collectgarbage("param", name, value) end
    return collectgarbage("set" .. name, value)
end

--- Returns the mode before.
function collector.generational(minor, major)
    if not LATER then return collectgarbage("generational", minor, major) end
    collectgarbage("param", "minormul", minor)
    collectgarbage("param", "minormajor", major)
    return collectgarbage "generational"
end

return collector
