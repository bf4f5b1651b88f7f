--- features.lua: has the scenes of scenes.lua in which one feature takes part in a connection's
-- life: another way to verify, another transport, what records it or reports it.
--
-- failing_draws_spec.lua demands that each option and each function is in one of the scenes.

local host, help = ...
local tls = require "tlslife"
local must, strict, wrong = help.must, help.strict, help.wrong
local both, joined, shake, send, finish = help.both, help.joined, help.shake, help.send, help.finish
local visit, resume, take_turns, drain = help.visit, help.resume, help.take_turns, help.drain
local server_context = help.server_context
local each_version, for_each, options = help.each_version, help.for_each, help.options

local scenes = {}

local function number_of_process()
    local stat <close> = assert(io.open "/proc/self/stat")
    return stat:read "n"
end

--- A name that nothing else in this Lua state has, and no other process, in this run's directory.
local PROCESS <const> = number_of_process()
local names = 0
local function new_path(kind)
    names = names + 1
    return ("%s/%s.%d.%d"):format(host.directory, kind, PROCESS, names)
end

-- ----------------------------------------------------------------------------- who the peer is

local PSK <const> = {identity = "me", key = ("k"):rep(32)}

local function key_of(_, asked) return asked.identity == PSK.identity and PSK.key end

--- A static PSK on both ends, and one that each end is asked for.
scenes.psk = {
    make = each_version(function(version)
        local function server(others)
            return must(tls.context(options({role = "server", ciphers = "PSK-AES128-GCM-SHA256",
                psk_identity_hint = "which"}, others)))
        end
        local function client(others)
            return help.client_context(options({max_version = version,
                ciphers = "PSK-AES128-GCM-SHA256"}, others))
        end
        local known = server {psk = {PSK}}
        local function choose(_, hello)
            return hello.psk_identities[1] == PSK.identity and known or nil
        end
        return {
            {client = client {psk = PSK}, server = known},
            {
                client = client {on_psk = function() return PSK.identity, PSK.key end},
                server = server {on_psk = key_of, on_hello = choose},
            },
        }
    end),
    use = for_each(for_each(function(things)
        local client, server = joined(things)
        shake(client, server)
        if client:version() == "TLSv1.2" then -- in TLS 1.3 libssl does not tell
            strict(server:psk_identity() == PSK.identity, "the identity")
            strict(client:psk_identity_hint() == "which", "the hint")
        end
        send(client, server, "hello")
        finish(client, server)
    end)),
}

local OF_PKI = {judged = true, overruled = true, dane = true}
if host.name == nil or OF_PKI[host.name] then
    local pki = require("spec.support.pki").get()

    local function client(version, others)
        return must(tls.context(options({role = "client", ca = pki.ca_file, max_version = version},
            others)))
    end

    local function server(others)
        return must(tls.context(options({role = "server"}, others)))
    end

    --- A certificate from PKCS#12, a stapled OCSP response and CRLs, all of which are judged.
    scenes.judged = {
        make = each_version(function(version)
            local seen = function(_, peer) return peer.verified end
            return {
                client = client(version, {
                    ocsp_verify = "required", crl = pki.crl_file, crl_check = "leaf",
                    verify_all = true, on_verify = seen, verify_depth = 4, purpose = "server",
                    certificate = pki.client_cert_file, private_key = pki.client_key_file,
                    partial_chain = true, max_cert_list = 100000,
                }),
                server = server {
                    certificate = pki.server_p12_file, passphrase = pki.passphrase,
                    ocsp_response = pki.ocsp_file, verify = "required", ca = pki.ca_dir,
                    client_ca = pki.ca_file,
                },
            }
        end),
        use = for_each(function(things)
            visit(things, nil, function(a)
                strict(a:verify_errors() == nil, "errors before there are any")
            end)
            local a, b = joined(things)
            shake(a, b)
            send(b, a, "hello")
            strict(a:ocsp_response() == pki.ocsp_der, "the OCSP response")
            strict(a:ca_names() and a:offered_ciphers() and a:local_certificates(), "facts")
            finish(a, b)
        end),
    }

    --- What the verification of a stranger's certificate finds, all of which the program takes.
    scenes.overruled = {
        make = each_version(function(version)
            return {
                client = client(version, {
                    ca = pki.other_ca_cert, verify_all = true, verify = "required",
                    on_verify = function(_, peer) return not peer.verified end,
                }),
                server = server {certificate = {{
                    certificate = pki.expired_cert, private_key = pki.expired_key,
                }, {
                    certificate = pki.server_cert, private_key = pki.encrypted_key,
                    passphrase = pki.passphrase,
                }}},
            }
        end),
        use = for_each(function(things)
            local a, b = joined(things)
            shake(a, b)
            if not a:verify_errors() then wrong "what was refused is not told" end
            finish(a, b)
        end),
    }

    --- TLSA records, and what reads a certificate.
    scenes.dane = {
        make = each_version(function(version)
            return {
                client = client(version, {dane = true, ca = pki.other_ca_file}),
                server = server {certificate = pki.server_cert, private_key = pki.server_key},
            }
        end),
        use = for_each(function(things)
            local digest = must(tls.fingerprint(pki.server_cert, "sha256"))
            local a, b = must(things.client:connection()), must(things.server:connection())
            a:set_blocking(false)
            b:set_blocking(false)
            tls.pair(a, b)
            a:set_dane "localhost"
            must(a:add_tlsa(3, 0, 1, (digest:gsub("%x%x", function(pair)
                return string.char(tonumber(pair, 16))
            end))))
            shake(a, b)
            finish(a, b)
            if must(tls.certificate(pki.server_cert)).fingerprint ~= digest then
                wrong "the fingerprint"
            end
            must(tls.issued(pki.ca_cert, pki.server_leaf, pki.intermediate_cert))
        end),
    }
