-- tlslife.command.probe: `tlslife probe HOST[:PORT]...` says of each address behind each name
-- whether sessions resume there and at the other addresses, how connections end, and what else a
-- client sees of the server's TLS. See docs/probe.md.

local words_of = require "tlslife.words"

local USAGE <const> = [[
usage: tlslife probe [options] HOST[:PORT]...
Connects to each address behind each name, some ten times, and says whether sessions resume, at
which address, and how connections end. The port is 443, or that of --starttls.
  --starttls PROTOCOL  ask for TLS in plain words first: smtp, lmtp, imap, pop3, sieve, ftp, xmpp,
                       postgres, ldap
  --connect LIST       probe these addresses with each name, not the resolver's; joined by commas
  --ca FILE            trust these CAs, not the system's
  --alpn LIST          offer these protocols, joined by commas; default http/1.1 on port 443
  --path PATH          what a request of HTTP asks for; default /
  --no-http            say nothing to the server within TLS
  --groups LIST        offer these key exchange groups, joined by colons
  --age SECONDS        offer sessions until they are so old, to see how long they resume
  --watch SECONDS      look so long whether the servers change the keys of their tickets
  --matrix N           compare each address with each other up to N addresses; default 16
  --jobs N             connections at once, 1 to 1024; default 64
  --timeout SECONDS    of each step of a connection; default 10
  --json               print the report as JSON
  --colour WORD        always, never or auto (the default: on a terminal)
  --help               show this
Exit status: 0 all is right, 1 something is not, 2 the command line is wrong, 3 an address cannot be
reached.
]]

local FLAGS <const> = {json = true, help = true, ["no-http"] = true}
local NUMBERS <const> = {age = {1, 604800}, watch = {1, 604800}, matrix = {1, 1000},
    jobs = {1, 1024}, timeout = {0.1, 600}}
local WORDS <const> = {starttls = true, connect = true, ca = true, alpn = true, path = true,
    groups = true, colour = true}

local function number_of(name, text)
    local number, range = tonumber(text), NUMBERS[name]
    if number and name ~= "timeout" then number = math.tointeger(number) end
    if not number or number < range[1] or number > range[2] then
        return nil, ("--%s is a number from %s to %s"):format(name, range[1], range[2])
    end
    return number
end

local function value_of(name, text)
    if NUMBERS[name] then return number_of(name, text) end
    return text
end

