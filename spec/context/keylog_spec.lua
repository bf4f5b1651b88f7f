-- keylog_spec.lua: tests which files a key log refuses, and that no connection waits for its file
-- or fails because of it.

local expect = require "spec.support.expect"
local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local p = pki.get()

local function sh(command, ...)
    local words = {}
    for i, word in ipairs {...} do words[i] = process.quote(word) end
    assert(os.execute(command:format(table.unpack(words))))
end

local count = 0
local function path_of(name)
    count = count + 1
    return ("%s/keylog-%d-%s"):format(process.directory(), count, name)
end

local function is_root()
    return process.slurp("/proc/self/status"):match "\nUid:%s+%d+%s+(%d+)" == "0"
end

-- In a program of its own, because a path that is waited for would hold up the suite.
local open = [[
    local tls = require "tlslife"
    local context, message, err = tls.context {role = "client", keylog = ...}
    io.write(context and "taken" or err.code .. " " .. message)
]]

describe("a key log", function()
    -- what is done with a path before, and what the refusal says
    local refused = {
        {"a FIFO without a reader", "mkfifo -m 600 %s", "no process reads from this FIFO"},
        {"a file that others may read", "umask 0; touch %s; chmod 644 %s",
            "others may read or write"},
        {"a file that others may write", "umask 0; touch %s; chmod 666 %s",
            "others may read or write"},
        {"a file that runs as its owner", "touch %s; chmod 4600 %s", "others may read or write"},
        {"a symbolic link to a good file", "touch %s.good; chmod 600 %s.good; ln -s %s.good %s",
            "symbolic link"},
        {"a symbolic link to nothing", "ln -s %s.none %s", "symbolic link"},
        {"a directory", "mkdir %s", "directory"},
        {"a socket",
            "python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' %s",
            "regular file or a FIFO"},
        {"another user's file", "touch %s; chmod 600 %s; chown 65534 %s", "another user",
            root = true},
        {"another user's FIFO", "mkfifo -m 600 %s; chown 65534 %s; exec 9<>%s; sleep 5 <&9 &",
            "another user",
            root = true},
    }
    for _, case in ipairs(refused) do
        it("refuses a path that is " .. case[1], function()
            if case.root and not is_root() then return end
            local path = path_of "refused"
            sh(case[2], path, path, path, path)
            local code, output = program.run(open, path)
            assert.equal(0, code, output)
            assert.truthy(output:match "^input ", output)
            assert.truthy(output:find(path, 1, true) and output:find(case[3], 1, true), output)
        end)
    end

    it("refuses a device", function()
        local err = expect.fails("input", tls.context {role = "client", keylog = "/dev/full"})
        assert.truthy(err.message:find "regular file or a FIFO", err.message)
    end)

    it("has the mode 0600 whatever the umask is", function()
        for _, mask in ipairs {"0", "777"} do
            local path = path_of("umask" .. mask)
            sh("umask " .. mask .. "; %s -e 'assert(require([[tlslife]]).context " ..
                "{role = [[client]], keylog = arg[1]})' /dev/null %s", program.path, path)
            local code, mode = process.run {"stat", "-c", "%a", path}
            assert.equal(0, code)
            assert.equal("600\n", mode)
        end
    end)
end)

-- Handshakes in memory, each of which writes five lines; `shake` is what a connection does whose
-- key log loses some.
local prelude = [[
    local tls = require "tlslife"
    local cert, key, ca, path = ...
    local server = assert(tls.context {role = "server", certificate = cert, private_key = key,
        keylog = path})
    local client = assert(tls.context {role = "client", ca = ca})
    local function shake()
        local a, b = client:connection(), server:connection()
        a:set_blocking(false)
        b:set_blocking(false)
        a:set_hostname "localhost"
        tls.pair(a, b)
        local done, served
        for _ = 1, 20 do done, served = done or a:connect(), served or b:accept() end
        assert(done and served)
        a:free()
        b:free()
    end
]]

local function run(runner, chunk, path)
    local code, output = runner(prelude .. chunk, p.server_cert_file, p.server_key_file,
        p.ca_file, path)
    if not code then return end
    assert.equal(0, code, output)
    return output
end

-- Starts a command whose standard input is the FIFO. It has opened it when this returns.
local function start_reader(path, ...)
    sh("mkfifo -m 600 %s", path)
    local reader = process.start {"sh", "-c",
        "exec <>\"$1\"; echo open; shift; exec \"$@\"", "sh", path, ...}
    reader:wait_for "open"
    return reader
end

