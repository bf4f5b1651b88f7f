-- leak_on_purpose.lua: loses connections, sessions and contexts for good, so that `./dev test` can
-- prove that its check for leaks sees them. A userdata without its metatable is one that the
-- collector cannot free: it forgets the object.

local tls = require "tlslife"

for _ = 1, 10 do
    local conn = assert(tls.context {role = "client", verify = "none"}):connection()
    debug.setmetatable(conn, nil)
end
collectgarbage()
