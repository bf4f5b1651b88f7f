-- embedding_spec.lua: runs the programs of examples/c, and compares the code blocks of
-- docs/embedding.md with them.
--
-- They are those of the build that is tested; or, where TLSLIFE_EXAMPLES names a directory, those
-- that `./dev test` has built there against an installed copy.

local process = require "spec.support.process"
local program = require "spec.support.program"
local lines_of <const> = require "spec.support.source".lines_of
local tls = require "tlslife"

local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
local EXAMPLES = os.getenv "TLSLIFE_EXAMPLES" or BUILD .. "/examples/c"

-- cert.pem, which is its own CA, and key.pem, made as the README says
local files
local function identity()
    if files then return files.cert, files.key end
    local directory = process.directory() .. "/embedding"
    local command = assert(process.slurp "README.md":match "\n    (openssl req .-)\n\n"):gsub(
        "\\\n", "")
    local code, output = process.run {"sh", "-c",
        'mkdir -p "$0" && cd "$0" && ' .. command, directory}
    assert(code == 0, output)
    files = {cert = directory .. "/cert.pem", key = directory .. "/key.pem"}
    return files.cert, files.key
end

local function run(name, ...)
    local cert, key = identity()
    local code, output = process.run {EXAMPLES .. "/" .. name, cert, key, timeout = 30, ...}
    assert.equal(0, code, output)
    return output
end

local function is_built(name)
    local file = io.open(EXAMPLES .. "/" .. name)
    return file and file:close()
end

describe("the examples in C", function()
    local RUNS = {memory = true, questions = true, tcp = true, embed = true, embed_threads = true,
        embed_events = true}

    it("are all run", function()
        for _, path in ipairs(lines_of "ls examples/c/*.c") do
            assert.is_true(RUNS[path:match "([%w_]+)%.c$"], path)
        end
    end)

    it("connect a client and a server in memory", function()
        local output = run "memory"
        assert.truthy(
            output:match "hello, over TLSv1.3\n.*server read +closed\n.*client shutdown +ok\n$",
            output)
    end)

    it("answer what a handshake asks: questions.c", function()
        local output = run "questions"
        assert.truthy(output:match("^asked for localhost: yes\n" ..
            "offered CN=localhost: accepted\nlocalhost: connected\n"), output)
        assert.truthy(output:match("asked for elsewhere.example: unknown\n" ..
            "elsewhere.example: .*unrecognized_name[^\n]*\n$"), output)
    end)

    it("resume over TCP by their caches", function()
        local cert, key = identity()
        local server = process.start {EXAMPLES .. "/tcp", "serve", cert, key, 0, 2, timeout = 20}
        local port = server:wait_for "listening on port (%d+)"
        local code, output = process.run {EXAMPLES .. "/tcp", "visit", cert, port, timeout = 20}
        assert.equal("0 client: not_cached, hello\nclient: resumed, hello\n", code .. " " .. output)
        assert.equal(0, server:wait(), server:output())
        assert.truthy(
            server:output():match "server: not_offered, closed\nserver: resumed, closed\n$",
            server:output())
    end)

    it("say what failed", function()
        local cert, key = identity()
        local code, output = process.run {EXAMPLES .. "/tcp", "visit", cert, process.free_port()}
        assert.equal(1, code)
        assert.truthy(output:match "tcp: dial: cannot connect to localhost", output)
        code, output = process.run {EXAMPLES .. "/tcp", "serve", key, key, 0}
        assert.equal(1, code)
        assert.truthy(output:match "^tcp: certificate: ", output)
    end)

    it("hand connections to a script, and take a session from it", function()
        assert.equal("from Lua\thello\tTLSv1.3\tfalse\nfrom Lua\thello\tTLSv1.3\ttrue\n" ..
            "from C   resumable: yes\n", run "embed")
    end)

    it("resume one another's sessions in threads", function()
        local output = run("embed_threads", "examples/c/embed_threads.lua", 4, 50)
        local full, resumed, foreign, hits = output:match(
            "^4 threads: (%d+) full handshakes, (%d+) resumed, " ..
            "(%d+) of them by a session of another thread\nthe cache: %d+ sessions, (%d+) hits\n$")
        assert.is_not_nil(full, output)
        assert.equal(201, full + resumed)
        assert.is_true(tonumber(full) <= 5 and tonumber(foreign) >= 1 and
            tonumber(hits) >= tonumber(resumed), output)
    end)

    it("report a thread's error", function()
        local cert, key = identity()
        local script = process.spill(process.directory() ..
            "/embedding/fails.lua", "error 'as asked'")
        local code, output = process.run {EXAMPLES .. "/embed_threads", cert, key, script, 2, 1}
        assert.equal(1, code, output)
        assert.truthy(output:match "embed_threads: thread 2: .*as asked", output)
    end)
end)

