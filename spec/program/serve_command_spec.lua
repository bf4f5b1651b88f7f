-- serve_command_spec.lua: tests `tlslife serve`, the server to test against, by clients that others
-- wrote and by `tlslife probe`, which must find each fault.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local root, ca -- the directory that is served, and the server's certificate

-- A server with these words, its port, and the fingerprint that it says it has.
local function serve(...)
    local one = process.start {program.path, "serve", "--listen", "127.0.0.1:0", "--log",
        "--save-certificate", ca, timeout = 120, ...}
    local port = one:wait_for "listening on https://127.0.0.1:(%d+)/"
    return one, port, one:wait_for "SHA%-256 (%x+)\n"
end

-- curl's exit status and output. paths: a path of the server, or several with spaces between.
local function curl(port, paths, ...)
    local words = {"curl", "-sS", "--path-as-is", "--cacert", ca, timeout = 30, ...}
    for path in paths:gmatch "%S+" do
        words[#words + 1] = ("https://localhost:%s%s"):format(port, path)
    end
    return process.run(words)
end

local function status_of(port, path)
    local _, output = curl(port, path, "-o", "/dev/null", "-w", "%{http_code}")
    return tonumber(output:sub(-3))
end

local function s_client(port, input, ...)
    return process.run {"openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-servername",
        "localhost", "-CAfile", ca, "-verify_return_error", stdin = input, timeout = 30, ...}
end

describe("tlslife serve", function()
    setup(function()
        root, ca = process.directory() .. "/served", process.directory() .. "/served.pem"
        assert(os.execute(("cd %s && mkdir -p served/sub/empty outside && ln -s ../outside " ..
            "../outside.txt served/ && ln -s a.txt served/sub/within && mkfifo served/fifo")
            :format(process.quote(process.directory()))))
        process.spill(process.directory() .. "/outside.txt", "out\n")
        process.spill(process.directory() .. "/outside/secret.txt", "out\n")
        process.spill(root .. "/index.html", "<p>hello\n")
        process.spill(root .. "/sub/a.txt", ("0123456789"):rep(20000))
        process.spill(root .. "/sub/<b&>.json", "{}")
    end)
    after_each(process.stop_all)

    it("serves the files of a directory, and says what it did", function()
        local one, port, fingerprint = serve(root)
        local code, output = curl(port, "/", "-w", "%{http_code} %{content_type}")
        assert.equal(0, code)
        assert.equal("<p>hello\n200 text/html; charset=utf-8", output)
        code, output = curl(port, "/sub/a.txt?query /sub/within")
        assert.equal(0, code)
        assert.equal(("0123456789"):rep(40000), output)
        code, output = curl(port, "/sub/%3Cb%26%3E.json", "-I")
        assert.equal(0, code)
        assert.matches("\r\nContent%-Type: application/json\r\nContent%-Length: 2\r\n", output)
        assert.equal(301, status_of(port, "/sub"))
        assert.equal(403, status_of(port, "/sub/"))
        code, output = curl(port, "/", "-d", "x", "-w", "%{http_code}")
        assert.equal(0, code)
        assert.matches("405$", output)
        local _, text = process.run {"openssl", "x509", "-in", ca, "-noout", "-fingerprint",
            "-sha256", timeout = 20}
        assert.equal(fingerprint, text:match("=(%S+)"):gsub(":", ""):lower())
        one:wait_for "full %(not offered%); TLSv1.3, [%w_]+, %w+, for localhost, ALPN http/1.1\n"
        one:wait_for "GET /sub/a.txt%?query: 200, 200000 bytes\n"
        one:wait_for "2 requests; the client sent close_notify; "
    end)

    it("listens on Unix sockets, where curl finds it by path and by abstract name", function()
        local path = process.directory() .. "/served.socket"
        local one = process.start {program.path, "serve", root, "--listen",
            ("unix:%s,unix:@%s"):format(path, path), "--save-certificate", ca, timeout = 120}
        one:wait_for "SHA%-256"
        for _, option in ipairs {"--unix-socket", "--abstract-unix-socket"} do
            for _, version in ipairs {"1.2", "1.3"} do
                local code, output = curl("", "/ /", option, path, "--tls-max", version)
                assert.equal(0, code, output)
                assert.equal(("<p>hello\n"):rep(2), output)
            end
        end
        one:stop()
    end)

    it("serves nothing outside of the directory", function()
        local _, port = serve(root, "--list")
        for _, path in ipairs {"/outside.txt", "/outside/secret.txt", "/outside/", "/fifo", "/nope",
            "/index.html/", "//etc/passwd"} do
            assert.equal(404, status_of(port, path), path)
        end
        for _, path in ipairs {"/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt",
            "/sub/../../outside.txt", "/%2E./outside.txt", "/index.html%00", "/%", "/%zz"} do
            assert.equal(400, status_of(port, path), path)
        end
        local _, output = curl(port, "/sub/")
        assert.matches('<a href="./%3Cb%26%3E.json">&lt;b&amp;&gt;.json</a>', output, 1, true)
        assert.matches('<a href="./empty/">empty/</a>', output, 1, true)
    end)

    it("refuses requests that are wrong", function()
        local _, port = serve(root)
        for input, status in pairs {
            ["GET / HTTP/1.1\r\nX: " .. ("x"):rep(20000) .. "\r\n\r\n"] = "431",
            ["GET relative HTTP/1.1\r\n\r\n"] = "400", ["\1\2\r\n\r\n"] = "400",
            ["GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"] = "400",
            ["GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] = "411",
            ["GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"] = "413",
        } do
            local _, output = s_client(port, input, "-quiet")
            assert.matches("HTTP/1.1 " .. status, output, 1, true)
        end
    end)

    it("is an echo without a directory", function()
        local _, port = serve()
        local client = process.start {"openssl", "s_client", "-connect", "127.0.0.1:" .. port,
            "-quiet", stdin = true, timeout = 30}
        client:write "some bytes\n"
        client:wait_for "\nsome bytes\n"
        local code, output = curl(port, "/x", "-d", "a body")
        assert.equal(0, code)
        assert.matches("^POST /x HTTP/1.1\r\n.*\r\n\r\na body$", output)
    end)

    -- By option: what the probe finds, its exit status, and its --timeout.
    local FAULTS <const> = {
        {"no-close-notify", "the server ends the stream without close_notify", 5},
        {"truncated", "the server ends the stream without close_notify", 5},
        {"slow", "✗ timeout", 1}, {"silent", "✗ timeout", 1},
        {"expired", "certificate has expired", 5},
        {"plain", "it speaks HTTP without TLS", 5}, {"reset", "Connection reset by peer", 5},
    }
    it("has the fault that it is told to have, and the probe finds it", function()
        local probes = {}
        for i, fault in ipairs(FAULTS) do -- at once, because most of each probe is waiting
            local own = process.directory() .. "/served-" .. fault[1] .. ".pem"
            local _, port = serve("--fault", fault[1], "--delay", "30", "--save-certificate", own)
            probes[i] = process.start {program.path, "probe", "--ca", own, "--connect",
                "127.0.0.1", "--timeout", fault[3], "localhost:" .. port, timeout = 60}
        end
        for i, fault in ipairs(FAULTS) do
            local code, output = probes[i]:wait(60), probes[i]:output()
            assert.equal(1, code, output)
            assert.matches(fault[2], output, 1, true)
            assert.matches("1 thing is not right", output, 1, true)
        end
    end)

    it("has no fault that was not asked for, and some in single answers", function()
        local _, port = serve(root)
        local code, output = process.run {program.path, "probe", "--ca", ca, "--connect",
            "127.0.0.1", "localhost:" .. port, timeout = 60}
        assert.equal(0, code, output)
        assert.matches("all is right", output)
        local cut = curl(port, "/fault/truncated") -- CURLE_PARTIAL_FILE; newer: CURLE_RECV_ERROR
        assert.is_true(cut == 18 or cut == 56, cut)
        assert.equal(0, (curl(port, "/fault/no-close-notify")))
        local _, text = s_client(port, "GET /fault/no-close-notify HTTP/1.1\r\n\r\n", "-quiet")
        assert.matches("This is the answer of /fault/no-close-notify.\n", text, 1, true)
        assert.matches("unexpected eof", text)
        _, text = s_client(port, "GET / HTTP/1.0\r\n\r\n", "-quiet")
        assert.is_nil(text:find "unexpected eof")
    end)

    it("resumes as it is told", function()
        local state = process.directory() .. "/served.session"
        for _, word in ipairs {"tickets", "stateful", "off"} do
            local one, port = serve("--resumption", word, "--max-version", "1.2")
            os.remove(state)
            local _, output = s_client(port, "GET / HTTP/1.0\r\n\r\n", "-sess_out", state,
                "-ign_eof")
            assert.matches("New, TLSv1.2", output, 1, true)
            if word == "off" then
                assert.is_nil(process.slurp(state)) -- openssl got nothing to keep
            else
                _, output = s_client(port, "GET / HTTP/1.0\r\n\r\n", "-sess_in", state,
                    "-ign_eof")
                assert.matches("Reused, TLSv1.2", output, 1, true)
                assert.equal(word == "tickets", output:find("TLS session ticket:", 1, true) ~= nil)
                one:wait_for "resumed; TLSv1.2"
            end
        end
        local _, port = serve("--num-tickets", "3", "--min-version", "TLSv1.3")
        local _, output = s_client(port, "GET / HTTP/1.0\r\n\r\n", "-ign_eof")
        assert.equal(3, select(2, output:gsub("Post%-Handshake New Session Ticket", "")))
    end)

    it("accepts early data", function()
        local state, early = process.directory() .. "/early.session",
            process.spill(process.directory() .. "/early.request", "GET / HTTP/1.0\r\n\r\n")
        local one, port = serve("--early-data=1000", root)
        local _, output = s_client(port, "GET / HTTP/1.0\r\n\r\n", "-sess_out", state, "-ign_eof")
        assert.matches("Max Early Data: 1000", output)
        _, output = s_client(port, "", "-sess_in", state, "-early_data", early, "-ign_eof")
        assert.matches("Early data was accepted", output)
        assert.matches("<p>hello", output)
        one:wait_for "early data\n.*GET /: 200, 9 bytes, early\n"
    end)

    it("asks for client certificates, by workers with the files of a caller", function()
        local p = pki.get()
        local one = process.start {program.path, "serve", "--listen", "127.0.0.1:0", "--log",
            "--certificate", p.server_cert_file, "--key", p.server_key_file, "--client-ca",
            p.ca_file, "--verify", "--workers", "2", root, timeout = 60}
        local port = one:wait_for "listening on https://127.0.0.1:(%d+)/"
        local code = curl(port, "/", "--cacert", p.ca_file)
        -- an alert: CURLE_RECV_ERROR; CURLE_SEND_ERROR where it comes before the request has gone
        assert.is_true(code == 56 or code == 55, code)
        local output
        code, output = curl(port, "/", "--cacert", p.ca_file, "--cert", p.client_cert_file, "--key",
            p.client_key_file)
        assert.equal(0, code, output)
        one:wait_for "client certificate CN=client\n"
        one:wait_for "no handshake: [^\n]+certificate"
        assert.is_nil(one:output():find("SHA-256", 1, true))
    end)

    it("gives its workers one certificate, and ends by a signal", function()
        local one, port, fingerprint = serve("--workers", "2", "--self-signed=localhost,b.example",
            root)
        for _ = 1, 4 do assert.equal(0, (curl(port, "/"))) end
        local _, text = process.run {"sh", "-c", ("openssl s_client -connect 127.0.0.1:%s " ..
            "</dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"):format(port),
            timeout = 20}
        assert.matches("DNS:localhost, DNS:b.example", text, 1, true)
        assert.equal(64, #fingerprint)
        one:signal "TERM"
        assert.equal(0, one:wait(20))
    end)

    it("shows a trace", function()
        local one, port = serve("--trace", root)
        assert.equal(0, (curl(port, "/")))
        one:signal "INT"
        assert.equal(0, one:wait(20))
        assert.matches("#1 S .*<%-%- ClientHello server_name=localhost", one:output())
        assert.matches("handshake done: TLSv1.3", one:output(), 1, true)
    end)

    it("says in a line why it cannot serve", function()
        local _, port = serve()
        for pattern, words in pairs {
            ["127%.0%.0%.1.*in use"] = {"--listen", "127.0.0.1:" .. port},
            ["/nowhere"] = {"/nowhere"}, ["is no directory"] = {root .. "/index.html"},
            ["nowhere.pem"] = {"--certificate", "/nowhere.pem"},
            ["/nowhere/x"] = {"--save-certificate", "/nowhere/x"},
        } do
            local code, output = process.run {program.path, "serve", timeout = 20,
                table.unpack(words)}
            assert.equal(1, code, output)
            assert.matches("^tlslife serve: [^\n]+\n$", output)
            assert.matches(pattern, output)
        end
        local code, output = process.run {"sh", "-c", 'PATH=/nowhere exec "$0" serve',
            program.path, timeout = 20}
        assert.equal(1, code)
        assert.matches("^tlslife serve: [^\n]*openssl is not installed\n$", output)
    end)

    for _, words in ipairs {{"--what"}, {"a", "b"}, {"--workers", "0"}, {"--workers", "x"},
        {"--listen"}, {"--listen", ","}, {"--listen", "nowhere"}, {"--fault", "none"},
        {"--resumption", "x"}, {"--early-data=0"}, {"--early-data", "--resumption", "off"},
        {"--min-version", "2"}, {"--verify"}, {"--key", "x"}, {"--list"}, {"--self-signed=a b"},
        {"--certificate", "x", "--self-signed"}, {"--certificate", "x", "--fault", "expired"},
        {"--certificate", "x", "--save-certificate", "y"}, {"--log", "--no-log"},
        {"--num-tickets", "17"}, {"--delay", "nan"}, {"--help=x"}, {"--alpn", ""}, {"-x"},
        {"--min-version", "1.3", "--max-version", "1.2"}, {"--alpn", ("x"):rep(256)}} do
        it("refuses the command line " .. table.concat(words, " "):sub(1, 60), function()
            local code, output = process.run {program.path, "serve", timeout = 20,
                table.unpack(words)}
            assert.equal(2, code, output)
            assert.matches("^tlslife serve: [^\n]+\n", output)
        end)
    end

    it("is a command as the first word only", function()
        local code, output = process.run {program.path, "serve", "--help", timeout = 20}
        assert.equal(0, code)
        assert.matches("^usage: tlslife serve", output)
        assert.matches("no%-close%-notify +answers in full", output)
        code, output = process.run {program.path, "--", "serve", "--help", timeout = 20}
        assert.equal(1, code)
        assert.matches("cannot open serve", output, 1, true)
    end)
end)
