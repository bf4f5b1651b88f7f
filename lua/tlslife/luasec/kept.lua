-- kept.lua: contexts of the drop-in by what they are made of, for programs that give ssl.wrap or
-- ssl.https a table of parameters for each connection. LuaSec makes a context for each of them.
-- Here equal parameters have one, so that a client resumes, and files are parsed once.
--
-- The key has the contents of the files, so that a certificate that was renewed is used from the
-- next connection on. A private key is not in it: it must be that of the certificate. The password
-- is not copied. What cannot be compared (a function, a directory of CAs) is not kept.

local newcontext = require "tlslife.luasec.newcontext"

local PARAMETERS <const> = {"mode", "protocol", "key", "certificate", "certificates",
    "cafile", "capath", "verify", "verifyext", "depth", "options", "ciphers", "ciphersuites",
    "curve", "curveslist", "dhparam", "alpn", "dane", "psk"}
local FILES <const> = {"certificate", "cafile"}
local PRIVATE_KEY <const> = "%-%-%-%-%-BEGIN [%u ]-PRIVATE KEY%-%-%-%-%-.-%-%-%-%-%-END"
local NEVER <const> = {certificates = true, capath = true}
local CONTEXTS <const> = 16 -- are kept at most

local by_key, len = {}, 0 -- key -> {password or "" -> context}

-- What a parameter says, as text; nil where that cannot be known.
local function text_of(value)
    local kind = type(value)
    if kind == "table" then
        if getmetatable(value) then return nil end -- it may say other things each time
        local parts = {}
        for i, part in ipairs(value) do
            parts[i] = text_of(part)
            if not parts[i] then return nil end
        end
        local fields = 0
        for _ in pairs(value) do fields = fields + 1 end
        if fields > #parts then return nil end -- psk = {hint =, callback =}
        return "{" .. table.concat(parts, ",") .. "}"
    end
    if kind == "function" or kind == "userdata" then return nil end
    return ("%q"):format(tostring(value))
end

-- Without a buffer, which would be freed with what it has of a private key.
local function open(path)
    local file = type(path) == "string" and io.open(path, "rb")
    if file then file:setvbuf "no" end
    return file
end

local function key_of(parameters)
    if getmetatable(parameters) then return nil end
    local password = type(parameters.password)
    if password ~= "nil" and password ~= "string" then return nil end
    local parts = {}
    for _, name in ipairs(PARAMETERS) do
        local value = parameters[name]
        if value ~= nil then
            local text = not NEVER[name] and text_of(value)
            if not text then return nil end
            parts[#parts + 1] = name .. "=" .. text
        end
    end
    for _, name in ipairs(FILES) do
        local file = open(parameters[name])
        parts[#parts + 1] = file and file:read("a"):gsub(PRIVATE_KEY, "") or ""
        if file then file:close() end
    end
    local file = open(parameters.key)
    parts[#parts + 1] = file and "a key" or ""
    if file then file:close() end
    return table.concat(parts, "\0")
end

local kept = {}

-- A context for these parameters, or nil and why.
function kept.context(parameters)
    local key, password = key_of(parameters), parameters.password or ""
    local ctx = key and by_key[key] and by_key[key][password]
    if ctx then return ctx end
    local message
    ctx, message = newcontext(parameters)
    if not ctx then return nil, message end
    if key then
        if len >= CONTEXTS then by_key, len = {}, 0 end
        by_key[key] = by_key[key] or {}
        by_key[key][password], len = ctx, len + 1
    end
    return ctx
end

return kept
