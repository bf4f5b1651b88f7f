-- tlslife.testserver.life: writes a few lines about each connection. They say what was agreed on,
-- whether a session resumed or why not, what was requested, and how the connection ended.
--
-- Bytes that a client chose are written without control characters.

local clean = require "tlslife.trace.text".clean
local uv = require "luv"

local Life = {}
Life.__index = Life

local ENDS <const> = {
    closed = "the client sent close_notify", truncated = "the client ended without close_notify",
    canceled = "the server stops", timeout = "the client was silent for too long",
}

local OURS <const> = {
    done = "close_notify went both ways", sent = "close_notify was sent, and none came back",
    unsent = "no close_notify was sent", timeout = "close_notify did not go both ways in time",
}

--- A connection's life. write(line) is where its lines go.
local function new(conn, write)
    return setmetatable({
        conn = conn, write = write, began = uv.hrtime(), requests = 0,
        address = conn:peer_address() or "unix",
    }, Life)
end

function Life:say(format, ...)
    local text = format:format(...)
    self.write(("%s %-21s %s\n"):format(os.date "%H:%M:%S", self.address, clean(text)))
end

local function facts_of(conn)
    local facts = {}
    local function add(value, format)
        if value then facts[#facts + 1] = (format or "%s"):format(value) end
    end
    add(conn:version())
    add(conn:cipher())
    add(conn:group())
    add(conn:server_name(), "for %s")
    add(conn:alpn(), "ALPN %s")
    if conn:early_data_status() == "accepted" then add "early data" end
    local chain = conn:peer_certificates()
    add(chain and chain[1] and chain[1].subject, "client certificate %s")
    return table.concat(facts, ", ")
end

local function resumption_of(conn)
    local why = conn:resumption()
    if why == "resumed" then return why end
    return why and ("full (%s)"):format((why:gsub("_", " "))) or "full"
end

function Life:handshake()
    self:say("%s; %s", resumption_of(self.conn), facts_of(self.conn))
end

function Life:failed(why)
    self:say("no handshake: %s", ENDS[why] or why)
end

function Life:request(request, status, bytes)
    self.requests = self.requests + 1
    self:say("%s %s: %d, %d bytes%s", request.method, request.target, status, bytes,
        request.early and ", early" or "")
end

--- Writes how the connection ended. why: what ended reading (nil if we closed first), and the
-- result of close.
function Life:over(why, result, close_why)
    local seconds = (uv.hrtime() - self.began) / 1e9
    local ours = result or close_why
    self:say("%.3f s, %d request%s; %s%s", seconds, self.requests, self.requests == 1 and "" or "s",
        why and (ENDS[why] or why) or "we closed",
        ours ~= why and "; " .. (OURS[ours] or ours) or "")
end

return new
