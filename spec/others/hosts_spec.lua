-- hosts_spec.lua: runs examples/hosts, which is the module inside of HAProxy, Apache, Kamailio,
-- nmap and tshark, where this Debian has them with the Lua that the module is for.

local process = require "spec.support.process"
local program = require "spec.support.program"
local pki = require("spec.support.pki").get()
local tls = require "tlslife"

local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
if program.is_sanitized() then return end -- a program without the sanitizer cannot load the module

local LUA <const> = _VERSION:match "%d+%.%d+"
local APACHE <const> = "/usr/lib/apache2/modules"

local function output_of(...)
    local _, output = process.run {"sh", "-c", ...}
    return output
end

-- Whether what the command prints names our Lua.
local function has_lua(command)
    local found = output_of(command):match "[lL]ua ?(5%.%d)"
    return found == LUA, found and "it has Lua " .. found or "it is not there"
end

local function here()
    return (output_of "pwd -P":match "[^\n]+")
end

-- A copy of examples/hosts with cert.pem and key.pem, and the environment for a program in it.
local directory, environment
local function prepare()
    if directory then return end
    directory = process.directory() .. "/hosts"
    output_of('mkdir "$0" && cp examples/hosts/* "$0" && cp "$1" "$0/cert.pem" && ' ..
        'cp "$2" "$0/key.pem"', directory, pki.server_cert_file,
        pki.server_key_file)
    environment = {
        LUA_PATH = here() .. "/lua/?.lua;" .. here() .. "/lua/?/init.lua;./?.lua;;",
        LUA_CPATH = BUILD .. "/lua/?.so;;",
        SECRET = ("s"):rep(32), MODULES = "/etc/apache2/mods-available",
    }
end

local function start(port, command)
    prepare()
    environment.PORT = port
    return process.start {"sh", "-c", 'cd "$0" && exec sh -c "$1"', directory, command,
        environment = environment, timeout = 40}
end

local function client()
    return assert(tls.context {role = "client", ca = pki.ca_file, timeout = 20})
end

-- Starts a program by this command. Returns the port at which it listens.
local function listening(command)
    finally(process.stop_all)
    local port = process.free_port()
    start(port, command):wait_for_port(port, 20)
    return port
end

-- n visits, each of which says a word through carry(conn) and resumes the session of the one before
local function visits(n, open)
    local context, session = client(), nil
    for i = 1, n do
        local conn, call = open(context)
        conn:set_session(session)
        conn:set_hostname "localhost"
        assert(call "connect")
        for _, word in ipairs {"hello", ("x"):rep(40000)} do
            assert(call("write", word))
            local answer = ""
            while #answer < #word do answer = answer .. assert(call("read")) end
            assert.equal(word, answer)
        end
        assert.equal(i > 1, conn:session_reused())
        assert.equal("sent", (call "shutdown"))
        assert.same({nil, "closed"}, {call "read"})
        session = conn:session()
        conn:close()
    end
end

describe("the module in HAProxy", function()
    local is_there, why = has_lua "haproxy -vv 2>&1 | grep 'Built with Lua'"

    it("serves TLS over the sockets of its threads", function()
        if not is_there then
            pending(why)
            return
        end
        local port = listening "exec haproxy -db -f haproxy.cfg"
        visits(6, function(context)
            local conn = assert(context:connection())
            assert(conn:dial("localhost", port))
            return conn, function(method, ...) return conn[method](conn, ...) end
        end)
    end)
end)

