-- oracle_spec.lua: every case that the oracle (spec/c/oracle/oracle.c) runs on libssl alone is run
-- here through tlslife. What the calls return must be the same, word for word, whichever OpenSSL 3
-- is installed.
--
-- Where tlslife differs on purpose, DIFFERENCES says in which token, and why. A difference that is
-- no longer one is a failure too.

local Scene = require "spec.support.scene"
local expect = require "spec.support.expect"
local lives = require "spec.support.lives"
local process = require "spec.support.process"
local program = require "spec.support.program"

local KINDS = {"tls12_id", "tls12_ticket", "tls13_stateful", "tls13_stateless"}
local ROLES = {"client", "server"}

local function bit(value) return value and 1 or 0 end

local function count(set_of_things)
    local n = 0
    for _ in pairs(set_of_things) do n = n + 1 end
    return n
end

-- --------------------------------------------------------------------------------- the differences

-- What a failed connection says again: the word of its first failure.
local function first_failure(token, list)
    for _, earlier in ipairs(list) do
        local word = earlier:match "^s%.%a+=%-?%d/(ssl:.*)$"
        if word and earlier ~= token then return token:match "^[^/]*/" .. word end
    end
    return token
end

-- A server's own session of a TLS 1.2 ticket has neither id nor ticket.
local NEVER_RESUMABLE = "^tls12_ticket/server/"

-- row: what a row of docs/differences.md begins with. case: a pattern for the case's name, and
-- except one for those left out. What is told here instead of what libssl tells, and why:
--   theirs, ours   a pattern for its token, and ours: with captures of theirs as %1, or a function
--                  of the token and all
--   like           an end of the matrix, whose tokens from the masks on stand in the place of these
--   state          in that state libssl does what we do in this one
--   line           all of it
-- Each must change something in every case that it names, but for those that are so in some
-- versions of libssl only (in_some). They apply in this order.
local DIFFERENCES = {
    {
        case = "^tls1%d_[is][dt]%w*/server/context_freed$", except = "stateless",
        theirs = "^resumable=0$", ours = "resumable=1",
        row = "free` of a server's context",
        why = "libssl's own cache makes the sessions bad that it holds when its SSL_CTX goes; " ..
            "with ours only the end of a connection does",
    },
    {
        case = "/full_write/", theirs = "^s%.shutdown=%-1/want_write$", ours = "s.shutdown=raises",
        row = "shutdown` while a write waits",
        why = "libssl gives the waiting record's place to the close_notify, and the record is " ..
            "never finished: refused",
    },
    {
        case = "/full_write/", like = "none",
        row = "shutdown` while a write waits",
        why = "a shutdown that is refused has no effect: the session is judged as if it had not " ..
            "been called",
    },
    {
        case = "/shutdown_write_waits$",
        line = "s.write=0/want_write s.shutdown=raises p.read=0/want_read s.shutdown=raises " ..
            "p.read=0/want_read s.shutdown=raises p.read=0/want_read s.write=0/want_write " ..
            "p.read=0/want_read s.write=1 p.read=1 s.mask=0 p.mask=0",
        row = "shutdown` while a write waits",
        why = "libssl 3.0 fails with bad write retry, 3.5 loses the record: refused until the " ..
            "write is finished",
    },
    {
        case = "/shutdown_before$", theirs = "^s%.shutdown=%-1/.*$", ours = "s.shutdown=raises",
        row = "shutdown` before the handshake is done",
        why = "a shutdown with nothing to shut down is the program's mistake",
    },
    {
        case = "/shutdown_during$", theirs = "^s%.shutdown=%-1/.*$", ours = "s.shutdown=raises",
        row = "shutdown` before the handshake is done",
        why = "a shutdown in the middle of a handshake is the program's mistake",
    },
    {
        case = "/in_updating_shutdown_", state = "open",
        row = "shutdown` while a message after",
        why = "libssl refuses a shutdown while a key update waits to be sent: it is sent first",
    },
    {
        case = "/shutdown_after_", theirs = "^s%.shutdown=%-1/.*$", ours = first_failure,
        row = "a call on a connection that failed",
        why = "libssl says shutdown while in init; a connection that failed goes on saying why " ..
            "it did",
    },
    {
        case = "/shutdown_after_", theirs = "^s%.[rw]%a+=0/[sz][^:]*$", ours = first_failure,
        row = "a call on a connection that failed",
        why = "libssl says no more than SSL_ERROR_SYSCALL without errno, or even a clean end " ..
            "after a fatal alert",
    },
    {
        case = "/handshake_alert_sent$", theirs = "^s%.handshake=%-1/syscall$",
        ours = first_failure,
        row = "a call on a connection that failed",
        why = "libssl says no more than SSL_ERROR_SYSCALL without errno: we say again why " ..
            "it failed",
    },
    {
        case = "/read_before$", theirs = "^s%.read=0/want_read$", ours = "s.read=raises",
        row = "read` or",
        why = "SSL_read would begin a handshake by itself: reading comes after connect or accept",
    },
    {
        case = "/write_before$", theirs = "^s%.write=0/want_read$", ours = "s.write=raises",
        row = "read` or",
        why = "SSL_write would begin a handshake by itself: writing comes after connect or accept",
    },
    {
        case = "/[rw]%a+_before$", theirs = "^begun=1$", ours = "begun=0",
        row = "read` or",
        why = "what was refused has begun nothing",
    },
    {
        case = "/clear_renegotiating$", theirs = "^clear=0/.*$", ours = "clear=1",
        row = "clear` while",
        why = "SSL_clear fails while a renegotiation is pending, when it has dropped the " ..
            "session: a peer could ask and go",
    },
    {
        case = "/dup_before$", theirs = "^quiet=0$", ours = "quiet=1",
        row = "dup` before",
        why = "SSL_dup forgets quiet shutdown: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^name=0$", ours = "name=1",
        row = "dup` before",
        why = "SSL_dup forgets the server name, though it goes on verifying it: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^alpn=0$", ours = "alpn=1",
        row = "dup` before",
        why = "SSL_dup forgets ALPN: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^group=0$", ours = "group=1",
        row = "dup` before",
        why = "SSL_dup forgets the groups: we copy them",
    },
    {
        case = "^tls13_%a+/server/dup_before$", theirs = "^kept=2$", ours = "kept=4",
        row = "dup` before",
        why = "SSL_dup forgets the number of tickets: we copy it",
    },
    {
        case = "/session_set_%a+$", theirs = "^set=1$", ours = "set=raises",
        row = "set_session` on",
        why = "SSL_set_session says 1 on a live connection, and on a server's, where it means " ..
            "nothing: refused",
    },
    {
        case = "/session_set_live$", except = NEVER_RESUMABLE, theirs = "^resumable=0$",
        ours = "resumable=1",
        row = "set_session` on",
        why = "a set_session that is refused judges nothing",
    },
    {
        case = "/session_set_live$", theirs = "^([sp]%.%a+)=0/.*$", ours = "%1=1", in_some = true,
        row = "set_session` on",
        why = "libssl 3.0 resets the method of a live connection, and nothing can be read or " ..
            "written any more",
    },
}

