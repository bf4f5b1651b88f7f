-- metrics_spec.lua: tests that each counter of docs/metrics.md is moved by its cause, and by
-- nothing else. Workers are summed, also after one was killed, the page survives hostile peers, and
-- Prometheus reads it.

local expect = require "spec.support.expect"
local measured = require "spec.support.measured"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local name = measured.name
local TWO <const>, THREE <const> = "TLSv1.2", "TLSv1.3"

after_each(process.stop_all)

-- ------------------------------------------------------------------------------------- what is due

-- Adds what these words of a table say to a set of changes.
local function due(...)
    local all = {}
    for _, part in ipairs {...} do
        for series, by in pairs(part) do all[series] = (all[series] or 0) + by end
    end
    return all
end

local function begun(side) return {[name("connections_total", "side", side)] = 1} end

local function shaken(side, version, word)
    return due(begun(side), {
        [name("handshakes_total", "side", side, "version", version, "resumption", word)] = 1,
        [name("handshake_seconds_count", "side", side, "kind",
            word == "resumed" and "resumed" or "full")] = 1,
    })
end

local function alert(side, direction, which)
    return {[name("alerts_total", "side", side, "direction", direction, "alert", which)] = 1}
end

local function failed(side, phase, reason)
    return {[name("failures_total", "side", side, "phase", phase, "reason", reason)] = 1}
end

local CLOSED <const> = {both = {"sent", "received"}, sent = {"sent"}, received = {"received"},
    none = {}}

local function ended(side, how)
    local all = {[name("ends_total", "side", side, "close_notify", how)] = 1}
    for _, direction in ipairs(CLOSED[how]) do
        all = due(all, alert(side, direction, "close_notify"))
    end
    return how == "both" and due(all, {[name("shutdown_seconds_count", "side", side)] = 1}) or all
end

-- --------------------------------------------------------------------------- openssl as the client

-- A server's connection to `openssl s_client` with these words, or to another program, which ends
-- when its input does.
local function meet(options, words, input)
    local listener <close> = assert(tls.listen("127.0.0.1", 0))
    local client = process.start {"openssl", "s_client", "-connect",
        "127.0.0.1:" .. listener:port(), "-CAfile", pki.get().ca_file, "-ign_eof", stdin = input,
        timeout = 60, table.unpack(words)}
    local conn = assert(listener:accept(pair.server(options), 30))
    conn:set_timeout(30)
    return conn, client
end

-- Accepts, reads to the end, closes and frees. Returns what accept said, and conn:resumption().
local function whole(options, words)
    local conn = meet(options, words, "")
    local ok, why = conn:accept()
    local word = conn:resumption()
    if ok then
        conn:write "bye" -- s_client, which ignores the end of its input, ends with our close
        conn:close(10)
    end
    conn:free()
    return ok, why, word
end

-- A server's connection to a client that sends these bytes, and no TLS.
local function raw(options, bytes)
    local listener <close> = assert(tls.listen("127.0.0.1", 0))
    local client = assert(pair.client():connection())
    assert(client:dial("127.0.0.1", listener:port()))
    if bytes then assert(client:plain_write(bytes)) end
    local conn = assert(listener:accept(pair.server(options), 30))
    conn:set_timeout(30)
    return conn, client
end

