-- formats_spec.lua: tests certificates, keys and CAs in each format that the openssl program
-- writes, from a file, a text and a URI, and what is said of a file that cannot be used.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()
local dir = process.directory() .. "/formats"

-- By name, what the openssl program or an editor makes of the specs' certificates and keys.
local MAKE = [[
set -e
mkdir -p "$1" && cd "$1"
cp "$2" both.chain && cp "$3" key.pem && cp "$4" ca.pem && cp "$5" leaf.pem
openssl x509 -in leaf.pem -outform DER -out leaf.der
openssl x509 -in leaf.pem -trustout -addtrust serverAuth -out trusted.pem
openssl crl2pkcs7 -nocrl -certfile both.chain -out chain.p7
openssl crl2pkcs7 -nocrl -certfile both.chain -outform DER -out chain.p7.der
openssl pkey -in key.pem -outform DER -out key.der
openssl pkey -in key.pem -traditional -out traditional.pem
openssl pkey -in key.pem -traditional -aes128 -passout pass:secret -out traditional.encrypted.pem
openssl pkcs8 -topk8 -in key.pem -v2 aes128 -passout pass:secret -out encrypted.pem
openssl pkcs8 -topk8 -in key.pem -v2 aes128 -passout pass:secret -outform DER -out encrypted.der
openssl pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES -passout pass:secret -outform DER |
    LC_ALL=C sed 's/\x0c\x01\x03/\x0c\x01\x06/' >rc2.der # pbeWithSHA1And40BitRC2-CBC
openssl pkey -in key.pem -traditional -des3 -passout pass:secret |
    sed s/DES-EDE3-CBC/DES-CBC/ >des.pem
openssl ecparam -name prime256v1 -out parameters.pem && cat key.pem >>parameters.pem
tail -n +"$(($(grep -n 'END CERT' both.chain | head -n 1 | cut -d: -f1) + 1))" both.chain >rest.pem
both="-export -in leaf.pem -certfile rest.pem -inkey key.pem"
openssl pkcs12 $both -passout pass:secret -out all.p12
openssl pkcs12 $both -passout pass: -out open.p12
cat both.chain key.pem >all.pem
cat encrypted.pem both.chain >all.encrypted.pem
cat rest.pem key.pem leaf.pem >disordered.pem
openssl x509 -in ca.pem -outform DER -out ca.der
openssl crl2pkcs7 -nocrl -certfile ca.pem -outform DER -out ca.p7
openssl crl2pkcs7 -nocrl -certfile ca.pem -out ca.p7.pem
openssl pkcs12 -export -nokeys -in ca.pem -passout pass: -out ca.p12
head -c 300 leaf.der >cut.der
head -c 400 leaf.pem >cut.pem
sed 3d leaf.pem >line_lost.pem
openssl x509 -in "$8" -outform DER -out another_ca.der
openssl pkcs12 -export -in "$6" -inkey "$7" -passout pass:secret -out server_rsa.p12
printf '[it]\ndatabase = index\ndefault_md = sha256\n' >config && : >index
openssl ca -config config -name it -cert "$4" -keyfile "$9" -gencrl -crldays 30 -out ca.crl
openssl ca -config config -name it -cert "${10}" -keyfile "${11}" -gencrl -crldays 30 -out leaf.crl
openssl crl -in leaf.crl -outform DER -out leaf.crl.der
openssl crl2pkcs7 -in leaf.crl -out leaf.crl.p7
openssl crl2pkcs7 -in leaf.crl -outform DER -out leaf.crl.p7.der
head -c 100 leaf.crl.der >cut.crl
cp "${12}" ocsp.der
cp both.chain server.pem && cp key.pem server.key && cp all.p12 server.p12
truncate -s 1G zeros
: >empty
mkfifo fifo
]]

local made
local function make()
    if not made then
        local code, said = process.run {
            "sh", "-c", MAKE, "sh", dir, p.server_cert_file, p.server_key_file, p.ca_file,
            p.server_leaf_file, p.rsa_cert_file, p.rsa_key_file, p.other_ca_file,
            p.ca_key_file, p.intermediate_cert_file, p.intermediate_key_file,
            p.ocsp_file,
        }
        assert(code == 0, said)
        made = true
    end
end

local function path(name)
    make()
    return dir .. "/" .. name
end

