-- probe_others_spec.lua: compares what `tlslife probe` says of nginx, HAProxy, gnutls-serv and
-- `tlslife serve` with what openssl s_client, gnutls-cli and sslscan say, in settings whose right
-- answer is known. With TLSLIFE_TESTSSL=1 in the environment testssl is asked, too, of one setting
-- of each server, which takes minutes.
--
-- One probe asks about all servers at once, and the other programs run side by side.

local json = require "spec.support.json"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local TESTSSL <const> = os.getenv "TLSLIFE_TESTSSL"
local REQUEST <const> = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

local p, request_file, directory

-- --------------------------------------------------------------------------------- the servers

local servers = {}

local NGINX <const> = [[
daemon off; master_process off; pid "%s/pid"; error_log stderr;
events { worker_connections 64; }
http {
    access_log off; ssl_certificate "%s"; ssl_certificate_key "%s"; ssl_protocols TLSv1.2 TLSv1.3;
    client_body_temp_path "%s/b"; proxy_temp_path "%s/p"; fastcgi_temp_path "%s/f";
    uwsgi_temp_path "%s/u"; scgi_temp_path "%s/s";
    server { listen 127.0.0.1:%d ssl http2; location / { return 200 x; } %s }
}
]]

local function place_of(port)
    local dir = directory .. "/server" .. port
    assert(os.execute("mkdir " .. process.quote(dir)))
    return dir
end

function servers.nginx(port, words)
    local dir = place_of(port)
    words = words:gsub("OCSP", ('"%s"'):format(p.ocsp_file))
    return {"/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", process.spill(dir .. "/conf",
        NGINX:format(dir, p.server_cert_file, p.server_key_file, dir, dir, dir, dir, dir, port,
        words))}
end

-- OpenSSL puts a session into the server's cache after the last bytes of the handshake, so that of
-- two threads one may look for it before the other has put it.
local HAPROXY <const> = [[
global
    nbthread 1
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 15s
    timeout client 15s
    timeout server 15s
frontend it
    bind 127.0.0.1:%d ssl crt "%s" %s
    http-request return status 200 content-type text/plain string x
]]

function servers.haproxy(port, words)
    local dir = place_of(port)
    local pem = process.spill(dir .. "/all.pem", p.server_cert .. p.server_key)
    if words:find "OCSP" then process.spill(pem .. ".ocsp", p.ocsp) end
    return {"/usr/sbin/haproxy", "-db", "-f", process.spill(dir .. "/conf",
        HAPROXY:format(port, pem, words:gsub("OCSP", "")))}
end

