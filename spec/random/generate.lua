--- generate.lua: makes random programs. generate(seed, count) returns lines of Lua, which play.lua
--- runs, over the objects o[1], o[2], ...
--
-- The same seed gives the same lines in every process. A slot of o has one kind of object, or
-- nothing if the line that should have made it has failed. Some lines are what a program would
-- write, others have arbitrary arguments.

local rows = require "spec.random.rows"

-- Connections stand in pairs, a client's and a server's.
local ENDS, COPIES, COROUTINES = {{11, 12}, {13, 14}, {15, 16}}, {17, 18}, {41, 42, 43}
local WORKERS = 52
local OF_NAME = rows.slots
local CLIENTS, SERVERS, SESSIONS, CACHES = OF_NAME.client, OF_NAME.server, OF_NAME.session,
    OF_NAME.cache
local STORE, KEYRING, TICKET_KEYS, LISTENER, BUFFER, POLLER = OF_NAME.store[1], OF_NAME.keyring[1],
    OF_NAME.ticket_keys[1], OF_NAME.listener[1], OF_NAME.buffer[1], OF_NAME.poller[1]
local SERVER, TRACE = OF_NAME.serving[1], OF_NAME.trace[1]
local SSL_CLIENT, SSL_SERVER = OF_NAME.ssl[1], OF_NAME.ssl[2]
local SLOTS = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 31, 32, 33, 35, 36,
    37, 38, 39, 41, 42, 43, 51, 53, 61, 62, 63, 64, 65, 67, 68, 69, 70, 72, 73, 75, 76}

local METHODS = {
    conn = {"dup", "up_ref", "free", "clear", "context", "error", "set_hostname", "hostname",
        "set_alpn", "set_groups",
        "set_num_tickets", "set_blocking", "blocking", "get_timeout", "dial", "set_fd",
        "set_connection", "outer", "inner", "proxy_tlv", "set_memory", "feed", "feed_eof", "drain",
        "fd", "peer_address", "close_transport", "connect", "accept", "handshake", "handshake_done",
        "read", "peek", "read_into",
        "pending", "has_pending", "write", "cork", "flush", "write_early", "read_early",
        "accept_early", "early", "early_data_status", "shutdown",
        "set_shutdown", "get_shutdown", "set_quiet_shutdown", "quiet_shutdown", "set_session",
        "session", "take_session",
        "session_reused", "new_session_ticket", "key_update", "renegotiate",
        "renegotiate_pending", "request_client_certificate",
        "state", "state_text", "is_server", "version", "cipher", "group", "alpn",
        "server_name", "verify_result",
        "peer_certificates", "finished", "peer_finished", "export_keying_material", "ocsp_response",
        "take_keylog", "pollfd",
        "events", "timeout", "cancel", "rest", "idle", "resumption", "set_ticket_data",
        "ticket_data", "plain_read", "plain_write", "unread", "proxy_address", "set_dane",
        "add_tlsa", "trace",
        "local_certificates", "verify_errors", "cipher_description", "cipher_bits",
        "signature_algorithm", "peer_signature_algorithm", "offered_ciphers", "ca_names",
        "extended_master_secret", "hello_retry", "secure_renegotiation", "num_renegotiations",
        "psk_identity", "psk_identity_hint"},
    context = {"connection", "conf", "role", "session_id_context", "import_session", "up_ref",
        "free"},
    session = {"id", "time", "timeout", "set_timeout", "ticket", "ticket_lifetime", "protocol",
        "cipher", "hostname", "alpn", "max_early_data", "is_resumable", "peer_certificate",
        "export", "dup", "up_ref", "free"},
    cache = {"put", "get", "take", "remove", "flush", "stats", "entries", "export", "import",
        "up_ref", "free"},
    store = {"wait", "pump", "up_ref", "free"},
    keyring = {"rotate", "up_ref", "free"},
    ticket_keys = {"replace", "up_ref", "free"},
    listener = {"port", "addresses", "split", "fd", "close", "set_proxy_protocol"},
    buffer = {"sub", "set", "capacity"},
    poller = {"watch", "events", "fd", "close"},
}
for kind, methods in pairs(rows.methods) do METHODS[kind] = methods end

local FUNCTIONS = {"context", "listen", "pair", "cache", "shared", "redis", "keyring",
    "ticket_keys", "loop", "type", "split_address", "server", "trace", "fingerprint", "issued",
    "class", "socket", "certificate", "line", "metrics", "metrics_count", "metrics_publish",
    "metrics_leave", "buffer", "poller"}
local OPTIONS = {"role", "certificate", "private_key", "passphrase", "ca", "client_ca", "verify",
    "verify_depth", "verify_host",
    "min_version", "max_version", "ciphers", "ciphersuites", "groups", "signature_algorithms",
    "alpn", "server_names", "psk", "psk_identity_hint",
    "resumption", "num_tickets", "session_timeout", "session_id_context", "ocsp_response",
    "ocsp_request", "ocsp_verify", "options", "modes",
    "quiet_shutdown", "max_early_data", "post_handshake_auth", "cache", "ticket_keys",
    "on_hello", "on_certificate", "on_psk",
    "on_verify", "verify_all", "crl", "crl_check", "partial_chain", "max_cert_list", "dh_auto",
    "max_send_fragment", "purpose", "dane", "dh_params", "trace"}

