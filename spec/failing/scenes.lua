--- scenes.lua: has the lives of connections and sessions that failing.c plays while one call fails.
--
-- make() makes what lives long, and use(things) uses it. use is called once more after the failure:
-- then it must succeed, and also what may be missed before must come (strict). finish(things),
-- where there is one, comes last. kinds, where it is there, names all that fails in the scene.
--
-- A failure that a call has returned is raised as a table {message, code}. What must never happen,
-- whatever fails, is raised as text that begins with WRONG: bytes that change, two ends that wait
-- for each other.

local host = ...
local tls = require "tlslife"

local VERSIONS = {"TLSv1.2", "TLSv1.3"}
local WAITS = {want_read = true, want_write = true, want_session = true}
local SECRET = ("s"):rep(32)

local scenes = {}
local pump -- what a store needs while both ends wait

-- ----------------------------------------------------------------------------------------- helpers

local function wrong(format, ...)
    error(("WRONG: " .. format):format(...), 0)
end

local function must(result, message, err)
    if result then return result, message end
    if message == nil then wrong "nil without a message" end
    error({message = message, code = err and err.code}, 0)
end

--- What is so where nothing fails.
local function strict(good, format, ...)
    if not good and not host.failing() then wrong(format, ...) end
end

local function options(defaults, others)
    for name, value in pairs(others or {}) do defaults[name] = value end
    return defaults
end

local function server_context(others)
    local own = {role = "server", certificate = host.certificate, private_key = host.key}
    return must(tls.context(options(own, others)))
end

local function client_context(others)
    return must(tls.context(options({role = "client", ca = host.certificate}, others)))
end

local function both(others_client, others_server)
    return {client = client_context(others_client), server = server_context(others_server)}
end

local function joined(things)
    local client, server = must(things.client:connection()), must(things.server:connection())
    client:set_blocking(false)
    server:set_blocking(false)
    tls.pair(client, server)
    client:set_hostname "localhost"
    return client, server
end

local function with_ticket_keys()
    return {ticket_keys = tls.ticket_keys {secret = SECRET}}
end

--- Calls both in turn until each has given something else than a wait; their results.
local function take_turns(first, second, nap)
    local calls, results = {first, second}, {}
    local idle = 0
    while not (results[1] and results[2]) do
        for i = 1, 2 do
            if not results[i] then
                local result, message, err = calls[i]()
                if result or not WAITS[message] then
                    results[i] = {result, message, err}
                    idle = 0
                end
            end
        end
        idle = idle + 1
        local failed = results[1] and not results[1][1] or results[2] and not results[2][1]
        if idle > 20 and failed then break end -- the other waits for a peer that has left
        if idle > 2000 then wrong "both ends wait for each other" end
        if nap then nap() end
        if pump then pump() end
    end
    for _, alert in ipairs {false, true} do -- an alert only tells of the other's failure
        for i = 1, 2 do
            local failure = results[i] and not results[i][1] and results[i]
            local err = failure and failure[3]
            if failure and (alert or not err or err.code ~= "alert") then
                must(table.unpack(failure, 1, 3))
            end
        end
    end
    for i = 1, 2 do
        if not results[i] then wrong "one end waits, and the other has not failed" end
    end
    return results[1][1], results[2][1]
end

local function shake(client, server, nap)
    take_turns(function() return client:connect() end, function() return server:accept() end, nap)
end