local SERVER_CASES <const> = {
    {"a full handshake of TLS 1.3", function()
        assert(whole({}, {"-tls1_3"}))
        return due(shaken("server", THREE, "not_offered"), ended("server", "both"))
    end},
    {"a full handshake of TLS 1.2", function()
        assert(whole({}, {"-tls1_2"}))
        return due(shaken("server", TWO, "not_offered"), ended("server", "both"))
    end},
    {"a session that is resumed, and one whose ticket does not open", function()
        local file = process.directory() .. "/metrics.session"
        local one = pair.server()
        assert(whole(one, {"-tls1_2", "-sess_out", file}))
        local all = due(shaken("server", TWO, "not_offered"), ended("server", "both"))
        local _, _, word = whole(one, {"-tls1_2", "-sess_in", file})
        all = due(all, shaken("server", TWO, "resumed"), ended("server", "both"))
        assert.equal("resumed", word)
        _, _, word = whole({}, {"-tls1_2", "-sess_in", file})
        assert.equal("ticket", word)
        return due(all, shaken("server", TWO, "ticket"), ended("server", "both"))
    end},
    {"no version in common", function()
        assert.is_nil(whole({min_version = THREE}, {"-tls1_2"}))
        return due(begun "server", failed("server", "handshake", "no_common"),
            alert("server", "sent", "protocol_version"))
    end},
    {"a client that does not trust us", function()
        assert.is_nil(whole({}, {"-tls1_2", "-verify_return_error", "-CAfile",
            pki.get().other_ca_file}))
        return due(begun "server", failed("server", "handshake", "alert"),
            alert("server", "received", "unknown_ca"))
    end},
    {"a client that we do not trust", function()
        local p = pki.get()
        assert.is_nil(whole({verify = "required", ca = p.ca_file}, {"-tls1_2", "-cert",
            p.other_client_cert_file, "-key", p.other_client_key_file}))
        return due(begun "server", failed("server", "handshake", "verify"),
            alert("server", "sent", "unknown_ca"))
    end},
    {"a ClientHello that is refused", function()
        assert.is_nil(whole({on_hello = function() return false, "access_denied" end}, {}))
        return due(begun "server", failed("server", "handshake", "refused"),
            alert("server", "sent", "access_denied"))
    end},
    {"a client that is killed", function()
        local conn, client = meet({num_tickets = 0}, {"-tls1_3"}, true)
        assert(conn:accept())
        client:stop()
        assert.same({nil, "truncated"}, {conn:read(), select(2, conn:read())})
        conn:free()
        return due(shaken("server", THREE, "not_offered"), ended("server", "none"),
            failed("server", "open", "truncated"))
    end, alert("server", "sent", "decode_error")}, -- if the socket still takes it
    {"a client that says nothing", function()
        local conn, client = raw({})
        conn:set_timeout(0.05)
        expect.word("timeout", conn:accept())
        conn:free()
        client:free()
        return due(begun "server", failed("server", "handshake", "abandoned"))
    end},
    {"a client that speaks HTTP", function()
        local conn = raw({}, "GET / HTTP/1.1\r\n\r\n")
        assert.is_nil(conn:accept())
        conn:free()
        return due(begun "server", failed("server", "handshake", "no_tls"))
    end},
    {"an alert without a name", function()
        local hello = pair.client():connection()
        hello:set_hostname "localhost"
        hello:set_memory()
        expect.word("want_read", hello:connect())
        local conn = raw({max_version = TWO}, hello:drain() .. "\x15\x03\x03\x00\x02\x02\xc8")
        hello:free()
        assert.is_nil(conn:accept())
        conn:free()
        return due(begun "server", failed("server", "handshake", "alert"),
            alert("server", "received", "unknown_alert"), begun "client",
            failed("client", "handshake", "abandoned"))
    end},
    {"a connection that is made, and never used", function()
        assert(pair.server():connection()):free()
        return {}
    end},
    {"a handler that fails, and a worker that ends", function()
        tls.metrics_count "handler_failed"
        tls.metrics_count "worker_ended"
        return {[name "handlers_failed_total"] = 1, [name "workers_ended_total"] = 1}
    end},
}

describe("a server's counters are moved, and no others, by", function()
    for _, case in ipairs(SERVER_CASES) do
        it(case[1], function()
            local before = measured.read()
            local expected = case[2]()
            local changed = measured.changed(before)
            for series in pairs(changed) do -- of a context's own cache, if its sessions went there
                local maybe = series:find "^tlslife_cache" or case[3] and case[3][series]
                if maybe then changed[series] = nil end
            end
            assert.same(expected, changed)
        end)
    end
end)

