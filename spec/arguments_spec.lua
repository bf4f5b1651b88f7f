-- arguments_spec.lua: what the functions that are written in Lua say of arguments that mean
-- nothing. They are called with whatever a script may pass, in each place. What they raise says
-- which argument was wrong, and never that something of their own was not there. spec/hostile_spec
-- does the same with those that are written in C.

local p = require("spec.support.pki").get()
local tls = require "tlslife"
local has_luv, uv = pcall(require, "luv")

local function nothing() end

-- nil is the last one.
local ODD = table.pack(true, false, 0 / 0, 1 / 0, -1, 0, 1.5, 1 << 62, math.mininteger, 2 ^ 40, "",
    "x", "a\0b", nothing, {}, {1}, {{}}, {"a"}, io.stdout, coroutine.create(nothing), nil)

local function is_ours(why)
    return why:find "attempt to " or why:find "'%?'" or why:find "^%[tlslife.-%d+: number has no "
end

-- Calls functions by name, in each place of three, and lists what says nothing. first() is their
-- object.
local function complaints(functions, first, without)
    local found = {}
    local function try(name, ...)
        local ok, why = pcall(functions[name], ...)
        why = tostring(why)
        if not ok and is_ours(why) then found[#found + 1] = name .. ": " .. why end
    end
    for name, func in pairs(functions) do
        for i = 1, type(func) == "function" and not without[name] and ODD.n or 0 do
            try(name, ODD[i])
            try(name, first(), ODD[i])
            try(name, first(), 1, ODD[i])
            try(name, first(), "x", ODD[i])
            try(name, first(), "x", "y", ODD[i])
        end
    end
    table.sort(found)
    return found
end

describe("arguments that mean nothing", function()
    it("are refused by name by the methods of tls.socket", function()
        local conn = assert(tls.context {role = "client", verify = "none", timeout = 0.01})
            :connection()
        conn:set_memory()
        local face = tls.socket(conn)
        assert.same({}, complaints(getmetatable(face).__index, function() return face end,
            {close = true}))
    end)

    it("are refused by name by the methods of a server", function()
        if not has_luv then return pending "needs luv" end
        local server = assert(tls.server {address = "127.0.0.1:0", handler = nothing,
            log = function() end, context = {certificate = p.server_cert,
                private_key = p.server_key}})
        assert.same({}, complaints(getmetatable(server).__index, function() return server end,
            {__index = true, stop = true}))
        assert.same({}, complaints({stop = server.stop}, function() return {} end, {}))
        for i = 1, ODD.n - 1 do
            local ok, why = pcall(server.stop, server, ODD[i])
            assert.truthy(ok or why:find "bad argument #1 to 'stop'", why)
            ok, why = pcall(server.stop, server, 0, ODD[i])
            assert.truthy(ok or why:find "bad argument #2 to 'stop'", why)
        end
        local stopped
        server:stop(0, function() stopped = true end)
        repeat uv.run "nowait" until stopped
    end)

    it("are refused by name by the drop-in for LuaSec", function()
        local ssl = require "tlslife.luasec"
        local contexts, core, x509 = require "ssl.context", require "ssl.core", require "ssl.x509"
        local function context()
            local made = contexts.create "any"
            contexts.setmode(made, "client")
            return made
        end
        local function face() return core.create(context()) end
        local certificate = x509.load(p.server_cert)
        assert.same({}, complaints(contexts, context, {}))
        assert.same({}, complaints(getmetatable(context()).__index, context, {}))
        -- a number is a descriptor, which would be closed
        assert.same({}, complaints(core, face, {setfd = true, setmethod = true}))
        assert.same({}, complaints({setmethod = core.setmethod}, nothing, {}))
        assert.same({}, complaints(getmetatable(face()).__index, face, {}))
        assert.same({}, complaints(x509, nothing, {}))
        assert.same({}, complaints(getmetatable(certificate).__index,
            function() return certificate end, {}))
        assert.same({}, complaints({newcontext = ssl.newcontext}, nothing, {}))
    end)
end)
