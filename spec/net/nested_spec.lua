-- nested_spec.lua: tests TLS in TLS. One connection's bytes travel as application data of another,
-- in memory, over TCP, blocking and in each loop, several layers deep, and through programs that
-- others wrote.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

-- A client's and a server's connection over TCP, open. Neither waits.
local function over_tcp(options)
    local listener <close> = assert(tls.listen("127.0.0.1", 0))
    local client = pair.client(options.client):connection()
    client:set_timeout(20)
    assert(client:dial("localhost", listener:port()))
    local server = assert(listener:accept(pair.server(options.server), 20))
    client:set_blocking(false)
    server:set_blocking(false)
    local c, s = pair.drive(client, server)
    assert(c[1] and s[1], c[2] or s[2])
    return client, server
end

local OVER = {memory = pair.connect, TCP = over_tcp}

-- A pair that travels within another, open unless options.shake is false. Neither end waits.
local function within(client, server, options)
    options = options or {}
    local a = pair.client(options.client):connection()
    local b = pair.server(options.server):connection()
    a:set_blocking(false)
    b:set_blocking(false)
    a:set_hostname(options.hostname or "localhost")
    a:set_connection(client)
    b:set_connection(server)
    if options.shake == false then return a, b end
    local c, s = pair.drive(a, b)
    assert(c[1] and s[1], c[2] or s[2])
    return a, b
end

local function nested(options)
    local client, server = pair.connect(options or {})
    local a, b = within(client, server)
    return a, b, client, server
end

local function noise(len)
    local words = {}
    for i = 1, len // 8 do words[i] = ("i8"):pack(i * 6364136223846793005) end
    return table.concat(words)
end

local MUCH <const> = noise(80000)

local function finish(a, b)
    assert.same({"done", "done"}, {pair.finish(a, b)})
    assert.equal("done", a:close())
    assert.equal("done", b:close())
end

