-- hostile_spec.lua: what no honest script passes. It may raise; the process, and other scripts' memory, stay whole.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

describe("a list", function()
    --- A table whose length is 2^power: all of its array is full, and then Lua's search for a border tries powers of two.
    local function table_of_length(power, element)
        local parts = {"local x = ... return {" .. ("x,"):rep(65536) .. "[65537] = x"}
        for k = 17, power do parts[#parts + 1] = ("[%d] = x"):format(1 << k) end
        local list = load(table.concat(parts, ",") .. "}")(element)
        assert(#list == 1 << power, "this Lua looks for a border elsewhere")
        return list
    end

    local key = ("k"):rep(80)
    local takers = {
        {"connection:write", "x", function(list) pair.connect():write(list) end},
        {"connection:set_alpn", "x", function(list) pair.client():connection():set_alpn(list) end},
        {"option alpn", "x", function(list) return tls.context {role = "client", alpn = list} end},
        {"option ca", p.ca_file, function(list) return tls.context {role = "client", ca = list} end},
        {"option certificate", {certificate = p.server_cert, private_key = p.server_key}, function(list)
            return tls.context {role = "server", certificate = list}
        end},
        {"option psk", {identity = "i", key = "secretsecretsecret"}, function(list) return tls.context {role = "client", psk = list} end},
        {"tls.keyring", ("s"):rep(32), tls.keyring},
        {"tls.ticket_keys", key, function(list) return tls.ticket_keys {keys = list} end},
        {"ticket_keys:replace", key, function(list) tls.ticket_keys {keys = {key}}:replace(list) end},
    }
    for _, taker in ipairs(takers) do
        local name, element, take = table.unpack(taker)
        it("whose length no list has is refused: " .. name, function()
            for _, power in ipairs {25, 28, 29, 30, 31, 32, 33, 58, 59, 60, 61, 62} do
                expect.raises("a list has at most 16777216 elements", take, table_of_length(power, element))
            end
        end)
    end

    it("of listeners for a thread is refused, too", function()
        local there, host = pcall(require, "tlslife.host")
        if not there then pending "not in the program" end
        for _, power in ipairs {25, 31, 32, 60, 61, 62} do
            expect.raises("at most 1024", host.thread, {index = 1, control = 0, listeners = table_of_length(power, 0)})
        end
    end)

    it("of arguments is refused, too", function()
        local script = os.tmpname()
        for _, len in ipairs {"-5", "-1", "math.mininteger", "1 << 20", "(1 << 31) - 1", "1 << 32", "math.maxinteger"} do
            local chunk = ("arg = setmetatable({}, {__len = function() return %s end})"):format(len)
            local command = ("'%s' -e '%s' '%s' 2>&1"):format(program.path, chunk, script)
            local pipe = assert(io.popen(command))
            local said = pipe:read "a"
            local _, how, code = pipe:close()
            assert.equal("exit 1", how .. " " .. code, said)
            assert.truthy(said:find("too many arguments to script", 1, true), said)
        end
        os.remove(script)
    end)
end)
