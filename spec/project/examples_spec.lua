-- examples_spec.lua: runs the examples and the code blocks of README.md, docs/serving.md and
-- docs/loops.md and docs/luasec.md as a reader would paste them.

local process = require "spec.support.process"
local program = require "spec.support.program"


local function files(pattern)
    local pipe = assert(io.popen("ls " .. pattern .. " 2>/dev/null"))
    local names = {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    return names
end

local here = (function()
    local pipe = assert(io.popen "pwd -P")
    local path = pipe:read "l"
    pipe:close()
    return path
end)()

-- A directory with what the examples look for: cert.pem, which is its own CA, and key.pem. Made as
-- the README says.
local directory = process.directory() .. "/examples"
local prepared
local function prepare()
    if prepared then return end
    prepared = true
    local command = assert(process.slurp "README.md":match "\n    (openssl req .-)\n\n"):gsub(
        "\\\n", "")
    local code, output = process.run {"sh", "-c",
        'mkdir -p "$0" && cd "$0" && ' .. command, directory}
    assert(code == 0, output)
end

-- for what needs copas: that of ./dev, else what is installed; see spec/support/copas.lua
local LUA_PATH = here .. "/build/deps/copas/?.lua;;" .. here .. "/spec/support/copas4/?.lua"

local function start(script, ...)
    prepare()
    return process.start {"env", "LUA_PATH=" .. LUA_PATH, "sh", "-c", 'cd "$0" && exec "$@"',
        directory, program.path, script, timeout = 20, ...}
end

--- Has the program that module?
local modules = {}
local function is_there(module)
    if modules[module] == nil then
        prepare()
        local script = process.spill(directory ..
            "/is_there.lua", "for name in arg[1]:gmatch '%S+' do require(name) end")
        modules[module] = start(script, module):wait(20) == 0
    end
    return modules[module]
end

local function run(script, ...)
    local one = start(script, ...)
    local code = one:wait(20)
    assert.equal(0, code, one:output())
    return one:output()
end

-- a server and a client that are each other's, from wherever they were written
local function converse(server_script, client_script)
    local server = start(server_script, 0)
    local port = server:wait_for "listening on port (%d+)"
    local output = run(client_script, port)
    assert.truthy(output:find("^hello\tTLSv1.3\tnew session\nsent\ndone\n" ..
        "hello\tTLSv1.3\tresumed\nsent\ndone\n$"), output)
    assert.truthy(server:wait_for "TLSv1.3\tresumed\tclosed")
    return server, port
end

describe("the examples", function()
    -- every file here has a spec below
    local RUNS = {client = true, server = true, hooks = true, nonblocking = true,
        session_file = true, transport = true,
        cache_restart = true, cache_redis = true, cache_lua = true, tickets_by_secret = true,
        loop_luv = true, loop_cqueues = true, loop_copas = true, loop_own = true,
        serve = true, serve_http = true, https_proxy = "in spec/net/nested_spec.lua",
        demo = "in ./dev demo"}

    it("are each run by one of these specs", function()
        for _, name in ipairs(files "examples/*.lua") do
            assert(loadfile(name))
            assert.is_not_nil(RUNS[name:match "([%w_]+)%.lua$"], name)
        end
    end)

    it("talk to each other, and resume from a file", function()
        local server, port = converse(here .. "/examples/server.lua",
            here .. "/examples/client.lua")
        local script = here .. "/examples/session_file.lua"
        assert.truthy(run(script, port):match "hello\tnew session")
        assert.truthy(run(script, port):match "hello\tresumed")
        server:stop()
    end)

    it("resume after a restart from a sealed file", function()
        local server = start(here .. "/examples/server.lua", 0)
        local port = server:wait_for "listening on port (%d+)"
        local script = here .. "/examples/cache_restart.lua"
        assert.equal("hello\tnot_cached\n", run(script, port, "sealed"))
        assert.is_nil(process.slurp(directory .. "/sealed"):find("localhost", 1, true))
        local output = run(script, port, "sealed")
        assert.truthy(output:match "^imported\t[1-9]%d*\nhello\tresumed\n$", output)
        server:stop()
    end)

    it("resume from Redis, also on another machine", function()
        if not pcall(require "tlslife".redis, {}) then
            return pending "this build has no hiredis"
        end
        local redis_port, redis = process.start_redis(30)
        local client = here .. "/examples/cache_restart.lua"
        local port = 0
        -- the second server knows nothing but Redis; it has the port, by which the client knows its
        -- peers
        for i = 1, 2 do
            local server = start(here .. "/examples/cache_redis.lua", port, redis_port)
            port = server:wait_for "listening on port (%d+)"
            local output = run(client, port, "in_redis")
            assert.truthy(output:match(i == 1 and "hello\tnot_cached" or "hello\tresumed"), output)
            server:wait_for(i == 1 and "found in Redis: 0" or "resumed\tfound in Redis: 1")
            server:stop()
        end
        redis:stop()
    end)

    it("keep sessions in a Lua table", function()
        local output = run(here .. "/examples/cache_lua.lua")
        assert.truthy(output:match "put: %d+ sealed bytes for %d+ s", output)
        assert.truthy(output:match "\nhello\tclient: not_cached\tserver: not_offered\n", output)
        assert.truthy(
            output:match "\nasking the database\n.*\nhello\tclient: resumed\tserver: resumed\n",
            output)
    end)

    it("resume each other's tickets by a shared secret", function()
        assert.equal("hello\tclient: not_cached\tserver: not_offered\n" ..
            "hello\tclient: resumed\tserver: resumed\n",
            run(here .. "/examples/tickets_by_secret.lua"))
    end)

    it("answer what a handshake asks: hooks.lua", function()
        local output = run(here .. "/examples/hooks.lua")
        assert.truthy(output:match "on_hello\tlocalhost\th2 http/1.1", output)
        assert.truthy(output:match "on_verify\tCN=localhost", output)
        assert.truthy(output:match "client\tALPN h2" and output:match "server\tALPN h2", output)
        assert.truthy(output:match "unrecognized", output)
    end)

    it("move the bytes themselves: transport.lua", function()
        local output = run(here .. "/examples/transport.lua")
        assert.truthy(output:match "^hello\tTLSv1.3\t", output)
        assert.truthy(output:match "carried by hand", output)
    end)

    it("serve many clients at once with luv", function()
        if not pcall(require, "luv") then return pending "lua-luv is not installed" end
        assert.equal("10 answers\n", run(here .. "/examples/nonblocking.lua"))
    end)

    for example, module in pairs {loop_luv = "luv", loop_cqueues = "cqueues",
        loop_copas = "copas socket", loop_own = "socket"} do
        it("run in a loop: " .. example, function()
            if not is_there(module) then return pending(module .. " is not installed") end
            assert.equal("10 answers\n", run(here .. "/examples/" .. example .. ".lua"))
        end)
    end
end)

describe("the servers", function()
    local uv = is_there "luv" and require "luv"

    local function serve(script, ...)
        local server = start(script, ...)
        local port = server:wait_for "listening on port (%d+)"
        return server, port
    end

    -- timeout(1) tells the whole group, and itself once more
    local function stop(server)
        server:signal "TERM"
        assert.truthy(({[0] = true, [143] = true})[server:wait(10)], server:output())
    end

    local function curl(port, ...)
        return process.run {"curl", "-sS", "--cacert", directory .. "/cert.pem", "--max-time",
            "5", "-w", "%{http_code} ", "--connect-to", "localhost:1:127.0.0.1:" .. port,
            timeout = 10, ...}
    end

    local function hello(port)
        local command = '(printf hello; sleep 0.3) | openssl s_client -quiet -no_ign_eof ' ..
            '-CAfile "$0"/cert.pem -connect "$1" 2>/dev/null'
        return process.run {"sh", "-c", command, directory, "127.0.0.1:" .. port, timeout = 10}
    end

    it("echo, and so do the programs of docs/serving.md", function()
        if not uv then return pending "lua-luv is not installed" end
        local named = {}
        for block in process.slurp "docs/serving.md":gmatch "```lua\n(.-)```" do
            local name = assert(block:match "^%-%- ([%w_]+%.lua):")
            prepare()
            named[name] = process.spill(directory .. "/" .. name, block)
        end
        assert.equal("HELLO\nstopped after\t1\n", run(named["own_loop.lua"]))
        for _, script in ipairs {here .. "/examples/serve.lua", named["echo.lua"],
            named["by_function.lua"], named["requests.lua"]} do
            local server, port = serve(script, "127.0.0.1:0", 2)
            local _, output = hello(port)
            assert.equal(script == named["requests.lua"] and "HELLO" or "hello", output)
            stop(server)
        end
    end)

    it("speak HTTP: keep-alive, bodies, requests in pieces, errors", function()
        if not uv then return pending "lua-luv is not installed" end
        local server, port = serve(here .. "/examples/serve_http.lua", "127.0.0.1:0")
        local body = process.spill(directory .. "/body", ("b"):rep(100000))
        local url = "https://localhost:1/"
        local status, output = curl(port, url .. "one", url .. "two",
            "-w", "%{http_code}, new connections: %{num_connects} ")
        assert.equal(0, status, output)
        assert.equal("/one\n200, new connections: 1 /two\n200, new connections: 0 ", output)
        assert.equal(("b"):rep(100000) .. "200 ",
            select(2, curl(port, url, "--data-binary", "@" .. body)))
        assert.equal("200 ", select(2, curl(port, url, "-I", "-o", "/dev/null")))
        assert.equal("what?\n405 ", select(2, curl(port, url, "-X", "DELETE")))
        assert.truthy(select(2, curl(port, url, "-H", "Transfer-Encoding: chunked", "-d",
            "x")):find "411 $")
        assert.truthy(select(2, curl(port, url, "-H", "X: " .. ("x"):rep(20000))):find "431 ")
        local tls = require "tlslife"
        local conn <close> = assert(assert(tls.context {role = "client",
            ca = directory .. "/cert.pem", timeout = 5}):connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port) and conn:connect())
        local text = "GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyz" ..
            "HEAD /c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\nConnection: close\r\n\r\n"
        for byte in text:gmatch "." do assert(conn:write(byte)) end
        local got = ""
        for bytes in function() return conn:read() end do got = got .. bytes end
        assert.equal("/a\n xyz  /d\n", got:gsub("HTTP/1.1 200 OK\r\n.-\r\n\r\n", " "):sub(2))
        conn:close()
        stop(server)
    end)
end)

