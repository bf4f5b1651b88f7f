-- annotations_spec.lua: compares the annotations of lua/tlslife/types.lua, which editors and
-- readers rely on, with the module, in both directions.

local read_file <const> = require "spec.support.source".read
local tls = require "tlslife"

local TYPES = "lua/tlslife/types.lua"
local WORDS = {want_read = true, want_write = true, want_session = true, closed = true,
    truncated = true, timeout = true, busy = true, canceled = true}

-- {classes = {name = {fields}}, functions = {{owner, name, method, parameters, params, returns,
-- line}}}
local function parse(text)
    local classes, functions, params, returns, class, number = {}, {}, {}, {}, "", 0
    for line in text:gmatch "([^\n]*)\n?" do
        number = number + 1
        local name = line:match "^%-%-%-@class ([%w_.]+)"
        if name then
            classes[name] = {}
            class = name
        end
        local field, kind = line:match "^%-%-%-@field ([%w_]+) (.+)$"
        if field then classes[class][field] = kind end
        local param, param_kind = line:match "^%-%-%-@param ([%w_]+) (.+)$"
        if param then params[#params + 1] = {name = param, kind = param_kind} end
        local returned = line:match "^%-%-%-@return (.+)$"
        if returned then returns[#returns + 1] = returned end
        local owner, separator, func, arguments =
            line:match "^function (%w+)([.:])([%w_]+)(%b()) end$"
        if owner then
            local parameters = {}
            for argument in arguments:gmatch "[%w_]+" do parameters[#parameters + 1] = argument end
            functions[#functions + 1] = {
                owner = owner, name = func, method = separator == ":", parameters = parameters,
                params = params, returns = returns, line = number,
            }
            params, returns = {}, {}
        end
    end
    return {classes = classes, functions = functions}
end

local types = parse(read_file(TYPES))

local function functions_of(owner)
    local names = {}
    for _, func in ipairs(types.functions) do
        if func.owner == owner then names[func.name] = func end
    end
    return names
end

-- a slab that is gone when the last who has it is
local function store()
    local path = os.tmpname()
    local made = assert(tls.shared {path = path .. ".slab", size = 1 << 20})
    os.remove(path .. ".slab")
    os.remove(path)
    return made
end

-- one object of each kind, and what its methods are called in types.lua
local function objects()
    local client = assert(tls.context {role = "client", verify = "none"})
    local listener = assert(tls.listen("127.0.0.1", 0))
    return {
        Context = client, Connection = assert(client:connection()), Listener = listener,
        Buffer = tls.buffer(16),
        Cache = assert(tls.cache()), Keyring = tls.keyring {("k"):rep(32)},
        TicketKeys = tls.ticket_keys {}, Trace = tls.trace(),
        Store = store(),
    }
end

-- "TicketKeys" as tls.type has it
local function type_name(owner)
    return (owner:gsub("(%l)(%u)", "%1_%2"):lower())
end

local function methods_of(object)
    local metatable = debug.getmetatable(object)
    local methods = {}
    for name, value in pairs(metatable.__index) do
        if type(value) == "function" then methods[name] = true end
    end
    return methods, metatable
end

local function difference(a, b)
    local names = {}
    for name in pairs(a) do
        if not b[name] then names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

describe("the annotations", function()
    it("parse", function()
        assert.is_true(#types.functions > 100)
        assert.is_not_nil(types.classes["tlslife.ContextOptions"].role)
    end)

    it("are never loaded, since the file is not part of the module", function()
        assert.is_nil(package.loaded["tlslife.types"])
    end)

    for _, owner in ipairs {"Context", "Connection", "Listener", "Buffer", "Cache", "Store",
        "Keyring", "TicketKeys", "Trace"} do
        it("of " .. owner .. " and its metatable hold the same methods", function()
            local made = objects()
            local methods, metatable = methods_of(made[owner])
            local annotated = functions_of(owner)
            assert.same({}, difference(annotated, methods))
            assert.same({}, difference(methods, annotated))
            assert.equal("tlslife." .. type_name(owner), metatable.__name:lower())
            assert.equal("function", type(metatable.__gc))
            assert.equal("function", type(metatable.__tostring))
            assert.equal(type_name(owner), tls.type(made[owner]))
            made.Listener:close()
        end)
    end

    it("of Session and its metatable hold the same methods", function()
        local session = require("spec.support.pair").session()
        local methods, metatable = methods_of(session)
        local annotated = functions_of "Session"
        assert.same({}, difference(annotated, methods))
        assert.same({}, difference(methods, annotated))
        assert.equal("tlslife.session", metatable.__name:lower())
        assert.equal("session", tls.type(session))
    end)

    it("of the module hold its functions and constants, and no others", function()
        local annotated = {}
        for name in pairs(functions_of "tlslife") do annotated[name] = "function" end
        for name, kind in pairs(types.classes["tlslife"]) do annotated[name] = kind:match "^%w+" end
        local found = {}
        for name, value in pairs(tls) do found[name] = math.type(value) or type(value) end
        assert.same(annotated, found)
        assert.equal(1, tls.SENT_SHUTDOWN)
        assert.equal(2, tls.RECEIVED_SHUTDOWN)
        assert.truthy(tls.version:match "^%d+%.%d+%.%d+$")
        assert.truthy(tls.openssl_version:match "^OpenSSL 3%.")
    end)

    it("name every parameter once, in the order of the call", function()
        for _, func in ipairs(types.functions) do
            local names = {}
            for i, param in ipairs(func.params) do names[i] = param.name end
            assert.same(func.parameters, names, ("%s:%d: %s"):format(TYPES, func.line, func.name))
        end
    end)

    it("say nil, message, err of every function that can fail", function()
        for _, func in ipairs(types.functions) do
            local where = ("%s:%d: %s"):format(TYPES, func.line, func.name)
            assert.is_true(#func.returns <= 3, where)
            -- Store:wait never fails, and a Socket has LuaSocket's results
            if #func.returns == 3 and func.returns[2] ~= "boolean writing" and
                func.owner ~= "Socket" then
                assert.truthy(func.returns[1]:match "%?" or func.returns[1]:match "nil", where)
                assert.equal("string? message", func.returns[2], where)
                assert.equal("tlslife.Error? err", func.returns[3], where)
            end
        end
    end)

    it("give the right number of values for each getter", function()
        local made = objects()
        local before = { "blocking", "timeout", "hostname", "fd", "peer_address", "handshake_done",
            "pending", "has_pending",
            "early_data_status", "get_shutdown", "quiet_shutdown", "session",
            "take_session", "session_reused",
            "renegotiate_pending", "state", "state_text", "is_server", "version", "cipher", "group",
            "alpn", "server_name",
            "peer_certificates", "finished", "peer_finished", "ocsp_response", "resumption",
            "ticket_data", "take_keylog",
            "pollfd", "events", "error", "context" }
        local annotated = functions_of "Connection"
        for _, name in ipairs(before) do
            assert.is_not_nil(annotated[name], name)
            local got = table.pack(made.Connection[name](made.Connection))
            assert.equal(#annotated[name].returns, got.n, name)
            if got[1] ~= nil then
                local kind = annotated[name].returns[1]
                local lua = math.type(got[1]) or type(got[1])
                assert.truthy(kind:find(lua, 1, true) or kind:find '^"' and lua == "string" or
                    kind:find "tlslife%." and lua == "userdata" or kind:find "^number" and
                    lua ~= "string", name .. " is " .. lua)
            end
        end
        made.Listener:close()
    end)

    it("name the words that calls return", function()
        local text = read_file(TYPES)
        for word in pairs(WORDS) do assert.truthy(text:find('"' .. word .. '"', 1, true), word) end
    end)
end)

-- the fields of an inline table type: {path: string, size: integer, wipe: boolean?}
local function fields_of(func)
    local fields = {}
    for name in functions_of "tlslife"[func].params[1].kind:gmatch "([%w_]+):" do
        fields[name] = true
    end
    return fields
end

-- of each function that takes a table of options: those that are annotated, and what it demands
local makers = {
    context = {types.classes["tlslife.ContextOptions"], {role = "server"}},
    cache = {types.classes["tlslife.CacheOptions"], {}},
    redis = {types.classes["tlslife.RedisOptions"], {}},
    shared = {fields_of "shared", {path = "/nowhere/slab", size = 65536}},
    ticket_keys = {fields_of "ticket_keys", {}},
    trace = {fields_of "trace", {}},
}

for maker, about in pairs(makers) do describe("the options of " .. maker, function()
    local options, demanded = table.unpack(about)

    -- what it says of an option that is not there, with the name taken out
    local function complaint(name)
        local all = {[name] = coroutine.create(print)}
        for other, value in pairs(demanded) do all[other] = all[other] or value end
        local ok, message = pcall(tls[maker], all)
        assert.is_false(ok, name .. " accepts a coroutine")
        message = type(message) == "table" and message.message or tostring(message)
        local plain = name:gsub("%p", "%%%0")
        local without, count = message:gsub("%f[%w_]" .. plain .. "%f[^%w_]", "*")
        -- a word of the message itself
        if name == "option" then without, count = message:gsub("'option'", "'*'") end
        return without, count, message
    end

    local unknown = complaint "no_such_option"

    it("that are annotated are all known, and a wrong type is refused by its name", function()
        for name in pairs(options) do
            local said, named, message = complaint(name)
            assert.is_true(named > 0, name .. ": " .. message)
            assert.not_equal(unknown, said, name)
        end
    end)

    it("that are known are all annotated", function()
        local candidates = {}
        local list = "ls src/lua/*.c src/lua/*/*.c include/*.h lua/tlslife/*.lua"
        for path in io.popen(list):lines() do
            local text = read_file(path)
            for word in text:gmatch '"([%l_][%w_]+)"' do candidates[word] = true end
            for word in text:gmatch "_([%l][%l_]+)" do candidates[word] = true end
            for word in text:gmatch "_set_([%l_]+)" do candidates[word] = true end
            for word in text:gmatch "_add_([%l_]+)" do candidates[word] = true end
        end
        local extra, probed = {}, 0
        for word in pairs(candidates) do
            probed = probed + 1
            if not options[word] and complaint(word) ~= unknown then extra[#extra + 1] = word end
        end
        assert.same({}, extra)
        assert.is_true(probed > 200)
    end)

    it("are all drawn by the fuzz target of tables of options", function()
        local drawn = {}
        local names = read_file "spec/fuzz/fuzz_options.c":match "names%[%] = (%b{})"
        for name in names:gmatch '"([%l_%d]+)"' do drawn[name] = true end
        assert.same({}, difference(options, drawn))
    end)

    it("refuse keys that are no strings", function()
        for _, key in ipairs { 1, 1.5, true, {}, print } do
            local all = {[key] = true}
            for other, value in pairs(demanded) do all[other] = value end
            assert.is_false((pcall(tls[maker], all)))
        end
    end)
end) end
