-- binding_spec.lua: tests what the Lua binding does, and libtlslife does not. The binding has one
-- userdata for each object, keeps hooks while a connection may call them, and names arguments in
-- messages.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()

local function collect()
    collectgarbage()
    collectgarbage()
end

describe("a userdata", function()
    it("of a freed context can be had again from a connection that still uses it", function()
        local context = pair.client {on_verify = function() return true end}
        local conn <close> = context:connection()
        context:free()
        expect.raises("context:role%(%): the context was freed", context.role, context)
        assert.is_true(rawequal(context, conn:context()))
        assert.equal("client", context:role())
        context:free()
        expect.raises("the context was freed", context.free, context)
    end)

    it("of a session is the same one, however often it is asked for", function()
        local client = pair.connect()
        local session = client:session()
        assert.is_true(rawequal(session, client:session()))
        local copy = session:dup()
        assert.is_false(rawequal(session, copy))
        assert.equal(session, copy)
        session:free() -- what the second call has handed out
        assert.equal(session, copy)
        session:free()
        assert.not_equal(session, copy)
        assert.truthy(tostring(session):find("(freed)", 1, true))
        assert.is_string(client:session():protocol())
    end)

    -- Each gives a call that hands out the same object whenever it is called, and a method that
    -- fails once that is freed.
    local function kept(cache, id) return function() return cache:get(id) end, "id" end
    local givers = {
        session = function()
            local client = pair.connect()
            return function() return client:session() end, "id"
        end,
        context = function()
            local client = pair.client():connection()
            return function() return client:context() end, "role", 1
        end,
        ["context in force"] = function()
            local target = pair.server()
            local _, server = pair.connect {server = {on_hello = function() return target end}}
            target:free()
            return function() return server:context() end, "role"
        end,
        ["cache get"] = function()
            local cache = tls.cache()
            local client, server = pair.connect {server = {resumption = "stateful"},
                client = {max_version = "TLSv1.2"}}
            local session = client:session()
            pair.finish(client, server)
            assert(cache:put(session))
            local id = session:id()
            session:free()
            return kept(cache, id)
        end,
        dup = function()
            local client = pair.connect()
            return function() return client:dup() end, "state", 1
        end,
        up_ref = function()
            local session = pair.session()
            return function() return session:up_ref() end, "id", 1
        end,
    }
    for name, make in pairs(givers) do
        it("counts the references that a call gives and free() takes back: " .. name, function()
            local give, method, had = make()
            local mine = give()
            for _ = 1, had or 0 do mine:free() end
            do
                local other <close> = give()
                assert.is_true(rawequal(mine, other))
            end
            mine[method](mine)
            for _ = 1, 3 do give() end
            for _ = 1, 4 do
                mine[method](mine)
                mine:free()
            end
            expect.raises("was freed", mine[method], mine)
            expect.raises("was freed", mine.free, mine)
        end)
    end

    it("stays valid when an older variable of the same object is freed", function()
        local client = pair.connect()
        local one = client:session()
        local old = one
        one = client:session()
        old:free()
        assert.is_string(one:protocol())
    end)

    it("counts one reference for each dup() after the handshake has begun", function()
        local client = pair.connect()
        assert.is_true(rawequal(client, client:dup()))
        client:free()
        assert.equal("open", client:state())
        client:free()
        expect.raises("connection:state%(%): the connection was freed", client.state, client)
    end)

    it("is refused as the self of another type's method", function()
        local client = pair.client()
        local read = client:connection().read
        for _, wrong in ipairs {client, io.stdout, "x", 1, {}, tls.buffer(64), print} do
            expect.raises("connection:read%(%): a connection expected as self", read, wrong)
        end
        expect.raises("connection:read%(%): a connection expected as self, got no value", read)
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        expect.raises("listener:close", listener.close, client)
        expect.raises("buffer:sub", tls.buffer(1).sub, client)
    end)

    it("may be asked for and freed in finalizers", function()
        for _ = 1, 20 do
            local client, server = pair.connect()
            setmetatable({}, {__gc = function()
                pcall(client.session, client)
                pcall(client.free, client)
                pcall(server.context, server)
            end})
        end
        collect()
    end)
end)

