-- others_node_stream_spec.lua: answers what Node's tests ask of the stream beneath TLS: sockets
-- that the program has used before, streams that it moves itself, TLS in TLS, peers that leave; and
-- says which other files that name TLS or HTTPS were read, and why they do not apply (read in
-- nodejs/node 25.8.1, 2026).
--
-- Each file of Node's test with tls or https in its name is in one of others_node_*_spec.lua, with
-- those others that are about TLS, certificates or OpenSSL's engines.

local expect = require "spec.support.expect"
local others = require "spec.support.others"
local pair = require "spec.support.pair"
local pki = require "spec.support.pki"
local tls = require "tlslife"
local uv = require "luv"

local p = pki.get()
local HERE = others.HERE
local PARALLEL <const> = "test/parallel/test-"
local SEQUENTIAL <const>, PUMMEL <const> = "test/sequential/test-", "test/pummel/test-"
local INTERNET <const>, HOOKS <const> = "test/internet/test-", "test/async-hooks/test-"
local PROXY <const> = "test/client-proxy/test-https-proxy-request-"

local TRANSPORT <const> = "spec/net/transport_spec.lua"
local SILENT <const> = {"spec/serve/serve_faults_spec.lua",
    "stop sending after any of these are disconnected at the timeout"}
local PAUSES <const> = {"spec/others/others_node_socket_spec.lua",
    "a reader that pauses stops its writer, and gets all when it goes on"}
local JUNK <const> = {"spec/others/others_node_socket_spec.lua",
    "no handshake comes of it, and no end that looks clean"}
local ADDRESSES <const> = {"spec/net/dial_spec.lua", "reaches the one that answers ("}
local HTTP <const> = "asks of HTTP, which is not here"
local AGENT <const> = "Node's agent keeps connections: here a cache keeps sessions alone"
local NODE <const> = "asks of Node's streams, hooks or internals"

