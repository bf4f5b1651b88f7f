-- tlslife.testserver.options: the command line of `tlslife serve`, and what follows from it.

local certificate = require "tlslife.testserver.certificate"
local faults = require "tlslife.testserver.faults"
local words_of = require "tlslife.words"

local options = {}

local FLAGS <const> = {help = true, list = true, verify = true, log = true, ["no-log"] = true,
    trace = true}

-- An option whose argument may be left out has it behind "=" only, because the next word may be
-- the directory.
local LOOSE <const> = {["self-signed"] = true, ["early-data"] = true}

local WORDS <const> = {listen = true, certificate = true, key = true, ["save-certificate"] = true,
    resumption = true, ["client-ca"] = true, ["min-version"] = true, ["max-version"] = true,
    alpn = true, fault = true}

-- Of each number: the least and the most, and whether it may have a fraction.
local NUMBERS <const> = {["num-tickets"] = {0, 16}, workers = {1, 64}, delay = {0, 600, true},
    ["early-data"] = {1, 1 << 30}}

local VERSIONS <const> = {["1"] = "TLSv1", ["1.0"] = "TLSv1", ["1.1"] = "TLSv1.1",
    ["1.2"] = "TLSv1.2", ["1.3"] = "TLSv1.3"}

local function number_of(name, text)
    local number, range = tonumber(text), NUMBERS[name]
    if number and not range[3] then number = math.tointeger(number) end
    if number and number >= range[1] and number <= range[2] then return number end
    return nil, ("--%s is a number from %d to %d"):format(name, range[1], range[2])
end

local function value_of(name, text)
    if NUMBERS[name] then return number_of(name, text) end
    return text
end

-- Takes the option of one word, or of this word and the next. Returns how many words it took, or
-- nil and what is wrong.
local function take(given, word, following)
    local name, value = word:match "^%-%-([%a-]+)=(.*)$"
    name = name or word:match "^%-%-([%a-]+)$"
    local known = name and (FLAGS[name] or LOOSE[name] or WORDS[name] or NUMBERS[name])
    if not known or FLAGS[name] and value then
        return nil, ("unrecognized option '%s'"):format(word)
    elseif FLAGS[name] or LOOSE[name] and not value then
        given[name] = true
        return 1
    end
    if not (value or following) then return nil, ("'%s' needs an argument"):format(word) end
    local wrong
    given[name], wrong = value_of(name, value or following)
    if wrong then return nil, wrong end
    return value and 1 or 2
end

--- What the words say; given.directory is the word that is no option. Or nil and what is wrong.
function options.parse(words)
    local given, at, plain = {}, 1, false
    while at <= #words do
        local word = words[at]
        if word == "--" and not plain then
            plain, at = true, at + 1
        elseif plain or word:sub(1, 1) ~= "-" then
            if given.directory then return nil, ("one DIR, not '%s', too"):format(word) end
            given.directory, at = word, at + 1
        else
            local taken, wrong = take(given, word, words[at + 1])
            if not taken then return nil, wrong end
            at = at + taken
        end
    end
    return given
end

local function version_of(text)
    return VERSIONS[text:gsub("^TLSv", "")]
end

-- What options say together, or what is wrong with that.
local function wrong_together(given)
    local own = given.certificate or given.key
    if own and not given.certificate then return "--key needs --certificate, too" end
    if own and given["self-signed"] then return "either --certificate or --self-signed" end
    if own and given["save-certificate"] then
        return "--save-certificate is for a self-signed certificate"
    end
    if own and given.fault == "expired" then
        return "--fault expired makes a certificate of its own: leave --certificate out"
    end
    if given.verify and not given["client-ca"] then return "--verify needs --client-ca, too" end
    if given.log and given["no-log"] then return "either --log or --no-log" end
    if given.list and not given.directory then return "--list needs DIR" end
end

local function wrong_alone(given)
    if given.fault and not faults.known[given.fault] then
        return ("--fault does not know '%s'"):format(given.fault)
    end
    if given.resumption and
        not ({both = 1, tickets = 1, stateful = 1, off = 1})[given.resumption] then
        return "--resumption is both, tickets, stateful or off"
    end
    if given["early-data"] and given.resumption == "off" then
        return "--early-data needs resumption"
    end
    for _, name in ipairs {"min-version", "max-version"} do
        if given[name] and not version_of(given[name]) then
            return ("--%s is 1.0, 1.1, 1.2 or 1.3"):format(name)
        end
    end
    for _, name in ipairs {"listen", "alpn", "self-signed"} do
        local text = given[name]
        if type(text) == "string" and not text:find "[^,]" then
            return ("--%s is a list that is joined by commas"):format(name)
        end
    end
end

-- The options of the context, but for the certificate.
local function context_of(given)
    local early = given["early-data"]
    return {
        certificate = given.certificate, private_key = given.key,
        resumption = given.resumption, num_tickets = given["num-tickets"],
        max_early_data = type(early) == "number" and early or nil,
        ca = given["client-ca"], client_ca = given["client-ca"],
        verify = given["client-ca"] and (given.verify and "required" or "optional") or nil,
        min_version = given["min-version"] and version_of(given["min-version"]),
        max_version = given["max-version"] and version_of(given["max-version"]),
        alpn = given.alpn and words_of.list(given.alpn) or given.directory and {"http/1.1"} or nil,
    }
end

--- What a run needs to know. Or nil and what is wrong.
function options.settle(given)
    local wrong = wrong_alone(given) or wrong_together(given)
    if wrong then return nil, wrong end
    local names = type(given["self-signed"]) == "string" and words_of.list(given["self-signed"]) or
        certificate.names
    local can, name = certificate.can_have(names)
    if not can then return nil, ("--self-signed: '%s' is no name"):format(name) end
    local log = given.log
    if not log and not given["no-log"] then log = words_of.on_terminal(2) end
    return {
        directory = given.directory, list = given.list, log = log, trace = given.trace,
        listen = words_of.list(given.listen or "127.0.0.1:8443"), workers = given.workers,
        early = given["early-data"] ~= nil, fault = given.fault, delay = given.delay or 3,
        names = not given.certificate and names or nil, save = given["save-certificate"],
        context = context_of(given),
    }
end

return options
