--- Reads JSON by Python's parser, so that ours is not compared with itself.
--
--   local report = require "spec.support.json".read(text)

local process = require "spec.support.process"

local json = {}

local TO_LUA <const> = [[
import json, sys
def lua(v):
    if isinstance(v, bool): return "true" if v else "false"
    if v is None: return "nil"
    if isinstance(v, (int, float)): return repr(v)
    if isinstance(v, str): return '"' + "".join("\\%03d" % b for b in v.encode()) + '"'
    if isinstance(v, list): return "{" + ",".join(map(lua, v)) + "}"
    return "{" + ",".join("[" + lua(k) + "]=" + lua(x) for k, x in v.items()) + "}"
print("return " + lua(json.load(open(sys.argv[1]))))
]]

--- Returns the Lua value of a text. Raises an error with the text if it is not JSON.
function json.read(text)
    local path = process.spill(process.directory() .. "/read.json", text)
    local code, output = process.run {"python3", "-c", TO_LUA, path, timeout = 60}
    assert(code == 0, text)
    return assert(load(output))()
end

return json