describe("a connection within another", function()
    for over, connect in pairs(OVER) do
        for _, outer in ipairs(pair.VERSIONS) do
            for _, inner in ipairs(pair.VERSIONS) do
                it(("carries %s in %s over %s"):format(inner, outer, over), function()
                    local client, server = connect {client = {max_version = outer}}
                    local a, b = within(client, server, {client = {max_version = inner}})
                    assert.equal(outer, client:version())
                    assert.equal(inner, a:version())
                    assert.is_true(pair.send(a, b, MUCH) == MUCH)
                    assert.is_true(pair.send(b, a, MUCH) == MUCH)
                    finish(a, b)
                    assert.equal("open", client:state())
                    assert.equal("between", pair.send(client, server, "between"))
                    assert.equal("back", pair.send(server, client, "back"))
                    finish(client, server)
                end)
            end
        end

        it("may be carried in turn, over " .. over, function()
            local ends = {{connect {}}}
            for i = 2, 4 do ends[i] = {within(ends[i - 1][1], ends[i - 1][2])} end
            local a, b = table.unpack(ends[4])
            assert.is_true(pair.send(a, b, MUCH) == MUCH)
            assert.is_true(pair.send(b, a, MUCH) == MUCH)
            for i = 4, 1, -1 do finish(table.unpack(ends[i])) end
        end)
    end

    it("has either role, whichever the outer one has", function()
        local client, server = pair.connect {}
        local a, b = within(server, client)
        assert.equal("upside down", pair.send(a, b, "upside down"))
        assert.is_false(a:is_server())
        assert.is_true(a:outer():is_server())
    end)

    it("says which connection carries it, and which descriptor it waits for", function()
        local client, server = over_tcp {}
        local a, b = within(client, server)
        assert.equal(client, a:outer())
        assert.equal(a, client:inner())
        assert.is_nil(client:outer())
        assert.is_nil(a:inner())
        assert.is_true(a:fd() == client:fd() and a:pollfd() == client:pollfd())
        assert.equal(client:peer_address(), a:peer_address())
        b:close()
        assert.is_nil(server:inner())
        assert.is_nil(b:outer())
        assert.is_nil(b:fd())
        client:free()
        assert.is_nil(a:outer())
        assert.is_not_nil(a:fd())
        server:free()
    end)

    it("resumes its own session, and leaves the outer one's good", function()
        local client, server = pair.connect {}
        local server_context = pair.server {}
        local first, second = within(client, server, {server = server_context})
        pair.send(second, first, "x") -- with the tickets
        local context = first:context()
        finish(first, second)
        local session = assert(first:take_session())
        local again, other = within(client, server, {client = context, server = server_context,
            shake = false})
        again:set_session(session)
        local c, s = pair.drive(again, other)
        assert(c[1] and s[1], c[2] or s[2])
        assert.is_true(again:session_reused())
        finish(again, other)
        finish(client, server)
        assert.is_true(client:take_session():is_resumable())
    end)

    it("may be cleared, and makes another handshake in the same one", function()
        local a, b = nested()
        pair.finish(a, b)
        assert(a:clear())
        assert(b:clear())
        local c, s = pair.drive(a, b)
        assert(c[1] and s[1], c[2] or s[2])
        assert.equal("again", pair.send(a, b, "again"))
    end)

    it("is copied without its transport", function()
        local client, server = pair.connect {}
        local a, b = within(client, server, {shake = false})
        local copy <close> = a:dup()
        assert.is_nil(copy:outer())
        expect.raises("without a transport", copy.connect, copy)
        assert(pair.drive(a, b)[1])
        local same <close> = a:dup()
        assert.equal(a, same)
    end)

    it("moves plain bytes before its handshake, and takes back what is too much", function()
        local client, server = pair.connect {}
        local a, b = within(client, server, {shake = false})
        assert.equal(9, a:plain_write "STARTTLS\n")
        a:connect()
        local got = b:plain_read()
        got = got .. assert(b:plain_read())
        assert.equal("STARTTLS\n", got:sub(1, 9))
        b:unread(got:sub(10))
        assert.equal(0, b:timeout())
        assert(pair.drive(a, b)[1])
        assert.equal("in TLS", pair.send(a, b, "in TLS"))
        client:close()
        server:close()
    end)

    it("has bytes to read where the outer one has", function()
        local a, b, _, server = nested()
        assert(a:write "one" and a:write "two")
        assert.equal("one", b:read())
        assert.is_true(b:has_pending() == (server:has_pending() or b:pending() > 0))
        b:read()
        expect.word("want_read", b:read())
        assert.is_nil(b:timeout())
        -- both records in one of the outer connection
        local client2, server2 = over_tcp {}
        local c, d = within(client2, server2)
        pair.send(c, d, "x")
        client2:free()
        c:write "first"
        c:write "second"
        local got = ""
        for _ = 1, 1000 do
            got = got .. (d:read(3) or "")
            if got == "fir" then assert.equal(0, d:timeout()) end
        end
        assert.equal("firstsecond", got)
    end)
end)

