-- serve_spec.lua: tests how tls.serve and tls.server listen, stop and reload. Workers are processes
-- or threads, share sessions, and are replaced when they die.

local expect = require "spec.support.expect"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local ask, connect, start, stop = serving.ask, serving.connect, serving.start, serving.stop

if not serving.has_luv then
    describe("a server", function() pending "lua-luv is not installed" end)
    return
end

local uv = require "luv"

-- Copies of the specs' certificate and key where the server looks for its own.
local function install(server, certificate, key)
    process.spill(server.home .. "/server.pem", certificate)
    process.spill(server.home .. "/server.key", key)
end

local function serial(conn)
    return conn:peer_certificates()[1].fingerprint
end

-- A session of a connection that has ended well.
local function session_of(server, context)
    local conn <close> = connect(server, {context = context})
    local worker = ask(conn, "!worker")
    conn:close()
    return conn:take_session() or conn:session(), worker
end

describe("the options of a server", function()
    local function refused(pattern, options)
        local all = {address = "127.0.0.1:0", context = {}, handler = function() end}
        for name, value in pairs(options) do all[name] = value end
        expect.raises(pattern, tls.server, all)
        expect.raises(pattern, tls.serve, all)
    end

    it("are checked by name and type", function()
        refused("unknown option 'wrokers'", {wrokers = 1})
        refused("option 'workers': integer from 1 expected", {workers = 0})
        refused("option 'workers'", {workers = 1.5})
        refused("option 'timeout'", {timeout = 0 / 0})
        refused("option 'timeout'", {timeout = -1})
        for _, name in ipairs {"timeout", "handshake_timeout", "stop_timeout"} do
            refused(("option '%s': number from 0 to 2147483"):format(name), {[name] = 2147484})
        end
        refused("option 'handler': function expected", {handler = 1})
        refused("option 'context'", {context = "cert.pem"})
        refused("role is server", {context = {role = "client"}})
        refused("unknown option 'certificates'", {context = {certificates = "x"}})
        expect.raises("option 'handler' is missing", tls.server, {address = ":0", context = {}})
        expect.raises("table of options expected", tls.serve)
    end)

    it("fail where the context can serve no client", function()
        local options = {address = "127.0.0.1:0", handler = print, log = function() end}
        for _, workers in ipairs {false, 2} do
            for _, context in ipairs {{}, {verify = "none"},
                function() return tls.context {role = "server"} end} do
                options.context, options.workers = context, workers or nil
                local err = expect.fails("input", tls.serve(options))
                assert.truthy(err.message:find "serve no client", err.message)
            end
        end
    end)

    it("name the addresses to listen on", function()
        for _, address in ipairs {"8443", "localhost", "::1:8443", "[::1]", "127.0.0.1:", "",
            "a b:1"} do
            refused("option 'address'", {address = address})
        end
        refused("empty list", {address = {}})
    end)

    it("give nil, message, err where a context or a socket fails", function()
        local options = {address = "127.0.0.1:0", context = {certificate = "/no/such/file"},
            handler = function() end}
        expect.fails("input", tls.serve(options))
        expect.fails("input", tls.server(options))
        options.workers = 2
        expect.fails("input", tls.serve(options))
        local taken = assert(tls.listen("127.0.0.1", 0))
        options.context = {certificate = pki.get().server_cert_file,
            private_key = pki.get().server_key_file}
        options.address = {"127.0.0.1:0", "127.0.0.1:" .. taken:port()}
        expect.fails("system", tls.serve(options))
        options.workers = nil
        expect.fails("system", tls.serve(options))
        options.context = function() return nil, "no context today" end
        local ok, message = tls.serve(options)
        assert.is_nil(ok)
        assert.equal("no context today", message)
        options.context = function() return serving.context() end
        expect.raises("no server's context", tls.serve, options)
        taken:close()
    end)
end)

