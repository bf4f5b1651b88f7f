-- luasec_spec.lua: tests the drop-in for LuaSec. spec/luasec/behaviour.lua is run with LuaSec
-- itself and with the drop-in, and each line must be the same, but for those that are listed here
-- and in docs/luasec.md.

local luasec = require "spec.support.luasec"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local p = pki.get()

-- What differs, and why; each must differ.
local ON_PURPOSE <const> = {}

local NAMES <const> = [[
[req]
distinguished_name = name
prompt = no
utf8 = yes
string_mask = default
[name]
O = tlslife spëcs
CN = näme
[it]
subjectAltName = otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@im.example, DNS:a.example, \
    DNS:*.b.example, email:someone@a.example, URI:https://a.example/, IP:127.0.0.1, IP:::1, \
    otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp.a.example
]]

local function names_certificate()
    local dir = process.directory()
    local config = process.spill(dir .. "/names.cnf", NAMES)
    local code, output = process.run {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-noenc", "-config", config, "-extensions", "it", "-keyout",
        "/dev/null", "-out", dir .. "/names.pem"}
    assert(code == 0, output)
    return dir .. "/names.pem"
end

local function dh_parameters()
    local path = process.directory() .. "/dh.pem"
    local code, output = process.run {"openssl", "genpkey", "-genparam", "-algorithm", "DH",
        "-pkeyopt", "group:ffdhe2048", "-out", path}
    assert(code == 0, output)
    return path
end

local function has_luasec()
    return process.run {"lua5.4", "-e", "assert(require 'ssl'._VERSION:match '^1.3')", timeout = 10,
        environment = luasec.environment} == 0
end

local function lines_of(output)
    local lines, count = {}, 0
    for name, results in output:gmatch "([^\t\n]+)\t([^\n]*)" do
        lines[name] = results
        count = count + 1
    end
    return lines, count
end

describe("the drop-in for LuaSec", function()
    it("gives what LuaSec gives", function()
        if not has_luasec() then return pending "LuaSec could not be built" end
        local names, dh = names_certificate(), dh_parameters()
        local script = luasec.here .. "/spec/luasec/behaviour.lua"
        local code, theirs = process.run {"lua5.4", script, p.dir, names, dh, timeout = 60,
            environment = luasec.environment}
        assert.equal(0, code, theirs)
        local ours
        code, ours = process.run {program.path, "-l", "tlslife.luasec", script, p.dir, names,
            dh, timeout = 120}
        assert.equal(0, code, ours)
        local expected, expected_len = lines_of(theirs)
        local got, got_len = lines_of(ours)
        assert.is_true(expected_len > 100)
        assert.equal(expected_len, got_len)
        for name, results in pairs(expected) do
            if ON_PURPOSE[name] then
                assert.not_equal(results, got[name], name .. ": does not differ")
                assert.equal(ON_PURPOSE[name], got[name], name)
            else
                assert.equal(results, got[name], name)
            end
        end
    end)

    -- LuaSec raises, too, but its object has taken no descriptor then and closes any when it is
    -- collected. So it cannot be compared.
    it("takes no number for a socket, and no text for a descriptor", function()
        local code, output = process.run {program.path, "-l", "tlslife.luasec", "-e", [[
            local ssl, core = require "ssl", require "ssl.core"
            local context = ssl.newcontext {mode = "client", protocol = "any"}
            print(pcall(ssl.wrap, 1, context))
            for _, fd in ipairs {"x", 1.5, true} do
                print(pcall(core.setfd, core.create(context), fd))
            end
            collectgarbage()
            print "end"]], timeout = 30}
        assert.equal(0, code, output)
        assert.equal(4, select(2, output:gsub("false\t", "")), output)
        assert.truthy(output:find "end\n$", output)
    end)

    it("has each function of LuaSec's, and docs/luasec.md lists it", function()
        if not has_luasec() then return pending "LuaSec could not be built" end
        local script = luasec.here .. "/spec/luasec/names.lua"
        local found = {}
        for i, interpreter in ipairs {luasec.interpreters()} do
            local code, output = process.run {interpreter, script, p.ca_file, timeout = 30}
            assert.equal(0, code, output)
            found[i] = {}
            for name in output:gmatch "[^\n]+" do found[i][name] = true end
        end
        local page = assert(process.slurp(luasec.here .. "/docs/luasec.md"))
        local listed = {}
        for name in page:gmatch "\n| `([%w]+[.:]%w+)` | [^|]+ | [^|]+ |" do listed[name] = true end
        local missing = {}
        for name in pairs(found[1]) do
            if not found[2][name] then missing[#missing + 1] = name .. " is not there" end
            if not listed[name] then missing[#missing + 1] = name .. " is not listed" end
        end
        for name in pairs(listed) do
            if not found[1][name] then missing[#missing + 1] = name .. " is none of LuaSec's" end
        end
        table.sort(missing)
        assert.same({}, missing)
    end)
end)
