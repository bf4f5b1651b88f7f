-- The script of embed_threads.c, which each thread runs in a Lua state of its own. It connects a
-- client and a server in memory, several times. All threads have the same contexts and the same
-- cache. Returns how many handshakes were full, how many resumed, and how many of these resumed a
-- session that another thread had made.
local tls = require "tlslife.core"

local client_context, server_context, number, visits = ...
local full, resumed, foreign = 0, 0, 0

local function shake_hands(client, server)
    local connected, accepted
    repeat
        connected = connected or client:connect()
        accepted = accepted or server:accept()
    until connected and accepted
end

-- The ticket data of a session are the number of the thread that has made it.
local function count(server)
    local maker = server:ticket_data()
    if not server:session_reused() then
        full = full + 1
    else
        resumed = resumed + 1
        if maker ~= tostring(number) then foreign = foreign + 1 end
    end
    server:set_ticket_data(tostring(number))
    server:new_session_ticket()
end

local function visit()
    local client <close> = assert(client_context:connection())
    local server <close> = assert(server_context:connection())
    client:set_blocking(false)
    server:set_blocking(false)
    client:set_hostname "localhost"
    tls.pair(client, server)
    server:set_num_tickets(0) -- count makes the session: when it has seen the one before
    shake_hands(client, server)
    count(server)
    server:write "hello"
    assert(client:read() == "hello") -- the new session came with it
    client:shutdown()
    server:read()
    server:shutdown() -- an end that leaves the sessions good
end

for _ = 1, visits do visit() end
return full, resumed, foreign
