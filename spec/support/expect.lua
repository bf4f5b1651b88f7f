--- What the specs expect of calls, in the words of lua/tlslife/types.lua.
--
--   -- a mistake of the program: raised, and the message matches
--   expect.raises("freed", client.read, client)
--   -- what the world did: nil, a sentence, a tlslife.Error
--   local err = expect.fails("verify", client:connect())
--   -- a wait or an end: nil, the word, nothing more
--   expect.word("want_read", client:read())
--   -- raised, whatever it says; what goes into the failure's message
--   expect.refused(what, conn.read, conn, -1)
--
-- Thousands of calls are looked at, also with the collector at its busiest: so this is plain Lua,
-- not luassert.

local expect = {}

local function check(good, ...)
    if not good then error(string.format(...), 3) end
end

function expect.raises(pattern, call, ...)
    local ok, raised = pcall(call, ...)
    local text = tostring(raised)
    check(not ok, "nothing was raised; expected something with %q", pattern)
    check(text:lower():find(pattern:lower()), "%q was raised; expected something with %q",
        text, pattern)
    return raised
end

function expect.refused(what, call, ...)
    check(not pcall(call, ...), "%s: nothing was raised", tostring(what))
end

function expect.fails(code, result, message, err)
    check(result == nil, "%s was returned; expected a failure %q", tostring(result), code)
    check(type(message) == "string", "the message is a %s", type(message))
    check(type(err) == "table", "no error beside %q", message)
    check(err.code == code, "%q has the code %q; expected %q", message, tostring(err.code), code)
    check(err.message == message and tostring(err) == message, "%q and %q are one failure's",
        message, tostring(err))
    check(type(err.queue) == "table", "%q has no queue", message)
    return err
end

function expect.word(word, result, message, err)
    check(result == nil and message == word and err == nil,
        "%s, %s, %s was returned; expected nil, %q", tostring(result), tostring(message),
        tostring(err), word)
end

return expect
