-- coverage.lua: prints the coverage of src/ and fails where it is too low. ./dev coverage runs it
-- after gcovr has written build/coverage/counts.csv and missing.txt.
--
--   lua5.4 spec/coverage.lua [--left]
--
-- spec/coverage_left.txt lists the functions with lines that nothing executes, each with the number
-- of such lines and a reason. The program fails if
--   the lines or branches that were executed are a smaller part than LINES_MIN, BRANCHES_MIN;
--   a function has such lines, and the file does not list it, or with fewer lines;
--   the file lists a function that has no such lines any more.
-- --left prints entries for the functions that the file does not list, with "?" for the reason.
--
-- Branches that were not taken need no reason: half of them are the failure of an allocation.

local COUNTS <const> = "build/coverage/counts.csv"
local MISSING <const> = "build/coverage/missing.txt"
local LEFT <const> = "spec/coverage_left.txt"
local LINES_MIN <const>, BRANCHES_MIN <const> = 95, 85

local function lines_of(path)
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    return lines
end

-- ------------------------------------------------------------------------------------------ counts

local function print_counts()
    local all = { lines = 0, done = 0, branches = 0, taken = 0 }
    local form = "%-32s %5.1f %% of %5d lines  %5.1f %% of %5d branches\n"
    local function say(what, lines, done, branches, taken)
        local function percent(n, of) return of == 0 and 100 or 100 * n / of end
        io.write(form:format(what, percent(done, lines), lines, percent(taken, branches), branches))
        return percent(done, lines), percent(taken, branches)
    end
    for line in io.lines(COUNTS) do
        local path, rest = line:match "^(src/[^,]*),(.*)$"
        if path then
            local lines, done, _, branches, taken = rest:match "^(%d+),(%d+),([^,]*),(%d+),(%d+)"
            say(path, lines, done, branches, taken)
            all.lines, all.done = all.lines + lines, all.done + done
            all.branches, all.taken = all.branches + branches, all.taken + taken
        end
    end
    return say("all", all.lines, all.done, all.branches, all.taken)
end

-- ------------------------------------------------------------------------------- what is left over

-- The name of the function that begins last before line n.
local function function_at(source, n)
    for i = n, 1, -1 do
        local name = source[i]:match "^[%a_][%w_ %*]-([%w_]+)%("
        if name and name ~= "_Static_assert" then return name end
    end
    return "?"
end

-- Adds the lines of ranges, such as "54,57-58", to left, under the functions of path.
local function add_ranges(left, path, ranges)
    local source = lines_of(path)
    for first, last in ranges:gmatch "(%d+)%-?(%d*)" do
        for n = tonumber(first), tonumber(last) or tonumber(first) do
            local place = path .. ":" .. function_at(source, n)
            left[place] = left[place] or {}
            table.insert(left[place], n)
        end
    end
end

-- { ["src/a.c:name"] = { line, ... } }. gcovr puts a long path on a line of its own.
local function what_is_left()
    local left, path = {}, nil
    for line in io.lines(MISSING) do
        path = line:match "^(src/%S+)" or path
        local ranges = line:match "%d+%%%s+(%d[%d,%-]*)$"
        if path and ranges then add_ranges(left, path, ranges) end
    end
    return left
end

-- Reads spec/coverage_left.txt. Lines of the form "# word: what it means" at its head define the
-- words for reasons. The word "chance" marks lines that some runs execute and others do not.
local function what_has_a_reason()
    local known, given = {}, {}
    for line in io.lines(LEFT) do
        local word = line:match "^# (%l+): "
        local place, count, reason = line:match "^(src/%S+:%S+)%s+(%d+)%s+(%S+)$"
        if word then
            known[word] = true
        elseif place then
            given[place] = { count = tonumber(count), reason = reason, known = known[reason] }
        else
            assert(line == "" or line:find "^#", LEFT .. ": " .. line)
        end
    end
    return given
end

local function sorted(keys)
    local list = {}
    for key in pairs(keys) do list[#list + 1] = key end
    table.sort(list)
    return list
end

local function write_left(left, given)
    for _, place in ipairs(sorted(left)) do
        if not given[place] then io.write(("%s %d ?\n"):format(place, #left[place])) end
    end
end

local function compare(left, given)
    local faults = 0
    local function fault(...)
        io.write(LEFT, ": ", string.format(...), "\n")
        faults = faults + 1
    end
    for _, place in ipairs(sorted(left)) do
        local entry, lines = given[place], table.concat(left[place], " ")
        if not entry then
            fault("no reason for %s, lines %s", place, lines)
        elseif not entry.known then
            fault("\"%s\" is no reason, of %s, lines %s", entry.reason, place, lines)
        elseif #left[place] > entry.count then
            fault("%s may have %d lines left, and has %d: %s", place, entry.count, #left[place],
                lines)
        end
    end
    for _, place in ipairs(sorted(given)) do
        if not left[place] and given[place].reason ~= "chance" then
            fault("%s has no lines left: remove its entry", place)
        end
    end
    return faults
end

local lines, branches = print_counts()
local left, given = what_is_left(), what_has_a_reason()
if arg[1] == "--left" then
    write_left(left, given)
    return
end
local faults = compare(left, given)
if lines < LINES_MIN or branches < BRANCHES_MIN then
    io.write(("below the floors of %d %% and %d %%\n"):format(LINES_MIN, BRANCHES_MIN))
    faults = faults + 1
end
io.write(("proved coverage: %.1f %% of lines and %.1f %% of branches of src/, left in %d functions")
    :format(lines, branches, #sorted(left)), ("; %d findings\n"):format(faults))
os.exit(faults == 0)
