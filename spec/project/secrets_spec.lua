-- secrets_spec.lua: tests that secrets are in no message, warning or tostring, and that the time of
-- a comparison with what an attacker chooses says nothing of a secret. spec/c/secrets/secrets.c
-- looks for secrets in memory.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

-- Each secret has this word in it, and so has whatever shows it. (A key in PEM or base64 has a line
-- of its own.)
local WORD <const> = "MARKER"

-- Every way to hand a secret over that fails, and one that does not; and all that comes of it.
local EVERYTHING <const> = [=[
local tls = require "tlslife"
local host = require "tlslife.host"
local ssl = require "tlslife.luasec"
local WORD, certificate, key_file, encrypted, ca, pkcs12 = table.unpack(arg)
warn "@on"

local function slurp(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local seen = 0
local function show(value, depth) -- an error value, too, is a table, whose queue is one
    if type(value) == "table" and depth < 5 then
        for k, v in pairs(value) do show(k, depth + 1) show(v, depth + 1) end
    end
    print(tostring(value))
end
local function case(func, ...)
    seen = seen + 1
    local results = table.pack(xpcall(func, debug.traceback, ...))
    for i = 1, results.n do show(results[i], 0) end
    collectgarbage()
    return table.unpack(results, 2, results.n)
end

local secret, long = WORD .. ("s"):rep(40), WORD .. ("k"):rep(300)
local own_key = ("n"):rep(16) .. WORD .. ("k"):rep(58)
local broken = slurp(key_file):gsub("\n(%w%w)", "\n" .. WORD .. "%1", 1)
local function with(fields)
    local options = {role = "server", certificate = certificate, private_key = key_file}
    for k, v in pairs(fields) do options[k] = v end
    return case(tls.context, options)
end

-- certificates, keys, passphrases
with {private_key = broken}
with {private_key = broken:gsub("%-%-%-%-%-[^\n]*\n", "")}
with {private_key = "MC4CAQAwBQYDK2VwBCIEI" .. WORD .. ("A"):rep(37)}
with {private_key = "-----BEGIN PRIVATE KEY-----\n" .. WORD .. "\n-----END PRIVATE KEY-----\n"}
with {private_key = "-----BEGIN PRIVATE KEY-----\n" .. WORD}
with {private_key = "pkcs11:token=t;object=o?pin-value=" .. secret}
with {private_key = "pkcs11:token=t?pin-value=" .. secret .. "&module-name=m"}
with {private_key = "https://someone:" .. secret .. "@a.example/key"}
with {private_key = "https://someone:p@" .. secret .. "@a.example/key"}
with {private_key = "https://someone:" .. secret .. "@a.example/key?pin-value=p"}
with {private_key = "pkcs11:token=t?pin-value=p&pin-value=" .. secret}
with {private_key = "pkcs11:token=t?pin-value=p;" .. secret}
with {certificate = broken}
with {ca = broken}
with {private_key = encrypted, passphrase = secret}
with {private_key = encrypted, passphrase = {secret}}
with {private_key = encrypted, passphrase = secret .. "\0"}
with {private_key = encrypted, passphrase = long:rep(10)}
with {passphrase = secret, private_key = false}
with {certificate = {{certificate = certificate, private_key = encrypted, passphrase = secret}}}
with {certificate = {{certificate = certificate, private_key = broken, passphrase = secret}}}
with {certificate = {{certificate = certificate, private_key = {secret}}}}
-- PSKs
with {psk = {identity = "i", key = long}}
with {psk = {identity = "i", key = ""}}
with {psk = {identity = ("i"):rep(300), key = secret}}
with {psk = {identity = 1, key = secret}}
with {psk = {key = secret}}
with {psk = {identity = "i", key = {secret}}}
with {psk = secret}
with {psk = {secret}}
with {psk = {{identity = "i", key = secret}, {identity = {}, key = secret}}}
-- key rings, ticket keys
case(tls.keyring, {WORD})
case(tls.keyring, {secret, WORD})
case(tls.keyring, {secret, {}})
case(tls.keyring, secret)
case(tls.keyring, {a = secret})
local ring = case(tls.keyring, {secret})
case(ring.rotate, ring, WORD)
case(ring.rotate, secret, secret)
case(tls.ticket_keys, secret)
case(tls.ticket_keys, {secret = WORD})
case(tls.ticket_keys, {secret = secret, epoch = 1})
case(tls.ticket_keys, {secret = secret, keys = {own_key}})
case(tls.ticket_keys, {keys = {own_key, own_key}})
case(tls.ticket_keys, {keys = {own_key .. "x"}})
case(tls.ticket_keys, {keys = own_key})
local keys = case(tls.ticket_keys, {keys = {own_key}})
case(keys.replace, keys, {own_key, secret})
case(keys.replace, keys, own_key)
local derived = case(tls.ticket_keys, {secret = secret})
case(derived.replace, derived, {own_key})
-- Redis
case(tls.redis, {password = {secret}})
case(tls.redis, {password = secret .. "\0"})
case(tls.redis, {username = 1, password = secret})
case(tls.redis, {host = "redis://:" .. secret .. "@a.example:1"})
case(tls.redis, {host = "redis://someone:" .. secret .. "@a.example:1", password = secret})
case(tls.redis, {path = "", password = secret, timeout = -1})
local store = case(tls.redis, {host = "127.0.0.1:1", password = secret, username = "someone"})
case(tls.cache, {store = store, keyring = secret})
case(tls.cache, {store = store, keyring = ring, capacity = -1})
-- sessions and exports
local context = with {psk = {identity = "i", key = secret}}
local client = case(tls.context, {role = "client", ca = ca, psk = {identity = "i", key = secret}})
case(client.import_session, client, secret)
case(client.import_session, client, "-----BEGIN SSL SESSION PARAMETERS-----\n" .. secret)
local cache = case(tls.cache)
case(cache.import, cache, secret, ring)
case(cache.import, cache, ring, secret)
-- a life, whose secrets are the handshake's
local a, b = case(client.connection, client), case(context.connection, context)
a:set_blocking(false) b:set_blocking(false) a:set_hostname "localhost" tls.pair(a, b)
for _ = 1, 4 do case(a.connect, a) case(b.accept, b) end
case(a.write, a, "x")
for _, object in ipairs {a, b, client, context, ring, keys, store, cache, a:session()} do
    case(tostring, object)
end
-- PKCS#12, and several pairs
case(tls.context, {role = "server", certificate = pkcs12, passphrase = secret})
case(tls.context, {role = "server", certificate = slurp(pkcs12), passphrase = secret})
with {certificate = {{certificate = pkcs12, passphrase = secret}}}
with {certificate = {{certificate = pkcs12, passphrase = {secret}}}}
-- what on_psk returns and may not
local function asked_of(role, version, ...)
    local answers = table.pack(...)
    local function on_psk() return table.unpack(answers, 1, answers.n) end
    local asks = assert(tls.context {role = role, on_psk = on_psk, verify = "none",
        ciphers = "PSK", max_version = version})
    local other = assert(tls.context {role = role == "client" and "server" or "client",
        psk = {identity = "i", key = secret}, verify = "none", ciphers = "PSK",
        max_version = version})
    local one, two = asks:connection(), other:connection()
    one:set_blocking(false) two:set_blocking(false) tls.pair(one, two)
    for _ = 1, 3 do
        if role == "client" then case(one.connect, one) else case(two.connect, two) end
        if role == "client" then case(two.accept, two) else case(one.accept, one) end
    end
    case(tostring, one)
    one:free() two:free()
end
for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    asked_of("client", version, "i", long)
    asked_of("client", version, "i\0" .. WORD, secret)
    asked_of("client", version, "i", {secret})
    asked_of("client", version, {secret}, secret)
    asked_of("client", version, false, secret)
    asked_of("client", version, "i", secret .. "x") -- another key
end
asked_of("server", "TLSv1.2", long)
asked_of("server", "TLSv1.2", {secret})
asked_of("server", "TLSv1.2", false, secret .. "\n")
asked_of("server", "TLSv1.2", function() return secret end)
-- traces, and what writes them
local trace = case(tls.trace, {secrets = true})
case(tls.trace, {secrets = secret})
case(tls.trace, {bytes = secret})
local traced = case(tls.context, {role = "client", verify = "none", trace = trace, psk = {
    identity = "i", key = secret}})
local c, d = traced:connection(), context:connection()
c:set_blocking(false) d:set_blocking(false) tls.pair(c, d)
for _ = 1, 4 do case(c.connect, c) case(d.accept, d) end
case(tostring, trace)
case(c.trace, c, secret)
local writer = case(host.trace_writer, trace, "json", "/dev/null")
case(tostring, writer)
case(writer.stop, writer)
case(host.trace_writer, trace, WORD:lower():reverse(), "/dev/null") -- a word is no secret
case(host.trace_writer, trace, "text", "/nowhere/at/all")
-- tls.socket
local sock = case(tls.socket, c)
case(tostring, sock)
case(sock.send, sock, secret, "x")
case(sock.send, sock, {secret})
case(sock.send, sock, secret)
case(sock.close, sock)
case(sock.send, sock, secret)
-- the drop-in for LuaSec
local function newcontext(fields)
    local parameters = {mode = "server", protocol = "any", certificate = certificate,
        key = key_file}
    for k, v in pairs(fields) do parameters[k] = v end
    local ctx = case(ssl.newcontext, parameters)
    if ctx then case(tostring, ctx) end
    case(ssl.wrap, 1, parameters)
    return ctx
end
newcontext {key = encrypted, password = secret}
newcontext {key = encrypted, password = function() return secret end}
newcontext {key = encrypted, password = function() return {secret} end}
newcontext {key = encrypted, password = {secret}}
newcontext {key = secret}
newcontext {password = secret}
newcontext {certificates = {{key = encrypted, certificate = certificate, password = secret}}}
newcontext {psk = secret}
newcontext {psk = {hint = "h", callback = secret}}
newcontext {key = "pkcs11:token=t?pin-value=" .. secret}
local psk_context = newcontext {ciphers = "PSK", psk = {hint = "h", callback = function()
    return secret
end}}
case(tostring, psk_context)
-- the page of metrics
case(tls.metrics, "openmetrics", context)
case(tls.metrics, "prometheus", context)
-- a server that cannot begin
if pcall(require, "luv") then
    for _, options in ipairs {{private_key = encrypted, passphrase = secret}, {psk = secret}} do
        options.certificate = certificate
        case(tls.serve, {address = "127.0.0.1:0", context = options, handler = print,
            log = print, tickets = secret})
    end
end
a, b, client, context, ring, keys, derived, store, cache = nil
collectgarbage()
error(("%d cases"):format(seen))
]=]

local function pkcs12_of(p)
    local path = process.directory() .. "/secrets.p12"
    assert.equal(0, process.run {"openssl", "pkcs12", "-export", "-in", p.server_cert_file,
        "-inkey", p.server_key_file, "-passout", "pass:another", "-out", path, timeout = 60})
    return path
end

describe("messages", function()
    it("show no secret", function()
        local p = pki.get()
        local status, output = program.run(EVERYTHING, WORD, p.server_cert_file, p.server_key_file,
            p.encrypted_key_file or process.spill(process.directory() .. "/encrypted",
                p.encrypted_key), p.ca_file, pkcs12_of(p))
        assert.equal(1, status)
        local cases = tonumber(output:match "(%d+) cases")
        assert(cases and cases > 200, output)
        for line in output:gmatch "[^\n]+" do
            assert(not line:find(WORD, 1, true), "a secret is in this line: " .. line)
        end
    end)
end)

-- ------------------------------------------------------------------------------------- comparisons

-- Every function of the library that compares bytes in a time that depends on them, and why it may:
-- the time tells no secret. Secrets are compared by CRYPTO_memcmp.
local PUBLIC <const> = {
    ["base/error.c"] = {tlslife_alert_number = "the program's word",
        take = "the name of a function of OpenSSL's"},
    ["base/names.c"] = {find = "the program's word"},
    ["values/objects.c"] = {begins = "labels of PEM", is_pem = "labels of PEM",
        has = "labels of PEM", load_pem = "labels of PEM"},
    ["values/session_value.c"] = {same_id = "ids of sessions, which are sent in the clear"},
    ["values/source.c"] = {path_of = "the program's URI", tlsl_source_open = "the program's URI"},
    ["cache/external.c"] = {is_of_key = "hashes of ids, after the seal has opened"},
    ["cache/file.c"] = {read_plain = "a magic word, after the seal has opened"},
    ["cache/memory.c"] = {make_way = "ids of sessions, by which nobody resumes without their key"},
    ["cache/peers.c"] = {tlsl_peers_find = "hashes of peers' names"},
    ["cache/seal.c"] = {place_of = "ids of keys, which are sent in front of sealed bytes"},
    ["cache/store/program.c"] = {last_said = "hashes of ids", spares = "sealed bytes"},
    ["cache/store/slab_file.c"] = {name_of = "the program's name", same_boot = "the boot's id",
        fault_of = "a magic word"},
    ["cache/store/slab_shard.c"] = {entry_place = "hashes of ids",
        tlsl_shard_remove_if = "the first bytes of what is sealed"},
    ["cache/table.c"] = {is = "ids of sessions, by which nobody resumes without their key"},
    ["net/dial.c"] = {tlsl_dial_is = "the program's host"},
    ["net/address.c"] = {is_almost_local = "the program's address"},
    ["net/fd.c"] = {tlsl_fd_set_ssl = "names of BIO methods"},
    ["net/local.c"] = {tlsl_is_local = "the program's address"},
    ["net/proxy.c"] = {parse_line = "words of the PROXY protocol",
        begins = "words of the PROXY protocol", matches = "addresses",
        parse_source = "the program's word"},
    ["tls/handshake/callbacks.c"] = {note_server_name = "a server name",
        tlsl_callbacks_examine_message = "a random that RFC 8446 names"},
    ["tls/conn/conn_settings.c"] = {hash_host = "the program's host"},
    ["tls/handshake/hint.c"] = {protocol_of = "the first bytes of another protocol",
        say_what_came = "the first bytes of another protocol"},
    ["tls/conn/listener.c"] = {is_same = "addresses", open_wanted = "the program's port"},
    ["tls/session/lookup.c"] = {tlsl_search_judge = "hashes of policies",
        tlsl_on_get_session = "ids that the ClientHello has sent in the clear",
        is_own = "hashes of policies"},
    ["tls/context/psk.c"] = {tlsl_psk_find = "identities, which are sent in the clear",
        answered = "identities, which are sent in the clear"},
    ["tls/context/policy.c"] = {compare = "hashes of facts, to sort them"},
    ["tls/session/session.c"] = {tlsl_session_check = "hashes of host names",
        parse = "labels of PEM", adopt_client = "hashes of policies", adopt = "hashes of policies"},
    ["tls/settings/settings.c"] = {policy_add_place = "the program's word",
        tlslife_context_set_purpose = "the program's word"},
    ["tls/context/switch.c"] = {check_pattern = "the program's name", find = "a server name"},
    ["tls/conn/metrics.c"] = {is_first = "server names"},
    ["tls/handshake/ssl_result.c"] = {spoil_session = "the name of a state"},
    ["lua/base/larg.c"] = {compare_strings = "names of options, for messages"},
    ["lua/base/loptions.c"] = {tlb_check_fields = "names of options",
        known_option = "names of options", tlb_choice = "the program's word"},
    ["lua/conn/llistener.c"] = {read_options = "the program's word",
        open_one = "the program's word", proxy_versions = "the program's word"},
    ["lua/conn/ltransport.c"] = {tlv_type = "the program's word"},
    ["lua/context/lsettings.c"] = {other_version = "the program's word",
        ca_at = "the program's word", is_text = "labels of PEM"},
    ["metrics/exposition.c"] = {ends_in = "names of metrics"},
    ["program/command.c"] = {program_command_named = "the command line"},
    ["program/main.c"] = {parse_options = "the command line"},
    ["program/prompt.c"] = {is_incomplete = "Lua's own messages"},
    ["program/script.c"] = {script_file = "the command line"},
    ["program/state.c"] = {warn = "the script's word"},
    ["program/threads.c"] = {is_known = "the script's word"},
    ["tls/context/ticket_keys.c"] = {copy_key = "names of keys, which are sent in front of tickets",
        read_own = "names of keys", tlsl_ticket_key_known = "names of keys"},
}
-- Of a value that type() has told, the time says nothing.
local TYPES <const> = {["string"] = true, ["function"] = true, ["table"] = true, ["nil"] = true}
local COMPARES <const> = {"memcmp", "bcmp", "strcmp", "strncmp", "strcasecmp", "strncasecmp",
    "memmem"}

-- The functions of a C text, by name, that call one of COMPARES.
local function comparing(text)
    local found = {}
    text = text:gsub("/%*.-%*/", " "):gsub('"[^"\n]*"', '""')
    for name, body in text:gmatch "([%w_]+)%b()%s*(%b{})" do
        for _, compares in ipairs(COMPARES) do
            if (" " .. body):find("[^%w_]" .. compares .. "%(") then found[name] = true end
        end
    end
    found["if"], found["for"], found["while"], found["switch"] = nil, nil, nil, nil
    return found
end

describe("comparisons", function()
    it("of secrets take constant time, and the others are listed with a reason", function()
        local pipe <close> = assert(io.popen "find src -name '*.[ch]' | sort")
        local files = 0
        for path in pipe:lines() do
            local name, reasons = path:sub(5), PUBLIC[path:sub(5)] or {}
            files = files + 1
            local found = comparing(process.slurp(path))
            for func in pairs(found) do
                assert(reasons[func], ("%s: %s compares bytes: is one of them a secret?"):format(
                    name, func))
            end
            for func in pairs(reasons) do
                assert(found[func], name .. ": " .. func .. " compares nothing")
            end
        end
        assert.is_true(files > 150)
    end)

    -- Lua's == tells by its time where two long strings differ. That matters only where a peer
    -- chooses one side and the other is a secret, and no file compares a secret at all.
    it("in Lua are of no secret", function()
        local pipe <close> = assert(io.popen "find lua -name '*.lua' | sort")
        local files = 0
        for path in pipe:lines() do
            files = files + 1
            local code = process.slurp(path):gsub("%-%-[^\n]*", "")
            for left, right in code:gmatch "([%w_.()]+)%s*[=~]=%s*([%w_.\"]+)" do
                for _, word in ipairs {"secret", "passw", "passphrase", "psk", "pin_"} do
                    local secret = (left .. " " .. right):lower():find(word, 1, true)
                    local public = TYPES[right:match '^"(%a+)"?$'] or right == "nil"
                    assert(not secret or public,
                        ("%s: %s is compared with %s"):format(path, left, right))
                end
            end
        end
        assert.is_true(files > 40)
    end)
end)

-- ---------------------------------------------------------------------------------- the whole list

-- Options that take a secret: what a life of spec/c/secrets gives, which is there in these words.
local IN_LIVES <const> = {
    ["ContextOptions.certificate"] = "certificate = given 'PKCS#12'",
    ["ContextOptions.private_key"] = "private_key = given 'PEM key'",
    ["ContextOptions.passphrase"] = "passphrase = given 'passphrase'",
    ["ContextOptions.psk"] = "psk = {identity = 'someone', key = given(",
    ["ContextOptions.on_psk"] = "on_psk = server",
    ["ContextOptions.keylog"] = "keylog = true",
    ["ContextOptions.trace"] = "trace = trace",
    ["CertificateAndKey.certificate"] = "{{ certificate = given 'PEM certificate'",
    ["CertificateAndKey.private_key"] = "private_key = given 'DER encrypted key'",
    ["CertificateAndKey.passphrase"] = "passphrase = given 'passphrase'}}",
    ["Psk.key"] = "key = given('PSK'",
    ["RedisOptions.password"] = "password = given('password'",
    ["keyring.secrets"] = "tls.keyring {given('secret'",
    ["Keyring:rotate.secret"] = "ring:rotate(given(",
    ["ticket_keys.secret"] = "tls.ticket_keys {secret = given(",
    ["ticket_keys.keys"] = "tls.ticket_keys {keys = {given(",
    ["TicketKeys:replace.keys"] = "keys:replace {given(",
    ["trace.secrets"] = "tls.trace {secrets = true}",
    ["newcontext.key"] = "key = key,",
    ["newcontext.password"] = "password = password}",
    ["newcontext.certificate"] = "certificate = certificate",
    ["newcontext.psk"] = "psk = {hint = 'hint', callback = function()",
}

-- Options that take a secret and have no life, with the reason.
local WITHOUT_LIFE <const> = {
    ["newcontext.certificates"] = "each goes the way of key, password and certificate",
    ["newcontext.private_key"] = "the drop-in's own name of key",
    ["newcontext.passphrase"] = "the drop-in's own name of password",
    ["ContextOptions.ticket_keys"] = "an object, whose keys have lives",
    ["ContextOptions.cache"] = "an object, whose sessions have lives",
    ["CacheOptions.keyring"] = "an object, whose keys have lives",
    ["ThreadOptions.ticket_keys"] = "an object, whose keys have lives",
    ["ThreadOptions.cache"] = "an object, whose sessions have lives",
    ["ServeOptions.context"] = "the options of a context",
    ["MetricsOptions.context"] = "the options of a context",
}

-- All others, which take none.
local NO_SECRET <const> = [[
ContextOptions: role ca crl crl_check partial_chain max_cert_list client_ca verify verify_depth
    verify_host purpose dane min_version max_version ciphers ciphersuites groups
    signature_algorithms dh_auto dh_params max_send_fragment alpn server_names psk_identity_hint
    resumption num_tickets session_timeout session_id_context ocsp_response ocsp_request
    ocsp_verify options modes quiet_shutdown max_early_data post_handshake_auth timeout on_hello
    on_certificate on_verify verify_all
Psk: identity
ListenOptions: backlog reuse_port mode proxy_protocol proxy_from
ServeOptions: address before early_data handler on_request workers threads reuse_port backlog mode
    proxy_protocol proxy_from max_connections handshake_timeout timeout stop_timeout metrics
    on_start log
MetricsOptions: address
CacheOptions: capacity capacity_bytes timeout sessions_per_peer store in_memory
RedisOptions: host port path tls username database prefix timeout connect_timeout pending
ThreadOptions: index control listeners
shared: path size wipe
ticket_keys: epoch older
trace: bytes
newcontext: protocol mode cafile capath ciphers ciphersuites verify options depth dhparam
    curveslist curve verifyext alpn dane
]]

-- The options that lua/tlslife/types.lua declares: the fields of classes of options, the tables
-- that stand at a function, and those lists and texts that are secrets by their name.
local function declared()
    local names, class, params = {}, nil, {}
    for line in process.slurp "lua/tlslife/types.lua":gmatch "[^\n]+" do
        local func = line:match "^function ([%w_.:]+)"
        class = line:match "^%-%-%-@class tlslife%.(%w+)" or (line:match "^%-%-%-" and class) or nil
        local field = class and line:match "^%-%-%-@field ([%w_]+)"
        if field and (class:match "Options$" or class == "Psk" or class == "CertificateAndKey") then
            names[#names + 1] = class .. "." .. field
        end
        local param, kind = line:match "^%-%-%-@param ([%w_]+) (.*)"
        if param then
            for name in (kind:match "^%b{}" or ""):gmatch "([%w_]+)%??:" do
                params[#params + 1] = name
            end
            if param:match "^secrets?$" or param:match "^keys$" or param:match "passw" then
                params[#params + 1] = param
            end
        end
        if func then
            for _, name in ipairs(params) do
                names[#names + 1] = func:gsub("^tlslife%.", "") .. "." .. name
            end
            params = {}
        end
    end
    return names
end

-- The parameters of ssl.newcontext, from the file that takes them.
local function of_newcontext(names)
    local text = process.slurp "lua/tlslife/luasec/newcontext.lua"
    for _, pattern in ipairs {"[^_%w]parameters%.([%w_]+)", "pair%.([%w_]+)",
        "config_table%.([%w_]+)", '{"([%w_]+)",%s*function'} do
        for name in text:gmatch(pattern) do names[#names + 1] = "newcontext." .. name end
    end
    return names
end

describe("options", function()
    local public = {}
    for line in NO_SECRET:gsub("\n%s+", " "):gmatch "[^\n]+" do
        local class, words = line:match "^([%w_]+): (.*)"
        for word in words:gmatch "%S+" do public[class .. "." .. word] = true end
    end
    local names = of_newcontext(declared())
    local known = {}
    for _, name in ipairs(names) do known[name] = true end

    it("that take a secret have a life, or a reason to have none", function()
        assert.is_true(#names > 100)
        for _, name in ipairs(names) do
            assert(public[name] or IN_LIVES[name] or WITHOUT_LIFE[name], name .. ": does it " ..
                "take a secret? It needs a life in spec/c/secrets, or a line in secrets_spec.lua")
        end
    end)

    it("are those that there are", function()
        for _, list in ipairs {public, IN_LIVES, WITHOUT_LIFE} do
            for name in pairs(list) do assert(known[name], name .. ": there is no such option") end
        end
    end)

    it("are given in the lives that are named", function()
        local pipe <close> = assert(io.popen "cat spec/c/secrets/*.c")
        local lives = pipe:read "a":gsub('\\n"%s*"', " "):gsub('"%s*"', ""):gsub("%s+", " ")
        for name, words in pairs(IN_LIVES) do
            assert(lives:find(words, 1, true), name .. ": no life has " .. words)
        end
    end)
end)
