-- luasec_programs_spec.lua: runs programs and libraries that were written for LuaSec, unmodified,
-- on the drop-in. They are ssl.https against nginx, LuaRocks, and copas 4.

local luasec = require "spec.support.luasec"
local pki = require "spec.support.pki"
local process = require "spec.support.process"

local HERE <const> = luasec.here
local p = pki.get()

local function nginx()
    local dir = process.directory() .. "/nginx"
    local port = process.free_port()
    assert(os.execute(("mkdir -p %s"):format(process.quote(dir .. "/rocks"))))
    -- nginx reads a path with a space in it in quotes only
    local plain = os.tmpname()
    os.remove(plain)
    assert(os.execute(("ln -s %s %s"):format(process.quote(dir), plain)))
    local words = {DIR = plain, PORT = port, CERTIFICATE = plain .. "/cert.pem",
        KEY = plain .. "/key.pem"}
    process.spill(dir .. "/cert.pem", p.server_cert)
    process.spill(dir .. "/key.pem", p.server_key)
    local config = luasec.configured(words, process.slurp(HERE .. "/spec/luasec/nginx.conf"))
    local server = process.start {"/usr/sbin/nginx", "-e", "stderr", "-c", config, timeout = 60}
    server:wait_for_port(port)
    return port, dir, plain
end

local function proxy()
    local port = process.free_port()
    local path = process.spill(process.directory() .. "/tinyproxy.conf", ("Port %d\n"
        .. "Listen 127.0.0.1\nTimeout 20\nAllow 127.0.0.1\nLogLevel Critical\n"):format(port))
    if process.run {"sh", "-c", "command -v tinyproxy", timeout = 5} ~= 0 then return nil end
    process.start {"tinyproxy", "-d", "-c", path, timeout = 60}:wait_for_port(port)
    return "http://127.0.0.1:" .. port
end

describe("ssl.https", function()
    it("gives what LuaSec's gives, resumes, and goes through a proxy", function()
        if not luasec.is_built() then return pending "there is no LuaSec" end
        local port, _, link = nginx()
        local script, through = HERE .. "/spec/luasec/https.lua", proxy()
        local of, said = {luasec.interpreters()}, {}
        for i = 1, 2 do
            local code, output = process.run {of[i], script, tostring(port), p.ca_file,
                p.other_ca_file, through, timeout = 30}
            assert.equal(0, code, output)
            said[i] = output
        end
        os.remove(link)
        -- https.lua prints a line for each request. /h and /i go through the proxy, which LuaSec
        -- refuses, so their lines are taken out of both outputs, and ours are looked at below.
        local theirs, ours = said[1]:gsub("1 | 200[^\n]+/[hi][^\n]+\n", ""), said[2]
        theirs = theirs:gsub("nil | proxy not supported[^\n]*\n", "")
        local proxied = {}
        ours = ours:gsub("1 | 200 | [^\n]+GET /[hi] [^\n]*\n", function(line)
            proxied[#proxied + 1] = line
            return ""
        end)
        local resumed -- nginx answers "r" where the session was resumed, and "." where not
        ours, resumed = ours:gsub(" r%f[%s]", " .")
        assert.equal(theirs, ours)
        assert.is_true(resumed >= 3, said[2])
        if through then
            assert.equal(2, #proxied, said[2])
            assert.not_truthy(table.concat(proxied):find "Basic")
        end
    end)
end)

local ROCKSPEC <const> = [[
package = "sample"
version = "1.0-1"
source = {url = "https://localhost:$PORT/rocks/sample.lua"}
build = {type = "builtin", modules = {sample = "sample.lua"}}
]]

describe("LuaRocks", function()
    it("fetches from a server by the drop-in", function()
        local luarocks = "/usr/bin/luarocks"
        if not process.slurp(luarocks) then return pending "no LuaRocks" end
        local port, dir, link = nginx()
        process.spill(dir .. "/rocks/sample-1.0-1.rockspec", (ROCKSPEC:gsub("%$PORT", port)))
        process.spill(dir .. "/rocks/manifest-" .. _VERSION:match "%d+%.%d+", "commands = {} "
            .. "modules = {} repository = {sample = {['1.0-1'] = {{arch = 'rockspec'}}}}\n")
        local _, ours = luasec.interpreters()
        local code, output = process.run {"sh", "-c", 'cd "$0" && exec "$@"', process.directory(),
            ours, luarocks, "download", "--rockspec", "sample",
            ("--only-server=https://localhost:%d/rocks"):format(port), timeout = 40,
            environment = {HOME = process.directory()}}
        os.remove(link)
        assert.equal(0, code, output)
        assert.truthy(process.slurp(process.directory() .. "/sample-1.0-1.rockspec"), output)
    end)
end)

-- ------------------------------------------------------------------------------------------ copas

describe("copas 4", function()
    it("serves names, and asks for pages, as with LuaSec, and its clients resume", function()
        local copas = process.slurp(HERE .. "/build/deps/copas/copas.lua")
        if not (copas and luasec.is_built()) then return pending "no copas 4, or no LuaSec" end
        local script, expected = HERE .. "/spec/luasec/copas.lua", nil
        for _, pair in ipairs(luasec.pairs()) do
            local server = process.start {pair[2], script, "server", p.dir, timeout = 60}
            local port = server:wait_for("port (%d+)", 20)
            local code, output = process.run {pair[3], script, "client", p.dir, port, timeout = 60}
            assert.equal(0, code, pair[1] .. ": " .. output .. server:output())
            assert.equal(0, server:wait(20), pair[1] .. ": " .. server:output())
            expected = expected or output
            assert.equal(expected, output, pair[1])
            local _, resumed = server:output():gsub("resumed", "")
            if pair[1] == "ours" then assert.is_true(resumed >= 5, server:output()) end
        end
        assert.truthy(expected:find("verified: 1 | 200 | GET /verified", 1, true), expected)
        assert.truthy(expected:find("the key for a.example: RSA", 1, true), expected)
        assert.truthy(expected:find("together 10: 1 | 200 | GET /together", 1, true), expected)
    end)
end)
