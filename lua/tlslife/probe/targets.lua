-- tlslife.probe.targets: finds the addresses behind each name that the probe is given.

local uv = require "luv"
local tls = require "tlslife.core"

local targets = {}

-- luv asks the resolver in threads, by default four. Where a resolver does not answer, each name
-- takes until it gives up, some ten seconds (resolv.conf(5)), so names wait side by side.
local THREADS <const> = "64"
uv.os_setenv("UV_THREADPOOL_SIZE", os.getenv "UV_THREADPOOL_SIZE" or THREADS)

-- "name:port", "[::1]:port", "::1" or "name", as their host and their port.
local function split(text, default_port)
    local ok, host, port = pcall(tls.split_address, text)
    if not ok or not host or host:find "^unix:" then
        return nil, ("'%s' is no HOST or HOST:PORT"):format(text)
    end
    return host, port or default_port
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

-- What luv's words for a failure of getaddrinfo(3) mean.
local MEANS <const> = {
    EAI_NONAME = "the name is not known", EAI_NODATA = "the name has none",
    EAI_AGAIN = "the resolver does not answer", EAI_FAIL = "the resolver has failed",
    EAI_SERVICE = "there is no such service",
}

-- The addresses of a host, or nil and why there are none.
local function addresses_of(host, port)
    local co, answer, failure, came = coroutine.running(), nil, nil, false
    local asked, message = uv.getaddrinfo(host, port, {socktype = "stream"}, function(err, list)
        answer, failure, came = list, err, true
        if coroutine.status(co) == "suspended" then coroutine.resume(co) end
    end)
    if asked and not came then coroutine.yield() end
    if answer and #answer > 0 then return answer end
    local why = tostring(failure or message or "none found")
    return nil, ("%s has no address: %s"):format(host, MEANS[why] or why)
end

--- Gives the target its addresses, each once and in the resolver's order; or `failed`. hosts: whose
-- addresses they are, if not those of its name.
function targets.resolve(target, hosts)
    target.addresses = {}
    local seen = {}
    for _, host in ipairs(hosts or {target.name}) do
        local list, message = addresses_of(host, target.port)
        if not list then target.failed = message end
        for _, one in ipairs(list or {}) do
            if not seen[one.addr] then
                seen[one.addr] = true
                table.insert(target.addresses, one.addr)
            end
        end
    end
end

return targets
