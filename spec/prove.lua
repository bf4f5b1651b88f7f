-- prove.lua: every machine that tries to break the library, each for its share of the time, and the
-- table in docs/reliability.md of what they tried: lua5.4 spec/prove.lua MINUTES [MACHINE...]
--
-- A machine is a command of ./dev. It ends with lines "proved NAME: what and how many; N findings",
-- of which each becomes a row. One that ends without its lines, or with another status than the
-- number of findings says, is a finding itself. What a machine says is in build/prove, with its
-- rows. With names of machines only these run; the table has the last rows of the others. So it can
-- be made in pieces, and each row says of which day and commit it is.

package.path = "./?.lua;" .. package.path
local page = require "bench.page"

local DEAD <const> = "**it did not come to its end**"

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

-- Failures of a kind that are tried in each scene: some two in a minute.
local function failing_runs(minutes)
    return ("--runs %d"):format(math.max(2, 2 * minutes // 1))
end

-- share: of the minutes; one without a share takes the time that it takes. words(minutes): what the
-- command has behind its name. lines: the names in its lines, if they are not its own alone.
-- command: of ./dev, if it is not the machine's name. asked: it runs only where it is named.
-- counts(log): what and how many, and findings, of one that has no such lines.
local MACHINES <const> = {
    { name = "random", share = 25, words = minutes_of, lines = { "random", "fleet" } },
    { name = "faults", share = 35, words = minutes_of },
    { name = "threads", share = 15, words = minutes_of },
    { name = "fuzz", share = 15, words = fuzz_seconds },
    { name = "failing", share = 10, words = failing_runs },
    { name = "secrets" },
    { name = "coverage" },
    { name = "others", command = "test others_cpython others_curl others_node others_rustls",
        counts = function(log)
            local passed, failed = log:match "(%d+) passed, (%d+) failed%s*$"
            return passed and passed .. " examples that answer the cases of CPython, curl, Node " ..
                "and rustls", tonumber(failed)
        end },
    { name = "million", command = "random", asked = true, lines = { "random" },
        words = function() return "--steps 1000000" end },
}

local function words_of(machine, minutes)
    local command = machine.command or machine.name
    return machine.words and command .. " " .. machine.words(minutes) or command
end

-- ------------------------------------------------------------------------------------- one machine

local function slurp(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a" or ""
end

-- The rows of a machine that has ended: what it counted, and how many findings.
local function rows_of(machine, command, good, log)
    local rows, findings = {}, 0
    for _, name in ipairs(machine.lines or { machine.name }) do
        local before = #rows
        local function add(what, found)
            rows[#rows + 1] = { name = name, command = command, what = what, findings = found }
            findings = findings + found
        end
        for what, found in log:gmatch("proved " .. name .. ": ([^\n]-); (%d+) findings?") do
            add(what, tonumber(found))
        end
        if #rows == before and machine.counts then
            local what, found = machine.counts(log)
            if what then add(what, found) end
        end
        if #rows == before then add(DEAD, 1) end
    end
    if findings == 0 and not good then
        rows[1].what, rows[1].findings = rows[1].what .. "; **it ended with an error**", 1
    end
    return rows
end

-- The rows of a machine's last run are in a file, with tabs between their parts.
local PARTS <const> = { "name", "command", "what", "findings", "at" }

local function keep(machine, rows)
    local file <close> = assert(io.open(("build/prove/%s.rows"):format(machine.name), "w"))
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
    for _, machine in ipairs(MACHINES) do
        for line in slurp(("build/prove/%s.rows"):format(machine.name)):gmatch "[^\n]+" do
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

local function run(machine, minutes)
    local command = "./dev " .. words_of(machine, minutes)
    local path = ("build/prove/%s.log"):format(machine.name)
    local began = os.time()
    io.write(command, "\n")
    local good = os.execute(("%s >%s 2>&1 </dev/null"):format(command, path))
    local rows = rows_of(machine, command, good, slurp(path))
    keep(machine, rows)
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
        "| machine | the command that repeats it | what was tried | findings | when, commit |",
        "|---|---|---|---|---|",
    }
    for _, row in ipairs(rows) do
        lines[#lines + 1] = ("| %s | `%s` | %s | %s | %s |")
            :format(row.name, row.command, row.what, row.findings, row.at)
    end
    return table.concat(lines, "\n") .. "\n"
end

-- --------------------------------------------------------------------------------------------- all

local function chosen()
    local list, wanted = {}, {}
    for i = 2, #arg do wanted[arg[i]] = true end
    for _, machine in ipairs(MACHINES) do
        if #arg < 2 and not machine.asked or wanted[machine.name] then list[#list + 1] = machine end
        wanted[machine.name] = nil
    end
    if next(wanted) then error("there is no machine " .. next(wanted), 0) end
    return list
end

local function main()
    local minutes = tonumber(arg[1]) or error("how many minutes?", 0)
    local list, shares, rows, began = chosen(), 0, {}, os.time()
    for _, machine in ipairs(list) do shares = shares + (machine.share or 0) end
    assert(os.execute "mkdir -p build/prove")
    for _, machine in ipairs(list) do
        local own = run(machine, minutes * (machine.share or 0) / math.max(shares, 1))
        table.move(own, 1, #own, #rows + 1, rows)
    end
    page.put("docs/reliability.md", "./dev prove",
        table_of(kept_rows(), table.concat(arg, " "), began))
    local findings = 0
    for _, row in ipairs(rows) do findings = findings + row.findings end
    io.write(("%d machines, %d findings\n"):format(#list, findings))
    return findings == 0
end

io.stdout:setvbuf "line"
os.exit(main())