describe("a server in a program's own loop", function()
    local p = pki.get()

    it("serves until it is stopped, on every address", function()
        local server = assert(tls.server {
            address = {"127.0.0.1:0", "localhost:0"},
            handler = function(conn) conn:write(conn:read()) end,
            context = {certificate = p.server_cert_file, private_key = p.server_key_file},
        })
        assert.is_true(#server:ports() >= 2) -- localhost may have two addresses
        assert.is_false(server:stopping())
        local answers, stopped = {}, 0
        local watchdog = uv.new_timer()
        watchdog:start(5000, 0, function() server:stop(0) end)
        watchdog:unref()
        for _, port in ipairs(server:ports()) do
            coroutine.wrap(function()
                local conn = assert(serving.context():connection())
                assert(conn:dial("localhost", port))
                assert(conn:connect())
                local answer = ask(conn, "hello " .. port)
                answers[#answers + 1] = answer
                conn:close(1)
                if #answers == #server:ports() then
                    server:stop(nil, function() stopped = stopped + 1 end)
                    server:stop(nil, function() stopped = stopped + 1 end)
                end
            end)()
        end
        uv.run()
        watchdog:close()
        assert.equal(#server:ports(), #answers)
        assert.equal(2, stopped)
        assert.is_true(server:stopping())
        assert.equal(#server:ports(), server:stats().accepted)
        assert.equal(0, server:stats().connections)
        server:stop(0, function() stopped = stopped + 1 end)
        assert.equal(3, stopped)
        expect.raises("loop runs already", function()
            local raised
            local timer = uv.new_timer()
            timer:start(0, 0, function()
                timer:close()
                raised = select(2,
                    pcall(tls.serve, {address = ":0", context = {}, handler = print}))
            end)
            uv.run()
            error(raised, 0)
        end)
    end)

    it("passes on an error of on_start, and leaves nothing open", function()
        local port
        expect.raises("not today", tls.server, {
            address = "127.0.0.1:0", handler = print, on_start = function(server)
                port = server:ports()[1]
                error "not today"
            end,
            context = {certificate = p.server_cert_file, private_key = p.server_key_file},
        })
        uv.run()
        assert.is_false(process.is_listening(port))
    end)
end)

describe("a server that stops", function()
    it("closes idle connections at once, and busy ones after their answer", function()
        local server = start()
        local idle, busy, hung = connect(server), connect(server), connect(server)
        assert.equal("x", ask(idle, "x"))
        assert(busy:write "!slow 400")
        assert(hung:write "!slow 99999")
        process.sleep(0.05)
        serving.signal(server.pid, "sigterm")
        expect.word("closed", idle:read()) -- while `hung` is busy
        idle:close()
        expect.fails("system", serving.try(server))
        assert.equal("slow", busy:read())
        expect.word("closed", busy:read())
        busy:close()
        assert.is_nil(server:exit_status())
        process.sleep(0.15)
        serving.signal(server.pid, "sigint") -- a second one: at once
        expect.word("closed", hung:read())
        hung:close()
        assert.equal(0, server:wait(20))
        assert.truthy(server:output():find("served\n", 1, true))
    end)

    it("ends connections at the deadline that do not end by themselves", function()
        local server = start [[stop_timeout = 0.3]]
        local hung, deaf, shaking = connect(server), connect(server), serving.raw(server.port)
        assert(hung:write "!hang")
        assert(deaf:write "!deaf")
        process.sleep(0.05)
        local output = stop(server)
        assert.truthy(output:find("did not end in time", 1, true), output)
        expect.word("closed", hung:read())
        expect.word("closed", deaf:read())
        assert.equal("EOF", select(2, shaking:finish()))
        shaking:close()
    end)

    it("still takes the second of two signals when the server has ended already", function()
        local code, output = require "spec.support.program".run [[
            local uv, signals = require "luv", require "tlslife.signals"
            local stopped = 0
            local handles = signals.watch {stop = function() stopped = stopped + 1 end}
            local began = uv.hrtime()
            uv.kill(uv.os_getpid(), "sigterm")
            while stopped == 0 do uv.run "once" end
            handles:close()
            print((uv.hrtime() - began) // 1e6 >= 98, stopped)]]
        assert.equal(0, code, output)
        assert.equal("true\t1\n", output)
    end)

    it("may be stopped by a handler", function()
        local server = start()
        assert.equal("stopping", serving.ask_once(server, "!stop"))
        assert.equal(0, server:wait(20))
    end)

    it("accepts the connections that were waiting already", function()
        local server = start [[max_connections = 1]]
        local first = connect(server)
        assert.equal("x", ask(first, "x"))
        local second = serving.try(server, {early = true})
        serving.signal(server.pid, "sigterm")
        expect.word("closed", first:read())
        first:close()
        local ok = second:connect()
        if ok then expect.word("closed", second:read()) end
        second:free()
        assert.equal(0, server:wait(20))
    end)
end)

describe("a server that reloads", function()
    local p = pki.get()

    it("gives new connections the new certificate, and ends no connection", function()
        local server = start()
        local old = connect(server)
        local before = serial(old)
        local session = session_of(server)
        install(server, p.rsa_cert, p.rsa_key)
        serving.signal(server.pid, "sighup")
        server:wait_for "info: reloaded"
        local new = connect(server)
        assert.are_not.equal(before, serial(new))
        assert.equal("still here", ask(old, "still here"))
        assert.equal(before, serial(old))
        -- tickets outlive it
        assert.equal("true", serving.ask_once(server, "!reused", {session = session}))
        old:close()
        new:close()
        stop(server)
    end)

    it("keeps the old certificate where the new one is broken, and logs it", function()
        local server = start()
        install(server, p.garbage, p.server_key)
        serving.signal(server.pid, "sighup")
        local message = server:wait_for "error: reload failed, the old context stays: ([^\n]+)"
        assert.truthy(message:find("server.pem", 1, true), message)
        assert.equal("x", serving.ask_once(server, "x"))
        install(server, p.rsa_cert, p.server_key) -- not its key
        assert.equal("nil", serving.ask_once(server, "!reload"))
        install(server, p.server_cert, p.server_key)
        assert.equal("true", serving.ask_once(server, "!reload"))
        stop(server)
    end)

    it("calls the context function again, which may fail or raise", function()
        local server = start [[context = (function()
            local calls = 0
            return function(shared)
                calls = calls + 1
                if calls == 2 then return nil, "the second fails" end
                if calls == 3 then error "the third raises" end
                if calls == 4 then return {} end
                assert(shared.worker == 1)
                return tls.context {role = "server", certificate = certificate,
                    private_key = private_key,
                    ticket_keys = tls.ticket_keys {}}
            end
        end)()]]
        for i, pattern in ipairs {"the second fails", "the third raises", "no server's context",
            "info: reloaded"} do
            local session = session_of(server)
            serving.signal(server.pid, "sighup")
            server:wait_for(pattern)
            assert.equal(i < 4 and "true" or "false",
                serving.ask_once(server, "!reused", {session = session}))
        end
        stop(server)
    end)
end)

describe("resumption", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
        it("by the cache that serve has made works after a reload, in " .. version, function()
            local server = start [[context = {certificate = certificate, private_key = private_key,
                resumption = "stateful"}]]
            local context = serving.context {max_version = version}
            local session = session_of(server, context)
            assert.equal("true", serving.ask_once(server, "!reload"))
            assert.equal("true", serving.ask_once(server, "!reused",
                {session = session, context = context}))
            stop(server)
        end)
    end
end)

-- ----------------------------------------------------------------------------------------- workers

local STATEFUL =
    [[, context = {certificate = certificate, private_key = private_key, resumption = "stateful"}]]

-- For serving.launch: a /dev/shm of the server's own, without room for a slab.
local NO_ROOM <const> = [[exec unshare -m sh -c \
    'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" "$@"' "$0" "$@"]]

describe("workers without room in shared memory", function()
    if not os.execute "unshare -m mount -t tmpfs tmpfs /dev/shm 2>/dev/null" then
        pending "no mount namespaces here"
        return
    end

    local function with(resumption)
        return ([[workers = 2, context = {certificate = certificate, private_key = private_key,
            resumption = %s}]]):format(resumption)
    end

    for _, resumption in ipairs {"nil", "'both'"} do
        it("have a cache each, and the server warns: resumption = " .. resumption, function()
            local server = serving.start(with(resumption), 2, NO_ROOM)
            assert.equal("x", serving.ask_once(server, "x"))
            assert.matches(
                "warning: session ids resume at their own worker only: [^\n]*No space left",
                serving.stop(server))
        end)
    end

    it("are refused with \"stateful\"", function()
        local server = serving.launch(with "'stateful'", NO_ROOM)
        server:wait(20)
        assert.matches("refused: shm:serve%-%x+: cannot make the shared store: No space left",
            server:output())
    end)
end)

-- The slabs in shared memory that a server and its workers have mapped now, by their files.
local function slabs_of(server)
    local found, pids = {}, {tostring(server.pid)}
    local children = io.open(("/proc/%d/task/%d/children"):format(server.pid, server.pid))
    for pid in (children and children:read "a" or ""):gmatch "%d+" do pids[#pids + 1] = pid end
    if children then children:close() end
    for _, pid in ipairs(pids) do
        local maps <close> = assert(io.open("/proc/" .. pid .. "/maps"))
        for path in maps:read "a":gmatch "/dev/shm/tlslife%-serve%-%x+" do found[path] = true end
    end
    return found
end

local function left_behind(slabs)
    local left = {}
    for path in pairs(slabs) do
        if uv.fs_stat(path) then left[#left + 1] = path end
    end
    return left
end

-- Connections, one after another, until each of n workers has answered one: a set of those open.
local function meet(server, n, question)
    local open, found, rounds = {}, 0, 0
    while found < n do
        rounds = rounds + 1
        if rounds > 400 then server:complain "not every worker answers" end
        local conn = connect(server)
        local who = ask(conn, question or "!worker")
        if open[who] then
            conn:close()
            conn:free()
        else
            open[who] = conn
            found = found + 1
        end
    end
    return open
end

local kinds = {{"processes", ""}}
if program.ours then kinds[2] = {"threads", "threads = true, "} end

for _, kind in ipairs(kinds) do
    local name, options = kind[1], kind[2] .. "workers = 2"

    describe("workers that are " .. name, function()
        it("all serve, reload, and stop", function()
            local server = start(options .. ", reuse_port = true", 2)
            local open = meet(server, 2)
            local before = serial(open["1"])
            install(server, pki.get().rsa_cert, pki.get().rsa_key)
            serving.signal(server.pid, "sighup")
            for i = 1, 2 do server:wait_for(("worker %d: info: reloaded"):format(i)) end
            local new = connect(server)
            assert.are_not.equal(before, serial(new))
            new:close()
            install(server, pki.get().garbage, pki.get().rsa_key)
            serving.signal(server.pid, "sighup")
            server:wait_for "tlslife: error: reload failed" -- once, by the parent
            for who, conn in pairs(open) do assert.equal(who, ask(conn, "!worker")) end
            serving.signal(server.pid, "sigterm")
            for _, conn in pairs(open) do
                expect.word("closed", conn:read())
                conn:close()
            end
            assert.equal(0, server:wait(20))
            local _, served = server:output():gsub("served\n", "")
            assert.equal(1, served) -- workers do not go on behind serve
        end)

        for _, how in ipairs {{"tickets", ""}, {"a cache", STATEFUL}} do
            it("resume one another's sessions by " .. how[1], function()
                local server = start(options .. how[2], 2)
                for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
                    local context = serving.context {max_version = version}
                    local crossed = serving.eventually(20, function()
                        local session, first = session_of(server, context)
                        local conn <close> = connect(server, {context = context, session = session})
                        assert.equal("true", ask(conn, "!reused"))
                        local second = ask(conn, "!worker")
                        conn:close()
                        return first ~= second
                    end)
                    assert.is_true(crossed)
                end
                local slabs = slabs_of(server)
                assert.equal(kind[1] == "processes", next(slabs) ~= nil)
                stop(server)
                assert.same({}, left_behind(slabs))
            end)
        end

        it("send each client its own bytes", function()
            local server = start(options, 2)
            local conns = {}
            for i = 1, 16 do conns[i] = connect(server) end
            for round = 1, 5 do
                for i, conn in ipairs(conns) do
                    assert(conn:write(("%d of %d;"):format(round, i):rep(200 * i)))
                end
                for i, conn in ipairs(conns) do
                    local wanted, got = ("%d of %d;"):format(round, i):rep(200 * i), ""
                    while #got < #wanted do got = got .. assert(conn:read()) end
                    assert.is_true(got == wanted)
                end
            end
            for _, conn in ipairs(conns) do conn:close() end
            stop(server)
        end)
    end)
end

describe("a worker process", function()
    it("that dies is replaced, and the others keep their connections", function()
        local server = start([[workers = 2]] .. STATEFUL, 2)
        local open = meet(server, 2)
        local pid = ask(open["1"], "!pid")
        serving.signal(pid, "sigkill")
        local _, why = open["1"]:read()
        assert.equal("truncated", why)
        assert.equal("here", ask(open["2"], "here"))
        local output = server:wait_for("worker 1 %(process %d+%) ended with signal 9; " ..
            "another starts in 0.1 s.*worker 1: listening")
        assert.is_nil(output:match "nothing")
        for _, conn in pairs(open) do conn:free() end
        for who, conn in pairs(meet(server, 2)) do
            if who == "1" then assert.are_not.equal(pid, ask(conn, "!pid")) end
            conn:close()
        end
        local slabs = slabs_of(server)
        stop(server)
        assert.same({}, left_behind(slabs))
    end)

    it("stops gracefully when its parent is gone", function()
        local server = start([[workers = 2]] .. STATEFUL, 2)
        local pids = meet(server, 2, "!pid")
        local busy = connect(server)
        assert(busy:write "!slow 300")
        process.sleep(0.05)
        local slabs = slabs_of(server)
        assert.is_not_nil(next(slabs))
        serving.signal(server.pid, "sigkill")
        for _, conn in pairs(pids) do
            expect.word("closed", conn:read())
            conn:close()
        end
        assert.equal("slow", busy:read())
        expect.word("closed", busy:read())
        busy:close()
        for pid in pairs(pids) do
            assert.is_true(serving.eventually(20, function()
                return not uv.kill(tonumber(pid), 0)
            end))
        end
        assert.is_false(process.is_listening(tonumber(server.port)))
        assert.same({}, left_behind(slabs))
    end)

    it("that cannot start is started again at growing intervals", function()
        local server = serving.launch [[workers = 2, on_start = function() error "no luck" end]]
        server:wait_for "another starts in 0.4 s"
        assert.truthy(server:output():find("no luck", 1, true))
        server.pid = tonumber(server:wait_for "process (%d+)")
        stop(server)
    end)

    it("cannot run a script from stdin", function()
        local text =
            [[require "tlslife".serve {address = ":0", workers = 2, context = {}, handler = print}]]
        local one = process.start {program.path, "-", stdin = text}
        assert.equal(1, one:wait(20))
        assert.truthy(one:output():find("comes from stdin", 1, true), one:output())
    end)
end)

describe("a script that ends while handles of its server are closing", function()
    local p = pki.get()
    local SERVER = [[
        local server = assert(require "tlslife".server {address = "127.0.0.1:0",
            context = {certificate = arg[1], private_key = arg[2]}, handler = function() end})
    ]]
    for what, ending in pairs {
        ["after stop(0), without the loop"] = "server:stop(0)",
        ["after two stops, the first of which waits"] = "server:stop() server:stop(0)",
        ["by os.exit in a callback"] = [[
            require "luv".new_timer():start(0, 0, function() server:stop(0) os.exit(0, true) end)
            require "luv".run()]],
        ["without a stop"] = "",
    } do
        it("does not crash, " .. what, function()
            local path = process.spill(process.directory() .. "/ends.lua", SERVER .. ending)
            local code, output = process.run {program.path, path, p.server_cert_file,
                p.server_key_file, timeout = 60}
            assert.equal(0, code, output)
        end)
    end
end)
