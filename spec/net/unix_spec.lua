-- unix_spec.lua: tests Unix sockets in every call that takes an address. It covers names, the file
-- and its mode, files that were left behind, a full backlog, and OpenSSL's own program as peer.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"
local tls = require "tlslife"
local uv = require "luv"

local EADDRINUSE <const>, ECONNREFUSED <const> = 98, 111

local count = 0
local function path()
    count = count + 1
    return ("%s/unix%d"):format(process.directory(), count)
end

local function there(name)
    return uv.fs_lstat(name) ~= nil
end

local function mode_of(name)
    return ("%03o"):format(assert(uv.fs_lstat(name)).mode & 0x1ff)
end

-- The file of a server that has ended without closing its listener.
local function left_behind()
    local name = path()
    local script = process.spill(name .. ".lua", [[
        assert(require "tlslife".listen("unix:" .. arg[1]))
        os.exit(0, false)
    ]])
    assert.equal(0, (process.run {program.path, script, name}))
    assert.is_true(there(name))
    return name
end

local function dialled(name)
    local conn = pair.client():connection()
    conn:set_timeout(20)
    conn:set_hostname "localhost"
    local ok, why, err = conn:dial(name)
    return ok and conn, why, err
end

describe("a Unix socket", function()
    for kind, name in pairs {path = "unix:" .. path(), abstract = "unix:@tlslife-" .. path()} do
        it("with a name of the kind " .. kind .. " carries a connection", function()
            local listener <close> = assert(tls.listen(name))
            local client <close> = assert(dialled(name))
            local server <close> = assert(listener:accept(pair.server(), 20))
            client:set_blocking(false)
            server:set_blocking(false)
            local results = pair.drive(client, server)
            assert.is_true(client:handshake_done() and server:handshake_done(), results)
            assert.equal("hello", pair.send(client, server, "hello"))
            assert.is_nil(client:peer_address())
            assert.is_nil(server:peer_address())
            assert.equal("localhost", client:hostname())
            assert.is_nil(listener:port())
            assert.equal("number", type(listener:fd()))
            assert.truthy(tostring(listener):find "a Unix socket")
            expect.fails("system", tls.listen(name))
        end)
    end

    it("gives no host name to verify", function()
        local name = "unix:" .. path()
        local listener <close> = assert(tls.listen(name))
        local client <close> = pair.client():connection()
        assert.is_true(client:dial(name))
        assert.is_nil(client:hostname())
        expect.raises("without a host name", client.connect, client)
        listener:close()
    end)

    it("with a relative path is refused as one, and no service of a host", function()
        local client = pair.client():connection()
        local reasons = "names no Unix socket: unix:/path or unix:@name"
        for _, name in ipairs {"unix:x", "unix:./x", "unix:", "unix:@", "unix:x:1", "unix:1x"} do
            expect.raises(reasons, tls.split_address, name)
            expect.raises(reasons, client.dial, client, name)
            expect.raises(reasons, tls.listen, name)
            expect.raises(reasons, tls.listen, {name})
            if name ~= "unix:@" then -- whose mode is refused before its name
                expect.raises(reasons, tls.listen, name, nil, {mode = "600"})
            end
        end
        assert.same({"unix", "443"}, {tls.split_address "unix:443"})
    end)

    it("has no port, and no other name than these", function()
        local client <close> = pair.client():connection()
        for _, call in ipairs {tls.listen, function(...) return client:dial(...) end} do
            expect.raises("no port", call, "unix:/tmp/x", 443)
            for _, bad in ipairs {"unix:/", "unix:@", "unix:", "unix:a/b", "unix:../x", "unix:/"
                .. ("x"):rep(107), "unix:/a\0b"} do
                expect.refused(bad, call, bad)
            end
        end
        expect.raises("has no port", tls.listen, "unix:/tmp/x", nil, {reuse_port = true})
        assert.same({"unix:/tmp/x"}, {tls.split_address "unix:/tmp/x"})
        expect.refused("a long name", tls.split_address, "unix:/" .. ("x"):rep(107))
        expect.refused("a host name", client.set_hostname, client, "unix:/tmp/x")
        expect.refused("a host of redis", tls.redis, {host = "unix:/tmp/x"})
        expect.fails("system", client:dial("unix:/" .. ("x"):rep(106)))
        assert.equal(2, expect.fails("system", client:dial("unix:" .. path())).errno)
        assert.equal(2, expect.fails("system", tls.listen("unix:" .. path() .. "/no/such")).errno)
    end)

    it("is taken as a descriptor", function()
        local name = "unix:" .. path()
        local pipe = uv.new_pipe(false)
        assert(pipe:bind(name:sub(6)))
        pipe:listen(8, function() end)
        local listener = tls.listen_fd(pipe:fileno())
        local client <close> = assert(dialled(name))
        local server <close> = assert(listener:accept(pair.server(), 20))
        assert.is_not_nil(server:fd() and client:fd())
        assert.is_nil(listener:port())
        pipe:close()
        uv.run "nowait"
        pcall(listener.close, listener)
        local datagram = uv.new_udp()
        assert(datagram:bind("127.0.0.1", 0))
        expect.raises("not a listening TCP or Unix socket", tls.listen_fd, datagram:fileno())
        datagram:close()
        uv.run "nowait"
    end)
end)

