-- oracle_spec.lua: every life that the oracle (spec/c/oracle.c) runs on bare libssl is run here through tlslife, and
-- what is told of it must be the same, word for word; on whatever OpenSSL this machine has.
--
-- Where tlslife differs on purpose, DIFFERENCES says in which token, and why. A difference that is no longer one is
-- a failure too.

local Scene = require "spec.support.scene"
local expect = require "spec.support.expect"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local SENT, RECEIVED = tls.SENT_SHUTDOWN, tls.RECEIVED_SHUTDOWN
local KINDS = {"tls12_id", "tls12_ticket", "tls13_stateful", "tls13_stateless"}
local ROLES = {"client", "server"}

local function bit(value) return value and 1 or 0 end

local function count(set_of_things)
    local n = 0
    for _ in pairs(set_of_things) do n = n + 1 end
    return n
end

-- --------------------------------------------------------------------------------------------- the matrix

local ends = {}

local function set(mask)
    return function(scene)
        scene:subject():set_shutdown(mask)
        scene:say("set_shutdown=%d", mask)
    end
end

function ends.none() end
ends.set1, ends.set2, ends.set3 = set(1), set(2), set(3)
function ends.one(scene) scene:shutdown(scene:subject()) end

function ends.zeroed(scene)
    ends.one(scene)
    set(0)(scene)
end

function ends.two(scene)
    ends.one(scene)
    scene:read(scene:peer())
    scene:shutdown(scene:peer())
    scene:shutdown(scene:subject())
end

function ends.quiet(scene)
    scene:subject():set_quiet_shutdown(true)
    ends.one(scene)
    scene:read(scene:peer())
end

function ends.unanswered(scene)
    scene:shutdown(scene:peer())
    scene:read(scene:subject())
end

function ends.answered(scene)
    ends.unanswered(scene)
    scene:shutdown(scene:subject())
end

function ends.eof(scene)
    scene:leave(scene:peer())
    scene:read(scene:subject())
end

function ends.alert_sent(scene)
    scene:garble(scene:subject())
    scene:read(scene:subject())
    scene:read(scene:peer())
end

function ends.alert_received(scene)
    scene:garble(scene:peer())
    scene:read(scene:peer())
    scene:read(scene:subject())
end

-- How many bytes a record adds to what it carries.
local function record_overhead(scene)
    scene:write(scene:subject(), 1)
    local record = scene:subject():drain()
    scene.late[scene:peer()] = record
    scene:read(scene:peer())
    return #record - 1
end

function ends.full(scene)
    local overhead = record_overhead(scene)
    scene:write(scene:subject(), Scene.CAPACITY - overhead)
    scene:shutdown(scene:subject())
end

function ends.full_write(scene)
    scene:write(scene:subject(), 16384)
    scene:shutdown(scene:subject())
end

-- The peer leaves with a byte unread: a socket that is reset, not one that ended.
function ends.gone(scene)
    scene:write(scene:subject(), 1)
    scene:leave(scene:peer())
    scene:shutdown(scene:subject())
end

local wires = {alert_sent = "fed", alert_received = "fed", full = "fed", full_write = "fed", gone = "tcp"}

local disposals = {}

function disposals.free(scene)
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:say "free"
    scene:settle_peer()
    scene:verdict()
end

local function clear(scene)
    scene:clear(scene:subject())
    scene:say("s.mask=%d", scene:subject():get_shutdown())
    scene:settle_peer()
end

function disposals.clear(scene)
    clear(scene)
    scene:verdict()
end

-- The same connection once more: a client offers what it still has, a server is offered the copy.
function disposals.again(scene)
    clear(scene)
    scene:replace_peer()
    if scene.role == "server" then scene.ends.client:set_session(scene.offer) end
    scene:say("handshake=%d", bit(scene:drive(scene.ends.client, scene.ends.server)))
    scene:reused "again"
    scene:resumable()
end

function disposals.unset(scene)
    scene:attempt("set_session", scene:subject(), "set_session", nil)
    scene:settle_peer()
    scene:verdict()
end

local function matrix_case(ending, disposal)
    return function(scene)
        scene:meet(wires[ending])
        scene:say("before=%d", bit(scene.held:is_resumable()))
        ends[ending](scene)
        scene:masks()
        disposals[disposal](scene)
    end
end

-- ------------------------------------------------------------------------------------------- the sequences

local sequences = {}

