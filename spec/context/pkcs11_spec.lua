-- pkcs11_spec.lua: tests certificates and keys in a token (softhsm2), by "pkcs11:" URIs through the
-- provider pkcs11-provider. Both are in Debian 13; where they are not, this file is pending.
--
-- OpenSSL reads its configuration once, so each example is a program of its own.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local p = pki.get()
local dir = process.directory() .. "/pkcs11"

local function first_of(pattern)
    local pipe = assert(io.popen("ls " .. pattern .. " 2>/dev/null"))
    local path = pipe:read "l"
    pipe:close()
    return path
end

local PROVIDER = first_of "/usr/lib/*/ossl-modules/pkcs11.so"
local TOKEN = first_of "/usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so"

-- What docs/keys.md shows: the lines of openssl.cnf, and a server.
local DOCS = process.slurp "docs/keys.md"
local CONFIG, EXAMPLE = DOCS:match "```ini\n(.-)```", DOCS:match "pkcs11%-provider.-```lua\n(.-)```"

-- A token "tls" with the server's certificate and key, an RSA pair beside them, and the CA.
local MAKE = [[
set -e
mkdir -p "$1/tokens" && cd "$1"
pki=$2 token=$3
exec 2>log >&2
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$1" \
    >softhsm2.conf
export SOFTHSM2_CONF="$1/softhsm2.conf"
softhsm2-util --init-token --free --label tls --pin 1234 --so-pin 12345678
for name in server rsa client; do
    openssl pkcs8 -topk8 -nocrypt -in "$pki/$name.key" -out "$name.pk8"
done
softhsm2-util --import server.pk8 --token tls --label server --id 01 --pin 1234
softhsm2-util --import rsa.pk8 --token tls --label rsa --id 02 --pin 1234
softhsm2-util --import client.pk8 --token tls --label client --id 03 --pin 1234
write() {
    p11tool --provider "$token" --login --set-pin=1234 --batch --write --load-certificate "$1" \
        --label "$2" --id "$3" 'pkcs11:token=tls'
}
write "$pki/server.leaf" server 01
write "$pki/ca.pem" root 04
: >made
]]

-- Two connections in memory; what the server's side is made of comes from the caller.
local HANDSHAKE = [[
    local tls = require "tlslife"
    local options, ca, more = load(arg[1])(), arg[2], arg[3]
    local server, message = tls.context(options)
    if not server then io.write(message) os.exit(3) end
    local client = {role = "client", ca = ca}
    for name, value in pairs(more and load(more)() or {}) do client[name] = value end
    client = assert(tls.context(client))
    local a, b = client:connection(), server:connection()
    a:set_blocking(false)
    b:set_blocking(false)
    a:set_hostname "localhost"
    tls.pair(a, b)
    local ok, why
    for _ = 1, 6 do
        ok, why = a:connect()
        local served, reason = b:accept()
        why = served and why or reason
    end
    io.write(ok and b:handshake_done() and a:peer_signature_algorithm() or tostring(why))
    io.write(" ", b:peer_signature_algorithm() or "")
]]

local function quoted(options)
    local parts = {}
    for name, value in pairs(options) do parts[#parts + 1] = ("%s = %q"):format(name, value) end
    return "return {" .. table.concat(parts, ", ") .. "}"
end

local function handshake(options, client, ca)
    if not process.slurp(dir .. "/made") then
        local code, said = process.run {"sh", "-c", MAKE, "sh", dir, p.dir, TOKEN}
        assert(code == 0, said .. (process.slurp(dir .. "/log") or ""))
        process.spill(dir .. "/openssl.cnf", (CONFIG:gsub("/%S+/pkcs11.so", PROVIDER)
            :gsub("/%S+/libsofthsm2.so", TOKEN)))
    end
    options.role = "server"
    local chunk = process.spill(dir .. "/handshake.lua", HANDSHAKE)
    local code, output = process.run {program.path, chunk, quoted(options), ca or p.ca_file,
        client and quoted(client), timeout = 30,
        environment = {OPENSSL_CONF = dir .. "/openssl.cnf",
            SOFTHSM2_CONF = dir .. "/softhsm2.conf"}}
    return output, code
end

local function key(name, rest) return ("pkcs11:token=tls;object=%s;type=private%s"):format(name,
    rest or "?pin-value=1234") end

describe("a token", function()
    if not (PROVIDER and TOKEN) then
        pending "needs softhsm2 and pkcs11-provider, which Debian has from 13 on"
        return
    end

    it("signs for a server", function()
        assert.equal("ECDSA+SHA256 ",
            handshake {certificate = p.server_cert_file, private_key = key "server"})
        assert.equal("RSA-PSS+SHA256 ",
            handshake {certificate = p.rsa_cert_file, private_key = key "rsa"})
    end)

    it("signs in TLS 1.2, and for a client", function()
        local server = {certificate = p.server_cert_file, private_key = p.server_key_file,
            verify = "required", ca = p.ca_file, max_version = "TLSv1.2"}
        assert.equal("ECDSA+SHA256 ECDSA+SHA256", handshake(server,
            {certificate = p.client_cert_file, private_key = key "client"}))
        server.private_key, server.max_version = key "server", nil
        assert.equal("ECDSA+SHA256 ECDSA+SHA256", handshake(server,
            {certificate = p.client_cert_file, private_key = key "client"}))
    end)

    it("takes its PIN from the option passphrase", function()
        assert.equal("ECDSA+SHA256 ", handshake {certificate = p.server_cert_file,
            private_key = key("server", ""), passphrase = "1234"})
    end)

    it("has the certificate and the CA, too", function()
        assert.equal("ECDSA+SHA256 ", (handshake({
            certificate = "pkcs11:token=tls;object=server;type=cert?pin-value=1234",
            private_key = key "server"},
            {ca = p.intermediate_cert_file, partial_chain = true})))
        assert.equal("ECDSA+SHA256 ", (handshake(
            {certificate = p.server_cert_file, private_key = key "server"}, nil,
            "pkcs11:token=tls;object=root;type=cert?pin-value=1234")))
    end)

    it("signs as docs/keys.md shows", function()
        local options = load("return " .. EXAMPLE:match "tls.context (%b{})")()
        options.certificate = p.server_cert_file
        assert.equal("ECDSA+SHA256 ", (handshake(options)))
    end)

    it("without the object, or with another PIN, is told in a sentence", function()
        for _, case in ipairs {
            {key "nothing", "private key was expected"}, {key("server", "?pin-value=9999"), "pin"},
            {key("server", ""), "server"},
            {key "rsa", "is not the key of the certificate"},
        } do
            local output, code = handshake {certificate = p.server_cert_file, private_key = case[1]}
            assert.equal(3, code, output)
            assert.truthy(output:lower():find(case[2], 1, true), output)
            assert.is_nil(output:find "9999" or output:find "1234", output)
        end
    end)
end)
