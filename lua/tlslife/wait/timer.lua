-- tlslife.wait.timer: makes a timer of luv that can be started when memory is short.
--
-- luv allocates a record of the function when a timer is started for the first time, and raises if
-- there is no memory. So the timer is started here, and stopped at once: luv keeps the record, and
-- start and again need no memory for the same function.

local uv = require "luv"

local LONG <const> = 86400000 -- ms, which never pass

return function(on_time)
    local timer = uv.new_timer()
    timer:start(LONG, LONG, on_time)
    timer:stop()
    return timer
end
