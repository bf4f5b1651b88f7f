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
        hrtime = function() return 0 end,
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

-- A connection whose peer sends bytes in pieces of that size, and then ends.
local function conn_of(bytes, size)
    local at = 1
    local self = {}
    function self.read()
        if at > #bytes then return nil, "closed" end
        local piece = bytes:sub(at, at + size - 1)
        at = at + #piece
        return piece
    end
    self.plain_read = self.read
    function self.write(_, data) return #data end
    function self.plain_write(_, data, from) return math.min(size, #data - (from or 1) + 1) end
    function self.set_timeout() end
    function self.early() return false end
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

readers = {
    {"message", read_message}, {"requests", read_requests}, {"dialogue", read_dialogue},
    {"certificate", read_certificate}, {"parameters", read_parameters}, {"serve", read_serve},
    {"probe", read_probe}, {"serving", read_serving}, {"path", read_path},
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

return {
    seeds = seeds, files_gone = files_gone,
    read = function(bytes)
        local input = setmetatable({bytes = bytes, at = 1}, Input)
        local number = input:byte() % #readers + 1
        readers[number][2](input)
    end,
}
