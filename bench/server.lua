-- server.lua: servers with many connections at once: tls.serve beside plain C, nginx, LuaSec with luv, cqueues with luaossl
-- and Node. See bench/README.md.
--
--   tlslife bench/run.lua server [--rounds n] [--only text] [--check]
--
-- Six servers that do the same, and one client that drives them in turns (bench/server/client.c) and reads their processes'
-- clocks. Each round has new processes: how one's memory happens to lie is worth some percent, for as long as it lives.
local process, machine = require "spec.support.process", require "machine"
local spread <const> = machine.spread

-- mode, connections, turns a round, amount a turn: the client's words. per: how many operations one of the client's is.
-- against, most: the target, our figure / that server's. rounds: where the row wants fewer than the others. alone: its
-- servers have done nothing else before.
local ROWS <const> = {
    { name = "keep-alive, 200 connections", mode = "keep", connections = 200, turns = 12, amount = 4, path = "/",
        against = "nginx", most = 1.0 },
    { name = "keep-alive, 1,000 connections", mode = "keep", connections = 1000, turns = 6, amount = 2, path = "/",
        against = "nginx", most = 1.0 },
    { name = "full handshake", mode = "full", connections = 32, turns = 6, amount = 40, path = "/" },
    { name = "resumed handshake", mode = "resumed", connections = 32, turns = 6, amount = 40, path = "/" },
    { name = "16 KiB write", mode = "keep", connections = 8, turns = 6, amount = 3, path = "/big", per = 64,
        against = "C", most = 1.05 },
    { name = "an idle connection's memory", mode = "idle", connections = 5000, turns = 1, amount = 1, path = "/",
        kib = true, most = 15, rounds = 2, alone = true },
}

local SECONDS <const> = 300 -- no server lives longer
local UNLIMITED <const> = 'ulimit -n "$(ulimit -Hn)" && exec "$@"' -- 5,000 connections want as many descriptors

local here = arg[0]:match "^(.*)/[^/]*$" or "."
local beside = (arg[-1] or ""):match "^(.*)/[^/]*$" or "."

local function options()
    local found, i = { rounds = 9, only = "" }, 2
    while arg[i] do
        if arg[i] == "--check" then
            found.check = true
        elseif (arg[i] == "--rounds" or arg[i] == "--only") and arg[i + 1] then
            found[arg[i]:sub(3)] = arg[i + 1]
            i = i + 1
        else
            io.stderr:write("usage: run.lua server [--rounds n] [--only text] [--check]\n")
            os.exit(2)
        end
        i = i + 1
    end
    found.rounds = assert(math.tointeger(tonumber(found.rounds)), "--rounds wants a whole number")
    return found
end

-- ------------------------------------------------------------------------------------------------------------ servers

