-- dial_spec.lua: tests dials at names with several addresses, of which some never answer (RFC
-- 8305), in every way of waiting.
--
-- The names are those of a program of our own under spec/support/c/names.c. An address that never
-- answers is a listener of ours whose backlog is full.

local program = require "spec.support.program"

local NAMES <const> = table.concat({
    "dead.test=127.0.0.2,127.0.0.3", "four.test=127.0.0.2,127.0.0.1",
    "six.test=127.0.0.2,127.0.0.3,::1", "first.test=::1,127.0.0.1",
    "refused.test=127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.1",
    "many.test=" .. ("127.0.0.2,"):rep(29) .. "127.0.0.2",
}, ";")

-- Says "well done" at the end. arg[1] is the driver's name.
local SCRIPT <const> = [[
local loops = require "spec.support.loops"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"
local context = assert(tls.context {role = "client", verify = "none", timeout = 20})

local function listen(host, port, backlog)
    return assert(tls.listen(host, port, {backlog = backlog}))
end

local alive = listen("127.0.0.1", 0)
local port = alive:port()
local v6 = tls.listen("::1", port)
local crowd = {}
for _, host in ipairs {"127.0.0.2", "127.0.0.3"} do
    crowd[#crowd + 1] = listen(host, port, 1)
    for _ = 1, 6 do
        local conn = assert(context:connection())
        conn:set_blocking(false)
        conn:dial(host, port)
        crowd[#crowd + 1] = conn
    end
end

local function descriptors()
    return serving.descriptors(require "luv".os_getpid())
end

-- A thread that resolves closes what is its own a moment later than the dial hears of it.
local function settle(count)
    local deadline = loops.now() + 20
    while descriptors() > count and loops.now() < deadline do process.sleep(0.01) end
    assert(descriptors() <= count, "a socket is left")
end

local function dial(name, timeout)
    local conn, begun = assert(context:connection()), loops.now()
    conn:set_timeout(timeout)
    local ok, message, err = conn:dial(name, port)
    return conn, ok, message, loops.now() - begun, err
end

local function reaches(name, address, least)
    local before = descriptors()
    local conn, ok, message, seconds = dial(name, 20)
    assert(ok, message)
    assert(conn:peer_address() == address .. ":" .. port, conn:peer_address())
    assert(seconds >= least, seconds)
    settle(before + 1)
    conn:free()
end

local function times_out(name, timeout)
    local before = descriptors()
    local conn, ok, message, seconds = dial(name, timeout)
    assert(ok == nil and message == "timeout", message)
    assert(seconds >= timeout - 0.01, seconds)
    conn:free()
    settle(before)
end

local driver
for _, one in ipairs(loops.drivers) do
    if one.name == arg[1] then driver = one end
end
if not driver then
    print "not installed"
    return
end
loops.run(driver, function(spawn, sleep)
    sleep(0.001) -- a loop has descriptors of its own, which it makes when it first needs them
    dial("four.test", 20):free()
    process.sleep(0.05)
    reaches("four.test", "127.0.0.1", 0.24)
    reaches("refused.test", "127.0.0.1", 0)
    if v6 then
        reaches("six.test", "[::1]", 0.24)
        reaches("first.test", "[::1]", 0)
    end
    times_out("dead.test", 0.4)
    times_out("dead.test", 0)
    times_out("many.test", 0.5)
    local conn = assert(context:connection())
    local ok, message, err = conn:dial("127.0.0.4", port)
    assert(not ok and err.code == "system", message)
    if driver.yields then -- a dial is given up in the middle, and another coroutine runs meanwhile
        local before = descriptors()
        local results, turns = nil, 0
        spawn(function() results = table.pack(conn:dial("dead.test", port)) end)
        while turns < 2000 and descriptors() < before + 3 do
            sleep(0.01)
            turns = turns + 1
        end
        assert(not results, results and results[2])
        -- two sockets and their group, and perhaps what this coroutine waits by
        assert(descriptors() >= before + 3, descriptors() - before)
        conn:cancel()
        while not results do sleep(0.01) end
        assert(results[2] == "canceled", results[2])
        reaches("four.test", "127.0.0.1", 0.24)
        conn:free()
    end
end)

if driver.name == "blocking" then
    local before, most, message = descriptors(), 0, nil
    local conn = assert(context:connection())
    conn:set_blocking(false)
    conn:set_timeout(1)
    repeat
        local _
        _, message = conn:dial("many.test", port)
        most = math.max(most, descriptors() - before)
        if message ~= "timeout" then
            assert(conn:fd() and conn:timeout() <= 1, conn:timeout())
            process.sleep(0.01)
        end
    until message == "timeout"
    assert(most <= 9, most) -- eight and their group, of thirty
end
print "well done"
]]

describe("a dial at a name with several addresses", function()
    for _, driver in ipairs {"blocking", "luv", "cqueues", "copas"} do
        it("reaches the one that answers (" .. driver .. ")", function()
            local code, output = program.run_with_names(NAMES, SCRIPT, driver)
            if output == "not installed\n" then return pending(driver .. " is not installed") end
            assert.equal(0, code, output)
            assert.truthy(output:find "well done", output)
        end)
    end
end)
