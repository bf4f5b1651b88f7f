-- tlslife.command.trace: `tlslife trace [options] script.lua [args]` runs a script, and shows the
-- life of its connections.
--
-- Every context that the script makes, by whatever module, gets one trace. A thread of the program
-- takes the events and writes them while the script runs (host.trace_writer), so that the script
-- may wait, run for days and end by os.exit.

local USAGE <const> = [[
usage: tlslife trace [options] script [args]
Runs the script and shows what its connections do, on stderr or in a file.
  -o, --output FILE   write to FILE
  -f, --format WORD   text, json, pcapng or html; by default what FILE ends in, or text
  --secrets           record the bytes of the transports and the keys that decrypt them, too:
                      pcapng needs it. Who reads the file reads the traffic
  --states            text: the states of libssl, too
  --records           text: the records, too
  --colour WORD       text: always, never or auto (the default: on a terminal)
  --buffer MIB        memory for events that are not written yet, 1 to 1024; default 16
  --help              show this
A worker of tls.serve writes a file of its own: trace.html, trace.1.html, trace.2.html.
]]

local ENDINGS <const> = {json = "json", jsonl = "json", pcapng = "pcapng", html = "html",
    htm = "html"}

local function complain(message)
    io.stderr:write("tlslife trace: ", message, "\n")
    return false
end

-- The options, and the index of the script in words; or nil and what is wrong.
local function parse(words)
    local given = {colour = "auto", buffer = 16}
    local long = {o = "output", f = "format"}
    local flags = {secrets = true, states = true, records = true, help = true}
    local valued = {output = true, format = true, colour = true, color = true, buffer = true}
    local at = 1
    while words[at] and words[at]:sub(1, 1) == "-" and words[at] ~= "-" do
        local word = words[at]
        if word == "--" then return given, at + 1 end
        local name, value = word:match "^%-%-(%w+)=(.*)$"
        name = name or word:match "^%-%-(%w+)$" or long[word:match "^%-(%w)$"]
        if flags[name] and not value then
            given[name] = true
        elseif valued[name] then
            if not value then
                at = at + 1
                value = words[at]
            end
            if not value then return nil, ("'%s' needs an argument"):format(word) end
            given[name == "color" and "colour" or name] = value
        else
            return nil, ("unrecognized option '%s'"):format(word)
        end
        at = at + 1
    end
    return given, at
end

-- Settles what follows from the options; or nil and what is wrong.
local function settle(given)
    local ending = given.output and given.output:lower():match "%.(%w+)$"
    given.format = given.format or ENDINGS[ending] or "text"
    given.buffer = math.tointeger(tonumber(given.buffer))
    if not ({text = 1, json = 1, pcapng = 1, html = 1})[given.format] then
        return nil, ("'%s' is no format: text, json, pcapng and html are"):format(given.format)
    elseif not ({always = 1, never = 1, auto = 1})[given.colour] then
        return nil, "--colour is always, never or auto"
    elseif not given.buffer or given.buffer < 1 or given.buffer > 1024 then
        return nil, "--buffer is a number of MiB, 1 to 1024"
    elseif given.format == "pcapng" and not given.secrets then
        return nil, "a capture has the traffic and the keys that decrypt it: say --secrets, too"
    elseif not given.output and (given.format == "pcapng" or given.format == "html") then
        return nil, ("%s needs a file: --output FILE"):format(given.format)
    end
    given.colour = given.format == "text" and not given.output and
        require "tlslife.words".wants_colour(given.colour, 2)
    return given
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
    function tls.context(options)
        if type(options) == "table" and rawget(options, "trace") == nil then
            local copy = {}
            for name, value in next, options do copy[name] = value end
            copy.trace = trace
            options = copy
        end
        return make(options)
    end
end

local function start(given)
    local tls = require "tlslife"
    local words = {}
    for _, name in ipairs {"colour", "states", "records"} do
        if given[name] then words[#words + 1] = name end
    end
    local trace = tls.trace {bytes = given.buffer << 20, secrets = given.secrets}
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

return function(...)
    local words = {...}
    local given, at = parse(words)
    if given and given.help then
        io.stdout:write(USAGE)
        return true
    end
    local settled, wrong = given, at
    if given then settled, wrong = settle(given) end
    if settled and not words[at] then settled, wrong = nil, "no script" end
    if not settled then
        complain(wrong)
        io.stderr:write(USAGE)
        return false
    end
    local script, message = loadfile(words[at])
    if not script then return complain(message) end
    local writer
    writer, message = start(settled)
    if not writer then return complain(message) end
    shift_arg(at)
    local good, problem = xpcall(script, traceback, table.unpack(words, at + 1))
    if not good then complain(problem) end
    local written
    written, message = writer:stop()
    if not written then complain(message) end
    return good and written
end
