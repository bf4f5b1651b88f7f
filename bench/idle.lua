-- idle.lua: what an idle connection of tls.serve holds, block by block, beside one of plain C. See
-- bench/README.md.
--
-- Both servers run with bench/blocks.so preloaded, tls.serve in the system's lua5.4, since the
-- program has an allocator of its own for Lua. Each connection has asked once, as in the row of
-- bench/server.lua, and waits.
local process, machine, servers = require "spec.support.process",
    require "machine", require "servers"

local REQUEST <const> = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
local WARM_UP <const>, SETTLE <const>, SECONDS <const> = 50, 0.5, 300

local function open(context, port, count)
    local list = {}
    for i = 1, count do
        local conn = assert(context:connection())
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        assert(conn:connect())
        assert(conn:write(REQUEST) and conn:read())
        list[i] = conn
    end
    return list
end

-- The blocks since the last look, by size.
local function look(server, pid, looks)
    process.sleep(SETTLE)
    assert(os.execute("kill -USR2 " .. pid))
    local last = server:await("its blocks", 20, function()
        local parts = {}
        for part in server:output():gmatch "(.-)end\n" do
            parts[#parts + 1] = part
        end
        return parts[looks]
    end)
    local blocks = {}
    for size, count in last:gmatch "(%d+) (%-?%d+)\n" do
        blocks[tonumber(size)] = tonumber(count)
    end
    return blocks
end

-- Blocks a connection, by size.
local function measure(tls, words, ca, count)
    words = table.move(words, 1, #words, 6,
        { "sh", "-c", 'ulimit -n "$(ulimit -Hn)" && exec "$@"', "sh", "env" })
    words.environment, words.timeout = { LD_PRELOAD = machine.BESIDE .. "/bench/blocks.so" },
        SECONDS
    local server = process.start(words)
    local port, pid = server:wait_for("(%d+) (%d+)", 20)
    local context = assert(tls.context { role = "client", ca = ca, timeout = 20 })
    for _, conn in ipairs(open(context, port, WARM_UP)) do
        conn:close()
    end
    look(server, pid, 1)
    local list = open(context, port, count)
    local blocks = look(server, pid, 2)
    for _, conn in ipairs(list) do
        conn:free()
    end
    server:stop()
    return blocks
end

-- Both servers' blocks per connection, by size.
local function both(settings, count)
    local tls, identity = require "tlslife", settings.side:identity()
    local files = servers.files(identity)
    local theirs = measure(tls, { machine.BESIDE .. "/bench/server_plain", files.certificate,
        files.private_key }, identity.ca, count)
    local paths = ("LUA_PATH=%s/../lua/?.lua;%s/../lua/?/init.lua;;"):format(machine.HERE,
        machine.HERE)
    local ours = measure(tls,
        { paths, ("LUA_CPATH=%s/lua/?.so;;"):format(machine.BESIDE), "lua5.4", machine.HERE ..
            "/server/ours.lua", files.certificate, files.private_key }, identity.ca, count)
    return theirs, ours
end

local function sizes_of(...)
    local found, order = {}, {}
    for _, blocks in ipairs { ... } do
        for size in pairs(blocks) do
            order[#order + 1] = not found[size] and size or nil
            found[size] = true
        end
    end
    table.sort(order)
    return order
end

return function(settings)
    local count = math.tointeger(tonumber(settings.connections or 2000)) or
        error("idle wants a number of connections", 0)
    return {
        title = { ("What an idle connection holds: blocks per connection, %d connections."):format(
            count) },
        sides = { "C", "tls.serve" },
        measure = function(_, own, report)
            local theirs, ours = both(own, count)
            local sum = { 0, 0 }
            for _, size in ipairs(sizes_of(theirs, ours)) do
                local a, b = (theirs[size] or 0) / count, (ours[size] or 0) / count
                sum[1], sum[2] = sum[1] + a * size, sum[2] + b * size
                if a * size >= 4 or b * size >= 4 then
                    report {
                        name = ("blocks of %d bytes"):format(size), unit = "",
                        values = { C = { a }, ["tls.serve"] = { b } },
                    }
                end
            end
            report { name = "all of them", unit = "B",
                values = { C = { sum[1] }, ["tls.serve"] = { sum[2] } } }
        end,
    }
end
