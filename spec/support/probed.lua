-- probed.lua: servers for spec/program/probe_spec.lua, each with one fault or one protocol before
-- TLS. It runs in a process of its own: probed.lua MODE CERTIFICATE KEY. It prints "listening
-- PORT".

local tls = require "tlslife"

local mode, certificate, key = ...

local context = assert(tls.context {role = "server", certificate = certificate, private_key = key,
    timeout = 20})
local listener = assert(tls.listen(mode == "deaf" and "0.0.0.0" or "127.0.0.1", 0,
    {backlog = mode == "deaf" and 1024 or 64}))

-- The plain protocols: first a greeting, then an answer to each line that matches a pattern.
local DIALOGUES <const> = {
    smtp = {"220 here ESMTP\r\n", {"^EHLO", "250-here\r\n250-SIZE\r\n250 STARTTLS\r\n"},
        {"^STARTTLS", "220 go on\r\n"}},
    smtp_refuses = {"220 here ESMTP\r\n", {"^EHLO", "250 here\r\n"}, {"^STARTTLS", "502 no\r\n"}},
    lmtp = {"220 here LMTP\r\n", {"^LHLO", "250-here\r\n250 STARTTLS\r\n"},
        {"^STARTTLS", "220 go on\r\n"}},
    ftp = {"220-here\r\n220 FTP\r\n", {"^AUTH TLS", "234 go on\r\n"}},
    sieve = {'"IMPLEMENTATION" "here"\r\n"STARTTLS"\r\nOK\r\n', {"^STARTTLS", "OK\r\n"}},
    ldap_refuses = {false, {"1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\0\x04\0"}},
    xmpp_refuses = {false, {"<stream:stream", "<stream:stream><stream:features>" ..
        "</stream:features>"}, {"<starttls", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}},
    postgres_refuses = {false, {"\x04\xd2\x16\x2f", "N"}},
    imap = {"* OK here\r\n", {"STARTTLS", "a OK go on\r\n"}},
    pop3 = {"+OK here\r\n", {"^STLS", "+OK go on\r\n"}},
    xmpp = {false, {"<stream:stream", "<stream:stream><stream:features><starttls/>" ..
        "</stream:features>"}, {"<starttls", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}},
    postgres = {false, {"\x04\xd2\x16\x2f", "S"}},
    ldap = {false, {"1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}},
}

local function hold_dialogue(conn, dialogue)
    if dialogue[1] then conn:plain_write(dialogue[1]) end
    for i = 2, #dialogue do
        local got = ""
        while not got:find(dialogue[i][1]) do got = got .. assert(conn:plain_read()) end
        conn:plain_write(dialogue[i][2])
    end
end

local modes = {}

function modes.plain(conn) conn:plain_write "HTTP/1.1 400 Bad Request\r\n\r\n" end

function modes.garbage(conn)
    for _ = 1, 64 do
        if not conn:plain_write("\x16\x03\x03\x40\x00" .. ("g"):rep(16384)) then break end
    end
end

-- Sends what is right, but a byte at a time: a record, and a greeting.
local function drip(conn, first, byte)
    local sent = conn:plain_write(first)
    while sent do
        os.execute "sleep 0.1"
        sent = conn:plain_write(byte)
    end
end

function modes.drip(conn) drip(conn, "\x16\x03\x03\x40\x00", "\x02") end

function modes.smtp_drip(conn) drip(conn, "220-", "a") end

-- Sends a ServerHello of TLS 1.2, and a Certificate message of 16 MiB.
function modes.certificates(conn)
    local hello = "\x03\x03" .. ("r"):rep(32) .. "\0\xc0\x2b\0\0\5\xff\1\0\1\0" -- RFC 5746
    local message = "\x02" .. (">s3"):pack(hello) .. "\x0b\xff\xff\xff" .. ("c"):rep(1 << 24)
    for at = 1, #message, 16384 do
        local part = message:sub(at, at + 16383)
        if not conn:plain_write("\x16\x03\x03" .. (">s2"):pack(part)) then break end
    end
end

function modes.reset(conn) conn:plain_read(1) end -- closing with unread bytes resets

function modes.silent(conn) -- reads until the client gives up
    while conn:plain_read() do end
end

function modes.truncated(conn)
    if conn:accept() then
        conn:read()
        conn:write "HTTP/1.1 200 OK\r\n\r\nhalf of i"
    end
end

local function tls_after(dialogue)
    return function(conn)
        hold_dialogue(conn, dialogue)
        if conn:accept() then conn:read() end
        conn:close(1)
    end
end

for name, dialogue in pairs(DIALOGUES) do modes[name] = tls_after(dialogue) end

print("listening " .. listener:port())
io.stdout:flush()
if mode == "deaf" then os.execute "sleep 120" end -- the kernel takes connections, and nobody reads
while true do
    local conn = listener:accept(context, 60)
    if conn then
        conn:set_timeout(5)
        pcall(modes[mode], conn) -- what it does may fail, as a client goes
        conn:close_transport()
        conn:free()
    end
end
