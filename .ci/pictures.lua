-- pictures.lua: makes what .ci/pictures draws. `scene COUNT CERTIFICATE KEY CA` makes as many
-- connections as COUNT says, up to twelve at a time; a third of them resume. `html` turns a
-- terminal's text into a page.

local scenes = {}

local function steps(tls, contexts, made, number)
    local context = number == 3 and contexts.stranger or contexts.client
    local client, server = context:connection(), contexts.server:connection()
    tls.pair(client, server)
    local name = number % 4 == 0 and "a.example" or "localhost"
    client:set_hostname(name)
    made[name] = made[name] or {}
    if number % 3 == 2 and number > 2 and made[name][1] then
        client:set_session(table.remove(made[name]))
    end
    local connected, accepted
    repeat
        local ok, why = client:connect()
        connected = ok
        coroutine.yield()
        accepted = server:accept() or accepted
        coroutine.yield()
    until connected and accepted or not ok and why ~= "want_read"
    if not (connected and accepted) then return end
    client:write "GET / HTTP/1.1\r\n\r\n"
    coroutine.yield()
    server:read(100)
    server:write(("x"):rep(300 + number))
    coroutine.yield()
    client:read(1000)
    table.insert(made[name], client:take_session())
    coroutine.yield()
    client:shutdown()
    server:read(1)
    coroutine.yield()
    server:shutdown()
    client:shutdown()
    client:free()
    server:free()
end

function scenes.scene(count, certificate, key, ca)
    local tls = require "tlslife"
    local contexts = {
        client = assert(tls.context {role = "client", ca = ca, alpn = {"http/1.1"}}),
        stranger = assert(tls.context {role = "client"}),
        server = assert(tls.context {role = "server", certificate = certificate,
            private_key = key, alpn = {"http/1.1"}}),
    }
    local made, running, number = {}, {}, 0
    math.randomseed(7)
    repeat
        if number < count and #running < 12 and (#running == 0 or math.random() < 0.3) then
            number = number + 1
            local mine = number
            running[#running + 1] = coroutine.wrap(function()
                steps(tls, contexts, made, mine)
                return true
            end)
        end
        local index = math.random(#running)
        if running[index]() then table.remove(running, index) end
    until number == count and #running == 0
end

local COLOURS <const> = {["31"] = "#c62828", ["32"] = "#177a34"}

function scenes.html()
    local text = io.read "a":gsub("[&<]", {["&"] = "&amp;", ["<"] = "&lt;"})
    text = text:gsub("%s+$", ""):gsub("\27%[([%d;]*)m", function(code)
        local colour = COLOURS[code:match "^3[12]"]
        return colour and ('<b style="color:%s">'):format(colour) or "</b>"
    end)
    io.write('<meta charset="utf-8"><body style="margin:12px;background:#fff"><pre style="font:' ..
        '13px/1.35 \'DejaVu Sans Mono\',monospace;margin:0">', text, "\n</pre>\n")
end

scenes[arg[1]](tonumber(arg[2]), table.unpack(arg, 3))
