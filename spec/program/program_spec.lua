-- program_spec.lua: compares the program `tlslife` with lua5.4, which has the same options, outputs
-- and exit codes, and tests the threads that tlslife.host starts.

local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
local CPATH <const> = os.getenv "LUA_CPATH" or ";" -- luv may be beside the build: .ci/luv

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
local fails = process.spill(directory() ..
    "/fails.lua", "local function deep() error 'deep down' end\ndeep()\n")
local syntax = process.spill(directory() .. "/syntax.lua", "local x = = 1\n")
local object = process.spill(directory() .. "/object.lua",
    "error(setmetatable({}, {__tostring = function() return 'an object' end}))")
local shebang = process.spill(directory() ..
    "/shebang.lua", "#!/usr/bin/env lua\nprint 'shebang'\n")
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
    {"LUA_INIT_5_4 first", {"-e", "print 'after'"}, nil,
        {LUA_INIT = "print 'init'", LUA_INIT_5_4 = "print 'init 5.4'"}},
    {"LUA_INIT of a file", {"-e", "print 'after'"}, nil, {LUA_INIT = "@" .. shebang}},
    {"LUA_INIT that fails", {"-e", "print 'after'"}, nil, {LUA_INIT = "error 'init'"}},
    {"LUA_INIT that takes arg away", {script}, nil, {LUA_INIT = "arg = nil"}},
    {"many frames", {"-e",
        "local function f(n) if n == 0 then error 'bottom' end f(n - 1) return 1 end f(30)"}},
    {"a stack overflow", {"-e", "local function f() return 1 + f() end print(pcall(f) == false)"}},
    {"a to-be-closed variable",
        {"-e", "local x <close> = setmetatable({}, {__close = function() print 'closed' end})"}},
    {"an error in a coroutine", {"-e", "print(coroutine.resume(coroutine.create(error), 'x'))"}},
    {"output and failure",
        {"-e", "io.write 'out ' io.stdout:flush() io.stderr:write 'err ' error('end', 0)"}},
    {"-i and input", {"-i", "-e", "x = 5"}, "print(x)\n= x + 1\nx * 2\n", nil, dialogue = true},
    {"-i of several lines", {"-i"}, "for i = 1, 2 do\nprint(i)\nend\nerror 'no'\nprint 'goes on'\n",
        nil, dialogue = true},
    {"-i and a syntax error", {"-i"}, "x = = 1\nprint 'goes on'\n", nil, dialogue = true},
}

-- what both print, without what must differ: names, versions, addresses, C frames of the program,
-- and the words of the usage
local function plain(output, path)
    output = output:gsub(path:gsub("%p", "%%%0"), "PROGRAM"):gsub("%f[%w/]lua5%.%d:", "PROGRAM:")
    output = output:gsub("%f[%w]tlslife %d[^\n]*\n", ""):gsub("%f[%w]Lua 5%.%d[^\n]*\n", "")
    output = output:gsub("0x%x+", "ADDRESS"):gsub("\n\tno f[^\n]*",
        ""):gsub("\n%s*%[C%]: in %?", "")
    return (output:gsub("(usage: PROGRAM %[options%] %[script %[args%]%]\n).*", "%1"))
end

