--- run.lua: random programs in processes of their own, and the few lines that are left of one that
--- fails.
--
--   tlslife spec/random/run.lua [--seed N] [--sequences N] [--lines N] [--minutes M] [--jobs N]
--   tlslife spec/random/run.lua --show SEED          prints a program
--   tlslife spec/random/run.lua --play FILE          plays the lines of a file
--
-- A process plays a batch of programs and says which it begins, so that a crash, a sanitizer's
-- report or a hang belongs to a seed. A leak is told at a process's end, so the batch is halved
-- until it belongs to one as well. Exit status 1: some failed.

local generate = require "spec.random.generate"
local process = require "spec.support.process"
local program = require "spec.support.program"

local BATCH = 50
local FAILED, SECONDS_EACH = 3, 2 -- a child's exit status; what a program has at most

local options = {seed = 1, sequences = 1000, lines = 40, jobs = 2}

-- ----------------------------------------------------------------------------------------- a child

local function play_lines(lines, visit)
    local play = require "spec.random.play"
    local failure = play.run(lines, visit)
    if failure then
        io.stdout:write(("FAILED at line %d: %s\n    %s\n"):format(failure.line, failure.message,
            failure.text))
        io.stdout:flush()
        os.exit(FAILED)
    end
end

local function child(from, to, lines)
    io.stdout:setvbuf "line"
    for seed = from, to do
        print("seed " .. seed)
        play_lines(generate(seed, lines))
    end
    os.exit(0, true)
end

local function play_file(path)
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    play_lines(lines,
        function(number) io.stdout:write(("line %d\n"):format(number)); io.stdout:flush() end)
    os.exit(0, true)
end

-- --------------------------------------------------------------------------------- what went wrong

local function first(output, ...)
    for _, pattern in ipairs {...} do
        local found = output:match(pattern)
        if found then return found end
    end
end

--- One line, the same for what is the same: without numbers, addresses and names of slots.
local function signature(status, output)
    if status == 0 then return nil end
    local what = first(output, "FAILED at line %d+: ([^\n]*)", "ERROR: (AddressSanitizer: [%w-]+)",
        "runtime error: ([^\n]*)", "ERROR: (LeakSanitizer)", "malloc[^\n]*", "free%(%)[^\n]*") or
        "status " .. status
    local where = what:find "^[AL]%w+Sanitizer" and
        first(output, " in (tls[%w_]+) ", " in (conn[%w_]+) ", " in (%w+_attempt)")
    return (what:gsub("0x%x+", "N"):gsub("%d+", "N"):gsub('".*"', '"..."')) ..
        (where and " in " .. where or "")
        .. (status == 124 and " (it hangs)" or "")
end

