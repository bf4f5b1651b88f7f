-- tlslife.testserver.answers: answers the requests of one connection with files of a directory or
-- with an echo, and makes the faults that were asked for.

local faults = require "tlslife.testserver.faults"
local files = require "tlslife.testserver.files"
local requests = require "tlslife.requests"
local uv = require "luv"

local CHUNK <const> = 65536

local REASONS <const> = {
    [200] = "OK", [301] = "Moved Permanently", [400] = "Bad Request", [403] = "Forbidden",
    [404] = "Not Found", [405] = "Method Not Allowed", [411] = "Length Required",
    [413] = "Content Too Large", [425] = "Too Early", [431] = "Request Header Fields Too Large",
}

local TEXT <const> = "text/plain; charset=utf-8"

local answers = {}

local function plain(status, more)
    return {status = status, type = TEXT, body = REASONS[status] .. "\n", more = more}
end

-- The answer to a request for /fault/NAME, or nil.
local function of_fault(path)
    local name = path:match "^/fault/([%a-]+)$"
    if not faults.of_answers[name] then return nil end
    return {status = 200, type = TEXT, fault = name,
        body = ("This is the answer of /fault/%s.\n"):format(name):rep(32)}
end

local function of_file(run, request)
    local found = files.find(run.root, request.path, run.list)
    if found.status == 301 then -- one slash, because two would begin a host's name
        return plain(301, ("Location: %s/\r\n"):format((request.path:gsub("^/+", "/"))))
    end
    return found.status == 200 and found or plain(found.status)
end

local function answer_to(run, request)
    local safe = request.method == "GET" or request.method == "HEAD"
    if request.early and not safe then return plain(425) end -- it may be a replay: RFC 8470
    local found = safe and of_fault(request.path)
    if found then return found end
    if not run.root then return {status = 200, type = TEXT, body = request.text} end
    if not safe then return plain(405, "Allow: GET, HEAD\r\n") end
    return of_file(run, request)
end

-- Writes at most so many bytes of the answer's body. Returns how many.
local function write_body(conn, answer, most)
    if answer.body then
        if most == 0 then return 0 end
        return conn:write(answer.body:sub(1, most)) or 0
    end
    local sent = 0
    while sent < most do
        local bytes = uv.fs_read(answer.fd, math.min(CHUNK, most - sent), -1)
        if not bytes or bytes == "" or not conn:write(bytes) then break end
        sent = sent + #bytes
    end
    return sent
end

-- Sends the answer. Returns whether all that its head promises was sent, and the body's bytes.
local function send(conn, request, answer, close, half)
    local size = answer.body and #answer.body or answer.size
    local wanted = request.method == "HEAD" and 0 or size
    conn:cork(true)
    conn:write(("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%s\r\n"):format(
        answer.status, REASONS[answer.status], answer.type, size, answer.more or "",
        close and "Connection: close\r\n" or ""))
    local sent = write_body(conn, answer, half and wanted // 2 or wanted)
    conn:cork(false)
    local flushed = conn:flush()
    return flushed and sent == wanted, sent
end

-- Answers one request. Returns whether the connection goes on, and the fault to end it with.
local function respond(run, conn, life, request, stopping)
    local answer <close> = setmetatable(answer_to(run, request), {__close = function(self)
        if self.fd then uv.fs_close(self.fd) end
    end})
    local fault = answer.fault or run.fault
    if fault == "slow" then faults.pause(run.delay) end
    local cuts = fault == "truncated" or fault == "no-close-notify"
    local close = request.close or stopping or cuts
    local whole, bytes = send(conn, request, answer, close, fault == "truncated")
    life:request(request, answer.status, bytes)
    if cuts then return false, fault end
    if not whole then return false, "truncated" end
    return not close
end

-- Requests until the connection is over. Returns why reading ended, and the fault to end it with.
local function serve_http(run, conn, life, server, came)
    local stream = requests(conn, came)
    while true do
        local request, why, status = stream:next()
        if status then
            local wrong = {method = "?", target = "?", early = false}
            local _, bytes = send(conn, wrong, plain(status), true)
            life:request(wrong, status, bytes)
            return nil
        elseif not request then
            return why
        end
        local more, fault = respond(run, conn, life, request, server:stopping())
        if not more then return nil, fault end
    end
end

-- Sends back what comes.
local function echo(run, conn, came)
    local bytes, why = came, nil
    while bytes do
        if run.fault == "slow" then faults.pause(run.delay) end
        local most = run.fault == "truncated" and #bytes // 2 or #bytes
        if most > 0 and not conn:write(bytes:sub(1, most)) then return "writing failed" end
        if most < #bytes then return nil, "truncated" end
        bytes, why = conn:read()
    end
    return why, run.fault == "no-close-notify" and run.fault or nil
end

--- Serves the connection: its files, or without a directory an echo, which answers requests of HTTP
-- as such. Returns why reading ended (nil: we end it), and the fault to end it with.
function answers.serve(run, conn, life, server)
    if run.root then return serve_http(run, conn, life, server) end
    local came, why = conn:read()
    if not came then return why end
    if came:find "^%u+ [!-~]+ HTTP/1%.[01]\r\n" then
        return serve_http(run, conn, life, server, came)
    end
    return echo(run, conn, came)
end

return answers
