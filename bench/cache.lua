-- cache.lua: compares session caches and stores with OpenSSL's own cache. See bench/README.md.
--
-- The program in bench/cache/ measures, and prints the values of each row. This file says what a
-- row is and what it must reach.
local process, machine = require "spec.support.process", require "machine"

local OURS_TO_THEIRS <const>, THEIRS_TO_OURS <const> = { "ours", "/", "OpenSSL" },
    { "OpenSSL", "/", "ours" }

-- By pattern on the row's name. The first one that matches counts. Other rows have no figure.
local ROWS <const> = {
    { "^second thread", unit = "x", figure = { "ours" }, at_least = 1.6 },
    { "^bytes", unit = "B", figure = OURS_TO_THEIRS, at_most = 1 },
    { "^get at .* equal timeouts", figure = OURS_TO_THEIRS, at_most = 2 },
    { "equal timeouts", figure = OURS_TO_THEIRS, at_most = 1.5 },
    { "^put at 20 k", figure = THEIRS_TO_OURS, at_least = 100 },
    { "^put at 1 M", figure = THEIRS_TO_OURS, at_least = 100 },
    { "^shared get, sealed", figure = { "ours" }, at_most = 2000 },
    -- The figure shows that lookups overlap. One after the other would be 1. With both ends on this
    -- machine most of it is processor time.
    { "^Redis, time", figure = OURS_TO_THEIRS, at_most = 0.75,
        name = "Redis, time a lookup, 64 | 1 at once" },
    { "^Redis", name = "Redis, our CPU a lookup, 64 | 1 at once" },
}

local function kind_of(name)
    for _, kind in ipairs(ROWS) do
        if name:find(kind[1]) then
            return kind
        end
    end
    return {}
end

local function numbers(text)
    local list = {}
    for word in text:gmatch "%S+" do
        list[#list + 1] = tonumber(word)
    end
    return list[1] and list
end

-- The row that a line of bench/cache is.
local function row_of(line)
    local name, ours, theirs = line:match "^([^\t]*)\t([^\t]*)\t([^\t]*)$"
    local kind = kind_of(name)
    return {
        name = kind.name or name, unit = kind.unit, figure = kind.figure, by = "medians",
        at_least = kind.at_least, at_most = kind.at_most,
        values = { ours = numbers(ours), OpenSSL = numbers(theirs) },
    }
end

return function(settings)
    if settings.full and settings.full ~= "full" then
        error("cache knows `full` only, not " .. settings.full, 0)
    end
    return {
        title = {
            "Session caches beside OpenSSL's own, and external stores: processor time per",
            "operation, medians.",
        },
        sides = { "ours", "OpenSSL" }, spreads = true,
        measure = function(_, own, report)
            local redis, server = process.start_redis_socket(300)
            local words = { machine.BESIDE .. "/bench/cache", "--only", own.only }
            local function add(condition, ...)
                table.move(condition and { ... } or {}, 1, 2, #words + 1, words)
            end
            add(own.full, "--full")
            add(own.rounds, "--rounds", own.rounds)
            add(redis, "--redis", redis)
            for i, word in ipairs(words) do
                words[i] = process.quote(tostring(word))
            end
            local pipe = assert(io.popen("exec " .. table.concat(words, " ")))
            for line in pipe:lines() do
                local note = line:match "^note\t(.*)"
                if note then
                    print(note)
                else
                    report(row_of(line))
                end
            end
            assert(pipe:close(), "bench/cache has failed")
            if not redis then
                print "Redis: there is no redis-server here"
            else
                server:stop()
            end
        end,
    }
end