describe("a connection that carries another", function()
    it("has no data verbs meanwhile, and all else", function()
        local a, b, client, server = nested()
        for verb, arguments in pairs {read = {}, peek = {}, write = {"x"}, cork = {true},
            read_into = {tls.buffer(9)}} do
            expect.raises("carries another", client[verb], client, table.unpack(arguments))
        end
        assert(client:key_update(true))
        assert(client:handshake())
        assert.is_true(pair.send(a, b, MUCH) == MUCH)
        assert.is_true(pair.send(b, a, MUCH) == MUCH)
        assert.is_true(client:idle() == a:idle())
        assert.equal("open", server:state())
        client:flush()
    end)

    it("must be open, carry no other, and not itself", function()
        local client, server = pair.connect {}
        local conn = pair.client {}:connection()
        local function refused(why, inner, outer)
            expect.raises(why, inner.set_connection, inner, outer)
        end
        refused("cannot carry itself", client, client)
        refused("is not open", conn, pair.client {}:connection())
        refused("is not open", conn, (pair.join {}))
        local a, b = within(client, server)
        refused("carries another", conn, client)
        refused("cannot carry itself", client, a)
        refused("carries another already", client, (pair.connect {}))
        local c = within(a, b)
        refused("cannot carry itself", client, c)
        refused("cannot carry itself", a, c)
        local closed = pair.connect {}
        closed:close()
        refused("is not open", conn, closed)
        local corked, other = pair.connect {}
        corked:cork(true)
        refused("corked", conn, corked)
        for _, wrong in ipairs {1, "x", {}, false, io.stdout, tls.buffer(1), client:context()} do
            expect.refused(wrong, conn.set_connection, conn, wrong)
        end
        expect.refused("nothing", conn.set_connection, conn)
        local freed = pair.connect {}
        freed:free()
        refused("freed", conn, freed)
        refused("freed", freed, other)
        other:free()
    end)

    it("is one of 8 at most", function()
        local ends = {{pair.connect {}}}
        for i = 2, 8 do ends[i] = {within(ends[i - 1][1], ends[i - 1][2])} end
        assert.equal("deep", pair.send(ends[8][1], ends[8][2], "deep"))
        local conn = pair.client {}:connection()
        expect.raises("more than 8", conn.set_connection, conn, ends[8][1])
        for i = 8, 1, -1 do ends[i] = nil end
        collectgarbage()
        collectgarbage()
    end)

    it("is not written past by its descriptor", function()
        local client, server = over_tcp {}
        local conn <close> = pair.client {}:connection()
        expect.raises("set_connection", conn.set_fd, conn, client)
        expect.raises("set_connection", conn.set_fd, conn, client:fd())
        expect.raises("set_connection", conn.set_fd, conn, client:fd(), client:fd())
        expect.raises("set_connection", conn.take_fd, conn, server:fd())
        local a, b = within(client, server)
        expect.raises("set_connection", conn.set_fd, conn, a:fd())
        assert.equal("whole", pair.send(a, b, "whole"))
        finish(a, b)
        -- after both close_notify plain bytes may follow, which is how FTP ends its TLS
        local fd = client:fd()
        pair.finish(client, server)
        assert(conn:set_fd(fd))
        conn:close_transport()
        client:close()
        -- and the number is free for others
        local next_client, next_server = over_tcp {}
        next_client:free()
        next_server:free()
    end)
end)

-- --------------------------------------------------------------------------------- ends and errors