local function bytes(name)
    return assert(process.slurp(path(name)))
end

-- The ways to name what a file holds.
local WAYS = {
    {"file", path},
    {"text", bytes},
    {"URI", function(name) return "file:" .. path(name) end},
    {"URI with a host", function(name) return "file://localhost" .. path(name) end},
}

local function serves(options, way)
    options.role = "server"
    local server = assert(tls.context(options))
    local client, accepted = pair.connect {server = server}
    assert.equal("localhost", client:hostname(), way)
    client:free()
    accepted:free()
end

describe("a server takes its certificate", function()
    for _, name in ipairs {
        "both.chain", "chain.p7", "chain.p7.der", "all.pem", "all.encrypted.pem", "open.p12",
    } do
        for _, way in ipairs(WAYS) do
            it(("from %s, by %s"):format(name, way[1]), function()
                serves {certificate = way[2](name), private_key = path "key.pem"}
            end)
        end
    end

    -- The client of these trusts the intermediate itself.
    for _, name in ipairs {"leaf.pem", "leaf.der", "trusted.pem"} do
        for _, way in ipairs(WAYS) do
            it(("without a chain from %s, by %s"):format(name, way[1]), function()
                local client <close> = pair.connect {
                    server = assert(tls.context {
                        role = "server", certificate = way[2](name), private_key = p.server_key,
                    }),
                    client = {ca = {p.ca_file, p.intermediate_cert}},
                }
                assert.is_true(client:handshake_done())
            end)
        end
    end
end)

describe("a server takes its private key", function()
    for _, case in ipairs {
        {"key.pem"}, {"key.der"}, {"traditional.pem"}, {"parameters.pem"}, {"all.pem"},
        {"open.p12"}, {"encrypted.pem", "secret"}, {"encrypted.der", "secret"},
        {"all.p12", "secret"},
        {"traditional.encrypted.pem", "secret"},
    } do
        for _, way in ipairs(WAYS) do
            it(("from %s, by %s"):format(case[1], way[1]), function()
                serves {
                    certificate = p.server_cert, private_key = way[2](case[1]),
                    passphrase = case[2],
                }
            end)
        end
    end
end)

describe("a server takes both from one source", function()
    for _, case in ipairs {
        {"all.p12", "secret"}, {"open.p12"}, {"all.pem"}, {"disordered.pem"},
        {"all.encrypted.pem", "secret"},
    } do
        for _, way in ipairs(WAYS) do
            it(("which is %s, by %s"):format(case[1], way[1]), function()
                serves {certificate = way[2](case[1]), passphrase = case[2]}
                serves {certificate = {{certificate = way[2](case[1]), passphrase = case[2]}}}
            end)
        end
    end
end)

describe("a client trusts the CA", function()
    for _, name in ipairs {"ca.pem", "ca.der", "ca.p7", "ca.p7.pem", "ca.p12"} do
        for _, way in ipairs(WAYS) do
            it(("in %s, by %s"):format(name, way[1]), function()
                local client <close> = pair.connect {client = {ca = way[2](name)}}
                assert.is_true(client:handshake_done())
            end)
            it(("that a server names, in %s, by %s"):format(name, way[1]), function()
                local client <close> = pair.connect {
                    client = {certificate = p.client_cert, private_key = p.client_key},
                    server = {verify = "required", ca = way[2](name), client_ca = way[2](name)},
                }
                assert.same({"CN=root,O=tlslife specs"}, client:ca_names())
            end)
        end
    end
end)

describe("a client takes the CRL", function()
    for _, name in ipairs {"leaf.crl", "leaf.crl.der", "leaf.crl.p7", "leaf.crl.p7.der"} do
        for _, way in ipairs(WAYS) do
            it(("in %s, by %s"):format(name, way[1]), function()
                local client <close> = pair.connect {client = {crl = way[2](name)}}
                assert.is_true(client:handshake_done())
            end)
        end
    end
end)