-- The options and the targets' texts; or nil and what is wrong.
local function parse(words)
    local given, hosts, at = {}, {}, 1
    while at <= #words do
        local word = words[at]
        local name, value = word:match "^%-%-([%a-]+)=(.*)$"
        name = name or word:match "^%-%-([%a-]+)$"
        if not name then
            if word:sub(1, 1) == "-" then return nil, ("unrecognized option '%s'"):format(word) end
            hosts[#hosts + 1] = word
        elseif FLAGS[name] and not value then
            given[name] = true
        elseif WORDS[name] or NUMBERS[name] then
            if not value then
                at = at + 1
                value = words[at]
            end
            if not value then return nil, ("'%s' needs an argument"):format(word) end
            local wrong
            given[name], wrong = value_of(name, value)
            if wrong then return nil, wrong end
        else
            return nil, ("unrecognized option '%s'"):format(word)
        end
        at = at + 1
    end
    return given, hosts
end

-- What follows from the options; or nil and what is wrong.
local function settle(given, hosts)
    local talk = require "tlslife.probe.talk"
    local protocol = given.starttls and talk.protocols[given.starttls]
    if given.starttls and not protocol then
        return nil, ("--starttls does not know '%s'"):format(given.starttls)
    elseif #hosts == 0 then
        return nil, "no HOST"
    elseif given.colour and not ({always = 1, never = 1, auto = 1})[given.colour] then
        return nil, "--colour is always, never or auto"
    end
    local path = given.path or "/"
    if not path:find "^/[!-~]*$" then return nil, "--path begins with / and has no spaces" end
    local run = {
        starttls = given.starttls, port = protocol and protocol.port or 443,
        http = not protocol and not given["no-http"], path = path,
        connect = given.connect and words_of.list((given.connect:gsub("[%[%]]", ""))),
        age = given.age, watch = given.watch, matrix = given.matrix or 16,
        jobs = given.jobs or 64, timeout = given.timeout or 10, ca = given.ca,
        groups = given.groups, json = given.json,
        alpn = given.alpn and words_of.list(given.alpn) or
            not protocol and not given["no-http"] and {"http/1.1"} or nil,
    }
    run.colour = words_of.wants_colour(given.colour or given.json and "never", 1)
    run.progress = words_of.on_terminal(2)
    return run
end

local function names_of(run, hosts)
    local targets = require "tlslife.probe.targets"
    local names = {}
    for i, host in ipairs(hosts) do
        local target, wrong = targets.parse(host, run.port)
        if not target then return nil, wrong end
        names[i] = target
    end
    return names
end

-- Writes over the last line of progress, on a terminal.
local function progress(run, text)
    if run.progress then io.stderr:write("\r\27[K", text) end
end

local function places_of(run, names)
    local targets, jobs = require "tlslife.probe.targets", require "tlslife.probe.jobs"
    jobs.run(names, run.jobs, function(name) targets.resolve(name, run.connect) end)
    local places = {}
    for _, name in ipairs(names) do
        name.found = {}
        for _, address in ipairs(name.addresses) do
            places[#places + 1] = {target = name, name = name.name, port = name.port,
                address = address}
        end
    end
    return places
end

-- Probes all addresses, and fills in what was found at each name.
local function probe(run, names)
    local checks, fleet = require "tlslife.probe.checks", require "tlslife.probe.fleet"
    local jobs, verdict = require "tlslife.probe.jobs", require "tlslife.probe.verdict"
    local places = places_of(run, names)
    local function say(text) progress(run, text) end
    local found = jobs.run(places, run.jobs, function(place) return checks.address(run, place) end,
        function(count) say(("%d of %d addresses"):format(count, #places)) end)
    for i, one in ipairs(found) do
        if one.failed then
            one = {name = places[i].name, address = places[i].address, port = places[i].port,
                first = {failed = one.failed, stage = "probe"}}
            found[i] = one
        end
        table.insert(places[i].target.found, one)
    end
    if run.age then fleet.ages(run, found, run.age, say) end
    if run.watch then fleet.watch(run, found, run.watch, say) end
    local isolation = fleet.isolation(run, found)
    for _, name in ipairs(names) do
        name.matrix, name.isolation = fleet.matrix(run, name.found), {}
        for _, one in ipairs(isolation) do
            if one.to == name.name then table.insert(name.isolation, one) end
        end
        name.findings = verdict.of(name.found, name.matrix, name.isolation)
        if name.failed then
            table.insert(name.findings, 1, {bad = true, what = name.failed, where = {name.text},
                advice = "see that the name is right, and that it is in the DNS"})
        end
    end
    progress(run, "")
end

-- Leaves out of the report what is for the probe alone: sessions and tickets are secrets.
local function public(name)
    for _, one in ipairs(name.found) do
        one.first.sessions = nil
        for _, key in ipairs {"tls13", "ticket12", "id12"} do
            if one[key] then one[key].session = nil end
        end
    end
    return {name = name.name, port = name.port, addresses = name.addresses, found = name.found,
        matrix = name.matrix, isolation = name.isolation, findings = name.findings,
        failed = name.failed}
end

local function status_of(names)
    local status = 0
    for _, name in ipairs(names) do
        local unreachable = name.failed ~= nil
        for _, one in ipairs(name.found) do
            unreachable = unreachable or one.first.failed and one.first.stage == "connect"
        end
        for _, one in ipairs(name.findings) do
            if one.bad then status = math.max(status, 1) end
        end
        if unreachable then status = 3 end
    end
    return status
end

local function print_report(run, names)
    local report, encode = require "tlslife.probe.report", require "tlslife.json"
    if run.json then
        local list = {}
        for i, name in ipairs(names) do list[i] = public(name) end
        io.stdout:write(encode {version = 1, names = list}, "\n")
    else
        for i, name in ipairs(names) do
            io.stdout:write(i > 1 and "\n" or "", report.text(name, run.colour))
        end
    end
end

local function wrong_usage(message)
    io.stderr:write("tlslife probe: ", message, "\n", USAGE)
    os.exit(2, true)
end

return function(...)
    local given, hosts = parse {...}
    if not given then wrong_usage(hosts) end
    if given.help then return io.stdout:write(USAGE) ~= nil end
    if not pcall(require, "luv") then
        io.stderr:write("tlslife probe: it needs luv (Debian: lua-luv)\n")
        return false
    end
    local run, message = settle(given, hosts)
    if not run then wrong_usage(message) end
    local names
    names, message = names_of(run, hosts)
    if not names then wrong_usage(message) end
    require "tlslife.wait.luv"
    local lawful, contexts
    lawful, contexts, message = pcall(require "tlslife.probe.checks".contexts, run)
    if not (lawful and contexts) then wrong_usage(tostring(message or contexts)) end
    run.contexts = contexts
    probe(run, names)
    print_report(run, names)
    local status = status_of(names)
    if status > 0 then os.exit(status, true) end
    return true
end