describe("embed_events.c", function()
    local server, port, context

    local function dial()
        local conn = assert(context:connection())
        assert(conn:dial("localhost", port))
        assert(conn:connect())
        return conn
    end

    local function echoes(conn, text)
        assert(conn:write(text))
        return assert(conn:read()) == text
    end

    local function start(script)
        local cert, key = identity()
        server = process.start {EXAMPLES .. "/embed_events", cert, key,
            script or "examples/c/embed_events.lua", 0, timeout = 30}
        port = server:wait_for "listening on port (%d+)"
        context = assert(tls.context {role = "client", ca = cert, cache = assert(tls.cache {}),
            timeout = 10})
    end

    -- It alone: timeout(1), which runs it, would pass the signal on a second time.
    local function terminate()
        local parent = process.slurp(server.directory .. "/pid"):match "%d+"
        local pid = process.slurp(("/proc/%s/task/%s/children"):format(parent, parent)):match "%d+"
        assert(os.execute("kill -TERM " .. pid))
    end

    local function ends()
        terminate()
        assert.equal(0, server:wait(), server:output())
        return server:output()
    end

    -- without libuv it is not built
    local function with_program(what, test, script)
        it(what, function()
            if not is_built "embed_events" then
                return pending "libuv's headers are not installed"
            end
            start(script and process.spill(process.directory() .. "/event.lua", script))
            finally(function() server:stop() end)
            test()
        end)
    end

    with_program("serves many at once, by one script", function()
        local conns = {}
        for i = 1, 20 do conns[i] = dial() end
        for i = 20, 1, -1 do assert.is_true(echoes(conns[i], ("line %d\n"):format(i))) end
        for i = 1, 20 do
            conns[i]:shutdown()
            assert.equal("closed", select(2, conns[i]:read()))
            conns[i]:free()
        end
        local again <close> = dial()
        assert.equal("resumed", again:resumption())
        again:close(5)
        local _, clean = ends():gsub("end\tclosed\n", "")
        assert.equal(21, clean)
    end)

    with_program("moves more than sockets hold", function()
        local conn = dial()
        conn:set_blocking(false)
        local text, sent, got = ("0123456789abcdef"):rep(1 << 17), 0, {}
        local len = 0
        while len < #text do
            if sent < #text then sent = sent + (conn:write(text, sent + 1) or 0) end
            local bytes = conn:read()
            if bytes then
                got[#got + 1] = bytes
                len = len + #bytes
            end
        end
        assert.is_true(table.concat(got) == text)
        conn:set_blocking(true)
        conn:close(5)
        ends()
    end)

    with_program("contains a script's errors, and tells the peer what is missing", function()
        local other, conn = dial(), dial()
        assert(conn:write "fail\n")
        assert.equal("truncated", select(2, conn:read()))
        assert.is_true(echoes(other, "goes on\n"))
        server:wait_for "embed_events: script: .*embed_events.lua:%d+: as asked\nstack traceback:"
        other:close(5)
        ends()
    end)

    with_program("survives peers that are none", function()
        local raw = "exec 3<>/dev/tcp/127.0.0.1/$0; "
        assert.equal(0, (process.run {"bash", "-c",
            raw .. "printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3 >/dev/null; true", port}))
        server:wait_for "embed_events: handshake: "
        assert.equal(0, (process.run {"bash", "-c", raw, port}))
        local conn <close> = dial()
        assert.is_true(echoes(conn, "goes on\n"))
        conn:close(5)
        ends()
    end)

    with_program("lets a script close a connection that waits, and use its number again", function()
        local first = dial()
        server:wait_for "first\n"
        for _ = 1, 3 do
            local conn <close> = dial()
            assert.equal("the other is closed", conn:read())
            conn:close(5)
        end
        assert.equal("closed", select(2, first:read()))
        server:wait_for "first ended\tcanceled"
        first:free()
        assert.truthy(ends():match "again\tnil\ttimeout\n")
    end, [[
        local first
        return function(conn)
            if not first then
                first = conn
                print "first"
                io.stdout:flush()
                local _, why = conn:read()
                print("first ended", why)
                io.stdout:flush()
                return conn
            end
            local number = first:fd()
            first:close(0)
            local listener <close> = require "tlslife.core".listen("127.0.0.1", 0)
            if number == listener:fd() then
                print("again", listener:accept(conn:context(), 0.02))
            end
            conn:write "the other is closed"
            return conn
        end
    ]])

    with_program("stops when it is told to, and tells the idle so", function()
        local idle = dial()
        assert.is_true(echoes(idle, "hello\n"))
        terminate()
        assert.equal("closed", select(2, idle:read()))
        idle:close(1)
        assert.equal(0, server:wait(), server:output())
        assert.truthy(server:output():match "end\tcanceled\n", server:output())
    end)
end)

describe("docs/embedding.md", function()
    local text = process.slurp "docs/embedding.md"

    -- each fenced block, and the file that was linked last before it
    local function extracts()
        local found, at, linked = {}, 1, nil
        for before, kind, block, after in text:gmatch "(.-)\n```(%l*)\n(.-)```\n()" do
            for link in before:gmatch "%]%(%.%./([%w_/%.]+)%)" do linked = link end
            found[#found + 1] = {file = linked, kind = kind, block = block}
            at = after
        end
        assert.is_nil(text:find("```", at, true))
        return found
    end

    it("shows only code of the examples", function()
        local blocks = extracts()
        assert.is_true(#blocks >= 9, #blocks .. " blocks")
        for _, one in ipairs(blocks) do
            assert.is_not_nil(one.file)
            assert.is_true(process.slurp(one.file):find(one.block, 1, true) ~= nil,
                one.file .. " has not\n" .. one.block)
        end
    end)

    it("names every example in C, and no file that is not there", function()
        for _, path in ipairs(lines_of "ls examples/c/*.c examples/c/*.lua") do
            assert.is_true(text:find(path:match "[^/]+$", 1, true) ~= nil, path)
        end
        for link in text:gmatch "%]%(([%w_/%.]+)%)" do
            local file = io.open("docs/" .. link)
            assert.is_not_nil(file, link)
            file:close()
        end
    end)

    it("names calls that exist", function()
        local headers = process.slurp "include/tlslife.h" .. process.slurp "include/tlslife_lua.h"
        for name in text:gmatch "(tlslife_[%l%d_]+[%l%d])[%(`]" do
            assert.is_true(headers:find(name, 1, true) ~= nil, name)
        end
    end)
end)