describe("PEM is read although", function()
    local function changed(change)
        return change(p.server_cert .. p.server_key)
    end
    local cases = {
        ["it begins with a byte order mark"] = function(pem) return "\u{FEFF}" .. pem end,
        ["its lines end in CR LF"] = function(pem) return (pem:gsub("\n", "\r\n")) end,
        ["its lines are indented"] = function(pem) return (pem:gsub("[^\n]+", "\t    %0")) end,
        ["its lines end in blanks"] = function(pem) return (pem:gsub("\n", "  \n")) end,
        ["its blocks are glued together"] = function(pem)
            return (pem:gsub("(%-%-%-%-%-END [^-]+%-%-%-%-%-)\n", "%1"))
        end,
        ["text stands around its blocks"] = function(pem)
            local with_names = pem:gsub("(%-%-%-%-%-BEGIN)", "subject=CN = x\nissuer=y\n%1")
            return "# our server\n" .. with_names .. "-- the end\n"
        end,
        ["it lacks the last newline"] = function(pem) return (pem:gsub("\n$", "")) end,
        ["other objects are in it"] = function(pem)
            return "-----BEGIN DH PARAMETERS-----\nMIIB\n-----END DH PARAMETERS-----\n" .. pem
        end,
    }
    for what, change in pairs(cases) do
        it(what, function() serves {certificate = changed(change)} end)
    end
end)

