--- A scene of the oracle on tlslife. spec/c/oracle/oracle.h defines the terms.
--
-- A scene has a kind (version and way of resuming), a role, and two connections: the subject, which
-- has that role, and its peer. The results of its calls are written as tokens, exactly as the
-- oracle writes those of libssl. Where tlslife raises instead, the token ends in "=raises".
--
-- Nothing waits: all connections are non-blocking, and one thread drives both. Everything is freed
-- by hand and in the oracle's order, because the end of a connection decides about its session, and
-- the garbage collector would come at another time.

local pki = require "spec.support.pki"
local tls = require "tlslife"

local Scene = {}
Scene.__index = Scene

local CAPACITY = 8192 -- bytes that the transport in memory holds, each way
local BOTH = tls.SENT_SHUTDOWN | tls.RECEIVED_SHUTDOWN
-- A record of application data that no key decrypts.
local GARBAGE = "\x17\x03\x03\x00\x20" .. ("\0"):rep(32)
local OTHER = {client = "server", server = "client"}
local KINDS = {
    tls12_id = {version = "TLSv1.2", resumption = "stateful"},
    tls12_ticket = {version = "TLSv1.2", resumption = "tickets"},
    tls13_stateful = {version = "TLSv1.3", resumption = "stateful"},
    tls13_stateless = {version = "TLSv1.3", resumption = "tickets"},
}

Scene.CAPACITY = CAPACITY

-- ---------------------------------------------------------------------------------- scene and ends

local function context(role, kind, options)
    local p = pki.get()
    local all = {role = role, min_version = kind.version, max_version = kind.version}
    if role == "client" then
        all.ca = p.ca_pem
    else
        all.certificate, all.private_key = p.server_cert, p.server_key
        all.resumption, all.alpn = kind.resumption, {"dup/1"}
    end
    for name, value in pairs(options or {}) do all[name] = value end
    return assert(tls.context(all))
end

local shared = {} -- contexts by kind and role: to make one costs more than a handshake

local function shared_context(role, kind)
    local key = role .. kind
    shared[key] = shared[key] or context(role, KINDS[kind])
    return shared[key]:up_ref()
end

--- Contexts by role, as those of scenes, with more options.
function Scene.contexts(kind, client, server)
    return {client = context("client", KINDS[kind], client),
        server = context("server", KINDS[kind], server)}
end

--- Makes a scene. options are added to those of the subject's context. If they are given, even as
-- {}, the scene has contexts of its own. contexts: those that it is to have.
function Scene.new(kind, role, options, contexts)
    local scene =
        setmetatable({kind = kind, role = role, line = {}, kept = {}, late = {}, ends = {}}, Scene)
    scene.tls13 = KINDS[kind].version == "TLSv1.3"
    scene.contexts = {}
    for one in pairs(OTHER) do
        scene.contexts[one] = contexts and contexts[one]:up_ref()
            or options and context(one, KINDS[kind], one == role and options or nil)
            or shared_context(one, kind)
    end
    return scene
end

function Scene:close()
    self:settle_all()
    if self.napper then self.napper:close() end
    for _, one in pairs(self.contexts) do one:free() end
end

function Scene:subject() return self.ends[self.role] end
function Scene:peer() return self.ends[OTHER[self.role]] end

--- Makes a connection of the scene's context, without a transport.
function Scene:connection(role)
    local conn = assert(self.contexts[role]:connection())
    conn:set_blocking(false)
    if role == "client" then conn:set_hostname "localhost" end
    return conn
end

--- Frees a connection so that its session stays good.
function Scene.settle(conn)
    conn:set_shutdown(BOTH)
    conn:free()
end

function Scene:settle_end(role)
    if self.ends[role] then Scene.settle(self.ends[role]) end
    self.ends[role] = nil
end

function Scene:settle_peer() self:settle_end(OTHER[self.role]) end

function Scene:settle_all()
    self:settle_end "client"
    self:settle_end "server"
end

-- --------------------------------------------------------------------------------------- transport

local join = {}

function join.pair(scene)
    tls.pair(scene.ends.client, scene.ends.server, CAPACITY)
end

