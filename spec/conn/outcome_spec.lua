-- outcome_spec.lua: makes a connection for every word that conn:resumption() can return, at both
-- ends. The list of words is the table in docs/resumption.md.

local measured = require "spec.support.measured"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local tls = require "tlslife"

local KEYRING <const> = {("k"):rep(32)}

-- That the metrics have grown by these two words, and by no other.
local function check_metrics(before, version, words)
    local grown, found = measured.changed(before), {}
    for series, by in pairs(grown) do
        local side, of, word = series:match
            'handshakes_total{side="(%a+)",version="([^"]+)",resumption="([%w_]+)"}'
        if side then found[side] = (found[side] or "") .. (of .. " " .. word):rep(by) end
    end
    assert.same({client = version .. " " .. words[1], server = version .. " " .. words[2]}, found)
end

-- A connection that ends well, unless dirty: both ends' words, and the last session that came.
local function visit(client, server, with)
    with = with or {}
    local before = measured.read()
    local conn, peer = pair.connect {client = client, server = server, session = with.session}
    local words = {conn:resumption(), peer:resumption()}
    check_metrics(before, conn:version(), words)
    local session
    for one in function() return conn:take_session() end do session = one end
    if with.dirty then
        conn:free()
        peer:free()
    else
        session = session or conn:session()
        pair.finish(conn, peer)
    end
    return words, session
end

local function store()
    local rows = {}
    return {
        get = function(key) return rows[key] end,
        put = function(key, sealed) rows[key] = sealed end,
        remove = function(key) rows[key] = nil end,
    }
end

local function external(options)
    return tls.cache(pair.with({store = store(), keyring = tls.keyring(KEYRING), in_memory = false},
        options))
end

local TWO <const>, THREE <const> = "TLSv1.2", "TLSv1.3"

-- By the words expected of client and server: functions of the version that return both.
local CASES = {
    {"not_offered", "not_offered", "no session and no cache", function(version)
        return visit({max_version = version}, {})[1], "not_offered"
    end},
    {"not_offered", "not_offered", "a session that is not resumable", function(version)
        local client, server = pair.client {max_version = version}, pair.server {resumption = "off"}
        local _, session = visit(client, server)
        return table.unpack((visit(client, server, {session = session})))
    end},
    {"not_cached", "not_offered", "the first connection with a cache", function(version)
        return table.unpack((visit({max_version = version, cache = tls.cache()}, {})))
    end},
    {"not_cached", "not_offered", "the first connection with an external store", function(version)
        return table.unpack((visit({max_version = version, cache = external()}, {})))
    end},
    {"not_accepted", "not_cached", "a server that has nothing any more", function(version)
        local client, cache = pair.client {max_version = version}, tls.cache()
        local server = pair.server {cache = cache}
        local _, session = visit(client, server)
        cache:flush(true)
        return table.unpack((visit(client, server, {session = session})))
    end},
    {"not_accepted", "not_cached", "an external store that has nothing any more", function(version)
        local client = pair.client {max_version = version}
        local _, session = visit(client, {cache = external()})
        return table.unpack((visit(client, {cache = external()}, {session = session})))
    end},
    {"not_accepted", "ticket", "a server with other ticket keys", function(version)
        local client = pair.client {max_version = version}
        local _, session = visit(client, {ticket_keys = tls.ticket_keys {}})
        return table.unpack(
            (visit(client, {ticket_keys = tls.ticket_keys {}}, {session = session})))
    end},
    {"not_accepted", "other_context", "a server with another policy", function(version)
        local client, keys = pair.client {max_version = version}, tls.ticket_keys {}
        local _, session = visit(client, {ticket_keys = keys})
        local strict = {ticket_keys = keys, verify = "optional", ca = pki.get().ca_file}
        return table.unpack((visit(client, strict, {session = session})))
    end},
    {"not_accepted", "other_context", "another policy, by id", function(version)
        local client, cache = pair.client {max_version = version}, tls.cache()
        local _, session = visit(client, {cache = cache})
        local strict = {cache = cache, verify = "optional", ca = pki.get().ca_file}
        return table.unpack((visit(client, strict, {session = session})))
    end},
    {"not_accepted", "store", "a store that fails", function(version)
        local client, rows = pair.client {max_version = version}, store()
        rows.get = function() error "on purpose" end
        warn "@off"
        local server = pair.server {cache = external {store = rows}}
        local _, session = visit(client, server)
        local words = visit(client, server, {session = session})
        warn "@on"
        return table.unpack(words)
    end},
    {"store", "not_offered", "a client's store that fails", function(version)
        local rows = store()
        rows.take = function() error "on purpose" end
        warn "@off"
        local words = visit({max_version = version, cache = external {store = rows}}, {})
        warn "@on"
        return table.unpack(words)
    end},
    {"not_closed", "not_offered", "a connection that was not closed", function(version)
        local client, server = pair.client {
            max_version = version, cache = tls.cache {sessions_per_peer = 1}}, pair.server()
        visit(client, server, {dirty = true})
        return table.unpack((visit(client, server)))
    end},
    {"resumed", "resumed", "a session that is good", function(version)
        local client, server = pair.client {max_version = version}, pair.server()
        local _, session = visit(client, server)
        return table.unpack((visit(client, server, {session = session})))
    end},
    {"spent", "not_offered", "tickets that others have taken", function()
        local client = pair.client {cache = tls.cache()}
        local server = pair.server {num_tickets = 1}
        visit(client, server)
        local first = pair.join {client = client, server = server}
        first:connect() -- takes it
        return table.unpack((visit(client, server)))
    end, THREE},
    {"not_accepted", "not_accepted", "a cipher of another hash", function()
        local client, keys = pair.client {}, tls.ticket_keys {}
        local _, session = visit(client,
            {ticket_keys = keys, ciphersuites = "TLS_AES_256_GCM_SHA384"})
        local other = {ticket_keys = keys, ciphersuites = "TLS_AES_128_GCM_SHA256"}
        return table.unpack((visit(client, other, {session = session})))
    end, THREE},
    {"other_version", "other_version", "a ticket of TLS 1.3 at a server of TLS 1.2", function()
        local client, keys = pair.client {}, tls.ticket_keys {}
        local _, session = visit(client, {ticket_keys = keys})
        return table.unpack(
            (visit(client, {ticket_keys = keys, max_version = TWO}, {session = session})))
    end, TWO},
    {"other_version", "other_version", "a ticket of TLS 1.2 at a server of TLS 1.3", function()
        local client, keys = pair.client {}, tls.ticket_keys {}
        local _, session = visit(client, {ticket_keys = keys, max_version = TWO})
        return table.unpack((visit(client, {ticket_keys = keys}, {session = session})))
    end, THREE},
}

