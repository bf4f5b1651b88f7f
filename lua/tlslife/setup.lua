-- tlslife.setup: turns the options of tls.serve, tls.server and the workers into listeners,
-- contexts and what the workers share, and checks them first.

local arguments = require "tlslife.arguments"
local core = require "tlslife.core"
local uv = require "luv"

local setup = {}

-- ----------------------------------------------------------------------------------------- options

local function is(kind)
    return function(value) return type(value) == kind end, kind
end

function setup.is_seconds(value)
    return type(value) == "number" and value >= 0 and value <= arguments.SECONDS_MAX
end

local function seconds()
    return setup.is_seconds, "number from 0 to " .. arguments.SECONDS_MAX
end

local function integer_from(least)
    local function check(value) return math.type(value) == "integer" and value >= least end
    return check, "integer from " .. least
end

local function either(first, second)
    local function check(value) return type(value) == first or type(value) == second end
    return check, first .. " or " .. second
end

local ROWS = {
    address = {either("string", "table")},
    context = {either("table", "function")},
    handler = {is "function"},
    on_request = {is "function"},
    before = {is "function"},
    early_data = {is "boolean"},
    workers = {integer_from(1)},
    threads = {is "boolean"},
    reuse_port = {is "boolean"},
    backlog = {integer_from(1)},
    mode = {is "string"},
    proxy_protocol = {either("boolean", "string")},
    proxy_from = {is "table"},
    max_connections = {integer_from(1)},
    handshake_timeout = {seconds()},
    timeout = {seconds()},
    stop_timeout = {seconds()},
    metrics = {either("string", "table")},
    on_start = {is "function"},
    log = {is "function"},
}

local function complain(what, ...)
    arguments.raise("serve: " .. what:format(...))
end

local function is_unix(address)
    return type(address) == "string" and address:match "^unix:[/@]" ~= nil
end

-- Host and port of "host:port", "[::1]:port" or ":port". A Unix socket has no port.
local function split(address, option)
    local ok, host, port = pcall(core.split_address, address)
    if not ok or not (port or is_unix(address)) then
        complain("option '%s': \"host:port\" or \"unix:/path\" expected, got \"%s\"",
            option or "address", tostring(address))
    end
    return host, port
end

-- The addresses as a list, each of them checked.
local function addresses_of(given)
    local list = type(given) == "table" and given or {given}
    if #list == 0 then complain "option 'address' is an empty list" end
    for _, address in ipairs(list) do split(address) end
    return list
end

local function check_addresses(options)
    local unix = 0
    for _, address in ipairs(addresses_of(options.address)) do
        if is_unix(address) then unix = unix + 1 end
    end
    if unix > 0 and options.reuse_port then
        complain "option 'reuse_port': a Unix socket cannot be shared so"
    elseif unix == 0 and options.mode then
        complain "option 'mode' is for Unix sockets, and no address is one"
    elseif not options.proxy_protocol ~= not options.proxy_from then
        complain "options 'proxy_protocol' and 'proxy_from' belong together"
    end
end

-- An address, or a table of one and the options of a context.
local function check_metrics(given)
    local address = type(given) == "table" and given.address or given
    for name in pairs(type(given) == "table" and given or {}) do
        if name ~= "address" and name ~= "context" then
            complain("option 'metrics': unknown field '%s'", tostring(name))
        end
    end
    if type(address) ~= "string" then complain "option 'metrics': its address is a string" end
    split(address, "metrics")
    local context = type(given) == "table" and given.context
    if context and type(context) ~= "table" and type(context) ~= "function" then
        complain "option 'metrics': its context is a table or a function"
    end
end

-- Early data are of use only to a handler that asks conn:early(), so both sides must be said.
local function check_early(options)
    local most = type(options.context) == "table" and options.context.max_early_data or nil
    if most and not options.early_data and most ~= 0 then
        complain("option 'context': max_early_data is of no use without early_data = true, and " ..
            "a handler that asks conn:early()")
    elseif most == 0 and options.early_data then
        complain "option 'early_data': the context's max_early_data is 0"
    end
