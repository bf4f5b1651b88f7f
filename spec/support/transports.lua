--- Transports and protocols below TLS, for spec/net/transports_spec.lua. The server runs in the
-- process of the specs, or in another one (serve).
--
-- A row has these fields:
--   name
--   address                where the server listens
--   options                of the listener
--   client(conn, context)  what the client does until TLS begins; returns the connection that
--                          speaks TLS if that is another one
--   server(conn, context)  the same of the server
--   check(conn)            assertions on the server, after the handshake

local tls = require "tlslife"

local transports = {}

local BLOCK <const> = ("0123456789abcdef"):rep(20000) -- more than a socket's buffer holds at once
local SECONDS <const> = 20

local function line(conn)
    local got = ""
    repeat got = got .. assert(conn:plain_read(1)) until got:sub(-1) == "\n"
    return got
end

local function ask_for_tls(conn)
    assert(line(conn) == "220 hello\n")
    assert(conn:plain_write "STARTTLS\n")
    assert(line(conn) == "220 go ahead\n")
end

local function offer_tls(conn)
    assert(conn:plain_write "220 hello\n")
    assert(line(conn) == "STARTTLS\n")
    assert(conn:plain_write "220 go ahead\n")
end

local function proxied(version, header, address)
    return {
        name = "PROXY " .. version, address = "127.0.0.1:0",
        options = {proxy_protocol = version, proxy_from = {"127.0.0.1"}},
        client = function(conn) assert(conn:plain_write(header)) end,
        check = function(conn) assert(conn:peer_address() == address, conn:peer_address()) end,
    }
end

local V1 <const> = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
local V2 <const> = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\12\192\0\2\1\192\0\2\2" ..
    (">I2I2"):pack(56324, 443)
local FROM <const> = "192.0.2.1:56324"

local all = {
    {name = "TCP", address = "127.0.0.1:0"},
    {name = "a Unix socket", address = "unix"},
    proxied("v1", V1, FROM),
    proxied("v2", V2, FROM),
    {name = "STARTTLS", address = "127.0.0.1:0", client = ask_for_tls, server = offer_tls},
    {
        name = "PROXY, then STARTTLS, over a Unix socket", address = "unix",
        options = {proxy_protocol = true, proxy_from = {"unix"}},
        client = function(conn)
            assert(conn:plain_write(V2))
            ask_for_tls(conn)
        end,
        server = offer_tls,
        check = function(conn) assert(conn:peer_address() == FROM, conn:peer_address()) end,
    },
    {
        name = "TLS in TLS", address = "127.0.0.1:0",
        client = function(conn, context)
            assert(conn:connect())
            local inner = assert(context:connection())
            inner:set_hostname "localhost"
            assert(inner:set_connection(conn))
            return inner
        end,
        server = function(conn, context)
            assert(conn:accept())
            local inner = assert(context:connection())
            assert(inner:set_connection(conn))
            return inner
        end,
    },
    {
        name = "STARTTLS within TLS", address = "unix",
        client = function(conn, context)
            assert(conn:connect())
            local inner = assert(context:connection())
            inner:set_hostname "localhost"
            assert(inner:set_connection(conn))
            ask_for_tls(inner)
            return inner
        end,
        server = function(conn, context)
            assert(conn:accept())
            local inner = assert(context:connection())
            assert(inner:set_connection(conn))
            offer_tls(inner)
            return inner
        end,
    },
}
transports.rows = all

function transports.contexts(pki)
    local function context(options)
        options.timeout = SECONDS
        return assert(tls.context(options))
    end
    return {
        client = context {role = "client", ca = pki.ca_file},
        server = context {role = "server", certificate = pki.server_cert_file,
            private_key = pki.server_key_file},
    }
end

local count = 0

--- Makes a listener. Returns it and the address for clients.
function transports.listen(row, directory)
    if row.address ~= "unix" then
        local listener = assert(tls.listen(row.address, nil, row.options))
        return listener, "127.0.0.1:" .. listener:port()
    end
    count = count + 1
    local name = ("unix:%s/transport%d.%s"):format(directory, count, tostring(row):match "0x(.*)")
    return assert(tls.listen(name, nil, row.options)), name
end

local function read_block(conn)
    local pieces, have = {}, 0
    while have < #BLOCK do
        local bytes = assert(conn:read())
        have, pieces[#pieces + 1] = have + #bytes, bytes
    end
    assert(table.concat(pieces) == BLOCK)
end

--- Runs the client.
function transports.visit(row, context, address)
    local conn <close> = assert(context:connection())
    conn:set_hostname "localhost"
    assert(conn:dial(address))
    local over = row.client and row.client(conn, context) or conn
    assert(over:connect())
    assert(over:write(BLOCK) == #BLOCK)
    read_block(over)
    assert(over:close(SECONDS) == "done")
    if over ~= conn then assert(conn:close(SECONDS) == "done") end -- close_notify at each layer
end

--- Runs the server for one client.
function transports.attend(row, context, listener)
    local conn <close> = assert(listener:accept(context, SECONDS))
    local over = row.server and row.server(conn, context) or conn
    assert(over:accept())
    if row.check then row.check(over) end
    read_block(over)
    assert(over:write(BLOCK) == #BLOCK)
    assert(select(2, over:read()) == "closed")
    assert(over:close(SECONDS) == "done")
    if over ~= conn then
        assert(select(2, conn:read()) == "closed")
        assert(conn:close(SECONDS) == "done")
    end
end

--- Runs the server for one client in another process, with blocking calls.
function transports.serve(name, directory, certificate, key)
    local row
    for _, one in ipairs(all) do if one.name == name then row = one end end
    local listener <close>, address = transports.listen(row, directory)
    print("listening at " .. address)
    io.stdout:flush()
    transports.attend(row, transports.contexts {server_cert_file = certificate,
        server_key_file = key}.server, listener)
    print "well done"
end

return transports
