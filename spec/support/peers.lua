--- Other programs that speak TLS, for spec/others/interop_spec.lua: how each is started, what it
-- can do, and by which words in its output it reports what it saw. What must happen is in the
-- examples.

local pki = require "spec.support.pki"
local process = require "spec.support.process"

local peers = {}

-- Debian's, by path: another Python may be first in PATH, and only root has /usr/sbin there.
local PYTHON, NGINX_PROGRAM = "/usr/bin/python3", "/usr/sbin/nginx"

local HERE = assert(debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$",
    "peers.lua lies in no directory")

--- Text for clients to send and to get: more than two records, but less than a pipe holds, in lines
-- for programs that read lines, and of digits, which no program takes for a command.
local function digits(n)
    local lines = {}
    for i = 1, n // 80 do lines[i] = ("%079d\n"):format(i * 7919) end
    return table.concat(lines)
end

peers.request_body = digits(40000)
peers.reply_body = digits(160000)

function peers.request()
    return ("POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s"):format(#peers.request_body,
        peers.request_body)
end

local function spilt(name, text)
    local path = process.directory() .. "/" .. name
    if not process.slurp(path) then process.spill(path, text) end
    return path
end

local function request_file()
    return spilt("request", peers.request())
end

-- ----------------------------------------------------------------------------------------- servers
--
-- A server has these fields:
--   name
--   kinds[version]      the ways in which it resumes in that version of TLS
--   start(kind)         starts it; returns the process and its port
--   request             a request after whose answer it closes the connection first
--   reply(version)      a Lua pattern that matches its answer
--   says_reused(reply, output)
--                       whether its answer, or its output since the connection began, says that the
--                       session was resumed
--   says_answered       a pattern in its output when our close_notify has answered its own; nil: it
--                       does not report that
--   never_answers       true: it closes without answering a close_notify that we send first
--   plenty()            returns the kind to start it with, a text of several records to write, and
--                       its answer to that

local BOTH = {["TLSv1.2"] = {"tickets", "stateful"}, ["TLSv1.3"] = {"tickets", "stateful"}}

local SERVING = 300 -- seconds that a server lives at most: it serves all examples of its kind

local GET = "GET / HTTP/1.0\r\n\r\n"

local function s_server(...)
    local p = pki.get()
    local command = {"openssl", "s_server", "-accept", process.free_port(), "-naccept", 100,
        "-cert", p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key",
        p.server_key_file, timeout = SERVING, ...}
    local one = process.start(command)
    one:wait_for_port(command[4])
    return one, command[4]
end

local function gnutls_serv(...)
    local p = pki.get()
    local port = process.free_port()
    local one = process.start {"gnutls-serv", "-p", port, "--x509certfile", p.server_cert_file,
        "--x509keyfile", p.server_key_file, "--disable-client-cert", timeout = SERVING, ...}
    one:wait_for_port(port)
    return one, port
end

local NGINX = [[
daemon off; master_process off; pid "%s/pid"; error_log stderr;
events { worker_connections 64; }
http {
    access_log off; default_type text/plain;
    client_body_temp_path "%s/body"; proxy_temp_path "%s/proxy"; fastcgi_temp_path "%s/fastcgi";
    uwsgi_temp_path "%s/uwsgi"; scgi_temp_path "%s/scgi";
    server {
        listen 127.0.0.1:%d ssl;
        ssl_certificate "%s"; ssl_certificate_key "%s";
        ssl_protocols TLSv1.2 TLSv1.3;
        %s
        location /reply { root "%s"; }
        location / { return 200 "$ssl_protocol reused=$ssl_session_reused\n"; }
    }
}
]]

local NGINX_KIND = {
    tickets = "ssl_session_tickets on; ssl_session_cache off;",
    stateful = "ssl_session_tickets off; ssl_session_cache shared:specs:1m;",
}

