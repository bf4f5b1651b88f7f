-- tlslife.wait.copas: makes blocking calls yield to copas 4, in its threads and handlers.
--
--   local copas = require "copas"
--   require "tlslife.wait.copas" -- first: in threads and servers added earlier, calls block
--   copas.addthread(function() conn:read() end)
--
-- copas waits for sockets in two queues of its own. A coroutine that waits there cannot be woken,
-- and has no deadline of its own. So the coroutine itself sleeps (copas.sleep, copas.wakeup), and a
-- stand-in waits in the queues: an object that select takes for a socket, and a coroutine that
-- wakes the sleepers. It is taken out as soon as no coroutine waits for the descriptor. Each
-- descriptor has one stand-in, in both queues and for all waiters, because LuaSocket's select finds
-- its objects by their number: of two with the same number it would report only one. The queues are
-- not public. copas.receive and copas.send yield them. A copas that does not do that, or cannot
-- sleep, is refused when this file is loaded.
--
-- While a stand-in is in a queue, it keeps the owner of its descriptor alive, because select ends
-- the whole loop with an error when it sees a closed descriptor. For the same reason a descriptor
-- beyond FD_SETSIZE is refused here.

local copas = require "copas"
local socket = require "socket"
local core = require "tlslife.core"

local LIMIT = socket._SETSIZE or 1024
local sleep, wakeup = copas.sleep, copas.wakeup

local function check(known)
    if not known then
        error("tlslife.wait.copas does not know this copas: " .. tostring(copas._VERSION), 0)
    end
end

check(sleep and wakeup and copas.addnamedthread)

-- --------------------------------------------------------------------- which coroutines copas runs

local threads = setmetatable({}, {__mode = "k"}) -- the coroutines that copas runs

local function known(handler)
    return function(...)
        threads[coroutine.running()] = true
        return handler(...)
    end
end

local addserver = copas.addserver
function copas.addserver(server, handler, ...)
    return addserver(server, known(handler), ...)
end

-- addthread calls this one. In earlier releases of copas 4 the name was the second argument.
local addnamedthread = copas.addnamedthread
function copas.addnamedthread(first, second, ...)
    if first == nil or type(first) == "string" then
        return addnamedthread(first, known(second), ...)
    end
    return addnamedthread(known(first), second, ...)
end

-- ----------------------------------------------------------------------------------------- waiting

--- The queue in which copas's receive or send waits. The function is called with an object that is
-- not ready at first, and then is.
local function queue_of(name)
    local result, queue
    local object = {[name] = function() return result, "timeout", 0 end}
    local co = coroutine.create(function() copas[name](object, "x") end)
    repeat -- copas also pauses at random, in another queue
        local ok, what, where = coroutine.resume(co)
        if ok and what == object then queue, result = where, 1 end
    until coroutine.status(co) == "dead"
    for _, method in ipairs {"insert", "remove", "push", "pop"} do
        check(type(queue) == "table" and queue[method])
    end
    return queue
end

local queues = {r = queue_of "receive", w = queue_of "send"}

local StandIn = {} -- what select and copas ask of a socket
StandIn.__index = StandIn

function StandIn:getfd() return self.fd end
function StandIn.close() return true end

local stand_ins = {} -- by descriptor
local waits = setmetatable({}, {__mode = "k"}) -- by coroutine: {stand_in =, ready =}

--- Runs once, when select has found the descriptor ready and copas has taken the stand-in out of
-- the queue.
local function ring(stand_in, letter)
    stand_in.queued[letter] = nil
    for co in pairs(stand_in[letter]) do
        stand_in[letter][co] = nil
        if coroutine.status(co) == "suspended" then
            waits[co].ready = true
            wakeup(co)
        end
    end
end

local function enter(stand_in, letter, co)
    stand_in[letter][co] = true
    if not stand_in.queued[letter] then
        stand_in.queued[letter] = true
        queues[letter]:insert(stand_in)
        queues[letter]:push(stand_in, coroutine.create(function() ring(stand_in, letter) end))
    end
end

local function dequeue(stand_in, letter)
    stand_in.queued[letter] = nil
    queues[letter]:remove(stand_in)
    queues[letter]:pop(stand_in)
end

--- Drops the owner, because copas may hold the stand-in until its next step.
local function drop(stand_in)
    stand_in.owner = nil
    if stand_ins[stand_in.fd] == stand_in then stand_ins[stand_in.fd] = nil end
end

local function leave(stand_in, co)
    for letter in pairs(queues) do
        stand_in[letter][co] = nil
        if stand_in.queued[letter] and not next(stand_in[letter]) then dequeue(stand_in, letter) end
    end
    if not next(stand_in.queued) then drop(stand_in) end
end

--- Another owner means that the number was reused, so waiters on the old descriptor are gone.
local function stand_in_for(fd, owner)
    local stand_in = stand_ins[fd]
    if stand_in and stand_in.owner ~= owner then
        for letter in pairs(stand_in.queued) do dequeue(stand_in, letter) end
        stand_in = nil
    end
    if not stand_in then
        stand_in = setmetatable({fd = fd, owner = owner, r = {}, w = {}, queued = {}}, StandIn)
        stand_ins[fd] = stand_in
    end
    return stand_in
end

local loop = {name = "copas"}

function loop.running()
    return threads[coroutine.running()] == true
end

function loop.wait(fd, mode, seconds, owner)
    if fd >= LIMIT then
        error(("descriptor %d: LuaSocket's select, and so copas, takes those below %d")
            :format(fd, LIMIT), 0)
    end
    local co = coroutine.running()
    local wait = {stand_in = stand_in_for(fd, owner), ready = false}
    waits[co] = wait
    for letter in mode:gmatch "." do enter(wait.stand_in, letter, co) end
    sleep(seconds or -1)
    waits[co] = nil
    leave(wait.stand_in, co)
    return wait.ready
end

function loop.wake(co)
    local wait = waits[co]
    if wait then
        wait.ready = true
        leave(wait.stand_in, co)
        wakeup(co)
    end
end

--- Wakes the coroutines that wait for the descriptor, and takes it out of the queues: select must
-- not see it again.
function loop.forget(fd)
    local stand_in = stand_ins[fd]
    if not stand_in then return end
    for letter in pairs(queues) do
        for co in pairs(stand_in[letter]) do loop.wake(co) end
        if stand_in.queued[letter] then dequeue(stand_in, letter) end
    end
    drop(stand_in)
end

return core.loop(loop)
