--- Sets the garbage collector's parameters in Lua 5.4 and 5.5, which have different names and calls
-- for them.
--
--   local before = collector.set("pause", 0)      -- or "stepmul"; returns the value before
--   collector.generational(1, 1)                  -- minor and major growth, in per cent

local collector = {}

local LATER <const> = _VERSION ~= "Lua 5.4"

function collector.set(name, value)
    if LATER then return collectgarbage("param", name, value) end
    return collectgarbage("set" .. name, value)
end

--- Switches to the generational mode. Returns the mode before.
function collector.generational(minor, major)
    if not LATER then return collectgarbage("generational", minor, major) end
    collectgarbage("param", "minormul", minor)
    collectgarbage("param", "minormajor", major)
    return collectgarbage "generational"
end

return collector
