-- server.lua: compares tls.serve with other servers that have many connections at once, in plain C,
-- nginx, LuaSec with luv, cqueues with luaossl, Python and Node. See bench/README.md.
local process, machine, harness = require "spec.support.process",
    require "machine", require "harness"
local servers = require "servers"

local PLAIN <const>, OURS <const> = machine.BESIDE .. "/bench/server_plain",
    machine.HERE .. "/server/ours.lua"
local TLSLIFE <const> = machine.BESIDE .. "/tlslife"

-- ----------------------------------------------------------------------------------- seven servers

-- A row of TLS 1.3 from the client's words and what is particular to it.
local function row(name, mode, connections, turns, amount, more)
    more.name, more.mode, more.version = name, mode, "TLSv1.3"
    more.connections, more.turns, more.amount, more.path = connections, turns, amount,
        more.path or "/"
    more.figure = more.figure or { "tlslife", "/", "C" }
    return more
end

local TO_NGINX <const> = { "tlslife", "/", "nginx" }

local ROWS <const> = {
    row("keep-alive, 200 connections", "keep", 200, 12, 4, { figure = TO_NGINX, at_most = 1 }),
    row("keep-alive, 1,000 connections", "keep", 1000, 6, 2, { figure = TO_NGINX, at_most = 1 }),
    row("full handshake", "full", 32, 6, 40, {}),
    row("resumed handshake", "resumed", 32, 6, 40, {}),
    row("16 KiB write", "keep", 8, 6, 3, { path = "/big", per = 64, at_most = 1.05 }),
    -- Memory that another row had left would be used again, and its growth would not be seen.
    row("an idle connection's memory", "idle", 5000, 1, 1, { unit = "B", figure = { "tlslife" },
        at_most = 15 * 1024, rounds = 2, alone = true, kind = "requests" }),
    row("the same, in a handler", "idle", 5000, 1, 1, { unit = "B", figure = { "tlslife" },
        rounds = 2, alone = true }),
}

-- A monitoring system asks a server four times a minute. Here it is sixty times, which is seen more
-- easily. There is no target: two servers that are the same differ by up to a twentieth here, and
-- docs/performance.md counts instructions instead.
local SCRAPED_ROWS <const> = {
    row("keep-alive, with metrics", "keep", 200, 48, 4, { figure = { "scraped", "/", "not" } }),
    row("resumed, with metrics", "resumed", 32, 12, 40, { figure = { "scraped", "/", "not" } }),
}

-- Whether the Lua 5.4 of the system has all these modules.
local function has(modules)
    return os.execute(("lua5.4 -e '%s' 2>/dev/null"):format(modules:gsub("%S+", 'require "%0" ')))
end

