--- run.lua: plays random programs (generate.lua, play.lua) and fleets (fleet.lua) in processes of
-- their own, and shrinks one that fails to a few lines.
--
--   tlslife spec/random/run.lua [--seed N] [--sequences N] [--fleets N] [--lines N] [--minutes M]
--                               [--steps N] [--jobs N]
--   tlslife spec/random/run.lua --show SEED [fleet]     prints a program, or a fleet
--   tlslife spec/random/run.lua --play FILE [MACHINE [SEED]]   plays the lines of a file
--   tlslife spec/random/run.lua --tell SEED             plays a program, and tells what can be seen
--
-- With --minutes both are played in turn; with --steps programs, until they had so many lines, or
-- the minutes are over. The last lines say what was played, and how fast. There are as many
-- processes at once as --jobs says, by default as many as processors; each has seeds of its own.
--
-- A process plays a batch of programs and says which it begins, so that a crash, a sanitizer's
-- report or a hang belongs to a seed. A leak is told at a process's end, so the batch is halved
-- until it belongs to one as well. Exit status 1: some failed.
--
-- In a thread of a program (outside.lua) this script runs again, and does what the program wants.

local worker = require "tlslife.worker"
if worker then return require "spec.random.outside".thread(worker) end

require "spec.support.rep"
local fleet = require "spec.random.fleet"
local generate = require "spec.random.generate"
local process = require "spec.support.process"
local program = require "spec.support.program"

local BATCH = 50
-- A child's exit status; what a program has, which is much, since the machine may be busy.
local FAILED, SECONDS_EACH = 3, 6

local function processors()
    local pipe <close> = assert(io.popen "nproc")
    return math.tointeger(pipe:read "n") or 2
end

local options = {seed = 1, lines = 40}
local BUILD <const> = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
-- The folders of decoded.so, which decodes each certificate once, and of clock.so, by which fleets
-- move the time.
local PRELOADED <const> = BUILD .. "/spec/support:" .. BUILD .. "/spec/faults"

