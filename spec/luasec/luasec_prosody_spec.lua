-- luasec_prosody_spec.lua: runs Debian's Prosody, unmodified, on the drop-in for LuaSec. It is told
-- nothing: a folder stands in front of its LUA_PATH. Its peers are openssl, curl, slixmpp (Python)
-- and another Prosody.

local luasec = require "spec.support.luasec"
local p = require("spec.support.pki").get()
local process = require "spec.support.process"
local program = require "spec.support.program"

if program.is_sanitized() then return end -- a stock lua5.4 cannot load the module then
if _VERSION ~= "Lua 5.4" then
    describe("Prosody on the drop-in", function() pending "Debian's Prosody runs in Lua 5.4" end)
    return
end

local BUILD <const> = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"

local PYTHON <const> = "/usr/bin/python3" -- Debian's, which has Debian's packages

local CONFIG <const> = [[
daemonize = false
pidfile = "$DIR/pid"
data_path = "$DIR"
plugin_paths = {}
run_as_root = true
interfaces = {"127.0.0.1"}
c2s_ports = {$CLIENTS}
s2s_ports = {$SERVERS}
c2s_direct_tls_ports = {$DIRECT}
http_ports = {}
https_ports = {$HTTPS}
https_interfaces = {"127.0.0.1"}
modules_enabled = {"saslauth", "tls", "dialback", "disco", "http", "bosh", "posix", "roster"}
authentication = "internal_plain"
c2s_require_encryption = true
s2s_require_encryption = true
log = {{levels = {min = "debug"}, to = "file", filename = "$DIR/log"}}
certificates = "$DIR"
https_certificate = "$DIR/https.crt"
unbound = {resolvconf = false, hoststxt = false, forward = "127.0.0.1@$NAMES"}
]]
local PORTS <const> = {"CLIENTS", "SERVERS", "DIRECT", "HTTPS"}
local HOST <const> = [[
VirtualHost "%s"
    ssl = {certificate = "$DIR/%s.crt", key = "$DIR/%s.key", cafile = "$CA"}
]]

local function environment()
    local here = luasec.here
    return {
        LUA_PATH = ("%s/lua/tlslife/luasec/path/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;;"):format(
            here, here, here),
        LUA_CPATH = BUILD .. "/lua/?.so;;",
    }
end

-- Starts a Prosody. hosts: {name, certificate of pki, user} each.
local function prosody(name, names_port, hosts)
    local words = {DIR = process.directory() .. "/" .. name, CA = p.ca_file, NAMES = names_port}
    for _, port in ipairs(PORTS) do words[port] = process.free_port() end
    local config = CONFIG
    assert(os.execute("mkdir -p " .. process.quote(words.DIR)))
    process.spill(words.DIR .. "/https.crt", p.server_cert)
    process.spill(words.DIR .. "/https.key", p.server_key)
    for _, host in ipairs(hosts) do
        config = config .. HOST:format(host[1], host[1], host[1])
        process.spill(("%s/%s.crt"):format(words.DIR, host[1]), p[host[2] .. "_cert"])
        process.spill(("%s/%s.key"):format(words.DIR, host[1]), p[host[2] .. "_key"])
        local accounts = ("%s/%s/accounts"):format(words.DIR, (host[1]:gsub("%.", "%%2e")))
        assert(os.execute("mkdir -p " .. process.quote(accounts)))
        process.spill(("%s/%s.dat"):format(accounts, host[3]), 'return {password = "secret"}\n')
    end
    words.process = process.start {"prosody", "--config", luasec.configured(words, config), "-F",
        environment = environment(), timeout = 90}
    for _, port in ipairs(PORTS) do words.process:wait_for_port(words[port], 20) end
    local id = words.process:await("its pid", 20, function()
        return (process.slurp(words.DIR .. "/pid") or ""):match "%d+"
    end)
    local maps = process.slurp("/proc/" .. id .. "/maps")
    assert.truthy(maps:find(BUILD .. "/lua/tlslife/core.so", 1, true), "it is on LuaSec")
    return words
end

local function log_of(server)
    return process.slurp(server.DIR .. "/log") or ""
end

local function is_there(command)
    return process.run {"sh", "-c", "command -v " .. command, timeout = 10} == 0
end

local STREAM <const> = "<?xml version='1.0'?><stream:stream xmlns='jabber:%s' version='1.0' "
    .. "xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='localhost'>"

-- Opens a stream over TLS and ends it, upon which Prosody ends the connection; what openssl says.
local function visit(port, kind, ...)
    local client = process.start {"openssl", "s_client", "-connect", "127.0.0.1:" .. port,
        "-CAfile", p.ca_file, "-verify_return_error", "-ign_eof", stdin = true, timeout = 20, ...}
    client:write(STREAM:format(kind) .. "</stream:stream>")
    client:wait(20)
    return client:output()
end

local function check_log(server)
    local log = log_of(server)
    assert.not_truthy(log:find("traceback", 1, true), log:match "[^\n]*Top%-level.-\n\t")
end

