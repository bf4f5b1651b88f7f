-- tlslife.probe.fleet: finds out what takes several addresses, several names or time. It sees
-- whether a session made in one place resumes in another, how long it lives, and whether ticket
-- keys change.

local checks = require "tlslife.probe.checks"
local jobs = require "tlslife.probe.jobs"

local fleet = {}

-- One full handshake at the first place, whose session is offered at the second.
local function crossing(run, key, from, to)
    local made = checks.visit(run, from, key, {finish = "client", first_ticket = true})
    local session = not made.failed and checks.offerable(key, made)
    if not session then return {state = "none", why = made.failed} end
    local seen = checks.visit(run, to, key, {bytes = session.bytes})
    if seen.failed then return {state = "failed", why = seen.failed} end
    return {state = seen.resumed and "resumed" or "full"}
end

-- The kinds of resumption that at least one of the places has.
local function kinds_of(found)
    local kinds = {}
    for _, key in ipairs(checks.kinds) do
        for _, one in ipairs(found) do
            if one[key] and one[key].state == "resumed" then
                kinds[#kinds + 1] = key
                break
            end
        end
    end
    return kinds
end

local function resumes(one, key)
    return one[key] and one[key].state == "resumed"
end

--- Offers sessions made at each address of a name at each other address. Returns a list
-- of {kind =, from =, to =, state =}. With more than run.matrix addresses, each one's sessions are
-- offered at the next address only.
function fleet.matrix(run, found)
    local pairs_of = {}
    local all = #found <= run.matrix
    for _, key in ipairs(kinds_of(found)) do
        for i, from in ipairs(found) do
            for j, to in ipairs(found) do
                local wanted = i ~= j and (all or j == i % #found + 1)
                if wanted and resumes(from, key) and not to.first.failed then
                    pairs_of[#pairs_of + 1] = {kind = key, from = from, to = to}
                end
            end
        end
    end
    return jobs.run(pairs_of, run.jobs, function(pair)
        local seen = crossing(run, pair.kind, pair.from, pair.to)
        return {kind = pair.kind, from = pair.from.address, to = pair.to.address,
            state = seen.state, why = seen.why}
    end)
end

--- Sessions of one name, offered at the same address with another name. They must not resume.
function fleet.isolation(run, found)
    local by_place, crossings = {}, {}
    for _, one in ipairs(found) do
        local place = one.address .. " " .. one.port
        local others = by_place[place] or {}
        by_place[place] = others
        for _, other in ipairs(others) do
            for _, key in ipairs(checks.kinds) do
                if other.name ~= one.name and resumes(other, key) and not one.first.failed then
                    crossings[#crossings + 1] = {kind = key, from = other, to = one}
                end
            end
        end
        others[#others + 1] = one
    end
    return jobs.run(crossings, run.jobs, function(pair)
        local seen = crossing(run, pair.kind, pair.from, pair.to)
        return {kind = pair.kind, address = pair.from.address, from = pair.from.name,
            to = pair.to.name, state = seen.state, why = seen.why}
    end)
end

-- Early data that the first place has accepted, once more at the second.
local function replay(run, from, to)
    local made = checks.visit(run, from, "tls13", {finish = "client", first_ticket = true})
    local session = not made.failed and checks.offerable("tls13", made)
    if not session then return false end
    local how = {bytes = session.bytes, early = checks.early_words(run, from, session)}
    if checks.visit(run, from, "tls13", how).early ~= "accepted" then return false end
    return checks.visit(run, to, "tls13", how).early == "accepted"
end

--- Finds out whether early data that one address of a name has accepted are accepted again at the
-- next one, as they are where each machine remembers only those of its own.
function fleet.replays(run, found)
    local asked = {}
    for i, from in ipairs(found) do
        local to = found[i % #found + 1]
        local accepts = from.early and from.early.state == "accepted"
        if to ~= from and accepts and to.early then asked[#asked + 1] = {from, to} end
    end
    jobs.run(asked, run.jobs, function(pair)
        if replay(run, pair[1], pair[2]) then pair[1].early.replayed_at = pair[2].address end
    end)
end

local AGES <const> = {1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800,
    43200, 86400, 172800, 345600, 604800}

local function age_of(run, one, key, limit, say)
    local session = one[key].session
    local began, last = jobs.now(), 0
    for _, age in ipairs(AGES) do
        if age > limit then break end
        jobs.sleep(math.max(0, began + age - jobs.now()))
        local seen = checks.visit(run, one, key, {bytes = session.bytes})
        say(("%s %s: %d s: %s"):format(one.address, key, age,
            seen.failed or seen.resumed and "resumed" or "full handshake"))
        if seen.failed or not seen.resumed then return {lived = last, dead = age} end
        last = age
    end
    return {lived = last}
end

--- Offers each session again and again, until limit seconds have passed. Returns the greatest age
-- at which it resumed, and the one at which it no longer did. This does not work with a server that
-- takes a ticket once only.
function fleet.ages(run, found, limit, say)
    local asked = {}
    for _, one in ipairs(found) do
        for _, key in ipairs(checks.kinds) do
            if resumes(one, key) and one[key].twice then asked[#asked + 1] = {one, key} end
        end
    end
    jobs.run(asked, run.jobs, function(pair)
        pair[1][pair[2]].age = age_of(run, pair[1], pair[2], limit, say)
    end)
end

-- The name of the key that sealed a ticket. Tickets of OpenSSL and of most others begin with it
-- (RFC 5077 section 4).
local function key_name(run, one, key)
    local made = checks.visit(run, one, key, {finish = "client", first_ticket = true})
    local session = not made.failed and checks.offerable(key, made)
    return session and session.ticket and session.ticket:sub(1, 16)
end

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function watch_one(run, one, key, seconds, say)
    local seen, began = {}, jobs.now()
    local step = math.max(1, math.min(60, seconds / 20))
    repeat
        local name = key_name(run, one, key)
        if name and (#seen == 0 or seen[#seen].name ~= hex(name)) then
            seen[#seen + 1] = {name = hex(name), at = math.floor(jobs.now() - began)}
            say(("%s: ticket key %s after %d s"):format(one.address, hex(name), seen[#seen].at))
        end
        jobs.sleep(step)
    until jobs.now() - began >= seconds
    return seen
end

--- Watches the names of the keys that seal the tickets of each address, for so many seconds.
function fleet.watch(run, found, seconds, say)
    jobs.run(found, run.jobs, function(one)
        local key = resumes(one, "tls13") and one.tls13.session.ticket and "tls13" or
            resumes(one, "ticket12") and "ticket12"
        if key then one.watched = watch_one(run, one, key, seconds, say) end
    end)
end

return fleet