local suite = others.suite(it, others.cases(PARALLEL, {
    {HERE, "tls-js-stream.js", "tls-connect-stream-writes.js", "tls-generic-stream.js",
        "tls-delayed-attach.js", "tls-on-empty-socket.js", "tls-connect-given-socket.js",
        "tls-reuse-host-from-socket.js", "socket-writes-before-passed-to-tls-socket.js",
        "double-tls-client.js", "double-tls-server.js", "tls-zero-clear-in.js",
        "tls-invoke-queued.js", "tls-onread-static-buffer.js", "tls-econnreset.js",
        "tls-wrap-econnreset-socket.js",
        "tls-wrap-econnreset-localaddress.js", "tls-writewrap-leak.js", "tls-connect-memleak.js",
        "gc-tls-external-memory.js", "crypto-verify-failure.js", "tls-net-socket-keepalive.js",
        "tls-net-socket-keepalive-12.js"},
    {{"spec/session/isolation_spec.lua", "does not give a session from "},
        "https-agent-additional-options.js"},
    {{TRANSPORT, "tries each address of a name, and sets the host name"}, "tls-connect-simple.js",
        "tls-server-connection-server.js", INTERNET .. "tls-autoselectfamily-servername.js"},
    {{TRANSPORT, "fails where nobody listens"}, SEQUENTIAL .. "tls-connect.js"},
    {{TRANSPORT, "returns its port and descriptor"}, "tls-tlswrap-segfault.js"},
    {{"spec/net/unix_spec.lua", "carries a connection"}, "tls-connect-pipe.js",
        "tls-net-connect-prefer-path.js"},
    {ADDRESSES, "tls-connect-address-family.js", "https-connect-address-family.js",
        "https-autoselectfamily.js", INTERNET .. "https-autoselectfamily-slow-timeout.js",
        INTERNET .. "tls-autoselectfamily-backing-socket.js"},
    {{"spec/conn/hint_spec.lua", "is named to its client: "}, "https-connecting-to-http.js"},
    {JUNK, "tls-hello-parser-failure.js", "tls-server-failed-handshake-emits-clienterror.js",
        "tls-socket-failed-handshake-emits-error.js", INTERNET .. "https-issue-43963.js"},
    {{"spec/conn/connection_spec.lua", "returns the timeout that was set"},
        "tls-connect-timeout-option.js"},
    {{TRANSPORT, "holds for reading, writing and closing"}, "tls-request-timeout.js",
        "tls-timeout-server-2.js", "https-timeout.js", "https-timeout-server-2.js"},
    {SILENT, "tls-timeout-server.js", "https-timeout-server.js", "https-set-timeout-server.js",
        "https-server-headers-timeout.js", "https-server-request-timeout.js",
        SEQUENTIAL .. "https-server-keep-alive-timeout.js"},
    {PAUSES, "tls-fast-writing.js", "https-drain.js", PUMMEL .. "https-large-response.js",
        PUMMEL .. "https-no-reader.js", PUMMEL .. "regress-GH-892.js",
        PUMMEL .. "tls-server-large-request.js", PUMMEL .. "tls-throttle.js"},
    {{"spec/net/starttls_spec.lua", "go through an HTTP proxy"}, "tls-over-http-tunnel.js",
        "test/client-proxy/test-https-proxy-request.mjs"},
    {{"spec/net/nested_spec.lua", "is what our client speaks to ours"},
        PROXY .. "https-proxy.mjs", "test/client-proxy/test-http-proxy-request-https-proxy.mjs"},
    {{"spec/net/nested_spec.lua", " is a cut stream for the inner one"},
        "http2-client-connection-tunnelling.js", "http2-client-jsstream-destroy.js",
        PROXY .. "proxy-failure-hang-up.mjs", PROXY .. "server-failure-hang-up.mjs"},
    {{"spec/net/nested_spec.lua", "is its own, and its alert reaches the peer"},
        PROXY .. "handshake-failure.mjs"},
    {{"spec/context/context_spec.lua", "trusts the system's certificates only where no ca is"},
        INTERNET .. "tls-add-ca-cert.js"},
    {HTTP, "http-url.parse-https.request.js",
        "http-url.parse-only-support-http-https-protocol.js", "https-abortcontroller.js",
        "https-byteswritten.js", "https-client-get-url.js",
        "https-expect-continue-reuse-race.js", "https-host-headers.js", "https-hwm.js",
        "https-insecure-parse-per-stream.js", "https-keep-alive-drop-requests.js",
        "https-max-header-size-per-stream.js", "https-max-headers-count.js",
        "https-request-arguments.js", "https-server-async-dispose.js",
        "https-server-close-destroy-timeout.js", "https-server-connections-checking-leak.js",
        "https-server-options-incoming-message.js", "https-server-options-server-response.js",
        "http2-allow-http1.js", "http2-connect-tls-with-delay.js",
        "http2-create-client-secure-session.js", "http2-createsecureserver-options.js",
        "http2-https-fallback-http-server-options.js",
        "http2-multistream-destroy-on-read-tls.js", "http2-tls-disconnect.js",
        "h2leak-destroy-session-on-socket-ended.js", INTERNET .. "http-https-default-ports.js",
        PROXY .. "incomplete-headers.mjs", PROXY .. "tunnel-timeout.mjs",
        PROXY .. "socket-keep-alive.mjs"},
    {"Node's agent learns from variables which proxy to ask, and asks in HTTP",
        PROXY .. "auth-failure.mjs", PROXY .. "connection-refused.mjs",
        PROXY .. "empty-response.mjs", PROXY .. "invalid-char-in-options.mjs",
        PROXY .. "invalid-char-in-url.mjs", PROXY .. "invalid-credentials.mjs",
        PROXY .. "invalid-url.mjs", PROXY .. "ipv6.mjs", PROXY .. "malformed-response.mjs",
        PROXY .. "max-sockets.mjs", PROXY .. "no-proxy.mjs", PROXY .. "proxy-failure-404.mjs",
        PROXY .. "proxy-failure-500.mjs", PROXY .. "proxy-failure-502.mjs",
        PROXY .. "tunnel-timeout-agent.mjs", "test/client-proxy/test-https-proxy-fetch.mjs",
        "test/client-proxy/test-https-request-proxy-post.mjs",
        "test/client-proxy/test-use-env-proxy-cli-https.mjs",
        "test/client-proxy/test-http-set-global-proxy-from-env-fetch-https.mjs",
        "test/client-proxy/test-http-set-global-proxy-from-env-https-request.mjs"},
    {AGENT, "https-agent-abort-controller.js", "https-agent-constructor.js",
        "https-agent-create-connection.js", "https-agent-sockets-leak.js",
        "https-agent-unref-socket.js", "https-agent.js", "https-client-override-global-agent.js",
        "async-wrap-tlssocket-asyncreset.js"},
    {NODE, "tls-buffersize.js", "tls-connect-hwm-option.js", "tls-external-accessor.js",
        "tls-server-parent-constructor-options.js", "tls-wrap-event-emmiter.js",
        "tls-wrap-no-abort.js", "tls-wrap-timeout.js", "net-access-byteswritten.js",
        "diagnostics-channel-net-client-socket-tls.js", "http-upgrade-reconsume-stream.js",
        HOOKS .. "async-local-storage-tlssocket.js", HOOKS .. "graph.tls-write-12.js",
        HOOKS .. "graph.tls-write.js", HOOKS .. "tlswrap.js", PUMMEL .. "heapdump-tls.js",
        "crypto-secure-heap.js", "strace-openat-openssl.js", "permission-net-https.js",
        "warn-tls-common-deprecation.js", "warn-tls-wrap-deprecation.js",
        "test/benchmark/test-benchmark-tls.js"},
    {"a string of Lua has bytes, and no encoding", "tls-set-encoding.js"},
    {"which functions resolve a name, from which address a socket is, and what is set on it, is "
        .. "the program's: set_fd takes any socket", "tls-connect-hints-option.js",
        "tls-connect-keepalive-nodelay.js", "https-socket-options.js", "https-localaddress.js",
        "https-localaddress-bind-error.js", SEQUENTIAL .. "tls-lookup.js",
        SEQUENTIAL .. "https-connect-localport.js"},
}))

