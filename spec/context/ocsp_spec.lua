-- ocsp_spec.lua: tests a client that verifies the OCSP response which its server staples, with
-- responses that `openssl ocsp` makes, in real handshakes.
--
-- The server is one whose certificate may be revoked. It would staple a response that is old, of
-- another certificate, by a signer who may not sign it, or that cannot be read; or none at all. The
-- rules for what a response may say are tested in spec/c/conn/ocsp_test.c. What OpenSSL 3.6 does
-- not staple is stapled by a program into which spec/faults/staple.c is preloaded.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local dir = process.directory() .. "/ocsp"

-- In $1; $2 is the directory of the specs' certificates, $3 a clock for programs (clock.c).
-- respond NAME INDEX REQUEST SIGNER KEY: NAME.der, an answer to REQUEST.der.
local MAKE = [[
set -e
mkdir -p "$1" && cd "$1"
pki=$2 clock=$3
exec 2>log
printf 'V\t491231235959Z\t\t1234\tunknown\t/CN=localhost\n' >good
printf 'R\t491231235959Z\t200101000000Z,keyCompromise\t1234\tunknown\t/CN=localhost\n' >revoked
: >nothing
request() {
    name=$1
    shift
    openssl ocsp -no_nonce -reqout "$name.der" "$@"
}
request request -issuer "$pki/intermediate.pem" -cert "$pki/server.leaf"
request request256 -sha256 -issuer "$pki/intermediate.pem" -cert "$pki/server.leaf"
request request_other -issuer "$pki/intermediate.pem" -serial 0x4321
respond() {
    name=$1 index=$2 request=$3 signer=$4 key=$5
    openssl ocsp -index "$index" -CA "$pki/intermediate.pem" -ndays 30 -reqin "$request.der" \
        -respout "$name.der" -rsigner "$signer" -rkey "$key" >>log
}
own() { respond "$1" "$2" "$3" "$pki/intermediate.pem" "$pki/intermediate.key"; }
own good good request
own sha256 good request256
own revoked revoked request
own unknown nothing request
own other nothing request_other
respond leaf good request "$pki/server.leaf" "$pki/server.key"
respond stranger good request "$pki/other_ca.pem" "$pki/other_ca.key"
printf '\000\104\313\377\377\377\377\377\0\0\0\0\0\0\0\0' >time # forty days ago
ln -s "$clock" clock.so # its path may have a space, which separates the names of preloaded files
(export LD_PRELOAD="./clock.so" TLSLIFE_CLOCK_FILE=time && own expired good request)
printf 'extendedKeyUsage = OCSPSigning\n' >delegate.ext
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=responder \
    -keyout delegate.key -out delegate.csr
openssl x509 -req -in delegate.csr -CA "$pki/intermediate.pem" -CAkey "$pki/intermediate.key" \
    -days 30 -extfile delegate.ext -out delegate.pem
respond delegate good request delegate.pem delegate.key
openssl x509 -req -in delegate.csr -CA "$pki/ca.pem" -CAkey "$pki/ca.key" \
    -days 30 -extfile delegate.ext -out uncle.pem
respond uncle good request uncle.pem delegate.key
printf '\060\003\012\001\003' >later.der
printf '\060\003\002\001\005' >garbage.der
printf 'tlsfeature = status_request\nsubjectAltName = DNS:localhost\n' >must.ext
openssl req -new -key "$pki/server.key" -subj /CN=localhost -out must.csr
openssl x509 -req -in must.csr -CA "$pki/intermediate.pem" -CAkey "$pki/intermediate.key" \
    -days 30 -set_serial 4660 -extfile must.ext -out must.leaf
cat must.leaf "$pki/intermediate.pem" >must.pem
: >made
]]

local function path(name)
    if not process.slurp(dir .. "/made") then
        local code, said = process.run {"sh", "-c", MAKE, "sh", dir, p.dir,
            os.getenv "TLSLIFE_BUILD" .. "/spec/faults/clock.so"}
        assert(code == 0, said .. (process.slurp(dir .. "/log") or ""))
    end
    return dir .. "/" .. name
end

local function server(staple, certificate)
    return pair.server {
        ocsp_response = staple and path(staple .. ".der"), certificate = certificate,
    }
