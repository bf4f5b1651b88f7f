--- fleet.lua: makes and runs fleets, which are caching clients that visit servers again and again,
-- under random settings. For each connection the model (model.lua) says whether it must resume, and
-- why not, and what becomes of its early data. Some sessions are copied, and another connection
-- offers the copy later, as an attacker who has stolen it would.
--
--   local lines = fleet.generate(seed)      -- settings, then events, a line of Lua each
--   local failure, counts = fleet.play(lines)
--
-- Real are the contexts, connections, caches and ticket keys, and all bytes between both ends. Not
-- real are the machines: a fleet runs in one process and in memory, and servers that would be
-- workers or machines are contexts that share a store and a secret, or do not. Workers in processes
-- of their own are in spec/faults and spec/session/workers_spec.lua. Connections follow one
-- another, but some of them last while others come. The wall clock stands still unless pass() sets
-- it (spec/random/clock.lua), so sessions expire and epochs of ticket keys change at once.
--
-- A store of functions may raise, give nil and a message, answer after it has yielded, or not
-- answer before both ends have been freed. Slabs and a Redis do not fail here, but in spec/faults.

local clock = require "spec.random.clock"
local model = require "spec.random.model"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local fleet = {}

local NAMES <const> = {"localhost", "localhost", "localhost", "a.example", "x.b.example"}
local ENDS <const> = {"clean", "clean", "clean", "clean", "clean", "client_drops", "server_drops",
    "cut"}
-- Redis has a clock of its own, which goes on while ours stands still.
local LONG <const> = {7205}
local STORES <const> = {true, true, "slab"}
local STORES_OF_LONG <const> = {true, true, "slab", "redis"}
-- Of sessions in memory, and of their bytes: more than all take, and less than any.
local CAPACITIES <const>, BYTES <const> = {0, 1, 2, 3, 5, 8, 13}, {1 << 24, 10}
-- How a store of functions fails, and how it answers later; see store_of.
local FAILURES <const> = {false, false, false, "get", "get_nothing", "get_late", "get_late_nothing",
    "get_late_error", "get_never", "get_too_late", "put", "put_nothing", "put_late",
    "put_late_error"}
-- of sessions; time moves in tens, and so meets none
local LIFETIMES <const> = {25, 65, 305, 7205, 7205, 7205}

local SEED_OF_LONG <const> = 1000000 -- those of the suite are less
fleet.SEED_OF_LONG = SEED_OF_LONG

-- ----------------------------------------------------------------------------------- the generator

local G = setmetatable({}, {__index = require "spec.random.draw"})
G.__index = G

