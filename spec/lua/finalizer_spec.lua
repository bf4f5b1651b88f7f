-- finalizer_spec.lua: a script's finalizer frees an object while one of its own methods runs.
-- Whatever a method makes (a string, a table, a userdata) may set the collector going; the method
-- then has to find that its object is gone, and say so, and never to touch what was freed. Under
-- AddressSanitizer a method that does touch it ends the run.

local collector = require "spec.support.collector"
local pair = require "spec.support.pair"
local tls = require "tlslife"

-- Calls method(object, ...), and lets the collector's very next step, wherever in the method that
-- is, free the object. Whether it did, and what came of it.
local function freed_within(object, method, ...)
    local freed = false
    collectgarbage()
    collectgarbage "stop"
    setmetatable({}, {
        __gc = function()
            freed = true
            pcall(object.free or object.close, object)
        end,
    })
    collector.generational(1, 1)
    collectgarbage "restart"
    local outcome = table.pack(pcall(method, object, ...))
    collectgarbage "generational"
    collectgarbage()
    return freed, outcome
end

local long = {}
for i = 1, 300 do long[i] = "piece " .. i end

local function open_client()
    local client, server = pair.connect {
        client = pair.client { keylog = true, alpn = { "a" } },
        server = pair.server { alpn = { "a" } },
    }
    server:write(("x"):rep(5000))
    return client, server
end

local function fresh_client()
    return pair.client():connection()
end

local function listener()
    return assert(tls.listen("127.0.0.1", 0))
end

-- what is made, the method, its arguments
local calls = {
    { "connection", fresh_client, "dup" },
    { "connection", fresh_client, "context" },
    { "connection", fresh_client, "error" },
    { "connection", fresh_client, "take_session" },
    { "connection", fresh_client, "set_alpn", { "one", "two" } },
    { "connection", fresh_client, "set_hostname", "localhost" },
    { "connection", fresh_client, "dial", "127.0.0.1", 1 },
    { "connection", fresh_client, "set_memory" },
    { "connection", fresh_client, "read" },
    { "connection", open_client, "dup" },
    { "connection", open_client, "context" },
    { "connection", open_client, "session" },
    { "connection", open_client, "take_session" },
    { "connection", open_client, "take_keylog" },
    { "connection", open_client, "peer_certificates" },
    { "connection", open_client, "export_keying_material", 5000, "EXPERIMENTAL-label" },
    { "connection", open_client, "finished" },
    { "connection", open_client, "alpn" },
    { "connection", open_client, "verify_result" },
    { "connection", open_client, "read", 4096 },
    { "connection", open_client, "peek", 4096 },
    { "connection", open_client, "write", long },
    { "connection", open_client, "write", "bytes" },
    { "connection", open_client, "close" },
    { "connection", open_client, "clear" },
    { "context", function() return pair.client() end, "connection" },
    { "context", function() return pair.client() end, "import_session", "no session" },
    { "context", function() return pair.client() end, "conf", "MinProtocol", "nothing known" },
    { "session", function() return (open_client():session()) end, "dup" },
    { "session", function() return (open_client():session()) end, "export" },
    { "session", function() return (open_client():session()) end, "export", "pem" },
    { "session", function() return (open_client():session()) end, "peer_certificate" },
    { "session", function() return (open_client():session()) end, "id" },
    { "cache", function() return assert(tls.cache {}) end, "stats" },
    { "cache", function() return assert(tls.cache {}) end, "entries" },
    { "cache", function() return assert(tls.cache {}) end, "get", "an id" },
    { "cache", function() return assert(tls.cache {}) end, "export",
        tls.keyring { ("k"):rep(32) } },
    { "listener", listener, "accept", pair.server(), 0 },
    { "listener", listener, "port" },
    { "listener", listener, "addresses" },
    { "listener", listener, "set_proxy_protocol", true, { "127.0.0.1" } },
    { "listener", function() return assert(tls.listen { "127.0.0.1:0", "127.0.0.2:0" }) end,
        "split" },
    { "trace", function() return tls.trace {} end, "next" },
}

describe("a finalizer that frees an object while its method runs", function()
    after_each(function()
        collectgarbage "restart"
        collectgarbage "generational"
    end)

    for number, call in ipairs(calls) do
        local kind, make, name = call[1], call[2], call[3]
        local title = ("does no harm to %s %s:%s (%d)"):format(make == fresh_client and "a fresh" or
            "a", kind, name, number)
        it(title, function()
            for _ = 1, 3 do
                local object, other = make()
                local freed, outcome = freed_within(object, object[name], table.unpack(call, 4))
                assert.is_true(freed)
                if not outcome[1] then
                    assert.is_string(outcome[2])
                end
                if other then other:free() end
            end
        end)
    end

    it("makes a method raise that has made Lua values", function()
        local said = 0
        for _ = 1, 20 do
            local _, outcome = freed_within(fresh_client(), fresh_client().take_session)
            said = said + (not outcome[1] and
                tostring(outcome[2]):find("the connection was freed", 1, true) and 1 or 0)
        end
        assert.is_true(said > 0, "no finalizer ran within take_session")
    end)

    it("does no harm to a method that returns an error, either", function()
        for _ = 1, 20 do
            local client = fresh_client()
            client:set_memory()
            client:set_hostname "localhost"
            client:feed "no TLS at all"
            local _, outcome = freed_within(client, client.connect)
            if outcome[1] then
                assert.is_string(outcome[3])
                assert.is_table(outcome[4])
            end
        end
    end)
end)