end

local function refusal(verify, said, ...)
    local err = expect.fails("verify", ...)
    assert.equal("bad_certificate_status_response", err.alert)
    assert.is_false(err.alert_received)
    assert.equal("CN=localhost", err.verify_subject)
    assert.equal(0, err.verify_depth)
    assert.equal(verify, err.verify)
    assert.truthy(err.message:find(said, 1, true), err.message)
end

local function refused(verify, said, options)
    local c, s = pair.try(options)
    refusal(verify, said, table.unpack(c, 1, 3))
    local alert = s[1] and "came later" or expect.fails("alert", table.unpack(s, 1, 3)).alert
    assert.truthy(alert == "came later" or alert == "bad_certificate_status_response")
end

local REFUSED = {
    {"revoked", "certificate revoked", "was revoked"},
    {"unknown", "OCSP unknown cert", "is not known"},
    {"expired", "OCSP verification failed", "is not of this time"},
    {"leaf", "OCSP verification failed", "is not signed by the issuer"},
    {"stranger", "OCSP verification failed", "is not signed by the issuer"},
    {"uncle", "OCSP verification failed", "is not signed by the issuer"},
    {"later", "OCSP verification failed", "has no answer"},
}

-- A server that staples what the file holds, whatever it is, and its port.
local function stapler(file)
    local port = process.free_port()
    local peer = process.start {"openssl", "s_server", "-accept", port, "-cert",
        p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key", p.server_key_file,
        "-status_file", p.ocsp_file, stdin = true, environment = {LD_PRELOAD = "staple.so",
            LD_LIBRARY_PATH = os.getenv "TLSLIFE_BUILD" .. "/spec/faults",
            TLSLIFE_STAPLE_FILE = file}}
    peer:wait_for_port(port)
    return peer, port
end

-- A connection of a client with these options, and what connect said.
local function arrive(port, options)
    local client = pair.client(options):connection()
    client:set_timeout(30)
    client:set_hostname "localhost"
    assert(client:dial("127.0.0.1", port))
    return client, table.pack(client:connect())
end

-- From OpenSSL 3.6 on libssl reads what was stapled, before the client judges it.
local libssl_reads = tonumber(tls.openssl_version:match "^OpenSSL 3%.(%d+)") >= 6

