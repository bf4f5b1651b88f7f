-- release_spec.lua: tests what a release promises, which is one version in all places, an ABI that
-- does not change under the same soname, manual pages that say what the program and the module
-- have, and files for CMake and pkg-config that name nothing of the machine that built them.

local abi = require "spec.project.abi"
local process = require "spec.support.process"
local program = require "spec.support.program"
local tls = require "tlslife"

local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"
if not BUILD:match "/dev$" then return end -- the same under every sanitizer

local VERSION <const> = process.slurp "include/tlslife.h":match '\n#define TLSLIFE_VERSION "(%S+)"'

local function output_of(command)
    local code, output = process.run(command)
    assert.equal(0, code, output)
    return output
end

local function generated(name)
    return assert(process.slurp(BUILD .. "/generated/" .. name), name)
end

describe("the version", function()
    it("is the same everywhere, and has one place", function()
        assert.truthy(VERSION:match "^%d+%.%d+%.%d+$")
        assert.equal(VERSION, tls.version)
        assert.equal(VERSION, output_of {program.path, "-v"}:match "^tlslife (%S+),")
        for _, name in ipairs {"tlslife.pc", "tlslife-static.pc", "tlslife-lua.pc"} do
            assert.equal(VERSION, generated(name):match "\nVersion: (%S+)\n", name)
        end
        assert.equal(VERSION,
            generated "tlslifeConfigVersion.cmake":match '\nset%(PACKAGE_VERSION "(%S+)"')
        for _, name in ipairs {"tlslife.1", "tlslife-probe.1", "tlslife-serve.1",
            "tlslife-trace.1", "tlslife.3lua"} do
            assert.equal(VERSION, generated(name):match '^%.TH [^\n]-"tlslife ([%d.]+)"', name)
        end
        local _, found = process.run {"grep", "-rnF", '"' .. VERSION .. '"', "CMakeLists.txt",
            "cmake", "include", "src", "lua", "man", "spec", "tlslife-scm-1.rockspec"}
        assert.equal(1, select(2, found:gsub("\n", "")), found)
    end)

    it("has a heading in CHANGELOG.md, or is not released", function()
        local newest = process.slurp "CHANGELOG.md":match "\n## %[([^%]]+)%]"
        assert.truthy(newest == "Unreleased" or newest == VERSION, newest)
    end)
end)

