-- tshark.lua: prints what each client of a capture asks for, as tlslife reads its ClientHello.
--   tshark -X lua_script:tshark.lua -r capture.pcap -q
-- The bytes are fed to a server's connection, whose hook on_hello sees the ClientHello and refuses.
local tls = require "tlslife"

local tap = Listener.new("frame", "tcp.dstport && tcp.len > 0")
local payload = Field.new("tcp.payload")
local stream = Field.new("tcp.stream")

local context = assert(tls.context {
    role = "server",
    on_hello = function(_, hello)
        print(("hello: %s, %d versions, %d ciphers"):format(hello.server_name or "no name",
            #hello.versions, #hello.ciphers))
        return false
    end,
})
local begun = {} -- by stream: the first bytes of its client

function tap.packet()
    local number, bytes = stream().value, payload()
    if begun[number] or not bytes then return end
    begun[number] = true
    local conn <close> = assert(context:connection())
    conn:set_memory()
    conn:set_blocking(false)
    conn:feed(bytes.value:raw())
    conn:accept()
end
