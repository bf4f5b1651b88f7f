-- http.lua: answers HTTP requests for the Lua servers of bench/server.lua, which differ only in the
-- library that carries the bytes.
--
-- It does what bench/server/plain.c does. It answers GET / with three bytes and GET /big with 64
-- blocks of 16 KiB, and keeps the connection until the client ends it or says "Connection: close".
local find <const>, match <const>, sub <const> = string.find, string.match, string.sub

local HEAD <const> =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: "
local SMALL <const> = HEAD .. "3\r\n\r\nok\n"
local BIG <const> = HEAD .. "1048576\r\n\r\n"
local BLOCK <const> = ("b"):rep(16384)
local BLOCKS <const> = 64

--- One client's requests, one after the other. read(stream) gives bytes or nil, write(stream,
--- bytes) something true when all have gone out. once: returns true after the answers to what has
--- come, instead of reading more.
return function(stream, read, write, once)
    local came = read(stream)
    while came do
        local _, stop = find(came, "\r\n\r\n", 1, true)
        while not stop do
            local more = read(stream)
            if not more then return end
            came = came .. more
            _, stop = find(came, "\r\n\r\n", 1, true)
        end
        local path = match(came, "^GET (%S+) HTTP/1%.%d\r\n")
        if path == "/" then
            if not write(stream, SMALL) then return end
        elseif path == "/big" then
            if not write(stream, BIG) then return end
            for _ = 1, BLOCKS do
                if not write(stream, BLOCK) then return end
            end
        else
            return
        end
        if find(came, "onnection:", 1, true) and
            find(sub(came, 1, stop), "\r\n[Cc]onnection:[ \t]*close\r\n") then
            return
        end
        if once and stop == #came then return true end
        came = stop < #came and sub(came, stop + 1) or read(stream)
    end
end
