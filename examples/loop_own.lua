-- Many connections at once in one thread, in a loop of one's own: coroutines, what each waits for,
-- and select. Needs LuaSocket (Debian: lua-socket).
-- Usage: tlslife loop_own.lua (cert.pem and key.pem in this directory)
local socket = require "socket"
local tls = require "tlslife"

-- The loop. waiting has for each coroutine what it waits for: {fd =, mode =, deadline =}. One
-- without fd goes on in the next round.
local waiting = {}

local function spawn(main)
    waiting[coroutine.create(main)] = {deadline = 0}
end

local function go_on(co, ready)
    waiting[co] = nil
    local ok, message = coroutine.resume(co, ready)
    if not ok then print(debug.traceback(co, message)) end
end

local function select_sockets()
    local sockets, read, write, deadline = {}, {}, {}, math.huge
    for _, wait in pairs(waiting) do
        deadline = math.min(deadline, wait.deadline)
        if wait.fd then -- LuaSocket's select takes one object for each descriptor
            local one = sockets[wait.fd] or {getfd = function() return wait.fd end}
            sockets[wait.fd] = one
            if wait.mode:find "r" then read[#read + 1] = one end
            if wait.mode:find "w" then write[#write + 1] = one end
        end
    end
    local seconds = deadline < math.huge and math.max(deadline - socket.gettime(), 0) or nil
    local readable, writable = socket.select(read, write, seconds)
    return sockets, readable, writable
end

local function run()
    while next(waiting) do
        local sockets, readable, writable = select_sockets()
        local ready, late = {}, {}
        for co, wait in pairs(waiting) do
            local one, mode = sockets[wait.fd or -1], wait.mode
            if one and (mode:find "r" and readable[one] or mode:find "w" and writable[one]) or
                wait.woken then
                ready[#ready + 1] = co
            elseif socket.gettime() >= wait.deadline then
                late[#late + 1] = co
            end
        end
        for _, co in ipairs(ready) do go_on(co, true) end
        for _, co in ipairs(late) do
            if waiting[co] then go_on(co, waiting[co].woken or false) end
        end
    end
end

-- The adapter. Every coroutine of this program belongs to the loop.
tls.loop {
    name = "own",
    running = function() return select(2, coroutine.running()) == false end,
    wait = function(fd, mode, seconds)
        local deadline = seconds and socket.gettime() + seconds or math.huge
        waiting[coroutine.running()] = {fd = fd, mode = mode, deadline = deadline}
        return coroutine.yield()
    end,
    wake = function(co)
        -- The descriptor may be closed next, so it is not selected any more.
        if waiting[co] then waiting[co] = {woken = true, deadline = 0} end
    end,
}

local server = assert(tls.context { role = "server", certificate = "cert.pem",
    private_key = "key.pem", timeout = 10 })
local client = assert(tls.context { role = "client", ca = "cert.pem", timeout = 10 })
local listener = assert(tls.listen("127.0.0.1", 0))

local function echo(conn)
    assert(conn:accept())
    local bytes = conn:read()
    while bytes do -- until the client's close_notify
        assert(conn:write(bytes))
        bytes = conn:read()
    end
    conn:close()
end

local answers = 0
local function say_hello()
    local conn = assert(client:connection())
    assert(conn:dial("localhost", listener:port()))
    assert(conn:connect())
    assert(conn:write "hello")
    assert(conn:read() == "hello")
    assert(conn:close())
    answers = answers + 1
end

spawn(function()
    for _ = 1, 10 do
        local conn = assert(listener:accept(server))
        spawn(function() echo(conn) end)
    end
end)
for _ = 1, 10 do spawn(say_hello) end
run()
print(answers .. " answers")
