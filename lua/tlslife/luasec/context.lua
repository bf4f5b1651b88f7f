-- context.lua: the module ssl.context of the drop-in, and its newcontext.
--
-- A context of LuaSec's is filled by one call after the other, and changed at any time. One of ours
-- is made of a table of options and final with its first connection. So the drop-in's context
-- collects the options, and makes contexts of ours of them when a connection needs one. A call that
-- changes it makes it forget the ones that were made.
--
-- A server whose clients are asked something that a fixed context cannot say (names for sni, a
-- function for ALPN or PSK) gets a second context, which asks on_hello.

local core = require "tlslife.core"
local config = require "tlslife.luasec.config"

local states = setmetatable({}, {__mode = "k"}) -- context -> its state
local make, metatable = core.class "SSL:Context"

local PROTOCOLS <const> = {
    any = {}, sslv23 = {},
    tlsv1 = {"TLSv1", "TLSv1"}, tlsv1_1 = {"TLSv1.1", "TLSv1.1"},
    tlsv1_2 = {"TLSv1.2", "TLSv1.2"}, tlsv1_3 = {"TLSv1.3", "TLSv1.3"},
}
local VERIFY <const> = {none = true, peer = true, client_once = true, fail_if_no_peer_cert = true}
-- What OpenSSL says of a key that was loaded and is that of another certificate.
local ANOTHER_KEY <const> = {["key values mismatch"] = true, ["key type mismatch"] = true,
    ["different key types"] = true}
local SESSIONS <const> = 1000 -- a client's context keeps at most
local VARIANTS <const> = 64   -- contexts of ours that one of LuaSec's has at most

local context = {}      -- the module ssl.context
local connections = {} -- what the other files of the drop-in call

-- Any certificate, beside which a private key is loaded to see whether that works.
local ANY_CERTIFICATE <const> = [[
-----BEGIN CERTIFICATE-----
MIIBejCCASGgAwIBAgIUQWOcsJpJwTX/v9t/pb175OWpt10wCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHdGxzbGlmZTAgFw0yNjExMjkwMDM1NTdaGA8yMTI2MTEwNTAw
MzU1N1owEjEQMA4GA1UEAwwHdGxzbGlmZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABGUnn+EDXzqt2IWioc+OTy0ZmI6AAsPhwlNyS9bgs66DpPC/1HeWMqISlKLe
p5mvLYoeV0KdSbCJQfB/wInNBECjUzBRMB0GA1UdDgQWBBQNBF4KBRNVQksUQ963
C05Ph+SGpzAfBgNVHSMEGDAWgBQNBF4KBRNVQksUQ963C05Ph+SGpzAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGyW1J3F8hWIoPiKu2PdHCzbpDFd
nv+jTji+ER5DRFE9AiBPddBhgTZpPTyyx/fdL3sMCs4E2fsNuxWIK8leGYpwug==
-----END CERTIFICATE-----
]]

-- --------------------------------------------------------------------------------------- checking

local function typeerror(value, arg, name, expected)
    error(("bad argument #%d to '%s' (%s expected, got %s)"):format(arg, name, expected,
        type(value)), 4)
end

local function check(ctx, name)
    return states[ctx] or typeerror(ctx, 1, name, "SSL:Context")
end

local function check_string(value, arg, name)
    if type(value) == "number" then return tostring(value) end
    return type(value) == "string" and value or typeerror(value, arg, name, "string")
end

-- The sentence of a failure as LuaSec has it: OpenSSL's reason, and ours where there is none.
local function why(message, err)
    local reason = err and err.code ~= "usage" and err.reason
    return reason or message
end

-- Makes a context of ours, or returns nil and why. What contradicts itself raises there, and is
-- an error value here.
local function attempt(options)
    local ok, made, message, err = pcall(core.context, options)
    if not ok then return nil, tostring(made) end
    if not made then return nil, why(message, err), err end
    return made
end

