--- calls.lua: counts the results of each call that random programs make.
--
--   tlslife spec/random/run.lua --calls N [SEED]
--
-- This runs N programs, and prints the calls that no program made, those that always raised, and
-- those that always returned nil. Such a call proves nothing. Either it must be so, or the
-- generator never draws what the call needs.
--
-- A method is known when an object of its kind has been in a slot. It is then wrapped in the table
-- from which all objects of the kind have it. So messages name other functions, and no other rule
-- is checked meanwhile.

local calls = {}

-- Three counts of each call, by its name, as "connection:read": how often it was made, how often it
-- returned, and how often it returned more than nil.
local made, returned, gave = {}, {}, {}
local seen = {}

local function count(name, ...)
    returned[name] = returned[name] + 1
    if ... then gave[name] = gave[name] + 1 end
    return ...
end

local function wrapper(name, func)
    made[name], returned[name], gave[name] = 0, 0, 0
    return function(...)
        made[name] = made[name] + 1
        return count(name, func(...))
    end
end

--- Counts the calls of all functions of a table from now on.
function calls.watch(kind, functions, separator)
    if seen[functions] then return end
    seen[functions] = true
    local found = {}
    for name, func in pairs(functions) do
        if type(func) == "function" and type(name) == "string" then found[name] = func end
    end
    for name, func in pairs(found) do
        functions[name] = wrapper(kind .. (separator or ":") .. name, func)
    end
end

--- The same of the methods of an object.
function calls.watch_object(kind, object)
    local metatable = debug.getmetatable(object)
    local methods = metatable and metatable.__index
    if type(methods) == "table" then calls.watch(kind, methods) end
end

local function print_list(title, names)
    table.sort(names)
    print(("%d %s"):format(#names, title))
    for _, name in ipairs(names) do print("    " .. name) end
end

function calls.print()
    local never, raised, nothing = {}, {}, {}
    for name, n in pairs(made) do
        local to = n == 0 and never or returned[name] == 0 and raised or gave[name] == 0 and nothing
        if to then to[#to + 1] = n == 0 and name or ("%s, %d times"):format(name, n) end
    end
    print_list("calls that no program made", never)
    print_list("calls that always raised", raised)
    print_list("calls that never returned anything", nothing)
end

return calls
