--- Compares our specs with the test suites of other projects: each of their cases about sessions
-- and about the end of a connection must have an example here, or a reason why it does not apply.
--
--   local others = require "spec.support.others"
--   local suite = others.suite(it, {
--       ["resume.rs: resumption_combinations"] = others.HERE,
--       ["test_19_shutdown.py: test_19_02"] = {"spec/conn/shutdown_spec.lua",
--           "is sent, then received, then done"},
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

--- Makes the table of cases that suite takes from a list whose entries are {how, name, ...}:
-- several cases that are answered in one way. Names without a slash get the prefix. A name that is
-- there twice raises.
function others.cases(prefix, list)
    local cases = {}
    for _, entry in ipairs(list) do
        for i = 2, #entry do
            local name = entry[i]:find("/", 1, true) and entry[i] or prefix .. entry[i]
            if cases[name] then error(name .. " is listed twice", 2) end
            cases[name] = entry[1]
        end
    end
    return cases
end

--- Declares the cases of one suite. The value of a case is HERE (an example of this file), {a file
-- of ours, words of the title of its example}, or a sentence that says why it does not apply. The
-- argument it is busted's function, which a module does not see.
function others.suite(it, cases)
    local suite, answered = {}, {}

    --- Adds an example that answers one case, or a list of them.
    function suite.answer(which, behaviour, check)
        which = type(which) == "table" and which or {which}
        for _, case in ipairs(which) do
            if cases[case] ~= others.HERE then error(case .. " is not listed as answered", 2) end
            answered[case] = true
        end
        it(("%s (%s)"):format(behaviour, table.concat(which, "; ")), check)
    end

    --- Adds an example that checks that each case has an example or a reason.
    function suite.check()
        for case, how in pairs(cases) do
            it("has an answer: " .. case, function()
                if how == others.HERE then
                    assert(answered[case], "no example answers it")
                elseif type(how) == "table" then
                    local spec = process.slurp(how[1])
                    assert(spec and spec:find(how[2], 1, true), "there is no such example")
                else
                    assert(#how > 10, "no reason is given")
                end
            end)
        end
    end

    return suite
end

--- Makes one connection that both ends close. options are those of pair.join. Returns a table:
-- conn:resumption() of both ends, the client's version, cipher and new sessions (oldest first), and
-- the client's certificates as the server has them.
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

--- conn:resumption() of the client of such a connection.
function others.word(client, server, session)
    return others.visit({client = client, server = server, session = session}).client
end

return others
