--- walk.lua: makes random walks, which are sequences of calls of one connection, plays them in
--- tlslife and in libssl alone (spec/c/oracle/oracle_walk.c), and compares the results.
--
-- A walk is {head, verb, ...}, and its head "KIND ROLE START". Most differences on purpose are
-- calls that raise and leave the connection as it was, where libssl goes on and ruins it. So the
-- walk without these calls is compared, too.

local compare = require "spec.random.walk_compare"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local Scene = require "spec.support.scene"
local tls = require "tlslife"

local walk = {}

local KINDS = {"tls12_id", "tls12_ticket", "tls13_stateful", "tls13_stateless"}
local VERBS = {"read", "read", "read", "peek", "write", "write", "fill", "shutdown", "shutdown",
    "handshake", "handshake", "facts", "facts", "leave", "quiet", "loud", "mark", "mark_received",
    "mark_both", "unmark", "clear", "rejoin", "renew", "offer", "offer_last", "offer_none",
    "import", "ref", "unref", "dup", "no_tickets", "four_tickets", "by_hand",
    "finish", "finish"}
-- the peer left: no writes
local AFTER = {read = true, peek = true, facts = true, clear = true, mark = true, unmark = true,
    rejoin = true, renew = true, offer = true, import = true, ref = true, unref = true}
local BY_HAND = {"feed", "feed", "feed_record", "feed_byte", "feed_but_one", "handshake",
    "handshake"}
local LATER = {tls12 = {"renegotiate", "renegotiate_short"},
    tls13 = {"update", "update", "update_both", "ticket", "ask"}}
local EARLY = {"read_early", "write_early"}
local ENDS_EARLY = {handshake = true, finish = true, clear = true, shutdown = true}
local ASK = {update = true, update_both = true, ticket = true, renegotiate = true,
    renegotiate_short = true, ask = true}

--- What may be called where a walk has come to. An end that has left does nothing more until there
--- is a new transport. No end leaves while its peer has yet to write something, since our transport
--- in memory then fails, and libssl's does not.
local Law = {}
Law.__index = Law

function Law:allows(who, verb)
    if verb == "leave" then return who == "p" and not self.left and not self.asked end
    if verb:find "^mark" and self.renegotiates then return false end -- what shutdown marks is said
    return not self.left or (who == "s" and AFTER[verb])
end

function Law:called(verb)
    self.fresh = verb == "renew" or self.fresh and not ENDS_EARLY[verb]
    if verb == "by_hand" then self.by_hand = true
    elseif verb == "rejoin" or verb == "renew" then self.by_hand = false end
    self.asked = self.asked or ASK[verb]
    self.renegotiates = self.renegotiates or verb:find "^renegotiate"
    self.left = verb == "leave" or (self.left and verb ~= "rejoin" and verb ~= "renew")
end