describe("the end of the outer connection", function()
    local function says(conn, pattern)
        local err = assert(conn:error())
        assert.truthy(err.message:find(pattern), err.message)
    end

    for name, how in pairs {
        ["cut"] = function(client) client:close_transport() end,
        ["that its peer closed"] = function(client) client:close() end,
    } do
        it(name .. " is a cut stream for the inner one", function()
            for _, over in pairs(OVER) do
                local client, server = over {}
                local a, b = within(client, server)
                assert.equal("x", pair.send(a, b, "x"))
                expect.word("want_read", a:read()) -- unread tickets would make it a reset
                how(client)
                local why
                for _ = 1, 1000 do
                    why = select(2, b:read())
                    if why ~= "want_read" then break end
                    process.sleep(0.005)
                end
                assert.equal("truncated", why)
                says(b, name == "cut" and "its stream was cut" or "its peer closed it")
                expect.word("truncated", b:read())
                assert.is_false(b:session():is_resumable())
            end
        end)
    end

    it("is an error of the inner one where its peer resets it", function()
        local client, server = over_tcp {}
        local a, b = within(client, server)
        assert.equal("x", pair.send(a, b, "x"))
        b:write "never read"
        process.sleep(0.01)
        client:close_transport()
        for _ = 1, 1000 do
            local n, why, err = b:write(MUCH)
            if not n and why ~= "want_write" then
                expect.fails("system", n, why, err)
                assert.truthy(why:find "outer connection failed", why)
                assert.is_true(err.errno == 32 or err.errno == 104)
                return
            end
            process.sleep(0.005)
        end
        error "no failure"
    end)

    it("is an error with its own message where the program closed or cleared it", function()
        for name, how in pairs {
            close = function(conn) conn:close() end,
            close_transport = function(conn) conn:close_transport() end,
            clear = function(conn) conn:clear() end,
            set_memory = function(conn) conn:set_memory() end,
        } do
            for depth = 1, 2 do
                local a, b, client, server = nested()
                local inner = a
                if depth == 2 then inner = within(a, b) end
                how(client)
                if name ~= "set_memory" then
                    local err = expect.fails("tls", inner:read())
                    assert.truthy(err.message:find "the outer connection failed", err.message)
                    expect.fails("tls", inner:write "x")
                    expect.fails("tls", inner:close())
                else
                    expect.word("want_read", inner:read()) -- it is open, and nothing comes
                    inner:close()
                end
                a:close()
                server:free()
            end
        end
    end)

    it("comes no sooner because the script frees it", function()
        for _, over in pairs(OVER) do
            local c, d
            do
                local client, server = over {}
                local a, b = within(client, server)
                c, d = within(a, b)
                for _, one in ipairs {client, server, a, b} do one:free() end
            end
            collectgarbage()
            collectgarbage()
            assert.is_true(pair.send(c, d, MUCH) == MUCH)
            finish(c, d)
        end
    end)

    it("may come in any step of the collector", function()
        for round = 1, 40 do
            local list = {(round % 2 == 0 and over_tcp or pair.connect) {}}
            list[3], list[4] = within(list[1], list[2])
            list[5] = within(list[3], list[4])
            for i = 1, 5 do
                local which = (round * i) % #list + 1
                if round % 3 == 0 and tls.type(list[which]) then pcall(list[which].close,
                    list[which]) end
                table.remove(list, which)
                collectgarbage(round % 5 == 0 and "collect" or "step")
                for _, one in ipairs(list) do
                    pcall(one.read, one)
                    pcall(one.write, one, "x")
                    pcall(one.outer, one)
                    tostring(one)
                end
            end
        end
        collectgarbage()
        collectgarbage()
    end)
end)

