-- cache.lua: the homes of sessions beside OpenSSL's own cache, and what was promised of them. See bench/README.md.
--
--   tlslife bench/run.lua cache [full] [--check]
--
-- bench/cache/ measures; this runs it, and judges each row that has a target.
local check, full = false, false
for _, word in ipairs(arg) do
    check = check or word == "--check"
    full = full or word == "full"
end

-- By pattern on the row's name: what it must reach, and the figure that is held against it. ours and theirs are
-- medians, {median, least, most}.
local TARGETS = {
    {"^second thread, get", ">= 1.6", function(ours) return ours[1] >= 1.6, ours[1] end},
    {"^second thread", ">= 1.6", function(ours) return ours[1] >= 1.6, ours[1] end},
    {"^bytes", "<= 1", function(ours, theirs) return ours[1] <= theirs[1], ours[1] / theirs[1] end},
    {"^get at .* equal timeouts", "<= 2", function(ours, theirs) return ours[1] <= 2 * theirs[1], ours[1] / theirs[1] end},
    {"equal timeouts", "<= 1.5", function(ours, theirs) return ours[1] <= 1.5 * theirs[1], ours[1] / theirs[1] end},
    {"^put at 20 k", ">= 100 x", function(ours, theirs) return theirs[1] >= 100 * ours[1], theirs[1] / ours[1] end},
    {"^put at 1 M", ">= 100 x", function(ours, theirs) return theirs[1] >= 100 * ours[1], theirs[1] / ours[1] end},
    {"^shared get, sealed", "<= 2 us", function(ours) return ours[1] <= 2000, ours[1] / 1000 end},
    -- that they overlap: one after the other would be 1. On this machine's own socket most of it is processor time
    {"^Redis, time", "<= 0.75", function(many, one) return many[1] <= one[1] * 0.75, many[1] / one[1] end},
}

local function target_of(name)
    for _, target in ipairs(TARGETS) do
        if name:find(target[1]) then return target end
    end
end

local function amount(name, value)
    if not value then
        return ""
    elseif name:find "^bytes" then
        return ("%.1f B"):format(value)
    elseif name:find "^second" then
        return ("%.2f x"):format(value)
    end
    return value < 10000 and ("%.0f ns"):format(value) or ("%.1f us"):format(value / 1000)
end

local function three(name, values)
    if not values[1] then return "", "" end
    return amount(name, values[1]), ("%s .. %s"):format(amount(name, values[2]), amount(name, values[3]))
end

-- The words of a line, empty ones too.
local function columns(line)
    local all = {}
    for word in (line .. "\t"):gmatch "([^\t]*)\t" do all[#all + 1] = word end
    return all
end

local function first_line(command)
    local pipe = assert(io.popen(command))
    local line = pipe:read "l"
    pipe:close()
    return line
end

local beside = (arg[-1] or ""):match "^(.*)/[^/]*$" or "."
local redis = first_line "command -v redis-server"
local pipe = assert(io.popen(("exec '%s/bench/cache' %s %s"):format(beside, full and "full" or "", redis or "")))

local layout <const> = "%-34s %10s  %-22s %10s  %-22s %9s  %-9s %s"
print "Homes of sessions beside OpenSSL's own cache; processor time an operation, medians, then the least and the most.\n"
print((layout:format("", "ours", "least .. most", "OpenSSL's", "least .. most", "", "target", ""):gsub("%s+$", "")))
local rows, met = 0, 0
for line in pipe:lines() do
    local c = columns(line)
    local name = c[1]
    if name == "note" then
        print(c[2])
    else
        local ours = {tonumber(c[2]), tonumber(c[3]), tonumber(c[4])}
        local theirs = {tonumber(c[5]), tonumber(c[6]), tonumber(c[7])}
        local target = target_of(name)
        local good, figure
        if target then
            good, figure = target[3](ours, theirs)
            rows, met = rows + 1, met + (good and 1 or 0)
        end
        if name:find "^Redis" then name = name .. ", 64 | 1 at once" end
        local our_median, our_spread = three(c[1], ours)
        local their_median, their_spread = three(c[1], theirs)
        print((layout:format(name, our_median, our_spread, their_median, their_spread,
            figure and ("%.2f"):format(figure) or "", target and target[2] or "",
            target and (good and "met" or "NOT MET") or ""):gsub("%s+$", "")))
    end
end
local ran = pipe:close()
if not redis then print "Redis: there is no redis-server here" end
print(("\n%d of %d targets met"):format(met, rows))
os.exit(ran and (not check or met == rows), true)
