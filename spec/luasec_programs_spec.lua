-- luasec_programs_spec.lua: programs that know LuaSec, unmodified, on the drop-in. LuaSec's own
-- samples, as Debian's source package has them, with LuaSec at both ends, with the drop-in at both
-- ends, and with one of each: what they print must be the same. ssl.https against nginx, LuaRocks,
-- and Prosody.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local HERE <const> = (function()
    local pipe = assert(io.popen "pwd -P")
    local path = pipe:read "l"
    pipe:close()
    return path
end)()
local SAMPLES <const> = HERE .. "/build/deps/luasec/samples"
local LUASEC <const> = HERE .. "/build/deps/luasec/lua"
local ALL <const> = os.getenv "TLSLIFE_LUASEC" == "all" -- ./dev luasec

-- Each sample: its directory, the client's file, how many seconds a pair has that never ends,
-- whether the drop-in is to differ, and whether it is run where not all are.
local RUNS <const> = {
    {"wantread", seconds = 50}, -- it sleeps for twelve seconds
    {"wantwrite", seconds = 4, endless = true},
    {"sni", quick = true}, {"alpn", quick = true}, {"chain", quick = true},
    {"verify", quick = true}, {"oneshot"}, {"info"}, {"digest"}, {"ecdh"}, {"want"},
    {"curve-negotiation", ours = true},
    {"multicert", client = "client-rsa.lua"}, {"multicert", client = "client-ecdsa.lua"},
    {"verification/success"}, {"verification/fail-string"}, {"verification/fail-table"},
    {"dhparam", ours = true}, -- the function is called, where LuaSec's OpenSSL does not call it
    {"loop", seconds = 4, endless = true},
    {"loop-gc", seconds = 4, endless = true},
}
-- Samples that are not run, and why.
local LEFT <const> = {
    certs = "has the certificates",
    dane = "needs the DNS and lunbound",
    key = "has no pair; it is below",
    luaossl = "hands a context of luaossl to LuaSec, which the drop-in does not take",
    psk = "asks a server's function in TLS 1.2, which libssl gives no way to wait for",
    verification = "has its samples in directories",
}

local PREPARE <const> = [[
set -e
cp -R "$1" "$2"
cd "$2"
find . -name '*.sh' -exec chmod +x {} +
(cd certs && ./all.sh)
if [ "$3" = true ]; then
    (cd multicert && ./gencerts.sh)
    (cd key && ./genkey.sh)
fi
cd certs # the name that the sample of SNI wants, which LuaSec's scripts do not make
openssl req -newkey rsa:2048 -keyout serverAAkey.pem -out serverAAreq.pem -nodes -batch \
    -config serverA.cnf -subj /CN=serveraa.br
openssl x509 -req -in serverAAreq.pem -extfile serverA.cnf -extensions usr_cert -CA rootA.pem \
    -CAkey rootAkey.pem -CAcreateserial -out serverAAcert.pem -days 30
cat serverAAcert.pem rootA.pem >serverAA.pem
openssl genpkey -genparam -algorithm DH -pkeyopt dh_rfc5114:1 -out ../dhparam/dh-1024.pem
]]

local directory
local function prepare()
    if directory then return directory end
    directory = process.directory() .. "/samples"
    local code, output = process.run {"sh", "-c", PREPARE, "sh", SAMPLES, directory, tostring(ALL),
        timeout = 120}
    assert(code == 0, output)
    return directory
end

local function is_possible()
    return process.slurp(SAMPLES .. "/README") ~= nil and
        process.slurp(LUASEC .. "/ssl.so") ~= nil and
        process.run {"unshare", "--map-root-user", "--net", "ip", "link", "set", "lo", "up",
            timeout = 10} == 0
end

