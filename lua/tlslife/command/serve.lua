-- tlslife.command.serve: `tlslife serve [DIR]` is a server to test clients against. It serves files
-- or an echo, says what becomes of each connection, and makes the faults that it is told to. See
-- docs/test_server.md.
--
-- Workers are this program run again with the same words. What they cannot make anew is the
-- self-signed certificate, so they get it in an environment variable, which they remove. Other
-- users cannot read it, and nobody trusts it for anything but these tests.

local command_options = require "tlslife.command.options"
local options = require "tlslife.testserver.options"

local VARIABLE <const> = "TLSLIFE_SERVE_CERTIFICATE"
local TIMEOUT <const> = 60 -- seconds that a client may be idle
local HANDSHAKE_TIMEOUT <const> = 10

-- The server's own limit of what comes before the handler. It has the faults in it, which wait for
-- long; the handshake itself is limited in begin().
local BEFORE_TIMEOUT <const> = 3600

local function complain(message)
    return command_options.complain(options.command, message)
end

-- A self-signed certificate with its key, which workers get from their parent. Or nil and why.
local function self_signed(run)
    local uv = require "luv"
    if require "tlslife.worker" then
        local text = os.getenv(VARIABLE)
        uv.os_unsetenv(VARIABLE)
        return text
    end
    local make = require "tlslife.testserver.certificate".make
    local text, why = make(run.names, run.fault == "expired")
    if not text then return nil, why end
    if (run.workers or 1) > 1 then uv.os_setenv(VARIABLE, text) end
    if run.save then
        local file
        file, why = io.open(run.save, "w")
        if not file then return nil, why end
        local written = file:write(text:match "%-+BEGIN CERTIFICATE.-END CERTIFICATE%-+\n")
        if not (file:close() and written) then return nil, run.save .. " cannot be written" end
    end
    return text
end

local function attach_trace(run)
    local tls = require "tlslife"
    local trace = tls.trace {bytes = 16 << 20}
    local colour = command_options.wants_colour("auto", 2)
    local writer, why = require "tlslife.host".trace_writer(trace, "text", nil,
        colour and "colour" or "")
    if not writer then return nil, why end
    run.context.trace = trace
    return writer
end

-- What is done before the handler: the faults of the handshake, and the handshake itself, because
-- the server would not say of each that fails why. Returns true if it is done.
local function begin(run, conn, life)
    local faults = require "tlslife.testserver.faults"
    if faults.before(run.fault, conn, run.delay) then
        life:failed("the fault " .. run.fault)
        return false
    end
    conn:set_timeout(HANDSHAKE_TIMEOUT)
    local ok, why
    if run.early then ok, why = conn:accept_early() else ok, why = conn:accept() end
    if not ok then
        life:failed(why)
        return false
    end
    return true
end

-- Serves one connection, and ends it as it should end.
local function handle(run, conn, life, server)
    life:handshake()
    local why, fault = require "tlslife.testserver.answers".serve(run, conn, life, server)
    if fault or run.fault == "no-close-notify" then
        conn:close_transport()
        return life:over(why, nil, "without close_notify (a fault)")
    end
    life:over(why, conn:close(1))
end

local function serve_options(run)
    local new_life = require "tlslife.testserver.life"
    local lives = setmetatable({}, {__mode = "k"})
    local function write(line)
        if run.log then io.stderr:write(line) end
    end
    return {
        address = run.listen, workers = run.workers, context = run.context,
        early_data = run.early or nil, timeout = TIMEOUT, handshake_timeout = BEFORE_TIMEOUT,
        stop_timeout = 2, on_start = run.on_start, metrics = run.metrics,
        before = function(conn)
            lives[conn] = new_life(conn, write)
            return begin(run, conn, lives[conn])
        end,
        handler = function(conn, server) handle(run, conn, lives[conn], server) end,
    }
end

-- Says where the server listens, by what is printed once, in the first worker.
local function announce(run, server)
    local worker = require "tlslife.worker"
    if worker and worker.index > 1 then return end
    for _, listener in ipairs(server.listeners) do
        for _, address in ipairs(listener:addresses()) do
            local url = address:find "^unix:" and address or "https://" .. address .. "/"
            io.stdout:write("listening on ", url, "\n")
        end
    end
    local what = run.root and "the files of " .. run.root or "an echo"
    local fault = run.fault and ", with the fault " .. run.fault or ""
    io.stdout:write("serving ", what, fault, "\n")
    if run.names then
        local tls = require "tlslife"
        io.stdout:write("self-signed for ", table.concat(run.names, ", "), "\nSHA-256 ",
            tls.fingerprint(run.context.certificate), "\n")
    end
    io.stdout:flush()
end

-- Makes what the run needs besides the options. Or nil and why not.
local function prepare(run)
    local why
    if run.directory then
        run.root, why = require "tlslife.testserver.files".root(run.directory)
        if not run.root then return nil, why end
    end
    if run.names then
        run.context.certificate, why = self_signed(run)
        if not run.context.certificate then return nil, why end
    end
    if run.trace then
        run.writer, why = attach_trace(run)
        if not run.writer then return nil, why end
    end
    function run.on_start(server) announce(run, server) end
    return true
end

local function refuse(message)
    command_options.refuse(options.command, message)
end

return function(...)
    if not pcall(require, "luv") then return complain "it needs luv (Debian: lua-luv)" end
    local given, wrong = options.parse {...}
    if not given then refuse(wrong) end
    if given.help then return io.stdout:write(command_options.help(options.command)) ~= nil end
    local run
    run, wrong = options.settle(given)
    if not run then refuse(wrong) end
    local ready, why = prepare(run)
    if not ready then return complain(why) end
    local lawful, served, message = pcall(require "tlslife".serve, serve_options(run))
    if not lawful then refuse((tostring(served):gsub("^%b[]:%d+: ", ""))) end
    if not served then return complain(message) end
    if run.writer then run.writer:stop() end
    return true
end
