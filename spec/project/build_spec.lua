-- build_spec.lua: tests what CMake makes of a packager's compiler flags and of other versions of
-- Lua, read from its configuration.

local process = require "spec.support.process"
local program = require "spec.support.program"

local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
if not BUILD:match "/dev$" then return end -- the same under every sanitizer

local SOURCE = assert(process.run {"pwd"} == 0 and select(2, process.run {"pwd"}):match "[^\n]+")
local directory = process.directory() .. "/a build"
local count = 0
local LIBRARY = {"-DTLSLIFE_LUA=OFF", "-DTLSLIFE_REDIS=OFF", "-DTLSLIFE_SPECS=OFF"}

-- configures the sources in a directory of its own, with these words and environment; what ninja is
-- going to run, and the directory
local function configured(words, environment)
    count = count + 1
    local path = ("%s/%d"):format(directory, count)
    local command = {"cmake", "-S", SOURCE, "-B", path, "-G", "Ninja", timeout = 60,
        environment = environment}
    for _, word in ipairs(words) do command[#command + 1] = word end
    local code, output = process.run(command)
    assert.equal(0, code, output)
    return assert(process.slurp(path .. "/build.ninja")), path
end

local function script(name, text)
    local path = process.spill(("%s/%s"):format(process.directory(), name),
        "#!/bin/sh\n" .. text .. "\n")
    assert.equal(0, (process.run {"chmod", "+x", path}))
    return path
end

local function levels(ninja)
    local found = {}
    for level in ninja:gmatch "_FORTIFY_SOURCE=?(%d*)" do found[level] = true end
    local sorted = {}
    for level in pairs(found) do sorted[#sorted + 1] = level end
    table.sort(sorted)
    return table.concat(sorted, " ")
end

describe("the sources of the Redis store", function()
    it("compile where hiredis is not, also by a compiler that wants each function declared",
        function()
        local code, output = process.run {"sh", "-c", 'cd "$0" && exec cc -std=gnu11 -O0 ' ..
            "-fsyntax-only -Wall -Wextra -Werror -Iinclude -Isrc src/redis/*.c", SOURCE}
        assert.equal(0, code, output)
    end)
end)

describe("the build", function()
    -- {what, CFLAGS, words for cmake, the levels in ninja's file}
    for _, case in ipairs {
        {"2 by default", "", {"-DCMAKE_BUILD_TYPE=Release"}, "2"},
        {"2 with a packager's own optimization", "-O2", {"-DCMAKE_BUILD_TYPE=None"}, "2"},
        {"3 where CFLAGS say so", "-O2 -D_FORTIFY_SOURCE=3", {"-DCMAKE_BUILD_TYPE=Release"}, "3"},
        {"none where CFLAGS say so", "-U_FORTIFY_SOURCE", {"-DCMAKE_BUILD_TYPE=Release"}, ""},
        {"none without optimization", "",
            {"-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O0"}, ""},
        {"the compiler's own default", "",
            {"-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER="}, ""},
    } do
        it("sets _FORTIFY_SOURCE to " .. case[1], function()
            local words = {table.unpack(LIBRARY)}
            for _, word in ipairs(case[3]) do
                if word == "-DCMAKE_C_COMPILER=" then
                    word = word .. script("hardened-cc", 'exec cc -D_FORTIFY_SOURCE=3 "$@"')
                end
                words[#words + 1] = word
            end
            assert.equal(case[4], levels((configured(words, {CFLAGS = case[2]}))))
        end)
    end

    it("treats warnings as errors only where it is told to", function()
        local plain = configured(LIBRARY, {CFLAGS = ""})
        assert.is_nil(plain:find("-Werror", 1, true))
        local strict = configured({"--preset", "asan", table.unpack(LIBRARY)},
            {CFLAGS = "", TLSLIFE_WERROR = "ON"})
        assert.is_not_nil(strict:find("-Werror", 1, true))
        local preset = configured({"--preset", "dev", table.unpack(LIBRARY)},
            {CFLAGS = "", TLSLIFE_WERROR = ""})
        assert.is_nil(preset:find("-Werror", 1, true))
    end)

    -- a place with the headers and the library of a Lua 5.5, as far as CMake looks at them
    local function later_lua()
        local prefix = process.directory() .. "/later lua"
        assert.equal(0, (process.run {"mkdir", "-p", prefix .. "/include", prefix .. "/lib"}))
        process.spill(prefix .. "/include/lua.h",
            "#define LUA_VERSION_MAJOR LUAI_TOSTR(LUA_VERSION_MAJOR_N)\n" ..
            "#define LUA_VERSION_MINOR LUAI_TOSTR(LUA_VERSION_MINOR_N)\n" ..
            "#define LUA_VERSION_MAJOR_N 5\n#define LUA_VERSION_MINOR_N 5\n")
        process.spill(prefix .. "/lib/liblua.a",
            "!<arch>\n$LuaVersion: Lua 5.5.0  Copyright (C) 1994-2025 Lua.org, PUC-Rio $\n")
        return prefix
    end

    it("is for the Lua whose headers it is given", function()
        local prefix = later_lua()
        local ninja, path = configured({"-DTLSLIFE_LUA_INCLUDE_DIRS=" .. prefix .. "/include",
            "-DTLSLIFE_PROGRAM=OFF", "-DTLSLIFE_SPECS=OFF"}, {CFLAGS = ""})
        assert.is_not_nil(ninja:find("later", 1, true))
        local install = process.slurp(path .. "/cmake_install.cmake")
        assert.truthy(install:find("/lib/lua/5.5/tlslife", 1, true))
        assert.truthy(install:find("/share/lua/5.5", 1, true))
        local code, output = process.run {"cmake", "-G", "Ninja", "-S", SOURCE, "-B",
            directory .. "/none", "-DTLSLIFE_LUA_VERSION=5.3"}
        assert.equal(1, code)
        assert.truthy(output:find("must be 5.4 or 5.5", 1, true), output)
    end)

    it("uses Lua 5.4 although a later version is installed", function()
        if _VERSION ~= "Lua 5.4" then return pending "there may be no Lua 5.4" end
        local prefix = later_lua()
        local words = {"-DCMAKE_PREFIX_PATH=" .. prefix,
            "-DCMAKE_LIBRARY_PATH=" .. prefix .. "/lib"}
        for _, environment in ipairs {{CFLAGS = ""},
            {CFLAGS = "", PKG_CONFIG_LIBDIR = "/nowhere"}} do
            local ninja = configured(words, environment)
            assert.is_nil(ninja:find("later", 1, true), "with the later Lua")
            assert.is_not_nil(ninja:find("liblua5.4", 1, true))
        end
    end)

    it("prints one line for root to run where ./dev cannot install packages", function()
        local fakes = process.directory() .. "/fakes"
        assert.equal(0, (process.run {"mkdir", "-p", fakes}))
        for name, text in pairs {["dpkg-query"] = "exit 1", id = "echo 1000",
            ["apt-get"] = "exit 9"} do
            script("fakes/" .. name, text)
        end
        for _, sudo in ipairs {"echo 'sudo: a password is required' >&2; exit 1", false} do
            os.remove(fakes .. "/sudo")
            script("fakes/sudo", sudo or "exit 127")
            local code, output = process.run {SOURCE .. "/dev", "demo",
                environment = {PATH = fakes .. ":" .. os.getenv "PATH"}}
            assert.equal(1, code)
            assert.truthy(output:find("root run this: apt%-get install " ..
                "%-%-no%-install%-recommends gcc .*openssl\n$"), output)
        end
    end)
end)
