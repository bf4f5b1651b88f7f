-- page.lua: what a run measured as tables in docs/performance.md, between the markers of its
-- command: `./dev bench server --page`.
--
-- A machine that does other things at the same time measures worse, so the page says how busy it
-- was before the run began.
local process = require "spec.support.process"

local PAGE <const> = "docs/performance.md"
local BUSY <const> = 0.7 -- of a processor: more than a desktop does by itself

local page = {}

local function cells(list)
    return "| " .. table.concat(list, " | ") .. " |"
end

--- A table and what is said about it. Each line is a list of cells, and so are the titles.
function page.table(about, titles, lines)
    local text = { about, "", cells(titles), "|" .. ("---|"):rep(#titles) }
    for _, line in ipairs(lines) do text[#text + 1] = cells(line) end
    return table.concat(text, "\n") .. "\n"
end

--- Puts the tables in the place of those that stand on the page for this command. about: versions
--- and machine.
function page.write(command, about, load, tables)
    local text = assert(process.slurp(PAGE), PAGE)
    local _, first = text:find("<!-- written by " .. command .. " -->\n", 1, true)
    local last = first and text:find("<!-- end -->", first, true)
    assert(last, PAGE .. " has no place for " .. command)
    local busy = load > BUSY and
        (" **The machine was busy (load %.1f): to be measured anew.**"):format(load) or ""
    local head = ("`%s` wrote this on %s: %s.%s\n"):format(command, os.date "!%Y-%m-%d",
        table.concat(about, ", "), busy)
    local all = text:sub(1, first) .. head .. "\n" .. table.concat(tables, "\n") .. text:sub(last)
    process.spill(PAGE, all)
end

return page
