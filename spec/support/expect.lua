--- What the specs expect of calls, in the words of lua/tlslife/types.lua.
--
--   expect.raises("freed", client.read, client)           a mistake of the program: raised, and the message matches
--   local err = expect.fails("verify", client:connect())  what the world did: nil, a sentence, a tlslife.Error
--   expect.word("want_read", client:read())               a wait or an end: nil, the word, nothing more

local assert = require "luassert"

local expect = {}

function expect.raises(pattern, call, ...)
    local ok, raised = pcall(call, ...)
    assert.is_false(ok, "nothing was raised")
    assert.truthy(tostring(raised):lower():find(pattern:lower()), ("%q does not match %q"):format(tostring(raised), pattern))
    return raised
end

function expect.fails(code, result, message, err)
    assert.is_nil(result)
    assert.equal("string", type(message))
    assert.equal("table", type(err), message)
    assert.equal(code, err.code, message)
    assert.equal(message, err.message)
    assert.equal(message, tostring(err))
    assert.equal("table", type(err.queue))
    return err
end

function expect.word(word, result, message, err)
    assert.is_nil(result)
    assert.equal(word, message)
    assert.is_nil(err)
end

return expect