local function split(words)
    local list = {}
    for word in words:gmatch "%S+" do list[#list + 1] = word end
    return list
end

function servers.gnutls(port, words)
    local command = {"gnutls-serv", "--http", "-p", port, "--x509certfile", p.server_cert_file,
        "--x509keyfile", p.server_key_file}
    for _, word in ipairs(split(words)) do
        command[#command + 1] = word == "OCSP" and "--ocsp-response=" .. p.ocsp_file or word
    end
    return command
end

function servers.tlslife(port, words)
    local command = {program.path, "serve", "--listen", "127.0.0.1:" .. port, "--certificate",
        p.server_cert_file, "--key", p.server_key_file}
    table.move(split(words), 1, #split(words), #command + 1, command)
    return command
end

-- ------------------------------------------------------------------------------ the settings

-- Of each setting: who serves, how, and what must be found, in the probe's words. Where a setting
-- says nothing of a fact, BASE has it.
local BASE <const> = {versions = "TLSv1.2 TLSv1.3", tls13 = "resumed", ticket12 = "resumed",
    id12 = "resumed", ocsp = false, early = "not offered", replayed = nil, alpn = "http/1.1",
    chain = 2, verify = "ok", renegotiation = "refused"}

local SETTINGS <const> = {
    {"nginx", "ssl_session_cache shared:a:1m;", alpn = "h2 http/1.1", testssl = true},
    {"nginx", "ssl_session_cache shared:a:1m; ssl_session_tickets off; ssl_stapling on; " ..
        "ssl_stapling_file OCSP;", ticket12 = "none", ocsp = true, alpn = "h2 http/1.1"},
    {"nginx", "ssl_session_cache off; ssl_protocols TLSv1.2;", versions = "TLSv1.2",
        tls13 = "no version", id12 = "none", alpn = "h2 http/1.1"},
    {"nginx", "ssl_session_cache off; ssl_session_tickets off;", tls13 = "full",
        ticket12 = "none", id12 = "none", alpn = "h2 http/1.1"},
    {"haproxy", "OCSP alpn h2,http/1.1", ocsp = true, alpn = "h2 http/1.1", testssl = true},
    {"haproxy", "no-tls-tickets alpn http/1.1", ticket12 = "none"},
    {"haproxy", "allow-0rtt ssl-max-ver TLSv1.3 alpn http/1.1", early = "accepted",
        replayed = true},
    {"gnutls", "--priority=NORMAL:-VERS-TLS1.0:-VERS-TLS1.1 OCSP", ocsp = true, alpn = "",
        renegotiation = "accepted", testssl = true},
    {"gnutls", "--noticket --alpn=http/1.1 --priority=NORMAL:-VERS-ALL:+VERS-TLS1.2",
        versions = "TLSv1.2", tls13 = "no version", ticket12 = "none",
        renegotiation = "accepted"},
    {"gnutls", "--priority=NORMAL:-VERS-TLS1.0:-VERS-TLS1.1 --nodb --noticket", tls13 = "none",
        ticket12 = "none", id12 = "full", alpn = "", renegotiation = "accepted"},
    {"tlslife", "--alpn h2,http/1.1", alpn = "h2 http/1.1", testssl = true},
    {"tlslife", "--resumption tickets --alpn http/1.1", id12 = "none"},
    {"tlslife", "--resumption stateful --max-version 1.2", versions = "TLSv1.2",
        tls13 = "no version", ticket12 = "none", alpn = ""},
    {"tlslife", "--resumption off", tls13 = "none", ticket12 = "none", id12 = "none", alpn = ""},
    {"tlslife", "--early-data", early = "accepted", replayed = false, alpn = ""},
}

-- -------------------------------------------------------------------------- the other programs

-- Each has the words of a shell that asks, and read(text, says), which fills in what it says, in
-- the words of the facts.
local others = {}

-- Twice with one session: "Reused" or "New" of the second time. A third time with early data.
local S_CLIENT <const> = [[
ask() {
    timeout 20 openssl s_client -connect 127.0.0.1:$port -servername localhost -CAfile "$ca" \
        -status -alpn h2,http/1.1 -ign_eof "$@" <"$request" 2>&1
}
echo "@@ first"
ask
for way in tls13:-tls1_3 ticket12:-tls1_2 id12:-tls1_2,-no_ticket; do
    options=$(echo "${way#*:}" | tr , ' ')
    ask $options -sess_out "$dir/${way%%:*}" >"$dir/made"
    echo "@@ ${way%%:*}"
    grep -a 'lifetime hint' "$dir/made"
    ask $options -sess_in "$dir/${way%%:*}"
done
ask -tls1_3 -sess_out "$dir/early" >"$dir/made"
echo "@@ early"
ask -tls1_3 -sess_in "$dir/early" -early_data "$request"
echo "@@ again"
ask -tls1_3 -sess_in "$dir/early" -early_data "$request"
]]

-- The output of each question, which "@@ name" begins.
local function parts_of(text)
    local parts, at = {}, 1
    while at do
        local _, after, name = text:find("@@ (%w+)\n", at)
        at = after and text:find("@@ %w+\n", after + 1)
        if name then parts[name] = text:sub(after + 1, (at or 0) - 1) end
    end
    return parts
end

others.s_client = {words = S_CLIENT}

local EARLY <const> = {["accepted"] = "accepted", ["rejected"] = "rejected"}

function others.s_client.read(text, says)
    local parts = parts_of(text)
    local first = parts.first
    says.version, says.cipher = first:match "New, (TLSv[%d.]+), Cipher is (%S+)"
    -- The words of OpenSSL 3.0, and of 3.5 for a group of TLS 1.3 and for one of TLS 1.2.
    local group = first:match "Server Temp Key: ([%w_]+)" or
        first:match "Negotiated TLS1.3 group: ([%w_]+)" or first:match "Peer Temp Key: ([%w_]+)"
    assert(group, first)
    says.group = group:lower()
    says.chain = select(2, first:gsub("\n %d s:", ""))
    says.verify = first:find("Verify return code: 0 (ok)", 1, true) and "ok" or "not ok"
    says.ocsp = first:find("OCSP Response Status: successful", 1, true) ~= nil
    says.first_alpn = first:match "ALPN protocol: (%S+)" or ""
    for _, kind in ipairs {"tls13", "ticket12", "id12"} do
        says[kind .. "_reused"] = parts[kind]:find "Reused, TLSv" ~= nil
        says[kind .. "_lifetime"] = tonumber(parts[kind]:match "lifetime hint: (%d+)")
    end
    -- It got no ticket, and resumed by id.
    says.ticket12_reused = says.ticket12_reused and says.ticket12_lifetime ~= nil
    says.early_first = EARLY[parts.early:match "Early data was (%w+)"]
    says.early_again = EARLY[parts.again:match "Early data was (%w+)"]
end

local GNUTLS_CLI <const> = [[
for way in tls13:-VERS-ALL:+VERS-TLS1.3 ticket12:-VERS-ALL:+VERS-TLS1.2 \
    id12:-VERS-ALL:+VERS-TLS1.2:%NO_TICKETS; do
    echo "@@ ${way%%:*}"
    timeout 20 gnutls-cli -p $port --x509cafile "$ca" --sni-hostname localhost --verify-hostname \
        localhost --alpn h2 --alpn http/1.1 --resume --waitresumption \
        --priority "NORMAL:${way#*:}" 127.0.0.1 <"$request" 2>&1
done
echo "@@ again"
timeout 20 gnutls-cli -p $port --x509cafile "$ca" --verify-hostname localhost --rehandshake \
    --priority NORMAL:-VERS-ALL:+VERS-TLS1.2 127.0.0.1 <"$request" 2>&1
]]

others.gnutls_cli = {words = GNUTLS_CLI}

function others.gnutls_cli.read(text, says)
    local parts = parts_of(text)
    says.renegotiation = parts.again:find "ReHandshake was completed" and "accepted" or "refused"
    parts.again = nil
    for name, part in pairs(parts) do
        if part:find("Description:", 1, true) then
            says[name .. "_reused"] = part:find("This is a resumed session", 1, true) ~= nil
            says.chain = tonumber(part:match "certificate list of (%d+)")
            says.verify = part:find("The certificate is trusted", 1, true) and "ok" or "not ok"
            local first = part:match "^(.-)Connecting again" or part
            says.ocsp = first:find "Options:[^\n]*OCSP status request,[^\n]*\n" ~= nil
            says.first_alpn = part:match "Application protocol: (%S+)" or ""
        else
            says[name .. "_reused"] = false -- no such version
        end
    end
    -- A client that takes tickets, and got none, resumes by id, and does not say which.
    says.tls12_reused, says.ticket12_reused = says.ticket12_reused, nil
end

local SSLSCAN <const> = [[
timeout 60 sslscan --no-colour --no-renegotiation --ocsp --no-ciphersuites --no-heartbleed \
    --no-groups --no-fallback --no-compression --sni-name=localhost 127.0.0.1:$port 2>&1
]]

-- What it says of renegotiation is not asked: of gnutls-serv it says that it is not supported
-- (2.0.7), where gnutls-cli --rehandshake and s_client's R succeed, as the probe says.
others.sslscan = {words = SSLSCAN, program = "sslscan"}

function others.sslscan.read(text, says)
    local versions = {}
    for version in text:gmatch "\nTLSv(1%.%d) +enabled" do
        versions[#versions + 1] = version == "1.0" and "TLSv1" or "TLSv" .. version
    end
    says.versions = table.concat(versions, " ")
    says.ocsp = text:find("OCSP Response Status: successful", 1, true) ~= nil
    says.not_after = text:match "Not valid after: +([^\n]+)"
end

local TESTSSL_WORDS <const> = [[
cd "$dir" && cp "$ca" ca.pem # it splits a path at its spaces
timeout 600 testssl --quiet --color 0 --warnings batch --nodns none -p -S --add-ca ca.pem \
    127.0.0.1:$port 2>&1 </dev/null
]]

-- What it says of resumption by id is not asked: 3.0.8 asks for it in TLS 1.3, and does not wait
-- for the ticket. It says "ID: no" of nginx, where s_client -tls1_2 -no_ticket says "Reused", as
-- the probe and gnutls-cli say.
others.testssl = {words = TESTSSL_WORDS, program = "testssl"}

function others.testssl.read(text, says)
    local versions = {}
    for _, version in ipairs {"1", "1.1", "1.2", "1.3"} do
        if text:find("\n TLS " .. version:gsub("%.", "%%.") .. " +offered") then
            versions[#versions + 1] = "TLSv" .. version
        end
    end
    says.versions = table.concat(versions, " ")
    says.alpn = (text:match "\n ALPN/HTTP2 +([^\n]-) %(offered%)" or ""):gsub(",", "")
    says.chain = tonumber(text:match "# of certificates provided +(%d+)")
    says.verify = text:find "Chain of trust +Ok" and "ok" or "not ok"
    says.ocsp = text:find "OCSP stapling +offered" ~= nil
    says.ticket12_lifetime = tonumber(text:match "Session Ticket RFC 5077 hint (%d+) seconds")
end

-- What the probe has found, in the same words.
local function facts_of(one)
    local first, leaf = one.first, one.first.chain[1]
    local facts = {
        versions = table.concat(one.versions, " "), version = first.version, cipher = first.cipher,
        group = first.group and first.group:lower(), chain = #first.chain, verify = first.verify,
        ocsp = first.ocsp ~= nil, alpn = table.concat(one.protocols, " "),
        first_alpn = one.protocols[1] or "", renegotiation = one.renegotiation,
        early = one.early.state, replayed = one.early.replayed,
        early_first = one.early.state == "accepted" and "accepted" or nil,
        not_after = os.date("!%b %e %H:%M:%S %Y GMT", leaf.not_after),
    }
    if one.early.state == "accepted" then
        facts.early_again = one.early.replayed and "accepted" or "rejected"
    end
    facts.tls12_reused = one.ticket12.state == "resumed" or one.id12.state == "resumed"
    for _, kind in ipairs {"tls13", "ticket12", "id12"} do
        facts[kind] = one[kind].state
        facts[kind .. "_reused"] = one[kind].state == "resumed"
        facts[kind .. "_lifetime"] = one[kind].lifetime
    end
    return facts
end

-- -------------------------------------------------------------------------------- the run

local function start_all()
    for _, setting in ipairs(SETTINGS) do
        setting.port, setting.asked = process.free_port(), {}
        local command = servers[setting[1]](setting.port, setting[2])
        command.timeout = 1500
        setting.server = process.start(command)
    end
    for _, setting in ipairs(SETTINGS) do setting.server:wait_for_port(setting.port, 60) end
end

local function probe_all()
    local words = {program.path, "probe", "--json", "--ca", p.ca_file, "--connect", "127.0.0.1",
        timeout = 600}
    for _, setting in ipairs(SETTINGS) do words[#words + 1] = "localhost:" .. setting.port end
    local _, output = process.run(words)
    for i, name in ipairs(json.read(output).names) do SETTINGS[i].found = name.found[1] end
end

local function ask_all(name)
    local asked = {}
    for i, setting in ipairs(SETTINGS) do
        if name ~= "testssl" or setting.testssl then
            local dir = ("%s/%s%d"):format(directory, name, i)
            assert(os.execute("mkdir " .. process.quote(dir)))
            asked[#asked + 1] = process.start {"sh", "-c", others[name].words, timeout = 900,
                environment = {port = setting.port, ca = p.ca_file, request = request_file,
                    dir = dir}}
            setting.asked[name] = asked[#asked]
        end
    end
    for _, one in ipairs(asked) do one:wait(900) end
end

-- Not every Debian has all of them.
local function is_there(other)
    return not other.program or
        process.run {"sh", "-c", "command -v " .. other.program, timeout = 20} == 0
end

describe("tlslife probe and other programs", function()
    setup(function()
        p, directory = pki.get(), process.directory()
        request_file = process.spill(directory .. "/request", REQUEST)
        start_all()
        probe_all()
        for name, other in pairs(others) do
            if (name ~= "testssl" or TESTSSL) and is_there(other) then ask_all(name) end
        end
    end)
    teardown(process.stop_all)

    it("are all there", function()
        if not is_there(others.sslscan) then pending "no sslscan" end
    end)

    for _, setting in ipairs(SETTINGS) do
        it(("say the same of %s %s"):format(setting[1], setting[2]), function()
            assert.is_nil(setting.found.first.failed)
            local facts, wanted, found = facts_of(setting.found), {}, {}
            for name, value in pairs(BASE) do wanted[name], found[name] = value, facts[name] end
            for name, value in pairs(setting) do
                if BASE[name] ~= nil or name == "replayed" then
                    wanted[name], found[name] = value, facts[name]
                end
            end
            assert.same(wanted, found)
            for name, one in pairs(setting.asked) do
                local text, says, same = one:output(), {}, {}
                others[name].read(text, says)
                for fact in pairs(says) do same[fact] = facts[fact] end
                assert.same(says, same, name .. " says otherwise (it is expected):\n" .. text)
            end
        end)
    end
end)