describe("the error about a source that cannot be used", function()
    local function client_with(source) return {role = "client", ca = source} end
    local function key(source, passphrase)
        return {
            role = "server", certificate = p.server_cert, private_key = source,
            passphrase = passphrase,
        }
    end
    local function certificate(source)
        return {role = "server", certificate = source, private_key = p.server_key}
    end
    local function both(source, passphrase)
        return {role = "server", certificate = source, passphrase = passphrase}
    end
    local function wrong(option)
        return function(source) return option(source, "wrong") end
    end
    local BOTH = "a certificate with its private key was expected"
    local LEGACY = "is encrypted by an algorithm that OpenSSL does not have"
    local NEITHER_OF = "is neither PEM, DER, PKCS#12 nor PKCS#7, and "
    local NEITHER = "is neither PEM, DER, PKCS#12 nor PKCS#7, and a certificate was expected"
    -- the source's name, the option, what is said beside the name
    local cases = {
        {"key.pem", certificate, "holds a private key, and a certificate was expected"},
        {"key.der", certificate, "holds a private key, and a certificate was expected"},
        {"leaf.pem", key, "holds a certificate, and a private key was expected"},
        {"leaf.der", key, "holds a certificate, and a private key was expected"},
        {"both.chain", key, "holds 2 certificates, and a private key was expected"},
        {"both.chain", both, "holds 2 certificates, and " .. BOTH},
        {"key.pem", both, "holds a private key, and " .. BOTH},
        {"key.pem", client_with, "holds a private key, and a certificate was expected"},
        {"encrypted.pem", key, "is encrypted: give its passphrase"},
        {"encrypted.der", key, "is encrypted: give its passphrase"},
        {"all.p12", both, "is encrypted: give its passphrase"},
        {"all.p12", certificate, "the passphrase is a private key's"},
        {"all.p12", client_with, "the passphrase is a private key's"},
        {"encrypted.pem", wrong(key), "the passphrase is wrong"},
        {"all.p12", wrong(both), "the passphrase is wrong"},
        {"traditional.encrypted.pem", wrong(key), "the passphrase is wrong"},
        {"rc2.der", wrong(key), LEGACY},
        {"des.pem", wrong(key), LEGACY},
        {"cut.der", certificate, NEITHER},
        {"cut.pem", certificate, "is damaged"},
        {"line_lost.pem", certificate, "is damaged"},
        {"cut.pem", client_with, "is damaged"},
    }
    local function client_ca(source)
        return {
            role = "server", certificate = p.server_cert, private_key = p.server_key,
            client_ca = source,
        }
    end
    local function crl(source) return {role = "client", ca = p.ca_file, crl = source} end
    local FILE = ", and a regular file of at most 16 MiB was expected"
    for _, option in ipairs {certificate, key, both, client_with, client_ca, crl} do
        for name, said in pairs {
            zeros = "has 1073741824 bytes" .. FILE, fifo = "is a FIFO" .. FILE,
            empty = "is empty, and ", nothing = "cannot open", ["cut.der"] = NEITHER_OF,
            [""] = option ~= client_with and "is a directory" .. FILE or nil,
        } do
            cases[#cases + 1] = {name, option, said}
        end
    end
    cases[#cases + 1] = {"leaf.pem", crl, "holds a certificate, and a CRL was expected"}
    cases[#cases + 1] = {"leaf.crl", client_ca, "holds a CRL, and a certificate was expected"}
    cases[#cases + 1] = {"cut.crl", crl, NEITHER_OF}
    for _, case in ipairs(cases) do
        local name, option, said = table.unpack(case)
        it(("is for %q: %s"):format(name, said), function()
            local err = expect.fails("input", tls.context(option(path(name))))
            assert.truthy(err.message:find(said, 1, true), err.message)
            assert.truthy(err.message:find(path(name), 1, true), err.message)
            assert.is_nil(err.message:find "start line", err.message)
        end)
    end

    it("names the key of another certificate", function()
        local said = expect.fails("input", tls.context(key(p.client_key_file))).message
        assert.truthy(said:find(p.client_key_file .. " is not the key of the", 1, true), said)
    end)

    it("names a URI whose scheme no provider knows", function()
        for _, uri in ipairs {"pkcs11:token=x;object=y", "tpm2:0x1234", "no-such+scheme.1:x"} do
            local said = expect.fails("input", tls.context(key(uri))).message
            assert.truthy(said:find(uri .. " is a URI that no provider knows", 1, true), said)
        end
    end)

    it("names text in UTF-16, an empty file, and PEM of another kind or damaged", function()
        local function said(content)
            local file = process.spill(dir .. ".odd", content)
            return expect.fails("input", tls.context(certificate(file))).message
        end
        make()
        assert.truthy(said("\xff\xfe" .. p.server_cert:gsub(".", "%0\0")):find "is text in UTF%-16")
        assert.truthy(said "":find "is empty, and a certificate was expected")
        assert.truthy(said "hello":find(NEITHER, 1, true))
        local public = "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n"
        assert.truthy(said(public):find "is PEM of another kind")
        process.run {"openssl", "pkey", "-in", p.server_key_file, "-pubout", "-outform", "DER",
            "-out", dir .. ".public"}
        assert.truthy(said(process.slurp(dir .. ".public")):find(
            "holds an object of another kind, and a certificate was expected", 1, true))
        assert.truthy(said(p.server_leaf .. p.server_leaf:gsub("\n.", "\nA", 3)):find "is damaged")
    end)

    it("names a file: URI with another host", function()
        local err = expect.fails("input", tls.context(key("file://elsewhere" .. path "key.pem")))
        assert.truthy(err.message:find("cannot open file://elsewhere", 1, true), err.message)
    end)

    it("comes soon, although the source is long", function()
        local zeros = ("A"):rep(64):rep(100000, "\n")
        for _, text in ipairs {
            "-----BEGIN CERTIFICATE-----\n" .. zeros .. "\n-----END CERTIFICATE-----\n",
            "\x30\x82" .. ("\0"):rep(4000000),
            "\x30\x83\x3d\x09\x00" .. ("\0"):rep(4000000),
            ("-----BEGIN "):rep(100000),
            ("-----BEGIN CERTIFICATE-----\n-----END "):rep(20000),
        } do
            expect.fails("input", tls.context(certificate(text)))
        end
    end)
end)

describe("docs/keys.md", function()
    local n = 0
    for block in process.slurp "docs/keys.md":gmatch "```lua\n(.-)```" do
        if block:find "pkcs11:" then goto continue end -- spec/context/pkcs11_spec.lua runs it
        n = n + 1
        it("shows what works, block " .. n, function()
            local named = block:gsub('"([%w_]+%.[%w]+)"', function(name)
                return ("%q"):format(path(name))
            end)
            local globals = {tls = tls, assert = assert}
            local context = assert(load(named .. "return context", "block", "t", globals))()
            assert.equal("tlslife.context", context and getmetatable(context).__name)
        end)
        ::continue::
    end

    it("has such blocks", function() assert.is_true(n >= 7) end)

    it("quotes what errors say", function()
        local source = process.slurp "src/values/objects.c" ..
            process.slurp "src/values/source.c" .. process.slurp "src/tls/settings/credentials.c"
        local table_of = process.slurp "docs/keys.md":match "What an error says(.*)"
        local quoted = 0
        for said in table_of:gmatch "\n| `([^`]+)` |" do
            quoted = quoted + 1
            local text = said:gsub("%p?%s*…$", ""):gsub("^holds.*", "holds %%s")
            assert.truthy(source:find(text, 1, true), said)
        end
        assert.is_true(quoted >= 9)
    end)
end)
