-- names.lua: prints the functions that LuaSec's modules and objects have, a line for each, such as
-- "conn:send". It runs with LuaSec and with the drop-in.
--
--     lua5.4 [-l tlslife.luasec] names.lua CERTIFICATE

local socket = require "socket"
local ssl = require "ssl"
local x509 = require "ssl.x509"

local lines = {}

local function list(prefix, functions)
    for name, value in pairs(functions) do
        if type(value) == "function" then lines[#lines + 1] = prefix .. name end
    end
end

local ctx = assert(ssl.newcontext {mode = "client", protocol = "any"})
local listener = assert(socket.bind("127.0.0.1", 0))
local _, port = listener:getsockname()
local conn = assert(ssl.wrap(assert(socket.connect("127.0.0.1", tonumber(port))), ctx))
local cert = x509.load(io.open(arg[1], "rb"):read "a")

list("ssl.", ssl)
list("context.", require "ssl.context")
list("core.", require "ssl.core")
list("x509.", x509)
list("https.", require "ssl.https")
list("ctx:", getmetatable(ctx).__index)
list("conn:", getmetatable(conn).__index)
list("cert:", getmetatable(cert).__index)
table.sort(lines)
print(table.concat(lines, "\n"))
