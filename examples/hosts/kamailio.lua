-- kamailio.lua: serves an echo over TLS in POST requests to Kamailio (kamailio.cfg). Kamailio calls
-- for each request, and nothing here waits: bytes that have come are fed, and what the connection
-- has to say is the answer.
local tls = require "tlslife"

local context = assert(tls.context {
    role = "server", certificate = "cert.pem", private_key = "key.pem",
    ticket_keys = tls.ticket_keys { secret = os.getenv "SECRET" }, -- the same in all processes
})
local IDLE <const> = 60 -- seconds
local open = {} -- the connections of ours, by the TCP connection that their bytes come over
local used = {} -- when they were used last

-- Another process of Kamailio's sees that a TCP connection has ended, so that we are not told.
local function sweep(now)
    for id, at in pairs(used) do
        if now - at > IDLE then
            open[id]:free()
            open[id], used[id] = nil, nil
        end
    end
end

local function connection(id)
    local now = os.time()
    sweep(now)
    local conn = open[id]
    if not conn then
        conn = assert(context:connection())
        conn:set_memory()
        conn:set_blocking(false)
        open[id] = conn
    end
    used[id] = now
    return conn
end

-- Does what the bytes that were fed allow. Returns why it ended, or "want_read".
local function step(conn)
    local ok, why = conn:accept()
    while ok do
        local bytes
        bytes, why = conn:read()
        ok = bytes and conn:write(bytes)
    end
    return why
end

-- All that the connection has to send, in hexadecimal digits.
local function drain(conn)
    local parts = {}
    repeat
        local bytes = conn:drain()
        parts[#parts + 1] = bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
    until bytes == ""
    return table.concat(parts)
end

function ksr_xhttp_event()
    local id = KSR.pv.get "$conid"
    local conn = connection(id)
    local bytes = (KSR.pv.get "$rb" or ""):gsub("%x%x", function(digits)
        return string.char(tonumber(digits, 16))
    end)
    local i = 1
    while i <= #bytes do i = i + conn:feed(bytes, i) end
    local why = step(conn)
    if why ~= "want_read" then
        KSR.info(("%s, %s, %s\n"):format(conn:version() or "no handshake",
            conn:session_reused() and "resumed" or "new session", why))
        conn:close()
        open[id], used[id] = nil, nil
    end
    KSR.xhttp.xhttp_reply(200, "OK", "text/plain", drain(conn))
    return 1
end

function ksr_request_route()
    KSR.sl.sl_send_reply(403, "Only HTTP")
    return 1
end
