-- tlslife.probe.jobs: runs functions in coroutines of luv's loop, at most so many at once, so that
-- hundreds of addresses are probed by one process with a bounded number of sockets.

local uv = require "luv"

local jobs = {}

--- Calls each(item, index) for every item, at most limit at once, and returns their results in the
-- order of the items when all are done. done(count) is called after each. An error in one is its
-- result: {failed = message}. To be called outside of coroutines.
function jobs.run(items, limit, each, done)
    local results, started, finished = {}, 0, 0
    local function worker()
        while started < #items do
            started = started + 1
            local index = started
            local ok, result = xpcall(each, debug.traceback, items[index], index)
            results[index] = ok and (result or true) or {failed = result}
            finished = finished + 1
            if done then done(finished) end
        end
    end
    for _ = 1, math.min(limit, #items) do coroutine.wrap(worker)() end
    uv.run()
    return results
end

--- Waits. To be called in a job.
function jobs.sleep(seconds)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(math.ceil(seconds * 1000), 0, function()
        timer:close()
        coroutine.resume(co)
    end)
    coroutine.yield()
end

--- Seconds of a clock that is not set back.
function jobs.now()
    return uv.hrtime() / 1e9
end

return jobs
