-- trace_spec.lua: tests what a trace records and what it leaves out, its forms as text, JSON lines
-- and an HTML page, and the program's command `trace`. trace_wireshark_spec.lua has what tshark
-- reads.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

-- tls.context, pair and all: both ends, with one trace.
local function traced(trace, options)
    local all = {client = {trace = trace}, server = {trace = trace}}
    for side, given in pairs(options or {}) do
        for name, value in pairs(given) do all[side][name] = value end
    end
    return {client = pair.client(all.client), server = pair.server(all.server)}
end

local function drain(trace)
    local events = {}
    for event in trace.next, trace do events[#events + 1] = event end
    return events
end

-- The names of the events of this kind and side, in order; with ">" where they were sent.
local function names(events, kind, side)
    local found = {}
    for _, event in ipairs(events) do
        if event.kind == kind and event.side == side then
            found[#found + 1] = (event.sent and ">" or "") .. (event.name or event.code)
        end
    end
    return table.concat(found, " ")
end

-- The events as one of the forms writes them.
local function written(trace, format, options)
    local pieces = {}
    local step = require "tlslife.trace.writer" (trace, format, function(text)
        pieces[#pieces + 1] = text
    end, options)
    step(true)
    return table.concat(pieces)
end

local function visit(contexts, session, last)
    local client, server = pair.connect {client = contexts.client, server = contexts.server,
        session = session}
    assert.equal("a secret word", pair.send(client, server, "a secret word"))
    local made = client:take_session() or client:session()
    if last then last(client, server) end
    pair.finish(client, server)
    client:free()
    server:free()
    return made
end

local FULL <const> = {
    ["TLSv1.2"] = ">1 2 11 12 14 >16 >20 4 20",
    ["TLSv1.3"] = ">1 2 8 11 15 20 >20 4 4",
}

describe("a trace", function()
    for version, messages in pairs(FULL) do
        it("has the life of a connection in " .. version, function()
            local trace = tls.trace()
            visit(traced(trace, {client = {max_version = version}}))
            local events = drain(trace)
            local codes = {}
            for _, event in ipairs(events) do
                if event.kind == "message" and event.side == "client" then
                    codes[#codes + 1] = (event.sent and ">" or "") .. event.code
                end
            end
            assert.equal(messages, table.concat(codes, " "))
            local mirrored = messages:gsub("%S+", function(word)
                return word:match "^>" and word:sub(2) or ">" .. word
            end)
            codes = {}
            for _, event in ipairs(events) do
                if event.kind == "message" and event.side == "server" then
                    codes[#codes + 1] = (event.sent and ">" or "") .. event.code
                end
            end
            assert.equal(mirrored, table.concat(codes, " "))
            assert.equal(">close_notify close_notify", names(events, "alert", "client"))
            assert.equal("new transport free", names(events, "life", "client"))
            assert.equal("new transport free", names(events, "life", "server"))
            assert.matches("^connect .*read .*write .*shutdown", names(events, "call", "client"))
            local before, mask = 0, 0
            for _, event in ipairs(events) do
                assert.is_true(event.at >= before and event.lost == 0)
                before = event.at
                if event.side == "client" and event.kind == "call" then mask = event.shutdown end
            end
            assert.equal(3, mask)
            assert.equal(0, trace:lost())
        end)

        it("knows a ticket again, and says what resumed, in " .. version, function()
            local trace = tls.trace()
            local contexts = traced(trace, {client = {max_version = version}})
            local session = visit(contexts)
            local hello, done = require "tlslife.trace.hello", {}
            local tickets, memory = {}, hello.memory()
            for _, event in ipairs(drain(trace)) do
                if event.kind == "message" and event.code == 4 then
                    tickets[hello.read(event, memory).ticket] = true
                end
            end
            process.sleep(0.1)
            visit(contexts, session)
            local offered
            for _, event in ipairs(drain(trace)) do
                if event.kind == "message" and event.code == 1 then
                    local read = hello.read(event, memory)
                    if read.psk then
                        -- libssl keeps ages in seconds, up to 3.1
                        assert.is_true(read.psk_ages[1] >= 0 and read.psk_ages[1] < 100000)
                        assert.not_equal(read.psk_ages[1], read.psk_obfuscated_ages[1])
                        assert.same({-1}, hello.read(event, hello.memory()).psk_ages)
                    end
                    offered = read.psk and read.psk[1] or read.ticket
                    assert.equal("localhost", read.server_name)
                end
                if event.kind == "handshake" then done[event.side] = event.outcome end
            end
            assert.is_true(tickets[offered])
            assert.same({client = "resumed", server = "resumed"}, done)
        end)
    end

    it("says once that a handshake is done, whose early data came before", function()
        local trace = tls.trace()
        local contexts = traced(trace, {client = {max_early_data = 1000}, server = {
            max_early_data = 1000}})
        local session = visit(contexts)
        drain(trace)
        local client, server = pair.join {client = contexts.client, server = contexts.server,
            session = session}
        assert.equal(5, client:write_early "early")
        assert.equal("early", server:read_early(10))
        pair.drive(client, server)
        local outcomes = {}
        for _, event in ipairs(drain(trace)) do
            if event.kind == "handshake" then
                outcomes[#outcomes + 1] = event.side .. " " .. event.outcome
            end
        end
        assert.same({"client resumed", "server resumed"}, outcomes)
    end)

    it("says why a session was not used, and that one has become bad", function()
        local trace = tls.trace()
        local contexts = traced(trace)
        local session = visit(contexts)
        drain(trace)
        contexts.server = pair.server {trace = trace} -- which has other ticket keys
        visit(contexts, session)
        local events = drain(trace)
        assert.matches("offered", names(events, "session", "client"))
        assert.matches("ticket not opened", names(events, "session", "server"))
        local client, server = pair.connect(contexts)
        client:free()
        server:free()
        assert.matches("bad", names(drain(trace), "session", "client"))
    end)

    it("has a cache's finds, stores and misses", function()
        local trace, cache = tls.trace(), assert(tls.cache())
        local contexts = traced(trace, {client = {cache = cache}, server = {
            resumption = "stateful"}})
        visit(contexts)
        local first = drain(trace)
        assert.matches("^not found made stored", names(first, "session", "client"))
        assert.matches("^made stored", names(first, "session", "server"))
        visit(contexts)
        local second = drain(trace)
        assert.matches("^found offered", names(second, "session", "client"))
        assert.matches("^found", names(second, "session", "server"))
    end)

    it("has what leaves a full cache, and how old a session is", function()
        local trace = tls.trace()
        local contexts = traced(trace, {client = {max_version = "TLSv1.2"}, server = {
            resumption = "stateful", cache = assert(tls.cache {capacity = 1})}})
        local session = visit(contexts)
        drain(trace)
        process.sleep(1.1)
        local second = visit(contexts)
        local events, tags = drain(trace), {}
        assert.equal("made evicted stored", names(events, "session", "server"))
        for _, event in ipairs(events) do
            if event.kind == "session" and event.side == "server" then tags[event.name] = event end
        end
        local tag = require "tlslife.trace.hello".tag
        assert.equal(tag(session:id()), tags.evicted.value)
        assert.equal(tag(second:id()), tags.stored.value)
        assert.is_true(tags.evicted.age >= 1 and tags.evicted.age < 100)
        assert.is_true(tags.stored.age < tags.evicted.age)
    end)

    it("has waits of blocking calls, and what they waited for", function()
        local trace = tls.trace()
        local listener = assert(tls.listen("127.0.0.1", 0))
        local client = assert(pair.client {trace = trace}:connection())
        client:set_timeout(0.05)
        assert(client:dial("127.0.0.1", listener:port()))
        expect.word("timeout", client:connect())
        local waits = {}
        for _, event in ipairs(drain(trace)) do
            if event.kind == "wait" then
                waits[#waits + 1] = event.name .. " " .. event.status
                if event.status == "over" then
                    assert.is_true(event.since > 0 and event.at - event.since >= 40000000)
                end
            end
        end
        assert.equal("read begins,read over", table.concat(waits, ",", #waits - 1))
    end)

    it("has alerts, and how a handshake failed", function()
        local trace = tls.trace()
        local options = traced(trace, {client = {ca = pki.get().server_cert_file}})
        pair.try(options)
        local events = drain(trace)
        assert.equal(">unknown_ca", names(events, "alert", "client"))
        assert.equal("unknown_ca", names(events, "alert", "server"))
        assert.matches("connect", names(events, "call", "client"))
    end)

    it("begins and ends with conn:trace, on one connection", function()
        local trace = tls.trace()
        local client, server = pair.connect()
        client:trace(trace)
        pair.send(client, server, "x")
        client:trace(nil)
        pair.send(client, server, "y")
        pair.finish(client, server)
        local events = drain(trace)
        assert.equal("trace", events[1].name)
        local writes = 0
        for _, event in ipairs(events) do
            assert.equal("client", event.side)
            writes = writes + (event.name == "write" and 1 or 0)
        end
        assert.equal(1, writes)
    end)

    it("follows dup and clear", function()
        local trace = tls.trace()
        local contexts = traced(trace)
        local one = contexts.client:connection()
        local other = one:dup()
        other:clear()
        assert.equal("new dup trace clear", (names(drain(trace), "life", "client")
            :gsub("dup clear", "dup trace clear")))
        local client, server = pair.connect(contexts)
        assert(client:clear())
        server:free()
        assert.matches("clear", names(drain(trace), "life", "client"))
        local again = pair.server(contexts.server):connection()
        again:set_blocking(false)
        tls.pair(client, again)
        pair.drive(client, again)
        assert.matches("connect", names(drain(trace), "call", "client"))
    end)

    it("loses the oldest events where it is full, and says how many", function()
        local trace = tls.trace {bytes = 4096}
        local contexts = traced(trace)
        visit(contexts)
        visit(contexts)
        local lost = trace:lost()
        assert.is_true(lost > 20)
        local events = drain(trace)
        assert.equal(lost, events[1].lost)
        assert.equal("free", events[#events].name)
        for i = 2, #events do assert.equal(0, events[i].lost) end
    end)

    it("has no secret unless it is asked for", function()
        for _, secrets in ipairs {false, true} do
            local trace = tls.trace {secrets = secrets}
            local random
            visit(traced(trace, {client = {max_version = "TLSv1.2"}}))
            visit(traced(trace))
            visit(traced(trace, {client = {max_version = "TLSv1.2"}, server = {verify = "optional",
                ca = pki.get().ca_file, on_verify = function() return true end}}))
            local all, kinds = {}, {}
            for _, event in ipairs(drain(trace)) do
                kinds[event.kind] = (kinds[event.kind] or 0) + 1
                if event.kind ~= "message" then all[#all + 1] = event.data end
                if event.kind == "message" and event.code == 1 then
                    random = random or event.data:sub(7, 38)
                end
                if event.kind == "message" and event.code == 4 then
                    -- the second visit is TLS 1.3's, where ticket_age_add follows the lifetime
                    local tls13 = event.conn == 3 or event.conn == 4
                    assert.equal(tls13 and 12 or 8, #event.data)
                end
                if event.kind == "message" and (event.code == 20 or event.code == 11) then
                    assert.equal(4, #event.data)
                end
            end
            local text = table.concat(all, "\n")
            assert.is_nil(text:find("a secret word", 1, true))
            assert.equal(secrets, text:find("CLIENT_RANDOM", 1, true) ~= nil)
            assert.equal(secrets, text:find(random, 1, true) ~= nil)
            assert.same({secrets, secrets}, {kinds.bytes ~= nil, kinds.keylog ~= nil})
        end
    end)

    it("refuses sizes that it cannot have, and other objects", function()
        for _, bytes in ipairs {0, 4095, -1, (1 << 30) + 1, math.maxinteger} do
            expect.raises("option 'bytes'", tls.trace, {bytes = bytes})
        end
        expect.raises("unknown option", tls.trace, {secret = true})
        expect.raises("option 'trace'", pair.client, {trace = tls.cache()})
        expect.raises("option 'trace'", pair.client, {trace = true})
        local client = pair.client():connection()
        expect.raises("trace", client.trace, client, 1)
        expect.raises("trace", client.trace, client)
        local trace = tls.trace()
        client:trace(trace)
        trace:free()
        expect.raises("freed", trace.next, trace)
        client:free()
    end)
end)

describe("a message in a trace", function()
    local hello = require "tlslife.trace.hello"

    it("is read as far as it goes, whatever a peer has sent", function()
        local trace = tls.trace()
        visit(traced(trace, {client = {alpn = {"h2", "\27[31m"}}, server = {alpn = {"h2"}}}))
        for _, event in ipairs(drain(trace)) do
            if event.kind == "message" then
                local whole = event.data
                for len = 0, #whole do
                    event.data = whole:sub(1, len)
                    assert.equal("string", type(hello.read(event).name))
                end
                for at = 1, #whole, 3 do
                    event.data = whole:sub(1, at - 1) .. "\255" .. whole:sub(at + 1)
                    assert.equal("string", type(hello.read(event).name))
                end
            end
        end
    end)
end)

describe("the forms of a trace", function()
    it("are text, without a peer's control characters", function()
        local trace = tls.trace()
        visit(traced(trace, {client = {alpn = {"h2", "\27[31m"}}, server = {alpn = {"h2"}}}))
        local text = written(trace, "text", {states = true, records = true})
        for line in text:gmatch "[^\n]+" do
            assert.matches("^%s*%d+%.%d%d%d%d%d%d +#%d+ [CS] ", line)
        end
        assert.is_nil(text:find "\27")
        assert.matches("%-%-> ClientHello server_name=localhost .*alpn=h2,\\x1b%[31m", text)
        assert.matches("handshake done: TLSv1.3 TLS_AES_256_GCM_SHA384 [%w]+, full", text)
        assert.matches("state: ", text)
        assert.matches("<%-%- alert close_notify", text)
    end)

    it("are text that says what was lost, and has colours on a terminal", function()
        local trace = tls.trace {bytes = 4096}
        visit(traced(trace))
        local text = written(trace, "text", {colour = true, records = true, states = true})
        assert.matches("^ +%d+ events were lost here\n", text)
        assert.matches("\27%[[%d;]+m", text)
    end)

    it("are JSON lines that a parser of JSON reads", function()
        local trace = tls.trace {secrets = true}
        visit(traced(trace, {client = {alpn = {"\1\255\"\\"}}}))
        local path = process.spill(process.directory() .. "/trace.jsonl", written(trace, "json"))
        local code, output = process.run {"python3", "-c", [[
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert lines[0]["kind"] == "trace" and lines[0]["version"] == 1, lines[0]
assert lines[-1] == {"kind": "end", "lost": 0}, lines[-1]
hello = [l for l in lines if l.get("name") == "ClientHello"][0]
assert hello["alpn"] == ["\x01\xff\"\\"], hello["alpn"]
assert hello["sent"] is True and hello["server_name"] == "localhost"
assert "TLS_AES_256_GCM_SHA384" in hello["suites"] and "TLSv1.3" in hello["versions"]
done = [l for l in lines if l["kind"] == "handshake"]
assert [d["outcome"] for d in done] == ["not_offered"] * 2, done
assert {l["kind"] for l in lines} >= {"life", "call", "message", "record", "alert", "session",
                                      "bytes", "keylog", "state"}
print("good")
]], path, timeout = 20}
        assert.equal("0 good\n", code .. " " .. output)
    end)

    it("are refused if they are not these", function()
        expect.raises("no format", require "tlslife.trace.writer", tls.trace(), "xml", print)
    end)
end)

if program.ours then describe("tlslife trace", function()
    local script = [[
        local tls = require "tlslife"
        local p = {cert = arg[1], key = arg[2]}
        local server = assert(tls.context {role = "server", certificate = p.cert,
            private_key = p.key}):connection()
        local client = assert(tls.context {role = "client", verify = "none"}):connection()
        tls.pair(client, server)
        client:set_hostname "localhost"
        for _ = 1, 5 do client:connect() server:accept() end
        print(client:state(), arg[0]:match "[^/]+$", #arg, ...)
        if arg[3] == "raise" then error "raised" end
        if arg[3] == "exit" then os.exit(7) end
    ]]
    local path = process.spill(process.directory() .. "/traced.lua", script)
    local p = pki.get()

    local function run(...)
        local words = {program.path, "trace", ...}
        for _, word in ipairs {path, p.server_cert_file, p.server_key_file} do
            words[#words + 1] = word
        end
        words.timeout = 20
        return process.run(words)
    end

    it("runs a script as it runs without it, and shows its connections on stderr", function()
        local code, output = run()
        assert.equal(0, code)
        assert.matches("open\ttraced.lua\t2\t/", output)
        assert.matches("#1 S +new\n", output)
        assert.matches("%-%-> ClientHello", output)
        assert.matches("handshake done", output)
        assert.is_nil(output:find "\27")
    end)

    for word, about in pairs {raise = {1, "raised\nstack traceback"}, exit = {7, "open\t"}} do
        it("writes all where the script ends with " .. word, function()
            local file = process.directory() .. "/ends.json"
            local code, output = process.run {program.path, "trace", "-o", file, path,
                p.server_cert_file, p.server_key_file, word, timeout = 20}
            assert.equal(about[1], code)
            assert.matches(about[2], output)
            local text = process.slurp(file)
            assert.matches('"kind":"handshake"', text)
            assert.matches('{"kind":"end","lost":0}\n$', text)
        end)
    end

    it("makes files for their owner alone", function()
        local file = process.directory() .. "/owned.json"
        os.execute("umask 0; rm -f " .. file)
        assert.equal(0, (run("--output=" .. file)))
        local _, mode = process.run {"stat", "-c", "%a", file, timeout = 20}
        assert.equal("600\n", mode)
    end)

    it("says what cannot be written, and still runs the script to its end", function()
        local code, output = run("-o", "/nowhere/at/all.json")
        assert.equal(1, code)
        assert.matches("tlslife trace: /nowhere/at/all.json: No such file or directory", output)
        assert.is_nil(output:find("open\t", 1, true))
        code, output = run("-o", "/dev/full", "-f", "json")
        assert.equal(1, code)
        assert.matches("open\t", output)
        assert.matches("tlslife trace: the trace could not be written: No space left", output)
    end)

    it("has a thread that says what failed, once, and in Lua", function()
        local file = process.directory() .. "/thread.txt"
        local code, output = process.run {program.path, "-e", ([[
            local host, tls = require "tlslife.host", require "tlslife"
            local trace = tls.trace()
            print(tostring(trace))
            print(host.trace_writer(trace, "xml"))
            print(host.trace_writer(trace, "text", "/nowhere/x"))
            local words = assert(host.trace_writer(trace, "text", FILE, "colour states"))
            assert(tls.context {role = "client", verify = "none"}:connection():trace(trace))
            print(words:stop(), words:stop())
            local full = assert(host.trace_writer(trace, "json", "/dev/full"))
            print(full:stop())
            local left = host.trace_writer(trace, "json", FILE)
            left = nil
            collectgarbage()
        ]]):gsub("FILE", function() return ("%q"):format(file) end), timeout = 20}
        assert.equal(0, code, output)
        assert.matches("tlslife.trace: 0x%x+ %(0 lost%)\n", output)
        assert.matches("\nnil\t[^\n]*is no format[^\n]*\n", output)
        assert.matches("\nnil\t/nowhere/x: No such file", output)
        assert.matches("\ntrue\ttrue\nnil\tthe trace could not be written: No space left", output)
    end)

    it("refuses words that it does not know", function()
        for _, case in ipairs {
            {{"--none"}, "unrecognized option '%-%-none'"}, {{"-f", "xml"}, "not 'xml'"},
            {{"-f"}, "'%-f' needs an argument"}, {{"--colour", "blue"}, "always, never or auto"},
            {{"--buffer", "0"}, "1 to 1024"}, {{"--buffer", "x"}, "1 to 1024"},
            {{"-f", "html"}, "needs a file"}, {{"-o", "x.pcapng"}, "say %-%-secrets, too"},
            {{}, "no script"}, {{"--secret"}, "is it %-%-secrets%?"},
        } do
            local words = {program.path, "trace", timeout = 20}
            table.move(case[1], 1, #case[1], 3, words)
            local code, output = process.run(words)
            assert.equal(2, code)
            assert.matches("^tlslife trace: [^\n]*" .. case[2], output)
        end
        local code, output = process.run {program.path, "trace", "/nowhere.lua", timeout = 20}
        assert.equal(1, code)
        assert.matches("cannot open", output)
        code, output = process.run {program.path, "trace", "--help", timeout = 20}
        assert.equal(0, code)
        assert.matches("usage: tlslife trace", output)
    end)
end) end
