-- lifecycle_spec.lua: runs the table in docs/lifecycle.md of what makes a session good or bad, row
-- by row in each protocol and role, and tests what else that page says of sessions.

local Scene = require "spec.support.scene"
local expect = require "spec.support.expect"
local lives = require "spec.support.lives"
local pair = require "spec.support.pair"
local process = require "spec.support.process"
local tls = require "tlslife"

local KINDS = {"tls12_id", "tls12_ticket", "tls13_stateful", "tls13_stateless"}

-- ---------------------------------------------------------------------------------------- the ends

local function read_close_notify(scene)
    scene:peer():shutdown()
    scene:deliver(scene:subject())
    expect.word("closed", scene:subject():read())
end

local function fill(scene)
    repeat until not scene:subject():write(("x"):rep(16384))
end

-- By the beginning of a row's first cell. Some rows are several ends.
local ENDS = {
    ["nothing: `free()`"] = {function() end},
    ["`shutdown()` once"] = {function(scene) scene:subject():shutdown() end},
    ["`shutdown()` twice"] = {function(scene)
        scene:subject():shutdown()
        scene:peer():shutdown()
        assert.equal("done", scene:subject():shutdown())
    end},
    ["the peer's close_notify read, not"] = {read_close_notify},
    ["the peer's close_notify read, then"] = {function(scene)
        read_close_notify(scene)
        scene:subject():shutdown()
    end},
    ["`shutdown()` on a full transport"] = {
        wire = "fed",
        function(scene)
            local overhead
            repeat
                local drained = scene:subject():drain()
                scene:subject():write "x"
                overhead = #scene:subject():drain() - 1
            until drained == ""
            scene:subject():write(("x"):rep(Scene.CAPACITY - overhead))
            expect.word("want_write", scene:subject():shutdown())
        end,
        function(scene)
            scene:rejoin()
            scene:leave(scene:peer())
            expect.fails("system", scene:subject():shutdown())
        end,
    },
    ["quiet:"] = {function(scene)
        scene:subject():set_quiet_shutdown(true)
        assert.equal("done", scene:subject():shutdown())
    end},
    ["`set_shutdown(1)` or"] = {
        function(scene) scene:subject():set_shutdown(1) end,
        function(scene) scene:subject():set_shutdown(3) end,
    },
    ["`set_shutdown(2)`, or"] = {
        function(scene) scene:subject():set_shutdown(2) end,
        function(scene)
            scene:subject():shutdown()
            scene:subject():set_shutdown(0)
        end,
    },
    ["`truncated`"] = {function(scene)
        scene:leave(scene:peer())
        expect.word("truncated", scene:subject():read())
    end},
    ["a fatal alert"] = {
        wire = "fed",
        function(scene)
            scene:garble(scene:subject())
            expect.fails("tls", scene:subject():read())
        end,
        function(scene)
            scene:garble(scene:peer())
            scene:peer():read()
            scene:deliver(scene:subject())
            expect.fails("alert", scene:subject():read())
        end,
    },
    ["`close()` while a write waits"] = {function(scene)
        fill(scene)
        expect.word("timeout", scene:subject():close())
    end},
    ["nothing, while a key update"] = {function(scene)
        local subject = scene:subject()
        if scene.tls13 then return subject:key_update() end
        subject:renegotiate()
        subject:handshake()
        if scene.role == "client" then return end
        scene:peer():read() -- it begins, for it is asked to
        subject:read()
    end},
    ["`free()` or `clear()` during"] = {meet = lives.begin_resuming, function() end},
}

local function end_of(cell)
    for beginning, ending in pairs(ENDS) do
        if cell:sub(1, #beginning) == beginning then return ending, beginning end
    end
    error("no end is known for the row: " .. cell)
end

local function rows()
    local list = {}
    local text = process.slurp "docs/lifecycle.md":match "how the connection ended.-\n\n"
    for ending, mask, status in text:gmatch "\n| ([^|\n]+) | ([^|\n]*)| ([^|\n]+) |" do
        if not ending:find "^%-" then
            local masks = {}
            for digit in mask:gmatch "%d" do masks[#masks + 1] = tonumber(digit) end
            list[#list + 1] = {ending = ending, masks = masks, status = status}
        end
    end
    return list
end

local disposals = {}

function disposals.free(scene)
    scene:subject():free()
    scene.ends[scene.role] = nil
end

function disposals.clear(scene) scene:subject():clear() end
function disposals.unset(scene) scene:subject():set_session(nil) end

local function resumable_after(status, before)
    if status:find "stays" then return before end
    return status == "good" and before
end

local function try(row, ending, index, kind, role, dispose)
    local scene = Scene.new(kind, role)
    if ending.meet then ending.meet(scene) else scene:meet(ending.wire) end
    local before = scene.held:is_resumable()
    assert.equal(before, not (kind == "tls12_ticket" and role == "server"))
    ending[index](scene)
    local mask = row.masks[index] or row.masks[1]
    if mask then assert.equal(mask, scene:subject():get_shutdown()) end
    assert.equal(before and not row.status:find "at once", scene.held:is_resumable())
    dispose(scene)
    assert.equal(resumable_after(row.status, before), scene.held:is_resumable())
    scene:close()
end

describe("as docs/lifecycle.md says, a session is good or bad after", function()
    local met = {}

    for _, row in ipairs(rows()) do
        local ending, name = end_of(row.ending)
        met[name] = true
        for index in ipairs(ending) do
            for disposal, dispose in pairs(disposals) do
                it(("%s (%d), by %s"):format(name, index, disposal), function()
                    for _, kind in ipairs(KINDS) do
                        for _, role in ipairs {"client", "server"} do
                            local refused = disposal == "clear" and name:find "key update" and
                                kind:find "tls12"
                            local no_session = ending.meet and role == "server"
                            if not refused and not no_session then
                                try(row, ending, index, kind, role, dispose)
                            end
                        end
                    end
                end)
            end
        end
    end

    it("each ending that this file has, which the page has too", function()
        for name in pairs(ENDS) do
            assert.is_true(met[name], name .. ": the page has no such row")
        end
    end)
end)

-- ------------------------------------------------------------------------------------ the sessions

describe("a session", function()
    it("is there after the handshake in TLS 1.2, after the first read in TLS 1.3", function()
        for version, there in pairs {["TLSv1.2"] = true, ["TLSv1.3"] = false} do
            local c, s, client = pair.try {client = {max_version = version}}
            assert.is_true(c[1] and s[1])
            assert.equal(there, client:session() ~= nil and client:session():is_resumable())
        end
    end)

    it("is not returned by take_session where a cache keeps it", function()
        for _, version in ipairs(pair.VERSIONS) do
            local cache = tls.cache()
            local client = pair.connect {client = {max_version = version, cache = cache}}
            assert.is_nil(client:take_session())
            assert.is_true(#cache > 0)
            assert.is_true(client:session():is_resumable())
        end
    end)

    it("is bad for all holders of the object, but not as bytes or for the peer", function()
        for _, version in ipairs(pair.VERSIONS) do
            local client, server = pair.connect {client = {max_version = version}}
            local session, context = client:session(), client:context()
            local bytes, theirs = session:export(), session:dup()
            client:free()
            assert.is_false(session:is_resumable())
            assert.is_true(theirs:is_resumable())
            assert.is_true(context:import_session(bytes):is_resumable())
            server:free()
        end
    end)
end)
