--- prove.lua: shows that random programs and fleets find faults. Each fault of put_back.lua is put
--- back in a copy of this tree, which is built with AddressSanitizer, and must be found:
--
--   lua5.4 spec/random/prove.lua [NUMBER...]        ./dev random --prove
--
-- The copy is build/put_back. The output has a line for each fault: how many seeds were run until
-- it was found, and to how many lines the program was shrunk. The exit status is 1 if a fault was
-- not found.

package.path = "./?.lua;" .. package.path
local put_back = require "spec.random.put_back"

local TREE <const> = "build/put_back"
local AT_ONCE <const> = {program = 100, fleet = 10} -- seeds
local MOST <const> = {program = 3000, fleet = 300}

local function run(format, ...)
    local pipe <close> = assert(io.popen(format:format(...) .. " 2>&1"))
    local output = pipe:read "a"
    return pipe:close() == true, output
end

local function must(good, output)
    if not good then
        io.stderr:write(output:sub(-3000), "\n")
        os.exit(2)
    end
end

local function slurp(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function spill(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

-- What git knows of this tree, as it lies here. A file that is the same keeps its time.
local function copy()
    must(run("mkdir -p %s && git ls-files -z | xargs -0 -r ls -d 2>/dev/null | " ..
        "tar -c --verbatim-files-from -T - | tar -x -C %s --skip-old-files", TREE, TREE))
    must(run("git ls-files | while read -r f; do [ ! -e \"$f\" ] || cmp -s \"$f\" " ..
        "\"%s/$f\" || cp -p \"$f\" \"%s/$f\"; done", TREE, TREE))
    must(run("cd %s && { [ -e build/asan/build.ninja ] || cmake --preset asan; }", TREE))
end

local function build()
    must(run("cd %s && cmake --build build/asan --target tlslife_program " ..
        "tlslife_spec_descriptors tlslife_spec_seeded tlslife_spec_clock", TREE))
end

local function put(fault)
    local kept = {}
    for _, change in ipairs(fault.changes) do
        local path = TREE .. "/" .. change[1]
        local text = slurp(path)
        kept[path] = kept[path] or text
        local from, to = text:find(change[2], 1, true)
        must(from, change[1] .. " has no: " .. change[2])
        spill(path, text:sub(1, from - 1) .. change[3] .. text:sub(to + 1))
    end
    return kept
end

-- Plays seeds until one fails; how many were played, and what was said.
local function play(fault)
    local each, what = AT_ONCE[fault.kind], fault.kind == "fleet" and "fleets" or "sequences"
    for first = 1, MOST[fault.kind], each do
        local good, output = run("cd %s && ASAN_OPTIONS=detect_leaks=1 " ..
            "UBSAN_OPTIONS=halt_on_error=1 build/asan/tlslife " ..
            "spec/random/run.lua --seed %d --%s %d",
            TREE, first, what, each)
        if not good then return first + each - 1, output end
    end
    return MOST[fault.kind], ""
end

local function try(fault)
    local kept = put(fault)
    build()
    local played, output = play(fault)
    for path, text in pairs(kept) do spill(path, text) end
    local found = output:find(fault.found) ~= nil
    print(("%s: %s within %d seeds of %ss"):format(fault.name, found and "found" or "NOT FOUND",
        played, fault.kind))
    local seed = output:match(fault.kind .. ", seed (%d+): [^\n]*" .. fault.found)
    if seed then print("    the first is seed " .. seed) end
    for line in output:gmatch "%[%[[^\n]*%]%]," do print("    " .. line) end
    if not found then print((output:sub(-2000):gsub("\n", "\n    "))) end
    return found
end

copy()
local found, wanted = 0, {}
for _, number in ipairs(arg) do wanted[#wanted + 1] = put_back[tonumber(number)] end
if not arg[1] then wanted = put_back end
for _, fault in ipairs(wanted) do found = found + (try(fault) and 1 or 0) end
print(("%d of %d faults that were put back were found"):format(found, #wanted))
os.exit(found == #wanted)