--- The scene moves the bytes by feed and drain, so that garbage can come in between.
function join.fed(scene)
    scene.ends.client:set_memory(CAPACITY)
    scene.ends.server:set_memory(CAPACITY)
    scene.late = {}
end

--- Makes both connections and joins them by a transport, "pair", "fed" or "tcp". Makes no
-- handshake.
function Scene:prepare(wire)
    self.wire = wire or "pair"
    self.ends.client = self:connection "client"
    if wire == "tcp" then return self:prepare_tcp() end
    self.ends.server = self:connection "server"
    join[self.wire](self)
end

function Scene:prepare_tcp()
    local listener <close> = setmetatable({it = assert(tls.listen("127.0.0.1", 0))}, {
        __close = function(one) one.it:close() end,
    })
    self.ends.client:set_blocking(true)
    assert(self.ends.client:dial("127.0.0.1", listener.it:port()))
    self.ends.client:set_blocking(false)
    self.ends.server = assert(listener.it:accept(self.contexts.server, 5))
    self.ends.server:set_blocking(false)
end

--- Gives both connections a new transport in memory.
function Scene:rejoin()
    self.wire = "pair"
    join.pair(self)
end

--- With "fed": moves what the other connection has sent to this one, as far as there is room.
function Scene:deliver(to)
    local from = (to == self.ends.client and self.ends.server) or
        (to == self.ends.server and self.ends.client)
    if self.wire ~= "fed" or not from then return end
    local bytes = (self.late[to] or "") .. from:drain()
    if bytes ~= "" then self.late[to] = bytes:sub(to:feed(bytes) + 1) end
end

--- Ends the stream of a connection without close_notify.
function Scene:leave(conn)
    assert(self.wire ~= "fed")
    conn:close_transport()
    if self.wire == "tcp" then self:nap() end
end