-- A frame of a WebSocket, as a client sends it: with a mask, here of zeros.
local function frame(bytes)
    local length = #bytes < 126 and ("B"):pack(0x80 | #bytes) or
        (">BI2"):pack(0x80 | 126, #bytes)
    return "\x82" .. length .. "\0\0\0\0" .. bytes
end

-- What the next frame holds, read from plain().
local function unframed(plain, kept)
    local function need(n)
        while #kept < n do kept = kept .. assert(plain()) end
    end
    need(2)
    local length, at = kept:byte(2), 3
    if length == 126 then
        need(4)
        length, at = (">I2"):unpack(kept, 3)
    elseif length == 127 then
        need(10)
        length, at = (">I8"):unpack(kept, 3)
    end
    need(at - 1 + length)
    return kept:sub(at, at - 1 + length), kept:sub(at + length)
end

describe("the module in Apache", function()
    local is_there, why = has_lua("ldd " .. APACHE .. "/mod_lua.so | grep -o 'liblua5.[0-9]'")

    it("serves TLS inside of a WebSocket", function()
        if not is_there then
            pending(why)
            return
        end
        local carry = dofile "examples/hosts/carry.lua"
        local port = listening 'exec apache2 -d "$PWD" -f apache.conf -X'
        visits(3, function(context)
            local plain = assert(context:connection())
            assert(plain:dial("localhost", port))
            assert(plain:plain_write("GET /echo HTTP/1.1\r\nHost: localhost\r\n" ..
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" ..
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
            local function read() return plain:plain_read(4096) end
            local kept = ""
            while not kept:find "\r\n\r\n" do kept = kept .. assert(read()) end
            assert.truthy(kept:find("^HTTP/1.1 101"), kept)
            kept = kept:match "\r\n\r\n(.*)"
            local inner, bytes = assert(context:connection()), ""
            return inner, carry(inner, function(n)
                while bytes == "" do bytes, kept = unframed(read, kept) end
                local part = bytes:sub(1, n)
                bytes = bytes:sub(n + 1)
                return part
            end, function(sent) assert(plain:plain_write(frame(sent))) end)
        end)
    end)
end)

describe("the module in nmap", function()
    local is_there, why = has_lua "nmap --version | grep -o 'liblua-5.[0-9]' | tr -d -- -"

    it("makes a handshake over its socket", function()
        if not is_there then
            pending(why)
            return
        end
        prepare()
        local port = listening(
            "exec openssl s_server -quiet -accept $PORT -cert cert.pem -key key.pem")
        local scan = start(port, "exec nmap -n -Pn -sT -p $PORT --script ./nmap.nse 127.0.0.1")
        assert.equal(0, scan:wait(30), scan:output())
        assert.truthy(scan:output():find("version: TLSv1.3", 1, true), scan:output())
        assert.truthy(scan:output():find("subject: CN=", 1, true), scan:output())
    end)
end)

describe("the module in Kamailio", function()
    local is_there, why = has_lua("ldd /usr/lib/*/kamailio/modules/app_lua.so | " ..
        "grep -o 'liblua5.[0-9]'")

    it("serves TLS inside of POST requests", function()
        if not is_there then
            pending(why)
            return
        end
        local port = listening("exec kamailio -DD -E -f kamailio.cfg -l tcp:127.0.0.1:$PORT " ..
            '-Y "$PWD" -w "$PWD" -m 16')
        visits(3, function(context)
            local plain = assert(context:connection())
            assert(plain:dial("localhost", port))
            local inner, kept = assert(context:connection()), ""
            inner:set_memory()
            inner:set_blocking(false)
            local function read_more() kept = kept .. assert(plain:plain_read(4096)) end
            -- Posts bytes, and feeds the answer's body.
            local function post(bytes)
                local digits = bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
                assert(plain:plain_write(("POST / HTTP/1.1\r\nHost: localhost\r\n" ..
                    "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"):format(#digits,
                    digits)))
                while not kept:find "\r\n\r\n" do read_more() end
                local head = kept:match "^.-\r\n\r\n"
                local length = tonumber(head:match "[Cc]ontent%-[Ll]ength: (%d+)")
                while #kept < #head + length do read_more() end
                local body = kept:sub(#head + 1, #head + length):gsub("%x%x", function(two)
                    return string.char(tonumber(two, 16))
                end)
                kept = kept:sub(#head + length + 1)
                local i = 1
                while i <= #body do i = i + inner:feed(body, i) end
            end
            -- Posts what the client has to send, in parts that Kamailio's buffer takes.
            local function post_all()
                local bytes = inner:drain()
                if bytes == "" then return post "" end
                while bytes ~= "" do
                    for at = 1, #bytes, 4000 do post(bytes:sub(at, at + 3999)) end
                    bytes = inner:drain()
                end
            end
            return inner, function(method, ...)
                local results
                for _ = 1, 50 do
                    results = table.pack(inner[method](inner, ...))
                    if results[2] ~= "want_read" and results[2] ~= "want_write" then break end
                    post_all()
                end
                if method ~= "connect" then post_all() end
                return table.unpack(results, 1, results.n)
            end
        end)
    end)
end)
