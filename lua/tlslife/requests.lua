-- tlslife.requests: reads the requests of HTTP/1.1 from a connection.
--
-- What an attacker would try: a head or a body without an end (both are bounded), two lengths, by
-- which requests are smuggled, and control characters in the target.

local HEAD_MAX <const>, BODY_MAX <const> = 16384, 1 << 20

local Requests = {}
Requests.__index = Requests

--- Makes a reader of the requests of a connection. came is what was read of them already.
local function new(conn, came)
    return setmetatable({conn = conn, came = came or ""}, Requests)
end

-- Reads until there are length bytes. Returns true, or nil and why they do not come.
local function fill(self, length)
    local pieces, have = {self.came}, #self.came
    while have < length do
        local more, why = self.conn:read()
        if not more then return nil, why end
        have = have + #more
        pieces[#pieces + 1] = more
    end
    self.came = table.concat(pieces)
    return true
end

-- Reads a head. Returns where it ends; or nil and why it does not come; or nil, nil and the status
-- of the answer, if it is too long.
local function head_end(self)
    local from = 1
    while true do
        local _, stop = self.came:find("\r\n\r\n", from, true)
        if stop and stop <= HEAD_MAX then return stop end
        if #self.came > HEAD_MAX then return nil, nil, 431 end
        from = math.max(#self.came - 2, 1)
        local more, why = self.conn:read()
        if not more then return nil, why end
        self.came = self.came .. more
    end
end

-- The length of the body; or nil and the status of the answer, if the headers are wrong.
local function body_length(headers)
    if headers:find("\r\ntransfer-encoding:", 1, true) then return nil, 411 end
    local _, stop = headers:find("\r\ncontent-length:", 1, true)
    if not stop then return 0 end
    local digits = headers:match("^[ \t]*(%d+)[ \t]*\r\n", stop + 1)
    if not digits or headers:find("\r\ncontent-length:", stop, true) then return nil, 400 end
    if #digits > 9 or tonumber(digits) > BODY_MAX then return nil, 413 end
    return math.tointeger(digits)
end

-- The path of a target, which may be a whole URL, without the query.
local function path_of(target)
    local path = target:match "^%a[%w+.-]*://[^/?#]*(.*)$" or target
    path = path:match "^[^?#]*"
    return path == "" and "/" or path
end

local function parse(head)
    local method, target, minor = head:match "^(%u+) ([!-~]+) HTTP/1%.([01])\r\n"
    if not method then return nil, 400 end
    local headers = head:lower()
    local length, status = body_length(headers)
    if not length then return nil, status end
    local path = path_of(target)
    if path:sub(1, 1) ~= "/" then return nil, 400 end
    local accept = {}
    for value in headers:gmatch "\r\naccept:([^\r]*)" do accept[#accept + 1] = value end
    return {
        method = method, target = target, path = path, length = length,
        accept = table.concat(accept, ","),
        expects = headers:find "\r\nexpect:[ \t]*100%-continue\r\n" ~= nil,
        close = minor == "0" or headers:find "\r\nconnection:[^\r]*close" ~= nil,
    }
end

--- Returns the next request, whose field text is all of its bytes; or nil and why none came; or
-- nil, nil and the status of the answer to a request that is wrong.
function Requests:next()
    local stop, why, status = head_end(self)
    if not stop then return nil, why, status end
    local request
    request, status = parse(self.came:sub(1, stop))
    if not request then return nil, nil, status end
    local all = stop + request.length
    request.early = self.conn:early()
    if request.expects and #self.came < all then
        self.conn:write "HTTP/1.1 100 Continue\r\n\r\n"
    end
    local ok
    ok, why = fill(self, all)
    if not ok then return nil, why end
    request.text, self.came = self.came:sub(1, all), self.came:sub(all + 1)
    return request
end

return new
