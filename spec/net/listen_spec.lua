-- listen_spec.lua: tests listeners on several addresses, from a list and from a name that has
-- several, in every way of waiting. tls.serve serves them in one process, in workers and in
-- threads.

local expect = require "spec.support.expect"
local loops = require "spec.support.loops"
local pair = require "spec.support.pair"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local context = pair.server()

local function dial(address)
    local conn = assert(pair.client({timeout = 20}):connection())
    assert(conn:dial(address))
    return conn
end

local function count(map)
    local n = 0
    for _ in pairs(map) do n = n + 1 end
    return n
end

it("listen and dial name a service that the system does not know", function()
    local said = '"no-such-service" is neither a port nor a TCP service that this machine knows'
    assert.equal(said, expect.fails("resolve", tls.listen(nil, "no-such-service")).message)
    local conn = pair.client():connection()
    assert.equal(said, expect.fails("resolve", conn:dial("127.0.0.1", "no-such-service")).message)
end)

describe("a listener on several addresses", function()
    it("accepts from each of them in turn", function()
        local unix = "unix:" .. process.directory() .. "/several"
        local listener <close> = assert(tls.listen {"127.0.0.1:0", "127.0.0.2:0", unix,
            "unix:@tlslife-" .. process.run_name()})
        local addresses = listener:addresses()
        assert.equal(4, #addresses)
        assert.truthy(addresses[1]:find "^127%.0%.0%.1:%d+$")
        assert.truthy(addresses[2]:find "^127%.0%.0%.2:%d+$")
        assert.equal(unix, addresses[3])
        assert.truthy(addresses[4]:find "^unix:@tlslife%-")
        assert.equal(tonumber(addresses[1]:match "%d+$"), listener:port())
        expect.word("want_read", listener:accept(context, 0))
        expect.word("timeout", listener:accept(context, 0.02))
        local clients, came = {}, {}
        for _ = 1, 3 do
            for _, address in ipairs(addresses) do clients[#clients + 1] = dial(address) end
        end
        for i = 1, #clients do
            local conn <close> = assert(listener:accept(context, 20))
            local own = conn:peer_address() or "a Unix socket"
            came[i] = own:match "^%d+%.0%.0%.%d" or own
        end
        -- none keeps the others waiting
        local first = {}
        for i = 1, 4 do first[came[i]] = true end
        assert.is_true(count(first) >= 2, table.concat(came, " "))
        for _, conn in ipairs(clients) do conn:free() end
        expect.word("want_read", listener:accept(context, 0))
        listener:close()
        for _, address in ipairs(addresses) do
            local conn <close> = pair.client():connection()
            expect.fails("system", conn:dial(address))
        end
    end)

    it("stays closed where one of the addresses fails", function()
        local taken <close> = assert(tls.listen("127.0.0.1", 0))
        local free = process.free_port()
        local unix = "unix:" .. process.directory() .. "/all-or-none"
        local result, message, err = tls.listen {"127.0.0.2:" .. free, unix,
            "127.0.0.1:" .. taken:port()}
        expect.fails("system", result, message, err)
        assert.equal(98, err.errno)
        assert.truthy(message:find("127.0.0.1", 1, true), message)
        local again <close> = assert(tls.listen {"127.0.0.2:" .. free, unix})
        assert.equal(2, #again:addresses())
        expect.fails("resolve", tls.listen {"127.0.0.2:0", "nowhere.invalid:1"})
    end)

    it("needs an address and a port for each of them", function()
        for _, bad in ipairs {{}, {1}, {"127.0.0.1"}, {"127.0.0.1:0", "a b:1"}, {"127.0.0.1:0",
            {}}, {""}, {"127.0.0.1:0\0"}} do
            expect.refused(bad, tls.listen, bad)
        end
        expect.raises("its own port", tls.listen, {"127.0.0.1:0"}, 1)
        local same <close> = assert(tls.listen {"127.0.0.1:0"})
        assert.equal(1, #same:addresses())
    end)

    it("may be split, and each part accepts by itself", function()
        local unix = "unix:" .. process.directory() .. "/split"
        local listener = assert(tls.listen {"127.0.0.1:0", "127.0.0.2:0", unix})
        local addresses = listener:addresses()
        local parts = assert(listener:split())
        assert.equal(3, #parts)
        assert.equal(listener, parts[1])
        for i, part in ipairs(parts) do
            assert.same({addresses[i]}, part:addresses())
            local _ <close> = dial(addresses[i])
            assert(part:accept(context, 20)):free()
            assert.same({part}, assert(part:split()))
        end
        listener:close()
        collectgarbage()
        collectgarbage()
        local _ <close> = dial(addresses[2]) -- it is open still
        parts[3]:close()
        assert.is_nil(process.slurp(unix:sub(6)))
        for _, closed in ipairs {addresses[1], unix} do
            local conn <close> = pair.client():connection()
            expect.fails("system", conn:dial(closed))
        end
    end)

    it("expects PROXY headers on all of them", function()
        local listener <close> = assert(tls.listen({"127.0.0.1:0", "127.0.0.2:0"}, nil,
            {proxy_protocol = "v1", proxy_from = {"127.0.0.0/8"}}))
        for _, address in ipairs(listener:addresses()) do
            local client <close> = dial(address)
            client:plain_write "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n!"
            local server <close> = assert(listener:accept(context, 20))
            server:set_timeout(20)
            assert.equal("!", server:plain_read())
            assert.equal("192.0.2.1:1", server:peer_address())
        end
    end)

    for _, driver in ipairs(loops.drivers) do
        if driver.yields then
            it("is waited for as one in " .. driver.name, function()
                loops.run(driver, function(spawn, sleep)
                    local listener <close> = assert(tls.listen {"127.0.0.1:0", "127.0.0.2:0"})
                    local accepted = {}
                    spawn(function()
                        for i = 1, 4 do
                            local conn = assert(listener:accept(context, 20))
                            accepted[i] = conn:peer_address()
                            conn:free()
                        end
                    end)
                    for _ = 1, 2 do
                        for _, address in ipairs(listener:addresses()) do
                            local before, conn = #accepted, dial(address)
                            for _ = 1, 2000 do
                                if #accepted > before then break end
                                sleep(0.002)
                            end
                            conn:free()
                        end
                    end
                    assert.equal(4, #accepted)
                    local results
                    spawn(function() results = table.pack(listener:accept(context)) end)
                    sleep(0.01)
                    listener:close()
                    for _ = 1, 2000 do
                        if results then break end
                        sleep(0.002)
                    end
                    expect.word("canceled", table.unpack(results, 1, results.n))
                end)
            end)
        end
    end
end)

-- ------------------------------------------------------------------------------------------- names

local NAMES <const> = "both.test=127.0.0.1,::1;two.test=127.0.0.1,127.0.0.2,127.0.0.1;"
    .. "absent.test=192.0.2.1,127.0.0.1;nowhere.test=192.0.2.1"

local SCRIPT <const> = [[
local tls = require "tlslife"
local function addresses(listener)
    local list = listener:addresses()
    for i, address in ipairs(list) do list[i] = address:match "^(.*):%d+$" end
    return table.concat(list, " ")
end
local function listen(...)
    local listener = assert(tls.listen(...))
    for _, address in ipairs(listener:addresses()) do
        assert(tonumber(address:match "%d+$") == listener:port(), address)
    end
    return listener
end
for _ = 1, 20 do
    local two <close> = listen("two.test", 0)
    assert(addresses(two) == "127.0.0.1 127.0.0.2", addresses(two))
    local again <close> = listen "two.test:0"
    local absent <close> = listen("absent.test", 0)
    assert(addresses(absent) == "127.0.0.1", addresses(absent))
end
local port
do
    local listener <close> = listen("127.0.0.2", 0)
    port = listener:port()
    local none, message, err = tls.listen("two.test", port)
    assert(not none and err.errno == 98, message)
    local one <close> = assert(tls.listen("127.0.0.1", port)) -- it was not left open
end
local fixed <close> = listen("two.test", port)
local none, message, err = tls.listen("nowhere.test", 0)
assert(not none and err.errno == 99 and message:find "nowhere.test", message)
if tls.listen("::1", 0) then
    local both <close> = listen("both.test", 0)
    assert(addresses(both) == "127.0.0.1 [::1]", addresses(both))
end
local server = assert(tls.server {
    address = {"two.test:0", "127.0.0.1:0"}, handler = function() end,
    context = {certificate = arg[1], private_key = arg[2]},
})
local ports = server:ports()
assert(#ports == 3 and ports[1] == ports[2] and ports[3] ~= ports[1])
server:stop(0)
require "luv".run()
print "well done"
]]

describe("a name with several addresses", function()
    it("is listened to on each, on one port", function()
        local p = require "spec.support.pki".get()
        local code, output = program.run_with_names(NAMES, SCRIPT, p.server_cert_file,
            p.server_key_file)
        assert.equal(0, code, output)
        assert.truthy(output:find "well done", output)
    end)
end)

-- ------------------------------------------------------------------------------------------- serve

local OPTIONS <const> = [[
    address = {"127.0.0.1:0", "127.0.0.2:0", "unix:%s"},
    on_start = function(server)
        local ports = server:ports()
        io.stdout:write(("worker %%d: listening on port %%d and %%d, %%s\n"):format(
            server:stats().worker, ports[1], ports[2], tostring(ports[3])))
        io.stdout:flush()
    end,
    %s
]]

local function serve_case(name, more, workers)
    it("is served by " .. name .. ", reloaded and stopped", function()
        if more:find "threads" and not program.ours then
            return pending "threads are the program's"
        end
        local path = ("%s/serve-%s"):format(process.directory(), name)
        local server = serving.start(OPTIONS:format(path, more), workers)
        local second = server:wait_for "listening on port %d+ and (%d+), false"
        local addresses = {"127.0.0.1:" .. server.port, "127.0.0.2:" .. second, "unix:" .. path}
        local function ask_all()
            for _, address in ipairs(addresses) do
                local conn <close> = assert(serving.context():connection())
                conn:set_hostname "localhost"
                assert(conn:dial(address))
                assert(conn:connect())
                assert.equal("hello", serving.ask(conn, "hello"))
                conn:close()
            end
        end
        ask_all()
        serving.signal(server.pid, "sighup")
        for _ = 1, 3 do ask_all() end
        serving.stop(server)
        for _, address in ipairs(addresses) do
            local conn <close> = assert(serving.context():connection())
            expect.fails("system", conn:dial(address))
        end
    end)
end

describe("a list of addresses", function()
    serve_case("one", "", 1)
    serve_case("processes", "workers = 2,", 2)
    serve_case("threads", "workers = 2, threads = true,", 2)
end)
