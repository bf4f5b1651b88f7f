-- clients.lua: runs the clients of spec/faults, which are coroutines of this process. They check
-- every byte, and count what fails, what is not resumed, and what no fault excuses.
--
-- Failures are judged at the end, because a client sees the end of a connection before it is known
-- that the worker has died. A connection may fail only if the worker that served it has died, or
-- any worker, if it is not known which one served it. A session may be lost only if a fault lies
-- between its making and its use.
local uv = require "luv"
local tls = require "tlslife"
local pattern = require "pattern"

local BIG <const> = 4 << 20
local HEADER_FROM <const> = "192.0.2.1:56324"
local HEADERS <const> = { -- of the PROXY protocol, versions 1 and 2
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\12\192\0\2\1\192\0\2\2" .. (">I2I2"):pack(56324, 443),
}
local VERSIONS <const> = { "TLSv1.2", "TLSv1.3" }
local MARGIN <const> = 1 -- seconds between a signal and what it does

local Clients = {}
Clients.__index = Clients

local clients = {}

--- Seconds of a clock that does not jump.
function clients.now()
    return uv.hrtime() / 1e9
end

local now <const> = clients.now

--- Lets the coroutine that calls it sleep.
function clients.sleep(seconds)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(math.ceil(seconds * 1000), 0, function()
        timer:close()
        assert(coroutine.resume(co))
    end)
    coroutine.yield()
end

local sleep <const> = clients.sleep

--- Makes clients of the server at this port, which trust the CAs of the file ca, and have sessions
--- of TLS 1.2 and of TLS 1.3. If the server has a Unix socket, too, socket is its path, and each
--- connection begins with a PROXY header.
function clients.new(port, ca, socket)
    local self = setmetatable({
        port = port, socket = socket, over = false, living = 0, number = 0, slowest = 0,
        faults = {}, deaths = {}, failures = {}, strange = {}, unresumed = {},
        count = { handshakes = 0, resumed = 0, done = 0, bytes = 0, rude = 0, wrong = 0, dialed = 0,
            known = 0 },
        contexts = {},
    }, Clients)
    for i, version in ipairs(VERSIONS) do
        self.contexts[i] = assert(tls.context {
            role = "client", ca = ca, verify_host = false, timeout = 60, max_version = version,
        })
    end
    return self
end

function Clients:next_number()
    self.number = self.number + 1
    return self.number
end

-- -------------------------------------------------------------------------------------- operations

local function answered(read, wanted)
    local head, why = read(pattern.ANSWER:packsize())
    if not head then return nil, why end
    local found, value = pattern.ANSWER:unpack(head)
    return found == wanted and value or false
end

-- Each gives true; false where the bytes are wrong; nil and why where the connection failed.
local operation = {}

function operation.echo(conn, read, n, length)
    local bytes = pattern.piece(n, 0, length)
    local ok, why = conn:write { pattern.REQUEST:pack("E", n, length), bytes }
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    local back
    back, why = read(length)
    if not back then return nil, why end
    return value == length and back == bytes:reverse()
end

function operation.down(conn, read, n, length, each)
    local ok, why = conn:write(pattern.REQUEST:pack("D", n, length))
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    if value ~= length then return false end
    return pattern.comes(read, n, length, each)
end

function operation.up(conn, read, n, length)
    local ok, why = conn:write(pattern.REQUEST:pack("U", n, length))
    if ok then ok, why = pattern.goes(conn, n, length) end
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    return value == 0
end

-- The address that the PROXY header has said.
function operation.address(conn, read, n)
    local ok, why = conn:write(pattern.REQUEST:pack("A", n, 0))
    if not ok then return nil, why end
    local value
    value, why = answered(read, n)
    if not value then return value, why end
    local text
    text, why = read(value)
    if not text then return nil, why end
    return text:match "^(%S+) by " == HEADER_FROM
end

-- The server takes so many MiB for a second.
function operation.hog(conn, read, n, length)
    local ok, why = conn:write(pattern.REQUEST:pack("M", n, length))
    if not ok then return nil, why end
    return answered(read, n)
end

