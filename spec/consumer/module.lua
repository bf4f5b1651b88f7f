-- module.lua: stands for a user's script, for any Lua that has the installed module in its path.
local tls = require "tlslife"
local context = assert(tls.context { role = "client", ca = "system" })
local conn <close> = assert(context:connection())
assert(tls.type(conn) == "connection" and conn:state() == "before")
