-- harness.lua: runs the rounds of the rows of every benchmark, computes their figures, checks the
-- targets, and prints the tables.
--
-- A benchmark is one or more sets of rows. A set has
--   title     lines that are printed before its table
--   sides     the names of what is compared, in the order of the columns
--   rounds    how many rounds there are, unless the command line says otherwise
--   name_width  of the first column, where names are long
--   spreads   true: each side's column also has the least and the most of the rounds
--   rows      the rows. A set without them finds its rows while it measures, and reads
--             settings.only itself
--   measure   function(rows, settings, report): fills row.values, and calls report(row) as soon
--             as a row is complete
--
-- A row has
--   name                  what it is called; README.md says what one operation is
--   values                for each side that has them, a value per round
--   unit                  of the values: "ns" (if there is none), "B", "x" (a factor), ""
--   figure                what the target is about: { "C", "/", "Lua" }, { "Lua", "-", "C" } or
--                         { "tlslife" }
--   by                    how a ratio is made of the rounds. Without it there is one for each
--                         round, of which the median counts. "medians" is the ratio of the
--                         medians, "fastest" that of the least values
--   at_least or at_most   the target; a row may have none
local page = require "page"

local harness = {}

--- Median, least and most of a list.
function harness.spread(values)
    local sorted = table.move(values, 1, #values, 1, {})
    table.sort(sorted)
    local middle = #sorted // 2
    local median = #sorted % 2 == 1 and sorted[middle + 1] or
        (sorted[middle] + sorted[middle + 1]) / 2
    return { median = median, least = sorted[1], most = sorted[#sorted] }
end

local spread <const> = harness.spread

-- -------------------------------------------------------------------------- two functions in turns

-- The machine's speed drifts by more than what we look for, so the two sides alternate every ten
-- milliseconds: a round is a number of turns, one side first in one and the other first in the
-- next, and gives one ratio. A turn's times are summed, never sorted, so the collector's share
-- falls on the turn in which it runs. Time is the processor time of each side's own process: other
-- programs on the machine disturb the caches, but their time does not count.
local TURNS <const>, TURN_NS <const> = 16, 1e7

--- work(n) as a function that returns the nanoseconds of this process's processor time that it
--- took.
function harness.timed(work)
    return function(n)
        local start = os.clock()
        work(n)
        return (os.clock() - start) * 1e9
    end
end

-- How many operations fill a turn. Finding it warms both sides up.
local function operations(first, second)
    local n = 1
    while true do
        second(n)
        local taken = first(n)
        if taken >= TURN_NS / 4 then
            return math.max(1, math.ceil(n * TURN_NS / taken))
        end
        n = n * 2
    end
end

-- One round: nanoseconds per operation of both.
local function round(first, second, n)
    local a, b = 0, 0
    for turn = 1, TURNS do
        if turn % 2 == 1 then
            a = a + first(n)
            b = b + second(n)
        else
            b = b + second(n)
            a = a + first(n)
        end
    end
    return a / n / TURNS, b / n / TURNS
end

--- Measures two functions that do n operations and return how many nanoseconds these took; renew(),
--- if given, is called before each round. Returns two lists of nanoseconds per operation, a value
--- per round.
function harness.in_turns(first, second, renew, rounds)
    renew = renew or function() end
    collectgarbage()
    renew()
    local n, a, b = operations(first, second), {}, {}
    for i = 1, rounds do
        renew()
        a[i], b[i] = round(first, second, n)
    end
    return a, b
end

-- ----------------------------------------------------------------------------- figures and targets

local OPERATORS <const> = {
    ["/"] = function(a, b) return a / b end,
    ["-"] = function(a, b) return a - b end,
}

-- The row's figure with its spread; nil where a side is missing.
local function figure_of(row)
    local left, operator, right = table.unpack(row.figure or {})
    local a, b = row.values[left], row.values[right]
    if not a or operator and not b then
        return nil
    elseif not operator then
        return spread(a)
    end
    local values = {}
    for i = 1, math.min(#a, #b) do
        values[i] = OPERATORS[operator](a[i], b[i])
    end
    local figure = spread(values)
    if row.by == "medians" then
        local ratio = spread(a).median / spread(b).median
        return { median = ratio, least = ratio, most = ratio }
    elseif row.by == "fastest" then
        figure.median = spread(a).least / spread(b).least
    end
    return figure
end

-- Whether the figure reaches the target; nil where there is none.
local function is_met(row, figure)
    if row.at_least then
        return figure ~= nil and figure.median >= row.at_least
    elseif row.at_most then
        return figure ~= nil and figure.median <= row.at_most
    end
end

-- ---------------------------------------------------------------------------------------- printing

local function amount(unit, value)
    local size = math.abs(value)
    if unit == "ns" then
        return size < 1000 and ("%.1f ns"):format(value) or size < 1e7 and
            ("%.2f us"):format(value / 1000) or
            ("%.1f ms"):format(value / 1e6)
    elseif unit == "B" then
        return size < 1024 and ("%.1f B"):format(value) or size < 1 << 20 and
            ("%.1f KiB"):format(value / 1024) or
            ("%.1f MiB"):format(value / (1 << 20))
    end
    return unit == "x" and ("%.2f x"):format(value) or size >= 1e5 and ("%.0f"):format(value) or
        ("%.6g"):format(value)
end

-- A row's figure, or its target, as text.
local function figure_text(row, value)
    return row.figure[2] == "/" and ("%.3f"):format(value) or amount(row.unit or "ns", value)
end

local function target_text(row)
    local sign, limit = row.at_least and ">= " or "<= ", row.at_least or row.at_most
    if not limit then
        return ""
    end
    return sign .. (row.figure[2] == "/" and ("%.4g"):format(limit) or
        amount(row.unit or "ns", limit))
end

local function side_text(set, row, side)
    local values = row.values[side]
    if not values or #values == 0 then
        return "-"
    end
    local unit, s = row.unit or "ns", spread(values)
    if not set.spreads then
        return amount(unit, s.median)
    end
    return ("%s (%s .. %s)"):format(amount(unit, s.median), amount(unit, s.least),
        amount(unit, s.most))
end

-- The columns of a line: the name, a cell for each side, the figure's name, value and spread, the
-- target, and whether it was met.
local function line(set, name, cells, ...)
    local side_width = set.spreads and 36 or 11
    local name_width = set.name_width or set.spreads and 41 or 34
    local text = ("%%-%ds"):format(name_width):format(name)
    for _, cell in ipairs(cells) do
        text = text .. (" %%%ds"):format(side_width):format(cell)
    end
    return (text .. ("  %-17s %9s  %-20s %-12s %s"):format(...)):gsub("%s+$", "")
end

-- What a row's line says, as texts: the sides, the figure and its spread.
local function texts(set, row, figure)
    local cells, value, range = {}, "", ""
    for i, side in ipairs(set.sides) do
        cells[i] = side_text(set, row, side)
    end
    if figure then
        value = figure_text(row, figure.median)
        if figure.least ~= figure.most then
            range = figure_text(row, figure.least) .. " .. " .. figure_text(row, figure.most)
        end
    end
    return cells, value, range
end

local function met_text(met)
    return met == nil and "" or met and "met" or "NOT MET"
end

local function row_line(set, row, figure, met)
    local cells, value, range = texts(set, row, figure)
    return (line(set, row.name, cells, table.concat(row.figure or {}, " "), value, range,
        target_text(row), met_text(met)))
end

-- The same as a line of a table: what has no figure has fewer cells.
local function page_line(set, row, figure, met)
    local list, value, range = texts(set, row, figure)
    table.insert(list, 1, row.name)
    if row.figure then
        local target = met == nil and "" or target_text(row) .. ": " .. met_text(met)
        list[#list + 1] = table.concat(row.figure, " ") .. " = " .. value
        list[#list + 1], list[#list + 2] = range, target
    end
    return list
end

local function page_titles(set, row)
    local titles = table.move(set.sides, 1, #set.sides, 2, { "" })
    if not row.figure then return titles end
    return table.move({ "figure", "of the rounds", "target" }, 1, 3, #titles + 1, titles)
end

-- ------------------------------------------------------------------------------------------- a run

local function wanted(set, only)
    local rows = {}
    for _, row in ipairs(set.rows or {}) do
        if row.name:find(only, 1, true) then
            row.values = {}
            rows[#rows + 1] = row
        end
    end
    return rows
end

-- Runs one set and adds its results to all = { targets, met, tables of the page }.
local function run_set(set, settings, all)
    local rows = wanted(set, settings.only)
    if set.rows and not rows[1] then
        return
    end
    local own = setmetatable({ rounds = settings.rounds or set.rounds }, { __index = settings })
    print ""
    local about = table.concat(set.title, "\n"):gsub("%$ROUNDS", own.rounds or "")
    print(about)
    print ""
    print((line(set, "", set.sides, "figure", "", "least .. most", "target", "")))
    local titles, lines = nil, {}
    set.measure(rows, own, function(row)
        local figure = figure_of(row)
        local met = is_met(row, figure)
        print(row_line(set, row, figure, met))
        all.targets, all.met = all.targets + (met == nil and 0 or 1), all.met + (met and 1 or 0)
        titles = titles or page_titles(set, row)
        lines[#lines + 1] = page_line(set, row, figure, met)
    end)
    if titles then all.tables[#all.tables + 1] = page.table(about, titles, lines) end
end

--- Runs all sets and prints them. Returns whether all targets were met, and the tables for a page.
function harness.run(sets, settings)
    local all = { targets = 0, met = 0, tables = {} }
    for _, set in ipairs(sets) do
        run_set(set, settings, all)
    end
    print(("\n%d of %d targets met"):format(all.met, all.targets))
    return all.met == all.targets, all.tables
end

return harness