describe("an error of the inner connection", function()
    it("is its own, and its alert reaches the peer", function()
        for _, version in ipairs(pair.VERSIONS) do
            local client, server = pair.connect {client = {max_version = version}}
            local a, b = within(client, server, {shake = false, hostname = "elsewhere.example",
                client = {max_version = version}})
            local c, s = pair.drive(a, b)
            local err = expect.fails("verify", table.unpack(c, 1, 3))
            assert.truthy(err.message:find("hostname mismatch", 1, true) or
                err.message:lower():find "host", err.message)
            assert.is_true(#err.queue > 0)
            expect.fails("alert", table.unpack(s, 1, 3))
            assert.equal("open", client:state())
            a:close()
            b:close()
            assert.equal("still", pair.send(client, server, "still"))
        end
    end)

    it("is one of TLS where the other side speaks none", function()
        local client, server = pair.connect {}
        local a = pair.client {}:connection()
        a:set_blocking(false)
        a:set_hostname "localhost"
        a:set_connection(client)
        expect.word("want_read", a:connect())
        server:write "HTTP/1.1 400 Bad Request\r\n\r\n"
        expect.fails("tls", a:connect())
    end)
end)

describe("what the outer connection wants", function()
    it("is what the inner one waits for, in either direction", function()
        -- a renegotiation makes a reader write, for which there is no room
        local client, server = pair.connect {capacity = 100, client = {max_version = "TLSv1.2"},
            server = {options = {allow_client_renegotiation = true}}}
        local a, b = within(client, server)
        local words, sent = {}, false
        assert(server:renegotiate())
        server:handshake()
        for _ = 1, 2000 do
            local got, why = a:read()
            words[got or why] = true
            if got then break end
            b:read()
            sent = sent or b:write "after it" ~= nil
        end
        assert.is_true(words.want_write, "no read had to wait for a write")
        assert.is_true(words["after it"])
        local some = MUCH:sub(1, 5000)
        assert.is_true(pair.send(a, b, some) == some)
    end)

    it("may be an answer of the program, which its handshake asks for", function()
        local asked = 0
        local client, server = pair.connect {
            client = {certificate = pki.client_cert, private_key = pki.client_key,
                post_handshake_auth = true},
            server = {ca = pki.ca_file, verify = "optional", on_verify = function()
                asked = asked + 1
                return true
            end},
        }
        local a, b = within(client, server)
        asked = 0
        assert(server:request_client_certificate())
        assert(server:handshake())
        expect.word("want_read", a:read())
        a:write "behind the certificate"
        local err = expect.fails("tls", b:read())
        assert.truthy(err.message:find "asks a question", err.message)
        assert(server:handshake())
        assert.equal(1, asked)
        assert.equal("behind the certificate", b:read())
    end)
end)

-- ------------------------------------------------------------------------------- waiting and loops

local client_context = pair.client {timeout = 20}
local server_context = pair.server {timeout = 20}

-- What speaks TLS in TLS in another process: it echoes, and says how each layer ended.
local PEER <const> = [[
local tls = require "tlslife"
local context = assert(tls.context {role = "server", certificate = arg[1], private_key = arg[2],
    timeout = 20})
local listener = assert(tls.listen("127.0.0.1", 0))
io.stdout:setvbuf "line"
print("port " .. listener:port())
local function serve(layers)
    layers[1]:accept()
    for i = 2, math.tointeger(layers[1]:read(1)) do
        layers[i] = assert(context:connection())
        layers[i]:set_connection(layers[i - 1])
        assert(layers[i]:accept())
    end
    local top = layers[#layers]
    local bytes = top:read()
    while bytes do
        top:write(bytes)
        bytes = top:read()
    end
    for i = #layers, 1, -1 do print(("layer %d: %s"):format(i, layers[i]:close(20))) end
end
while true do
    local layers = {assert(listener:accept(context))}
    print(pcall(serve, layers)) -- a client may go at any time
    for _, layer in ipairs(layers) do layer:free() end
end
]]

local peer, peer_port

local function port()
    if not peer then
        local path = process.spill(process.directory() .. "/nested_peer.lua", PEER)
        peer = process.start {program.path, path, pki.server_cert_file, pki.server_key_file,
            timeout = 300}
        peer_port = math.tointeger(tonumber(peer:wait_for "port (%d+)"))
    end
    return peer_port
end

local function connect(depth)
    local layers = {assert(client_context:connection())}
    assert(layers[1]:dial("localhost", port()))
    assert(layers[1]:connect())
    layers[1]:write(tostring(depth))
    for i = 2, depth do
        layers[i] = assert(client_context:connection())
        layers[i]:set_hostname "localhost"
        layers[i]:set_connection(layers[i - 1])
        assert(layers[i]:connect())
    end
    return layers
end

local read_all = loops.read_all

teardown(function() if peer then peer:stop() end end)

for _, driver in ipairs(loops.drivers) do
    local function it_runs(name, main)
        it(name, function() loops.run(driver, main) end)
    end

    describe("TLS in TLS (" .. driver.name .. ")", function()
        for depth = 2, 3 do
            it_runs(("carries data through %d layers, and close_notify in each"):format(depth),
                function()
                    local layers = connect(depth)
                    local top = layers[depth]
                    for _, bytes in ipairs {"x", MUCH:sub(1, 20000), "z"} do
                        assert.equal(#bytes, top:write(bytes))
                        assert.is_true(read_all(top, #bytes) == bytes)
                    end
                    for i = depth, 1, -1 do assert.equal("done", layers[i]:close(20)) end
                    for i = 1, depth do peer:wait_for(("layer %d: done"):format(i)) end
                end)
        end

        it_runs("has the inner connection's deadline", function()
            local layers = connect(2)
            layers[1]:set_timeout(0)
            layers[2]:set_timeout(0.03)
            expect.word("timeout", layers[2]:read())
            assert.equal(0, layers[1]:get_timeout())
            layers[2]:set_timeout(20)
            layers[2]:write "there still"
            assert.equal("there still", read_all(layers[2], 11))
            layers[1]:set_blocking(false)
            layers[2]:write "blocks"
            assert.equal("blocks", read_all(layers[2], 6))
            assert.is_false(layers[1]:blocking())
            layers[2]:set_blocking(false)
            expect.word("want_read", layers[2]:read())
            layers[2]:free()
            layers[1]:free()
        end)

        if driver.yields then
            it_runs("reads in one coroutine and writes in another", function(spawn)
                local layers = connect(3)
                local all = MUCH .. MUCH .. MUCH
                spawn(function() assert.equal(#all, layers[3]:write(all)) end)
                assert.is_true(read_all(layers[3], #all) == all)
                for i = 1, 3 do layers[i]:free() end
            end)

            for name, case in pairs {
                ["cancel of the inner one"] = {function(layers) layers[2]:cancel() end},
                ["cancel of the outer one"] = {function(layers) layers[1]:cancel() end},
                ["a close of the outer one"] = {function(layers) layers[1]:close() end},
                ["another transport of the outer one"] = {function(layers)
                    layers[1]:set_memory()
                end},
                ["free of the inner one"] = {function(layers) layers[2]:free() end},
                ["clear of the outer one"] = {function(layers) layers[1]:clear() end},
            } do
                it_runs(name .. " wakes the coroutine that waits", function(spawn, sleep)
                    local layers, results = connect(2), nil
                    spawn(function() results = table.pack(layers[2]:read()) end)
                    sleep(0.01)
                    assert.is_nil(results)
                    case[1](layers)
                    for _ = 1, 5000 do
                        if results then break end
                        sleep(0.002)
                    end
                    expect.word("canceled", table.unpack(results, 1, results.n))
                    for _, layer in ipairs(layers) do
                        if tostring(layer):find "freed" == nil then layer:free() end
                    end
                end)
            end

            it_runs("goes on where the outer one is freed while it waits", function(spawn, sleep)
                local inner, got = connect(2)[2], nil
                spawn(function() got = assert(inner:read()) end)
                sleep(0.01)
                inner:outer():free()
                collectgarbage()
                collectgarbage()
                sleep(0.01)
                assert.is_nil(got)
                assert(inner:write "at last")
                for _ = 1, 5000 do
                    if got then break end
                    sleep(0.002)
                end
                assert.equal("at last", got)
                assert.equal("done", inner:close(20))
            end)

            it_runs("serves in the same loop", function(spawn)
                local listener <close> = assert(tls.listen("127.0.0.1", 0))
                local ended
                spawn(function()
                    local outer = assert(listener:accept(server_context))
                    assert(outer:accept())
                    local inner = assert(server_context:connection())
                    inner:set_connection(outer)
                    assert(inner:accept())
                    inner:write(assert(inner:read()))
                    ended = {inner:close(20), outer:close(20)}
                end)
                local outer = assert(client_context:connection())
                assert(outer:dial("localhost", listener:port()))
                assert(outer:connect())
                local inner = assert(client_context:connection())
                inner:set_hostname "localhost"
                inner:set_connection(outer)
                assert(inner:connect())
                inner:write "echo"
                assert.equal("echo", inner:read())
                assert.equal("done", inner:close(20))
                assert.equal("done", outer:close(20))
                assert.same({"done", "done"}, ended or {"done", "done"})
            end)
        end
    end)
end

-- ------------------------------------------------------------------------------ programs of others

local function has(name)
    return os.execute("command -v " .. name .. " >/dev/null 2>&1") == true
end

describe("TLS through an HTTPS proxy", function()
    local directory, proxy, port_of_proxy, server, port_of_server

    setup(function()
        directory = process.directory() .. "/nested"
        assert(os.execute("mkdir " .. process.quote(directory)))
        process.spill(directory .. "/cert.pem", pki.server_cert)
        process.spill(directory .. "/key.pem", pki.server_key)
        for block in process.slurp "docs/starttls.md":gmatch "```lua\n(.-)```" do
            local name = block:match "^%-%- ([%w_]+)%.lua:"
            process.spill(directory .. "/" .. name .. ".lua", block)
        end
        process.spill(directory .. "/https_proxy.lua", process.slurp "examples/https_proxy.lua")
        proxy = process.start {"sh", "-c", 'cd "$0"; exec "$@"', directory, program.path,
            "https_proxy.lua", "127.0.0.1:0", timeout = 120}
        port_of_server = process.free_port()
        server = process.start {"openssl", "s_server", "-accept", port_of_server, "-www", "-cert",
            pki.server_leaf_file, "-cert_chain", pki.intermediate_cert_file, "-key",
            pki.server_key_file, timeout = 120}
        server:wait_for_port(port_of_server)
        port_of_proxy = proxy:wait_for "listening on port (%d+)"
    end)

    teardown(function()
        proxy:stop()
        server:stop()
    end)

    local function connect_through(through, host, port_of_host, ca)
        return process.run {program.path, directory .. "/https_connect.lua", "localhost", through,
            host, port_of_host, ca or pki.ca_file, timeout = 60}
    end

    it("is what curl speaks to ours", function()
        if not has "curl" then return pending "curl is not installed" end
        local function curl(url, ...)
            return process.run {"curl", "-q", "-sS", "--max-time", "60", "--proxy",
                "https://localhost:" .. port_of_proxy, "--proxy-cacert", pki.ca_file, "--cacert",
                pki.ca_file, url, timeout = 90, ...}
        end
        local url = ("https://localhost:%d/"):format(port_of_server)
        local code, output = curl(url)
        assert.equal(0, code, output)
        assert.truthy(output:find "TLSv1%.3, Cipher is ", output)
        code, output = curl(url, "--tls-max", "1.2", "--proxy-tls13-ciphers",
            "TLS_AES_128_GCM_SHA256")
        assert.equal(0, code, output)
        assert.truthy(output:find "TLSv1%.2, Cipher is ", output)
        code, output = curl "https://forbidden.example/"
        assert.is_true(code ~= 0 and output:find "403" ~= nil, output)
    end)

    it("is what our client speaks to ours", function()
        local code, output = connect_through(port_of_proxy, "localhost", port_of_server)
        assert.equal(0, code, output)
        assert.truthy(output:find "^TLSv1%.3\t", output)
        code, output = connect_through(port_of_proxy, "localhost", port_of_server,
            pki.other_ca_file)
        assert.is_true(code ~= 0, output)
    end)

    it("is what our client speaks to HAProxy, which ends the outer TLS alone", function()
        if not has "haproxy" then return pending "haproxy is not installed" end
        local front = process.free_port()
        local pem = process.spill(directory .. "/both.pem", pki.server_cert .. pki.server_key)
        local config = process.spill(directory .. "/haproxy.cfg", ([[
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
listen one
    bind 127.0.0.1:%d ssl crt "%s"
    server one 127.0.0.1:%d
]]):format(front, pem, port_of_server))
        local haproxy = process.start {"haproxy", "-db", "-f", config, timeout = 60}
        haproxy:wait_for_port(front)
        for _, version in ipairs(pair.VERSIONS) do
            local context = pair.client {timeout = 20, max_version = version}
            local outer = context:connection()
            assert(outer:dial("localhost", front))
            assert(outer:connect())
            local inner = context:connection()
            inner:set_hostname "localhost"
            inner:set_connection(outer)
            assert(inner:connect())
            assert(inner:write "GET / HTTP/1.0\r\n\r\n")
            local got, piece, why = "", inner:read()
            while piece do
                got = got .. piece
                piece, why = inner:read()
            end
            assert.truthy(got:find(version:gsub("%.", "%%.") .. ", Cipher is "), got)
            assert.truthy(why == "closed" or why == "truncated", why)
            inner:close(20)
            outer:close(20)
        end
        haproxy:stop()
    end)
end)
