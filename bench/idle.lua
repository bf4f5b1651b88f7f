-- idle.lua: counts what an idle connection of tls.serve holds, block by block, beside one of plain
-- C. The server has on_request in one row, and a handler that waits in a read in another. See
-- bench/README.md.
--
-- The first connections stay open, since what Lua has not collected of others would be counted as
-- being there before.
--
-- The servers run with bench/blocks.so preloaded, tls.serve in the system's lua5.4, since the
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
    words = servers.unlimited { "env", table.unpack(words) }
    words.environment, words.timeout = { LD_PRELOAD = machine.BESIDE .. "/bench/blocks.so" },
        SECONDS
    local server = process.start(words)
    local port, pid = server:wait_for("(%d+) (%d+)", 20)
    local context = assert(tls.context { role = "client", ca = ca, timeout = 20 })
    local warm = open(context, port, WARM_UP)
    look(server, pid, 1)
    local list = open(context, port, count)
    local blocks = look(server, pid, 2)
    for _, those in ipairs { warm, list } do
        for _, conn in ipairs(those) do
            conn:free()
        end
    end
    server:stop()
    return blocks
end

-- The blocks of the three servers' connections, by size.
local function all_of(settings, count)
    local tls, files = require "tlslife", settings.side:identity()
    local theirs = measure(tls, { machine.BESIDE .. "/bench/server_plain", files.certificate,
        files.private_key }, files.ca, count)
    local paths = ("LUA_PATH=%s/../lua/?.lua;%s/../lua/?/init.lua;;"):format(machine.HERE,
        machine.HERE)
    local function ours(kind)
        return measure(tls, { paths, ("LUA_CPATH=%s/lua/?.so;;"):format(machine.BESIDE), "lua5.4",
            machine.HERE .. "/server/ours.lua", files.certificate, files.private_key, "1", kind },
            files.ca, count)
    end
    return theirs, ours "requests", ours "handler"
end

-- What blocks of these sizes are, with OpenSSL 3.0 and Lua 5.4 on 64 bits, where a backtrace of
-- each told it. Some sizes are several things.
local WHAT <const> = {
    [10] = "names; one of ours: the name that the client asked for",
    [32] = "keys; three of ours: ex_data, from the SSL to us",
    [48] = "ours: descriptors of the transport",
    [56] = "lists; one is plain C's own connection",
    [64] = "Lua's: a call (live, xpcall, handler, http, read, wait, yield)",
    [208] = "Lua's: the handler's coroutine",
    [216] = "digests and parameters",
    [224] = "Lua's: the userdata of the connection, six user values",
    [336] = "extensions of the ClientHello",
    [568] = "ours: tlslife_conn",
    [536] = "copy of the context's certificates",
    [928] = "SSL_SESSION",
    [960] = "cipher contexts, to read and to write",
    [1360] = "Lua's: the stack of the coroutine, 85 slots",
    [7624] = "SSL",
}
local TABLES_FROM <const> = 4096 -- and not SSL: tables of Lua's that grow with the connections

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

local function name_of(size)
    local what = WHAT[size] or size > TABLES_FROM and "tables that grow with the connections"
    return ("%d bytes%s"):format(size, what and ": " .. what or "")
end

local SIDES <const> = { "C", "on_request", "more than C", "handler" }

-- A row of bytes a connection.
local function bytes_row(name, bytes)
    local values = { ["more than C"] = { bytes[2] - bytes[1] } }
    for i, side in ipairs { "C", "on_request", "handler" } do
        values[side] = { bytes[i] }
    end
    return { name = name, unit = "B", values = values }
end

local function add(sum, bytes)
    for i, value in ipairs(bytes) do
        sum[i] = sum[i] + value
    end
end

return function(settings)
    local count = math.tointeger(tonumber(settings.connections or 2000)) or
        error("idle wants a number of connections", 0)
    return {
        title = {
            ("What an idle connection holds, in blocks of each size; %d connections.")
                :format(count),
        },
        sides = SIDES, name_width = 72,
        measure = function(_, own, report)
            local servers_blocks = { all_of(own, count) }
            local sum, small = { 0, 0, 0 }, { 0, 0, 0 }
            for _, size in ipairs(sizes_of(table.unpack(servers_blocks))) do
                local bytes, most = {}, 0
                for i, blocks in ipairs(servers_blocks) do
                    bytes[i] = (blocks[size] or 0) / count * size
                    most = math.max(most, bytes[i])
                end
                add(sum, bytes)
                -- Small ones are summed up.
                if most >= 16 or WHAT[size] and most >= 4 then
                    report(bytes_row(name_of(size), bytes))
                else
                    add(small, bytes)
                end
            end
            report(bytes_row("all other sizes", small))
            report(bytes_row("sum", sum))
        end,
    }
end
