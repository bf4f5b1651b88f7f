-- tlslife.trace.hello: reads the fields of a handshake message, as far as a trace has it.
--
-- A peer may have sent anything, and a trace may have cut a message off. What cannot be read is
-- left out, and nothing raises.
--
-- A client of TLS 1.3 says of each ticket how old it is, in milliseconds, plus a number that came
-- with the ticket (RFC 8446 section 4.2.11). The age is known where the trace has that message.

local names = require "tlslife.trace.names"

local unpack = string.unpack

local RETRY <const> = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" ..
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c" -- RFC 8446 section 4.1.3

-- The number by which a trace knows a ticket or an id again: FNV-1a, as src/trace/trace.c has it.
local function tag(bytes)
    local sum = 0xcbf29ce484222325
    for i = 1, #bytes do sum = (sum ~ bytes:byte(i)) * 0x100000001b3 end
    return #bytes > 0 and sum or nil
end

local function name_list(kind, bytes)
    local list = {}
    for at = 1, #bytes - 1, 2 do list[#list + 1] = names.of(kind, (unpack(">I2", bytes, at))) end
    return list
end

local function protocols(bytes)
    local list, at = {}, 1
    while at <= #bytes do
        list[#list + 1], at = unpack(">s1", bytes, at)
    end
    return list
end

local function key_shares(bytes)
    local list, at = {}, 1
    while at <= #bytes do
        local group, _, after = unpack(">I2s2", bytes, at)
        list[#list + 1] = names.of("groups", group)
        at = after
    end
    return list
end

-- The tags of the tickets that a client offers, and their ages as they are sent.
local function identities(into, bytes)
    local at = 1
    into.psk, into.psk_obfuscated_ages = {}, {}
    while at <= #bytes do
        local identity, age, after = unpack(">s2I4", bytes, at)
        into.psk[#into.psk + 1] = tag(identity) or 0
        into.psk_obfuscated_ages[#into.psk] = age
        at = after
    end
end

local client = {
    [0] = function(into, body) into.server_name = #body > 5 and unpack(">s2", body, 4) or nil end,
    [10] = function(into, body) into.groups = name_list("groups", (unpack(">s2", body))) end,
    [16] = function(into, body) into.alpn = protocols((unpack(">s2", body))) end,
    [35] = function(into, body) into.ticket = tag(body) end,
    [41] = function(into, body) identities(into, (unpack(">s2", body))) end,
    [42] = function(into) into.early_data = true end,
    [43] = function(into, body) into.versions = name_list("versions", (unpack(">s1", body))) end,
    [51] = function(into, body) into.key_shares = key_shares((unpack(">s2", body))) end,
}

local server = {
    [16] = function(into, body) into.alpn = protocols((unpack(">s2", body))) end,
    [41] = function(into, body) into.psk_accepted = (unpack(">I2", body)) end,
    [42] = function(into) into.early_data = true end,
    [43] = function(into, body) into.version = names.of("versions", (unpack(">I2", body))) end,
    [51] = function(into, body) into.group = names.of("groups", (unpack(">I2", body))) end,
}

-- Reads a list of extensions. One that is wrong does not hide the others.
local function extensions(into, bytes, known)
    local at = 1
    into.extensions = {}
    while at <= #bytes do
        local number, body, after = unpack(">I2s2", bytes, at)
        into.extensions[#into.extensions + 1] = names.of("extensions", number)
        if known[number] then pcall(known[number], into, body) end
        at = after
    end
end

local readers = {}

readers[1] = function(into, body)
    local version, random, id, suites, _, at = unpack(">I2c32s1s2s1", body)
    into.random = tag(random)
    into.versions = {names.of("versions", version)}
    into.suites = name_list("suites", suites)
    into.session_id = tag(id)
    if at <= #body then extensions(into, (unpack(">s2", body, at)), client) end
end

readers[2] = function(into, body)
    local version, random, id, suite, _, at = unpack(">I2c32s1I2B", body)
    into.version = names.of("versions", version)
    if random == RETRY then into.name = "HelloRetryRequest" end
    into.session_id = tag(id)
    into.suite = names.of("suites", suite)
    if at <= #body then extensions(into, (unpack(">s2", body, at)), server) end
    if into.version == "TLSv1.3" then into.session_id = nil end -- it is the client's own
end

readers[4] = function(into, body)
    into.lifetime = (unpack(">I4", body))
    into.age_add = #body >= 8 and unpack(">I4", body, 5) or nil -- in TLS 1.3
end

readers[8] = function(into, body) extensions(into, (unpack(">s2", body)), server) end

readers[12] = function(into, body)
    local kind, group = unpack(">BI2", body)
    into.group = kind == 3 and names.of("groups", group) or nil
end

readers[24] = function(into, body) into.update_requested = body:byte() == 1 end

local hello = {tag = tag}

local TICKETS <const> = 10000 -- are remembered

-- Remembers tickets, for a reader of the events of a trace, one after the other.
function hello.memory()
    return {age_add = {}, tags = {}, next = 1}
end

local function remember(memory, ticket, age_add)
    local gone = memory.tags[memory.next]
    if gone then memory.age_add[gone] = nil end
    memory.tags[memory.next], memory.age_add[ticket] = ticket, age_add
    memory.next = memory.next % TICKETS + 1
end

-- The ages of tickets in milliseconds; -1 of one that is not remembered.
local function ages(memory, into)
    local list = {}
    for i, obfuscated in ipairs(into.psk_obfuscated_ages) do
        local age_add = memory.age_add[into.psk[i]]
        list[i] = age_add and (obfuscated - age_add) & 0xffffffff or -1
    end
    return list
end

-- The fields of a message event, as a table: name is the message's; length its bytes, with the
-- header of 4; the others are there where the message has them. memory is that of the trace.
function hello.read(event, memory)
    local data = event.data
    local into = {name = names.messages[event.code] or ("message %d"):format(event.code)}
    if #data >= 4 then into.length = 4 + unpack(">I3", data, 2) end
    if readers[event.code] then
        into.cut = not pcall(readers[event.code], into, data:sub(5)) or nil
    end
    if event.code == 4 then into.ticket = event.value ~= 0 and event.value or nil end
    if memory and into.ticket and into.age_add then remember(memory, into.ticket, into.age_add) end
    if memory and into.psk then into.psk_ages = ages(memory, into) end
    return into
end

return hello