-- Starts a program that says "port pid" once a worker, and then "port:pid,pid" for the client.
local function own(words, workers, free)
    local one = machine.start({ "sh", "-c", UNLIMITED, "sh", table.unpack(words) }, SECONDS, free)
    local port, pids = one:await("its workers", 20, function()
        local found, ids = nil, {}
        for number, rest in one:output():gmatch "(%d+)%s([%d ]+)\n" do
            found = number
            for id in rest:gmatch "%d+" do
                ids[#ids + 1] = id
            end
        end
        return #ids >= workers and found, ids
    end)
    return one, port .. ":" .. table.concat(pids, ",")
end

local function nginx(program, files)
    local port = process.free_port()
    local dir = ("%s/nginx%d"):format(process.directory(), port)
    assert(os.execute("mkdir -p " .. process.quote(dir)))
    process.spill(dir .. "/big", ("b"):rep(1 << 20))
    local words = { DIR = dir, PORT = port, CERTIFICATE = files.certificate, PRIVATE_KEY = files.private_key }
    local text = process.slurp(here .. "/server/nginx.conf"):gsub("%$([A-Z_]+)", words)
    local one = machine.start({ "sh", "-c", UNLIMITED, "sh", program, "-p", dir, "-e", "stderr", "-c",
        process.spill(dir .. "/conf", text) }, SECONDS)
    one:wait_for_port(port)
    return one, ("%d:%s"):format(port, process.slurp(dir .. "/pid"):match "%d+")
end

-- Whether the Lua 5.4 of the system has all these modules.
local function has(modules)
    return os.execute(("lua5.4 -e '%s' 2>/dev/null"):format(modules:gsub("%S+", 'require "%0" ')))
end

-- Names in the order of the columns; and functions that start each, nil where it is not to be had here.
local NAMES <const> = { "C", "tlslife", "nginx", "luasec", "cqueues", "node" }

local function starters(files)
    local function script(...)
        local words = { ... }
        words[#words + 1], words[#words + 2] = files.certificate, files.private_key
        return function()
            return own(words, 1)
        end
    end
    local program = machine.find "nginx"
    return {
        C = script(beside .. "/bench/server_plain"),
        tlslife = script(beside .. "/tlslife", here .. "/server/ours.lua"),
        nginx = program and function()
            return nginx(program, files)
        end,
        luasec = has "ssl socket luv" and script("lua5.4", here .. "/server/on_luasec.lua"),
        cqueues = has "cqueues openssl" and script("lua5.4", here .. "/server/on_cqueues.lua"),
        node = machine.find "node" and script("node", here .. "/server/on_node.js"),
    }
end

-- ------------------------------------------------------------------------------------------------------------- a round

-- Drives the servers, {name=, word=} each: the client's lines, a list of numbers a server.
local function drive(row, servers, processor)
    local words = machine.pinned(processor, { beside .. "/bench/server_client", row.mode, row.connections, row.turns,
        row.amount, row.path })
    for _, server in ipairs(servers) do
        words[#words + 1] = server.word
    end
    words.timeout = SECONDS
    local status, output = process.run(words)
    if status ~= 0 then
        local said = ""
        for _, server in ipairs(servers) do
            said = said .. server.one:output():sub(1, 400)
        end
        error(("%s cannot be measured: %s%s"):format(row.name, output, said), 0)
    end
    local lines = {}
    for line in output:gmatch "([^\n]+)\n" do
        local numbers = {}
        for number in line:gmatch "[%d.-]+" do
            numbers[#numbers + 1] = tonumber(number)
        end
        lines[#lines + 1] = numbers
    end
    return lines
end

-- Adds one round's figures to each row, by servers of its own: row.figures[name] are nanoseconds, or bytes.
local function round(number, rows, files)
    local servers, start = {}, starters(files)
    for _, name in ipairs(NAMES) do
        if start[name] then
            local one, word = start[name]()
            servers[#servers + 1] = { name = name, one = one, word = word }
        end
    end
    for _, row in ipairs(rows) do
        for i, numbers in ipairs(drive(row, servers, machine.CLIENTS)) do
            local figures = row.figures[servers[i].name] or {}
            figures[number] = numbers[1] / (row.per or 1)
            if servers[i].name == "tlslife" and (numbers[4] or 0) > 0 then
                error(("%s: tlslife gave too few tickets: %d of %d were offered again"):format(row.name, numbers[4], numbers[3]), 0)
            end
            row.figures[servers[i].name] = figures
        end
    end
    for _, server in ipairs(servers) do
        server.one:stop()
    end
end

-- ------------------------------------------------------------------------------------------------------------- figures

local function amount(row, value)
    return row.kib and ("%.1f KiB"):format(value / 1024) or ("%.2f us"):format(value / 1000)
end

-- Our figures over another's, round by round.
local function ratio(row, name)
    local values = {}
    for i, value in ipairs(row.figures[name] or {}) do
        values[i] = row.figures.tlslife[i] / value
    end
    return values[1] and spread(values)
end

-- What is held against the target: the figure, and how it is written with its least and most.
local function held(row)
    if row.kib then
        local own_figures = spread { table.unpack(row.figures.tlslife) }
        return own_figures.median / 1024, ("%.1f .. %.1f"):format(own_figures.least / 1024, own_figures.most / 1024)
    end
    local figure = ratio(row, row.against or "C")
    if figure then
        return figure.median, ("%.3f .. %.3f"):format(figure.least, figure.most)
    end
end

local LAYOUT <const> = "%-30s" .. (" %10s"):rep(#NAMES) .. "  %-8s %-16s %-9s %s"

-- A row's line; whether it met its target, nil where it has none.
local function report(row)
    local cells, figure, text = {}, held(row)
    for i, name in ipairs(NAMES) do
        local figures = row.figures[name]
        cells[i] = figures and amount(row, spread { table.unpack(figures) }.median) or "-"
    end
    cells[#cells + 1] = figure and ("%.3f"):format(figure) or ""
    cells[#cells + 1] = text or ""
    local met
    if row.most and figure then
        met = figure <= row.most
        cells[#cells + 1] = row.kib and ("<= %g KiB"):format(row.most) or ("<= %g"):format(row.most)
        cells[#cells + 1] = (met and "met" or "NOT MET") .. (row.against and " (/ " .. row.against .. ")" or "")
    else
        cells[#cells + 1], cells[#cells + 2] = "", row.most and "" or "(/ C)"
    end
    print((LAYOUT:format(row.name, table.unpack(cells)):gsub("%s+$", "")))
    return met
end

-- ------------------------------------------------------------------------------------------------------------- workers

local WORKERS <const> = { name = "two workers", mode = "wide", connections = 16, turns = 1, amount = 80, path = "/" }
local GAIN <const>, GAIN_ROUNDS <const> = 1.8, 7

-- A signature by RSA of 8192 bits costs a server a score of milliseconds, and its verification next to nothing: the client is not
-- the limit, though it has no processor of its own here.
local function rsa()
    local dir = process.directory()
    local files = { certificate = dir .. "/rsa.pem", private_key = dir .. "/rsa.key" }
    local status, output = process.run { "openssl", "req", "-x509", "-newkey", "rsa:8192", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-keyout", files.private_key, "-out", files.certificate }
    assert(status == 0, output)
    return files
end

-- Nanoseconds a signature of as many processes that do nothing else: what two gain is all that this machine has to give.
local function signature(processes)
    local _, output = process.run { "openssl", "speed", "-seconds", "1", "-mr", "-multi", processes, "rsa7680" }
    local a_second = assert(output:match "\n%+F2:%d+:7680:([%d.]+)", output)
    return 1e9 / tonumber(a_second)
end

local ONE_AND_TWO <const> = { { 1, 2 }, { 3, 4 }, { 3, 5 }, { 6, 7 } } -- lines of a round: C, ours, our threads, signatures

-- Wall seconds a handshake with one worker over those with two, for C's processes, for ours, for our threads: by each kind's
-- fastest round, since neighbours on the machine, who take one of two processors at times, can only slow one; and round by round.
local function workers()
    local files, gains, fastest = rsa(), { {}, {}, {}, {} }, {}
    local plain, ours = { beside .. "/bench/server_plain" }, { beside .. "/tlslife", here .. "/server/ours.lua" }
    local kinds = { { plain, 1 }, { plain, 2 }, { ours, 1 }, { ours, 2 }, { ours, 2, "threads" } }
    for i = 1, GAIN_ROUNDS do
        local servers = {}
        for k, kind in ipairs(kinds) do
            local words = { table.unpack(kind[1]) }
            table.move({ files.certificate, files.private_key, kind[2], kind[3] }, 1, 4, #words + 1, words)
            local one, word = own(words, kind[2], true)
            servers[k] = { one = one, word = word }
        end
        local lines = drive(WORKERS, servers)
        lines[6], lines[7] = { 0, signature(1) }, { 0, signature(2) }
        for k, line in ipairs(lines) do
            fastest[k] = math.min(fastest[k] or math.huge, line[2])
        end
        for k, ends in ipairs(ONE_AND_TWO) do
            gains[k][i] = lines[ends[1]][2] / lines[ends[2]][2]
        end
        for _, server in ipairs(servers) do
            server.one:stop()
        end
    end
    for k, ends in ipairs(ONE_AND_TWO) do
        gains[k] = spread(gains[k])
        gains[k].best = fastest[ends[1]] / fastest[ends[2]]
    end
    return gains
end

-- How many rows there are with a target, and how many met it.
local function report_workers()
    print "\nTwo workers: full handshakes (RSA-8192) by the clock on the wall, two workers / one; 2 is ideal."
    print "Each kind's fastest round, then the least and the most that a round gained.\n"
    local c, processes, threads, alone = table.unpack(workers())
    local layout <const> = "%-30s %10s  %-16s %-9s %s"
    local met, wanted = 0, GAIN * math.min(alone.best / 2, 1) -- two processors of a virtual machine are not always two
    for _, it in ipairs { { "signatures alone", alone }, { "C, two processes", c },
        { "tlslife, two processes", processes, wanted }, { "tlslife, two threads", threads, wanted } } do
        local name, gain, least = table.unpack(it)
        local good = least and gain.best >= least
        met = met + (good and 1 or 0)
        print((layout:format(name, ("%.2f"):format(gain.best), ("%.2f .. %.2f"):format(gain.least, gain.most),
            least and (">= %.2f"):format(least) or "", least and (good and "met" or "NOT MET") or ""):gsub("%s+$", "")))
    end
    return 2, met
end

-- ------------------------------------------------------------------------------------------------- a client's cache

local VISITS <const> = 1000
local CACHING <const> = "a client's cache"

-- How many of a client's connections, one after another, were full handshakes, at tls.serve with one worker or two.
local function full_of_visits(tls, files, ca, count)
    local one, word = own({ beside .. "/tlslife", here .. "/server/ours.lua", files.certificate, files.private_key, count },
        count)
    local context = assert(tls.context { role = "client", ca = ca, cache = tls.cache(), timeout = 10 })
    local port, full = word:match "%d+", 0
    for _ = 1, VISITS do
        local conn <close> = assert(context:connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        assert(conn:connect())
        assert(conn:write "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" and conn:read())
        full = full + (conn:session_reused() and 0 or 1)
        conn:close()
    end
    one:stop()
    return full
end

-- The same, as rows: how many have a target, and how many met it.
local function report_caching(files, ca)
    local tls, met = require "tlslife", 0
    for count = 1, 2 do
        local full = full_of_visits(tls, files, ca, count)
        met = met + (full == 1 and 1 or 0)
        print(("%s, %d worker%s: %d of %d connections were full, <= 1 %s"):format(CACHING, count, count > 1 and "s" or "",
            full, VISITS, full <= 1 and "met" or "NOT MET"))
    end
    return 2, met
end

local function chosen(only)
    local rows = {}
    for _, row in ipairs(ROWS) do
        if row.name:find(only, 1, true) then
            row.figures = {}
            rows[#rows + 1] = row
        end
    end
    return rows
end

-- Which rows share their servers in that round. Memory that one row leaves would be used again by the next, whose growth would
-- not be seen.
local function groups(rows, number)
    local together, list = {}, {}
    for _, row in ipairs(rows) do
        if number <= (row.rounds or number) then
            if row.alone then
                list[#list + 1] = { row }
            else
                together[#together + 1] = row
            end
        end
    end
    if together[1] then
        table.insert(list, 1, together)
    end
    return list
end

local function main(identity)
    local given = options()
    local rows, dir = chosen(given.only), process.directory()
    local files = {
        certificate = process.spill(dir .. "/certificate", identity.certificate),
        private_key = process.spill(dir .. "/key", identity.private_key),
    }
    print(("Servers with many connections, one worker each: processor time of the server an operation; %d rounds, medians.")
        :format(given.rounds))
    print "ratio = tlslife's / the other's (round by round: median, least .. most); memory: private, tlslife's.\n"
    local count, met = 0, 0
    if rows[1] then
        for number = 1, given.rounds do
            for _, group in ipairs(groups(rows, number)) do
                round(number, group, files)
            end
        end
        print((LAYOUT:format("", "C", "tlslife", "nginx", "LuaSec+luv", "cqueues", "Node", "ratio", "least .. most",
            "target", ""):gsub("%s+$", "")))
    end
    for _, row in ipairs(rows) do
        local good = report(row)
        count, met = count + (good ~= nil and 1 or 0), met + (good and 1 or 0)
    end
    if CACHING:find(given.only, 1, true) then
        local more, more_met = report_caching(files, identity.ca)
        count, met = count + more, met + more_met
    end
    if WORKERS.name:find(given.only, 1, true) then
        local more, more_met = report_workers()
        count, met = count + more, met + more_met
    end
    print(("\n%d of %d targets met"):format(met, count))
    return not given.check or met == count
end

return main
