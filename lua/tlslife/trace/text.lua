-- tlslife.trace.text: writes a trace as text, a line an event.
--
--     time in seconds, connection and side, what, result, how long
--
-- Arrows say which way a message went: --> from us to the peer, <-- from the peer to us. What a
-- peer has sent (names, protocols) is written without control characters.

local hello = require "tlslife.trace.hello"
local names = require "tlslife.trace.names"

local COLOURS <const> = {
    call = "1", wait = "33", message = "36", alert = "31", handshake = "32;1", session = "35",
    life = "2", state = "2", record = "2",
}

local function clean(text)
    return (tostring(text):gsub("[%c\x7f-\xff]", function(c)
        return ("\\x%02x"):format(c:byte())
    end))
end

local function list(values, most)
    local shown = table.move(values, 1, math.min(#values, most or 4), 1, {})
    local more = #values - #shown
    return clean(table.concat(shown, ",")) .. (more > 0 and (",+%d"):format(more) or "")
end

local function tag(number) return ("%08x"):format(number >> 32) end

local function duration(ns)
    if ns < 1000 then return ("%d ns"):format(ns) end
    if ns < 1000000 then return ("%.1f µs"):format(ns / 1e3) end
    if ns < 1000000000 then return ("%.1f ms"):format(ns / 1e6) end
    return ("%.2f s"):format(ns / 1e9)
end

local function each(write, numbers)
    local words = {}
    for i, number in ipairs(numbers) do words[i] = write(number) end
    return table.concat(words, ",")
end

local function tags(numbers) return each(tag, numbers) end

local function obfuscated(numbers)
    return each(function(number) return ("0x%08x"):format(number) end, numbers)
end

local function milliseconds(numbers)
    return each(function(number)
        return number < 0 and "?" or ("%.3f s"):format(number / 1000)
    end, numbers)
end

-- the fields of a message in the order in which they are written: {field, how}
local FIELDS <const> = {
    {"server_name", clean}, {"versions", list}, {"version", clean}, {"suites", list},
    {"suite", clean}, {"groups", list}, {"group", clean}, {"key_shares", list}, {"alpn", list},
    {"psk", tags}, {"psk_obfuscated_ages", obfuscated}, {"psk_ages", milliseconds},
    {"psk_accepted", tostring}, {"ticket", tag}, {"early_data", tostring},
    {"lifetime", function(seconds) return seconds .. " s" end}, {"update_requested", tostring},
}

local function message(event, memory)
    local read = hello.read(event, memory)
    local words = {event.sent and "-->" or "<--", read.name}
    for _, field in ipairs(FIELDS) do
        local value = read[field[1]]
        if value ~= nil then words[#words + 1] = field[1] .. "=" .. field[2](value) end
    end
    words[#words + 1] = ("(%s bytes)"):format(read.length or "?")
    return table.concat(words, " ")
end

local function arrow(event) return event.sent and "-->" or "<--" end

local writers = {message = message}

function writers.life(event)
    local more = event.name == "transport" and " " .. clean(event.data) or
        (event.name == "free" or event.name == "up_ref") and
        (" (%d references)"):format(event.value) or ""
    return event.name .. more
end

function writers.call(event)
    local moved = event.value > 0 and (" %d bytes"):format(event.value) or ""
    return ("%s() = %s%s (%s)"):format(event.name, event.status, moved,
        duration(event.at - (event.since or event.at)))
end

function writers.wait(event)
    return event.since and
        ("waited for %s (%s)"):format(event.name, duration(event.at - event.since)) or
        "waits for " .. event.name
end

function writers.state(event) return "state: " .. event.name end

function writers.record(event)
    return ("%s record %s%s"):format(arrow(event),
        names.records[event.code] or tostring(event.code),
        event.name and " inside" or (" (%d bytes)"):format(event.value))
end

function writers.alert(event)
    return ("%s %s %s"):format(arrow(event),
        event.name == "close_notify" and "alert" or event.value == 2 and "fatal alert" or "alert",
        event.name)
end

function writers.handshake(event)
    return ("handshake done: %s %s, %s"):format(event.name, clean(event.data),
        event.outcome == "resumed" and "resumed" or
        event.outcome and "full: " .. event.outcome or "full")
end

function writers.session(event)
    return ("session %s%s%s%s"):format(event.value ~= 0 and tag(event.value) .. " " or "",
        event.name, event.outcome and ": " .. event.outcome or "",
        event.age and event.age > 0 and (", %d s old"):format(event.age) or "")
end

function writers.bytes(event) return ("%s %d bytes"):format(arrow(event), event.value) end

function writers.keylog(event) return "key log: " .. event.data:match "^%S*" end

local SHUTDOWN <const> = {[0] = "  ", [1] = "s ", [2] = " r", [3] = "sr"}
local SESSION <const> = {good = "+", bad = "!"}

local text = {clean = clean, tag = tag, duration = duration}

-- The line of an event; memory is hello.memory(), of all events of the trace. The columns after the
-- side are the shutdown mask ("s" where close_notify was sent, "r" where it was received) and the
-- session in use ("+" if it is resumable, "!" if not).
function text.line(event, colour, memory)
    local words = writers[event.kind](event, memory)
    if colour and COLOURS[event.kind] then
        words = ("\27[%sm%s\27[0m"):format(COLOURS[event.kind], words)
    end
    return ("%12.6f %5s %s %s%s  %s"):format(event.at / 1e9, "#" .. event.conn,
        event.side == "server" and "S" or "C", SHUTDOWN[event.shutdown] or "  ",
        SESSION[event.session] or " ", words)
end

-- A writer: takes events, and gives out(text) what is to be written.
function text.writer(out, options)
    local self, memory = {}, hello.memory()
    function self.event(_, event)
        if event.lost > 0 then out(("%12s %d events were lost here\n"):format("", event.lost)) end
        if event.kind == "state" and not options.states then return end
        if event.kind == "record" and not options.records then return end
        out(text.line(event, options.colour, memory) .. "\n")
    end
    function self.close() end
    return self
end

return text
