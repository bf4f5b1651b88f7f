-- alerts_spec.lua: tests the alert with which each hook refuses, as both sides see it. A hook that
-- returns false may name one; the table says what is sent where it does and where it does not.

local expect = require "spec.support.expect"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"

local p = pki.get()

local CLIENT = {certificate = p.client_cert, private_key = p.client_key}
local SERVER = {verify = "required", ca = p.ca_file}

local function with(options, name, hook)
    local all = {[name] = hook}
    for key, value in pairs(options) do all[key] = value end
    return all
end

-- The side that has the hook, the hook, the alert where it names none.
local HOOKS = {
    {"server", "on_hello", "unrecognized_name"},
    {"server", "on_certificate", "handshake_failure"},
    {"server", "on_verify", "handshake_failure"},
    {"client", "on_certificate", "handshake_failure"},
    {"client", "on_verify", "handshake_failure"},
}

-- Alerts that libssl has of its own accord for certificates, and others.
local NAMED = {"access_denied", "certificate_revoked", "certificate_unknown", "bad_certificate",
    "unknown_ca", "insufficient_security", "no_application_protocol", "internal_error"}

-- What the hooks' side and the other side get.
local function refuse(side, hook, alert, options)
    local ends = {client = CLIENT, server = SERVER}
    ends[side] = with(ends[side], hook, function() return false, alert end)
    for name, value in pairs(options) do
        ends.client = with(ends.client, name, value)
    end
    local c, s, client, server = pair.try(ends)
    if c[1] then c = {client:read()} end
    if s[1] then s = {server:read()} end
    local ours, peers = s, c
    if side == "client" then ours, peers = c, s end
    return ours, peers, side == "client" and client or server
end

describe("a hook that refuses", function()
    for _, case in ipairs(HOOKS) do
        local side, hook, default = table.unpack(case)
        for _, version in ipairs(pair.VERSIONS) do
            it(("sends its alert: a %s's %s, %s"):format(side, hook, version), function()
                for _, named in ipairs {false, table.unpack(NAMED)} do
                    local ours, peers, conn = refuse(side, hook, named or nil,
                        {max_version = version})
                    local alert = named or default
                    local err = expect.fails(hook == "on_verify" and "verify" or "tls",
                        table.unpack(ours, 1, 3))
                    assert.same({alert, false}, {err.alert, err.alert_received})
                    assert.truthy(err.message:find "the program refused", err.message)
                    err = expect.fails("alert", table.unpack(peers, 1, 3))
                    assert.same({alert, true}, {err.alert, err.alert_received})
                    assert.equal("failed", conn:state())
                    assert.equal(ours[2], select(2, conn:read()))
                    assert.is_nil((conn:write "x"))
                end
            end)
        end
    end

    it("sends the alert of what verification found, where it names none", function()
        for _, version in ipairs(pair.VERSIONS) do
            local c, s = pair.try {client = {max_version = version, ca = p.other_ca_file,
                verify_all = true, on_verify = function() return false end}}
            assert.equal("unknown_ca", expect.fails("verify", table.unpack(c, 1, 3)).alert)
            assert.equal("unknown_ca", expect.fails("alert", table.unpack(s, 1, 3)).alert)
        end
    end)

    it("sends it where early data was sent, too", function()
        local client = pair.client(with({max_early_data = 100}, "on_verify",
            function(_, peer) return peer.certificates[1].key_type == "EC", "access_denied" end))
        local session = pair.session {client = client, server = {max_early_data = 100}}
        local conn, server = pair.join {client = client, session = session,
            server = {max_early_data = 100, certificate = p.rsa_cert, private_key = p.rsa_key}}
        assert.equal(4, conn:write_early "data")
        local c, s = pair.drive(conn, server)
        expect.fails("verify", table.unpack(c, 1, 3))
        assert.equal("access_denied", expect.fails("alert", table.unpack(s, 1, 3)).alert)
    end)

    it("sends it behind a HelloRetryRequest, too", function()
        for _, hook in ipairs {"on_verify", "on_certificate"} do
            local c, s = pair.try {
                client = with(with(CLIENT, hook, function() return false, "access_denied" end),
                    "groups", "X25519:P-256"),
                server = with(SERVER, "groups", "P-256"),
            }
            assert.equal("access_denied", c[3].alert)
            assert.equal("access_denied", expect.fails("alert", table.unpack(s, 1, 3)).alert)
        end
    end)

    it("leaves the connection to clear", function()
        for _, version in ipairs(pair.VERSIONS) do
            local refuses = true
            local client, server = pair.join {client = {max_version = version,
                on_verify = function() return not refuses, "access_denied" end}}
            local c = pair.drive(client, server)
            expect.fails("verify", table.unpack(c, 1, 3))
            refuses = false
            assert(client:clear())
            assert(server:clear())
            require "tlslife".pair(client, server)
            pair.drive(client, server)
            assert.equal("x", pair.send(client, server, "x"))
        end
    end)

    it("sends the nearest that libssl has in a renegotiation", function()
        for named, alert in pairs {access_denied = "handshake_failure",
            certificate_revoked = "certificate_revoked"} do
            local asked = 0
            local client, server = pair.connect {
                client = {max_version = "TLSv1.2", on_verify = function()
                    asked = asked + 1
                    return asked == 1, named
                end}, server = {resumption = "off"}}
            server:renegotiate()
            server:handshake()
            local last
            for _ = 1, 6 do
                local _, _, failed = client:handshake()
                last = failed or last
                client:read()
                server:read()
            end
            assert.equal(alert, last.alert)
            assert.equal(2, asked)
            assert.equal(alert, select(3, server:read()).alert)
        end
    end)
end)

describe("openssl", function()
    local process = require "spec.support.process"

    -- The alert is a record in plain text, as libssl's own is; here another process reads it.
    it("reads the alert that a client's hook chose", function()
        for _, version in ipairs {"-tls1_2", "-tls1_3"} do
            local port = process.free_port()
            local peer = process.start {"openssl", "s_server", "-accept", port, "-cert",
                p.server_leaf_file, "-cert_chain", p.intermediate_cert_file, "-key",
                p.server_key_file, version, "-Verify", "1", "-CAfile", p.ca_file, stdin = true}
            peer:wait_for_port(port)
            local client <close> = pair.client(with(CLIENT, "on_verify", function()
                return false, "access_denied"
            end)):connection()
            client:set_timeout(20)
            client:set_hostname "localhost"
            assert(client:dial("127.0.0.1", port))
            expect.fails("verify", client:connect())
            peer:wait_for "access denied"
            peer:stop()
        end
    end)
end)
