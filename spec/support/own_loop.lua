--- A loop that is not one of those that the module knows, with an adapter as docs/loops.md
-- describes it. It uses luv's poll handles, and serves only its own coroutines. It is a driver as
-- in spec/support/loops.lua.

local tls = require "tlslife"
local uv = require "luv"

local TIME = 20 -- seconds for one example

local driver

local function make()
    local ours, waiting, ready, left = setmetatable({}, {__mode = "k"}), {}, {}, 0

    local function go_on(co, result)
        local stop = waiting[co]
        waiting[co] = nil
        if stop then stop() end
        ready[#ready + 1] = function() assert(coroutine.resume(co, result)) end
    end

    --- Waits for a descriptor, for seconds, or both.
    local function wait(fd, mode, seconds)
        local co, handles = coroutine.running(), {}
        if fd then
            local poll = assert(uv.new_poll(fd))
            handles[#handles + 1] = poll
            poll:start(mode, function() go_on(co, true) end)
        end
        if seconds then
            local timer = uv.new_timer()
            handles[#handles + 1] = timer
            timer:start(math.ceil(seconds * 1000), 0, function() go_on(co, false) end)
        end
        waiting[co] = function() for _, handle in ipairs(handles) do handle:close() end end
        return coroutine.yield()
    end

    tls.loop {
        name = "own",
        running = function() return ours[coroutine.running()] == true end,
        wait = function(fd, mode, seconds) return wait(fd, mode, seconds) end,
        wake = function(co) if waiting[co] then go_on(co, true) end end,
    }

    return {
        name = "a loop of one's own",
        yields = true,
        spawn = function(f)
            left = left + 1
            local co = coroutine.create(function()
                f()
                left = left - 1
            end)
            ours[co] = true
            ready[#ready + 1] = function() assert(coroutine.resume(co)) end
        end,
        run = function()
            uv.update_time()
            local deadline, watch = uv.hrtime() + TIME * 1e9, uv.new_timer()
            watch:start(0, 500, function() end) -- makes uv.run return, which looks at the time then
            while left > 0 and uv.hrtime() < deadline do
                local now = ready
                ready = {}
                for _, f in ipairs(now) do f() end
                if left > 0 then uv.run(#ready > 0 and "nowait" or "once") end
            end
            watch:close()
            uv.run "nowait"
            local hanging = left
            left = 0
            if hanging > 0 then error "the time is up" end
        end,
        sleep = function(seconds) wait(nil, nil, seconds) end,
    }
end

return function()
    driver = driver or make()
    return driver
end
