-- random_spec.lua: runs random programs and fleets (spec/random) in processes of their own, and
-- those that once failed.

local process = require "spec.support.process"
local program = require "spec.support.program"
local pki = require "spec.support.pki"
local compare = require "spec.random.walk_compare"

-- Under a sanitizer a program takes ten times as long, and where each line is counted, too. The
-- seeds of the two builds follow each other: together they are 5,000 programs.
local SANITIZED <const> = program.is_sanitized()
local SEQUENCES = tonumber(os.getenv "TLSLIFE_SEQUENCES") or SANITIZED and 500 or 4500
local BEFORE <const> = SANITIZED and 4500 or 0
local LINES = 30
local PARTS = 5
-- Those of these seeds have whatever is counted, also stores that do not answer.
local FLEETS <const>, FIRST_FLEET <const> = SANITIZED and 4 or 25, SANITIZED and 55 or 30
local WALKS, CALLS = 300, 16 -- at most so many calls in each

describe("a random program", function()
    if not program.ours then return pending "not in the program tlslife" end

    local sums = {} -- of what all parts have reached, by its words

    for part = 1, PARTS do
        local n = SEQUENCES // PARTS
        local first = BEFORE + (part - 1) * n + 1
        it(("breaks no rule of spec/random/play.lua, seeds %d to %d"):format(first, first + n - 1),
                function()
            local status, output = process.run {program.path, "spec/random/run.lua",
                "--seed", first, "--sequences", n, "--lines", LINES, timeout = 240,
                environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
            assert(status == 0, output)
            local reached = output:match(
                ("proved random: %d sequences, %%d+ steps %%(connections: (.-)%%); 0 findings\n")
                :format(n))
            assert.truthy(reached, output)
            for count, what in reached:gmatch "(%d+) ([^,]+)" do
                sums[what] = (sums[what] or 0) + math.tointeger(count)
            end
        end)
    end

    -- A draw that leads nowhere is seen here, at least in so many programs as the suite has without
    -- a sanitizer.
    it("reaches each kind of connection, with the others", function()
        assert.is_true(sums.open > 0)
        for what, sum in pairs(sums) do assert(SANITIZED or sum > 0, what) end
    end)
end)

-- The lines whose result a seed does not decide: ports, time, and the order of threads do.
local DECIDED_ELSEWHERE <const> = {"dial%(", "serve {", "serve_all", "visit", "thread", "workers",
    "redis", "sockets", "lend", "pipes", "wrap", "listen", "timeout = 0.0[25]", "set_timeout",
    "settle", "trace"}
local AGAIN = 4
local SEEN <const> = {state = true, version = true, cipher = true, resumption = true,
    get_shutdown = true, early_data_status = true, group = true, is_resumable = true}

local function is_decided(lines)
    local text = table.concat(lines, "\n")
    for _, pattern in ipairs(DECIDED_ELSEWHERE) do
        if text:find(pattern) then return false end
    end
    return true
end

describe("a random program that is played again", function()
    if not program.ours then return pending "not in the program tlslife" end

    -- What was seen of connections after each line, but for what has the time in it, or random
    -- bytes, which the seed does not decide with each OpenSSL.
    local function story(seed)
        local status, output = process.run {program.path, "spec/random/run.lua", "--tell", seed,
            timeout = 60, environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
        assert(status == 0, output)
        local seen = {}
        for line in output:gmatch "[^\n]+" do
            seen[#seen + 1] = line:match "^line %d+"
            for name, value in line:gmatch "%f[%w_]([%l_]+)=(%g*)" do
                if SEEN[name] then seen[#seen + 1] = name .. "=" .. value end
            end
        end
        assert.is_true(#seen > 40, output)
        return table.concat(seen, "\n")
    end

    it("does the same: its seed decides", function()
        local generate = require "spec.random.generate"
        local played, seed = 0, 0
        while played < AGAIN do
            seed = seed + 1
            if is_decided(generate(seed, 40)) then
                assert.equal(story(seed), story(seed), "seed " .. seed)
                played = played + 1
            end
        end
        assert.is_true(seed < 500)
    end)
end)

describe("a fleet of caching clients", function()
    if not program.ours then return pending "not in the program tlslife" end

    it("resumes where the model says so, and says why where it does not", function()
        local status, output = process.run {program.path, "spec/random/run.lua", "--fleets", FLEETS,
            "--seed", FIRST_FLEET, timeout = 240,
            environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
        assert(status == 0, output)
        local connections, settings, resumed, accepted, rejected, given_up = output:match(
            "proved fleet: (%d+) connections in (%d+) settings, (%d+) resumed, early data "
            .. "accepted of (%d+) and rejected of (%d+), (%d+) that waited in vain for a store; "
            .. "0 findings\n")
        assert.equal(FLEETS, math.tointeger(settings), output)
        assert.is_true(math.tointeger(resumed) > math.tointeger(connections) // 10, output)
        for _, n in ipairs {accepted, rejected, given_up} do
            assert.is_true(math.tointeger(n) > 0, output)
        end
    end)
end)

describe("each fault that ./dev random --prove puts back", function()
    it("fits the code of today", function()
        for _, fault in ipairs(require "spec.random.put_back") do
            for _, change in ipairs(fault.changes) do
                local text = process.slurp(change[1])
                local from, to = text:find(change[2], 1, true)
                assert.is_truthy(from, ("%s: %s"):format(fault.name, change[2]))
                assert.is_nil(text:find(change[2], to + 1, true), fault.name)
            end
        end
    end)
end)

-- What is left of programs that failed. Under AddressSanitizer the third tells by its leak.
local FOUND = {
    ["a list longer than memory is written"] = {
        [[o[6] = tls.context {role = 'server', certificate = p.server_cert,
            private_key = p.server_key}]],
        [[o[12] = o[6]:connection(); o[12]:set_blocking(false)]],
        [[o[12]:write(long)]],
    },
    ["a hook takes the session, and the group is asked for"] = {
        [[o[1] = tls.context {role = 'client', ca = p.ca_pem}]],
        [[o[5] = tls.context {role = 'server', certificate = p.server_cert,
            private_key = p.server_key, ca = p.ca_pem, verify = 'optional',
            on_verify = function(c) c:set_session(); return true end}]],
        [[o[15] = o[1]:connection(); o[15]:set_blocking(false); o[15]:set_hostname 'localhost']],
        [[o[16] = o[5]:connection(); o[16]:set_blocking(false)]],
        [[tls.pair(o[15], o[16])]],
        [[drive(o[15], o[16])]],
    },
    ["a connection is cleared while on_hello yields"] = {
        [[o[1] = tls.context {role = 'client', ca = p.ca_pem}]],
        [[o[4] = tls.context {role = 'server', certificate = p.server_cert,
            private_key = p.server_key, on_hello = function() yield() end}]],
        [[o[11] = o[1]:connection(); o[11]:set_blocking(false); o[11]:set_hostname 'localhost']],
        [[o[12] = o[4]:connection(); o[12]:set_blocking(false)]],
        [[tls.pair(o[11], o[12])]],
        [[o[41] = coroutine.create(drive); resume(o[41], o[11], o[12])]],
        [[o[12]:clear()]],
        [[o[11]:clear()]],
        [[drive(o[11], o[12])]],
    },
    ["shutdown comes after a write that came after shutdown"] = {
        [[o[1] = tls.context {role = 'client', ca = p.ca_pem}]],
        [[o[4] = tls.context {role = 'server', certificate = p.server_cert,
            private_key = p.server_key}]],
        [[o[15] = o[1]:connection(); o[15]:set_blocking(false); o[15]:set_hostname 'localhost']],
        [[o[16] = o[4]:connection(); o[16]:set_blocking(false)]],
        [[tls.pair(o[15], o[16])]],
        [[drive(o[15], o[16])]],
        [[o[15]:shutdown(); o[15]:write 'x']],
        [[o[15]:shutdown()]],
    },
}

-- What is left of fleets that failed; the last three, with faults that were put in: a cache that
-- forgot what was used last, and a store's late answer whose entry was not removed.
local FOUND_FLEETS = {
    ["a session that has become bad goes from a client's external store"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1})]],
        [[cache(1, {store = true}) client(1, {cache = 1})]],
        [[visit(1, 1, {ends = "client_drops"})]],
        [[visit(1, 1, {})]],
    },
    ["and the same of TLS 1.2, which the store was asked for"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1, version = "TLSv1.2"})]],
        [[cache(1, {store = true}) client(1, {cache = 1})]],
        [[visit(1, 1, {})]],
        [[visit(1, 1, {ends = "server_drops"})]],
        [[visit(1, 1, {})]],
    },
    ["a ticket stays in a client's external store when another becomes bad in memory"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1})]],
        [[cache(1, {store = true, in_memory = true}) client(1, {cache = 1})]],
        [[visit(1, 1, {ends = "client_drops"})]],
        [[visit(1, 1, {})]],
    },
    ["a store of functions is told when a connection is freed, and not by a later call"] = {
        [[home(1, {kind = "stateful", cache = true, store = true, machines = true})]],
        [[server(1, {home = 1})]],
        [[cache(1, {}) client(1, {cache = 1})]],
        [[visit(1, 1, {ends = "cut"})]],
        [[restart(1, "same")]],
        [[visit(1, 1, {})]],
    },
    ["a server of early data gives a client of TLS 1.2 no id that leads nowhere"] = {
        [[home(1, {kind = "tickets", keys = "derived"}) server(1, {home = 1, early = true})]],
        [[cache(1, {}) client(1, {cache = 1, version = "TLSv1.2", no_ticket = true})]],
        [[visit(1, 1, {})]],
        [[visit(1, 1, {})]],
    },
    ["a session that expired while its connection lasted is called expired"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1, version = "TLSv1.2"})]],
        [[cache(1, {}) client(1, {cache = 1, lifetime = 65})]],
        [[visit(1, 1, {lasts = 1})]],
        [[pass(300)]],
        [[finish(1, "client_drops")]],
        [[visit(1, 1, {})]],
    },
    ["a client's full cache loses what was used longest ago"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1, version = "TLSv1.2"})]],
        [[cache(1, {capacity = 2}) client(1, {cache = 1})]],
        [[visit(1, 1, {}) visit(1, 1, {name = "a.example"}) visit(1, 1, {})]],
        [[visit(1, 1, {name = "x.b.example"})]],
        [[visit(1, 1, {})]],
        [[visit(1, 1, {name = "a.example"})]],
    },
    ["what a store answers late is offered once"] = {
        [[home(1, {kind = "tickets"}) server(1, {home = 1, num_tickets = 1})]],
        [[cache(1, {store = true}) client(1, {cache = 1})]],
        [[visit(1, 1, {})]],
        [[cache_fails(1, "get_late")]],
        [[visit(1, 1, {deaf = true})]],
        [[visit(1, 1, {})]],
    },
    ["and so does a server's"] = {
        [[home(1, {kind = "stateful", cache = true, capacity = 2})]],
        [[server(1, {home = 1, version = "TLSv1.2"}) cache(1, {}) client(1, {cache = 1})]],
        [[visit(1, 1, {}) visit(1, 1, {name = "a.example"}) visit(1, 1, {})]],
        [[visit(1, 1, {name = "x.b.example"})]],
        [[visit(1, 1, {})]],
        [[visit(1, 1, {name = "a.example"})]],
    },
}

