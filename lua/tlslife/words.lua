-- tlslife.words: what the commands of the program have in common in reading their command lines.

local words = {}

--- The words of a list that is joined by commas.
function words.list(text)
    local list = {}
    for one in text:gmatch "[^,]+" do list[#list + 1] = one end
    return list
end

--- Whether the descriptor (1 or 2) is a terminal.
function words.on_terminal(descriptor)
    return os.execute(("[ -t %d ]"):format(descriptor)) == true
end

--- Whether to print in colours there. choice: "always", "never", or "auto" and nil, which say so on
-- a terminal, unless NO_COLOR is set (https://no-color.org).
function words.wants_colour(choice, descriptor)
    return choice == "always" or
        choice ~= "never" and not os.getenv "NO_COLOR" and words.on_terminal(descriptor)
end

return words