-- Whether a setting can be used: tried on a context that is dropped. newcontext does without, and
-- tries them one by one only when the whole cannot be used.
local function try(s, prefix, options)
    if s.untried then return true end
    options.role = s.mode or "client"
    local made, message = attempt(options)
    if not made then return false, ("%s (%s)"):format(prefix, message) end
    made:free()
    return true
end

-- ---------------------------------------------------------------------------------------- setters

-- Forgets the contexts that were made.
local function changed(s)
    s.made, s.count = {}, 0
end

function context.create(protocol)
    protocol = check_string(protocol, 1, "create")
    local versions = PROTOCOLS[protocol]
    if not versions then return nil, ("invalid protocol (%s)"):format(protocol) end
    local ctx = make()
    local s = {options = {min_version = versions[1], max_version = versions[2]}, verify = {},
        pairs = {}, ca = {}}
    changed(s)
    states[ctx] = s
    return ctx
end

function context.setmode(ctx, mode)
    local s = check(ctx, "setmode")
    mode = check_string(mode, 2, "setmode")
    if mode ~= "client" and mode ~= "server" then
        return false, ("invalid mode (%s)"):format(mode)
    end
    s.mode = mode
    changed(s)
    return true
end

local function contents(path)
    local file, message, code = io.open(path, "rb")
    if not file then return nil, message:gsub("^.*: ", ""), code end
    local text = file:read "a"
    file:close()
    return text
end

-- The password is asked for only where the key is encrypted.
local function passphrase(path, password)
    local text, message = contents(path)
    if not text then return nil, message end
    if type(password) == "function" and text:find("ENCRYPTED", 1, true) then
        password = password()
    end
    return type(password) == "string" and password or nil
end

-- Loads a key alone: OpenSSL's word for "the key of another certificate" means that it was loaded.
local function check_key_file(path, password)
    local made, message, err = attempt {role = "client", certificate = ANY_CERTIFICATE,
        private_key = path, passphrase = password}
    if made then
        made:free()
        return true
    end
    if err and ANOTHER_KEY[err.reason] then return true end
    return nil, message
end

