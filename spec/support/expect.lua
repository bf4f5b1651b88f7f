--- Assertions about the result of a call, by the kinds of results in lua/tlslife/types.lua.
--
--   -- a mistake of the program: raises, with a message that matches
--   expect.raises("freed", client.read, client)
--   -- a failure: nil, a sentence, a tlslife.Error
--   local err = expect.fails("verify", client:connect())
--   -- a wait or an end: nil and the word, without an error
--   expect.word("want_read", client:read())
--   -- raises, with any message; `what` goes into the message if it does not
--   expect.refused(what, conn.read, conn, -1)
--
-- Specs check thousands of calls, also with the collector at full pressure. So this is plain Lua,
-- which makes less garbage than luassert.

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
