-- tlslife.probe.visit: makes one connection to one address, from dialling to close, and says what
-- was seen. Everything that the probe finds out is made of visits.
--
-- A server is not trusted here: each call has a deadline, and what it sends after the handshake is
-- dropped after READ_MAX bytes.

local jobs = require "tlslife.probe.jobs"
local talk = require "tlslife.probe.talk"

local READ_MAX <const> = 1 << 20
local QUIET <const> = 0.25 -- seconds without a further ticket, after which no more are waited for

-- What a certificate of the chain is for a reader of the report.
local function describe(certificate)
    return {
        subject = certificate.subject, issuer = certificate.issuer, names = certificate.names,
        not_before = certificate.not_before, not_after = certificate.not_after,
        fingerprint = certificate.fingerprint, serial = certificate.serial,
    }
end

local function chain_of(conn)
    local chain = {}
    for i, certificate in ipairs(conn:peer_certificates() or {}) do
        chain[i] = describe(certificate)
    end
    return chain
end

-- Takes the sessions that have come, as bytes: a session of TLS 1.3 that was used is spent, and the
-- probe wants to know what a server does when it sees one twice.
local function take_sessions(conn, facts)
    local session = conn:take_session()
    while session do
        local ticket = session:ticket()
        facts.sessions[#facts.sessions + 1] = {
            bytes = session:export "der", id = session:id(), ticket = ticket,
            ticket_size = ticket and #ticket, lifetime = session:ticket_lifetime(),
            max_early_data = session:max_early_data(), resumable = session:is_resumable(),
        }
        session:free()
        session = conn:take_session()
    end
end

-- Reads until the end, for at most so many seconds, and says how it ended.
local function read_to_end(conn, seconds)
    local deadline, bytes = jobs.now() + seconds, 0
    while true do
        local left = deadline - jobs.now()
        if left <= 0 or bytes > READ_MAX then return "timeout", bytes end
        conn:set_timeout(left)
        local got, why = conn:read()
        if not got then return why, bytes end
        bytes = bytes + #got
    end
end

-- Waits for the tickets that follow a handshake of TLS 1.3, until no more come; or, where
-- first_only says that the server is known to give tickets, for the first. A read does not return
-- when tickets alone come, so each is short.
local function read_tickets(conn, facts, seconds, first_only)
    local quiet = math.max(QUIET, 3 * facts.handshake_seconds)
    local deadline = jobs.now() + math.min(seconds, first_only and seconds or 4 * quiet)
    local count
    repeat
        count = #facts.sessions
        conn:set_timeout(math.min(seconds, quiet))
        local got, why = conn:read()
        take_sessions(conn, facts)
        if not got and why ~= "timeout" then return end
        local enough = #facts.sessions > 0 and (first_only or #facts.sessions == count)
    until enough or jobs.now() >= deadline
end

local function renegotiate(conn, facts)
    local ok, why = pcall(function()
        local began, message = conn:renegotiate()
        if began then began, message = conn:handshake() end
        facts.renegotiation = began and "accepted" or "refused"
        facts.renegotiation_answer = message
    end)
    if not ok then facts.renegotiation, facts.renegotiation_answer = "refused", tostring(why) end
end

-- Ends the visit as how.finish says.
--   "server"  asks the server to end the connection: which end of the stream it makes
--   "client"  sends close_notify, and waits for the server's
--   "quick"   sends close_notify
local function finish(conn, how, facts)
    if how.renegotiate then renegotiate(conn, facts) end
    if how.finish == "server" then
        if how.farewell then conn:write(how.farewell) end
        facts.server_end, facts.answer_bytes = read_to_end(conn, how.farewell and how.timeout or 1)
        take_sessions(conn, facts)
    elseif how.finish == "client" then
        if facts.version == "TLSv1.3" then
            read_tickets(conn, facts, how.timeout, how.first_ticket)
        end
        local began = jobs.now()
        conn:set_timeout(how.timeout)
        facts.client_end, facts.client_end_why = conn:close(math.min(how.timeout, 2))
        facts.client_end = facts.client_end or facts.client_end_why
        facts.close_seconds = jobs.now() - began
    end
    take_sessions(conn, facts)
end

local function learn(conn, facts)
    facts.version, facts.cipher, facts.group = conn:version(), conn:cipher(), conn:group()
    facts.alpn, facts.resumed = conn:alpn(), conn:session_reused()
    facts.verify, facts.verify_result = conn:verify_result()
    facts.chain = chain_of(conn)
    local ocsp = conn:ocsp_response()
    facts.ocsp = ocsp and #ocsp or nil
    facts.early = conn:early_data_status()
end

-- What the error says, for a program that reads the report.
local function failure(stage, message, err)
    return {
        failed = message, stage = stage, alert = err and err.alert,
        received = err and err.alert_received, code = err and err.code,
    }
end

local function prepare(conn, how)
    conn:set_timeout(how.timeout)
    conn:set_hostname(how.name)
    if how.bytes then
        local session, message = how.context:import_session(how.bytes)
        if not session then return nil, message end
        conn:set_session(session)
        session:free()
    end
    return true
end

local function visit(conn, how)
    local ok, message, err = prepare(conn, how)
    if not ok then return failure("session", message, err) end
    local began = jobs.now()
    ok, message, err = conn:dial(how.address, how.port)
    if not ok then return failure("connect", message, err) end
    local facts = {sessions = {}, connect_seconds = jobs.now() - began}
    if how.starttls then
        ok, message = talk.protocols[how.starttls].start(conn, how.name, how.timeout)
        if not ok then return failure("starttls", message) end
        conn:set_timeout(how.timeout)
    end
    began = jobs.now()
    if how.early then
        ok, message, err = conn:write_early(how.early)
        if not ok then return failure("early data", message, err) end
    end
    ok, message, err = conn:connect()
    if not ok then return failure("handshake", message, err) end
    facts.handshake_seconds = jobs.now() - began
    learn(conn, facts)
    finish(conn, how, facts)
    return facts
end

--- Makes the visit. how has context, name, address, port, timeout and finish, and as wanted
-- starttls, bytes (of a session to offer), early (what to send as early data), farewell,
-- renegotiate and first_ticket (one ticket is enough). Returns the facts, or {failed = message,
-- stage = where}.
return function(how)
    local conn = assert(how.context:connection())
    local ok, facts = pcall(visit, conn, how)
    conn:close(0)
    conn:free()
    return ok and facts or failure("probe", tostring(facts))
end
