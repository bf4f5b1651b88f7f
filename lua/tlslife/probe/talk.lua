-- tlslife.probe.talk: what the probe says to a server in the protocol that it speaks: the plain
-- words that ask for TLS (STARTTLS), and the words within TLS after which a server ends the
-- connection.
--
-- A server is not trusted here. An answer has at most LIMIT bytes, and the connection's deadline
-- holds for each call.

local LIMIT <const> = 65536

local talk = {}

-- Reads until the pattern is found in what has come.
local function expect(conn, pattern, what)
    local got = ""
    repeat
        local bytes, why = conn:plain_read(4096)
        if not bytes then return nil, ("no %s: %s"):format(what, why) end
        got = got .. bytes
        if got:find(pattern) then return got end
    until #got > LIMIT
    return nil, ("no %s in %d bytes"):format(what, LIMIT)
end

local function say(conn, words)
    local at = 1
    while at <= #words do
        local sent, why = conn:plain_write(words, at)
        if not sent then return nil, why end
        at = at + sent
    end
    return true
end

-- A dialogue of lines: each step is what to say (or nil), the pattern of the answer's last line,
-- and what that answer is called.
local function dialogue(steps)
    return function(conn, name)
        for _, step in ipairs(steps) do
            local words, pattern, what = step[1], step[2], step[3]
            if words then
                local ok, why = say(conn, (words:gsub("$NAME", (name:gsub("%%", "%%%%")))))
                if not ok then return nil, why end
            end
            local got, why = expect(conn, pattern, what)
            if not got then return nil, why end
            if step.refused and got:find(step.refused) then
                return nil, ("the server does not offer TLS: %s"):format(got:match "^[^\r\n]*")
            end
        end
        return true
    end
end

local LDAP_STARTTLS <const> = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

local function ldap(conn)
    local ok, why = say(conn, LDAP_STARTTLS)
    if not ok then return nil, why end
    local got
    got, why = expect(conn, "^\x30..*\x0a\x01.", "answer to StartTLS")
    if not got then return nil, why end
    local code = got:match "\x0a\x01(.)":byte()
    if code ~= 0 then return nil, ("the server refuses StartTLS: LDAP result %d"):format(code) end
    return true
end

local function postgres(conn)
    local ok, why = say(conn, string.pack(">I4I4", 8, 80877103)) -- SSLRequest
    if not ok then return nil, why end
    local got
    got, why = conn:plain_read(1)
    if got == "S" then return true end
    return nil, got and "the server does not offer TLS" or "no answer to SSLRequest: " .. why
end

-- The end of a reply of several lines: the code, and a space behind it.
local function reply(code) return "^" .. code .. " [^\n]*\n" end

local function last(code)
    return function(text) return text:find(reply(code)) or text:find("\n" .. code .. " [^\n]*\n") end
end

-- Lua's patterns know no alternatives, so an SMTP reply is read line by line.
local function lines_until(conn, code, what)
    local got = ""
    local is_last = last(code)
    repeat
        local bytes, why = conn:plain_read(4096)
        if not bytes then return nil, ("no %s: %s"):format(what, why) end
        got = got .. bytes
        if is_last(got) then return got end
        if got:find "^[45]%d%d [^\n]*\n" or got:find "\n[45]%d%d [^\n]*\n" then
            return nil, ("instead of %s the server says: %s"):format(what, got:match "[^\r\n]*")
        end
    until #got > LIMIT
    return nil, ("no %s in %d bytes"):format(what, LIMIT)
end

local function replies(steps)
    return function(conn)
        for _, step in ipairs(steps) do
            if step[1] then
                local ok, why = say(conn, step[1])
                if not ok then return nil, why end
            end
            local got, why = lines_until(conn, step[2], step[3])
            if not got then return nil, why end
        end
        return true
    end
end

local XMPP_HEAD <const> = "<?xml version='1.0'?><stream:stream to='$NAME' version='1.0' " ..
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

--- By protocol: start(conn, name) asks for TLS in plain words, and returns true, or nil and why.
-- port is where it is spoken; bye ends the connection, within TLS.
talk.protocols = {
    smtp = {port = 25, bye = "QUIT\r\n", start = replies {
        {nil, "220", "greeting"}, {"EHLO probe.invalid\r\n", "250", "answer to EHLO"},
        {"STARTTLS\r\n", "220", "answer to STARTTLS"}}},
    lmtp = {port = 24, bye = "QUIT\r\n", start = replies {
        {nil, "220", "greeting"}, {"LHLO probe.invalid\r\n", "250", "answer to LHLO"},
        {"STARTTLS\r\n", "220", "answer to STARTTLS"}}},
    ftp = {port = 21, bye = "QUIT\r\n", start = replies {
        {nil, "220", "greeting"}, {"AUTH TLS\r\n", "234", "answer to AUTH TLS"}}},
    imap = {port = 143, bye = "b LOGOUT\r\n", start = dialogue {
        {nil, "^%* [^\n]*\n", "greeting"},
        {"a STARTTLS\r\n", "a %u+[^\n]*\n", "answer to STARTTLS", refused = "a NO"},
    }},
    pop3 = {port = 110, bye = "QUIT\r\n", start = dialogue {
        {nil, "^[+-]%u+[^\n]*\n", "greeting", refused = "^%-"},
        {"STLS\r\n", "^[+-]%u+[^\n]*\n", "answer to STLS", refused = "^%-"},
    }},
    sieve = {port = 4190, bye = "LOGOUT\r\n", start = dialogue {
        {nil, "OK[^\n]*\n", "greeting"},
        {"STARTTLS\r\n", "%u%u[^\n]*\n", "answer to STARTTLS", refused = "^NO"},
    }},
    xmpp = {port = 5222, bye = "</stream:stream>", start = dialogue {
        {XMPP_HEAD, "</stream:features>", "features"},
        {"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<[pf]%l+ ?[^>]*>",
            "answer to starttls", refused = "<failure"},
    }},
    postgres = {port = 5432, bye = "X\0\0\0\4", start = postgres},
    ldap = {port = 389, bye = "\x30\x05\x02\x01\x02\x42\x00", start = ldap}, -- UnbindRequest
}

--- What makes a server of HTTP end the connection.
function talk.http(name, path)
    return ("HEAD %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlslife-probe\r\n" ..
        "Connection: close\r\n\r\n"):format(path or "/", name)
end

return talk
