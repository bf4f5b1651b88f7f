-- idle.lua: what an idle connection of tls.serve holds, block by block, beside one of plain C.
--
--   tlslife bench/run.lua idle [connections]
--
-- Both servers run with build/.../bench/blocks.so preloaded, tls.serve in the system's lua5.4: the program has an
-- allocator of its own for Lua. Each connection has asked once, as in the row of bench/server.lua, and waits.
local process = require "spec.support.process"

local here = arg[0]:match "^(.*)/[^/]*$" or "."
local beside = (arg[-1] or ""):match "^(.*)/[^/]*$" or "."
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
local function measure(tls, words, files, count)
    words = table.move(words, 1, #words, 6, { "sh", "-c", 'ulimit -n "$(ulimit -Hn)" && exec "$@"', "sh", "env" })
    words.environment, words.timeout = { LD_PRELOAD = beside .. "/bench/blocks.so" }, SECONDS
    local server = process.start(words)
    local port, pid = server:wait_for("(%d+) (%d+)", 20)
    local context = assert(tls.context { role = "client", ca = files.ca, timeout = 20 })
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

return function(identity)
    local tls, count = require "tlslife", math.tointeger(tonumber(arg[2] or 2000))
    local dir = process.directory()
    local files = {
        process.spill(dir .. "/certificate", identity.certificate), process.spill(dir .. "/key", identity.private_key),
    }
    local theirs = measure(tls, { beside .. "/bench/server_plain", table.unpack(files) }, identity, count)
    local paths = ("LUA_PATH=%s/../lua/?.lua;%s/../lua/?/init.lua;;"):format(here, here)
    local ours = measure(tls, { paths, ("LUA_CPATH=%s/lua/?.so;;"):format(beside), "lua5.4", here .. "/server/ours.lua",
        table.unpack(files) }, identity, count)
    local sizes, sums = {}, { 0, 0 }
    for _, blocks in ipairs { theirs, ours } do
        for size in pairs(blocks) do
            sizes[size] = true
        end
    end
    local order = {}
    for size in pairs(sizes) do
        order[#order + 1] = size
    end
    table.sort(order)
    print(("%8s %10s %10s   blocks a connection, %d connections"):format("bytes", "C", "tls.serve", count))
    for _, size in ipairs(order) do
        local a, b = (theirs[size] or 0) / count, (ours[size] or 0) / count
        sums[1], sums[2] = sums[1] + a * size, sums[2] + b * size
        if a * size >= 4 or b * size >= 4 then
            print(("%8d %10.2f %10.2f"):format(size, a, b))
        end
    end
    print(("%8s %10.0f %10.0f   bytes"):format("", sums[1], sums[2]))
    return true
end
