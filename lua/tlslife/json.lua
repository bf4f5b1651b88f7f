-- tlslife.json: writes values as JSON (RFC 8259), the keys of an object in the order of the
-- alphabet, so that two documents can be compared line by line.
--
-- A table with a value at 1, or without any, is an array. Text is UTF-8. In a string that is not,
-- each byte from 0x80 on is written as U+0080 to U+00FF, so that no byte is lost.

local ESCAPES <const> = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r",
    ["\t"] = "\\t"}

local function escape(byte)
    return ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
end

local function string_of(bytes)
    local wrong = utf8.len(bytes) and '[%c"\\\x7f]' or '[%c"\\\x7f-\xff]'
    return '"' .. bytes:gsub(wrong, escape) .. '"'
end

local encode

local function array_of(values)
    local words = {}
    for i, value in ipairs(values) do words[i] = encode(value) end
    return "[" .. table.concat(words, ",") .. "]"
end

local function object_of(members)
    local keys, words = {}, {}
    for key in pairs(members) do keys[#keys + 1] = key end
    table.sort(keys)
    for i, key in ipairs(keys) do
        words[i] = string_of(key) .. ":" .. encode(members[key])
    end
    return "{" .. table.concat(words, ",") .. "}"
end

--- The text of a value. Raises for a function, a userdata, and for a number that JSON has not.
function encode(value)
    local kind = type(value)
    if kind == "table" then
        return (next(value) == nil or value[1] ~= nil) and array_of(value) or object_of(value)
    elseif kind == "string" then
        return string_of(value)
    elseif kind == "number" then
        assert(value == value and value ~= math.huge and value ~= -math.huge, "no number of JSON")
        return tostring(value)
    end
    assert(kind == "boolean" or kind == "nil", "no value of JSON")
    return kind == "nil" and "null" or tostring(value)
end

return encode