local function nginx(kind)
    local p = pki.get()
    local port = process.free_port()
    local dir = process.directory() .. "/nginx" .. port
    assert(os.execute("mkdir " .. process.quote(dir)))
    local text = NGINX:format(dir, dir, dir, dir, dir, dir, port, p.server_cert_file,
        p.server_key_file, NGINX_KIND[kind], dir)
    process.spill(dir .. "/reply", peers.reply_body)
    local one = process.start {NGINX_PROGRAM, "-p", dir, "-e", "stderr", "-c",
        process.spill(dir .. "/conf", text), timeout = SERVING}
    one:wait_for_port(port)
    return one, port
end

local function script(words)
    local one = process.start(words)
    return one, tonumber(one:wait_for "listening (%d+)")
end

local function prints_reused(_, output)
    return output:match("reused=[Tt]rue") ~= nil
end

peers.servers = {
    {
        name = "openssl s_server",
        kinds = BOTH,
        start = function(kind)
            if kind == "echo" then return s_server "-rev" end
            return s_server("-www", table.unpack(kind == "stateful" and {"-no_ticket"} or {}))
        end,
        request = GET,
        reply = function(version) return version .. ", Cipher is " end,
        says_reused = function(reply) return reply:match "\nReused, " ~= nil end,
        plenty = function() -- it answers each line in a record, so the lines are long
            local long = peers.reply_body:gsub("\n(%d+)\n", "%1\n"):gsub("\n(%d+)\n", "%1\n")
            return "echo", long, (long:gsub("%d+", string.reverse))
        end,
    },
    {
        name = "gnutls-serv",
        kinds = {["TLSv1.2"] = {"tickets", "stateful"}, ["TLSv1.3"] = {"tickets"}},
        start = function(kind)
            if kind == "echo" then return gnutls_serv "--echo" end
            return gnutls_serv("--http", table.unpack(kind == "stateful" and {"--noticket"} or {}))
        end,
        request = GET,
        reply = function(version) return "Protocol version:</TD><TD>" .. version:gsub("v", "") ..
            "</TD>" end,
        says_reused =
            function(_, output) return output:match "This is a resumed session" ~= nil end,
        plenty = function() return "echo", peers.reply_body, peers.reply_body end,
    },
    {
        name = "nginx",
        kinds = BOTH,
        start = nginx,
        never_answers = true,
        request = GET,
        reply = function(version) return version .. " reused=" end,
        says_reused = function(reply) return reply:match "reused=r" ~= nil end,
        plenty = function()
            local post = peers.request():gsub("1%.0\r\n", "1.1\r\nHost: localhost\r\n")
            return "tickets", post .. "GET /reply HTTP/1.0\r\n\r\n", peers.reply_body
        end,
    },
    {
        name = "Python's ssl",
        kinds = BOTH,
        start = function(kind)
            local p = pki.get()
            return script {PYTHON, HERE .. "/peer.py", "server", kind, p.server_cert_file,
                p.server_key_file, timeout = SERVING}
        end,
        request = GET,
        reply = function() return "hello of Python\n" end,
        says_reused = prints_reused,
        says_answered = "end closed",
        plenty = function() return "tickets", peers.reply_body, peers.reply_body end,
    },
    {
        name = "Node",
        kinds = {["TLSv1.2"] = {"tickets"}, ["TLSv1.3"] = {"tickets"}},
        start = function(kind)
            local p = pki.get()
            return script {"node", HERE .. "/peer.js", "server", kind, p.server_cert_file,
                p.server_key_file, timeout = SERVING}
        end,
        request = GET,
        reply = function() return "hello of Node\n" end,
        says_reused = prints_reused,
        says_answered = "end closed",
        plenty = function() return "tickets", peers.reply_body, peers.reply_body end,
    },
}

-- ----------------------------------------------------------------------------------------- clients
--
-- A client has these fields:
--   name
--   start(port, version, options)
--                       starts a process that connects, sends the request and reads the reply
--       options.times   how many connections, each after the first with the session of the one
--                       before
--       options.ends    who closes first: "client", or "server" if it waits for our close_notify
--   kinds[version]      the ways of our server to resume that it can use
--   single              true: a process makes one connection, so start is called for each, with
--                       options.resume from the second on
--   silent              true: its first connection of several sends nothing
--   finish(one)         makes it close, if it does not by itself
--   never_answers       true: it closes without answering a close_notify that we send first
--   says_closed         a pattern in its output when it has read our close_notify; nil: it does not
--                       report that
--   cannot_tell         true: it does not tell a cut stream from one that was closed
--   says_reused         a pattern in its output when the session was resumed; nil: it does not
--                       report that

