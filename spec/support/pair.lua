--- Joins a client and a server in memory, for specs that need no socket, no process and no waiting.
--
--   local pair = require "spec.support.pair"
--   local client, server = pair.connect {client = {alpn = {"h2"}}, server = {alpn = {"h2"}}}
--   assert.equal("hello", pair.send(client, server, "hello"))
--   pair.finish(client, server)
--
-- A context is given as a tlslife.Context, or as options that are added to the defaults: a client
-- trusts the root of spec/support/pki.lua, and a server has its certificate for localhost. All
-- connections are non-blocking, and one thread drives both ends.

local pki = require "spec.support.pki"
local tls = require "tlslife"

local pair = {}

--- As the value of an option it removes that option from the defaults: {certificate = pair.none}.
pair.none = setmetatable({}, {__tostring = function() return "none" end})

--- A copy of a table of options, with the fields of more (nil: none) in it.
function pair.with(options, more)
    local all = {}
    for name, value in pairs(options) do all[name] = value end
    for name, value in pairs(more or {}) do
        if value == pair.none then all[name] = nil else all[name] = value end
    end
    return all
end

local function context(role, defaults, options)
    if tls.type(options) == "context" then return options end
    return assert(tls.context(pair.with(pair.with({role = role}, defaults), options)))
end

function pair.client(options)
    return context("client", {ca = pki.get().ca_file}, options)
end

function pair.server(options)
    local p = pki.get()
    return context("server",
        {certificate = p.server_cert_file, private_key = p.server_key_file}, options)
end

--- Calls both ends in turn until each has succeeded or failed. Returns each end's {result, message,
-- err}. When one has failed, the other is called twice more, to read the alert. An end that still
-- waits then has {nil, "want_read"}.
function pair.drive(client, server, client_call, server_call)
    local ends = {
        {conn = client, call = client_call or client.connect},
        {conn = server, call = server_call or server.accept},
    }
    local rounds = 500
    while rounds > 0 and not (ends[1].over and ends[2].over) do
        rounds = rounds - 1
        for _, one in ipairs(ends) do
            if not one.over then
                one.result = table.pack(one.call(one.conn))
                local word = one.result[2]
                one.over = word ~= "want_read" and word ~= "want_write"
                if one.over and not one.result[1] then rounds = math.min(rounds, 3) end
            elseif one.result[1] then
                one.conn:peek(1) -- makes room for what the other still sends: tickets
            end
        end
    end
    return ends[1].result, ends[2].result
end

--- Makes a client's and a server's connection and joins them; no handshake is made. The options are
-- client and server (contexts or their options), hostname (default "localhost", false: none),
-- session (which the client offers), capacity, and setup (a function that is called with both).
function pair.join(options)
    options = options or {}
    local client = assert(pair.client(options.client):connection())
    local server = assert(pair.server(options.server):connection())
    client:set_blocking(false)
    server:set_blocking(false)
    tls.pair(client, server, options.capacity)
    if options.hostname ~= false then client:set_hostname(options.hostname or "localhost") end
    if options.session then client:set_session(options.session) end
    if options.setup then options.setup(client, server) end
    return client, server
end

--- Does the same and tries the handshake. Returns each end's {result, message, err}, then the
-- connections.
function pair.try(options)
    local client, server = pair.join(options)
    local c, s = pair.drive(client, server)
    return c, s, client, server
end

--- Does the same, and raises if the handshake fails. The client has read its TLS 1.3 tickets then.
function pair.connect(options)
    local c, s, client, server = pair.try(options)
    if not (c[1] and s[1]) then
        error(("no handshake: client %s, server %s"):format(c[1] or c[2], s[1] or s[2]), 2)
    end
    assert(select(2, client:read()) == "want_read")
    return client, server
end

--- Makes the handshake of two connections with set_memory, by feed and drain.
function pair.move(client, server)
    for _ = 1, 10 do
        client:connect()
        server:feed(client:drain())
        server:accept()
        client:feed(server:drain())
    end
end

--- Makes two connections with set_memory, and their handshake.
function pair.fed(options)
    local client, server = pair.join(options)
    client:set_memory()
    server:set_memory()
    pair.move(client, server)
    assert(client:handshake_done() and server:handshake_done())
    return client, server
end

--- Writes all of bytes at one end and reads as many at the other. Returns what was read.
function pair.send(from, to, bytes)
    local sent, got, pieces = 1, 0, {}
    for _ = 1, 20000 do
        if sent <= #bytes then
            local written, message = from:write(bytes, sent)
            if not written and message ~= "want_write" and message ~= "want_read" then
                return nil, message
            end
            sent = sent + (written or 0)
        end
        local piece, message = to:read(65536)
        if not piece and message ~= "want_read" and message ~= "want_write" then
            return nil, message
        end
        pieces[#pieces + 1] = piece
        got = got + #(piece or "")
        if got >= #bytes then return table.concat(pieces) end
    end
    error("the bytes do not arrive", 2)
end

--- Sends both close_notify, so that the sessions stay good. Unread data are dropped.
function pair.finish(client, server)
    client:shutdown()
    repeat until not server:read(65536)
    server:shutdown()
    repeat until not client:read(65536)
    return client:shutdown(), server:shutdown()
end

--- Makes a connection and closes it. Returns the client's new sessions, oldest first, and both
-- contexts.
function pair.sessions(options)
    local client, server = pair.connect(options)
    pair.finish(client, server)
    local sessions = {}
    for session in function()
        return client:take_session()
    end do sessions[#sessions + 1] = session end
    local contexts = {client:context(), server:context()}
    client:free()
    server:free()
    return sessions, contexts[1], contexts[2]
end

--- Does the same, and returns the first session and both contexts.
function pair.session(options)
    local sessions, client, server = pair.sessions(options)
    return assert(sessions[1], "no session arrived"), client, server
end

--- For specs that must hold in both versions.
pair.VERSIONS = {"TLSv1.2", "TLSv1.3"}

return pair
