-- https.lua: the module ssl.https of the drop-in, on LuaSocket's socket.http.
--
-- Results and parameters are LuaSec's. A proxy, which LuaSec refuses, is used by CONNECT, so that
-- it sees no more than the host and the port. redirect = true, which LuaSec refuses, is what
-- socket.http does by itself: it follows, and never to anything but https.
-- Connections of equal parameters have one context (kept.lua), so that they resume.

local http = require "socket.http"
local ltn12 = require "ltn12"
local mime = require "mime"
local socket = require "socket"
local url = require "socket.url"
local kept = require "tlslife.luasec.kept"
local ssl = require "ssl"

local try = socket.try

local https = {
    _VERSION = ssl._VERSION,
    _COPYRIGHT = ssl._COPYRIGHT,
    PORT = 443,
    TIMEOUT = 60,
}

local DEFAULTS <const> = {
    protocol = "any", options = {"all", "no_sslv2", "no_sslv3", "no_tlsv1"}, verify = "none",
}

-- ------------------------------------------------------------------------------------ connections

-- Asks a proxy for a tunnel to host and port (RFC 9110 section 9.3.6).
local function connect_through(sock, proxy, host, port)
    local place = url.parse(proxy)
    try(sock:connect(place.host, tonumber(place.port) or 3128))
    local authority = (host:find(":", 1, true) and "[" .. host .. "]" or host) .. ":" .. port
    local request = {"CONNECT " .. authority .. " HTTP/1.1", "Host: " .. authority}
    if place.user and place.password then
        request[3] = "Proxy-Authorization: Basic " ..
            mime.b64(url.unescape(place.user) .. ":" .. url.unescape(place.password))
    end
    try(sock:send(table.concat(request, "\r\n") .. "\r\n\r\n"))
    local status = try(sock:receive "*l")
    if not status:match "^HTTP/%d%.%d 2%d%d" then try(nil, "proxy: " .. status) end
    repeat local line = try(sock:receive "*l") until line == ""
end

-- Lets the methods of the connection be called on conn.
local function forward(conn)
    local methods = getmetatable(conn.sock).__index
    for name, method in pairs(methods) do
        if type(method) == "function" then
            conn[name] = function(self, ...) return method(self.sock, ...) end
        end
    end
end

-- The function that socket.http calls for a connection.
function https.tcp(parameters)
    parameters = parameters or {}
    for name, value in pairs(DEFAULTS) do parameters[name] = parameters[name] or value end
    parameters.mode = "client"
    return function()
        local conn = {sock = try(socket.tcp())}
        local settimeout = conn.sock.settimeout
        function conn:settimeout() return settimeout(self.sock, https.TIMEOUT) end
        function conn:close() return self.sock:close() end
        function conn:connect(host, port)
            local ctx = try(kept.context(parameters))
            if parameters.tunnel then
                connect_through(self.sock, parameters.tunnel, host, port)
            else
                try(self.sock:connect(host, port))
            end
            self.sock = try(ssl.wrap(self.sock, ctx))
            self.sock:sni(host)
            self.sock:settimeout(https.TIMEOUT)
            try(self.sock:dohandshake())
            forward(self)
            return 1
        end
        return conn
    end
end

-- --------------------------------------------------------------------------------------- requests

local function with_port(address)
    return url.build(url.parse(address, {port = https.PORT}))
end

local function simple(address, body, sink)
    local request = {url = with_port(address), method = body and "POST" or "GET",
        sink = ltn12.sink.table(sink)}
    if body then
        request.source = ltn12.source.string(body)
        request.headers = {["content-length"] = #body,
            ["content-type"] = "application/x-www-form-urlencoded"}
    end
    return request
end

-- socket.http would send the request itself to http.PROXY, in plain text. It is hidden for the
-- call, which waits without yielding unless the program's sockets yield.
local function without_proxy(request)
    local proxy = http.PROXY
    request.tunnel, request.proxy = request.proxy or proxy, nil
    http.PROXY = nil
    local results = table.pack(http.request(request))
    http.PROXY = proxy
    return table.unpack(results, 1, results.n)
end

function https.request(address, body)
    local sink, is_simple = {}, type(address) == "string"
    local request = is_simple and simple(address, body, sink) or address
    if not is_simple then request.url = with_port(request.url) end
    if request.create then return nil, "create function not permitted" end
    request.create = https.tcp(request)
    local result, code, headers, status = without_proxy(request)
    if result and is_simple then return table.concat(sink), code, headers, status end
    return result, code, headers, status
end

return https
