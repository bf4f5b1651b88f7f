--- Gives a session another ticket, for specs about tickets that no server has made.
--
--   local with_ticket = require "spec.support.with_ticket"
--   local session = client:import_session(with_ticket(session:export(), "a ticket"))
--
-- The session is DER. In it the ticket is [10] EXPLICIT OCTET STRING, which is added or replaced,
-- in the order of tags.

local function with_ticket(der, ticket)
    local function header(at)
        local len, octets = der:byte(at + 1), 0
        if len > 127 then
            octets = len - 128
            len = string.unpack(">I" .. octets, der, at + 2)
        end
        return at + 2 + octets, len
    end
    local function wrap(tag, content)
        local len = #content < 128 and string.char(#content) or
            "\x82" .. string.pack(">I2", #content)
        return string.char(tag) .. len .. content
    end
    local parts, at, added = {}, header(1), false
    while at <= #der do
        local tag, content, len = der:byte(at), header(at)
        if tag > 0xaa and not added then
            parts[#parts + 1], added = wrap(0xaa, wrap(0x04, ticket)), true
        end
        if tag ~= 0xaa then parts[#parts + 1] = der:sub(at, content + len - 1) end
        at = content + len
    end
    if not added then parts[#parts + 1] = wrap(0xaa, wrap(0x04, ticket)) end
    return wrap(0x30, table.concat(parts))
end

return with_ticket