describe("a hook", function()
    it("of a server name's context is called although the script freed all contexts", function()
        local asked = 0
        local target = pair.server {verify = "optional", ca = p.ca_file,
            on_verify = function() asked = asked + 1 return true end}
        local main = pair.server {verify = "optional", ca = p.ca_file,
            server_names = {localhost = target}}
        local client, server = pair.join {server = main}
        target:free()
        main:free()
        target, main = nil, nil -- luacheck: ignore
        collect()
        local c, s = pair.drive(client, server)
        assert.is_true(c[1] and s[1])
        assert.equal(1, asked)
        assert.equal("server", server:context():role())
    end)

    it("of the context that on_hello chose is called although the script dropped it", function()
        local asked = 0
        local function choose()
            return pair.server {verify = "optional", ca = p.ca_file,
                on_verify = function() asked = asked + 1 return false end}
        end
        local client, server = pair.join {server = {on_hello = choose, verify = "optional",
            ca = p.ca_file}}
        local _, s = pair.drive(client, server, function(conn)
            collect()
            return conn:connect()
        end)
        expect.fails("verify", table.unpack(s, 1, 3))
        assert.equal(1, asked)
    end)

    it("names an alert by a string", function()
        local client, server = pair.join {server = {on_hello = function() return false, 40 end}}
        client:connect()
        expect.raises("on_hello returned number: the name of an alert", server.accept, server)
    end)

    it("gets versions by name", function()
        local seen
        local client, server = pair.join {
            client = {min_version = "TLSv1", ciphers = "DEFAULT@SECLEVEL=0"},
            server = {on_hello = function(_, hello) seen = table.concat(hello.versions, " ") end}}
        client:connect()
        server:accept()
        assert.equal("TLSv1.3 TLSv1.2 TLSv1.1 TLSv1", seen)
    end)
end)

describe("arguments", function()
    local key = {certificate = p.server_cert, private_key = p.server_key}
    local mistakes = {
        ["option 'ca': the list is empty"] = {ca = {}},
        ["option 'ca': element 2 is a number, not a string"] = {ca = {"system", 1}},
        ["option 'certificate': element 1 is a string, not a table"] =
            {certificate = {p.server_cert}},
        ["option 'certificate': certificate is a nil, not a string"] =
            {certificate = {{private_key = p.server_key}}},
        ["option 'certificate': unknown field 'key'"] =
            {certificate = {{certificate = p.server_cert, key = p.server_key}}},
        ["option 'passphrase': it goes with option 'certificate' as a string"] = {passphrase = "x"},
        ["option 'private_key': it goes with option 'certificate'"] = {certificate = {key},
            private_key = p.server_key},
        ["option 'psk': element 1 is a number, not a table"] = {psk = {1}},
        ["option 'psk': unknown field 'id'"] = {psk = {id = "x"}},
        ["option 'verify_all': option 'on_verify' is missing"] = {verify_all = true},
        ["option 'alpn': a NUL is in element 1"] = {alpn = {"a\0b"}},
        ["option 'options': a key is a number, not a name"] = {options = {true}},
        ["option 'server_names': tlslife.context expected, got tlslife.buffer"] =
            {server_names = {["a.example"] = tls.buffer(1)}},
        ["unknown option 'verfy'"] = {verfy = true},
    }
    for message, options in pairs(mistakes) do
        it("are named in messages: " .. message, function()
            options.role = "server"
            expect.raises(message:gsub("%p", "%%%0"), tls.context, options)
        end)
    end

    it("of listen are named in messages", function()
        expect.raises("option 'backlog': 0 is not in", tls.listen, "127.0.0.1", 0, {backlog = 0})
        expect.raises("option 'backlog': integer expected", tls.listen, "127.0.0.1", 0,
            {backlog = "1"})
        expect.raises("option 'reuse_port': boolean expected", tls.listen, "127.0.0.1", 0,
            {reuse_port = 1})
        expect.raises("unknown option 'reuseport'", tls.listen, "127.0.0.1", 0, {reuseport = true})
        expect.raises("65536 is not in 0..65535", tls.listen, "127.0.0.1", 65536)
    end)

    it("may be a buffer, which stands for its bytes", function()
        local buffer = tls.buffer(4)
        assert.equal(buffer, buffer:set "abcd")
        expect.raises("5 bytes do not fit into 4", buffer.set, buffer, "abcde")
        assert.equal("abcd", buffer:sub())
        assert.equal("abcd", buffer:sub(math.mininteger, math.maxinteger))
        assert.equal("d", buffer:sub(-1))
        assert.equal("", buffer:sub(5))
        assert.equal("", buffer:sub(3, 2))
    end)

    it("of set_fd may be objects, which are kept", function()
        local closed = {}
        local function object(method, fd)
            return setmetatable({[method] = function() return fd end},
                {__gc = function() closed[method] = true end})
        end
        for _, method in ipairs {"fd", "getfd", "fileno", "pollfd"} do
            local conn <close> = pair.client():connection()
            conn:set_fd(object(method, 0))
            collect()
            assert.equal(0, conn:fd())
            assert.is_nil(closed[method])
            conn:set_memory()
            collect()
            assert.is_true(closed[method])
            expect.raises("is no descriptor", conn.set_fd, conn, object(method, -1))
            expect.raises("is no descriptor", conn.set_fd, conn, object(method, 1.5))
            expect.raises("method fd, getfd, fileno or pollfd expected", conn.set_fd, conn, {})
        end
    end)

    it("of set_fd may free the connection", function()
        local conn = pair.client():connection()
        expect.raises("the connection was freed", conn.set_fd, conn, {fd = function()
            conn:free()
            return 0
        end})
    end)
end)
