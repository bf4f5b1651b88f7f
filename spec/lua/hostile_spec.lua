-- hostile_spec.lua: tests arguments that no honest script passes, such as huge lists, integers out
-- of range, and changes by the debug library. They may raise, and never harm the process or the
-- memory of other scripts.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

-- The incremental collector that never pauses goes through the whole heap at each string made here,
-- which takes longer than all other specs. The generational one at full pressure finds the same.
local collector
setup(function() collector = collectgarbage "generational" end)
teardown(function() collectgarbage(collector) end)

describe("a list", function()
    -- Lua 5.5 looks for a border at places that it draws: no table of a few elements has such a
    -- length there.
    local with_huge_list = _VERSION == "Lua 5.4" and it or function(name)
        it(name, function() pending "no short table has a huge length in this Lua" end)
    end

    --- A table whose length is 2^power: all of its array is full, and then Lua's search for a
    -- border tries powers of two.
    local function table_of_length(power, element)
        local parts = {"local x = ... return {" .. ("x,"):rep(65536) .. "[65537] = x"}
        for k = 17, power do parts[#parts + 1] = ("[%d] = x"):format(1 << k) end
        local list = load(table.concat(parts, ",") .. "}")(element)
        assert(#list == 1 << power, "this Lua looks for a border elsewhere")
        return list
    end

    local key = ("k"):rep(80)
    local takers = {
        {"connection:write", "x", function(list) pair.connect():write(list) end},
        {"connection:set_alpn", "x", function(list) pair.client():connection():set_alpn(list) end},
        {"option alpn", "x", function(list) return tls.context {role = "client", alpn = list} end},
        {"option ca", p.ca_file,
            function(list) return tls.context {role = "client", ca = list} end},
        {"option certificate", {certificate = p.server_cert, private_key = p.server_key},
            function(list) return tls.context {role = "server", certificate = list} end},
        {"option psk", {identity = "i", key = "secretsecretsecret"},
            function(list) return tls.context {role = "client", psk = list} end},
        {"tls.keyring", ("s"):rep(32), tls.keyring},
        {"tls.ticket_keys", key, function(list) return tls.ticket_keys {keys = list} end},
        {"ticket_keys:replace", key,
            function(list) tls.ticket_keys {keys = {key}}:replace(list) end},
    }
    for _, taker in ipairs(takers) do
        local name, element, take = table.unpack(taker)
        with_huge_list("of a length that no memory holds is refused: " .. name, function()
            for _, power in ipairs {25, 28, 29, 30, 31, 32, 33, 58, 59, 60, 61, 62} do
                expect.raises("a list has at most 16777216 elements", take,
                    table_of_length(power, element))
            end
        end)
    end

    with_huge_list("of listeners for a thread is refused, too", function()
        local there, host = pcall(require, "tlslife.host")
        if not there then pending "not in the program" end
        for _, power in ipairs {25, 31, 32, 60, 61, 62} do
            expect.raises("at most 1024", host.thread,
                {index = 1, control = 0, listeners = table_of_length(power, 0)})
        end
    end)

    it("of arguments is refused, too", function()
        local script = os.tmpname()
        for _, len in ipairs {"-5", "-1", "math.mininteger", "1 << 20", "(1 << 31) - 1", "1 << 32",
            "math.maxinteger"} do
            local chunk = ("arg = setmetatable({}, {__len = function() return %s end})"):format(len)
            local command = ("'%s' -e '%s' '%s' 2>&1"):format(program.path, chunk, script)
            local pipe = assert(io.popen(command))
            local said = pipe:read "a"
            local _, how, code = pipe:close()
            assert.equal("exit 1", how .. " " .. code, said)
            assert.truthy(said:find("too many arguments to script", 1, true), said)
        end
        os.remove(script)
    end)
end)

describe("an integer", function()
    local function client(name)
        return function(value)
            return assert(tls.context {role = "client", verify = "none", [name] = value})
        end
    end
    local function conn(name)
        return function(value) return pair.client():connection()[name](pair.client():connection(),
            value) end
    end
    local function cache(name)
        return function(value) return assert(tls.cache {[name] = value}) end
    end
    local keys = function(name)
        return function(value) return assert(tls.ticket_keys {[name] = value}) end
    end
    local redis =
        function(name) return function(value) return assert(tls.redis {[name] = value}) end end
    -- as large as memory may be
    local sizes = {["cache capacity"] = true, ["cache capacity_bytes"] = true}
    -- what takes it, and what it takes
    local takers = {
        ["option verify_depth"] = {client "verify_depth", 5},
        ["option num_tickets"] =
            {function(value) return assert(pair.server {num_tickets = value}) end, 2},
        ["option session_timeout"] = {client "session_timeout", 300},
        ["option max_early_data"] = {client "max_early_data", 16384},
        ["option timeout"] = {client "timeout", 10},
        ["cache capacity"] = {cache "capacity", 100},
        ["cache capacity_bytes"] = {cache "capacity_bytes", 100},
        ["cache timeout"] = {cache "timeout", 100},
        ["cache sessions_per_peer"] = {cache "sessions_per_peer", 2},
        ["ticket_keys epoch"] = {keys "epoch", 3600},
        ["ticket_keys older"] = {keys "older", 2},
        ["redis port"] = {redis "port", 6379, absent = not tls.redis},
        ["redis database"] = {redis "database", 1, absent = not tls.redis},
        ["redis pending"] = {redis "pending", 100, absent = not tls.redis},
        ["redis timeout"] = {redis "timeout", 1, absent = not tls.redis},
        ["shared size"] = {function(value)
            local path = os.tmpname()
            os.remove(path)
            local ok, store, why = pcall(tls.shared, {path = path, size = value})
            os.remove(path)
            return assert(ok, store) and assert(store, why)
        end, 65536, huge = 1 << 36},
        ["tls.buffer"] = {tls.buffer, 100},
        ["tls.listen port"] = {function(value) return assert(tls.listen("127.0.0.1", value)) end,
            0},
        ["tls.listen backlog"] =
            {function(value) return assert(tls.listen("127.0.0.1", 0, {backlog = value})) end, 10},
        ["tls.listen_fd"] = {tls.listen_fd},
        ["tls.pair capacity"] = {function(value)
            return tls.pair(pair.client():connection(), pair.server():connection(), value)
        end, 4096},
        ["connection:dial port"] =
            {function(value) return pair.client():connection():dial("127.0.0.1", value) end},
        ["connection:set_fd"] = {conn "set_fd", 0},
        ["connection:set_memory"] = {conn "set_memory", 4096},
        ["connection:set_num_tickets"] =
            {function(value) pair.server():connection():set_num_tickets(value) end, 2},
        ["connection:set_shutdown"] = {function(value) pair.connect():set_shutdown(value) end, 0},
        ["connection:set_timeout"] = {conn "set_timeout", 10},
        ["connection:read"] = {function(value) pair.connect():read(value) end, 10},
        ["connection:write's first byte"] = {function(value) pair.connect():write("abc", value) end,
            1},
        ["connection:drain"] = {function(value)
            local one = pair.client():connection()
            one:set_memory()
            one:drain(value)
        end, 10},
        ["connection:export_keying_material"] =
            {function(value) pair.connect():export_keying_material(value, "EXPORTER-x") end, 32},
        ["session:set_timeout"] = {function(value) pair.session():dup():set_timeout(value) end,
            100},
        ["poller:watch"] = {function(value)
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            tls.poller():watch(listener:fd(), value)
        end, 1},
    }
    for name, taker in pairs(takers) do
        it("outside the range of its C type is refused: " .. name, function()
            if taker.absent then pending "not in this build" end
            local take, right = table.unpack(taker, 1, 2)
            if right then take(right) end
            local base = right or 0
            for _, wrong in ipairs {math.mininteger, -(1 << 32) + base, -(1 << 16) - 1, -1,
                math.maxinteger, 0 / 0, 1 / 0, 1e300} do
                if not (sizes[name] and wrong == math.maxinteger) then
                    expect.refused(wrong, take, wrong)
                end
            end
            if not sizes[name] then
                for _, power in ipairs {37, 40, 48, 62} do
                    expect.refused(power, take, (1 << power) + base)
                end
                if (taker.huge or 0) < 1 << 32 then
                    expect.refused("2^32 and more", take, (1 << 32) + base)
                end
            end
        end)
    end
end)

describe("a certificate's dates", function()
    it("are right beyond what a time_t of 32 bits holds", function()
        local directory = process.directory()
        for _, days in ipairs {1, 3650, 4400, 8800, 20000, 60000, 2900000} do
            local cert, key = ("%s/far%d.pem"):format(directory, days), directory .. "/far.key"
            assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " ..
                "-nodes -days %d -subj /CN=localhost -addext subjectAltName=DNS:localhost " ..
                "-keyout '%s' -out '%s' 2>/dev/null"):format(days, key, cert)))
            local client = pair.connect {client = {ca = cert},
                server = {certificate = cert, private_key = key}}
            local found = client:peer_certificates()[1]
            for field, option in pairs {not_before = "-startdate", not_after = "-enddate"} do
                local pipe = assert(io.popen(
                    ("date -d \"$(openssl x509 -noout %s -in '%s' | cut -d= -f2)\" +%%s"):format(
                        option, cert)))
                assert.equal(pipe:read "n", found[field])
                pipe:close()
            end
        end
    end)