local function draw(seed)
    local x = (seed + 1) * 0x9E3779B97F4A7C15
    local function number(n)
        x = x ~ (x >> 12)
        x = x ~ (x << 25)
        x = x ~ (x >> 27)
        return ((x * 0x2545F4914F6CDD1D) >> 33) % n + 1
    end
    for _ = 1, 4 do number(4) end
    return number, function(list) return list[number(#list)] end
end

--- The walk of a seed, with a quarter of so many verbs or more.
function walk.make(seed, most)
    local number, pick = draw(seed)
    local kind, law = pick(KINDS), setmetatable({}, Law)
    local role = pick {"client", "server"}
    local start = pick {"open", "open", "open", "resuming", "new", "by_hand"}
    if kind == "tls13_stateful" and number(3) == 1 then start = "early" end
    local one = {("%s %s %s"):format(kind, role, start)}
    law.by_hand, law.fresh = start == "by_hand", start ~= "open"
    for _ = 1, most // 4 + number(most - most // 4) - 1 do
        local who, verb
        repeat
            verb = law.by_hand and number(2) == 1 and pick(BY_HAND)
                or start == "early" and number(law.fresh and 2 or 12) == 1 and pick(EARLY)
                or number(8) == 1 and pick(LATER[kind:sub(1, 5)]) or pick(VERBS)
            who = pick {"s", "p"}
        until law:allows(who, verb)
        law:called(verb)
        one[#one + 1] = who .. "." .. verb
    end
    return one
end

--- Whether these lines are a walk as walk.make makes them. What is left of one while it is shrunk
--- may not be.
local function is_walk(lines)
    local law = setmetatable({}, Law)
    for i = 2, #lines do
        local who, verb = lines[i]:match "^([sp])%.([%l_]+)$"
        if not who or not law:allows(who, verb) then return false end
        law:called(verb)
    end
    return lines[1] and lines[1]:find "^%S+ %S+ %S+$" ~= nil
end

-- ------------------------------------------------------------------------------- played by tlslife

local verbs = {}

local function bit(value) return value and 1 or 0 end

for _, name in ipairs {"shutdown", "handshake", "clear"} do
    verbs[name] = function(scene, conn) scene[name](scene, conn) end
end
function verbs.read_early(scene) scene:read_early(scene.ends.server) end

function verbs.write_early(scene, conn)
    local session <close> = conn:session()
    if session or conn:is_server() then scene:write_early(conn) end
end

--- A call for data raises before the handshake, and never after it: no row has such a token.
local function data(name, len)
    return function(scene, conn)
        scene[name](scene, conn, len)
        local token = scene.line[#scene.line]
        if token:find "=raises$" and conn:handshake_done() then
            scene.line[#scene.line] = token .. "_when_open"
        end
    end
end
verbs.read, verbs.peek, verbs.write = data "read", data "peek", data "write"
verbs.fill = data("write", Scene.CAPACITY + 1000)

function verbs.quiet(_, conn) conn:set_quiet_shutdown(true) end
function verbs.loud(_, conn) conn:set_quiet_shutdown(false) end
function verbs.mark(_, conn) conn:set_shutdown(tls.SENT_SHUTDOWN) end
function verbs.mark_received(_, conn) conn:set_shutdown(tls.RECEIVED_SHUTDOWN) end
function verbs.mark_both(_, conn)
    conn:set_shutdown(tls.SENT_SHUTDOWN | tls.RECEIVED_SHUTDOWN)
end
function verbs.unmark(_, conn) conn:set_shutdown(0) end
function verbs.rejoin(scene) scene:rejoin() end
function verbs.finish(scene)
    for _ = 1, scene.wire == "by hand" and 0 or 3 do
        scene:handshake(scene.ends.client)
        scene:handshake(scene.ends.server)
    end
end
function verbs.leave(scene, conn)
    if scene.wire ~= "by hand" then scene:leave(conn) end
end
function verbs.renew(scene)
    scene:clear(scene.ends.client)
    scene:clear(scene.ends.server)
    scene:rejoin()
end
function verbs.no_tickets(scene) scene.ends.server:set_num_tickets(0) end
function verbs.four_tickets(scene) scene.ends.server:set_num_tickets(4) end

local function say_result(scene, conn, name, result)
    scene:say("%s.%s=%s", conn == scene:peer() and "p" or "s", name, result)
end

for token, call in pairs {update = {"key_update"}, update_both = {"key_update", true},
    renegotiate = {"renegotiate"}, renegotiate_short = {"renegotiate", true},
    ticket = {"new_session_ticket"}, ask = {"request_client_certificate"}} do
    verbs[token] = function(scene, conn)
        local ok, result = pcall(conn[call[1]], conn, call[2])
        say_result(scene, conn, token, ok and bit(result) or "raises")
    end
end

function verbs.facts(scene, conn)
    say_result(scene, conn, "mask", conn:get_shutdown())
    say_result(scene, conn, "reused", bit(conn:session_reused()))
    say_result(scene, conn, "pending", conn:pending())
    local session <close> = conn:session()
    say_result(scene, conn, "session", bit(session))
    say_result(scene, conn, "kept", #scene.kept)
end

-- Both ends go on over a transport on which the walk delivers.
function verbs.by_hand(scene)
    scene.wire, scene.streams = "by hand", {}
    for _, conn in pairs(scene.ends) do
        conn:set_memory(Scene.CAPACITY)
        scene.streams[conn] = {bytes = "", fed = 0}
    end
end

--- Up to which byte is delivered, of {bytes =, fed = how many were}.
local ends = {}

function ends.feed(stream) return #stream.bytes end
function ends.feed_byte(stream) return math.min(stream.fed + 1, #stream.bytes) end
function ends.feed_but_one(stream) return math.max(stream.fed, #stream.bytes - 1) end

function ends.feed_record(stream)
    local bytes, at = stream.bytes, 0
    while at <= stream.fed and at + 5 <= #bytes do at = at + 5 + (">I2"):unpack(bytes, at + 4) end
    return (at <= stream.fed or at > #bytes) and #bytes or at
end

for name, up_to in pairs(ends) do
    verbs[name] = function(scene, conn)
        if scene.wire ~= "by hand" then return end
        local stream = scene.streams[conn]
        local from = conn == scene.ends.client and scene.ends.server or scene.ends.client
        stream.bytes = stream.bytes .. from:drain()
        local n = conn:feed(stream.bytes:sub(stream.fed + 1, up_to(stream)))
        stream.fed = stream.fed + n
        say_result(scene, conn, "fed", bit(n > 0))
    end
end

local function offer(scene, conn, name, session)
    local ok = pcall(conn.set_session, conn, session)
    say_result(scene, conn, name, ok and 1 or "raises")
end

function verbs.offer(scene, conn)
    if scene.offer then offer(scene, conn, "offer", scene.offer) end
end

function verbs.offer_last(scene, conn)
    local last = scene.kept[#scene.kept]
    if last then offer(scene, conn, "offer", last) end
end

function verbs.offer_none(scene, conn)
    if conn:state() == "before" then offer(scene, conn, "offer_none", nil) end
end

verbs["import"] = function(scene)
    if not scene.offer then return end
    scene.offer = assert(scene.contexts.client:import_session(scene.offer:export()))
    scene:say("imported=%d", bit(scene.offer:is_resumable()))
end

function verbs.ref(scene, conn)
    scene.references[#scene.references + 1] = conn:up_ref()
end

function verbs.unref(scene, conn)
    local list = scene.references
    for i = #list, 1, -1 do
        if list[i] == conn then
            conn:free()
            list[i] = list[#list]
            list[#list] = nil
            return
        end
    end
end

function verbs.dup(scene, conn)
    local role = conn == scene.ends.client and "client" or "server"
    local dup = assert(conn:dup())
    scene:say("copied=%d", bit(dup ~= conn))
    if dup == conn then return dup:free() end
    scene:settle_end(role)
    scene.ends[role] = dup
    scene:rejoin()
end

local starts = {}
function starts.open(scene) scene:meet() end
function starts.new(scene) scene:prepare() end
function starts.resuming(scene)
    scene:meet()
    scene:prepare_again()
    scene.ends.client:set_session(scene:offered(scene.offer))
end

starts.early = starts.resuming

function starts.by_hand(scene)
    scene:prepare()
    verbs.by_hand(scene)
end

local contexts = {} -- by kind: to make them costs more than a handshake

local function contexts_of(kind, early)
    local p, key = pki.get(), kind .. (early and " early" or "")
    contexts[key] = contexts[key] or Scene.contexts(kind,
        {post_handshake_auth = kind:find "^tls13" and true or nil, certificate = p.client_cert,
            private_key = p.client_key},
        {ca = p.ca_pem, max_early_data = early and 1000 or nil})
    return contexts[key]
end

--- The tokens, as one line; by places of the walk which calls raised; and by tokens their places.
local function play(one)
    local raised, places, verb_at = {}, {}, 0
    local kind, role, start = one[1]:match "^(%S+) (%S+) (%S+)$"
    local scene = Scene.new(kind, role, nil, contexts_of(kind, start == "early"))
    scene.references = {}
    local function done(place)
        for token = verb_at + 1, #scene.line do places[token] = place end
        verb_at = #scene.line
    end
    starts[start](scene)
    for i = 2, #one do
        local who, verb = one[i]:match "^(%l)%.([%l_]+)$"
        verbs[verb](scene, who == "p" and scene:peer() or scene:subject())
        scene:keep()
        raised[i] = (scene.line[verb_at + 1] or ""):find "=raises$" ~= nil
        done(i)
    end
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:settle_all()
    if scene.held then scene:final_status() end
    done(#one)
    for _, conn in ipairs(scene.references) do conn:free() end
    scene:close()
    return table.concat(scene.line, " "), raised, places
end

--- The walk without its calls that raise, and the tokens that it must have, since a call that
-- raises has changed nothing; nil: none raises. line and raised: what play gave for it.
local function lawful(one, line, raised)
    local shorter = {}
    for i, verb in ipairs(one) do
        if not raised[i] then shorter[#shorter + 1] = verb end
    end
    if #shorter == #one then return nil end
    return shorter, line:gsub("%S+", function(token) return token:find "=raises$" and "" end)
        :gsub(" +", " "):match "^ ?(.-) ?$"
end

-- ---------------------------------------------------------------------------------------- compared

local oracle -- the pipes to and from an oracle that runs walks, one in this process

--- io.popen gives one pipe, so the answers come through a FIFO. What is preloaded is for tlslife.
local function ask(one)
    if not oracle then
        local path = process.directory() .. "/walked"
        assert(os.execute("mkfifo " .. process.quote(path)))
        local to = assert(io.popen(("exec env -u LD_PRELOAD %s walk >%s"):format(
            process.quote(program.oracle()), process.quote(path)), "w"))
        oracle = {to = to, from = assert(io.open(path))}
        oracle.to:setvbuf "line"
    end
    oracle.to:write(table.concat(one, " "), "\n")
    return oracle.from:read "l"
end

--- Compares a walk with what the oracle says. Returns what tlslife says and which calls raised, or
--- nil and where they differ.
local function compare_one(one, counts)
    local good, ours, raised, places = pcall(play, one)
    if not good then return nil, {line = #one, message = ours, text = table.concat(one, " ")} end
    local theirs = ask(one)
    local differs, alike
    if theirs then differs, alike = compare.lines(theirs, ours, one[1])
    else differs, alike = {token = 1, message = "the oracle has ended"}, 0 end
    counts.calls, counts.alike = counts.calls + #one - 1, counts.alike + alike
    if not differs then return ours, raised end
    return nil, {line = places[differs.token] or #one, message = differs.message,
        text = ("%s\n    libssl: %s\n    tlslife: %s"):format(table.concat(one, " "), theirs,
            ours)}
end

--- nil, or where and how tlslife differs from libssl; and how many calls were compared, and how
--- many of their results are alike. What cannot be a walk differs nowhere.
function walk.prove(one)
    local counts = {calls = 0, alike = 0}
    if not is_walk(one) then return nil, counts end
    local ours, raised = compare_one(one, counts)
    if not ours then return raised, counts end
    local shorter, wanted = lawful(one, ours, raised)
    if not shorter then return nil, counts end
    local again, failure = compare_one(shorter, counts)
    if not again then return failure, counts end
    if again ~= wanted then
        return {line = #one, message = "a call that raised has changed something", text =
            ("%s\n    %s\n    %s"):format(table.concat(one, " "), wanted, again)}, counts
    end
    return nil, counts
end

return walk