--- What can be played. play returns nil or a failure, and numbers that the parent adds up.
local MACHINES = {
    program = {
        batch = BATCH,
        generate = function(seed) return generate(seed, options.lines) end,
        play = function(lines, how) return require "spec.random.play".run(lines, how), {#lines} end,
    },
    fleet = {
        batch = 10,
        generate = function(seed) return fleet.generate(seed) end,
        play = function(lines, how)
            local failure, counts = fleet.play(lines, how.visit)
            return failure, {counts.connections, counts.resumed, counts.sent, counts.accepted}
        end,
    },
}

-- ----------------------------------------------------------------------------------------- a child

local function play_lines(machine, lines, how)
    local failure, counts = machine.play(lines, how)
    print("counts " .. table.concat(counts, " "))
    if failure then
        io.stdout:write(("FAILED at line %d: %s\n    %s\n"):format(failure.line, failure.message,
            failure.text))
        io.stdout:flush()
        os.exit(FAILED)
    end
end

local function child(machine, from, to, lines)
    io.stdout:setvbuf "line"
    options.lines = lines
    for seed = from, to do
        print("seed " .. seed)
        play_lines(machine, machine.generate(seed), {seed = seed})
    end
end

local function say(format, ...)
    io.stdout:write(format:format(...))
    io.stdout:flush()
end

local function play_file(path, machine, seed)
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    play_lines(machine, lines, {seed = seed, visit = function(number) say("line %d\n", number) end})
end

--- Plays one program and tells all that can be seen of it.
local function tell(seed)
    play_lines(MACHINES.program, MACHINES.program.generate(seed),
        {seed = seed, note = function(text) say("%s", text) end})
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

local started = 0 -- each process has a clock's file of its own
local redis -- the path of a Redis' socket, if there is one

--- What is preloaded comes before a sanitizer's library, which does not mind. It is named without
--- its path, because ld.so(8) takes LD_PRELOAD apart at spaces.
local function start(machine, words, seconds)
    local preload, clock = "decoded.so", "/nonexistent"
    if machine == MACHINES.fleet then
        started = started + 1
        preload, clock = "decoded.so clock.so", ("%s/clock%d"):format(process.directory(), started)
        process.spill(clock, fleet.clock_bytes(0))
    end
    local command = {"env", "LD_PRELOAD=" .. preload, "LD_LIBRARY_PATH=" .. PRELOADED,
        "TLSLIFE_CLOCK_FILE=" .. clock, "ASAN_OPTIONS="
            .. (os.getenv "ASAN_OPTIONS" or "detect_leaks=1") .. ":verify_asan_link_order=0",
        program.path, "spec/random/run.lua", timeout = seconds,
        environment = {TLSLIFE_PKI_DIR = require "spec.support.pki".get().dir,
            TLSLIFE_RANDOM_REDIS = machine == MACHINES.program and redis or nil}}
    for _, word in ipairs(words) do command[#command + 1] = tostring(word) end
    return process.start(command)
end

local function seconds_for(sequences)
    return 60 + SECONDS_EACH * sequences
end

-- --------------------------------------------------------------------------------------- to shrink

local function fails_alike(machine, seed, lines, wanted, tries)
    local path = process.spill(process.directory() .. "/program.lua", table.concat(lines, "\n")
        .. "\n")
    for _ = 1, tries do
        local one = start(machine, {"--play", path, machine.name, seed}, 20)
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

local function shrink(machine, seed, lines, wanted)
    local tries = 1
    local function still(less) return fails_alike(machine, seed, less, wanted, tries) end
    if not still(lines) then tries = 4 end
    if tries == 4 and not (still(lines) or still(lines)) then return nil end
    lines = reduce(lines, still)
    for i = #lines, 1, -1 do
        lines[i] = shorter(lines[i], function(less)
            local all = table.move(lines, 1, #lines, 1, {})
            all[i] = less
            return still(all)
        end)
    end
    return reduce(lines, still)
end

-- -------------------------------------------------------------------------------------- the parent

local known = {}

local function start_batch(machine, from, to)
    return start(machine, {"--child", machine.name, from, to, options.lines},
        seconds_for(to - from + 1))
end

local function command(machine, from, to)
    return ("%s spec/random/run.lua --seed %d --%ss %d --lines %d"):format(program.path, from,
        machine == MACHINES.fleet and "fleet" or "sequence", to - from + 1, options.lines)
end

--- Some fail only behind others, which have left the heap, the clock or the caches of the process
--- as they are.
local function report_batch(machine, from, seed, wanted, output)
    local status, again
    for _ = 1, 3 do
        local one = start_batch(machine, from, seed)
        status = one:wait(seconds_for(seed - from + 1) + 5)
        again = again or signature(status, one:output()) == wanted
    end
    print(again and "    alone it does not fail, but behind those before it: "
        .. command(machine, from, seed) or
        "    it failed once: time, threads or other processes decided")
    print("    what the batch said at its end:\n    " .. output:sub(-3000):gsub("\n", "\n    "))
end

--- from: the first seed that this process played.
local function report(machine, from, seed, wanted, output)
    machine.failures = machine.failures + 1
    print(("%s, seed %d: %s"):format(machine.name, seed, wanted))
    print("    " .. command(machine, seed, seed))
    if known[wanted] then return end
    known[wanted] = true
    local lines = shrink(machine, seed, machine.generate(seed), wanted)
    if not lines then return report_batch(machine, from, seed, wanted, output) end
    for _, line in ipairs(lines) do print("    [[" .. line .. "]],") end
    local detail = process.spill(("%s/%d.txt"):format(process.directory(), seed), output)
    print("    " .. (first(output, "FAILED at[^\n]*", "SUMMARY[^\n]*", "runtime error[^\n]*") or
        detail))
end

--- Leaks belong to nobody: each half is played by itself.
local function find_leak(machine, from, to)
    if from == to then
        local one = start_batch(machine, from, to)
        local status = one:wait(seconds_for(1) + 5)
        local output = one:output()
        if status ~= 0 then report(machine, from, from, signature(status, output), output) end
        return status ~= 0
    end
    local middle = (from + to) // 2
    local found = false
    for _, half in ipairs {{from, middle}, {middle + 1, to}} do
        local one = start_batch(machine, half[1], half[2])
        if one:wait(seconds_for(BATCH)) ~= 0 then
            found = find_leak(machine, half[1], half[2]) or found end
    end
    return found
end

local function add_up(machine, output)
    for counts in output:gmatch "counts ([%d ]+)\n" do
        local i = 0
        for n in counts:gmatch "%d+" do
            i = i + 1
            machine.counts[i] = (machine.counts[i] or 0) + math.tointeger(n)
        end
    end
end

--- Looks at a batch that has ended; the first seed that was not played, or nil.
local function look_at(batch)
    local machine, status, output = batch.machine, batch.process:wait(1), batch.process:output()
    add_up(machine, output)
    if status == 0 then return nil end
    local last
    for seed in output:gmatch "seed (%d+)\n" do last = math.tointeger(seed) end
    local wanted = signature(status, output)
    if wanted:find "^LeakSanitizer" then
        if not find_leak(machine, batch.from, batch.to) then
            report(machine, batch.from, batch.from, wanted .. " of a whole batch", output) end
        return nil
    end
    report(machine, batch.from, last or batch.from, wanted,
        output:match "^.*seed %d+\n(.*)$" or output)
    return (last or batch.to) + 1
end

local began = process.now()

local function time_is_up()
    return options.minutes and process.now() - began > options.minutes * 60
        or options.steps and MACHINES.program.counts[1] >= options.steps
end

--- The machine that has had the least time, of those with seeds left.
local function next_machine(machines)
    local least
    for _, machine in ipairs(machines) do
        if machine.next_seed <= machine.last and (not least or machine.spent < least.spent) then
            least = machine end
    end
    return not time_is_up() and least or nil
end

local TOLD_EACH <const> = 100000 -- steps of a long run

local function tell_progress(machine)
    local reached = machine.counts[1] // TOLD_EACH
    if machine ~= MACHINES.program or reached == (machine.told or 0) then return end
    machine.told = reached
    print(("%d sequences, %d steps in %.0f s; %d findings"):format(machine.done, machine.counts[1],
        process.now() - began, machine.failures))
end

local function play_all(machines)
    local running = {}
    local function begin(machine, from, to)
        running[#running + 1] = {machine = machine, from = from, to = to, began = process.now(),
            process = start_batch(machine, from, to)}
    end
    local function fill()
        local machine = #running < options.jobs and next_machine(machines)
        if not machine then return false end
        local from = machine.next_seed
        machine.next_seed = math.min(from + machine.batch - 1, machine.last) + 1
        machine.spent = machine.spent + 0.001 -- so that both begin
        begin(machine, from, machine.next_seed - 1)
        return true
    end
    repeat
        repeat until not fill()
        for i = #running, 1, -1 do
            local batch = running[i]
            if batch.process:exit_status() then
                table.remove(running, i)
                local from, machine = look_at(batch), batch.machine
                machine.spent = machine.spent + process.now() - batch.began
                machine.done = machine.done + (from or batch.to + 1) - batch.from
                tell_progress(machine)
                if from and from <= batch.to then begin(machine, from, batch.to) end
            end
        end
        process.sleep(0.02)
    until #running == 0 and not next_machine(machines)
end

local function parent()
    io.stdout:setvbuf "line"
    local machines, failures = {}, 0
    for _, one in ipairs {{"program", options.sequences}, {"fleet", options.fleets}} do
        local machine = MACHINES[one[1]]
        local endless = (options.minutes and not options.steps)
            or (options.steps and one[1] == "program")
        local most = endless and math.maxinteger - options.seed or one[2] or 0
        machine.next_seed, machine.last, machine.done, machine.spent = options.seed,
            options.seed + most - 1, 0, 0
        machine.counts, machine.failures = {0, 0, 0, 0}, 0
        if most > 0 then machines[#machines + 1] = machine end
    end
    if machines[1] == MACHINES.program then
        redis = require "spec.random.outside".start_redis()
    end
    play_all(machines)
    print(("from seed %d on, in %.0f s"):format(options.seed, process.now() - began))
    for _, machine in ipairs(machines) do
        failures = failures + machine.failures
        local counts = machine.counts
        print(machine == MACHINES.fleet
            and ("proved fleet: %d connections in %d settings, %d resumed, early data accepted of "
            .. "%d and rejected of %d; %d findings"):format(counts[1], machine.done, counts[2],
            counts[4], counts[3] - counts[4], machine.failures)
            or ("proved random: %d sequences, %d steps%s; %d findings"):format(machine.done,
                counts[1], options.steps and counts[1] < options.steps
                and ", then stopped by the clock" or "", machine.failures))
    end
    for _, machine in ipairs(machines) do
        print(("%s: %.0f %s a second in each of %d processes"):format(machine.name,
            machine.counts[1] / math.max(machine.spent, 0.01),
            machine == MACHINES.fleet and "connections" or "steps", options.jobs))
    end
    if failures > 0 then os.exit(1) end
end

-- ------------------------------------------------------------------------------------- the command

for name, machine in pairs(MACHINES) do machine.name = name end
if arg[1] == "--child" then
    return child(MACHINES[arg[2]], math.tointeger(arg[3]), math.tointeger(arg[4]),
        math.tointeger(arg[5]))
elseif arg[1] == "--play" then
    return play_file(arg[2], MACHINES[arg[3] or "program"], math.tointeger(arg[4]))
elseif arg[1] == "--tell" then
    return tell(math.tointeger(arg[2]))
elseif arg[1] == "--show" then
    for _, line in ipairs(MACHINES[arg[3]
        or "program"].generate(math.tointeger(arg[2]))) do print(line) end
    return
end
for i = 1, #arg, 2 do
    local name, value = arg[i]:match "^%-%-(%a+)$", tonumber(arg[i + 1])
    if not value then
        io.stderr:write("usage: tlslife spec/random/run.lua [--seed N] [--sequences N] " ..
            "[--fleets N] [--lines N] [--minutes M] [--steps N] [--jobs N]\n")
        os.exit(2)
    end
    options[name] = math.tointeger(value) or value
end
if not options.sequences and not options.fleets then options.sequences = 1000 end
options.jobs = options.jobs or processors()
parent()
