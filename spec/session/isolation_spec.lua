-- isolation_spec.lua: tests that a session made under one policy never resumes under another, if
-- the two contexts share a cache, ticket keys or a listener (the class of CVE-2025-23419, nginx,
-- and CVE-2025-23048, httpd).
--
-- Each pair is tried with sessions that have a client's certificate where the first policy asks for
-- one. Each pair has a control, which is the same policy twice, because the pair would also pass if
-- nothing ever resumed.

local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()
local SECRET = ("i"):rep(32)
local both_cas = p.ca_pem .. p.other_ca_pem

local function accept_all() return true end

-- RFC 7627: a session fixes whether there is one.
local NO_EMS = {options = {NO_EXTENDED_MASTER_SECRET = true}}
local function psks(...)
    local all = {}
    for i, name in ipairs {...} do all[i] = {identity = name, key = name:rep(8)} end
    return {psk = all}
end
local ALICE = {certificate = p.client_cert_file, private_key = p.client_key_file}
-- Another client of the same name, by another CA.
local NAMESAKE = {certificate = p.other_client_cert_file, private_key = p.other_client_key_file}

-- The server's policies: what a session is made under, and what it must not resume under. All of
-- them would let this client in with a full handshake.
local POLICIES = {
    {"a server without verification, then one that verifies", {},
        {verify = "required", ca = p.ca_file}},
    {"a server that verifies, then one that does not", {verify = "required", ca = p.ca_file}, {}},
    {"certificates optional, then required", {verify = "optional", ca = p.ca_file},
        {verify = "required", ca = p.ca_file}},
    {"certificates required, then optional", {verify = "required", ca = p.ca_file},
        {verify = "optional", ca = p.ca_file}},
    {"one set of CAs, then another", {verify = "required", ca = both_cas},
        {verify = "required", ca = p.ca_file}},
    {"verification without on_verify, then with", {verify = "required", ca = p.ca_file},
        {verify = "required", ca = p.ca_file, on_verify = accept_all}},
    {"verification with on_verify, then without", {verify = "required", ca = p.ca_file,
        on_verify = accept_all}, {verify = "required", ca = p.ca_file}},
    {"an extended master secret, then none", {}, NO_EMS},
    {"no extended master secret, then one", NO_EMS, {}},
    {"two PSKs, then one of them", psks("alice", "bob"), psks "alice"},
    {"a PSK, then none", psks "alice", {}},
}

local function table_store()
    local rows = {}
    return {
        get = function(key) return rows[key] end,
        put = function(key, sealed) rows[key] = sealed end,
        remove = function(key) rows[key] = nil end,
    }
end

-- What the two policies share: a function that gives the options that both contexts get.
local SHARED = {
    {"a cache in memory", function() return {cache = assert(tls.cache())} end},
    {"an external store", function()
        return {cache = assert(tls.cache {store = table_store(), keyring = tls.keyring {SECRET},
            in_memory = false})}
    end},
    {"ticket keys", function() return {ticket_keys = tls.ticket_keys {secret = SECRET}} end},
}

local with <const> = pair.with

-- A connection that is closed in good order; the server's and the client's words, and a session to
-- offer.
local function visit(client, server, session, hostname)
    local conn, peer = pair.join {client = client, server = server, session = session,
        hostname = hostname, setup = function(_, s) s:set_blocking(true) end}
    local c, s = pair.drive(conn, peer)
    assert(c[1] and s[1], c[2] or s[2])
    assert(select(2, conn:read()) == "want_read")
    local server_word, client_word = peer:resumption(), conn:resumption()
    assert.equal(conn:session_reused(), peer:session_reused())
    local next_session = conn:take_session() or conn:session()
    pair.finish(conn, peer)
    conn:free()
    peer:free()
    return server_word, client_word, next_session
end

