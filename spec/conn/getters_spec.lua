-- getters_spec.lua: tests every getter of a connection in every state that correct calls reach,
-- also inside hooks. None raises or crashes; the results of a handshake are there from its end on,
-- also after a failure, until clear or set_session(nil).

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local p = pki.get()

-- What tells of a handshake. "always": where it is done; "maybe": by what was agreed on. The others
-- tell of something else.
local TOLD = {
    version = "always", cipher = "always", verify_result = "always", finished = "always",
    peer_finished = "always", cipher_description = "always", cipher_bits = "always",
    local_certificates = "maybe",
    resumption = "always", alpn = "always", peer_certificates = "always", group = "maybe",
    ocsp_response = "maybe",
    ticket_data = "maybe", signature_algorithm = "maybe", peer_signature_algorithm = "maybe",
    ca_names = "maybe", extended_master_secret = "always", hello_retry = "always",
    secure_renegotiation = "always", psk_identity_hint = "maybe", psk_identity = "maybe",
}
local OTHERS = {
    "blocking", "context", "early", "early_data_status", "error", "events", "fd", "get_shutdown",
    "get_timeout", "handshake_done",
    "has_pending", "hostname", "idle", "inner", "is_server", "num_renegotiations",
    "offered_ciphers", "outer", "peer_address", "pending",
    "proxy_address",
    "pollfd", "quiet_shutdown",
    "renegotiate_pending", "server_name", "session", "session_reused", "state", "state_text",
    "take_keylog", "take_session",
    "timeout", "verify_errors",
}
local NO_GETTERS = {
    "accept", "accept_early", "add_tlsa", "cancel", "clear", "close", "close_transport", "connect",
    "cork", "dial", "drain", "dup",
    "export_keying_material", "feed", "feed_eof", "flush", "free", "handshake", "key_update",
    "new_session_ticket", "peek", "plain_read", "plain_write", "proxy_tlv",
    "read", "read_early", "read_into", "renegotiate", "request_client_certificate", "rest",
    "set_alpn",
    "set_blocking", "set_connection", "set_dane", "set_fd",
    "set_groups", "set_hostname", "set_memory", "set_num_tickets", "set_quiet_shutdown",
    "set_session", "set_shutdown",
    "set_ticket_data", "set_timeout", "shutdown", "take_fd", "trace", "unread", "up_ref",
    "write", "write_early",
}

local function call(conn, getter)
    local ok, value = pcall(conn[getter], conn)
    assert(ok, ("%s raised: %s"):format(getter, value))
    return value
end

-- known: true, false, or nil where either is right
local function look(conn, known, where)
    for _, getter in ipairs(OTHERS) do call(conn, getter) end
    assert.equal("string", type(tostring(conn)))
    for getter, when in pairs(TOLD) do
        local value = call(conn, getter)
        if known == false or (known and when == "always") then
            assert(known == (value ~= nil), ("%s is %s %s"):format(getter, tostring(value), where))
        end
    end
    if known == false then assert(not conn:session_reused(), "session_reused is true " .. where) end
end

local AFTERS = {
    ["and nothing more"] = function(_, known) return known end,
    ["and its session is taken"] = function(conn) conn:set_session(nil); return false end,
    ["and it is cleared"] = function(conn) assert(conn:clear()); return false end,
}

local function mutual(version, client, server)
    local all = {client = {certificate = p.client_cert, private_key = p.client_key, alpn = {
        "h2"}, max_version = version}, server = {verify = "required", ca = p.ca_file, alpn = {"h2"},
            max_version = version}}
    for name, value in pairs(client or {}) do all.client[name] = value end
    for name, value in pairs(server or {}) do all.server[name] = value end
    return all
end

local function both(visit, options)
    local client, server = pair.connect(options)
    visit(client, true)
    visit(server, true)
end

