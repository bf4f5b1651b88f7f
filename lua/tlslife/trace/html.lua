-- tlslife.trace.html: writes a trace as one HTML page (tlslife.trace.page), in which the events are
-- the lines that tlslife.trace.json writes.
--
-- What a peer has sent is in the page, as JSON in which no "<" is left. The page puts it into text
-- nodes alone. Secrets are left out, also where the trace has them.

local hello = require "tlslife.trace.hello"
local json = require "tlslife.trace.json"
local page = require "tlslife.trace.page"

local html = {}

local LEFT_OUT <const> = {bytes = true, keylog = true, state = true, record = true}

local function line_of(object)
    return (json.encode(object):gsub("<", "\\u003c")) .. "\n"
end

function html.writer(out, _, trace)
    local self, memory = {}, hello.memory()
    out(page.head .. line_of(json.head(trace)))
    function self.event(_, event)
        local object = json.object(event, memory)
        object.extensions = nil
        if not LEFT_OUT[event.kind] or event.lost > 0 then out(line_of(object)) end
    end
    function self.close() out(line_of {kind = "end", lost = trace:lost()} .. page.tail) end
    return self
end

return html
