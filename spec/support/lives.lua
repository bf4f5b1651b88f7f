--- The sequences of calls that the oracle makes on libssl (spec/c/oracle), made on tlslife: the
-- same calls in the same order, whose results spec.support.scene writes as the same tokens.
--
--   ends, disposals   each way in which a connection can end, crossed with each way to free it
--   states            the states of a connection after its handshake; from each, every two of
--                     shutdown, read and write are called
--   sequences         all other sequences, by name
--   run(rest)         returns the function that runs a case, by the part of its name after kind and
--                     role; nil: there is no such case

local Scene = require "spec.support.scene"
local assert = require "luassert"
local tls = require "tlslife"

local SENT, RECEIVED = tls.SENT_SHUTDOWN, tls.RECEIVED_SHUTDOWN

local lives = {}

local function bit(value) return value and 1 or 0 end

-- -------------------------------------------------------------------------------------- the matrix

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

-- The peer closes its socket with a byte unread, so that the system resets the connection.
function ends.gone(scene)
    scene:write(scene:subject(), 1)
    scene:leave(scene:peer())
    scene:shutdown(scene:subject())
end

local wires = {alert_sent = "fed", alert_received = "fed", full = "fed", full_write = "fed",
    gone = "tcp"}

local disposals = {}

function disposals.free(scene)
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:say "free"
    scene:settle_peer()
    scene:final_status()
end

local function clear(scene)
    scene:clear(scene:subject())
    scene:say("s.mask=%d", scene:subject():get_shutdown())
    scene:settle_peer()
end

function disposals.clear(scene)
    clear(scene)
    scene:final_status()
end

-- The same connection is used again: a client offers the session that it still has, and a server is
-- offered the copy.
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
    scene:final_status()
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

-- ----------------------------------------------------------------------------------- the sequences

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
    scene:final_status()
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
    scene:final_status()
    scene:settle_all()
    stranger:close()
end

function sequences.abandoned(scene)
    begin_resuming(scene)
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:final_status()
end

function sequences.handshake_eof(scene)
    begin_resuming(scene)
    scene:leave(scene:peer())
    scene:handshake(scene:subject())
    scene:final_status()
end

function sequences.handshake_alert_sent(scene)
    begin_resuming(scene, "fed")
    scene:garble(scene:subject())
    scene:handshake(scene:subject())
    scene:handshake(scene:subject())
    scene:final_status()
end

function sequences.handshake_alert_received(scene)
    prepare_resuming(scene, "fed")
    scene:garble(scene:peer())
    if scene.role == "client" then scene:handshake(scene:subject()) end
    scene:handshake(scene:peer())
    scene:handshake(scene:subject())
    scene:final_status()
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

-- Resumes with the session, and reads the tickets of the resumed connection.
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

-- -------------------------------------------------------------------------------------- the states

local states = {}

function states.open() end
function states.sent(scene) scene:shutdown(scene:subject()) end

function states.received(scene)
    scene:shutdown(scene:peer())
    scene:arrive()
    scene:read(scene:subject())
end

function states.ended(scene)
    states.received(scene)
    scene:shutdown(scene:subject())
end

function states.crossed(scene)
    scene:shutdown(scene:peer())
    scene:shutdown(scene:subject())
end

function states.quiet(scene) scene:subject():set_quiet_shutdown(true) end
function states.marked_sent(scene) scene:subject():set_shutdown(SENT) end
function states.marked_received(scene) scene:subject():set_shutdown(RECEIVED) end
function states.marked_both(scene) scene:subject():set_shutdown(SENT | RECEIVED) end
function states.unread(scene) scene:write(scene:peer()) end

function states.unread_and_received(scene)
    states.unread(scene)
    scene:shutdown(scene:peer())
end

function states.updating(scene)
    scene:attempt("key_update", scene:subject(), "key_update")
end

function states.asked_to_update(scene)
    scene:attempt("key_update", scene:peer(), "key_update", true)
    scene:write(scene:peer())
    scene:arrive()
    scene:read(scene:subject())
end

local function in_state(state, first, second)
    return function(scene, wire)
        scene:meet(wire)
        states[state](scene)
        for _, verb in ipairs {first, second} do
            scene:arrive()
            scene[verb](scene, scene:subject())
        end
        for _ = 1, 2 do
            scene:arrive()
            scene:read(scene:peer())
        end
        scene:masks()
        scene:subject():free()
        scene.ends[scene.role] = nil
        scene:resumable()
    end
end

-- The options of the subject's context, for cases that have contexts of their own.
lives.context_options = {context_quiet = {quiet_shutdown = true}, context_freed = {}}

lives.ends, lives.disposals, lives.sequences, lives.states = ends, disposals, sequences, states
lives.begin_resuming = begin_resuming

function lives.run(rest)
    local state, first, second = rest:match "^in_([%w_]+)_(%l+)_(%l+)$"
    if state then return states[state] and in_state(state, first, second) end
    local ending, disposal = rest:match "^([%w_]+)/([%w_]+)$"
    if not ending then return sequences[rest] end
    return ends[ending] and disposals[disposal] and matrix_case(ending, disposal)
end

return lives
