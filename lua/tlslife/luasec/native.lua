-- native.lua: the contexts of ours that the connections of one of LuaSec's contexts are made of.
--
-- Most need one. A server whose clients are asked something that a fixed context cannot say (names
-- for sni, a function for ALPN or PSK) gets a second one, which asks on_hello, and one for each
-- answer.

local core = require "tlslife.core"
local contexts = require "tlslife.luasec.context"
local trial = require "tlslife.luasec.trial"

local states = contexts.states
local SESSIONS <const> = 1000 -- a client's context keeps at most
local VARIANTS <const> = 64   -- contexts of ours that one of LuaSec's has at most

local PSK_MAX <const> = 512   -- libssl's limit for the key of a PSK, which functions are told
local KEY_MAX <const> = 256   -- ours
local IDENTITY_MAX <const> = 255

local native = {}

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
    local made = trial.attempt {role = "server", dh_params = pem}
    if made then
        made:free()
        options.dh_params = pem
    else
        options.dh_auto = true
    end
end

-- A text that a function for PSKs has returned; LuaSec takes numbers, too.
local function text(value, least, max)
    if type(value) == "number" then value = tostring(value) end
    return type(value) == "string" and #value >= least and #value <= max and value or nil
end

-- The key of an identity, by the program's function.
local function psk_key(s, identity)
    return text(s.psk(identity, PSK_MAX), 1, KEY_MAX)
end

-- The PSK of a client, by the program's function.
local function client_psk(s, hint)
    local identity, key = s.psk(hint, IDENTITY_MAX, PSK_MAX)
    identity, key = text(identity, 0, IDENTITY_MAX), text(key, 1, KEY_MAX)
    if not identity or not key then return nil end
    return identity:match "^[^\0]*", key
end

local function set_server(s, options)
    set_dh(s, options)
    if s.psk then options.on_psk = function(_, asked) return psk_key(s, asked.identity) end end
end

local function set_client(s, options)
    if options.verify ~= "none" then options.verify_host = false end
    options.cache = s.cache
    if s.psk then options.on_psk = function(_, asked) return client_psk(s, asked.hint) end end
    if s.dane then options.dane = s.dane[1] or true end
end

-- What a connection has from the context that it was made with, also where a server name has chosen
-- another one: SSL_set_SSL_CTX leaves these as they are.
local OF_FIRST <const> = {"min_version", "max_version", "options", "ciphersuites", "groups",
    "verify_depth"}

-- Whether errors of verification are told of, and the handshake goes on.
local function continues(s)
    return s.verifyext and s.verifyext.lsec_continue or false
end

-- The options for connections that were made with `first` and are served by s.
local function options_of(s, first)
    local options = {}
    for name, value in pairs(s.options) do options[name] = value end
    for _, name in ipairs(OF_FIRST) do options[name] = first.options[name] end
    local flags = s.verifyext or {}
    options.role, options.verify = s.mode, verify_of(first)
    options.ca = s.ca[1] and s.ca or nil
    options.certificate = whole_pairs(s)
    options.crl_check = crl_check(flags)
    if s.mode == "client" then set_client(s, options) else set_server(s, options) end
    if continues(s) and continues(first) and options.verify ~= "none" then
        options.on_verify, options.verify_all = accept, true
    end
    if flags.lsec_ignore_purpose then options.purpose = "server" end
    return options
end

-- The context of ours for this key, made once. change(options) is made before. first is s, unless a
-- server name has led from there to s.
local function variant(s, key, change, first)
    local made = s.made[key]
    if made then return made end
    -- A server of LuaSec's that asks for certificates ends the handshake of a client that resumes:
    -- it gives tickets, and has no session id context.
    -- A client with a function for PSKs expects that each handshake asks it.
    if s.mode == "client" and not s.cache and not s.dane and not s.psk and not whole_pairs(s) then
        s.cache = core.cache {capacity = SESSIONS}
    elseif s.mode == "server" and not s.ticket_keys and
        not (s.options.options and s.options.options.NO_TICKET) then
        s.ticket_keys = core.ticket_keys {}
    end
    local options = options_of(s, first or s)
    options.ticket_keys = s.ticket_keys
    if change then change(options) end
    local message
    made, message = trial.attempt(options)
    if not made then return nil, message end
    if s.count >= VARIANTS then contexts.changed(s) end
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
        local key = psk_key(s, identity)
        if key then return {identity = identity, key = key} end
    end
end

-- The context of ours for this ClientHello, which came to a connection of `first`. Where no ALPN
-- protocol is common, the handshake goes on without.
local function for_hello(s, first, hello)
    local alpn, psk = s.options.alpn, psk_of(s, hello)
    if s.choose_alpn and hello.alpn[1] then alpn = s.choose_alpn(hello.alpn) end
    if alpn and not common(alpn, hello.alpn) then alpn = nil end
    local key = ("%d %q %q"):format(first == s and 0 or first.serial,
        table.concat(alpn or {}, "\0"), psk and psk.identity .. "\0" .. psk.key or "")
    return variant(s, key, function(options) options.alpn, options.psk = alpn, psk end, first)
end

local hosts_of = setmetatable({}, {__mode = "k"}) -- a server's connection -> {map, strict}

local function on_hello_of(s)
    return function(conn, hello)
        local hosts, chosen = hosts_of[conn], s
        if hosts and hello.server_name then
            local name = hello.server_name
            chosen = states[hosts.map[name] or hosts.any_case[name:lower()]]
            if not chosen then
                if hosts.strict then return false, "unrecognized_name" end
                chosen = s
            end
        end
        local made, message = for_hello(chosen, s, hello)
        if not made then error(message, 0) end
        return made
    end
end

-- --------------------------------------------------------------------------------- for connections

-- A connection of ours, without transport. hosts is what sni was given on a server.
function native.new(ctx, hosts)
    local s = states[ctx]
    local made, message
    if s.mode == "server" and (hosts or asks(s)) then
        made, message = variant(s, "asking", function(options)
            options.alpn, options.on_hello = nil, on_hello_of(s)
        end)
    else
        made, message = variant(s, "plain")
    end
    if not made then return nil, message end
    local ok, conn, why_not, err = pcall(made.connection, made)
    if not ok then conn, why_not = nil, tostring(conn) end
    if not conn then
        return nil, ("error creating SSL object (%s)"):format(trial.why(why_not, err))
    end
    if hosts then hosts_of[conn] = hosts end
    return conn
end

-- Whether connections can be made of what it was told; nil and why where not.
function native.check(ctx)
    local made, message = variant(states[ctx], "plain")
    return made and true or nil, message
end

return native
