-- run.lua: busted inside our own program, so that sanitizers see all of the module and the specs
-- all of the program.
--
--   tlslife spec/run.lua COLLECTOR [busted's own options and files]
--
-- COLLECTOR is the collector under which the specs run:
--   default       the program's own, which is generational like lua's
--   incremental   a new cycle as soon as one ends: what may be collected soon is. At the default
--                 step multiplier each step that C memory asks for would be a cycle of its own,
--                 which takes thirty times as long
--   generational  a young collection after each percent of growth, an old one after as little
require "spec.support.rep"
local collector = require "spec.support.collector"
local collectors = {
    default = function() end,
    incremental = function()
        collectgarbage "incremental"
        collector.set("pause", 0)
        collector.set("stepmul", 10)
    end,
    generational = function() collector.generational(1, 1) end,
}

local choose = collectors[arg[1]]
if not choose then
    io.stderr:write("usage: tlslife spec/run.lua default|incremental|generational " ..
        "[busted's options and files]\n")
    os.exit(2)
end
choose()
table.remove(arg, 1)
table.insert(arg, 1, "--output=spec/report.lua")
-- Busted forgets, with each file, the modules that it loaded; luv's loop would be collected with
-- luv, and handles of it live on. Debian has luv for some Luas only. Where there is none, whatever
-- asks for it is pending: a spec, or all that a file has. Who can do without calls pcall.
if not pcall(require, "luv") then
    package.preload.luv = function()
        require "busted.core" ().pending(("luv is not installed for %s"):format(_VERSION))
    end
end
require "busted.runner" { standalone = false }
