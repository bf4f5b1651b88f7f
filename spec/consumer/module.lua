-- module.lua: somebody's script, for any Lua 5.4 that has the installed module in its path.
local tls = require "tlslife"
local context = assert(tls.context { role = "client", ca = "system" })
local conn <close> = assert(context:connection())
assert(tls.version == "0.1.0" and tls.type(conn) == "connection" and conn:state() == "before")
