-- measure.lua: two functions that do the same work, timed in turns, and what their times say.
--
-- The machine's speed drifts by more than what we look for, so the two sides alternate every ten milliseconds: a round
-- is a number of turns, C first in one and Lua first in the next, and gives one ratio. Rounds are what the spread is over.
-- A turn's times are summed, never sorted: the collector's share falls on whichever turn it falls.
-- Time is the processor time of each side's own process: neighbours on the machine disturb caches, but their turns do not
-- count.
local spread <const> = require "machine".spread

local measure = {}

--- work(n) as a function that returns the seconds of this process' processor time that it took.
function measure.timed(work)
    return function(n)
        local start = os.clock()
        work(n)
        return os.clock() - start
    end
end

-- How many operations fill a turn of so many seconds; it warms both sides up.
local function operations(pair, seconds)
    local n = 1
    while true do
        pair.lua(n)
        local taken = pair.c(n)
        if taken >= seconds / 4 then
            return math.max(1, math.ceil(n * seconds / taken))
        end
        n = n * 2
    end
end

-- One round: seconds an operation, of C and of Lua.
local function round(pair, n, turns)
    local c, lua = 0, 0
    for turn = 1, turns do
        if turn % 2 == 1 then
            c = c + pair.c(n)
            lua = lua + pair.lua(n)
        else
            lua = lua + pair.lua(n)
            c = c + pair.c(n)
        end
    end
    return c / n / turns, lua / n / turns
end

--- pair.c(n) and pair.lua(n) each do n operations and return the seconds that these took; pair.renew() comes before each
--- round. Seconds an operation on both sides, the ratio C / Lua (1: as fast as C, 10: ten times as fast) and the
--- difference Lua - C, each with median, least and most.
function measure.compare(pair, settings)
    local renew = pair.renew or function() end
    collectgarbage()
    renew()
    local n = operations(pair, settings.turn_seconds)
    local c, lua, ratio, difference = {}, {}, {}, {}
    for i = 1, settings.rounds do
        renew()
        c[i], lua[i] = round(pair, n, settings.turns)
        ratio[i], difference[i] = c[i] / lua[i], lua[i] - c[i]
    end
    return { operations = n, c = spread(c), lua = spread(lua), ratio = spread(ratio), difference = spread(difference) }
end

return measure