end

--- All settings that no other scene has.
scenes.settings = {
    make = function()
        local things = both({
            verify_host = false, ciphersuites = "TLS_AES_128_GCM_SHA256", groups = "P-256:X25519",
            signature_algorithms = "ECDSA+SHA256", max_send_fragment = 4096, timeout = 20,
            modes = {RELEASE_BUFFERS = true}, ocsp_request = true, quiet_shutdown = false,
        }, {
            min_version = "TLSv1.2", dh_auto = true, num_tickets = 3, session_timeout = 100,
            session_id_context = "settings", resumption = "tickets", options = {NO_TICKET = false},
            ocsp_response = nil,
        })
        for _, context in pairs(things) do
            must(context:conf("Groups", "P-256"))
            context:set_timeout(10)
            context:role()
            context:up_ref():free()
        end
        return things
    end,
    use = function(things)
        things.server:session_id_context()
        resume(things)
    end,
}

-- ---------------------------------------------------------------------------------- transports

local SIGNATURE <const> = "\r\n\r\n\0\r\nQUIT\n"
local FROM <const> = "\192\0\2\1\192\0\2\2" .. (">I2I2"):pack(56324, 443)
local FIELD <const> = "\2" .. (">s2"):pack "a.example"
local HEADERS <const> = {
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    SIGNATURE .. "\x21\x11" .. (">s2"):pack(FROM .. FIELD),
}

--- Behind a proxy, over a Unix socket.
scenes.proxied = {
    make = function()
        local things = both()
        things.path = "unix:" .. new_path "proxied"
        things.listener = must(tls.listen(things.path, nil, {mode = "600"}))
        things.listener:set_proxy_protocol(true, {"unix"})
        return things
    end,
    use = function(things)
        drain(things.listener, things.server)
        for i, header in ipairs(HEADERS) do
            local client, server = help.dialled(things, things.listener, things.path)
            client:set_hostname "localhost"
            local sent = 0
            take_turns(function()
                local n, message, err = client:plain_write(header, sent + 1)
                if not n then return nil, message, err end
                sent = sent + n
                return sent >= #header or nil, "want_write"
            end, function() return true end)
            shake(client, server, host.nap)
            local address = server:peer_address() -- none where it could not be written down
            if address and address ~= "192.0.2.1:56324" then wrong("the client is %s", address) end
            strict(address, "no address")
            if server:proxy_address() then wrong "a Unix socket has an address" end
            local field = server:proxy_tlv "authority"
            strict(i == 1 or field == "a.example", "the field is %s", field)
            send(client, server, "hello", host.nap)
            finish(client, server, host.nap)
            client:close()
            server:close()
        end
    end,
}

