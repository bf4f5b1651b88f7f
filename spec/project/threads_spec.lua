-- threads_spec.lua: tests that the table of spec/c/threads/shared_threads*.c, from which four
-- threads make calls, has a row for each public function, and that docs/architecture.md has a row
-- for each mutex of src/.

local source = require "spec.support.source"

local contents <const>, lines_of <const> = source.read, source.lines_of

-- Functions that no thread shares an object through, and why they have no row.
local WITHOUT_OBJECT = {
    tlslife_status_name = "a word for a number",
    tlslife_error_kind_name = "a word for a number",
    tlslife_alert_name = "a word for a number",
    tlslife_alert_number = "a number for a word",
    tlslife_outcome_name = "a word for a number",
    tlslife_verify_result_text = "a word for a number",
    tlslife_trace_kind_name = "a word for a number",
    tlslife_openssl_version = "a constant",
    tlslife_cache_defaults = "a constant",
    tlslife_split_address = "text of the caller's",
    tlslife_certificate_clear = "memory of the caller's; session_peer_certificate's row calls it",
    tlslife_certificate_details_read = "bytes of the caller's",
    tlslife_certificate_details_clear = "memory of the caller's",
    tlslife_certificate_fingerprint = "bytes of the caller's",
    tlslife_certificate_issued = "bytes of the caller's",
    tlslife_string_free = "memory of the caller's; take_keylog's row calls it",
    tlslife_session_bytes_free = "memory of the caller's; export's rows call it",
    tlslife_keep_memory = "called once, before the first thread",
}

local function declared()
    local names = {}
    for _, header in ipairs {"include/tlslife.h", "include/tlslife_openssl.h"} do
        local text = contents(header):gsub("/%*.-%*/", " ")
        for declaration in text:gmatch "\nTLSLIFE_API ([^;]+);" do
            names[declaration:match "(tlslife_[%w_]+)%s*%("] = true
        end
    end
    return names
end

-- Whether the body calls the function, or a make_ function of this text that does.
local function calls_it(text, body, name)
    local maker = body:match "(make_%w+)%("
    local made = maker and text:match("\n[^\n]*" .. maker .. "%b() (%b{})") or ""
    return (body .. made):find(name .. "%(") ~= nil
end

-- The rows, and whether the function of a row calls what it is for.
local function rows()
    local found, calls = {}, {}
    for _, path in ipairs(lines_of "ls spec/c/threads/shared_threads_*.c") do
        local text = contents(path)
        local tables = text:match "\nconst shared_call [%w_]+%[%] = (%b{})"
        for name in tables:gmatch "(tlslife_[%w_]+)%)" do
            found[#found + 1] = name
        end
        for name, body in text:gmatch "\n%u+%((tlslife_[%w_]+)%) (%b{})" do
            calls[name] = calls_it(text, body, name)
        end
        for line in text:gmatch "[^\n]+" do
            -- a macro's argument is what it calls
            local name = line:match "^%u+%((tlslife_[%w_]+)[,)][^{]*$"
            if name then calls[name] = true end
        end
    end
    return found, calls
end

describe("shared_threads", function()
    it("has a row for each public function, and none for another", function()
        local public, seen = declared(), {}
        for _, name in ipairs((rows())) do
            assert.is_nil(seen[name], name .. " has two rows")
            assert.is_true(public[name], name .. " is not declared")
            assert.is_nil(WITHOUT_OBJECT[name], name .. " has a row after all")
            seen[name] = true
        end
        for name in pairs(public) do
            assert(seen[name] or WITHOUT_OBJECT[name],
                name .. ": no thread of shared_threads calls it")
        end
        for name in pairs(WITHOUT_OBJECT) do assert(public[name], name .. " is not declared") end
    end)

    it("calls in each row the function that it is for", function()
        local found, calls = rows()
        assert.is_true(#found > 180)
        for _, name in ipairs(found) do
            assert.is_true(calls[name], name .. ": its row does not call it")
        end
    end)
end)

describe("docs/architecture.md", function()
    it("has a row for each mutex in src", function()
        local documented = contents "docs/architecture.md"
        local seen = 0
        for _, found in ipairs(lines_of "grep -rE '^[^*]*pthread_mutex_t [a-z_]+( =|;)' src") do
            local path, name = found:match "^([^:]+):.*pthread_mutex_t ([%l_]+)"
            seen = seen + 1
            local row = ("\n| `%s` in `%s` |"):format(name, path)
            assert(documented:find(row, 1, true), row)
        end
        local _, rows_len = documented:gsub("\n| `[%l_]+` in `src/[^`]+` |", "")
        assert.equal(seen, rows_len)
    end)

    it("has them in the order that the tsan build checks", function()
        local ranks, row = {}, 0
        local page = contents "docs/architecture.md"
        for name, file in page:gmatch "\n| `([%l_]+)` in `(src/[^`]+)` |" do
            row = row + 1
            ranks[name .. " " .. file:match "[^/]*$":gsub("%.[ch]$", "")] = row
        end
        local checked, files = {}, 0
        for file, name, rank in contents "spec/races/ranks.h":gmatch '{"(%S+)", "(%S+)", (%d+)}' do
            files = files + 1
            checked[tonumber(rank)] = true
            -- those of a header stand under its name, and are taken in other files
            local wanted = ranks[name .. " " .. file:match "[^/]*$":gsub("%.[ch]$", "")]
            if name == "freeze_lock" then wanted = ranks["freeze_lock context"] end
            if file == "src/cache/look.c" or file == "src/cache/room.c" then
                wanted = ranks["lock memory"]
            end
            assert.equal(wanted, tonumber(rank), file)
        end
        assert.equal(row, #checked)
        for _, file in ipairs(lines_of "grep -rlE 'pthread_mutex_(try)?lock\\(' src") do
            local known = contents "spec/races/ranks.h":find('"' .. file .. '"', 1, true)
            assert(known, file .. " takes a mutex, and spec/races/ranks.h has no rank for it")
        end
        assert.is_true(files >= row)
    end)
end)
