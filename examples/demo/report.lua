-- report.lua: runs one line of Lua, prints it with what came of it, and checks both.
--
-- The text that is printed is the text that is run, so that the two cannot differ. What a step must return, and the
-- state that it must leave, stand beside it as they are printed; the first that differs ends the script.

local tls = require "tlslife"

local report = {}
report.__index = report

local ROW = "%-32s %-24s %-15s %-9s %-2s %-6s %-3s %s"
report.WIDTH = 98

--- A report, and the variables that its steps see.
function report.new(variables)
    return setmetatable({ variables = setmetatable(variables, { __index = _G }), steps = 0 }, report)
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
    for i = 1, math.min(results.n, 2) do -- a third one is an error object; its sentence is the second
        texts[i] = show_one(results[i])
    end
    return table.concat(texts, ", ")
end

--- The connection that a step is about: the one that it names first, or else `conn`.
local function subject(variables, code)
    local named = variables[code:match "^(%a+)[:.]" or code:match "^(%a+) = "]
    return tls.type(named) == "connection" and named or variables.conn
end

local function alive(conn)
    return conn ~= nil and pcall(conn.state, conn)
end

local function yes(value)
    return value and "yes" or "no"
end

--- State, shutdown mask, session id, resumable, reused: as they are printed.
local function state_of(variables, code)
    local conn = subject(variables, code)
    local state = { conn and "freed" or "-", "-", "-", "-", "-" }
    local session = variables.session
    if alive(conn) then
        state[1], state[2] = conn:state(), tostring(conn:get_shutdown())
        session = conn:session()
        state[5] = yes(conn:session_reused())
    end
    if session then
        local id = session:id()
        state[3] = id == "" and "-" or id:gsub(".", function(c) return ("%02x"):format(c:byte()) end):sub(1, 6)
        state[4] = yes(session:is_resumable())
    end
    return state
end

--- Runs "name = expression" or "expression" with the report's variables; returns the results, packed.
local function run(variables, code)
    local name, expression = code:match "^(%a+) = (.*)$"
    local results = table.pack(assert(load("return " .. (expression or code), "=step", "t", variables))())
    if name then
        variables[name] = results[1]
    end
    return results
end

function report.title(text)
    print("\n" .. ("="):rep(report.WIDTH) .. "\n" .. text)
end

function report:section(text)
    self.heading = text
    print("\n" .. text)
    print(ROW:format("  in Lua", "in OpenSSL", "returned", "state", "sh", "id", "res", "reu"))
end

--- One step: the Lua line, OpenSSL's call behind it, what it must return, and the state it must leave, "open 0 yes no".
function report:step(code, call, want, want_state)
    local results = run(self.variables, code)
    local got, state = show(results), state_of(self.variables, code)
    local got_state = ("%s %s %s %s"):format(state[1], state[2], state[4], state[5])
    self.steps = self.steps + 1
    print((ROW:format("  " .. code, call, got, table.unpack(state))))
    if (want and got ~= want) or (want_state and got_state ~= want_state) then
        error({ step = ("step %d (%s): %s\n  wanted: %s  [%s]\n  got:    %s  [%s]%s"):format(self.steps, self.heading, code,
            want or "anything", want_state or "any state", got, got_state,
            results[1] == nil and "\n  because: " .. tostring(results[2]) or "") }, 0)
    end
end

--- Counts steps of another process, whose lines were printed already.
function report:add(steps)
    self.steps = self.steps + steps
end

return report
