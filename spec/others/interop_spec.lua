--- Interoperation with what Debian has, over real TCP: OpenSSL's own programs, GnuTLS's, nginx,
-- curl, Python's ssl, Node. Each of them in TLS 1.2 and 1.3, against the same examples: handshake,
-- data both ways, resumption in each way that it knows, close_notify from either end, a peer that
-- dies. What each one is and how it speaks is in spec/support/peers.lua. A program that is not
-- installed fails its examples: nothing is skipped.
--
-- Peers run in the background; our end runs here, blocking, under a deadline. An attacker would
-- like us to take a cut stream for an ended one, so every end is compared by name, and each peer is
-- also killed once.

local peers = require "spec.support.peers"
local pki = require "spec.support.pki"
local tls = require "tlslife"

local VERSIONS = {"TLSv1.2", "TLSv1.3"}
local DEADLINE = 20 -- seconds for any single call: none takes one, but beside a load

-- Reads go into one buffer: thousands of small ones come, and each conn:read(n) makes n bytes of
-- garbage.
local buffer = tls.buffer(65536)

--- Everything until it ends in `answer`, or until the end when that is nil; and the word for the
-- end.
local function read_all(conn, answer)
    local parts, len = {}, 0
    while true do
        local n, ended = conn:read_into(buffer)
        if not n then return table.concat(parts), ended end
        parts[#parts + 1], len = buffer:sub(), len + n
        if answer and len >= #answer then
            local got = table.concat(parts)
            if got:sub(-#answer) == answer then return got end
        end
    end
end

describe("our client", function()
    local running = {}

    --- The peer's server of that kind, started once for all examples.
    local function server(peer, kind)
        local id = peer.name .. " " .. kind
        running[id] = running[id] or table.pack(peer.start(kind))
        return running[id][1], running[id][2]
    end

    local function context(version)
        return assert(tls.context {role = "client", ca = pki.get().ca_file, min_version = version,
            max_version = version, timeout = DEADLINE})
    end

    local function connect(client, port, session)
        local conn = assert(client:connection())
        conn:set_hostname "localhost"
        if session then conn:set_session(session) end
        assert(conn:dial("127.0.0.1", port))
        assert(conn:connect())
        return conn
    end

    --- Request and answer; the peer closes first and we answer it.
    local function visit(peer, conn)
        assert.equal(#peer.request, conn:write(peer.request))
        local reply, ended = read_all(conn)
        assert.equal("closed", ended)
        assert.equal(tls.RECEIVED_SHUTDOWN, conn:get_shutdown())
        assert.equal("done", conn:shutdown())
        return reply
    end

    --- What next connections resume with: in TLS 1.3 tickets, each for one, in TLS 1.2 the
    -- handshake's own session.
    local function sessions_of(conn, version, sessions)
        if version == "TLSv1.2" then return {conn:session()} end
        for session in function()
            return conn:take_session()
        end do sessions[#sessions + 1] = session end
        return sessions
    end

    teardown(function()
        for _, one in pairs(running) do one[1]:stop() end
    end)

    for _, peer in ipairs(peers.servers) do
        for _, version in ipairs(VERSIONS) do
            describe(("and %s, %s,"):format(peer.name, version), function()
                for _, kind in ipairs(peer.kinds[version]) do
                    it(("exchange data, and the peer closes (%s)"):format(kind), function()
                        local one, port = server(peer, kind)
                        local before = #one:output()
                        local conn <close> = connect(context(version), port)
                        assert.equal(version, conn:version())
                        assert.equal("ok", (conn:verify_result()))
                        assert.is_false(conn:session_reused())
                        assert.truthy(visit(peer, conn):match(peer.reply(version)))
                        if peer.says_answered then
                            one:await("word of our answer", DEADLINE, function()
                                return one:output():sub(before + 1):match(peer.says_answered)
                            end)
                        end
                    end)

                    it(("exchange close_notify, and we close (%s)"):format(kind), function()
                        local _, port = server(peer, kind)
                        local conn <close> = connect(context(version), port)
                        assert.equal("sent", conn:shutdown())
                        if peer.never_answers then
                            assert.equal("truncated", select(2, conn:shutdown()))
                            assert.equal(tls.SENT_SHUTDOWN, conn:get_shutdown())
                        else
                            assert.equal("done", conn:shutdown())
                            assert.equal(tls.SENT_SHUTDOWN | tls.RECEIVED_SHUTDOWN,
                                conn:get_shutdown())
                            -- In TLS 1.3 it came after the handshake, while we waited for the
                            -- close_notify.
                            assert.is_true(sessions_of(conn, version, {})[1]:is_resumable())
                        end
                    end)

                    it(("resume, again and again (%s)"):format(kind), function()
                        local one, port = server(peer, kind)
                        local client = context(version)
                        local sessions = {}
                        for i = 1, 3 do
                            local before = #one:output()
                            -- The newest: Node gives none to those who resume.
                            local conn <close> = connect(client, port, table.remove(sessions))
                            assert.equal(i > 1, conn:session_reused())
                            local reply = visit(peer, conn)
                            assert.equal(i > 1,
                                peer.says_reused(reply, one:output():sub(before + 1)))
                            sessions = sessions_of(conn, version, sessions)
                        end
                    end)
                end

                it("carry many records both ways", function()
                    local kind, question, answer = peer.plenty()
                    local _, port = server(peer, kind)
                    local conn <close> = connect(context(version), port)
                    assert.equal(#question, conn:write(question))
                    local got, ended = read_all(conn, answer)
                    assert.is_nil(ended)
                    assert.equal(answer, got:sub(-#answer))
                    assert.truthy(conn:close(DEADLINE))
                end)
            end)
        end

        -- TLS 1.2, where nothing of the server's can be unread when the handshake is done: what is
        -- left unread in a dead process's socket turns its end into a reset.
        it(("tells a killed %s from a %s that closed"):format(peer.name, peer.name), function()
            local one, port = peer.start "tickets"
            local conn <close> = connect(context "TLSv1.2", port)
            one:stop()
            local bytes, ended = conn:read()
            assert.is_nil(bytes)
            assert.equal("truncated", ended)
            assert.equal(0, conn:get_shutdown())
        end)
    end
end)

describe("our server", function()
    local listener, visitors

    setup(function()
        listener = assert(tls.listen("127.0.0.1", 0))
    end)

    teardown(function()
        listener:close()
    end)

    before_each(function()
        visitors = {}
    end)

    after_each(function()
        for _, one in ipairs(visitors) do one:stop() end
    end)

    local function context(kind)
        local p = pki.get()
        return assert(tls.context {role = "server", certificate = p.server_cert_file,
            private_key = p.server_key_file, resumption = kind, timeout = DEADLINE})
    end

    local function start(peer, version, options)
        local one = peer.start(listener:port(), version, options)
        visitors[#visitors + 1] = one
        return one
    end

    local function accept(server, one) return peers.accept(listener, server, one, DEADLINE) end

    --- The body of a request; nil and the end's word when there is none.
    local function read_request(conn)
        local got = ""
        while true do
            local head, body = got:match "^(.-\r\n)\r\n(.*)$"
            if head and #body >= tonumber(head:match "Content%-Length: (%d+)") then return body end
            local bytes, ended = conn:read(65536)
            if not bytes then return nil, ended end
            got = got .. bytes
        end
    end

    local function write_reply(conn, ends)
        local length = ends == "client" and
            ("Content-Length: %d\r\n"):format(#peers.reply_body) or ""
        local reply = {"HTTP/1.0 200 OK\r\n", length, "\r\n", peers.reply_body}
        assert.equal(#table.concat(reply), conn:write(reply))
    end

    --- One whole connection: the request, the reply, and close_notify from both, `ends` first.
    local function serve(conn, peer, one, ends)
        assert.equal(peers.request_body, (read_request(conn)))
        write_reply(conn, ends)
        if ends == "server" then
            assert.equal("sent", conn:shutdown())
        elseif peer.finish then
            peer.finish(one)
        end
        local rest, ended = read_all(conn)
        assert.equal("", rest)
        assert.equal(ends == "server" and peer.never_answers and "truncated" or "closed", ended)
        if ended == "closed" then assert.equal("done", conn:shutdown()) end
    end

    --- Waits for the peer to end, having read all of the reply.
    local function finished(peer, one)
        local status = one:wait(DEADLINE)
        if status ~= 0 then one:complain("ended with status " .. status) end
        assert.truthy(one:output():find(peers.reply_body, 1, true),
            peer.name .. " has not read the whole reply")
        return one:output()
    end

    for _, peer in ipairs(peers.clients) do
        for _, version in ipairs(VERSIONS) do
            describe(("and %s, %s,"):format(peer.name, version), function()
                it("exchange many records, and the peer closes", function()
                    local one = start(peer, version, {times = 1, ends = "client"})
                    local conn <close> = accept(context "tickets", one)
                    assert.equal(version, conn:version())
                    assert.equal("localhost", conn:server_name())
                    assert.is_false(conn:session_reused())
                    serve(conn, peer, one, "client")
                    conn:close_transport()
                    finished(peer, one)
                end)

                it("exchange many records, and we close", function()
                    local one = start(peer, version, {times = 1, ends = "server"})
                    local conn <close> = accept(context "tickets", one)
                    serve(conn, peer, one, "server")
                    conn:close_transport()
                    local output = finished(peer, one)
                    if peer.says_closed then
                        assert.truthy(output:match(peer.says_closed), output)
                    end
                end)

                if not peer.cannot_tell then
                    it("tell a stream that we cut from one that we close", function()
                        local one = start(peer, version, {times = 1, ends = "server"})
                        local conn <close> = accept(context "tickets", one)
                        assert.truthy(read_request(conn))
                        write_reply(conn, "server")
                        conn:close_transport()
                        assert.is_not.equal(0, one:wait(DEADLINE))
                        assert.is_nil(one:output():match(peer.says_closed))
                    end)
                end

                for _, kind in ipairs(peer.kinds[version]) do
                    it(("resume (%s)"):format(kind), function()
                        local server = context(kind)
                        local one
                        for i = 1, 2 do
                            local again = {times = 2, ends = "client", resume = i > 1}
                            if i == 1 or peer.single then one = start(peer, version, again) end
                            local conn <close> = accept(server, one)
                            assert.equal(version, conn:version())
                            assert.equal(i > 1, conn:session_reused())
                            if i == 1 and peer.silent then
                                local body, ended = read_request(conn)
                                assert.is_nil(body)
                                assert.equal("closed", ended)
                                conn:shutdown() -- its answer may find nobody: GnuTLS is gone by now
                            else
                                serve(conn, peer, one, "client")
                            end
                            conn:close_transport()
                        end
                        local output = finished(peer, one)
                        if peer.says_reused then
                            assert.truthy(output:match(peer.says_reused), output)
                        end
                    end)
                end
            end)
        end

        -- TLS 1.2, as above: there the client has read all that we sent before it makes its
        -- request.
        it(("tells a killed %s from a %s that closed"):format(peer.name, peer.name), function()
            local one = start(peer, "TLSv1.2", {times = 1, ends = "server"})
            local conn <close> = accept(context "tickets", one)
            assert.truthy(read_request(conn))
            one:stop()
            local bytes, ended = conn:read()
            assert.is_nil(bytes)
            assert.equal("truncated", ended)
        end)
    end
end)