for _, version in ipairs(pair.VERSIONS) do
    describe("a client that verifies OCSP responses, " .. version .. ",", function()
        local function with(verify, more)
            local options = {ocsp_verify = verify, max_version = version}
            for name, value in pairs(more or {}) do options[name] = value end
            return options
        end

        for _, name in ipairs {"good", "sha256", "delegate"} do
            it("accepts one that is " .. name, function()
                for _, verify in ipairs {"optional", "required", true} do
                    local client = pair.connect {client = with(verify), server = server(name)}
                    assert.equal(process.slurp(path(name .. ".der")), client:ocsp_response())
                    assert.equal("ok", client:verify_result())
                end
            end)
        end

        for _, case in ipairs(REFUSED) do
            it("refuses one that is: " .. case[1], function()
                for _, verify in ipairs {"optional", "required"} do
                    refused(case[2], case[3], {client = with(verify), server = server(case[1])})
                end
                local client = pair.connect {client = with("none", {ocsp_request = true}),
                    server = server(case[1])}
                assert.is_not_nil(client:ocsp_response())
            end)
        end

        it("refuses one that is: other", function()
            local peer, port = stapler(path "other.der")
            for _, verify in ipairs {"optional", "required"} do
                local client <close>, said = arrive(port, with(verify))
                assert.equal("failed", client:state())
                refusal("OCSP verification failed", "is about another certificate",
                    table.unpack(said, 1, 3))
            end
            local client <close> = arrive(port, with("none", {ocsp_request = true}))
            assert.equal(process.slurp(path "other.der"), client:ocsp_response())
            peer:stop()
        end)

        it("refuses one that is: garbage", function()
            local peer, port = stapler(path "garbage.der")
            for _, verify in ipairs {"optional", "required"} do
                local client <close>, said = arrive(port, with(verify))
                assert.equal("failed", client:state())
                if libssl_reads then
                    local err = expect.fails("tls", table.unpack(said, 1, 3))
                    assert.equal("bad_certificate_status_response", err.alert)
                    assert.is_false(err.alert_received)
                else
                    refusal("OCSP verification failed", "cannot be read",
                        table.unpack(said, 1, 3))
                end
            end
            peer:stop()
        end)

        it("refuses a server that sends none, where it is required", function()
            refused("OCSP verification needed", "this client requires one",
                {client = with(true), server = server()})
            assert.is_not_nil(pair.connect {client = with "optional", server = server()})
        end)

        it("refuses a server that sends none, where its certificate demands one", function()
            local must = path "must.pem"
            refused("OCSP verification needed", "its certificate demands one",
                {client = with "optional", server = server(nil, must)})
            assert.is_not_nil(pair.connect {client = with "optional",
                server = server("good", must)})
            assert.is_not_nil(pair.connect {client = with "none", server = server(nil, must)})
        end)

        it("asks its hook first, whose answer does not override it", function()
            for _, all in ipairs {false, true} do
                local asked = 0
                local function hook() asked = asked + 1; return true end
                refused("certificate revoked", "was revoked", {server = server "revoked",
                    client = with(true, {on_verify = hook, verify_all = all})})
                assert.equal(1, asked)
                pair.connect {server = server "good",
                    client = with(true, {on_verify = hook, verify_all = all})}
                assert.equal(2, asked)
            end
        end)

        it("resumes without a response, but no session that was made without asking",
            function()
            local options = {server = server "good", client = pair.client(with(true))}
            local session = pair.session(options)
            options.session = session
            local client = pair.connect(options)
            assert.is_true(client:session_reused())
            local bytes = pair.session {server = options.server, client = with "none"}:export()
            expect.raises("another policy", options.client.import_session, options.client, bytes)
        end)

        it("has forgotten it after clear", function()
            local client, peer = pair.join {client = with(true), server = server()}
            pair.drive(client, peer)
            assert.equal("failed", client:state())
            client:clear()
            local again = server "good":connection()
            again:set_blocking(false)
            tls.pair(client, again)
            pair.drive(client, again)
            assert.equal("open", client:state())
        end)
    end)
end

describe("ocsp_verify", function()
    it("is a client's, that verifies its server and asks for a response", function()
        expect.raises("a client verifies OCSP", pair.server, {ocsp_verify = true})
        expect.raises("the peer is not", pair.client, {ocsp_verify = true, verify = false})
        expect.raises("none is asked for", pair.client, {ocsp_verify = true, ocsp_request = false})
        assert.is_not_nil(pair.client {ocsp_verify = false, ocsp_request = false})
        assert.is_not_nil(pair.client {ocsp_verify = "none", verify = false})
    end)

    it("is ignored where the server has no certificate", function()
        local psk = {identity = "me", key = ("k"):rep(32)}
        for _, version in ipairs(pair.VERSIONS) do
            local client = pair.connect {
                client = {psk = psk, ocsp_verify = true, max_version = version},
                server = {psk = psk, certificate = pair.none, private_key = pair.none}}
            assert.is_nil(client:peer_certificates())
        end
    end)

    it("knows the issuer of a certificate that is trusted itself, if it is self-signed", function()
        refused("OCSP verification failed", "the issuer of the certificate is not known", {
            server = server("good", p.server_leaf),
            client = {ocsp_verify = true, ca = p.server_leaf, partial_chain = true}})
    end)

    -- TLS 1.3 has no room for one of more than 64 KiB.
    it("refuses a megabyte", function()
        local function der(tag, bytes)
            return tag .. "\x84" .. (">I4"):pack(#bytes) .. bytes
        end
        local body = "\6\9\x2b\6\1\5\5\7\x30\1\1" .. der("\4", ("\0"):rep(1 << 20))
        local big = process.spill(dir .. ".big",
            der("\x30", "\10\1\0" .. der("\xa0", der("\x30", body))))
        local peer, port = stapler(big)
        local client <close>, said = arrive(port, {ocsp_verify = true, max_version = "TLSv1.2"})
        assert.equal("failed", client:state())
        local err = expect.fails("tls", table.unpack(said, 1, 3))
        peer:stop()
        assert.truthy(err.message:find "excessive message size", err.message)
    end)
end)
