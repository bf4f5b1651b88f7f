--- model.lua: predicts for fleet.lua which connection must resume, and the words that
-- conn:resumption() must return at both ends.
--
-- It is written from docs/resumption.md, docs/lifecycle.md, lua/tlslife/types.lua, RFC 5077
-- (tickets of TLS 1.2), RFC 8446 sections 4.6.1 and 8 and appendices C.4 and D.3 (tickets of
-- TLS 1.3, their early data), and libssl's manual pages. It calls nothing of the module: a session
-- here is a table.
--
--   local fleet = model.new(os.time())
--   fleet:home(1, {kind = "tickets"}); fleet:server(1, {home = 1}); fleet:cache(1, {})
--   fleet:client(1, {cache = 1})
--   local life = fleet:visit(1, 1, {})        -- life.resumed, life.client, life.server
--   fleet:connected(life)
--   fleet:finish(life, "clean")
--
-- Where the pages leave the word open, life.server is a set of several words. Whether a connection
-- resumes is never open, nor what becomes of early data: life.sends says how many bytes of them the
-- client may send, life.accepted whether the server takes them, and life.fails that the handshake
-- must fail, since a server of TLS 1.2 does not know what they are. life.waits is "client" or
-- "server" where that one waits for a store that does not answer, so that no handshake is done.

local model = {}

local TWO <const>, THREE <const> = "TLSv1.2", "TLSv1.3"

local Fleet = {}
Fleet.__index = Fleet

function model.new(now)
    return setmetatable({now = now, homes = {}, servers = {}, caches = {}, clients = {}}, Fleet)
end

local function set(...)
    local words = {}
    for _, word in ipairs {...} do words[word] = true end
    return words
end

-- ----------------------------------------------------------------------------------- what there is