-- -------------------------------------------------------------------------------------- both sides

describe("both sides' counters", function()
    it("say that one of them has not closed", function()
        local before = measured.read()
        local client, server = pair.connect()
        client:shutdown()
        server:read()
        client:free()
        server:free()
        assert.same(due(shaken("client", THREE, "not_offered"), ended("client", "sent"),
            shaken("server", THREE, "not_offered"), ended("server", "received")),
            measured.changed(before))
    end)

    it("go on when a connection is cleared, and count no renegotiation", function()
        local before = measured.read()
        local options = {max_version = TWO, options = {ALLOW_CLIENT_RENEGOTIATION = true}}
        local client, server = pair.connect {client = {max_version = TWO}, server = options}
        client:renegotiate()
        pair.drive(client, server, client.handshake,
            function() return server:read(), "want_read" end)
        assert.equal(1, client:num_renegotiations())
        assert.equal(1, measured.changed(before)[name("connections_total", "side", "client")])
        pair.finish(client, server)
        client:clear()
        server:free()
        client:free()
        assert.same(due(shaken("client", TWO, "not_offered"), ended("client", "both"),
            shaken("server", TWO, "not_offered"), ended("server", "both")),
            measured.changed(before))
    end)

    it("say how many are open", function()
        local open = name("connections_open", "side", "server")
        local before = measured.read()[open]
        local client, server = pair.connect()
        assert.equal(before + 1, measured.read()[open])
        client:free()
        server:free()
        assert.equal(before, measured.read()[open])
    end)

    it("have the time that a peer takes in the right bucket", function()
        local before = measured.read()
        local client, server = pair.connect()
        client:shutdown()
        process.sleep(0.12)
        server:read()
        server:shutdown()
        client:read()
        local after = measured.read()
        local function grown(family, ...)
            return after[name(family, ...)] - before[name(family, ...)]
        end
        assert.equal(0, grown("shutdown_seconds_bucket", "side", "client", "le", "0.1"))
        assert.equal(1, grown("shutdown_seconds_bucket", "side", "client", "le", "+Inf"))
        assert.is_true(grown("shutdown_seconds_sum", "side", "client") >= 0.12)
    end)
end)

describe("caches are counted", function()
    local function cache_of(values)
        local found = {}
        for series, value in pairs(values) do
            found[series:match "^tlslife_cache_(%w+_?%w*)_total" or
                series:match "^tlslife_cache_(%w+)" or ""] = value
        end
        return found
    end

    -- Five connections, of which some resume. Returns the cache's statistics, and all metrics.
    local function use()
        local cache = tls.cache {capacity = 2}
        local two, sessions = pair.client {max_version = TWO}, {}
        local server = pair.server {cache = cache, resumption = "stateful"}
        for i = 1, 5 do
            local client, peer = pair.connect {client = two, server = server,
                session = sessions[i - 1]}
            sessions[i] = i < 3 and client:session() or nil
            pair.finish(client, peer)
        end
        return cache:stats(), measured.read()
    end

    it("as cache:stats() has it, and no number goes back when one is freed", function()
        local before = measured.read()
        local stats, held = use()
        local changed = cache_of(measured.changed(before, held))
        assert.is_true(stats.puts >= 2 and stats.hits >= 1 and stats.evicted >= 1)
        for _, field in ipairs {"puts", "hits", "misses", "evicted", "bad", "expired"} do
            assert.equal(stats[field], changed[field] or 0, field)
        end
        local entries = name "cache_entries"
        assert.equal(stats.entries, held[entries] - before[entries])
        local after = measured.read() -- the cache was collected
        assert.equal(before[entries], after[entries])
        for series, value in pairs(held) do
            if series:find "_total" then assert.is_true(after[series] >= value, series) end
        end
    end)

    it("and what a store has answered is timed", function()
        local rows, fails = {}, false
        local store = {
            get = function(key)
                if fails then error "on purpose" end
                return rows[key]
            end,
            put = function(key, sealed) rows[key] = sealed end,
            remove = function(key) rows[key] = nil end,
        }
        local server = pair.server {resumption = "stateful", cache = tls.cache {store = store,
            keyring = tls.keyring {("k"):rep(32)}, in_memory = false}}
        local two = pair.client {max_version = TWO}
        local function visit(session)
            local before = measured.read()
            local client, peer = pair.connect {client = two, server = server,
                session = session}
            session = client:session()
            pair.finish(client, peer)
            local changed, found = measured.changed(before), {}
            for _, answer in ipairs {"hit", "miss", "failed"} do
                found[answer] = changed[name("lookup_seconds_count", "answer", answer)]
            end
            return session, found
        end
        local session = visit()
        local _, found = visit(session)
        assert.same({hit = 1}, found)
        rows = {}
        _, found = visit(session)
        assert.same({miss = 1}, found)
        fails = true
        warn "@off"
        _, found = visit(session)
        warn "@on"
        assert.same({failed = 1}, found)
    end)
end)

