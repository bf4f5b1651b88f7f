-- tickets_spec.lua: tests that a client that keeps its sessions resumes on every connection but the
-- first, with every source of the server's ticket keys and every number of tickets. A TLS 1.3
-- ticket is offered once (RFC 8446 appendix C.4), so each resumed connection must bring another.
--
-- `openssl s_client` writes the last ticket of each connection to a file and offers what the last
-- file has, which is what a peer with a cache of one does.

local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local tls = require "tlslife"

local SECRET <const> = ("s"):rep(32)
local VISITS <const> = 20

-- What opens and makes tickets: functions, for each server has its own.
local KEYS = {
    ["libssl's own keys"] = function() return {} end,
    ["derived keys"] = function() return {ticket_keys = tls.ticket_keys {secret = SECRET}} end,
    ["random keys"] = function() return {ticket_keys = tls.ticket_keys {}} end,
    ["given keys"] = function() return {ticket_keys = tls.ticket_keys {keys = {("k"):rep(80)}}} end,
    ["given keys, the second"] = function()
        local keys = tls.ticket_keys {keys = {("k"):rep(80)}}
        return {ticket_keys = keys}, function() keys:replace {("n"):rep(80), ("k"):rep(80)} end
    end,
    ["ids in a cache"] = function() return {cache = tls.cache()} end,
    ["ids in a cache, with early data"] =
        function() return {cache = tls.cache(), max_early_data = 1024} end,
    ["early data without a cache"] = function() return {max_early_data = 1024} end,
}

-- "FRRR...": of so many connections, which were full and which resumed.
local function visits(client, server, between)
    local seen = {}
    for i = 1, VISITS do
        local conn, peer = pair.connect {client = client, server = server}
        assert.equal(conn:session_reused(), peer:session_reused())
        seen[i] = conn:session_reused() and "R" or "F"
        pair.finish(conn, peer)
        conn:free()
        peer:free()
        if i == VISITS // 2 and between then between() end
    end
    return table.concat(seen)
end

local EXPECTED <const> = "F" .. ("R"):rep(VISITS - 1)

describe("a client with a cache resumes on every connection but the first,", function()
    for name, make in pairs(KEYS) do
        for _, version in ipairs(pair.VERSIONS) do
            for num_tickets = 1, 2 do
                for _, certified in ipairs {false, true} do
                    it(("%s, %s, num_tickets %d%s"):format(
                        name, version, num_tickets, certified and ", client certificate" or ""),
                        function()
                            local p, server, between = pki.get(), make()
                            local client = {cache = tls.cache(), max_version = version}
                            server.num_tickets = num_tickets
                            if certified then
                                client.certificate, client.private_key = p.client_cert_file,
                                    p.client_key_file
                                server.verify, server.ca = "required", p.ca_file
                            end
                            assert.equal(EXPECTED,
                                visits(pair.client(client), pair.server(server), between))
                        end)
                end
            end
        end
    end

    it("where on_verify accepts each peer", function()
        local p = pki.get()
        local server = pair.server {ticket_keys = tls.ticket_keys {}, num_tickets = 1,
            verify = "required", ca = p.ca_file, on_verify = function() return true end}
        local client = pair.client {cache = tls.cache(), certificate = p.client_cert_file,
            private_key = p.client_key_file}
        assert.equal(EXPECTED, visits(client, server))
    end)
end)

if not serving.has_luv then return end

-- Of so many connections of one s_client after another, each with what the last has written.
local function chain(server, n)
    local file, seen = os.tmpname(), {}
    os.remove(file)
    for i = 1, n do
        local words = {"sh", "-c", '(echo hello; sleep 0.3) | "$0" "$@"', "openssl", "s_client",
            "-connect", "127.0.0.1:" .. server.port, "-CAfile", pki.get().ca_file, "-tls1_3",
            "-sess_out", file}
        if i > 1 then table.move({"-sess_in", file}, 1, 2, #words + 1, words) end
        local one = process.start(words)
        assert.equal(0, one:wait(10), one:output())
        seen[i] = one:output():find("\nReused, ", 1, true) and "R" or "F"
    end
    os.remove(file)
    return table.concat(seen)
end

describe("tls.serve", function()
    for workers = 1, 2 do
        for num_tickets = 1, 2 do
            local options = ("workers = %d, context = {certificate = certificate, " ..
                "private_key = private_key, num_tickets = %d}"):format(workers, num_tickets)

            it(("resumes a client with a cache, workers %d, num_tickets %d"):format(
                workers, num_tickets), function()
                local server = serving.start(options, workers)
                local context, seen = serving.context {cache = tls.cache()}, {}
                for i = 1, VISITS do
                    local conn <close> = serving.connect(server, {context = context})
                    assert.equal("hello", serving.ask(conn, "hello"))
                    seen[i] = conn:session_reused() and "R" or "F"
                    conn:close()
                end
                assert.equal(EXPECTED, table.concat(seen))
                serving.stop(server)
            end)
        end

        it(("resumes a chain of openssl s_client, workers %d"):format(workers), function()
            local server = serving.start(("workers = %d"):format(workers), workers)
            assert.equal("FRRRR", chain(server, 5))
            serving.stop(server)
        end)
    end
end)
