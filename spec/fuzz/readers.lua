--- readers.lua: what fuzz_scripts.c plays. read(bytes) hands bytes to the reader that the first one
--- chooses, and raises where something does not hold; seeds is a list of inputs.
--
-- What a reader calls behaves as its comment says: it returns a result, or nil and a message, or
-- raises a mistake of the program's in words. It never raises what Lua says of code that is wrong
-- ("attempt to ..."), and touches no file outside of a directory that does not exist.

local certificate, key = ...

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path

local core = require "tlslife.core"

-- -------------------------------------------------------------------- what stands in for the world

-- Whether a descriptor is a terminal.
rawset(os, "execute", function() return false end)

local ROOT <const> = "/nowhere/root"
local opened = {} -- paths, by descriptor
local clock = 0

local function must(holds, format, ...)
    if not holds then error(format:format(...), 2) end
end

-- luv's calls about files, over files that are named by what they are.
package.preload.luv = function()
    return setmetatable({
        constants = {O_RDONLY = 0, O_NONBLOCK = 2048, O_NOCTTY = 256},
        fs_open = function(path)
            must(path:sub(1, #ROOT) == ROOT and not path:find("\0", 1, true), "it opens %q", path)
            for part in path:gmatch "[^/]+" do must(part ~= "..", "it opens %q", path) end
            if path:find "none" then return nil, "none" end
            opened[#opened + 1] = path
            return #opened
        end,
        fs_fstat = function(fd)
            local path = opened[fd]
            return {type = path:find "dir" and "directory" or "file", size = #path}
        end,
        fs_readlink = function(link) return opened[math.tointeger(link:match "%d+$")] end,
        fs_close = function(fd) opened[fd] = false end,
        getaddrinfo = function(host, port, _, answer)
            if host:find "never" then return nil, "EMFILE" end
            local list = {}
            for name in host:gmatch "[^.]+" do list[#list + 1] = {addr = name, port = port} end
            if host:find "none" then answer "EAI_NONAME" else answer(nil, list) end
            return true
        end,
        hrtime = function() -- 10 ms pass with each look at the clock
            clock = clock + 10000000
            return clock
        end,
        now = function() return 0 end,
        new_timer = function()
            return {start = function() end, close = function() end}
        end,
        fs_read = function(fd, n) return ("x"):rep(math.min(n, #opened[fd])) end,
        fs_scandir = function(path) return {path} end,
        fs_scandir_next = function(list)
            return table.remove(list), "file"
        end,
    }, {__index = function() return function() end end})
end

-- ------------------------------------------------------------------------------------- the input

local Input = {}
Input.__index = Input

function Input:byte()
    local byte = self.bytes:byte(self.at) or 0
    self.at = self.at + 1
    return byte
end

function Input:take(n)
    local taken = self.bytes:sub(self.at, self.at + n - 1)
    self.at = self.at + #taken
    return taken
end

function Input:rest() return self:take(#self.bytes) end

-- A connection whose peer sends bytes in pieces of that size, and then ends. said() is all that was
-- written to it with write.
local function conn_of(bytes, size)
    local at = 1
    local self, written = {}, {}
    function self.read()
        if at > #bytes then return nil, "closed" end
        local piece = bytes:sub(at, at + size - 1)
        at = at + #piece
        return piece
    end
    self.plain_read = self.read
    function self.write(_, data)
        written[#written + 1] = data
        return #data
    end
    function self.plain_write(_, data, from) return math.min(size, #data - (from or 1) + 1) end
    function self.set_timeout() end
    function self.early() return false end
    function self.cork() return true end
    self.flush = self.cork
    function self.said() return table.concat(written) end
    function self.taken() return at - 1 end
    return self
end

-- Calls what may raise in words.
local function in_words(f, ...)
    local results = table.pack(xpcall(f, debug.traceback, ...))
    if not results[1] then
        must(type(results[2]) == "string" and not results[2]:find "attempt to " and
            results[2] ~= "", "it raises %s", results[2])
    end
    return table.unpack(results, 1, results.n)
end

-- ---------------------------------------------------------------------------------- the readers

local readers, seeds = {}, {}

local function seed(name, bytes)
    for number, reader in ipairs(readers) do
        if reader[1] == name then
            seeds[#seeds + 1] = string.char(number - 1) .. bytes
        end
    end
end

local encode, hello, text = require "tlslife.json", require "tlslife.trace.hello",
    require "tlslife.trace.text"
local json = require "tlslife.trace.json"
local memory = hello.memory()

-- A handshake message of a trace: its code and its bytes, which may be cut off.
local function read_message(input)
    local event = {code = input:byte(), kind = "message", value = 0, sent = true, at = 1, conn = 1,
        side = "server", shutdown = 0, lost = 0, name = "?"}
    event.data = input:rest()
    local read = hello.read(event)
    must(type(read.name) == "string", "a message without a name")
    local line = text.line(event, false, memory)
    must(not line:find "[%c\x7f-\xff]" or line:find "^[^%c\x7f]*$", "control characters: %q", line)
    must(#encode(json.object(event, memory)) > 0, "no JSON")
end

local requests = require "tlslife.requests"
local STATUSES <const> = {[400] = true, [411] = true, [413] = true, [431] = true}

local function all_requests(bytes, size)
    local conn = conn_of(bytes, size)
    local stream, said, whole = requests(conn), {}, {}
    while true do
        local request, why, status = stream:next()
        if not request then
            must(why == "closed" and not status or STATUSES[status], "%s, %s", why, status)
            said[#said + 1] = tostring(status)
            break
        end
        must(request.path:sub(1, 1) == "/" and not request.path:find "[%c ]", "%q", request.path)
        whole[#whole + 1] = request.text
        said[#said + 1] = ("%s %s %d %s"):format(request.method, request.path, request.length,
            request.close)
    end
    must(bytes:sub(1, #table.concat(whole)) == table.concat(whole), "other bytes than came")
    return table.concat(said, "\n")
end

-- The requests are the same, in whatever pieces they come.
local function read_requests(input)
    local size = input:byte() + 1
    local bytes = input:rest()
    local one, other = all_requests(bytes, size), all_requests(bytes, #bytes + 1)
    must(one == other, "in pieces of %d: %s\nat once: %s", size, one, other)
end

local talk = require "tlslife.probe.talk"
local PROTOCOLS <const> = {}
for name in pairs(talk.protocols) do PROTOCOLS[#PROTOCOLS + 1] = name end
table.sort(PROTOCOLS)

-- What a server says before TLS.
local function read_dialogue(input)
    local protocol = talk.protocols[PROTOCOLS[input:byte() % #PROTOCOLS + 1]]
    local conn = conn_of(input:take(1 << 18), input:byte() * 16 + 1)
    local ok, why = protocol.start(conn, "a.example", 10)
    must(ok == true or ok == nil and type(why) == "string", "%s, %s", ok, why)
    must(conn.taken() <= 4 * (65536 + 4096), "it reads on for ever")
end

local x509 = require "tlslife.luasec.x509"

-- A certificate, in the module ssl.x509.
local function read_certificate(input)
    local field = input:byte() % 2 == 0 and "ai5" or "utf8"
    local one = x509.module.load(input:rest())
    if not one then return end
    one:setencode(field)
    for _, name in ipairs {"subject", "issuer", "extensions", "notbefore", "notafter", "serial",
        "pem", "pubkey", "getsignaturename", "digest"} do
        one[name](one)
    end
    one:validat(1800000000)
    must(type(one:digest "sha256") == "string" and #one:digest "sha256" == 64, "its digest")
    local again = x509.module.load(one:pem())
    must(again and again == one, "its PEM is another certificate")
    in_words(one.issued, one, again)
end

local NAMES <const> = {"mode", "protocol", "key", "certificate", "password", "cafile", "capath",
    "verify", "verifyext", "options", "depth", "ciphers", "ciphersuites", "curve", "curveslist",
    "alpn", "dhparam", "psk", "dane", "certificates", "hint", "callback"}
local VALUES <const> = {"client", "server", "any", "tlsv1_2", "tlsv1_3", "sslv23", "peer", "none",
    "client_once", "fail_if_no_peer_cert", "lsec_continue", "crl_check", "all", "no_tlsv1",
    "no_ticket", "P-256", "X25519:P-256", "HIGH", "TLS_AES_128_GCM_SHA256", "h2", "x",
    "no_ee_namechecks"}
local files = {certificate = os.tmpname(), key = os.tmpname()}
for name, content in pairs {certificate = certificate, key = key} do
    local file <close> = assert(io.open(files[name], "w"))
    file:write(content)
end
local files_gone <const> = setmetatable({}, {__gc = function()
    for _, path in pairs(files) do os.remove(path) end
end})

local value_of

local function table_of(input, depth)
    local made = {}
    for _ = 1, input:byte() % 8 do
        local which = input:byte()
        made[which < #NAMES and NAMES[which + 1] or #made + 1] = value_of(input, depth + 1)
    end
    return made
end

-- A value of any type. No text of the input is the path of a file.
function value_of(input, depth)
    local kind = input:byte() % 10
    if kind == 0 then return input:byte() % 2 == 0 end
    if kind == 1 then return input:byte() - 10 end
    if kind == 2 then return (input:byte() - 128) / 7 end
    if kind < 5 then return VALUES[input:byte() % #VALUES + 1] end
    if kind == 5 then return (input:take(input:byte()):gsub("[/.]", "_")) end
    if kind == 6 then return files[input:byte() % 2 == 0 and "certificate" or "key"] end
    if kind == 7 then
        local answer = input:byte() % 2 == 0 and "answer" or nil
        return function() return answer, answer end
    end
    return depth < 3 and table_of(input, depth) or {}
end

local ssl, connections = require "tlslife.luasec", require "tlslife.luasec.connection"

-- The parameters of ssl.newcontext, and a connection of what it makes.
local function read_parameters(input)
    local parameters = table_of(input, 0)
    local ok, ctx, message = in_words(ssl.newcontext, parameters)
    if not ok then return end
    must(ctx or type(message) == "string" and message ~= "", "nil without a message")
    local made, conn, why = in_words(connections.create, ctx)
    must(not ctx or not made or conn or type(why) == "string", "nil without a message")
end

local command_options = require "tlslife.command.options"
local probe, serve = require "tlslife.probe.options", require "tlslife.testserver.options"
local targets = require "tlslife.probe.targets"

local function words_of(input)
    local words = {}
    for word in input:rest():gmatch "%Z+" do
        if #words == 64 then break end
        words[#words + 1] = word
    end
    return words
end

local function or_message(result, message)
    must(result or type(message) == "string" and message ~= "", "nil without a message")
    return result, message
end

-- The command line of tlslife serve.
local function read_serve(input)
    local given = or_message(serve.parse(words_of(input)))
    if given then or_message(serve.settle(given)) end
end

-- The command line of tlslife probe, and the hosts that it names.
local function read_probe(input)
    local given, hosts = or_message(command_options.parse(probe.command, words_of(input)))
    local run = given and or_message(probe.settle(given, hosts))
    for _, host in ipairs(run and hosts or {}) do
        local target = or_message(targets.parse(host, run.port))
        if target then
            targets.resolve(target)
            must(target.failed or #target.addresses > 0, "neither an address nor a reason")
            targets.resolve(target, hosts)
        end
    end
end

local setup = require "tlslife.setup"
local SERVING <const> = {"address", "context", "handler", "before", "early_data", "workers",
    "threads", "reuse_port", "backlog", "mode", "proxy_protocol", "proxy_from", "max_connections",
    "handshake_timeout", "timeout", "stop_timeout", "on_start", "log"}

-- The options of tls.serve, and an address.
local function read_serving(input)
    local given = {}
    if input:byte() % 4 > 0 then
        given = {address = "127.0.0.1:0", context = {}, handler = print}
    end
    for _ = 1, input:byte() % 8 do
        local which = input:byte()
        given[SERVING[which + 1] or which] = value_of(input, 0)
    end
    local ok, checked = in_words(setup.check, given)
    must(not ok or type(checked) == "table", "no options")
    local address = input:rest()
    in_words(setup.check, {address = address, context = {}, handler = print})
    in_words(core.split_address, address)
end

local served = require "tlslife.testserver.files"

-- The path of a URL, below the directory of tlslife serve.
local function read_path(input)
    local list = input:byte() % 2 == 0
    opened = {}
    local path = "/" .. input:rest():gsub("[%c ]", "")
    local found = served.find(ROOT, path, list)
    must(({[200] = 1, [301] = 1, [400] = 1, [403] = 1, [404] = 1})[found.status], "%s",
        found.status)
    for fd, open in ipairs(opened) do
        must(not open or found.fd == fd, "%q stays open", open)
    end
end

-- ----------------------------------------------------------------- what is answered to requests

local CONTINUE <const> = "HTTP/1.1 100 Continue\r\n\r\n"

-- The first of the answers, and what follows it. A status, a length and a body that is so long.
local function take_answer(said, head_only)
    local status, head, stop = said:match "^HTTP/1%.1 (%d%d%d) [%a ]+\r\n(.-\r\n)\r\n()"
    must(status, "no answer: %q", said)
    must(not head:find "[^\r\n\t -~]", "%q in a head", head)
    local length = tonumber(("\r\n" .. head):match "\r\nContent%-Length: (%d+)\r\n")
    local size = head_only and 0 or length
    must(#said >= stop + size - 1, "a body of %d bytes and not of %d", #said - stop + 1, size)
    return tonumber(status), head, said:sub(stop, stop + size - 1), said:sub(stop + size)
end

local page
package.loaded["tlslife.server"] = function(options)
    page = options
    return {listeners = {}}
end
require "tlslife.metrics".serve({address = ":0", context = {}}, print, function(format)
    return "the metrics in " .. format
end)
package.loaded["tlslife.server"] = nil

-- A request for the page of metrics, as it comes in HTTPS.
local function read_page(input)
    local size = input:byte() + 1
    local bytes = input:take(1 << 15)
    local conn = conn_of(bytes, size)
    page.handler(conn)
    local said = conn.said():gsub("^HTTP/1%.1 100 Continue\r\n\r\n", "")
    if said == "" then return end
    local status, head, body, rest = take_answer(said, bytes:find "^HEAD " ~= nil)
    must(rest == "", "behind the answer: %q", rest)
    local kind = body:match "^the metrics in (%a+)$"
    local media = kind == "openmetrics" and "application/openmetrics-text;" or "text/plain;"
    must(not kind or status == 200 and head:find("Type: " .. media, 1, true), "%s: %q", kind, head)
end

local answers = require "tlslife.testserver.answers"

-- The requests of a client of tlslife serve, with a directory or without one.
local function read_answers(input)
    local how, size = input:byte(), input:byte() + 1
    local bytes = input:rest()
    local conn, methods = conn_of(bytes, size), {}
    opened = {}
    local run = {root = how % 2 == 0 and ROOT or nil, list = how & 2 == 0,
        fault = how & 12 == 12 and "truncated" or nil}
    local life = {request = function(_, request, status)
        methods[#methods + 1] = {request.method, status}
    end}
    local why, fault = answers.serve(run, conn, life, {stopping = function() return how > 127 end})
    must(why == nil or why == "closed", "it ended with %s", why)
    for _, path in pairs(opened) do must(not path, "%q stays open", path) end
    if fault == "truncated" then return end
    local said = conn.said()
    if #methods == 0 then
        must(said == "" or said == CONTINUE or not run.root and said == bytes, "%q", said)
        return
    end
    for i, answered in ipairs(methods) do
        said = said:gsub("^HTTP/1%.1 100 Continue\r\n\r\n", "")
        local status, _, _, rest = take_answer(said, answered[1] == "HEAD")
        said = rest
        must(status == answered[2], "answer %d is %d, and not %d", i, status, answered[2])
    end
    must(said == "" or said == CONTINUE, "behind the answers: %q", said)
end

-- ------------------------------------------------------------------------------ bytes in pieces

local sockets = require "tlslife.socket"

-- A socket over a connection that gives the bytes in pieces whose sizes are chosen here.
local function socket_over(bytes, sizes)
    local client <const> = core.context {role = "client", verify = "none"}
    local sock, at, n = sockets(client:connection()), 1, 0
    local s = sockets.states[sock]
    s.open, s.conn = true, {read = function()
        if at > #bytes then return nil, "closed" end
        n = n % #sizes + 1
        local piece = bytes:sub(at, at + sizes[n] - 1)
        at = at + #piece
        return piece
    end}
    return sock
end

-- What LuaSocket's receive gives of bytes that are all there: the result, what is left of them, and
-- the words and the part where they do not suffice.
local function model_receive(bytes, pattern, prefix)
    if pattern == "*l" then
        local line, behind = bytes:match "^([^\n]*)\n()"
        if line then return prefix .. line:gsub("\r", ""), bytes:sub(behind) end
        return nil, "", "closed", prefix .. bytes:gsub("\r", "")
    elseif pattern == "*a" then
        local all = prefix .. bytes
        if bytes ~= "" then return all, "" end
        return nil, "", "closed", all
    end
    local wanted = pattern - #prefix
    if wanted <= 0 and prefix ~= "" then return prefix, bytes end
    if #bytes >= math.max(wanted, 1) then
        return prefix .. bytes:sub(1, wanted), bytes:sub(wanted + 1)
    end
    return nil, "", "closed", prefix .. bytes
end

-- The bytes of a peer, by the patterns of receive.
local function read_pieces(input)
    local sizes, calls = {}, {}
    for i = 1, input:byte() % 4 + 1 do sizes[i] = input:byte() % 64 + 1 end
    for i = 1, input:byte() % 16 do
        local kind, prefix = input:byte(), ""
        if kind & 64 ~= 0 then prefix = ("p\r"):rep(kind % 8) end
        calls[i] = {kind % 4 == 0 and "*a" or kind % 4 == 1 and input:byte() or "*l", prefix}
    end
    local left = input:rest()
    local sock = socket_over(left, sizes)
    for i, call in ipairs(calls) do
        local wanted, after, wanted_why, wanted_part = model_receive(left, call[1], call[2])
        local got, why, part = sock:receive(table.unpack(call))
        must(got == wanted and why == wanted_why and part == wanted_part,
            "call %d (%s) gives %q, %s, %q and not %q, %s, %q", i, call[1], got, why, part, wanted,
            wanted_why, wanted_part)
        left = after
    end
    sockets.states[sock].conn = nil
end

-- tls.line, from each place of a text.
local function read_lines(input)
    local from = input:byte() + 1
    local bytes = input:rest()
    local at = math.min(from, #bytes + 1)
    while true do
        local line, behind = core.line(bytes, at)
        local wanted, wanted_behind = bytes:match("^([^\n]*)\n()", at)
        must(line == (wanted and wanted:gsub("\r", "")) and behind == wanted_behind,
            "%q and not %q", line, wanted)
        if not line then return end
        at = behind
    end
end

-- --------------------------------------------------------------------------- a proxy's answer

local tunnel = {} -- what the socket of ssl.https reads and has sent
for name, module in pairs {
    ["socket.http"] = {}, ltn12 = {}, mime = {b64 = tostring},
    ["socket.url"] = {parse = function() return {host = "proxy", port = "8080"} end},
    ssl = {wrap = function(sock) return nil, sock end},
    socket = {
        gettime = function() return 0 end,
        try = function(ok, ...)
            if not ok then error({...}, 0) end
            return ok, ...
        end,
        tcp = function() return tunnel end,
    },
} do package.loaded[name] = module end
local https = require "tlslife.luasec.https"
for _, name in ipairs {"socket.http", "ltn12", "mime", "socket.url", "ssl", "socket"} do
    package.loaded[name] = nil
end

-- What a proxy answers to CONNECT: TLS begins behind the first empty line, or not at all.
local function read_tunnel(input)
    local size = input:byte() + 1
    local bytes = input:rest()
    local sock = socket_over(bytes, {size})
    tunnel = setmetatable({
        settimeout = function() end, connect = function() return 1 end,
        send = function(_, words) return #words end,
        receive = function(_, pattern) return sock:receive(pattern) end,
    }, {__index = sock})
    local ok, failure = pcall(function()
        https.tcp {tunnel = "http://proxy:8080"} ():connect("a.example", 443)
    end)
    must(not ok and type(failure) == "table", "%s", failure)
    local began = failure[1] == tunnel -- ssl.wrap was called
    local rest = sock:receive "*a" or ""
    sockets.states[sock].conn = nil
    must(began or type(failure[1]) == "string", "no reason")
    local status = bytes:match "^([^\n]*)\n"
    local good = status and status:gsub("\r", ""):match "^HTTP/%d%.%d 2%d%d" ~= nil
    must(not began or good, "TLS behind %q", status)
    must(not began or bytes:gsub("\r", ""):find("\n\n" .. rest:gsub("\r", ""), 1, true),
        "TLS begins at %q", rest)
end

-- ------------------------------------------------------------------------ what the probe sees

local visit = require "tlslife.probe.visit"

local SERVERS <const>, CLIENTS <const> = {}, {}
for i, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    SERVERS[i] = core.context {role = "server", certificate = certificate, private_key = key,
        min_version = version, max_version = version, max_early_data = i == 2 and 1000 or nil,
        ocsp_response = i == 1 and "\x30\3\x0a\1\6" or nil}
    CLIENTS[i] = core.context {role = "client", verify = false, ocsp_request = true,
        options = {ALLOW_UNSAFE_LEGACY_RENEGOTIATION = true}}
end

local function move(from, to, change)
    local bytes = from:drain(1 << 16)
    if bytes and bytes ~= "" then to:feed(change and change(bytes) or bytes) end
end

-- What a server does between the calls of the probe, step by step.
local ACTS <const> = {
    function(server, input) server:write(("a"):rep(input:byte() + 1)) end,
    function(server) for _ = 1, 40 do server:write(("a"):rep(1 << 15)) end end,
    function(server) server:new_session_ticket() server:write "t" end,
    function(server) server:shutdown() end,
    function(_, _, client) client:feed_eof() end,
    function(_, input, client) client:feed(input:take(input:byte())) end,
    function(server) server:renegotiate() server:handshake() end,
    function(server) server:key_update(true) server:write "k" end,
}

-- A client's connection whose server is one of ours that the input leads, or changes bytes of.
local function hostile(input, client, server)
    local at, by = input:byte(), input:byte()
    local function change(bytes)
        if by == 0 or at == 0 then return bytes end
        local there = at * 16 % #bytes + 1
        at = at // 2
        return bytes:sub(1, there - 1) .. string.char(bytes:byte(there) ~ by) ..
            bytes:sub(there + 1)
    end
    for _, conn in ipairs {client, server} do
        conn:set_memory()
        conn:set_blocking(false)
    end
    local function round()
        move(client, server)
        if server:handshake_done() then
            local act = input.at <= #input.bytes and ACTS[input:byte() % 16 + 1]
            if act then pcall(act, server, input, client) end -- some come at a wrong moment
            server:read()
        else
            server:handshake()
        end
        move(server, client, change)
    end
    -- A call that would wait goes on when the server has done something, and a few times at most.
    local function waiting(name)
        return function(_, ...)
            for _ = 1, 6 do
                local results = table.pack(client[name](client, ...))
                if results[2] ~= "want_read" and results[2] ~= "want_write" then
                    return table.unpack(results, 1, results.n)
                end
                round()
            end
            return nil, "timeout"
        end
    end
    local conn = {dial = function() return true end, set_timeout = function() end}
    for _, name in ipairs {"connect", "read", "write", "handshake", "close", "write_early"} do
        conn[name] = waiting(name)
    end
    return setmetatable(conn, {__index = function(_, name)
        return function(_, ...) return client[name](client, ...) end
    end})
end

local kept_session

-- A visit of the probe to a server that does what it wants to.
local function read_visit(input)
    local version, how = input:byte() % 2 + 1, input:byte()
    local finish = ({"server", "client", "quick"})[how % 3 + 1]
    local client, server = CLIENTS[version]:connection(), SERVERS[version]:connection()
    local conn = hostile(input, client, server)
    local early = how & 64 ~= 0 and kept_session
    local facts = visit {
        context = {connection = function() return conn end, import_session = function(_, bytes)
            return CLIENTS[version]:import_session(bytes)
        end},
        name = "localhost", timeout = 2, finish = finish, renegotiate = how & 32 ~= 0,
        farewell = how & 16 ~= 0 and "QUIT\r\n" or nil, bytes = early or nil,
        early = early and version == 2 and "e" or nil, first_ticket = how & 8 ~= 0,
    }
    server:free()
    must(facts.stage ~= "probe", "the probe fails: %s", facts.failed)
    must(not facts.failed or facts.failed ~= "", "no reason")
    must((facts.answer_bytes or 0) <= (1 << 20) + 65536, "it reads on for ever")
    for _, session in ipairs(facts.sessions or {}) do
        if version == 2 and session.resumable then kept_session = session.bytes end
        session.bytes, session.id, session.ticket = nil, nil, nil
    end
    facts.failed = nil
    must(#encode(facts) > 0, "no JSON")
end

readers = {
    {"message", read_message}, {"requests", read_requests}, {"dialogue", read_dialogue},
    {"certificate", read_certificate}, {"parameters", read_parameters}, {"serve", read_serve},
    {"probe", read_probe}, {"serving", read_serving}, {"path", read_path}, {"page", read_page},
    {"answers", read_answers}, {"pieces", read_pieces}, {"lines", read_lines},
    {"tunnel", read_tunnel}, {"visit", read_visit},
}

-- ------------------------------------------------------------------------------------- the seeds

local function extension(number, body) return (">I2s2"):pack(number, body) end

local function message(code, body) return ("B"):pack(code) .. ("B>s3"):pack(code, body) end

local CLIENT_EXTENSIONS <const> = extension(0, ("\0\12\0\0\9a.example"):sub(1, 14)) ..
    extension(10, "\0\4\0\29\0\23") .. extension(16, "\0\3\2h2") .. extension(35, "ticket") ..
    extension(42, "") .. extension(43, "\4\3\4\3\3") .. extension(51, "\0\6\0\29\0\2kk") ..
    extension(41, "\0\8\0\2id\0\0\0\1\0\3\2bb")
local RANDOM <const> = ("r"):rep(32)
local RETRY <const> = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" ..
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

seed("message", message(1, "\3\3" .. RANDOM .. "\2id\0\4\x13\1\xc0\x2f\1\0" ..
    (">s2"):pack(CLIENT_EXTENSIONS)))
for _, random in ipairs {RANDOM, RETRY} do
    seed("message", message(2, "\3\3" .. random .. "\2id\x13\1\0" .. (">s2"):pack(
        extension(43, "\3\4") .. extension(51, "\0\29\0\2kk") .. extension(41, "\0\0"))))
end
seed("message", message(4, "\0\0\1\0\0\6ticket"))
seed("message", message(8, (">s2"):pack(extension(16, "\0\3\2h2") .. extension(42, ""))))
seed("message", message(12, "\3\0\29\2kk"))
seed("message", message(24, "\1"))
seed("message", message(99, "what has no name"))

seed("requests", "\7GET /a?b HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.0\r\n" ..
    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
seed("requests", "\0HEAD https://a.example/x#y HTTP/1.1\r\nConnection: close\r\n\r\n")
seed("requests", "\1PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
seed("requests", "\2PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
seed("requests", "\3PUT / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
seed("requests", "\255GET / HTTP/1.1\r\n" .. ("X: y\r\n"):rep(3000))

local SAYINGS <const> = {
    ftp = "220 hello\r\n234 now\r\n", imap = "* OK hello\r\na OK now\r\n",
    ldap = "\x30\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0", lmtp = "220 a\r\n250-b\r\n250 c\r\n220 d\r\n",
    pop3 = "+OK a\r\n+OK b\r\n", postgres = "S", sieve = "\"IMPLEMENTATION\" \"x\"\r\nOK\r\nOK\r\n",
    smtp = "220-a\r\n220 b\r\n250-STARTTLS\r\n250 c\r\n454 not now\r\n",
    xmpp = "<stream:stream><stream:features></stream:features><proceed xmlns='x'/>",
}
for number, name in ipairs(PROTOCOLS) do
    local protocol = string.char(number - 1)
    seed("dialogue", protocol .. assert(SAYINGS[name], name))
    seed("dialogue", protocol .. (name == "ldap" and "\x30\x0c\2\1\1\x78\7\x0a\1\2\4\0\4\0"
        or "* BYE\r\n-ERR\r\nNO\r\n554 no\r\n<stream:error/>"))
end

seed("certificate", "\0" .. certificate)
seed("certificate", "\1" .. certificate)

local function number_in(list, wanted)
    for i, one in ipairs(list) do if one == wanted then return i - 1 end end
    error(wanted)
end
local function named(name, value) return string.char(number_in(NAMES, name)) .. value end
local function known(value) return "\3" .. string.char(number_in(VALUES, value)) end

seed("parameters", "\6" .. named("mode", known "server") .. named("protocol", known "any") ..
    named("key", "\6\1") .. named("certificate", "\6\0") .. named("verify", known "peer") ..
    named("options", known "all"))
seed("parameters", "\7" .. named("mode", known "client") .. named("protocol", known "tlsv1_2") ..
    named("cafile", "\6\0") .. named("depth", "\1\13") .. named("ciphers", known "HIGH") ..
    named("curveslist", known "X25519:P-256") .. named("alpn", "\8\1\255" .. known "h2"))
seed("parameters", "\7" .. named("mode", known "server") .. named("protocol", known "tlsv1_3") ..
    named("verifyext", known "lsec_continue") .. named("psk", "\7\0") ..
    named("dhparam", "\7\1") .. named("alpn", "\7\0") .. named("certificates", "\8\1\255\8\2" ..
        named("key", "\6\1") .. named("certificate", "\6\0")))

seed("serve", "--listen\0localhost:8443,unix:/x\0--self-signed=a.example\0--list\0dir")
seed("serve", "--certificate=a\0--key\0b\0--client-ca\0c\0--verify\0--log\0--min-version\0001.2" ..
    "\0--max-version=1.3\0--alpn=h2,x")
seed("serve", "--num-tickets\0002\0--workers=2\0--delay\0000.5\0--early-data=100\0--resumption" ..
    "\0tickets\0--fault\0slow")
seed("serve", "--help\0--trace\0--no-log\0--\0-x")

seed("probe", "--starttls\0smtp\0--connect\0[::1],127.0.0.1\0--json\0a.example:25")
seed("probe", "--age=5\0--watch\0006\0--matrix=3\0--jobs\0004\0--timeout\0001.5\0--alpn=h2\0::1")
seed("probe", "--path\0/x\0--no-http\0--groups\0X25519\0--ca\0x\0--colour\0always\0a.example")
seed("probe", "--help")
seed("probe", "a.a.example:443\0[::1]:8443\0::1\0none.example\0never.example:1")
seed("probe", "a.example\0-\0unix:/x")
seed("probe", "a b")

seed("serving", "\1\3\4\0\0\5\1\12\17\7\0[::1]:443")
seed("serving", "\1\4\10\0\0\11\8\0\14\2\200\15\1\20unix:/x")
seed("serving", "\0\0a.example:80")

for _, path in ipairs {"index.html", "dir/", "dir", "none", "a%20b.lua", "..%2fx", "%00", "a/../b"}
do seed("path", "\0" .. path) end

for _, accept in ipairs {"application/openmetrics-text; version=1.0.0;q=0.5, text/plain;q=0.4",
    "text/plain", "application/openmetrics-text;version=\"0.0.1\",*/*;q=0.1"} do
    seed("page", "\99GET /metrics HTTP/1.1\r\nAccept: " .. accept .. "\r\n\r\n")
end
seed("page", "\99HEAD /metrics?x HTTP/1.0\r\n\r\n")
seed("page", "\0POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na")
seed("page", "\99GET / HTTP/1.1\r\n\r\n")
seed("page", "\99nonsense\r\n\r\n")

local LIST <const>, HOLD <const> = "\0\99", "\2\1"
seed("answers", LIST .. "GET /file HTTP/1.1\r\n\r\nHEAD /dir/ HTTP/1.1\r\n\r\n")
seed("answers", HOLD .. "GET /dir/ HTTP/1.1\r\n\r\nGET /dir HTTP/1.1\r\n\r\n")
seed("answers", LIST .. "GET /none HTTP/1.1\r\n\r\nPUT /file HTTP/1.1\r\n\r\n")
seed("answers", LIST .. "GET /fault/truncated HTTP/1.1\r\n\r\n")
seed("answers", "\1\255POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab")
seed("answers", "\1\2no request")
seed("answers", "\12\2GET /file HTTP/1.1\r\n\r\n")

seed("pieces", "\2\7\0\3\6\2\2\1\5\65\3\0a line\r\nanother\n\n12345678the rest\r\nof it")
seed("pieces", "\0\63\4\1\0\66\70\2one\rtwo\r\n\rthree")
seed("pieces", "\0\63\4\1\3\1\5\2\2abcdefghij\nthe rest\n")
seed("lines", "\0one\r\ntwo\r\r\n\n\rthree")

seed("tunnel", "\4HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n\22\3\3")
seed("tunnel", "\99HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
seed("tunnel", "\1HTTP/1.0 200")

for version = 0, 1 do
    for number, acts in ipairs {"\0\9\1\3", "\2\2\4", "\5\9nonsense\0\1\6\7", "\3"} do
        for how = 0, 2 do
            seed("visit", string.char(version, how + 8 * number, 0, 0) .. acts)
        end
    end
    seed("visit", string.char(version, 50, 9, 1) .. "\0\1")
    seed("visit", string.char(version, 97, 0, 0) .. "\2\0\1\3")
    seed("visit", string.char(version, 97, 0, 0) .. "\2\0\1\3")
end

return {
    seeds = seeds, files_gone = files_gone,
    read = function(bytes)
        local input = setmetatable({bytes = bytes, at = 1}, Input)
        local number = input:byte() % #readers + 1
        readers[number][2](input)
    end,
}