describe("the file of a Unix socket", function()
    it("has the mode that was asked for, whatever the umask", function()
        local script = process.spill(path() .. ".lua", [[
            local tls, uv = require "tlslife", require "luv"
            local listener = assert(tls.listen("unix:" .. arg[1], nil, {mode = arg[2]}))
            print(("%03o"):format(uv.fs_lstat(arg[1]).mode & 0x1ff))
        ]])
        for mode, shown in pairs {["600"] = "600", ["0666"] = "666", ["777"] = "777",
            ["000"] = "000"} do
            local name = path()
            local code, output = process.run {"sh", "-c", 'umask 077; exec "$0" "$@"', program.path,
                script, name, mode}
            assert.equal(0, code, output)
            assert.equal(shown, output:match "%d+")
            assert.is_false(there(name)) -- the state that ended has closed it
        end
        for _, bad in ipairs {"", "6", "66", "1777", "4755", "888", "rw-", "0o660", 660, -1, true,
            {}, "66\0000"} do
            expect.refused(bad, tls.listen, "unix:" .. path(), nil, {mode = bad})
        end
        local listed = path()
        local several <close> = assert(tls.listen({"unix:" .. listed}, nil, {mode = "600"}))
        assert.equal("600", mode_of(listed))
        several:close()
        expect.raises("no file", tls.listen, "unix:@" .. path(), nil, {mode = "600"})
        expect.raises("for a Unix socket", tls.listen, "127.0.0.1", 0, {mode = "600"})
        expect.refused("no host", tls.listen, nil, 0, {mode = "600"})
    end)

    it("is replaced where a server left it behind", function()
        local name = left_behind()
        assert.equal(ECONNREFUSED, expect.fails("system", dialled("unix:" .. name)).errno)
        local listener <close> = assert(tls.listen("unix:" .. name, nil, {mode = "600"}))
        assert.equal("600", mode_of(name))
        local client <close> = assert(dialled("unix:" .. name))
        assert.is_not_nil(client:fd() and listener:fd())
    end)

    it("stays where somebody listens, also with a full backlog, and where it is no socket",
        function()
        local name = path()
        local listener = assert(tls.listen("unix:" .. name, nil, {backlog = 1}))
        local waiting = {}
        for i = 1, 4 do
            assert.equal(EADDRINUSE, expect.fails("system", tls.listen("unix:" .. name)).errno)
            waiting[i] = pair.client():connection()
            waiting[i]:set_blocking(false)
            waiting[i]:dial("unix:" .. name)
        end
        assert.is_true(there(name))
        local file = process.spill(path(), "precious")
        assert.equal(EADDRINUSE, expect.fails("system", tls.listen("unix:" .. file)).errno)
        assert.equal("precious", process.slurp(file))
        local directory = path()
        assert(uv.fs_mkdir(directory, 448))
        assert.equal(EADDRINUSE, expect.fails("system", tls.listen("unix:" .. directory)).errno)
        local link = path()
        assert(uv.fs_symlink(left_behind(), link))
        assert.equal(EADDRINUSE, expect.fails("system", tls.listen("unix:" .. link)).errno)
        assert.is_true(there(link))
        for _, conn in ipairs(waiting) do conn:free() end
        listener:close()
    end)

    it("goes with its listener, and not where another one has its name", function()
        local name = path()
        local listener = assert(tls.listen("unix:" .. name))
        assert.is_true(there(name))
        listener:close()
        assert.is_false(there(name))
        listener = assert(tls.listen("unix:" .. name))
        assert(os.remove(name))
        local other <close> = assert(tls.listen("unix:" .. name))
        listener:close()
        assert.is_true(there(name))
        assert.is_not_nil((dialled("unix:" .. name)))
        other:close()
    end)
end)

describe("a child of fork", function()
    it("leaves the file of its parent's socket", function()
        local name = path()
        local script = process.spill(name .. ".lua", [[
            package.cpath = arg[2] .. "/spec/support/?.so;" .. package.cpath
            local tls, uv = require "tlslife", require "luv"
            local listener = assert(tls.listen("unix:" .. arg[1]))
            local in_child = require "fork"()
            if in_child then
                listener:close()
                os.exit(0, false)
            end
            io.write(uv.fs_lstat(arg[1]) and "there, " or "gone, ")
            listener:close()
            io.write(uv.fs_lstat(arg[1]) and "there" or "gone")
        ]])
        local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
        local code, output = process.run {program.path, script, name, build}
        assert.equal(0, code, output)
        assert.equal("there, gone", output)
    end)
end)

