-- parsers_spec.lua: demands that whatever takes apart bytes of others is fuzzed. Each file of src/
-- and of lua/tlslife that does so has a floor in the head of a target of spec/fuzz, or a reason
-- here. So a parser that is added later enters the machine in the same change.
--
-- That a file takes bytes apart is seen by what it calls, without its comments. The lists below may
-- grow.

local source = require "spec.support.source"

local LEAST <const> = 10 -- per cent: a floor below says nothing

local OF_C <const> = {'#include "base/reader%.h"', "<< 8", "d2i_", "PEM_read_bio", "[^%w_]recv%(",
    "[^%w_]mmap%(", "sscanf%("}
local OF_LUA <const> = {":read%(", ":plain_read%(", ":receive%(", "unpack%(?[\"']", ":read_start%(",
    "[:.]gmatch"}

local REASONS <const> = {
    ["src/net/fd.c"] = "moves bytes, and looks at none",
    ["src/base/process.c"] = "maps memory of its own, which no other process has",
    ["lua/tlslife/luasec/config.lua"] = "takes apart what libssl says of itself",
    ["lua/tlslife/luasec/kept.lua"] = "compares files as a whole",
    ["lua/tlslife/testserver/faults.lua"] = "drops what it reads",
    ["lua/tlslife/wait/copas.lua"] = "takes a mode of two letters apart",
    ["lua/tlslife/types.lua"] = "is not run",
    ["lua/tlslife/workers.lua"] =
        "a worker takes lines from its parent alone, and a parent looks at nothing of a worker's",
    ["lua/tlslife/worker.lua"] = "takes the environment apart, which the parent has made",
}

local floors = {}
for _, target in ipairs(source.lines_of "ls spec/fuzz/fuzz_*.c") do
    for file, percent in source.read(target):gmatch "\n %* floor: (%S+) (%d+)" do
        floors[file] = math.max(floors[file] or 0, tonumber(percent))
    end
end

local function without_comments(path)
    local text = source.read(path)
    if path:match "%.lua$" then return (text:gsub("%-%-[^\n]*", "")) end
    return (text:gsub("/%*.-%*/", " "))
end

local function takes_apart(path)
    local text = without_comments(path)
    for _, pattern in ipairs(path:match "%.lua$" and OF_LUA or OF_C) do
        if text:find(pattern) then return pattern end
    end
end

describe("each parser", function()
    it("is fuzzed, or there is a reason", function()
        local missing, seen = {}, 0
        for _, path in ipairs(source.lines_of
            "find src lua/tlslife -name '*.c' -o -name '*.lua' | LC_ALL=C sort") do
            local pattern = takes_apart(path)
            seen = seen + (pattern and 1 or 0)
            if pattern and not floors[path] and not REASONS[path] then
                missing[#missing + 1] = path .. " has " .. pattern
            end
        end
        assert.is_true(seen > 20)
        assert.same({}, missing)
    end)

    it("has no reason where it is fuzzed, or gone, or none", function()
        for path in pairs(REASONS) do
            assert.is_nil(floors[path], path)
            assert.is_truthy(takes_apart(path), path)
        end
    end)

    it("has a floor that says something", function()
        local low = {}
        for file, percent in pairs(floors) do
            assert.is_true(#source.read(file) > 0)
            if percent < LEAST then low[#low + 1] = file end
        end
        assert.same({}, low)
    end)
end)
