-- workers_spec.lua: tests that processes that share a file of sessions, or only a secret for their
-- tickets, resume one another's sessions, and go on when one of them is killed.
-- (spec/c/cache/slab_test.c kills them at any instruction, thousands of times.)

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local p = pki.get()
local FILES = ("%q, %q, %q"):format(p.ca_file, p.server_cert_file, p.server_key_file)

-- A worker has a client and a server of its own, in memory. Arguments: what it shares ("slab" or
-- "secret"), the slab's path, the protocol, the file of the session, and what to do: "make" (full),
-- "resume" (once), "storm" (until killed: each round makes a session and resumes it, over and
-- over).
local WORKER = ([[
local tls = require "tlslife"
local ca, cert, key = %s
local shares, path, version, file, order = table.unpack(arg)
local secret = ("w"):rep(32)
local options = {role = "server", certificate = cert, private_key = key}
if shares == "slab" then
    options.cache = assert(tls.cache {store = assert(tls.shared {path = path, size = 1 << 20}),
        keyring = tls.keyring {secret}, in_memory = false})
else
    options.ticket_keys = tls.ticket_keys {secret = secret, epoch = 604800, older = 2}
end
local server = assert(tls.context(options))
local client = assert(tls.context {role = "client", ca = ca, max_version = version})
local function visit(session)
    local a, b = assert(client:connection()), assert(server:connection())
    a:set_blocking(false)
    b:set_blocking(false)
    a:set_hostname "localhost"
    tls.pair(a, b)
    if session then a:set_session(session) end
    repeat
        local done, why = a:connect()
        assert(done or why == "want_read", why)
        local accepted, refused = b:accept()
        assert(accepted or refused == "want_read", refused)
    until done and accepted
    a:read()
    local word, newest = b:resumption(), a:take_session() or a:session()
    a:shutdown() b:shutdown() b:read() b:shutdown() a:read() a:shutdown()
    local bytes = newest:export()
    a:free() b:free()
    return word, bytes
end
local function load()
    local f = assert(io.open(file, "rb"))
    local bytes = f:read "a"
    f:close()
    return client:import_session(bytes)
end
local function save(bytes)
    local f = assert(io.open(file, "wb"))
    f:write(bytes)
    f:close()
end
io.stdout:setvbuf "line"
if order == "storm" then
    print "storming"
    while true do
        local _, bytes = visit()
        for _ = 1, 20 do bytes = select(2, visit(client:import_session(bytes))) end
    end
end
local word, bytes = visit(order == "resume" and load() or nil)
save(bytes)
print(word)
]]):format(FILES)

local script
local function command(...)
    script = script or process.spill(process.directory() .. "/worker.lua", WORKER)
    return {program.path, script, timeout = 30, ...}
end

local function work(...)
    local code, output = process.run(command(...))
    assert.equal(0, code, output)
    return output
end

local count = 0
local function fresh(name)
    count = count + 1
    return ("%s/%s%d"):format(process.directory(), name, count)
end

describe("worker processes", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
        for _, shares in ipairs {"slab", "secret"} do
            -- each is gone before the next one starts: so it is across restarts, too
            it(("that share a %s resume one another's sessions, %s"):format(shares, version),
                    function()
                local slab, session = fresh "slab", fresh "session"
                assert.equal("not_offered\n", work(shares, slab, version, session, "make"))
                for _ = 1, 3 do
                    assert.equal("resumed\n", work(shares, slab, version, session, "resume"))
                end
            end)
        end

        it("that share nothing do not resume one another's sessions, " .. version, function()
            local session = fresh "session"
            work("slab", fresh "slab", version, session, "make")
            assert.equal("not_cached\n", work("slab", fresh "slab", version, session, "resume"))
        end)
    end

    it("go on serving when others are killed", function()
        local slab = fresh "slab"
        for i = 1, 12 do
            local one = process.start(command("slab", slab, "TLSv1.2", fresh "session", "storm"))
            one:wait_for "storming"
            process.sleep(i % 5 / 100)
            one:stop() -- SIGKILL, in the middle of whatever it did
            if i % 4 == 0 then
                local session = fresh "session"
                assert.equal("not_offered\n", work("slab", slab, "TLSv1.2", session, "make"))
                assert.equal("resumed\n", work("slab", slab, "TLSv1.2", session, "resume"))
            end
        end
    end)
end)
