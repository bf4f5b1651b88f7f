-- tlslife.trace.pcapng: writes a trace as a capture of packets that Wireshark and tshark read and
-- decrypt. The format: draft-ietf-opsawg-pcapng.
--
-- The packets are made up: each connection is a TCP connection over IPv4 from 10.0.a.b to
-- 10.1.a.b, port 443, where a.b is the connection's number in the trace, with the bytes that its
-- transport moved. So connections in memory are there, too.
--
-- The lines of the key log are in Decryption Secrets Blocks, which readers must find in front of
-- the packets that they decrypt. libssl makes some keys after it has sent the packet that leads to
-- them. So packets are held back until their handshake is done. All later packets are held back,
-- too, since a capture is in the order of time.

local pack = string.pack

local pcapng = {}

local SECTION <const>, INTERFACE <const>, SECRETS <const>, PACKET <const> = 0x0a0d0d0a, 1, 10, 6
local RAW <const> = 101 -- LINKTYPE_RAW: a packet begins with its IP header
local TLS_KEY_LOG <const> = 0x544c534b
local FIN <const>, SYN <const>, PSH <const>, ACK <const> = 1, 2, 8, 16
local SEGMENT <const> = 1460 -- bytes
local SERVER_PORT <const> = 443
local HELD_MAX <const> = 20000 -- packets; one more lets the first go

local function padded(bytes) return bytes .. ("\0"):rep(-#bytes % 4) end

local function block(kind, body)
    local length = 12 + #body
    return pack("<I4I4", kind, length) .. body .. pack("<I4", length)
end

local function option(code, value) return pack("<I2I2", code, #value) .. padded(value) end

-- The Internet checksum (RFC 1071).
local function checksum(bytes)
    local sum = 0
    if #bytes % 2 == 1 then bytes = bytes .. "\0" end
    for at = 1, #bytes, 2 do sum = sum + (">I2"):unpack(bytes, at) end
    while sum > 0xffff do sum = (sum & 0xffff) + (sum >> 16) end
    return ~sum & 0xffff
end

local function address(network, number)
    return pack("BBBB", 10, network, number >> 8 & 255, number & 255)
end

local function segment(from, to, header, payload)
    local tcp = header .. payload
    local sum = checksum(from .. to .. pack(">BBI2", 0, 6, #tcp) .. tcp)
    return tcp:sub(1, 16) .. pack(">I2", sum) .. tcp:sub(19)
end

-- A packet of one direction: {ip, port, next sequence number} of both ends.
local function packet(from, to, flags, payload)
    local tcp = segment(from.ip, to.ip, pack(">I2I2I4I4BBI2I2I2", from.port, to.port,
        from.next & 0xffffffff, flags & ACK ~= 0 and to.next & 0xffffffff or 0, 5 << 4, flags,
        65535, 0, 0), payload)
    local ip = pack(">BBI2I2I2BBI2", 0x45, 0, 20 + #tcp, 0, 0x4000, 64, 6, 0) .. from.ip .. to.ip
    from.next = from.next + #payload + (flags & (SYN | FIN) ~= 0 and 1 or 0)
    return ip:sub(1, 10) .. pack(">I2", checksum(ip)) .. ip:sub(13) .. tcp
end

function pcapng.writer(out, _, trace)
    local self, streams, pending = {}, {}, {}
    local held, first, last = {}, 1, 0
    local epoch = trace:epoch()
    out(block(SECTION, pack("<I4I2I2i8", 0x1a2b3c4d, 1, 0, -1)))
    out(block(INTERFACE, pack("<I2I2I4", RAW, 0, 0) .. option(2, "tlslife") ..
        option(9, "\9") .. option(0, "")))

    local function put(number, at, bytes, comment)
        local time = epoch + at
        last = last + 1
        held[last] = {conn = number, block = block(PACKET, pack("<I4I4I4I4I4", 0,
            time >> 32 & 0xffffffff, time & 0xffffffff, #bytes, #bytes) .. padded(bytes) ..
            (comment and option(1, comment) .. option(0, "") or ""))}
    end

    local function release(all)
        while first <= last and (all or not pending[held[first].conn] or last - first > HELD_MAX) do
            out(held[first].block)
            held[first] = nil
            first = first + 1
        end
    end

    local function open(event)
        local number = event.conn
        local client = {ip = address(0, number), port = 40000 + number % 20000, next = 0}
        local server = {ip = address(1, number), port = SERVER_PORT, next = 0}
        local stream = {client = client, server = server}
        stream.ours = event.side == "client" and client or server
        stream.theirs = event.side == "client" and server or client
        put(number, event.at, packet(client, server, SYN, ""),
            ("tlslife: connection %d, as its %s has it"):format(number, event.side))
        put(number, event.at, packet(server, client, SYN | ACK, ""))
        put(number, event.at, packet(client, server, ACK, ""))
        streams[number], pending[number] = stream, true
        return stream
    end

    local function close(number, at)
        local stream = streams[number]
        streams[number] = nil
        if stream then
            put(number, at, packet(stream.ours, stream.theirs, FIN | ACK, ""))
            put(number, at, packet(stream.theirs, stream.ours, FIN | ACK, ""))
            put(number, at, packet(stream.ours, stream.theirs, ACK, ""))
        end
        pending[number] = nil
    end

    function self.event(_, event)
        if event.kind == "keylog" then
            local lines = event.data .. "\n"
            out(block(SECRETS, pack("<I4I4", TLS_KEY_LOG, #lines) .. padded(lines)))
        elseif event.kind == "bytes" then
            local stream = streams[event.conn] or open(event)
            local from = event.sent and stream.ours or stream.theirs
            local to = event.sent and stream.theirs or stream.ours
            for at = 1, #event.data, SEGMENT do
                put(event.conn, event.at, packet(from, to, PSH | ACK,
                    event.data:sub(at, at + SEGMENT - 1)))
            end
        elseif event.kind == "life" and (event.name == "free" and event.value == 0 or
                event.name == "clear" or event.name == "transport") then
            close(event.conn, event.at)
        elseif event.kind == "handshake" or event.kind == "alert" and event.value == 2 then
            pending[event.conn] = nil
        end
        release()
    end

    function self.close() release(true) end
    return self
end

return pcapng