local function start(words, seconds)
    local command = {program.path, "spec/random/run.lua", timeout = seconds,
        environment = {TLSLIFE_PKI_DIR = require "spec.support.pki".get().dir}}
    for _, word in ipairs(words) do command[#command + 1] = tostring(word) end
    return process.start(command)
end

local function seconds_for(sequences)
    return 20 + SECONDS_EACH * sequences
end

-- --------------------------------------------------------------------------------------- to shrink

local function fails_alike(lines, wanted, tries)
    local path = process.spill(process.directory() .. "/program.lua",
        table.concat(lines, "\n") .. "\n")
    for _ = 1, tries do
        local one = start({"--play", path}, 20)
        local status = one:wait(25)
        if signature(status, one:output()) == wanted then return true end
    end
    return false
end

local function without(list, from, n)
    local rest = table.move(list, 1, from - 1, 1, {})
    return table.move(list, from + n, #list, from, rest)
end

--- Without as many elements as can be spared, in pieces that become smaller.
local function reduce(list, still)
    local n = #list // 2
    while n > 0 do
        local from = 1
        while from <= #list do
            local less = without(list, from, math.min(n, #list - from + 1))
            if still(less) then list = less else from = from + n end
        end
        n = n // 2
    end
    return list
end

--- What stands between brackets and commas, or between semicolons: {from, to} of each piece that
--- may be left out.
local function pieces_of(line)
    local found, open = {}, {{from = 1}}
    for at, mark in line:gmatch "()([(){},;])" do
        local last = open[#open]
        if mark == "(" or mark == "{" then
            open[#open + 1] = {from = at + 1}
        else
            found[#found + 1] = {last.from, at - (mark:find "[,;]" and 0 or 1)}
            last.from = at + 1
            if mark:find "[)}]" and #open > 1 then open[#open] = nil end
        end
    end
    for from, to in line:gmatch "()%f[%w]pcall%(function%(%) .- end%);()" do
        found[#found + 1] = {from, to - 1}
    end
    for at, to in line:gmatch "function%([%w, ]*%)() .-() end" do
        found[#found + 1] = {at, to - 1}
    end
    table.sort(found, function(a, b) return a[2] - a[1] > b[2] - b[1] end)
    return found
end

local function shorter(line, still)
    local again = true
    while again do
        again = false
        for _, piece in ipairs(pieces_of(line)) do
            local less = line:sub(1, piece[1] - 1) .. line:sub(piece[2] + 1)
            if #less < #line and load(less) and still(less) then
                line, again = less, true
                break
            end
        end
    end
    return line
end

local function shrink(lines, wanted)
    local tries = 1
    if not fails_alike(lines, wanted, 1) then tries = 4 end
    if tries == 4 and not fails_alike(lines, wanted, 8) then return nil end
    lines = reduce(lines, function(less) return fails_alike(less, wanted, tries) end)
    for i = #lines, 1, -1 do
        lines[i] = shorter(lines[i], function(less)
            local all = table.move(lines, 1, #lines, 1, {})
            all[i] = less
            return fails_alike(all, wanted, tries)
        end)
    end
    return reduce(lines, function(less) return fails_alike(less, wanted, tries) end)
end

-- -------------------------------------------------------------------------------------- the parent

local failures, known = 0, {}

local function report(seed, wanted, output)
    failures = failures + 1
    print(("seed %d: %s"):format(seed, wanted))
    if known[wanted] then return end
    known[wanted] = true
    local lines = shrink(generate(seed, options.lines), wanted)
    if not lines then
        print("    it does not fail by itself; what the batch said at its end:\n" ..
            output:sub(-3000):gsub("\n", "\n    "))
        return
    end
    for _, line in ipairs(lines) do print("    [[" .. line .. "]],") end
    local detail = process.spill(("%s/%d.txt"):format(process.directory(), seed), output)
    print("    " .. (first(output, "FAILED at[^\n]*", "SUMMARY[^\n]*", "runtime error[^\n]*") or
        detail))
end

--- Leaks belong to nobody: each half is played by itself.
local function find_leak(from, to)
    if from == to then
        local one = start({"--child", from, to, options.lines}, seconds_for(1))
        local status = one:wait(seconds_for(1) + 5)
        if status ~= 0 then report(from, signature(status, one:output()), one:output()) end
        return status ~= 0
    end
    local middle = (from + to) // 2
    local found = false
    for _, half in ipairs {{from, middle}, {middle + 1, to}} do
        local one = start({"--child", half[1], half[2], options.lines},
            seconds_for(half[2] - half[1] + 1))
        if one:wait(seconds_for(BATCH)) ~= 0 then found = find_leak(half[1], half[2]) or found end
    end
    return found
end

--- Looks at a batch that has ended; the first seed that was not played, or nil.
local function look_at(batch)
    local status, output = batch.process:wait(1), batch.process:output()
    if status == 0 then return nil end
    local last
    for seed in output:gmatch "seed (%d+)\n" do last = math.tointeger(seed) end
    local wanted = signature(status, output)
    if wanted:find "^LeakSanitizer" then
        if not find_leak(batch.from, batch.to) then
            report(batch.from, wanted .. " of a whole batch", output)
        end
        return nil
    end
    report(last or batch.from, wanted, output:match "^.*seed %d+\n(.*)$" or output)
    return (last or batch.to) + 1
end

local function time_is_up(began)
    return options.minutes and process.now() - began > options.minutes * 60
end

local function parent()
    local began, next_seed, done = process.now(), options.seed, 0
    local last = options.minutes and math.maxinteger or options.seed + options.sequences - 1
    local running = {}
    local function begin(from, to)
        running[#running + 1] = {from = from, to = to,
            process = start({"--child", from, to, options.lines}, seconds_for(to - from + 1))}
    end
    repeat
        while #running < options.jobs and next_seed <= last and not time_is_up(began) do
            begin(next_seed, math.min(next_seed + BATCH - 1, last))
            next_seed = next_seed + BATCH
        end
        for i = #running, 1, -1 do
            local batch = running[i]
            if batch.process:exit_status() then
                table.remove(running, i)
                local from = look_at(batch)
                done = done + (from or batch.to + 1) - batch.from
                if from and from <= batch.to then begin(from, batch.to) end
            end
        end
        process.sleep(0.02)
    until #running == 0 and (next_seed > last or time_is_up(began))
    print(("%d sequences of %d lines from seed %d on, %d failed, %.0f s"):format(done,
        options.lines, options.seed, failures, process.now() - began))
    os.exit(failures == 0 and 0 or 1, true)
end

-- ------------------------------------------------------------------------------------- the command

if arg[1] == "--child" then
    return child(math.tointeger(arg[2]), math.tointeger(arg[3]), math.tointeger(arg[4]))
end
if arg[1] == "--play" then return play_file(arg[2]) end
for i = 1, #arg, 2 do
    local name, value = arg[i]:match "^%-%-(%a+)$", tonumber(arg[i + 1])
    if not value then
        io.stderr:write("usage: tlslife spec/random/run.lua [--seed N] [--sequences N] " ..
            "[--lines N] [--minutes M] [--jobs N] [--show SEED]\n")
        os.exit(2)
    end
    options[name] = math.tointeger(value) or value
end
if options.show then
    for _, line in ipairs(generate(options.show, options.lines)) do print(line) end
    return
end
parent()
