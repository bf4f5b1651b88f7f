-- tlslife.trace.writer: takes the events of a trace and writes them in one of the formats.
--
--     local writer = require "tlslife.trace.writer"
--     local step = writer(trace, "json", function(text) file:write(text) end)
--     step()      -- writes what has happened; whenever there is time, before the trace is full
--     step(true)  -- and the end
--
-- The formats are text, json, pcapng and html. Options of text: colour (for a terminal), states and
-- records (these events, too).

local FORMATS <const> = {text = true, json = true, pcapng = true, html = true}

return function(trace, format, out, options)
    if not FORMATS[format] then
        error(("'%s' is no format: text, json, pcapng and html are"):format(tostring(format)), 2)
    end
    local writer = require("tlslife.trace." .. format).writer(out, options or {}, trace)
    return function(ends)
        for event in trace.next, trace do writer:event(event) end
        if ends then writer:close() end
    end
end
