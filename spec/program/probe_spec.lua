-- probe_spec.lua: tests `tlslife probe` against servers that others wrote, in settings whose right
-- answer is known, and against servers that are at fault.

local json = require "spec.support.json"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local NGINX <const> = "/usr/sbin/nginx"
local p

local CONF <const> = [[
daemon off; master_process off; pid "%s/pid"; error_log stderr;
events { worker_connections 1024; }
http {
    access_log off; ssl_certificate "%s"; ssl_certificate_key "%s";
    ssl_protocols TLSv1.2 TLSv1.3;
    client_body_temp_path "%s/b"; proxy_temp_path "%s/p"; fastcgi_temp_path "%s/f";
    uwsgi_temp_path "%s/u"; scgi_temp_path "%s/s";
    %s
}
]]

-- nginx with these servers, and its port, which stands for PORT in them.
local function nginx(servers)
    local port = process.free_port()
    local dir = process.directory() .. "/probed" .. port
    assert(os.execute("mkdir " .. process.quote(dir)))
    local conf = CONF:format(dir, p.server_cert_file, p.server_key_file, dir, dir, dir, dir, dir,
        (servers:gsub("PORT", port)))
    local one = process.start {NGINX, "-p", dir, "-e", "stderr", "-c",
        process.spill(dir .. "/conf", conf), timeout = 600}
    one:wait_for_port(port)
    return one, port
end

-- It serves one connection at a time.
local ALONE <const> = "--jobs=1"

local function s_server(address, port, ...)
    local one = process.start {"openssl", "s_server", "-accept", address .. ":" .. port, "-cert",
        p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key", p.server_key_file,
        stdin = true, timeout = 600, ...}
    one:wait_for "ACCEPT"
    return one
end

local function at_fault(mode)
    local one = process.start {program.path, "spec/support/probed.lua", mode, p.server_cert_file,
        p.server_key_file, timeout = 600}
    return one, one:wait_for "listening (%d+)"
end

-- A server that answers does so within this time, however busy the machine is.
local PATIENCE <const> = "--timeout=60"

local function probe(...)
    local words = {program.path, "probe", "--ca", p.ca_file, PATIENCE, timeout = 600, ...}
    local code, output = process.run(words)
    return code, output
end

-- The names of all members of a JSON value, but for those of tables that are lists.
local function members(value, into)
    for key, inner in pairs(type(value) == "table" and value or {}) do
        if type(key) == "string" then into[key] = true end
        members(inner, into)
    end
    return into
end

-- The report of one run as a table, and the exit status. Sessions and tickets, which are secrets,
-- are not in it.
local function probed(...)
    local code, output = probe("--json", ...)
    local report = json.read(output)
    local names = members(report, {})
    for _, secret in ipairs {"session", "sessions", "ticket", "bytes"} do
        assert.is_nil(names[secret], secret .. " is in the report")
    end
    return report.names, code
end