end)

-- ------------------------------------------------------------------------------- the debug library

-- A loop whose coroutines are those of one table. The code that resumes a coroutine has waited.
local spawned = setmetatable({}, {__mode = "k"})

local function use_loop()
    tls.loop {
        name = "hostile",
        running = function() return spawned[coroutine.running()] ~= nil end,
        wait = function() return coroutine.yield() end,
        wake = function() end,
        forget = function() end,
    }
end

local function spawn(f, ...)
    local co = coroutine.create(f)
    spawned[co] = true
    assert(coroutine.resume(co, ...))
    return co
end

local client_context, server_context = pair.client(), pair.server()

--- Two connections over TCP, blocking.
local function tcp()
    local listener <close> = assert(tls.listen("127.0.0.1", 0))
    local a = client_context:connection()
    assert(a:dial("127.0.0.1", listener:port()))
    a:set_hostname "localhost"
    return a, assert(listener:accept(server_context, 5))
end

local function open()
    local a, b = tcp()
    local other = spawn(function() return assert(b:accept()) end)
    local one = spawn(function() return assert(a:connect()) end)
    while coroutine.status(one) ~= "dead" or coroutine.status(other) ~= "dead" do
        for _, co in ipairs {one, other} do
            if coroutine.status(co) == "suspended" then assert(coroutine.resume(co)) end
        end
    end
    return a, b
