-- talk_spec.lua: tests what `tlslife probe` makes of the plain words of a server that wants to hold
-- it. spec/fuzz/readers.lua tries such words at random.

local talk = require "tlslife.probe.talk"

-- What a server says again and again, without an end of a line.
local ENDLESS <const> = {
    ftp = "220", imap = "a OK", lmtp = "2", pop3 = "+OK", sieve = "OK", smtp = "a",
    xmpp = "<proceed",
}
local GREETINGS <const> = {imap = "* OK hello\r\n", pop3 = "+OK hello\n",
    xmpp = "<stream:features></stream:features>"}

-- A connection whose server greets, and then says these words without end.
local function conn_of(greeting, words)
    local piece = words:rep(4096 // math.max(#words, 1))
    return {
        set_timeout = function() end,
        plain_write = function(_, bytes, from) return #bytes - (from or 1) + 1 end,
        plain_read = function()
            local now = greeting or piece
            greeting = nil
            return now
        end,
    }
end

describe("a server that is probed", function()
    for name, words in pairs(ENDLESS) do
        it("holds the probe by no long line: " .. name, function()
            local began = os.clock()
            local ok, why = talk.protocols[name].start(conn_of(GREETINGS[name], words), "a", 1000)
            assert.is_nil(ok)
            assert.matches("in 65536 bytes$", why)
            assert.is_true(os.clock() - began < 20) -- it was minutes
        end)
    end

    it("has no more time than was given, however much it sends", function()
        local ok, why = talk.protocols.smtp.start(conn_of(nil, "a"), "a", 0)
        assert.is_nil(ok)
        assert.equal("no greeting: timeout", why)
    end)

    it("is understood where its answer has several lines", function()
        local said = {"* OK hello\r\n", "* a OK\r\na OK be", "gin\r\n"}
        local conn = conn_of(nil, "")
        conn.plain_read = function() return table.remove(said, 1) end
        assert.is_true(talk.protocols.imap.start(conn, "a", 20))
        said = {"+OK hello\n", "-ERR no\r\n"}
        local ok, why = talk.protocols.pop3.start(conn, "a", 20)
        assert.is_nil(ok)
        assert.equal("instead of answer to STLS the server says: -ERR no", why)
    end)
end)