-- ---------------------------------------------------------------------------------------- the text

describe("the text", function()
    it("is OpenMetrics, or Prometheus' format", function()
        local client, server = pair.connect()
        pair.finish(client, server)
        local samples, problems = measured.parse(tls.metrics(), true)
        assert.same({}, problems)
        local older
        older, problems = measured.parse(tls.metrics "prometheus", false)
        assert.same({}, problems)
        local names = {}
        for series in pairs(samples) do names[#names + 1] = older[series] and series end
        assert.is_true(#names > 200)
        expect.raises("invalid option 'xml'", tls.metrics, "xml")
    end)

    it("has the certificates of a context and of its server names", function()
        local p = pki.get()
        local expired = pair.server {certificate = p.expired_cert_file,
            private_key = p.expired_key_file}
        local two = pair.server {server_names = {["old.example"] = expired, ["*.a.example"] =
            pair.server {certificate = p.rsa_cert_file, private_key = p.rsa_key_file}}}
        assert.is_nil(tls.metrics(nil, two):find("tlslife_certificate", 1, true)) -- not frozen yet
        assert(two:connection())
        local samples, problems = measured.parse(tls.metrics(nil, two), true)
        assert.same({}, problems)
        local function left(server_name, key)
            return samples[name("certificate_left_seconds", "server_name", server_name, "key", key)]
        end
        local certificate = assert(tls.certificate(process.slurp(p.server_cert_file)))
        local days = (certificate.not_after - os.time()) / 86400
        assert.is_true(math.abs(left("", "EC") / 86400 - days) < 0.01)
        assert.is_true(left("old.example", "EC") < 0)
        assert.is_true(left("*.a.example", "RSA") > 0)
    end)

    it("is described: docs/metrics.md has each name, and no other", function()
        local documented, written = {}, {}
        for row in process.slurp "docs/metrics.md":gmatch "\n| `(tlslife_[%w_]+)` |" do
            documented[row] = true
        end
        local server = pair.server()
        server:connection()
        for family, kind in tls.metrics(nil, server):gmatch "# TYPE ([%w_]+) (%a+)" do
            written[kind == "counter" and family .. "_total" or family] = true
        end
        assert.same(documented, written)
    end)
end)

-- ---------------------------------------------------------------------------------------- the page

if not serving.has_luv then
    describe("a server's metrics", function() pending "lua-luv is not installed" end)
    return
end

-- A server in a process of its own with a page of metrics; server.page is the page's port.
local function start(options, workers)
    local server = serving.start('metrics = "127.0.0.1:0", ' .. options, workers)
    server.page = server:wait_for "metrics at http://127%.0%.0%.1:(%d+)/metrics"
    return server
end

-- What curl gets from a page: status, content type and body. It waits for long, but not for ever.
local function get(port, ...)
    local url = ("http://127.0.0.1:%d/metrics"):format(port)
    local status, text = process.run {"curl", "-s", "--max-time", "40", "-w",
        "\n%{http_code} %{content_type}", timeout = 60, url, ...}
    assert.equal(0, status, text)
    local body, code, kind = text:match "^(.*)\n(%d+) ([^\n]*)$"
    return tonumber(code), kind, body
end

local OPEN <const> = "application/openmetrics-text; version=1.0.0; charset=utf-8"
local OLDER <const> = "text/plain; version=0.0.4; charset=utf-8"

local function page(server)
    local code, kind, body = get(server.page, "-H", "Accept: application/openmetrics-text")
    assert.same({200, OPEN}, {code, kind})
    local samples, problems = measured.parse(body, true)
    assert.same({}, problems)
    return samples
end

local function total(samples, family, ...)
    return samples[name(family, ...)]
end

describe("the page of a server", function()
    local server
    setup(function() server = start("") end)
    before_each(function() assert.is_nil(server:exit_status()) end)

    -- the file's after_each ends every program, so all of this is one example
    it("has the format that is asked for, and survives its peers", function()
        local code, kind, body = get(server.page)
        assert.same({200, OLDER}, {code, kind})
        assert.same({}, (select(2, measured.parse(body, false))))
        -- Prometheus' own tool
        local file = process.spill(process.directory() .. "/metrics.txt", body)
        local status, text = process.run {"sh", "-c", 'promtool check metrics <"$0"', file}
        assert.same({0, ""}, {status, text})
        for accept, expected in pairs {
            ["application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1"] = OPEN,
            ["application/openmetrics-text;q=0.1,text/plain"] = OLDER,
            ["application/openmetrics-text;version=2.0.0"] = OLDER,
            ["*/*"] = OLDER,
        } do
            local answer = {get(server.page, "-H", "Accept: " .. accept)}
            assert.equal(expected, answer[2], accept)
        end
        assert.equal(405, (get(server.page, "-d", "x=1")))
        assert.equal(404, (get(server.page, "--path-as-is", "--request-target", "/etc/passwd")))
        assert.equal(400, (get(server.page, "-X", "GET /metrics\1")))

        -- who says nothing, or sends without an end, has not got the last word
        local idle = {}
        for i = 1, 80 do
            idle[i] = serving.raw(server.page)
            if i % 3 == 0 then idle[i]:write "GET /metrics HTTP/1.1\r\nA: " end
        end
        local garbage = serving.raw(server.page)
        garbage:write(("\0\255 \r\n"):rep(1000) .. "\r\n\r\n")
        local long = serving.raw(server.page)
        for _ = 1, 4 do long:write(("A: %s\r\n"):format(("a"):rep(1 << 20))) end
        page(server) -- waits until some of them have had their time
        assert.truthy(long:finish():find "^HTTP/1.1 431" or long.over)
        assert.truthy(garbage:finish():find "^HTTP/1.1 400")
        for i, one in ipairs(idle) do
            if i <= 60 then assert.truthy(select(2, one:finish())) end -- the first ones' time is up
            one:close()
        end
        long:close()
        garbage:close()
        assert.equal("hello", serving.ask_once(server, "hello"))
        serving.stop(server)
    end)
end)

describe("a page", function()
    local p = pki.get()
    local function options(more)
        local all = {address = "127.0.0.1:0", handler = function() end, log = function() end,
            context = {certificate = p.server_cert_file, private_key = p.server_key_file}}
        for field, value in pairs(more) do all[field] = value end
        return all
    end

    it("that cannot be served is an error at the start", function()
        local taken = assert(tls.listen("127.0.0.1", 0))
        local address = "127.0.0.1:" .. taken:port()
        for _, workers in ipairs {1, 2} do
            local err = expect.fails("system", tls.serve(options {metrics = address,
                workers = workers}))
            assert.truthy(err.message:find(taken:port(), 1, true), err.message)
        end
        expect.fails("system", tls.server(options {metrics = address}))
        expect.fails("input", tls.server(options {metrics = {address = "127.0.0.1:0",
            context = {certificate = "/no/such/file"}}}))
        taken:close()
        expect.raises("option 'metrics': \"host:port\"", tls.server, options {metrics = "9443"})
        expect.raises("option 'metrics': its address", tls.server, options {metrics = {}})
        expect.raises("unknown field 'port'", tls.server, options {metrics = {port = 1,
            address = ":0"}})
        expect.raises("option 'metrics'", tls.server, options {metrics = true})
        expect.raises("its context", tls.server, options {metrics = {address = ":0",
            context = true}})
    end)

    it("comes by HTTPS where it has a context", function()
        local server = serving.start([[metrics = {address = "127.0.0.1:0",
            context = {certificate = directory .. "/server.pem",
                private_key = directory .. "/server.key"}}]])
        local port = server:wait_for "metrics at https://127%.0%.0%.1:(%d+)/metrics"
        local status, text = process.run {"curl", "-s", "--cacert", p.ca_file, "--resolve",
            "localhost:" .. port .. ":127.0.0.1", "https://localhost:" .. port .. "/metrics"}
        assert.equal(0, status)
        assert.same({}, (select(2, measured.parse(text, false))))
        serving.stop(server)
    end)
end)

-- ----------------------------------------------------------------------------------------- workers

local DONE <const> = {"handshakes_total", "side", "server", "version", THREE, "resumption",
    "not_offered"}

-- Asks for the pages of new connections until each worker has had some. Returns how many there
-- were, and a worker's process.
local function visit_all(server, workers)
    local pids, count, visits = {}, 0, 0
    serving.eventually(60, function()
        local pid = serving.ask_once(server, "!pid")
        visits = visits + 1
        if not pids[pid] then pids[pid], count = true, count + 1 end
        return count >= workers and visits >= 6
    end)
    return visits, next(pids)
end

describe("workers are summed", function()
    it("as processes, also when one was killed", function()
        local server = start("workers = 2", 2)
        local visits, pid = visit_all(server, 2)
        local function closed()
            return total(page(server), "ends_total", "side", "server", "close_notify", "both")
        end
        assert.is_true(serving.eventually(30, function() return closed() == visits end))
        local before = page(server)
        assert.equal(visits, total(before, table.unpack(DONE)))
        assert.equal(visits, total(before, "connections_total", "side", "server"))
        assert.equal(0, total(before, "connections_open", "side", "server"))
        assert.equal(0, total(before, "workers_ended_total"))
        assert.is_true(before[name("certificate_left_seconds", "server_name", "", "key", "EC")] > 0)
        -- any worker sees them all
        local own = serving.ask_once(server, "!metrics tlslife_connections_total")
        assert.equal(('tlslife_connections_total{side="server"} %d\n#'):format(visits + 1), own)

        local held = serving.connect(server)
        local mine = serving.ask(held, "!pid")
        assert.equal(1, total(page(server), "connections_open", "side", "server"))
        serving.signal(mine, "sigkill")
        assert.is_true(serving.eventually(30, function()
            return total(page(server), "workers_ended_total") == 1
        end))
        held:free()
        local after = page(server)
        assert.equal(visits + 2, total(after, table.unpack(DONE)))
        assert.equal(0, total(after, "connections_open", "side", "server"))
        for series, value in pairs(before) do
            if series:find "_total" or series:find "_count" then
                assert.is_true(after[series] >= value, series)
            end
        end
        -- the one in its place goes on
        server:wait_for "another starts.*worker %d: listening"
        visits = visits + 2 + visit_all(server, 2)
        assert.equal(visits, total(page(server), table.unpack(DONE)))
        assert.truthy(pid)
        serving.ask_once(server, "!error")
        assert.is_true(serving.eventually(30, function()
            return total(page(server), "handlers_failed_total") == 1
        end))
        serving.stop(server)
    end)

    it("as processes, with what their caches have", function()
        local server = start([[workers = 2, context = {resumption = "stateful",
            certificate = certificate, private_key = private_key}]], 2)
        local visits = visit_all(server, 2)
        -- two sessions for each connection, and a worker tells within a second
        assert.is_true(serving.eventually(30, function()
            return total(page(server), "cache_puts_total") == 2 * visits
        end))
        serving.stop(server)
    end)

    it("as threads", function()
        local server = start("workers = 2, threads = true", 2)
        local visits = 0
        serving.eventually(60, function()
            serving.ask_once(server, "hello")
            visits = visits + 1
            return visits == 8
        end)
        assert.is_true(serving.eventually(30, function()
            return total(page(server), "ends_total", "side", "server", "close_notify", "both") == 8
        end))
        assert.equal(8, total(page(server), table.unpack(DONE)))
        serving.stop(server)
    end)
end)

-- -------------------------------------------------------------------------------------- Prometheus

describe("Prometheus", function()
    it("scrapes a server by the configuration of docs/metrics.md", function()
        local server = start("")
        for _ = 1, 3 do serving.ask_once(server, "hello") end
        local yaml = assert(process.slurp "docs/metrics.md":match "```yaml\n(.-)```")
        local changes
        yaml, changes = yaml:gsub("127%.0%.0%.1:9443", "127.0.0.1:" .. server.page)
        assert.equal(1, changes)
        yaml, changes = yaml:gsub("scrape_interval: 15s", "scrape_interval: 1s")
        assert.equal(1, changes)
        local directory = process.directory() .. "/prometheus"
        assert(os.execute("mkdir -p " .. process.quote(directory)))
        local file = process.spill(directory .. "/prometheus.yml", yaml)
        local status, text = process.run {"promtool", "check", "config", file}
        assert.equal(0, status, text)
        local port = process.free_port()
        local prometheus = process.start {"prometheus", "--config.file=" .. file,
            "--storage.tsdb.path=" .. directory .. "/data", "--log.level=warn",
            "--web.listen-address=127.0.0.1:" .. port, timeout = 120}
        local function ask(query)
            local _, answer = process.run {"curl", "-s", "--max-time", "20", "-G",
                ("http://127.0.0.1:%d/api/v1/query"):format(port), "--data-urlencode",
                "query=" .. query}
            return answer:match '"value":%[[%d.]+,"([^"]+)"%]'
        end
        local query = 'tlslife_handshakes_total{resumption="not_offered",version="TLSv1.3",' ..
            'side="server"}'
        assert.is_true(serving.eventually(90, function() return ask(query) == "3" end),
            prometheus:output())
        assert.equal("1", ask 'up{job="tlslife"}')
        assert.equal("3", ask 'sum(tlslife_handshake_seconds_count{side="server"})')
        assert.equal("histogram", select(2, process.run {"curl", "-s", "--max-time", "20",
            ("http://127.0.0.1:%d/api/v1/metadata?metric=tlslife_handshake_seconds"):format(port)})
            :match '"type":"(%a+)"')
        -- the expressions that the page recommends are expressions
        local count = 0
        local table_of = process.slurp "docs/metrics.md":match "\n## What to alert on\n(.*)"
        for expression in table_of:gmatch "\n| [^|\n]+ | `([^`\n]+)` |" do
            if expression:find "tlslife_" then
                local _, answer = process.run {"curl", "-s", "-G",
                    ("http://127.0.0.1:%d/api/v1/query"):format(port), "--data-urlencode",
                    "query=" .. expression}
                assert.truthy(answer:find '"status":"success"', expression .. ": " .. answer)
                count = count + 1
            end
        end
        assert.equal(9, count)
        serving.stop(server)
    end)
end)
