-- details_spec.lua: tests that tls.certificate reads certificates with names of every kind,
-- well-formed or not, keys of every kind, and bytes that were changed. It returns the values, or
-- says why not. What tls.line and tls.class do with odd arguments is here, too.

local expect = require "spec.support.expect"
local process = require "spec.support.process"
local tls = require "tlslife"

local CONFIG <const> = [[
distinguished_name = name
prompt = no
[name]
0.O = one
1.O = two
CN = bytes
[it]
subjectAltName = %s
[others]
dirName = there
otherName = 1.2.3.4;SEQUENCE:pair
RID = 1.2.3.4.5
DNS = a.example
[there]
CN = elsewhere
[pair]
a = INTEGER:1
]]

local made = 0

-- Runs a script of sh in a folder of its own, and returns what it leaves in the file cert.pem.
local function make(script, names)
    made = made + 1
    local dir = ("%s/details%d"):format(process.directory(), made)
    assert(os.execute("mkdir " .. process.quote(dir)))
    process.spill(dir .. "/config", CONFIG:format(names or "@others"))
    local code, output = process.run {"sh", "-ec", 'cd "$0"; ' .. script, dir, timeout = 60}
    assert.equal(0, code, output)
    return process.slurp(dir .. "/cert.pem")
end

local SELF_SIGNED <const> = [[
openssl req -x509 -key key.pem -days 2 -config config -extensions it -out cert.pem 2>&1]]

local function with_names(names)
    return assert(tls.certificate(make(
        "openssl genpkey -algorithm ed25519 -out key.pem; " .. SELF_SIGNED, names)))
end

describe("the names of a certificate", function()
    it("are those of the kinds that have a value, and the others are left out", function()
        local names = with_names().alternative_names
        assert.same({{oid = "1.2.3.4", name = "1.2.3.4"},
            {name = "dNSName", value = "a.example", utf8 = "a.example"}}, names)
    end)

    it("have no value where an address has an impossible length", function()
        -- GeneralNames: iPAddress of 5 bytes, of 4, of 16
        local names = with_names("DER:301f" .. "87050102030405" .. "8704c0000201" ..
            "8710" .. ("00"):rep(15) .. "01").alternative_names
        assert.same({{name = "iPAddress"},
            {name = "iPAddress", value = "192.0.2.1", utf8 = "192.0.2.1"},
            {name = "iPAddress", value = "::1", utf8 = "::1"}}, names)
    end)

    it("are empty where the extension cannot be read", function()
        assert.same({}, with_names "DER:30030102".alternative_names)
    end)

    it("come in the order of the certificate, and twice where they are there twice", function()
        local entries = with_names().subject_entries
        local values = {}
        for i, entry in ipairs(entries) do values[i] = entry.name .. "=" .. entry.value end
        assert.same({"organizationName=one", "organizationName=two", "commonName=bytes"}, values)
    end)
end)

describe("the key of a certificate", function()
    local function key_of(script)
        local found = assert(tls.certificate(make(script)))
        return found.public_key_kind, found.public_key_bits, found.public_key
    end

    -- A key that cannot sign for itself: a CA of another kind signs.
    local SIGNED <const> = [[
openssl pkey -in other.pem -pubout -out public.pem
openssl genpkey -algorithm ed25519 -out key.pem
openssl req -new -key key.pem -config config -out request.pem
openssl x509 -req -in request.pem -key key.pem -force_pubkey public.pem -days 2 -out cert.pem 2>&1]]

    for _, kind in ipairs {
        {"RSA", 2048, "openssl genpkey -algorithm RSA -out key.pem; " .. SELF_SIGNED},
        {"EC", 384, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 " ..
            "-out key.pem; " .. SELF_SIGNED},
        {"Unknown", 253, "openssl genpkey -algorithm ed25519 -out key.pem; " .. SELF_SIGNED,
            otherwise = 256},
        {"DH", 2048, "openssl genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out other.pem; " ..
            SIGNED},
        {"DSA", 1024, [[openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 \
            -out parameters.pem; openssl genpkey -paramfile parameters.pem -out other.pem; ]] ..
            SIGNED},
    } do
        it("is told as " .. kind[1], function()
            local name, bits, key = key_of(kind[3])
            assert.equal(kind[1], name)
            assert.is_true(bits == kind[2] or bits == kind.otherwise, bits)
            assert.truthy(key:find "^%-%-%-%-%-BEGIN PUBLIC KEY")
        end)
    end

    it("is left out where OpenSSL cannot read it", function()
        local pem = make("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 " ..
            "-out key.pem; " .. SELF_SIGNED .. "; openssl x509 -in cert.pem -outform DER " ..
            "-out other; mv other cert.pem")
        local curve = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07" -- prime256v1
        local at = assert(pem:find(curve, 1, true))
        local strange = pem:sub(1, at + 8) .. "\x63" .. pem:sub(at + 10)
        local found = assert(tls.certificate(strange))
        assert.is_nil(found.public_key)
        assert.is_nil(found.public_key_kind)
        assert.equal(0, found.public_key_bits)
    end)
end)

it("a certificate of which any byte was changed is read or refused", function()
    local der = make("openssl genpkey -algorithm ed25519 -out key.pem; " .. SELF_SIGNED ..
        "; openssl x509 -in cert.pem -outform DER -out other; mv other cert.pem",
        "DNS:a.example, IP:192.0.2.1, email:a@b.example, otherName:1.2.3.4;UTF8:x")
    local read, refused = 0, 0
    for at = 1, #der do
        for _, byte in ipairs {0, 0x30, 0x7f, 0xff} do
            local bytes = der:sub(1, at - 1) .. string.char(byte) .. der:sub(at + 1)
            local found, message, err = tls.certificate(bytes)
            if found then
                read = read + 1
                assert.equal("table", type(found.alternative_names))
            else
                refused = refused + 1
                assert.equal("string", type(message))
                assert.equal("input", err.code)
            end
        end
        assert(tls.certificate(der:sub(1, at - 1)) == nil, "a certificate that was cut")
    end
    assert.is_true(read > 100 and refused > 100, ("%d read, %d refused"):format(read, refused))
end)

describe("a line", function()
    it("has no carriage returns, wherever they stood", function()
        assert.same({"abc", 7}, {tls.line "a\rb\rc\n"})
        assert.same({"abc", 6}, {tls.line "abc\r\nd"})
    end)
end)

it("a class whose metatable was taken away makes nothing", function()
    local new = tls.class "a class"
    assert.equal("userdata", type(new()))
    debug.setupvalue(new, 1, nil)
    expect.raises("the metatable of this class is gone", new)
end)
