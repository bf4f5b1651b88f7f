-- tlslife: gives the module, which is tlslife.core with serve, server and socket. types.lua
-- describes it.

local core = require "tlslife.core"

-- Loaded at the call only, because the server needs luv, which a client does not.
function core.serve(options)
    return require "tlslife.serve" (options)
end

function core.server(options)
    return require "tlslife.server" (options)
end

function core.socket(conn)
    return require "tlslife.socket" (conn)
end

return core
