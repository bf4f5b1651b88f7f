--- play.lua: runs a program of generate.lua, or one that was shrunk, and checks after each line
--- what must always be true.
--
--   local failure = play.run {"o[1] = tls.context {role = 'client'}",
--       "o[1]:connection():write 'x'"}
--
-- A failure is a table: line (its number), text, message. Lines may use what is in the environment
-- below.
--
-- The methods that count references and move bytes are wrapped, once for the process. So a model
-- knows how many references each handle has, what was written and what was read, and which
-- connections have sent their close_notify.

local clock = require "spec.random.clock"
local collector = require "spec.support.collector"
local helpers = require "spec.random.helpers"
local outside = require "spec.random.outside"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local play = {}

local SENT, RECEIVED = tls.SENT_SHUTDOWN, tls.RECEIVED_SHUTDOWN
-- In the order in which a connection may have them, as docs/lifecycle.md draws it.
local STATES = {before = 1, handshake = 2, open = 3, failed = 4}
local WAITS = {want_read = true, want_write = true, want_session = true, timeout = true,
    canceled = true, busy = true}
local GETTERS = {
    connection = {"blocking", "early", "early_data_status", "error", "events", "fd", "get_shutdown",
        "get_timeout", "handshake_done", "has_pending", "hostname", "idle", "is_server",
        "peer_address", "proxy_address", "pending", "pollfd", "quiet_shutdown",
        "renegotiate_pending", "server_name",
        "session_reused", "state", "state_text", "timeout", "version", "cipher", "verify_result",
        "finished", "peer_finished", "resumption", "alpn", "group", "ocsp_response", "ticket_data",
        "signature_algorithm", "peer_signature_algorithm", "ca_names", "extended_master_secret",
        "hello_retry", "secure_renegotiation", "num_renegotiations", "psk_identity",
        "psk_identity_hint", "cipher_description", "cipher_bits", "inner", "outer"},
    session = {"id", "time", "timeout", "ticket", "ticket_lifetime", "protocol", "cipher",
        "hostname", "alpn", "max_early_data", "is_resumable"},
    context = {"role", "session_id_context"}, cache = {"stats"}, store = {"wait"}, keyring = {},
    ticket_keys = {}, listener = {"port", "addresses"}, trace = {"lost", "epoch"},
    buffer = {"capacity"}, poller = {}, ["tlslife.thread"] = {"status"},
    ["tlslife.socket"] = {"dirty", "want", "getfd", "getstats", "getpeername", "getsockname",
        "connection"},
    ["SSL:Connection"] = {"dirty", "want", "getfd", "getstats", "getalpn", "getsniname", "info",
        "getfinished", "getpeercertificate", "getpeerverification", "connection"},
    ["SSL:Context"] = {}, ["SSL:Certificate"] = {"subject", "issuer", "pem"},
    ["tlslife.server"] = {"ports", "stopping", "stats"},
}
local COSTLY = {connection = {"peer_certificates", "local_certificates", "verify_errors",
        "offered_ciphers"},
    session = {"peer_certificate"}}

local model -- of the program that runs

-- Tells what happened, for comparing two runs; or nil.
local told
local watch -- called with each kind and object that is looked at, or nil

local function note(format, ...)
    if not told then return end
    local values = table.pack(...)
    for i = 1, values.n do values[i] = tostring(values[i]) end
    told((format:format(table.unpack(values, 1, values.n)):gsub("0x%x+", "ADDRESS")))
end

local function fail(format, ...)
    if model and not model.failure then model.failure = format:format(...) end
end

-- --------------------------------------------------------------------------------------- the model

