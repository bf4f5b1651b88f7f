-- haproxy.lua: serves an echo over TLS as a service of HAProxy (haproxy.cfg). applet:receive and
-- applet:send yield into HAProxy, which serves others meanwhile.
local tls = require "tlslife"
local carry = require "carry"

local context = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem",
    ticket_keys = tls.ticket_keys { secret = os.getenv "SECRET" }, -- the same in all threads
})

core.register_service("tls_echo", "tcp", function(applet)
    local conn <close> = assert(context:connection())
    local call = carry(conn, function(n) return applet:receive(n) end,
        function(bytes) applet:send(bytes) end)
    local ok, why = call("accept")
    while ok do
        local bytes
        bytes, why = call("read")
        ok = bytes and call("write", bytes)
    end
    core.Info(("%s, %s, %s"):format(conn:version() or "no handshake",
        conn:session_reused() and "resumed" or "new session", why))
    call("close")
end)
