--- run.lua: runs random programs (generate.lua, play.lua), fleets (fleet.lua) and walks (walk.lua)
-- in processes of their own, and shrinks one that fails to a few lines.
--
--   tlslife spec/random/run.lua [--seed N] [--sequences N] [--fleets N] [--walks N] [--lines N]
--                               [--minutes M] [--steps N] [--jobs N]
--   tlslife spec/random/run.lua --show SEED [KIND]      prints a program, a fleet or a walk
--   tlslife spec/random/run.lua --play FILE [KIND [SEED]]   runs the lines of a file; KIND is
--                                                       program (the default), fleet or walk
--   tlslife spec/random/run.lua --tell SEED             runs a program, and prints what happens
--   tlslife spec/random/run.lua --calls N [SEED]        which calls of N programs never succeed
--
-- With --minutes, programs, fleets and walks run in turns; with a number of some of them besides,
-- only these do. With --steps, programs run until they have had that many lines, or the minutes are
-- over. The last lines of the output say what was run, and how fast. --lines is how many lines a
-- program has, and how many calls a walk has at most. --jobs is the number of processes at once, by
-- default that of processors. Each process has seeds of its own.
--
-- A process runs a batch of programs and prints which one it begins, so that a crash, a sanitizer's
-- report or a hang belongs to a seed. A leak is reported at the end of a process, so the batch is
-- halved until the leak belongs to one seed. The exit status is 1 if any program has failed.
--
-- A random program may start threads (outside.lua), in which this script runs again.

local worker = require "tlslife.worker"
if worker then return require "spec.random.outside".thread(worker) end

require "spec.support.rep"
local clock = require "spec.random.clock"
local fleet = require "spec.random.fleet"
local generate = require "spec.random.generate"
local process = require "spec.support.process"
local program = require "spec.support.program"
local walk = require "spec.random.walk"

local BATCH = 50
local FAILED <const> = 3 -- the exit status of a child in which a program failed

local function processors()
    local pipe <close> = assert(io.popen "nproc")
    return math.tointeger(pipe:read "n") or 2
end

local options = {seed = 1, lines = 40}
local BUILD <const> = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
-- The folders of decoded.so, which decodes each certificate once, and of clock.so, by which
-- programs and fleets set the time of day.
local PRELOADED <const> = BUILD .. "/spec/support:" .. BUILD .. "/spec/faults"

