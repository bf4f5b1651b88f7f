-- tlslife.command.trace: `tlslife trace [options] script.lua [args]` runs a script, and shows the
-- life of its connections.
--
-- Every context that the script makes, by whatever module, gets one trace. A thread of the program
-- takes the events and writes them while the script runs (host.trace_writer), so that the script
-- may wait, run for days and end by os.exit.

local command_options = require "tlslife.command.options"
local options = require "tlslife.trace.options"

local function complain(message)
    return command_options.complain(options.command, message)
end

-- A worker's own file.
local function path_of(output)
    local worker = require "tlslife.worker"
    if not output or not worker then return output end
    local stem, ending = output:match "^(.*)(%.%w+)$"
    return ("%s.%d%s"):format(stem or output, worker.index, ending or "")
end

-- Every context that is made from now on has the trace.
local function attach(trace)
    local tls = require "tlslife"
    local make = tls.context
    function tls.context(settings)
        if type(settings) == "table" and rawget(settings, "trace") == nil then
            local copy = {}
            for name, value in next, settings do copy[name] = value end
            copy.trace = trace
            settings = copy
        end
        return make(settings)
    end
end

local function start(given)
    local tls = require "tlslife"
    local words = {}
    for _, name in ipairs {"colour", "states", "records"} do
        if given[name] then words[#words + 1] = name end
    end
    local trace = tls.trace {bytes = (given.buffer or 16) << 20, secrets = given.secrets}
    local writer, message = require "tlslife.host".trace_writer(trace, given.format,
        path_of(given.output), table.concat(words, " "))
    if not writer then return nil, message end
    attach(trace)
    return writer
end

-- The table arg as the script has it when it is run without the trace; the words before it stay
-- below 0, as lua has it.
local function shift_arg(by)
    local shifted, first = {}, 0
    while arg[first - 1] do first = first - 1 end
    for i = first, #arg do shifted[i - by] = arg[i] end
    _G.arg = shifted
end

local function traceback(message)
    if type(message) ~= "string" then
        local meta = getmetatable(message)
        message = meta and meta.__tostring and tostring(message) or
            ("(error object is a %s value)"):format(type(message))
    end
    return debug.traceback(message, 2)
end

local function refuse(message)
    command_options.refuse(options.command, message)
end

return function(...)
    local words = {...}
    local given, script_words = command_options.parse(options.command, words)
    if not given then refuse(script_words) end
    if given.help then return io.stdout:write(command_options.help(options.command)) ~= nil end
    local settled, wrong = options.settle(given)
    if not settled then refuse(wrong) end
    local path = script_words[1]
    if not path then refuse "no script" end
    local script, message = loadfile(path)
    if not script then return complain(message) end
    local writer
    writer, message = start(settled)
    if not writer then return complain(message) end
    shift_arg(#words - #script_words + 1)
    local good, problem = xpcall(script, traceback, table.unpack(script_words, 2))
    if not good then complain(problem) end
    local written
    written, message = writer:stop()
    if not written then complain(message) end
    return good and written
end
