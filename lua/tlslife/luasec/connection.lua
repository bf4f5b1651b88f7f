-- connection.lua: the module ssl.core of the drop-in, which makes connections as LuaSec has them.
--
-- A connection here is a socket of socket.lua, with LuaSec's words ("wantread" for a wait that
-- ended) and LuaSec's other methods. The connection of ours beneath is made when it is used first,
-- because on a server sni decides of which context it is made.

local core = require "tlslife.core"
local arguments = require "tlslife.arguments"
local faces = require "tlslife.socket"
local contexts = require "tlslife.luasec.context"
local native = require "tlslife.luasec.native"
local x509 = require "tlslife.luasec.x509"

local states = faces.states
local make, metatable = core.class "SSL:Connection"
local NAME_MAX <const> = 255
local ECONNRESET <const>, EPIPE <const> = 104, 32

local methods = {}
for _, name in ipairs {"receive", "send", "settimeout", "dirty", "want", "getstats", "setstats",
    "connection"} do
    methods[name] = faces.methods[name]
end

-- ------------------------------------------------------------------------------------------ words

-- What LuaSec says where a call of ours ended early. libssl's sentences are those that programs of
-- LuaSec know.
local function words(s, why, err)
    if why == "want_read" or why == "want_write" or why == "timeout" then
        return s.want == "write" and "wantwrite" or "wantread"
    end
    if why == "truncated" then return "unexpected eof while reading" end
    if not err then return why end
    if err.code == "system" and (err.errno == ECONNRESET or err.errno == EPIPE) then
        return "closed"
    end
    return err.reason or why
end

-- --------------------------------------------------------------------------------------- creation

local function check(self, name)
    local s = states[self]
    if not s or s.words ~= words then arguments.refuse(self, 1, name, "SSL:Connection") end
    return s
end

local ssl = {SOCKET_INVALID = -1}

-- The connection of ours. It is made here, or nil and why.
local function begin(s)
    if s.conn or s.closed then return s.conn, "closed" end
    if type(s.fd) == "number" and s.fd < 0 then return nil, "closed" end
    local conn, message = native.new(s.ctx, s.hosts)
    if not conn then return nil, message end
    if s.fd then
        local use = type(s.fd) == "number" and conn.take_fd or conn.set_fd
        local ok, why = use(conn, s.fd)
        if not ok then
            s.fd = type(s.fd) == "number" and ssl.SOCKET_INVALID or s.fd -- take_fd has closed it
            return nil, why
        end
    end
    s.conn, s.owned = conn, true
    if s.name then pcall(conn.set_hostname, conn, s.name) end
    faces.limit(s, conn)
    return conn
end

-- A descriptor belongs to the face until a connection of ours is made, which may never be. So the
-- collector closes it then, by this connection, which is older than all faces: when a state closes,
-- what is younger goes first. It is made before, since the collector runs where memory is short.
local closer

-- true; or nil and why.
local function make_closer()
    if closer then return true end
    local context, message = core.context {role = "client", verify = "none"}
    if not context then return nil, message end
    closer, message = context:connection()
    return closer and true, message
end

local function close_descriptor(fd)
    closer:take_fd(fd)
    closer:close_transport()
end

metatable.__gc = function(self)
    local s = states[self]
    if s and not s.conn and type(s.fd) == "number" and s.fd >= 0 then
        pcall(close_descriptor, s.fd)
    end
end

function ssl.create(ctx)
    if not contexts.is(ctx) then
        arguments.raise("bad argument #1 to 'create' (invalid context)")
    end
    local mode = contexts.mode(ctx)
    if not mode then return nil, "invalid mode" end
    local ok, message = make_closer()
    if not ok then return nil, message end
    local s = faces.new_state(nil, words)
    s.ctx, s.mode = ctx, mode
    local self = make()
    states[self] = s
    return self
end

-- Gives it its transport: a descriptor that becomes the connection's, or an object that keeps it.
function ssl.setfd(self, fd)
    local s = check(self, "setfd")
    if s.conn or s.closed then
        arguments.raise("bad argument #1 to 'setfd' (invalid SSL object state)")
    end
    local is_object = type(fd) == "table" or type(fd) == "userdata"
    s.fd = is_object and fd or arguments.integer(fd, 2, "setfd")
end

function ssl.copyright()
    return "tlslife " .. core.version .. ", in LuaSec's place"
end

function ssl.setmethod(name, method)
    if type(name) ~= "string" then arguments.refuse(name, 1, "setmethod", "string") end
    methods[name] = method
end

-- -------------------------------------------------------------------------------------- handshake

function methods:dohandshake()
    local s = check(self, "dohandshake")
    if s.total then s.began = faces.clock() end
    local conn, message = begin(s)
    if not conn then return false, message end
    local ok, why = faces.handshake(s, "dohandshake")
    if not ok then return false, why end
    return true
end

function methods:sni(name, strict)
    local s = check(self, "sni")
    if s.mode == "client" then
        name = arguments.string(name, 1, "sni"):match "^[^\0]*"
        s.name = name ~= "" and #name <= NAME_MAX and name or nil
        if s.conn and s.name then pcall(s.conn.set_hostname, s.conn, name) end
        return
    end
    if type(name) ~= "table" then arguments.refuse(name, 1, "sni", "table") end
    local any_case = {}
    for host, ctx in pairs(name) do
        if type(host) ~= "string" or not contexts.is(ctx) then
            arguments.raise("bad argument #1 to 'sni' (table of SSL:Context expected)")
        end
        any_case[host:lower()] = ctx
    end
    s.hosts = {map = name, any_case = any_case, strict = strict and true or false}
