-- hint_spec.lua: tests what the message of a failed handshake adds to libssl's own words. It says
-- what to change, and at which of the two sides.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local p = pki.get()

-- the message of a client's, or of a server's, handshake to which `bytes` come in place of TLS
local function meet(context, bytes)
    local conn <close> = context:connection()
    local call = context:role() == "client" and conn.connect or conn.accept
    conn:set_blocking(false)
    conn:set_memory()
    if context:role() == "client" then conn:set_hostname "localhost" end
    expect.word("want_read", call(conn))
    conn:feed(bytes)
    return expect.fails("tls", call(conn))
end

describe("a peer that speaks no TLS", function()
    local greetings = {
        ["HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"] = "HTTP without TLS",
        ["220 mail.example ESMTP\r\n"] = "SMTP.*STARTTLS",
        ["220-mail.example ESMTP\r\n220 go on\r\n"] = "SMTP.*STARTTLS",
        ["554 no\r\n"] = "SMTP.*STARTTLS",
        ["* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"] = "IMAP.*STARTTLS",
        ["* BYE too many\r\n"] = "IMAP.*STARTTLS",
        ["+OK POP3 ready\r\n"] = "POP3.*STARTTLS",
        ["200 news.example\r\n"] = "NNTP.*STARTTLS",
        ["<?xml version='1.0'?><stream:stream>"] = "XMPP.*STARTTLS",
        ["SSH-2.0-OpenSSH_9.2\r\n"] = "SSH",
        ["hello, who is there?\r\n"] = "no TLS here, or not yet",
        ["a\r\nb\r\nc\r\nd"] = 'plain text %("a"%)',
        ["\x4a\0\0\0\x0a5.7.0-log\0"] = "is no TLS: is this the right port",
        ["\27[2J\27[2J"] = "is no TLS: is this the right port",
    }
    for bytes, said in pairs(greetings) do
        it(("is named to its client: %q"):format(bytes:sub(1, 12)):gsub("%c", "?"), function()
            local err = meet(pair.client(), bytes)
            assert.truthy(err.message:find(said), err.message)
            assert.is_nil(err.message:find "%c")
            assert.truthy(err.message:find(err.reason, 1, true))
        end)
    end

    local requests = {
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n"] = "HTTP without TLS",
        ["POST / HTTP/1.1\r\n\r\n"] = "HTTP without TLS",
        ["OPTIONS * HTTP/1.1\r\n\r\n"] = "HTTP without TLS",
        ["DELETE /a HTTP/1.1\r\n\r\n"] = "HTTP without TLS",
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] = "HTTP without TLS",
        ["CONNECT a:443 HTTP/1.1\r\n\r\n"] = "as to a proxy",
        ["EHLO a.example\r\n"] = "SMTP.*STARTTLS", ["SSH-2.0-x\r\n"] = "SSH",
    }
    for bytes, said in pairs(requests) do
        it(("is named to its server: %q"):format(bytes:sub(1, 12)):gsub("%c", "?"), function()
            local err = meet(pair.server(), bytes)
            assert.truthy(err.message:find(said), err.message)
        end)
    end

    it("is forgotten by clear, and a peer that speaks TLS is never named so", function()
        local client, server = pair.client():connection(), pair.server():connection()
        client:set_blocking(false)
        server:set_blocking(false)
        for _ = 1, 2 do
            client:set_memory()
            client:set_hostname "localhost"
            client:connect()
            client:feed "HTTP/1.1 400 Bad Request\r\n\r\n"
            assert.truthy(expect.fails("tls", client:connect()).message:find "HTTP without TLS")
            client:clear()
        end
        tls.pair(client, server)
        local c, s = pair.drive(client, server)
        assert.is_true(c[1], c[2])
        assert.is_true(s[1], s[2])
        client:clear()
        client:set_memory()
        client:connect()
        client:feed "\22\3\3\0\4\2\0\0\0" -- a ServerHello of nothing
        assert.is_nil(expect.fails("tls", client:connect()).message:find "TLS:")
    end)

    it("is recognized over TCP: nginx without ssl", function()
        local probe = process.run {"sh", "-c", "command -v nginx"}
        if probe ~= 0 then return pending "nginx is not installed" end
        local port, home = process.free_port(), process.directory() .. "/plain"
        assert(os.execute("mkdir -p " .. process.quote(home .. "/logs")))
        process.spill(home .. "/nginx.conf", ([[
            daemon off; pid "%s/pid"; error_log stderr; events {}
            http { access_log off; client_body_temp_path "%s"; proxy_temp_path "%s";
            fastcgi_temp_path "%s"; uwsgi_temp_path "%s"; scgi_temp_path "%s";
            server { listen 127.0.0.1:%d; } }]]):format(home, home, home, home, home, home, port))
        local one = process.start {"nginx", "-p", home, "-c", home .. "/nginx.conf", "-e", "stderr"}
        one:wait_for_port(port)
        local conn <close> = pair.client {timeout = 5}:connection()
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        local err = expect.fails("tls", conn:connect())
        one:stop()
        assert.truthy(err.message:find 'HTTP/.*HTTP without TLS', err.message)
    end)

    it("is recognized over TCP: a server that greets first", function()
        local listener <close> = assert(tls.listen("127.0.0.1", 0))
        local port = listener:port()
        listener:close()
        local one = process.start {"python3", "-c", [[
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
conn = listener.accept()[0]
conn.sendall(b"220 mail.example ESMTP ready\r\n")
conn.recv(65536)
conn.sendall(b"500 what?\r\n")
conn.recv(65536)
]], port}
        one:wait_for_port(port)
        local conn <close> = pair.client {timeout = 5}:connection()
        conn:set_hostname "localhost"
        assert(conn:dial("127.0.0.1", port))
        assert.truthy(expect.fails("tls", conn:connect()).message:find "STARTTLS")
        one:stop()
    end)