-- Each brings connections into a state and shows them, with what is known.
local STATES = {
    ["that is new"] = function(visit, version)
        local client, server = pair.join(mutual(version))
        visit(client, false)
        visit(server, false)
        visit(pair.client():connection(), false)
    end,
    ["in the midst of a handshake"] = function(visit, version)
        local client, server = pair.join(mutual(version))
        client:connect()
        visit(client, false)
        server:accept()
        visit(server, false)
    end,
    ["that is open"] = function(visit, version) both(visit, mutual(version)) end,
    ["that resumed"] = function(visit, version)
        local options = mutual(version)
        options.client, options.server = pair.client(options.client), pair.server(options.server)
        options.session = pair.session(options)
        both(visit, options)
    end,
    ["that is truncated"] = function(visit, version)
        local client, server = pair.connect(mutual(version))
        server:close()
        client:set_shutdown(0)
        client, server = pair.connect(mutual(version))
        server:free()
        expect.word("truncated", client:read())
        visit(client, true)
        client, server = pair.connect(mutual(version))
        client:free()
        expect.word("truncated", server:read())
        visit(server, true)
    end,
    ["that read garbage, or its peer's alert"] = function(visit, version)
        local client, server = pair.fed(mutual(version))
        server:feed "\23\3\3\0\40" server:feed(("x"):rep(40))
        expect.fails("tls", server:read())
        client:feed(server:drain())
        expect.fails("alert", client:read())
        visit(client, true)
        visit(server, true)
    end,
    ["that sent close_notify, or received it"] = function(visit, version)
        local client, server = pair.connect(mutual(version))
        client:shutdown()
        server:read()
        visit(client, true)
        visit(server, true)
    end,
    ["that let its transport go"] = function(visit, version)
        local client, server = pair.connect(mutual(version))
        client:close(0)
        server:close(0)
        visit(client, true)
        visit(server, true)
    end,
    ["whose handshake failed"] = function(visit, version)
        local _, _, client, server = pair.try {
            client = {ca = p.other_ca_file, max_version = version}}
        visit(client, false)
        visit(server, nil)
    end,
    ["that is asked for another certificate"] = function(visit, version)
        local client, server = pair.connect(mutual(version,
            {post_handshake_auth = version == "TLSv1.3" or nil}))
        if version == "TLSv1.3" then
            server:request_client_certificate()
        else
            server:renegotiate()
        end
        server:handshake()
        client:read()
        visit(client, nil)
        visit(server, nil)
    end,
}

-- In its hook nothing is found yet, but for a server's on_verify in TLS 1.3, which comes after
-- libssl's handshake.
local HOOKS = {
    on_hello = function(hook, version) return mutual(version, nil, {on_hello = hook}) end,
    on_certificate =
        function(hook, version) return mutual(version, nil, {on_certificate = hook}) end,
    ["a client's on_certificate"] =
        function(hook, version) return mutual(version, {on_certificate = hook}) end,
    on_verify = function(hook, version) return mutual(version, nil, {on_verify = hook}) end,
    ["a client's on_verify"] =
        function(hook, version) return mutual(version, {on_verify = hook}) end,
}

local function in_hook(kind, resumed)
    return function(visit, version)
        local asked, right, why = 0, true, nil
        local options = HOOKS[kind](function(conn)
            asked = asked + 1
            if not resumed or asked > 1 then right, why = pcall(visit, conn, nil) end
            if kind:match "verify" then return true end
        end, version)
        if resumed then
            options.client, options.server = pair.client(options.client),
                pair.server(options.server)
            options.session = pair.session(options)
        end
        local client, server = pair.join(options)
        -- what the hook did to its connection is raised by the verb
        pcall(pair.drive, client, server)
        assert(asked > 0 and right, why)
    end
end

for kind in pairs(HOOKS) do
    STATES["in " .. kind] = in_hook(kind)
    STATES["in " .. kind .. ", resuming"] = in_hook(kind, true)
end

