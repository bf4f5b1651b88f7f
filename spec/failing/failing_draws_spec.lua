-- failing_draws_spec.lua: compares the scenes of spec/failing with lua/tlslife/types.lua: each
-- option of tls.context and each function of the module is in a scene, so that what it allocates
-- and calls fails there. What is built later enters the scenes by this, too. What the libraries
-- call of the C library is wrapped (cmake/Failing.cmake), or is in a list here with the reason.

local process = require "spec.support.process"
local program = require "spec.support.program"

local TYPES = "lua/tlslife/types.lua"
local SCENES = {"spec/failing/scenes.lua", "spec/failing/features.lua"}

-- What no scene has, with the reason.
local NOT_PLAYED = {
    ["tls.class"] = "only Lua's memory: what luasec's scene loads calls it before faults are armed",
    ["tls.line"] = "only Lua's memory: tls.socket's receive calls it",
    ["tls.listen_fd"] = "it takes a descriptor that a scene cannot make, as tls.listen does",
    ["tls.loop"] = "only Lua's memory: tlslife.wait.luv calls it before faults are armed",
    ["tls.serve"] = "it has processes of its own; it is tls.server there, which serve has",
    ["tls.type"] = "it allocates nothing",
    ["context.dh_params"] = "dh_auto is there; making parameters takes seconds",
}

-- All that types.lua has: "tls.NAME" and "context.OPTION".
local function of_types(text)
    local all, class = {}, nil
    for line in text:gmatch "[^\n]+" do
        class = line:match "^%-%-%-@class tlslife%.(%w+)" or class
        local option = class == "ContextOptions" and line:match "^%-%-%-@field ([%l_]+)"
        if option then all["context." .. option] = "%f[%w_]" .. option .. " =" end
        local name = line:match "^function tlslife%.([%l_]+)%("
        if name then all["tls." .. name] = "tls%." .. name .. "%f[^%w_]" end
    end
    return all
end

local function missing(all, scenes)
    local names = {}
    for name, pattern in pairs(all) do
        if not scenes:find(pattern) and not NOT_PLAYED[name] then names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

describe("the scenes in which something fails", function()
    local types, scenes = process.slurp(TYPES), ""
    for _, path in ipairs(SCENES) do
        scenes = scenes .. process.slurp(path):gsub("%-%-[^\n]*", "")
    end

    it("have each option of tls.context and each function of the module", function()
        assert.same({}, missing(of_types(types), scenes))
    end)

    it("are compared by a spec that would find what they do not have", function()
        local more = types .. "---@class tlslife.ContextOptions\n---@field newly boolean?\n"
            .. "function tlslife.renew() end\n"
        assert.same({"context.newly", "tls.renew"}, missing(of_types(more), scenes))
    end)

    it("have no exception that is not needed", function()
        local all = of_types(types)
        for name in pairs(NOT_PLAYED) do
            local pattern = assert(all[name], name)
            assert.is_nil(scenes:find(pattern), name)
        end
    end)
end)

-- ------------------------------------------------------------------------------------------- calls

-- What is not wrapped, by the reason.
local NOT_WRAPPED = {
    ["it cannot fail for what is passed, or has no failure"] = [[abort ceil clock_gettime
        explicit_bzero freeaddrinfo gai_strerror geteuid getpid getrlimit htonl htons inet_ntop
        inet_pton malloc_usable_size memchr memcmp memcpy memmem memmove memset ntohl ntohs
        pthread_attr_destroy pthread_attr_setdetachstate pthread_mutex_destroy pthread_mutex_lock
        pthread_mutex_trylock pthread_mutex_unlock pthread_mutexattr_destroy
        pthread_mutexattr_settype pthread_once pthread_sigmask qsort sched_yield sigaddset
        sigemptyset sigfillset sigismember sigpending snprintf strcasecmp strcasestr strchr strcmp
        strcspn strerror strerror_r strlen strncasecmp strncmp strnlen strpbrk strrchr strspn
        strstr strtol strtoul sysconf time vsnprintf]],
    ["its failure changes nothing: the descriptor is closed, the nap is over"] =
        "close nanosleep",
    ["its failure is an answer: whether a process lives, whether a signal came"] =
        "kill sigtimedwait syscall",
    ["it is in the blocks that the program failing does not have"] =
        "pthread_key_create pthread_setspecific",
}
-- Those of other libraries.
local OTHERS = {"^SSL_", "^tlslife_", "^lua", "^redis", "^freeReplyObject$", "^_", "^OpenSSL_",
    "^[A-Z]"}

local function is_known(name, wrapped)
    for _, names in pairs(NOT_WRAPPED) do
        if (" " .. names .. " "):find("%s" .. name .. "%s") then return true end
    end
    for _, pattern in ipairs(OTHERS) do
        if name:find(pattern) then return true end
    end
    return name:find "^d2i_" or name:find "^i2d_" or wrapped[name]
end

describe("the calls that fail", function()
    it("are all that the libraries make, but for some with a reason", function()
        if program.is_sanitized() or process.slurp(program.path):find("__gcov_", 1, true) then
            return pending "sanitizers and gcov call more"
        end
        local build, wrapped, unknown, seen = program.path:match "^(.*)/", {}, {}, 0
        local list = process.slurp "cmake/Failing.cmake":match "IN ITEMS(.-)%)"
        for name in list:gmatch "[%w_]+" do wrapped[name] = true end
        for _, file in ipairs {"libtlslife.so", "lua/tlslife/core.so"} do
            local status, output = process.run {"nm", "-D", "--undefined-only",
                build .. "/" .. file}
            assert.equal(0, status, output)
            for name in output:gmatch "%s[UwW] ([%w_]+)" do
                seen = seen + 1
                if not is_known(name, wrapped) then unknown[#unknown + 1] = name end
            end
        end
        assert.same({}, unknown)
        assert.is_true(seen > 300, seen)
        assert.is_falsy(is_known("newcall", wrapped))
        assert.is_truthy(wrapped.ftruncate)
    end)
end)