--- A Unix socket's file that was left behind, and a backlog that is full.
scenes.unix = {
    make = function()
        local things = both()
        things.path = new_path "unix"
        return things
    end,
    use = function(things)
        local peer = host.start_peer(function()
            must(tls.listen("unix:" .. things.path))
            while true do host.nap() end
        end)
        repeat host.nap() until os.rename(things.path, things.path)
        host.stop_peer(peer)
        local listener = must(tls.listen("unix:" .. things.path, nil, {mode = "660", backlog = 1}))
        local full
        for _ = 1, 4 do
            local conn = must(things.client:connection())
            conn:set_blocking(false)
            local ok, message, err = conn:dial("unix:" .. things.path)
            if not ok and not help.WAITS[message] then must(ok, message, err) end
            full = not ok and conn
            if full then break end
        end
        strict(full, "the backlog is never full")
        local conn, message, err
        for _ = 1, 2 do -- EAGAIN may come once although there are more
            repeat conn, message, err = listener:accept(things.server, 0) until not conn
        end
        if message ~= "want_read" then must(nil, message, err) end
        if full then
            take_turns(function() return full:dial("unix:" .. things.path) end,
                function() return true end, host.nap)
        end
        must(listener:accept(things.server, 1)):close()
        listener:close()
    end,
}

--- A listener of several addresses, and its parts.
scenes.addresses = {
    make = function() return both() end,
    use = function(things)
        local several = must(tls.listen({"127.0.0.1:0", "127.0.0.1:0"}))
        strict(several:fd() and several:addresses()[2], "two addresses")
        for _, listener in ipairs {several, table.unpack(must(several:split()), 2)} do
            if not listener:port() then -- the system did not say
                strict(false, "no port")
                return
            end
            local client, server = help.dialled(things, listener, "127.0.0.1")
            client:set_hostname "localhost"
            if not client:peer_address() or not server:peer_address() then
                strict(false, "no address")
            end
            shake(client, server, host.nap)
            finish(client, server, host.nap)
            client:close()
            server:close()
            listener:close()
        end
        must((tls.split_address "[::1]:8443"))
    end,
}

--- Plain bytes before TLS, some of which were read too early.
scenes.starttls = {
    make = both,
    use = function(things)
        local client, server = joined(things)
        must(client:plain_write "STARTTLS\nmore")
        local got = must(server:plain_read())
        if got ~= "STARTTLS\nmore" then wrong("%q came", got) end
        server:unread(got:sub(10))
        if must(server:plain_read()) ~= "more" then wrong "what was given back" end
        must(server:plain_write "ready\n")
        if must(client:plain_read(6)) ~= "ready\n" then wrong "the answer" end
        client:connect()
        local hello = must(server:plain_read(3))
        server:unread(hello)
        shake(client, server)
        send(client, server, ("x"):rep(20000))
        finish(client, server)
    end,
}

--- Two descriptors at each end, which are no sockets.
scenes.pipes = {
    make = both,
    use = function(things)
        local pipes <close>, client_in, client_out, server_in, server_out = host.pipes()
        local client, server = must(things.client:connection()), must(things.server:connection())
        client:set_blocking(false)
        server:set_blocking(false)
        client:set_fd(client_in, client_out)
        server:set_fd(server_in, server_out)
        client:set_hostname "localhost"
        shake(client, server, host.nap)
        send(client, server, ("x"):rep(20000), host.nap)
        send(server, client, "hello", host.nap)
        finish(client, server, host.nap)
        client:free()
        server:free()
        must(pipes)
    end,
}

-- ------------------------------------------------------------------------------------ resumption

--- A client's sessions in a store of the program's. It takes each from there only once.
scenes.kept_outside = {
    make = each_version(function(version)
        local rows = {}
        local cache = must(tls.cache {
            in_memory = false, keyring = tls.keyring {help.SECRET}, sessions_per_peer = 2,
            store = {
                get = function(key) return rows[key] end,
                put = function(key, sealed) rows[key] = sealed end,
                remove = function(key) rows[key] = nil end,
                take = function(key)
                    local sealed = rows[key]
                    rows[key] = nil
                    return sealed
                end,
            },
        })
        return both({max_version = version, cache = cache},
            {ticket_keys = tls.ticket_keys {secret = help.SECRET, epoch = 100, older = 1}})
    end),
    use = for_each(function(things)
        visit(things)
        help.check_resumed(visit(things))
    end),
}

