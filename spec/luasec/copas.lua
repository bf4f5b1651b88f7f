-- copas.lua: a server and its clients on copas 4, which knows LuaSec. What they print must not
-- depend on who stands behind the name ssl.
--
--     lua5.4 [-l tlslife.luasec] copas.lua server DIRECTORY
--     lua5.4 [-l tlslife.luasec] copas.lua client DIRECTORY PORT
--
-- DIRECTORY has the certificates of spec/support/pki.lua. The server prints its port, and ends when
-- it is asked for /quit.

local copas = require "copas"
local http = require "copas.http"
local ltn12 = require "ltn12"
local socket = require "socket"
local ssl = require "ssl"

local role, dir, port = arg[1], arg[2] .. "/", arg[3]
io.stdout:setvbuf "line"

-- ----------------------------------------------------------------------------------------- server

local function answer_to(method, path, body)
    if path == "/big" then return ("0123456789abcdef"):rep(20000) end
    return ("%s %s %s"):format(method, path, body)
end

local TOGETHER <const> = 10 -- requests of /together, none of which is answered before all have come
local come = 0

local function wait_for_others()
    come = come + 1
    while come < TOGETHER do copas.pause(0.005) end
end

local function serve(skt)
    local method, path = assert(skt:receive "*l"):match "^(%S+) (%S+)"
    local length = 0
    repeat
        local line = assert(skt:receive "*l")
        length = tonumber(line:lower():match "^content%-length: (%d+)") or length
    until line == ""
    local body = length > 0 and assert(skt:receive(length)) or ""
    if path == "/together" then wait_for_others() end
    local where = path == "/moved" and "Location: /here\r\n" or ""
    local answer = answer_to(method, path, body)
    assert(skt:send(("HTTP/1.1 %s\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n%s"):format(
        where ~= "" and "302 Found" or "200 OK", where, #answer, answer)))
    local conn = skt.socket.connection and skt.socket:connection()
    if conn and conn:session_reused() then print "resumed" end
    skt:close()
    if path == "/quit" then os.exit(0) end
end

local function server()
    local function context(name)
        return assert(ssl.newcontext {mode = "server", protocol = "any", options = "all",
            certificate = dir .. name .. ".pem", key = dir .. name .. ".key"})
    end
    local rsa = context "rsa"
    local listener = assert(socket.bind("127.0.0.1", 0))
    copas.setErrorHandler(function() end)
    local handler = copas.handler(serve, {wrap = context "server",
        sni = {names = {["a.example"] = rsa, ["localhost"] = context "server"}, strict = true}})
    local _, own_port = listener:getsockname()
    copas.addserver(listener, handler)
    local other = socket.bind("::1", own_port) -- "localhost" may be this address, too
    if other then copas.addserver(other, handler) end
    print("port " .. own_port)
    copas.loop()
end

-- ----------------------------------------------------------------------------------------- clients

local lines = {}

local function say(what, ...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    lines[#lines + 1] = what .. ": " .. table.concat(words, " | ")
end

-- A request by copas.http. parameters are those of ssl.wrap.
local function get(what, path, parameters, name)
    local parts = {}
    local ok, result, code = pcall(http.request, {
        url = ("https://localhost:%s%s"):format(port, path), sink = ltn12.sink.table(parts),
        sslparams = {wrap = parameters or {}, sni = name and {names = name}}})
    local body = table.concat(parts)
    if not ok then result = tostring(result):match "failed: [^(]*" end
    say(what, result, code, #body > 100 and #body or body)
end

local VERIFIED <const> = {protocol = "any", verify = "peer", cafile = dir .. "ca.pem"}

-- The key of the certificate that the server has for this name, by a socket of copas.
local function key_for(name)
    local skt = copas.wrap(socket.tcp(), {wrap = {mode = "client", protocol = "any",
        verify = "peer", cafile = dir .. "ca.pem"}, sni = {names = name}})
    local ok, why = pcall(function() return assert(skt:connect("127.0.0.1", tonumber(port))) end)
    say("the key for " .. name, ok and select(2, skt.socket:getpeercertificate():pubkey()) or
        tostring(why):match "failed: [^(]*")
    skt:close()
end

local function timeout()
    local skt = copas.wrap(socket.tcp(), {wrap = {mode = "client", protocol = "any"},
        sni = {names = "localhost"}})
    skt:settimeouts(5, 5, 0.05)
    assert(skt:connect("127.0.0.1", tonumber(port)))
    say("a timeout", skt:receive "*l")
    skt:close()
end

local function visits()
    say("simple", http.request("https://localhost:" .. port .. "/simple"))
    say("post", (http.request("https://localhost:" .. port .. "/post", "body")))
    get("verified", "/verified", VERIFIED)
    get("by a stranger's CA", "/strange", {protocol = "any", verify = "peer",
        cafile = dir .. "other_ca.pem"})
    get("a redirect", "/moved")
    get("a body of 320 kB", "/big", VERIFIED)
    get("a name that the server does not have", "/strict", nil, "c.example")
    key_for "a.example"
    key_for "localhost"
    key_for "c.example"
    timeout()
    local open = TOGETHER
    for i = 1, open do
        copas.addthread(function()
            get("together " .. i, "/together", VERIFIED)
            open = open - 1
        end)
    end
    while open > 0 do copas.pause(0.005) end
    get("the end", "/quit")
end

if role == "server" then return server() end
copas.addthread(visits)
copas.loop()
table.sort(lines)
for _, line in ipairs(lines) do print((line:gsub("table: 0x%x+", "a table"))) end