end

-- Each gives a coroutine that is suspended in a call of ours, and what must stay alive meanwhile.
local suspended = {
    connect = function()
        local a, b = tcp()
        return spawn(function() return a:connect() end), b
    end,
    accept = function()
        local a, b = tcp()
        return spawn(function() return b:accept() end), a
    end,
    read = function()
        local a, b = open()
        return spawn(function() return a:read(100) end), b
    end,
    ["write of a table"] = function()
        local a, b = open()
        local list = {}
        for i = 1, 300 do list[i] = ("x"):rep(1 << 16) end
        return spawn(function() return a:write(list, 5) end), b
    end,
    close = function()
        local a, b = open()
        return spawn(function() return a:close(5) end), b
    end,
    dial = function()
        -- whose queue is full
        local listener, queue = assert(tls.listen("127.0.0.1", 0, {backlog = 1})), {}
        for i = 1, 4 do
            queue[i] = client_context:connection()
            queue[i]:set_blocking(false)
            queue[i]:dial("127.0.0.1", listener:port())
        end
        local a = client_context:connection()
        return spawn(function() return a:dial("127.0.0.1", listener:port()) end), queue
    end,
    ["accept of a listener"] = function()
        local listener = assert(tls.listen("127.0.0.1", 0))
        return spawn(function() return listener:accept(server_context, 5) end)
    end,
    on_hello = function()
        local a, b = pair.join {server = {on_hello = function() coroutine.yield() end}}
        a:connect()
        return spawn(function() return b:accept() end), a
    end,
    on_certificate = function()
        local a, b = pair.join {server = {on_certificate = function() coroutine.yield() end}}
        a:connect()
        return spawn(function() return b:accept() end), a
    end,
    on_verify = function()
        local a, b = pair.join {client = {on_verify = function() coroutine.yield() return true end}}
        a:connect()
        b:accept()
        return spawn(function() return a:connect() end), b
    end,
    ["a store's put"] = function()
        local function nothing() end
        local store = {get = nothing, remove = nothing, put = function() coroutine.yield() end}
        local cache = tls.cache {store = store, keyring = tls.keyring {("k"):rep(32)}}
        local a, b = pair.join {client = {max_version = "TLSv1.2", options = {NO_TICKET = true}},
            server = {cache = cache, resumption = "stateful"}}
        local co = spawn(function()
            repeat local done, why = b:accept() coroutine.yield(why) until done
        end)
        for _ = 1, 2 do
            a:connect()
            coroutine.resume(co)
        end
        return co, a
    end,
    ["a store's get"] = function()
        local function nothing() end
        local store = {get = function() coroutine.yield() end, remove = nothing, put = nothing}
        local cache = tls.cache {store = store, in_memory = false,
            keyring = tls.keyring {("k"):rep(32)}}
        local client = pair.client {max_version = "TLSv1.2", options = {NO_TICKET = true}}
        local first, second = pair.connect {client = client, server = {resumption = "stateful"}}
        local session = first:session()
        pair.finish(first, second) -- else the collector makes the session bad
        local a, b = pair.join {client = client, server = {cache = cache, resumption = "stateful"},
            session = session}
        expect.word("want_read", a:connect())
        return spawn(function()
            error(tostring(select(2, b:accept())) .. " " .. tostring(b:resumption()))
        end), a
    end,
}

