-- page.lua: writes what a run has found into the docs, as tables between the markers of its
-- command. `./dev bench page` writes docs/performance.md, and `./dev prove` docs/reliability.md.
--
-- A machine that does other things at the same time measures worse, so the page says how busy it
-- was before the run began.
local process = require "spec.support.process"

local COLUMNS <const> = 100
local BUSY <const> = 0.3 -- of a processor: more than a desktop does by itself

local page = {}

local function cells(list)
    local escaped = {}
    for i, cell in ipairs(list) do escaped[i] = tostring(cell):gsub("|", "\\|") end
    return "| " .. table.concat(escaped, " | ") .. " |"
end

--- A table and what is said about it. Each line is a list of cells, and so are the titles.
function page.table(about, titles, lines)
    local text = { about, "", cells(titles), "|" .. ("---|"):rep(#titles) }
    for _, line in ipairs(lines) do text[#text + 1] = cells(line) end
    return table.concat(text, "\n") .. "\n"
end

--- The text in lines.
function page.wrap(text)
    local lines, line = {}, ""
    for word in text:gmatch "%S+" do
        if line ~= "" and #line + 1 + #word > COLUMNS then
            lines[#lines + 1], line = line, word
        else
            line = line == "" and word or line .. " " .. word
        end
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\n") .. "\n"
end

--- Puts the text in the place of what stands on the page between the command's markers.
function page.put(path, command, text)
    local all = assert(process.slurp(path), path)
    local _, first = all:find("<!-- written by " .. command .. " -->\n", 1, true)
    local last = first and all:find("<!-- end -->", first, true)
    assert(last, path .. " has no place for " .. command)
    process.spill(path, all:sub(1, first) .. text .. all:sub(last))
end

--- Puts the tables of a benchmark on its page. about: versions and machine;
--- busy: how many processors others kept busy before the run.
function page.write(command, about, busy, tables)
    local warning = busy > BUSY and
        (" **%.1f processors were busy already: to be measured anew.**"):format(busy) or ""
    local head = page.wrap(("`%s` wrote this on %s: %s.%s"):format(command, os.date "!%Y-%m-%d",
        table.concat(about, ", "), warning))
    page.put("docs/performance.md", command, head .. "\n" .. table.concat(tables, "\n"))
end

return page
