-- tlslife.probe.findings: says what is not right at one name, where, and what to do about it.
--
-- A finding is {bad =, what =, where = addresses, advice =}. bad is true for what makes the verdict
-- of the name "not right", and false for what a reader should know.

local DAY <const> = 86400
local LONGEST <const> = 604800 -- RFC 8446 section 4.6.1: a ticket lives seven days at most

local KINDS <const> = {tls13 = "TLS 1.3", ticket12 = "tickets in TLS 1.2", id12 = "ids in TLS 1.2"}

local findings = {kinds = KINDS}

-- What is asked of each address: a function of what was found there, which returns what is wrong
-- (or nil), what to do, and whether it is bad.
local QUESTIONS <const> = {
    function(one)
        if one.first.failed then
            return (one.first.failed:gsub("^cannot connect to .-, service %S+: ",
                "cannot connect: ")), one.first.stage == "connect" and
                "see that a server listens there" or "see what the server's log says", true
        end
    end,
    function(one)
        if one.first.verify and one.first.verify ~= "ok" then
            return "the certificate is not accepted: " .. one.first.verify,
                "install a certificate for this name, with its intermediates, that clients trust",
                true
        end
    end,
    function(one, now)
        for i, certificate in ipairs(one.first.chain or {}) do
            local left = (certificate.not_after - now) // DAY
            if left >= 0 and left < 14 then
                return ("%s ends in %d days"):format(i == 1 and "the certificate" or
                    "a certificate of the chain", left), "renew it", false
            end
        end
    end,
    function(one)
        if one.first.ocsp_status and one.first.ocsp_status ~= "good" then
            return "the stapled OCSP response is not good: " .. one.first.ocsp_status,
                "see what the CA says of the certificate, and that the server renews the response",
                true
        end
    end,
    function(one)
        local old = one.versions and one.versions[1]
        if old == "TLSv1" or old == "TLSv1.1" then
            return "TLS 1.0 or 1.1 is offered", "allow TLSv1.2 and TLSv1.3 alone (RFC 8996)", true
        end
    end,
    function(one)
        if one.tls13 and one.tls13.state == "no version" then
            return "TLS 1.3 is not offered", "allow TLSv1.3 in the server", false
        end
    end,
    function(one)
        local state = one.tls13 and one.tls13.state
        if state == "none" then
            return "TLS 1.3 gives no tickets: each connection is a full handshake",
                "turn session tickets on", true
        elseif state == "full" then
            return "TLS 1.3 gives tickets that do not resume at the address that gave them",
                "give all servers behind the address the same ticket keys, and each virtual " ..
                "host the same session id context", true
        end
    end,
    function(one)
        local ticket, id = one.ticket12, one.id12
        if not ticket or not ticket.version then return end
        if ticket.state ~= "resumed" and id.state ~= "resumed" then
            return "TLS 1.2 does not resume, neither by ticket nor by id",
                "turn session tickets or a session cache on", true
        elseif id.state ~= "resumed" then
            return "TLS 1.2 clients that take no tickets do not resume",
                "turn a session cache on, shared by all workers", false
        elseif ticket.state == "full" then
            return "tickets of TLS 1.2 do not resume at the address that gave them",
                "give all servers behind the address the same ticket keys", true
        end
    end,
    function(one)
        for _, key in ipairs {"tls13", "ticket12"} do
            local lifetime = one[key] and one[key].lifetime
            if lifetime and lifetime > LONGEST then
                return ("tickets are said to live %d days"):format(lifetime // DAY),
                    "shorten the session timeout: seven days at most (RFC 8446 section 4.6.1)", true
            end
        end
    end,
    function(one)
        if one.early and one.early.replayed then
            return "the same early data are accepted twice",
                "turn early data off, or anti-replay on (RFC 8446 section 8), and answer " ..
                "requests that must not be repeated with 425", true
        end
    end,
    function(one)
        if one.early and one.early.replayed_at then
            return "early data that one address has accepted are accepted again at another",
                "turn early data off, or have all machines share what they have accepted " ..
                "(RFC 8446 section 8)", true
        end
    end,
    function(one)
        if one.first.server_end == "truncated" then
            return "the server ends the stream without close_notify",
                "have the server send close_notify: readers cannot tell the end from an attack",
                true
        end
    end,
    function(one)
        if one.renegotiation == "accepted" then
            return "a client may renegotiate", "turn client-initiated renegotiation off", true
        end
    end,
}

local function add(all, where, what, advice, bad)
    for _, known in ipairs(all) do
        if known.what == what then
            known.where[#known.where + 1] = where
            return
        end
    end
    all[#all + 1] = {what = what, advice = advice, bad = bad, where = {where}}
end

-- A note where machines show different certificates, which is what a renewal looks like.
local function of_certificates(all, found)
    local first
    for _, one in ipairs(found) do
        local leaf = one.first.chain and one.first.chain[1]
        first = first or leaf
        if leaf and leaf.fingerprint ~= first.fingerprint then
            add(all, one.address, "another certificate than at the first address",
                "see that the new certificate gets to all machines", false)
        end
    end
end

local function of_crossings(all, matrix, isolation)
    for _, one in ipairs(matrix) do
        if one.state == "full" then
            add(all, one.from .. " > " .. one.to,
                "sessions made at one address do not resume at another (" .. KINDS[one.kind] .. ")",
                one.kind == "id12" and "share the session cache between the machines" or
                "give all machines the same ticket keys, and change them together", true)
        elseif one.state == "failed" then
            add(all, one.from .. " > " .. one.to,
                "a session of another address breaks the handshake: " .. tostring(one.why),
                "see what the server's log says", true)
        end
    end
    for _, one in ipairs(isolation) do
        if one.state == "resumed" then
            add(all, one.address, ("sessions of %s resume for %s (%s)")
                :format(one.from, one.to, KINDS[one.kind]),
                "give each virtual host a session id context or ticket keys of its own", true)
        end
    end
end

--- The findings for one name, bad ones first. found: what checks.address said of each address.
function findings.of(found, matrix, isolation)
    local all = {}
    for _, one in ipairs(found) do
        for _, question in ipairs(QUESTIONS) do
            local what, advice, bad = question(one, os.time())
            if what then add(all, one.address, what, advice, bad) end
        end
    end
    of_certificates(all, found)
    of_crossings(all, matrix, isolation)
    local sorted = {}
    for _, bad in ipairs {true, false} do
        for _, one in ipairs(all) do
            if one.bad == bad then sorted[#sorted + 1] = one end
        end
    end
    return sorted
end

return findings