for _, shared in ipairs(SHARED) do
    for _, version in ipairs(pair.VERSIONS) do
        describe(("with %s in common, %s,"):format(shared[1], version), function()
            local client, common
            before_each(function()
                common = shared[2]()
                client = pair.client {max_version = version, certificate = p.client_cert_file,
                    private_key = p.client_key_file}
            end)

            local function server(policy, more)
                return pair.server(with(with(policy, common), more or {}))
            end

            for _, policy in ipairs(POLICIES) do
                it("no session resumes from " .. policy[1], function()
                    local _, _, session = visit(client, server(policy[2]))
                    local copy = client:import_session(session:export())
                    local word, client_word = visit(client, server(policy[3]), session)
                    assert.not_equal("resumed", word)
                    assert.equal("not_accepted", client_word)
                    -- the same, under what it was made under: nothing else was wrong with it
                    assert.equal("resumed", (visit(client, server(policy[2]), copy)))
                end)
            end

            -- One listener, and contexts by name: a session of one name is offered with another, by
            -- a client that does not care (one that verifies is kept from it by set_session).
            local careless
            before_each(function()
                careless = pair.client {max_version = version, certificate = p.client_cert_file,
                    private_key = p.client_key_file, verify = false}
            end)

            local function listener(first, second)
                return server({}, {server_names = {["a.example"] = server(first),
                    ["x.b.example"] = server(second)}})
            end

            it("no session of one server name's context resumes at another's", function()
                local lax, strict = {}, {verify = "required", ca = p.ca_file}
                for _, order in ipairs {{lax, strict}, {strict, lax}} do
                    local main = listener(order[1], order[2])
                    local _, _, session = visit(careless, main, nil, "a.example")
                    local copy = careless:import_session(session:export())
                    assert.not_equal("resumed", (visit(careless, main, session, "x.b.example")))
                    assert.equal("resumed", (visit(careless, main, copy, "a.example")))
                end
            end)

            it("no session of a server name resumes at the listener's context, or back", function()
                local main = listener({verify = "required", ca = p.ca_file}, {})
                for _, names in ipairs {{"a.example", "localhost"}, {"localhost", "a.example"}} do
                    local _, _, session = visit(careless, main, nil, names[1])
                    local copy = careless:import_session(session:export())
                    assert.not_equal("resumed", (visit(careless, main, session, names[2])))
                    assert.equal("resumed", (visit(careless, main, copy, names[1])))
                end
            end)

            it("a client whose certificate the second policy refuses is refused", function()
                local stranger = pair.client {max_version = version,
                    certificate = p.other_client_cert_file, private_key = p.other_client_key_file}
                local first = {verify = "required", ca = p.other_ca_file}
                local _, _, session = visit(stranger, server(first))
                local copy = stranger:import_session(session:export())
                local _, s = pair.try {client = stranger,
                    server = server {verify = "required", ca = p.ca_file}, session = session,
                    setup = function(_, one) one:set_blocking(true) end}
                assert.is_nil(s[1])
                assert.equal("resumed", (visit(stranger, server(first), copy)))
            end)
        end)
    end
end

describe("a client's cache", function()
    local CLIENTS = {
        {"verification off, then on", {verify = false}, {}},
        {"verification on, then off", {}, {verify = false}},
        {"host names not looked at, then looked at", {verify_host = false}, {}},
        {"one set of CAs, then another", {ca = both_cas}, {}},
        {"no on_verify, then one", {}, {on_verify = accept_all}},
        {"on_verify, then none", {on_verify = accept_all}, {}},
        {"a certificate, then none", ALICE, {}},
        {"no certificate, then one", {}, ALICE},
        {"a certificate, then another of the same name", ALICE, NAMESAKE},
        {"a PSK, then another", psks "alice", psks "bob"},
        {"a PSK, then another that was the second", psks("alice", "bob"), psks("bob", "alice")},
        {"a PSK, then none", psks "alice", {}},
        {"an extended master secret, then none", {}, NO_EMS},
        {"no extended master secret, then one", NO_EMS, {}},
    }
    for _, version in ipairs(pair.VERSIONS) do
        for _, case in ipairs(CLIENTS) do
            it(("does not give a session from %s, %s"):format(case[1], version), function()
                local cache = assert(tls.cache())
                local server = pair.server {verify = "optional", ca = {p.ca_file, p.other_ca_file}}
                local function client(policy)
                    return pair.client(with(policy, {max_version = version, cache = cache}))
                end
                visit(client(case[2]), server)
                local server_word, word = visit(client(case[3]), server)
                assert.not_equal("resumed", server_word)
                assert.equal("not_cached", word)
                assert.equal("resumed", (select(2, visit(client(case[2]), server))))
            end)
        end
    end
end)

-- Ciphers keep no sessions apart, but in TLS 1.2 a session fixes its cipher. A peer aborts that is
-- offered one, or is answered with one, whose cipher is not in the ClientHello.
describe("a session whose cipher is not allowed any more", function()
    local AES, CHACHA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"

    local function client(ciphers, cache)
        return pair.client {max_version = "TLSv1.2", ciphers = ciphers, cache = cache}
    end

    for _, resumption in ipairs {"tickets", "stateful"} do
        it("is not offered from a cache, " .. resumption, function()
            local server, cache = pair.server {resumption = resumption}, assert(tls.cache())
            visit(client(AES, cache), server)
            local server_word, client_word = visit(client(CHACHA, cache), server)
            assert.same({"not_offered", "not_offered"}, {server_word, client_word})
            assert.equal("resumed", (visit(client(CHACHA .. ":" .. AES, cache), server)))
        end)

        it("is not offered where the program gives it, " .. resumption, function()
            local server = pair.server {resumption = resumption}
            local _, _, session = visit(client(AES), server)
            local other, same = client(CHACHA), client(AES)
            local bytes = session:export()
            assert.equal("not_offered", (visit(other, server, other:import_session(bytes))))
            assert.equal("resumed", (visit(same, server, same:import_session(bytes))))
        end)

        it("is not taken by a server, " .. resumption, function()
            local keys, cache = tls.ticket_keys {secret = SECRET}, assert(tls.cache())
            local common = resumption == "tickets" and {ticket_keys = keys} or {cache = cache}
            local function server(ciphers) return pair.server(with(common, {ciphers = ciphers})) end
            local both = client(AES .. ":" .. CHACHA)
            local _, _, session = visit(both, server(AES))
            local copy = both:import_session(session:export())
            local server_word, client_word = visit(both, server(CHACHA), session)
            assert.same({"not_accepted", "not_accepted"}, {server_word, client_word})
            assert.equal("resumed", (visit(both, server(CHACHA .. ":" .. AES), copy)))
        end)
    end
end)