--- What can be run. play returns nil or a failure, and numbers that the parent adds up. option says
--- how many; proved and unit are of the last lines of the output. seconds: that each has, many,
--- because the machine may be busy.
local KINDS = {
    program = {
        batch = BATCH, seconds = 6, option = "sequences", unit = "steps",
        proved = function(kind)
            local steps, reached = kind.counts[1], {}
            for i, one in ipairs(require "spec.random.play".REACHED) do
                reached[i] = ("%d %s"):format(kind.counts[i + 1] or 0, one[1])
            end
            return ("random: %d sequences, %d steps%s (connections: %s)"):format(kind.done, steps,
                options.steps and steps < options.steps and ", then stopped by the clock" or "",
                table.concat(reached, ", "))
        end,
        generate = function(seed) return generate(seed, options.lines) end,
        play = function(lines, how)
            local failure, reached = require "spec.random.play".run(lines, how)
            return failure, {#lines, table.unpack(reached)}
        end,
    },
    fleet = {
        batch = 10, seconds = 30, option = "fleets", unit = "connections",
        proved = function(kind)
            local counts = kind.counts
            return ("fleet: %d connections in %d settings, %d resumed, early data accepted of "
                .. "%d and rejected of %d, %d that waited in vain for a store"):format(counts[1],
                kind.done, counts[2], counts[4], counts[3] - counts[4], counts[5])
        end,
        generate = function(seed) return fleet.generate(seed) end,
        play = function(lines, how)
            local failure, counts = fleet.play(lines, how.visit)
            return failure, {counts.connections, counts.resumed, counts.sent, counts.accepted,
                counts.given_up}
        end,
    },
    walk = {
        batch = 200, seconds = 6, option = "walks", unit = "calls",
        proved = function(kind)
            return ("walks: %d walks of %d calls compared with libssl, %d results alike"):format(
                kind.done, kind.counts[1], kind.counts[2])
        end,
        generate = function(seed) return walk.make(seed, options.lines) end,
        play = function(lines)
            local failure, counts = walk.prove(lines)
            return failure, {counts.calls, counts.alike}
        end,
    },
}
local ORDER <const> = {KINDS.program, KINDS.fleet, KINDS.walk}

-- ----------------------------------------------------------------------------------------- a child

local function play_lines(kind, lines, how)
    local failure, counts = kind.play(lines, how)
    print("counts " .. table.concat(counts, " "))
    if failure then
        io.stdout:write(("FAILED at line %d: %s\n    %s\n"):format(failure.line, failure.message,
            failure.text))
        io.stdout:flush()
        os.exit(FAILED)
    end
end

local function child(kind, from, to, lines)
    io.stdout:setvbuf "line"
    options.lines = lines
    for seed = from, to do
        print("seed " .. seed)
        play_lines(kind, kind.generate(seed), {seed = seed})
    end
end

local function say(format, ...)
    io.stdout:write(format:format(...))
    io.stdout:flush()
end

local function play_file(path, kind, seed)
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    play_lines(kind, lines, {seed = seed, visit = function(number) say("line %d\n", number) end})
end

--- Runs one program in this process, and prints what happens in it.
local function told(seed)
    play_lines(KINDS.program, KINDS.program.generate(seed),
        {seed = seed, note = function(text) say("%s", text) end})
end

--- Plays programs in this process, whatever they find, and says which calls never succeeded.
local function count_calls(sequences, first)
    local calls = require "spec.random.calls"
    local function watch(kind, what)
        if kind == "tls" then return calls.watch(kind, what, ".") end
        calls.watch_object(kind, what)
    end
    for seed = first, first + sequences - 1 do
        local lines = KINDS.program.generate(seed)
        require "spec.random.play".run(lines, {seed = seed, watch = watch})
    end
    calls.print()
end

-- --------------------------------------------------------------------------------- what went wrong

local function first(output, ...)
    for _, pattern in ipairs {...} do
        local found = output:match(pattern)
        if found then return found end
    end
end

--- Describes a failure in one line. Numbers, addresses and names of slots are left out, so that two
--- failures with one cause have the same line.
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
local function start(kind, words, seconds)
    started = started + 1
    local path = ("%s/clock%d"):format(process.directory(), started)
    process.spill(path, clock.bytes(0))
    local command = {"env", "LD_PRELOAD=decoded.so clock.so", "LD_LIBRARY_PATH=" .. PRELOADED,
        "TLSLIFE_CLOCK_FILE=" .. path, "ASAN_OPTIONS="
            .. (os.getenv "ASAN_OPTIONS" or "detect_leaks=1") .. ":verify_asan_link_order=0",
        program.path, "spec/random/run.lua", timeout = seconds,
        environment = {TLSLIFE_PKI_DIR = require "spec.support.pki".get().dir,
            TLSLIFE_RANDOM_REDIS = kind ~= KINDS.walk and redis or nil}}
    for _, word in ipairs(words) do command[#command + 1] = tostring(word) end
    return process.start(command)
end

--- Does it in a process that has its own clock, and prints what that says.
local function print_child(...)
    local one = start(KINDS.program, {...}, 86400)
    local status = one:wait(86400)
    print(one:output())
    os.exit(status, true)
end

-- More processes than there are processors have less of one each.
local function seconds_for(kind, sequences)
    return (60 + kind.seconds * sequences) * math.max(1, options.jobs // processors())
end

-- --------------------------------------------------------------------------------------- to shrink

local function fails_alike(kind, seed, lines, wanted, tries)
    local path = process.spill(process.directory() .. "/program.lua", table.concat(lines, "\n")
        .. "\n")
    for _ = 1, tries do
        local one = start(kind, {"--play", path, kind.name, seed}, 20)
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

local function shrink(kind, seed, lines, wanted)
    local tries = 1
    local function still(less) return fails_alike(kind, seed, less, wanted, tries) end
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

local function start_batch(kind, from, to)
    return start(kind, {"--child", kind.name, from, to, options.lines},
        seconds_for(kind, to - from + 1))
end

local function command(kind, from, to)
    return ("%s spec/random/run.lua --seed %d --%s %d --lines %d"):format(program.path, from,
        kind.option, to - from + 1, options.lines)
end

--- Some fail only behind others, which have left the heap, the clock or the caches of the process
--- as they are.
local function report_batch(kind, from, seed, wanted, output)
    local status, again
    for _ = 1, 3 do
        local one = start_batch(kind, from, seed)
        status = one:wait(seconds_for(kind, seed - from + 1) + 5)
        again = again or signature(status, one:output()) == wanted
    end
    print(again and "    alone it does not fail, but behind those before it: "
        .. command(kind, from, seed) or
        "    it failed once: time, threads or other processes decided")
    print("    what the batch said at its end:\n    " .. output:sub(-3000):gsub("\n", "\n    "))
end

--- from: the first seed that this process played.
local function report(kind, from, seed, wanted, output)
    kind.failures = kind.failures + 1
    print(("%s, seed %d: %s"):format(kind.name, seed, wanted))
    print("    " .. command(kind, seed, seed))
    if known[wanted] then return end
    known[wanted] = true
    local lines = shrink(kind, seed, kind.generate(seed), wanted)
    if not lines then return report_batch(kind, from, seed, wanted, output) end
    for _, line in ipairs(lines) do print("    [[" .. line .. "]],") end
    local detail = process.spill(("%s/%d.txt"):format(process.directory(), seed), output)
    print("    " .. (first(output, "FAILED at[^\n]*", "SUMMARY[^\n]*", "runtime error[^\n]*") or
        detail))
end

--- A leak does not say which seed it belongs to, so each half is run by itself.
local function find_leak(kind, from, to)
    if from == to then
        local one = start_batch(kind, from, to)
        local status = one:wait(seconds_for(kind, 1) + 5)
        local output = one:output()
        if status ~= 0 then report(kind, from, from, signature(status, output), output) end
        return status ~= 0
    end
    local middle = (from + to) // 2
    local found = false
    for _, half in ipairs {{from, middle}, {middle + 1, to}} do
        local one = start_batch(kind, half[1], half[2])
        if one:wait(seconds_for(kind, kind.batch)) ~= 0 then
            found = find_leak(kind, half[1], half[2]) or found end
    end
    return found
end

local function add_up(kind, output)
    for counts in output:gmatch "counts ([%d ]+)\n" do
        local i = 0
        for n in counts:gmatch "%d+" do
            i = i + 1
            kind.counts[i] = (kind.counts[i] or 0) + math.tointeger(n)
        end
    end
end

--- Looks at a batch that has ended; the first seed that was not played, or nil.
local function look_at(batch)
    local kind, status, output = batch.kind, batch.process:wait(1), batch.process:output()
    add_up(kind, output)
    if status == 0 then return nil end
    local last
    for seed in output:gmatch "seed (%d+)\n" do last = math.tointeger(seed) end
    local wanted = signature(status, output)
    if wanted:find "^LeakSanitizer" then
        if not find_leak(kind, batch.from, batch.to) then
            report(kind, batch.from, batch.from, wanted .. " of a whole batch", output) end
        return nil
    end
    report(kind, batch.from, last or batch.from, wanted,
        output:match "^.*seed %d+\n(.*)$" or output)
    return (last or batch.to) + 1
end

local began = process.now()

local function time_is_up()
    return options.minutes and process.now() - began > options.minutes * 60
        or options.steps and KINDS.program.counts[1] >= options.steps
end

--- Of the kinds with seeds left, the one that has had the least time.
local function next_kind(kinds)
    local least
    for _, kind in ipairs(kinds) do
        if kind.next_seed <= kind.last and (not least or kind.spent < least.spent) then
            least = kind end
    end
    return not time_is_up() and least or nil
end

local TOLD_EACH <const> = 100000 -- steps of a long run

local function tell_progress(kind)
    local reached = kind.counts[1] // TOLD_EACH
    if kind ~= KINDS.program or reached == (kind.told or 0) then return end
    kind.told = reached
    print(("%d sequences, %d steps in %.0f s; %d findings"):format(kind.done, kind.counts[1],
        process.now() - began, kind.failures))
end

local function play_all(kinds)
    local running = {}
    local function begin(kind, from, to)
        running[#running + 1] = {kind = kind, from = from, to = to, began = process.now(),
            process = start_batch(kind, from, to)}
    end
    local function fill()
        local kind = #running < options.jobs and next_kind(kinds)
        if not kind then return false end
        local from = kind.next_seed
        kind.next_seed = math.min(from + kind.batch - 1, kind.last) + 1
        kind.spent = kind.spent + 0.001 -- so that both begin
        begin(kind, from, kind.next_seed - 1)
        return true
    end
    repeat
        repeat until not fill()
        for i = #running, 1, -1 do
            local batch = running[i]
            if batch.process:exit_status() then
                table.remove(running, i)
                local from, kind = look_at(batch), batch.kind
                kind.spent = kind.spent + process.now() - batch.began
                kind.done = kind.done + (from or batch.to + 1) - batch.from
                tell_progress(kind)
                if from and from <= batch.to then begin(kind, from, batch.to) end
            end
        end
        process.sleep(0.02)
    until #running == 0 and not next_kind(kinds)
end

local function is_counted()
    return options.sequences or options.fleets or options.walks
end

--- Whether only the clock ends it, or the number of steps.
local function is_endless(kind)
    if options.steps then return kind == KINDS.program end
    return options.minutes and (options[kind.option] or not is_counted())
end

local function parent()
    io.stdout:setvbuf "line"
    local kinds, failures = {}, 0
    for _, kind in ipairs(ORDER) do
        local most = is_endless(kind) and math.maxinteger - options.seed
            or options[kind.option] or 0
        kind.next_seed, kind.last, kind.done, kind.spent = options.seed,
            options.seed + most - 1, 0, 0
        kind.counts, kind.failures = {0, 0, 0, 0, 0}, 0
        if most > 0 then kinds[#kinds + 1] = kind end
    end
    if kinds[1] == KINDS.program
        or kinds[1] == KINDS.fleet and options.seed > fleet.SEED_OF_LONG then
        redis = require "spec.random.outside".start_redis()
    end
    play_all(kinds)
    print(("from seed %d on, in %.0f s"):format(options.seed, process.now() - began))
    for _, kind in ipairs(kinds) do
        failures = failures + kind.failures
        print(("proved %s; %d findings"):format(kind.proved(kind), kind.failures))
    end
    for _, kind in ipairs(kinds) do
        print(("%s: %.0f %s a second in each of %d processes"):format(kind.name,
            kind.counts[1] / math.max(kind.spent, 0.01), kind.unit, options.jobs))
    end
    if failures > 0 then os.exit(1) end
end

-- ------------------------------------------------------------------------------------- the command

for name, kind in pairs(KINDS) do kind.name = name end
if arg[1] == "--child" then
    return child(KINDS[arg[2]], math.tointeger(arg[3]), math.tointeger(arg[4]),
        math.tointeger(arg[5]))
elseif arg[1] == "--play" then
    return play_file(arg[2], KINDS[arg[3] or "program"], math.tointeger(arg[4]))
elseif arg[1] == "--told" then
    return told(math.tointeger(arg[2]))
elseif arg[1] == "--counted" then
    return count_calls(math.tointeger(arg[2]), math.tointeger(arg[3]))
elseif arg[1] == "--tell" then
    return print_child("--told", arg[2])
elseif arg[1] == "--calls" then
    redis = require "spec.random.outside".start_redis()
    return print_child("--counted", arg[2], arg[3] or 1)
elseif arg[1] == "--show" then
    for _, line in ipairs(KINDS[arg[3]
        or "program"].generate(math.tointeger(arg[2]))) do print(line) end
    return
end
for i = 1, #arg, 2 do
    local name, value = arg[i]:match "^%-%-(%a+)$", tonumber(arg[i + 1])
    if not value then
        io.stderr:write("usage: tlslife spec/random/run.lua [--seed N] [--sequences N] " ..
            "[--fleets N] [--walks N] [--lines N] [--minutes M] [--steps N] [--jobs N]\n")
        os.exit(2)
    end
    options[name] = math.tointeger(value) or value
end
if not is_counted() and not options.minutes then options.sequences = 1000 end
options.jobs = options.jobs or processors()
parent()
