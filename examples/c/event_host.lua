-- What event_host.c runs for each connection, in a coroutine: an echo of lines. It gives the
-- connection back when the peer has ended, or said nothing for ten seconds. "fail" makes it fail,
-- which is its own affair and no other connection's.

local served = 0

return function(conn)
    conn:set_timeout(10)
    served = served + 1
    print(("%d\t%s\t%s"):format(served, conn:version(), conn:resumption()))
    local bytes, why = conn:read() -- looks as if it waited; other connections go on
    while bytes do
        if bytes == "fail\n" then error "as asked" end
        if not conn:write(bytes) then break end
        bytes, why = conn:read()
    end
    print("end", why)
    return conn
end
