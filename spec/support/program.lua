--- This very program again, as a second process: `tlslife`, or the lua5.4 that runs the specs with the module in its path.

local process = require "spec.support.process"

local program = {}

--- Where it lies.
program.path = (function()
    local pipe = assert(io.popen "exec readlink /proc/$PPID/exe")
    local path = assert(pipe:read "l")
    pipe:close()
    return path
end)()

--- Whether it is ours: an interpreter with the module inside.
program.ours = program.path:match "[^/]+$" == "tlslife"

--- Whether AddressSanitizer is in it, which takes time, and keeps memory.
function program.is_sanitized()
    return process.slurp "/proc/self/maps":match "libasan" ~= nil or
        process.slurp(program.path):find("__asan_init", 1, true) ~= nil
end

--- Runs a Lua chunk with arguments to its end; exit status and output. It must not outlive ten seconds.
function program.run(chunk, ...)
    local path = process.spill(("%s/chunk%s.lua"):format(process.directory(), tostring({}):match "0x%x+"), chunk)
    return process.run {program.path, path, timeout = 20, ...}
end

return program
