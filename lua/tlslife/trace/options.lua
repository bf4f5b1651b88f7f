-- tlslife.trace.options: the command line of `tlslife trace`, and what follows from it.

local command_options = require "tlslife.command.options"

local options = {}

options.command = {
    usage = "tlslife trace [options] script [args]",
    about = "Runs the script and shows what its connections do, on stderr or in a file.",
    script = true,
    {"output", "write to FILE", word = "FILE", short = "o"},
    {"format", "the form of the trace, by default what FILE ends in, or text", word = "WORD",
        short = "f", choices = {"text", "json", "pcapng", "html"}},
    {"secrets", "record the bytes of the transports and the keys that decrypt them, too: pcapng " ..
        "needs it. Who reads the file reads the traffic"},
    {"states", "text: the states of libssl, too"},
    {"records", "text: the records, too"},
    command_options.colour,
    {"buffer", "memory for events that are not written yet", word = "MIB", from = 1, to = 1024,
        default = 16},
    after = "A worker of tls.serve writes a file of its own: trace.html, trace.1.html.",
}

local ENDINGS <const> = {json = "json", jsonl = "json", pcapng = "pcapng", html = "html",
    htm = "html"}

--- Settles what follows from the options; or nil and what is wrong.
function options.settle(given)
    local ending = given.output and given.output:lower():match "%.(%w+)$"
    given.format = given.format or ENDINGS[ending] or "text"
    if given.format == "pcapng" and not given.secrets then
        return nil, "a capture has the traffic and the keys that decrypt it: say --secrets, too"
    elseif not given.output and (given.format == "pcapng" or given.format == "html") then
        return nil, ("%s needs a file: --output FILE"):format(given.format)
    end
    given.colour = given.format == "text" and not given.output and
        command_options.wants_colour(given.colour, 2)
    return given
end

return options
