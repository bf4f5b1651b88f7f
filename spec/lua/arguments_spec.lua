-- arguments_spec.lua: tests what the functions that are written in Lua say of arguments that mean
-- nothing. They are called with whatever a script may pass, in each place. What they raise says
-- which argument was wrong, never that something of their own was not there, and has the caller's
-- place, not one within them. hostile_spec does the same with those that are written in C.

local p = require("spec.support.pki").get()
local tls = require "tlslife"
local has_luv, uv = pcall(require, "luv")

local function nothing() end

-- nil is the last one.
local ODD = table.pack(true, false, 0 / 0, 1 / 0, -1, 0, 1.5, 1 << 62, math.mininteger, 2 ^ 40, "",
    "x", "a\0b", nothing, {}, {1}, {{}}, {"a"}, io.stdout, coroutine.create(nothing), nil)

-- What is raised is raised at this line.
local function call(func, ...)
    local results = table.pack(func(...))
    return table.unpack(results, 1, results.n)
end

local HERE <const> = ("%s:%d: "):format(debug.getinfo(call, "S").short_src,
    debug.getinfo(call, "S").linedefined + 1)

local function is_ours(why)
    return why:find "attempt to " or why:find "'%?'" or why:sub(1, #HERE) ~= HERE
end

-- Calls functions by name, in each place of three, and lists what says nothing. first() is their
-- object.
local function complaints(functions, first, without)
    local found = {}
    local function try(name, ...)
        local ok, why = pcall(call, functions[name], ...)
        why = tostring(why)
        local complaint = name .. ": " .. why
        if ok or found[complaint] or not is_ours(why) then return end
        found[#found + 1], found[complaint] = complaint, true
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
    return table.move(found, 1, #found, 1, {})
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

    it("are refused by name by what makes servers and sockets", function()
        if not has_luv then return pending "needs luv" end
        assert.same({}, complaints({socket = tls.socket}, nothing, {}))
        local found = {}
        local function try(option, value, context)
            local options = {address = "127.0.0.1:0", handler = nothing, context = context or {}}
            options[option] = value
            for name, make in pairs {serve = tls.serve, server = tls.server} do
                local ok, why = pcall(call, make, options)
                if ok or is_ours(why) then found[#found + 1] = name .. ": " .. tostring(why) end
            end
        end
        try("address", nil)
        try("address", "unix:x")
        try("handler", 1)
        try("workers", 0)
        try("timeout", 0 / 0)
        try("metrics", {})
        try("no option", 1)
        try("mode", "600")
        try("context", function() return 1 end)
        try("timeout", 1, {resumption = "x"})
        try("timeout", 1, {num_tickets = {}})
        assert.same({}, found)
        local ok, why = pcall(call, tls.serve, nil)
        assert.is_false(ok or is_ours(why), why)
    end)

    it("of a hook are raised as the hook has raised them", function()
        local mistake = "what the hook says"
        local contexts = {}
        for _, role in ipairs {"client", "server"} do
            contexts[role] = assert(tls.context {role = role, verify = "none",
                certificate = role == "server" and p.server_cert or nil,
                private_key = role == "server" and p.server_key or nil,
                on_hello = role == "server" and function() error(mistake, 0) end or nil})
        end
        local client, server = contexts.client:connection(), contexts.server:connection()
        tls.pair(client, server)
        client:set_blocking(false)
        server:set_blocking(false)
        tls.socket(client):dohandshake()
        local face = tls.socket(server)
        local ok, why = pcall(call, face.dohandshake, face)
        assert.is_false(ok)
        assert.equal(mistake, why)
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
