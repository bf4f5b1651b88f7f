--- walk_compare.lua: compares what a walk (walk.lua) gave in tlslife with what it gave in libssl
--- alone.
--
-- Both sides print tokens (spec/support/scene.lua). They are compared up to the first one in which
-- tlslife differs on purpose (DIFFERENCES), or further if the difference changes nothing else.

local compare = {}

local function tokens(line)
    local list = {}
    for token in line:gmatch "%S+" do list[#list + 1] = token end
    return list
end

--- Whether an earlier call of the same end failed, or a write of it waits.
local function before(list, i, pattern)
    local who = list[i]:match "^([sp])%."
    for n = 1, i - 1 do
        if who and list[n]:sub(1, 1) == who and list[n]:find(pattern) then return true end
    end
    return false
end

--- Whether either end was shut down after a renegotiation had been asked for.
local function shut_in_renegotiation(list, i)
    local asked = false
    for n = 1, i - 1 do
        if asked and list[n]:find "%.shutdown=" then return true end
        asked = asked or list[n]:find "%.renegotiate[%l_]*=1$"
    end
    return false
end

local FAILED = "^.%.[%l_]+=%-?%d+/s"

local function is_data(token)
    local name = token:match "^.%.(%l+)="
    return name == "read" or name == "peek" or name == "write"
end

--- The deliberate differences. Each has the beginning of its row of docs/differences.md (nil: a
--- mistake of the program's, which raises as README.md says), and is so if is() says it of token i.
-- goes_on: libssl's call has left the connection as tlslife's did, so that what follows is
-- compared.
local DIFFERENCES = {
    {row = "`shutdown` while a write waits", is = function(_, our, theirs, _, i)
        return our:find "shutdown=raises$" and before(theirs, i, "write=0/want_write")
    end},
    {row = "`shutdown` while a message after the handshake is half read", is = function(their)
        return their:find "shutdown=%-1/ssl:shutdown_while_in_init"
    end},
    {row = "`shutdown` before the handshake is done", goes_on = true, is = function(their, our)
        return our:find "shutdown=raises$" and their:find "/ssl:"
    end},
    -- libssl sends close_notify behind early data
    {row = "`shutdown` before the handshake is done", is = function(their, our)
        return our:find "shutdown=raises$" and their:find "=0$"
    end},
    {row = "a server that takes early data is used with a session of its cache", goes_on = true,
        is = function(their, our, _, _, _, head)
            return head:find "server early$" and their == "resumable=0" and our == "resumable=1"
        end},
    {goes_on = true, is = function(their, our) -- there is no more to read
        return our:find "%.read_early=raises$" and their:find "=2$"
    end},
    {row = "`read` or `write` before the handshake", is = function(their, our)
        return is_data(our) and our:find "=raises$" and their:find "=[01]"
    end},
    {row = "`set_session` on a live connection or a server's", is = function(_, our)
        return our:find "%.offer=raises$"
    end},
    {goes_on = true, is = function(their, our)
        return our:find "=raises$"
            and (their:find "=0$" or their:find "=0/ssl:called_a_function_you_should_not_call$")
    end},
    {row = "`key_update`, `new_session_ticket` or `request_client_certificate` after our",
        is = function(their, our)
            return (our:find "%.update[%l_]*=raises$" or our:find "%.ticket=raises$" or
                our:find "%.ask=raises$") and their:find "=1$"
        end},
    {is = function(their, our) -- before the handshake, or after it
        local name = their:match "^.%.([%l_]+)=1$"
        return our:find "=raises$" and (name == "renegotiate" or name == "renegotiate_short"
            or name == "write_early")
    end},
    {row = "`write_early` beside a session that the ClientHello leaves out", is =
        function(their, our) return our:find "write_early=0$" and their:find "=0/" end},
    {row = "a call on a connection that failed", is = function(their, our)
        return their:find "/syscall$" and our:find "/ssl:none$"
    end},
    {row = "a call on a connection that failed", goes_on = true,
        is = function(their, our, _, ours, i)
            return their:find "pending=" and our:find "pending=0$" and before(ours, i, FAILED)
        end},
    {row = "`clear` while a renegotiation is pending", is = function(their, our)
        return our == "clear=1" and their:find "^clear=0"
    end},
    {row = "`renegotiate` after a close_notify", is = function(their, our)
        return their:find "%.renegotiate[%l_]*=1$" and our:find "=0$"
    end},
    {row = "`renegotiate` after a close_notify", is = function(_, _, theirs, _, i)
        return shut_in_renegotiation(theirs, i)
    end},
    {row = "a call on a connection that failed", is = function(_, _, _, ours, i)
        return before(ours, i, FAILED)
    end},
}

--- The deliberate difference in token i, or nil.
local function known(theirs, ours, i, head)
    for _, one in ipairs(theirs[i] and ours[i] and DIFFERENCES or {}) do
        if one.is(theirs[i], ours[i], theirs, ours, i, head) then return one end
    end
end

--- Rows of docs/differences.md that the table above names.
function compare.rows()
    local rows = {}
    for _, one in ipairs(DIFFERENCES) do rows[#rows + 1] = one.row end -- nil adds none
    return rows
end

--- nil, or what differs and in which token; and how many tokens were alike. head: the walk's.
function compare.lines(theirs, ours, head)
    local a, b, alike = tokens(theirs), tokens(ours), 0
    for i = 1, math.max(#a, #b) do
        local difference = a[i] ~= b[i] and known(a, b, i, head)
        if a[i] == b[i] then
            alike = alike + 1
        elseif not difference then
            return {token = i, message = ("libssl says %s, tlslife %s"):format(a[i], b[i])}, alike
        elseif not difference.goes_on then
            return nil, alike
        end
    end
    return nil, alike
end

return compare
