-- machine.lua: what the benchmarks with several processes share: who runs where, how a server is started, what a median is.
local process = require "spec.support.process"

local machine = {}

-- Only root has /usr/sbin in PATH everywhere.
function machine.find(program)
    local pipe = assert(io.popen("PATH=$PATH:/usr/sbin:/usr/local/sbin command -v " .. program))
    local path = pipe:read "l"
    pipe:close()
    return path
end

-- The first and the last processor that we may use: all servers get the one and the client the other, or who is moved
-- about, and when, decides more than what we look for. Nothing where there is but one.
local function processors()
    local list = process.slurp("/proc/self/status"):match "Cpus_allowed_list:%s*(%S+)" or ""
    local first, last = list:match "^%d+", list:match "%d+$"
    if first ~= last and machine.find "taskset" then
        return first, last
    end
end

machine.CLIENTS, machine.SERVERS = processors()

--- words, on that processor.
function machine.pinned(processor, words)
    return processor and table.move(words, 1, #words, 4, { "taskset", "-c", processor }) or words
end

--- This process, and what it starts from now on, on that processor.
function machine.pin(processor)
    if processor then
        local own = process.slurp("/proc/self/stat"):match "%d+"
        assert(os.execute(("taskset -cp %s %s >/dev/null"):format(processor, own)))
    end
end

-- No heap gives its top back at a connection's end to take it again for the next: see steady_heap in plain.c.
local STEADY <const> = { GLIBC_TUNABLES = "glibc.malloc.trim_threshold=268435456:glibc.malloc.top_pad=1048576" }

--- A server's program, on its processor (or on all: free), for as long as `seconds`.
function machine.start(words, seconds, free)
    words = free and words or machine.pinned(machine.SERVERS, words)
    words.environment, words.timeout = STEADY, seconds
    return process.start(words)
end

--- median, least and most; sorts them.
function machine.spread(values)
    table.sort(values)
    local middle = #values // 2
    local value = #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
    return { median = value, least = values[1], most = values[#values] }
end

return machine
