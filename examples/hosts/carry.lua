-- carry.lua: a TLS connection over a socket that another program owns. That program moves the
-- bytes; the connection takes them by feed and gives them by drain.
--
--   local carry = require "carry"
--   local call = carry(conn, receive, send)
--   assert(call("accept")); local bytes = call("read"); call("write", bytes); call("close")
--
-- receive(n) returns up to n bytes of that program's socket, or nil at the end of the stream. It
-- waits as the program always waits. A function that returns only when it has all n is never asked
-- for more than will come, because each record says its length in its first five bytes. send(bytes)
-- writes them.
local HEAD <const> = 5

return function(conn, receive, send)
    conn:set_memory()
    conn:set_blocking(false) -- no call may wait, since only that program can move bytes

    local function feed(n)
        local bytes = receive(n)
        if not bytes or bytes == "" then
            conn:feed_eof()
            return nil
        end
        local i = 1
        while i <= #bytes do i = i + conn:feed(bytes, i) end
        return bytes
    end

    local function feed_record()
        local head = ""
        while #head < HEAD do
            local more = feed(HEAD - #head)
            if not more then return end
            head = head .. more
        end
        local left = (">I2"):unpack(head, HEAD - 1)
        while left > 0 do
            local more = feed(left)
            if not more then return end
            left = left - #more
        end
    end

    local function flush()
        local bytes = conn:drain()
        while bytes ~= "" do
            send(bytes)
            bytes = conn:drain()
        end
    end

    -- calls a method of the connection until it wants nothing more
    return function(method, ...)
        while true do
            local result, why, err = conn[method](conn, ...)
            flush()
            if why == "want_read" then
                feed_record()
            elseif why ~= "want_write" then
                return result, why, err
            end
        end
    end
end