describe("Prosody on the drop-in", function()
    if not is_there "prosody" then return it("runs", function() pending "no Prosody" end) end

    local server
    setup(function() server = prosody("one", 53, {{"localhost", "server", "user"}}) end)
    teardown(process.stop_all)

    it("serves clients and servers, and second connections resume", function()
        local kept = server.DIR .. "/session"
        for option, version in pairs {["-tls1_3"] = "TLSv1.3", ["-tls1_2"] = "TLSv1.2"} do
            local first = visit(server.CLIENTS, "client", "-starttls", "xmpp", "-xmpphost",
                "localhost", option, "-sess_out", kept)
            assert.truthy(first:find("\nNew, " .. version, 1, true) and
                first:find("Verify return code: 0", 1, true), first)
            local second = visit(server.CLIENTS, "client", "-starttls", "xmpp", "-xmpphost",
                "localhost", option, "-sess_in", kept)
            assert.truthy(second:find("\nReused, " .. version, 1, true), second)
        end
        local direct = visit(server.DIRECT, "client", "-servername", "localhost")
        assert.truthy(direct:find "\nNew, TLSv1.3" and direct:find "Verify return code: 0", direct)
        local code, page = process.run {"curl", "-s", "--cacert", p.ca_file, "-o", "/dev/null",
            "-w", "%{http_code} %{ssl_verify_result}", ("https://localhost:%d/http-bind"):format(
            server.HTTPS), timeout = 20}
        assert.equal(0, code, page)
        assert.equal("200 0", page)
        check_log(server)
    end)

    it("looks at the certificates of its clients", function()
        local function peer(...)
            return visit(server.SERVERS, "server", "-starttls", "xmpp-server", "-xmpphost",
                "localhost", ...)
        end
        local known = peer("-cert", p.server_cert_file, "-key", p.server_key_file, "-cert_chain",
            p.intermediate_cert_file)
        assert.truthy(known:find "Verify return code: 0", known)
        assert.truthy(known:find("<mechanism>EXTERNAL</mechanism>", 1, true), known)
        local stranger = peer("-cert", p.other_client_cert_file, "-key", p.other_client_key_file)
        assert.not_truthy(stranger:find("EXTERNAL", 1, true), stranger)
        local log = log_of(server)
        assert.truthy(log:find "chain validation result: valid")
        assert.truthy(log:find "chain validation result: invalid")
        assert.truthy(log:find("error(s) at depth 0: ", 1, true))
        check_log(server)
    end)

    it("binds a login to the channel by tls-exporter", function()
        local knows = process.run {"grep", "-q", "tls-exporter",
            "/usr/lib/prosody/modules/mod_saslauth.lua", timeout = 10} == 0
        if not (knows and is_there "go-sendxmpp") then return pending "Prosody 13 can" end
        local _, output = process.run {"sh", "-c", 'echo hello | exec "$@"', "sh", "go-sendxmpp",
            "-d", "-u", "user@localhost", "-p", "secret", "-j", "localhost:" .. server.CLIENTS,
            "--scram-mech-pinning", "SCRAM-SHA-256-PLUS", "user@localhost", timeout = 30,
            environment = {SSL_CERT_FILE = p.ca_file, HOME = process.directory()}}
        local binding = output:match "mechanism='SCRAM%-SHA%-256%-PLUS'>([%w+/]+)"
        assert.equal("cD10bHMtZXhwb3J0ZXIs", (binding or output):sub(1, 20)) -- "p=tls-exporter,"
        assert.truthy(output:find("<success ", 1, true), output)
        assert.truthy(output:find("<body>hello</body>", 1, true), output)
    end)
end)

describe("two Prosodys on the drop-in", function()
    local python = process.run {PYTHON, "-c", "import slixmpp", timeout = 10} == 0
    local unbound = process.run {"lua5.4", "-e", "require 'lunbound'", timeout = 10} == 0
    if not (is_there "prosody" and is_there "dnsmasq" and python and unbound) then
        return it("run", function() pending "no Prosody, slixmpp, dnsmasq or lua-unbound" end)
    end

    local one, two

    -- Starts both, and what knows their names.
    local function start()
        local names_port = process.free_port()
        one = prosody("one", names_port, {{"a.example", "server", "alice"}})
        two = prosody("two", names_port, {{"x.b.example", "rsa", "bob"},
            {"c.example", "wrong_host", "carol"}})
        local command = {"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
            "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=",
            "--user=root", "--port=" .. names_port, timeout = 90}
        for name, server in pairs {["a.example"] = one, ["x.b.example"] = two,
            ["c.example"] = two} do
            command[#command + 1] = ("--address=/%s/127.0.0.1"):format(name)
            command[#command + 1] = ("--srv-host=_xmpp-server._tcp.%s,%s,%d"):format(name, name,
                server.SERVERS)
        end
        process.start(command):wait_for_port(names_port)
    end

    local function write(mechanism, version, to)
        local code, output = process.run {PYTHON, luasec.here .. "/spec/luasec/xmpp.py",
            p.ca_file, mechanism, version, "alice@a.example", one.CLIENTS, to, two.CLIENTS,
            timeout = 60}
        assert.equal(0, code, output .. log_of(one))
        assert.truthy(output:find("\nanswer: hello", 1, true), output)
        return output
    end

    it("pass messages, and know each other by certificates or by dialback", function()
        finally(process.stop_all)
        start()
        write("any", "1.3", "bob@x.b.example")
        for _, server in ipairs {one, two} do
            local log = log_of(server)
            assert.truthy(log:find("Accepting SASL EXTERNAL identity", 1, true), log)
            assert.truthy(log:find("chain validation result: valid", 1, true), log)
        end
        local output = write("SCRAM-SHA-1-PLUS", "1.2", "carol@c.example")
        assert.truthy(output:find("a.example SCRAM-SHA-1-PLUS TLSv1.2", 1, true), output)
        assert.truthy(output:find("c.example SCRAM-SHA-1-PLUS TLSv1.2", 1, true), output)
        assert.truthy(log_of(one):find("identity validation result: invalid", 1, true))
        assert.truthy(log_of(one):find("dialback", 1, true), log_of(one))
        check_log(one)
        check_log(two)
    end)
end)