--- Delivers a record that cannot be decrypted to a connection, behind what is under way.
function Scene:garble(conn)
    self:deliver(conn)
    assert(conn:feed(GARBAGE) == #GARBAGE)
end

--- Waits for a hundredth of a second, in which a reset arrives over the loopback.
function Scene:nap()
    self.napper = self.napper or assert(tls.listen("127.0.0.1", 0))
    self.napper:accept(self.contexts.server, 0.01)
end

--- Returns when what the other connection has written has arrived.
function Scene:arrive()
    if self.wire == "tcp" then self:nap() end
end

-- ------------------------------------------------------------------------------------------ tokens

function Scene:say(format, ...)
    self.line[#self.line + 1] = format:format(...)
end

local function bit(value) return value and 1 or 0 end

local WORDS = {closed = "zero_return", truncated = "ssl:unexpected_eof_while_reading"}

--- The oracle's token for a failure: SSL_get_error's result, and the reason.
local function word(message, err)
    if not err then return WORDS[message] or message end
    if err.code == "system" then return "syscall" end
    return "ssl:" .. (err.reason or "none"):gsub("%s", "_")
end

--- Calls a verb and writes its token. success maps the call's result to libssl's number, and
-- failure is that number for a call that failed.
function Scene:call(conn, verb, success, failure, ...)
    self:deliver(conn)
    local name = (conn == self:peer() and "p." or "s.") .. verb
    local ok, result, message, err = pcall(conn[verb], conn, ...)
    if not ok then
        self.raised = result
        self:say("%s=raises", name)
    elseif result then
        self:say("%s=%d", name, success[result] or 1)
    else
        self:say("%s=%d/%s", name, failure, word(message, err))
    end
end

function Scene:shutdown(conn) self:call(conn, "shutdown", {sent = 0, done = 1}, -1) end
function Scene:read(conn) self:call(conn, "read", {}, 0, 16384) end
function Scene:peek(conn) self:call(conn, "peek", {}, 0, 16384) end
function Scene:read_early(conn) self:call(conn, "read_early", {[""] = 2}, 0, 16384) end
function Scene:write_early(conn) self:call(conn, "write_early", {[0] = 0}, 0, "early") end
function Scene:write(conn, len) self:call(conn, "write", {}, 0, ("\0"):rep(len or 1)) end
function Scene:handshake(conn) self:call(conn, "handshake", {}, -1) end

--- The token of clear does not say which connection was cleared.
function Scene:clear(conn)
    local ok, result, message, err = pcall(conn.clear, conn)
    if not ok then
        self.raised = result
        return self:say "clear=raises"
    end
    self:say(result and "clear=1" or "clear=0/" .. word(message, err))
end

--- Calls a verb that returns 1 in libssl and may raise here.
function Scene:attempt(name, conn, verb, ...)
    local ok, raised = pcall(conn[verb], conn, ...)
    if not ok then self.raised = raised end
    self:say(ok and "%s=1" or "%s=raises", name)
end

function Scene:masks()
    self:say("s.mask=%d", self:subject():get_shutdown())
    self:say("p.mask=%d", self:peer():get_shutdown())
end

function Scene:resumable(session)
    self:say("resumable=%d", bit((session or self.held):is_resumable()))
end

function Scene:reused(name, client, server)
    client, server = client or self.ends.client, server or self.ends.server
    self:say("%s=%d/%d", name, bit(client:session_reused()), bit(server:session_reused()))
end

--- Writes whether a new connection of the scene's contexts that offers the session resumes.
function Scene:fresh(name, session)
    local client, server = self:connection "client", self:connection "server"
    tls.pair(client, server, CAPACITY)
    client:set_session(session)
    if self:drive(client, server) then
        self:reused(name, client, server)
    else
        self:say("%s=failed", name)
    end
    Scene.settle(client)
    Scene.settle(server)
end

function Scene:final_status()
    self:resumable()
    self:fresh("fresh", self.offer)
    if self.tls13 then self:fresh("first", self.first) end
end

-- --------------------------------------------------------------------------------------- handshake

local function goes_on(result, message)
    return result or message == "want_read" or message == "want_write"
end

--- Makes the handshake of both. Returns false if it failed.
function Scene:drive(client, server)
    for _ = 1, 200 do
        self:deliver(client)
        local a, why_a = client:handshake()
        self:deliver(server)
        local b, why_b = server:handshake()
        if a and b then return true end
        if not goes_on(a, why_a) or not goes_on(b, why_b) then return false end
        if self.wire == "tcp" then self:nap() end
    end
    return false
end

function Scene:finish()
    local done = self:drive(self.ends.client, self.ends.server)
    self:say("done=%d", bit(done))
    return done
end

function Scene:send_byte(from, to)
    assert(from:write "x" == 1)
    for _ = 1, 200 do
        self:deliver(to)
        local byte, why = to:read(1)
        if byte then return end
        assert(why == "want_read", why)
        self:nap()
    end
    error "a byte does not arrive"
end

--- Appends the sessions that have come to the client to self.kept, oldest first.
function Scene:keep()
    for session in function() return self.ends.client:take_session() end do
        self.kept[#self.kept + 1] = session
    end
    return #self.kept
end

--- Sends a byte each way. In TLS 1.3 the client has its tickets then.
function Scene:exchange()
    self:send_byte(self.ends.server, self.ends.client)
    self:send_byte(self.ends.client, self.ends.server)
    self:keep()
end

--- The session to offer. If the subject is a server it is a copy, which the client's end does not
-- change.
function Scene:offered(session)
    return self.role == "server" and session:dup() or session
end

--- Makes both connections, the handshake and a byte each way, and holds the sessions.
function Scene:meet(wire)
    self:prepare(wire)
    assert(self:drive(self.ends.client, self.ends.server))
    self:exchange()
    self.held = assert(self:subject():session())
    self.offer = self:offered(self.ends.client:session())
    self.first = self:offered(assert(self.kept[1]))
end

--- Makes the subject's first step of a handshake and writes its token. If the subject is a server,
-- the peer's first step comes before.
function Scene:begin()
    if self.role == "server" then self:handshake(self.ends.client) end
    self:handshake(self:subject())
end

--- Frees both connections so that their sessions stay good, and makes two new ones.
function Scene:prepare_again(wire)
    self:settle_all()
    self:prepare(wire)
end

function Scene:replace_peer()
    self:settle_peer()
    self.ends[OTHER[self.role]] = self:connection(OTHER[self.role])
    self:rejoin()
end

return Scene
