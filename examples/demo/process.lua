-- process.lua: the directory and the server processes that the demo makes, and how they go away.
--
-- Each is held by a guard: a small shell whose standard input is a pipe from us. When the pipe
-- ends, the guard kills its child, or removes the directory. It ends when we close it, when a
-- script fails, and also when we are killed: the kernel closes our end. So nothing is left behind,
-- whatever happened.

local process = {}

-- a Ctrl-C reaches the whole group; the guard must outlive us
local IGNORE = "trap '' INT TERM HUP; "

function process.quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Runs a command and returns its output, its first line only.
function process.line(command)
    local pipe = assert(io.popen(command, "r"))
    local line = pipe:read("l")
    assert(pipe:close() and line, "this command failed: " .. command)
    return line
end

local Directory = {}
Directory.__index = Directory

--- A new directory that only we can enter; its name is `path`. Closed, it is gone with all that is
-- in it.
function process.directory()
    local path = process.line("mktemp -d")
    local guard = assert(io.popen(IGNORE .. "cat >/dev/null; rm -rf " .. process.quote(path), "w"))
    return setmetatable({ path = path, guard = guard }, Directory)
end

function Directory:__close()
    self.guard:close()
end

local Server = {}
Server.__index = Server

--- Starts a server that says its port in a line that matches `pattern`; `fifo` is the path of the
-- pipe it says that in.
function process.server(command, fifo, pattern)
    assert(os.execute("mkfifo -m 600 " .. process.quote(fifo)))
    local guard = assert(io.popen(
        ("%s %s >%s 2>&1 </dev/null & child=$!; cat >/dev/null; kill -9 $child 2>/dev/null; " ..
            "wait $child 2>/dev/null"):format(IGNORE, command, process.quote(fifo)), "w"))
    local self = setmetatable({ guard = guard, output = assert(io.open(fifo, "r")) }, Server)
    for line in self.output:lines() do
        self.port = math.tointeger(tonumber(line:match(pattern)))
        if self.port then
            return self
        end
    end
    error("the server did not start: " .. command)
end

--- Kills the process, at once and from outside: its kernel ends the TCP stream, and nobody sends a
-- close_notify.
function Server:kill()
    if io.type(self.guard) == "file" then
        self.guard:close()
    end
    return true
end

--- The next line that the server said after its port; nil: it is dead and said no more.
function Server:line()
    return self.output:read "l"
end

function Server:__close()
    self:kill()
    self.output:close()
end

return process
