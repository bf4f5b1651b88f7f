-- host_spec.lua: the program `tlslife` beside lua5.4 itself: the same options, outputs and exit codes.

local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local function directory()
    local path = process.directory() .. "/host"
    os.execute("mkdir -p " .. process.quote(path))
    return path
end

local script = process.spill(directory() .. "/script.lua", [[
print(#arg, ...)
for i = -10, 10 do
    if arg[i] and i >= 0 then print(i, (arg[i]:gsub(".*/", ""))) end
end
]])
local fails = process.spill(directory() .. "/fails.lua", "local function deep() error 'deep down' end\ndeep()\n")
local syntax = process.spill(directory() .. "/syntax.lua", "local x = = 1\n")
local object = process.spill(directory() .. "/object.lua",
    "error(setmetatable({}, {__tostring = function() return 'an object' end}))")
local shebang = process.spill(directory() .. "/shebang.lua", "#!/usr/bin/env lua\nprint 'shebang'\n")
process.spill(directory() .. "/aux.lua", "print('aux', ...) return {value = 42}")

-- {title, words, input, environment}: dialogue says that the input is a person's
local CASES = {
    {"-e", {"-e", "print(1 + 1)"}},
    {"-e twice", {"-e", "x = 1", "-e", "print(x)"}},
    {"-e in one word", {"-eprint(7)"}},
    {"-e and a script", {"-e", "print 'first'", script, "a", "b"}},
    {"-e without a chunk", {"-e"}},
    {"-e that fails", {"-e", "error 'x'"}},
    {"-e that fails with a table", {"-e", "error {}"}},
    {"-e that fails with nil", {"-e", "error()"}},
    {"-e that fails with a number", {"-e", "error(42)"}},
    {"-e with a syntax error", {"-e", "x = = 1"}},
    {"-e that exits", {"-e", "os.exit(7)"}},
    {"-e that exits with true", {"-e", "os.exit(true, true)"}},
    {"-e that exits with false", {"-e", "os.exit(false)"}},
    {"-l", {"-l", "aux", "-e", "print(aux.value)"}},
    {"-l in one word", {"-laux", "-e", "print(aux.value)"}},
    {"-l of nothing", {"-l", "no_such_module_at_all", "-e", "print 'never'"}},
    {"-l without a name", {"-l"}},
    {"-l with another name", {"-l", "m=aux", "-e", "print(m and m.value)"}},
    {"a script", {script}},
    {"a script with arguments", {script, "one", "-e", "--", ""}},
    {"-- and a script", {"--", script, "x"}},
    {"a script that fails", {fails}},
    {"a script with a syntax error", {syntax}},
    {"a script that raises an object", {object}},
    {"a script that is not there", {directory() .. "/nowhere.lua"}},
    {"a script with a first line", {shebang}},
    {"standard input", {"-"}, "print('from input', ...)"},
    {"standard input with arguments", {"-", "a", "b"}, "print('from input', ...)"},
    {"standard input with nothing", {"-"}, ""},
    {"standard input that fails", {"-"}, "error 'x'"},
    {"standard input without options", {}, "print 'piped'"},
    {"an unknown option", {"-x"}},
    {"an unknown long option", {"--version"}},
    {"-E", {"-E", "-e", "print(os.getenv 'LUA_INIT' ~= nil)"}, nil, {LUA_INIT = "print 'init'"}},
    {"-W", {"-W", "-e", "warn('seen')"}},
    {"warnings off", {"-e", "warn('unseen') warn('@on') warn('seen')"}},
    {"LUA_INIT", {"-e", "print 'after'"}, nil, {LUA_INIT = "print 'init'"}},
    {"LUA_INIT_5_4 first", {"-e", "print 'after'"}, nil, {LUA_INIT = "print 'init'", LUA_INIT_5_4 = "print 'init 5.4'"}},
    {"LUA_INIT of a file", {"-e", "print 'after'"}, nil, {LUA_INIT = "@" .. shebang}},
    {"LUA_INIT that fails", {"-e", "print 'after'"}, nil, {LUA_INIT = "error 'init'"}},
    {"many frames", {"-e", "local function f(n) if n == 0 then error 'bottom' end f(n - 1) return 1 end f(30)"}},
    {"a stack overflow", {"-e", "local function f() return 1 + f() end print(pcall(f) == false)"}},
    {"a to-be-closed variable", {"-e", "local x <close> = setmetatable({}, {__close = function() print 'closed' end})"}},
    {"an error in a coroutine", {"-e", "print(coroutine.resume(coroutine.create(error), 'x'))"}},
    {"output and failure", {"-e", "io.write 'out ' io.stdout:flush() io.stderr:write 'err ' error('end', 0)"}},
    {"-i and input", {"-i", "-e", "x = 5"}, "print(x)\n= x + 1\nx * 2\n", nil, dialogue = true},
    {"-i of several lines", {"-i"}, "for i = 1, 2 do\nprint(i)\nend\nerror 'no'\nprint 'goes on'\n", nil, dialogue = true},
    {"-i and a syntax error", {"-i"}, "x = = 1\nprint 'goes on'\n", nil, dialogue = true},
}

-- what both print, without what must differ: names, versions, addresses, C frames of the host, and the words of the usage
local function plain(output, path)
    output = output:gsub(path:gsub("%p", "%%%0"), "PROGRAM"):gsub("%f[%w/]lua5%.4:", "PROGRAM:")
    output = output:gsub("%f[%w]tlslife %d[^\n]*\n", ""):gsub("%f[%w]Lua 5%.4[^\n]*\n", "")
    output = output:gsub("0x%x+", "ADDRESS"):gsub("\n\tno f[^\n]*", ""):gsub("\n%s*%[C%]: in %?", "")
    return (output:gsub("(usage: PROGRAM %[options%] %[script %[args%]%]\n).*", "%1"))
end

-- a dialogue without its prompts, and without the input that readline repeats
local function answers(output, input)
    local asked, said = {}, {}
    for line in input:gmatch "[^\n]+" do asked[line] = true end
    for line in output:gmatch "[^\n]+" do
        line = line:gsub("^[> ]+", "")
        if line ~= "" and not asked[line] then said[#said + 1] = line end
    end
    return table.concat(said, "\n")
end

-- By one shell, and not by process.run: this is done a hundred times.
local function shell(path, words, input, environment)
    local command = {"LUA_PATH=" .. process.quote(directory() .. "/?.lua;;")}
    for name, value in pairs(environment or {}) do command[#command + 1] = name .. "=" .. process.quote(value) end
    command[#command + 1] = "timeout 20 " .. process.quote(path)
    for _, word in ipairs(words) do command[#command + 1] = process.quote(word) end
    command[#command + 1] = "<" .. process.quote(process.spill(directory() .. "/input", input or "")) .. " 2>&1; echo \"exit $?\""
    local pipe = assert(io.popen(table.concat(command, " ")))
    local output, code = pipe:read "a":match "^(.*)exit (%d+)\n$"
    pipe:close()
    return tonumber(code), output
end

local function run(path, case)
    local code, output = shell(path, case[2], case[3], case[4])
    output = plain(output, path)
    return code, case.dialogue and answers(output, case[3]) or output
end

describe("the program", function()
    for _, case in ipairs(CASES) do
        it("does as lua does with " .. case[1], function()
            local code, output = run(program.path, case)
            local lua_code, lua_output = run("lua5.4", case)
            assert.equal(lua_output, output)
            assert.equal(lua_code, code)
        end)
    end

    it("says its versions", function()
        local code, output = shell(program.path, {"-v"})
        assert.equal(0, code)
        assert.truthy(output:match "tlslife 0%.1%.0" and output:match "Lua 5%.4" and output:match "OpenSSL 3%.", output)
    end)

    it("has the module inside", function()
        local code, output = shell(program.path, {"-e", "print(require 'tlslife'.version, package.searchers ~= nil)"}, "",
            {LUA_PATH = "", LUA_CPATH = ""})
        assert.equal(0, code, output)
        assert.equal("0.1.0\ttrue\n", output)
    end)

    it("gives the module to its prompt", function()
        local code, output = shell(program.path, {"-i"}, "tls.version\n")
        assert.equal(0, code, output)
        assert.truthy(output:find("0.1.0", 1, true), output)
    end)

    it("gives a script no globals that lua has not", function()
        local names = "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) print(table.concat(t, ' '))"
        local _, ours = shell(program.path, {"-e", names})
        local _, lua = shell("lua5.4", {"-e", names})
        assert.equal(lua, ours)
    end)

    it("dies of SIGPIPE as lua does, where its own output has no reader", function()
        local code = process.run {"bash", "-c", [["$@" | head -n 1; exit ${PIPESTATUS[0]}]], "bash", program.path, "-e",
            "for i = 1, 1e6 do print(i) end"}
        assert.equal(141, code)
    end)

    it("stops at Ctrl-C with an error in the script", function()
        local one = process.start {program.path, "-e",
            "print('ready ' .. io.open('/proc/self/stat'):read 'n') io.stdout:flush() while true do end"}
        os.execute("kill -INT " .. one:wait_for "ready (%d+)") -- once, and only it: a second one kills
        one:wait(10)
        assert.truthy(one:output():match "interrupted!", one:output())
    end)
end)
