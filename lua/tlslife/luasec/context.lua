-- context.lua: the module ssl.context of the drop-in, which collects the settings of a context call
-- by call.
--
-- A context of LuaSec's is filled by calls and changed at any time. One of ours is made of a table
-- of options, and final with its first connection. So the drop-in's context collects the options in
-- a state, from which native.lua makes contexts of ours when a connection needs one. A call that
-- changes the state drops the contexts that were made from it.

local core = require "tlslife.core"
local arguments = require "tlslife.arguments"
local config = require "tlslife.luasec.config"
local trial = require "tlslife.luasec.trial"

local states = setmetatable({}, {__mode = "k"}) -- context -> its state
local make, metatable = core.class "SSL:Context"

local PROTOCOLS <const> = {
    any = {}, sslv23 = {},
    tlsv1 = {"TLSv1", "TLSv1"}, tlsv1_1 = {"TLSv1.1", "TLSv1.1"},
    tlsv1_2 = {"TLSv1.2", "TLSv1.2"}, tlsv1_3 = {"TLSv1.3", "TLSv1.3"},
}
local DEPTH_MAX <const> = 100
local VERIFY <const> = {none = true, peer = true, client_once = true, fail_if_no_peer_cert = true}

local context = {} -- the module ssl.context

-- --------------------------------------------------------------------------------------- checking

local function check(ctx, name)
    return states[ctx] or arguments.refuse(ctx, 1, name, "SSL:Context")
end

-- Whether a setting can be used: tried on a context that is dropped. newcontext does without, and
-- tries them one by one only when the whole cannot be used.
local function try(s, prefix, options)
    if s.untried then return true end
    options.role = s.mode or "client"
    local made, message = trial.attempt(options)
    if not made then return false, ("%s (%s)"):format(prefix, message) end
    made:free()
    return true
end

-- ---------------------------------------------------------------------------------------- setters

local serials = 0

-- Forgets the contexts that were made, here and, by the serial, where a server name led from here.
local function changed(s)
    serials = serials + 1
    s.made, s.count, s.serial = {}, 0, serials
end

function context.create(protocol)
    protocol = arguments.string(protocol, 1, "create")
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
    mode = arguments.string(mode, 2, "setmode")
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
    file:setvbuf "no" -- a buffer would be freed with what it has of a private key
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

function context.loadkey(ctx, path, password)
    local s = check(ctx, "loadkey")
    path = arguments.string(path, 2, "loadkey")
    local kind = type(password)
    if kind ~= "nil" and kind ~= "string" and kind ~= "function" then
        arguments.raise("invalid callback value")
    end
    local phrase, message = passphrase(path, password)
    local ok = not message
    if ok and not s.untried then ok, message = trial.key(path, phrase) end
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
    path = arguments.string(path, 2, "loadcert")
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
        place = arguments.string(place, i + 1, "locations")
        local ok, message = try(s, "error loading CA locations", {ca = place, verify = "none"})
        if not ok then return false, message end
        s.ca[#s.ca + 1] = place
    end
    changed(s)
    if file == nil and directory == nil then return false, "error loading CA locations" end
    return true
end

local function setter(name, option, prefix)
    context[name] = function(ctx, value)
        local s = check(ctx, name)
        value = arguments.string(value, 2, name)
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
    list = arguments.string(list, 2, "setcurveslist")
    if not try(s, "", {groups = list}) then
        return false, ('unknown elliptic curve in "%s"'):format(list)
    end
    s.options.groups = list
    changed(s)
    return true
end

function context.setcurve(ctx, name)
    local s = check(ctx, "setcurve")
    name = arguments.string(name, 2, "setcurve")
    if not try(s, "", {groups = name}) then
        return false, ("elliptic curve '%s' not supported"):format(name)
    end
    s.options.groups = name
    changed(s)
    return true
end

function context.setdepth(ctx, depth)
    local s = check(ctx, "setdepth")
    depth = arguments.integer(depth, 2, "setdepth")
    s.options.verify_depth = depth >= 0 and math.min(depth, DEPTH_MAX) or nil -- libssl's default
    changed(s)
    return true
end

function context.setverify(ctx, ...)
    local s = check(ctx, "setverify")
    local flags = {}
    for i = 1, select("#", ...) do
        local flag = arguments.string(select(i, ...), i + 1, "setverify")
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
    for i = 1, select("#", ...) do
        local option = arguments.string(select(i, ...), i + 1, "setoptions")
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

-- The names of a list in the form that is sent (RFC 7301 section 3.1); nil where it is none.
local function from_wire(wire)
    local names, at = {}, 1
    while at <= #wire do
        local len = wire:byte(at)
        if len == 0 or at + len > #wire then return nil end
        names[#names + 1] = wire:sub(at + 1, at + len)
        at = at + len + 1
    end
    return names
end

function context.setalpn(ctx, wire)
    local s = check(ctx, "setalpn")
    local names = from_wire(arguments.string(wire, 2, "setalpn"))
    if not names then return false, "error setting ALPN" end
    s.options.alpn = names[1] and names or nil
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
        flag = arguments.string(flag, i + 1, "setdane")
        if flag ~= "no_ee_namechecks" then
            arguments.raise(("bad argument #%d to 'setdane' (invalid option '%s')"):format(i + 1,
                flag))
        end
        flags[#flags + 1] = flag
    end
    s.dane = flags
    changed(s)
    return true
end

for _, name in ipairs {"setclientpskcb", "setserverpskcb"} do
    context[name] = function(ctx, callback)
        local s = check(ctx, name)
        s.psk = callback
        changed(s)
        return true
    end
end

function context.setpskhint(ctx, hint)
    local s = check(ctx, "setpskhint")
    s.options.psk_identity_hint = arguments.string(hint, 2, "setpskhint")
    changed(s)
    return true
end

local function setverifyext(ctx, ...)
    local s = check(ctx, "setverifyext")
    local flags = {}
    for i, flag in ipairs {...} do
        flag = arguments.string(flag, i + 1, "setverifyext")
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

-- How many certificates the file has whose first one is this; nil where that is not known.
local function chain_len(ctx, pem)
    for _, pair in ipairs(states[ctx].pairs) do
        local text = pair.certificate and contents(pair.certificate)
        if text and text:find(pem, 1, true) then
            return select(2, text:gsub("%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-", ""))
        end
    end
end

return {
    module = context, states = states, changed = changed, setverifyext = setverifyext,
    chain_len = chain_len,
    is = function(value) return states[value] ~= nil end,
    mode = function(ctx) return states[ctx].mode end,
}
