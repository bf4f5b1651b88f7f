-- server.lua: serves the clients of spec/faults.
--
--   tlslife server.lua certificate.pem key.pem WORKERS STORE KEYLOG SOCKET
--
-- STORE says where its sessions are: serve (what tls.serve makes by itself), slab:NAME, file:PATH
-- or redis:PORT. KEYLOG is a file, or empty. If SOCKET is not empty, it is the path of a Unix
-- socket: the server listens on it, too, wants PROXY headers, has a page of metrics, and clients
-- that wait for their next request are parked (on_request).
--
-- A answers with the client's address and the proxy's. W answers with the worker's process, and
-- whether it resumed the session. E sends the same bytes back, reversed. D sends so many bytes of
-- the pattern. U says whether so many bytes of the pattern came. M takes all memory for a second,
-- so many MiB at most.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path
local tls, uv, pattern = require "tlslife", require "luv", require "pattern"
local certificate, private_key, workers, store, keylog, socket = table.unpack(arg)
keylog = keylog ~= "" and keylog or nil

local PID <const> = uv.os_getpid()

-- All the memory that there is, so many bytes at most, in pieces that become smaller.
local function hog(most)
    local held, piece, sum, block = {}, 1 << 22, 0, ("m"):rep(64)
    while piece >= 64 and sum < most do
        local ok, bytes = pcall(string.rep, block, piece // 64)
        if ok then ok = pcall(table.insert, held, bytes) end
        if ok then sum = sum + piece else piece = piece // 2 end
    end
    return held
end

local function sleep(seconds)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(seconds * 1000, 0, function()
        timer:close()
        coroutine.resume(co)
    end)
    coroutine.yield()
end

local OPERATIONS = {
    A = function(conn, _, number)
        -- The address of a Unix socket is nil.
        local text = ("%s by %s"):format(conn:peer_address(), conn:proxy_address())
        return conn:write { pattern.ANSWER:pack(number, #text), text }
    end,
    W = function(conn, _, number)
        return conn:write(pattern.WHO:pack(number, PID, conn:resumption() or ""))
    end,
    E = function(conn, read, number, length)
        local bytes, why = read(length)
        return bytes and conn:write { pattern.ANSWER:pack(number, length), bytes:reverse() }, why
    end,
    D = function(conn, _, number, length)
        local ok, why = conn:write(pattern.ANSWER:pack(number, length))
        if not ok then return nil, why end
        return pattern.goes(conn, number, length)
    end,
    U = function(conn, read, number, length)
        local good, why = pattern.comes(read, number, length)
        if good == nil then return nil, why end
        return conn:write(pattern.ANSWER:pack(number, good and 0 or 1))
    end,
    M = function(conn, _, number, length)
        do
            local held = hog(length << 20)
            sleep(1)
            held[1] = nil
        end
        collectgarbage()
        return conn:write(pattern.ANSWER:pack(number, length))
    end,
}

local readers = setmetatable({}, { __mode = "k" }) -- by connection

--- One operation; whether there may be another.
local function on_request(conn)
    local read = readers[conn] or pattern.reader(conn)
    readers[conn] = read
    local head = read(pattern.REQUEST:packsize())
    if not head then return false end
    local kind, number, length = pattern.REQUEST:unpack(head)
    return OPERATIONS[kind](conn, read, number, length) ~= nil
end

local function handler(conn)
    repeat until not on_request(conn)
end

-- --------------------------------------------------------------------------------------- its store

local SLAB_SIZE <const> = 16 << 20
local KIND <const>, PLACE <const> = store:match "^(%l+):?(.*)$"

local STORES = {
    slab = function() return tls.shared { path = "shm:" .. PLACE, size = SLAB_SIZE } end,
    file = function() return tls.shared { path = PLACE, size = SLAB_SIZE, wipe = true } end,
    redis = function() return tls.redis { port = PLACE, timeout = 1 } end,
}

-- The cache is small, so that its growth is over soon and memory that leaks is seen; Redis is asked
-- each time.
local cache
local function context()
    if not cache then
        local home, message, err = STORES[KIND]()
        if not home then return nil, message, err end
        cache = assert(tls.cache {
            store = home, keyring = tls.keyring { ("s"):rep(32) }, capacity = 500,
            in_memory = KIND ~= "redis",
        })
    end
    return tls.context {
        role = "server", certificate = certificate, private_key = private_key, cache = cache,
        keylog = keylog,
    }
end

local by_itself = { certificate = certificate, private_key = private_key, keylog = keylog }

local parks = socket ~= ""
local ok, message = tls.serve {
    address = { "127.0.0.1:0", parks and "unix:" .. socket or nil },
    proxy_protocol = parks, proxy_from = parks and { "127.0.0.1", "unix" } or nil,
    metrics = parks and "127.0.0.1:0" or nil,
    handler = not parks and handler or nil, on_request = parks and on_request or nil,
    workers = math.tointeger(tonumber(workers)),
    context = STORES[KIND] and context or by_itself,
    handshake_timeout = 10, timeout = 60, stop_timeout = 5, backlog = 1024,
    log = function(level, text) io.stderr:write(level .. ": " .. text .. "\n") end,
    on_start = function(server)
        io.stdout:write(("worker %d %d\n"):format(server:ports()[1], PID))
        io.stdout:flush()
    end,
}
if not ok then
    io.stderr:write("refused: ", message, "\n")
    os.exit(3, true)
end
