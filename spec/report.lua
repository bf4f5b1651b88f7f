-- report.lua: prints for busted a line for each file, each failure when it happens, and at the end
-- the line "N passed, N failed", which a shell script can read. A pending test is neither, so it is
-- printed, too.

return function()
    local busted = require "busted"
    local report = require "busted.outputHandlers.base"()
    local passed_before, began

    local function failed()
        return report.failuresCount + report.errorsCount
    end

    local function say(...)
        io.write(...)
        io.flush()
        return nil, true
    end

    local function describe(element, what, message, trace)
        if type(message) ~= "string" then
            message = require "pl.pretty".write(message)
        end
        say("  ", what, ": ", report.getFullName(element), "\n    ",
            (message:gsub("\n", "\n    ")), "\n")
        if trace and trace.traceback then
            say("    ", (trace.traceback:gsub("^\n", ""):gsub("\n", "\n    ")), "\n")
        end
    end

    local function fail(element, _, message, trace)
        describe(element, "FAILED", message, trace)
        return nil, true
    end

    function report.fileStart()
        passed_before, began = report.successesCount, require "system".monotime()
        return nil, true
    end

    function report.fileEnd(file)
        return say(("%-36s %4d passed %6.1f s\n"):format(file.name,
            report.successesCount - passed_before, require "system".monotime() - began))
    end

    local pending_test = report.basePending

    -- All of a file is pending where what it is made of asks for a module that is not there.
    function report.basePending(element, parent, message, trace)
        if element.descriptor == "it" then
            return pending_test(element, parent, message, trace)
        end
        report.pendingsCount = report.pendingsCount + 1
        describe(element, "pending", type(message) == "table" and message.message or message)
        return nil, true
    end

    function report.testEnd(element, _, status)
        local waiting = status == "pending" and report.pendings[#report.pendings]
        if waiting then
            describe(element, "pending", waiting.message or "without a reason")
        end
        return nil, true
    end

    function report.suiteEnd()
        if report.pendingsCount > 0 then
            say(("%d pending\n"):format(report.pendingsCount))
        end
        return say(("%d passed, %d failed\n"):format(report.successesCount, failed()))
    end

    busted.subscribe({ "file", "start" }, report.fileStart)
    busted.subscribe({ "file", "end" }, report.fileEnd)
    busted.subscribe({ "test", "end" }, report.testEnd)
    busted.subscribe({ "suite", "end" }, report.suiteEnd)
    busted.subscribe({ "failure" }, fail)
    busted.subscribe({ "error" }, fail)
    return report
end