function G:add(format, ...) self.lines[#self.lines + 1] = format:format(...) end

--- Options as Lua writes them, each with what it is where it is left out.
local function options(list)
    local parts = {}
    for _, one in ipairs(list) do
        local name, value = one[1], one[2]
        if type(value) == "string" and not value:find "^{" then value = ("%q"):format(value) end
        if value then parts[#parts + 1] = ("%s = %s"):format(name, value) end
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

function G:home(n)
    local kind = self:pick {"tickets", "tickets", "tickets", "both", "both", "stateful", "stateful",
        "stateful", "off"}
    local keys = (kind == "tickets" or kind == "both")
        and self:pick {false, "derived", "derived", "random", "own"}
    local epochs = keys == "derived" or keys == "random"
    local cache = (kind == "stateful" or kind == "both") and self:chance(70)
    local store = cache and self:chance(40) and self:pick(self.stores)
    self.homes[n] = {keys = keys, store = store}
    local lifetimes = store == "redis" and LONG or LIFETIMES
    self:add("home(%d, %s)", n, options {
        {"kind", kind}, {"keys", keys}, {"epoch", epochs and self:pick {60, 60, 120, 600}},
        {"older", epochs and self:pick {1, 1, 2, 3}},
        {"lifetime", self:pick(lifetimes)}, {"cache", cache},
        {"store", store}, {"in_memory", store and self:chance(60)},
        {"timeout", cache and self:chance(30) and self:pick(lifetimes)},
        {"capacity", cache and self:chance(30) and self:pick(CAPACITIES)},
        {"capacity_bytes", cache and self:chance(10) and self:pick(BYTES)},
        {"machines", (store or (keys and keys ~= "own" and not cache)) and self:chance(50)},
    })
end

--- How many bytes of early data a server allows. 0 is written down as well as left out.
function G:early(percent)
    return self:chance(percent) and self:pick {0, 100, 1000, 1000, 1000, 1000}
end

--- Early data of a client, and how the server reads them.
function G:early_data()
    local bytes = self:chance(60) and self:pick {5, 100, 900, 1000}
    return {"early", bytes}, {"reads", bytes and self:pick {false, false, "read_early",
        "read_early", "accept"}}
end

function G:server(n)
    local version = self:pick {false, false, "TLSv1.3", "TLSv1.2"}
    local verify = self:chance(25) and "optional"
    local home = self:below(#self.homes) + 1
    self.servers[n] = home
    local other = self:chance(15) and options {{"num_tickets", self:pick {0, 1, 2}},
        {"early", self:early(60)},
        {"verify", self:chance(50) and "optional"}}
    self:add("server(%d, %s)", n, options {
        {"home", home}, {"version", version}, {"num_tickets",
            self:pick {0, 1, 1, 1, 2, 2, 2, 4, 16}}, {"verify", verify},
        {"early", self:early(60)}, {"asks", verify and self:chance(50)}, {"rsa", self:chance(10)},
        {"names", other and "{['a.example'] = " .. other .. "}"},
    })
end

function G:cache(n)
    local store = self:chance(30) and self:pick(self.stores)
    self.caches[n] = {store = store}
    self:add("cache(%d, %s)", n, options {
        {"sessions_per_peer", self:pick {1, 2, 4, 4, 16}}, {"store", store},
            {"in_memory", store and self:chance(60)},
        {"timeout", self:chance(20) and self:pick(store == "redis" and LONG or LIFETIMES)},
        {"capacity", self:chance(30) and self:pick(CAPACITIES)},
        {"capacity_bytes", self:chance(10) and self:pick(BYTES)},
    })
end

function G:client(n)
    local version = self:pick {false, false, false, "TLSv1.2"}
    self.clients[n] = true
    self:add("client(%d, %s)", n, options {
        {"cache", self:chance(95) and self:below(#self.caches) + 1}, {"version", version},
        {"no_ticket", version == "TLSv1.2" and self:chance(40)}, {"certificate", self:chance(30)},
            {"lifetime", self:pick(LIFETIMES)},
    })
end

function G:some(kind, most)
    local list = self[kind .. "s"]
    for n = 1, self:below(most) + 1 do self[kind](self, n) end
    return list
end

function G:visit()
    local lasting = self:chance(8)
    local early, reads = self:early_data()
    local copy = not lasting and self:chance(15) and self:below(3) + 1
    if copy then self.copies[copy] = true end
    self:add("visit(%d, %d, %s)", self:below(#self.clients) + 1, self:below(#self.servers) + 1,
        options {
        {"name", self:pick(NAMES)}, {"alpn", self:chance(5) and "h2"}, {"deaf", self:chance(6)},
        {"ends", not lasting and self:pick(ENDS)}, {"lasts", lasting and self:below(3) + 1}, early,
        reads, {"copy", copy},
    })
end

--- A copy of a session is offered, to some servers one after another.
function G:again()
    local n = self:below(3) + 1
    for _ = 1, self.copies[n] and self:pick {1, 1, 2, 3} or 0 do
        local early, reads = self:early_data()
        self:add("again(%d, %d, %s)", n, self:below(#self.servers) + 1,
            options {{"ends", self:pick(ENDS)}, early, reads})
    end
end

--- Makes the store of a home or of a client's cache fail, if there is one.
function G:store()
    local there = {}
    for n, home in ipairs(self.homes) do
        if home.store == true then there[#there + 1] = {"home_fails", n} end
    end
    for n, cache in ipairs(self.caches) do
        if cache.store == true then there[#there + 1] = {"cache_fails", n} end
    end
    return #there > 0 and self:pick(there) or nil
end

function G:event()
    local dice, n = self:below(100), self:below(#self.servers) + 1
    if dice < 70 then
        self:visit()
    elseif dice < 78 then
        self:again()
    elseif dice < 86 then
        self:add("pass(%d)", self:pick {10, 10, 20, 30, 60, 60, 120, 300, 2000})
    elseif dice < 89 then
        self:add("restart(%d, %s)", n, self:pick {"'same'", "'same'", "'TLSv1.2'", "'TLSv1.3'",
            "nil"})
    elseif dice < 92 then
        if self.homes[self.servers[n]].keys == "own" then
            self:add("replace(%d)", self.servers[n]) end
    elseif dice < 94 then
        self:add("renew(%d)", self:below(#self.clients) + 1)
    elseif dice < 97 then
        local store = self:store()
        if store then
            local how = self:pick(FAILURES)
            self:add("%s(%d, %s)", store[1], store[2], how and ("%q"):format(how) or "nil")
        end
    else
        self:add("finish(%d, %q)", self:below(3) + 1, self:pick(ENDS))
    end
end

--- The lines of a fleet. events: how many, at least; default: drawn. ./dev random begins at a seed
--- that is the time of day; of such seeds each tenth has many events, and some have a Redis.
function fleet.generate(seed, events)
    local self = setmetatable({x = (seed + 1) * 0x9E3779B97F4A7C15, lines = {}, homes = {},
        servers = {}, caches = {}, clients = {}, copies = {},
        stores = seed > SEED_OF_LONG and STORES_OF_LONG or STORES}, G)
    for _ = 1, 4 do self:below(2) end
    for _, one in ipairs {{"home", 2}, {"server", 3}, {"cache", 2},
        {"client", 2}} do self:some(one[1], one[2]) end
    events = events or self:pick(seed > SEED_OF_LONG and seed % 10 == 0 and {600, 800, 1000}
        or {20, 40, 40, 60, 120, 200})
    for _ = 1, events do self:event() end
    -- Not all begin at the beginning of an epoch of their keys.
    table.insert(self.lines, 1, ("pass(%d)"):format(10 * self:below(360)))
    return self.lines
end

-- ------------------------------------------------------------------------------- the same for real

local SECRET <const>, KEYRING <const> = ("s"):rep(32), {("k"):rep(32)}

local P = {} -- what the lines of a fleet may call
P.__index = P

local function must(holds, format, ...)
    if not holds then error(format:format(...), 0) end
end

-- How often a store yields before it answers late.
local LATE <const> = 3

--- What a store's function does where it fails, by what its failure is called after the name of the
-- function. f: what it would do.
local failing = {
    [""] = function() error "on purpose" end,
    nothing = function() return nil, "on purpose" end,
    late = function(f, ...)
        for _ = 1, LATE do coroutine.yield "store" end
        return f(...)
    end,
    late_nothing = function()
        coroutine.yield "store"
        return nil, "on purpose"
    end,
    late_error = function()
        coroutine.yield "store"
        error "on purpose"
    end,
    -- The connections are freed in the meantime, and the coroutine is closed, or goes on.
    never = function()
        while true do coroutine.yield "store" end
    end,
    too_late = function(f, ...)
        while not coroutine.yield "store" do end
        return f(...)
    end,
}

--- Functions for a cache, over the rows of owner. owner.fails names the function that fails, and
-- how.
local function store_of(owner)
    local rows = owner.rows
    local function or_fail(name, f)
        return function(...)
            local failure, how = (owner.fails or ""):match "^(%l+)_?(.*)$"
            if failure == name then return failing[how](f, ...) end
            return f(...)
        end
    end
    return {
        get = or_fail("get", function(key) return rows[key] end),
        put = or_fail("put", function(key, sealed) rows[key] = sealed end),
        remove = function(key, head)
            local newer = head and rows[key] and rows[key]:sub(1, #head) ~= head
            if not newer then rows[key] = nil end
        end,
    }
end

local SLAB_SIZE <const>, HANG <const> = 4 << 20, 60
local REDIS <const> = os.getenv "TLSLIFE_RANDOM_REDIS"
local made = 0 -- stores of this process

--- What is not a store of functions is one object for all caches of a home.
local function external_store(owner, kind)
    if owner.store then return owner.store end
    made = made + 1
    local name = ("%s/fleet-%d"):format(process.directory(), made)
    if kind == "slab" then
        owner.store = assert(tls.shared {path = name, size = SLAB_SIZE})
        os.remove(name)
    elseif kind == "redis" and REDIS then
        owner.store = assert(tls.redis {path = REDIS, prefix = name, timeout = HANG})
    else
        return store_of(owner)
    end
    return owner.store
end

--- Lets Redis answer; what else there is answers at once.
local function wait_for(owner)
    if owner and owner.store and owner.settings.store == "redis" then
        owner.store:pump()
        process.sleep(0.001)
    end
end

local function new_cache(owner, settings)
    local in_memory
    if settings.store then in_memory = settings.in_memory == true end
    local store = settings.store and external_store(owner, settings.store) or nil
    return assert(tls.cache {store = store, timeout = settings.timeout,
        capacity = settings.capacity, capacity_bytes = settings.capacity_bytes,
        keyring = settings.store and tls.keyring(KEYRING) or nil,
            sessions_per_peer = settings.sessions_per_peer,
        in_memory = in_memory})
end

local function own_key(home, number) return ("%08d%08d"):format(home, number):rep(5) end

local function new_ticket_keys(settings)
    if settings.keys == "own" then return tls.ticket_keys {keys = {own_key(settings.n, 1)}} end
    local secret = settings.keys == "derived" and SECRET .. settings.n or nil
    return tls.ticket_keys {secret = secret, epoch = settings.epoch, older = settings.older}
end

--- A shrunk fleet leaves settings out.
local function with_defaults(settings, defaults)
    for name, value in pairs(defaults) do
        if settings[name] == nil then settings[name] = value end
    end
    return settings
end

function P:home(n, settings)
    with_defaults(settings, {kind = "both", lifetime = 7205, epoch = 600, older = 2})
    settings.store = settings.cache and settings.store
    self.model:home(n, settings)
    local home = {settings = settings, rows = {}}
    settings.n = n
    self.homes[n] = home
    if settings.keys and not settings.machines then home.keys = new_ticket_keys(settings) end
    if settings.cache and not settings.machines then home.cache = new_cache(home, settings) end
end

--- shared: cache, ticket_keys and server_names.
local function server_context(home, settings, version, shared)
    local p = pki.get()
    local early = home.settings.kind ~= "off" and version ~= "TLSv1.2" and settings.early
    return assert(tls.context {
        role = "server", certificate = settings.rsa and p.rsa_cert_file or p.server_cert_file,
        private_key = settings.rsa and p.rsa_key_file or p.server_key_file, max_version = version,
        resumption = home.settings.kind, session_timeout = home.settings.lifetime,
        num_tickets = home.settings.kind ~= "off" and settings.num_tickets or nil,
        ticket_keys = shared.ticket_keys, cache = shared.cache, server_names = shared.server_names,
        verify = settings.verify, ca = settings.verify and p.ca_file or nil,
        on_verify = settings.asks and function() return true end or nil,
        max_early_data = early or nil,
    })
end

--- The context of a server, and those that its names lead to.
local function start(self, n)
    local server = self.servers[n]
    local settings, home = server.settings, server.home
    local version, apart, names = settings.version, home.settings.machines and home.settings, {}
    for name, other in pairs(settings.names or {}) do names[name] = server_context(home, other,
        version, {}) end
    server.cache = home.cache or (apart and apart.cache and new_cache(home, apart)) or nil
    server.context = server_context(home, settings, version, {
        cache = server.cache, ticket_keys = home.keys
            or (apart and apart.keys and new_ticket_keys(apart)) or nil,
        server_names = settings.names and names or nil,
    })
end

local function with_policy(settings, name)
    with_defaults(settings, {num_tickets = 2})
    if settings.early == true then settings.early = 1000 end
    settings.policy = ("%s|%s|%s"):format(settings.verify or "none", settings.asks and "asks" or "",
        name)
end

function P:server(n, settings)
    with_policy(settings, "")
    for name, other in pairs(settings.names or {}) do with_policy(other, name) end
    self.model:server(n, settings)
    self.servers[n] = {settings = settings, home = self.homes[settings.home]}
    start(self, n)
end

function P:restart(n, version)
    local settings = self.servers[n].settings
    if version ~= "same" then settings.version = version end
    self.model:restart(n, settings.version)
    start(self, n)
end

function P:cache(n, settings)
    self.model:cache(n, settings)
    self.caches[n] = {settings = settings, rows = {}}
    self.caches[n].cache = new_cache(self.caches[n], settings)
end

local function client_context(self, settings)
    local p = pki.get()
    return assert(tls.context {
        role = "client", ca = p.ca_file, max_version = settings.version,
            session_timeout = settings.lifetime,
        cache = settings.cache and self.caches[settings.cache].cache or nil,
        options = settings.no_ticket and {NO_TICKET = true} or nil,
        certificate = settings.certificate and p.client_cert_file or nil,
        private_key = settings.certificate and p.client_key_file or nil,
    })
end

function P:client(n, settings)
    with_defaults(settings, {lifetime = 7205})
    settings.policy = settings.certificate and "certificate" or ""
    self.model:client(n, settings)
    self.clients[n] = {settings = settings, context = client_context(self, settings)}
end

function P:renew(n)
    self.clients[n].context = client_context(self, self.clients[n].settings)
end

function P:pass(seconds)
    self.model:pass(seconds)
    clock.set(self.model.now)
end

function P:replace(n)
    local keys = {}
    if self.homes[n].settings.keys ~= "own" or not self.homes[n].keys then return end
    for i, number in ipairs(self.model:replace(n)) do keys[i] = own_key(n, number) end
    self.homes[n].keys:replace(keys)
end

function P:home_fails(n, how) self.homes[n].fails, self.model.homes[n].fails = how, how end
function P:cache_fails(n, how) self.caches[n].fails, self.model.caches[n].fails = how, how end

-- ------------------------------------------------------------------------------------ a connection

local function join(self, client_number, server_number, how)
    local client = assert(self.clients[client_number].context:connection())
    local server = assert(self.servers[server_number].context:connection())
    client:set_blocking(false)
    server:set_blocking(false)
    tls.pair(client, server)
    client:set_hostname(how.name)
    if how.alpn then client:set_alpn {how.alpn} end
    if how.bytes then client:set_session(assert(client:context():import_session(how.bytes))) end
    return client, server
end

local TEXT <const> = ("early data "):rep(100)

--- What is early at first: what the client sends, if it has a session that may allow it.
local function send_early(client, how, life, cache)
    if not how.early or not how.asks_early then
        return must(not life.sends, "the client must send early data")
    end
    local sent, word
    repeat
        sent, word = client:write_early(TEXT:sub(1, how.early))
        wait_for(cache)
    until word ~= "want_session"
    must(sent == (life.sends or 0), "the client must send %d bytes of early data, and sends %d",
        life.sends or 0, sent or 0)
end

local accepting = {}

--- The server's part of the handshake, which gives the early data that it reads.
function accepting.accept_early(server, got)
    local done = server:accept_early()
    while done and server:early() do
        local bytes, word = server:read()
        if not bytes then return server:handshake_done() and word == "want_read" end
        got[#got + 1] = bytes
    end
    return done
end
function accepting.read_early(server, got)
    while not got.all do
        local bytes = server:read_early()
        if not bytes then return nil end
        got.all = bytes == ""
        got[#got + 1] = bytes
    end
    return server:accept()
end
function accepting.accept(server) return server:accept() end

-- So often each end is driven: more than a handshake takes, and than a store needs to answer late.
-- A Redis is waited for.
local ROUNDS <const>, ROUNDS_OF_REDIS <const> = 30, 10000

--- A function that calls f again and again, each time until f yields or returns. It returns what f
--- does, and "store" while f waits for one. Closed, it lets the answer come, or never come.
local function stepper(f)
    local thread
    local function step(...)
        thread = thread or coroutine.create(f)
        local _, result = assert(coroutine.resume(thread, ...))
        if coroutine.status(thread) == "dead" then thread = nil end
        return result
    end
    return step, function(comes)
        if not thread then return end
        if not comes then return assert(coroutine.close(thread)) end
        local ok, message = coroutine.resume(thread, true)
        must(not ok and tostring(message):find("was freed while", 1, true),
            "an answer for a connection that was freed: %s", message)
    end
end

--- Drives both until both handshakes are done, or nothing more happens; which of both still waits
--- for a store, if one does.
local function drive(client, server, connect, accept, client_waits, server_waits, rounds)
    local done, accepted
    for _ = 1, rounds do
        done = done == true or connect()
        accepted = accepted == true or accept()
        if done == true and accepted == true then return true end
        if rounds > ROUNDS and (client:error() or server:error()) then break end
        if done == "store" then client_waits(client) end
        if accepted == "store" then server_waits(server) end
    end
    return false, done == "store" and "client" or accepted == "store" and "server" or nil
end

--- Checks that a connection is busy while it waits for an answer. It is not while a put is late.
local function must_be_busy(owner, method)
    return function(conn)
        must(not owner.fails:find "^get" or select(2, conn[method](conn)) == "busy",
            "a connection that waits for its store is not busy")
    end
end

--- Both ends, what the server read as early data, and who waits in vain for a store.
local function connect(self, client_number, server_number, how, life)
    local client, server = join(self, client_number, server_number, how)
    local accept, got, sent = accepting[how.reads or "accept_early"], {}, false
    local cache = self.caches[self.clients[client_number].settings.cache]
    local connects, client_ends = stepper(function()
        if not sent then send_early(client, how, life, cache) end
        sent = true
        wait_for(cache)
        return client:connect() == true
    end)
    local accepts, server_ends = stepper(function()
        wait_for(self.servers[server_number].home)
        return accept(server, got) == true
    end)
    local home = life.origin.home
    local done, waits = drive(client, server, connects, accepts,
        must_be_busy(life.cache, "connect"), must_be_busy(home, "accept"),
        REDIS and ROUNDS_OF_REDIS or ROUNDS)
    must(done or waits or life.fails, "no handshake: client %s, server %s",
        client:error() or "waits", server:error() or "waits")
    must(not (done and life.fails), "a server of TLS 1.2 makes a handshake with early data")
    if waits then
        client:free()
        server:free()
        client_ends(life.cache and life.cache.fails == "get_too_late")
        server_ends(home.fails == "get_too_late")
    end
    return client, server, table.concat(got), waits
end

--- Early data are read once, or are rejected and sent again: nothing is lost, and nothing twice.
local function judge_early(client, server, life, got)
    local status = not life.sends and "not_sent" or life.accepted and "accepted" or "rejected"
    local said, heard = client:early_data_status(), server:early_data_status()
    must(said == status and heard == status,
        "early data must be %s, and the client says %s, the server %s", status, said, heard)
    local text = TEXT:sub(1, life.sends or 0)
    must(got == (life.accepted and text or ""), "the server reads %d bytes of early data", #got)
    if status == "rejected" then
        assert(client:write(text))
        must(server:read(#text) == text, "what was rejected does not come again")
    end
    must(not server:early() and select(2, server:read()) == "want_read", "there is more to read")
end

local ending = {}

function ending.clean(client, server, deaf)
    client:shutdown()
    must(select(2, server:read()) == "closed", "the server reads no close_notify")
    server:shutdown()
    repeat until deaf or not client:read()
end
function ending.cut(client, server)
    client:shutdown()
    client:free()
    must(select(2, server:read()) == "closed", "the server reads no close_notify")
end
function ending.client_drops(client, server)
    client:free()
    server:read()
end
function ending.server_drops(client, server, deaf)
    server:free()
    repeat until deaf or not client:read()
end

local function free(conn)
    if pcall(conn.state, conn) then conn:free() end
end

local function words(list)
    local all = {}
    for word in pairs(list) do all[#all + 1] = word end
    table.sort(all)
    return table.concat(all, " or ")
end

local function compare(life, client, server)
    local version, resumed = client:version(), client:session_reused()
    must(version == life.version, "version %s, and the model has %s", version, life.version)
    must(resumed == server:session_reused(), "the client says resumed %s, the server %s", resumed,
        not resumed)
    local said, heard = client:resumption(), server:resumption()
    must(resumed == life.resumed, "it must %s (client: %s), and the client says %s, the server %s",
        life.resumed and "resume" or "not resume", life.client, said, heard)
    must(said == life.client or (not resumed and said == life.or_client),
        "the client must say %s, and says %s; the server says %s", life.client, said, heard)
    local allowed = life.server or {}
    must((life.server == nil and heard ~= "resumed") or allowed[heard],
        "the server must say %s, and says %s; the client says %s",
        words(allowed), heard, said)
end

--- A cache's memory tier against the model's, but for what has expired and is dropped when it is
-- met.
local function count(self, cache, settings)
    local n = 0
    must(#cache <= (settings.capacity or #cache), "a cache for %s sessions has %d",
        settings.capacity, #cache)
    for entry in cache:entries() do n = n + (entry.expires > self.model.now and 1 or 0) end
    return n
end

local function look_around(self)
    for n, one in pairs(self.caches) do
        local there, expected = count(self, one.cache, one.settings), self.model:in_client(n)
        must(there == expected, "the client's cache %d has %d sessions, and must have %d", n, there,
            expected)
    end
    for n, one in pairs(self.servers) do
        if one.cache then
            local there = count(self, one.cache, one.home.settings)
            local expected = self.model:in_server(n)
            must(there == expected, "the cache of server %d has %d sessions, and must have %d", n,
                there, expected)
        end
    end
end

local function finish(self, one, how)
    ending[how](one.client, one.server, one.deaf)
    free(one.client)
    free(one.server)
    self.model:finish(one.life, how)
    look_around(self)
end

local function add_up(counts, life)
    counts.connections = counts.connections + 1
    counts.resumed = counts.resumed + (life.resumed and 1 or 0)
    counts.sent = counts.sent + (life.sends and 1 or 0)
    counts.accepted = counts.accepted + (life.accepted and 1 or 0)
end

--- Keeps a copy of the session of TLS 1.3 that the client has received last. A later event offers
-- the copy (again).
local function copy(self, one, client_number, how)
    local session = one.life.session
    if session and session.version == "TLSv1.3" then
        self.copies[how.copy] = {bytes = one.client:session():export(), session = session,
            client = client_number, name = how.name, alpn = how.alpn}
    end
end

function P:visit(client_number, server_number, how)
    with_defaults(how, {name = "localhost"})
    if how.lasts and self.lasting[how.lasts] then self:finish(how.lasts, "clean") end
    how.asks_early = how.bytes and how.offers.early
        or not how.bytes and self.clients[client_number].settings.cache
    local life = self.model:visit(client_number, server_number, how)
    local client, server, got, waits = connect(self, client_number, server_number, how, life)
    must(waits == life.waits or life.may_wait == waits, "the %s waits in vain for a store",
        waits or "handshake is done, and nobody")
    if waits then
        self.counts.given_up = self.counts.given_up + 1
        return look_around(self)
    end
    if not life.fails then self.model:connected(life) end
    add_up(self.counts, life)
    if life.fails then
        free(client)
        free(server)
        return look_around(self)
    end
    judge_early(client, server, life, got)
    if not how.deaf then must(select(2, client:read()) == "want_read",
        "the client reads no tickets") end
    compare(life, client, server)
    look_around(self)
    local one = {life = life, client = client, server = server, deaf = how.deaf}
    if how.copy then copy(self, one, client_number, how) end
    if how.lasts then self.lasting[how.lasts] = one else finish(self, one, how.ends or "clean") end
end

--- A copy is offered to a server, by a client with the policy of the one it was taken from.
function P:again(n, server_number, how)
    local one = self.copies[n]
    if not one then return end
    how.bytes, how.offers, how.name, how.alpn = one.bytes, one.session, one.name, one.alpn
    self:visit(one.client, server_number, how)
end

function P:finish(n, how)
    local one = self.lasting[n]
    self.lasting[n] = nil
    if one then finish(self, one, how) end
end

-- ----------------------------------------------------------------------------------------- to play

local function environment(self)
    local env = {}
    for name, f in pairs(P) do
        if name ~= "__index" then env[name] = function(...) return f(self, ...) end end
    end
    return env
end

--- Calls f, and again as soon as a store's function has yielded.
local function in_time(f, ...)
    local thread = coroutine.create(f)
    local ok, message = coroutine.resume(thread, ...)
    while ok and coroutine.status(thread) ~= "dead" do ok, message = coroutine.resume(thread) end
    return ok, message
end

--- nil or a failure, as play.run in play.lua has it; and how many connections there were, resumed.
function fleet.play(lines, visit)
    local self = setmetatable({model = model.new(clock.start()), homes = {}, servers = {},
        caches = {}, clients = {}, lasting = {}, copies = {},
        counts = {connections = 0, resumed = 0, sent = 0, accepted = 0, given_up = 0}}, P)
    local env = environment(self)
    warn "@off"
    for number, line in ipairs(lines) do
        if visit then visit(number) end
        local ok, message = in_time(assert(load(line, "=line", "t", env)))
        if not ok then return {line = number, text = line, message = tostring(message)},
            self.counts end
    end
    for n in pairs(self.lasting) do in_time(self.finish, self, n, "clean") end
    return nil, self.counts
end

return fleet