function context.loadkey(ctx, path, password)
    local s = check(ctx, "loadkey")
    path = check_string(path, 2, "loadkey")
    local kind = type(password)
    if kind ~= "nil" and kind ~= "string" and kind ~= "function" then
        error("invalid callback value", 2)
    end
    local phrase, message = passphrase(path, password)
    local ok = not message
    if ok and not s.untried then ok, message = check_key_file(path, phrase) end
    if not ok then return false, ("error loading private key (%s)"):format(message) end
    local last = s.pairs[#s.pairs]
    if not last or last.private_key then
        last = {}
        s.pairs[#s.pairs + 1] = last
    end
    last.private_key, last.passphrase = path, phrase
    changed(s)
    return true
end

function context.loadcert(ctx, path)
    local s = check(ctx, "loadcert")
    path = check_string(path, 2, "loadcert")
    local ok, message = try(s, "error loading certificate", {ca = path, verify = "none"})
    if not ok then return false, message end
    local last = s.pairs[#s.pairs]
    if not last or last.certificate then
        last = {}
        s.pairs[#s.pairs + 1] = last
    end
    last.certificate = path
    changed(s)
    return true
end

function context.checkkey(ctx)
    local s = check(ctx, "checkkey")
    local last = s.pairs[#s.pairs]
    if not last or not last.private_key or not last.certificate then return false end
    return (try(s, "", {certificate = {last}}))
end

function context.locations(ctx, file, directory)
    local s = check(ctx, "locations")
    for i, place in pairs {file, directory} do
        place = check_string(place, i + 1, "locations")
        local ok, message = try(s, "error loading CA locations", {ca = place, verify = "none"})
        if not ok then return false, message end
        s.ca[#s.ca + 1] = place
    end
    changed(s)
    return file ~= nil or directory ~= nil or false
end

local function setter(name, option, prefix)
    context[name] = function(ctx, value)
        local s = check(ctx, name)
        value = check_string(value, 2, name)
        local ok, message = try(s, prefix, {[option] = value})
        if not ok then return false, message end
        s.options[option] = value
        changed(s)
        return true
    end
end

setter("setcipher", "ciphers", "error setting cipher list")
setter("setciphersuites", "ciphersuites", "error setting cipher list")

function context.setcurveslist(ctx, list)
    local s = check(ctx, "setcurveslist")
    list = check_string(list, 2, "setcurveslist")
    if not try(s, "", {groups = list}) then
        return false, ('unknown elliptic curve in "%s"'):format(list)
    end
    s.options.groups = list
    changed(s)
    return true
end

function context.setcurve(ctx, name)
    local s = check(ctx, "setcurve")
    name = check_string(name, 2, "setcurve")
    if not try(s, "", {groups = name}) then
        return false, ("elliptic curve '%s' not supported"):format(name)
    end
    s.options.groups = name
    changed(s)
    return true
end

function context.setdepth(ctx, depth)
    local s = check(ctx, "setdepth")
    depth = math.tointeger(depth) or typeerror(depth, 2, "setdepth", "integer")
    s.options.verify_depth = math.max(0, math.min(depth, 100))
    changed(s)
    return true
end

function context.setverify(ctx, ...)
    local s = check(ctx, "setverify")
    local flags = {}
    for i, flag in ipairs {...} do
        flag = check_string(flag, i + 1, "setverify")
        if not VERIFY[flag] then return false, ("invalid verify option (%s)"):format(flag) end
        flags[flag] = true
    end
    if next(flags) then s.verify = flags end
    changed(s)
    return true
end

function context.setoptions(ctx, ...)
    local s = check(ctx, "setoptions")
    local options = s.options.options or {}
    for i, option in ipairs {...} do
        option = check_string(option, i + 1, "setoptions")
        if not config.options[option] then return false, ("invalid option (%s)"):format(option) end
        options[option:upper()] = true
    end
    s.options.options = next(options) and options or nil
    changed(s)
    return true
end

function context.setdhparam(ctx, callback)
    local s = check(ctx, "setdhparam")
    s.dhparam = callback
    changed(s)
end

-- The names of a list in the form that is sent (RFC 7301 section 3.1).
local function from_wire(wire)
    local names, at = {}, 1
    while at <= #wire do
        local name = wire:sub(at + 1, at + wire:byte(at))
        names[#names + 1] = name
        at = at + #name + 1
    end
    return names
end

function context.setalpn(ctx, wire)
    local s = check(ctx, "setalpn")
    s.options.alpn = from_wire(check_string(wire, 2, "setalpn"))
    changed(s)
    return true
end

function context.setalpncb(ctx, callback)
    local s = check(ctx, "setalpncb")
    s.choose_alpn = callback and function(offered)
        local wire = {}
        for i, name in ipairs(offered) do wire[i] = string.pack("s1", name) end
        local answer = callback(table.concat(wire))
        return type(answer) == "string" and from_wire(answer) or nil
    end
    changed(s)
    return true
end

function context.setdane(ctx, ...)
    local s = check(ctx, "setdane")
    local flags = {}
    for i, flag in ipairs {...} do
        flag = check_string(flag, i + 1, "setdane")
        if flag ~= "no_ee_namechecks" then return false end
        flags[#flags + 1] = flag
    end
    s.dane = flags
    changed(s)
    return true
end

function context.setpskcb(ctx, callback)
    local s = check(ctx, "setpskcb")
    s.psk = callback
    changed(s)
    return true
end

context.setclientpskcb, context.setserverpskcb = context.setpskcb, context.setpskcb

function context.setpskhint(ctx, hint)
    check(ctx, "setpskhint")
    check_string(hint, 2, "setpskhint")
    return true
end

local function setverifyext(ctx, ...)
    local s = check(ctx, "setverifyext")
    local flags = {}
    for i, flag in ipairs {...} do
        flag = check_string(flag, i + 1, "setverifyext")
        if flag ~= "lsec_continue" and flag ~= "lsec_ignore_purpose" and flag ~= "crl_check" and
            flag ~= "crl_check_chain" then
            return false, ("invalid verify option (%s)"):format(flag)
        end
        flags[flag] = true
    end
    s.verifyext = flags
    changed(s)
    return true
end

metatable.__index = {setverifyext = setverifyext}
metatable.__tostring = function(ctx) return ("SSL context: %p"):format(ctx) end
metatable.__close = function() end

-- ------------------------------------------------------------------------------- contexts of ours

-- A client that lets every server in still looks at it, for the errors that it tells of.
local function verify_of(s)
    if s.mode == "client" then
        local looks = s.verify.peer or (s.verifyext and s.verifyext.lsec_continue)
        return looks and "required" or "none"
    end
    if not s.verify.peer then return "none" end
    return s.verify.fail_if_no_peer_cert and "required" or "optional"
end

local function accept() return true end

-- Pairs that libssl could use: a certificate without its key, or a key alone, serves nobody.
local function whole_pairs(s)
    local whole = {}
    for _, pair in ipairs(s.pairs) do
        if pair.certificate and pair.private_key then whole[#whole + 1] = pair end
    end
    return whole[1] and whole
end

local function crl_check(flags)
    if not flags.crl_check then return nil end
    return flags.crl_check_chain and "chain" or "leaf"
end

-- The parameters that a dhparam function gives, or, where they are too weak for the security level,
-- OpenSSL's choice. It is asked for 1024 bits, as LuaSec's OpenSSL asks, whatever the cipher.
local function set_dh(s, options)
    local pem = s.dhparam and s.mode == "server" and s.dhparam(false, 1024)
    if type(pem) ~= "string" then return end
    if try(s, "", {dh_params = pem}) then
        options.dh_params = pem
    else
        options.dh_auto = true
    end
end

local function set_client(s, options)
    if options.verify ~= "none" then options.verify_host = false end
    options.cache = s.cache
    if s.dane then options.dane = s.dane[1] or true end
end

local function options_of(s)
    local options = {}
    for name, value in pairs(s.options) do options[name] = value end
    local flags = s.verifyext or {}
    options.role, options.verify = s.mode, verify_of(s)
    options.ca = s.ca[1] and s.ca or nil
    options.certificate = whole_pairs(s)
    options.crl_check = crl_check(flags)
    if s.mode == "client" then set_client(s, options) else set_dh(s, options) end
    if flags.lsec_continue and options.verify ~= "none" then
        options.on_verify, options.verify_all = accept, true
    end
    if flags.lsec_ignore_purpose then options.purpose = "server" end
    return options
end

-- The context of ours for this key, made once. change(options) is made before.
local function variant(s, key, change)
    local made = s.made[key]
    if made then return made end
    if s.mode == "client" and not s.cache and not s.dane then
        s.cache = core.cache {capacity = SESSIONS}
    elseif s.mode == "server" and not s.ticket_keys and
        not (s.options.options and s.options.options.NO_TICKET) then
        s.ticket_keys = core.ticket_keys {}
    end
    local options = options_of(s)
    options.ticket_keys = s.ticket_keys
    if change then change(options) end
    local message
    made, message = attempt(options)
    if not made then return nil, message end
    if s.count >= VARIANTS then changed(s) end
    s.made[key], s.count = made, s.count + 1
    return made
end

-- ---------------------------------------------------------------------- what a ClientHello decides

local function common(ours, theirs)
    for _, name in ipairs(ours) do
        for _, offered in ipairs(theirs) do
            if name == offered then return true end
        end
    end
    return false
end

-- Whether the context must see the ClientHello.
local function asks(s)
    return s.mode == "server" and (s.options.alpn or s.choose_alpn or s.psk) and true or false
end

local function psk_of(s, hello)
    for _, identity in ipairs(s.psk and hello.psk_identities or {}) do
        local key = s.psk(identity, 512)
        if type(key) == "string" and key ~= "" then return {identity = identity, key = key} end
    end
end

-- The context of ours for this ClientHello. Where no ALPN protocol is common, the handshake goes on
-- without.
local function for_hello(s, hello)
    local alpn, psk = s.options.alpn, psk_of(s, hello)
    if s.choose_alpn and hello.alpn[1] then alpn = s.choose_alpn(hello.alpn) end
    if alpn and not common(alpn, hello.alpn) then alpn = nil end
    local key = ("%q %q"):format(table.concat(alpn or {}, "\0"), psk and psk.identity .. "\0" ..
        psk.key or "")
    return variant(s, key, function(options) options.alpn, options.psk = alpn, psk end)
end

local hosts_of = setmetatable({}, {__mode = "k"}) -- a server's connection -> {map, strict}

local function on_hello_of(s)
    return function(conn, hello)
        local hosts, chosen = hosts_of[conn], s
        if hosts and hello.server_name then
            chosen = states[hosts.map[hello.server_name]]
            if not chosen then
                if hosts.strict then return false, "unrecognized_name" end
                chosen = s
            end
        end
        local made, message = for_hello(chosen, hello)
        if not made then error(message, 0) end
        return made
    end
end

-- --------------------------------------------------------------------------------- for connections

-- The first PSK of a client, which its function names.
local function client_psk(s)
    local identity, key = s.psk(nil, 255, 512)
    if type(identity) ~= "string" or type(key) ~= "string" then return nil end
    return {identity = identity, key = key}
end

-- A connection of ours, without transport. hosts is what sni was given on a server.
function connections.new(ctx, hosts)
    local s = states[ctx]
    local made, message
    if s.mode == "server" and (hosts or asks(s)) then
        made, message = variant(s, "asking", function(options)
            options.alpn, options.on_hello = nil, on_hello_of(s)
        end)
    elseif s.mode == "client" and s.psk then
        local psk = client_psk(s)
        made, message = variant(s, psk and psk.identity .. "\0" .. psk.key or "plain",
            function(options) options.psk = psk end)
    else
        made, message = variant(s, "plain")
    end
    if not made then return nil, message end
    local ok, conn, why_not, err = pcall(made.connection, made)
    if not ok then conn, why_not = nil, tostring(conn) end
    if not conn then return nil, ("error creating SSL object (%s)"):format(why(why_not, err)) end
    if hosts then hosts_of[conn] = hosts end
    return conn
end

-- How many certificates the file has whose first one is this; nil where that is not known.
function connections.chain_len(ctx, pem)
    for _, pair in ipairs(states[ctx].pairs) do
        local text = pair.certificate and contents(pair.certificate)
        if text and text:find(pem, 1, true) then
            return select(2, text:gsub("%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-", ""))
        end
    end
end

function connections.is(value) return states[value] ~= nil end

function connections.mode(ctx) return states[ctx].mode end

-- ------------------------------------------------------------------------------------- newcontext

local function list(value)
    return type(value) == "table" and value or {value}
end

local function load_pairs(ctx, config_table)
    for _, pair in ipairs(config_table.certificates or {config_table}) do
        local password = type(pair.password)
        if pair.key then
            if password ~= "nil" and password ~= "string" and password ~= "function" then
                return nil, "invalid password type"
            end
            local ok, message = context.loadkey(ctx, pair.key, pair.password)
            if not ok then return nil, message end
        end
        if pair.certificate then
            local ok, message = context.loadcert(ctx, pair.certificate)
            if not ok then return nil, message end
            if pair.key and not states[ctx].untried and not context.checkkey(ctx) then
                return nil, "private key does not match public key"
            end
        end
    end
    return true
end

-- A list of ALPN names, or nil and what is wrong with it.
local function alpn_names(value)
    local names = {}
    for i, name in ipairs(value) do
        if type(name) ~= "string" then return nil, "invalid ALPN parameter" end
        if name == "" then return nil, "invalid ALPN name (empty string)" end
        if #name > 255 then return nil, "invalid ALPN name (length > 255)" end
        names[i] = name
    end
    if not names[1] then return nil, "invalid ALPN list (empty)" end
    return names
end

local function set_alpn(s, value)
    if s.mode == "server" and type(value) == "function" then
        s.choose_alpn = function(offered)
            local answer = value(offered)
            if type(answer) == "string" then answer = {answer} end
            return type(answer) == "table" and (alpn_names(answer)) or nil
        end
        return true
    end
    if type(value) == "string" and s.mode == "client" then value = {value} end
    if type(value) ~= "table" then return nil, "invalid ALPN parameter" end
    local names, message = alpn_names(value)
    s.options.alpn = names
    return names and true, message
end

local function set_psk(s, value)
    if type(value) == "table" then
        value = type(value.hint) == "string" and value.callback
    end
    if type(value) ~= "function" then return nil, "invalid PSK configuration" end
    s.psk = value
    return true
end

local function set_dhparam(s, value)
    if type(value) ~= "function" then return nil, "invalid DH parameter type" end
    s.dhparam = value
    return true
end

-- The parameters in the order in which they are set: name, function of (ctx, state, value).
local PARAMETERS <const> = {
    {"ciphers", function(ctx, _, value) return context.setcipher(ctx, value) end},
    {"ciphersuites", function(ctx, _, value) return context.setciphersuites(ctx, value) end},
    {"verify",
        function(ctx, _, value) return context.setverify(ctx, table.unpack(list(value))) end},
    {"options",
        function(ctx, _, value) return context.setoptions(ctx, table.unpack(list(value))) end},
    {"depth", function(ctx, _, value) return context.setdepth(ctx, value) end},
    {"dhparam", function(_, s, value) return set_dhparam(s, value) end},
    {"verifyext",
        function(ctx, _, value) return setverifyext(ctx, table.unpack(list(value))) end},
    {"alpn", function(_, s, value) return set_alpn(s, value) end},
    {"psk", function(_, s, value) return set_psk(s, value) end},
    {"dane", function(ctx, _, value)
        return context.setdane(ctx, table.unpack(type(value) == "table" and value or {}))
    end},
}

local function set_parameters(ctx, s, parameters)
    for _, parameter in ipairs(PARAMETERS) do
        local value = parameters[parameter[1]]
        if value then
            local ok, message = parameter[2](ctx, s, value)
            if not ok then return nil, message end
        end
    end
    if parameters.curveslist then return context.setcurveslist(ctx, parameters.curveslist) end
    if parameters.curve then return context.setcurve(ctx, parameters.curve) end
    return true
end

local function fill(parameters, untried)
    local ctx, message = context.create(parameters.protocol)
    if not ctx then return nil, message end
    local s = states[ctx]
    s.untried = untried
    local ok
    ok, message = context.setmode(ctx, parameters.mode)
    if ok then ok, message = load_pairs(ctx, parameters) end
    if ok and (parameters.cafile or parameters.capath) then
        ok, message = context.locations(ctx, parameters.cafile, parameters.capath)
    end
    if ok then ok, message = set_parameters(ctx, s, parameters) end
    s.untried = nil
    return ok and ctx or nil, message
end

-- A key or a certificate alone serves nobody, so that the whole does not tell whether it is good.
local function check_halves(s)
    for _, pair in ipairs(s.pairs) do
        local ok, message = true, nil
        if not pair.certificate then
            ok, message = check_key_file(pair.private_key, pair.passphrase)
        elseif not pair.private_key then
            ok, message = attempt {role = "client", ca = pair.certificate, verify = "none"}
        end
        if not ok then
            return nil, ("error loading %s (%s)"):format(
                pair.certificate and "certificate" or "private key", message)
        end
    end
    return true
end

function connections.newcontext(parameters)
    local ctx, message = fill(parameters, true)
    if not ctx then return nil, message end
    if variant(states[ctx], "plain") then
        local ok
        ok, message = check_halves(states[ctx])
        return ok and ctx or nil, message
    end
    -- Once more, step by step, for the sentence that LuaSec has.
    ctx, message = fill(parameters, false)
    if not ctx then return nil, message end
    local made
    made, message = variant(states[ctx], "plain")
    if not made then return nil, message end
    return ctx
end

connections.module = context

return connections