describe("resumption() says", function()
    for _, case in ipairs(CASES) do
        local client, server, what, run, only = table.unpack(case, 1, 5)
        for _, version in ipairs(pair.VERSIONS) do
            if not only or only == version then
                it(("%s and %s: %s, %s"):format(client, server, what, version), function()
                    assert.same({client, server}, {run(version)})
                end)
            end
        end
    end
end)

-- What expires in a second: made first, all together, and looked at afterwards.
describe("resumption() says expired", function()
    local AGED = {
        ["a session of set_session, whose ticket has expired"] = {"expired", function(version)
            local client, server = pair.client {max_version = version},
                pair.server {session_timeout = 1, resumption = "tickets"}
            local _, session = visit(client, server)
            return function() return visit(client, server, {session = session}) end
        end, {[TWO] = "expired", [THREE] = "not_offered"}},
        ["a session of set_session, by id"] = {"expired", function(version)
            local client, server = pair.client {max_version = version},
                pair.server {session_timeout = 1, cache = tls.cache()}
            local _, session = visit(client, server)
            session:set_timeout(1)
            return function() return visit(client, server, {session = session}) end
        end, {[TWO] = "expired", [THREE] = "not_offered"}},
        ["a session of set_session, by an id in an external store"] = {"expired", function(version)
            local client, server = pair.client {max_version = version},
                pair.server {session_timeout = 1, cache = external()}
            local _, session = visit(client, server)
            session:set_timeout(1)
            return function() return visit(client, server, {session = session}) end
        end, {[TWO] = "expired", [THREE] = "not_offered"}},
        ["a session too old for the server's cache only"] =
            {"not_accepted", function(version)
                local client, server = pair.client {max_version = version},
                    pair.server {cache = tls.cache {timeout = 1}}
                local _, session = visit(client, server)
                return function() return visit(client, server, {session = session}) end
            end, {[TWO] = "expired", [THREE] = "expired"}},
        ["a session too old for the server's external store only"] =
            {"not_accepted", function(version)
                local client, server = pair.client {max_version = version},
                    pair.server {cache = external {timeout = 1}}
                local _, session = visit(client, server)
                return function() return visit(client, server, {session = session}) end
            end, {[TWO] = "expired", [THREE] = "expired"}},
        ["a session too old for the client's cache"] = {"expired", function(version)
            local client, server = pair.client {
                max_version = version, cache = tls.cache {timeout = 1}}, pair.server()
            visit(client, server)
            return function() return visit(client, server) end
        end, {[TWO] = "not_offered", [THREE] = "not_offered"}},
        ["a session too old for the client's external store"] = {"expired", function(version)
            local client = pair.client {max_version = version, cache = external {timeout = 1}}
            local server = pair.server()
            visit(client, server)
            return function() return visit(client, server) end
        end, {[TWO] = "not_offered", [THREE] = "not_offered"}},
    }
    local later = {}

    setup(function()
        for what, case in pairs(AGED) do
            for _, version in ipairs(pair.VERSIONS) do later[what .. version] = case[2](version) end
        end
        -- libssl gives a TLS 1.3 ticket a second more before it offers it no more
        process.sleep(3.3)
    end)

    for what, case in pairs(AGED) do
        for _, version in ipairs(pair.VERSIONS) do
            it(("of %s, %s"):format(what, version), function()
                assert.same({case[1], case[3][version]}, (later[what .. version]()))
            end)
        end
    end
end)

it("the words of docs/resumption.md are those of this file", function()
    local here = {}
    for _, case in ipairs(CASES) do here[case[1]], here[case[2]] = true, true end
    here.expired = true
    for line in io.lines "docs/resumption.md" do
        local word, client, server = line:match "^| `([%l_]+)` |([^|]*)|([^|]*)|$"
        if word then
            assert.is_true(here[word], word)
            assert.is_true((client .. server):find "%a" ~= nil, word)
            here[word] = nil
        end
    end
    here.resumed = nil
    assert.is_nil(next(here))
end)
