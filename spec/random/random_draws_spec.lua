-- random_draws_spec.lua: compares the calls that random programs (spec/random) draw with all calls
-- that there are: each function, method and option of lua/tlslife/types.lua, and each function and
-- parameter of the drop-in for LuaSec. A call that is not drawn would be tested in no odd order.

local generate = require "spec.random.generate"
local process = require "spec.support.process"
local rows = require "spec.random.rows"

local SEEDS, LINES = 3000, 40
local TYPES, LUASEC, KEPT = "lua/tlslife/types.lua", "docs/luasec.md", "lua/tlslife/luasec/kept.lua"

-- What no line has, with the reason.
local NOT_DRAWN = {
    ["ssl.https"] = "it needs a server of HTTP, as spec/luasec/luasec_programs_spec.lua has",
    ["https.request"] = "the same",
    ["https.tcp"] = "the same",
}

-- What a function does that lines call: its name, and the text that shows it in the files of HELP.
local HELP = {"spec/random/helpers.lua", "spec/random/outside.lua"}
local BY_HELP = {
    ["listen_fd"] = {"adopt", "tls.listen_fd"},
    ["serve"] = {"serve_all", "tls.serve("},
    ["server"] = {"serve", "tls.server("},
    ["Connection:take_fd"] = {"sockets", "a:take_fd(fd)"},
    ["host.thread"] = {"thread", "pcall(host.thread,"},
    ["host.trace_writer"] = {"write_trace", "host.trace_writer(trace"},
    ["ServeOptions.workers"] = {"workers", "workers = 2"},
    ["ssl.wrap"] = {"wrap", "pcall(ssl.wrap,"},
    ["ssl.newcontext"] = {"wrap", "pcall(ssl.wrap,"}, -- with a table
}

local KIND_OF_CLASS = {Context = {"client", "server"}, Connection = {"conn"}, Cache = {"cache"},
    Store = {"store"}, Keyring = {"keyring"}, TicketKeys = {"ticket_keys"}, Session = {"session"},
    Listener = {"listener"}, Poller = {"poller"}, Trace = {"trace"}, Buffer = {"buffer"},
    Server = {"serving"}, Socket = {"socket"}, Thread = {"thread"}, TraceWriter = {"writer"},
    conn = {"face"}, cert = {"x509"}, ctx = {"ssl"}}

-- How a call with options begins, and the class that has them.
local MAKERS = {["tls%.context "] = "ContextOptions", ["tls%.cache "] = "CacheOptions",
    ["tls%.redis "] = "RedisOptions", ["tls%.shared "] = "shared",
    ["tls%.ticket_keys "] = "ticket_keys", ["tls%.trace "] = "trace",
    ["tls%.listen%(.-, "] = "ListenOptions", ["serve "] = "ServeOptions",
    ["serve_all%([^,]*, "] = "ServeOptions", ["metrics = "] = "MetricsOptions",
    ["ssl%.newcontext "] = "newcontext", ["psk = "] = "Psk",
    ["certificate = {"] = "CertificateAndKey", ["store = "] = "StoreFunctions"}

local class_of_slot = {}
for class, kinds in pairs(KIND_OF_CLASS) do
    for _, kind in ipairs(kinds) do
        for _, n in ipairs(rows.slots[kind]) do class_of_slot[n] = class end
    end
end

-- ----------------------------------------------------------------------------------- what is drawn

local function note_calls(line, drawn)
    for n, name in line:gmatch "o%[(%d+)%]:([%w_]+)" do
        drawn[(class_of_slot[tonumber(n)] or "?") .. ":" .. name] = true
    end
    for name in line:gmatch "%f[%w_]c:([%w_]+)" do drawn["Connection:" .. name] = true end
    for name in line:gmatch "context%(%):([%w_]+)" do drawn["Context:" .. name] = true end
    for module, name in line:gmatch "%f[%w_](%w+)%.([%l_%d]+)" do
        drawn[module .. "." .. name] = true
    end
    for name in line:gmatch "%f[%w_.:]([%l_]+)[ ({']" do drawn[name .. "()"] = true end
end

