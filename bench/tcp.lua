-- tcp.lua: measures what a resumed connection over TCP costs a server that has one connection after
-- the other, for tlslife, plain C and nginx. See bench/README.md.
local machine, servers = require "machine", require "servers"

-- amount: handshakes per turn. Those of TLS 1.2 are cheap, and so there are more.
local function row(name, version, resumption, amount, most)
    return {
        name = "tcp, " .. name,
        mode = "one", version = version, resumption = resumption, connections = 1, turns = 40,
        amount = amount,
        path = "/", alone = true, figure = { "tlslife", "/", "C" }, at_most = most,
    }
end

local NGINX_SESSIONS <const> = {
    stateful = "ssl_session_tickets off; ssl_session_cache shared:bench:8m;",
    tickets = "ssl_session_tickets on; ssl_session_cache off;",
}

return function(settings)
    local program = machine.find "nginx"

    local function starters(of)
        local files = settings.side:identity()
        local function own(...)
            local words = { ... }
            table.move({ of.version, of.resumption, files.certificate, files.private_key }, 1, 4,
                #words + 1, words)
            return function() return servers.own(words, 1) end
        end
        local function nginx()
            return servers.nginx(program, files, { VERSION = of.version, SESSIONS = NGINX_SESSIONS[
                of.resumption], KEEPALIVE = "keepalive_timeout 0;", CONNECTIONS = 64 })
        end
        return {
            { side = "C", start = own(machine.BESIDE .. "/bench/tcp_server") },
            { side = "tlslife", start = own(machine.BESIDE .. "/tlslife",
                machine.HERE .. "/tcp_server.lua") },
            program and { side = "nginx", start = nginx },
        }
    end

    return {
        title = {
            "Servers over TCP: processor time of the server's process per resumed connection,",
            "medians of $ROUNDS rounds of 40 turns.",
            not program and "There is no nginx here: its column stays empty." or nil,
        },
        sides = { "C", "tlslife", "nginx" }, rounds = 15,
        rows = {
            row("TLS 1.2 id", "TLSv1.2", "stateful", 50, 1.05),
            row("TLS 1.3 stateful", "TLSv1.3", "stateful", 15, 1.03),
            row("TLS 1.3 tickets", "TLSv1.3", "tickets", 15, 1.03),
        },
        measure = servers.measure(starters),
    }
end
