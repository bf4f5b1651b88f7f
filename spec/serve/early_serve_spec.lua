-- early_serve_spec.lua: tests early data at servers with workers. OpenSSL's s_client replays a
-- session, each replay is answered, and one is accepted at most. Clients that harm their own early
-- data, and the HTTP server of the examples, are here, too.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"
local tls = require "tlslife"

if not serving.has_luv then
    describe("early data at a server", function() pending "lua-luv is not installed" end)
    return
end

-- Answers one message: whether it was early, and by whom. early() is asked before the answer.
local HANDLER = [[early_data = true, handler = function(conn, server)
    local line = conn:read()
    local early = conn:early()
    conn:write(("%s early=%s reused=%s worker=%d\n"):format(line, early, conn:session_reused(),
        server:stats().worker))
end,]]

local function context(more)
    return HANDLER .. " context = {certificate = certificate, private_key = private_key, " ..
        (more or "") .. "},"
end

-- s_client says "late" after the handshake, and keeps what the server has sent.
local CLIENT = [[cd "$0" && echo late | openssl s_client -connect localhost:$1 -tls1_3 \
    -CAfile "$2" -verify_return_error -ign_eof $3 > "$4" 2>&1]]

local function ask(server, options, out)
    local output = server.home .. "/" .. (out or "out")
    process.run {"sh", "-c", CLIENT, server.home, server.port, pki.get().ca_file, options, output,
        timeout = 30}
    return process.slurp(output)
end

--- Has s_client save a session of this server in the file "session".
local function save_session(server)
    process.spill(server.home .. "/early", "early")
    local output = ask(server, "-sess_out session")
    assert.truthy(output:match "late\n early=false reused=false", output)
end