describe("the lines of a key log", function()
    for name, runner in pairs {["our program"] = program.run,
        ["a stock lua5.4"] = program.run_stock} do
        it("are lost in " .. name .. " without a signal when the FIFO's reader has gone", function()
            local path = path_of "gone"
            local reader = start_reader(path, "head", "-n", "5")
            local output = run(runner, [[
                shake()
                os.execute "sleep 0.3"
                for _ = 1, 3 do shake() end
                io.write "alive"
            ]], path)
            if not output then
                reader:stop()
                return
            end
            assert.equal("alive", output)
            assert.equal(0, reader:wait(20))
            assert.equal(5, select(2, reader:output():gsub("[%u_%d]+ %x+ %x+\n", "")))
        end)
    end

    it("are lost without waiting when the FIFO is full", function()
        local path = path_of "full"
        local reader = start_reader(path, "sleep", "30")
        local started = process.now()
        assert.equal("alive", run(program.run, "for _ = 1, 120 do shake() end io.write 'alive'",
            path))
        assert.is_true(process.now() - started < 20)
        reader:stop()
    end)

    it("are lost while the file cannot grow, and complete again when it can", function()
        local path = path_of "limit"
        local chunk = process.spill(path .. ".lua", prelude .. [[
            for _ = 1, 3 do shake() end
            local pid = io.open "/proc/self/stat":read "n"
            assert(os.execute("prlimit --fsize=unlimited --pid " .. pid))
            shake()
            io.write "alive"
        ]])
        local code, output = process.run {"sh", "-c", "ulimit -S -f 1; exec \"$@\"",
            "sh", program.path, chunk, p.server_cert_file, p.server_key_file, p.ca_file, path,
            timeout = 20}
        assert.equal(0, code, output)
        assert.equal("alive", output)
        local good, torn = 0, 0
        for line in io.lines(path) do
            if #line > 140 and line:match "^[%u_%d]+ %x+ %x+$" then
                good = good + 1
            else
                torn = torn + 1
            end
        end
        assert.is_true(good > 5 and good < 20)
        assert.equal(1, torn)
    end)
end)

describe("SSLKEYLOGFILE", function()
    -- What the program prints to stdout and stderr, with handshakes in a state of its own and,
    -- where it is told so, in a thread's.
    local HANDSHAKES = [[
        local tls = require "tlslife"
        local cert, key, ca, option = ...
        local server = assert(tls.context {role = "server", certificate = cert, private_key = key,
            keylog = false})
        local client, message = tls.context {role = "client", ca = ca, keylog = load(option)()}
        if not client then io.write("no context: ", message) os.exit(3) end
        local a, b = client:connection(), server:connection()
        a:set_blocking(false)
        b:set_blocking(false)
        a:set_hostname "localhost"
        tls.pair(a, b)
        for _ = 1, 4 do a:connect() b:accept() end
        assert(a:handshake_done())
        io.write "alive"
    ]]

    local function handshakes(file, option, words)
        local command = {program.path, timeout = 20, environment = {SSLKEYLOGFILE = file}}
        for _, word in ipairs(words or {}) do command[#command + 1] = word end
        local chunk = process.spill(path_of "chunk", HANDSHAKES)
        for _, word in ipairs {chunk, p.server_cert_file, p.server_key_file, p.ca_file,
            option or "return nil"} do command[#command + 1] = word end
        local code, output = process.run(command)
        return code, output
    end

    local function lines(path)
        return select(2, (process.slurp(path) or ""):gsub("[%u_%d]+ %x+ %x+\n", ""))
    end

    if not program.ours then return end

    it("makes the program's contexts log their keys, and say so", function()
        local path = path_of "environment"
        local code, output = handshakes(path)
        assert.equal(0, code, output)
        assert.truthy(output:find("SSLKEYLOGFILE: the keys of connections go to " .. path, 1, true))
        assert.truthy(output:find "alive", output)
        assert.equal(5, lines(path))
        local _, mode = process.run {"stat", "-c", "%a", path}
        assert.equal("600\n", mode)
    end)

    it("gives way to an option", function()
        local path, other = path_of "environment", path_of "option"
        assert.equal(0, (handshakes(path, ("return %q"):format(other))))
        assert.same({0, 5}, {lines(path), lines(other)})
        assert.equal(0, (handshakes(path, "return false")))
        assert.equal(0, lines(path))
    end)

    it("is ignored with -E, and where it is empty", function()
        local path = path_of "environment"
        local code, output = handshakes(path, nil, {"-E"})
        assert.equal(0, code, output)
        assert.equal("alive", output)
        assert.is_nil(process.slurp(path))
        code, output = handshakes ""
        assert.equal(0, code, output)
        assert.equal("alive", output)
    end)

    it("that cannot be used is reported, and does no harm", function()
        local path = path_of "open"
        sh("umask 0; touch %s; chmod 644 %s", path, path)
        local code, output = handshakes(path)
        assert.equal(0, code, output)
        assert.truthy(output:find("SSLKEYLOGFILE is not used: " .. path, 1, true), output)
        assert.truthy(output:find("others may read", 1, true), output)
        assert.truthy(output:find "alive", output)
        assert.equal(0, lines(path))
    end)

    it("may be a FIFO, and its reader sees one end of the file", function()
        local path = path_of "fifo"
        sh("mkfifo -m 600 %s", path)
        local reader = process.start {"sh", "-c", "cat \"$1\"; echo the end", "sh", path}
        local code, output
        for _ = 1, 50 do -- until the reader has opened it
            code, output = handshakes(path)
            if output:find "go to" then break end
        end
        assert.equal(0, code, output)
        assert.equal(0, reader:wait(10))
        local read = reader:output()
        assert.equal(5, select(2, read:gsub("[%u_%d]+ %x+ %x+\n", "")), read)
    end)

    it("applies in the program's threads", function()
        local path = path_of "threads"
        local code, output = process.run {program.path, "spec/program/program_threads.lua",
            p.server_cert_file, p.server_key_file, p.ca_file, timeout = 60,
            environment = {SSLKEYLOGFILE = path}}
        assert.equal(0, code, output)
        assert.equal(1, select(2, output:gsub("SSLKEYLOGFILE", "")), output)
        assert.is_true(lines(path) >= 40)
    end)
end)
