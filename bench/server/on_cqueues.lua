-- on_cqueues.lua: the server of bench/server.lua on cqueues and luaossl.
--
--   lua5.4 on_cqueues.lua certificate.pem key.pem
--
-- It prints "port pid". Each connection has a coroutine, and its socket neither translates lines
-- nor buffers what is written.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path
local cqueues, socket, http = require "cqueues", require "cqueues.socket", require "http"
local context, x509, pkey = require "openssl.ssl.context",
    require "openssl.x509", require "openssl.pkey"

local function slurp(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function new_context(certificate, private_key)
    local new = context.new("TLS", true)
    new:setCertificate(x509.new(slurp(certificate)))
    new:setPrivateKey(pkey.new(slurp(private_key)))
    return new
end

local function read(stream)
    return stream:xread(-8192, "bn")
end

local function write(stream, bytes)
    return stream:xwrite(bytes, "bn")
end

local tls = new_context(table.unpack(arg))
local listener = assert(socket.listen { host = "127.0.0.1", port = 0, nodelay = true })
local loop = cqueues.new()
loop:wrap(function()
    for stream in listener:clients() do
        loop:wrap(function()
            stream:setmode("bn", "bn")
            stream:onerror(function(_, _, why) return why end)
            if stream:starttls(tls) then http(stream, read, write) end
            stream:close()
        end)
    end
end)
local _, _, port = listener:localname()
local status <close> = assert(io.open "/proc/self/stat")
print(math.tointeger(port), math.tointeger(status:read "n"))
io.stdout:flush()
assert(loop:loop())