for _, version in ipairs(pair.VERSIONS) do
    local options = {client = {max_version = version}}
    local client_context, server_context = pair.client(options.client), pair.server()

    describe("Node's cases of streams, " .. version .. ":", function()
        suite.answer({PARALLEL .. "tls-js-stream.js", PARALLEL .. "tls-connect-stream-writes.js",
            PARALLEL .. "tls-generic-stream.js"},
            "all that is written before the end arrives, in whatever pieces it is moved", function()
            for _, size in ipairs {1, 7, 65536} do
                local client, server = pair.fed(options)
                local sent, got = {}, {}
                for i = 1, 50 do
                    sent[i] = "hello world " .. i
                    client:write(sent[i])
                end
                assert.equal("sent", client:close())
                local bytes = client:drain()
                for at = 1, #bytes, size do
                    server:feed(bytes:sub(at, at + size - 1))
                    got[#got + 1] = server:read()
                end
                for piece in function() return server:read() end do got[#got + 1] = piece end
                assert.equal(table.concat(sent), table.concat(got))
                expect.word("closed", server:read())
            end
        end)

        suite.answer({PARALLEL .. "tls-delayed-attach.js", PARALLEL .. "tls-on-empty-socket.js",
            PARALLEL .. "tls-connect-given-socket.js", PARALLEL .. "tls-reuse-host-from-socket.js"},
            "a socket may be given before anything has come, or after", function()
            for _, late in ipairs {false, true} do
                local fds = uv.socketpair("stream", nil, {nonblock = true}, {nonblock = true})
                local client = assert(client_context:connection())
                local server = assert(server_context:connection())
                client:set_blocking(false)
                server:set_blocking(false)
                client:set_hostname "localhost"
                client:set_fd(fds[1])
                if not late then
                    server:set_fd(fds[2])
                    expect.word("want_read", server:accept())
                end
                expect.word("want_read", client:connect())
                if late then server:set_fd(fds[2]) end
                local c, s = pair.drive(client, server)
                assert.is_true(c[1] and s[1], c[2] or s[2])
                assert.equal("ping", pair.send(client, server, "ping"))
                assert.equal("pong", pair.send(server, client, "pong"))
                client:free()
                server:free()
                for i = 1, 2 do assert(uv.fs_close(fds[i])) end -- they were the program's
            end
        end)

        suite.answer(PARALLEL .. "socket-writes-before-passed-to-tls-socket.js",
            "what was written in plain text comes first, however much it was", function()
            local client, server = pair.join(options)
            local plain, at, got = ("p"):rep(1 << 20), 1, 0
            while got < #plain do
                at = at + (client:plain_write(plain, at) or 0)
                local bytes = server:plain_read(math.min(65536, #plain - got))
                got = got + #(bytes or "")
            end
            assert.equal(#plain + 1, at)
            local c, s = pair.drive(client, server)
            assert.is_true(c[1] and s[1], c[2] or s[2])
        end)

        suite.answer({PARALLEL .. "double-tls-client.js", PARALLEL .. "double-tls-server.js"},
            "TLS in TLS begins when the outer write is over, and behind its bytes", function()
            for _, role in ipairs {"client", "server"} do
                local ends = {}
                ends.client, ends.server = pair.connect(options)
                local outer, peer = ends[role], ends[role == "client" and "server" or "client"]
                local bytes, got = ("o"):rep(1 << 20), 0
                local at = 1 + outer:write(bytes)
                expect.word("want_write", outer:write(bytes, at))
                local inner = assert(client_context:connection())
                local carried = assert(server_context:connection())
                inner:set_blocking(false)
                carried:set_blocking(false)
                inner:set_hostname "localhost"
                expect.raises("a write of it waits", inner.set_connection, inner, outer)
                while got < #bytes do
                    at = at + (outer:write(bytes, at) or 0)
                    got = got + #(peer:read(65536) or "")
                end
                inner:set_connection(outer)
                expect.word("want_read", inner:connect())
                assert.equal("\x16", peer:peek(1))
                carried:set_connection(peer)
                local c, s = pair.drive(inner, carried)
                assert.is_true(c[1] and s[1], c[2] or s[2])
                assert.equal("inner", pair.send(inner, carried, "inner"))
            end
        end)

        suite.answer(PARALLEL .. "tls-zero-clear-in.js",
            "a write of nothing is no failure, first or last", function()
            local client, server = pair.connect(options)
            assert.equal(0, client:write "")
            assert.equal(0, client:write {"", ""})
            expect.word("want_read", server:read())
            assert.equal("sent", client:close())
            expect.word("closed", server:read())
        end)

        suite.answer({PARALLEL .. "tls-invoke-queued.js", PARALLEL .. "tls-net-socket-keepalive.js",
            PARALLEL .. "tls-net-socket-keepalive-12.js"},
            "what is written and ended at both ends at once arrives at both", function()
            local client, server = pair.connect(options)
            for _, conn in ipairs {client, server} do
                for _, word in ipairs {"hello ", "world!", " gosh"} do conn:write(word) end
                assert.equal("sent", conn:shutdown())
            end
            for _, conn in ipairs {client, server} do
                for _, word in ipairs {"hello ", "world!", " gosh"} do
                    assert.equal(word, conn:read())
                end
                expect.word("closed", conn:read())
                assert.equal("done", conn:shutdown())
            end
        end)

        suite.answer(PARALLEL .. "tls-onread-static-buffer.js",
            "reads into buffers get all, however small these are and whenever they pause",
            function()
            for _, case in ipairs {{"hello world", 8, 1}, {"hello world", 2, 3},
                {("hello world"):rep(6000), 64, 1}} do
                local client, server = pair.connect(pair.with(options, {capacity = 1 << 17}))
                local buffers, got, turn = {}, {}, 0
                for i = 1, case[3] do buffers[i] = tls.buffer(case[2]) end
                server:write(case[1])
                server:close()
                local word
                repeat
                    turn = turn % #buffers + 1
                    local n
                    n, word = client:read_into(buffers[turn])
                    got[#got + 1] = n and buffers[turn]:sub(1, n)
                    assert.is_true(n == nil or n <= case[2])
                until not n
                assert.equal("closed", word)
                assert.equal(case[1], table.concat(got))
            end
        end)

        suite.answer({PARALLEL .. "tls-econnreset.js",
            PARALLEL .. "tls-wrap-econnreset-socket.js", PARALLEL .. "tls-writewrap-leak.js",
            PARALLEL .. "tls-wrap-econnreset-localaddress.js"},
            "a peer that has left before its first byte fails the handshake", function()
            local listener <close> = assert(tls.listen("127.0.0.1", 0))
            for _, who in ipairs {"client", "server"} do
                local client = assert(client_context:connection())
                client:set_timeout(20)
                assert(client:dial("127.0.0.1", listener:port()))
                local server = assert(listener:accept(server_context, 20))
                server:set_timeout(20)
                local one, gone = client, server
                if who == "server" then one, gone = server, client end
                gone:free()
                local result = table.pack(one:handshake())
                assert.is_nil(result[1])
                assert.is_true(result[2] == "truncated" or result[3].code == "system", result[2])
                assert.equal("failed", one:state())
                local again = table.pack(one:handshake())
                assert.equal(result[2], again[2])
            end
        end)

        local collected = {PARALLEL .. "tls-connect-memleak.js",
            PARALLEL .. "gc-tls-external-memory.js"}
        suite.answer(collected,
            "connections that junk has ended are collected, and so is what their hooks hold",
            function()
            local gone = setmetatable({}, {__mode = "k"})
            for i = 1, 64 do
                local held = {}
                local context = i == 1 and pair.client {max_version = version,
                    on_verify = function() return held ~= nil end} or client_context
                gone[held] = true
                local conn = assert(context:connection())
                conn:set_hostname "localhost"
                conn:set_memory()
                gone[conn] = true
                conn:connect()
                conn:feed(("yolo"):rep(2500))
                expect.fails("tls", conn:connect())
            end
            collectgarbage()
            collectgarbage()
            assert.is_nil(next(gone))
        end)
    end)
end

describe("Node's cases of other calls of OpenSSL:", function()
    suite.answer(PARALLEL .. "crypto-verify-failure.js",
        "one that fails between two calls of a connection leaves it alone", function()
        local client, server = pair.join()
        for _ = 1, 3 do
            client:connect()
            expect.fails("input", tls.certificate "asdfasdfas")
            server:accept()
            expect.fails("verify", tls.issued(p.other_ca_cert, p.client_cert))
        end
        for _ = 1, 2 do
            assert.equal("data", pair.send(client, server, "data"))
            expect.fails("verify", tls.issued(p.other_ca_cert, p.client_cert))
            expect.word("want_read", client:read())
        end
    end)
end)

describe("Node's suite of streams", function() suite.check() end)
