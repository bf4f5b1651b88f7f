-- program_threads.lua: starts threads of the program (src/program/threads.c) that serve one socket
-- and connect to it, with one cache. ThreadSanitizer and program_spec.lua watch them.
-- Usage: tlslife spec/program/program_threads.lua cert.pem key.pem ca.pem
--
-- Workers 1 and 2 are servers, until the control descriptor's other end is closed; 3 and 4 are
-- clients, whose status says how many of their visits resumed.

local tls = require "tlslife"
local uv = require "luv"
local worker = require "tlslife.worker"

local SERVERS, WORKERS, VISITS = 2, 4, 20
local certificate, key, ca = arg[1], arg[2], arg[3]

local function echo(conn)
    local bytes = conn:accept() and conn:read()
    if bytes then conn:write(bytes) end
    conn:close(5)
end

local function serve()
    local context = assert(tls.context {role = "server", certificate = certificate,
        private_key = key, cache = worker.cache, ticket_keys = worker.ticket_keys,
        resumption = "stateful", timeout = 10})
    local control, stopping = uv.new_pipe(false), false
    control:open(worker.control)
    control:read_start(function(_, bytes) stopping = not bytes end)
    repeat
        local conn <close> = worker.listeners[1]:accept(context, 0.05)
        if conn then echo(conn) end
        uv.run "nowait"
    until stopping
    control:close()
    uv.run()
end

local function visit(context)
    local conn <close> = assert(context:connection())
    conn:set_hostname "localhost"
    assert(conn:dial("127.0.0.1", worker.listeners[1]:port()))
    assert(conn:connect())
    assert(conn:write "hello" and conn:read() == "hello")
    conn:close(5)
    return conn:session_reused()
end

local function visit_all()
    local context = assert(tls.context {role = "client", ca = ca, cache = worker.cache,
        timeout = 10})
    local resumed = 0
    for _ = 1, VISITS do resumed = resumed + (visit(context) and 1 or 0) end
    os.exit(resumed)
end

if worker then
    local work = worker.index <= SERVERS and serve or visit_all
    return work()
end

local host = require "tlslife.host"
local passed, failed = 0, 0

local function check(good, what)
    if good then passed = passed + 1 else failed = failed + 1 print("failed: " .. what) end
end

local cache, listener = assert(tls.cache {}), assert(tls.listen("127.0.0.1", 0))
local threads, ends = {}, {}
for i = 1, WORKERS do
    local pair = uv.socketpair(nil, nil, {nonblock = true}, {nonblock = true})
    ends[i] = uv.new_pipe(false)
    ends[i]:open(pair[1])
    threads[i] = assert(host.thread {index = i, control = pair[2], listeners = {listener},
        cache = cache, ticket_keys = tls.ticket_keys {}})
end
for i = SERVERS + 1, WORKERS do
    local resumed = threads[i]:join()
    check(resumed >= VISITS // 2 and resumed <= VISITS, "resumed: " .. resumed)
end
for i = 1, WORKERS do ends[i]:close() end
uv.run()
for i = 1, SERVERS do check(threads[i]:join() == 0, "server " .. i) end
check(cache:stats().hits > 0, "hits")
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0, true)
