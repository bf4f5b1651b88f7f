-- tlslife.testserver.options: the command line of `tlslife serve`, and what follows from it.

local certificate = require "tlslife.testserver.certificate"
local faults = require "tlslife.testserver.faults"
local command_options = require "tlslife.command.options"

local options = {}

local VERSIONS <const> = {"1.0", "1.1", "1.2", "1.3"}

local function names_of_faults()
    local names, lines = {}, {}
    for i, one in ipairs(faults.list) do
        names[i], lines[i] = one[1], ("  %-22s %s"):format(one[1], one[2])
    end
    return names, table.concat(lines, "\n")
end

local FAULTS <const>, ABOUT_FAULTS <const> = names_of_faults()

options.command = {
    usage = "tlslife serve [options] [DIR]",
    about = [[
A server to test clients against. It serves the files of DIR over HTTPS. Without DIR it is an echo:
a request of HTTP is answered with itself, and other bytes come back as they are.]],
    {"listen", "addresses, joined by commas; port 0: a free one", word = "LIST", list = true,
        default = "127.0.0.1:8443"},
    {"certificate", "the certificate and its chain", word = "FILE"},
    {"key", "its key, where it is not in the same file", word = "FILE"},
    {"self-signed", "make a certificate for these names and addresses, joined by commas; also " ..
        "without any of these options", word = "LIST", list = true, loose = true,
        default = table.concat(certificate.names, ",")},
    {"save-certificate", "write the self-signed certificate there, for clients to trust",
        word = "FILE"},
    {"resumption", "which resumption there is; both is by ticket and, in TLS 1.2, by id",
        word = "WORD", choices = {"both", "tickets", "stateful", "off"}, default = "both"},
    {"num-tickets", "tickets after a full handshake of TLS 1.3", word = "N", from = 0, to = 16,
        default = 2},
    {"early-data", "accept early data, so many bytes", word = "BYTES", loose = true, from = 1,
        to = 1 << 30, default = 16384},
    {"client-ca", "ask clients for a certificate of these CAs", word = "FILE"},
    {"verify", "refuse clients without one"},
    {"min-version", "the least version of TLS", word = "V", choices = VERSIONS, prefix = "TLSv",
        default = "1.2"},
    {"max-version", "the greatest version of TLS", word = "V", choices = VERSIONS,
        default = "1.3"},
    {"alpn", "protocols, joined by commas; default http/1.1 with DIR", word = "LIST", list = true},
    {"list", "list directories that have no index.html"},
    {"workers", "processes that serve side by side", word = "N", from = 1, to = 64, default = 1},
    {"fault", "do wrong what NAME says, below", word = "NAME", choices = FAULTS},
    {"delay", "how many seconds --fault slow waits", word = "SECONDS", from = 0, to = 600,
        fraction = true, default = 3},
    {"log", "say on stderr what becomes of each connection; the default on a terminal"},
    {"no-log", "say nothing of it"},
    {"metrics", "serve metrics there by HTTP, for Prometheus", word = "ADDRESS"},
    {"trace", "show all that connections do on stderr, as tlslife trace does"},
    after = "Faults:\n" .. ABOUT_FAULTS .. [[

A request for /fault/NAME gets an answer with the fault no-close-notify, truncated or slow.
SIGINT and SIGTERM end the server. Exit status: 0 it was ended, 1 it cannot serve, 2 the command
line is wrong.]],
}

--- What the words say; given.directory is the word that is no option. Or nil and what is wrong.
function options.parse(words)
    local given, others = command_options.parse(options.command, words)
    if not given then return nil, others end
    if others[2] then return nil, ("one DIR, not '%s', too"):format(others[2]) end
    given.directory = others[1]
    return given
end

local function version_of(text)
    return text and (text == "1.0" and "TLSv1" or "TLSv" .. text)
end

-- What options say together, or what is wrong with that.
local function wrong_together(given)
    local own = given.certificate or given.key
    if own and not given.certificate then return "--key needs --certificate, too" end
    if own and given["self-signed"] then return "either --certificate or --self-signed" end
    if own and given["save-certificate"] then
        return "--save-certificate is for a self-signed certificate"
    end
    if own and given.fault == "expired" then
        return "--fault expired makes a certificate of its own: leave --certificate out"
    end
    if given.verify and not given["client-ca"] then return "--verify needs --client-ca, too" end
    if given.log and given["no-log"] then return "either --log or --no-log" end
    if given.list and not given.directory then return "--list needs DIR" end
    if given["early-data"] and given.resumption == "off" then
        return "--early-data needs resumption"
    end
end

-- The options of the context, but for the certificate.
local function context_of(given)
    local early = given["early-data"]
    return {
        certificate = given.certificate, private_key = given.key,
        resumption = given.resumption, num_tickets = given["num-tickets"],
        max_early_data = type(early) == "number" and early or nil,
        ca = given["client-ca"], client_ca = given["client-ca"],
        verify = given["client-ca"] and (given.verify and "required" or "optional") or nil,
        min_version = version_of(given["min-version"]),
        max_version = version_of(given["max-version"]),
        alpn = given.alpn or given.directory and {"http/1.1"} or nil,
    }
end

--- What a run needs to know. Or nil and what is wrong.
function options.settle(given)
    local wrong = wrong_together(given)
    if wrong then return nil, wrong end
    local names = given["self-signed"]
    if type(names) ~= "table" then names = certificate.names end
    local can, name = certificate.can_have(names)
    if not can then return nil, ("--self-signed: '%s' is no name"):format(name) end
    local log = given.log
    if not log and not given["no-log"] then log = command_options.on_terminal(2) end
    return {
        directory = given.directory, list = given.list, log = log, trace = given.trace,
        metrics = given.metrics,
        listen = given.listen or {"127.0.0.1:8443"}, workers = given.workers,
        early = given["early-data"] ~= nil, fault = given.fault, delay = given.delay or 3,
        names = not given.certificate and names or nil, save = given["save-certificate"],
        context = context_of(given),
    }
end

return options
