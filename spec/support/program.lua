--- The program that runs the specs, to be started as another process: `tlslife`, or a lua5.4 with
-- the module in its path.

local process = require "spec.support.process"

local program = {}

--- Its path.
program.path = (function()
    local pipe = assert(io.popen "exec readlink /proc/$PPID/exe")
    local path = assert(pipe:read "l")
    pipe:close()
    return path
end)()

--- The system's interpreter of the same version: "lua5.4".
program.stock = "lua" .. _VERSION:match "%d+%.%d+"

--- Whether it is tlslife, which has the module inside.
program.ours = program.path:match "[^/]+$" == "tlslife"

--- The path of the oracle, which is plain C on libssl: a sanitizer has nothing to see in it. The
-- suite names that of the dev build, which takes a third of the time.
function program.oracle()
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    return os.getenv "TLSLIFE_ORACLE" or build .. "/spec/c/oracle"
end

--- Whether it is built with AddressSanitizer, which takes time, and keeps freed memory.
function program.is_sanitized()
    return process.slurp "/proc/self/maps":match "libasan" ~= nil or
        process.slurp(program.path):find("__asan_init", 1, true) ~= nil
end

local function spill(chunk)
    return process.spill(("%s/chunk%s.lua"):format(process.directory(), tostring({}):match "0x%x+"),
        chunk)
end

--- Runs a Lua chunk with arguments in it, for two minutes at most. Returns the exit status and
-- the output.
function program.run(chunk, ...)
    return process.run {program.path, spill(chunk), timeout = 120, ...}
end

--- Runs a Lua chunk with arguments under spec/support/c/names.c, which gives the names their
-- addresses. Returns the exit status and the output.
function program.run_with_names(names, chunk, ...)
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    return process.run {"env", "LD_PRELOAD=names.so", "LD_LIBRARY_PATH=" .. build ..
        "/spec/support:" .. (os.getenv "LD_LIBRARY_PATH" or ""), "TLSLIFE_NAMES=" .. names,
        "ASAN_OPTIONS=" .. (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0",
        program.path, spill(chunk), timeout = 60, ...}
end

--- Does the same in a stock lua5.4, which handles no signals. Returns nil if that cannot load the
-- module, as one that is built with a sanitizer.
function program.run_stock(chunk, ...)
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    local pipe = assert(io.popen "pwd -P")
    local here = pipe:read "l"
    pipe:close()
    local environment = {LUA_PATH = here .. "/lua/?.lua;" .. here .. "/lua/?/init.lua",
        LUA_CPATH = build .. "/lua/?.so"}
    local try = {program.stock, "-e", "require 'tlslife.core'", environment = environment}
    if process.run(try) ~= 0 then
        return nil
    end
    return process.run {program.stock, spill(chunk), environment = environment, timeout = 120, ...}
end

return program
