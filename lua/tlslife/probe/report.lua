-- tlslife.probe.report: writes what the probe has found as text. Each name has a table with a line
-- for each address, a matrix of which address resumes the sessions of which other one, and a list
-- of what is not right and what to do. What a server says (names, protocols) is printed without
-- control characters, which could otherwise change the reader's terminal.

local findings = require "tlslife.probe.findings"

local YES <const>, NO <const>, NONE <const> = "✓", "✗", "–"

local report = {}

local function clean(text)
    return (tostring(text):gsub("[%c\x7f]", "?"):gsub("\xc2[\x80-\x9f]", "?"))
end
report.clean = clean

local function pad(text, width)
    return text .. (" "):rep(width - (utf8.len(text) or #text))
end

local function painted(text, colour)
    if not colour then return text end
    return (text:gsub(YES, "\27[32m" .. YES .. "\27[0m"):gsub(NO, "\27[31m" .. NO .. "\27[0m"))
end

-- Lines of cells as a table, each column as wide as its widest cell.
local function table_of(lines, indent)
    local widths = {}
    for _, line in ipairs(lines) do
        for i, cell in ipairs(line) do
            widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell)
        end
    end
    local out = {}
    for i, line in ipairs(lines) do
        local cells = {}
        for k, cell in ipairs(line) do cells[k] = pad(cell, widths[k]) end
        out[i] = indent .. (table.concat(cells, "  "):gsub(" +$", ""))
    end
    return out
end

-- The first of these places, and how many there are besides.
local function shorten(places)
    local more = #places - 3
    local first = table.concat(places, ", ", 1, math.min(3, #places))
    return more > 0 and ("%s and %d more"):format(first, more) or first
end

-- The mark of one kind of resumption, and why it is not right.
local function mark(one, key)
    if not one or one.state == "no version" then return NONE end
    if one.state == "resumed" then return YES end
    if one.state == "none" then return NO .. (key == "id12" and " no id" or " no ticket") end
    return NO .. (one.state == "failed" and " fails" or " not taken")
end

local function early(one)
    local state = one.early and one.early.state
    if not state or state == "not offered" then return NONE end
    if one.early.replayed or one.early.replayed_at then return NO .. " replayed" end
    return state == "accepted" and YES .. " once" or state
end

local function duration(seconds)
    if not seconds then return "" end
    if seconds >= 86400 then return ("%dd"):format(seconds // 86400) end
    if seconds >= 3600 then return ("%dh"):format(seconds // 3600) end
    if seconds >= 60 then return ("%dmin"):format(seconds // 60) end
    return ("%ds"):format(seconds)
end

local function tickets(one)
    local count = one and one.tickets
    if not count or count == 0 then return NONE end
    return ("%d × %d B, %s"):format(count, one.ticket_size or 0, duration(one.lifetime))
end

local function twice(one)
    if one.tls13.state ~= "resumed" then return NONE end
    return one.tls13.twice and "taken twice" or "taken once"
end

local function server_end(first)
    if first.server_end == "closed" then return YES end
    return first.server_end == "truncated" and NO .. " truncated" or NONE
end

local function client_end(one)
    local kind = one.tls13.close and one.tls13 or one.ticket12
    if kind.close == "done" then return ("%s %.0f ms"):format(YES, kind.close_seconds * 1000) end
    return NONE
end

-- "TLSv1.2" and "TLSv1.3" as "1.2 1.3".
local function versions(list)
    local words = {}
    for i, version in ipairs(list) do
        words[i] = version == "TLSv1" and "1.0" or (version:gsub("^TLSv", ""))
    end
    return table.concat(words, " ")
end

local HEAD <const> = {"address", "TLS", "1.3", "ticket", "id", "tickets of 1.3", "a ticket",
    "early data", "end", "answers close"}

local function line_of(one)
    if one.first.failed then return {clean(one.address), NO .. " " .. one.first.stage} end
    return {
        clean(one.address), versions(one.versions), mark(one.tls13),
        mark(one.ticket12), mark(one.id12, "id12"), tickets(one.tls13), twice(one), early(one),
        server_end(one.first), client_end(one),
    }
end

local function ocsp(first)
    if not first.ocsp then return "no OCSP response" end
    return first.ocsp_status == "good" and YES .. " OCSP stapled" or NO .. " OCSP stapled"
end

-- The facts about one address that are mostly the same at all addresses of a name, as lines.
local function about(one)
    local first, out = one.first, {}
    out[1] = ("  %s, %s%s%s"):format(first.version, first.cipher,
        first.group and ", " .. first.group or "",
        #one.protocols > 0 and ", ALPN " .. table.concat(one.protocols, " ") or "")
    local leaf = first.chain[1]
    if leaf then
        out[2] = ("  certificate %s, of %s, %d days left, %d in the chain, %s, %s"):format(
            leaf.subject, leaf.issuer, (leaf.not_after - os.time()) // 86400, #first.chain,
            first.verify == "ok" and YES .. " verified" or NO .. " " .. first.verify, ocsp(first))
        out[3] = "  for " .. shorten(leaf.names)
    end
    return out
end

-- These lines for all addresses: each line once, with the addresses that it is about unless it is
-- about all.
local function about_all(found)
    local groups, known = {}, {}
    for _, one in ipairs(found) do
        if not one.first.failed then
            local lines = about(one)
            local text = table.concat(lines, "\n")
            if not known[text] then
                known[text] = {lines = lines, at = {}}
                groups[#groups + 1] = known[text]
            end
            table.insert(known[text].at, one.address)
        end
    end
    local out = {}
    for _, group in ipairs(groups) do
        if #groups > 1 then out[#out + 1] = "  at " .. shorten(group.at) .. ":" end
        table.move(group.lines, 1, #group.lines, #out + 1, out)
    end
    return out
end

-- The lines of one matrix. cells[i][k]: the mark of what i made and k was offered.
local function matrix_lines(found, key, cells)
    local lines = {{"made at \\ offered at"}}
    for i, one in ipairs(found) do
        lines[1][i + 1] = ("[%d]"):format(i)
        local line = {("[%d] %s"):format(i, clean(one.address))}
        for k = 1, #found do
            line[k + 1] = i == k and mark(one[key]):match "^%S+" or (cells[i] or {})[k] or " "
        end
        lines[#lines + 1] = line
    end
    return table_of(lines, "  ")
end

-- Who resumes whose sessions, of one kind: a line where all do, else the matrix.
local function matrix_of(name, key, index)
    local cells, count, resumed = {}, 0, 0
    for _, one in ipairs(name.matrix) do
        if one.kind == key then
            local from = index[one.from]
            cells[from] = cells[from] or {}
            cells[from][index[one.to]] = one.state == "resumed" and YES or
                one.state == "none" and NONE or NO
            count, resumed = count + 1, resumed + (one.state == "resumed" and 1 or 0)
        end
    end
    if count == 0 then return {} end
    local title = ("  sessions, %s: "):format(findings.kinds[key])
    if resumed == count and count == #name.found * (#name.found - 1) then
        return {title .. YES .. " each address resumes those of each other one"}
    elseif resumed == count then
        return {("%s%s %d pairs of addresses resume, of %d that were asked"):format(title, YES,
            resumed, count)}
    end
    local out = {title .. NO .. (" %d of %d pairs of addresses resume"):format(resumed, count)}
    table.move(matrix_lines(name.found, key, cells), 1, #name.found + 1, 2, out)
    return out
end

local function matrices_of(name)
    local index, out = {}, {}
    for i, one in ipairs(name.found) do index[one.address] = i end
    for _, key in ipairs {"tls13", "ticket12", "id12"} do
        local lines = matrix_of(name, key, index)
        table.move(lines, 1, #lines, #out + 1, out)
    end
    return out
end

local function findings_of(name)
    local out = {}
    for _, one in ipairs(name.findings) do
        out[#out + 1] = ("  %s %s"):format(one.bad and NO or NONE, one.what)
        out[#out + 1] = "    at " .. shorten(one.where)
        out[#out + 1] = "    " .. one.advice
    end
    return out
end

local function ages_of(name)
    local out = {}
    for _, one in ipairs(name.found) do
        for _, key in ipairs {"tls13", "ticket12", "id12"} do
            local age = one[key] and one[key].age
            if age then
                out[#out + 1] = ("  %s, %s: resumed after %s%s"):format(clean(one.address),
                    findings.kinds[key], duration(age.lived),
                    age.dead and ", no longer after " .. duration(age.dead) or "")
            end
        end
        if one.watched then
            out[#out + 1] = ("  %s: %d ticket key%s seen"):format(clean(one.address),
                #one.watched, #one.watched == 1 and "" or "s")
        end
    end
    return out
end

local function verdict_of(name)
    local bad = 0
    for _, one in ipairs(name.findings) do bad = bad + (one.bad and 1 or 0) end
    return bad == 0 and ("  %s %s: all is right"):format(YES, name.text) or
        ("  %s %s: %d thing%s not right"):format(NO, name.text, bad, bad == 1 and " is" or "s are")
end

--- The text for one name. name: {text =, found =, matrix =, isolation =, findings =}, or with
-- failed =.
function report.text(name, colour)
    local lines = {("%s  %d address%s"):format(clean(name.text), #name.found,
        #name.found == 1 and "" or "es")}
    local function append(more) -- a block, with an empty line before it
        if #more > 0 then lines[#lines + 1] = "" end
        table.move(more, 1, #more, #lines + 1, lines)
    end
    for _, line in ipairs(about_all(name.found)) do lines[#lines + 1] = line end
    local rows = {HEAD}
    for i, one in ipairs(name.found) do rows[i + 1] = line_of(one) end
    if #name.found > 0 then append(table_of(rows, "  ")) end
    append(matrices_of(name))
    append(ages_of(name))
    append(findings_of(name))
    append {verdict_of(name)}
    for i, line in ipairs(lines) do lines[i] = painted(clean(line), colour) end
    return table.concat(lines, "\n") .. "\n"
end

return report
