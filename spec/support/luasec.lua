--- Runs Lua files with LuaSec, which .ci/luasec has built, and with the drop-in for it.

local process = require "spec.support.process"
local program = require "spec.support.program"

local luasec = {}

--- The checkout.
luasec.here = (function()
    local pipe = assert(io.popen "pwd -P")
    local path = pipe:read "l"
    pipe:close()
    return path
end)()

local LUA <const> = luasec.here .. "/build/deps/luasec/lua"
luasec.samples = luasec.here .. "/build/deps/luasec/samples"

-- The path of the copas that .ci/copas has fetched, and of a module that it needs and Debian does
-- not have.
local COPAS <const> = ("%s/build/deps/copas/?.lua;%s/spec/support/copas4/?.lua;;"):format(
    luasec.here, luasec.here)

--- The environment in which lua5.4 finds LuaSec, and copas.
luasec.environment = {
    LUA_PATH = LUA .. "/?.lua;" .. COPAS,
    LUA_CPATH = LUA .. "/?.so;;",
}

function luasec.is_built()
    return process.slurp(LUA .. "/ssl.so") ~= nil
end

local function script(name, text, ...)
    local path = process.spill(process.directory() .. "/" .. name, text:format(...))
    assert(os.execute("chmod +x " .. process.quote(path)))
    return path
end

--- Two programs that run a Lua file: with LuaSec, and with the drop-in.
function luasec.interpreters()
    local env = luasec.environment
    return script("theirs", "#!/bin/sh\nLUA_PATH=%s LUA_CPATH=%s exec lua5.4 \"$@\"\n",
        process.quote(env.LUA_PATH), process.quote(env.LUA_CPATH)),
        script("ours", "#!/bin/sh\nLUA_PATH=%s exec %s -l tlslife.luasec \"$@\"\n",
            process.quote(COPAS), process.quote(program.path))
end

--- The pairs of a server and a client: {name, the server's interpreter, the client's}.
function luasec.pairs()
    local theirs, ours = luasec.interpreters()
    return {{"theirs", theirs, theirs}, {"ours", ours, ours}, {"our-server", ours, theirs},
        {"our-client", theirs, ours}}
end

--- Writes the text of a configuration, with words.WORD in place of each $WORD, to a file in
-- words.DIR.
function luasec.configured(words, text)
    return process.spill(words.DIR .. "/conf.lua", (text:gsub("%$([A-Z]+)", words)))
end

return luasec
