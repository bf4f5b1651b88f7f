-- machine.lua: says where the benchmark's programs are and on which processors they run, and starts
-- them.
local process = require "spec.support.process"

-- HERE is the directory of bench/run.lua. BESIDE is that of the running program, which has the
-- compiled programs in bench/.
local machine = {
    HERE = arg[0]:match "^(.*)/[^/]*$" or ".",
    BESIDE = (arg[-1] or ""):match "^(.*)/[^/]*$" or ".",
}

--- The path from the root.
function machine.absolute(path)
    return path:match "^/" and path or os.getenv "PWD" .. "/" .. path
end

--- The path of a program; nil where there is none. Not every user has /usr/sbin in PATH.
function machine.find(program)
    local pipe = assert(io.popen("PATH=$PATH:/usr/sbin:/usr/local/sbin command -v " .. program))
    local path = pipe:read "l"
    pipe:close()
    return path
end

--- Makes a certificate for localhost that is its own CA. `...` are openssl's words for its key.
--- Returns the paths of both.
function machine.self_signed(name, ...)
    local base = process.directory() .. "/" .. name
    local files = { certificate = base .. ".pem", private_key = base .. ".key" }
    local words = { "openssl", "req", "-x509", "-noenc", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", files.private_key, "-out",
        files.certificate, "-newkey", ... }
    words.timeout = 180
    local status, output = process.run(words)
    assert(status == 0, output)
    return files
end

-- The first and the last processor that we may use: all servers get the one and the client the
-- other. Where the system moved processes about, this would decide more than what we look for.
-- Nothing where there is but one.
local function processors()
    local list = process.slurp("/proc/self/status"):match "Cpus_allowed_list:%s*(%S+)" or ""
    local first, last = list:match "^%d+", list:match "%d+$"
    if first ~= last and machine.find "taskset" then
        return first, last
    end
end

machine.CLIENTS, machine.SERVERS = processors()

--- The command `words` on that processor; as it is where that is nil.
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

-- No heap gives its top back at a connection's end and takes it again for the next (steady_heap in
-- support.h).
local STEADY <const> =
    { GLIBC_TUNABLES = "glibc.malloc.trim_threshold=268435456:glibc.malloc.top_pad=1048576" }

--- Starts a server's program, which runs for `seconds` at most, on the servers' processor, or on
--- all of them if `free`.
function machine.start(words, seconds, free)
    words = free and words or machine.pinned(machine.SERVERS, words)
    words.environment, words.timeout = STEADY, seconds
    return process.start(words)
end

return machine