-- What no honest call passes. Deadlines are never among them, since nil and large ones wait.
local ODD = {"nil", "true", "false", "0/0", "1/0", "-1/0", "-1", "0", "1", "3", "1.5", "2^53",
    "1 << 62", "math.mininteger",
    "math.maxinteger", "1 << 31", "(1 << 32) + 1", "65535", "65536", "'0'", "''", "'\\0'",
    "'a\\0b'", "'localhost'", "('x'):rep(70000)",
    "('x'):rep(300)", "{}", "long", "{1, 2}", "{'a', nil, 'b'}", "{n = 1}", "{''}", "{'a', 'b'}",
    "{{}}", "print",
    "coroutine.create(print)", "io.stdout", "tls",
    "math.pi", "setmetatable({}, {__index = function() error 'junk' end})",
    "setmetatable({}, {__len = function() return 1 << 60 end})",
    "setmetatable({}, {__name = 'tlslife.connection'})",
    "'TLSv1.3'", "'p-256'", "'der'", "'\\255\\254'", "function() return 1 << 40 end",
    "p.server_cert", "p.garbage", "der.cert", "der.key", "p.crl", "'unix:@x'", "'unix:/'",
    "'pkcs11:a=b'", "'file:' .. p.ca_file"}

-- ----------------------------------------------------------------------------------- the generator

local G = setmetatable({}, {__index = require "spec.random.draw"})
G.__index = G

-- What stands behind the weight in one of {weight, any}, which is drawn by weight.
local function pick(self, list)
    local total = 0
    for _, one in ipairs(list) do total = total + one[1] end
    local left = self:below(total)
    for _, one in ipairs(list) do
        left = left - one[1]
        if left < 0 then return one[2] end
    end
end

--- Calls one of {weight, function}.
function G:choose(list)
    return pick(self, list)(self)
end

local function slot(n) return ("o[%d]"):format(n) end

