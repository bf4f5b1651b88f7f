-- draw.lua: random numbers from a seed, for the generators of programs and of fleets. The same seed
-- always gives the same numbers.
--
-- A generator has these methods through __index, and its state in the field x, which is not 0.

local draw = {}

--- xorshift64*, so that nothing else in the process has a hand in it.
function draw:below(n)
    local x = self.x
    x = x ~ (x >> 12)
    x = x ~ (x << 25)
    x = x ~ (x >> 27)
    self.x = x
    return ((x * 0x2545F4914F6CDD1D) >> 33) % n
end

function draw:chance(percent) return self:below(100) < percent end
function draw:pick(list) return list[self:below(#list) + 1] end

return draw