end

--- A copy of the options. Raises for an option that is unknown, missing or of the wrong type.
function setup.check(options)
    if type(options) ~= "table" then
        complain("a table of options expected, got %s", type(options))
    end
    local checked = {}
    for name, value in pairs(options) do
        local row = ROWS[name] or complain("unknown option '%s'", tostring(name))
        if not row[1](value) then
            complain("option '%s': %s expected, got %s", name, row[2], tostring(value))
        end
        checked[name] = value
    end
    for _, name in ipairs {"address", "context"} do
        if checked[name] == nil then complain("option '%s' is missing", name) end
    end
    if not (checked.handler or checked.on_request) then
        complain "option 'handler' is missing"
    elseif checked.handler and checked.on_request then
        complain "options 'handler' and 'on_request' exclude each other"
    end
    check_addresses(checked)
    if checked.metrics then check_metrics(checked.metrics) end
    check_early(checked)
    local role = type(checked.context) == "table" and checked.context.role
    if role and role ~= "server" then
        complain("option 'context': its role is server, not '%s'", tostring(role))
    end
    return checked
end

-- ----------------------------------------------------------------------------------------- sockets

-- The listeners of one address, each with one socket, or nil, message, err.
local function listen_on(options, address, port)
    local host, own_port = split(address)
    local listener, message, err = core.listen(host, port or own_port, {
        backlog = options.backlog, reuse_port = options.reuse_port,
        mode = is_unix(address) and options.mode or nil,
        proxy_protocol = options.proxy_protocol, proxy_from = options.proxy_from,
    })
    if not listener then return nil, message, err end
    local list
    list, message, err = listener:split()
    if not list then
        listener:close()
        return nil, message, err
    end
    return list
end

