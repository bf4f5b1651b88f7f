-- others_node_name_spec.lua: answers what Node's tests ask of names: which certificate is good for
-- which host, what a client may ask for, and how names are printed that were made to mislead (read
-- in nodejs/node 25.8.1, 2026).
--
-- Node compares names itself, in tls.checkServerIdentity. Here OpenSSL does, with what
-- X509_check_host(3) calls X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS. Where Node takes more, RFC 9525
-- is on our side, and a comment says so.
--
-- A certificate for each row is made here, of one whose key we have: its names are replaced, and
-- the client trusts it as it is. Nobody checks the signature of what is trusted already.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local HERE = others.HERE
local CHECK <const> = "test/parallel/test-tls-check-server-identity.js"
local ESCAPING <const> = "test/parallel/test-x509-escaping.js"
local NUL <const> = "test/parallel/test-tls-0-dns-altname.js"
local CANONICAL <const> = "test/parallel/test-tls-canonical-ip.js"

local suite = others.suite(it, others.cases("test/parallel/test-", {
    {HERE, "tls-check-server-identity.js", "x509-escaping.js", "tls-0-dns-altname.js",
        "tls-canonical-ip.js", "tls-ip-servername-forbidden.js", "tls-error-servername.js",
        "https-selfsigned-no-keycertsign-no-crash.js", "tls-peer-certificate-multi-keys.js",
        "tls-peer-certificate-encoding.js", "https-strict.js"},
    {{"spec/conn/handshake_spec.lua", "makes connect raise without a host name"},
        "tls-connect-no-host.js"},
    {{"spec/context/hooks_spec.lua", "with verify_all decides about a peer that verification"},
        "https-client-checkServerIdentity.js"},
    {{"spec/context/details_spec.lua", "are empty where the extension cannot be read"},
        "tls-cert-ext-encoding.js"},
    {"takes apart a text that Node has made of a certificate", "tls-translate-peer-certificate.js"},
}))

-- ------------------------------------------------------------------------------------------- DER

local SEQUENCE <const>, SET <const>, UTF8 <const>, OCTETS <const> = 0x30, 0x31, 0x0c, 0x04
local CN <const>, L <const> = "\6\3\x55\4\3", "\6\3\x55\4\7"
local ALT_NAMES <const> = "\6\3\x55\x1d\x11"
local KINDS <const> = {email = 0x81, DNS = 0x82, dirName = 0xa4, URI = 0x86, IP = 0x87}

local function element(tag, ...)
    local content = table.concat {...}
    local size = #content
    local length = size < 128 and string.char(size) or "\x82" .. string.pack(">I2", size)
    return string.char(tag) .. length .. content
end

-- Where the content of the element at byte i begins, and where it ends.
local function bounds(der, i)
    local size, from = der:byte(i + 1), i + 2
    if size >= 128 then size, from = string.unpack(">I" .. size - 128, der, from) end
    return from, from + size
end

