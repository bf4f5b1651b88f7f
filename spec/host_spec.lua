-- host_spec.lua: the program `tlslife` beside Debian's lua5.4: the same commands to both, and the same output,
-- messages, tracebacks and exit codes from both. What differs on purpose is below, with what it must be.
--
-- Both are called as "lua", through a link in a directory of their own, so that messages are equal to the letter.

local process = require "spec.support.process"
local program = require "spec.support.program"

local quote = process.quote
local directory

local function command_output(command)
    local pipe = assert(io.popen(command))
    local output = pipe:read "a"
    pipe:close()
    return output
end

-- what a shell fragment prints, on both streams, and its exit status, with `lua` being ours or theirs
local function run(whose, fragment)
    return command_output(("cd %s && { PATH=%s:$PATH; export PATH; (\n%s\n) 2>&1; echo \"status $?\"; }")
        :format(quote(directory), quote(directory .. "/" .. whose), fragment))
end

local FILES = {
    ["args.lua"] = [[print(#arg, ...) for i = -9, #arg do if arg[i] then io.write(i, "=", arg[i], " ") end end print()]],
    ["table.lua"] = "error {code = 2}",
    ["tostring.lua"] = "error(setmetatable({}, {__tostring = function() return 'as text' end}))",
    ["tostring2.lua"] = "error(setmetatable({}, {__tostring = function() return 1 end, __name = 'mine'}))",
    ["exit.lua"] = "os.exit(3)",
    ["syntax.lua"] = "x = = 1",
    ["shebang.lua"] = "#!/usr/bin/env lua\nprint 'ran'",
    ["returns.lua"] = "return 1, 2, 3",
    ["deep.lua"] = "local function f() error 'deep' end local function g() f() end g()",
    ["coroutine.lua"] = "coroutine.wrap(function() error 'inside' end)()",
    ["m.lua"] = "print('m', ...) return {v = 1}",
    ["m-v2.lua"] = "return {v = 2}",
    ["noarg.lua"] = "arg = nil",
    ["overflow.lua"] = "local function f() return 1 + f() end f()",
}

local SAME = {
    options = {
        "lua args.lua a b c", "lua -- args.lua a", "lua - a b <args.lua", "lua <args.lua", "lua args.lua -e 1 -v --",
        "lua -e 'print(1)' args.lua x", "lua '-eprint(2)'", "lua -e 'x = 1' -e 'print(x)'", "lua -E -W args.lua",
        "lua -- - </dev/null", "lua ''", "lua -e 'print(#arg, arg[0], arg[-1])'", "lua - -v <args.lua", "lua shebang.lua",
        "lua returns.lua", "echo 'return 4' | lua", "lua -l m -e 'print(m.v)'", "lua -lm -e 'print(m.v)'",
        "lua -l g=m -e 'print(g.v, m)'",
        "lua -l m args.lua", "lua -l noarg args.lua 1",
    },
    ["wrong options"] = {
        "lua -x 2>&1 | head -n 2", "lua -e 2>&1 | head -n 2", "lua -l 2>&1 | head -n 2", "lua -l -v 2>&1 | head -n 2",
        "lua -vv 2>&1 | head -n 2",
        "lua --x 2>&1 | head -n 2", "lua -ix 2>&1 | head -n 2", "lua -e -v >/dev/null 2>&1", "lua -x args.lua >/dev/null 2>&1",
    },
    ["exit codes and tracebacks"] = {
        "lua nosuch.lua", "lua table.lua", "lua tostring.lua", "lua tostring2.lua", "lua exit.lua", "lua syntax.lua", "lua deep.lua",
        "lua coroutine.lua", "lua -l nosuch", "lua -e 'print(1'", "echo 'x x' | lua -", "lua -e 'error(nil)'", "lua -e 'error()'",
        "lua -e 'error(12)'", "lua -e 'error(\"a\", 0)'", "lua -e 'os.exit(true)'", "lua -e 'os.exit(false)'",
        "lua -e 'os.exit(5, true)'",
        "lua -e 'local x <close> = setmetatable({}, {__close = function() print(1) end}) error(\"z\")'", "lua -e 'return 5'",
        "lua -e 'print(debug.traceback())'", "lua -e 'setmetatable({}, {__gc = function() print(\"collected\") end})'",
        "lua -e 'setmetatable({}, {__gc = function() error(\"not said\") end})'", "lua overflow.lua 2>&1 | head -n 12",
    },
    environment = {
        "LUA_INIT='print(7)' lua -e ''", "LUA_INIT=@args.lua lua exit.lua", "LUA_INIT='error(9)' lua -e 'print(1)'",
        "LUA_INIT='print(7)' lua -E args.lua", "LUA_INIT_5_4='print(54)' LUA_INIT='print(5)' lua args.lua",
        "LUA_INIT='print((' lua args.lua", "LUA_INIT=@/nosuch lua args.lua", "LUA_INIT='os.exit(6)' lua -e 'print(1)'",
        "LUA_PATH='/q/?.lua;;' lua -e 'print(package.path, package.cpath)'", "LUA_PATH=/q lua -E -e 'print(package.path)'",
    },
    ["warnings and collectors"] = {
        "lua -W -e 'warn(\"hi\")'", "lua -e 'warn(\"hi\")'", "lua -e 'warn(\"@on\") warn(\"a\", \"b\")'",
        "lua -e 'warn(\"a\")' -W -e 'warn(\"b\")'",
        "lua -W -e 'setmetatable({}, {__gc = function() error(\"said\") end})'", "lua -e 'print(collectgarbage(\"incremental\"))'",
    },
    signals = {
        "lua -e 'os.execute(\"(sleep 0.2; kill -INT $PPID) &\") while true do end'",
        "lua -e 'print(pcall(function() os.execute(\"(sleep 0.2; kill -INT $PPID) &\") while true do end end)) print(1)'",
        "{ lua -e 'while true do print(1) end'; echo \"ended $?\" >&2; } | head -n 1",
        "lua -e 'print(os.execute(\"kill -PIPE $$\"))'",
    },
}

describe("the program", function()
    lazy_setup(function()
        if not program.ours then return end
        directory = process.directory() .. "/host"
        assert(os.execute(("mkdir -p %s/ours %s/theirs"):format(directory, directory)))
        assert(os.execute(("ln -s %s %s/ours/lua"):format(quote(program.path), directory)))
        assert(os.execute(("ln -s \"$(command -v lua5.4)\" %s/theirs/lua"):format(directory)))
        for name, text in pairs(FILES) do
            process.spill(directory .. "/" .. name, text)
        end
    end)

    if not program.ours then
        return pending "these specs run in another program"
    end

    for kind, fragments in pairs(SAME) do
        it("does as lua does: " .. kind, function()
            for _, fragment in ipairs(fragments) do
                local theirs = run("theirs", fragment)
                assert.truthy(theirs:match "status %d+\n$")
                assert.equal(fragment .. "\n" .. theirs, fragment .. "\n" .. run("ours", fragment))
            end
        end)
    end

    it("has the module inside, with no file installed", function()
        local chunk = [[local t = require "tlslife"
            print(t.version, t == require "tlslife", (package.searchpath("tlslife.core", package.cpath)), tls, tlslife)]]
        assert.equal("0.1.0\ttrue\tnil\tnil\tnil\nstatus 0\n",
            run("ours", "cd / && LUA_PATH= LUA_CPATH= lua -e " .. quote(chunk)))
    end)

    it("loads C modules that look for Lua's functions in it", function()
        assert.equal("function\tfunction\tfunction\nstatus 0\n",
            run("ours", [[lua -e 'print(type(require "lfs".dir), type(require "term".isatty), type(require "system".gettime))']]))
    end)

    it("says the three versions", function()
        assert.matches("^tlslife 0%.1%.0, OpenSSL 3%.[^\n]+, Lua 5%.4[^\n]*\nstatus 0\n$", run("ours", "lua -v"))
        assert.matches("^tlslife 0%.1%.0, OpenSSL 3%.[^\n]+\n2\nstatus 0\n$", run("ours", "lua -v -e 'print(2)'"))
    end)

    -- lua is killed here. A server must not be, by a peer who is gone.
    it("outlives a broken pipe that is not its own output", function()
        local chunk = [[local pipe = io.popen("exec true", "w") os.execute "sleep 0.1" print(pipe:write(("x"):rep(100000)))]]
        assert.equal("status 141\n", run("theirs", "lua -e " .. quote(chunk)))
        assert.equal("nil\tBroken pipe\t32\nstatus 0\n", run("ours", "lua -e " .. quote(chunk)))
    end)

    describe("at its prompt", function()
        local function prompt(input, options)
            local path = process.spill(directory .. "/input", input)
            local output = run("ours", ("lua -i %s <%s"):format(options or "", path))
            return (output:gsub("^tlslife[^\n]*\n", ""))
        end

        it("prints what an expression is worth, and asks for the rest of a statement", function()
            assert.equal("> 3\n> > 1\tnil\t2\n> 5\n> >> >> 1\n2\n> > \nstatus 0\n",
                prompt "1 + 2\nx = 5\n1, nil, 2\n=x\nfor i = 1, 2 do\nprint(i)\nend\n\n")
        end)

        it("goes on after a mistake", function()
            assert.equal("> stdin:1: unexpected symbol near ')'\n> stdin:1: a\nstack traceback:\n\t[C]: in function 'error'\n"
                .. "\tstdin:1: in main chunk\n\t[C]: in ?\n> 1\n> \nstatus 0\n", prompt "x = )\nerror 'a'\n1\n")
            assert.equal("> > error calling 'print' (attempt to call a nil value)\n> \nstatus 0\n", prompt "print = nil\n1\n")
        end)

        it("says that the end came too early", function()
            assert.matches("^> >> stdin:1: unexpected symbol near <eof>\n> \nstatus 0\n$", prompt "x =")
        end)

        it("has the module as tls and tlslife", function()
            assert.equal("> 0.1.0\ttrue\n> \nstatus 0\n", prompt 'tls.version, tls == tlslife and tls == require "tlslife"\n')
        end)

        it("comes after the script, and asks as it is told to", function()
            assert.equal("2\tx\ty\n-2=lua -1=-i 0=args.lua 1=x 2=y \n> $ 1\n$ \nstatus 0\n", prompt("_PROMPT = '$ '\n1\n",
        "args.lua x y"))
        end)
    end)
end)