-- What a sample printed: without addresses and times, a line each, sorted, because pairs() has no
-- order.
local function told(path)
    local lines = {}
    local text = (process.slurp(path) or ""):gsub("0x%x+", "0x"):gsub("(%d)%.0%f[\n]", "%1")
    for line in text:gsub("\n[^\n ]+(: %l+%.lua:%d+:)", "\nlua5.4%1"):gmatch "[^\n]+" do
        lines[#lines + 1] = line:gsub("^[^ ]+(: %l+%.lua:%d+:)", "lua5.4%1")
    end
    table.sort(lines)
    return table.concat(lines, "\n")
end

local function name_of(run)
    return run[1] .. (run.client and " " .. run.client or "")
end

local function start(run, server, client, label)
    local out = ("%s/%s.%s.%s"):format(process.directory(), name_of(run):gsub("[/ ]", "-"), label,
        "out")
    local one = process.start {HERE .. "/spec/luasec/sample.sh", prepare() .. "/" .. run[1], server,
        client, tostring(run.seconds or 20), out, run.client or "client.lua", timeout = 60}
    return {process = one, out = out, run = run, label = label}
end

local function finish(one)
    local code = one.process:wait(60)
    local results = {exit = one.process:output():match "(%d+ %d+)\n$", code = code}
    for _, role in ipairs {"server", "client"} do results[role] = told(one.out .. "." .. role) end
    return results
end

-- Programs that run a Lua file with LuaSec, and with the drop-in.
local function interpreters()
    local theirs, ours = process.directory() .. "/theirs", process.directory() .. "/ours"
    process.spill(theirs, ("#!/bin/sh\nLUA_PATH=%s LUA_CPATH=%s exec lua5.4 \"$@\"\n"):format(
        process.quote(LUASEC .. "/?.lua;;"), process.quote(LUASEC .. "/?.so;;")))
    process.spill(ours, ("#!/bin/sh\nexec %s -l tlslife.luasec \"$@\"\n"):format(
        process.quote(program.path)))
    assert(os.execute(("chmod +x %s %s"):format(process.quote(theirs), process.quote(ours))))
    return {{"theirs", theirs, theirs}, {"ours", ours, ours}, {"our-server", ours, theirs},
        {"our-client", theirs, ours}}
end

local function check(run, what, results, expected)
    assert.equal(0, results.code, what)
    if run.endless then
        local _, lines = results.client:gsub("\n", "")
        assert(lines > 2, what .. ":\n" .. results.client)
        assert.not_truthy(results.client:find("traceback", 1, true), what)
    elseif run.ours then
        assert(not expected or results.exit == "0 0" or what:find "our%-", what .. ": "
            .. results.client)
    elseif expected then
        for _, field in ipairs {"exit", "server", "client"} do
            assert.equal(expected[field], results[field], what .. ": " .. field)
        end
    end
end

describe("LuaSec's samples", function()
    it("are all run, but for those that are listed", function()
        if not is_possible() then return pending "there is no LuaSec, or no network of its own" end
        local seen = {}
        for _, run in ipairs(RUNS) do seen[run[1]:match "^[^/]+"] = true end
        local pipe = assert(io.popen("ls -d '" .. SAMPLES .. "'/*/"))
        for path in pipe:lines() do
            local name = path:match "([^/]+)/$"
            assert(seen[name] or LEFT[name], name .. " is not run")
        end
        pipe:close()
    end)

    it("do the same with the drop-in at either end", function()
        if not is_possible() then return pending "there is no LuaSec, or no network of its own" end
        local started, pairs_of = {}, interpreters()
        for i, run in ipairs(RUNS) do
            started[i] = {}
            for j, pair in ipairs((ALL or run.quick) and pairs_of or {}) do
                started[i][j] = start(run, pair[2], pair[3], pair[1])
                if not run.seconds then started[i][j].results = finish(started[i][j]) end
            end
        end
        for i, run in ipairs(RUNS) do
            local expected
            for j, one in ipairs(started[i]) do
                local results = one.results or finish(one)
                check(run, name_of(run) .. ", " .. pairs_of[j][1], results, expected)
                expected = expected or results
            end
        end
    end)

    it("of keys load with the drop-in", function()
        if not (ALL and is_possible()) then return pending "./dev luasec makes the key" end
        local ours = interpreters()[2][2]
        local code, output = process.run {"sh", "-c", 'cd "$0" && exec "$1" loadkey.lua',
            prepare() .. "/key", ours, timeout = 20}
        -- The first of its three ways asks at the terminal, which the drop-in never does.
        assert.equal(1, code)
        assert.truthy(output:find("error loading private key", 1, true), output)
    end)
end)

-- ----------------------------------------------------------------------------- ssl.https, LuaRocks

local p = pki.get()

-- Starts a program with its configuration, in which words are filled in.
local function configured(words, config, ...)
    local text = process.slurp(config):gsub("%$([A-Z]+)", words)
    local path = process.spill(words.DIR .. "/conf.lua", text)
    local command = {timeout = 60}
    for i, word in ipairs {...} do command[i] = word == "CONF" and path or word end
    return process.start(command)
end

local function nginx()
    local dir = process.directory() .. "/nginx"
    local port = process.free_port()
    assert(os.execute(("mkdir -p %s"):format(process.quote(dir .. "/rocks"))))
    -- nginx reads a path with a space in it in quotes only
    local plain = os.tmpname()
    os.remove(plain)
    assert(os.execute(("ln -s %s %s"):format(process.quote(dir), plain)))
    local words = {DIR = plain, PORT = port, CERTIFICATE = plain .. "/cert.pem",
        KEY = plain .. "/key.pem"}
    process.spill(dir .. "/cert.pem", p.server_cert)
    process.spill(dir .. "/key.pem", p.server_key)
    local server = configured(words, HERE .. "/spec/luasec/nginx.conf", "/usr/sbin/nginx", "-e",
        "stderr", "-c", "CONF")
    server:wait_for_port(port)
    return port, dir, plain
end

local function proxy()
    local port = process.free_port()
    local path = process.spill(process.directory() .. "/tinyproxy.conf", ("Port %d\n"
        .. "Listen 127.0.0.1\nTimeout 20\nAllow 127.0.0.1\nLogLevel Critical\n"):format(port))
    if process.run {"sh", "-c", "command -v tinyproxy", timeout = 5} ~= 0 then return nil end
    process.start {"tinyproxy", "-d", "-c", path, timeout = 60}:wait_for_port(port)
    return "http://127.0.0.1:" .. port
end

describe("ssl.https", function()
    it("gives what LuaSec's gives, resumes, and goes through a proxy", function()
        if not is_possible() then return pending "there is no LuaSec" end
        local port, _, link = nginx()
        local script, through = HERE .. "/spec/luasec/https.lua", proxy()
        local of, said = interpreters(), {}
        for i = 1, 2 do
            local code, output = process.run {of[i][2], script, tostring(port), p.ca_file,
                p.other_ca_file, through, timeout = 30}
            assert.equal(0, code, output)
            said[i] = output
        end
        os.remove(link)
        local theirs, ours = said[1]:gsub("1 | 200[^\n]+/[hi][^\n]+\n", ""), said[2]
        theirs = theirs:gsub("nil | proxy not supported[^\n]*\n", "")
        local proxied = {}
        ours = ours:gsub("1 | 200 | [^\n]+GET /[hi] [^\n]*\n", function(line)
            proxied[#proxied + 1] = line
            return ""
        end)
        local resumed
        ours, resumed = ours:gsub(" r%f[%s]", " .")
        assert.equal(theirs, ours)
        assert.is_true(resumed >= 3, said[2])
        if through then
            assert.equal(2, #proxied, said[2])
            assert.not_truthy(table.concat(proxied):find "Basic")
        end
    end)
end)

local ROCKSPEC <const> = [[
package = "sample"
version = "1.0-1"
source = {url = "https://localhost:$PORT/rocks/sample.lua"}
build = {type = "builtin", modules = {sample = "sample.lua"}}
]]

describe("LuaRocks", function()
    it("fetches from a server by the drop-in", function()
        local luarocks = "/usr/bin/luarocks"
        if not is_possible() or not process.slurp(luarocks) then return pending "no LuaRocks" end
        local port, dir, link = nginx()
        process.spill(dir .. "/rocks/sample-1.0-1.rockspec", (ROCKSPEC:gsub("%$PORT", port)))
        process.spill(dir .. "/rocks/manifest-5.4", "commands = {} modules = {} repository = "
            .. "{sample = {['1.0-1'] = {{arch = 'rockspec'}}}}\n")
        local ours = interpreters()[2][2]
        local code, output = process.run {"sh", "-c", 'cd "$0" && exec "$@"', process.directory(),
            ours, luarocks, "download", "--rockspec", "sample",
            ("--only-server=https://localhost:%d/rocks"):format(port), timeout = 40,
            environment = {HOME = process.directory()}}
        os.remove(link)
        assert.equal(0, code, output)
        assert.truthy(process.slurp(process.directory() .. "/sample-1.0-1.rockspec"), output)
    end)
end)

-- ---------------------------------------------------------------------------------------- Prosody

local PROSODY <const> = [[
daemonize = false
pidfile = "$DIR/pid"
data_path = "$DIR"
run_as_root = true
interfaces = {"127.0.0.1"}
c2s_ports = {$CLIENTS}
s2s_ports = {$SERVERS}
c2s_direct_tls_ports = {$DIRECT}
http_ports = {}
https_ports = {$HTTPS}
https_interfaces = {"127.0.0.1"}
modules_enabled = {"saslauth", "tls", "disco", "http", "bosh", "posix"}
authentication = "internal_hashed"
c2s_require_encryption = true
log = {{levels = {min = "debug"}, to = "file", filename = "$DIR/log"}}
certificates = "$DIR"
ssl = {certificate = "$DIR/localhost.crt", key = "$DIR/localhost.key", cafile = "$CA"}
https_certificate = "$DIR/localhost.crt"
VirtualHost "localhost"
]]

local function prosody()
    local dir = process.directory() .. "/prosody"
    assert(os.execute("mkdir -p " .. process.quote(dir)))
    process.spill(dir .. "/localhost.crt", p.server_cert)
    process.spill(dir .. "/localhost.key", p.server_key)
    process.spill(dir .. "/template", PROSODY)
    local words = {DIR = dir, CA = p.ca_file}
    for _, name in ipairs {"CLIENTS", "SERVERS", "DIRECT", "HTTPS"} do
        words[name] = process.free_port()
    end
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    local server = configured(words, dir .. "/template", "env", ("LUA_PATH=%s/lua/tlslife/luasec/"
        .. "path/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;;"):format(HERE, HERE, HERE),
        "LUA_CPATH=" .. build .. "/lua/?.so;;", "prosody", "--config", "CONF", "-F")
    server:wait_for_port(words.HTTPS)
    return words, dir
end

-- Speaks TLS with it, and a moment longer; what openssl says.
local function visit(port, more)
    local script = '{ sleep 1; printf "%s" "$0"; sleep 1; } | exec "$@"'
    local _, output = process.run {"sh", "-c", script, more.say or "", "openssl", "s_client",
        "-connect", "127.0.0.1:" .. port, "-CAfile", p.ca_file, "-verify_return_error",
        timeout = 20, table.unpack(more)}
    return output
end

describe("Prosody", function()
    local installed = process.run {"sh", "-c", "command -v prosody", timeout = 5} == 0
    it("serves clients and servers by the drop-in, and second connections resume", function()
        if not (ALL and installed) then return pending "./dev luasec brings Prosody" end
        local ports, dir = prosody()
        local kept = dir .. "/session"
        local starttls = {"-starttls", "xmpp", "-xmpphost", "localhost", "-sess_out", kept}
        local first = visit(ports.CLIENTS, starttls)
        assert.truthy(first:find "\nNew, TLSv1.3" and first:find "Verify return code: 0", first)
        local again = table.move({"-sess_in", kept}, 1, 2, #starttls + 1, starttls)
        local second = visit(ports.CLIENTS, again)
        assert.truthy(second:find "\nReused, TLSv1.3", second)
        local direct = visit(ports.DIRECT, {"-servername", "localhost"})
        assert.truthy(direct:find "\nNew, TLSv1.3" and direct:find "Verify return code: 0", direct)
        local stream = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' version='1.0' "
            .. "xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='localhost'>"
        local peer = visit(ports.SERVERS, {say = stream, "-starttls", "xmpp-server", "-xmpphost",
            "localhost", "-cert", p.server_cert_file, "-key", p.server_key_file, "-cert_chain",
            p.intermediate_cert_file})
        assert.truthy(peer:find "Verify return code: 0", peer)
        local code, page = process.run {"curl", "-s", "--cacert", p.ca_file, "-o", "/dev/null",
            "-w", "%{http_code} %{ssl_verify_result}", ("https://localhost:%d/http-bind"):format(
            ports.HTTPS), timeout = 20}
        assert.equal(0, code, page)
        assert.equal("200 0", page)
        local log = process.slurp(dir .. "/log")
        assert.truthy(log:find "chain validation result: valid", log:match "[^\n]*validation[^\n]*")
        assert.not_truthy(log:find("traceback", 1, true), log:match "[^\n]*Top%-level.-\n\t")
    end)
end)
