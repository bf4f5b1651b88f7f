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
local WORD, certificate, key_file, encrypted, ca = table.unpack(arg)
warn "@on"

local function slurp(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local seen = 0
local function show(value, depth)
    if type(value) == "table" and depth < 4 then
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

describe("messages", function()
    it("show no secret", function()
        local p = pki.get()
        local status, output = program.run(EVERYTHING, WORD, p.server_cert_file, p.server_key_file,
            p.encrypted_key_file or process.spill(process.directory() .. "/encrypted",
                p.encrypted_key), p.ca_file)
        assert.equal(1, status)
        local cases = tonumber(output:match "(%d+) cases")
        assert(cases and cases > 60, output)
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
    ["tls/context/ticket_keys.c"] = {copy_key = "names of keys, which are sent in front of tickets",
        read_own = "names of keys", tlsl_ticket_key_known = "names of keys"},
}
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
        local pipe <close> = assert(io.popen
            "find src/base src/values src/net src/cache src/tls src/redis -name '*.[ch]' | sort")
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
        assert.is_true(files > 80)
    end)
end)
