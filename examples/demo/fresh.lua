-- fresh.lua: a new process, which has nothing but the bytes of a session in a file, resumes it.
-- Usage: tlslife examples/demo/fresh.lua session.der port ca.pem version
-- The last line is the number of steps that went right; the exit code is 1 if one did not.

package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local report = require "report"
local tls = require "tlslife"

local path, port, ca, version = table.unpack(arg)
local file <close> = assert(io.open(path, "rb"))
local steps = report.new {
    tls = tls, port = math.tointeger(tonumber(port)), bytes = file:read "a",
    options = { role = "client", ca = ca, min_version = version, max_version = version,
        timeout = 5 },
}

local ok, failure = xpcall(function()
    steps:section "d2i_SSL_SESSION(3): in a process that has just started"
    steps:step("context = tls.context(options)", "SSL_CTX_new", "context", "- - - -")
    steps:step("session = context:import_session(bytes)", "d2i_SSL_SESSION", "session", "- - yes -")
    steps:step("conn = context:connection()", "SSL_new", "connection", "before 0 - no")
    steps:step('conn:set_hostname("localhost")', "SSL_set1_host", "true", "before 0 - no")
    steps:step("conn:set_session(session)", "SSL_set_session", "true", "before 0 yes no")
    steps:step('conn:dial("127.0.0.1", port)', "SSL_set_bio", "true", "before 0 yes no")
    -- its one use, in TLS 1.3
    local connected = version == "TLSv1.2" and "open 0 yes yes" or "open 0 no yes"
    steps:step("conn:connect()", "SSL_connect", "true", connected)
    steps:step('conn:write("hello\\n")', "SSL_write_ex", "6", connected)
    steps:step("conn:read()", "SSL_read_ex", '"olleh\\n"', "open 0 yes yes")
    steps:step("conn:shutdown()", "SSL_shutdown", '"sent"', "open 1 yes yes")
    steps:step("conn:shutdown()", "SSL_shutdown", '"done"', "open 3 yes yes")
end, function(e) return type(e) == "table" and e.step or debug.traceback(e) end)

print(ok and steps.steps or failure)
os.exit(ok, true)