--- The session and early data again and again, eight at a time.
local function replays(server, n)
    local code, output = process.run {"sh", "-c", [[seq "$3" | xargs -P 8 -I % sh -c '
        cd "$0" && echo late | openssl s_client -connect localhost:"$1" -tls1_3 -CAfile "$2" \
        -verify_return_error -ign_eof -sess_in session -early_data early > out.% 2>&1' \
        "$0" "$1" "$2"]], server.home, server.port, pki.get().ca_file, n, timeout = 120}
    assert.equal(0, code, output)
    local said = {answered = 0, accepted = 0, reused = 0, workers = {}}
    for i = 1, n do
        local text = process.slurp(server.home .. "/out." .. i)
        local line, early, reused, worker =
            text:match "(%l+)\n? early=(%l+) reused=(%l+) worker=(%d)\n"
        assert.is_not_nil(line, text)
        assert.equal(early == "true" and "early" or "late", line)
        assert.truthy(text:find("Early data was " .. (line == "early" and "accepted" or
            "rejected"), 1, true), text)
        said.answered = said.answered + 1
        said.accepted = said.accepted + (early == "true" and 1 or 0)
        said.reused = said.reused + (reused == "true" and 1 or 0)
        said.workers[worker] = true
    end
    return said
end

local KEYS = "ticket_keys = tls.ticket_keys {secret = ('0123456789abcdef'):rep(2)},"

describe("a replay to two workers is accepted at most once:", function()
    after_each(process.stop_all)

    -- by name: options of the server's context, workers' kind, how many of the replays resume
    local PATHS = {
        ["tickets and ids, the keys of tls.serve, a hundred times"] = {"", n = 100},
        ["tickets only, threads"] = {"resumption = 'tickets',", "threads = true,"},
        ["tickets, derived keys"] = {KEYS .. "resumption = 'tickets',"},
        ["ids"] = {"resumption = 'stateful',", resumed = 1},
    }
    for name, path in pairs(PATHS) do
        it(name, function()
            local n = path.n or 4
            local server = serving.start(context(path[1]) .. "workers = 2," ..
                (path[2] or ""), 2)
            save_session(server)
            local said = replays(server, n)
            assert.equal(n, said.answered)
            assert.equal(1, said.accepted)
            assert.equal(path.resumed or n, said.reused)
            if n == 100 then assert.same({["1"] = true, ["2"] = true}, said.workers) end
            serving.stop(server)
        end)
    end

    it("with random keys, by one worker", function()
        local server = serving.start(context "ticket_keys = tls.ticket_keys {},")
        save_session(server)
        local said = replays(server, 4)
        assert.same({1, 4}, {said.accepted, said.reused})
        serving.stop(server)
    end)

    it("with Redis, whose end costs early data and nothing else", function()
        if not pcall(tls.redis, {}) or process.run {"redis-server", "--version"} ~= 0 then
            return pending "there is no Redis"
        end
        local port, redis = process.start_redis(60)
        local server = serving.start(context(KEYS .. ([[resumption = 'tickets',
            cache = tls.cache {store = tls.redis {port = %d, timeout = 1},
                keyring = tls.keyring {('0123456789abcdef'):rep(2)}},]]):format(port)) ..
            "workers = 2,", 2)
        save_session(server)
        assert.equal(1, replays(server, 4).accepted)
        save_session(server)
        redis:stop()
        local said = replays(server, 4)
        assert.same({4, 0, 4}, {said.answered, said.accepted, said.reused})
        serving.stop(server)
    end)

    it("and not after a restart, unless the cache outlives the server", function()
        local options = context(KEYS) .. "workers = 2,"
        local server = serving.start(options, 2)
        save_session(server)
        local session = process.slurp(server.home .. "/session")
        serving.stop(server)
        local second = serving.start(options, 2)
        process.spill(second.home .. "/session", session)
        process.spill(second.home .. "/early", "early")
        local said = replays(second, 4)
        assert.same({4, 0, 4}, {said.answered, said.accepted, said.reused})
        serving.stop(second)

        options = context(KEYS .. [[cache = tls.cache {keyring = tls.keyring {
            ('0123456789abcdef'):rep(2)}, store = tls.shared {path = directory .. '/../slab',
            size = 1 << 20}}, resumption = 'tickets',]])
        local third = serving.start(options)
        save_session(third)
        session = process.slurp(third.home .. "/session")
        serving.stop(third)
        for _, accepted in ipairs {1, 0} do
            local next_one = serving.start(options)
            process.spill(next_one.home .. "/session", session)
            process.spill(next_one.home .. "/early", "early")
            said = replays(next_one, 2)
            assert.same({2, accepted, 2}, {said.answered, said.accepted, said.reused})
            serving.stop(next_one)
        end
    end)
end)

describe("a session of s_client that allows more early data than the server does now", function()
    after_each(process.stop_all)

    for name, change in pairs {
        ["fewer bytes than s_client sends"] = function(options)
            return (options:gsub("context = {", "%0max_early_data = 4, "))
        end,
        ["none, since the server reads none"] = function(options)
            return (options:gsub("early_data = true, ", ""))
        end,
    } do
        it("resumes, and its early data are rejected: " .. name, function()
            local options = context(KEYS .. "resumption = 'tickets',")
            local first = serving.start(options)
            save_session(first)
            local session = process.slurp(first.home .. "/session")
            serving.stop(first)
            local second = serving.start(change(options))
            process.spill(second.home .. "/session", session)
            process.spill(second.home .. "/early", ("early"):rep(200))
            local said = replays(second, 1)
            assert.same({1, 0, 1}, {said.answered, said.accepted, said.reused})
            serving.stop(second)
        end)
    end
end)

describe("a server that reads early data", function()
    local server, client

    --- A connection that has sent early data.
    local function early(bytes)
        local first <close> = serving.connect(server, {context = client})
        assert.equal("hello", serving.ask(first, "hello"))
        first:close()
        local session = assert(first:take_session())
        local conn = serving.try(server, {context = client, session = session, early = true})
        assert.equal(#bytes, conn:write_early(bytes))
        return conn
    end

    setup(function()
        server = serving.start [[early_data = true, timeout = 20, handler = function(conn, server)
            for line in function() return conn:read() end do
                local answer = line
                if line == "!stats" then
                    answer = ""
                    for name, value in pairs(server:stats()) do
                        answer = ("%s %s=%d"):format(answer, name, value)
                    end
                elseif line:sub(1, 5) == "!wait" then
                    answer = ("%s %s"):format(conn:early(), conn:handshake() and conn:early())
                end
                if not conn:write(answer) then return end
            end
        end,]]
        client = serving.context {max_early_data = 16384}
    end)
    teardown(process.stop_all)

    it("answers before the client's Finished, and goes on after it", function()
        local conn <close> = early "early"
        assert(conn:connect())
        assert.equal("accepted", conn:early_data_status())
        assert.equal("early", conn:read())
        for _ = 1, 3 do assert.equal("more", serving.ask(conn, "more")) end
        conn:close()
    end)

    it("may wait for the Finished, after which nothing is a replay", function()
        local conn <close> = early "!wait"
        assert(conn:connect())
        assert.equal("true false", conn:read())
        conn:close()
    end)

    it("gets all that is allowed", function()
        local bytes = ("b"):rep(16384)
        local conn <close> = early(bytes)
        assert(conn:connect())
        local got = ""
        while #got < #bytes do got = got .. assert(conn:read()) end
        assert.equal(bytes, got)
        conn:close()
    end)

    it("loses nothing else by clients that send early data and vanish", function()
        for _ = 1, 5 do early("x"):close_transport() end
        local half = early "x"
        local conn <close> = early "still there"
        assert(conn:connect())
        assert.equal("still there", conn:read())
        conn:close()
        half:free()
        assert.is_true(serving.eventually(20, function()
            return serving.stats(server).connections == 1
        end))
    end)

    it("stops while a client's Finished is awaited", function()
        local conn <close> = early "hello"
        serving.signal(server.pid, "sigterm")
        assert(conn:connect())
        assert.equal("hello", conn:read())
        local _, why = conn:read()
        assert.equal("closed", why)
        conn:close()
        assert.equal(0, server:wait(20), server:output())
    end)
end)

describe("the options of a server with early data", function()
    local function refused(pattern, options)
        local all = {address = "127.0.0.1:0", context = {}, handler = function() end}
        for name, value in pairs(options) do all[name] = value end
        for _, call in ipairs {tls.serve, tls.server} do
            local ok, raised = pcall(call, all)
            assert.is_false(ok)
            assert.truthy(tostring(raised):find(pattern), raised)
        end
    end

    it("raise where they contradict each other", function()
        refused("max_early_data is of no use without early_data", {
            context = {max_early_data = 100}})
        refused("max_early_data is 0", {early_data = true, context = {max_early_data = 0}})
        refused("'early_data': boolean expected", {early_data = 16384})
        local p = pki.get()
        refused("resumption is \"off\"", {early_data = true, context = {resumption = "off",
            certificate = p.server_cert_file, private_key = p.server_key_file}})
    end)
end)

describe("the HTTP server of the examples", function()
    it("answers GET in early data, and 425 to what must not be done twice", function()
        local here = process.directory() .. "/early_http"
        local p = pki.get()
        assert(os.execute("mkdir " .. process.quote(here)))
        process.spill(here .. "/cert.pem", p.server_cert)
        process.spill(here .. "/key.pem", p.server_key)
        local server = process.start {"sh", "-c",
            'root=$(pwd); cd "$0" && exec "$1" "$root/examples/serve_http.lua" 127.0.0.1:0 2',
            here, program.path, timeout = 60}
        server.port = server:wait_for "listening on port (%d+)"
        server.home = here
        local function get(path)
            return ("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path)
        end
        local function post(more)
            return ("POST /it HTTP/1.1\r\nContent-Length: 4\r\n%s\r\nbody"):format(more)
        end
        local function send(early)
            process.spill(here .. "/request", get "/after")
            process.spill(here .. "/early", early)
            process.run {"sh", "-c", [[cd "$0" && openssl s_client -connect localhost:$1 -tls1_3 \
                -CAfile "$2" -ign_eof -sess_out session $3 < request > out 2>&1]], here,
                server.port, p.ca_file, early ~= "" and "-sess_in session -early_data early" or "",
                timeout = 30}
            return process.slurp(here .. "/out")
        end
        assert.truthy(send(""):find("200 OK", 1, true))
        local text = send(get "/early")
        assert.truthy(text:find("Early data was accepted", 1, true), text)
        assert.truthy(text:find("/early\n", 1, true), text)
        assert.is_nil(text:find("/after\n", 1, true))
        text = send(post "")
        assert.truthy(text:find("Early data was accepted", 1, true), text)
        assert.truthy(text:find("HTTP/1.1 425 Too Early", 1, true), text)
        assert.is_nil(text:find("body", 1, true), text)
        assert.truthy(text:find("/after\n", 1, true), text)
        server:stop()
    end)
end)
