-- newcontext.lua: the function ssl.newcontext of the drop-in, which takes a table of parameters.
--
-- All parameters are tried at once, because to try each alone costs a context. Only if that fails
-- they are tried one by one, to return the sentence that LuaSec returns.

local arguments = require "tlslife.arguments"
local contexts = require "tlslife.luasec.context"
local native = require "tlslife.luasec.native"
local trial = require "tlslife.luasec.trial"

local context, states = contexts.module, contexts.states

local function list(value)
    return type(value) == "table" and value or {value}
end

local function load_pairs(ctx, config_table)
    local pairs_given = config_table.certificates or {config_table}
    if type(pairs_given) ~= "table" then return nil, "invalid certificates parameter" end
    for _, pair in ipairs(pairs_given) do
        if type(pair) ~= "table" then return nil, "invalid certificates parameter" end
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
    if type(value) == "table" and s.mode == "server" then
        s.options.psk_identity_hint = type(value.hint) == "string" and value.hint or nil
        value = s.options.psk_identity_hint and value.callback
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
    {"curveslist", function(ctx, _, value) return context.setcurveslist(ctx, value) end},
    {"curve", function(ctx, s, value)
        if s.options.groups then return true end -- the list comes first
        return context.setcurve(ctx, value)
    end},
    {"verifyext",
        function(ctx, _, value) return contexts.setverifyext(ctx, table.unpack(list(value))) end},
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

-- A key without its certificate, or the reverse, is not part of a context that is tried. So it is
-- tried here.
local function check_halves(s)
    for _, pair in ipairs(s.pairs) do
        local ok, message = true, nil
        if not pair.certificate then
            ok, message = trial.key(pair.private_key, pair.passphrase)
        elseif not pair.private_key then
            ok, message = trial.attempt {role = "client", ca = pair.certificate, verify = "none"}
        end
        if not ok then
            return nil, ("error loading %s (%s)"):format(
                pair.certificate and "certificate" or "private key", message)
        end
    end
    return true
end

return function(parameters)
    if type(parameters) ~= "table" then
        arguments.refuse(parameters, 1, "newcontext", "table")
    end
    local ctx, message = fill(parameters, true)
    if not ctx then return nil, message end
    local ok
    if native.check(ctx) then
        ok, message = check_halves(states[ctx])
        return ok and ctx or nil, message
    end
    ctx, message = fill(parameters, false)
    if not ctx then return nil, message end
    ok, message = native.check(ctx)
    return ok and ctx or nil, message
end