--- A home is where servers that share their sessions keep them. Its options are kind (the option
-- resumption), keys ("derived", "random", "own"; nil: libssl's own), epoch, older, lifetime, cache,
-- store (true: of functions; "slab", "redis"), in_memory, timeout, capacity and capacity_bytes.
-- With machines, each server has ticket keys and a memory tier of its own, and they share the
-- secret and the store.
function Fleet:home(n, options)
    self.homes[n] = {options = options, memory = {}, in_store = {}, permits = {},
        stored_permits = {}, own_keys = {1}}
end

--- A session that allows early data may be used once, unless it is a ticket under keys of ours:
-- then its early data may, for which it has a permit.
local function gives_once(home)
    return home.options.kind == "stateful" or not home.options.keys
end

--- early: how many bytes, or nil.
local function set_early(server, version)
    local most = server.options.early or 0
    local early = most > 0 and server.home.options.kind ~= "off" and version ~= TWO
    server.early = early and most or nil
    server.once = early and gives_once(server.home)
    server.permits_early = early and not server.once
end

local function set_version(server, version)
    server.version = version
    set_early(server, version)
    for _, other in pairs(server.names) do set_early(other, version) end
end

--- A server's context. By name: home, version (the newest), num_tickets, policy (any text), early
-- (how many bytes of early data it allows), asks (it has on_verify), names (by server name, what
-- the contexts that they lead to have of these).
function Fleet:server(n, options)
    local home = self.homes[options.home]
    local server = {options = options, home = home, memory = {}, permits = {}, names = {}}
    for name, other in pairs(options.names or {}) do server.names[name] = {options = other,
        home = home, names = {}} end
    self.servers[n] = server
    set_version(server, options.version)
end

--- A new context in the place of an old one, as when a worker was replaced.
function Fleet:restart(n, version)
    local server = self.servers[n]
    set_version(server, version)
    server.memory, server.permits, server.keys_since, server.key_space = {}, {}, {}, {}
end

--- A client's cache. By name: sessions_per_peer, timeout, store, in_memory, capacity,
-- capacity_bytes.
function Fleet:cache(n, options)
    self.caches[n] = {options = options, peers = {}, in_store = {}, used = {}}
end

--- A client's context. By name: cache, version, no_ticket, lifetime, policy (any text).
function Fleet:client(n, options)
    self.clients[n] = {options = options, cache = self.caches[options.cache]}
end

function Fleet:pass(seconds) self.now = self.now + seconds end

--- A new first key, and two of the old ones.
function Fleet:replace(n)
    local keys = self.homes[n].own_keys
    table.insert(keys, 1, keys[1] + 1)
    keys[4] = nil
    return keys
end

-- ------------------------------------------------------------------------------------- ticket keys

--- The key under which a server makes tickets now: {space, number}. Keys of different spaces have
-- nothing in common.
local function key_of(self, server)
    local options = server.home.options
    if not options.keys then -- libssl's own belong to the context
        server.keys_since = server.keys_since or {}
        return {space = server.keys_since, number = 0}
    elseif options.keys == "own" then
        return {space = server.home, number = server.home.own_keys[1]}
    end
    local space = server.home
    if options.keys == "random" and options.machines then
        server.key_space = server.key_space or {}
        space = server.key_space
    end
    return {space = space, number = self.now // options.epoch}
end

--- Whether a server's keys open a ticket, and whether its key is the first.
local function opens(self, server, key)
    local first, options = key_of(self, server), server.home.options
    if first.space ~= key.space then return false end
    if options.keys == "own" then
        for i, number in ipairs(server.home.own_keys) do
            if number == key.number then return true, i == 1 end
        end
        return false
    end
    local age = first.number - key.number
    return age == 0 or (options.keys ~= nil and age > 0 and age <= options.older), age == 0
end

-- ----------------------------------------------------------------------------- a server's sessions

local function alive(self, record, most)
    local lifetime = record.lifetime
    if most and most < lifetime then lifetime = most end
    return self.now - record.made < lifetime
end

--- How many sessions a memory tier may have. Its capacity in bytes is either more than all of them
-- together, or less than one.
local LEAST <const> = 100 -- bytes
local function most_of(options)
    if options.capacity_bytes and options.capacity_bytes < LEAST then return 0 end
    return options.capacity or math.huge
end

--- The number of a use of a session in memory: the least of them was used longest ago.
local function now_used(self)
    self.uses = (self.uses or 0) + 1
    return self.uses
end

--- What one cache has in memory: that of a home, or that of a server.
local function owner_of(server)
    local options = server.home.options
    return options.cache and not options.machines and server.home or server
end

local function memory_of(server) return owner_of(server).memory end

--- Whether the context in force keeps and finds sessions of this version by id.
local function keeps_ids(server, version)
    local kind = server.home.options.kind
    return kind == "stateful" or (version == THREE and server.once)
        or (version == TWO and kind == "both")
end

local function makes_tickets(server, version)
    local kind = server.home.options.kind
    return (kind == "tickets" or kind == "both") and not (version == THREE and server.once)
end

local function tiers(server, version)
    local options = server.home.options
    local only_far = options.store and version == THREE and server.once
    return not only_far and (not options.store or options.in_memory), options.store
end

--- Whether a store keeps what is put. An answer that comes late changes nothing.
local KEEPS_NOTHING <const> = set("put", "put_nothing", "put_late_error")
local function keeps(owner) return not KEEPS_NOTHING[owner.fails] end

--- Whether a store may drop by itself what has expired, as slabs and Redis do.
local function forgets(options) return options.store ~= true end

--- How a store answers: "well", "nothing", "error"; or, in vain, "never" and "too late".
local ANSWERS <const> = {get = "error", get_late_error = "error", get_nothing = "nothing",
    get_late_nothing = "nothing", get_never = "never", get_too_late = "too late"}
local function answer_of(owner) return ANSWERS[owner.fails] or "well" end
local function waits_for(answer) return answer == "never" or answer == "too late" end

--- Whether a session that may be used once is removed from the store. It is as soon as the answer
--- has come, also where that is too late for the connection that asked.
local function is_removed(answer) return answer == "well" or answer == "too late" end

--- Of sessions and permits that are alive, and have the numbers of their last uses: how many there
-- are, the one that was used longest ago, and the table that has it.
local function count_alive(self, lists, most)
    local count, first, at = 0, nil, nil
    for _, list in ipairs(lists) do
        for record, used in pairs(list) do
            if alive(self, record, most) then
                count = count + 1
                if not first or used < at[first] then first, at = record, list end
            end
        end
    end
    return count, first, at
end

--- Puts a record into one of the tables of a server's memory tier. What has expired leaves first.
-- Permits take room, too.
local function put_in_memory(self, server, list, record)
    local owner, options = owner_of(server), server.home.options
    local most = most_of(options)
    if most == 0 then return end
    local count, first, at = count_alive(self, {owner.memory, owner.permits}, options.timeout)
    if count >= most then at[first] = nil end
    list[record] = now_used(self)
end

local function put_id(self, server, in_force, record)
    local in_memory, to_store = tiers(in_force, record.version)
    if in_memory then put_in_memory(self, server, memory_of(server), record) end
    if to_store and keeps(server.home) then server.home.in_store[record] = record end
end

--- The record of an id, or nil and why there is none; life.waits: the store does not answer.
local function find_id(self, server, in_force, record, life)
    local options, version = server.home.options, record.version
    local once = version == THREE and in_force.once
    local in_memory, to_store = tiers(in_force, version)
    local memory, why = memory_of(server), {"not_cached"}
    if in_memory and memory[record] then
        local good = alive(self, record, options.timeout)
        if once or not good then memory[record] = nil end
        if good and not once then memory[record] = now_used(self) end
        if good then return record end
        why[#why + 1] = "expired"
    end
    if not to_store then return nil, set(table.unpack(why)) end
    local there, answer = server.home.in_store[record], answer_of(server.home)
    if answer == "error" then return nil, set "store" end
    if is_removed(answer) and once then server.home.in_store[record] = nil end
    if waits_for(answer) then
        life.waits = "server"
        return nil
    end
    if not there or answer == "nothing" then return nil, set(table.unpack(why)) end
    -- Sealed bytes are bound to the policy: under another one they do not open.
    if record.policy ~= in_force.options.policy then
        return nil, set("not_cached", "other_context", "expired") end
    if not alive(self, record, options.timeout) then
        return nil, set("expired", forgets(options) and "not_cached" or nil)
    end
    if in_memory then put_in_memory(self, server, memory, record) end
    return record
end

--- The permit of a ticket is in the store, or in memory where there is none, since all must see
-- that it was taken.
local function give_permit(self, server, record)
    if not server.home.options.store then
        put_in_memory(self, server, owner_of(server).permits, record)
    elseif keeps(server.home) then
        server.home.stored_permits[record] = true
    end
end

--- Whether there was one. A server that cannot ask the store leaves it there.
local function take_permit(self, server, in_force, record, life)
    local options = server.home.options
    if not options.store then
        local permits = owner_of(server).permits
        local there = permits[record]
        permits[record] = nil
        return there and alive(self, record, options.timeout)
    end
    local there, answer = server.home.stored_permits[record], answer_of(server.home)
    if is_removed(answer) then server.home.stored_permits[record] = nil end
    life.waits = waits_for(answer) and "server" or nil
    -- It is sealed under the policy.
    return there and answer == "well" and record.policy == in_force.options.policy
end

--- Whether early data are accepted: of a session that resumes and is found once, or whose ticket
-- has its permit; by a call that reads them, before which on_verify need not be asked; and not
-- more than the context allows. A permit is taken whatever the rest says.
local function accepts(self, server, in_force, session, life, reads)
    local permitted = in_force.once
    if in_force.permits_early and life.version == THREE then
        permitted = take_permit(self, server, in_force, session.record, life)
    end
    local read = reads ~= "accept" and not (reads ~= "read_early" and in_force.options.asks)
    local most = session.record.early
    return life.resumed and permitted and read and most ~= nil and in_force.early ~= nil
        and most <= in_force.early
end

--- What a server makes of an offer: whether it resumes, or the words why not; and whether a TLS 1.2
-- ticket is renewed.
local function judge(self, server, in_force, offer, life)
    local version = life.version
    -- A client of TLS 1.3 makes an id up (RFC 8446 appendix D.4), which looks like one to TLS 1.2.
    if not offer then return false, life.makes_id_up and set("not_offered", "not_cached", "store")
        or set "not_offered" end
    local record = offer.record
    if server.home.options.kind == "off" or offer.version ~= version
        or record.home ~= server.home then
        return false, nil -- any word, since more than one reason is a good one
    end
    local first = true
    if offer.key and version == TWO and life.no_ticket then
        return false, set "not_cached" -- the id beside the ticket is sent, which leads nowhere
    elseif offer.key then
        if not makes_tickets(in_force, version) then return false, nil end
        local known
        known, first = opens(self, server, offer.key)
        if not known then return false, set "ticket" end
    else
        if not keeps_ids(in_force, version) then return false, nil end
        local found, why = find_id(self, server, in_force, record, life)
        if not found then return false, why end
    end
    if record.policy ~= in_force.options.policy then
        return false, set("other_context", "expired") end
    if not alive(self, record) then return false, set "expired" end
    local gets_ticket = version == TWO and not offer.key and not life.no_ticket
        and makes_tickets(in_force, TWO)
    return true, set "resumed", not first or gets_ticket
end

-- ----------------------------------------------------------------------------- a client's sessions

local function peer_of(cache, name)
    cache.peers[name] = cache.peers[name] or {why = "not_cached"}
    return cache.peers[name]
end

local function leave(peer, i, why)
    peer.why, peer.or_why = why, nil
    return table.remove(peer, i)
end

--- A put drops two sessions of any peers whose time is over, those first that were over first.
local function expire(self, cache)
    for _ = 1, 2 do
        local first, at
        for _, peer in pairs(cache.peers) do
            for i, one in ipairs(peer) do
                local lives = math.min(one.lifetime, cache.options.timeout or math.huge)
                if not alive(self, one, cache.options.timeout)
                    and (not first or one.made + lives < at.over) then
                    first, at = one, {peer = peer, i = i, over = one.made + lives}
                end
            end
        end
        if not first then return end
        leave(at.peer, at.i, "expired")
    end
end

--- A full cache loses the session that was used longest ago, whatever its peer.
local function make_room(self, cache, most)
    local count, first, at = 0, nil, nil
    for _, peer in pairs(cache.peers) do
        for i, one in ipairs(peer) do
            if alive(self, one, cache.options.timeout) then
                count = count + 1
                if not first or cache.used[one] < cache.used[first] then
                    first, at = one, {peer = peer, i = i}
                end
            end
        end
    end
    if count >= most then leave(at.peer, at.i, "not_cached") end
end

local function keep_in_memory(self, cache, name, session)
    local peer, most = peer_of(cache, name), most_of(cache.options)
    if most == 0 then return end
    for i = #peer, 1, -1 do
        if session.version == TWO or peer[i].version == TWO then leave(peer, i, "not_cached") end
    end
    if #peer >= (cache.options.sessions_per_peer or 4) then leave(peer, 1, "not_cached") end
    expire(self, cache)
    make_room(self, cache, most)
    cache.used[session] = now_used(self)
    peer[#peer + 1] = session
end

--- The session that the cache gives for a peer, or nil and why there is none. Sessions that have
-- expired may have been dropped earlier, to make room, so that a later reason counts.
local function find_for(self, cache, name, life)
    local peer, options = peer_of(cache, name), cache.options
    local before = peer.why
    while #peer > 0 do
        local session = peer[#peer]
        if alive(self, session, options.timeout) then
            cache.used[session] = now_used(self)
            return session.version == THREE and leave(peer, #peer, "spent") or session
        end
        leave(peer, #peer, "expired")
    end
    life.or_client = peer.why ~= before and before or peer.or_why
    if not options.store then return nil, peer.why end
    local session, answer = cache.in_store[name], answer_of(cache)
    if answer == "error" then return nil, "store" end
    if is_removed(answer) then cache.in_store[name] = nil end
    if waits_for(answer) then
        life.waits = "client"
        return nil
    end
    if not session or answer == "nothing" then return nil, peer.why end
    if not alive(self, session, options.timeout) then
        if forgets(options) then life.or_client = peer.why end
        return nil, "expired"
    end
    if session.version == TWO then -- it may be used again
        if options.in_memory then keep_in_memory(self, cache, name, session) end
        if keeps(cache) then cache.in_store[name] = session end
        life.stored = session
    end
    return session
end

--- A store has one session of a peer: the first of a connection, while the others are in memory.
local function keep(self, life, session)
    local cache = life.cache
    if not cache or not alive(self, session, cache.options.timeout) then return end
    local to_store = cache.options.store
    local in_memory = not to_store or cache.options.in_memory
    if in_memory and to_store and session.version == THREE then
        to_store = not life.told_store
        life.told_store, in_memory = true, not to_store
    end
    if in_memory then keep_in_memory(self, cache, life.peer, session) end
    if to_store then life.stored = session end
    if to_store and keeps(cache) then cache.in_store[life.peer] = session end
end

--- A session that has become bad: the cache drops it, in memory and in the store. A newer one that
-- the store has for the peer, of another connection, stays.
local function drop(self, life)
    local cache, session = life.cache, life.session
    if not cache or not session then return end
    local peer, stored = peer_of(cache, life.peer), life.stored == session
    for i = #peer, 1, -1 do
        if peer[i] == session then
            session.bad = true -- what memory has is the same object for all of its connections
            -- It may have been dropped earlier, since it is too old for the cache.
            leave(peer, i, alive(self, session) and "not_closed" or "expired")
            if not alive(self, session, cache.options.timeout) then peer.or_why = "expired" end
            stored = stored or session.version == TWO
        end
    end
    if stored and cache.in_store[life.peer] == session then cache.in_store[life.peer] = nil end
end

-- ------------------------------------------------------------------------------------ a connection

--- Makes the model of a session, as both ends know it. Its field hint is the lifetime that the
-- server has stated, and early is how many bytes of early data the client believes to be allowed.
-- If a ticket says nothing of early data, libssl keeps the number of the session that was resumed
-- (design.md), though the server's record allows none.
local function make(self, life, record, by_ticket, hint)
    return {version = life.version, made = self.now, lifetime = life.lifetime, record = record,
        hint = hint, early = life.version == THREE and (record.early or life.inherits) or nil,
        key = by_ticket and key_of(self, life.origin) or nil}
end

local function new_record(self, life, lifetime)
    return {version = life.version, made = self.now, lifetime = lifetime,
        policy = life.in_force.options.policy, early = life.in_force.early,
        home = life.origin.home}
end

local function arrives(self, life, session)
    keep(self, life, session)
    life.session = session
end

--- A renewed ticket takes the place of the one before, which leaves memory, and the store if memory
-- had it, too.
local function replace(life, offer)
    local cache = life.cache
    for _, session in ipairs(cache and peer_of(cache, life.peer) or {}) do
        if session == offer and cache.in_store[life.peer] == offer then
            cache.in_store[life.peer] = nil
        end
    end
end

--- TLS 1.2: a session comes with the handshake, or a renewed ticket does.
local function end_of_two(self, life, offer, renewed)
    local server, lifetime = life.in_force, life.origin.home.options.lifetime
    if life.resumed then
        life.session, life.record = offer, not offer.key and offer.record or nil
        if renewed then
            replace(life, offer)
            arrives(self, life, make(self, life, offer.record, true, 0))
        end
        return
    end
    local by_ticket = makes_tickets(server, TWO) and not life.no_ticket
    life.record = new_record(self, life, lifetime)
    if not by_ticket and keeps_ids(server, TWO) then
        put_id(self, life.origin, server, life.record)
    elseif not by_ticket then
        return -- the server gives no id
    end
    arrives(self, life, make(self, life, life.record, by_ticket, by_ticket and lifetime or 0))
end

--- TLS 1.3: tickets come after it; one, if it has resumed. reads: whether the client takes them.
local function end_of_three(self, life, offer, reads)
    local server, options = life.in_force, life.origin.home.options
    local n = options.kind == "off" and 0 or server.options.num_tickets
    if life.resumed then
        n, life.record, life.inherits = math.min(n, 1), offer.record, offer.early
    end
    for _ = 1, n do
        life.record = new_record(self, life, life.resumed and offer.record.lifetime
            or options.lifetime)
        local by_ticket = makes_tickets(server, THREE)
        if not by_ticket then put_id(self, life.origin, server, life.record) end
        if server.permits_early then give_permit(self, life.origin, life.record) end
        if reads then arrives(self, life, make(self, life, life.record, by_ticket,
            life.record.lifetime)) end
    end
end

--- Whether it is older than its server said that it would be taken.
local function outlived(self, session)
    local told = session.version == THREE or session.hint > 0
    return told and self.now - session.made > session.hint
end

local function too_old(self, session)
    return not alive(self, session) or outlived(self, session)
end

local function client_word(life, session, old, why)
    if life.resumed then return "resumed" end
    if not session then return why end
    return old and "expired" or session.version ~= life.version and "other_version"
        or "not_accepted"
end

--- How many bytes of early data the client may send; nil: none.
local function may_send(how, session, hidden)
    local most = not hidden and session.early
    return how.early and most and math.min(how.early, most) or nil
end

--- A handshake. By name: name (the server's), alpn, deaf (the client reads no tickets), early (so
-- many bytes of early data, if it may), reads (the server's call: "accept", "read_early", or nil
-- for "accept_early"), offers (a session that the client offers instead of the cache's).
function Fleet:visit(client_number, server_number, how)
    local client, origin = self.clients[client_number], self.servers[server_number]
    local in_force = origin.names[how.name] or origin
    local both_new = client.options.version ~= TWO and origin.version ~= TWO
    local life = {version = both_new and THREE or TWO, makes_id_up = client.options.version ~= TWO
        and not both_new,
        origin = origin, in_force = in_force, cache = client.cache, memory = memory_of(origin),
        no_ticket = client.options.no_ticket, lifetime = client.options.lifetime,
        peer = table.concat({how.name, how.alpn or "", client.options.policy}, "|")}
    local session, why = nil, "not_offered"
    if how.offers then
        session = how.offers
    elseif life.cache then
        session, why = find_for(self, life.cache, life.peer, life)
    end
    if life.waits then return life end
    local old = session and too_old(self, session)
    local hidden = not session or (session.version == THREE
        and (outlived(self, session) or client.options.version == TWO))
    life.sends = may_send(how, session, hidden)
    life.fails = life.sends and life.version == TWO
    -- What a server looks up that does not resume anyway is left open.
    life.may_wait = waits_for(answer_of(origin.home)) and origin.home.options.store
        and (session or life.makes_id_up) and "server" or nil
    if life.fails then return life end
    local resumed, words, renewed = judge(self, origin, in_force, not hidden and session or nil,
        life)
    life.resumed, life.server = resumed, words
    life.accepted = life.sends and accepts(self, origin, in_force, session, life, how.reads)
    if resumed and not life.waits then life.may_wait = nil end
    life.client = client_word(life, session, old, why)
    life.offer, life.renewed, life.deaf = session, renewed, how.deaf
    return life
end

--- Its handshake is done, and the sessions have come.
function Fleet:connected(life)
    local offer = life.offer
    if life.resumed then life.lifetime = offer.lifetime end -- the session's goes on, at both ends
    if life.version == TWO then
        end_of_two(self, life, offer, life.renewed)
    else
        end_of_three(self, life, offer, not life.deaf)
    end
end

--- How it ends: "clean"; "client_drops", "server_drops": without a close_notify of either; "cut":
-- the client said goodbye and the server did not.
function Fleet:finish(life, how)
    local client_is_good, server_is_good = how == "clean" or how == "cut", how == "clean"
    local spoiled = life.session and life.session.bad -- by another connection
    if not client_is_good or spoiled then drop(self, life) end
    if not server_is_good and life.record then
        life.memory[life.record] = nil -- the server's may be another one since it was restarted
        life.origin.home.in_store[life.record] = nil
    end
end

-- ----------------------------------------------------------------------------------- what is there

--- How many sessions a client's memory tier has that have not expired.
function Fleet:in_client(n)
    local cache, count = self.caches[n], 0
    for _, peer in pairs(cache.peers) do
        for _, session in ipairs(peer) do
            if alive(self, session, cache.options.timeout) then count = count + 1 end
        end
    end
    return count
end

--- The same of a server's, where it has a cache that the program gave.
function Fleet:in_server(n)
    local server, count = self.servers[n], 0
    for record in pairs(memory_of(server)) do
        if alive(self, record, server.home.options.timeout) then count = count + 1 end
    end
    return count
end

return model