end)

describe("a failed handshake says what to change:", function()
    local KEY = {identity = "me", key = ("k"):rep(32)}
    local PSK = "PSK+AESGCM:@SECLEVEL=1"
    local bare = {certificate = pair.none, private_key = pair.none}
    local function psk(key, version)
        return {psk = key, ciphers = PSK, max_version = version, verify = "none"}
    end
    local function psk_server(version)
        return {psk = KEY, ciphers = PSK, max_version = version, certificate = bare.certificate,
            private_key = bare.private_key}
    end
    -- what, the client's options, the server's, what is said to the client, what to the server
    local cases = {
        {"no common cipher suite", {ciphers = "ECDHE-RSA-AES128-GCM-SHA256",
            max_version = "TLSv1.2"}, {}, "shares no cipher suite", "offers no cipher suite"},
        {"no common group", {groups = "X25519", min_version = "TLSv1.3"}, {groups = "P-384"},
            "shares no cipher suite, group", "share no group"},
        {"no common signature algorithm", {signature_algorithms = "RSA-PSS+SHA256",
            min_version = "TLSv1.3"}, {}, "signature algorithm", "no signature of our certificate"},
        {"a client without TLS 1.3", {max_version = "TLSv1.2"}, {min_version = "TLSv1.3"},
            "TLS 1%.2", "this side takes, TLS 1%.3"},
        {"a client without TLS 1.2", {min_version = "TLSv1.3"}, {max_version = "TLSv1.2"},
            "takes, TLS 1%.3", "this side takes, TLS 1%.2"},
        {"no certificate, TLS 1.2", {max_version = "TLSv1.2"},
            {verify = "required", ca = p.ca_file}, "wants a certificate", "shown no certificate"},
        {"no certificate, TLS 1.3", {}, {verify = "required", ca = p.ca_file}, nil,
            "shown no certificate"},
        {"a server's certificate of another CA", {ca = p.other_ca_file}, {}, nil,
            "trusts no issuer of our certificate"},
        {"a client's certificate of another CA",
            {certificate = p.client_cert, private_key = p.client_key, max_version = "TLSv1.2"},
            {verify = "required", ca = p.other_ca_file}, "trusts no issuer of our certificate",
            nil},
        {"an unknown server name", {}, {on_hello = function()
            return false, "unrecognized_name"
        end}, "serves no host of the name", nil},
        {"no common ALPN protocol", {alpn = {"a"}}, {alpn = {"b"}}, "shares no ALPN protocol", nil},
        {"a PSK with another key", psk({identity = "me", key = ("x"):rep(32)}, "TLSv1.3"),
            psk_server "TLSv1.3", nil, "another key under this PSK"},
        {"an unknown PSK identity", psk({identity = "you", key = KEY.key}, "TLSv1.2"),
            psk_server "TLSv1.2", "knows no PSK of our identity", "no PSK of this server"},
    }
    for _, case in ipairs(cases) do
        it(case[1], function()
            local c, s, client = pair.try {client = case[2], server = case[3]}
            -- TLS 1.3: the client is done before the server has looked
            if c[1] then c = table.pack(client:read()) end
            if case[4] then assert.truthy(c[2]:find(case[4]), c[2]) end
            if case[5] then assert.truthy(s[2]:find(case[5]), s[2]) end
            if case[1] == "no certificate, TLS 1.3" then
                assert.truthy(c[2]:find "wants a certificate of ours", c[2])
            end
        end)
    end

    it("the versions that this side takes, whatever limits them", function()
        -- a server's options, lines of configuration, and what it takes
        local servers = {
            {{max_version = "TLSv1.2"}, {}, "TLS 1.2"},
            {{options = {NO_TLSv1_3 = true}}, {}, "TLS 1.2"},
            {{min_version = "TLSv1.1", max_version = "TLSv1.2"}, {}, "TLS 1.1 to TLS 1.2"},
            {{max_version = "TLSv1.2"}, {{"MinProtocol", "None"}}, "TLS 1.0 to TLS 1.2"},
            {{max_version = "TLSv1.2"}, {{"MinProtocol", "SSLv3"}}, "TLS 1.0 to TLS 1.2"},
            {{}, {{"MinProtocol", "None"}, {"Protocol", "ALL,-TLSv1,-TLSv1.3"}},
                "TLS 1.1 to TLS 1.2"},
        }
        for _, one in ipairs(servers) do
            local server = pair.server(one[1])
            for _, line in ipairs(one[2]) do assert(server:conf(line[1], line[2])) end
            local _, s = pair.try {client = {min_version = "TLSv1.3"}, server = server}
            assert.equal(one[3], s[2]:match "this side takes, (.*)$")
        end
        local server = pair.server {min_version = "TLSv1.3"}
        assert(server:conf("MaxProtocol", "None"))
        local _, s = pair.try {client = {max_version = "TLSv1.2"}, server = server}
        assert.equal("TLS 1.3", s[2]:match "this side takes, (.*)$")
    end)

    it("a peer that hangs up in the middle of the handshake", function()
        for said, context in pairs {["server ended the connection"] = pair.client(),
            ["client ended the connection"] = pair.server()} do
            local conn <close> = context:connection()
            local client = context:role() == "client"
            conn:set_blocking(false)
            conn:set_memory()
            if client then conn:set_hostname "localhost" end
            conn:handshake()
            conn:feed_eof()
            expect.word("truncated", conn:handshake())
            assert.truthy(conn:error().message:find(said), conn:error().message)
        end
    end)

    it("nothing once the handshake is done", function()
        local client, server = pair.connect()
        tls.pair(server, pair.server():connection())
        expect.word("truncated", client:read())
        assert.is_nil(client:error().message:find "ended the connection")
    end)

    it("a server that is too old for secure renegotiation, as gnutls-serv can be", function()
        if process.run {"sh", "-c", "command -v gnutls-serv"} ~= 0 then
            return pending "gnutls-bin is not installed"
        end
        local port = process.free_port()
        local one = process.start {"gnutls-serv", "--port", port,
            "--x509certfile", p.server_cert_file, "--x509keyfile", p.server_key_file, "--priority",
            "NORMAL:-VERS-TLS1.3:%DISABLE_SAFE_RENEGOTIATION", "--echo"}
        one:wait_for_port(port)
        local conn <close> = pair.client {timeout = 5}:connection()
        assert(conn:dial("localhost", port))
        local message = select(2, conn:connect())
        assert.truthy(message:find "LEGACY_SERVER_CONNECT", message)
        local other <close> = pair.client {timeout = 5,
            options = {LEGACY_SERVER_CONNECT = true}}:connection()
        assert(other:dial("localhost", port))
        assert(other:connect())
        one:stop()
    end)
end)
