-- apache.lua: serves an echo over TLS within a WebSocket, in Apache's mod_lua (apache.conf).
-- Where a firewall lets HTTP through and nothing else, TLS between the ends goes this way.
local tls = require "tlslife"
local carry = require "carry"

local context = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem",
    ticket_keys = tls.ticket_keys { secret = os.getenv "SECRET" }, -- each state has a context
})

-- A frame of a WebSocket is taken whole; carry() is given what it asks for.
local function frames(r)
    local kept = ""
    return function(n)
        if kept == "" then kept = r:wsread() or "" end
        local bytes = kept:sub(1, n)
        kept = kept:sub(n + 1)
        return bytes
    end
end

function echo(r) -- luacheck: ignore (mod_lua calls it by this name)
    if not r:wsupgrade() then return 400 end
    local conn <close> = assert(context:connection())
    local call = carry(conn, frames(r), function(bytes) r:wswrite(bytes) end)
    local ok = call("accept")
    while ok do
        local bytes = call("read")
        ok = bytes and call("write", bytes)
    end
    call("close")
    r:wsclose()
    return apache2.OK
end