function G:add(format, ...)
    local line = format:format(...)
    for n in line:gmatch "o%[(%d+)%],? [o=]" do self.made[tonumber(n)] = true end
    self.lines[#self.lines + 1] = line
end

--- One of the slots that a line has filled already, or any.
function G:made_of(list)
    local there = {}
    for _, n in ipairs(list) do
        if self.made[type(n) == "table" and n[1] or n] then there[#there + 1] = n end
    end
    return self:pick(#there > 0 and there or list)
end

function G:client() return slot(self:chance(60) and CLIENTS[1] or self:made_of(CLIENTS)) end
function G:server() return slot(self:chance(60) and SERVERS[1] or self:made_of(SERVERS)) end
function G:session() return slot(self:made_of(SESSIONS)) end
function G:cache() return slot(self:made_of(CACHES)) end

--- A connection, and its mate.
function G:ends()
    local ends = self:chance(40) and ENDS[1] or self:made_of(ENDS)
    local n = self:below(2) + 1
    return slot(ends[n]), slot(ends[3 - n])
end

function G:conn()
    if self.within and self:chance(60) then return "c" end
    if self:chance(8) then return slot(self:made_of {17, 18, 11, 12}) end
    return (self:ends())
end

function G:any() return slot(self:pick(SLOTS)) end
function G:odd() return self:chance(20) and self:any() or self:pick(ODD) end

function G:odds()
    local list = {}
    for i = 1, self:below(4) do list[i] = self:odd() end
    return table.concat(list, ", ")
end

-- ------------------------------------------------------------------------------- texts of rows.lua

local MAKE -- what is no object

local function named(self, name)
    local new = name:match "^new_(.+)"
    if new then
        local n = self:pick(OF_NAME[new])
        self.made[n] = true
        return slot(n)
    end
    if OF_NAME[name] then return slot(self:made_of(OF_NAME[name])) end
    return MAKE[name](self)
end

local function one_of(self, list)
    local found = {}
    for one in (list:sub(2, -2) .. "|"):gmatch "([^|]*)|" do found[#found + 1] = one end
    return self:pick(found)
end

function G:expand(text)
    text = text:gsub("%?(%b{})", function(list) return one_of(self, list) end)
    if text:find "[@&]" then
        local conn, mate
        if text:find "&" then conn, mate = self:ends() else conn = self:conn() end
        text = text:gsub("[@&]", {["@"] = conn, ["&"] = mate})
    end
    return (text:gsub("%$([%l%d_]+)", function(name) return named(self, name) end))
end

--- One of {weight, text} as a statement.
function G:row(list)
    return self:expand(pick(self, list))
end

--- Those of {per cent, text} that are drawn, behind what there is.
function G:drawn(list, all)
    for _, one in ipairs(list) do
        if self:chance(one[1]) then all[#all + 1] = self:expand(one[2]) end
    end
    return all
end

-- -------------------------------------------------------------------------------------- statements

--- A text of its own for each write, so that bytes in the wrong place are seen.
function G:text()
    self.texts = self.texts + 1
    local size = self:pick {1, 10, 100, 1000, 9000, 20000, 70000}
    return ("text(%d, %d)"):format(self.texts, size)
end

function G:data()
    return self:choose {
        {6, self.text},
        {2, function() return ("{%s, %s, %s}"):format(self:text(), self:text(), self:text()) end},
        {1, function() return slot(BUFFER) end},
        {1, function() return ("%s, %d"):format(self:text(), self:below(12)) end},
    }
end

local function plain(format)
    return function(self) return format:gsub("@", function() return self:conn() end) end
end

local function with_mate(format)
    return function(self)
        local a, b = self:ends()
        return (format:gsub("[@&]", {["@"] = a, ["&"] = b}))
    end
end

local HANDSHAKE = {
    {8, with_mate "drive(@, &)"}, {2, plain "@:connect()"}, {2, plain "@:accept()"},
    {3, plain "@:handshake()"},
    {3, with_mate "move(@, &)"}, {3, function(self)
        local a, b = self:ends()
        return ("move(%s, %s, %d)"):format(a, b, self:below(400) + 1)
    end},
}

local DATA = {
    {6, function(self) return ("%s:write(%s)"):format(self:conn(), self:data()) end},
    {8, function(self)
        return ("%s:read(%s)"):format(self:conn(), self:pick {"", "1", "100", "65536"})
    end},
    {2, plain "@:peek(50)"},
    {1, function(self) return ("%s:read_into(%s)"):format(self:conn(), slot(BUFFER)) end},
    {1, function(self) return ("%s:set(%s)"):format(slot(BUFFER), self:text()) end},
    {1, plain "@:write(long)"}, {1, plain "@:cork(true)"}, {1, plain "@:cork(false)"},
    {1, plain "@:flush()"}, {1, plain "@:feed_eof()"},
    {1, plain "@:feed('\\x17\\3\\3\\0\\32' .. ('\\0'):rep(32))"}, {1, plain "@:feed('junk')"},
    {1, plain "@:drain(5)"},
    {1, plain "@:feed('\\x15\\3\\3\\0\\2\\2\\40')"},
}

local END = {
    {5, plain "@:shutdown()"}, {3, plain "@:close()"}, {1, plain "@:close(0.003)"},
    {1, plain "@:close_transport()"},
    {2, function(self) return ("%s:set_shutdown(%d)"):format(self:conn(), self:below(4)) end},
    {1, plain "@:set_quiet_shutdown(true)"}, {1, plain "@:set_quiet_shutdown(false)"},
    {2, with_mate "@:shutdown(); &:read(); &:shutdown(); @:shutdown()"},
}

local LIFE = {
    {9, plain "@:clear()"}, {2, plain "@:free()"}, {2, plain "@:up_ref()"},
    {1, plain "do local x <close> = @:up_ref() end"},
    {1, plain "do local x <close> = @ end"}, {1, plain "@:cancel()"},
    {1, plain "@:set_blocking(true)"},
    {2, plain "@:set_blocking(false)"}, {1, plain "@:set_timeout(0)"},
    {1, plain "@:set_timeout(0.002)"},
    {2, function(self) return ("%s = %s:dup()"):format(slot(self:pick(COPIES)), self:conn()) end},
    {1, plain "@:set_hostname('localhost')"}, {1, plain "@:set_hostname('a.example')"},
    {1, plain "@:set_alpn {'a'}"}, {1, plain "@:set_alpn {}"},
    {1, plain "@:set_num_tickets(3)"}, {1, plain "@:set_groups('P-384')"},
    {1, plain "@:set_dane('localhost')"},
    {1, plain "@:add_tlsa(3, 1, 1, ('d'):rep(32))"}, {1, plain "@:add_tlsa(2, 0, 0, der.cert)"},
    {1, function(self)
        return ("%s = %s or tls.trace {bytes = 4096, secrets = %s}; %s:trace(%s)"):format(
            slot(TRACE), slot(TRACE), self:pick {"true", "false"}, self:conn(), slot(TRACE))
    end},
    {1, plain "@:trace(nil)"}, {1, function() return slot(TRACE) .. ":next()" end},
    {1, function(self)
        return ("%s:%s()"):format(slot(TRACE), self:pick {"lost", "epoch", "up_ref", "free"})
    end},
    {1, plain "local s = tls.socket(@); s:settimeout(0); s:send('x'); s:receive(5)"},
}

local SESSION = {
    {4, function(self)
        return ("%s = %s:session()"):format(slot(self:pick(SESSIONS)), self:conn())
    end},
    {3, function(self)
        return ("%s = %s:take_session()"):format(slot(self:pick(SESSIONS)), self:conn())
    end},
    {5, function(self)
        return ("%s:set_session(%s or false)"):format(self:conn(), self:session())
    end},
    {2, plain "@:set_session(nil)"},
    {1, function(self)
        return ("%s:set_session(%s:session())"):format(self:conn(), self:conn())
    end},
    {1, function(self)
        return ("%s = %s:dup()"):format(slot(self:pick(SESSIONS)), self:session())
    end},
    {1, function(self) return ("%s:free()"):format(self:session()) end},
    {1, function(self) return ("%s:up_ref()"):format(self:session()) end},
    {1, function(self) return ("%s:set_timeout(%d)"):format(self:session(), self:below(3)) end},
    {2, function(self)
        local session = self:session()
        return ("%s = %s:import_session(%s:export(%s))"):format(slot(self:pick(SESSIONS)),
            self:chance(70) and self:client() or self:server(), session, self:pick {"", "'pem'"})
    end},
    {1, plain "@:set_ticket_data('data')"}, {2, plain "@:new_session_ticket()"},
}

local LATER = {
    {2, plain "@:key_update()"}, {2, plain "@:key_update(true)"}, {3, plain "@:renegotiate()"},
    {2, plain "@:renegotiate(true)"},
    {3, plain "@:request_client_certificate()"},
    {3, function(self) return ("%s:write_early(text(1, 10))"):format(self:conn()) end},
    {3, plain "@:read_early()"}, {2, plain "@:accept_early()"},
    {1, with_mate "@:connect(); move(@, &); &:accept_early(); &:write('early'); &:read(100)"},
    {1, plain "@:export_keying_material(16, 'EXPERIMENTAL-x')"},
}

--- What a proxy may say, and what it may not.
local HEADERS = {"'PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\\r\\n'", "'PROXY UNKNOWN\\r\\n'",
    "'PROXY TCP6 ::1 ::1 1 2\\r\\n'", "'PROXY TCP4 1.2.3.4'", "'PROXY TCP4 x y 1 2\\r\\n'",
    "'\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11\\0\\12' .. ('\\1'):rep(12)",
    "'\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x20\\0\\0\\0'",
    "'\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11\\255\\255'", "('x'):rep(300)"}
local PROXIES = {"true, {'127.0.0.1', 'unix'}", "'v1', {'127.0.0.0/8', 'unix'}", "'v2', {'unix'}",
    "true, {'::1'}", "false"}

local function connect(self)
    local ends = self:pick(ENDS)
    local a, b = slot(ends[1]), slot(ends[2])
    local proxied = self:chance(30) and ("%s:plain_write(%s); "):format(a, self:pick(HEADERS)) or ""
    return ("dial(%s, %s); %s%s = %s:accept(%s, 0); %s:set_blocking(false)"):format(a,
        slot(LISTENER), proxied, b, slot(LISTENER), self:server(), b)
end

local TRANSPORT = {
    {3, with_mate "tls.pair(@, &)"}, {2, with_mate "tls.pair(@, &, 300)"},
    {1, with_mate "@:set_memory(); &:set_memory()"},
    {1, plain "@:set_memory(100)"}, {1, with_mate "@:set_fd(&:fd())"},
    {2, with_mate "sockets(@, &)"}, {2, with_mate "lend(@, &)"}, {1, with_mate "pipes(@, &)"},
    {1, with_mate "@:set_connection(&)"},
    {8, function(self) -- one pair within another
        local inner, outer = ENDS[2], ENDS[1]
        local words = {a = slot(inner[1]), b = slot(inner[2]), c = slot(outer[1]),
            d = slot(outer[2])}
        return (self:pick {
            "@a:set_connection(@c); @b:set_connection(@d); drive(@a, @b)",
            "@c:clear(); @d:clear(); tls.pair(@c, @d); drive(@c, @d); " ..
            "@a = @c:context():connection(); @b = @d:context():connection(); " ..
            "@a:set_blocking(false); @b:set_blocking(false); @a:set_hostname('localhost'); " ..
            "@a:set_connection(@c); @b:set_connection(@d); drive(@a, @b)",
        }:gsub("@(%l)", words))
    end},
    {1, function() return "hang_up()" end},
    {1, function() return ("%s = adopt(%s)"):format(slot(LISTENER), slot(LISTENER)) end},
    {1, plain "@:dial('127.0.0.1', 1)"},
    {3, connect},
    {2, function() return ("%s = tls.listen('unix:' .. own .. '/l')"):format(slot(LISTENER)) end},
    {1, function() return ("%s = tls.listen('127.0.0.1', 0)"):format(slot(LISTENER)) end},
    {2, function(self)
        return ("%s:set_proxy_protocol(%s)"):format(slot(LISTENER), self:pick(PROXIES))
    end},
}

--- Bytes before TLS.
local PLAIN = {
    {3, with_mate "@:plain_write('STARTTLS'); move(@, &); &:plain_read(100)"},
    {2, function(self) return ("%s:plain_read(%d)"):format(self:conn(), self:below(20)) end},
    {2, function(self) return ("%s:plain_write(%s)"):format(self:conn(), self:data()) end},
    {1, plain "@:unread('junk')"}, {1, plain "@:unread('')"}, {1, plain "@:unread(long)"},
    {1, plain "@:unread(('x'):rep(1 << 20))"}, {2, plain "@:unread(@:plain_read(5))"},
    {1, with_mate "@:connect(); move(@, &); &:unread(&:plain_read(3))"},
}

--- A server on a loop. Its handler has a connection, c.
function G:serving()
    local made = "{" .. self:row(rows.own_keys) .. self:pick {"", "", ", num_tickets = 0",
        ", resumption = 'stateful'"}
    local context = self:chance(30)
        and "function() return tls.context " .. made .. ", role = 'server'} end" or made .. "}"
    local all = {
        self:expand("address = ?{'127.0.0.1:0'|'127.0.0.1:0'|'unix:' .. own .. '/s'" ..
            "|{'127.0.0.1:0', 'unix:' .. own .. '/s'}}"),
        "handshake_timeout = 0.05, log = log, context = " .. context,
        ("%s = function(c) %s; %s end"):format(self:pick {"handler", "handler", "on_request"},
            self:calm_body(), self:pick {"", "return true", "c:read(); return true"}),
    }
    return "{" .. table.concat(self:drawn(rows.serving, all), ", ") .. "}"
end

local SERVING = {
    {3, function(self) return ("%s = serve %s"):format(slot(SERVER), self:serving()) end},
    {1, function(self)
        return ("serve_all(%s, %s)"):format(slot(self:pick(ENDS)[1]), self:serving())
    end},
    {6, function(self) return ("visit(%s, %s)"):format(slot(self:pick(ENDS)[1]), slot(SERVER)) end},
    {9, function(self) return self:row(rows.server_calls) end},
}

local SHARED = {
    {2, function(self) return ("%s:put(%s)"):format(self:cache(), self:session()) end},
    {3, function(self)
        return ("%s = %s:%s(%s:id())"):format(slot(self:pick(SESSIONS)), self:cache(),
            self:pick {"get", "take"}, self:session())
    end},
    {1, function(self) return ("%s:remove(%s:id())"):format(self:cache(), self:session()) end},
    {1, function(self) return ("%s:flush(%s)"):format(self:cache(), self:pick {"", "true"}) end},
    {1, function(self)
        return ("for e in %s:entries() do e.id = %s end"):format(self:cache(), self:odd())
    end},
    {1, function(self)
        return ("%s:import(%s, %s:export(%s))"):format(self:cache(), slot(KEYRING), self:cache(),
            slot(KEYRING))
    end},
    {1, function() return slot(KEYRING) .. ":rotate(('r'):rep(32))" end},
    {1, function() return slot(TICKET_KEYS) .. ":replace {('t'):rep(80)}" end},
    {1, function() return slot(STORE) .. ":pump()" end},
    {2, function(self)
        return ("%s:%s()"):format(slot(self:pick {1, 2, 3, 4, 5, 6, 31, 32, 33, 35, 36, 37}),
            self:pick {"free", "up_ref", "close"})
    end},
    {1, function(self)
        return ("%s:set_timeout(0.01)"):format(self:chance(50) and self:client() or self:server())
    end},
}

--- Threads with states of their own, and servers in other processes, which are dear.
local OUTSIDE = {
    {6, function(self)
        return ("o[76] = thread(%d, %s, %s)"):format(self:below(1 << 30),
            self:pick {slot(CACHES[1]), slot(CACHES[2]), "nil"},
            self:pick {slot(TICKET_KEYS), "nil"})
    end},
    {3, function() return "join()" end},
    {6, function() return ("ask(%s, 'hello')"):format(slot(WORKERS)) end},
    {3, function(self)
        return ("ask(%s, '!%s')"):format(slot(WORKERS), self:pick {"error", "free", "stats",
            "reload", "twice", "reused"})
    end},
    {2, function(self)
        return ("hurt(%s, %s)"):format(slot(WORKERS), self:pick {"'reload'", "'kill'"})
    end},
    {3, function(self)
        return ("answer(%s, %s)"):format(slot(LISTENER), self:pick {"'$-1\\r\\n'", "'+OK\\r\\n'",
            "'*1\\r\\n'", "'$5\\r\\nhello\\r\\n'", "('x'):rep(70000)", "'-ERR no\\r\\n'",
            "'$1000000000\\r\\n'", "''"})
    end},
    {2, with_mate(("settle(@, &, %s)"):format(slot(STORE)))},
}

local COLLECT = {"collectgarbage()", "collectgarbage 'step'", "collectgarbage('step', 100)",
    "collectgarbage 'incremental'", "collectgarbage('generational', 1, 1)",
    "collectgarbage('incremental', 10, 1000)", "collectgarbage 'stop'",
    "collectgarbage 'restart'", "collectgarbage 'count'"}

local KIND_OF = {{"conn", 40}, {"context", 8}, {"session", 8}, {"cache", 6}, {"store", 2},
    {"keyring", 2}, {"ticket_keys", 2}, {"listener", 3}, {"buffer", 3}, {"poller", 2},
    {"socket", 4}, {"face", 4}, {"ssl", 1}, {"x509", 3}, {"serving", 3}, {"trace", 2},
    {"writer", 1}}
local OF_KIND = {context = {1, 2, 4, 5}}

function G:odd_call()
    if self:chance(8) then return ("tls.%s(%s)"):format(self:pick(FUNCTIONS), self:odds()) end
    if self:chance(4) then return ("%s(%s)"):format(self:pick(rows.functions), self:odds()) end
    if self:chance(5) then
        return ("tls.context {role = '%s', %s = %s, timeout = 0.01}"):format(
            self:pick {"client", "server"}, self:pick(OPTIONS), self:odd())
    end
    local list = {}
    for i, one in ipairs(KIND_OF) do list[i] = {one[2], function() return one[1] end} end
    local kind = self:choose(list)
    local object = kind == "conn" and self:conn() or slot(self:pick(OF_KIND[kind] or OF_NAME[kind]))
    local separator = self:chance(96) and ":" or "."
    return ("%s%s%s(%s)"):format(object, separator, self:pick(METHODS[kind]), self:odds())
end

function G:statement()
    return self:choose {
        {14, function() return self:choose(HANDSHAKE) end},
        {16, function() return self:choose(DATA) end},
        {11, function() return self:choose(END) end}, {11, function() return self:choose(LIFE) end},
        {11, function() return self:choose(SESSION) end},
        {8, function() return self:choose(LATER) end},
        {4, function() return self:choose(TRANSPORT) end},
        {3, function() return self:choose(SERVING) end},
        {2, function() return self:choose(PLAIN) end},
        {2, function() return self:choose(OUTSIDE) end},
        {4, function() return self:choose(SHARED) end},
        {3, function() return self:row(rows.socket) end},
        {self.luasec and 14 or 1, function() return self:row(rows.luasec) end},
        {1, function() return self:row(rows.metrics) end},
        {3, function() return self:row(rows.listener) end},
        {2, function() return self:row(rows.values) end},
        {3, function() return self:row(rows.time) end},
        {3, function() return self:pick(COLLECT) end}, {9, self.odd_call},
    }
end

-- ---------------------------------------------------------------------- functions that others call

--- Statements for a hook, a store's function, a finalizer, a coroutine. within: it has a
--- connection, c.
function G:body(within, most)
    local before, list = self.within, {}
    self.within = within
    local yields = self.bent == "asks" and 60 or 25
    for _ = 1, self:below(most or 4) do
        list[#list + 1] = self:chance(yields) and "yield()" or self:statement()
    end
    if self:chance(6) then list[#list + 1] = "error 'on purpose'" end
    self.within = before
    return table.concat(list, "; ")
end

--- The same without yields outside of a wait, since no loop would resume the coroutine.
function G:calm_body()
    return (self:body(true, 4):gsub("%f[%w]yield%(%)", "c:state()"))
end

function G:ends_with(list)
    return self:chance(15) and "return " .. self:odds() or self:pick(list)
end

function G:hook(parameters, list)
    local body = self:body(true)
    local quiet = self:chance(50) and "pcall(function() %s end); " or "%s; "
    return ("function(%s) %s%s end"):format(parameters, body == "" and "" or quiet:format(body),
        self:ends_with(list))
end

function G:store_functions()
    local function one(last)
        local body = self:chance(30) and self:body(false) .. "; " or ""
        return ("function(k, v) %s%s end"):format(body, self:ends_with {last})
    end
    local take = self:chance(30) and ", take = "
        .. one "local v = kept[k]; kept[k] = nil; return v" or ""
    return ("{get = %s, put = %s, remove = %s%s}"):format(one "return kept[k]", one "kept[k] = v",
        one "kept[k] = nil", take)
end

--- Parameters of a context of LuaSec's.
function G:ssl_options(mode)
    mode = mode or self:pick {"client", "server"}
    local all = {("mode = '%s', protocol = '%s'"):format(mode,
        self:pick {"any", "any", "tlsv1_2", "tlsv1_3"})}
    if mode == "server" or self:chance(20) then
        all[2] = self:expand "key = p.server_key_file, certificate = p.server_cert_file"
        if self:chance(10) then
            all[2] = "certificates = {{certificate = p.server_p7_file, key = p.server_key_file}}"
        end
    end
    return "{" .. table.concat(self:drawn(rows.ssl_options, all), ", ") .. "}"
end

MAKE = {
    text = G.text, data = G.data, odd = G.odd, calm = G.calm_body,
    body = function(self) return self:body(false, 2) end,
    ssl_client = function() return slot(SSL_CLIENT) end,
    ssl_server = function() return slot(SSL_SERVER) end,
    ssl_options = function(self) return self:ssl_options() end,
}

-- ----------------------------------------------------------------------------------- the beginning

function G:options(list, always)
    local all = {always}
    for _, one in ipairs(list) do
        if self:chance(one[1]) then
            all[#all + 1] = type(one[2]) == "string" and one[2] or one[2]()
        end
    end
    return "{" .. table.concat(all, ", ") .. "}"
end

--- One of these options, or of those that both roles have.
function G:rest(list)
    return self:row(self:chance(50) and rows.options or list)
end

function G:client_context(n, plainly)
    local function rare(percent, bent)
        return bent == self.bent and 90 or plainly and percent // 3 or percent
    end
    local tls13 = self.version ~= "TLSv1.2" -- settings that contradict each other raise
    self:add("%s = tls.context %s", slot(n), self:options({
        {rare(25, "auth"), "certificate = p.client_cert, private_key = p.client_key"},
        {rare(30), "alpn = {'a', 'b'}"},
        {rare(25), function() return "cache = " .. slot(CACHES[1]) end},
        {rare(30), function() return "on_verify = " .. self:hook("c, peer",
            {"return true", "return true", "return false"}) end},
        {rare(8), function()
            return "on_certificate = " .. self:hook("c, r", {"", "return o[2]", "return false"})
        end},
        {rare(10, "details"), "keylog = true"},
        {tls13 and rare(30, "auth") or 0, "post_handshake_auth = true"},
        {tls13 and rare(20, "early") or 0, "max_early_data = 1000"},
        {rare(5), "options = {NO_TICKET = true}"}, {rare(6), "quiet_shutdown = true"},
        {rare(4, "details"), "ocsp_request = true"}, {rare(4), "ocsp_verify = 'optional'"},
        {rare(2), "ocsp_verify = true"},
        {rare(4, "details"), "groups = 'P-384:P-256'"},
        {rare(5), "psk = {identity = 'i', key = ('k'):rep(32)}"},
        {rare(10), "session_timeout = 1"},
        {rare(8), "crl = p.crl_file"}, {rare(2), "crl = p.crl_file, crl_check = 'chain'"},
        {rare(3), "partial_chain = true"}, {rare(3), "max_cert_list = 100"},
        {rare(3, "dane"), "dane = true, resumption = 'off'"}, {rare(4), "purpose = 'any'"},
        {rare(6), "trace = tls.trace {secrets = true}"},
        {rare(4), "max_send_fragment = 512"},
        {rare(0, "psk"), function()
            return "ciphers = 'PSK', " .. (self:chance(50) and "psk = {identity = 'j', key = "
                .. "('k'):rep(32)}" or "on_psk = " .. self:hook("c, h", {
                    "return 'j', ('k'):rep(32)", "return 'i', ('k'):rep(32)", "return nil",
                    "return false", "return '', ''", "return 'j'"}))
        end},
        {rare(10), function() return self:rest(rows.client_options) end},
    }, ("role = 'client', ca = p.ca_pem, timeout = 0.01%s"):format(
        self.version and ", max_version = '" .. self.version .. "'" or "")))
end

function G:server_context(n, plainly)
    local function rare(percent, bent)
        return bent == self.bent and 90 or plainly and percent // 3 or percent
    end
    local off, tls13 = self:chance(rare(8)), self.version or self:chance(70)
    self:add("%s = tls.context %s", slot(n), self:options({
        {off and 100 or rare(30), function()
            return ("resumption = '%s'"):format(off and "off" or
                self:pick {"both", "tickets", "stateful"})
        end},
        {rare(40, "auth"), function()
            return ("ca = p.ca_pem, verify = '%s'"):format(
                self:pick {"optional", "optional", "none", "required"})
        end},
        {rare(3, "auth"), "client_ca = p.ca_pem"},
        {rare(30), "alpn = {'b', 'a'}"},
        {off and 0 or rare(25), function() return "cache = " .. slot(CACHES[2]) end},
        {off and 0 or rare(15), function() return "ticket_keys = " .. slot(TICKET_KEYS) end},
        {rare(25, "asks"), function()
            return "on_hello = " .. self:hook("c, h",
                {"", "", "return o[5]", "return o[6]", "return false, 'unrecognized_name'"})
        end},
        {rare(20), function()
            return (self:chance(self.bent == "details" and 80 or 30) and "verify_all = true, "
                or "") .. "on_verify = "
                .. self:hook("c, peer",
                    {"return true", "return true", "return false, 'access_denied'"})
        end},
        {rare(10), function()
            return "on_certificate = " .. self:hook("c, r", {"", "return o[5]", "return false"})
        end},
        {off and 0 or rare(10),
            function() return ("num_tickets = %d"):format(self:pick {0, 1, 4, 16}) end},
        {tls13 and not off and rare(20, "early") or 0, "max_early_data = 1000"},
        {rare(5), "keylog = true"},
        {rare(6), "quiet_shutdown = true"},
        {rare(8), "server_names = {localhost = o[5], ['*.example'] = o[6]}"},
        {rare(4), "session_id_context = 'id'"},
        {rare(4, "details"), "ocsp_response = p.ocsp_der"},
        {rare(2, "details"), "groups = 'P-256'"}, -- a client that begins with another has to retry
        {rare(5), "psk = {identity = 'i', key = ('k'):rep(32)}, psk_identity_hint = 'h'"},
        {rare(10), "session_timeout = 1"},
        {rare(2), "options = {NO_TICKET = true}"},
        {rare(10, "again"), "options = {ALLOW_CLIENT_RENEGOTIATION = true}"},
        {rare(3), "max_cert_list = 100"}, {rare(4), "max_send_fragment = 512"},
        {rare(3), "dh_auto = true"}, {rare(6), "trace = tls.trace {bytes = 4096}"},
        {rare(3, "psk"), function()
            return "psk_identity_hint = 'h', on_psk = " .. self:hook("c, a", {
                "return ('k'):rep(32)", "return ('k'):rep(32)", "return nil",
                "return false, 'access_denied'", "return ''"})
        end},
        {rare(10), function() return self:rest(rows.server_options) end},
    }, "role = 'server', timeout = 0.01, " .. (self:chance(rare(50)) and self:row(rows.own_keys)
        or "certificate = p.server_cert, private_key = p.server_key") ..
        (tls13 and "" or ", max_version = 'TLSv1.2'")))
end

function G:join(ends)
    local a, b = slot(ends[1]), slot(ends[2])
    self:add("%s = %s:connection(); %s:set_blocking(false); %s:set_hostname 'localhost'", a,
        self:client(), a, a)
    if self:chance(80) then
        self:add("%s = %s:connection(); %s:set_blocking(false)", b, self:server(), b)
        self:add("%s", self:choose {
            {6, function() return ("tls.pair(%s, %s)"):format(a, b) end},
            {1, function() return ("tls.pair(%s, %s, %d)"):format(a, b, self:below(3000) + 1) end},
            {3, function() return ("%s:set_memory(); %s:set_memory()"):format(a, b) end},
            {1, function() return ("sockets(%s, %s)"):format(a, b) end},
            {1, function() return ("lend(%s, %s)"):format(a, b) end},
            {1, function() return ("pipes(%s, %s)"):format(a, b) end},
        })
    else
        self:add("%s = %s or tls.listen(%s)", slot(LISTENER), slot(LISTENER),
            self:pick {"'127.0.0.1', 0", "'unix:' .. own .. '/l'"})
        local proxied = self:chance(25)
        self:add("%s:set_proxy_protocol(%s)", slot(LISTENER), proxied
            and self:pick(PROXIES) or "false")
        self:add("dial(%s, %s); %s%s = %s:accept(%s, 0); %s:set_blocking(false)", a, slot(LISTENER),
            proxied and ("%s:plain_write(%s); "):format(a, self:pick(HEADERS))
                or "", b, slot(LISTENER), self:server(), b)
    end
end

--- A whole life, so that there are sessions to be resumed.
function G:live(ends)
    local a, b = slot(ends[1]), slot(ends[2])
    self:join(ends)
    if self:chance(80) then self:add("%s:set_session(%s or false)", a, self:session()) end
    if self.bent == "details" then self:add("%s:set_ticket_data 'data'", b) end
    if self.bent == "dane" then
        self:add("%s:set_dane 'localhost'; %s:add_tlsa(%s)", a, a,
            self:pick {"3, 1, 1, ('d'):rep(32)", "3, 0, 0, der.cert", "2, 0, 0, der.cert"})
    end
    if self:chance(self.bent == "early" and 60 or 10) then
        self:add("%s:write_early(%s); move(%s, %s); %s:%s()", a, "text(1, 100)", a, b, b,
            self:pick {"read_early", "accept_early"})
        if self:chance(50) then self:add("%s:read(10); %s:write(text(1, 100))", b, b) end
    end
    if self:chance(self.bent == "asks" and 60 or 15) then
        local co = slot(self:pick(COROUTINES))
        self:add("%s = coroutine.create(drive); resume(%s, %s, %s)", co, co, a, b)
    elseif self.store then
        self:add("settle(%s, %s, %s)", a, b, slot(STORE))
    else
        self:add("drive(%s, %s)", a, b)
    end
    if self:chance(80) then
        self:add("%s:write(%s); move(%s, %s); %s:read()", b, self:text(), b, a, a)
    end
    if self:chance(self.bent == "auth" and 75 or 25) then
        local later = self.bent == "auth" and {"%s:request_client_certificate()"} or
            self.version == "TLSv1.2" and {"%s:renegotiate()", "%s:renegotiate(true)"} or
            {"%s:request_client_certificate()", "%s:key_update(true)", "%s:new_session_ticket()"}
        self:add("%s; drive(%s, %s); %s:read(); %s:read(); %s:read(); drive(%s, %s)",
            self:pick(later):format(b), a, b, a, b, a, a, b)
    end
    if self:chance(85) then
        self:add("%s = %s:%s()", slot(self:pick(SESSIONS)), a,
            self:pick {"session", "take_session"})
    end
    if self:chance(50) then
        self:add("%s:shutdown(); move(%s, %s); %s:read(); %s:shutdown()", a, a, b, b, b)
    end
end

--- A store in shared memory, or a Redis: a real one, none, one that says nothing, or whose answers
--- are the program's.
function G:new_store()
    self.store = self:row(rows.stores):gsub("PREFIX", self:below(1 << 30))
    self:add("%s = %s", slot(STORE), self.store)
    if self.store:find "own .. '/l'" then
        self:add("%s = tls.listen('unix:' .. own .. '/l')", slot(LISTENER))
    end
end

function G:begin()
    -- what comes more often in this program
    self.bent = self:pick {"early", "auth", "again", "asks", "psk", "details", "dane", "none",
        "none", "none", "none", "none"}
    local decides = self.bent ~= "none" and self.bent ~= "dane"
    self.version = (self.bent == "again" or self.bent == "psk") and "TLSv1.2"
        or decides and "TLSv1.3" or self:pick {"TLSv1.2", "TLSv1.3", false}
    if self:chance(25) then self:new_store() end
    self:add("%s = tls.keyring {('k'):rep(32)}", slot(KEYRING))
    if self:chance(30) then
        self:add("%s = tls.ticket_keys %s", slot(TICKET_KEYS), self:row(rows.ticket_keys))
    end
    for _, cache in ipairs(CACHES) do
        if self:chance(35) then
            self:add("%s = tls.cache %s", slot(cache), self:options({
                {self.store and 5 or 40, function()
                    return ("store = %s, keyring = %s"):format(self:store_functions(),
                        slot(KEYRING))
                end},
                {self.store and 80 or 0,
                    ("store = %s, keyring = %s"):format(slot(STORE), slot(KEYRING))},
                {self.store and 50 or 5, "in_memory = false"}, {20, "capacity = 2"},
                {20, "sessions_per_peer = 1"}, {10, "capacity_bytes = 3000"}, {10, "timeout = 1"},
            }))
        end
    end
    if self:chance(30) then
        self:add("%s = tls.buffer(%d)", slot(BUFFER), self:pick {1, 100, 16384})
    end
    if self:chance(10) then self:add("%s = tls.poller()", slot(POLLER)) end
    self:client_context(CLIENTS[1], true)
    self:client_context(CLIENTS[2], false)
    self:server_context(SERVERS[2], false)
    if self:chance(40) then self:server_context(SERVERS[3], false) end
    self:server_context(SERVERS[1], true)
    self:live(ENDS[1])
    if self:chance(self.bent == "early" and 80 or 30) then self:live(self:pick(ENDS)) end
    if self:chance(1) then
        self:add("%s = workers 'threads = %s'; ask(%s, 'hello')", slot(WORKERS),
            self:pick {"true", "false"}, slot(WORKERS))
    end
    if self:chance(15) then
        self:add("%s", (SERVING[1][2](self)))
        self:add("visit(%s, %s)", slot(self:pick(ENDS)[1]), slot(SERVER))
    end
    if self:chance(12) then self:luasec_begins() end
    if self:chance(8) then
        self:add("%s", self:expand "$new_socket = tls.socket(@); $socket:settimeout(0)")
    end
end

function G:luasec_begins()
    self.luasec = true
    self:add("%s = ssl.newcontext %s", slot(SSL_SERVER), self:ssl_options "server")
    self:add("%s = ssl.newcontext %s", slot(SSL_CLIENT), self:ssl_options "client")
    for _ = 1, 2 do
        self:add("o[67], o[68] = wrap(%s, %s, 'fd'); shake(o[67], o[68])", slot(SSL_CLIENT),
            slot(SSL_SERVER))
    end
end

local LINES = {
    {70, G.statement},
    {4, function(self)
        return ("setmetatable({}, {__gc = function() %s end})"):format(self:body(false, 3))
    end},
    {6, function(self)
        return (
            "%s = spawn(function() local c = %s; c:set_blocking(true); %s end); resume(%s)"):format(
                slot(41), self:conn(), self:body(true, 4), slot(41))
    end},
    {4, function(self)
        local co = slot(self:pick(COROUTINES))
        return ("%s = coroutine.create(function() local c = %s; %s end); resume(%s)"):format(co,
            self:conn(), self:body(true, 4), co)
    end},
    {9, function(self) return ("resume(%s, %s)"):format(slot(self:pick(COROUTINES)),
        self:chance(80) and "true" or self:odd()) end},
    {3, function(self) return ("coroutine.close(%s)"):format(slot(self:pick(COROUTINES))) end},
}

--- The lines of a program.
return function(seed, count)
    local self =
        setmetatable({x = (seed + 1) * 0x9E3779B97F4A7C15, lines = {}, texts = 0, made = {}}, G)
    for _ = 1, 4 do self:below(2) end
    self:begin()
    while #self.lines < count do
        if self:chance(6) then
            self:live(self:pick(ENDS))
        else
            self:add("%s", (self:choose(LINES):gsub("%%", "%%%%")))
        end
    end
    return self.lines
end
