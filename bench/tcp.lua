-- tcp.lua: what a resumed handshake over TCP costs a server: tlslife beside plain C and nginx. See bench/README.md.
--
-- Three servers that do the same, and one client that drives them in turns (tcp_client.c) and reads their processes' time.
-- Each round has new processes: how one's memory happens to lie is worth some percent, for as long as it lives.
local process, machine = require "spec.support.process", require "machine"
local spread <const> = machine.spread

local KINDS <const> = {
    { name = "TLS 1.2 id", version = "TLSv1.2", resumption = "stateful", most = 1.05 },
    { name = "TLS 1.3 stateful", version = "TLSv1.3", resumption = "stateful", most = 1.03 },
    { name = "TLS 1.3 tickets", version = "TLSv1.3", resumption = "tickets", most = 1.03 },
}

-- A round's turns, and the handshakes of a turn; TLS 1.2's are cheap, and so there are more.
local TURNS <const>, HANDSHAKES <const> = 40, { ["TLSv1.2"] = 50, ["TLSv1.3"] = 15 }

local NGINX <const> = [[
daemon off; master_process off; pid "%s/pid"; error_log stderr;
events { worker_connections 64; }
http {
    access_log off; default_type text/plain; keepalive_timeout 0;
    client_body_temp_path "%s/body"; proxy_temp_path "%s/proxy"; fastcgi_temp_path "%s/fastcgi";
    uwsgi_temp_path "%s/uwsgi"; scgi_temp_path "%s/scgi";
    server {
        listen 127.0.0.1:%d ssl;
        ssl_certificate "%s"; ssl_certificate_key "%s"; ssl_protocols %s;
        %s
        location / { return 200 "ok\n"; }
    }
}
]]

local NGINX_SESSIONS <const> = {
    stateful = "ssl_session_tickets off; ssl_session_cache shared:bench:8m;",
    tickets = "ssl_session_tickets on; ssl_session_cache off;",
}

local function start(words)
    return machine.start(words, 120)
end

-- One of ours, which says where it is: "port pid".
local function own(...)
    local one = start { ... }
    return one, one:wait_for "(%d+)%s+(%d+)\n"
end

local function nginx(program, kind, files)
    local port = process.free_port()
    local dir = ("%s/nginx%d"):format(process.directory(), port)
    assert(os.execute("mkdir -p " .. process.quote(dir)))
    local text = NGINX:format(dir, dir, dir, dir, dir, dir, port, files.certificate, files.private_key, kind.version,
        NGINX_SESSIONS[kind.resumption])
    local one = start { program, "-p", dir, "-e", "stderr", "-c", process.spill(dir .. "/conf", text) }
    one:wait_for_port(port)
    return one, port, process.slurp(dir .. "/pid"):match "%d+"
end

-- One round: nanoseconds a handshake of each server, in the order of starters.
local function round(beside, kind, starters)
    local words = { beside .. "/bench/tcp_client", kind.version, TURNS, HANDSHAKES[kind.version] }
    local servers = {}
    for i, starter in ipairs(starters) do
        local one, port, pid = starter()
        servers[i] = one
        words[#words + 1] = port .. ":" .. pid
    end
    words = machine.pinned(machine.CLIENTS, words)
    words.timeout = 100
    local status, output = process.run(words)
    local said = ""
    for _, one in ipairs(servers) do
        said = said .. one:stop()
    end
    if status ~= 0 then
        error(("a server cannot be measured: %s%s"):format(output, said), 0)
    end
    local figures, wanted = {}, TURNS * HANDSHAKES[kind.version]
    for nanoseconds, resumed in output:gmatch "([%d.]+) (%d+)\n" do
        assert(tonumber(resumed) == wanted, "a handshake was not resumed")
        figures[#figures + 1] = tonumber(nanoseconds)
    end
    return table.unpack(figures, 1, #starters)
end

-- All rounds of one kind: c, tlslife, nginx (nil where there is none) and tlslife / c, each with its spread.
local function measure(kind, files, beside, program, rounds)
    local here = arg[0]:match "^(.*)/[^/]*$" or "."
    local starters = {
        function()
            return own(beside .. "/bench/tcp_server", kind.version, kind.resumption, files.certificate, files.private_key)
        end,
        function()
            return own(beside .. "/tlslife", here .. "/tcp_server.lua", kind.version, kind.resumption, files.certificate,
                files.private_key)
        end,
        program and function() return nginx(program, kind, files) end,
    }
    local c, ours, other, ratio = {}, {}, {}, {}
    for i = 1, rounds do
        c[i], ours[i], other[i] = round(beside, kind, starters)
        ratio[i] = ours[i] / c[i]
    end
    return { c = spread(c), tlslife = spread(ours), nginx = program and spread(other), ratio = spread(ratio) }
end

local function us(figure)
    return figure and ("%.1f us"):format(figure.median / 1000) or "-"
end

local function json(kind, result, met)
    local function three(figure)
        return figure and ("[%.9g,%.9g,%.9g]"):format(figure.median, figure.least, figure.most) or "null"
    end
    return ('{"name":"tcp, %s","c_ns":%s,"tlslife_ns":%s,"nginx_ns":%s,"ratio":%s,"target_most":%g,"met":%s}'):format(
        kind.name, three(result.c), three(result.tlslife), three(result.nginx), three(result.ratio), kind.most, met)
end

--- Runs the rows whose name holds `only`, says a line of each, adds its JSON to `lines`; how many there were, and how many
--- met their target. identity: {certificate=, private_key=}, PEM; beside: where our program and bench/ are.
return function(say, lines, identity, beside, rounds, only)
    local layout <const> = "%-34s %12s %12s %9s  %-18s %-10s %-8s %s"
    local wanted = {}
    for _, kind in ipairs(KINDS) do
        if ("tcp, " .. kind.name):find(only, 1, true) then
            wanted[#wanted + 1] = kind
        end
    end
    if #wanted == 0 then
        return 0, 0
    end
    local dir, program = process.directory(), machine.find "nginx"
    local files = {
        certificate = process.spill(dir .. "/certificate", identity.certificate),
        private_key = process.spill(dir .. "/key", identity.private_key),
    }
    say("\nServers over TCP: processor time of the server's process a resumed connection; %d rounds of %d turns.", rounds, TURNS)
    say("ratio = tlslife's time / C's.%s\n", program and "" or " There is no nginx here: its column stays empty.")
    say(layout, "", "C", "tlslife", "ratio", "least .. most", "target", "", "nginx")
    local rows_met = 0
    for _, kind in ipairs(wanted) do
        local result = measure(kind, files, beside, program, rounds)
        local met = result.ratio.median <= kind.most
        rows_met = rows_met + (met and 1 or 0)
        say(layout, "tcp, " .. kind.name, us(result.c), us(result.tlslife), ("%.3f"):format(result.ratio.median),
            ("%.3f .. %.3f"):format(result.ratio.least, result.ratio.most), ("<= %g"):format(kind.most),
            met and "met" or "NOT MET", us(result.nginx))
        lines[#lines + 1] = json(kind, result, met)
    end
    return #wanted, rows_met
end
