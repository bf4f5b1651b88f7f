-- servers.lua: measures rows whose sides are servers in processes of their own, for bench/tcp.lua
-- and bench/server.lua. One client (server/client.c) drives the servers in turns.
--
-- A row has what harness.lua says, and the client's words: mode, version, connections, turns,
-- amount and path. `per` says how many operations of the row one of the client's is. `rounds` is
-- for a row that needs fewer rounds than the others. `alone` is for a row whose servers must have
-- done nothing else before. Rows that are not alone share their servers.
--
-- Each round has new processes. Where a process's memory happens to lie is worth some percent, for
-- as long as it lives.
local process, machine = require "spec.support.process", require "machine"

local SECONDS <const> = 300 -- no server lives longer
local servers = {}

--- words as a command with as many descriptors as the system gives: 5,000 connections want them.
function servers.unlimited(words)
    return { "sh", "-c", 'ulimit -n "$(ulimit -Hn)" && exec "$@"', "sh", table.unpack(words) }
end

--- Starts a program of which each worker prints "port pid". Returns the process and "port:pid,pid",
--- as the client wants it.
function servers.own(words, workers, free)
    local one = machine.start(servers.unlimited(words), SECONDS, free)
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

--- Starts nginx with server/nginx.conf, in which `words` are filled in. Returns the same.
function servers.nginx(program, files, words)
    local port = process.free_port()
    local dir = ("%s/nginx%d"):format(process.directory(), port)
    assert(os.execute("mkdir -p " .. process.quote(dir)))
    process.spill(dir .. "/big", ("b"):rep(1 << 20))
    local all = { DIR = dir, PORT = port, CERTIFICATE = files.certificate,
        PRIVATE_KEY = files.private_key }
    for name, value in pairs(words) do
        all[name] = value
    end
    local text = process.slurp(machine.HERE .. "/server/nginx.conf"):gsub("%$([A-Z_]+)", all)
    local one = machine.start(servers.unlimited { program, "-p", dir, "-e", "stderr", "-c",
        process.spill(dir .. "/conf", text) }, SECONDS)
    one:wait_for_port(port)
    return one, ("%d:%s"):format(port, process.slurp(dir .. "/pid"):match "%d+")
end

--- Stops all; what they said.
function servers.stop(list)
    local said = ""
    for _, server in ipairs(list) do
        said = said .. server.one:stop():sub(1, 400)
    end
    return said
end

--- Drives the servers, {one=, word=} each. Returns the client's lines, a list of numbers for each
--- server.
function servers.drive(row, list, processor)
    local words = machine.pinned(processor, { machine.BESIDE .. "/bench/server_client", row.mode,
        row.version, row.connections, row.turns, row.amount, row.path })
    for _, server in ipairs(list) do
        words[#words + 1] = server.word
    end
    words.timeout = SECONDS
    local status, output = process.run(words)
    if status ~= 0 then
        error(("%s cannot be measured: %s%s"):format(row.name, output, servers.stop(list)), 0)
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

-- One round of rows that share their servers.
local function round(rows, starters)
    local list = {}
    for _, starter in ipairs(starters) do
        local one, word = starter.start()
        list[#list + 1] = { side = starter.side, one = one, word = word }
    end
    for _, row in ipairs(rows) do
        for i, numbers in ipairs(servers.drive(row, list, machine.CLIENTS)) do
            local side, again = list[i].side, numbers[4] or 0
            local values = row.values[side] or {}
            values[#values + 1] = numbers[1] / (row.per or 1)
            row.values[side] = values
            if side == "tlslife" and again > 0 then
                error(("%s: tlslife gave too few tickets: %d of %d were offered again")
                    :format(row.name, again, numbers[3]), 0)
            end
        end
    end
    servers.stop(list)
end

-- The rows that share their servers, and each row that has them alone.
local function groups(rows)
    local together, list = {}, {}
    for _, row in ipairs(rows) do
        if row.alone then
            list[#list + 1] = { row }
        else
            together[#together + 1] = row
        end
    end
    if together[1] then
        table.insert(list, 1, together)
    end
    return list
end

--- A set's measure function. starters(row) lists {side=, start=} for the row, in the order of the
--- client's words.
function servers.measure(starters)
    return function(rows, settings, report)
        for _, group in ipairs(groups(rows)) do
            for _ = 1, math.min(settings.rounds, group[1].rounds or settings.rounds) do
                round(group, starters(group[1]))
            end
            for _, row in ipairs(group) do
                report(row)
            end
        end
    end
end

return servers
