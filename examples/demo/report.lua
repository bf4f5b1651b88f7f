-- report.lua: runs one line of Lua, prints it with what came of it, and checks both.
--
-- The text that is printed is the text that is run, so that the two cannot differ. What a step must
-- return, and the state that it must leave, stand beside it as they are printed; the first that
-- differs ends the script.

local tls = require "tlslife"

local report = {}
report.__index = report

local LEFT, RIGHT = "  %-30s %s", "%-57s %-16s %-6s %-2s %-6s %-3s %s"
local WIDTH = 99

--- A report, and the variables that its steps see.
function report.new(variables)
    return setmetatable(
        { variables = setmetatable(variables, { __index = _G }), steps = 0, sessions = {} }, report)
end

local function show_one(value)
    if type(value) == "string" and (#value > 20 or value:find "[^%g \n]") then
        return ("<%d bytes>"):format(#value)
    elseif type(value) == "string" then
        return '"' .. value:gsub("\n", "\\n") .. '"'
    end
    return tls.type(value) or tostring(value)
end

local function show(results)
    local texts = {}
    -- a third one is an error object; its sentence is the second
    for i = 1, math.min(results.n, 2) do
        texts[i] = show_one(results[i])
    end
    return table.concat(texts, ", ")
end

--- The object that a step is about: the connection or session whose method it calls, or `conn`, or
-- `session`.
local function subject(variables, code)
    local named = variables[code:match "^(%a+):" or code:match "^%a+ = (%a+):"]
    local kind = tls.type(named)
    return (kind == "connection" or kind == "session") and named or variables.conn or
        variables.session
end

local function yes(value)
    return value and "yes" or "no"
end

--- State, shutdown mask, session id, resumable, reused: as they are printed.
local function state_of(self, code)
    local object = subject(self.variables, code)
    local state = { "-", "-", "-", "-", "-" }
    local session = object
    if tls.type(object) == "connection" then
        if pcall(object.state, object) then
            state[1], state[2] = object:state(), tostring(object:get_shutdown())
            state[5] = yes(object:session_reused())
            self.sessions[object] = object:session()
        else
            state[1] = "freed"
        end
        session = self.sessions[object] -- of a connection that was freed, the one that it had
    end
    if session then
        local id = session:id():sub(1, 3):gsub(".",
            function(c) return ("%02x"):format(c:byte()) end)
        state[3] = id == "" and "-" or id
        state[4] = yes(session:is_resumable())
    end
    return state
end

--- Runs "name = expression" or "expression" with the report's variables; returns the results,
-- packed.
local function run(variables, code)
    local name, expression = code:match "^(%a+) = (.*)$"
    local results =
        table.pack(assert(load("return " .. (expression or code), "=step", "t", variables))())
    if name then
        variables[name] = results[1]
    end
    return results
end

function report.title(text)
    print("\n" .. ("="):rep(WIDTH) .. "\n" .. text)
end

--- The heading of the columns.
function report.columns()
    print(RIGHT:format(LEFT:format("in Lua", "in OpenSSL"), "returned", "state", "sh", "id", "res",
        "reu"))
end

function report:section(text)
    self.heading = text
    print("\n" .. text)
end

--- One step: the Lua line, OpenSSL's call behind it, what it must return, and the state it must
-- leave, "open 0 yes no".
function report:step(code, call, want, want_state)
    local results = run(self.variables, code)
    local got, state = show(results), state_of(self, code)
    local got_state = ("%s %s %s %s"):format(state[1], state[2], state[4], state[5])
    print(RIGHT:format(LEFT:format(code, call), got, table.unpack(state)))
    local why = results[1] == nil and "\n  because: " .. tostring(results[2]) or ""
    self:check((not want or got == want) and (not want_state or got_state == want_state),
        ("%s\n  wanted: %s  [%s]\n  got:    %s  [%s]%s"):format(code, want, want_state, got,
            got_state, why))
end

--- Counts a step, and ends the script where it went wrong.
function report:check(right, what)
    self.steps = self.steps + 1
    if not right then
        error({ step = ("step %d (%s): %s"):format(self.steps, self.heading, what) }, 0)
    end
end

--- Counts steps of another process, whose lines were printed already.
function report:add(steps)
    self.steps = self.steps + steps
end

return report
