-- reference_spec.lua: compares docs/reference.md with the C header and with the annotations of the
-- Lua interface.

local contents <const> = require "spec.support.source".read

local HEADER <const> = contents "include/tlslife.h":gsub("/%*.-%*/", " ")
local TYPES <const> = contents "lua/tlslife/types.lua"

-- what the examples of the page call an object, and its class in the annotations
local CLASSES <const> = {
    tls = "tlslife", context = "Context", conn = "Connection", session = "Session", cache = "Cache",
    store = "Store",
    keyring = "Keyring", ticket_keys = "TicketKeys", listener = "Listener", buffer = "Buffer",
    poller = "Poller", sock = "Socket", trace = "Trace", writer = "TraceWriter",
    server = "Server", host = "host", thread = "Thread",
}

-- the rows of the tables: {c = "`a`, `b`", lua = "...", page = "..."}
local function rows()
    local found = {}
    local ROW <const> = "\n| ([^\n|]+) | ([^\n|]+) | ([^\n|]+) |"
    for c, lua, page in contents "docs/reference.md":gmatch(ROW) do
        if c ~= "C" and not c:match "^%-" then
            found[#found + 1] = {c = c, lua = lua, page = page}
        end
    end
    return found
end

describe("the reference", function()
    it("has every function of the header, and no other", function()
        local declared, listed, wrong = {}, {}, {}
        for declaration in HEADER:gmatch "\nTLSLIFE_API%s+([^;]+);" do
            declared[(declaration:match "tlslife_([%w_]+)%s*%(")] = true
        end
        for _, row in ipairs(rows()) do
            for name in row.c:gmatch "`([%w_]+)`" do
                listed[name] = true
                if not declared[name] then wrong[#wrong + 1] = name .. " is not in the header" end
            end
        end
        for name in pairs(declared) do
            if not listed[name] then wrong[#wrong + 1] = name .. " is not in the reference" end
        end
        table.sort(wrong)
        assert.same({}, wrong)
    end)

    it("is indexed in the header: each group has a line at the head, in order", function()
        local text = contents "include/tlslife.h"
        local head, rest = text:match "^/%*(.-)%*/(.+)$"
        local indexed, groups = {}, {}
        for number, name in head:gmatch "%[([%d.]+)%]%s+(%l?%u?[%l ]-)%s%s" do
            indexed[#indexed + 1] = number .. name:lower()
        end
        for number, name in rest:gmatch "%-%- %[([%d.]+)%]%s+([%a: ]+)" do
            groups[#groups + 1] = number .. name:gsub("^.*: ", ""):match "^(.-)%s*$":lower()
        end
        assert.same(groups, indexed)
        assert.is_true(#groups > 20)
    end)

    it("names methods and options that exist", function()
        local wrong, seen = {}, 0
        for _, row in ipairs(rows()) do
            for object, name in row.lua:gmatch "`(%l[%l_]*)[:.]([%l_]+)[({]" do
                seen = seen + 1
                local class = assert(CLASSES[object], object .. " is the name of no class")
                if not TYPES:find("\nfunction " .. class .. "[:.]" .. name .. "%(") then
                    wrong[#wrong + 1] = object .. ": " .. name
                end
            end
            if row.lua:match "^options? " then
                for name in row.lua:gmatch "`([%l_]+)`" do
                    seen = seen + 1
                    if not TYPES:find("@field " .. name .. " ") then
                        wrong[#wrong + 1] = "option " .. name
                    end
                end
            end
        end
        assert.same({}, wrong)
        assert.is_true(seen > 100)
    end)

    it("has every method of the annotations", function()
        local text, missing = contents "docs/reference.md", {}
        for owner, name in TYPES:gmatch "\nfunction (%a+)[:.]([%l_]+)%(" do
            if not text:find("[:.]" .. name .. "[({]") then
                missing[#missing + 1] = owner .. "." .. name
            end
        end
        table.sort(missing)
        assert.same({}, missing)
    end)

    it("names manual pages that are installed, where OpenSSL's are", function()
        local page = io.open "/usr/share/man/man3/SSL_new.3ssl.gz"
        if not page then
            return pending "the manual pages of OpenSSL are not installed (libssl-doc)"
        end
        page:close()
        local wrong = {}
        for _, row in ipairs(rows()) do
            for name in row.page:gmatch "`([%w_]+)%(3%)`" do
                local file = io.open("/usr/share/man/man3/" .. name .. ".3ssl.gz")
                if file then file:close() else wrong[#wrong + 1] = name end
            end
        end
        assert.same({}, wrong)
    end)
end)