describe("the ABI", function()
    it("is as recorded: ./dev abi records what is new", function()
        local recorded, soname = abi.recorded()
        local gone, new = abi.compare(recorded, abi.current())
        assert.equal(abi.soname(), soname)
        assert.same({gone = {}, new = {}}, {gone = gone, new = new})
    end)

    it("is what the shared library has", function()
        local library = BUILD .. "/libtlslife.so"
        local dynamic = output_of {"readelf", "-d", library}
        assert.equal(abi.soname(), dynamic:match "SONAME[^%[]*%[(.-)%]")
        local exported, declared = {}, {}
        for name in output_of {"nm", "-D", "--defined-only", library}:gmatch " T ([%w_]+)" do
            exported[#exported + 1] = name
        end
        for _, line in ipairs(abi.current()) do
            declared[#declared + 1] = line:match "^function .-([%w_]+)%("
        end
        table.sort(exported)
        table.sort(declared)
        assert.same(declared, exported)
    end)

    it("is compared by types, members and values, not by the names of arguments", function()
        local BEFORE <const> = [[
            typedef enum tlslife_a { TLSLIFE_X, TLSLIFE_Y = 4 } tlslife_a;
            typedef struct tlslife_s { int one; char two[8]; } tlslife_s;
            TLSLIFE_API const char *tlslife_f(const char *name, void (*call)(int, void *), int n);
        ]]
        local function compared(pattern, replacement)
            local gone, new = abi.compare(abi.lines(BEFORE),
                abi.lines((BEFORE:gsub(pattern, replacement))))
            return #gone .. " gone, " .. #new .. " new"
        end
        assert.equal("0 gone, 0 new", compared("name", "label"))
        assert.equal("0 gone, 0 new", compared("int n%)", "/* so many */\n    int many)"))
        assert.equal("0 gone, 1 new", compared("$", "TLSLIFE_API void tlslife_g(void);"))
        assert.equal("0 gone, 1 new", compared("Y = 4", "Y = 4, TLSLIFE_Z"))
        assert.equal("1 gone, 1 new", compared("int n%)", "long n)"))
        assert.equal("1 gone, 1 new", compared("%(int, void", "(int, const void"))
        assert.equal("1 gone, 1 new", compared("two%[8%]", "two[9]"))
        assert.equal("1 gone, 1 new", compared("TLSLIFE_X,", "TLSLIFE_X = 1,"))
        assert.equal("2 gone, 2 new", compared("TLSLIFE_X, TLSLIFE_Y = 4",
            "TLSLIFE_Y, TLSLIFE_X = 4"))
        assert.equal("1 gone, 0 new", compared("TLSLIFE_API[^\n]*", ""))
    end)
end)

describe("the manual page", function()
    local function words(text, pattern)
        local found, list = {}, {}
        for word in text:gmatch(pattern) do
            if not found[word] then list[#list + 1] = word end
            found[word] = true
        end
        table.sort(list)
        return list
    end

    it("tlslife(1) has the options that --help has", function()
        local OPTION <const> = "\n +(%-[%-%a]*)%f[%s]"
        local help = output_of {program.path, "--help"}
        local page = generated "tlslife.1":match "\n%.SH OPTIONS\n(.-)\n%.SH":gsub("\\", "")
        assert.same(words(help, OPTION), words(page, "\n%.BI? (%-[%-%a]*)%f[%s]"))
        assert.is_true(#words(help, OPTION) >= 9)
    end)

    it("of each command has its options, with their arguments, and so has --help", function()
        for name, room in pairs {probe = "probe", serve = "testserver", trace = "trace"} do
            local command = require("tlslife." .. room .. ".options").command
            local page = generated("tlslife-" .. name .. ".1"):match "\n%.SH OPTIONS\n(.-)\n%.SH"
            local help = output_of {program.path, name, "--help"}
            local described, shown, known = {}, {}, {}
            for head in page:gsub("\\f[IR]", ""):gsub("[\\\"]", "")
                :gmatch "\n?%.TP\n%.%u+ ([^\n]+)" do
                described[#described + 1] = head:gsub("^%-%a, ", ""):gsub("  +", " ")
                    :gsub(" %[", "[")
            end
            for head in help:gmatch "\n  %-?%a?,? ?(%-%-[%a-]+%[?=? ?%u*%]?)" do
                shown[#shown + 1] = head:gsub(" +$", "")
            end
            for i, row in ipairs(command) do
                known[i] = "--" .. row[1] .. (row.word and
                    (row.loose and "[=%s]" or " %s"):format(row.word) or "")
            end
            known[#known + 1] = "--help"
            assert.same(known, described)
            assert.same(known, shown)
        end
    end)

    it("tlslife(3lua) has the functions and values of the module", function()
        local names = {}
        for name in pairs(tls) do names[#names + 1] = name end
        table.sort(names)
        local synopsis = generated "tlslife.3lua":match "\n%.SH SYNOPSIS\n(.-)\n%.SH"
        assert.same(names, words(synopsis, "\n%.BI? \"?tls%.([%w_]+)"))
    end)

    it("is rendered without a warning", function()
        if process.run {"sh", "-c", "command -v groff"} ~= 0 then
            pending "no groff"
            return
        end
        for _, name in ipairs {"tlslife.1", "tlslife-probe.1", "tlslife-serve.1",
            "tlslife-trace.1", "tlslife.3lua"} do
            local page = BUILD .. "/generated/" .. name
            assert.equal("", output_of {"groff", "-ww", "-man", "-Tutf8", "-z", page}, name)
            local text = output_of {"groff", "-man", "-Tascii", page}
            assert.is_true(#text > 2000, name)
        end
    end)
end)

describe("the packages", function()
    it("are those that docs/install.md installs and removes", function()
        local abi_number = abi.soname():match "%d+$"
        local made, removed = {}, {}
        for name in process.slurp "cmake/Package.cmake":gmatch
            "\ntlslife_package%(%s+%l+ (%S+)" do
            made[#made + 1] = name:gsub("%${library_package}", "libtlslife" .. abi_number)
        end
        local page = process.slurp "docs/install.md"
        for name in page:match "\n    apt purge ([^\n]+)":gmatch "%S+" do
            removed[#removed + 1] = name
            assert.truthy(page:find("\n| `" .. name .. "` |", 1, true), name)
        end
        table.sort(made)
        table.sort(removed)
        assert.same(made, removed)
    end)
end)

describe("files for others", function()
    it("name no place of this machine, nor a folder of another library", function()
        for _, name in ipairs {"tlslife.pc", "tlslife-static.pc", "tlslife-lua.pc",
            "tlslifeConfig.cmake", "tlslifeConfigVersion.cmake"} do
            for line in generated(name):gmatch "[^\n]+" do
                assert.is_nil(line:match "[=%s\"IL]/%l" and line, name)
            end
        end
    end)
end)