local function prepare_resuming(scene, wire)
    scene:meet()
    scene:prepare_again(wire)
    scene.ends.client:set_session(scene:offered(scene.offer))
end

local function begin_resuming(scene, wire)
    prepare_resuming(scene, wire)
    scene:begin()
end

-- ---- shutdown and masks

function sequences.shutdown_before(scene)
    scene:prepare()
    scene:shutdown(scene:subject())
    scene:masks()
    scene:finish()
end

function sequences.shutdown_during(scene)
    scene:prepare()
    scene:begin()
    scene:shutdown(scene:subject())
    scene:masks()
    scene:finish()
end

local function masks(start)
    return function(scene)
        scene[start](scene)
        for _, mask in ipairs {1, 0, 2, 3, 1, 2, 0} do
            scene:subject():set_shutdown(mask)
            scene:say("set%d=%d", mask, scene:subject():get_shutdown())
        end
    end
end

sequences.masks_before, sequences.masks_open = masks "prepare", masks "meet"

for mask = 1, 3 do
    sequences["set_then_shutdown_" .. mask] = function(scene)
        scene:meet()
        scene:subject():set_shutdown(mask)
        scene:shutdown(scene:subject())
        scene:read(scene:peer())
        scene:masks()
    end
end

function sequences.shutdown_zero_shutdown(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    scene:subject():set_shutdown(0)
    scene:shutdown(scene:subject())
    scene:read(scene:peer())
    scene:read(scene:peer())
    scene:peer():set_shutdown(0)
    scene:read(scene:peer())
    scene:read(scene:peer())
    scene:masks()
end

function sequences.shutdown_thrice(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    scene:shutdown(scene:peer())
    scene:shutdown(scene:peer())
    scene:shutdown(scene:subject())
    scene:shutdown(scene:subject())
    scene:masks()
end

function sequences.shutdown_waits(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    scene:shutdown(scene:subject())
    scene:masks()
    scene:resumable()
end

function sequences.shutdown_unread(scene)
    scene:meet()
    scene:write(scene:peer())
    scene:shutdown(scene:subject())
    scene:shutdown(scene:subject())
    scene:masks()
    scene:resumable()
end

function sequences.shutdown_unread_then_read(scene)
    scene:meet()
    scene:write(scene:peer())
    scene:shutdown(scene:peer())
    scene:shutdown(scene:subject())
    scene:read(scene:subject())
    scene:read(scene:subject())
    scene:shutdown(scene:subject())
    scene:masks()
end

function sequences.shutdown_tickets(scene)
    scene:prepare()
    scene:finish()
    scene:shutdown(scene:subject())
    scene:say("kept=%d", scene:keep())
    scene:read(scene:peer())
    scene:shutdown(scene:peer())
    scene:shutdown(scene:subject())
    scene:say("kept=%d", scene:keep())
    for _, session in ipairs(scene.kept) do scene:fresh("fresh", session) end
end

function sequences.shutdown_full_retry(scene)
    scene:meet "fed"
    ends.full(scene)
    scene:shutdown(scene:subject())
    scene:read(scene:peer())
    scene:shutdown(scene:subject())
    scene:read(scene:peer())
    scene:masks()
end

function sequences.shutdown_write_waits(scene)
    scene:meet()
    scene:write(scene:subject(), 16384)
    for _ = 1, 3 do
        scene:shutdown(scene:subject())
        scene:read(scene:peer())
    end
    for _ = 1, 2 do
        scene:write(scene:subject(), 16384)
        scene:read(scene:peer())
    end
    scene:masks()
end

for _, ending in ipairs {"eof", "alert_sent", "alert_received"} do
    sequences["shutdown_after_" .. ending] = function(scene)
        scene:meet(wires[ending])
        ends[ending](scene)
        scene:shutdown(scene:subject())
        scene:read(scene:subject())
        scene:write(scene:subject())
        scene:masks()
    end
end

function sequences.context_quiet(scene)
    scene:meet()
    scene:say("quiet=%d", bit(scene:subject():quiet_shutdown()))
    scene:shutdown(scene:subject())
    scene:read(scene:peer())
    scene:masks()
end

function sequences.half_closed(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    scene:write(scene:subject())
    scene:write(scene:peer())
    scene:read(scene:subject())
    scene:read(scene:peer())
    scene:write(scene:peer())
    scene:read(scene:subject())
    scene:masks()
end

function sequences.received_unread(scene)
    scene:meet()
    scene:write(scene:peer())
    scene:subject():set_shutdown(RECEIVED)
    scene:read(scene:subject())
    scene:subject():set_shutdown(0)
    scene:read(scene:subject())
    scene:masks()
end

function sequences.sent_write(scene)
    scene:meet()
    scene:subject():set_shutdown(SENT)
    scene:write(scene:subject())
    scene:subject():set_shutdown(0)
    scene:write(scene:subject())
    scene:read(scene:peer())
    scene:masks()
end

-- ---- before the handshake

for _, verb in ipairs {"read", "write"} do
    sequences[verb .. "_before"] = function(scene)
        scene:prepare()
        scene[verb](scene, scene:subject())
        scene:say("begun=%d", bit(scene:subject():state() ~= "before"))
    end
end

-- ---- clear

local function say_cleared(scene)
    local subject = scene:subject()
    scene:clear(subject)
    scene:say("before=%d", bit(subject:state() == "before"))
    scene:say("s.mask=%d", subject:get_shutdown())
    scene:say("reused=%d", bit(subject:session_reused()))
    scene:say("session=%d", bit(subject:session()))
end

function sequences.clear_before(scene)
    scene:prepare()
    say_cleared(scene)
    scene:finish()
end

function sequences.clear_during(scene)
    begin_resuming(scene)
    say_cleared(scene)
    scene:resumable()
    scene:replace_peer()
    if scene:finish() then scene:reused "again" end
end

function sequences.clear_twice(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    say_cleared(scene)
    say_cleared(scene)
    scene:resumable()
end

function sequences.clear_keeps(scene)
    scene:meet()
    scene:subject():set_quiet_shutdown(true)
    scene:shutdown(scene:subject())
    say_cleared(scene)
    scene:say("quiet=%d", bit(scene:subject():quiet_shutdown()))
    if scene.role == "client" then scene:say("name=%d", bit(scene:subject():hostname())) end
end

function sequences.clear_renegotiating(scene)
    scene:meet()
    scene:attempt("renegotiate", scene:subject(), "renegotiate")
    scene:clear(scene:subject())
    scene:resumable()
end

-- ---- dup

-- The dup takes the subject's place.
local function dup_in_place(scene)
    local from = scene:subject()
    local dup = assert(from:dup())
    scene:say("same=%d", bit(dup == from))
    scene:say("transport=%d", bit(dup:fd()))
    scene:say("quiet=%d", bit(dup:quiet_shutdown()))
    scene:say("s.mask=%d", dup:get_shutdown())
    Scene.settle(from)
    scene.ends[scene.role] = dup
end

function sequences.dup_before(scene)
    scene:prepare "tcp"
    local client, server = scene.ends.client, scene.ends.server
    scene:subject():set_quiet_shutdown(true)
    client:set_alpn {"dup/1"}
    client:set_groups "P-384:P-256"
    server:set_num_tickets(4)
    dup_in_place(scene)
    scene:rejoin()
    if not scene:finish() then return end
    server = scene.ends.server
    scene:say("name=%d", bit(server:server_name()))
    scene:say("alpn=%d", bit(server:alpn()))
    scene:say("group=%d", bit(not server:group():lower():find "x25519"))
    scene:exchange()
    scene:say("kept=%d", #scene.kept)
end

for _, mask in ipairs {1, 3} do
    sequences["dup_masked_" .. mask] = function(scene)
        scene:prepare "tcp"
        scene:subject():set_shutdown(mask)
        dup_in_place(scene)
    end
end

function sequences.dup_offering(scene)
    prepare_resuming(scene)
    dup_in_place(scene)
    scene:say("session=%d", bit(scene:subject():session() == scene.offer))
    scene:rejoin()
    if scene:finish() then scene:reused "again" end
end

local function dup_once_begun(scene)
    local subject = scene:subject()
    local dup = assert(subject:dup())
    scene:say("same=%d", bit(dup == subject))
    dup:free()
end

function sequences.dup_during(scene)
    scene:prepare()
    scene:begin()
    dup_once_begun(scene)
    scene:finish()
end

function sequences.dup_open(scene)
    scene:meet()
    dup_once_begun(scene)
    scene:resumable()
    scene:write(scene:subject())
    scene:read(scene:peer())
end

function sequences.dup_cleared(scene)
    scene:meet()
    scene:shutdown(scene:subject())
    say_cleared(scene)
    local dup = assert(scene:subject():dup())
    scene:say("same=%d", bit(dup == scene:subject()))
    scene:say("session=%d", bit(dup:session()))
    dup:free()
end

-- ---- references and contexts

function sequences.references(scene)
    scene:meet()
    local subject = scene:subject()
    scene:attempt("up_ref", subject, "up_ref")
    subject:free()
    scene:resumable()
    scene:write(subject)
    scene:read(scene:peer())
    subject:free()
    scene.ends[scene.role] = nil
    scene:resumable()
    assert.is_false((pcall(subject.free, subject)), "one free more than there are references")
end

function sequences.context_freed(scene)
    scene:meet()
    scene:settle_all()
    scene:resumable()
    scene.contexts[scene.role]:free()
    scene.contexts[scene.role] = nil
    scene:resumable()
end

-- ---- sessions

function sequences.session_stages(scene)
    scene:prepare()
    scene:say("session=%d", bit(scene:subject():session()))
    scene:finish()
    scene:resumable(scene:subject():session())
    scene:say("kept=%d", scene:keep())
    scene:exchange()
    scene:resumable(scene:subject():session())
    scene:say("kept=%d", scene:keep())
    scene:say("reused=%d", bit(scene:subject():session_reused()))
end

function sequences.session_replaced(scene)
    scene:meet()
    scene:prepare_again()
    local subject, copy = scene:subject(), scene.held:dup()
    scene:attempt("set", subject, "set_session", scene.held)
    scene:attempt("set", subject, "set_session", copy)
    scene:say("got=%d", bit(rawequal(subject:session(), copy)))
    scene:attempt("unset", subject, "set_session", nil)
    scene:say("got=%d", bit(subject:session()))
    scene:say("copy=%d", bit(copy:is_resumable()))
    scene:verdict()
end

function sequences.session_set_live(scene)
    scene:meet()
    scene:attempt("set", scene:subject(), "set_session", scene.held:dup())
    scene:resumable()
    scene:write(scene:peer())
    scene:read(scene:subject())
    scene:write(scene:subject())
    scene:read(scene:peer())
end

function sequences.session_set_during(scene)
    scene:meet()
    scene:prepare_again()
    scene:begin()
    scene:attempt("set", scene:subject(), "set_session", scene.held)
    scene:finish()
    scene:resumable()
end

function sequences.session_set_server(scene)
    scene:meet()
    scene:prepare_again()
    scene:attempt("set", scene:subject(), "set_session", scene.held)
    scene:resumable()
end

-- Offered to a server that never made it.
function sequences.session_refused(scene)
    scene:meet()
    scene:settle_all()
    local stranger = Scene.new(scene.kind, "server", {})
    scene.ends.client, scene.ends.server = scene:connection "client", stranger:connection "server"
    scene:rejoin()
    scene.ends.client:set_session(scene.held)
    if scene:finish() then
        scene:reused "reused"
        scene:exchange()
        scene:say("same=%d", bit(rawequal(scene.ends.client:session(), scene.held)))
    end
    scene:verdict()
    scene:settle_all()
    stranger:close()
end

function sequences.abandoned(scene)
    begin_resuming(scene)
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:verdict()
end

function sequences.handshake_eof(scene)
    begin_resuming(scene)
    scene:leave(scene:peer())
    scene:handshake(scene:subject())
    scene:verdict()
end

function sequences.handshake_alert_sent(scene)
    begin_resuming(scene, "fed")
    scene:garble(scene:subject())
    scene:handshake(scene:subject())
    scene:handshake(scene:subject())
    scene:verdict()
end

function sequences.handshake_alert_received(scene)
    prepare_resuming(scene, "fed")
    scene:garble(scene:peer())
    if scene.role == "client" then scene:handshake(scene:subject()) end
    scene:handshake(scene:peer())
    scene:handshake(scene:subject())
    scene:verdict()
end

-- ---- tickets

local function tickets_each(rounds)
    return function(scene)
        scene:prepare()
        scene.ends.server:set_num_tickets(4)
        scene:finish()
        scene:exchange()
        scene:say("kept=%d", #scene.kept)
        scene:settle_all()
        for _ = 1, rounds do
            for _, session in ipairs(scene.kept) do scene:fresh("fresh", session) end
        end
    end
end

sequences.tickets_each, sequences.tickets_each_twice = tickets_each(1), tickets_each(2)

-- Resumes with the session, and lets the tickets come that the resumed connection brings.
local function use_session(scene, session)
    scene:prepare_again()
    scene.ends.client:set_session(session)
    if not scene:finish() then return end
    scene:reused "used"
    scene:exchange()
    scene:settle_all()
end

function sequences.session_twice(scene)
    scene:meet()
    for _ = 1, 3 do
        use_session(scene, scene.held)
        scene:resumable()
    end
    scene:say("kept=%d", #scene.kept)
end

function sequences.session_chain(scene)
    scene:meet()
    for _ = 1, 3 do use_session(scene, scene.kept[#scene.kept]) end
    scene:say("kept=%d", #scene.kept)
end

-- Scenes with contexts of their own, and the options of the subject's.
local context_options = {context_quiet = {quiet_shutdown = true}, context_freed = {}}

-- ------------------------------------------------------------------------------------------ the differences

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

-- case: a pattern for the case's name, and except one for those left out. What is told here instead of what libssl
-- tells, and why:
--   theirs, ours   a pattern for its token, and ours: with captures of theirs as %1, or a function of the token and all
--   like           an end of the matrix, whose tokens from the masks on stand in the place of these
--   line           all of it
-- Each must change something in every case that it names, but for those that are so in some versions of libssl only
-- (in_some). They apply in this order.
local DIFFERENCES = {
    {
        case = "/full_write/", theirs = "^s%.shutdown=%-1/want_write$", ours = "s.shutdown=raises",
        why = "libssl gives the waiting record's place to the close_notify, and the record is never finished: refused",
    },
    {
        case = "/full_write/", like = "none",
        why = "a shutdown that is refused has not been: the session is judged as where nothing was done",
    },
    {
        case = "/shutdown_write_waits$",
        line = "s.write=0/want_write s.shutdown=raises p.read=0/want_read s.shutdown=raises p.read=0/want_read "
            .. "s.shutdown=raises p.read=0/want_read s.write=0/want_write p.read=0/want_read s.write=1 p.read=1 "
            .. "s.mask=0 p.mask=0",
        why = "libssl 3.0 fails with bad write retry, 3.5 loses the record: refused until the write is finished",
    },
    {
        case = "/shutdown_before$", theirs = "^s%.shutdown=%-1/.*$", ours = "s.shutdown=raises",
        why = "a shutdown with nothing to shut down is the program's mistake",
    },
    {
        case = "/shutdown_during$", theirs = "^s%.shutdown=%-1/.*$", ours = "s.shutdown=raises",
        why = "a shutdown in the middle of a handshake is the program's mistake",
    },
    {
        case = "/shutdown_after_", theirs = "^s%.shutdown=%-1/.*$", ours = first_failure,
        why = "libssl says shutdown while in init; a connection that failed goes on saying why it did",
    },
    {
        case = "/shutdown_after_", theirs = "^s%.[rw]%a+=0/[sz][^:]*$", ours = first_failure,
        why = "libssl says no more than SSL_ERROR_SYSCALL without errno, or even a clean end after a fatal alert",
    },
    {
        case = "/handshake_alert_sent$", theirs = "^s%.handshake=%-1/syscall$", ours = first_failure,
        why = "libssl says no more than SSL_ERROR_SYSCALL without errno: we say again why it failed",
    },
    {
        case = "/read_before$", theirs = "^s%.read=0/want_read$", ours = "s.read=raises",
        why = "SSL_read would begin a handshake by itself: reading comes after connect or accept",
    },
    {
        case = "/write_before$", theirs = "^s%.write=0/want_read$", ours = "s.write=raises",
        why = "SSL_write would begin a handshake by itself: writing comes after connect or accept",
    },
    {
        case = "/[rw]%a+_before$", theirs = "^begun=1$", ours = "begun=0",
        why = "what was refused has begun nothing",
    },
    {
        case = "/clear_renegotiating$", theirs = "^clear=0/.*$", ours = "clear=raises",
        why = "SSL_clear fails while a renegotiation is pending, when it has dropped the session: refused before that",
    },
    {
        case = "/clear_renegotiating$", except = NEVER_RESUMABLE, theirs = "^resumable=0$", ours = "resumable=1",
        why = "a clear that is refused judges nothing",
    },
    {
        case = "/dup_before$", theirs = "^quiet=0$", ours = "quiet=1",
        why = "SSL_dup forgets quiet shutdown: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^name=0$", ours = "name=1",
        why = "SSL_dup forgets the server name, though it goes on verifying it: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^alpn=0$", ours = "alpn=1",
        why = "SSL_dup forgets ALPN: we copy it",
    },
    {
        case = "/client/dup_before$", theirs = "^group=0$", ours = "group=1",
        why = "SSL_dup forgets the groups: we copy them",
    },
    {
        case = "^tls13_%a+/server/dup_before$", theirs = "^kept=2$", ours = "kept=4",
        why = "SSL_dup forgets the number of tickets: we copy it",
    },
    {
        case = "/session_set_%a+$", theirs = "^set=1$", ours = "set=raises",
        why = "SSL_set_session says 1 on a live connection, and on a server's, where it means nothing: refused",
    },
    {
        case = "/session_set_live$", except = NEVER_RESUMABLE, theirs = "^resumable=0$", ours = "resumable=1",
        why = "a set_session that is refused judges nothing",
    },
    {
        case = "/session_set_live$", theirs = "^([sp]%.%a+)=0/.*$", ours = "%1=1", in_some = true,
        why = "libssl 3.0 resets the method of a live connection, and nothing can be read or written any more",
    },
}

-- ------------------------------------------------------------------------------------------- the comparison

local function oracle_path()
    local build = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
    return build .. "/spec/c/oracle"
end

-- The cases' names in the oracle's order, and its line of each.
local function ask_oracle()
    local code, output = process.run {oracle_path(), timeout = 60}
    assert(code == 0, ("%s ended with %s: %s"):format(oracle_path(), code, output))
    local names, lines = {}, {}
    for name, line in output:gmatch "([%w_/]+):([^\n]*)\n" do
        names[#names + 1], lines[name] = name, line
    end
    return names, lines
end

local function tokens(line)
    local list = {}
    for token in line:gmatch "%S+" do list[#list + 1] = token end
    return list
end

-- Where the masks stand, with which the verdict begins.
local function verdict_at(list)
    for i, token in ipairs(list) do
        if token:find "^s%.mask" then return i end
    end
end

-- The tokens with the verdict of another end in the place of theirs.
local function with_verdict_of(like, list, name, lines)
    local other = tokens(lines[name:gsub("^(.-/.-/).-(/.*)$", "%1" .. like .. "%2")])
    local all = table.move(list, 1, verdict_at(list) - 1, 1, {})
    return table.move(other, verdict_at(other), #other, #all + 1, all)
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
    if difference.like then return with_verdict_of(difference.like, list, name, lines) end
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

local function runner(rest)
    local ending, disposal = rest:match "^([%w_]+)/([%w_]+)$"
    if not ending then return sequences[rest] end
    return ends[ending] and disposals[disposal] and matrix_case(ending, disposal)
end

local function play(name)
    local kind, role, rest = name:match "^([%w_]+)/(%a+)/(.+)$"
    local run = assert(runner(rest), "the oracle has a case that is not here")
    local scene = Scene.new(kind, role, context_options[rest])
    run(scene)
    scene:close()
    return table.concat(scene.line, " ")
end

describe("tlslife does as libssl does in", function()
    local names, lines = ask_oracle()

    it("as many lives as there are here", function()
        local asked, matrix = {}, 0
        for _, name in ipairs(names) do
            local rest = name:match "^[^/]+/[^/]+/(.+)$"
            asked[rest] = true
            matrix = matrix + bit(rest:find "/")
        end
        for name in pairs(sequences) do assert.truthy(asked[name], name .. ": the oracle does not know it") end
        assert.equal(#KINDS * #ROLES * count(ends) * count(disposals), matrix)
    end)

    for _, name in ipairs(names) do
        it(name, function()
            assert.equal(expected(name, lines), play(name))
        end)
    end
end)

-- SSL_set_session(NULL) in the middle of a client's handshake: libssl, 3.0 and 3.5, goes on and reads through the
-- NULL. The oracle would crash; here the connection has ended, and its session is as it was.
describe("tlslife ends, where libssl crashes,", function()
    for _, kind in ipairs(KINDS) do
        it("a handshake whose session is taken, " .. kind, function()
            local scene = Scene.new(kind, "client")
            begin_resuming(scene)
            assert.is_true(scene:subject():set_session(nil))
            expect.raises("ended", scene:subject().handshake, scene:subject())
            assert.is_true(scene.held:is_resumable())
            scene:fresh("fresh", scene.held)
            assert.equal("fresh=1/1", scene.line[#scene.line])
            scene:close()
        end)
    end
end)
