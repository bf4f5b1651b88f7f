-- tlslife: TLS connections, their sessions and their whole life, for Lua 5.4. What there is, is in types.lua.

return require "tlslife.core"