local function fields(der)
    local at, stop = bounds(der, 1)
    local found = {}
    while at < stop do
        local _, behind = bounds(der, at)
        found[#found + 1] = der:sub(at, behind - 1)
        at = behind
    end
    return found
end

-- A distinguished name of {type, value} pairs.
local function name_of(parts)
    local sets = {}
    for i, part in ipairs(parts) do
        sets[i] = element(SET, element(SEQUENCE, part[1], element(UTF8, part[2])))
    end
    return element(SEQUENCE, table.concat(sets))
end

-- An extension with alternative names: "DNS:a.example", and the like.
local function extension_of(names)
    if not names then return "" end
    local found = {}
    for i, name in ipairs(names) do
        local kind, value = name:match "^(%a+):(.*)$"
        if kind == "dirName" then value = name_of {{L, value}} end
        found[i] = element(KINDS[kind], value)
    end
    local extension = element(SEQUENCE, ALT_NAMES, element(OCTETS,
        element(SEQUENCE, table.concat(found))))
    return element(0xa3, element(SEQUENCE, extension))
end

local model = fields(assert(tls.certificate(p.server_leaf)).der)
local signed = fields(model[1]) -- version, serial, algorithm, issuer, validity, subject, key, ...

local function certificate(subject, names)
    local name = name_of(subject)
    return element(SEQUENCE, element(SEQUENCE, signed[1], signed[2], signed[3], name, signed[5],
        name, signed[7], extension_of(names)), model[2], model[3])
end

-- What a client says of a server with this certificate: true, or what is wrong.
local function verdict(host, bytes, more)
    local client = pair.with({ca = bytes, partial_chain = true}, more)
    local c = pair.try {hostname = host, client = client,
        server = {certificate = bytes, private_key = p.server_key}}
    return c[1] or expect.fails("verify", table.unpack(c, 1, c.n)).verify
end

local function check(rows, wrong)
    for i, row in ipairs(rows) do
        local subject = {}
        for j, name in ipairs(row.cn or {}) do subject[j] = {CN, name} end
        assert.equal(row.good or wrong, verdict(row[1], certificate(subject, row.names)),
            ("row %d, %s"):format(i, row[1]))
    end
end

-- ----------------------------------------------------------------------------------------- names

describe("Node's cases of host names:", function()
    suite.answer(CHECK, "a certificate without DNS names is good for its common names", function()
        check({
            {"a.example", cn = {"a.example"}, good = true},
            {"a.example", cn = {"A.EXAMPLE"}, good = true},
            {"A.Example", cn = {"a.example"}, good = true},
            {"a.example", cn = {"a.example", "b.example"}, good = true},
            {"b.example", cn = {"a.example", "b.example"}, good = true},
            {"a.example", cn = {"b.example"}},
            {"a.example", cn = {".a.example"}},
            {"a.x.example.com", cn = {"a..example.com"}},
            {"a.example", cn = {""}},
            {"a.example", cn = {}},
            {"b.a.example", cn = {"*.a.example"}, good = true},
            {"ba.example", cn = {"*.a.example"}},
            {"bcb.a.example", cn = {"b*b.a.example"}},
            {"bxa.a.example", cn = {"b**.a.example"}},
            {"xbcd.a.example", cn = {"ab*cd.a.example"}},
            {"xn--bcher-kva.example.com", cn = {"*.example.com"}, good = true},
            {"xn--bcher-kva.example.com", cn = {"xn--*.example.com"}},
            -- Node takes the dot that only an absolute name has. It is no part of a DNS-ID.
            {"a.example", cn = {"a.example."}},
            {"a.example", cn = {"a.example\0.b.example"}},
            {"a.example", cn = {"a.example"}, names = {"IP:\1\2\3\4"}, good = true},
            {"a.example", cn = {"a.example"}, names = {"URI:http://b.example/"}, good = true},
        }, "hostname mismatch")
    end)

    suite.answer(CHECK, "one with DNS names is good for these alone", function()
        check({
            {"a.example", names = {"DNS:a.example"}, good = true},
            {"a.example", cn = {"b.example"}, names = {"DNS:A.EXAMPLE"}, good = true},
            {"a.example", cn = {"a.example"}, names = {"DNS:b.example"}},
            {"localhost", cn = {"localhost"}, names = {"DNS:a.example"}},
            {"b.a.example", cn = {"*.a.example"}, names = {"DNS:c.example"}},
            {"a.example", cn = {"a.example"}, names = {"DNS:*.a.example"}},
            {"a.example", cn = {"b.example"}, names = {"DNS:*"}},
            {"a.example", cn = {"b.example"}, names = {"DNS:*.example"}},
            {"a.co.uk", cn = {"b.example"}, names = {"DNS:*.co.uk"}, good = true},
            {"a.example", names = {"DNS:"}},
            {"a.x.example.com", names = {"DNS:a..example.com"}},
            {"x.example.com", names = {"DNS:caf\xe9.example.com"}},
            {"x.example.com", names = {"DNS:a label.com"}},
            {"xbcd.a.example", names = {"DNS:ab*cd.a.example"}},
            {"bxa.a.example", names = {"DNS:b**.a.example"}},
            {"b.a.example", names = {"DNS:*.a.example"}, good = true},
            {"c.b.a.example", names = {"DNS:*.a.example"}},
            {"a.b.a.example", names = {"DNS:*b.a.example", "DNS:a.b.a.example"}, good = true},
            {"a.b.a.example", names = {"DNS:*b.a.example"}},
            -- Node takes a part of a label for a wildcard, which RFC 9525 section 6.3 does not.
            {"b.a.example", names = {"DNS:*b.a.example"}},
            {"a-cb.a.example", names = {"DNS:*b.a.example"}},
        }, "hostname mismatch")
    end)

    suite.answer(CHECK, "names of other kinds are good for no host", function()
        check({
            {"a.b.a.example", names = {"URI:http://a.b.a.example/"}},
            {"a.b.a.example", names = {"URI:http://*.b.a.example/"}},
            {"a.b.a.example", names = {"IP:\127\0\0\1"}},
            {"a.example", names = {"email:root@a.example", "dirName:a.example"}},
        }, "hostname mismatch")
    end)

    suite.answer({NUL, ESCAPING}, "a name is no other name's part, whatever is in it", function()
        for _, name in ipairs {"DNS:good.example.org\0.evil.example.com",
            "DNS:good.example.org, DNS:evil.example.com", "DNS:good.example.org\nDNS:b.example",
            'DNS:"good.example.org"', "URI:http://a.example/, DNS:good.example.org",
            "email:a@b.example, DNS:good.example.org", "dirName:x/CN=good.example.org"} do
            local bytes = certificate({}, {name, "DNS:last.example.com"})
            assert.equal("hostname mismatch", verdict("good.example.org", bytes))
            assert.equal("hostname mismatch", verdict("evil.example.com", bytes))
            assert.is_true(verdict("last.example.com", bytes))
        end
        for _, subject in ipairs {"x\nCN=good.example.org", "x, CN = good.example.org",
            "x/CN=good.example.org", "x\\\nCN=good.example.org", "x + CN=good.example.org"} do
            assert.equal("hostname mismatch",
                verdict("good.example.org", certificate {{L, subject}}))
        end
    end)

    suite.answer({NUL, ESCAPING}, "each name is printed as one, and nothing is cut", function()
        local details = assert(tls.certificate(certificate({
            {L, "Somewhere\0evil"}, {L, "a\nCN=evil"}, {L, "b, CN = evil"}, {L, "c + CN=evil"}},
            {"DNS:good.example.org\0.evil", "DNS:a, DNS:b", "DNS:a\nb", "DNS:ex\xe4mple",
                "IP:\8\8\4\4", "IP:\1\2\3\4\5", "URI:http://a/, DNS:b", "email:a@b, DNS:c"})))
        assert.same({[[DNS:good.example.org\00.evil]], [[DNS:a\2C\20DNS:b]], [[DNS:a\0Ab]],
            [[DNS:ex\E4mple]], "IP:8.8.4.4", [[IP:\01\02\03\04\05]], [[URI:http://a/\2C\20DNS:b]],
            [[email:a@b\2C\20DNS:c]]}, details.names)
        assert.equal([[L=c \+ CN=evil,L=b\, CN = evil,L=a\0ACN=evil,L=Somewhere\00evil]],
            details.subject)
    end)

    suite.answer("test/parallel/test-tls-peer-certificate-multi-keys.js",
        "a subject may have one attribute many times", function()
        local bytes = certificate {{L, "one"}, {L, "two"}, {CN, "a.example"}}
        local client = pair.connect {hostname = "a.example",
            client = {ca = bytes, partial_chain = true},
            server = {certificate = bytes, private_key = p.server_key}}
        assert.equal("CN=a.example,L=two,L=one", client:peer_certificates()[1].subject)
    end)

    suite.answer("test/parallel/test-tls-peer-certificate-encoding.js",
        "a subject is text in UTF-8", function()
        local details = assert(tls.certificate(certificate {{CN, "Ádám"}}))
        assert.equal("Ádám", details.subject_entries[1].utf8)
        assert.equal([[CN=\C3\81d\C3\A1m]], details.subject)
    end)
end)

describe("Node's cases of addresses:", function()
    suite.answer(CHECK, "one must be in the certificate as an address", function()
        check({
            {"8.8.8.8", cn = {"8.8.8.8"}},
            {"8.8.8.8", cn = {"8.8.8.8"}, names = {"DNS:8.8.8.8"}},
            {"8.8.8.8", cn = {"8.8.8.8"}, names = {"URI:http://8.8.8.8/"}},
            {"8.8.8.8", cn = {"8.8.8.8"}, names = {"IP:\8\8\8\8"}, good = true},
            {"8.8.8.8", cn = {"8.8.8.8"}, names = {"IP:\8\8\8\0\255\255\255\0"}},
            {"8.8.8.8", names = {"IP:\8\8\8"}},
            {"127.0.0.2", names = {"IP:\127\0\0\1"}},
            {"127.0.0.1", names = {"IP:\127\0\0\1"}, good = true},
            {"127.0.0.1", names = {"DNS:a.example"}},
        }, "IP address mismatch")
    end)

    suite.answer(CANONICAL, "it is compared as bytes, however it is written", function()
        local function sixteen(hex)
            return (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
        end
        for _, row in ipairs {
            {"::1", "00000000000000000000000000000001"},
            {"fe80:0:0:0:0:0:0:1", "fe800000000000000000000000000001"},
            {"fe80::0000:0010:0001", "fe800000000000000000000000100001"},
            {"0001:2222:3333:4444:5555:6666:7777:0088", "00012222333344445555666677770088"},
            {"A002:B12:00Ba:4444:5555:6666:0:0", "a0020b1200ba44445555666600000000"},
            {"0:0:0:0:0:ffff:c0a8:101", "00000000000000000000ffffc0a80101"},
            {"::ffff:192.168.1.1", "00000000000000000000ffffc0a80101"},
        } do
            local bytes = certificate({}, {"IP:" .. sixteen(row[2])})
            assert.is_true(verdict(row[1], bytes), row[1])
            assert.is_true(verdict("[" .. row[1] .. "]", bytes), row[1])
            assert.equal("IP address mismatch", verdict("192.168.1.1", bytes))
        end
    end)

    suite.answer("test/parallel/test-tls-ip-servername-forbidden.js",
        "it is verified, and no server gets it as a name", function()
        for host, seen in pairs {["127.0.0.1"] = false, ["::1"] = false, ["a.example"] = true} do
            local _, server = pair.connect {hostname = host}
            assert.equal(seen and host or nil, server:server_name())
        end
    end)
end)

describe("Node's cases of the name that a client asks for:", function()
    suite.answer({CHECK, "test/parallel/test-tls-error-servername.js"},
        "it is a name, and no server's connection has one", function()
        local conn = assert(pair.client():connection())
        for _, wrong in ipairs {false, 1, true, {}, print, "", ".", ".a.example", "a..example",
            "*.a.example", "\n.b.example", "a b.example", "a.example\0.b.example", "%s"} do
            expect.refused(wrong, conn.set_hostname, conn, wrong)
        end
        expect.refused(nil, conn.set_hostname, conn, nil)
        assert.is_nil(conn:hostname())
        expect.raises("client", conn.set_hostname, pair.server():connection(), "localhost")
        -- RFC 6066 section 3: it is sent without the dot of an absolute name.
        conn:set_hostname "A.Example."
        assert.equal("a.example", conn:hostname())
    end)

    suite.answer("test/parallel/test-https-strict.js",
        "each of three servers is refused for its own reason, or trusted", function()
        local own = certificate({{CN, "b.example"}}, {"DNS:b.example"})
        local servers = {
            ca = {certificate = p.server_cert_file, private_key = p.server_key_file},
            other = {certificate = p.other_client_cert_file, private_key = p.other_client_key_file},
            own = {certificate = own, private_key = p.server_key},
        }
        local LOCAL <const> = "unable to get local issuer certificate"
        local SELF <const> = "self-signed certificate"
        for _, row in ipairs {
            {"ca", "localhost", {p.ca_file}, true},
            {"ca", "localhost", {p.ca_file, p.other_ca_file}, true},
            {"ca", "elsewhere.example", {p.ca_file}, "hostname mismatch"},
            {"ca", "elsewhere.example", {p.ca_file, p.other_ca_file}, "hostname mismatch"},
            {"ca", "localhost", {p.other_ca_file}, LOCAL},
            {"other", "client", {p.ca_file}, LOCAL},
            {"other", "client", {p.ca_file, p.other_ca_file}, true},
            {"other", "localhost", {p.other_ca_file}, "hostname mismatch"},
            {"own", "b.example", {p.ca_file}, SELF},
            {"own", "b.example", {p.ca_file, p.other_ca_file}, SELF},
        } do
            local c = pair.try {hostname = row[2], server = servers[row[1]],
                client = {ca = row[3], purpose = "any"}}
            local got = c[1] or expect.fails("verify", table.unpack(c, 1, c.n)).verify
            assert.equal(row[4], got, row[1] .. " as " .. row[2])
        end
    end)

    -- Its key usage has no keyCertSign: it is no CA, and signs nothing. It is trusted as it is.
    suite.answer("test/parallel/test-https-selfsigned-no-keycertsign-no-crash.js",
        "a certificate that signed itself is its own root, though it is no CA", function()
        local leaf = fields(assert(tls.certificate(p.server_leaf)).der)
        local inside = fields(leaf[1])
        local own = element(SEQUENCE, element(SEQUENCE, inside[1], inside[2], inside[3], inside[6],
            inside[5], inside[6], inside[7], (inside[8]:gsub("\6\3\x55\x1d\x23",
                "\6\3\x55\x1d\x63"))), leaf[2], leaf[3])
        for _, partial in ipairs {true, false} do
            assert.is_true(verdict("127.0.0.1", own, {partial_chain = partial}))
        end
    end)
end)

describe("Node's suite of names", function() suite.check() end)
