--- Parses the text of metrics, and says which of them a piece of work has changed.
--
--   local before = measured.read()               -- of this process; or measured.parse(text)
--   local changed = measured.changed(before)     -- {['tlslife_alerts_total{...}'] = 1}

local tls = require "tlslife"

local measured = {}

--- Returns the samples of a text, numbers by name and labels, and a list of violations of the
-- format: OpenMetrics if open is true, else Prometheus' older one.
function measured.parse(text, open)
    local samples, problems, kinds, family = {}, {}, {}, nil
    local function wrong(line, why) problems[#problems + 1] = why .. ": " .. line end
    for line in text:gmatch "([^\n]*)\n" do
        local word, name, rest = line:match "^# (%u+) ([%w_]+) (.+)$"
        if word == "TYPE" then
            if kinds[name] then wrong(line, "a family twice") end
            kinds[name], family = rest, name
        elseif word == "UNIT" then
            if not open or name:sub(-#rest) ~= rest then wrong(line, "a unit") end
        elseif line:sub(1, 1) ~= "#" then
            local series, value = line:match '^([%w_]+{?.*}?) (%-?[%d.]+)$'
            local own = series and series:match "^[%w_]+"
            local kind = kinds[family]
            local suffix = own and own:sub(1, #family) == family and own:sub(#family + 1)
            local expected = kind == "counter" and (open and {_total = 1} or {[""] = 1}) or
                kind == "histogram" and {_bucket = 1, _count = 1, _sum = 1} or {[""] = 1}
            if not series or samples[series] or not expected[suffix] then wrong(line, "sample") end
            if not open and kind == "counter" and not family:find "_total$" then
                wrong(line, "a counter's name")
            end
            if series then samples[series] = tonumber(value) end
        elseif not (word == "HELP" or line == "# EOF") then
            wrong(line, "a comment")
        end
    end
    if (text:match "# EOF\n$" ~= nil) ~= (open == true) then wrong(text:sub(-20), "the end") end
    return samples, problems
end

--- The samples of this process.
function measured.read()
    collectgarbage()
    collectgarbage()
    return (measured.parse(tls.metrics(), true))
end

local function is_counter(series)
    return series:find "_total" or series:find "_count"
end

--- By how much each counter has changed, without those that have not.
function measured.changed(before, after)
    local changed = {}
    for series, value in pairs(after or measured.read()) do
        local by = value - (before[series] or 0)
        if is_counter(series) and by ~= 0 then changed[series] = math.tointeger(by) or by end
    end
    return changed
end

--- A series' name: measured.name("failures_total", "side", "server", "phase", "open")
function measured.name(family, ...)
    local words, labels = table.pack(...), {}
    for i = 1, words.n, 2 do
        labels[#labels + 1] = ('%s="%s"'):format(words[i], words[i + 1])
    end
    return ("tlslife_%s%s"):format(family,
        #labels > 0 and "{" .. table.concat(labels, ",") .. "}" or "")
end

return measured
