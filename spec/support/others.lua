--- The test suites of other projects: which of their cases ask about sessions and about the end of
-- a connection, and where each is answered here.
--
--   local others = require "spec.support.others"
--   local suite = others.suite(it, {
--       ["resume.rs: resumption_combinations"] = others.HERE,
--       ["test_19_shutdown.py: test_19_02"] = {"spec/shutdown_spec.lua", "both ends shut down"},
--       ["quic.rs: test_quic_resumption_data_0rtt"] = "there is no QUIC here",
--   })
--   suite.answer("resume.rs: resumption_combinations", "what holds here", function() ... end)
--   suite.check()
--
-- The cases were read for what they ask. Nothing was copied of them, and where the other project
-- behaves otherwise than we do, the RFC or OpenSSL's manual page decides, and a comment says so.

local pair = require "spec.support.pair"
local process = require "spec.support.process"

local others = {}

others.HERE = "here"

--- The cases of one suite. The value of a case is HERE, {a file of ours, what it shows}, or a
-- sentence that says why it does not apply. it is busted's: a module does not see it.
function others.suite(it, cases)
    local suite, answered = {}, {}

    --- An example that answers one case, or a list of them.
    function suite.answer(which, behaviour, check)
        which = type(which) == "table" and which or {which}
        for _, case in ipairs(which) do
            if cases[case] ~= others.HERE then error(case .. " is not listed as answered", 2) end
            answered[case] = true
        end
        it(("%s (%s)"):format(behaviour, table.concat(which, "; ")), check)
    end

    --- Each case has an example here or elsewhere, or a reason.
    function suite.check()
        for case, how in pairs(cases) do
            it("has an answer: " .. case, function()
                if how == others.HERE then
                    assert(answered[case], "no example answers it")
                elseif type(how) == "table" then
                    assert(process.slurp(how[1]) and how[2], "there is no such file")
                else
                    assert(#how > 10, "no reason is given")
                end
            end)
        end
    end

    return suite
end

--- One connection that ends well: by name the words of both ends for how it resumed, the client's
-- version, cipher and new sessions (oldest first), and the client's certificates as the server has
-- them. options are those of pair.join.
function others.visit(options)
    local client, server = pair.connect(options)
    local seen = {client = client:resumption(), server = server:resumption(), sessions = {},
        version = client:version(), cipher = client:cipher(), peer = server:peer_certificates()}
    assert(client:session_reused() == (seen.client == "resumed"))
    assert(server:session_reused() == (seen.server == "resumed"))
    pair.finish(client, server)
    for session in function() return client:take_session() end do
        seen.sessions[#seen.sessions + 1] = session
    end
    client:free()
    server:free()
    return seen
end

--- The client's word alone of such a connection.
function others.word(client, server, session)
    return others.visit({client = client, server = server, session = session}).client
end

return others
