-- tlslife.arguments: checks arguments as lauxlib does in LuaSocket and LuaSec, so that the same
-- values are taken and the same sentences raised.
--
-- at is the number of the argument in the sentence: a method's own object is not counted. The error
-- is raised where the function was called that asks.

local getinfo = debug and debug.getinfo -- which a C program may keep from its scripts
local OURS <const> = getinfo and getinfo(1, "S").source:match "^(.*)arguments%.lua" or ""

local arguments = {}

arguments.SECONDS_MAX = 2147483 -- INT_MAX milliseconds, which a timeout may be at most

-- Raises a mistake of the script: in the function that called this library, however deep in it we
-- are. A library that calls us for the script is not told from it.
function arguments.raise(message)
    local level = 2
    local called = getinfo and getinfo(level, "S")
    while called and (called.what == "C" or called.source:sub(1, #OURS) == OURS) do
        level = level + 1
        called = getinfo(level, "S")
    end
    error(message, called and level or 0)
end

local function sentence(at, name, what)
    return ("bad argument #%d to '%s' (%s)"):format(at, name, what)
end

--- Raises for a value of a wrong type.
function arguments.refuse(value, at, name, expected)
    arguments.raise(sentence(at, name, expected .. " expected, got " .. type(value)))
end

--- Returns what a C function says of an argument of its method, with the method's name. The C
-- function has counted the method's object, too, and cannot know the name.
function arguments.of_method(message, name)
    return (message:gsub("#(%d+) to '%?'", function(n)
        return ("#%d to '%s'"):format(math.tointeger(n) - 1, name)
    end))
end

-- A number, or a text that is one; else nil.
local function number_of(value)
    local kind = type(value)
    return (kind == "number" or kind == "string") and tonumber(value) or nil
end

-- luaL_checkstring: numbers count as text.
function arguments.string(value, at, name)
    if type(value) == "string" then return value end
    if type(value) ~= "number" then arguments.refuse(value, at, name, "string") end
    return tostring(value)
end

-- luaL_checknumber.
function arguments.number(value, at, name)
    local number = number_of(value)
    if not number then arguments.refuse(value, at, name, "number") end
    return number
end

-- luaL_checkinteger.
function arguments.integer(value, at, name)
    local number = number_of(value)
    if not number then arguments.refuse(value, at, name, "number") end
    local integer = math.tointeger(number)
    if not integer then
        arguments.raise(sentence(at, name, "number has no integer representation"))
    end
    return integer
end

-- Calls a function of C that judges what the script gave it. What it raises is raised in the
-- script, and of the function name; what a hook below it raises goes through.
function arguments.judged(name, func, ...)
    local own
    local results = table.pack(xpcall(func, function(why)
        own = getinfo and getinfo(2, "f").func == func
        return why
    end, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    local why = results[2]
    if not own or type(why) ~= "string" then error(why, 0) end
    arguments.raise(arguments.of_method(why, name))
end

return arguments
