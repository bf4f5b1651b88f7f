-- nmap.nse: says which version, cipher and certificate a TLS server has, over nmap's own socket:
--   nmap -p 8443 --script ./nmap.nse localhost
-- nmap serves its other scripts while a socket waits.
local stdnse = require "stdnse"
local tls = require "tlslife"
local carry = require "carry"

description = "Makes a TLS handshake with tlslife, and shows what it negotiated."
categories = {"discovery", "safe"}
portrule = function(_, port) return port.protocol == "tcp" and port.state == "open" end

action = function(host, port)
    local socket = nmap.new_socket()
    socket:set_timeout(10000)
    local ok, why = socket:connect(host, port)
    if not ok then return stdnse.format_output(false, why) end
    local context = assert(tls.context { role = "client", verify = "none" })
    local conn <close> = assert(context:connection())
    local name = host.targetname or host.name
    if name ~= "" then conn:set_hostname(name) end
    -- nmap gives what has come, which may be more than was asked for.
    local kept = ""
    local call = carry(conn, function(n)
        if kept == "" then
            local got, bytes = socket:receive_bytes(1)
            kept = got and bytes or ""
        end
        local bytes = kept:sub(1, n)
        kept = kept:sub(n + 1)
        return bytes
    end, function(bytes) socket:send(bytes) end)
    ok, why = call("connect")
    local output = stdnse.output_table()
    if ok then
        output.version, output.cipher = conn:version(), conn:cipher()
        output.subject = conn:peer_certificates()[1].subject
        call("close")
    else
        output.error = why
    end
    socket:close()
    return output
end
