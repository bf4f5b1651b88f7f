-- luasec_samples_spec.lua: runs LuaSec's own samples, as Debian's source package has them, with
-- LuaSec at both ends, with the drop-in at both ends, and with one of each. What they print must be
-- the same.

local luasec = require "spec.support.luasec"
local process = require "spec.support.process"

local HERE <const>, SAMPLES <const> = luasec.here, luasec.samples
local ALL <const> = os.getenv "TLSLIFE_LUASEC" == "all" -- ./dev luasec

-- Each sample: its directory, the client's file, how many seconds a pair has that never ends,
-- whether the drop-in is to differ, and whether it is run where not all are.
local RUNS <const> = {
    {"wantread", seconds = 50}, -- it sleeps for twelve seconds
    {"wantwrite", seconds = 8, endless = true},
    {"sni", quick = true}, {"alpn", quick = true}, {"chain", quick = true},
    {"verify", quick = true}, {"psk", quick = true},
    {"oneshot"}, {"info"}, {"digest"}, {"ecdh"}, {"want"},
    {"curve-negotiation", ours = true},
    {"multicert", client = "client-rsa.lua"}, {"multicert", client = "client-ecdsa.lua"},
    {"verification/success"}, {"verification/fail-string"}, {"verification/fail-table"},
    {"dhparam", ours = true}, -- the function is called, where LuaSec's OpenSSL does not call it
    {"loop", seconds = 8, endless = true, quick = true},
    {"loop-gc", seconds = 8, endless = true},
}
-- Samples that are not run, and why.
local LEFT <const> = {
    certs = "has the certificates",
    dane = "needs the DNS and lunbound",
    key = "has no pair; it is below",
    luaossl = "hands a context of luaossl to LuaSec, which the drop-in does not take",
    verification = "has its samples in directories",
}

local PREPARE <const> = [[
set -e
cp -R "$1" "$2"
cd "$2"
find . -name '*.sh' -exec chmod +x {} +
(cd certs && ./all.sh)
if [ "$3" = true ]; then
    (cd multicert && ./gencerts.sh)
    (cd key && ./genkey.sh)
fi
cd certs # the name that the sample of SNI wants, which LuaSec's scripts do not make
openssl req -newkey rsa:2048 -keyout serverAAkey.pem -out serverAAreq.pem -nodes -batch \
    -config serverA.cnf -subj /CN=serveraa.br
openssl x509 -req -in serverAAreq.pem -extfile serverA.cnf -extensions usr_cert -CA rootA.pem \
    -CAkey rootAkey.pem -CAcreateserial -out serverAAcert.pem -days 30
cat serverAAcert.pem rootA.pem >serverAA.pem
openssl genpkey -genparam -algorithm DH -pkeyopt dh_rfc5114:1 -out ../dhparam/dh-1024.pem
]]

local directory
local function prepare()
    if directory then return directory end
    directory = process.directory() .. "/samples"
    local code, output = process.run {"sh", "-c", PREPARE, "sh", SAMPLES, directory, tostring(ALL),
        timeout = 120}
    assert(code == 0, output)
    return directory
end

local function is_possible()
    return process.slurp(SAMPLES .. "/README") ~= nil and luasec.is_built() and
        process.run {"sh", HERE .. "/spec/luasec/sample.sh", "possible", timeout = 10} == 0
end

-- What a sample printed: without addresses and times, a line each, sorted, because pairs() has no
-- order. Lua 5.4 and 5.5 name a function in a traceback differently.
local function told(path)
    local lines = {}
    local text = (process.slurp(path) or ""):gsub("0x%x+", "0x"):gsub("(%d)%.0%f[\n]", "%1")
        :gsub("%f[%l]in global '", "in function '")
    for line in text:gsub("\n[^\n\t:]+(: %l+%.lua:%d+:)", "\nlua5.4%1"):gmatch "[^\n]+" do
        lines[#lines + 1] = line:gsub("^[^\t:]+(: %l+%.lua:%d+:)", "lua5.4%1")
    end
    table.sort(lines)
    return table.concat(lines, "\n")
end

local function name_of(run)
    return run[1] .. (run.client and " " .. run.client or "")
end

local function start(run, server, client, label)
    local out = ("%s/%s.%s.%s"):format(process.directory(), name_of(run):gsub("[/ ]", "-"), label,
        "out")
    local one = process.start {HERE .. "/spec/luasec/sample.sh", prepare() .. "/" .. run[1], server,
        client, tostring(run.seconds or 20), out, run.client or "client.lua", timeout = 60}
    return {process = one, out = out, run = run, label = label}
end

local function finish(one)
    local code = one.process:wait(60)
    local results = {exit = one.process:output():match "(%d+ %d+)\n$", code = code}
    for _, role in ipairs {"server", "client"} do results[role] = told(one.out .. "." .. role) end
    return results
end

local function check(run, what, results, expected)
    assert.equal(0, results.code, what)
    if run.endless then
        -- A client that never has to wait says little, and its server much.
        local _, lines = (results.client .. "\n" .. results.server):gsub("\n", "")
        assert(lines > 4, what .. ":\n" .. results.client)
        assert(not results.client:find("traceback", 1, true), what .. ":\n" .. results.client)
    elseif run.ours then
        assert(not expected or results.exit == "0 0" or what:find "our%-", what .. ": "
            .. results.client)
    elseif expected then
        for _, field in ipairs {"exit", "server", "client"} do
            assert.equal(expected[field], results[field], what .. ": " .. field)
        end
    end
end

describe("LuaSec's samples", function()
    it("are all run, except those that are listed", function()
        if not is_possible() then return pending "there is no LuaSec, or no network of its own" end
        local seen = {}
        for _, run in ipairs(RUNS) do seen[run[1]:match "^[^/]+"] = true end
        local pipe = assert(io.popen("ls -d '" .. SAMPLES .. "'/*/"))
        for path in pipe:lines() do
            local name = path:match "([^/]+)/$"
            assert(seen[name] or LEFT[name], name .. " is not run")
        end
        pipe:close()
    end)

    it("do the same with the drop-in at either end", function()
        if not is_possible() then return pending "there is no LuaSec, or no network of its own" end
        local started, pairs_of = {}, luasec.pairs()
        for i, run in ipairs(RUNS) do
            started[i] = {}
            for j, pair in ipairs((ALL or run.quick) and pairs_of or {}) do
                started[i][j] = start(run, pair[2], pair[3], pair[1])
                if not run.seconds then started[i][j].results = finish(started[i][j]) end
            end
        end
        for i, run in ipairs(RUNS) do
            local expected
            for j, one in ipairs(started[i]) do
                local results = one.results or finish(one)
                check(run, name_of(run) .. ", " .. pairs_of[j][1], results, expected)
                expected = expected or results
            end
        end
    end)

    it("of keys load with the drop-in", function()
        if not (ALL and is_possible()) then return pending "./dev luasec makes the key" end
        local _, ours = luasec.interpreters()
        local code, output = process.run {"sh", "-c", 'cd "$0" && exec "$1" loadkey.lua',
            prepare() .. "/key", ours, timeout = 20}
        -- The first of its three ways asks at the terminal, which the drop-in never does.
        assert.equal(1, code)
        assert.truthy(output:find("error loading private key", 1, true), output)
    end)
end)