-- One operation of a connection; whether there may be another.
function Clients:run(life, name, length, each)
    local n = self:next_number()
    local good, why = operation[name](life.conn, life.read, n, length, each)
    if good then
        self.count.done, self.count.bytes = self.count.done + 1, self.count.bytes + length
        life.answered = true
    elseif good == false then
        self.count.wrong = self.count.wrong + 1
        self.strange[#self.strange + 1] = ("%s %d of %d bytes: wrong bytes"):format(name, n, length)
    else
        self:failed(life, name, why)
    end
    return good
end

function Clients:failed(life, what, why)
    life.conn_failed = true
    self.failures[#self.failures + 1] = {
        began = life.began, at = now(), pid = life.pid, what = ("%s: %s (%s)"):format(what, why,
            tostring(life.conn:error() or "")),
    }
end

-- --------------------------------------------------------------------------------- one connection

-- Which worker it is, and its word about the session.
local function ask_who(self, life)
    local n = self:next_number()
    local ok, why = life.conn:write(pattern.REQUEST:pack("W", n, 0))
    local head
    if ok then head, why = life.read(pattern.WHO:packsize()) end
    if not head then return self:failed(life, "who", why) end
    local found, pid, word = pattern.WHO:unpack(head)
    if found ~= n then
        self.count.wrong = self.count.wrong + 1
        return nil
    end
    life.pid = pid
    return word:match "^[%l_]*"
end

local function dial(self, conn)
    local ok, why
    if self.socket and math.random(2) == 1 then
        ok, why = conn:dial("unix:" .. self.socket)
    else
        ok, why = conn:dial("127.0.0.1", self.port)
    end
    if ok and self.socket then ok, why = conn:plain_write(HEADERS[math.random(#HEADERS)]) end
    return ok, why
end

-- Dials, makes the handshake, and says what became of the session that was offered.
local function begin(self, life, offered)
    if offered then life.conn:set_session(offered.session) end
    local ok, why = dial(self, life.conn)
    if ok then self.count.dialed = self.count.dialed + 1 end
    if ok then ok, why = life.conn:connect() end
    if not ok then return self:failed(life, "handshake", why) end
    self.count.handshakes = self.count.handshakes + 1
    self.slowest = math.max(self.slowest, now() - life.began)
    local word = ask_who(self, life)
    if not word then return nil end
    self.count.known = self.count.known + 1
    if life.conn:session_reused() then
        self.count.resumed = self.count.resumed + 1
    elseif offered then
        self.unresumed[#self.unresumed + 1] = {
            made = offered.made, at = now(), word = word, version = life.version,
        }
    end
    return true
end

-- work(life) on a connection, which is then closed. Its session, when there was an answer after the
-- handshake: the server had stored it by then.
function Clients:connection(offered, work)
    local version = offered and offered.version or math.random(2)
    local conn <close> = assert(self.contexts[version]:connection())
    local life = { conn = conn, began = now(), version = version, read = pattern.reader(conn) }
    if not begin(self, life, offered) then return nil end
    work(life)
    if life.conn_failed or life.left then return nil end
    local taken = conn:take_session() or version == 1 and conn:session() or nil
    conn:close(1)
    if not taken or not life.answered then return nil end
    return { session = taken, made = life.began, version = version }
end

-- ----------------------------------------------------------------------------------------- clients

local kinds = {}

function kinds.keep_alive(self)
    self:connection(nil, function(life)
        for _ = 1, math.random(200) do
            if self.over or not self:run(life, "echo", math.random(4000)) then return end
            sleep(math.random(5) / 1000)
        end
    end)
end

-- Asks seldom, so that a server with on_request parks it.
function kinds.parked(self)
    self:connection(nil, function(life)
        if not self:run(life, "address", 0) then return end
        for _ = 1, math.random(8) do
            sleep(0.1 + 2 * math.random())
            if self.over or not self:run(life, "echo", math.random(40000)) then return end
        end
    end)
end

function kinds.short(self)
    self:connection(nil, function(life) self:run(life, "echo", math.random(20000)) end)
    sleep(math.random(40) / 1000)
end

function kinds.resumed(self)
    local session
    for _ = 1, 20 do
        if self.over then return end
        session = self:connection(session, function(life)
            self:run(life, "echo", math.random(2000))
        end)
        sleep(math.random(20) / 1000)
    end
end

function kinds.big(self)
    self:connection(nil, function(life)
        if self:run(life, "up", math.random(BIG)) then self:run(life, "down", math.random(BIG)) end
    end)
    sleep(math.random(100) / 1000)
end

-- Reads so slowly that the server's writes have to wait.
function kinds.slow(self)
    self:connection(nil, function(life)
        self:run(life, "down", BIG, function(at)
            if at % (1 << 17) == 0 then sleep(0.02) end
        end)
    end)
end

-- Goes away in the middle of what is sent to it: unread bytes make the system say reset.
function kinds.reset(self)
    self:connection(nil, function(life)
        life.left = true
        life.conn:write(pattern.REQUEST:pack("D", self:next_number(), BIG))
        life.conn:read()
        life.conn:close_transport()
    end)
    sleep(math.random(100) / 1000)
end

-- Sends what the connection, which is in memory, has to say, in two parts, and waits in between.
local function push_slowly(conn, socket)
    local bytes = conn:drain()
    socket:write(bytes:sub(1, #bytes // 2))
    sleep(0.3 + math.random() / 2)
    socket:write(bytes:sub(#bytes // 2 + 1))
end

-- Feeds the connection what comes, and wakes the coroutine when it waits for that.
local function feed_from(socket, conn)
    local state, co = { came = false, over = false, waits = false }, coroutine.running()
    socket:read_start(function(bad, bytes)
        state.came = true
        if bytes then conn:feed(bytes) else state.over = bad or "ended" end
        if state.waits then
            state.waits = false
            assert(coroutine.resume(co))
        end
    end)
    return state
end

-- Makes the handshake; true, or nil and why not.
local function connect_slowly(conn, socket)
    local state = feed_from(socket, conn)
    local ok, why = conn:connect()
    while why == "want_read" do
        push_slowly(conn, socket)
        if not state.came and not state.over then
            state.waits = true
            coroutine.yield()
        end
        state.came = false
        ok, why = conn:connect()
        if why == "want_read" and state.over then why = state.over end
    end
    return ok, why
end

-- A handshake in pieces: the server waits several times in the middle of one. It is of TLS 1.2,
-- where a server has the last word, so that the client knows whether it went on to the end.
function kinds.tardy(self)
    local conn <close> = assert(self.contexts[1]:connection())
    local life, socket, co = { conn = conn, began = now() }, uv.new_tcp(), coroutine.running()
    conn:set_blocking(false)
    conn:set_memory()
    socket:connect("127.0.0.1", self.port, function(failure)
        assert(coroutine.resume(co, failure))
    end)
    local why = coroutine.yield()
    local ok = nil
    if not why then ok, why = connect_slowly(conn, socket) end
    socket:close()
    if not ok then return self:failed(life, "slow handshake", why) end
    self.count.handshakes = self.count.handshakes + 1
end

-- Sends bytes that are no handshake, or half of one, and waits until the server ends it; or does
-- not.
local function rude(self, bytes, resets)
    local co, socket = coroutine.running(), uv.new_tcp()
    local ended = false
    local function finish()
        if ended then return end
        ended = true
        local close = resets and socket.close_reset or socket.close
        close(socket, function() assert(coroutine.resume(co)) end)
    end
    socket:connect("127.0.0.1", self.port, function(failure)
        if failure then return finish() end
        self.count.rude = self.count.rude + 1
        socket:write(bytes, resets and finish or nil)
        if not resets then
            socket:read_start(function(bad, answer)
                if bad or not answer then finish() end
            end)
        end
    end)
    coroutine.yield()
end

-- It says 512 bytes, and stops early.
local HELLO <const> = "\22\3\1\2\0\1\0\1\252\3\3" .. ("h"):rep(60)

function kinds.half_hello(self) rude(self, HELLO) end

function kinds.garbage(self)
    rude(self, pattern.piece(self:next_number(), 0, 2000))
    sleep(math.random(100) / 1000)
end

function kinds.rude_reset(self)
    rude(self, HELLO, true)
    sleep(math.random(100) / 1000)
end

--- Starts so many of each kind, which come again and again until finish.
function Clients:start(mix)
    for name, many in pairs(mix) do
        for _ = 1, many do
            self.living = self.living + 1
            local co = coroutine.create(function()
                sleep(math.random(500) / 1000)
                while not self.over do kinds[name](self) end
                self.living = self.living - 1
            end)
            assert(coroutine.resume(co))
        end
    end
end

--- Lets all of them come to their end. Returns how many did not.
function Clients:finish()
    self.over = true
    local deadline = now() + 60
    while self.living > 0 and now() < deadline do sleep(0.05) end
    return self.living
end

-- ---------------------------------------------------------------------------------------- judgment

--- Sessions that are used between from and to, or are made before and used after, may be lost. With
--- breaks, connections may fail too.
function Clients:fault(from, to, breaks)
    self.faults[#self.faults + 1] = { from = from, to = to, breaks = breaks }
end

--- A worker has died: at that time, or when it was seen.
function Clients:death(pid, at)
    self.deaths[pid] = self.deaths[pid] or at
end

local function overlaps(fault, from, to)
    return fault.from <= to and fault.to >= from
end

local function is_excused(self, failure)
    for _, fault in ipairs(self.faults) do
        if fault.breaks and overlaps(fault, failure.began, failure.at) then return true end
    end
    if failure.pid then return self.deaths[failure.pid] ~= nil end
    for _, at in pairs(self.deaths) do
        if at >= failure.began - MARGIN and at <= failure.at + MARGIN then return true end
    end
    return false
end

local function is_lost(self, session)
    for _, fault in ipairs(self.faults) do
        if overlaps(fault, session.made, session.at) then return false end
    end
    return true
end

--- Counts what no fault excuses: numbers of connections cut and failed, of sessions
--- forgotten for a reason and lost without, and lines about the first of each kind.
function Clients:judge()
    local result = { cut = 0, failed = 0, excused = 0, lost = 0, lines = self.strange }
    local function tell(text)
        if #result.lines < 10 then result.lines[#result.lines + 1] = text end
    end
    for _, failure in ipairs(self.failures) do
        if is_excused(self, failure) then
            result.cut = result.cut + 1
        else
            result.failed = result.failed + 1
            tell(failure.what)
        end
    end
    for _, session in ipairs(self.unresumed) do
        if is_lost(self, session) then
            result.lost = result.lost + 1
            tell(("a session of %s, %.3f s old, was not resumed: %s")
                :format(VERSIONS[session.version], session.at - session.made, session.word))
        else
            result.excused = result.excused + 1
        end
    end
    return result
end

return clients
