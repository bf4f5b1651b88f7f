-- https.lua: makes requests by ssl.https, and prints what they return, a line each.
--
--     lua5.4 [-l tlslife.luasec] https.lua PORT CA OTHER_CA [PROXY]
local https = require "ssl.https"
local ltn12 = require "ltn12"

local port, ca, other_ca, proxy = table.unpack(arg)
local base = "https://localhost:" .. port

local function say(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]):gsub("%s+$", "") end
    print(table.concat(words, " | "))
end

local function get(request)
    local parts = {}
    request.sink = ltn12.sink.table(parts)
    local result, code, _, status = https.request(request)
    say(result, code, status, table.concat(parts):match "^[^<]*")
end

local function simple(...)
    local body, code, _, status = https.request(...)
    say(body, code, status)
end

simple(base .. "/a")
simple(base .. "/b")
simple(base .. "/moved")
simple(base .. "/post", "body")
get {url = base .. "/c", verify = "peer", cafile = ca}
get {url = base .. "/d", verify = "peer", cafile = ca}
get {url = base .. "/e", verify = "peer", cafile = other_ca}
get {url = base .. "/moved", redirect = false}
get {url = base .. "/f", method = "HEAD"}
say(https.request {url = base .. "/g", create = print})
say(https.request "https://localhost:1/")
if proxy then
    get {url = base .. "/h", proxy = proxy}
    get {url = base .. "/i", proxy = proxy:gsub("//", "//user:secret@")}
end
