-- process_spec.lua: tests spec/support/process.lua, by which all specs start other programs. It
-- ends what it started, however this process ends.

local process = require "spec.support.process"

--- Whether a process of that id runs: one that only waits to be reaped does not.
local function runs(pid)
    local status = process.slurp("/proc/" .. pid .. "/stat")
    return status ~= nil and not status:match "%) Z "
end

local function eventually(seconds, test)
    local deadline = process.now() + seconds
    while not test() and process.now() < deadline do process.sleep(0.01) end
    return test()
end

describe("a program in the background", function()
    after_each(process.stop_all)

    it("gives its exit status and all of its output", function()
        local status, output = process.run {"sh", "-c", "echo out; echo \"$WORD\" >&2; exit 3",
            environment = {WORD = "it's"}}
        assert.equal(3, status)
        assert.equal("out\nit's\n", output)
    end)

    it("gets input, and its end", function()
        local one = process.start {"cat", stdin = true}
        one:write "a word\n"
        assert.equal("word", one:wait_for "a (%a+)")
        one:finish_input()
        assert.equal(0, one:wait(20))
        assert.same({0, "all of it"}, {process.run {"cat", stdin = "all of it"}})
    end)

    it("is waited for until the time that was given", function()
        local one = process.start {"sleep", 20}
        assert.error_matches(function()
            one:wait_for("anything", 0.05)
        end, "no \"anything\" in time")
        assert.error_matches(function() one:wait(0.05) end, "did not end in time")
        assert.is_number(one:exit_status())
    end)

    it("is killed by its own time limit", function()
        assert.equal(124, (process.run {"sleep", 20, timeout = 0.1}))
    end)

    it("that cannot be started gives a status other than 0", function()
        local one = process.start {"/no/such/program"}
        assert.error_matches(function()
            one:wait_for_port(1)
        end, "ended with status 127 before port 1")
    end)

    it("is stopped together with its children", function()
        local one = process.start {"sh", "-c", "sleep 20 & echo child $!; wait"}
        local child = one:wait_for "child (%d+)\n"
        assert.is_true(runs(child))
        one:stop()
        assert.is_true(eventually(20, function() return not runs(child) end))
    end)

    it("ends with the process that started it, and its files are removed", function()
        local script = process.spill(process.directory() .. "/dies.lua", [[
            local process = require "spec.support.process"
            local one = process.start {"sh", "-c", "echo pid $$; exec sleep 20"}
            print("pid", (one:wait_for "pid (%d+)"))
            print("directory", one.directory)
            io.stdout:flush()
            os.execute "kill -KILL $PPID"
        ]])
        local status, output = process.run {arg[-1], script,
            environment = {LUA_PATH = package.path}}
        assert.equal(137, status)
        local pid, directory = output:match "pid\t(%d+)", output:match "directory\t([^\n]+)"
        assert.matches("/run1$", directory)
        assert.is_true(eventually(20, function() return not runs(pid) end))
        assert.is_true(eventually(20, function() return not process.slurp(directory .. "/out") end))
    end)
end)

describe("a directory", function()
    -- Busted runs all files of specs in one process.
    it("is of one file alone", function()
        local function of(file)
            return assert(load("return (require 'spec.support.process'.directory())", "@" .. file))
        end
        local one, other = of "spec/one_of_two.lua", of "spec/other_of_two.lua"
        process.spill(one() .. "/request", "one's")
        process.spill(other() .. "/request", "other's")
        assert.equal("one's", process.slurp(one() .. "/request"))
        assert.equal("other's", process.slurp(other() .. "/request"))
    end)
end)

describe("a free port", function()
    it("is another one each time", function()
        local given = {}
        for _ = 1, 500 do
            local port = process.free_port()
            assert.is_nil(given[port])
            given[port] = true
        end
    end)

    it("is one on which nobody listens", function()
        local port = process.free_port()
        assert.is_false(process.is_listening(port))
        local one = process.start {"openssl", "s_server", "-accept", port, "-nocert"}
        one:wait_for_port(port)
        assert.is_true(process.is_listening(port))
        one:stop()
    end)
end)