--- A slab over what is no slab, which is wiped.
scenes.wiped = {
    make = both,
    use = function(things)
        local name = "failing-" .. new_path "wiped":match "[^/]*$"
        local file = "/dev/shm/tlslife-" .. name
        local function open() return must(tls.shared {path = "shm:" .. name, size = 1 << 17,
            wipe = true}) end
        local ok, store = pcall(function()
            open():free() -- the file has the mode that it must have
            local over = must(io.open(file, "r+b"))
            over:write(("garbage"):rep(1000))
            over:close()
            return open()
        end)
        os.remove(file)
        if not ok then error(store, 0) end
        local cache = must(tls.cache {store = store, keyring = tls.keyring {help.SECRET}})
        resume {client = things.client, server = server_context {cache = cache}}
    end,
}

--- Bytes in a ticket, and early data by accept_early.
scenes.tickets_with_data = {
    make = function()
        return both({max_early_data = 1000}, {max_early_data = 1000, cache = must(tls.cache())})
    end,
    use = function(things)
        local client, server = joined(things)
        server:set_ticket_data "data"
        shake(client, server)
        send(server, client, "hello")
        local session = client:take_session()
        finish(client, server)
        if not session then strict(false, "no session came") return end
        client, server = joined(things)
        client:set_session(session)
        must(client:write_early "early")
        take_turns(function() return true end, function()
            local ok, message, err = server:accept_early()
            if ok or not help.WAITS[message] then return ok, message, err end
            ok, message, err = client:connect() -- early data were rejected
            return nil, ok and "want_read" or message, err
        end)
        local early = server:early()
        strict(early, "no early data")
        if early and must(server:read()) ~= "early" then wrong "the early data" end
        shake(client, server)
        strict(server:ticket_data() == "data", "the ticket's data")
        strict(client:early_data_status() == "accepted", "early data")
        finish(client, server)
    end,
}

-- ----------------------------------------------------------------------- what is recorded and told

--- A trace with secrets, and a key log in a file.
scenes.traced = {
    make = each_version(function(version)
        local trace = must(tls.trace {secrets = true, bytes = 1 << 16})
        local things = both({max_version = version, trace = trace, keylog = new_path "keylog"},
            {trace = trace})
        things.trace = trace
        return things
    end),
    use = for_each(function(things)
        visit(things, nil, function(client, server)
            server:trace(nil)
            client:trace(things.trace)
        end)
        local seen, event = {}, things.trace:next()
        while event do
            seen[event.kind] = true
            event = things.trace:next()
        end
        strict(seen.handshake and seen.keylog and seen.bytes, "the trace has not all")
        things.trace:lost()
        things.trace:epoch()
        things.trace:up_ref():free()
    end),
}

--- Counters that are shared with a worker, which this process becomes. It can be one only once.
scenes.metrics = {
    make = function() return both(nil, {cache = must(tls.cache())}) end,
    use = function(things)
        local fd = must(tls.metrics_share(2))
        local ok, joined_it, message, err = pcall(tls.metrics_join, fd, 1)
        if ok then must(joined_it, message, err) end
        if not ok and not tostring(joined_it):find "worker already" then error(joined_it, 0) end
        visit(things)
        tls.metrics_publish()
        tls.metrics_count "handler_failed"
        tls.metrics_leave(2)
        for _, format in ipairs {"openmetrics", "prometheus"} do
            local text = tls.metrics(format, things.server)
            if not text:find "tlslife_" then wrong "no metrics" end
        end
    end,
}