describe("a Unix socket whose backlog is full", function()
    local function full(name)
        local kept = {}
        repeat
            local conn = pair.client():connection()
            conn:set_blocking(false)
            local ok = conn:dial(name)
            kept[#kept + 1] = conn
        until not ok
        expect.word("want_read", kept[#kept]:dial(name))
        return kept
    end

    it("is tried until the deadline", function()
        local name = "unix:" .. path()
        local listener <close> = assert(tls.listen(name, nil, {backlog = 1}))
        local kept = full(name)
        local conn <close> = pair.client():connection()
        conn:set_timeout(0.05)
        expect.word("timeout", conn:dial(name))
        for _, one in ipairs(kept) do one:free() end
        listener:close()
    end)

    for _, driver in ipairs(loops.drivers) do
        if driver.yields then
            it("is waited for in a coroutine of " .. driver.name, function()
                local name = "unix:" .. path()
                local listener <close> = assert(tls.listen(name, nil, {backlog = 1}))
                local kept = full(name)
                local ok, why
                loops.run(driver, function(spawn, sleep)
                    spawn(function()
                        local conn <close> = pair.client():connection()
                        conn:set_timeout(20)
                        ok, why = conn:dial(name)
                    end)
                    sleep(0.03)
                    assert.is_nil(ok)
                    for _ = 1, #kept do listener:accept(pair.server(), 0) end
                end)
                assert.is_true(ok, why)
                for _, one in ipairs(kept) do one:free() end
            end)
        end
    end
end)

describe("a session over Unix sockets", function()
    it("belongs to the socket that it was made over", function()
        local one, other = "unix:" .. path(), "unix:" .. path()
        local listeners = {[one] = assert(tls.listen(one)), [other] = assert(tls.listen(other))}
        local client, server = pair.client {cache = tls.cache {}}, pair.server()
        local function outcome(name)
            local conn <close> = client:connection()
            conn:set_hostname "localhost"
            assert(conn:dial(name))
            local peer <close> = assert(listeners[name]:accept(server, 20))
            conn:set_blocking(false)
            peer:set_blocking(false)
            pair.drive(conn, peer)
            pair.send(peer, conn, "hello") -- and the tickets before it
            local found = conn:resumption()
            pair.finish(conn, peer)
            return found
        end
        assert.equal("not_cached", outcome(one))
        assert.equal("not_cached", outcome(other))
        assert.equal("resumed", outcome(one))
        for _, listener in pairs(listeners) do listener:close() end
    end)
end)

describe("OpenSSL's program over a Unix socket", function()
    it("is served by tls.serve and its workers", function()
        local name = path()
        local server = serving.start(([[address = {"127.0.0.1:0", "unix:%s"}, workers = 2,
            mode = "660"]]):format(name), 2)
        assert.equal("660", mode_of(name))
        for _ = 1, 2 do
            local client = process.start {"openssl", "s_client", "-unix", name, "-CAfile",
                pki.ca_file, "-verify_return_error",
                "-servername", "localhost", "-quiet", stdin = true, timeout = 60}
            client:write "!worker"
            assert.truthy(client:wait_for "([12])")
            client:stop()
        end
        serving.stop(server)
        assert.is_false(there(name))
    end)

    it("is dialled", function()
        local name = path()
        -- It is given a relative path, because it ends if the path has more than 31 bytes.
        local server = process.start {"sh", "-c", 'cd "$0" && exec "$@"', process.directory(),
            "openssl", "s_server", "-unix", name:match "[^/]+$", "-cert", pki.server_cert_file,
            "-key", pki.server_key_file, "-cert_chain", pki.server_cert_file, "-rev", timeout = 60}
        assert.is_true(serving.eventually(20, function() return there(name) end))
        local conn
        assert.is_true(serving.eventually(20,
            function() -- the file is there before somebody listens
            conn = dialled("unix:" .. name)
            return conn
        end))
        assert(conn:connect())
        conn:write "hello\n"
        assert.equal("olleh\n", conn:read())
        conn:close()
        server:stop()
    end)

    it("is refused by tls.serve in what cannot be", function()
        local function serve(options)
            options.context, options.handler = {}, print
            return tls.server(options)
        end
        expect.raises("cannot be shared", serve, {address = "unix:/tmp/x", reuse_port = true})
        expect.raises("no address is one", serve, {address = ":0", mode = "660"})
        expect.raises("unix:/path", serve, {address = "unix:/"})
        expect.raises("unix:/path", serve, {address = "unix:/" .. ("x"):rep(107)})
    end)
end)
