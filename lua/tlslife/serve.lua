-- tlslife.serve: runs one server, or workers, until a signal stops them.

local arguments = require "tlslife.arguments"
local server = require "tlslife.server"
local setup = require "tlslife.setup"
local signals = require "tlslife.signals"
local uv = require "luv"
local worker = require "tlslife.worker"
local workers = require "tlslife.workers"

local function here(options)
    local self, message, err = server(options)
    if not self then return nil, message, err end
    local handles = signals.watch {
        stop = function(timeout) self:stop(timeout) end,
        reload = function() self:reload() end,
    }
    setup.run(self)
    handles:close()
    return true
end

return function(options)
    if uv.loop_mode() then arguments.raise "serve: luv's loop runs already: use tls.server" end
    local checked = setup.check(options)
    if worker then return workers.run_worker(checked, worker) end
    if (checked.workers or 1) > 1 then return workers.run_parent(checked) end
    return here(checked)
end