-- A block with a name is a file; it prints what its comments say.
for page, least in pairs {["docs/loops.md"] = 6, ["docs/luasec.md"] = 2} do
    describe(page, function()
        local files_of = {}
        for block in process.slurp(page):gmatch "```lua\n(.-)```" do
            local name = block:match "^%-%- ([%w_]+%.lua)\n"
            if name then files_of[#files_of + 1] = {name = name, text = block} end
        end

        it("has code blocks", function()
            assert.is_true(#files_of >= least)
            prepare()
            for _, file in ipairs(files_of) do
                process.spill(directory .. "/" .. file.name, file.text)
            end
        end)

        for _, file in ipairs(files_of) do
            it("has one that runs: " .. file.name, function()
                for module in file.text:gmatch 'require "(%l+)"' do
                    local needed = module == "copas" and "copas socket" or module
                    if module ~= "hello" and not is_there(needed) then
                        return pending(module .. " is not installed")
                    end
                end
                local expected = ""
                for line in file.text:gmatch "%-%- prints: ([^\n]*)" do
                    expected = expected .. line .. "\n"
                end
                assert.equal(expected, (run(file.name):gsub("\t", " ")))
            end)
        end
    end)
end

describe("the README", function()
    local blocks = {}
    for block in process.slurp "README.md":gmatch "```lua\n(.-)```" do
        blocks[#blocks + 1] = block
    end

    it("has a server and a client of at most 30 lines that run as pasted", function()
        assert.is_true(#blocks >= 2, #blocks .. " blocks")
        prepare()
        for i = 1, 2 do
            assert.is_true(select(2, blocks[i]:gsub("\n", "")) <= 30)
            process.spill(("%s/block%d.lua"):format(directory, i), blocks[i])
        end
        converse(directory .. "/block1.lua", directory .. "/block2.lua"):stop()
    end)

    it("has no block that is not Lua", function()
        for _, block in ipairs(blocks) do assert(load(block)) end
    end)

    it("names calls that exist", function()
        local header = process.slurp "include/tlslife.h"
        for prefix, name in process.slurp "README.md":gmatch "`(tlslife_)([%l%d_]+[%l%d])%(?%)?`" do
            assert.truthy(header:find(prefix .. name, 1, true), name)
        end
    end)
end)