--- Listens on the addresses of the options. ports, a list, replaces the ports that they name.
-- Returns three lists: the listeners, of which a name with several addresses has several; their
-- ports (false for a Unix socket); and the port of each address. Or nil, message, err.
function setup.listen(options, ports)
    local listeners, found, of_addresses = {}, {}, {}
    for i, address in ipairs(addresses_of(options.address)) do
        local list, message, err = listen_on(options, address, ports and ports[i])
        if not list then
            for _, one in ipairs(listeners) do one:close() end
            return nil, message, err
        end
        of_addresses[i] = list[1]:port() or false
        for _, one in ipairs(list) do
            listeners[#listeners + 1], found[#found + 1] = one, one:port() or false
        end
    end
    return listeners, found, of_addresses
end

-- ------------------------------------------------------------------------------------------ shared

local SLAB_SIZE <const> = 16 << 20
local EARLY_DATA <const> = 16384 -- bytes of early data, as nginx has it

-- A cache of this process; or, with the name of a slab, one that it shares with other processes.
local function make_cache(secret, slab)
    if not slab then return assert(core.cache {}) end
    local store, message = core.shared {path = "shm:" .. slab, size = SLAB_SIZE}
    if not store then error(message, 0) end
    return assert(core.cache {store = store, keyring = core.keyring {secret}})
end

--- What contexts share: ticket_keys, worker, and cache, which is made when it is first read. given
-- has the log and, for a process, the secret and the name of the slab (nil: a cache of this process
-- only), for a thread the ticket_keys and the cache.
function setup.shared(given)
    local shared = {
        worker = given.worker, log = given.log,
        ticket_keys = given.ticket_keys or core.ticket_keys {secret = given.secret},
    }
    return setmetatable(shared, {__index = function(_, name)
        if name ~= "cache" then return nil end
        shared.cache = given.cache or make_cache(given.secret, given.slab)
        return shared.cache
    end})
end

--- Removes the slab's name. Processes that have mapped the slab keep it.
function setup.forget_slab(slab)
    os.remove("/dev/shm/tlslife-" .. slab)
end

-- ---------------------------------------------------------------------------------------- contexts

-- Whether OpenSSL's option NO_TICKET is set among these, under any of its names.
local function without_tickets(options)
    if type(options) ~= "table" then return false end
    for name, value in pairs(options) do
        local plain = tostring(name):upper():gsub("^SSL_OP_", "")
        if value == true and plain == "NO_TICKET" then return true end
    end
    return false
end

-- The cache for session ids where the options name none. Without room in shared memory each worker
-- has a cache of its own.
local function cache_by_default(shared, early)
    local ok, message = pcall(function() return shared.cache end)
    if not ok then
        if shared.worker == 0 then -- only the parent warns, once for all workers
            shared.log("warning",
                ("session ids resume at their own worker only%s: %s"):format(
                    early and ", and early data are accepted there only" or "", message))
        end
        shared.cache = core.cache {}
    end
    return shared.cache
end

-- The cache of a context whose options name none, or nil. A program that asks for "stateful" relies
-- on the cache that the workers share: an error if it cannot be made.
local function choose_cache(resumption, shared, early)
    if resumption == "stateful" then return shared.cache end
    local wanted = resumption ~= "off" and (resumption ~= "tickets" or early)
    return wanted and cache_by_default(shared, early) or nil
end

-- A context from a table of options. What the table leaves open comes from what the workers share,
-- so that a session resumes at every worker, and after a reload. With early data the cache has the
-- permits of tickets, too.
local function of_table(given, shared, early)
    local all = {}
    for name, value in pairs(given) do all[name] = value end
    all.role = "server"
    if all.cache == nil then
        all.cache = choose_cache(all.resumption, shared, early)
        if all.resumption == nil then
            all.resumption = without_tickets(all.options) and "stateful" or "both"
        end
    end
    if early and all.max_early_data == nil then all.max_early_data = EARLY_DATA end
    if all.resumption ~= "off" then all.ticket_keys = all.ticket_keys or shared.ticket_keys end
    return arguments.judged("context", core.context, all)
end

local function of_function(make, shared)
    local context, message, err = make(shared)
    if core.type(context) == "context" and context:role() == "server" then return context end
    if context == nil and type(message) == "string" then return nil, message, err end
    complain "option 'context': the function gave no server's context"
end

--- Makes the context that the options describe: reads the files, or calls the function. Fails, too,
-- when the context could serve no client, which its first connection tells.
function setup.context(options, shared)
    local make = type(options.context) == "table" and of_table or of_function
    local context, message, err = make(options.context, shared, options.early_data)
    if not context then return nil, message, err end
    local conn
    conn, message, err = context:connection()
    if not conn then return nil, message, err end
    conn:free()
    return context
end

--- Does the same, and returns nil and the message instead of raising.
function setup.try_context(options, shared)
    local ok, context, message, err = pcall(setup.context, options, shared)
    if ok then return context, message, err end
    return nil, tostring(context)
end

-- ------------------------------------------------------------------------------------- run and log

--- Runs the loop until the server has stopped.
function setup.run(server)
    local stopped = false
    server.on_stopped[#server.on_stopped + 1] = function()
        stopped = true
        uv.stop()
    end
    repeat uv.run() until stopped
end

--- Stops a server at once, and runs the loop until it has stopped.
function setup.stop(server)
    local stopped = false
    server:stop(0, function() stopped = true end)
    repeat uv.run "once" until stopped
end

--- A function of level and message that logs and never raises. name is "worker 2" or nil.
function setup.log(options, name)
    local log = options.log
    local prefix = name and "tlslife: " .. name .. ": " or "tlslife: "
    return function(level, message)
        if log and pcall(log, level, message) then return end
        io.stderr:write(prefix .. level .. ": " .. message .. "\n")
    end
end

return setup
