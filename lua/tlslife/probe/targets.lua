-- tlslife.probe.targets: finds the addresses behind each name that the probe is given.

local uv = require "luv"
local tls = require "tlslife.core"

local targets = {}

-- "name:port", "[::1]:port", "::1" or "name", as their host and their port.
local function split(text, default_port)
    local ok, host, port = pcall(tls.split_address, text)
    if ok and host then return host, port end
    ok, host, port = pcall(tls.split_address, text:find("^[^%[].*:.*:") and
        ("[%s]:%s"):format(text, default_port) or text .. ":" .. default_port)
    if ok and host then return host, port end
    return nil, ("'%s' is no HOST or HOST:PORT"):format(text)
end

--- The target that the text names: {name =, port =, text =}. nil and a message for what is none.
function targets.parse(text, default_port)
    if text == "" or text:find "^%-" or text:find "%s" then
        return nil, ("'%s' is no HOST or HOST:PORT"):format(text)
    end
    local host, port = split(text, default_port)
    if not host then return nil, port end
    return {name = host, port = tostring(port), text = text}
end

--- Gives the target its addresses, each once and in the resolver's order, or `failed`.
function targets.resolve(target, host)
    local co, answer, failure, came = coroutine.running(), nil, nil, false
    local asked, message = uv.getaddrinfo(host or target.name, target.port,
        {socktype = "stream"}, function(err, list)
            answer, failure, came = list, err, true
            if coroutine.status(co) == "suspended" then coroutine.resume(co) end
        end)
    if asked and not came then coroutine.yield() end
    target.addresses = {}
    local seen = {}
    for _, one in ipairs(answer or {}) do
        if not seen[one.addr] then
            seen[one.addr] = true
            table.insert(target.addresses, one.addr)
        end
    end
    if #target.addresses == 0 then
        target.failed = ("%s has no address: %s"):format(host or target.name,
            tostring(failure or message or "none was found"))
    end
end

return targets
