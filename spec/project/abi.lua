--- The binary interface (ABI) of the shared library, as the headers declare it: functions with the
-- types of their arguments, members of structures, and values of constants. cmake/abi.txt is the
-- record of it, with the soname that it is for.
--
--   lua5.4 spec/project/abi.lua --record     records it anew; ./dev abi runs this
--
-- An addition breaks no program, and is recorded. A change or a removal would break programs that
-- were linked to a release, so it is recorded only if the soname has changed.

local contents <const> = require "spec.support.source".read

local abi = {path = "cmake/abi.txt"}

local HEADERS <const> = {"include/tlslife.h", "include/tlslife_openssl.h"}

local function squeezed(text)
    return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""):gsub(" ?([%*,;{}()%[%]]) ?", "%1"))
end

-- A parameter's type without its name, which may change.
local function type_of(parameter)
    local words = squeezed(parameter)
    if words:find "[%(%[]" then return words end -- a pointer to a function, or an array
    return (words:gsub("^(.*[%*%s])[%w_]+$", "%1"):gsub("%s$", ""))
end

local function add_function(list, declaration)
    local before, name, parameters = declaration:match "^(.-)([%w_]+)%s*(%b())[^()]*$"
    local types = {}
    local depth, from = 0, 1
    local inside = parameters:sub(2, -2) .. ","
    for at, char in inside:gmatch "()([(),])" do
        if char == "(" then depth = depth + 1 elseif char == ")" then depth = depth - 1 end
        if char == "," and depth == 0 then
            types[#types + 1] = type_of(inside:sub(from, at - 1))
            from = at + 1
        end
    end
    list[#list + 1] = ("function %s %s(%s)"):format(squeezed(before), name,
        table.concat(types, ", "))
end

local function add_enum(list, name, body)
    local value = -1
    for item in body:gmatch "[^,]+" do
        local constant, given = squeezed(item):match "^([%w_]+)%s*=?%s*(.*)$"
        if constant then
            value = given ~= "" and assert(math.tointeger(load("return " .. given)())) or value + 1
            list[#list + 1] = ("enum %s %s = %d"):format(name, constant, value)
        end
    end
end

--- The interface that a header's text declares, as sorted lines.
function abi.lines(text)
    local list = {}
    text = text:gsub("/%*.-%*/", " ")
    for constant, value in text:gmatch "\n#define (TLSLIFE_[%w_]+) +(%d[^\n]*)" do
        list[#list + 1] = ("constant %s = %s"):format(constant, squeezed(value))
    end
    text = text:gsub("\n[ \t]*#[^\n]*", "")
    for kind, name, body in text:gmatch "typedef%s+(%l+)%s+([%w_]+)%s*(%b{})" do
        if kind == "enum" then
            add_enum(list, name, body:sub(2, -2))
        else
            list[#list + 1] = ("%s %s %s"):format(kind, name, squeezed(body))
        end
    end
    for declaration in text:gmatch "TLSLIFE_API%s+([^;]+);" do
        add_function(list, declaration)
    end
    table.sort(list)
    return list
end

--- The interface that the headers declare now, as lines.
function abi.current()
    local text = ""
    for _, header in ipairs(HEADERS) do text = text .. contents(header) end
    return abi.lines(text)
end

--- The soname of the library, from CMakeLists.txt.
function abi.soname()
    local number = contents "CMakeLists.txt":match "\nset%(TLSLIFE_ABI (%d+)%)"
    return "libtlslife.so." .. assert(number, "no TLSLIFE_ABI in CMakeLists.txt")
end

--- Returns the recorded lines and their soname.
function abi.recorded()
    local lines, soname = {}, nil
    local file = io.open(abi.path)
    if not file then return lines, nil end
    for line in file:lines() do
        if line:match "^soname " then
            soname = line:match "^soname (.+)"
        elseif not line:match "^#" and line ~= "" then
            lines[#lines + 1] = line
        end
    end
    file:close()
    return lines, soname
end

local function without(lines, others)
    local known, found = {}, {}
    for _, line in ipairs(others) do known[line] = true end
    for _, line in ipairs(lines) do
        if not known[line] then found[#found + 1] = line end
    end
    return found
end

--- Returns the recorded lines that have gone or changed, and the lines that are new.
function abi.compare(recorded, current)
    return without(recorded, current), without(current, recorded)
end

local HEAD <const> = [[
# What programs that were linked to libtlslife count on. Written by ./dev abi, which refuses to take
# a line away under the same soname; see spec/project/abi.lua.
]]

local function record()
    local recorded, soname = abi.recorded()
    local current = abi.current()
    local gone = abi.compare(recorded, current)
    if soname == abi.soname() and #gone > 0 then
        io.stderr:write("This would break programs that were linked to ", soname,
            ". Let TLSLIFE_ABI in CMakeLists.txt go up, or have it as it was:\n  ",
            table.concat(gone, "\n  "), "\n")
        os.exit(1)
    end
    local file = assert(io.open(abi.path, "w"))
    file:write(HEAD, "soname ", abi.soname(), "\n", table.concat(current, "\n"), "\n")
    file:close()
    print(("%s: %d lines"):format(abi.path, #current))
end

if arg and arg[1] == "--record" and arg[0]:match "abi%.lua$" then record() end

return abi
