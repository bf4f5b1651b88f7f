-- tlslife.metrics: the page that a monitoring system reads, over HTTP, or over HTTPS where the
-- option has a context. docs/metrics.md says what is on it.
--
-- It is a server of its own (tlslife.server), with its deadlines and its limit of connections. In
-- plain HTTP all is done before TLS, which never begins.
--
-- What an attacker would try: to send a head without an end (it is bounded), or one byte now and
-- then (a request has one deadline as a whole), not to read the answer (the same deadline), to hold
-- many connections (they are limited, and each ends soon), or to have the page in an answer to a
-- page of his own in somebody's browser (which does not read what it gets from another origin).

local requests = require "tlslife.requests"
local uv = require "luv"

local metrics = {}

local SECONDS <const> = 5 -- for a request and its answer
local CONNECTIONS_MAX <const> = 64
local DRAIN_SECONDS <const>, DRAIN_MAX <const> = 1, 4 << 20

local OPENMETRICS <const> = "application/openmetrics-text; version=1.0.0; charset=utf-8"
local PROMETHEUS <const> = "text/plain; version=0.0.4; charset=utf-8"

local REASONS <const> = {
    [200] = "OK", [400] = "Bad Request", [404] = "Not Found", [405] = "Method Not Allowed",
    [411] = "Length Required", [413] = "Content Too Large",
    [431] = "Request Header Fields Too Large",
}

-- Whether an Accept header prefers OpenMetrics to plain text: the weight of each is its q.
local function prefers_openmetrics(accept)
    local open, plain = 0, 0
    for range in accept:gmatch "[^,]+" do
        local kind = range:match "^%s*([^%s;]+)"
        local weight = tonumber(range:match ";%s*q=([%d.]+)" or 1) or 0
        local version = range:match ';%s*version="?([%w.]+)'
        if kind == "application/openmetrics-text" and (version or "1.0.0") == "1.0.0" then
            open = math.max(open, weight)
        elseif kind == "text/plain" then
            plain = math.max(plain, weight)
        end
    end
    return open > 0 and open >= plain
end

local function answer_to(request, status, text)
    local safe = request and (request.method == "GET" or request.method == "HEAD")
    if not status and not safe then status = 405 end
    if not status and request.path ~= "/metrics" then
        return 404, PROMETHEUS, "The metrics are at /metrics.\n"
    elseif status then
        return status, PROMETHEUS, REASONS[status] .. "\n"
    elseif prefers_openmetrics(request.accept) then
        return 200, OPENMETRICS, text "openmetrics"
    end
    return 200, PROMETHEUS, text "prometheus"
end

-- Answers one request.
local function respond(stream, text)
    local request, _, wrong = requests(stream):next()
    if not request and not wrong then return end
    local status, kind, body = answer_to(request, wrong, text)
    stream:write(("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%s\r\n%s"):format(
        status, REASONS[status], kind, #body, status == 405 and "Allow: GET, HEAD\r\n" or "",
        "Connection: close\r\n", request and request.method == "HEAD" and "" or body))
end

-- ------------------------------------------------------------------------------------- plain HTTP

local Plain = {}
Plain.__index = Plain

function Plain:read() return self.conn:plain_read() end

function Plain:write(bytes) return self.conn:plain_write(bytes) end

function Plain.early() return false end

-- Reads until the client has closed, but for DRAIN_SECONDS at most. The system resets a connection
-- that is closed with unread bytes, and the client may lose the answer.
local function drain(conn)
    uv.update_time()
    local bytes, till = 0, uv.now() + DRAIN_SECONDS * 1000
    repeat
        conn:set_timeout(math.max(till - uv.now(), 1) / 1000)
        local piece = conn:plain_read()
        bytes = bytes + #(piece or "")
    until not piece or bytes > DRAIN_MAX or uv.now() >= till
end

local function plain_options(text)
    return {
        -- A server's context must have a certificate or a PSK. No handshake uses this one.
        context = {resumption = "off", psk = {{identity = "none", key = uv.random(32, 0)}}},
        handler = function() end,
        before = function(conn)
            respond(setmetatable({conn = conn}, Plain), text)
            drain(conn)
            return false
        end,
    }
end

-- ------------------------------------------------------------------------------------------ HTTPS

-- The timer is a deadline for the whole request, beside that of each call.
local function https_options(context, text)
    return {
        context = context,
        handler = function(conn)
            local timer = uv.new_timer()
            local _ <close> = setmetatable({}, {__close = function() timer:close() end})
            timer:start(SECONDS * 1000, 0, function() pcall(conn.cancel, conn) end)
            respond(conn, text)
        end,
    }
end

-- ----------------------------------------------------------------------------------------- public

--- Serves the page in the loop that runs. given is the option metrics; text(format) gives the text.
-- Returns a server, or nil, message, err.
function metrics.serve(given, log, text)
    local address = type(given) == "table" and given.address or given
    local context = type(given) == "table" and given.context
    local options = context and https_options(context, text) or plain_options(text)
    options.address, options.log = address, log
    options.max_connections, options.handshake_timeout = CONNECTIONS_MAX, SECONDS
    options.timeout, options.stop_timeout = SECONDS, 0
    local server, message, err = require "tlslife.server" (options)
    if not server then return nil, message, err end
    for _, listener in ipairs(server.listeners) do
        for _, found in ipairs(listener:addresses()) do
            log("info", ("metrics at %s://%s/metrics"):format(context and "https" or "http", found))
        end
    end
    return server
end

return metrics