local function new_model()
    return {
        refs = setmetatable({}, {__mode = "k"}),    -- what each handle may give up
        streams = {},                               -- every stream that was ever written
        writes = setmetatable({}, {__mode = "k"}),  -- a connection's own
        reads = setmetatable({}, {__mode = "k"}),   -- which streams it may be reading, and how far
        -- keying material: what both ends of a connection share
        ids = setmetatable({}, {__mode = "k"}),
        goodbye = {},                               -- by id: an end's mask has SENT
        offered = setmetatable({}, {__mode = "k"}), -- a client's connection had a session to offer
        waited = setmetatable({}, {__mode = "k"}),  -- a write of it was told to wait, or was short
        excused = setmetatable({}, {__mode = "k"}), -- its own mask was set by hand
        last = setmetatable({}, {__mode = "k"}),    -- the last state and mask that were seen
        asked = setmetatable({}, {__mode = "k"}),   -- for a certificate, and had none
        reached = setmetatable({}, {__mode = "k"}), -- what play.REACHED names
        counts = {},
        renegotiated = false, freed = 0,
    }
end

local function handed_out(object)
    if tls.type(object) then model.refs[object] = (model.refs[object] or 0) + 1 end
end

local function stream_of(conn)
    local stream = model.writes[conn]
    if not stream then
        stream = {sent = "", rest = ""}
        model.writes[conn] = stream
        table.insert(model.streams, stream)
    end
    return stream
end

local function flat(data, i)
    if type(data) == "table" then
        if rawlen(data) > 1 << 20 then return nil end
        local pieces = {}
        for n, piece in ipairs(data) do
            if type(piece) ~= "string" then return nil end
            pieces[n] = piece
        end
        data = table.concat(pieces)
    elseif tls.type(data) == "buffer" then
        data = data:sub()
    elseif type(data) == "number" then
        data = tostring(data)
    end
    return type(data) == "string" and data:sub(math.tointeger(i) or 1) or nil
end

