-- tlslife.testserver.files: finds the file of a directory that a URL's path names, and nothing
-- outside of the directory.
--
-- What an attacker would try: "..", plain or percent-encoded, a NUL, a symbolic link that leads
-- out, or one that is exchanged while we look (so what is open is asked where it lies, not its
-- name), a FIFO, which would wait for a writer, and a device.

local uv = require "luv"

local files = {}

local FLAGS <const> = uv.constants.O_RDONLY | uv.constants.O_NONBLOCK | uv.constants.O_NOCTTY

local TYPES <const> = {
    html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8",
    txt = "text/plain; charset=utf-8", md = "text/plain; charset=utf-8",
    lua = "text/plain; charset=utf-8", css = "text/css; charset=utf-8",
    js = "text/javascript; charset=utf-8", json = "application/json", xml = "application/xml",
    svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg",
    gif = "image/gif", webp = "image/webp", ico = "image/vnd.microsoft.icon",
    pdf = "application/pdf", wasm = "application/wasm", woff2 = "font/woff2",
}

--- The real path of a directory, or nil and why.
function files.root(directory)
    local real, why = uv.fs_realpath(directory)
    local found = real and uv.fs_stat(real)
    if not found then return nil, tostring(why) end
    if found.type ~= "directory" then return nil, directory .. " is no directory" end
    return real
end

-- The path without its escapes, or nil where it is none that we serve.
local function decode(path)
    if path:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
    path = path:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    if path:find("\0", 1, true) then return nil end
    for part in path:gmatch "[^/]+" do
        if part == ".." then return nil end
    end
    return path
end

local function is_inside(root, real)
    return real and (real == root or root == "/" or real:sub(1, #root + 1) == root .. "/")
end

-- What lies at the path: a descriptor and what fstat says of it. Or nil.
local function open(root, path)
    local fd = uv.fs_open(path, FLAGS, 0)
    if not fd then return nil end
    local found = uv.fs_fstat(fd)
    if found and is_inside(root, uv.fs_readlink("/proc/self/fd/" .. fd)) and
        (found.type == "file" or found.type == "directory") then
        return fd, found
    end
    uv.fs_close(fd)
end

local function html(text)
    return (text:gsub('[&<>"]', {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
        ['"'] = "&quot;"}))
end

local function escaped(name)
    return (name:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- A page that links what is in the directory.
local function listing(directory, path)
    local names, found = {}, uv.fs_scandir(directory)
    while found do
        local name, kind = uv.fs_scandir_next(found)
        if not name then break end
        names[#names + 1] = kind == "directory" and name .. "/" or name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        local plain, slash = name:match "^(.-)(/?)$"
        names[i] = ('<li><a href="./%s%s">%s</a></li>\n'):format(escaped(plain), slash, html(name))
    end
    return ('<!DOCTYPE html>\n<meta charset="utf-8">\n<title>%s</title>\n<ul>\n%s</ul>\n'):format(
        html(path), table.concat(names))
end

local function of_directory(root, full, path, list)
    if path:sub(-1) ~= "/" then return {status = 301} end
    local fd, found = open(root, full .. "/index.html")
    if fd and found.type == "file" then
        return {status = 200, fd = fd, size = found.size, type = TYPES.html}
    end
    if fd then uv.fs_close(fd) end
    if not list then return {status = 403} end
    return {status = 200, type = TYPES.html, body = listing(full, path)}
end

--- What a path of a URL (without its query) names below root: a table with status, and for 200 type
-- and either body or fd, which is the caller's, and size. list: directories may be listed.
function files.find(root, path, list)
    local decoded = decode(path)
    if not decoded then return {status = 400} end
    local full = root .. decoded
    local fd, found = open(root, full)
    if not fd then return {status = 404} end
    if found.type == "file" and decoded:sub(-1) ~= "/" then
        local ending = decoded:lower():match "%.(%w+)$"
        return {status = 200, fd = fd, size = found.size,
            type = TYPES[ending] or "application/octet-stream"}
    end
    uv.fs_close(fd)
    if found.type == "file" then return {status = 404} end
    return of_directory(root, full, decoded, list)
end

return files
