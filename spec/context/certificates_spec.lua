-- certificates_spec.lua: tests what is said of certificates. tls.certificate, tls.fingerprint and
-- tls.issued say it of bytes that a script has. A connection says it of its own certificate and of
-- those that its verification refused. The purpose of a peer's certificate and DANE are here, too.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()

local function openssl(...)
    local code, output = process.run {"openssl", timeout = 20, ...}
    assert(code == 0, output)
    return output
end

describe("tls.certificate", function()
    it("says of a key what openssl says", function()
        for _, name in ipairs {"server", "rsa"} do
            local found = assert(tls.certificate(p[name .. "_cert"]))
            local public = openssl("x509", "-in", p[name .. "_cert_file"], "-noout", "-pubkey")
            assert.equal(public, found.public_key)
        end
        local rsa, ec = tls.certificate(p.rsa_cert), tls.certificate(p.server_leaf)
        assert.same({"RSA", 2048, "EC", 256}, {rsa.public_key_kind, rsa.public_key_bits,
            ec.public_key_kind, ec.public_key_bits})
        assert.equal("ecdsa-with-SHA256", ec.signature_name)
        assert.equal(ec.der, tls.certificate(ec.der).der)
    end)

    it("takes names apart", function()
        local found = assert(tls.certificate(p.ca_cert))
        assert.same({{oid = "2.5.4.10", name = "organizationName", value = "tlslife specs",
            utf8 = "tlslife specs"}, {oid = "2.5.4.3", name = "commonName", value = "root",
            utf8 = "root"}}, found.subject_entries)
        assert.same(found.subject_entries, found.issuer_entries)
        local names = {}
        for i, entry in ipairs(tls.certificate(p.server_leaf).alternative_names) do
            names[i] = entry.name .. "=" .. entry.value
        end
        assert.equal("dNSName=localhost iPAddress=127.0.0.1 iPAddress=::1 dNSName=a.example "
            .. "dNSName=*.b.example", table.concat(names, " "))
    end)

    it("refuses bytes that are no certificate", function()
        for _, bytes in ipairs {"", "x", p.garbage, ("\0"):rep(100), p.server_leaf:sub(1, 300),
            ("x"):rep(2 << 20), p.ca_key} do
            expect.fails("input", tls.certificate(bytes))
            expect.fails("input", tls.fingerprint(bytes))
            expect.fails("input", tls.issued(bytes, p.ca_cert))
            expect.fails("input", tls.issued(p.ca_cert, bytes))
        end
        expect.fails("input", tls.fingerprint(p.ca_cert, "none such"))
    end)

    it("has the fingerprints that openssl has", function()
        for _, digest in ipairs {"sha1", "sha256", "sha512"} do
            local said = openssl("x509", "-in", p.server_cert_file, "-noout", "-fingerprint",
                "-" .. digest):match "=([%x:]+)":gsub(":", ""):lower()
            assert.equal(said, tls.fingerprint(p.server_cert, digest))
        end
    end)

    it("knows who issued whom", function()
        local intermediate, leaf = p.intermediate_cert, p.server_leaf
        assert.is_true(tls.issued(p.ca_cert, intermediate))
        assert.is_true(tls.issued(p.ca_cert, leaf, intermediate))
        for _, case in ipairs {{p.ca_cert, leaf}, {p.other_ca_cert, intermediate},
            {leaf, p.ca_cert}} do
            local ok, message, err = tls.issued(table.unpack(case))
            assert.is_nil(ok)
            assert.equal("verify", err.code)
            assert.is_true(err.verify_result ~= 0 and message == err.message)
        end
    end)
end)

