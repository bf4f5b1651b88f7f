-- prove.lua: runs every campaign that tries to break the library, each for its share of the time,
-- and writes the table in docs/reliability.md: lua5.4 spec/prove.lua MINUTES [NAME...]
--
-- A campaign is a command of ./dev. It ends with lines "proved NAME: what and how many; N
-- findings", each of which becomes a row. A campaign that ends without its lines, or with another
-- status than the number of findings says, or that does not end, is a finding itself. Its output is
-- in build/prove, with its rows. If names are given, only these campaigns run, and the table has
-- the last rows of the others. So the table can be made in pieces, and each row has its day and
-- commit.
--
-- The campaigns without a share come first, and the others share what is left of the minutes. Each
-- of them needs a minute or two.

package.path = "./?.lua;" .. package.path
local page = require "bench.page"

local DEAD <const> = "**it did not come to its end**"
local HANG <const> = 45 * 60 -- seconds that a campaign has beside twice its minutes

local function output_of(command)
    local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
    return pipe:read "a":match "^%s*(.-)%s*$"
end

local function minutes_of(minutes)
    return ("%d"):format(math.max(1, math.floor(minutes + 0.5)))
end

-- ./dev fuzz counts in seconds, for each of its targets, of which each processor runs one.
local function fuzz_seconds(minutes)
    local targets = tonumber(output_of
        "grep -l '^int LLVMFuzzerTestOneInput' spec/fuzz/*.c | wc -l")
    return ("%d"):format(math.max(10, minutes * 60 * tonumber(output_of "nproc") // targets))
end

-- Failures of a kind that are tried in each scene: each takes some two minutes of all scenes.
local function failing_runs(minutes)
    return ("--runs %d"):format(math.max(1, minutes // 2))
end

-- share: of the minutes; a campaign without a share takes the time that it needs. words(minutes):
-- the arguments of the command. lines: the names in its lines, if they are not its own alone.
-- command: of ./dev, if it is not the campaign's name. asked: it runs only where it is named.
-- counts(log): what and how many, and the findings, if it prints no such lines.
local CAMPAIGNS <const> = {
    { name = "random", share = 25, words = minutes_of, lines = { "random", "fleet", "walks" } },
    { name = "faults", share = 30, words = minutes_of },
    { name = "valkey", command = "debian 13 faults 1 valkey", lines = { "faults" } },
    { name = "threads", share = 15, words = minutes_of },
    { name = "fuzz", share = 15, words = fuzz_seconds },
    { name = "failing", share = 15, words = failing_runs },
    { name = "secrets" },
    { name = "coverage" },
    { name = "others",
        command = "test others_cpython others_cpython_context others_curl others_node " ..
            "others_node_socket others_node_name others_node_certificate others_node_hook " ..
            "others_node_parameter others_node_stream others_rustls others_rustls_io",
        counts = function(log)
            local passed, failed = log:match "(%d+) passed, (%d+) failed%s*$"
            return passed and passed .. " examples that answer the cases of CPython, curl, Node " ..
                "and rustls", tonumber(failed)
        end },
    { name = "million", share = 100, command = "random", asked = true, lines = { "random" },
        words = function(minutes)
            return ("--steps 1000000 --minutes %s --jobs 12"):format(minutes_of(minutes))
        end },
}

local function words_of(campaign, minutes)
    local command = campaign.command or campaign.name
    return campaign.words and command .. " " .. campaign.words(minutes) or command
end

-- ------------------------------------------------------------------------------------ one campaign

local function slurp(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a" or ""
end

-- The rows of a campaign that has ended: what it counted, and how many findings.
local function rows_of(campaign, command, good, log)
    local rows, findings = {}, 0
    for _, name in ipairs(campaign.lines or { campaign.name }) do
        local before = #rows
        local function add(what, found)
            rows[#rows + 1] = { name = name, command = command, what = what, findings = found }
            findings = findings + found
        end
        for what, found in log:gmatch("proved " .. name .. ": ([^\n]-); (%d+) findings?") do
            add(what, tonumber(found))
        end
        if #rows == before and campaign.counts then
            local what, found = campaign.counts(log)
            if what then add(what, found) end
        end
        if #rows == before then add(DEAD, 1) end
    end
    if findings == 0 and not good then
        rows[1].what, rows[1].findings = rows[1].what .. "; **it ended with an error**", 1
    end
    return rows
end

-- The rows of a campaign's last run are in a file, with tabs between their parts.
local PARTS <const> = { "name", "command", "what", "findings", "at" }

local function keep(campaign, rows)
    local file <close> = assert(io.open(("build/prove/%s.rows"):format(campaign.name), "w"))
    local at = ("%s, %s"):format(os.date "!%Y-%m-%d", output_of "git rev-parse --short HEAD")
    for _, row in ipairs(rows) do
        row.at = at
        local parts = {}
        for i, part in ipairs(PARTS) do parts[i] = row[part] end
        file:write(table.concat(parts, "\t"), "\n")
    end
end

local function kept_rows()
    local rows = {}
    for _, campaign in ipairs(CAMPAIGNS) do
        for line in slurp(("build/prove/%s.rows"):format(campaign.name)):gmatch "[^\n]+" do
            local row, i = {}, 0
            for text in line:gmatch "[^\t]+" do
                i = i + 1
                row[PARTS[i]] = text
            end
            rows[#rows + 1] = row
        end
    end
    return rows
end

local function run(campaign, minutes)
    local command = "./dev " .. words_of(campaign, minutes)
    local path = ("build/prove/%s.log"):format(campaign.name)
    local began = os.time()
    io.write(command, "\n")
    local good = os.execute(("timeout -k 10 %d %s >%s 2>&1 </dev/null"):format(
        HANG + 120 * minutes // 1, command, path))
    local rows = rows_of(campaign, command, good, slurp(path))
    keep(campaign, rows)
    for _, row in ipairs(rows) do
        io.write(("    %s: %s; %d findings\n"):format(row.name, row.what, row.findings))
        if row.findings > 0 then io.write("    see ", path, "\n") end
    end
    io.write(("    %d s\n"):format(os.time() - began))
    return rows
end

-- -------------------------------------------------------------------------------------- the table

local function describe()
    local model = slurp "/proc/cpuinfo":match "model name%s*:%s*([^\n]*)" or "unknown processor"
    local changed = output_of "git status --porcelain" ~= "" and ", changed" or ""
    return ("%s, %s processors, Debian %s, %s, commit %s%s"):format(model, output_of "nproc",
        slurp "/etc/debian_version":match "%S+" or "?",
        output_of "openssl version":match "OpenSSL %S+" or "?",
        output_of "git rev-parse --short HEAD", changed)
end

local function table_of(rows, minutes, began)
    local head = page.wrap(("`./dev prove %s` wrote this on %s, in %d minutes: %s."):format(minutes,
        os.date("!%Y-%m-%d", began), (os.time() - began + 59) // 60, describe()))
    local lines = {
        head,
        "| campaign | the command that repeats it | what was tried | findings | when, commit |",
        "|---|---|---|---|---|",
    }
    for _, row in ipairs(rows) do
        lines[#lines + 1] = ("| %s | `%s` | %s | %s | %s |")
            :format(row.name, row.command, row.what, row.findings, row.at)
    end
    return table.concat(lines, "\n") .. "\n"
end

-- --------------------------------------------------------------------------------------------- all

-- The campaigns that are to run, in the order in which they do.
local function chosen()
    local list, shared, wanted = {}, {}, {}
    for i = 2, #arg do wanted[arg[i]] = true end
    for _, campaign in ipairs(CAMPAIGNS) do
        local to = campaign.share and shared or list
        if #arg < 2 and not campaign.asked or wanted[campaign.name] then to[#to + 1] = campaign end
        wanted[campaign.name] = nil
    end
    table.move(shared, 1, #shared, #list + 1, list)
    if next(wanted) then error("there is no campaign " .. next(wanted), 0) end
    return list
end

local function main()
    local minutes = tonumber(arg[1]) or error("how many minutes?", 0)
    local list, shares, rows, began = chosen(), 0, {}, os.time()
    for _, campaign in ipairs(list) do shares = shares + (campaign.share or 0) end
    assert(os.execute "mkdir -p build/prove")
    local left
    for _, campaign in ipairs(list) do
        if campaign.share then left = left or math.max(minutes - (os.time() - began) / 60, 0) end
        local own = run(campaign, campaign.share and left * campaign.share / shares or 0)
        table.move(own, 1, #own, #rows + 1, rows)
    end
    page.put("docs/reliability.md", "./dev prove",
        table_of(kept_rows(), table.concat(arg, " "), began))
    local findings = 0
    for _, row in ipairs(rows) do findings = findings + row.findings end
    io.write(("%d campaigns, %d findings\n"):format(#list, findings))
    return findings == 0
end

io.stdout:setvbuf "line"
os.exit(main())
