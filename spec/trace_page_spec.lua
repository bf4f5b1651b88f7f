-- trace_page_spec.lua: the HTML page of a trace, as a headless Chromium draws it: what is in its
-- document after its script has run.

local pki = require "spec.support.pki"
local process = require "spec.support.process"
local program = require "spec.support.program"

if not program.ours then return end

local SCRIPT <const> = [[
    local tls = require "tlslife"
    local certificate, key, ca, count = ...
    local server = assert(tls.context {role = "server", certificate = certificate,
        private_key = key})
    local client = assert(tls.context {role = "client", ca = ca, alpn = {"</script><b>"}})
    local session
    for i = 1, tonumber(count) do
        local c, s = client:connection(), server:connection()
        tls.pair(c, s)
        c:set_hostname "localhost"
        if session then c:set_session(session) end
        for _ = 1, 5 do c:connect() s:accept() end
        c:write "hello"
        s:read(10)
        s:write "world"
        c:read(10)
        session = i % 2 == 1 and c:take_session() or nil
        c:shutdown() s:read(1) s:shutdown() c:shutdown()
        c:free() s:free()
    end
    local c, s = tls.context {role = "client"}:connection(), server:connection()
    tls.pair(c, s)
    c:set_hostname "localhost"
    for _ = 1, 5 do c:connect() s:accept() end
]]

-- The document that Chromium has drawn of so many connections and one that fails.
local function drawn(count, fragment)
    local p = pki.get()
    local script = process.spill(process.directory() .. "/page.lua", SCRIPT)
    local path = ("%s/trace%d.html"):format(process.directory(), count)
    local code, output = process.run {program.path, "trace", "-o", path, script, p.server_cert_file,
        p.server_key_file, p.ca_file, count, timeout = 60}
    assert.equal(0, code, output)
    code, output = process.run {"chromium", "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--window-size=1400,900", "--virtual-time-budget=500",
        "--user-data-dir=" .. process.directory() .. "/chromium", "--dump-dom",
        "file://" .. path .. (fragment or ""), timeout = 60}
    assert.equal(0, code, output)
    local body = assert(output:match "<body>(.*)", "no document")
    return body:gsub("<script.->.-</script>", "")
end

local function count_of(text, pattern)
    local _, count = text:gsub(pattern, "")
    return count
end

describe("the page of a trace", function()
    it("draws each connection as a lane, with its messages, flights, calls and end", function()
        local body = drawn(2)
        assert.matches("3 connections: 1 full, 1 resumed, 1 failed", body)
        assert.equal(3, count_of(body, '<g class="lane[^"]*" data%-conn="#%d+–#%d+"'))
        for name, count in pairs {ClientHello = 3, ServerHello = 3, NewSessionTicket = 3,
            Finished = 5, close_notify = 4, unknown_ca = 1} do
            assert.equal(count, count_of(body, 'class="arrow" data%-name="' .. name .. '"'), name)
        end
        assert.is_true(count_of(body, 'class="flight"') >= 4)
        assert.is_true(count_of(body, '<rect class="call') > 20)
        assert.is_true(count_of(body, '<rect class="call failed') >= 1)
        assert.is_true(count_of(body, 'class="mask3"') >= 4)
        assert.is_true(count_of(body, 'class="session%-good"') >= 2)
        -- the resumed connection is tied to the one whose session it used
        local from, to =
            body:match 'class="tie" data%-from="(#%d+–#%d+)" data%-to="(#%d+–#%d+)"'
        assert.same({"#1–#2", "#3–#4"}, {from, to})
        assert.is_nil(body:find("<b>", 1, true)) -- which the client has sent
    end)

    it("filters, and draws two hundred", function()
        local body = drawn(199, "#filter=resumed")
        assert.matches("99 of 200 connections: 100 full, 99 resumed, 1 failed", body)
        assert.equal(99, count_of(body, 'data%-verdict="resumed"'))
        assert.equal(0, count_of(body, 'data%-verdict="full"'))
    end)
end)
