-- pattern.lua: makes bytes that clients and server of spec/faults both know, so that a lost or
-- doubled one is seen.
--
-- A ring of a prime number of bytes that look random: what begins at another place is different,
-- also after 64 KiB.
local LENGTH <const> = 65521

local function ring()
    local state, bytes = 1, {}
    for i = 1, LENGTH do
        state = (state * 6364136223846793005 + 1442695040888963407)
        bytes[i] = string.char(state >> 56)
    end
    local once = table.concat(bytes)
    return once .. once
end

local RING <const> = ring()

local pattern = {}

--- n bytes, LENGTH at most, of the stream that `seed` names, from its byte `at` (0 is the first)
--- on.
function pattern.piece(seed, at, n)
    local first = (seed * 7919 + at) % LENGTH
    return RING:sub(first + 1, first + n)
end

--- What asks for an operation, and what stands before its answer.
pattern.REQUEST, pattern.ANSWER = ">c1I4I4", ">I4I4"

--- The answer to W: the number, the worker's process, its word about resumption.
pattern.WHO = ">I4I4c16"

--- A function read(n) that gives exactly n bytes of what the connection reads.
function pattern.reader(conn)
    local came = ""
    return function(n)
        local parts, have = { came }, #came
        while have < n do
            local bytes, why = conn:read()
            if not bytes then return nil, why end
            parts[#parts + 1], have = bytes, have + #bytes
        end
        local all = table.concat(parts)
        came = all:sub(n + 1)
        return all:sub(1, n)
    end
end

--- Whether n bytes of the stream `seed` come next; false: others; nil and why: none.
function pattern.comes(read, seed, n, each)
    local at = 0
    while at < n do
        local size = math.min(16384, n - at)
        local bytes, why = read(size)
        if not bytes then return nil, why end
        if bytes ~= pattern.piece(seed, at, size) then return false end
        at = at + size
        if each then each(at) end
    end
    return true
end

--- Writes n bytes of the stream `seed`.
function pattern.goes(conn, seed, n)
    local at = 0
    while at < n do
        local size = math.min(16384, n - at)
        local written, why = conn:write(pattern.piece(seed, at, size))
        if written ~= size then return nil, why or "ended early" end
        at = at + size
    end
    return true
end

return pattern
