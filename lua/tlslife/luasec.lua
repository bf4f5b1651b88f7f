-- luasec.lua: stands in for LuaSec 1.3. From `require "tlslife.luasec"` on, a program that requires
-- ssl, ssl.context, ssl.core, ssl.x509, ssl.config or ssl.https gets modules on tlslife that behave
-- as LuaSec's, and whose clients resume their sessions. docs/luasec.md says what differs.
--
-- A program that cannot be told finds the same modules in the folder luasec/path beside this file,
-- when that is in front of LUA_PATH.

local arguments = require "tlslife.arguments"
local config = require "tlslife.luasec.config"
local connection = require "tlslife.luasec.connection"
local contexts = require "tlslife.luasec.context"
local kept = require "tlslife.luasec.kept"
local newcontext = require "tlslife.luasec.newcontext"
local x509 = require "tlslife.luasec.x509"

local ssl = {
    _VERSION = "1.3.2", -- LuaSec's, which programs compare
    _COPYRIGHT = connection.copyright(),
    config = config,
    loadcertificate = x509.module.load,
    newcontext = newcontext,
}

local function setfd_of(sock) return sock.setfd end

-- Takes the descriptor out of a LuaSocket object. An object that cannot let it go keeps it.
local function give_transport(conn, sock)
    local _ = sock.getfd -- a number, which might be anybody's descriptor, raises here
    local ok, setfd = pcall(setfd_of, sock)
    if ok and setfd then
        connection.setfd(conn, sock:getfd())
        setfd(sock, connection.SOCKET_INVALID)
    else
        connection.setfd(conn, sock)
    end
end

function ssl.wrap(sock, parameters)
    local ctx, message = parameters
    if type(parameters) == "table" then
        ctx, message = kept.context(parameters)
        if not ctx then return nil, message end
    end
    local conn
    conn, message = connection.create(ctx)
    if not conn then return nil, message end
    give_transport(conn, sock)
    return conn
end

-- What OpenSSL's description of a cipher suite says:
-- "NAME VERSION Kx=ECDH Au=RSA Enc=AESGCM(256) Mac=AEAD".
local DESCRIPTION <const> = "^(%S+)%s+(%S+)%s+Kx=(%S+)%s+Au=(%S+)%s+Enc=(%S+)%s+Mac=(%S+)"

local function info(conn, field)
    local is_connection, compression, closed = pcall(connection.compression, conn)
    if not is_connection then arguments.refuse(conn, 1, "info", "SSL:Connection") end
    if closed then return nil, closed end
    if field == "compression" then return compression end
    local found = {compression = compression}
    local description, bits, algorithm_bits, version = connection.info(conn)
    if description then
        found.bits, found.algbits = bits, algorithm_bits
        found.cipher, found.protocol, found.key, found.authentication, found.encryption,
            found.mac = description:match(DESCRIPTION)
        found.export = description:match "%sexport%s*$" ~= nil
    end
    found.protocol = version or found.protocol
    if field then return found[field] end
    return next(found) and found
end
connection.setmethod("info", info)

local loaded = {
    ssl = ssl,
    ["ssl.config"] = config,
    ["ssl.context"] = contexts.module,
    ["ssl.core"] = connection,
    ["ssl.x509"] = x509.module,
}
for name, module in pairs(loaded) do package.loaded[name] = module end

-- It needs LuaSocket, which a program without HTTP may not have.
package.loaded["ssl.https"] = nil
package.preload["ssl.https"] = function() return require "tlslife.luasec.https" end

return ssl