describe("the getters", function()
    it("are all listed in this file", function()
        local left = {}
        for name in pairs(debug.getmetatable(pair.client():connection()).__index) do
            left[name] = true
        end
        for getter in pairs(TOLD) do assert(left[getter], getter); left[getter] = nil end
        for _, list in ipairs {OTHERS, NO_GETTERS} do
            for _, name in ipairs(list) do left[name] = nil end
        end
        assert.same({}, left)
    end)

    for _, version in ipairs(pair.VERSIONS) do
        for state, reach in pairs(STATES) do
            for after, act in pairs(AFTERS) do
                it(("return what is known %s, %s, %s"):format(state, after, version), function()
                    local seen = 0
                    reach(function(conn, known)
                        seen = seen + 1
                        look(conn, act(conn, known), state .. " " .. after)
                    end, version)
                    if not state:match "resuming" then assert.is_true(seen > 0) end
                end)
            end
        end
    end
end)

describe("what the getters have returned", function()
    local FACTS = {"version", "cipher", "group", "alpn", "finished", "peer_finished",
        "resumption", "verify_result"}

    local function facts(conn)
        local all = {server_name = conn:server_name(), certificates = #conn:peer_certificates()}
        for _, getter in ipairs(FACTS) do all[getter] = conn[getter](conn) end
        return all
    end

    for _, version in ipairs(pair.VERSIONS) do
        it("stays the same after a truncated stream, on both sides, " .. version, function()
            for _, side in ipairs {"client", "server"} do
                local client, server = pair.connect(mutual(version))
                local stays, goes = client, server
                if side == "server" then stays, goes = server, client end
                local before = facts(stays)
                goes:free()
                expect.word("truncated", stays:read())
                assert.same(before, facts(stays))
                assert.equal("failed", stays:state())
            end
        end)
    end

    it("is nil in the middle of a renegotiation, and there again after it", function()
        local client, server = pair.connect(mutual "TLSv1.2")
        local before = facts(server)
        server:renegotiate()
        server:handshake()
        client:read()
        assert.is_nil(client:version())
        for _ = 1, 6 do server:read(); client:read() end
        assert.equal(before.cipher, server:cipher())
        assert.equal("TLSv1.2", client:version())
        assert.equal("x", pair.send(client, server, "x"))
    end)
end)

describe("server_name() of a server", function()
    local function names(options)
        local seen = {}
        local sc = pair.server {max_version = options.version, groups = options.server_groups,
            resumption = options.resumption}
        local cc = pair.client {max_version = options.version, verify_host = false,
            groups = options.groups}
        local session
        for _, name in ipairs(options) do
            local client, server = pair.connect {client = cc, server = sc, session = session,
                hostname = name}
            seen[#seen + 1] = ("%s %s"):format(server:session_reused() and "resumed" or "full",
                server:server_name())
            pair.finish(client, server)
            session = client:take_session() or client:session()
        end
        return seen
    end

    for _, version in ipairs(pair.VERSIONS) do
        for _, resumption in ipairs {"tickets", "stateful"} do
            it(("is that of this handshake, resumed or not, %s, %s"):format(version, resumption),
                    function()
                assert.same(
                    {"full a.example", "resumed a.example", "resumed b.example", "resumed nil",
                        "resumed c.example"}, names {version = version, resumption = resumption,
                            "a.example", "a.example", "b.example", false, "c.example"})
                assert.same({"full nil", "resumed a.example"},
                    names {version = version, resumption = resumption, false, "a.example"})
            end)
        end
    end

    it("is right after a HelloRetryRequest", function()
        assert.same({"full a.example", "resumed b.example"}, names {version = "TLSv1.3",
            groups = "X25519:P-256", server_groups = "P-256", "a.example", "b.example"})
    end)

    it("is forgotten by clear", function()
        local client, server = pair.connect {hostname = "a.example"}
        assert.equal("a.example", server:server_name())
        pair.finish(client, server)
        server:clear()
        assert.is_nil(server:server_name())
        local other = pair.client {verify_host = false}:connection()
        other:set_blocking(false)
        tls.pair(other, server)
        pair.drive(other, server)
        assert.is_nil(server:server_name())
    end)
end)