--- While a write is under way its bytes may arrive; afterwards those that it has counted, and a
--- record that waits.
local function before_write(conn, data, i)
    local bytes, stream = flat(data, i), stream_of(conn)
    local both = bytes and math.min(#bytes, #stream.rest)
    if not both or stream.under_way or bytes:sub(1, both) ~= stream.rest:sub(1, both) then
        stream.loose = true
    end
    stream.rest, stream.under_way = bytes or "", true
    return stream
end

local function after_write(stream, n)
    n = math.type(n) == "integer" and n or 0
    stream.sent, stream.rest, stream.under_way = stream.sent .. stream.rest:sub(1, n),
        stream.rest:sub(n + 1), nil
end

local function came(conn, bytes, stays)
    local read = model.reads[conn]
    if not read then
        read = {at = 0, may_be = table.move(model.streams, 1, #model.streams, 1, {})}
        model.reads[conn] = read
    end
    local still = {}
    for _, stream in ipairs(read.may_be) do
        if stream.loose or (stream.sent .. stream.rest):sub(read.at + 1,
            read.at + #bytes) == bytes then
            still[#still + 1] = stream
        end
    end
    if #still == 0 then
        fail("%d bytes from %d on are not what was sent: %.40q", #bytes, read.at + 1, bytes)
    end
    if not stays then read.at, read.may_be = read.at + #bytes, still end
end

--- Connections that share keying material are each other's peers.
local function look_at_goodbye(conn)
    local ok, id = pcall(conn.export_keying_material, conn, 8, "EXPERIMENTAL-random")
    if ok and id then
        model.ids[conn] = model.ids[conn] or {}
        model.ids[conn][id] = true
    end
    for each in pairs(model.ids[conn] or {}) do
        if conn:get_shutdown() & SENT ~= 0 then model.goodbye[each] = true end
    end
end

local function note_goodbye(conn) if tls.type(conn) then pcall(look_at_goodbye, conn) end end

local function knows_goodbye(conn)
    for id in pairs(model.ids[conn]) do
        if model.goodbye[id] then return true end
    end
    return false
end

--- The close of its peer may still be under way, so all connections are looked at.
local function said_goodbye(conn)
    if not model.ids[conn] or model.excused[conn] or knows_goodbye(conn) then return true end
    local all = {}
    for other in pairs(model.ids) do all[#all + 1] = other end
    for _, other in ipairs(all) do note_goodbye(other) end
    return knows_goodbye(conn)
end

local function begins_again(conn)
    model.writes[conn], model.reads[conn], model.ids[conn] = nil, nil, nil
    model.offered[conn] = model.offered[conn] or conn:session() ~= nil
end

-- --------------------------------------------------------------------------------- wrapped methods

local function hands_out(method)
    return function(...)
        local results = table.pack(method(...))
        if model then handed_out(results[1]) end
        return table.unpack(results, 1, results.n)
    end
end

local function gives_up(method)
    return function(object, ...)
        method(object, ...)
        if model and model.refs[object] then
            model.refs[object], model.freed = model.refs[object] - 1, model.freed + 1
        end
    end
end

local function reads(method, stays)
    return function(conn, n, ...)
        local results = table.pack(method(conn, n, ...))
        if not model then return table.unpack(results, 1, results.n) end
        if results[1] then
            local bytes = results[1]
            if type(bytes) ~= "string" then bytes = n:sub(1, bytes) end
            came(conn, bytes, stays)
        elseif results[2] == "closed" then
            look_at_goodbye(conn)
            if not said_goodbye(conn) then
                fail "it says closed, and its peer has not said goodbye"
            end
        end
        return table.unpack(results, 1, results.n)
    end
end

local function writes(method)
    return function(conn, data, i, ...)
        if not model or tls.type(conn) ~= "connection" then return method(conn, data, i, ...) end
        local stream, waited = before_write(conn, data, i), model.waited[conn]
        local asked = #stream.rest
        model.waited[conn] = true -- it may never return
        -- by its name
        local results = table.pack(pcall(function(...) return method(conn, data, i, ...) end, ...))
        after_write(stream, results[1] and results[2] or 0)
        local whole = results[2] == asked or (results[2] == nil and not WAITS[results[3]])
        if not results[1] or (whole and not stream.loose) then model.waited[conn] = waited end
        if not results[1] then error(results[2], 0) end
        return table.unpack(results, 2, results.n)
    end
end

local function then_does(method, does)
    return function(object, ...)
        local results = table.pack(method(object, ...))
        if model and results[1] then does(object, results[1], ...) end
        return table.unpack(results, 1, results.n)
    end
end

local function before_freeing(method)
    return function(conn, ...)
        if model then note_goodbye(conn) end
        return method(conn, ...)
    end
end

--- From now on it may be in an earlier state again.
local function forgets(method)
    return function(conn, ...)
        if model and tls.type(conn) then model.last[conn] = nil end
        return method(conn, ...)
    end
end

--- It may have said goodbye also where it returns nil.
local function around(method)
    return function(conn, ...)
        if model then note_goodbye(conn) end
        local results = table.pack(pcall(method, conn, ...))
        if model then note_goodbye(conn) end
        if results[1] then return table.unpack(results, 2, results.n) end
        if model and not model.waited[conn] and tostring(results[2]):find "while a write waits" then
            fail("%s, and no write was told to wait", results[2])
        end
        error(results[2], 0)
    end
end

local function wrap(methods, how, ...)
    for _, name in ipairs {...} do methods[name] = how(methods[name]) end
end

local function wrap_connections(methods)
    wrap(methods, hands_out, "dup", "up_ref", "context", "session", "take_session")
    wrap(methods, reads, "read", "read_into")
    methods.peek = reads(methods.peek, true)
    wrap(methods, writes, "write")
    methods.clear = before_freeing(forgets(then_does(methods.clear, begins_again)))
    methods.free = before_freeing(gives_up(methods.free))
    wrap(methods, around, "shutdown", "close")
    methods.set_shutdown = then_does(methods.set_shutdown,
        function(conn)
            model.excused[conn], model.last[conn] = true, nil
            note_goodbye(conn)
        end)
    methods.set_session = then_does(methods.set_session, function(conn, _, session)
        model.offered[conn] = session ~= nil or model.offered[conn]
    end)
    methods.dup = then_does(methods.dup, function(conn, copy)
        model.offered[copy] = model.offered[copy] or model.offered[conn] or conn:session() ~= nil
    end)
    -- its peer reads the other one's records, and a write of the other one may wait in it
    methods.set_connection = then_does(methods.set_connection, function(_, _, outer)
        stream_of(outer).loose, model.waited[outer] = true, true
    end)
    methods.request_client_certificate = then_does(methods.request_client_certificate,
        function(conn) model.asked[conn] = not conn:peer_certificates() end)
    methods.renegotiate = then_does(methods.renegotiate, function() model.renegotiated = true end)
    methods.write_early = then_does(methods.write_early, function(conn, n, data, i)
        if conn:is_server() then after_write(before_write(conn, data, i), n) end
    end)
end

--- Both metatables of a kind: with a finalizer, and without one where it was freed.
local function wrap_kind(object, wrap_methods)
    local live = debug.getmetatable(object)
    wrap_methods(live.__index)
    object:free()
    for _, metatable in ipairs {live, debug.getmetatable(object)} do
        metatable.__close = gives_up(metatable.__close)
    end
end

local function counts(...)
    local names = {...}
    return function(methods)
        wrap(methods, hands_out, "up_ref", table.unpack(names))
        wrap(methods, gives_up, "free")
    end
end

local wrapped

local function wrap_all()
    if wrapped then return end
    local context = tls.context {role = "client", verify = "none"}
    local a, b = context:connection(), assert(tls.context {role = "server",
        certificate = pki.get().server_cert, private_key = pki.get().server_key}):connection()
    tls.pair(a, b)
    for _ = 1, 4 do a:connect() b:accept() end
    wrap_kind(assert(a:session()), counts "dup")
    wrap_kind(a, wrap_connections)
    wrap_kind(context, counts("connection", "import_session"))
    wrap_kind(tls.cache(), counts("get", "take"))
    wrap_kind(tls.keyring {("k"):rep(32)}, counts())
    wrap_kind(tls.ticket_keys {}, counts())
    wrap_kind(tls.trace {}, counts())
    wrap_kind(tls.redis {port = 1}, counts())
    local listener = assert(tls.listen("127.0.0.1", 0))
    wrap(debug.getmetatable(listener).__index, hands_out, "accept")
    listener:close()
    wrapped = {}
    for name, value in pairs(tls) do wrapped[name] = value end
    wrap(wrapped, hands_out, "context", "cache", "shared", "redis", "keyring", "ticket_keys",
        "trace")
end

-- ------------------------------------------------------------------------------ what lines may use

local looped = setmetatable({}, {__mode = "k"})

-- Of two loops the newer one serves: from here on it is luv's that has what no line spawned.
pcall(require, "tlslife.wait.luv")
tls.loop {
    name = "random",
    running = function() return looped[coroutine.running()] ~= nil end,
    wait = function() return coroutine.yield "wait" end,
    wake = function() end,
}

--- A table of 2^60 elements, as Lua counts: all of its array is full, and then only powers of two
--- are there.
local make_long = load((function()
    local parts = {"local x = 'x' return {" .. ("x,"):rep(65536) .. "[65537] = x"}
    for k = 17, 60 do parts[#parts + 1] = ("[%d] = x"):format(1 << k) end
    return table.concat(parts, ", ") .. "}"
end)())

--- The DER of a certificate or a key in PEM.
local function der(pem)
    local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local bits, len, bytes = 0, 0, {}
    for digit in pem:match "%-\n(.-)\n%-":gmatch "[%w+/]" do
        bits, len = bits << 6 | alphabet:find(digit, 1, true) - 1, len + 6
        if len >= 8 then
            len = len - 8
            bytes[#bytes + 1] = string.char(bits >> len & 255)
            bits = bits & (1 << len) - 1
        end
    end
    return table.concat(bytes)
end

--- Made where they are used: each collection walks long, and own needs two processes.
local MAKERS <const> = {
    long = make_long,
    own = process.directory, -- for files of this program
    der = function()
        return {cert = der(pki.get().server_leaf), key = der(pki.get().server_key)}
    end,
    ssl = function() return require "tlslife.luasec" end,
    sslctx = function() return require "tlslife.luasec" and require "ssl.context" end,
    sslcore = function() return require "tlslife.luasec" and require "ssl.core" end,
    sslx509 = function() return require "tlslife.luasec" and require "ssl.x509" end,
}

local on_demand = {__index = function(env, name)
    if not MAKERS[name] then return nil end
    env[name] = MAKERS[name]()
    return env[name]
end}

local function spawn(f)
    local co = coroutine.create(f)
    looped[co] = true
    return co
end

local function resume(co, ...)
    if type(co) == "thread" and coroutine.status(co) == "suspended" then
        local ok, message = coroutine.resume(co, ...)
        if not ok then error(message, 0) end
        return message
    end
end

local function yield(...)
    if coroutine.isyieldable() then return coroutine.yield(...) end
end

--- Bytes from one to the other, where they have set_memory.
local function move(from, to, n)
    local ok, bytes = pcall(from.drain, from, n)
    if ok and bytes ~= "" then to:feed(bytes) end
end

--- Lua loses each finalizer that it calls where no C call can be nested any more.
local function note_overflow(raised)
    model.overflowed = model.overflowed or tostring(raised):find("C stack overflow", 1, true) ~= nil
end

local function step(conn, other)
    pcall(move, other, conn)
    local ok, result, why = pcall(conn.handshake, conn)
    if not ok then
        note_overflow(result)
        error(result, 0)
    end
    return result or (why ~= "want_read" and why ~= "want_write" and why ~= "want_session")
end

local drives -- how often this program has called drive

-- A hook that clears its own connection and drives it again is called again by that, eight times on
-- each level, which takes for ever. So a program drives DRIVES_MAX times.
local DRIVES_MAX <const> = 1000

--- The handshake of both, as far as it goes.
local function drive(a, b)
    drives = drives + 1
    if drives > DRIVES_MAX then return end
    for _ = 1, 8 do
        local one = step(a, b)
        local other = step(b, a)
        if one and other then return end
    end
end

--- The same where a store that is elsewhere has to answer.
local function settle(a, b, store)
    for _ = 1, 20 do
        drive(a, b)
        if a:handshake_done() and b:handshake_done() then return end
        store:pump()
        process.sleep(0.001)
    end
end

--- To the first socket of a listener.
local function dialler(conn, listener)
    conn:dial(listener:addresses()[1])
end

local function text(seed, size)
    return (("%d "):format(seed)):rep(size):sub(1, size)
end

local function environment()
    local own = function() return process.directory() end
    local mine = helpers.new(fail, wrapped, own)
    local others = outside.new(fail, helpers.descriptors())
    local env = {
        o = {}, kept = {}, tls = wrapped, p = pki.get(), dir = pki.get().dir, settle = settle,
        spawn = spawn, resume = resume, yield = yield, move = move, drive = drive, text = text,
        collectgarbage = collectgarbage, coroutine = coroutine, setmetatable = setmetatable,
        error = error, pcall = pcall, ipairs = ipairs, print = function() end,
        io = {stdout = io.stdout}, math = math,
    }
    for _, some in ipairs {mine, others} do
        for name, value in pairs(some) do env[name] = value end
    end
    env.dial = dialler
    local began = clock.is_loaded() and clock.start()
    env.at = function(seconds) if began then clock.set(began + seconds) end end
    env.stop = function()
        mine.stop()
        others.stop()
    end
    return setmetatable(env, on_demand)
end

-- ---------------------------------------------------------------------------------- what must hold

local function must(holds, format, ...)
    if holds then return end
    local values = table.pack(...)
    for i = 1, values.n do values[i] = tostring(values[i]) end
    error {format:format(table.unpack(values, 1, values.n))}
end

--- Gives up a reference that a look has taken, which no finalizer has to be suspected of.
local function let_go(object)
    object:free()
    model.freed = model.freed - 1
end

local function answers(object, getter)
    local ok, value = pcall(object[getter], object)
    if not ok then must(false, "%s raises: %s", getter, value) end
    if told then note("%s=%s ", getter, value) end
end

--- Nothing goes back: neither the state, but where a server is asked about a certificate that came
--- after the handshake, nor a close_notify that was sent or received.
local function look_at_state(conn)
    local state, mask = conn:state(), conn:get_shutdown()
    must(STATES[state], "state() is %s", state)
    must(math.type(mask) == "integer" and mask >= 0 and mask <= (SENT | RECEIVED),
        "get_shutdown() is %s", mask)
    must(conn:handshake_done() == (state == "open") or state == "failed",
        "state() is %s, and handshake_done() %s", state, conn:handshake_done())
    local last = model.last[conn]
    if last then
        must(STATES[last.state] <= STATES[state] or (conn:is_server() and state == "handshake"
            and last.state == "open"), "state() was %s and is %s", last.state, state)
        must(model.excused[conn] or last.mask & ~mask == 0, "get_shutdown() was %s and is %s",
            last.mask, mask)
    end
    model.last[conn] = {state = state, mask = mask}
    return state
end

--- What connections have to reach: {its name, whether one has}.
play.REACHED = {
    {"open", function(conn) return conn:handshake_done() end},
    {"resumed", function(conn) return conn:session_reused() end},
    {"with early data", function(conn) return conn:early_data_status() == "accepted" end},
    {"renegotiated", function(conn) return conn:num_renegotiations() > 0 end},
    {"with a PSK", function(conn) return conn:psk_identity() ~= nil end},
    {"by a proxy", function(conn) return conn:proxy_address() ~= nil end},
    {"retried", function(conn) return conn:hello_retry() end},
    {"with a certificate asked for later", function(conn)
        return conn:is_server() and model.asked[conn] and conn:peer_certificates() ~= nil
    end},
}

local function note_reached(conn)
    local so_far = model.reached[conn] or {}
    model.reached[conn] = so_far
    for i, one in ipairs(play.REACHED) do
        if not so_far[i] and one[2](conn) then
            so_far[i] = true
            model.counts[i] = (model.counts[i] or 0) + 1
        end
    end
end

local function look_at_connection(conn)
    local state = look_at_state(conn)
    note_reached(conn)
    must(model.renegotiated or not conn:handshake_done() or (conn:version() and conn:cipher()),
        "the handshake is done, and version is %s, cipher %s, state %s", conn:version(),
        conn:cipher(), state)
    if conn:session_reused() and not conn:is_server() and not model.offered[conn] and
        not model.renegotiated then
        local context = conn:context()
        local cached = model.cached[context]
        let_go(context)
        must(cached, "it has resumed, and nothing was offered")
    end
    look_at_goodbye(conn)
end

local function is_live(object, kind)
    local ok, message = pcall(kind == "listener" and object.fd or object.up_ref, object)
    if ok and kind ~= "listener" then let_go(object) end
    return ok, message
end

--- Objects of Lua's own are told by the name in their metatables.
local function kind_of(object)
    local kind = tls.type(object)
    if kind then return kind end
    local metatable = debug.getmetatable(object)
    local name = type(metatable) == "table" and rawget(metatable, "__name")
    return GETTERS[name] and name
end

local function look_at(object, costly)
    local kind = kind_of(object)
    if kind and watch then watch(kind, object) end
    if not kind then return end
    if not tls.type(object) or kind == "poller" or kind == "buffer" then
        local beneath = object.connection and object:connection()
        if beneath and not is_live(beneath, "connection") then return end
        for _, getter in ipairs(GETTERS[kind]) do answers(object, getter) end
        return
    end
    local refs = model.refs[object]
    local live, message = is_live(object, kind)
    must(kind == "listener" or not refs or live == (refs > 0), "%s with %s references: %s", kind,
        refs, live and "it lives" or message)
    if not live then return end
    for _, getter in ipairs(GETTERS[kind]) do answers(object, getter) end
    for _, getter in ipairs(costly and COSTLY[kind] or {}) do answers(object, getter) end
    if kind == "connection" then look_at_connection(object) end
end

--- Messages that say nothing, or show that something of the module's own was called wrongly.
local function look_at_message(message)
    if type(message) ~= "string" then return end
    if message:find "^attempt to " or message:find "%[tlslife [^]]*%]:%d+: attempt to " or
        message:find "lua/tlslife/" or message:find "to '%?'" or
        message:find "^%(?null"
        or message == "" then
        fail("a message that says nothing: %s", message)
    end
end

local function look_around(env, line, all)
    for number in line:gmatch "o%[(%d+)%]" do look_at(env.o[tonumber(number)], false) end
    if all then
        local numbers = {}
        for number in pairs(env.o) do numbers[#numbers + 1] = number end
        table.sort(numbers)
        for _, number in ipairs(numbers) do look_at(env.o[number], true) end
    end
end

local function one_line(env, line, number, all)
    local chunk, message = load(line, "=line " .. number, "t", env)
    if not chunk then return fail("it is no Lua: %s", message) end
    local ok, raised = pcall(chunk)
    note("\nline %d %s ", number, ok and "" or raised)
    if not ok then
        note_overflow(raised)
        look_at_message(raised)
    end
    local freed = model.freed
    local seen, why = pcall(look_around, env, line, all)
    if not seen and freed == model.freed then -- else a finalizer freed something while we looked
        fail("%s", type(why) == "table" and why[1] or
            "a look at the objects raises: " .. tostring(why))
    end
end

--- A collector at full pressure, which a line has asked for, takes half of the time of all lines
--- that follow. So it does not stay to the end.
local function calm_down()
    collectgarbage "restart"
    collector.generational(20, 100)
end

--- Everything goes, finalizers too, so that the next program begins with nothing.
local function finish(env)
    env.stop()
    for key in pairs(env.o) do env.o[key] = nil end
    env.long = nil
    env.at(0)
    calm_down()
    collectgarbage()
    env.stop() -- what finalizers have begun
    env.give_back() -- not before: a number may be used again
    for key in pairs(env) do env[key] = nil end
end

--- Looks for sockets that no object has any more. A socket that a finalizer in Lua frees goes a
--- cycle later, and a coroutine that waits in luv's loop stays there until its deadline has passed.
local function look_at_sockets(of, before)
    for _ = 1, 300 do
        if of.sockets() <= before or model.overflowed then return end
        helpers.tick()
        process.sleep(0.005)
        collectgarbage()
    end
    fail("%d sockets are left open", of.sockets() - before)
end

--- libcrypto's random bytes, so that a seed says what they are, too.
local function random_bytes(seed)
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    local open = package.loadlib(build .. "/spec/support/seeded.so", "luaopen_seeded")
    if open then open()(seed) end
end

--- Returns nil or a failure, and the counts of play.REACHED. how has by name:
--    seed   of libcrypto's random bytes, default 0
--    visit  called with each line's number before it; all objects are looked at after each line
--    note   called with text that tells what happened
--    watch  called with the functions of the module at first, as "tls", and then with the kind of
--           each object that is looked at, and with the object
function play.run(lines, how)
    local visit = how.visit
    drives, told, watch = 0, how.note, how.watch
    random_bytes(how.seed or 0)
    wrap_all()
    if watch then watch("tls", wrapped) end
    model = new_model()
    local of = helpers.descriptors()
    local sockets, env = of.sockets(), environment()
    model.cached = setmetatable({}, {__mode = "k"})
    local context = wrapped.context
    env.tls = setmetatable({context = function(options)
        local results = table.pack(context(options))
        if results[1] and options.cache then model.cached[results[1]] = true end
        return table.unpack(results, 1, results.n)
    end}, {__index = wrapped})
    local failure
    for number, line in ipairs(lines) do
        if visit then visit(number) end
        one_line(env, line, number, visit or number % 8 == 0 or number == #lines)
        if number % 8 == 0 then calm_down() end
        if model.failure then
            failure = {line = number, text = line, message = model.failure}
            break
        end
    end
    local own = rawget(env, "own")
    finish(env)
    look_at_sockets(of, sockets)
    if not failure and model.failure then
        failure = {line = #lines, text = "the end", message = model.failure}
    end
    local reached = {}
    for i = 1, #play.REACHED do reached[i] = model.counts[i] or 0 end
    model = nil
    os.remove(pki.get().dir .. "/slab")
    for _, name in ipairs(own and {"l", "m", "n", "s", "slab"} or {}) do
        os.remove(own .. "/" .. name)
    end
    return failure, reached
end

return play
