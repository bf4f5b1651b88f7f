-- HTTP/1.1 over tls.serve: keep-alive, requests that come in pieces or several at once, bodies,
-- HEAD, early data. Needs luv (Debian: lua-luv), cert.pem and key.pem. It answers GET with the
-- path, POST and PUT with the body.
-- Usage: tlslife serve_http.lua [address [workers [processes|threads]]]
local tls = require "tlslife"

local find <const>, match <const>, sub <const>, lower <const> = string.find, string.match,
    string.sub, string.lower
local HEAD_MAX <const>, BODY_MAX <const> = 16384, 1 << 20
local REASONS <const> = {
    [200] = "OK", [400] = "Bad Request", [405] = "Method Not Allowed", [411] = "Length Required",
    [413] = "Content Too Large", [425] = "Too Early", [431] = "Request Header Fields Too Large",
}

--- Answers a request: returns the status and the body.
local function answer(method, path, body)
    if method == "GET" or method == "HEAD" then return 200, path .. "\n" end
    if method == "POST" or method == "PUT" then return 200, body end
    return 405, "what?\n"
end

local function respond(conn, method, status, body, close)
    return conn:write(
        ("HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s"):format(
            status, REASONS[status], #body, close and "Connection: close\r\n" or "",
            method == "HEAD" and "" or body))
end

local function refuse(conn, status)
    respond(conn, nil, status, REASONS[status] .. "\n", true)
end

--- Reads a head. Returns what has come and where the head ends, or nil.
local function read_head(conn, came)
    local _, stop = find(came, "\r\n\r\n", 1, true)
    while not stop and #came <= HEAD_MAX do
        local more = conn:read()
        if not more then return nil end
        local from = #came > 3 and #came - 2 or 1
        came = came .. more
        _, stop = find(came, "\r\n\r\n", from, true)
    end
    if not stop or stop > HEAD_MAX then return refuse(conn, 431) end
    return came, stop
end

--- Returns the length of the body, or nil and the status of a refusal. Two lengths are refused,
-- because requests are smuggled that way.
local function body_length(headers)
    if find(headers, "\r\ntransfer-encoding:", 1, true) then return nil, 411 end
    local _, stop = find(headers, "\r\ncontent-length:", 1, true)
    if not stop then return 0 end
    local digits = match(headers, "^[ \t]*(%d+)[ \t]*\r\n", stop + 1)
    if not digits or find(headers, "\r\ncontent-length:", stop, true) then return nil, 400 end
    if #digits > 9 or tonumber(digits) > BODY_MAX then return nil, 413 end
    return math.tointeger(digits)
end

local function read_body(conn, came, length, expected)
    if #came < length and expected and not conn:write "HTTP/1.1 100 Continue\r\n\r\n" then
        return nil
    end
    local pieces, have = {came}, #came
    while have < length do
        local more = conn:read()
        if not more then return nil end
        have = have + #more
        pieces[#pieces + 1] = more
    end
    return table.concat(pieces)
end

local function handle(conn, server)
    local came = conn:read()
    while came do
        local stop
        came, stop = read_head(conn, came)
        if not came then return end
        local method, path, minor = match(came, "^(%u+) (%S+) HTTP/1%.([01])\r\n")
        if not method then return refuse(conn, 400) end
        local headers = lower(sub(came, 1, stop))
        local length, problem = body_length(headers)
        if not length then return refuse(conn, problem) end
        local body = ""
        if length > 0 then
            came = read_body(conn, sub(came, stop + 1), length,
                find(headers, "\r\nexpect:[ \t]*100%-continue\r\n"))
            if not came then return end
            body, stop = sub(came, 1, length), length
        end
        local close = server:stopping() or minor == "0" or
            find(headers, "\r\nconnection:[^\r]*close")
        local status, text
        if conn:early() and method ~= "GET" and method ~= "HEAD" then
            status, text = 425, "once more, after the handshake\n" -- it may be a replay: RFC 8470
        else
            status, text = answer(method, path, body)
        end
        if not respond(conn, method, status, text, close) or close then return end
        came = stop < #came and sub(came, stop + 1) or conn:read()
    end
end

assert(tls.serve {
    address = arg[1] or "127.0.0.1:8443", workers = math.tointeger(arg[2]) or 1,
    threads = arg[3] == "threads",
    timeout = 60, handshake_timeout = 10, stop_timeout = 10, early_data = true,
    context = { certificate = "cert.pem", private_key = "key.pem", alpn = { "http/1.1" } },
    on_start =
        function(server) print("listening on port " .. server:ports()[1]) io.stdout:flush() end,
    handler = handle,
})