-- The servers that can be had here. kind: which of ours, as server/ours.lua has it.
local function starters(files, kind)
    local list = {}
    local function add(side, condition, start)
        list[#list + 1] = condition and { side = side, start = start } or nil
    end
    local function script(...)
        local words = { ... }
        words[#words + 1], words[#words + 2] = files.certificate, files.private_key
        if kind and words[2] == OURS then
            words[#words + 1], words[#words + 2] = "1", kind
        end
        return function() return servers.own(words, 1) end
    end
    local nginx = machine.find "nginx"
    add("C", true, script(PLAIN))
    add("tlslife", true, script(TLSLIFE, OURS))
    add("nginx", nginx, function()
        return servers.nginx(nginx, files, { VERSION = "TLSv1.3", CONNECTIONS = 16384,
            SESSIONS = "ssl_session_tickets on; ssl_session_cache off;",
            KEEPALIVE = "keepalive_timeout 3600s; keepalive_requests 1000000000; " ..
                "client_header_timeout 3600s;" })
    end)
    add("LuaSec+luv", has "ssl socket luv",
        script("lua5.4", machine.HERE .. "/server/on_luasec.lua"))
    add("cqueues", has "cqueues openssl",
        script("lua5.4", machine.HERE .. "/server/on_cqueues.lua"))
    add("Python", machine.find "python3", script("python3", machine.HERE .. "/server/on_python.py"))
    add("Node", machine.find "node", script("node", machine.HERE .. "/server/on_node.js"))
    return list
end

-- Two of ours. A shell asks the second one for its metrics each second, until it ends.
local function scraped(files)
    local function start(...)
        return servers.own({ TLSLIFE, OURS, files.certificate, files.private_key, "1", ... }, 1)
    end
    return {
        { side = "not", start = start },
        { side = "scraped", start = function()
            local address = "127.0.0.1:" .. process.free_port()
            local one, word = start("metrics", address)
            machine.start({ "sh", "-c", [[
                while curl -sf -o "$0" "http://$1/metrics"; do sleep 1; done
            ]], process.directory() .. "/metrics", address }, 300)
            return one, word
        end },
    }
end

-- -------------------------------------------------------------------------------- a client's cache

local VISITS <const> = 1000

-- How many of a client's connections, one after another, were full handshakes, at tls.serve with
-- one worker or two.
local function full_of_visits(tls, files, count)
    local one, word = servers.own({ TLSLIFE, OURS, files.certificate, files.private_key, count },
        count)
    local context = assert(tls.context { role = "client", ca = files.ca, cache = tls.cache(),
        timeout = 10 })
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
    assert(full > 0, "the first connection was resumed")
    return full
end

local function caching_row(workers)
    return {
        name = ("a client's cache, %d worker%s"):format(workers, workers > 1 and "s" or ""),
        workers = workers, unit = "", figure = { "full" }, at_most = 1,
    }
end

local function measure_caching(rows, settings, report)
    local tls, files = require "tlslife", settings.side:identity()
    for _, it in ipairs(rows) do
        it.values.full = { full_of_visits(tls, files, it.workers) }
        report(it)
    end
end

-- ------------------------------------------------------------------------------------- two workers

local WORKERS <const> = row("two workers", "wide", 16, 1, 80, {})
local GAIN <const>, GAIN_ROUNDS <const> = 1.8, 7

-- Nanoseconds per signature of as many processes that do nothing else. What two gain is all that
-- this machine has to give.
local function signature(processes)
    local _, output = process.run { "openssl", "speed", "-seconds", "1", "-mr", "-multi",
        processes, "rsa7680" }
    local per_second = assert(output:match "\n%+F2:%d+:7680:([%d.]+)", output)
    return 1e9 / tonumber(per_second)
end

-- one and two say which numbers of a round belong to the row. The numbers are those of C with one
-- worker and two, ours with one, two, and two threads, one process that signs, and two.
local function workers_row(name, one, two, at_least)
    return {
        name = "two workers: " .. name,
        one = one, two = two, figure = { "one worker", "/", "two workers" }, by = "fastest",
        at_least = at_least,
    }
end

local WORKER_ROWS <const> = {
    workers_row("signatures alone", 6, 7), workers_row("C, processes", 1, 2),
    workers_row("tlslife, processes", 3, 4, GAIN), workers_row("tlslife, threads", 3, 5, GAIN),
}

-- Wall nanoseconds per handshake of each kind of server, then per signature.
local function workers_round(files)
    local kinds = {
        { 1, PLAIN }, { 2, PLAIN }, { 1, TLSLIFE, OURS }, { 2, TLSLIFE, OURS },
        { 2, TLSLIFE, OURS, "threads" },
    }
    local list, numbers = {}, {}
    for k, kind in ipairs(kinds) do
        local count, words = kind[1], { kind[2], kind[3] }
        table.move({ files.certificate, files.private_key, count, kind[4] }, 1, 4,
            #words + 1, words)
        local one, word = servers.own(words, count, true)
        list[k] = { one = one, word = word }
    end
    for k, line in ipairs(servers.drive(WORKERS, list)) do
        numbers[k] = line[2]
    end
    numbers[6], numbers[7] = signature(1), signature(2)
    servers.stop(list)
    return numbers
end

local function measure_workers(rows, settings, report)
    -- A signature by RSA of 8192 bits costs a server some twenty milliseconds, and its verification
    -- next to nothing. So the client is not the limit, though it has no processor of its own here.
    local files, all = machine.self_signed("rsa", "rsa:8192"), {}
    for i = 1, math.min(settings.rounds, GAIN_ROUNDS) do
        for k, value in ipairs(workers_round(files)) do
            all[k] = all[k] or {}
            all[k][i] = value
        end
    end
    -- Two processors of a virtual machine do not always do twice the work. The target is lower by
    -- what signatures alone do not gain.
    local given = harness.spread(all[6]).least / harness.spread(all[7]).least
    for _, it in ipairs(rows) do
        it.values["one worker"], it.values["two workers"] = all[it.one], all[it.two]
        it.at_least = it.at_least and GAIN * math.min(given / 2, 1)
        report(it)
    end
end

-- -------------------------------------------------------------------------------------------- sets

return function(settings)
    return {
        title = {
            "Servers with many connections, one worker each: processor time of the server per",
            "operation, or memory private to the process; medians of $ROUNDS rounds.",
        },
        sides = { "C", "tlslife", "nginx", "LuaSec+luv", "cqueues", "Python", "Node" }, rounds = 9,
        rows = ROWS,
        measure = servers.measure(function(it)
            return starters(settings.side:identity(), it.kind)
        end),
    }, {
        title = {
            "Metrics: tls.serve with nobody who asks for them, and with a page of them that is",
            "asked for each second, fifteen times as often as Prometheus does by default.",
        },
        sides = { "not", "scraped" }, rounds = 9, rows = SCRAPED_ROWS,
        measure = servers.measure(function() return scraped(settings.side:identity()) end),
    }, {
        title = { ("A client's cache: how many of %d connections were full handshakes."):format(
            VISITS) },
        sides = { "full" }, rows = { caching_row(1), caching_row(2) }, measure = measure_caching,
    }, {
        title = {
            "Two workers: full handshakes (RSA-8192) by the clock on the wall, one worker / two;",
            "2 is ideal. The figure is that of each kind's fastest round, then the least and the",
            "most that a round gained.",
        },
        sides = { "one worker", "two workers" }, rounds = GAIN_ROUNDS, rows = WORKER_ROWS,
        measure = measure_workers,
    }
end