--- level, number of each of the values on the stacks of C functions that are suspended there
local function slots(co)
    local found = {}
    for level = 0, 20 do
        local info = debug.getinfo(co, level, "S")
        if not info then break end
        for n = 1, info.what == "C" and 30 or 0 do
            if not debug.getlocal(co, level, n) then break end
            found[#found + 1] = {level, n}
        end
    end
    return found
end

--- Whether an integer is an address in the process.
local function is_address(value)
    for line in io.lines "/proc/self/maps" do
        local from, to = line:match "^(%x+)%-(%x+)"
        if math.ult(tonumber(from, 16) - 1, value) and math.ult(value, tonumber(to, 16)) then
            return true
        end
    end
    return false
end

-- Each value in each slot is a scene with handshakes of its own. A build plays every second one,
-- and the dev build and AddressSanitizer's together all.
local TURN <const> = program.is_sanitized() and 0 or 1

local names = {}
for name in pairs(suspended) do names[#names + 1] = name end
table.sort(names)

describe("a script with the debug library", function()
    setup(use_loop)

    for _, name in ipairs(names) do
        it("finds no address on the stack of a suspended call: " .. name, function()
            local co, keep = suspended[name]()
            assert.equal("suspended", coroutine.status(co))
            for _, slot in ipairs(slots(co)) do
                local _, value = debug.getlocal(co, slot[1], slot[2])
                assert.is_false(math.type(value) == "integer" and is_address(value),
                    "slot " .. slot[1] .. " " .. slot[2])
            end
            coroutine.close(co)
            return keep
        end)

        it("may change the values on that stack: " .. name, function()
            local junk = {
                function() return nil end, function() return 0x4141414141414141 end,
                function() return math.mininteger end,
                function() return "x" end, function() return {} end,
                function() return io.stdout end,
                function() return debug.setmetatable(tls.buffer(4096):set(("A"):rep(4096)),
                    getmetatable(client_context:connection())) end,
                function() return client_context:connection() end,
            }
            local co = suspended[name]()
            local number = #slots(co)
            assert.is_true(number > 0)
            coroutine.close(co)
            for i = 1, number do
                for j = 1 + (i + TURN) % 2, #junk, 2 do
                    local keep
                    co, keep = suspended[name]()
                    local slot = assert(slots(co)[i], "it has ended")
                    local _, before = debug.getlocal(co, slot[1], slot[2])
                    debug.setlocal(co, slot[1], slot[2], (junk[j]()))
                    if type(before) == "userdata" then
                        before = nil -- luacheck: ignore
                        collectgarbage()
                    end
                    for _ = 1, 3 do
                        if coroutine.status(co) == "suspended" then coroutine.resume(co) end
                    end
                    pcall(coroutine.close, co)
                    assert(keep ~= false)
                end
            end
        end)
    end

    it("may take away the table of methods, by which an error names the method", function()
        local conn = client_context:connection()
        local metatable, read = debug.getmetatable(conn), conn.read
        local methods = metatable.__index
        local _, whole = pcall(read, 5)
        metatable.__index = nil
        local ok, why = pcall(read, 5)
        metatable.__index = methods
        assert.is_false(ok)
        assert.equal(whole:gsub(":read%(", ":?("), (why))
    end)

    -- In a process of its own: what it breaks is broken for the state.
    local chunk = [[
        local what = ...
        local tls = require "tlslife"
        local function buffer() return tls.buffer(4096):set(("A"):rep(4096)) end
        local client = tls.context {role = "client", verify = "none"}
        local conn = client:connection()
        local a, b = client:connection(), client:connection()
        tls.pair(a, b)
        a:set_blocking(false)
        a:connect()
        local store = {get = print, put = print, remove = print}
        local cache = tls.cache {store = store, keyring = tls.keyring {("k"):rep(32)}}
        local objects = {client, conn, a, cache, tls.keyring {("k"):rep(32)}, tls.ticket_keys {},
            tls.poller(), buffer(), assert(tls.listen("127.0.0.1", 0)),
            tls.context {role = "client", verify = "none", cache = cache}:connection()}
        local function junk() -- the text is taken for a path, too
            return {n = 9, nil, 0x4141414141414141, 1, -1, "no such folder/x", {}, buffer(), conn,
                debug.setmetatable(buffer(), getmetatable(conn))}
        end

        -- every C function that a script can find there
        local seen, functions = {}, {}
        local function find(value)
            if type(value) == "function" and not seen[value] and
                    debug.getinfo(value, "S").what == "C" then
                seen[value], functions[#functions + 1] = true, value
            elseif type(value) == "table" and not seen[value] then
                seen[value] = true
                for _, inner in next, value do find(inner) end
                find(debug.getmetatable(value))
            end
        end
        for _, object in ipairs(objects) do find(debug.getmetatable(object)) end
        find {cache:entries()}
        find(package.preload)
        find(require "tlslife.core")
        for key, value in next, debug.getregistry() do
            -- the metatables of what is the binding's own
            if type(key) == "userdata" then find(value) end
        end
        local function try()
            for _, object in ipairs(objects) do
                for _, name in ipairs {"state", "context", "session", "peer_certificates",
                    "accept", "connect", "read", "stats", "entries", "role",
                    "events", "fd", "sub", "port", "set_num_tickets", "connection"} do
                    pcall(function() return object[name](object) end)
                end
                pcall(tostring, object)
            end
            pcall(tls.context, {role = "client", verify = "none"})
        end

        if what == "functions" then
            for _, f in ipairs(functions) do
                local values = junk()
                for i = 1, values.n do pcall(f, values[i], values[i], values[i]) end
            end
        elseif what == "upvalues" then
            for _, f in ipairs(functions) do
                for i = 1, 5 do
                    local name, before = debug.getupvalue(f, i)
                    local values = junk()
                    for j = 1, name and values.n or 0 do
                        debug.setupvalue(f, i, values[j])
                        for _, object in ipairs(objects) do pcall(f, object) end
                    end
                    if name then debug.setupvalue(f, i, before) end
                end
            end
        elseif what == "user values" then
            for _, object in ipairs(objects) do
                for i = 1, 10 do
                    local before, has = debug.getuservalue(object, i)
                    local values = junk()
                    for j = 1, has and values.n or 0 do
                        debug.setuservalue(object, values[j], i)
                        try()
                    end
                    if has then debug.setuservalue(object, before, i) end
                end
            end
        elseif what == "state" then
            -- what the module keeps once for a Lua state, among it the loops
            local loop = {name = "junk", running = function() return true end,
                wait = function() error "waits" end, wake = function() end}
            local listener = assert(tls.listen("127.0.0.1", 0))
            local function wait_in_loop()
                return pcall(coroutine.wrap(function()
                    local one <close> = client:connection()
                    one:set_hostname "localhost"
                    one:dial("127.0.0.1", listener:port())
                    one:connect()
                end))
            end
            local function try_loops()
                try()
                pcall(tls.loop, loop)
                pcall(wait_in_loop)
            end
            tls.loop(loop)
            local ok, why = wait_in_loop()
            assert(not ok and why:find "waits", why)
            for key, value in next, debug.getregistry() do
                for i = 1, type(key) == "userdata" and type(value) == "userdata" and 10 or 0 do
                    local before, has = debug.getuservalue(value, i)
                    local values = junk()
                    for j = 1, has and values.n or 0 do
                        debug.setuservalue(value, values[j], i)
                        try_loops()
                    end
                    if has then debug.setuservalue(value, before, i) end
                end
            end
        elseif what == "registry" then
            local registry, changed = debug.getregistry(), {}
            for key, value in next, registry do
                local type = type(key)
                if type == "userdata" or (type == "number" and key > 2) then
                    changed[key] = value
                end
            end
            for key, value in next, changed do
                local values = junk()
                for i = 1, values.n do
                    registry[key] = values[i]
                    try()
                end
                registry[key] = value
            end
        end
        print "still here"
    ]]
    for _, what in ipairs {"functions", "upvalues", "user values", "state", "registry"} do
        it("may change or call the functions that it finds: " .. what, function()
            local status, output = program.run(chunk, what)
            -- a finalizer that finds nothing there gives nothing back
            local leaks = what == "registry" and status == 23
            assert.is_true(status == 0 or leaks, output)
            assert.truthy(output:find("still here", 1, true), output)
        end)
    end
end)