--- What an adapter of a loop does with a connection's descriptor.
scenes.poller = {
    make = function()
        local things = both()
        things.listener = must(tls.listen("127.0.0.1", 0))
        return things
    end,
    use = function(things)
        drain(things.listener, things.server)
        local poller = must(tls.poller())
        local function watch(...) must(poller:watch(...)) end
        local client, server = help.dialled(things, things.listener, "127.0.0.1")
        client:set_hostname "localhost"
        must(poller:fd())
        watch(client:fd(), 3)
        watch(client:fd(), 1, true)
        watch(server:fd(), 5)
        local list = {}
        shake(client, server, function()
            poller:events(list)
            host.nap()
        end)
        send(server, client, "hello", host.nap)
        must(server:write "more")
        local found = false
        for _ = 1, 3000 do
            for i = 1, 2 * poller:events(list), 2 do found = found or list[i] == client:fd() end
            if found then break end
            host.nap()
        end
        if not found then wrong "what is ready is not told" end
        poller:watch(server:fd(), 0)
        poller:close()
        client:close()
        server:close()
    end,
}

-- -------------------------------------------------------------------------------------- faces

--- The result of a face, whose failures have no error object.
local function told(result, message, ...)
    if result then return result, message, ... end
    local word = message == "timeout" or message == "closed" or message == "wantread"
        or message == "wantwrite"
    local memory = tostring(message):find "memory" or tostring(message):find "malloc"
    must(nil, message, not word and {code = memory and "memory" or "alert"} or nil)
end

--- tls.socket over both ends.
scenes.socket = {
    make = both,
    use = function(things)
        local a, b = joined(things)
        local near, far = tls.socket(a), tls.socket(b)
        near:settimeout(0)
        far:settimeout(0)
        local function turn(sock)
            return function()
                local ok, why = sock:dohandshake()
                return ok, why == "timeout" and "want_read" or why, a:error() or b:error()
            end
        end
        take_turns(turn(near), turn(far))
        told(near:send "one\ntwo\nrest")
        if told(far:receive()) ~= "one" or told(far:receive "*l") ~= "two" then wrong "lines" end
        if told(far:receive(4)) ~= "rest" then wrong "bytes" end
        local none, why, part = far:receive(4)
        if none or why == "timeout" and part ~= "" then wrong "what nobody sent" end
        far:dirty()
        far:want()
        far:getstats()
        far:setstats(1, 2, 3)
        far:getfd()
        near:shutdown "send"
        near:close()
        far:close()
    end,
}

local has_luasocket, luasocket = host.name == "luasec", nil
if host.name == nil or has_luasocket then
    has_luasocket, luasocket = pcall(require, "socket")
end

if has_luasocket then
    require "tlslife.luasec"
    local ssl = require "ssl"

    --- A program of LuaSec's. What LuaSocket allocates fails elsewhere.
    scenes.luasec = {
        make = function()
            local function file(text)
                local path = new_path "pem"
                local out = must(io.open(path, "wb"))
                out:write(text)
                out:close()
                return path
            end
            local certificate, key = file(host.certificate), file(host.key)
            local things = {}
            local ok, failure = pcall(function()
                things.server = told(ssl.newcontext {mode = "server", protocol = "any",
                    certificate = certificate, key = key})
                things.client = told(ssl.newcontext {mode = "client", protocol = "any",
                    verify = "peer", cafile = certificate})
            end)
            os.remove(certificate)
            os.remove(key)
            if not ok then error(failure, 0) end
            things.listener = told(luasocket.bind("127.0.0.1", 0))
            return things
        end,
        use = function(things)
            things.listener:settimeout(0)
            local left
            repeat left = things.listener:accept() until not left
            things.listener:settimeout(5)
            local port = select(2, things.listener:getsockname())
            local near = told(luasocket.connect("127.0.0.1", port))
            local client = told(ssl.wrap(near, things.client))
            local server = told(ssl.wrap(told(things.listener:accept()), things.server))
            client:sni "localhost"
            client:settimeout(0)
            server:settimeout(0)
            local function turn(conn)
                return function()
                    local ok, why = conn:dohandshake()
                    if not ok and (why == "wantread" or why == "wantwrite") then
                        return nil, "want_read"
                    end
                    return told(ok, why)
                end
            end
            take_turns(turn(client), turn(server), host.nap)
            client:settimeout(5)
            server:settimeout(5)
            told(server:send "hello\n")
            if told(client:receive "*l") ~= "hello" then wrong "the line" end
            client:info()
            client:getpeercertificate():digest()
            client:close()
            server:close()
        end,
    }
end

return scenes
