-- rows.lua: compares the Lua module with plain C on libssl (plain.c), with both ends of a
-- connection in memory.
--
-- A row is made when its turn comes. row.make() gives c(n) and lua(n), which do the same n
-- operations and return the nanoseconds of processor time that these took. It also gives close(),
-- and renew() if a round begins with something new. Each side checks its work as a program would.
-- It checks the results of every operation, and compares the bytes themselves once for each turn.
local tls, harness, machine = require "tlslife", require "harness", require "machine"
local timed <const> = harness.timed

local PIECE <const>, RECORD <const> = 64, 16384
local SHIFT_LEAST <const>, SHIFT <const> = 128 * 1024, 16384

return function(settings)
    local plain, identity = settings.side, settings.side:identity()

    local function contexts(version, resumption, trace)
        local server = assert(tls.context {
            role = "server", certificate = identity.certificate, private_key = identity.private_key,
            min_version = version, max_version = version, resumption = resumption, trace = trace,
        })
        local client = assert(tls.context {
            role = "client", ca = identity.ca, min_version = version, max_version = version,
            trace = trace,
        })
        return client, server
    end

    local function plain_peers(version, resumption)
        return plain:peers(version, resumption, settings.careless)
    end

    -- Both ends of a connection in memory, where no call waits, each in its turn until both are
    -- done.
    local function open(client_context, server_context, session)
        local client, server = client_context:connection(), server_context:connection()
        client:set_hostname "localhost"
        tls.pair(client, server)
        if session then
            client:set_session(session)
        end
        local client_done, server_done, why
        repeat
            if not client_done then
                client_done, why = client:connect()
                if not client_done and why ~= "want_read" then
                    error(why)
                end
            end
            if not server_done then
                server_done, why = server:accept()
                if not server_done and why ~= "want_read" then
                    error(why)
                end
            end
        until client_done and server_done
        return client, server
    end

    -- close_notify from each end, then each reads the other's; a client finds TLS 1.3's tickets on
    -- the way.
    local function close(client, server)
        if client:shutdown() ~= "sent" or server:shutdown() ~= "sent" or
            server:shutdown() ~= "done" or client:shutdown() ~= "done" then
            error "a connection did not close both ways"
        end
    end

    -- One connection, opened, closed both ways and freed; the session to offer next.
    local function connect(client_context, server_context, session)
        local client, server = open(client_context, server_context, session)
        if client:session_reused() ~= (session ~= nil) then
            error "a session was not reused, or one that was not offered"
        end
        close(client, server)
        local new = client:take_session()
        client:free()
        server:free()
        return new
    end

    -- C on both sides, which shows what the machine's noise makes of a ratio of 1.
    local function control()
        local a, b = plain_peers("TLSv1.3", "tickets"), plain_peers("TLSv1.3", "tickets")
        return {
            c = function(n) return a:ask("handshakes", n, 0) end,
            lua = function(n) return b:ask("handshakes", n, 0) end,
            close = function()
                a:close()
                b:close()
            end,
        }
    end

    -- In TLS 1.2 one session serves again and again; in TLS 1.3 each connection must bring the next
    -- one's. With a trace, nobody takes its events: each one that comes drops an older one.
    local function handshakes(version, resumption, resumed, traced)
        local client, server = contexts(version, resumption, traced and tls.trace() or nil)
        local peers, session = plain_peers(version, resumption), nil
        if resumed then
            peers:ask("handshakes", 1, 0)
            session = connect(client, server)
        end
        return {
            c = function(n)
                return peers:ask("handshakes", n, resumed and 1 or 0)
            end,
            lua = timed(function(n)
                for _ = 1, n do
                    local new = connect(client, server, session)
                    if not resumed then
                        new:free()
                    elseif new then
                        session:free()
                        session = new
                    elseif version == "TLSv1.3" then
                        error "a resumed connection brought no ticket"
                    end
                end
            end),
            close = function()
                peers:close()
                if session then session:free() end
                client:free()
                server:free()
            end,
        }
    end

    -- A connection that stays open on both sides until the next round. Where its memory happens to
    -- lie is worth some percent. So each round has another place, behind a string that is too large
    -- for any heap (shift in plain.c does the same). work(peers, ends) gives c and lua. capacity is
    -- that of plain C's BIO pair, or nil for OpenSSL's default.
    local function with_connection(work, capacity)
        local client_context, server_context = contexts("TLSv1.3", "tickets")
        local peers, ends = plain_peers("TLSv1.3", "tickets"), {}
        local function close_ends()
            if ends.client then
                ends.client:free()
                ends.server:free()
            end
        end
        local c, lua = work(peers, ends)
        return {
            c = c,
            lua = timed(lua),
            renew = function()
                close_ends()
                peers:ask("open", capacity or 0)
                ends.shift = ("x"):rep(SHIFT_LEAST + math.random(SHIFT))
                ends.client, ends.server = open(client_context, server_context)
            end,
            close = function()
                peers:close()
                close_ends()
                client_context:free()
                server_context:free()
            end,
        }
    end

    local function payload(size)
        local lines = {}
        for i = 1, size // 8 do
            lines[i] = ("%07d\n"):format(i)
        end
        return table.concat(lines)
    end

    -- `written`, a string or a table of strings with `size` bytes together, is written by one
    -- conn:write, and read into the buffer, or as a string where there is none. Plain C does
    -- `command`.
    local function data(size, written, command, buffer, capacity)
        local bytes = payload(size)
        return with_connection(function(peers, ends)
            return function(n) return peers:ask(command, n) end, function(n)
                local client, server, got = ends.client, ends.server, nil
                for _ = 1, n do
                    if client:write(written) ~= size then
                        error "a write was cut"
                    end
                    if buffer then
                        if server:read_into(buffer) ~= size then
                            error "a read was cut"
                        end
                    else
                        got = server:read(size)
                        if not got or #got ~= size then
                            error "a read was cut"
                        end
                    end
                end
                assert((got or buffer:sub()) == bytes, "other bytes arrived")
            end
        end, capacity)
    end

    local function text(size)
        return data(size, payload(size), "exchange " .. size)
    end

    local function buffers(size)
        return data(size, payload(size), "exchange " .. size, tls.buffer(size))
    end

    local function pieces()
        local bytes, list = payload(RECORD), {}
        for i = 1, RECORD // PIECE do
            list[i] = bytes:sub((i - 1) * PIECE + 1, i * PIECE)
        end
        return data(RECORD, list, ("pieces %d %d"):format(RECORD, PIECE), nil, 2 * RECORD)
    end

    local function getter()
        return with_connection(function(peers, ends)
            return function(n)
                return peers:ask("getter", n)
            end, function(n)
                local client = ends.client
                for _ = 1, n do
                    if not client:handshake_done() then
                        error "an open connection's handshake is not done"
                    end
                end
            end
        end)
    end

    local rows = {}
    local function add(name, target, make, ...)
        local arguments = table.pack(...)
        rows[#rows + 1] = {
            name = name, figure = target.within and { "Lua", "-", "C" } or { "C", "/", "Lua" },
            at_least = target.ratio, at_most = target.within,
            make = function() return make(table.unpack(arguments, 1, arguments.n)) end,
        }
    end

    add("control: C against C, full", {}, control)
    local kinds = {
        { "TLS 1.2 id", "TLSv1.2", "stateful" }, { "TLS 1.2 ticket", "TLSv1.2", "tickets" },
        { "TLS 1.3 stateful", "TLSv1.3", "stateful" }, { "TLS 1.3 tickets", "TLSv1.3", "tickets" },
    }
    for _, kind in ipairs(kinds) do
        add("full handshake, " .. kind[1], { ratio = 0.99 }, handshakes, kind[2], kind[3])
    end
    for _, kind in ipairs(kinds) do
        add("resumed handshake, " .. kind[1], { ratio = 0.95 }, handshakes, kind[2], kind[3], true)
    end
    add("full handshake, traced", {}, handshakes, "TLSv1.3", "tickets", false, true)
    add("16 KiB write + read", { ratio = 0.97 }, text, RECORD)
    add("16 KiB write + read_into", { ratio = 0.97 }, buffers, RECORD)
    add("64 bytes write + read", { ratio = 0.84 }, text, 64)
    add("table of 256 x 64 bytes", { ratio = 10 }, pieces)
    add("getter handshake_done", { within = 40 }, getter)

    return {
        title = {
            "The Lua module beside plain C: processor time per operation, medians of $ROUNDS",
            "rounds, each of 16 turns of 10 ms. A ratio of 1 is C's speed, 10 is ten times it.",
        },
        sides = { "C", "Lua" }, rounds = 15, rows = rows,
        measure = function(chosen, own, report)
            machine.pin(machine.SERVERS)
            for _, row in ipairs(chosen) do
                local pair = row.make()
                row.values.C, row.values.Lua = harness.in_turns(pair.c, pair.lua, pair.renew,
                    own.rounds)
                pair.close()
                report(row)
            end
        end,
    }
end
