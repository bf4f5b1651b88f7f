-- tlslife.probe.options: the command line of `tlslife probe`, and what follows from it.

local command_options = require "tlslife.command.options"
local talk = require "tlslife.probe.talk"

local options = {}

options.command = {
    usage = "tlslife probe [options] HOST[:PORT]...",
    about = [[
Connects to each address behind each name, some fifteen times, and says whether sessions resume, at
which address, and how connections end. The port is 443, or that of --starttls.]],
    {"starttls", "ask for TLS in plain words first", word = "WORD", choices = {"smtp", "lmtp",
        "imap", "pop3", "sieve", "ftp", "xmpp", "postgres", "ldap"}},
    {"connect", "probe these addresses with each name, not the resolver's; joined by commas",
        word = "LIST", list = true},
    {"ca", "trust these CAs, not the system's", word = "FILE"},
    {"alpn", "offer these protocols, joined by commas; default http/1.1 with HTTP, where h2 is " ..
        "asked for, too", word = "LIST", list = true},
    {"path", "what a request of HTTP asks for; default /", word = "PATH"},
    {"no-http", "say nothing to the server within TLS"},
    {"groups", "offer these key exchange groups, joined by colons", word = "LIST"},
    {"age", "offer sessions until they are so many seconds old, to see how long they resume",
        word = "SECONDS", from = 1, to = 604800},
    {"watch", "look for so many seconds whether the servers change the keys of their tickets",
        word = "SECONDS", from = 1, to = 604800},
    {"matrix", "compare each address with each other where there are no more than N", word = "N",
        from = 1, to = 1000, default = 16},
    {"jobs", "connections at once", word = "N", from = 1, to = 1024, default = 64},
    {"timeout", "seconds for each step of a connection", word = "SECONDS", from = 0.1, to = 600,
        fraction = true, default = 10},
    {"json", "print the report as JSON"},
    command_options.colour,
    after = [[
Exit status: 0 all is right, 1 something is not, 2 the command line is wrong, 3 an address cannot be
reached.]],
}

local OWN <const> = 24 -- descriptors that the process needs besides the connections

-- How many connections may be open at once: as many as the process may have descriptors for.
local function jobs_of(wanted)
    local file = io.open "/proc/self/limits"
    local most = file and tonumber(file:read "a":match "Max open files +(%d+)")
    if file then file:close() end
    return most and math.max(1, math.min(wanted, most - OWN)) or wanted
end

--- What follows from the options; or nil and what is wrong.
function options.settle(given, hosts)
    local protocol = given.starttls and talk.protocols[given.starttls]
    if #hosts == 0 then return nil, "no HOST" end
    local path = given.path or "/"
    if not path:find "^/[!-~]*$" then return nil, "--path begins with / and has no spaces" end
    local run = {
        starttls = given.starttls, port = protocol and protocol.port or 443,
        http = not protocol and not given["no-http"], path = path, connect = given.connect,
        age = given.age, watch = given.watch, matrix = given.matrix or 16,
        jobs = jobs_of(given.jobs or 64), timeout = given.timeout or 10, ca = given.ca,
        groups = given.groups, json = given.json,
    }
    run.alpn = given.alpn or run.http and {"http/1.1"} or nil
    run.protocols = given.alpn or run.http and {"h2", "http/1.1"} or nil
    for i, host in ipairs(run.connect or {}) do run.connect[i] = host:gsub("[%[%]]", "") end
    run.colour = command_options.wants_colour(given.colour or given.json and "never", 1)
    run.progress = command_options.on_terminal(2)
    return run
end

return options
