-- demo.lua: the life of TLS connections, one line a step, as OpenSSL's manual pages tell it.
--
-- Over real TCP, against our own server and against openssl s_server, each in a process of its own,
-- in TLS 1.2 and 1.3. Every step is checked: the exit code is 1 as soon as one does not do what it
-- should, and the last lines say which. Run it with ./dev demo, or: build/dev/tlslife
-- examples/demo.lua

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "demo/?.lua;" .. package.path
local process = require "process"
local report = require "report"
local tls = require "tlslife"

local quote = process.quote
local first = 0
while arg[first - 1] do
    first = first - 1
end
local program = arg[first]

--- A self-signed certificate for "localhost", and its key, in the directory.
local function make_certificate(directory)
    local ok = os.execute(
        ("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
        .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
        .. "-keyout key.pem -out cert.pem 2>req.log")
        :format(quote(directory)))
    assert(ok, "openssl could not make a certificate; is the openssl program installed?")
end

--- The two servers. Each is a command that says its port in a line that matches the pattern.
local function targets(directory)
    local certificate, key = quote(directory .. "/cert.pem"), quote(directory .. "/key.pem")
    return {
        { name = "our own server", pattern = "^port (%d+)$", ours = true, command = (
            "%s %sdemo/server.lua %s %s"):format(quote(program), quote(here), certificate, key) },
        { name = "openssl s_server", pattern = "^ACCEPT .*:(%d+)$",
            command = ("openssl s_server -rev -accept 127.0.0.1:0 -cert %s -key %s"):format(
                certificate, key) },
    }
end

--- The steps from SSL_new to SSL_connect. reused: what the session must turn out to be, "yes" or
-- "no".
local function connect(steps, reused)
    local session = reused == "yes"
    steps:step("conn = context:connection()", "SSL_new", "connection", "before 0 - no")
    steps:step('conn:set_hostname("localhost")', "SSL_set1_host", "true", "before 0 - no")
    if session then
        steps:step("conn:set_session(session)", "SSL_set_session", "true", "before 0 yes no")
    end
    steps:step('conn:dial("127.0.0.1", port)', "SSL_set_bio", "true",
        session and "before 0 yes no" or "before 0 - no")
    steps:step("conn:connect()", "SSL_connect", "true", steps.connected[reused])
end

--- One line there and back. In TLS 1.3 the tickets come before the answer, so that the session is
-- resumable after it.
local function exchange(steps, reused)
    steps:step('conn:write("hello\\n")', "SSL_write_ex", "6", steps.connected[reused])
    steps:step("conn:read()", "SSL_read_ex", '"olleh\\n"', "open 0 yes " .. reused)
end

local function shutdown_both_ways(steps, reused)
    steps:step("conn:shutdown()", "SSL_shutdown", '"sent"', "open 1 yes " .. reused)
    steps:step("conn:shutdown()", "SSL_shutdown", '"done"', "open 3 yes " .. reused)
end

local function free(steps, resumable)
    steps:step("conn:free()", "SSL_free", "", "freed - " .. resumable .. " -")
end

local function first_connection(steps, version)
    steps:section "SSL_new(3), SSL_connect(3): a full handshake"
    steps:step("context = tls.context(options)", "SSL_CTX_new", "context", "- - - -")
    connect(steps, "no")
    steps:step("conn:version()", "SSL_get_version", '"' .. version .. '"')
    steps:step("conn:verify_result()", "SSL_get_verify_result", '"ok", 0')

    steps:section "SSL_write_ex(3), SSL_read_ex(3), SSL_get1_session(3): an exchange"
    exchange(steps, "no")
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 0 yes no")

    steps:section "SSL_shutdown(3), SSL_free(3): both ways"
    shutdown_both_ways(steps, "no")
    free(steps, "yes")
end

local function one_way(steps)
    steps:section "SSL_set_session(3), SSL_shutdown(3): resumed, and shut down one way"
    connect(steps, "yes")
    exchange(steps, "yes")
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 0 yes yes")
    steps:step("conn:shutdown()", "SSL_shutdown", '"sent"', "open 1 yes yes")
    free(steps, "yes")
end

local function clear(steps)
    steps:section "SSL_clear(3): the same SSL again; its session was shut down, and resumes"
    connect(steps, "yes")
    exchange(steps, "yes")
    steps:step("conn:shutdown()", "SSL_shutdown", '"sent"', "open 1 yes yes")
    steps:step("conn:clear()", "SSL_clear", "true", "before 0 yes no")
    steps:step('conn:dial("127.0.0.1", port)', "SSL_set_bio", "true", "before 0 yes no")
    steps:step("conn:connect()", "SSL_connect", "true", steps.connected.yes)
    exchange(steps, "yes")

    steps:section "SSL_clear(3): a session that is still open becomes bad"
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 0 yes yes")
    steps:step("conn:clear()", "SSL_clear", "true", "before 0 - no")
    steps:step("session:is_resumable()", "SSL_SESSION_is_resumable", "false", "- - no -")
    steps:step('conn:dial("127.0.0.1", port)', "SSL_set_bio", "true", "before 0 - no")
    steps:step("conn:connect()", "SSL_connect", "true", steps.connected.no)
    exchange(steps, "no")
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 0 yes no")
    shutdown_both_ways(steps, "no")
    free(steps, "yes")
end