-- a dialogue without its prompts, and without the input that readline repeats
local function answers(output, input)
    local asked, said = {}, {}
    for line in input:gmatch "[^\n]+" do asked[line] = true end
    for line in output:gmatch "[^\n]+" do
        local text = line:gsub("^[> ]+", "")
        if text ~= "" and not asked[text] then said[#said + 1] = text end
    end
    return table.concat(said, "\n")
end

-- By one shell, and not by process.run: this is done a hundred times.
local function shell(path, words, input, environment)
    local command = {"LUA_PATH=" .. process.quote(directory() .. "/?.lua;;")}
    for name, value in pairs(environment or {}) do
        command[#command + 1] = name .. "=" .. process.quote(value)
    end
    command[#command + 1] = "timeout 20 " .. process.quote(path)
    for _, word in ipairs(words) do command[#command + 1] = process.quote(word) end
    command[#command + 1] = "<" .. process.quote(process.spill(directory() .. "/input",
        input or "")) .. " 2>&1; echo \"exit $?\""
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
        it("behaves as lua5.4 does with " .. case[1], function()
            local code, output = run(program.path, case)
            local lua_code, lua_output = run(program.stock, case)
            assert.equal(lua_output, output)
            assert.equal(lua_code, code)
        end)
    end

    it("prints its versions", function()
        local code, output = shell(program.path, {"-v"})
        assert.equal(0, code)
        for _, name in ipairs {"tlslife " .. require "tlslife".version, _VERSION .. ".",
            "OpenSSL 3."} do
            assert.truthy(output:find(name, 1, true), output)
        end
    end)

    it("prints its options when asked", function()
        local code, output = shell(program.path, {"--help"})
        assert.equal(0, code)
        assert.truthy(output:find("usage: ", 1, true) and output:find("-l mod", 1, true), output)
    end)

    it("contains the module", function()
        local code, output = shell(program.path,
            {"-e", "print(require 'tlslife'.version, package.searchers ~= nil)"}, "",
            {LUA_PATH = "", LUA_CPATH = ""})
        assert.equal(0, code, output)
        assert.equal(require "tlslife".version .. "\ttrue\n", output)
    end)

    it("has the module loaded at its prompt", function()
        local code, output = shell(program.path, {"-i"}, "tls.version\n")
        assert.equal(0, code, output)
        assert.truthy(output:find(require "tlslife".version, 1, true), output)
    end)

    it("gives a script the same globals as lua", function()
        local names = "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) " ..
            "print(table.concat(t, ' '))"
        local _, ours = shell(program.path, {"-e", names})
        local _, lua = shell(program.stock, {"-e", names})
        assert.equal(lua, ours)
    end)

    it("is ended by SIGPIPE as lua is, where nobody reads its output", function()
        local code = process.run {"bash", "-c", [["$@" | head -n 1; exit ${PIPESTATUS[0]}]], "bash",
            program.path, "-e", "for i = 1, 1e6 do print(i) end"}
        assert.equal(141, code)
    end)

    it("stops at Ctrl-C with an error in the script", function()
        local one = process.start {program.path, "-e",
            "print('ready ' .. io.open('/proc/self/stat'):read 'n') io.stdout:flush() " ..
            "while true do end"}
        -- once, and only it: a second one kills
        os.execute("kill -INT " .. one:wait_for "ready (%d+)")
        one:wait(10)
        assert.truthy(one:output():match "interrupted!", one:output())
    end)
end)

-- What threads{} below has in common: start(index, options) makes one, and `ends` has our ends of
-- the control sockets.
local PRELUDE = [[
local worker = require "tlslife.worker"
local host, uv, tls = require "tlslife.host", require "luv", require "tlslife"
local ends = {}
local function start(index, options)
    local pair = uv.socketpair(nil, nil, {nonblock = true}, {nonblock = true})
    ends[index] = uv.new_pipe(false)
    ends[index]:open(pair[1])
    options = options or {}
    options.index, options.control = index, pair[2]
    return assert(host.thread(options))
end
local function wait_for_end(index)
    local seen
    ends[index]:read_start(function(_, bytes)
        seen = bytes or "end"
        if not bytes then ends[index]:close() end
    end)
    uv.run()
    return seen
end
]]

describe("the threads of the program", function()
    local count = 0

    -- a program of PRELUDE and this; its exit status and output, with its words behind the script
    local function threads(text, words, before)
        count = count + 1
        local path = process.spill(("%s/threads%d.lua"):format(directory(), count), PRELUDE .. text)
        local environment = {LUA_PATH = directory() .. "/?.lua;;",
            LUA_CPATH = BUILD .. "/spec/support/?.so;" .. CPATH}
        local command = {program.path, timeout = 20, environment = environment}
        for _, word in ipairs(before or {}) do command[#command + 1] = word end
        command[#command + 1] = path
        for _, word in ipairs(words or {}) do command[#command + 1] = word end
        return process.run(command)
    end

    local function good(...)
        local code, output = threads(...)
        assert.equal(0, code, output)
        return output
    end

    setup(function() if not pcall(require, "luv") then pending "lua-luv is not installed" end end)

    it("run the script again, in a state prepared like the first", function()
        local output = good([[
            local names = {}
            for name in pairs(_G) do names[#names + 1] = name end
            table.sort(names)
            print((arg[0]:gsub(".*/", "")), table.concat({...}, " "), arg[1], loaded.value,
                collectgarbage "incremental", package.path,
                table.concat(names, " "))
            warn "warned"
            if not worker then print(start(1):join()) end
        ]], {"one", "-e"}, {"-W", "-l", "loaded=aux", "-e", "before = 1"})
        local first, second = output:match "^(.-Lua warning: warned\n)(.-)0\n$"
        assert.is_not_nil(first, output)
        assert.equal(first, second)
        assert.truthy(first:match "^aux.*\tone %-e\tone\t42\tgenerational\t.* before .* xpcall",
            first)
    end)

    it("run a chunk of -e again, and ignore the environment with -E", function()
        local chunk = [[
            local worker = require "tlslife.worker"
            print(worker and worker.index, package.path:find "nowhere" ~= nil)
            if worker then return end
            local pair = require "luv".socketpair()
            require "tlslife.host".thread {index = 7, control = pair[1]}:join()
        ]]
        local code, output = shell(program.path, {"-e", chunk}, "",
            {LUA_PATH = "/tlslife-nowhere;;"})
        assert.equal("0 false\ttrue\n7\ttrue\n", code .. " " .. output)
        if CPATH ~= ";" and shell(program.path, {"-E", "-e", "require 'luv'"}, "", {}) ~= 0 then
            return pending "luv is found by LUA_CPATH alone, which -E ignores"
        end
        code, output = shell(program.path, {"-E", "-e", chunk}, "",
            {LUA_PATH = "/tlslife-nowhere;;"})
        assert.equal("0 false\tfalse\n7\tfalse\n", code .. " " .. output)
    end)

    it("get index, control descriptor, and the shared cache, keys and listeners", function()
        local output = good([[
            if worker then
                local same = worker == require "tlslife.worker"
                package.loaded["tlslife.worker"] = nil
                local one, other = table.unpack(worker.listeners)
                print(same and worker == require "tlslife.worker", worker.index,
                    math.type(worker.control), worker.thread, tls.type(worker.cache),
                    tls.type(worker.ticket_keys), #worker.listeners, tls.type(one),
                    one:port() == other:port(), one:fd() ~= other:fd())
                local client = assert(tls.context {role = "client", verify = "none"})
                worker.cache:put(client:import_session(io.open(arg[1]):read "a"))
                return
            end
            local cache, listener = assert(tls.cache {}), assert(tls.listen("127.0.0.1", 0))
            print(worker, start(1, {cache = cache, ticket_keys = tls.ticket_keys {},
                listeners = {listener, listener:fd()}}):join())
            print(#cache, listener:port() > 0)
        ]], {process.spill(directory() .. "/session.pem",
            require "spec.support.pair".session():export "pem")})
        assert.equal("true\t1\tinteger\ttrue\tcache\tticket_keys\t2\tlistener\ttrue\ttrue\n" ..
            "false\t0\n1\ttrue\n", output)
    end)

    it("close their control descriptor however they end, and report their status", function()
        local output = good [[
            if worker then
                local how = worker.index
                if how == 2 then error "as asked" end
                if how == 3 then pcall(coroutine.wrap(function() pcall(os.exit, 7) end)) end
                if how == 4 then os.exit(false) end
                if how == 5 then os.exit(true, true) end
                if how == 6 then -- the number is another's by the time the thread ends
                    local pipe = uv.new_pipe(false)
                    pipe:open(worker.control)
                    pipe:close()
                    uv.run()
                    assert(uv.socketpair()[1])
                end
                if how == 7 then -- out of the middle of a loop, with what the loop watches
                    local pair = uv.socketpair(nil, nil, {nonblock = true}, {nonblock = true})
                    for i = 1, 2 do
                        uv.new_poll(pair[i]):start("rw", function() os.exit(300) end)
                    end
                    uv.run()
                end
                if how == 8 then setmetatable({}, {__gc = function() os.exit(9) end}) end
                if how == 9 then
                    error(setmetatable({}, {__tostring = function() return "an object" end}))
                end
                return
            end
            for how = 1, 9 do
                local thread = start(how)
                local seen = wait_for_end(how)
                print(how, seen, thread:join(), thread:join(), thread:status(),
                    (tostring(thread):match "worker %d, %l+"))
            end
        ]]
        for how, status in ipairs {0, 1, 7, 1, 0, 0, 44, 0, 1} do
            local line = ("%d\tend\t%d\t%d\t%d\tworker %d, over\n"):format(how, status, status,
                status, how)
            assert.truthy(output:find(line, 1, true), output)
        end
        assert.truthy(output:match "threads%d+%.lua:%d+: as asked\nstack traceback:\n", output)
        assert.truthy(output:match "tlslife: an object\n", output)
    end)

    it("leave the caller its descriptors when they cannot start, and say why", function()
        local output = good [[
            if worker then return end
            local pair = uv.socketpair()
            local function refused(options) print(select(2, pcall(host.thread, options))) end
            refused {index = 1}
            refused {control = pair[1]}
            refused {index = 0, control = pair[1]}
            refused {index = 1, control = 99}
            refused {index = 1, control = "x"}
            refused {index = 1, control = pair[1], listeners = {pair[2]}}
            refused {index = 1, control = pair[1], listeners = 3}
            refused {index = 1, control = pair[1], cache = tls.ticket_keys {}}
            refused {index = 1, control = pair[1], ticket_keys = 1}
            refused {index = 1, control = pair[1], threads = 1}
            refused(1)
            assert(uv.fs_fstat(pair[1]) and uv.fs_fstat(pair[2]))
        ]]
        local lines = {}
        for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
        local says = {"option 'control' is missing", "option 'index' is missing",
            "'index' is an integer from 1", "'control': 99 is no open descriptor",
            "'control': x is no open descriptor", "'listeners': %d+ is no listening socket",
            "'listeners' is a list", "cache expected", "ticket_keys expected",
            "unknown option 'threads'", "table expected"}
        for i, what in ipairs(says) do
            assert.truthy(lines[i]:match(what), what .. ": " .. output)
        end
        local code, said = shell(program.path,
            {"-"}, "print(pcall(require 'tlslife.host'.thread, {index = 1, control = 0}))")
        assert.equal(
            "0 false\tthread: what the program runs comes from stdin, and cannot be run again\n",
            code .. " " .. said)
    end)

    -- Four that never end by themselves: in Lua, in a wait, in OpenSSL, in output.
    local RESTLESS = [[
        if worker then
            if worker.index == 1 then while true do end end
            if worker.index == 2 then uv.new_timer():start(1e6, 0, print) uv.run() end
            if worker.index == 3 then
                while true do tls.context {role = "client", verify = "none"}:connection():free() end
            end
            while true do io.stdout:write "." end
        end
        for i = 1, 4 do start(i) end
        uv.sleep(20)
        local file = io.open(arg[1], "w")
        file:write "all of it"
    ]]

    for how, case in pairs {
        ["with its script"] = {"", 0}, ["with an error"] = {"error 'as asked'", 1},
        ["with os.exit"] = {"os.exit(3)", 3},
        ["with os.exit that closes"] = {"os.exit(4, true)", 4},
    } do
        it("neither outlive nor delay a program that ends " .. how, function()
            local path = directory() .. "/written"
            process.spill(path, "")
            local code, output = threads(RESTLESS .. case[1], {path})
            assert.equal(case[2], code, output:sub(-300))
            assert.equal("all of it", process.slurp(path))
        end)
    end

    it("go on running when their userdata is collected", function()
        assert.equal("end\n", good [[
            if worker then return uv.sleep(20) end
            start(1)
            collectgarbage()
            collectgarbage()
            print(wait_for_end(1))
        ]])
    end)

    it("leave SIGINT to the main thread", function()
        local path = process.spill(directory() .. "/interrupted.lua", PRELUDE .. [[
            if worker then
                local timer = uv.new_timer()
                timer:start(1e6, 0, print)
                ends[1] = uv.new_pipe(false)
                ends[1]:open(worker.control)
                ends[1]:read_start(function() os.exit(5) end)
                uv.run()
            end
            local thread = start(1)
            print('ready ' .. io.open('/proc/self/stat'):read 'n')
            io.stdout:flush()
            print(pcall(function() while true do end end))
            ends[1]:close()
            uv.run()
            print("status", thread:join())
        ]])
        local one = process.start {program.path, path}
        os.execute("kill -INT " .. one:wait_for "ready (%d+)")
        assert.equal(0, one:wait(10), one:output())
        assert.truthy(one:output():match "interrupted!\nstatus\t5\n", one:output())
    end)

    it("count as ended in a child of fork", function()
        local output = good [[
            if worker then
                ends[1] = uv.new_pipe(false)
                ends[1]:open(worker.control)
                ends[1]:read_start(function() os.exit(5) end)
                uv.run()
            end
            local running, over = start(1), start(2)
            ends[2]:close()
            uv.run "nowait"
            over:join()
            local in_child, status = require "fork"()
            if in_child then
                io.stderr:write(("child %s %d %d\n"):format(running:status(), running:join(),
                    over:join()))
                running, over = nil, nil
                collectgarbage()
                uv.kill(uv.os_getpid(), "sigterm")
            end
            print("parent", status, running:status())
            ends[1]:close()
            uv.run()
            print(running:join())
        ]]
        assert.equal("child 1 1 5\nparent\t15\tnil\n5\n", output)
    end)

    it("serve clients and connect to one another", function()
        local pki = require "spec.support.pki".get()
        local code, output = process.run {program.path, "spec/program/program_threads.lua",
            pki.server_cert_file, pki.server_key_file, pki.ca_file}
        assert.equal(0, code, output)
        assert.equal("5 passed, 0 failed\n", output)
    end)
end)

describe("tlslife.worker in a process", function()
    local environment = {
        LUA_PATH = "lua/?.lua;lua/?/init.lua;;",
        LUA_CPATH = BUILD .. "/lua/?.so;" .. CPATH,
    }

    -- our program, and lua5.4 with the module, which does not load there where it is sanitized
    local interpreters = {program.path}
    local try = {program.stock, "-e", "require 'tlslife.core'", environment = environment}
    if process.run(try) == 0 then
        interpreters[2] = program.stock
    end

    local function worker(path, value, chunk)
        environment.TLSLIFE_WORKER = value
        return process.run {path, "-e", chunk, timeout = 20, environment = environment}
    end

    it("is what the environment variable says, once", function()
        for _, path in ipairs(interpreters) do
            local code, output = worker(path, "3:0:", [[
                local worker = require "tlslife.worker"
                print(worker.index, worker.control, #worker.listeners, worker.thread, worker.cache,
                    worker.ticket_keys)
                print(worker == require "tlslife.worker", os.execute '[ -z "$TLSLIFE_WORKER" ]')
            ]])
            assert.equal("0 3\t0\t0\tfalse\tnil\tnil\ntrue\ttrue\texit\t0\n", code .. " " .. output)
        end
    end)

    it("is false where there is no such variable", function()
        for _, path in ipairs(interpreters) do
            local code, output = worker(path, nil,
                "print(require 'tlslife.worker', (require 'tlslife.worker'))")
            assert.equal("0 false\t", code .. " " .. output:sub(1, 6))
        end
    end)

    it("has the listeners that the parent left open", function()
        for _, path in ipairs(interpreters) do
            local code, output = worker(path, nil, [[
                local tls, uv = require "tlslife", require "luv"
                local listener = assert(tls.listen("127.0.0.1", 0))
                local pair, status = uv.socketpair(), nil
                local chunk = "for _, one in ipairs(require 'tlslife.worker'.listeners) do " ..
                    "print(one:fd(), one:port()) end"
                local env = {"TLSLIFE_WORKER=1:3:4,5"}
                for name, value in pairs(uv.os_environ()) do
                    env[#env + 1] = name .. "=" .. value
                end
                local stdio = {0, 1, 2, pair[2], listener:fd(), listener:fd()}
                uv.spawn(uv.exepath(), {args = {"-e", chunk}, env = env, stdio = stdio},
                    function(code) status = code end)
                uv.run()
                print(status, listener:port())
            ]])
            assert.equal(0, code, output)
            local one, other, port = output:match "^4\t(%d+)\n5\t(%d+)\n0\t(%d+)\n$"
            assert.is_true(port ~= nil and one == port and other == port, output)
        end
    end)

    it("is refused where the variable is malformed", function()
        for _, value in ipairs {"", "x", "1", "1:3", "0:3:", "1:x:", "1:3:4;5", "-1:3:",
            "1:99999999999999999999:", "1:3:0", "1:3:77"} do
            local code, output = worker(program.path, value, "require 'tlslife.worker'")
            assert.equal(1, code, value .. ": " .. output)
            assert.truthy(output:match "TLSLIFE_WORKER" or output:match "listen",
                value .. ": " .. output)
        end
    end)
end)