end

-- The DANE of a client, which libssl has on a connection alone.
function methods:setdane(name)
    local s = check(self, "setdane")
    local conn = begin(s)
    return conn and (pcall(conn.set_dane, conn, name)) or false
end

function methods:settlsa(usage, selector, matching, data)
    local s = check(self, "settlsa")
    local conn = begin(s)
    if not conn then return false end
    local added = arguments.judged("settlsa", conn.add_tlsa, conn, usage, selector, matching, data)
    return added and true or false
end

-- ---------------------------------------------------------------------------------------- the end

local function close(s)
    if s.conn then
        faces.close(s)
    elseif not s.closed and type(s.fd) == "number" then
        local conn = begin(s)
        if conn then faces.close(s) end
    end
    s.closed, s.fd = true, nil
end

function methods:close()
    close(check(self, "close"))
end

metatable.__close = function(self) close(check(self, "close")) end

function methods:getfd()
    local s = check(self, "getfd")
    local fd = s.fd
    if fd and type(fd) ~= "number" then fd = fd:getfd() end
    return not s.closed and fd or -1
end

-- ---------------------------------------------------------------------------------------- getters

-- A method that asks an open connection, and says "closed" of another.
local function getter(name, ask)
    methods[name] = function(self, ...)
        local s = check(self, name)
        if not s.open then return nil, "closed" end
        return ask(s.conn, ...)
    end
end

getter("getpeercertificate", function(conn, n)
    n = n == nil and 1 or arguments.integer(n, 1, "getpeercertificate")
    if n < 1 then return nil, "invalid certificate index" end
    local certificates = conn:peer_certificates()
    return certificates and certificates[n] and x509.new(certificates[n]) or nil
end)

local function chain(certificates)
    local found = {}
    for i, certificate in ipairs(certificates or {}) do found[i] = x509.new(certificate) end
    return found
end

getter("getpeerchain", function(conn) return chain(conn:peer_certificates()) end)

-- Those of the file alone: what completes the chain is sent, too, and LuaSec does not tell of it.
local function local_certificates(s)
    local certificates = s.conn:local_certificates() or {}
    local len = certificates[1] and contexts.chain_len(s.ctx, certificates[1].pem)
    return table.move(certificates, 1, math.min(len or #certificates, #certificates), 1, {})
end

function methods:getlocalchain()
    local s = check(self, "getlocalchain")
    if not s.open then return nil, "closed" end
    return chain(local_certificates(s))
end

function methods:getlocalcertificate(n)
    local s = check(self, "getlocalcertificate")
    if not s.open then return nil, "closed" end
    n = n == nil and 1 or arguments.integer(n, 1, "getlocalcertificate")
    if n < 1 then return nil, "invalid certificate index" end
    local certificate = local_certificates(s)[n]
    return certificate and x509.new(certificate) or nil
end

function methods:getpeerverification()
    local s = check(self, "getpeerverification")
    if not s.open then return false, "closed" end
    local text, result = s.conn:verify_result()
    if result == 0 then return true end
    local errors = s.conn:verify_errors()
    if not errors then return false, text end
    local by_depth = {}
    for _, found in ipairs(errors) do
        local at = found.depth + 1
        by_depth[at] = by_depth[at] or {}
        table.insert(by_depth[at], found.text)
    end
    return false, by_depth
end

getter("getfinished", function(conn) return conn:finished() end)
getter("getpeerfinished", function(conn) return conn:peer_finished() end)
getter("exportkeyingmaterial", function(conn, label, len, ctx)
    label = arguments.string(label, 1, "exportkeyingmaterial")
    len = arguments.integer(len, 2, "exportkeyingmaterial")
    if ctx ~= nil then ctx = arguments.string(ctx, 3, "exportkeyingmaterial") end
    local ok, bytes = pcall(conn.export_keying_material, conn, len, label, ctx)
    if ok and bytes then return bytes end
    return nil, "error exporting keying material"
end)

function methods:getalpn()
    local s = check(self, "getalpn")
    return s.conn and s.conn:alpn() or nil
end

function methods:getsniname()
    local s = check(self, "getsniname")
    if s.conn then return s.conn:server_name() end
    return not s.closed and s.name or nil
end

-- TLS 1.3 has no compression, and this library uses none.
function ssl.compression(self)
    local s = check(self, "compression")
    if not s.open then return nil, "closed" end
    return nil
end

-- OpenSSL's description of the cipher suite, its bits, and the version.
function ssl.info(self)
    local s = check(self, "info")
    if not s.open then return end
    local bits, algorithm_bits = s.conn:cipher_bits()
    return s.conn:cipher_description(), bits, algorithm_bits, s.conn:version()
end

metatable.__index = methods
metatable.__tostring = function(self)
    local s = states[self]
    return ("SSL connection: %p%s"):format(self, s and s.closed and " (closed)" or "")
end

return ssl
