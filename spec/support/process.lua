--- Starts, watches and stops programs for specs. All of them end when the suite's process ends, in
-- whatever way.
--
-- Lua alone can neither kill a process nor wait for one. So one shell, the keeper, is started
-- through a pipe. It takes commands on its standard input, and every program is a child of it. When
-- that input ends, as it does when this process ends by os.exit or by SIGKILL, the keeper kills all
-- programs and removes the directory. It is in a session of its own, so that a signal to the
-- suite's process group does not end it first. Each program runs under timeout(1), which leads a
-- process group, so that workers are killed together with their parent.
--
--   local process = require "spec.support.process"
--   local server = process.start {"openssl", "s_server", "-accept", port, timeout = 20,
--       stdin = true}
--   server:wait_for_port(port)            -- raises with the output if it ends, or time is up
--   server:wait_for("ACCEPT (%d+)")       -- a Lua pattern in the output; returns its captures
--   server:write "text"; server:finish_input()
--   local code = server:wait(5)           -- exit status (128 + signal)
--   server:stop()                         -- kills it and waits for that; harmless if it has ended
--   local code, output = process.run {"curl", url, timeout = 10}
--   process.stop_all()                    -- for finally and after_each
--
-- Ports are looked up in /proc/net, so that waiting for one never costs the server a connection.

-- busted drops loaded modules, and thus their state, between files of specs. The registry keeps it.
local REGISTERED = "tlslife.spec.support.process"
local registry = debug.getregistry()
if registry[REGISTERED] then return registry[REGISTERED] end

local process = {
    kept = {}, -- for other helpers: what they make once in a process, by name
}
registry[REGISTERED] = process

local Process = {}
Process.__index = Process

local keeper -- the pipe to the keeper
local directory -- where everything of this run lies
local running = {}
local count = 0

local function quote(word)
    return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end
process.quote = quote

--- The content of a file, or nil.
local function slurp(path)
    local file = io.open(path, "rb")
    if not file then return nil end
    local text = file:read "a"
    file:close()
    return text
end
process.slurp = slurp

