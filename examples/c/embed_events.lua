-- The script of embed_events.c, whose function runs in a coroutine for each connection. It echoes
-- what it reads, and returns when the peer has closed, or was silent for ten seconds. The line
-- "fail" makes it raise, which ends this connection and no other one.

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
