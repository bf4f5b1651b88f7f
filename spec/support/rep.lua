--- string.rep for long results. Lua's own copies once for each time, by a function that a sanitizer
-- checks: 16 MiB of one letter take it half a second of a processor. This copies blocks.

-- luacheck: globals string.rep
local rep = string.rep
local LONG <const>, MOST <const> = 4096, 1 << 30

function string.rep(text, n, between)
    if between or math.type(n) ~= "integer" or n < LONG or n > MOST or type(text) ~= "string" then
        return rep(text, n, between)
    end
    local each = math.floor(n ^ 0.5)
    return rep(rep(text, each), n // each) .. rep(text, n % each)
end
