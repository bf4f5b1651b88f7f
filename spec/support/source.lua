--- Reads files and the output of commands, for specs about the sources.

local source = {}

--- The content of a file. Raises if there is none.
function source.read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

--- The lines that a command of sh prints.
function source.lines_of(command)
    local pipe, lines = assert(io.popen(command)), {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
    return lines
end

return source
