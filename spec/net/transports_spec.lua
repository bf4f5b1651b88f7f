-- transports_spec.lua: tests what can come before or below TLS, in each way of waiting. A row is a
-- transport, with what its client and its server do until TLS; a column is blocking code, a loop
-- that the module knows, or a loop of one's own. Each pair shakes hands, moves more than a socket
-- holds, both ways, and ends with close_notify on both sides.

local transports = require "spec.support.transports"
local loops = require "spec.support.loops"
local own_loop = require "spec.support.own_loop"
local pki = require "spec.support.pki".get()
local process = require "spec.support.process"
local program = require "spec.support.program"

local columns = table.move(loops.drivers, 1, #loops.drivers, 1, {})
columns[#columns + 1] = own_loop()

-- A server in another process, whose code blocks.
local function other_process(row)
    local server = process.start {program.path, process.spill(process.directory() ..
        "/transports.lua", [[require "spec.support.transports".serve(table.unpack(arg))]]),
        row.name, process.directory(), pki.server_cert_file, pki.server_key_file, timeout = 60}
    return server, server:wait_for "listening at ([^\n]+)\n"
end

for _, row in ipairs(transports.rows) do
    describe(row.name, function()
        for _, column in ipairs(columns) do
            it("in " .. column.name, function()
                local contexts = transports.contexts(pki)
                if not column.yields then
                    local server, address = other_process(row)
                    transports.visit(row, contexts.client, address)
                    assert.truthy(server:wait_for "well done", server:output())
                    return server:stop()
                end
                local ended = 0
                local listener, address = transports.listen(row, process.directory())
                loops.run(column, function(spawn)
                    spawn(function()
                        transports.attend(row, contexts.server, listener)
                        ended = ended + 1
                    end)
                    spawn(function()
                        transports.visit(row, contexts.client, address)
                        ended = ended + 1
                    end)
                end)
                listener:close()
                assert.equal(2, ended)
            end)
        end
    end)
end
