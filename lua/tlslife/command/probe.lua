-- tlslife.command.probe: `tlslife probe HOST[:PORT]...` says of each address behind each name
-- whether sessions resume there and at the other addresses, how connections end, and what else a
-- client sees of the server's TLS. See docs/probe.md.

local command_options = require "tlslife.command.options"
local options = require "tlslife.probe.options"

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
    local jobs, findings = require "tlslife.probe.jobs", require "tlslife.probe.findings"
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
        fleet.replays(run, name.found)
        for _, one in ipairs(isolation) do
            if one.to == name.name then table.insert(name.isolation, one) end
        end
        name.findings = findings.of(name.found, name.matrix, name.isolation)
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
        one.first.sessions, one.port = nil, math.tointeger(one.port)
        for _, key in ipairs {"tls13", "ticket12", "id12"} do
            if one[key] then one[key].session = nil end
        end
    end
    return {name = name.name, port = math.tointeger(name.port), addresses = name.addresses,
        found = name.found, matrix = name.matrix, isolation = name.isolation,
        findings = name.findings, failed = name.failed}
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

local function refuse(message)
    command_options.refuse(options.command, message)
end

return function(...)
    local given, hosts = command_options.parse(options.command, {...})
    if not given then refuse(hosts) end
    if given.help then return io.stdout:write(command_options.help(options.command)) ~= nil end
    if not pcall(require, "luv") then
        io.stderr:write("tlslife probe: it needs luv (Debian: lua-luv)\n")
        return false
    end
    local run, message = options.settle(given, hosts)
    if not run then refuse(message) end
    local names
    names, message = names_of(run, hosts)
    if not names then refuse(message) end
    require "tlslife.wait.luv"
    local lawful, contexts
    lawful, contexts, message = pcall(require "tlslife.probe.checks".contexts, run)
    if not (lawful and contexts) then refuse(tostring(message or contexts)) end
    run.contexts = contexts
    probe(run, names)
    print_report(run, names)
    local status = status_of(names)
    if status > 0 then os.exit(status, true) end
    return true
end
