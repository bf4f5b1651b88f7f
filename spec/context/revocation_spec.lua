-- revocation_spec.lua: tests CRLs that the openssl program makes, chains that end at an
-- intermediate CA, and the limits of what a peer may send, in real handshakes.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local dir = process.directory() .. "/revocation"

-- crl ISSUER NAME [CERTIFICATE]: a CRL of the issuer's in NAME.pem, with that certificate in it.
local MAKE = [[
set -e
mkdir -p "$1" && cd "$1"
printf '[ca]\ndefault_ca = it\n[it]\ndatabase = index\ndefault_md = sha256\n' >config
crl() {
    : >index
    set -- "$p/$1" "$2" "$3"
    [ -z "$3" ] || openssl ca -config config -cert "$1.pem" -keyfile "$1.key" -revoke "$3"
    openssl ca -config config -cert "$1.pem" -keyfile "$1.key" -gencrl -crldays 30 -out "$2.pem"
}
p=$2
crl intermediate clean ""
crl intermediate revoked "$3"
crl ca root ""
crl ca root_revoked "$p/intermediate.pem"
crl other_ca other ""
openssl crl -in revoked.pem -outform DER -out revoked.der
cat "$p/ca.pem" "$p/intermediate.pem" >cas.pem
openssl crl2pkcs7 -in clean.pem -certfile cas.pem -out with_root.p7
openssl crl2pkcs7 -in revoked.pem -certfile "$p/intermediate.pem" -out revoked.p7
]]

local function crl(name)
    local path = dir .. "/" .. name
    if not process.slurp(dir .. "/revoked.p7") then
        local code, said = process.run {"sh", "-c", MAKE, "sh", dir, p.dir, p.server_leaf_file}
        assert(code == 0, said)
    end
    return path
end

local function is_refused(verify, options, version)
    options.max_version = version
    local c, s = pair.try {client = options}
    local err = expect.fails("verify", table.unpack(c, 1, 3))
    assert.truthy(err.verify:find(verify, 1, true), err.verify)
    expect.fails("alert", table.unpack(s, 1, 3))
    return err
end

local function is_accepted(options, version)
    options.max_version = version
    local client, server = pair.connect {client = options}
    client:free()
    server:free()
end

for _, version in ipairs(pair.VERSIONS) do
    describe("a client with CRLs, " .. version .. ",", function()
        it("accepts a certificate that is not in its issuer's", function()
            is_accepted({crl = crl "clean.pem"}, version)
            is_accepted({crl = {crl "clean.pem", crl "root.pem"}, crl_check = "chain"}, version)
        end)

        for _, name in ipairs {"revoked.pem", "revoked.der", "revoked.p7"} do
            it("refuses one that is, from " .. name, function()
                for _, source in ipairs {
                    crl(name), process.slurp(crl(name)), "file:" .. crl(name),
                } do
                    local err = is_refused("certificate revoked", {crl = source}, version)
                    assert.equal(0, err.verify_depth)
                    assert.equal("certificate_revoked", err.alert)
                end
            end)
        end

        it("refuses one whose issuer has none", function()
            is_refused("unable to get certificate CRL", {crl = crl "other.pem"}, version)
            is_refused("unable to get certificate CRL",
                {crl = crl "clean.pem", crl_check = "chain"}, version)
            is_refused("unable to get certificate CRL", {crl_check = "leaf"}, version)
        end)

        it("finds an intermediate CA in its issuer's, if the chain is checked", function()
            local crls = {crl "clean.pem", crl "root_revoked.pem"}
            is_accepted({crl = crls}, version)
            local chain = {crl = crls, crl_check = "chain"}
            assert.equal(1, is_refused("certificate revoked", chain, version).verify_depth)
        end)

        it("takes them beside its CAs, and checks what it is told to", function()
            local ca = p.ca_pem .. process.slurp(crl "revoked.pem")
            is_accepted({ca = ca}, version)
            is_refused("certificate revoked", {ca = ca, crl_check = "leaf"}, version)
            is_accepted({crl = crl "revoked.pem", crl_check = "none"}, version)
        end)
    end)

    describe("a chain, " .. version .. ",", function()
        it("may end at an intermediate CA or the leaf, where partial chains are allowed", function()
            for _, trusted in ipairs {p.intermediate_cert, p.server_leaf} do
                is_refused("issuer certificate", {ca = trusted}, version)
                is_accepted({ca = trusted, partial_chain = true}, version)
            end
        end)

        it("that is longer than max_cert_list is refused", function()
            local c = pair.try {client = {max_cert_list = 500, max_version = version}}
            local err = expect.fails("tls", table.unpack(c, 1, 3))
            assert.truthy(err.message:find("excessive message size", 1, true), err.message)
            is_accepted({max_cert_list = 20000}, version)
        end)
    end)
