-- layering_spec.lua: checks the rules of docs/architecture.md and docs/design.md about the sources,
-- each by a search through them.
--
-- The compiler cannot see these rules: who may include what, what a callback of OpenSSL and a
-- finalizer may do, and that the shared library exports what the headers declare and nothing else.

local program = require "spec.support.program"
local source = require "spec.support.source"

local contents <const> = source.read
local BUILD = os.getenv "TLSLIFE_BUILD" or program.path:match "^(.*)/"

local function lines_of(command) return source.lines_of(command .. " 2>/dev/null") end

local function tree(...)
    return lines_of("find " .. table.concat({...}, " ") .. " -type f | LC_ALL=C sort")
end

local function without_comments(text)
    return (text:gsub("/%*.-%*/", " "):gsub("//[^\n]*", ""):gsub('"[^"\n]*"', '""'))
end

-- every "file: header" that the files under these paths include and `forbidden` says is not for
-- them
local function includes(paths, forbidden)
    local found, seen = {}, 0
    for _, path in ipairs(tree(paths)) do
        if path:match "%.[ch]$" then
            seen = seen + 1
            for header in contents(path):gmatch '#%s*include%s*[<"]([^>"]+)[>"]' do
                if forbidden(header) then found[#found + 1] = path .. ": " .. header end
            end
        end
    end
    return found, seen
end

local function of(...)
    local patterns = {...}
    return function(header)
        for _, pattern in ipairs(patterns) do
            if header:match(pattern) then return true end
        end
        return false
    end
end

-- The rooms of libtlslife and of the Lua module, from the lowest up, and the rooms that each may
-- include from. No other include is allowed, and a room calls what stands before it in this list,
-- so there is no circle between rooms. The deadlines in net/tcp.h and the ring in cache/ are what
-- redis shares with the rest; it calls connections by the public header. So do the rooms of the Lua
-- module, which include nothing else of libtlslife.
local ROOMS = {
    {name = "base", knows = {}},
    {name = "values", knows = {"base"}},
    {name = "net", knows = {"base"}},
    {name = "cache/store", knows = {"base"}},
    {name = "cache", knows = {"base", "values", "cache/store"}},
    {name = "trace", knows = {"base"}},
    {name = "metrics", knows = {"base"}},
    {name = "tls/state", knows = {"base", "net", "trace", "metrics"}},
    {name = "tls/context", knows = {"base", "values", "net", "cache", "tls/state"}},
    {name = "tls/settings", knows = {"base", "values", "net", "tls/state", "tls/context"}},
    {name = "tls/session", knows = {"base", "values", "net", "cache", "cache/store", "metrics",
        "tls/state", "tls/context"}},
    {name = "tls/handshake", knows = {"base", "values", "net", "cache", "trace", "tls/state",
        "tls/context", "tls/settings", "tls/session"}},
    {name = "tls/conn", knows = {"base", "values", "net", "cache", "metrics", "tls/state",
        "tls/context", "tls/settings", "tls/session", "tls/handshake"}},
    {name = "redis", knows = {"base", "net", "cache/store"}},
    {name = "lua/base", knows = {}},
    {name = "lua/values", knows = {"lua/base"}},
    {name = "lua/loop", knows = {"lua/base"}},
    {name = "lua/cache", knows = {"lua/base", "lua/loop"}},
    {name = "lua/context", knows = {"lua/base", "lua/cache"}},
    {name = "lua/verb", knows = {"lua/base", "lua/loop", "lua/cache", "lua/context"}},
    {name = "lua/conn", knows = {"lua/base", "lua/values", "lua/loop", "lua/cache", "lua/context",
        "lua/verb"}},
    {name = "lua", knows = {"lua/base", "lua/values", "lua/loop", "lua/cache", "lua/context",
        "lua/verb", "lua/conn"}},
    {name = "program", knows = {}},
}
local FILES_MAX <const> = 25 -- of a folder, so that it is a short list
local CORE = "src/base src/values src/net src/cache src/trace src/metrics src/tls src/redis"

local LUA = of("^lua", "^lauxlib%.h$", "^lualib%.h$", "tlslife_lua")
local OPENSSL = of "^openssl/"
local LOOPS = of("^uv%.h$", "^uv/", "^ev%.h$", "^event", "^glib", "^sys/epoll", "^liburing",
    "^sys/event", "cqueues")

-- name to {body, own} of each function defined in a C text; own holds the functions of the same
-- file, which come first where a name has several (static functions of other files)
local function functions(text)
    local found = {}
    for name, body in without_comments(text):gmatch "([%w_]+)%s*%b()%s*(%b{})" do
        if name ~= "if" and name ~= "for" and name ~= "while" and name ~= "switch" then
            found[name] = {body = body, own = found}
        end
    end
    return found
end

-- what the function calls, itself or through functions of its file or of all, that `forbidden`
-- names; what is called through a pointer (a store's verbs) is not followed
local function reaches(all, name, forbidden, seen)
    seen = seen or {}
    local func = type(name) == "table" and name or all[name]
    if not func or seen[func] then return nil end
    seen[func] = true
    for called in func.body:gsub("%->[%w_]+", ""):gmatch "([%w_]+)%s*%(" do
        if forbidden[called] then return "calls " .. called end
        local deeper = reaches(all, func.own[called] or called, forbidden, seen)
        if deeper then return "calls " .. called .. ", which " .. deeper end
    end
    return nil
end

local function set(words)
    local result = {}
    for word in words:gmatch "%S+" do result[word] = true end
    return result
end

local function merged(directory)
    local all = {}
    for _, path in ipairs(tree(directory)) do
        if path:match "%.c$" then
            for name, func in pairs(functions(contents(path))) do all[name] = func end
        end
    end
    return all
end

-- The functions that each of these files defines for others: path to {name = true}.
local function exports(texts)
    local defined = {}
    for path, text in pairs(texts) do
        for start in ("\n" .. text):gmatch "\n([%a_][^\n;{}#]-[%s%*][%w_]+%b())%s*{" do
            local name = start:match "([%w_]+)%s*%b()$"
            if not start:match "^static" then defined[name] = path end
        end
    end
    return defined
end

-- The circles of files that call each other, each a list of paths: Tarjan's algorithm. texts is
-- path to text, without comments.
local function circles(texts)
    local defined, calls = exports(texts), {}
    for path, text in pairs(texts) do
        calls[path] = {}
        for name in text:gmatch "%f[%w_]([%a_][%w_]*)" do
            local other = defined[name]
            if other and other ~= path then calls[path][other] = true end
        end
    end
    local number, lowest, stack, found, count = {}, {}, {}, {}, 0
    local function visit(path)
        count = count + 1
        number[path], lowest[path], stack[#stack + 1] = count, count, path
        for other in pairs(calls[path]) do
            if not number[other] then visit(other) end
            lowest[path] = math.min(lowest[path], lowest[other])
        end
        if lowest[path] < number[path] then return end
        local circle = {}
        repeat
            circle[#circle + 1] = table.remove(stack)
            lowest[circle[#circle]] = math.huge -- it belongs to no later circle
        until circle[#circle] == path
        if #circle > 1 then
            table.sort(circle)
            found[#found + 1] = circle
        end
    end
    for path in pairs(calls) do
        if not number[path] then visit(path) end
    end
    return found
end

local function room_of(path) return path:match "^src/(.*)/" end

-- Returns a list of "file: function" for each call that goes up, where the function's room comes
-- after the file's room in ROOMS. texts is what exports takes. Rooms that are not in ROOMS are
-- above all that are.
local function calls_up(texts)
    local place, defined, found = {}, exports(texts), {}
    for i, room in ipairs(ROOMS) do place[room.name] = i end
    for path, text in pairs(texts) do
        local own = place[room_of(path)] or math.huge
        for name in text:gmatch "%f[%w_]([%a_][%w_]*)" do
            local other = defined[name]
            if other and (place[room_of(other)] or math.huge) > own then
                found[#found + 1] = path .. ": " .. name
            end
        end
    end
    table.sort(found)
    return found
end

local CALL <const> = "%f[%w_](%l+_[%w_]+)%("

-- Returns a list of "file: function" for each call of a function that a header of src declares,
-- where the file does not include such a header itself, and the number of calls that were looked
-- at. texts is what exports takes; included is path to list of headers.
local function undeclared(texts, included)
    local declared, found, seen = {}, {}, 0
    for path, text in pairs(texts) do
        local header = path:match "^src/(.*%.h)$"
        for name in (header and text:gsub("%b{}", "{}") or ""):gmatch(CALL) do
            declared[name] = declared[name] or {}
            declared[name][header] = true
        end
    end
    for path, text in pairs(texts) do
        local called = {}
        for name in text:gmatch(CALL) do called[name] = declared[name] end
        for name, headers in pairs(called) do
            local has = headers[path:match "^src/(.*)"]
            for _, header in ipairs(included[path]) do has = has or headers[header] end
            seen = seen + 1
            if not has then found[#found + 1] = path .. ": " .. name end
        end
    end
    table.sort(found)
    return found, seen
end

local function inclusions()
    local included = {}
    for _, path in ipairs(tree "src") do
        included[path] = {}
        for header in contents(path):gmatch '#%s*include%s*"([^"]+)"' do
            table.insert(included[path], header)
        end
    end
    return included
end

-- The text of each C file and header in src, without comments. A header calls what its inline
-- functions do.
local function sources()
    local texts = {}
    for _, path in ipairs(tree "src") do
        if path:match "%.[ch]$" then texts[path] = without_comments(contents(path)) end
    end
    return texts
end

describe("the layers", function()
    it("keep Lua out of the core", function()
        local found, seen = includes(CORE, LUA)
        assert.same({}, found)
        assert.is_true(seen > 10)
    end)

    it("keep OpenSSL out of the binding, the program and the public header", function()
        local found, seen = includes("src/lua src/program include/tlslife.h", OPENSSL)
        assert.same({}, found)
        assert.is_true(seen > 5)
    end)

    it("keep event loops out of the core", function()
        -- group.c waits for nothing: it makes one descriptor of several
        assert.same({"src/net/group.c: sys/epoll.h"}, (includes(CORE .. " include", LOOPS)))
    end)

    it("let the Lua binding include only the public headers", function()
        local public = of("^tlslife[_%l]*%.h$", "^lua%.h$", "^lauxlib%.h$", "^lualib%.h$")
        local found = {}
        for _, path in ipairs(tree "src/lua") do
            for header in contents(path):gmatch '#%s*include%s*"([^"]+)"' do
                if not header:match "^lua/" and not public(header) then
                    found[#found + 1] = path .. ": " .. header
                end
            end
        end
        assert.same({}, found)
    end)

    it("include downwards only", function()
        local lower, wrong, seen = {}, {}, 0
        for _, room in ipairs(ROOMS) do
            local may = {[room.name] = true}
            for _, known in ipairs(room.knows) do
                assert.is_true(lower[known],
                    room.name .. " may know " .. known .. ", which is not below it")
                may[known] = true
            end
            lower[room.name] = true
            for _, path in ipairs(lines_of("find src/" .. room.name .. " -maxdepth 1 -type f")) do
                for header in contents(path):gmatch '#%s*include%s*"([^"]+)"' do
                    local other = header:match "^(.*)/"
                    seen = seen + 1
                    if other and not may[other] then wrong[#wrong + 1] = path .. ": " .. header end
                    if not other and not header:match "^tlslife[_%l]*%.h$" then
                        wrong[#wrong + 1] = path .. ": " .. header
                    end
                end
            end
        end
        assert.same({}, wrong)
        assert.is_true(seen > 100)
    end)

    it("call downwards only", function()
        assert.same({}, calls_up(sources()))
    end)

    it("include the header of each function that they call", function()
        local found, seen = undeclared(sources(), inclusions())
        assert.same({}, found)
        assert.is_true(seen > 1000)
    end)

    it("would find a header that is not included, as samples show", function()
        local texts = {["src/a/a.h"] = "int tlsl_a(void);", ["src/b/b.c"] = "int x = tlsl_a();",
            ["src/c/c.h"] = "static int c(void) {return tlsl_a();}"}
        local included = {["src/a/a.h"] = {}, ["src/b/b.c"] = {"a/a.h"}, ["src/c/c.h"] = {}}
        assert.same({"src/c/c.h: tlsl_a"}, (undeclared(texts, included)))
    end)

    it("would find a call upwards, as samples show", function()
        local texts = {
            ["src/base/a.c"] = "int a(void) {return b();}",
            ["src/tls/state/b.c"] = "int b(void) {return 0;}",
            ["src/tls/conn/c.c"] = "int c(void) {return a() + b();}",
        }
        assert.same({"src/base/a.c: b"}, calls_up(texts))
        texts["src/base/a.c"] = "int a(void) {return c();}"
        assert.same({"src/base/a.c: c"}, calls_up(texts))
        texts["src/base/a.c"] = "int a(void) {return 0;}"
        assert.same({}, calls_up(texts))
    end)

    it("have folders that are a short list", function()
        local count, long = {}, {}
        for _, path in ipairs(tree "src") do
            local room = room_of(path)
            count[room] = (count[room] or 0) + 1
        end
        for room, files in pairs(count) do
            if files > FILES_MAX then
                long[#long + 1] = ("src/%s has %d files"):format(room, files)
            end
        end
        assert.same({}, long)
    end)

    it("have folders of specs that are a short list, too, and are listed in CONTRIBUTING.md",
        function()
            local count, wrong, text = {}, {}, contents "CONTRIBUTING.md"
            for _, path in ipairs(tree "spec") do
                local room = path:match "^spec/(.*)/" or ""
                count[room] = (count[room] or 0) + 1
            end
            for room, files in pairs(count) do
                if files > FILES_MAX and not room:match "^fuzz/corpus/" then
                    wrong[#wrong + 1] = ("spec/%s has %d files"):format(room, files)
                end
                if room ~= "" and not room:find "/" and
                    not text:find("\n| [^|]*`" .. room .. "`[^|]* | [^|]+ |\n") then
                    wrong[#wrong + 1] = ("CONTRIBUTING.md does not list spec/%s"):format(room)
                end
            end
            assert.same({}, wrong)
        end)

    it("have no two specs of one name", function()
        local path_of, twice = {}, {}
        for _, path in ipairs(lines_of "find spec -name '*_spec.lua'") do
            local name = path:match "[^/]+$"
            if path_of[name] then twice[#twice + 1] = path .. " and " .. path_of[name] end
            path_of[name] = path
        end
        assert.same({}, twice)
        assert.is_not_nil(path_of["layering_spec.lua"])
    end)

    it("have no circle of files that call each other", function()
        assert.same({}, circles(sources()))
    end)

    it("would find a circle of files, as samples show", function()
        local texts = {
            a = "static int own(void) {return 1;}\nint a(void) {return b() + own();}",
            b = "int b(void)\n{return c();}", c = "int c(void) {return a();}",
            d = "int d(void) {return a();}\nstatic int own(void) {return 2;}",
        }
        assert.same({{"a", "b", "c"}}, circles(texts))
        texts.c = "int c(void) {return 0;}"
        assert.same({}, circles(texts))
    end)

    it("name a directory for every file", function()
        local rooms, homeless = {}, {}
        for _, room in ipairs(ROOMS) do rooms[room.name] = true end
        for _, path in ipairs(tree "src") do
            if not rooms[room_of(path)] then homeless[#homeless + 1] = path end
        end
        assert.same({}, homeless)
    end)

    it("keep OpenSSL out of the stores", function()
        local found, seen = includes("src/cache/store", OPENSSL)
        assert.same({}, found)
        assert.is_true(seen > 3)
    end)

    it("would find what they forbid, as samples show", function()
        assert.is_true(LUA "lua.h" and LUA "lauxlib.h" and OPENSSL "openssl/ssl.h" and LOOPS "uv.h")
        assert.is_false(LUA "stdio.h" or OPENSSL "tlslife.h" or LOOPS "poll.h")
        local all = functions("static int a(void) {return b(1);}\nint b(int x) {read(x);}\n" ..
            "int c(void) {/* read() */}")
        assert.equal("calls b, which calls read", reaches(all, "a", {read = true}))
        assert.is_nil(reaches(all, "c", {read = true}))
    end)
end)

describe("a callback of OpenSSL", function()
    local IO = set [[read write recv send recvmsg sendmsg recvfrom sendto poll select connect accept
        accept4 open fopen fread fwrite fprintf printf fputs fgets dprintf writev readv getaddrinfo
        sleep usleep nanosleep BIO_read BIO_write BIO_puts BIO_printf SSL_read SSL_read_ex SSL_write
        SSL_write_ex SSL_do_handshake SSL_shutdown tlsl_wait_fd tlslife_conn_read tlslife_conn_write
        tlslife_conn_handshake tlslife_conn_shutdown]]

    it("does no input or output and does not wait", function()
        local all = merged(CORE)
        local callbacks = {}
        for _, path in ipairs(tree(CORE)) do
            local text = without_comments(contents(path))
            local own = functions(contents(path))
            for name, arguments in text:gmatch "(SSL_[%w_]+)%s*(%b())" do
                if name:match "_cb" or name:match "callback" or name:match "_set_verify$" then
                    for argument in arguments:gmatch "[%w_]+" do
                        if own[argument] or all[argument] then
                            callbacks[argument] = own[argument] or all[argument]
                        end
                    end
                end
            end
        end
        local count = 0
        for name, func in pairs(callbacks) do
            count = count + 1
            assert.is_nil(reaches(all, func, IO), name)
        end
        assert.is_true(count >= 6,
            "only " .. count .. " callbacks found: has the way of registering them changed?")
    end)
end)

describe("a finalizer", function()
    local VERBS = set [[tlslife_conn_shutdown tlslife_conn_close tlslife_conn_read
        tlslife_conn_write tlslife_conn_writev tlslife_conn_flush tlslife_conn_handshake
        tlslife_conn_connect tlslife_conn_accept tlslife_conn_dial tlslife_conn_peek
        tlslife_listener_accept read write recv send poll select close_notify lua_yieldk lua_yield]]

    it("only releases, without I/O, waiting or Lua calls", function()
        local all = merged "src/lua"
        local finalizers = {}
        for _, path in ipairs(tree "src/lua") do
            for name in contents(path):gmatch '{%s*"__gc"%s*,%s*([%w_]+)%s*}' do
                finalizers[name] = true
            end
            for name in contents(path):gmatch '{%s*"__close"%s*,%s*([%w_]+)%s*}' do
                finalizers[name] = true
            end
            for name in contents(path):gmatch('lua_pushcfunction%(L,%s*([%w_]+)%);%s*\n?%s*' ..
                    'lua_setfield%(L,[^,]+,%s*"__gc"') do
                finalizers[name] = true
            end
        end
        assert.is_not_nil(next(finalizers))
        for name in pairs(finalizers) do
            assert.is_not_nil(all[name], name .. " is nowhere defined")
            assert.is_nil(reaches(all, name, VERBS))
        end
    end)
end)

describe("the shared library", function()
    local function declared(path)
        local names = {}
        local text = contents(path):gsub("/%*.-%*/", " ")
        for declaration in text:gmatch "TLSLIFE_%u*API%s+([^;]+);" do
            local name = declaration:match "(tlslife_[%w_]+)%s*%("
            if name then names[name] = true end -- the macro itself is none
        end
        return names
    end

    local function exported(path)
        local names = {}
        for _, line in ipairs(lines_of("nm -D --defined-only '" .. path .. "'")) do
            local kind, name = line:match "^%x+ (%a) ([%w_]+)"
            if kind and kind ~= "A" then names[name] = true end
        end
        return names
    end

    -- the runtime of sanitizers and of coverage adds symbols of its own
    local function foreign(name)
        return name:match "^__" or name:match "^_init" or name:match "^_fini" or
            name:match "^gcov" or name:match "^mangle_path"
    end

    it("exports what the header declares and nothing else", function()
        local library = lines_of("find '" .. BUILD ..
            "' -maxdepth 1 -name 'libtlslife.so*' -type f")[1]
        assert.is_not_nil(library, "no libtlslife.so under " .. BUILD)
        local header, binary = declared "include/tlslife.h", exported(library)
        local missing, extra = {}, {}
        for name in pairs(header) do
            if not binary[name] then missing[#missing + 1] = name end
        end
        for _, path in ipairs(tree "include") do
            for name in pairs(declared(path)) do header[name] = true end
        end
        for name in pairs(binary) do
            if not header[name] and not foreign(name) then extra[#extra + 1] = name end
        end
        assert.same({ missing = {}, extra = {} }, {missing = missing, extra = extra})
    end)
end)

describe("the sources", function()
    it("say in their first comment what they are", function()
        local without = {}
        for _, path in ipairs(tree("src", "include")) do
            local name = path:match "([^/]+%.[ch])$"
            if name then
                local comment = contents(path):match "^/%*(.-)%*/" or ""
                if not comment:find(name, 1, true) or #comment < 40 then
                    without[#without + 1] = path
                end
            end
        end
        assert.same({}, without)
    end)

    it("have no notes about work that is left to do", function()
        local words = {"TO" .. "DO", "FIX" .. "ME", "XX" .. "X"}
        local found = {}
        local parts = "src include lua spec examples bench docs cmake CMakeLists.txt dev README.md"
        for _, path in ipairs(tree(parts)) do
            local file = io.open(path, "rb")
            local text = file and file:read "a" or ""
            if file then file:close() end
            for _, word in ipairs(text:find("\0", 1, true) and {} or words) do -- not in a picture
                if text:find("%f[%w]" .. word .. "%f[%W]") then
                    found[#found + 1] = path .. ": " .. word
                end
            end
        end
        assert.same({}, found)
    end)

    it("are each listed in docs/architecture.md", function()
        local text, without = contents "docs/architecture.md", {}
        for _, path in ipairs(tree "src") do
            local name = path:match "([^/]+)%.c$"
            if name and not text:find("`" .. name .. ".c`", 1, true) then
                without[#without + 1] = path
            end
        end
        assert.same({}, without)
    end)

    it("have the paths that the documents give", function()
        local missing = {}
        for _, path in ipairs(tree "README.md SECURITY.md CHANGELOG.md docs") do
            for named in contents(path):gmatch "`([%l_]+/[%w_/]+%.[%l]+)`" do
                local file = named:match "^(%l+)/" and io.open(named)
                local ours = ("src include spec docs examples bench lua"):find(
                    named:match "^[%l_]+", 1, true)
                if ours and not file then missing[#missing + 1] = path .. ": " .. named end
                if file then file:close() end
            end
        end
        assert.same({}, missing)
    end)

    it("have no function longer than a screen", function()
        local long = {}
        for _, path in ipairs(tree "src") do
            if path:match "%.c$" then
                for name, func in pairs(functions(contents(path))) do
                    local _, lines = func.body:gsub("\n", "")
                    if lines > 60 then
                        long[#long + 1] = ("%s: %s has %d lines"):format(path, name, lines)
                    end
                end
            end
        end
        assert.same({}, long)
    end)
end)