local function s_client(port, version, options)
    local session = ("%s/session%d"):format(process.directory(), port)
    local command = {"openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-servername",
        "localhost", "-CAfile", pki.get().ca_file, "-verify_return_error", "-verify_hostname",
        "localhost", version == "TLSv1.2" and "-tls1_2" or "-tls1_3", "-sess_out", session,
        stdin = true}
    if options.resume then table.move({"-sess_in", session}, 1, 2, #command + 1, command) end
    local one = process.start(command)
    one:write(peers.request())
    return one
end

local function curl(port, version, options)
    local number = version:sub(5)
    local command = {"curl", "-q", "-sS", "--noproxy", "*", "--max-time", 20, "--cacert",
        pki.get().ca_file, "--resolve", ("localhost:%d:127.0.0.1"):format(port), "--tlsv" .. number,
        "--tls-max", number, "-H", "Expect:", "-H", "Connection: close", "--data-binary",
        "@" .. spilt("body", peers.request_body)}
    for i = 1, options.times do
        command[#command + 1] = ("https://localhost:%d/%d"):format(port, i)
    end
    return process.start(command)
end

local function gnutls_cli(port, version, options)
    local command = {"gnutls-cli", "--x509cafile", pki.get().ca_file,
        "-p", port, "--sni-hostname=localhost", "--verify-hostname=localhost", "--priority",
        "NORMAL:-VERS-ALL:+VERS-" .. version:gsub("v", ""), "127.0.0.1", stdin = true}
    if options.times > 1 then
        table.move({"--resume", "--waitresumption"}, 1, 2, #command + 1, command)
    end
    local one = process.start(command)
    one:write(peers.request())
    return one
end

local function client_script(...)
    local words = {...}
    return function(port, version, options)
        local command = table.move(words, 1, #words, 1, {})
        for _, word in ipairs {"client", port, version, pki.get().ca_file, request_file(),
            options.times, options.ends} do
            command[#command + 1] = word
        end
        return process.start(command)
    end
end

local function finish_input(one)
    one:wait_for(peers.reply_body:sub(-80, -2))
    one:finish_input()
end

peers.clients = {
    {
        name = "openssl s_client",
        start = s_client,
        kinds = BOTH,
        single = true,
        finish = finish_input,
        says_closed = "\nclosed\n",
        says_reused = "\nReused, ",
    },
    {
        name = "curl",
        start = curl,
        -- it sets SSL_OP_NO_TICKET
        kinds = {["TLSv1.2"] = {"stateful"}, ["TLSv1.3"] = {"tickets", "stateful"}},
        cannot_tell = true, -- it sets SSL_OP_IGNORE_UNEXPECTED_EOF
    },
    {
        name = "gnutls-cli",
        start = gnutls_cli,
        kinds = BOTH,
        never_answers = true,
        silent = true,
        finish = finish_input,
        says_closed = "Peer has closed the GnuTLS connection",
        says_reused = "This is a resumed session",
    },
    {
        name = "Python's ssl",
        start = client_script(PYTHON, HERE .. "/peer.py"),
        kinds = BOTH,
        says_closed = "end closed",
        says_reused = "reused=True",
    },
    {
        name = "Node",
        start = client_script("node", HERE .. "/peer.js"),
        kinds = BOTH,
        cannot_tell = true,
        says_closed = "end closed",
        says_reused = "reused=true",
    },
}

--- Accepts the next connection of `one`, a client's process, and makes the handshake. If the client
-- has ended instead, raises an error with its output.
function peers.accept(listener, context, one, seconds)
    local conn, message = listener:accept(context, seconds)
    if not conn then one:complain(message) end
    local ok
    ok, message = conn:accept()
    if not ok then one:complain(message) end
    return conn
end

return peers
