-- tlslife: TLS connections, their sessions and their whole life, for Lua 5.4. What there is, is in types.lua.

local core = require "tlslife.core"

-- The server needs luv; whoever does not serve does not.
function core.serve(options)
    return require "tlslife.serve" (options)
end

function core.server(options)
    return require "tlslife.server" (options)
end

return core