--- Writes a file and returns its path.
function process.spill(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return path
end

-- luasystem comes with busted. Without it, as in bench/, each sleep starts a shell and a program,
-- which takes some milliseconds of processor time.
local _, luasystem = pcall(require, "system")

function process.sleep(seconds)
    if type(luasystem) == "table" and luasystem.sleep then
        luasystem.sleep(seconds)
    else
        os.execute(("sleep %.3f"):format(seconds))
    end
end

--- Seconds of uptime, to a hundredth. os.time has whole seconds, and os.clock is processor time.
local function now()
    return tonumber(slurp("/proc/uptime"):match "^%S+")
end
process.now = now

-- $1 is the directory. It kills in several rounds, because a program that is just being started has
-- no pid yet.
local KEEPER = [[
end_all() {
    left=
    for run in "$1"/run[0-9]*; do
        [ -d "$run" ] && [ ! -e "$run/exit" ] || continue
        left=yes
        read -r id <"$run/pid" && kill -s KILL -- "-$id" "$id"
    done
    [ -n "$left" ]
}
trap '
    exec 2>/dev/null
    rounds=60
    while end_all "$1" && [ $((rounds -= 1)) -gt 0 ]; do sleep 0.03; done
    rm -rf -- "$1"
' EXIT
]]

--- Starts the keeper, once. It has our standard output and error. The directory's path has a space
-- in it, so that quoting is tested.
local function keep()
    if keeper then return end
    local pipe = assert(io.popen "mktemp -d \"${TMPDIR:-/tmp}/tlslife spec.XXXXXX\"")
    directory = assert(pipe:read "l", "mktemp made no directory")
    pipe:close()
    keeper = assert(io.popen("exec setsid sh -s " .. quote(directory), "w"))
    keeper:setvbuf "no"
    keeper:write(KEEPER)
end

-- The directory of each file that has called process.directory().
local directories = {}

--- The path, without its end, of the file that has called the function that calls this one.
local function caller()
    local level = 3
    while true do
        local file = debug.getinfo(level, "S").source:match "^@(.+)%.lua$"
        if file then return file end
        level = level + 1
    end
end

--- The directory of the calling file, which is removed with its content when the process ends.
-- Busted runs all files of specs in one process. If they shared a directory, two that choose the
-- same name would overwrite each other's file.
function process.directory()
    keep()
    local file = caller()
    if not directories[file] then
        local path = directory .. "/" .. file:match "[^/]*/?[^/]*$":gsub("/", "-")
        assert(os.execute("mkdir " .. quote(path)))
        directories[file] = path
    end
    return directories[file]
end

--- Letters and digits by which this process's names differ from those of other runs.
function process.run_name()
    keep()
    return directory:match "%w+$"
end

--- The keeper's command to start one program. Its output goes to a file, the leader of its group is
-- in the file "pid", and its exit status in the file "exit".
local function launch(self, words, options)
    local input = options.stdin and "<\"$run/in\"" or "</dev/null"
    keeper:write("{ run=", quote(self.directory), "; env ", table.concat(options.environment, " "),
        " sh -c 'echo $$ >\"$0/pid\"; exec \"$@\"' \"$run\" timeout -k 1 ", ("%g "):format(
            options.timeout), table.concat(words, " "), " ", input, " >\"$run/out\" 2>&1; ",
        "echo $? >\"$run/exit.new\"; mv \"$run/exit.new\" \"$run/exit\"; } 2>/dev/null &\n")
end

--- Starts a program in our directory. The list has the words of its command; its fields are
--    timeout      seconds until it is killed (default 60)
--    stdin        true: for write() and finish_input(); a string: that is its input; nil: /dev/null
--    environment  table of variables
function process.start(command)
    keep()
    count = count + 1
    local self = setmetatable({name = command[1], directory = directory .. "/run" .. count},
        Process)
    local words, environment = {}, {}
    for i, word in ipairs(command) do words[i] = quote(word) end
    for name, value in pairs(command.environment or {}) do
        environment[#environment + 1] = name .. "=" .. quote(value)
    end
    local fifo = command.stdin == true and " && mkfifo " .. quote(self.directory .. "/in") or ""
    assert(os.execute("mkdir " .. quote(self.directory) .. fifo))
    if type(command.stdin) == "string" then
        process.spill(self.directory .. "/in", command.stdin)
    elseif command.stdin then
        -- To open a FIFO for writing alone would wait for its reader.
        self.input = assert(io.open(self.directory .. "/in", "r+"))
        self.input:setvbuf "no"
    end
    launch(self, words, {stdin = command.stdin, environment = environment,
        timeout = command.timeout or 60})
    running[self] = true
    return self
end

--- All that the program has written so far, to both streams.
function Process:output()
    return slurp(self.directory .. "/out") or ""
end

--- The exit status, or nil while it runs.
function Process:exit_status()
    return tonumber(slurp(self.directory .. "/exit") or "")
end

function Process:complain(what)
    error(("%s: %s; its output:\n%s"):format(self.name, what, self:output()), 0)
end

-- The pauses between two looks grow, because a look at the kernel's list of sockets takes
-- milliseconds of a processor, which the program needs, too.
local FIRST_PAUSE <const>, LONGER <const>, LONGEST_PAUSE <const> = 0.005, 1.3, 0.1

local function pauses()
    local pause = FIRST_PAUSE
    return function()
        process.sleep(pause)
        pause = math.min(pause * LONGER, LONGEST_PAUSE)
    end
end

--- Calls test until it returns something. Raises when the program has ended or the time is up.
function Process:await(what, seconds, test)
    local deadline, pause = now() + (seconds or 20), pauses()
    while true do
        local ended = self:exit_status() -- before test, which then sees all that it has written
        local found = table.pack(test())
        if found[1] then return table.unpack(found, 1, found.n) end
        if ended then self:complain(("ended with status %d before %s"):format(ended, what)) end
        if now() > deadline then self:complain("no " .. what .. " in time") end
        pause()
    end
end

--- Waits for a Lua pattern in the output. Returns its captures.
function Process:wait_for(pattern, seconds)
    return self:await(("%q"):format(pattern), seconds,
        function() return self:output():match(pattern) end)
end

function Process:wait_for_port(port, seconds)
    return self:await("port " .. port, seconds, function() return process.is_listening(port) end)
end

--- Waits for the end of the program. Returns the exit status. Raises if it does not end in time.
function Process:wait(seconds)
    local deadline, pause = now() + (seconds or 20), pauses()
    while not self:exit_status() do
        if now() > deadline then
            self:stop()
            self:complain "did not end in time"
        end
        pause()
    end
    running[self] = nil
    self:finish_input()
    return self:exit_status()
end

function Process:write(text)
    self.input:write(text)
end

function Process:finish_input()
    if self.input then self.input:close() end
    self.input = nil
end

--- Sends a signal to the program and its process group.
function Process:signal(name)
    local pid = self:await("pid", 20,
        function() return slurp(self.directory .. "/pid") end):match "%d+"
    keeper:write(("kill -s %s -- -%s %s 2>/dev/null\n"):format(name, pid, pid))
end

--- Kills the program, waits until it has ended, and returns its output.
function Process:stop()
    running[self] = nil
    if not self:exit_status() then
        pcall(self.signal, self, "KILL")
        self:await("end", 20, function() return self:exit_status() end)
    end
    self:finish_input() -- after the kill, because a program may end by itself when its input ends
    return self:output()
end

function process.stop_all()
    for one in pairs(running) do one:stop() end
end

--- Runs a program to its end, within its timeout. Returns the exit status and the output.
function process.run(command)
    local one = process.start(command)
    local status = one:wait((command.timeout or 60) + 5)
    return status, one:output()
end

--- Whether a TCP socket listens on the port, on any address. Its line in /proc/net has the state
-- 0A.
function process.is_listening(port)
    local line = (":%04X 0+:0000 0A"):format(port)
    for _, path in ipairs {"/proc/net/tcp", "/proc/net/tcp6"} do
        if (slurp(path) or ""):find(line) then return true end
    end
    return false
end

local random = io.open("/dev/urandom", "rb")
local given = {} -- by free_port

--- Starts a Redis server without persistence, with more words for its command line. seconds is how
-- long it lives at most. Returns its port and its process.
function process.start_redis(seconds, ...)
    local port = process.free_port()
    local server = process.start {"redis-server", "--port", port, "--bind", "127.0.0.1", "--save",
        "", "--appendonly", "no", timeout = seconds, ...}
    server:wait_for_port(port)
    return port, server
end

--- The same on a Unix socket, or nil where there is no redis-server. Returns the socket's path and
-- its process.
function process.start_redis_socket(seconds, ...)
    if not os.execute "command -v redis-server >/dev/null" then return nil end
    local path = process.directory() .. "/redis.sock"
    local server = process.start {"redis-server", "--port", "0", "--unixsocket", path, "--save", "",
        "--appendonly", "no", timeout = seconds, ...}
    server:wait_for("[Rr]eady to accept connections", 60)
    return path, server
end

--- A port that nobody listens on, below those that the kernel gives out by itself. It gives no port
-- twice, because who has asked for the first one may not listen yet.
function process.free_port()
    while true do
        local port = 20000 + ("I2"):unpack(random:read(2)) % 12000
        if not given[port] and not process.is_listening(port) then
            given[port] = true
            return port
        end
    end
end

return process
