-- tlslife.trace.json: writes a trace as JSON lines, an object an event. docs/trace.md has every
-- member; the HTML page reads the same objects.
--
-- Numbers of 64 bits (tags) are strings of 16 hexadecimal digits, since readers of JSON round them.
-- Bytes that are text (a server name, a protocol) are written as tlslife.json writes strings.

local core = require "tlslife.core"
local encode = require "tlslife.json"
local hello = require "tlslife.trace.hello"
local names = require "tlslife.trace.names"

local json = {}

local VERSION <const> = 1

local function tag_of(number) return ("%016x"):format(number) end

local function tags_of(numbers)
    local words = {}
    for i, number in ipairs(numbers) do words[i] = tag_of(number) end
    return words
end

local members = {}

function members.life(event, into)
    into.peer = event.name == "transport" and event.data or nil
    into.references = event.name ~= "transport" and event.value or nil
end

function members.call(event, into)
    into.status, into.since = event.status, event.since
    into.bytes = event.value > 0 and event.value or nil
end

function members.wait(event, into) into.status, into.since = event.status, event.since end

function members.message(event, into, memory)
    local read = hello.read(event, memory)
    read.ticket = read.ticket and tag_of(read.ticket)
    read.session_id = read.session_id and tag_of(read.session_id)
    read.random = read.random and tag_of(read.random)
    read.psk = read.psk and tags_of(read.psk)
    for name, value in pairs(read) do into[name] = value end
end

function members.record(event, into)
    into.name = names.records[event.code] or tostring(event.code)
    into.inside = event.name == "inside" or nil
    into.length = event.name ~= "inside" and event.value or nil
end

function members.alert(event, into) into.fatal = event.value == 2 end

function members.handshake(event, into)
    into.name = nil
    into.version, into.outcome = event.name, event.outcome
    into.suite, into.group = event.data:match "^(%S*) ?(.*)$"
    if into.group == "" then into.group = nil end
end

function members.session(event, into)
    into.outcome, into.age = event.outcome, event.age
    into.tag = event.value ~= 0 and tag_of(event.value) or nil
end

function members.bytes(event, into)
    into.hex = event.data:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

function members.keylog(event, into) into.line = event.data end

local SENT <const> = {message = true, record = true, alert = true, bytes = true}

-- The object of an event. memory is hello.memory(), of all events of the trace.
function json.object(event, memory)
    local into = {
        kind = event.kind, at = event.at, conn = event.conn, side = event.side, name = event.name,
        shutdown = event.shutdown, session_state = event.session,
        lost = event.lost > 0 and event.lost or nil,
    }
    if SENT[event.kind] then into.sent = event.sent end
    if members[event.kind] then members[event.kind](event, into, memory) end
    return into
end

-- The object that comes first.
function json.head(trace)
    return {kind = "trace", version = VERSION, epoch = trace:epoch(), tlslife = core.version,
        openssl = core.openssl_version}
end

json.encode = encode

function json.writer(out, _, trace)
    local self, memory = {}, hello.memory()
    out(encode(json.head(trace)) .. "\n")
    function self.event(_, event) out(encode(json.object(event, memory)) .. "\n") end
    function self.close() out(encode {kind = "end", lost = trace:lost()} .. "\n") end
    return self
end

return json