describe("a connection", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
        it("tells its own certificates in " .. version, function()
            local client, server = pair.connect {client = {max_version = version,
                certificate = p.client_cert, private_key = p.client_key},
                server = {verify = "required", ca = p.ca_file, max_version = version}}
            local theirs = client:peer_certificates()
            for i, certificate in ipairs(server:local_certificates()) do
                if theirs[i] then assert.equal(theirs[i].der, certificate.der) end
            end
            assert.equal(server:peer_certificates()[1].der, client:local_certificates()[1].der)
        end)

        it("tells all that a verification refused in " .. version, function()
            local seen
            local client = pair.connect {client = {max_version = version, ca = p.other_ca_file,
                verify_all = true, on_verify = function(_, peer)
                    seen = peer.verify_result
                    return true
                end}, server = {certificate = p.expired_cert, private_key = p.expired_key,
                max_version = version}}
            local errors, depths = client:verify_errors(), {}
            for _, found in ipairs(errors) do depths[found.result] = found.depth end
            assert.equal(seen, errors[1].result)
            assert.same({seen}, {select(2, client:verify_result())})
            assert.equal(0, depths[10], "X509_V_ERR_CERT_HAS_EXPIRED of the leaf")
            assert.is_true(#errors >= 2)
        end)
    end

    it("has no errors where all was well", function()
        local client = pair.connect {client = {verify_all = true,
            on_verify = function() return true end}}
        assert.is_nil(client:verify_errors())
    end)
end)

describe("the purpose", function()
    local function try(purpose)
        return pair.try {client = {certificate = p.server_cert, private_key = p.server_key},
            server = {verify = "required", ca = p.ca_file, purpose = purpose}}
    end

    it("is that of the peer's role, or the one that is set", function()
        local _, refused = try(nil)
        assert.is_nil(refused[1])
        assert.truthy(refused[2]:find "purpose")
        for _, purpose in ipairs {"server", "any"} do
            local _, server = try(purpose)
            assert.is_true(server[1], server[2])
        end
    end)

    it("keeps sessions apart", function()
        local ids = {}
        for _, purpose in ipairs {"client", "server", "any"} do
            local id = pair.server {verify = "required", ca = p.ca_file,
                purpose = purpose}:session_id_context()
            assert.is_nil(ids[id])
            ids[id] = true
        end
    end)
end)

describe("DANE", function()
    local public = (function()
        local pipe = assert(io.popen("openssl x509 -in " .. process.quote(p.server_cert_file)
            .. " -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary"))
        local digest = pipe:read "a"
        pipe:close()
        return digest
    end)()

    local function with_records(options, name, ...)
        local client = assert(pair.client(options):connection())
        client:set_dane(name)
        for _, record in ipairs {...} do assert(client:add_tlsa(table.unpack(record))) end
        return client
    end

    local function handshake(client)
        local server = assert(pair.server():connection())
        tls.pair(client, server)
        client:set_blocking(false)
        server:set_blocking(false)
        local ok, why, err
        for _ = 1, 20 do
            ok, why, err = client:connect()
            server:accept()
            if ok or err then break end
        end
        return client, ok, why, err
    end

    local function try(...)
        return handshake(with_records(...))
    end

    it("accepts the key that a record names, under no CA that is trusted", function()
        local client, ok, why = try({dane = true, ca = p.other_ca_file}, "localhost",
            {3, 1, 1, public})
        assert.is_true(ok, why)
        assert.equal("ok", client:verify_result())
    end)

    it("refuses another key, and another name", function()
        local _, ok, _, err = try({dane = true}, "localhost", {3, 1, 1, ("x"):rep(32)})
        assert.is_nil(ok)
        assert.equal("verify", err.code)
        _, ok, _, err = try({dane = true, ca = p.other_ca_file}, "elsewhere.example",
            {3, 1, 1, public})
        assert.is_nil(ok)
        assert.equal("verify", err.code)
        local _, named = try({dane = "no_ee_namechecks", ca = p.other_ca_file}, "elsewhere.example",
            {3, 1, 1, public})
        assert.is_true(named)
    end)

    it("is copied by dup, with its records", function()
        local options = {dane = true, ca = p.other_ca_file}
        local first = with_records(options, "localhost", {3, 1, 1, public})
        local _, ok, why = handshake(first:dup())
        assert.is_true(ok, why)
        local second = with_records({dane = true}, "localhost", {3, 1, 1, ("x"):rep(32)})
        local _, refused, _, err = handshake(second:dup())
        assert.is_nil(refused)
        assert.equal("verify", err.code)
    end)

    it("needs a context with the option dane, and without a cache", function()
        local plain = assert(pair.client():connection())
        expect.raises("DANE", plain.set_dane, plain, "localhost")
        expect.raises("set_dane", plain.add_tlsa, plain, 3, 1, 1, public)
        local conn = assert(pair.client {dane = true}:connection())
        conn:set_dane "localhost"
        expect.fails("input", conn:add_tlsa(3, 1, 9, "x"))
        local cache = assert(tls.cache())
        expect.raises("cache", pair.client, {dane = true, cache = cache})
    end)
end)
