-- tlslife.arguments: checks arguments as lauxlib does in LuaSocket and LuaSec, so that the same
-- values are taken and the same sentences raised.
--
-- at is the number of the argument in the sentence: a method's own object is not counted. The error
-- is raised where the function was called that asks.

local arguments = {}

local function sentence(at, name, what)
    return ("bad argument #%d to '%s' (%s)"):format(at, name, what)
end

local function wrong_type(value, at, name, expected)
    return sentence(at, name, expected .. " expected, got " .. type(value))
end

-- A number, or a text that is one; else nil.
local function number_of(value)
    local kind = type(value)
    return (kind == "number" or kind == "string") and tonumber(value) or nil
end

-- luaL_checkstring: numbers count as text.
function arguments.string(value, at, name)
    if type(value) == "string" then return value end
    if type(value) ~= "number" then error(wrong_type(value, at, name, "string"), 3) end
    return tostring(value)
end

-- luaL_checknumber.
function arguments.number(value, at, name)
    local number = number_of(value)
    if not number then error(wrong_type(value, at, name, "number"), 3) end
    return number
end

-- luaL_checkinteger.
function arguments.integer(value, at, name)
    local number = number_of(value)
    if not number then error(wrong_type(value, at, name, "number"), 3) end
    local integer = math.tointeger(number)
    if not integer then
        error(sentence(at, name, "number has no integer representation"), 3)
    end
    return integer
end

return arguments