local function dup(steps)
    steps:section "SSL_dup(3): before the handshake, another SSL with the same settings"
    steps:step("conn = context:connection()", "SSL_new", "connection", "before 0 - no")
    steps:step('conn:set_hostname("localhost")', "SSL_set1_host", "true", "before 0 - no")
    steps:step("copy = conn:dup()", "SSL_dup", "connection", "before 0 - no")
    steps:step("copy == conn", "-", "false")
    steps:step("copy:hostname()", "-", '"localhost"')
    free(steps, "-")
    steps:step('copy:dial("127.0.0.1", port)', "SSL_set_bio", "true", "before 0 - no")
    steps:step("copy:connect()", "SSL_connect", "true", steps.connected.no)

    steps:section "SSL_dup(3): once the handshake has begun, the same SSL, one reference more"
    steps:step("conn = copy:dup()", "SSL_dup", "connection", steps.connected.no)
    steps:step("copy == conn", "-", "true")
    steps:step("copy:free()", "SSL_free", "", steps.connected.no)
    exchange(steps, "no")
    shutdown_both_ways(steps, "no")
    free(steps, "yes")
end

--- Exports the session to a file; another process, which has nothing else, imports and resumes it.
local function export(steps, directory, version)
    steps:section "i2d_SSL_SESSION(3): a session as bytes"
    steps:step("bytes = session:export()", "i2d_SSL_SESSION", nil, "- - yes -")
    local path = directory .. "/session.der"
    local file = assert(io.open(path, "wb"))
    assert(file:write(steps.variables.bytes))
    file:close()
    local pipe = assert(io.popen(("%s %sdemo/fresh.lua %s %d %s %s"):format(quote(program),
        quote(here), quote(path), steps.variables.port, quote(directory .. "/cert.pem"), version)))
    local lines = {}
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    local ok = pipe:close()
    print(table.concat(lines, "\n", 1, ok and #lines - 1 or #lines))
    steps:check(ok, "the other process did not resume the session")
    steps:add(tonumber(lines[#lines]))
end

local function peer_closes(steps)
    steps:section "SSL_read_ex(3), SSL_shutdown(3): the peer closes first"
    connect(steps, "no")
    steps:step('conn:write("CLOSE\\n")', "SSL_write_ex", "6", steps.connected.no)
    steps:step("conn:read()", "SSL_read_ex", 'nil, "closed"', "open 2 yes no")
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 2 yes no")
    steps:step("conn:shutdown()", "SSL_shutdown", '"done"', "open 3 yes no")
    free(steps, "yes")
end

local function truncated(steps)
    steps:section "SSL_read_ex(3), SSL_get_error(3): the peer is killed: no close_notify"
    connect(steps, "no")
    exchange(steps, "no")
    steps:step("session = conn:session()", "SSL_get1_session", "session", "open 0 yes no")
    steps:step("server:kill()", "-", "true", "open 0 yes no")
    steps:step("conn:read()", "SSL_read_ex", 'nil, "truncated"', "failed 0 no no")
    free(steps, "no")
end

--- What our server says of the connections that were made to it, one after the other.
local ACCOUNT = {
    "full handshake, ended by close_notify", -- the first
    "resumed, ended by close_notify",        -- one way
    "resumed, ended by close_notify",        -- cleared after a shutdown
    "resumed, truncated",                    -- cleared without one
    "full handshake, ended by close_notify", -- the last of the clear
    "full handshake, ended by close_notify", -- the dup
    "resumed, ended by close_notify",        -- of the other process
    "full handshake, ended by ourselves",    -- asked to close
}

local function account(steps, server)
    steps:section "what our server, which is dead now, had said of the connections before"
    for _, want in ipairs(ACCOUNT) do
        local got = server:line()
        print("  " .. tostring(got))
        steps:check(got == want, ("the server was to say %q"):format(want))
    end
end

local function run(target, version, directory)
    local fifo = ("%s/%s-%s"):format(directory, target.ours and "ours" or "openssl", version)
    local server <close> = process.server(target.command, fifo, target.pattern)
    local ca = directory .. "/cert.pem"
    local steps = report.new {
        tls = tls, server = server, port = server.port,
        options = { role = "client", ca = ca, min_version = version, max_version = version,
            timeout = 5 },
    }
    -- In TLS 1.3 a session resumes once, and a new one is there when its first ticket has come:
    -- after the first read.
    local there = version == "TLSv1.2" and "yes" or "no"
    steps.connected = { yes = "open 0 " .. there .. " yes", no = "open 0 " .. there .. " no" }
    report.title(("%s against %s"):format(version, target.name))
    report.columns()
    first_connection(steps, version)
    one_way(steps)
    clear(steps)
    dup(steps)
    export(steps, directory, version)
    peer_closes(steps)
    truncated(steps)
    if target.ours then
        account(steps, server)
    end
    return steps.steps
end

local function main()
    local directory <close> = process.directory()
    make_certificate(directory.path)
    print(("tlslife %s, %s\n"):format(tls.version, tls.openssl_version))
    print [[
state  of the connection: before, handshake, open, failed; freed
sh     SSL_get_shutdown(3): 1 we have sent close_notify, 2 we have received one, 3 both
id     of the session, its first bytes; of a connection that was freed: the session that it had
res    SSL_SESSION_is_resumable(3)
reu    SSL_session_reused(3)
The clients trust a certificate made just now for "localhost". Each speaks one protocol version.]]
    local total = 0
    for _, target in ipairs(targets(directory.path)) do
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            total = total + run(target, version, directory.path)
        end
    end
    report.title(
        ("All %d steps did what the manual pages say: two servers, TLS 1.2 and 1.3."):format(total))
end

local ok, failure = xpcall(main,
    function(e) return type(e) == "table" and e.step or debug.traceback(e) end)
if not ok then
    print("\nFAILED: " .. failure)
end
os.exit(ok, true)