end

describe("a CRL", function()
    it("is refused where another object is, and the other way round", function()
        local function said(options)
            options.role = "client"
            return expect.fails("input", tls.context(options)).message
        end
        assert.truthy(said {crl = p.ca_file}:find "holds a certificate, and a CRL was expected")
        assert.truthy(said {ca = crl "clean.pem"}:find "holds a CRL, and a certificate was exp")
        assert.truthy(said {crl = process.slurp(crl "clean.pem"):gsub("\n.", "\nA", 3)}
            :find "is damaged")
    end)

    it("beside certificates makes none of these trusted", function()
        local source = crl "with_root.p7"
        for _, version in ipairs(pair.VERSIONS) do
            for _, options in ipairs {
                {ca = p.other_ca_file, crl = source},
                {ca = p.other_ca_file, crl = source, partial_chain = true},
            } do
                options.crl_check = "none"
                is_refused("local issuer certificate", options, version)
            end
        end
    end)

    it("that changes makes another policy, so no older session resumes", function()
        local seen = {}
        for _, options in ipairs {
            {}, {crl = crl "clean.pem"}, {crl = {crl "clean.pem", crl "root.pem"}},
            {crl = crl "clean.pem", crl_check = "chain"}, {partial_chain = true},
        } do
            options.role, options.ca, options.verify = "server", p.ca_file, "required"
            options.certificate, options.private_key = p.server_cert, p.server_key
            local id = assert(tls.context(options)):session_id_context()
            assert.is_nil(seen[id])
            seen[id] = true
        end
    end)
end)

describe("a server", function()
    it("offers DHE where it is told to", function()
        local function try(dh_auto)
            return pair.try {
                client = {ciphers = "DHE-RSA-AES128-GCM-SHA256", max_version = "TLSv1.2"},
                server = {
                    certificate = p.rsa_cert, private_key = p.rsa_key, dh_auto = dh_auto,
                    ciphers = "DHE-RSA-AES128-GCM-SHA256",
                },
            }
        end
        local c, _, client = try(true)
        assert.is_true(c[1])
        assert.equal("DHE-RSA-AES128-GCM-SHA256", client:cipher())
        expect.fails("alert", table.unpack((try(false)), 1, 3))
        expect.fails("alert", table.unpack((try(nil)), 1, 3))
    end)

    it("names the CAs of all its sources", function()
        local named
        local client = pair.client {
            max_version = "TLSv1.2",
            on_certificate = function(_, request) named = request.ca_names end,
        }
        pair.try {client = client, server = {
            verify = "optional", ca = p.ca_file, client_ca = {p.ca_file, p.other_ca_pem},
        }}
        assert.equal(2, #named)
    end)
end)

describe("a record that is sent", function()
    it("has at most max_send_fragment bytes of plain text", function()
        for _, version in ipairs(pair.VERSIONS) do
            local client, server = pair.connect {client = {
                max_send_fragment = 512, max_version = version,
            }}
            client:set_memory()
            assert(client:write(("x"):rep(5000)))
            local bytes, at, records = client:drain(), 1, 0
            while at <= #bytes do
                local len = string.unpack(">I2", bytes, at + 3)
                assert.is_true(len >= 100 and len <= 512 + 40, tostring(len))
                at, records = at + 5 + len, records + 1
            end
            assert.equal(10, records)
            server:free()
        end
    end)
end)
