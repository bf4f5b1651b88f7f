-- tlslife.command.options: the command lines of `tlslife probe`, `tlslife serve` and `tlslife
-- trace`. Each has a table of its options, from which --help and the reading of the words are made;
-- spec/project/release_spec.lua compares the manual pages with it.
--
-- The table's fields are
--   usage     what follows "usage: "
--   about     what the command does, a line each
--   after     what --help says below the options
--   script    true: the first word that is no option is a script, and what follows is the script's
-- and a row for each option, in the order of --help: its name, what it does, and by name
--   word      how --help names its argument; without one the option is a flag
--   from, to  the argument is a number in that range; fraction: not only a whole one
--   choices   the argument is one of these words; prefix: what may stand before them
--   list      the argument is a list that is joined by commas
--   loose     the argument may be left out (true), so it is given by "=" alone
--   default   what it is when it is not given; shown, and never set here
--   short     a letter that means the same
--   alias     another name that means the same

local options = {}

local HELP <const> = {"help", "show this", short = "h"}
local WIDTH <const> = 100
local COLUMN <const> = 25 -- where the text of an option begins, in --help

--- The words of a list that is joined by commas.
function options.list(text)
    local list = {}
    for one in text:gmatch "[^,]+" do list[#list + 1] = one end
    return list
end

--- Whether the descriptor (1 or 2) is a terminal.
function options.on_terminal(descriptor)
    return os.execute(("[ -t %d ]"):format(descriptor)) == true
end

--- Whether to print in colours there. choice: "always", "never", or "auto" and nil, which say so on
-- a terminal, unless NO_COLOR is set (https://no-color.org).
function options.wants_colour(choice, descriptor)
    return choice == "always" or
        choice ~= "never" and not os.getenv "NO_COLOR" and options.on_terminal(descriptor)
end

--- The row about --colour, which all commands have in common.
options.colour = {"colour", "when there are colours; auto: on a terminal, unless NO_COLOR is set",
    word = "WORD", choices = {"always", "never", "auto"}, default = "auto", alias = "color"}

-- ----------------------------------------------------------------------------------------- --help

local function head_of(row)
    local argument = row.word and (row.loose and "[=%s]" or " %s"):format(row.word) or ""
    return ("  %s--%s%s"):format(row.short and "-" .. row.short .. ", " or "", row[1], argument)
end

-- The text with its ranges and its default.
local function text_of(row)
    local parts = {row[2]}
    if row.choices then parts[2] = table.concat(row.choices, ", ") end
    if row.from then parts[2] = ("%s to %s"):format(row.from, row.to) end
    local text = table.concat(parts, row.choices and ": " or ", ")
    return row.default and ("%s; default %s"):format(text, row.default) or text
end

-- Adds the text to out, in lines that begin at the column; the first line has the head.
local function wrap(out, head, text)
    local line = head .. (" "):rep(COLUMN - #head)
    if #head > COLUMN - 1 then
        out[#out + 1] = head
        line = (" "):rep(COLUMN)
    end
    for word in text:gmatch "%S+" do
        if #line + #word > WIDTH then
            out[#out + 1] = line:gsub(" +$", "")
            line = (" "):rep(COLUMN)
        end
        line = line .. word .. " "
    end
    out[#out + 1] = line:gsub(" +$", "")
end

local function rows_of(command)
    local rows = table.move(command, 1, #command, 1, {})
    rows[#rows + 1] = HELP
    return rows
end

--- What --help prints.
function options.help(command)
    local out = {"usage: " .. command.usage, command.about}
    for _, row in ipairs(rows_of(command)) do wrap(out, head_of(row), text_of(row)) end
    out[#out + 1] = command.after
    return table.concat(out, "\n") .. "\n"
end

--- The names of the options, as the manual page has to have them.
function options.names(command)
    local names = {}
    for i, row in ipairs(rows_of(command)) do names[i] = row[1] end
    return names
end

-- ------------------------------------------------------------------------------------- the words

-- How many letters to put in, to take out or to change, to make the one of the other.
local function distance(one, other)
    local before = {}
    for j = 0, #other do before[j] = j end
    for i = 1, #one do
        local line = {[0] = i}
        for j = 1, #other do
            local change = one:byte(i) == other:byte(j) and 0 or 1
            line[j] = math.min(before[j] + 1, line[j - 1] + 1, before[j - 1] + change)
        end
        before = line
    end
    return before[#other]
end

local function unknown(command, word)
    local name = word:match "^%-%-([^=]*)" or ""
    local nearest, least = nil, 3
    for _, row in ipairs(rows_of(command)) do
        local far = math.min(distance(name, row[1]), row.alias and distance(name, row.alias) or 9)
        if far < least and far < #name then nearest, least = row[1], far end
    end
    return ("unrecognized option '%s'%s"):format(word,
        nearest and (": is it --%s?"):format(nearest) or "")
end

local function row_of(command, name, letter)
    for _, row in ipairs(rows_of(command)) do
        if name and (row[1] == name or row.alias == name) or letter and row.short == letter then
            return row
        end
    end
end

local function choice_of(row, text)
    if row.prefix and text:sub(1, #row.prefix) == row.prefix then
        text = text:sub(#row.prefix + 1)
    end
    for _, choice in ipairs(row.choices) do
        if text == choice then return text end
    end
    local last = #row.choices
    return nil, ("--%s is %s or %s, not '%s'"):format(row[1],
        table.concat(row.choices, ", ", 1, last - 1), row.choices[last], text)
end

local function number_of(row, text)
    local number = tonumber(text)
    if number and not row.fraction then number = math.tointeger(number) end
    if number and number >= row.from and number <= row.to then return number end
    return nil, ("--%s is a %snumber from %s to %s, not '%s'"):format(row[1],
        row.fraction and "" or "whole ", row.from, row.to, text)
end

-- What the argument says, or nil and what is wrong with it.
local function value_of(row, text)
    if row.choices then return choice_of(row, text) end
    if row.from then return number_of(row, text) end
    if row.list then
        local list = options.list(text)
        if #list > 0 then return list end
        return nil, ("--%s is a list that is joined by commas"):format(row[1])
    end
    if text == "" then return nil, ("--%s needs an argument, which is empty"):format(row[1]) end
    return text
end

-- Takes the option of one word, or of this word and the next. Returns how many words it took, or
-- nil and what is wrong.
local function take(command, given, word, following)
    local name, value = word:match "^%-%-([%a-]+)=(.*)$"
    name = name or word:match "^%-%-([%a-]+)$"
    local row = row_of(command, name, word:match "^%-(%a)$")
    if not row then return nil, unknown(command, word) end
    if value and not row.word then
        return nil, ("--%s has no argument: '%s'"):format(row[1], word)
    elseif not row.word or row.loose and not value then
        given[row[1]] = true
        return 1
    elseif not (value or following) then
        return nil, ("'%s' needs an argument"):format(word)
    end
    local wrong
    given[row[1]], wrong = value_of(row, value or following)
    if wrong then return nil, wrong end
    return value and 1 or 2
end

--- What the words say: a table of the options that are given, by name, and a list of the words that
-- are none. Or nil and what is wrong. "--" ends the options.
function options.parse(command, words)
    local given, others, at = {}, {}, 1
    while at <= #words do
        local word = words[at]
        local ends = word == "--"
        if ends or command.script and (word:sub(1, 1) ~= "-" or word == "-") then
            table.move(words, ends and at + 1 or at, #words, #others + 1, others)
            return given, others
        elseif word:sub(1, 1) ~= "-" then
            others[#others + 1] = word
            at = at + 1
        else
            local taken, wrong = take(command, given, word, words[at + 1])
            if not taken then return nil, wrong end
            at = at + taken
        end
    end
    return given, others
end

local function name_of(command)
    return command.usage:match "^%S+ %S+"
end

--- Says on stderr what the command cannot do. Returns false.
function options.complain(command, message)
    io.stderr:write(name_of(command), ": ", message, "\n")
    return false
end

--- Says on stderr what is wrong with the command line, and ends the program with status 2.
function options.refuse(command, message)
    local name = name_of(command)
    io.stderr:write(name, ": ", message, "\nusage: ", command.usage, "\n'", name,
        " --help' says more\n")
    os.exit(2, true)
end

return options