-- ---------------------------------------------------------------------------------- the comparison

-- The cases' names in the oracle's order, and its line of each.
local function ask_oracle()
    local code, output = process.run {program.oracle(), timeout = 60}
    assert(code == 0, ("%s ended with %s: %s"):format(program.oracle(), code, output))
    local names, lines = {}, {}
    for name, line in output:gmatch "([%w_/]+):([^\n]*)\n" do
        names[#names + 1], lines[name] = name, line
    end
    return names, lines
end

-- The lives that begin in a state are the same over each transport: over a pair all, over others
-- some, for they take time.
local OVER_TCP = {shutdown_shutdown = true, shutdown_write = true, read_shutdown = true,
    write_shutdown = true}

local function wires_of(name)
    local verbs = name:match "/in_.*_(%l+_%l+)$"
    if not verbs then return {"its wire"} end
    if name:find "^tls12" then return {"pair", "fed"} end
    return OVER_TCP[verbs] and {"pair", "tcp"} or {"pair"}
end

local function tokens(line)
    local list = {}
    for token in line:gmatch "%S+" do list[#list + 1] = token end
    return list
end

-- The index of the masks, with which the final status begins.
local function final_status_at(list)
    for i, token in ipairs(list) do
        if token:find "^s%.mask" then return i end
    end
end

-- The tokens, with the final status after another ending in the place of theirs.
local function with_final_status_of(like, list, name, lines)
    local other = tokens(lines[name:gsub("^(.-/.-/).-(/.*)$", "%1" .. like .. "%2")])
    local all = table.move(list, 1, final_status_at(list) - 1, 1, {})
    return table.move(other, final_status_at(other), #other, #all + 1, all)
end

local function substituted(difference, list)
    local all = {}
    for i, theirs in ipairs(list) do
        if not theirs:find(difference.theirs) then
            all[i] = theirs
        elseif type(difference.ours) == "string" then
            all[i] = theirs:gsub(difference.theirs, difference.ours)
        else
            all[i] = difference.ours(theirs, list)
        end
    end
    return all
end

local function ours_of(difference, list, name, lines)
    if difference.line then return tokens(difference.line) end
    if difference.state then
        local there = lines[name:gsub("/in_%l+_", ("/in_%s_"):format(difference.state))]
        return table.move(tokens(there), 1, 100, 2, {list[1]})
    end
    if difference.like then return with_final_status_of(difference.like, list, name, lines) end
    return substituted(difference, list)
end

-- What is expected here: libssl's tokens, but for what differs on purpose.
local function expected(name, lines)
    local list = tokens(lines[name])
    for _, difference in ipairs(DIFFERENCES) do
        if name:find(difference.case) and not name:find(difference.except or "^$") then
            local before = table.concat(list, " ")
            list = ours_of(difference, list, name, lines)
            assert(difference.in_some or table.concat(list, " ") ~= before,
                "libssl no longer differs from us: " .. difference.why)
        end
    end
    return table.concat(list, " ")
end

local function play(name, wire)
    local kind, role, rest = name:match "^([%w_]+)/(%a+)/(.+)$"
    local run = assert(lives.run(rest), "the oracle has a case that is not here")
    local scene = Scene.new(kind, role, lives.context_options[rest])
    run(scene, wire)
    scene:close()
    return table.concat(scene.line, " ")
end

describe("tlslife does as libssl does in", function()
    local names, lines = ask_oracle()

    it("as many cases as this spec has", function()
        local asked, matrix = {}, 0
        for _, name in ipairs(names) do
            local rest = name:match "^[^/]+/[^/]+/(.+)$"
            asked[rest] = true
            matrix = matrix + bit(rest:find "/")
        end
        for state in pairs(lives.states) do
            assert.truthy(asked[("in_%s_write_write"):format(state)],
                state .. ": the oracle does not know it")
        end
        for name in pairs(lives.sequences) do
            assert.truthy(asked[name], name .. ": the oracle does not know it")
        end
        assert.equal(#KINDS * #ROLES * count(lives.ends) * count(lives.disposals), matrix)
    end)

    it("every case but those that docs/differences.md lists", function()
        local first = process.slurp "docs/differences.md":match "\n%| in what case.-\n\n"
        local known = {["set_session(nil)"] = true} -- libssl crashes: shown below
        for _, difference in ipairs(DIFFERENCES) do
            known[difference.row] = true
            assert.truthy(first:find("\n| ?`?" .. difference.row:gsub("%p", "%%%0")),
                difference.row)
        end
        for row in first:gmatch "\n| `?([^|\n]+)" do
            local met = row:find "^in what" or row:find "^%-"
            for beginning in pairs(known) do met = met or row:sub(1, #beginning) == beginning end
            assert.truthy(met, row .. ": no difference shows it")
        end
    end)

    for _, name in ipairs(names) do
        for _, wire in ipairs(wires_of(name)) do
            it(("%s over %s"):format(name, wire), function()
                assert.equal(expected(name, lines), play(name, wire ~= "its wire" and wire or nil))
            end)
        end
    end
end)

-- SSL_set_session(NULL) in the middle of a client's handshake: libssl, 3.0 and 3.5, goes on and
-- reads through the NULL. The oracle would crash; here the connection has ended, and its session is
-- as it was.
describe("where libssl crashes, tlslife returns an error:", function()
    for _, kind in ipairs(KINDS) do
        it("a handshake whose session is taken, " .. kind, function()
            local scene = Scene.new(kind, "client")
            lives.begin_resuming(scene)
            assert.is_true(scene:subject():set_session(nil))
            assert.truthy(expect.fails("tls", scene:subject():handshake()).message:match "ended")
            assert.is_true(scene.held:is_resumable())
            scene:fresh("fresh", scene.held)
            assert.equal("fresh=1/1", scene.line[#scene.line])
            scene:close()
        end)
    end
end)
