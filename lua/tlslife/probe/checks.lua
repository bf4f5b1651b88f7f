-- tlslife.probe.checks: finds out all about one address, by one visit for each question.

local tls = require "tlslife.core"
local talk = require "tlslife.probe.talk"
local visit = require "tlslife.probe.visit"

local checks = {}

-- A context for each way to resume. A session is offered with the context that it was made with.
local KINDS <const> = {
    {key = "tls13", min_version = "TLSv1.3", max_early_data = 16384},
    {key = "ticket12", max_version = "TLSv1.2"},
    {key = "id12", max_version = "TLSv1.2", options = {NO_TICKET = true}},
}

checks.kinds = {"tls13", "ticket12", "id12"}

-- Versions that no server should offer any more (RFC 8996). OpenSSL has them below its security
-- level 1 only. With a build of OpenSSL that lacks them the probe does not ask.
local OLD <const> = {{"TLSv1", "TLS 1.0"}, {"TLSv1.1", "TLS 1.1"}}

-- A context for each question that needs settings of its own, apart from the ways to resume.
local function contexts_for_questions(settings, contexts)
    for _, old in ipairs(OLD) do
        local made, context = pcall(tls.context, {
            role = "client", verify = false, min_version = old[1], max_version = old[1],
            ciphers = "ALL:@SECLEVEL=0",
        })
        contexts[old[1]] = made and context or nil
    end
    contexts.ocsp = tls.context {role = "client", ca = settings.ca, verify = true,
        verify_all = true, on_verify = function() return true end, ocsp_verify = "optional"}
    for _, protocol in ipairs(settings.protocols or {}) do
        contexts["alpn " .. protocol] = tls.context {role = "client", verify = false,
            alpn = {protocol}}
    end
end

--- The contexts of a run. nil and a message where they cannot be made.
function checks.contexts(settings)
    local alpn = settings.alpn
    local contexts, message = {}
    contexts.first, message = tls.context {
        role = "client", ca = settings.ca, alpn = alpn, ocsp_request = true, verify = true,
        verify_all = true, on_verify = function() return true end, groups = settings.groups,
    }
    if not contexts.first then return nil, message end
    contexts_for_questions(settings, contexts)
    for _, kind in ipairs(KINDS) do
        contexts[kind.key], message = tls.context {
            role = "client", verify = false, alpn = alpn, min_version = kind.min_version,
            max_version = kind.max_version, options = kind.options,
            max_early_data = kind.max_early_data, groups = settings.groups,
        }
        if not contexts[kind.key] then return nil, message end
    end
    return contexts
end

--- A visit of the place (name, address, port) with the context of that key.
function checks.visit(run, place, key, more)
    local how = {
        context = run.contexts[key], name = place.name, address = place.address,
        port = place.port, timeout = run.timeout, starttls = run.starttls, finish = "quick",
    }
    for name, value in pairs(more or {}) do how[name] = value end
    return visit(how)
end

--- The words that make the server of this run end a connection, or nil where none are known.
function checks.farewell(run, place)
    if run.starttls then return talk.protocols[run.starttls].bye end
    return run.http and talk.http(place.name, run.path) or nil
end

-- The session to offer, of those that a full handshake gave.
local function offerable(key, facts)
    for _, session in ipairs(facts.sessions or {}) do
        local has = key == "id12" and #session.id > 0 or session.ticket
        if session.resumable and has then return session end
    end
end
checks.offerable = offerable

-- Whether a session made here resumes here, once and again.
local function resumption(run, place, key)
    local made = checks.visit(run, place, key, {finish = "client"})
    if made.failed then
        local version = made.alert == "protocol_version" or made.alert == "handshake_failure"
        return {state = version and "no version" or "failed", why = made.failed}
    end
    local found = {
        state = "full", version = made.version, tickets = #made.sessions,
        close = made.client_end, close_seconds = made.close_seconds,
    }
    local session = offerable(key, made)
    if not session then
        found.state = "none"
        return found
    end
    found.session = session
    found.ticket_size = session.ticket_size
    found.lifetime = session.ticket and session.lifetime
    found.max_early_data = session.max_early_data
    local first = checks.visit(run, place, key, {bytes = session.bytes})
    if first.failed then
        found.state, found.why = "failed", first.failed
        return found
    end
    found.state = first.resumed and "resumed" or "full"
    local again = checks.visit(run, place, key, {bytes = session.bytes})
    found.twice = not again.failed and again.resumed or false
    return found
end

--- What to send as early data.
function checks.early_words(run, place, session)
    local words = run.http and talk.http(place.name, run.path) or "\r\n"
    return words:sub(1, session.max_early_data)
end

-- Whether early data are accepted, and the same early data a second time.
local function early_data(run, place, found)
    if (found.max_early_data or 0) == 0 then return {state = "not offered"} end
    local made = checks.visit(run, place, "tls13", {finish = "client", first_ticket = true})
    local session = not made.failed and offerable("tls13", made)
    if not session then return {state = "failed", why = made.failed or "no ticket came"} end
    local how = {bytes = session.bytes, early = checks.early_words(run, place, session)}
    local first = checks.visit(run, place, "tls13", how)
    if first.failed then return {state = "failed", why = first.failed} end
    local again = checks.visit(run, place, "tls13", how)
    return {
        state = first.early, max = session.max_early_data,
        replayed = not again.failed and again.early == "accepted",
    }
end

local function first_visit(run, place)
    return checks.visit(run, place, "first",
        {finish = "server", farewell = checks.farewell(run, place)})
end

-- The versions that the server speaks, from the oldest.
local function versions_of(run, place, found)
    local versions = {}
    for _, old in ipairs(OLD) do
        local seen = run.contexts[old[1]] and checks.visit(run, place, old[1])
        if seen and not seen.failed then versions[#versions + 1] = old[1] end
    end
    if found.ticket12.version == "TLSv1.2" then versions[#versions + 1] = "TLSv1.2" end
    if found.tls13.version then versions[#versions + 1] = "TLSv1.3" end
    return versions
end

-- The protocols to which the server agrees, of those that the run asks about. Each is offered
-- alone.
local function protocols_of(run, place)
    local agreed = {}
    for _, protocol in ipairs(run.protocols or {}) do
        local seen = checks.visit(run, place, "alpn " .. protocol)
        if seen.alpn == protocol then agreed[#agreed + 1] = protocol end
    end
    return agreed
end

-- Whether the stapled OCSP response says of the certificate that it is good: "good", or why not.
local function judge_ocsp(run, place, first)
    if not first.ocsp then return end
    local seen = checks.visit(run, place, "ocsp")
    first.ocsp_status = seen.failed or "good"
end

--- Everything about one address.
function checks.address(run, place)
    local first = first_visit(run, place)
    local found = {name = place.name, address = place.address, port = place.port, first = first}
    if first.failed then return found end
    judge_ocsp(run, place, first)
    for _, key in ipairs(checks.kinds) do found[key] = resumption(run, place, key) end
    found.versions, found.protocols = versions_of(run, place, found), protocols_of(run, place)
    found.early = early_data(run, place, found.tls13)
    if found.ticket12.version then
        local facts = checks.visit(run, place, "ticket12", {renegotiate = true})
        found.renegotiation = facts.renegotiation or "refused"
    end
    return found
end

return checks