-- The names in the first level of a table of options. One that stands there alone, with whatever
-- value, does not count.
local function note_options(line, drawn)
    if line:find "^tls%.context {role = '%l+', [%l_]+ = .*, timeout = 0.01}$" then return end
    for maker, class in pairs(MAKERS) do
        for options in line:gmatch("%f[%w_]" .. maker .. "(%b{})") do
            for name in options:sub(2, -2):gsub("%b{}", ""):gmatch "([%l_]+) = " do
                drawn[class .. "." .. name] = true
            end
        end
    end
    for text in line:gmatch "workers '(.-)';" do
        for name in text:gmatch "([%l_]+) = " do drawn["ServeOptions." .. name] = true end
    end
end

local function all_drawn()
    local drawn = {}
    for seed = 1, SEEDS do
        for _, line in ipairs(generate(seed, LINES)) do
            note_calls(line, drawn)
            note_options(line, drawn)
        end
    end
    return drawn
end

-- ------------------------------------------------------------------------------ what can be called

-- Each with the word that the drawn ones have for it.
local function of_types(text)
    local all, class, params = {}, nil, ""
    for line in text:gmatch "[^\n]+" do
        class = line:match "^%-%-%-@class tlslife%.(%w+)" or class
        local field = line:match "^%-%-%-@field ([%l_]+)"
        local has_options = class and (class:find "Options$" or class == "StoreFunctions"
            or class == "Psk" or class == "CertificateAndKey") and class ~= "ThreadOptions"
        if field and has_options then all[class .. "." .. field] = class .. "." .. field end
        params = line:match "^%-%-%-@param options (%b{})" or params
        local owner, mark, name = line:match "^function (%w+)([.:])([%w_]+)%("
        if owner == "tlslife" then
            all[name] = "tls." .. name
            for option in params:gmatch "([%l_]+):" do
                all[name .. "." .. option] = name .. "." .. option
            end
        elseif owner then
            all[owner .. mark .. name] = owner .. mark .. name
        end
        if owner then params = "" end
    end
    return all
end

local MODULES = {context = "sslctx", core = "sslcore", x509 = "sslx509", ssl = "ssl",
    https = "https"}

local function of_luasec(page, kept)
    local all = {}
    for owner, mark, name in page:gmatch "\n| `(%w+)([.:])(%w+)`" do
        all[owner .. mark .. name] = (mark == "." and MODULES[owner] or owner) .. mark .. name
    end
    for name in kept:match "PARAMETERS <const> = (%b{})":gmatch '"(%l+)"' do
        all["newcontext." .. name] = "newcontext." .. name
    end
    return all
end

-- The names of those that are not drawn.
local function missing(all, drawn)
    local names = {}
    for name, word in pairs(all) do
        local helper = BY_HELP[name]
        if not drawn[word] and not NOT_DRAWN[name] and not (helper and drawn[helper[1] .. "()"])
        then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

-- --------------------------------------------------------------------------------------- the specs

describe("random programs", function()
    local drawn = all_drawn()
    local types = process.slurp(TYPES)
    local luasec = of_luasec(process.slurp(LUASEC), process.slurp(KEPT))

    it("draw each function, method and option of types.lua", function()
        assert.same({}, missing(of_types(types), drawn))
    end)

    it("draw each function and parameter of the drop-in for LuaSec", function()
        assert.same({}, missing(luasec, drawn))
    end)

    it("are compared by a spec that would find what is not drawn", function()
        local more = types .. "---@class tlslife.ServeOptions\n---@field new integer?\n" ..
            "---@param options {newer: integer?}\nfunction tlslife.newest(options) end\n" ..
            "function Listener:renew() end\n"
        assert.same({"Listener:renew", "ServeOptions.new", "newest", "newest.newer"},
            missing(of_types(more), drawn))
        luasec["conn:renew"] = "conn:renew"
        assert.same({"conn:renew"}, missing(luasec, drawn))
    end)

    it("have no exception that is not needed", function()
        local all = of_types(types)
        local help = process.slurp(HELP[1]) .. process.slurp(HELP[2])
        for name in pairs(NOT_DRAWN) do
            assert.truthy(all[name] or luasec[name], name)
            assert.is_nil(drawn[all[name] or luasec[name]], name)
        end
        for name, helper in pairs(BY_HELP) do
            assert.truthy(all[name] or luasec[name], name)
            assert.truthy(help:find(helper[2], 1, true), name .. ": " .. helper[2])
        end
    end)

    it("are lines of Lua", function()
        for seed = 1, 200 do
            for _, line in ipairs(generate(seed, LINES)) do assert(load(line)) end
        end
    end)
end)
