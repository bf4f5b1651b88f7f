-- examples_spec.lua: what the documents say works, as pasted: the examples, and the code blocks of the README.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

local function files(pattern)
    local pipe = assert(io.popen("ls " .. pattern .. " 2>/dev/null"))
    local names = {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    return names
end

describe("the examples", function()
    it("are Lua, all of them", function()
        local names = files "examples/*.lua examples/*/*.lua"
        assert.is_true(#names >= 5)
        for _, name in ipairs(names) do assert(loadfile(name)) end
    end)
end)

describe("the README", function()
    local text = process.slurp "README.md" or ""
    local blocks = {}
    for block in text:gmatch "```lua\n(.-)```" do blocks[#blocks + 1] = block end

    it("has a server and a client of at most 30 lines", function()
        assert.is_true(#blocks >= 2, #blocks .. " blocks")
        for _, block in ipairs(blocks) do
            assert(load(block))
            assert.is_true(select(2, block:gsub("\n", "")) <= 30)
        end
    end)
end)

describe("pki and program", function()
    it("are there", function()
        assert.is_not_nil(pki.get().ca_file)
        assert.is_not_nil(program.path)
    end)
end)