local function findings(name)
    local list = {}
    for _, one in ipairs(name.findings) do
        list[#list + 1] = (one.bad and "bad: " or "note: ") .. one.what
    end
    table.sort(list)
    return table.concat(list, "\n")
end

-- Some of s_server's questions have no answer, as HEAD has none, and last until --timeout. So the
-- time that check gets is short, and what fails where the machine is busy is tried with more.
local function patiently(check)
    for _, seconds in ipairs {2, 10} do
        if pcall(check, "--timeout=" .. seconds) then return end
    end
    check "--timeout=30"
end

describe("tlslife probe", function()
    setup(function() p = pki.get() end)
    after_each(process.stop_all)

    it("finds that a server of nginx with tickets and ids is right, at each address", function()
        local _, port = nginx [[server { listen 127.0.0.2:PORT ssl; listen 127.0.0.3:PORT ssl;
            listen 127.0.0.1:PORT ssl; ssl_session_cache shared:a:1m;
            location / { return 200 x; } }]]
        local names, code = probed("--connect", "127.0.0.2,127.0.0.3", "localhost:" .. port)
        assert.equal(0, code)
        assert.equal("", findings(names[1]))
        assert.equal(2, #names[1].found)
        for _, one in ipairs(names[1].found) do
            for _, kind in ipairs {"tls13", "ticket12", "id12"} do
                assert.equal("resumed", one[kind].state, kind)
                assert.equal("truncated", one[kind].close) -- it just closes, in all versions
            end
            assert.equal(2, one.tls13.tickets)
            assert.is_true(one.tls13.twice) -- nginx keeps nothing of a ticket
            assert.equal("TLSv1.3", one.first.version)
            assert.equal("closed", one.first.server_end)
            assert.equal("http/1.1", one.first.alpn)
            assert.equal("ok", one.first.verify)
            assert.equal("refused", one.renegotiation)
            assert.equal("not offered", one.early.state)
        end
        assert.equal(6, #names[1].matrix)
        for _, one in ipairs(names[1].matrix) do assert.equal("resumed", one.state) end
    end)

    it("finds two machines whose keys differ", function()
        local port = process.free_port()
        s_server("127.0.0.2", port, "-www")
        s_server("127.0.0.3", port, "-www")
        patiently(function(brief)
            local names, code = probed(ALONE, brief, "--connect", "127.0.0.2,127.0.0.3",
                "localhost:" .. port)
            assert.equal(1, code)
            for _, one in ipairs(names[1].found) do assert.equal("resumed", one.tls13.state) end
            for _, one in ipairs(names[1].matrix) do assert.equal("full", one.state) end
            for _, kind in ipairs {"TLS 1.3", "tickets in TLS 1.2", "ids in TLS 1.2"} do
                assert.matches("bad: sessions made at one address do not resume at another ("
                    .. kind, findings(names[1]), 1, true)
            end
        end)
        patiently(function(brief)
            local _, text = probe(ALONE, brief, "--connect", "127.0.0.2,127.0.0.3",
                "localhost:" .. port)
            assert.matches("give all machines the same ticket keys", text)
            assert.matches("127.0.0.2 > 127.0.0.3", text, 1, true)
        end)
    end)

    it("finds sessions that resume under another name", function()
        local _, port = nginx [[
            server { listen 127.0.0.1:PORT ssl; server_name a.example;
                ssl_session_cache shared:a:1m; location / { return 200 x; } }
            server { listen 127.0.0.1:PORT ssl; server_name x.b.example;
                ssl_session_cache shared:a:1m; location / { return 200 x; } }]]
        local names, code = probed("--connect", "127.0.0.1", "a.example:" .. port,
            "x.b.example:" .. port)
        assert.equal(1, code)
        assert.equal("", findings(names[1]))
        assert.matches("bad: sessions of a.example resume for x.b.example", findings(names[2]), 1,
            true)
    end)

    -- What one server is started with, and what must be found, by the exact words.
    local SETTINGS <const> = {
        {"ssl_session_tickets off; ssl_session_cache off;", [[
bad: TLS 1.2 does not resume, neither by ticket nor by id
bad: TLS 1.3 gives tickets that do not resume at the address that gave them]]},
        {"ssl_session_cache off;", "note: TLS 1.2 clients that take no tickets do not resume"},
        {"ssl_protocols TLSv1.2; ssl_session_cache shared:a:1m;", "note: TLS 1.3 is not offered"},
        {"ssl_session_timeout 30d; ssl_session_cache shared:a:1m; ssl_protocols TLSv1.2;", [[
bad: tickets are said to live 30 days
note: TLS 1.3 is not offered]]},
        {"ssl_protocols TLSv1.3;", ""},
    }
    for i, setting in ipairs(SETTINGS) do
        it("finds what follows from nginx's settings, " .. i, function()
            local _, port = nginx(("server { listen 127.0.0.1:PORT ssl; %s location / { return " ..
                "200 x; } }"):format(setting[1]))
            local names, code = probed("--connect", "127.0.0.1", "localhost:" .. port)
            assert.equal(setting[2], findings(names[1]))
            assert.equal(setting[2]:find "bad" and 1 or 0, code)
        end)
    end

    it("tells whether early data are accepted twice", function()
        for _, replay in ipairs {false, true} do
            local port = process.free_port()
            local one = s_server("127.0.0.1", port, "-early_data",
                replay and "-no_anti_replay" or "-anti_replay")
            local names = probed("--no-http", "--connect", "127.0.0.1", "localhost:" .. port)
            local early = names[1].found[1].early
            assert.equal("accepted", early.state)
            assert.equal(replay, early.replayed)
            assert.equal(replay, findings(names[1]):find "early data are accepted twice" ~= nil)
            one:stop()
        end
    end)

    it("tells whether a client may renegotiate", function()
        for _, may in ipairs {false, true} do
            local port = process.free_port()
            local one = s_server("127.0.0.1", port, "-www", may and "-client_renegotiation" or
                "-no_renegotiation")
            patiently(function(brief)
                local names = probed(ALONE, brief, "--connect", "127.0.0.1", "localhost:" .. port)
                assert.equal(may and "accepted" or "refused", names[1].found[1].renegotiation)
            end)
            one:stop()
        end
    end)

    it("says the same of a ticket as openssl s_client", function()
        local port = process.free_port()
        s_server("127.0.0.1", port, "-www", "-num_tickets", "3")
        local first, kind
        patiently(function(brief)
            local names = probed(ALONE, brief, "--connect", "127.0.0.1", "localhost:" .. port)
            first, kind = names[1].found[1].first, names[1].found[1].tls13
            assert.is_truthy(first.version and kind.lifetime)
        end)
        local client = process.start {"openssl", "s_client", "-connect", "127.0.0.1:" .. port,
            "-servername", "localhost", "-CAfile", p.ca_file, stdin = true, timeout = 60}
        client:await("as many tickets", 30, function()
            local _, count = client:output():gsub("lifetime hint", "")
            return count >= kind.tickets
        end)
        client:finish_input()
        client:wait(20)
        local output = client:output()
        assert.equal(select(2, output:gsub("Post%-Handshake New Session Ticket", "")), kind.tickets)
        assert.equal(tonumber(output:match "lifetime hint: (%d+)"), kind.lifetime)
        assert.equal(output:match "Cipher is (%S+)", first.cipher)
        assert.equal(output:match "New, (TLSv[%d.]+)", first.version)
    end)

    it("prints the JSON that docs/probe.md describes", function()
        local _, port = nginx [[server { listen 127.0.0.1:PORT ssl; ssl_session_cache shared:a:1m;
            location / { return 200 x; } }]]
        local names = probed("--age", "1", "--watch", "1", "--connect", "127.0.0.1",
            "a.example:" .. port, "x.b.example:" .. port)
        table.insert(names, (probed("--connect", "127.0.0.1", "localhost:1"))[1])
        local page = process.slurp "docs/probe.md":match "\n## The report as JSON\n(.*)"
        for name in pairs(members(names, {})) do
            assert.truthy(page:find("`" .. name .. "`", 1, true), name)
        end
        local _, source = process.run {"sh", "-c", "cat lua/tlslife/probe/*.lua " ..
            "lua/tlslife/command/probe.lua", timeout = 20}
        for cell in page:gmatch "\n| (`[^|]*`) |" do
            for name in cell:gmatch "`([%w_]+)`" do
                assert.truthy(source:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
            end
        end
        assert.equal(port, names[1].port)
    end)

    -- A fault, and what the line about it says.
    local FAULTS <const> = {
        {"plain", "it speaks HTTP without TLS"}, {"garbage", "handshake"}, {"reset", "reset"},
        {"silent", "timeout"}, {"smtp_refuses", "502 no", "--starttls=smtp"},
        {"truncated", "ends the stream without close_notify"}, {"drip", "timeout"},
        {"smtp_drip", "no greeting: timeout", "--starttls=smtp"},
        {"ldap_refuses", "LDAP result 2", "--starttls=ldap"},
        {"xmpp_refuses", "the server says: <failure", "--starttls=xmpp"},
        {"postgres_refuses", "the server says: N", "--starttls=postgres"},
        {"certificates", "excessive message size"},
    }
    for _, fault in ipairs(FAULTS) do
        it("says in a line what is wrong with a server that is " .. fault[1], function()
            local _, port = at_fault(fault[1])
            local code, output = probe("--connect", "127.0.0.1",
                fault[2]:find "timeout" and "--timeout=2" or PATIENCE, fault[3] or "--path=/",
                "localhost:" .. port)
            assert.equal(1, code, output)
            assert.matches(fault[2], output, 1, true)
        end)
    end

    for _, protocol in ipairs {"smtp", "lmtp", "imap", "pop3", "sieve", "ftp", "xmpp", "postgres",
        "ldap"} do
        it("asks for TLS in " .. protocol, function()
            local _, port = at_fault(protocol)
            local names = probed("--starttls", protocol, "--connect", "127.0.0.1",
                "localhost:" .. port)
            assert.equal("TLSv1.3", names[1].found[1].first.version, names[1].found[1].first.failed)
            assert.equal("resumed", names[1].found[1].tls13.state)
        end)
    end

    it("says which address or name cannot be reached", function()
        local code, output = probe("--connect", "127.0.0.1", "localhost:" .. process.free_port())
        assert.equal(3, code)
        assert.matches("refused", output)
        code, output = probe "nowhere.invalid"
        assert.equal(3, code)
        assert.matches("nowhere.invalid has no address: the ", output, 1, true)
    end)

    it("adds the port where a host has none", function()
        local parse = require "tlslife.probe.targets".parse
        for text, host in pairs {["a.example"] = "a.example", ["127.0.0.1"] = "127.0.0.1",
            ["::1"] = "::1", ["[::1]"] = "::1"} do
            assert.same({name = host, port = "443", text = text}, parse(text, 443))
        end
        for text, host in pairs {["a.example:25"] = "a.example", ["[::1]:25"] = "::1"} do
            assert.same({name = host, port = "25", text = text}, parse(text, 443))
        end
        for _, text in ipairs {"", "-x", "a b", "[::1", "a.example:99999", "unix:/run/x"} do
            assert.is_nil((parse(text, 443)))
        end
    end)

    it("probes many addresses at once", function()
        local _, port = nginx [[server { listen 0.0.0.0:PORT ssl; ssl_session_cache shared:a:1m;
            location / { return 200 x; } }]]
        local addresses = {}
        for i = 1, 30 do addresses[i] = "127.0.1." .. i end
        local names, code = probed("--matrix", "4", "--jobs", "20", "--connect",
            table.concat(addresses, ","), "localhost:" .. port)
        assert.equal(0, code)
        assert.equal(30, #names[1].found)
        assert.equal(90, #names[1].matrix) -- the next address alone, three kinds
    end)

    it("probes two hundred addresses with few sockets, where none answers", function()
        local _, port = at_fault "deaf"
        local addresses = {}
        for i = 1, 200 do addresses[i] = "127.1.0." .. i end
        local code, output = process.run {"sh", "-c", 'ulimit -n 44 && exec "$@"', "probe",
            program.path, "probe", "--jobs", "1024", "--timeout", "0.3", "--connect",
            table.concat(addresses, ","), "localhost:" .. port, timeout = 60}
        assert.equal(1, code, output)
        assert.matches("timeout\n    at 127.1.0.1, 127.1.0.2, 127.1.0.3 and 197 more\n", output, 1,
            true)
    end)

    it("looks how old sessions may be, and whether ticket keys change", function()
        -- A session that lives for a second is too old where a busy machine offers it later.
        local one
        for _, lifetime in ipairs {1, 4, 20} do
            local server, port = nginx(([[server { listen 127.0.0.1:PORT ssl;
                ssl_session_cache shared:a:1m; ssl_session_timeout %ds;
                location / { return 200 x; } }]]):format(lifetime))
            local names = probed("--age", math.max(5, lifetime * 3), "--watch", "2", "--connect",
                "127.0.0.1", "localhost:" .. port)
            server:stop()
            one = names[1].found[1]
            if one.id12.age then break end
        end
        assert.is_true(one.id12.age.dead <= 30)
        assert.is_true(#one.watched >= 1) -- newer releases of nginx change the key each second
        assert.equal(32, #one.watched[1].name)
    end)

    it("prints no sessions, and no control characters of a server", function()
        local _, port = at_fault "smtp_refuses"
        local _, output = probe("--starttls", "smtp", "--connect", "127.0.0.1", "--colour", "never",
            "localhost:" .. port)
        assert.is_nil(output:find "[\0-\9\11-\31\127]")
    end)

    for _, words in ipairs {{}, {"--what"}, {"--jobs", "0", "x"}, {"--jobs", "x", "x"}, {"--age"},
        {"--starttls", "gopher", "x"}, {"--path", "x y", "x"}, {"--colour", "red", "x"}, {""},
        {"a b"}, {"[::1"}, {"x:99999"}, {"--ca", "/nowhere.pem", "x"}, {"--timeout", "nan", "x"},
        {"--groups", "nonsense", "x"}, {"--alpn", "", "x"}} do
        it("refuses the command line " .. table.concat(words, " "), function()
            local code, output = process.run {program.path, "probe", timeout = 20,
                table.unpack(words)}
            assert.equal(2, code, output)
            assert.matches("^tlslife probe: [^\n]+\n", output)
        end)
    end
end)