--- Bytes from one end to the other.
local function send(from, to, bytes, nap)
    local sent, got = 0, ""
    take_turns(function()
        local n, message, err = from:write(bytes, sent + 1)
        if not n then return nil, message, err end
        sent = sent + n
        return sent >= #bytes or nil, "want_write"
    end, function()
        local piece, message, err = to:read()
        if not piece then return nil, message, err end
        got = got .. piece
        return #got >= #bytes or nil, "want_read"
    end, nap)
    if got ~= bytes then wrong("%d bytes came, %d were sent", #got, #bytes) end
end

local function settle(conn, other, nap)
    for i = 1, nap and 300 or 4 do
        local result, message, err = conn:shutdown()
        if result == "done" then return end
        if not result and not WAITS[message] then must(result, message, err) end
        if other then other:read() end
        if nap then nap() end
        if i == 300 then wrong "close_notify does not come" end
    end
end

local function finish(client, server, nap)
    must(client:shutdown())
    settle(server, nil, nap)
    settle(client, nil, nap)
end

--- One connection from the first byte to the last; the client's newest session.
local function visit(things, session, before)
    local client, server = joined(things)
    if session then client:set_session(session) end
    if before then before(client, server) end
    shake(client, server)
    send(server, client, "hello")
    send(client, server, ("x"):rep(20000))
    local word = server:resumption()
    if (word == "resumed") ~= server:session_reused() then wrong("resumption says %s", word) end
    local newest = client:take_session()
    finish(client, server)
    newest = newest or client:session()
    client:free()
    server:free()
    return word, newest
end

--- For what visit has returned, of a connection that must have resumed a session.
local function check_resumed(word)
    strict(word == "resumed", "not resumed: %s", word)
end

--- A full handshake, and one that resumes it.
local function resume(things, take)
    local _, session = visit(things)
    if not session then strict(false, "no session came") return end
    if take then session = take(session) end
    check_resumed(visit(things, session))
end

local function each_version(make)
    return function()
        local all = {}
        for i, version in ipairs(VERSIONS) do all[i] = make(version) end
        return all
    end
end

local function for_each(use)
    return function(all)
        for _, things in ipairs(all) do use(things) end
    end
end

-- --------------------------------------------------------------------- handshakes and what follows

scenes.handshake = {
    make = each_version(function(version) return both {max_version = version} end),
    use = for_each(function(things) visit(things) end),
}

scenes.questions = {
    make = each_version(function(version)
        local seen = function(list) if type(list) ~= "table" then wrong "no list" end end
        local things = both({
            max_version = version, certificate = host.certificate, private_key = host.key,
            alpn = {"h2", "x"}, keylog = true,
            on_verify = function(_, peer) return #peer.certificates > 0 and peer.verified end,
            on_certificate = function(_, request) seen(request.ca_names) end,
        }, {
            verify = "required", ca = host.certificate, alpn = {"x"}, keylog = true,
            on_hello = function(_, hello)
                for _, list in ipairs {"ciphers", "versions", "alpn"} do seen(hello[list]) end
            end,
            on_verify = function(_, peer)
                return peer.certificates[1].names[1] == "DNS:localhost"
            end,
            on_certificate = function() end,
            server_names = {["a.example"] = server_context(), ["localhost"] = server_context {
                verify = "optional", ca = host.certificate, alpn = {"x"}}},
        })
        return things
    end),
    use = for_each(function(things)
        local client, server = joined(things)
        shake(client, server)
        send(server, client, "hello")
        strict(client:alpn() == "x" and server:alpn() == "x", "ALPN")
        strict(server:server_name() == "localhost", "server name")
        strict(client:take_keylog(), "key log")
        finish(client, server)
    end),
}

scenes.refused = {
    make = each_version(function(version)
        local function no() return false end
        return both({max_version = version, on_verify = no, verify_all = true}, {
            on_hello = function(_, hello) return hello.server_name == "localhost" and nil end,
        })
    end),
    use = for_each(function(things)
        local client, server = joined(things)
        local ok, message, err
        for _ = 1, 6 do
            ok, message, err = client:connect()
            server:accept()
        end
        if ok then wrong "a peer that was refused is taken" end
        if not WAITS[message] and not err then wrong("no error: %s", message) end
        strict(err and err.code == "verify", "it fails as %s", message)
        strict(client:error() == nil or client:error().code == "verify", "the error is kept")
        client:close()
        server:close()
    end),
}

scenes.getters = {
    make = function() return both() end,
    use = function(things)
        local client, server = joined(things)
        client:set_alpn {"x"}
        client:set_groups "X25519:P-256"
        server:set_num_tickets(1)
        local early = must(client:dup())
        early:free()
        shake(client, server)
        send(server, client, "hello")
        for _, conn in ipairs {client, server} do
            must(conn:export_keying_material(32, "EXPORTER-x", "context"))
            must(conn:finished()) must(conn:peer_finished())
            conn:group() conn:cipher() conn:verify_result() conn:state_text() conn:peer_address()
            tostring(conn)
        end
        local chain = must(client:peer_certificates())
        if #chain ~= 1 or chain[1].names[1] ~= "DNS:localhost" then wrong "the peer's chain" end
        must(client:dup()):free()
        must(client:key_update(true))
        send(client, server, "a")
        send(server, client, "b")
        must(server:new_session_ticket())
        send(server, client, "c")
        local buffer = tls.buffer(100)
        buffer:set "abc"
        send(client, server, buffer:sub())
        client:cork(true)
        must(client:write "corked")
        must(client:flush())
        if server:read() ~= "corked" then strict(false, "corked") end
        client:context():free()
        finish(client, server)
    end,
}

--- TLS in TLS: what fails in one layer is no bytes of the other.
scenes.nested = {
    make = both,
    use = function(things)
        local client, server = joined(things)
        shake(client, server)
        local a, b = must(things.client:connection()), must(things.server:connection())
        a:set_blocking(false)
        b:set_blocking(false)
        a:set_hostname "localhost"
        a:set_connection(client)
        b:set_connection(server)
        shake(a, b)
        send(a, b, ("inner"):rep(5000))
        send(b, a, "back")
        finish(a, b)
        a:close()
        b:close()
        send(client, server, "outer")
        finish(client, server)
    end,
}

--- A program that ignores every failure. It never accepts a server of another name, or one whose CA
-- it does not trust.
scenes.stranger = {
    make = function()
        local things = both()
        things.other = server_context {
            certificate = host.other_certificate, private_key = host.other_key,
        }
        return things
    end,
    use = function(things)
        local function never(client, server, name, how)
            tls.pair(client, server)
            client:set_blocking(false)
            server:set_blocking(false)
            for _ = 1, 6 do
                local ok, done = pcall(client.connect, client)
                if ok and done then wrong("%s, %s: a stranger is accepted", name, how) end
                server:accept()
            end
            if client:handshake_done() then wrong("%s, %s: a stranger is accepted", name, how) end
        end
        for _, name in ipairs {"elsewhere.example", "192.0.2.1"} do
            local client = must(things.client:connection())
            local server = must(things.server:connection())
            pcall(client.set_hostname, client, name)
            local copy = client:dup()
            if copy then never(copy, must(things.server:connection()), name, "dup") end
            never(client, server, name, "new")
            if client:clear() then
                server:clear()
                never(client, server, name, "clear")
            end
        end
        local client, server = must(things.client:connection()), must(things.other:connection())
        client:set_hostname "localhost"
        never(client, server, "localhost", "another CA")
    end,
}

--- Cleared in the middle and after, and used again each time.
scenes.clear = {
    make = each_version(function(version)
        local things = both {max_version = version}
        things.a, things.b = joined(things)
        return things
    end),
    use = for_each(function(things)
        local a, b = things.a, things.b
        local function again()
            must(a:clear())
            must(b:clear())
            tls.pair(a, b)
        end
        again()
        a:connect() b:accept()
        again()
        shake(a, b)
        send(a, b, "x")
        send(b, a, "y")
        finish(a, b)
        again()
        shake(a, b)
        finish(a, b)
    end),
}

--- A server's connection that serves one client after another, now under its own context, which
-- demands a certificate, and now under the one of a host, which does not.
scenes.hosts = {
    make = function()
        local things = both(nil, {verify = "required", ca = host.certificate,
            server_names = {localhost = server_context()}})
        things.nameless = client_context {verify_host = false}
        things.conn = must(things.server:connection())
        things.conn:set_blocking(false)
        return things
    end,
    use = function(things)
        local server = things.conn
        local function next_client(context)
            local client = must(context:connection())
            client:set_blocking(false)
            must(server:clear())
            tls.pair(client, server)
            return client
        end
        local function refused()
            local client = next_client(things.nameless)
            for _ = 1, 6 do
                client:connect()
                server:accept()
            end
            if server:handshake_done() then wrong "a client without a certificate is served" end
        end
        refused()
        local client = next_client(things.client)
        client:set_hostname "localhost"
        shake(client, server)
        finish(client, server)
        refused()
    end,
}

scenes.renegotiate = {
    make = function()
        return both({max_version = "TLSv1.2"}, {options = {ALLOW_CLIENT_RENEGOTIATION = true}})
    end,
    use = function(things)
        local client, server = joined(things)
        shake(client, server)
        must(client:renegotiate())
        take_turns(function() return client:handshake() end, function()
            local bytes, message, err = server:read()
            local done = not client:renegotiate_pending() and client:handshake_done()
            return bytes or done, message, err
        end)
        send(client, server, "after")
        finish(client, server)
    end,
}

scenes.later_certificate = {
    make = function()
        local own = {certificate = host.certificate, private_key = host.key}
        return both(options(own, {post_handshake_auth = true}),
            {verify = "optional", ca = host.certificate, on_verify = function() return true end})
    end,
    use = function(things)
        local client, server = joined(things)
        shake(client, server)
        must(server:request_client_certificate())
        local ok, message, err = server:handshake()
        if not ok and not WAITS[message] then must(ok, message, err) end
        send(client, server, "x")
        send(server, client, "y")
        send(client, server, "z")
        strict(#(server:peer_certificates() or {}) == 1, "no certificate came")
        finish(client, server)
    end,
}

scenes.bytes = {
    make = function() return both() end,
    use = function(things)
        local client, server = must(things.client:connection()), must(things.server:connection())
        client:set_hostname "localhost"
        for _, conn in ipairs {client, server} do
            conn:set_blocking(false)
            conn:set_memory()
        end
        local function carry()
            for _, pair in ipairs {{client, server}, {server, client}} do
                local bytes = pair[1]:drain()
                local at = 1
                while at <= #bytes do
                    local fed = pair[2]:feed(bytes, at)
                    if fed == 0 then wrong "there is no room" end
                    at = at + fed
                end
            end
        end
        shake(client, server, carry)
        send(client, server, ("x"):rep(40000), carry)
        send(server, client, "y", carry)
        client:close()
        carry()
        strict(select(2, server:read()) == "closed", "not closed")
        server:feed_eof()
        server:close()
    end,
}

-- -------------------------------------------------------------------------------------- resumption

scenes.tickets = {
    make = each_version(function(version)
        return both({max_version = version}, {ticket_keys = tls.ticket_keys {secret = SECRET}})
    end),
    use = for_each(function(things)
        resume(things, function(session)
            local bytes = must(session:export())
            session:free()
            return must(things.client:import_session(bytes)):dup()
        end)
    end),
}

scenes.early = {
    make = function()
        return both({max_early_data = 1000}, {max_early_data = 1000, cache = must(tls.cache())})
    end,
    use = function(things)
        local _, session = visit(things)
        if not session then strict(false, "no session came") return end
        local client, server = joined(things)
        client:set_session(session)
        must(client:write_early "early")
        local got, message, err = server:read_early()
        if not got and not WAITS[message] then must(got, message, err) end
        if got and got ~= "early" and got ~= "" then wrong("early data: %q", got) end
        strict(got == "early", "no early data")
        while got and got ~= "" do
            got, message, err = server:read_early()
            if not got and WAITS[message] then
                local ok, why, what = client:connect()
                if not ok and not WAITS[why] then must(ok, why, what) end
                got = "again"
            end
        end
        if not got then must(got, message, err) end
        shake(client, server)
        send(client, server, "late")
        finish(client, server)
    end,
}

scenes.memory = {
    make = each_version(function(version)
        return both({max_version = version, cache = must(tls.cache())},
            {cache = must(tls.cache {capacity = 4})})
    end),
    use = for_each(function(things)
        visit(things)
        check_resumed(visit(things))
    end),
}

scenes.file = {
    make = function()
        local keyring = tls.keyring {SECRET}
        local things = both({cache = must(tls.cache())}, with_ticket_keys())
        things.keyring = keyring
        return things
    end,
    use = function(things)
        visit(things)
        local cache = must(tls.cache())
        local other = client_context {cache = cache}
        local things_cache = things.cache or things.client
        if things_cache == things.client then
            local mine = must(tls.cache())
            things.client = client_context {cache = mine}
            things.cache = mine
            visit(things)
        end
        local path = os.tmpname()
        local file = must(io.open(path, "wb"))
        local ok, failure = pcall(function()
            file:write((must(things.cache:export(things.keyring))))
            file:close()
            file = must(io.open(path, "rb"))
            local n = must(cache:import(things.keyring, file:read "a"))
            strict(n > 0, "nothing was imported")
        end)
        if io.type(file) == "file" then file:close() end -- the second open may fail
        os.remove(path)
        if not ok then error(failure, 0) end
        check_resumed(visit {client = other, server = things.server})
    end,
}

--- A server's cache without a memory of its own, on a store.
local function stored(store, version)
    local cache = must(tls.cache {store = store, keyring = tls.keyring {SECRET}, in_memory = false})
    local things = both({max_version = version}, {cache = cache})
    things.cache = cache
    return things
end

local names = 0

--- A slab, in the file that path(name) names, or in shared memory.
local function over_slab(path, file)
    return {
        make = each_version(function(version)
            names = names + 1
            local name = ("%s.%d"):format(tostring({}):match "%w+$", names)
            os.remove(file(name))
            local store = must(tls.shared {path = path(name), size = 1 << 17})
            os.remove(file(name)) -- it stays mapped
            return stored(store, version)
        end),
        use = for_each(function(things)
            resume(things)
            tostring(things.cache)
            things.cache:stats()
        end),
    }
end

local function in_directory(name) return ("%s/slab.%s"):format(host.directory, name) end
scenes.slab = over_slab(in_directory, in_directory)
scenes.shared_memory = over_slab(function(name) return "shm:failing-" .. name end,
    function(name) return "/dev/shm/tlslife-failing-" .. name end)

scenes.program = {
    make = each_version(function(version)
        local rows = {}
        return stored({
            get = function(key) coroutine.yield() return rows[key] end,
            put = function(key, sealed) coroutine.yield() rows[key] = sealed end,
            remove = function(key) rows[key] = nil end,
        }, version)
    end),
    use = for_each(function(things)
        local thread = coroutine.create(resume)
        repeat
            local ok, failure = coroutine.resume(thread, things)
            if not ok then error(failure, 0) end
        until coroutine.status(thread) == "dead"
    end),
}

if host.redis then
    scenes.redis = {
        make = function()
            local store = must(tls.redis {
                path = host.redis, prefix = ("%s:"):format(tostring {}), timeout = 20,
            })
            local things = stored(store, "TLSv1.3")
            things.store = store
            return things
        end,
        use = function(things)
            pump = function()
                host.nap()
                things.store:pump()
            end
            things.store:wait()
            local function sent(session)
                for _ = 1, 20 do pump() end -- what was put is sent
                return session
            end
            if host.failing() then
                resume(things, sent)
            else
                -- once Redis could not be reached, the store does not try again for a pause
                local word
                for _ = 1, 100 do
                    local _, session = visit(things)
                    word = visit(things, sent(session))
                    if word == "resumed" then break end
                    for _ = 1, 100 do host.nap() end
                end
                if word ~= "resumed" then wrong("not resumed for seconds: %s", word) end
            end
            pump = nil
        end,
    }
end

scenes.cache = {
    make = function() return both({max_version = "TLSv1.2"}, {cache = must(tls.cache())}) end,
    use = function(things)
        local _, session = visit(things)
        if not session then strict(false, "no session came") return end
        local cache = must(tls.cache {capacity = 2, timeout = 100, capacity_bytes = 10000})
        for _ = 1, 3 do cache:put(session:dup()) end
        for entry in cache:entries() do
            cache:get(entry.id)
            cache:take(entry.id)
            cache:remove(entry.id)
        end
        cache:flush(true)
        cache:stats()
        local keyring = tls.keyring {SECRET}
        keyring:rotate(("t"):rep(32))
        local keys = tls.ticket_keys {keys = {("k"):rep(80)}}
        keys:replace {("l"):rep(80), ("k"):rep(80)}
        local none, message = cache:import(keyring, "garbage")
        if none or not message then wrong "garbage was imported" end
        must(session:export "pem")
        session:peer_certificate()
        tostring(session)
    end,
}

-- -------------------------------------------------------------------------------------- in threads

--- What a thread of the C program does, in a Lua state of its own, with a cache and ticket keys of
--- this one. The session that it makes comes back as bytes.
local IN_THREAD = [[
local host, cache, ticket_keys = ...
local tls = require "tlslife"
local function must(result, message, err)
    if not result then error({message = message, code = err and err.code}, 0) end
    return result
end
local server = must(tls.context {role = "server", certificate = host.certificate,
    private_key = host.key, cache = cache, ticket_keys = ticket_keys, resumption = "both"})
local client = must(tls.context {role = "client", ca = host.certificate})
local a, b = must(client:connection()), must(server:connection())
a:set_blocking(false) b:set_blocking(false)
tls.pair(a, b)
a:set_hostname "localhost"
local done = {}
for i = 1, 20 do
    for k, conn in ipairs {a, b} do
        local ok, message, err = conn:handshake()
        if not ok and message ~= "want_read" and message ~= "want_write" then
            must(ok, message, err)
        end
        done[k] = ok
    end
    if done[1] and done[2] then break end
    if i == 20 then error("WRONG: both ends wait in a thread", 0) end
end
must(b:write "x")
must(a:read())
local session = a:session()
must(a:shutdown())
b:close(0)
return session and must(session:export())
]]

scenes.threads = {
    make = function()
        local cache, ticket_keys = must(tls.cache()), tls.ticket_keys {secret = SECRET}
        local things = both(nil, {cache = cache, ticket_keys = ticket_keys, resumption = "both"})
        things.cache, things.ticket_keys = cache, ticket_keys
        return things
    end,
    use = function(things)
        local bytes, message, code = host.in_thread(IN_THREAD, things.cache, things.ticket_keys)
        if message and message:find "^WRONG" then wrong("%s", message) end
        if message then must(nil, message, {code = code}) end
        if not bytes then strict(false, "no session came out of the thread") return end
        local session = must(things.client:import_session(bytes))
        check_resumed(visit(things, session))
    end,
}

-- ---------------------------------------------------------------------------------- tls.server

--- A server on luv's loop, its connections in coroutines, and a client outside of them. What fails
--- is ours and OpenSSL's: luv ends the process where Lua has no memory in its own calls.
local SERVED = {serve = true, requests = true}
if (not host.name or SERVED[host.name]) and pcall(require, "luv") then
    local uv = require "luv"

    local function turn() uv.run "nowait" end

    local function make_server(how, others)
        return must(tls.server(options({
            address = "127.0.0.1:0", handshake_timeout = 2, timeout = 2, stop_timeout = 1,
            context = {certificate = host.certificate, private_key = host.key},
            log = function(_, message)
                if message == "" then wrong "the log has an empty line" end
            end,
        }, options(others, how))))
    end

    local function until_done(call)
        for _ = 1, host.failing() and 1000 or 20000 do
            local result, message, err = call()
            if result or not WAITS[message] then return must(result, message, err) end
            turn()
            host.nap()
        end
        if host.failing() then must(nil, "timeout") end -- it may have no memory for long
        wrong "the server does not answer"
    end

    --- One connection, in which the server sends back what it gets, as often as rounds says.
    local function ask(things, rounds)
        local client = must(things.client:connection())
        client:set_blocking(false)
        local port = things.server:ports()[1]
        until_done(function() return client:dial("127.0.0.1", port) end)
        client:set_hostname "localhost"
        if things.greets then
            until_done(function() return client:plain_write "STARTTLS\n" end)
        end
        until_done(function() return client:connect() end)
        for _ = 1, rounds do
            until_done(function() return client:write "hello" end)
            local got = until_done(function() return client:read() end)
            if got ~= "hello" then wrong("the server answers %q", got) end
        end
        client:close(0)
        for _ = 1, 200 do
            if things.server:stats().connections == 0 then break end
            turn()
            host.nap()
        end
        strict(things.server:stats().connections == 0, "a connection is left in the server")
    end

    local function stop(things)
        local stopped = false
        things.server:stop(0, function() stopped = true end)
        for _ = 1, 20000 do
            if stopped then break end
            turn()
            host.nap()
        end
        if not stopped then wrong "the server does not stop" end
        turn()
    end

    local function served(how, rounds, others)
        return {
            kinds = {ours = true, openssl = true, lua = true, accept4 = true, recv = true,
                send = true, epoll_create1 = true, epoll_ctl = true, epoll_wait = true},
            make = function()
                return {
                    client = client_context {timeout = 10}, server = make_server(how, others or {}),
                    greets = how.before,
                }
            end,
            use = function(things)
                things.server:reload()
                ask(things, rounds)
            end,
            finish = stop,
        }
    end

    scenes.serve = served({
        handler = function(conn)
            local bytes = conn:read()
            while bytes do
                if not conn:write(bytes) then break end
                bytes = conn:read()
            end
        end,
    }, 1)

    --- Connections that wait for their next request without a coroutine, after STARTTLS.
    scenes.requests = served({
        before = function(conn) return conn:plain_read(9) == "STARTTLS\n" end,
        on_request = function(conn)
            local bytes = conn:read()
            return bytes and conn:write(bytes) and true
        end,
    }, 3, {max_connections = 10, backlog = 5, early_data = true})
end

-- ----------------------------------------------------------------------------------- over loopback

--- Both ends of one connection to a listener, neither of which blocks.
local function dialled(things, listener, host_name)
    local client, server = must(things.client:connection()), nil
    client:set_blocking(false)
    take_turns(function()
        return client:dial(host_name, listener:port())
    end, function()
        if not server then
            local message, err
            server, message, err = listener:accept(things.server, 0)
            if not server then return nil, message, err end
        end
        return true
    end, host.nap)
    server:set_blocking(false)
    return client, server
end

local function over_loopback(host_name)
    return {
        make = function()
            local things = both({cache = must(tls.cache())}, with_ticket_keys())
            things.listener = must(tls.listen("127.0.0.1", 0))
            return things
        end,
        use = function(things)
            local left
            repeat left = things.listener:accept(things.server, 0) until not left
            for _ = 1, 2 do
                local client, server = dialled(things, things.listener, host_name)
                client:set_hostname "localhost"
                shake(client, server, host.nap)
                send(client, server, ("x"):rep(50000), host.nap)
                send(server, client, "hello", host.nap)
                finish(client, server, host.nap)
                client:close()
                server:close()
            end
        end,
    }
end

local function drain(listener, context)
    local left
    repeat left = listener:accept(context, 0) until not left
end

local function read_all(conn, len)
    local got = ""
    while #got < len do got = got .. must(conn:read()) end
    return got
end

--- A blocking end whose peer is another process, in which nothing fails. Where timeout is nil the
-- kernel waits.
local function with_peer(mine, theirs, timeout)
    return {
        make = function()
            local things = both(nil, {ticket_keys = tls.ticket_keys {secret = SECRET}})
            things.listener = must(tls.listen("127.0.0.1", 0))
            return things
        end,
        use = function(things)
            drain(things.listener, things.server)
            local peer = host.start_peer(function() theirs(things, 10) end)
            local ok, failure = pcall(mine, things, timeout)
            host.stop_peer(peer)
            if not ok then error(failure, 0) end
        end,
    }
end

local function be_client(things, timeout)
    local conn = must(things.client:connection())
    conn:set_timeout(timeout)
    must(conn:dial("127.0.0.1", things.listener:port()))
    conn:set_hostname "localhost"
    must(conn:connect())
    local bytes, at = ("x"):rep(100000), 1
    while at <= #bytes do at = at + must(conn:write(bytes, at)) end
    if read_all(conn, 5) ~= "hello" then wrong "other bytes came" end
    must(conn:shutdown())
    local rest, word = conn:read()
    if rest or word == "closed" and conn:get_shutdown() ~= 3 then wrong "more than was sent" end
    strict(word == "closed", "not closed: %s", word)
    conn:close(1)
end

local function be_server(things, timeout)
    local conn = must(things.listener:accept(things.server, 10))
    conn:set_timeout(timeout)
    must(conn:accept())
    if read_all(conn, 100000) ~= ("x"):rep(100000) then wrong "other bytes came" end
    local at = 1
    while at <= 5 do at = at + must(conn:write("hello", at)) end
    local rest, word = conn:read()
    if rest then wrong "more than was sent" end
    strict(word == "closed", "not closed: %s", word)
    conn:close(1)
end

scenes.client = with_peer(be_client, be_server, 10)
scenes.server = with_peer(be_server, be_client, 10)
scenes.waiting_client = with_peer(be_client, be_server)

scenes.loopback = over_loopback "127.0.0.1"
scenes.resolver = over_loopback "localhost"

-- ----------------------------------------------------------------------------------- other scenes

--- What fails is the module's opening, in a Lua state of its own (opening_round of
--- failing_life.c). This shows that the module works afterwards.
scenes.opening = {make = function() return both() end, use = function(things) visit(things) end}

local help = {
    must = must, strict = strict, wrong = wrong, both = both, joined = joined, shake = shake,
    send = send, finish = finish, visit = visit, resume = resume, take_turns = take_turns,
    check_resumed = check_resumed,
    drain = drain, dialled = dialled, client_context = client_context,
    server_context = server_context, each_version = each_version, for_each = for_each,
    options = options, SECRET = SECRET, WAITS = WAITS,
}
for name, scene in pairs(assert(loadfile "spec/failing/features.lua")(host, help)) do
    scenes[name] = scene
end

return scenes
