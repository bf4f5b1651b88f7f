-- tlslife.probe.talk: speaks the protocol of a server, as far as the probe needs it. It sends the
-- plain words that ask for TLS (STARTTLS), and knows the words within TLS after which a server ends
-- the connection.
--
-- A server is not trusted here. An answer has at most LIMIT bytes, and the whole dialogue has one
-- deadline, so a server that sends a byte every second does not hold the probe. What is looked for
-- in an answer is found in one pass, because a pattern that can begin anywhere and match to the end
-- takes seconds for a long line.

local jobs = require "tlslife.probe.jobs"

local LIMIT <const> = 65536

local talk = {}

-- Reads until done(got) says that the answer is complete. Its second result is the line that
-- refuses, if it is one.
local function expect(conn, done, what, deadline)
    local got = ""
    repeat
        local left = deadline - jobs.now()
        if left <= 0 then return nil, ("no %s: timeout"):format(what) end
        conn:set_timeout(left)
        local bytes, why = conn:plain_read(4096)
        if not bytes then return nil, ("no %s: %s"):format(what, why) end
        got = got .. bytes
        local complete, refusal = done(got)
        if refusal then
            return nil, ("instead of %s the server says: %s"):format(what, refusal)
        elseif complete then
            return got
        end
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

-- The lines that have come whole, without what ends them.
local function lines_of(got)
    local from = 1
    return function()
        local stop = got:find("\n", from, true)
        if not stop then return nil end
        local line = got:sub(from, got:byte(stop - 1) == 13 and stop - 2 or stop - 1)
        from = stop + 1
        return line
    end
end

-- Answers of SMTP and FTP: lines that begin with a code, the last of which has a space behind it.
local function code(wanted)
    return function(got)
        for line in lines_of(got) do
            local found = line:match "^(%d%d%d) "
            if found then return found == wanted, found ~= wanted and line or nil end
        end
    end
end

-- Answers that end with a line that begins so; they refuse with one that begins in the other way.
local function line(beginning, refused)
    return function(got)
        for one in lines_of(got) do
            if one:find(refused) then return false, one end
            if one:find(beginning) then return true end
        end
    end
end

-- Answers of XMPP: they end with the one, and refuse with the other.
local function element(pattern, refused)
    return function(got)
        if got:find(refused, 1, true) then return false, got:match "^[^\r\n]*" end
        return got:find(pattern) ~= nil
    end
end

-- Each step is what to say (or false), what tells that the answer is complete, and its name.
local function dialogue(steps)
    return function(conn, name, timeout)
        local deadline = jobs.now() + timeout
        for _, step in ipairs(steps) do
            local words, done, what = step[1], step[2], step[3]
            local ok, why = true, nil
            if words then ok, why = say(conn, (words:gsub("$NAME", {["$NAME"] = name}))) end
            if ok then ok, why = expect(conn, done, what, deadline) end
            if not ok then return nil, why end
        end
        return true
    end
end

local LDAP_STARTTLS <const> = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

-- An ExtendedResponse of LDAP (RFC 4511 section 4.12), by its result code.
local function ldap_answer(got)
    local result = got:match "^\x30..*\x0a\x01(.)"
    return result == "\0", result and result ~= "\0" and
        ("LDAP result %d"):format(result:byte()) or nil
end

local SSL_REQUEST <const> = string.pack(">I4I4", 8, 80877103)

local function postgres_answer(got)
    return got == "S", got ~= "S" and "N" or nil
end

local XMPP_HEAD <const> = "<?xml version='1.0'?><stream:stream to='$NAME' version='1.0' " ..
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

--- What the probe knows of each protocol. start(conn, name, timeout) asks for TLS in plain words
-- within so many seconds, and returns true, or nil and why. It changes the connection's timeout.
-- port is the protocol's default port. bye is sent within TLS, and ends the connection.
talk.protocols = {
    smtp = {port = 25, bye = "QUIT\r\n", start = dialogue {
        {false, code "220", "greeting"}, {"EHLO probe.invalid\r\n", code "250", "answer to EHLO"},
        {"STARTTLS\r\n", code "220", "answer to STARTTLS"}}},
    lmtp = {port = 24, bye = "QUIT\r\n", start = dialogue {
        {false, code "220", "greeting"}, {"LHLO probe.invalid\r\n", code "250", "answer to LHLO"},
        {"STARTTLS\r\n", code "220", "answer to STARTTLS"}}},
    ftp = {port = 21, bye = "QUIT\r\n", start = dialogue {
        {false, code "220", "greeting"}, {"AUTH TLS\r\n", code "234", "answer to AUTH TLS"}}},
    imap = {port = 143, bye = "b LOGOUT\r\n", start = dialogue {
        {false, line("^%* OK", "^%* BYE"), "greeting"},
        {"a STARTTLS\r\n", line("^a OK", "^a [NB][OA]"), "answer to STARTTLS"}}},
    pop3 = {port = 110, bye = "QUIT\r\n", start = dialogue {
        {false, line("^%+OK", "^%-"), "greeting"},
        {"STLS\r\n", line("^%+OK", "^%-"), "answer to STLS"}}},
    sieve = {port = 4190, bye = "LOGOUT\r\n", start = dialogue {
        {false, line("^OK", "^BYE"), "greeting"},
        {"STARTTLS\r\n", line("^OK", "^[NB][OY]"), "answer to STARTTLS"}}},
    xmpp = {port = 5222, bye = "</stream:stream>", start = dialogue {
        {XMPP_HEAD, element("</stream:features>", "<stream:error"), "features"},
        {"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            element("<proceed[^<>]*>", "<failure"), "answer to starttls"}}},
    postgres = {port = 5432, bye = "X\0\0\0\4", start = dialogue {
        {SSL_REQUEST, postgres_answer, "answer to SSLRequest"}}},
    ldap = {port = 389, bye = "\x30\x05\x02\x01\x02\x42\x00", start = dialogue { -- UnbindRequest
        {LDAP_STARTTLS, ldap_answer, "answer to StartTLS"}}},
}

--- What makes a server of HTTP end the connection.
function talk.http(name, path)
    return ("HEAD %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlslife-probe\r\n" ..
        "Connection: close\r\n\r\n"):format(path or "/", name)
end

return talk
