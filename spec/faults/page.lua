-- page.lua: reads the page of metrics of a server of spec/faults, and compares it with what the
-- clients have counted.
--
-- A client knows less than the server where a worker was killed: whether the server had finished
-- the handshake that failed, for one. So the counts have a least and a most. What was counted by a
-- worker stays when it is killed, and no counter may go back.
local measured = require "spec.support.measured"
local service = require "service"
local uv = require "luv"

local PATIENCE <const> = 30 -- seconds
local REQUEST <const> = "GET /metrics HTTP/1.0\r\n" ..
    "Accept: application/openmetrics-text; version=1.0.0\r\n\r\n"

local Page = {}
Page.__index = Page

local page = {}

--- The page of a service, which has said its port.
function page.new(server)
    local self = setmetatable({ reads = 0, samples = {} }, Page)
    self.port = service.eventually(PATIENCE, function()
        server:listen()
        for _, line in ipairs(server.lines) do
            local port = line:match "metrics at http://127%.0%.0%.1:(%d+)/metrics"
            if port then return tonumber(port) end
        end
    end)
    return self
end

-- All that the page's server sends, or nil and why.
local function fetch(port)
    local co, socket, parts = coroutine.running(), uv.new_tcp(), {}
    local function finish(why)
        if socket:is_closing() then return end
        socket:close(function() assert(coroutine.resume(co, why)) end)
    end
    socket:connect("127.0.0.1", port, function(failure)
        if failure then return finish(failure) end
        socket:write(REQUEST)
        socket:read_start(function(bad, bytes)
            if bytes then parts[#parts + 1] = bytes else finish(bad) end
        end)
    end)
    local why = coroutine.yield()
    if why then return nil, why end
    return (table.concat(parts))
end

--- Reads it; stage: where findings go. No counter may go back.
function Page:read(stage)
    local text, why = fetch(self.port)
    local body = text and text:match "^HTTP/1.%d 200 .-\r\n\r\n(.*)$"
    if not body then return stage:find("no page of metrics: %s", why or text) end
    local samples, problems = measured.parse(body, true)
    if problems[1] then stage:find("the page of metrics: %s", problems[1]) end
    local back, first = 0, nil
    for series, before in pairs(self.samples) do
        local goes_up = series:find "_total" or series:find "_count" or series:find "_bucket"
        if goes_up and (samples[series] or 0) < before then
            back, first = back + 1, first or ("%s from %g to %g"):format(series, before,
                samples[series] or 0)
        end
    end
    if first then stage:find("%d counters went back, %s", back, first) end
    self.samples, self.reads = samples, self.reads + 1
end

-- The sum of a family's samples whose labels have all of these.
local function sum(samples, family, ...)
    local value = 0
    for series, one in pairs(samples) do
        local fits = series:match "^[%w_]+" == "tlslife_" .. family
        for _, label in ipairs { ... } do fits = fits and series:find(label, 1, true) end
        if fits then value = value + one end
    end
    return math.tointeger(value) or value
end

local SERVER <const> = 'side="server"'

--- When all clients have gone: what the page says, between the least and the most that it may say.
-- `known` connections have been answered, and the others were dialed.
function Page:judge(stage)
    local all, first = stage.clients.count, stage.first.count
    local deaths = 0
    for _ in pairs(stage.server.ended) do deaths = deaths + 1 end
    local function between(what, value, least, most)
        if value < least or value > most then
            stage:find("the page says %d %s, and the clients counted %d to %d", value, what, least,
                most)
        end
    end
    service.eventually(PATIENCE, function()
        self:read(stage)
        return sum(self.samples, "connections_open", SERVER) == 0
    end)
    local dialed, known = all.dialed + first.dialed, all.known + first.known
    between("connections open", sum(self.samples, "connections_open", SERVER), 0, 0)
    between("handshakes", sum(self.samples, "handshakes_total", SERVER), known, dialed)
    between("resumed", sum(self.samples, "handshakes_total", SERVER, 'resumption="resumed"'),
        all.resumed + first.resumed, all.resumed + first.resumed + dialed - known)
    between("connections", sum(self.samples, "connections_total", SERVER),
        all.handshakes + first.handshakes, dialed + all.rude)
    between("workers that ended", sum(self.samples, "workers_ended_total"), deaths, deaths)
    if self.reads < 2 then stage:find "the page of metrics was not read" end
end

return page