--- The clock is loaded before the program. It is named without its path, because ld.so(8) takes
-- LD_PRELOAD apart at spaces.
local function play(path, kind)
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    local clock = process.spill(process.directory() .. "/clock", ("\0"):rep(16))
    return process.run {"env", "LD_PRELOAD=clock.so",
        "LD_LIBRARY_PATH=" .. build .. "/spec/faults",
        "TLSLIFE_CLOCK_FILE=" .. clock,
        "ASAN_OPTIONS=" .. (os.getenv "ASAN_OPTIONS" or "detect_leaks=1")
            .. ":verify_asan_link_order=0",
        program.path, "spec/random/run.lua", "--play", path, kind, timeout = 60,
            environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
end

describe("what once failed", function()
    for kind, found in pairs {program = FOUND, fleet = FOUND_FLEETS} do
        for name, lines in pairs(found) do
            it(("fails no more, %s: %s"):format(kind, name), function()
                local path = process.spill(process.directory() .. "/found.lua",
                    (table.concat(lines, "\n"):gsub("\n  +", " ")) .. "\n")
                local status, output = play(path, kind)
                assert(status == 0, output)
                assert.truthy(output:find(("line %d"):format(#lines), 1, true), output)
            end)
        end
    end
end)

describe("a random walk", function()
    if not program.ours then return pending "not in the program tlslife" end

    it("gives what libssl gives, but for what docs/differences.md lists", function()
        local status, output = process.run {program.path, "spec/random/run.lua", "--walks", WALKS,
            "--seed", SANITIZED and WALKS + 1 or 1, "--lines", CALLS, timeout = 240,
            environment = {TLSLIFE_PKI_DIR = pki.get().dir}}
        assert(status == 0, output)
        local walks, alike = output:match("proved walks: (%d+) walks of %d+ calls compared with "
            .. "libssl, (%d+) results alike; 0 findings\n")
        assert.equal(WALKS, math.tointeger(walks), output)
        assert.is_true(math.tointeger(alike) > 8 * WALKS, output)
    end)

    it("differs by rows that docs/differences.md has", function()
        local page = process.slurp "docs/differences.md"
        for _, row in ipairs(compare.rows()) do
            assert.truthy(page:find("\n| " .. row, 1, true), row)
        end
    end)

    it("is found to differ where one result does", function()
        local function differs(ours)
            return compare.lines("s.read=1 p.write=1 resumable=1", ours, "tls12_id client open")
        end
        assert.is_nil((differs "s.read=1 p.write=1 resumable=1"))
        assert.equal(2, differs "s.read=1 p.write=0/want_write resumable=1".token)
        assert.equal(3, differs "s.read=1 p.write=1".token)
    end)
end)
