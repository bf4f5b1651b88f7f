--- walk.lua: makes random walks, which are sequences of calls of one connection, and compares what
--- they give in tlslife and in libssl alone (spec/c/oracle/oracle_walk.c).
--
-- A walk is {kind, role, start, verb, ...}. Both sides print tokens (spec/support/scene.lua). The
-- tokens are compared up to the first one in which tlslife differs on purpose (DIFFERENCES). Most
-- differences are calls that raise and leave the connection as it was, where libssl goes on and
-- ruins it. So the walk without these calls is compared, too (walk.lawful).

local Scene = require "spec.support.scene"
local tls = require "tlslife"

local walk = {}

local KINDS = {"tls12_id", "tls12_ticket", "tls13_stateful", "tls13_stateless"}
local VERBS = {"read", "read", "read", "write", "write", "fill", "shutdown", "shutdown",
    "handshake", "handshake", "facts", "facts", "leave", "quiet", "loud", "mark", "mark_received",
    "unmark", "clear", "rejoin"}
-- the peer left: no writes
local AFTER = {read = true, facts = true, clear = true, mark = true, unmark = true, rejoin = true}
local LATER = {tls12 = {"renegotiate"}, tls13 = {"update", "update", "ticket"}}

--- The walk of a seed, with so many verbs.
function walk.make(seed, count)
    local x = (seed + 1) * 0x9E3779B97F4A7C15
    local function pick(list)
        x = x ~ (x >> 12)
        x = x ~ (x << 25)
        x = x ~ (x >> 27)
        return list[((x * 0x2545F4914F6CDD1D) >> 33) % #list + 1]
    end
    for _ = 1, 4 do pick(KINDS) end
    local one = {pick(KINDS), pick {"client", "server"},
        pick {"open", "open", "open", "resuming", "new"}}
    -- An end that has left does nothing more until there is a new transport. No end leaves while
    -- its peer has yet to write something, since our transport in memory then fails, and libssl's
    -- does not.
    local left, asked = false, false
    for _ = 1, count do
        local verb = pick {1, 2, 3, 4, 5, 6, 7, 8} == 1 and pick(LATER[one[1]:sub(1, 5)]) or
            pick(VERBS)
        asked = asked or verb == "update" or verb == "ticket" or verb == "renegotiate"
        if verb == "leave" and asked then verb = "read" end
        local who = pick {"s", "p"}
        if verb == "leave" then who = "p" elseif left then who = "s" end
        if not left or AFTER[verb] then one[#one + 1] = who .. "." .. verb end
        left = verb == "leave" or (left and verb ~= "rejoin")
    end
    return one
end

-- ------------------------------------------------------------------------------- played by tlslife

local verbs = {}

local function bit(value) return value and 1 or 0 end

for _, name in ipairs {"read", "shutdown", "handshake", "clear", "leave"} do
    verbs[name] = function(scene, conn) scene[name](scene, conn) end
end
function verbs.write(scene, conn) scene:write(conn) end
function verbs.fill(scene, conn) scene:write(conn, Scene.CAPACITY + 1000) end
function verbs.quiet(_, conn) conn:set_quiet_shutdown(true) end
function verbs.loud(_, conn) conn:set_quiet_shutdown(false) end
function verbs.mark(_, conn) conn:set_shutdown(tls.SENT_SHUTDOWN) end
function verbs.mark_received(_, conn) conn:set_shutdown(tls.RECEIVED_SHUTDOWN) end
function verbs.unmark(_, conn) conn:set_shutdown(0) end
function verbs.rejoin(scene) scene:rejoin() end

for token, verb in pairs {update = "key_update", renegotiate = "renegotiate",
    ticket = "new_session_ticket"} do
    verbs[token] = function(scene, conn)
        local ok, result = pcall(conn[verb], conn)
        local name = (conn == scene:peer() and "p." or "s.") .. token
        if ok then scene:say("%s=%d", name, bit(result)) else scene:say("%s=raises", name) end
    end
end

function verbs.facts(scene, conn)
    scene:say("mask=%d", conn:get_shutdown())
    scene:say("reused=%d", bit(conn:session_reused()))
    scene:say("pending=%d", conn:pending())
end

local starts = {}
function starts.open(scene) scene:meet() end
function starts.new(scene) scene:prepare() end
function starts.resuming(scene)
    scene:meet()
    scene:prepare_again()
    scene.ends.client:set_session(scene:offered(scene.offer))
end

--- The tokens, as one line; and which places of the walk have a call that raised.
function walk.play(one)
    local raised = {}
    local scene = Scene.new(one[1], one[2], {})
    starts[one[3]](scene)
    for i = 4, #one do
        local who, verb = one[i]:match "^(%l)%.([%l_]+)$"
        local said = #scene.line
        verbs[verb](scene, who == "p" and scene:peer() or scene:subject())
        raised[i] = (scene.line[said + 1] or ""):find "=raises$" ~= nil
    end
    scene:subject():free()
    scene.ends[scene.role] = nil
    scene:settle_all()
    if scene.held then scene:final_status() end
    scene:close()
    return table.concat(scene.line, " "), raised
end

--- The walk without its calls that raise, and the tokens that it must have, since a call that
-- raises has changed nothing. line and raised: what walk.play gave for it.
function walk.lawful(one, line, raised)
    local shorter = {}
    for i, verb in ipairs(one) do
        if not raised[i] then shorter[#shorter + 1] = verb end
    end
    return shorter, line:gsub("%S+", function(token) return token:find "=raises$" and "" end)
        :gsub(" +", " "):match "^ ?(.-) ?$"
end

-- ---------------------------------------------------------------------------------------- compared

local function tokens(line)
    local list = {}
    for token in line:gmatch "%S+" do list[#list + 1] = token end
    return list
end

--- Whether an earlier call of the same end failed, or a write of it waits.
local function before(list, i, pattern)
    local who = list[i]:match "^([sp])%."
    for n = 1, i - 1 do
        if who and list[n]:sub(1, 1) == who and list[n]:find(pattern) then return true end
    end
    return false
end

local FAILED = "^.%.%l+=%-?%d+/s"

--- The deliberate differences. Each has the beginning of its row of docs/differences.md (nil: a
--- mistake of the program's, which raises as README.md says), and is so if is() says it of token i.
-- goes_on: libssl's call has left the connection as tlslife's did, so that what follows is
-- compared.
local DIFFERENCES = {
    {row = "`shutdown` while a write waits", is = function(_, our, theirs, _, i)
        return our:find "shutdown=raises$" and before(theirs, i, "write=0/want_write")
    end},
    {row = "`shutdown` while a message after the handshake is half read", is = function(their)
        return their:find "shutdown=%-1/ssl:shutdown_while_in_init"
    end},
    {row = "`shutdown` before the handshake is done", goes_on = true, is = function(their, our)
        return our:find "shutdown=raises$" and their:find "/ssl:"
    end},
    {row = "`read` or `write` before the handshake", is = function(their, our)
        return (our:find "^.%.read=raises$" or our:find "^.%.write=raises$") and their:find "/"
    end},
    {goes_on = true, is = function(their, our) return our:find "=raises$" and their:find "=0$" end},
    {is = function(_, our) return our:find "=raises$" end},
    {row = "a call on a connection that failed", is = function(their, our)
        return their:find "/syscall$" and our:find "/ssl:none$"
    end},
    {row = "`clear` while a renegotiation is pending", is = function(their, our)
        return our == "clear=1" and their:find "^clear=0"
    end},
    {row = "a call on a connection that failed", is = function(_, _, _, ours, i)
        return before(ours, i, FAILED)
    end},
}

--- The deliberate difference in token i, or nil.
local function known(theirs, ours, i)
    for _, one in ipairs(theirs[i] and ours[i] and DIFFERENCES or {}) do
        if one.is(theirs[i], ours[i], theirs, ours, i) then return one end
    end
end

--- Rows of docs/differences.md that the table above names.
function walk.rows()
    local rows = {}
    for _, one in ipairs(DIFFERENCES) do rows[#rows + 1] = one.row end -- nil adds none
    return rows
end

--- nil, or what differs; and how many tokens were alike.
function walk.compare(theirs, ours)
    local a, b, alike = tokens(theirs), tokens(ours), 0
    for i = 1, math.max(#a, #b) do
        local difference = a[i] ~= b[i] and known(a, b, i)
        if a[i] == b[i] then
            alike = alike + 1
        elseif not difference then
            return ("token %d: libssl says %s, tlslife %s\n%s\n%s"):format(i, a[i], b[i], theirs,
                ours), alike
        elseif not difference.goes_on then
            return nil, alike
        end
    end
    return nil, alike
end

return walk
