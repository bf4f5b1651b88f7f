-- trace_page_spec.lua: tests the HTML page of a trace in a headless Chromium, by what is in the
-- document after the page's script has run.

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

-- What somebody at the keyboard does, and what the page shows then. Another connection, minutes
-- later, is in the trace.
local LATER <const> = [[{"kind":"life","name":"new","conn":99,"side":"client",]] ..
    [["at":200000000000,"shutdown":0,"references":1}]]
local PRESS <const> = [[<script>
const said = {}, heading = () => $("details").querySelector("h2").textContent;
const press = (key, times = 1) => { while (times--) (document.activeElement || document)
  .dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})); };
const labels = () => [...document.querySelectorAll(".axis text")].map(t => t.textContent);
said.first = heading();
press("ArrowRight"); said.right = heading();
press("ArrowLeft"); said.left = heading();
press("End"); said.last = heading();
press("Home"); said.up = heading(); press("ArrowDown"); said.down = heading();
said.marked = document.querySelectorAll(".lane.chosen").length;
press("f"); said.all = labels().pop();
press("+", 18); said.near = labels().length > 5 && new Set(labels()).size === labels().length;
press("f"); press("m"); said.linear = $("mode").value; said.minutes = labels().pop();
press("m"); said.own = $("mode").value; press("m"); said.compact = $("mode").value;
press("w"); said.wide = $("width").value; press("w");
window.print = () => { said.printed = true; };
press("p");
press("/"); said.typing = document.activeElement.id;
press("p"); $("filter").value = "unknown"; $("filter").dispatchEvent(new Event("input"));
said.none = $("summary").textContent;
$("filter").value = ""; $("filter").dispatchEvent(new Event("input"));
press("Escape"); said.left_filter = document.activeElement.id;
document.querySelector('.arrow[data-name="ClientHello"] .hit')
  .dispatchEvent(new MouseEvent("mouseenter"));
said.hover = heading() + " " + $("details").textContent.includes("server_namelocalhost");
const pre = document.createElement("pre");
pre.textContent = Object.keys(said).map(key => key + "=" + said[key]).join("\n");
document.body.append(pre);
</script></body>]]

local function chromium(url, ...)
    local code, output = process.run {"chromium", "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--window-size=1400,900", "--virtual-time-budget=500",
        "--user-data-dir=" .. process.directory() .. "/chromium", url, timeout = 60, ...}
    assert.equal(0, code, output)
    return output
end

-- The page of so many connections and one that fails.
local function traced(count)
    local p = pki.get()
    local script = process.spill(process.directory() .. "/page.lua", SCRIPT)
    local path = ("%s/trace%d.html"):format(process.directory(), count)
    local code, output = process.run {program.path, "trace", "-o", path, script, p.server_cert_file,
        p.server_key_file, p.ca_file, count, timeout = 60}
    assert.equal(0, code, output)
    return path
end

-- The document that Chromium has drawn.
local function drawn(path, fragment)
    local output = chromium("file://" .. path .. (fragment or ""), "--dump-dom")
    local body = assert(output:match "<body>(.*)", "no document")
    return body:gsub("<script.->.-</script>", "")
end

local function count_of(text, pattern)
    local _, count = text:gsub(pattern, "")
    return count
end

describe("the page of a trace", function()
    it("draws each connection as a lane, with its messages, flights, calls and end", function()
        local body = drawn(traced(2))
        assert.matches("3 connections: 1 full, 1 resumed, 1 failed", body)
        assert.equal(3, count_of(body, '<g class="lane[^"]*" data%-conn="#%d+–#%d+"'))
        for name, count in pairs {ClientHello = 3, ServerHello = 3, NewSessionTicket = 3,
            Finished = 5, close_notify = 4, unknown_ca = 1} do
            assert.equal(count, count_of(body, 'class="arrow" data%-name="' .. name .. '"'), name)
        end
        assert.is_true(count_of(body, 'class="flight"') >= 4)
        assert.is_true(count_of(body, '<rect class="call') > 20)
        assert.is_true(count_of(body, '<rect class="call failed') >= 1)
        assert.is_true(count_of(body, '<rect class="wait between"') >= 4)
        assert.is_true(count_of(body, 'class="mask3"') >= 4)
        assert.is_true(count_of(body, 'class="session%-good"') >= 2)
        -- the resumed connection is tied to the one whose session it used
        local from, to =
            body:match 'class="tie" data%-from="(#%d+–#%d+)" data%-to="(#%d+–#%d+)"'
        assert.same({"#1–#2", "#3–#4"}, {from, to})
        assert.is_nil(body:find("<b>", 1, true)) -- which the client has sent
    end)

    it("filters, and shows two hundred connections", function()
        local body = drawn(traced(199), "#filter=resumed")
        assert.matches("99 of 200 connections: 100 full, 99 resumed, 1 failed", body)
        assert.equal(99, count_of(body, 'data%-result="resumed"'))
        assert.equal(0, count_of(body, 'data%-result="full"'))
    end)

    it("is used by the keyboard, and says what the mouse is on", function()
        local path = traced(2)
        local text = process.slurp(path)
        text = text:gsub('\n{"kind":"end"', function(found) return "\n" .. LATER .. found end)
            :gsub("</body>%s*</html>%s*$", function() return PRESS end)
        local body = drawn(process.spill(path, text))
        local said = {}
        for name, value in body:match "<pre>(.-)</pre>":gmatch "([%w_]+)=([^\n]*)" do
            said[name] = value
        end
        assert.same({
            first = "Connection #1–#2", right = "Connection #3–#4", left = "Connection #1–#2",
            last = "life free", up = "life new", down = said.down, marked = "1", all = said.all,
            near = "true", linear = "linear", minutes = said.minutes, own = "own",
            compact = "compact", wide = "wide", printed = "true", typing = "filter",
            left_filter = "plot",
            none = "0 of 4 connections: 1 full, 1 resumed, 1 failed, 1 without a handshake",
            hover = "ClientHello true",
        }, said)
        assert.matches("^1%d%d s$", said.minutes)
    end)

    it("prints what it shows", function()
        local path = traced(2)
        local pdf = path:gsub("html$", "pdf")
        chromium("file://" .. path, "--no-pdf-header-footer", "--print-to-pdf=" .. pdf)
        local code, text = process.run {"pdftotext", "-layout", pdf, "-", timeout = 60}
        assert.equal(0, code, text)
        for _, word in ipairs {"3 connections: 1 full, 1 resumed, 1 failed", "ClientHello",
            "close_notify", "resumed from #1–#2"} do
            assert.truthy(text:find(word, 1, true), word .. " in " .. text)
        end
        for _, word in ipairs {"Keys", "zoom", "without gaps"} do
            assert.is_nil(text:find(word, 1, true), word)
        end
        local _, info = process.run {"pdfinfo", pdf, timeout = 60}
        assert.matches("Pages: +1\n", info)
    end)
end)
