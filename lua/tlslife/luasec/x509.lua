-- x509.lua: the module ssl.x509 of the drop-in, which makes certificates as LuaSec has them.
--
-- A certificate is the table that tls.certificate gives. It is made when the first method asks for
-- it, because most programs keep no more than the bytes.

local core = require "tlslife.core"
local arguments = require "tlslife.arguments"

local states = setmetatable({}, {__mode = "k"})
local make, metatable = core.class "SSL:Certificate"

local MONTHS <const> = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
    "Dec"}
local DIGESTS <const> = {sha1 = true, sha256 = true, sha512 = true}

local function check(self, name)
    return states[self] or arguments.refuse(self, 1, name, "SSL:Certificate")
end

local function details(s)
    local found = s.details
    if not found then
        found = assert(core.certificate(s.der))
        s.details = found
    end
    return found
end

local function new(certificate)
    local self = make()
    states[self] = {der = certificate.der, pem = certificate.pem, field = "value"}
    return self
end

local methods = {}

-- ------------------------------------------------------------------------------------------ names

local function name(s, entries)
    local found = {}
    for i, entry in ipairs(entries) do
        found[i] = {oid = entry.oid, name = entry.name, value = entry[s.field]}
    end
    return found
end

function methods:subject()
    local s = check(self, "subject")
    return name(s, details(s).subject_entries)
end

function methods:issuer()
    local s = check(self, "issuer")
    return name(s, details(s).issuer_entries)
end

-- By OID: of an otherName its type's, with a name; of the rest RFC 5280's word.
local function add(found, entry, value)
    local key = entry.oid or entry.name
    local values = found[key]
    if not values then
        values = {name = entry.oid and entry.name or nil}
        found[key] = values
    end
    values[#values + 1] = value
end

function methods:extensions()
    local s = check(self, "extensions")
    local names = details(s).alternative_names
    if not names[1] then return {} end
    local found = {name = "X509v3 Subject Alternative Name"}
    for _, entry in ipairs(names) do add(found, entry, entry[s.field]) end
    return {["2.5.29.17"] = found}
end

function methods:setencode(encoding)
    local s = check(self, "setencode")
    encoding = arguments.string(encoding, 1, "setencode")
    if encoding:sub(1, 3) == "ai5" then
        s.field = "value"
    elseif encoding:sub(1, 4) == "utf8" then
        s.field = "utf8"
    else
        return false
    end
    return true
end

-- ------------------------------------------------------------------------------------------ times

-- Year, month and day of a day since 1970 (proleptic Gregorian).
local function date_of(days)
    local z = days + 719468
    local era = z // 146097
    local doe = z - era * 146097
    local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    local mp = (5 * doy + 2) // 153
    local month = mp < 10 and mp + 3 or mp - 9
    return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
end

-- "Nov 29 00:22:00 2026 GMT", as ASN1_TIME_print(3) has it.
local function time_text(seconds)
    local year, month, day = date_of(seconds // 86400)
    local rest = seconds % 86400
    return ("%s %2d %02d:%02d:%02d %d GMT"):format(MONTHS[month], day, rest // 3600,
        rest // 60 % 60, rest % 60, year)
end

function methods:notbefore()
    return time_text(details(check(self, "notbefore")).not_before)
end

function methods:notafter()
    return time_text(details(check(self, "notafter")).not_after)
end

function methods:validat(time)
    local found = details(check(self, "validat"))
    time = arguments.integer(time, 1, "validat")
    return found.not_before <= time and time <= found.not_after
end

-- ------------------------------------------------------------------------------------------- keys

function methods:serial()
    return details(check(self, "serial")).serial
end

function methods:pem()
    return check(self, "pem").pem
end

function methods:pubkey()
    local found = details(check(self, "pubkey"))
    if not found.public_key then return nil end
    return found.public_key, found.public_key_kind, found.public_key_bits
end

function methods:getsignaturename()
    return details(check(self, "getsignaturename")).signature_name
end

function methods:digest(algorithm)
    local s = check(self, "digest")
    algorithm = algorithm == nil and "sha1" or arguments.string(algorithm, 1, "digest")
    if not DIGESTS[algorithm] then
        return nil, ("digest algorithm not supported (%s)"):format(algorithm)
    end
    return core.fingerprint(s.der, algorithm)
end

function methods:issued(subject, ...)
    local issuer = check(self, "issued")
    local chain = table.pack(subject, ...)
    for i = 1, chain.n do
        local s = states[chain[i]] or
            arguments.refuse(chain[i], i, "issued", "SSL:Certificate")
        chain[i] = s.der
    end
    local ok, message = core.issued(issuer.der, table.unpack(chain, 1, chain.n))
    if ok then return true end
    return nil, message
end

metatable.__index = methods
metatable.__tostring = function(self) return ("X509 certificate: %p"):format(self) end
metatable.__eq = function(a, b)
    return states[a] ~= nil and states[b] ~= nil and states[a].der == states[b].der
end
metatable.__close = function() end

local module = {}

function module.load(pem)
    local certificate = core.certificate(arguments.string(pem, 1, "load"))
    return certificate and new(certificate) or nil
end

return {module = module, new = new}
