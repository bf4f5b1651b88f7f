-- plain.lua: starts the plain C side (plain.c). Each pair of peers is a process of its own, which
-- works when it is asked to.
local process, machine = require "spec.support.process", require "machine"

local SECONDS <const> = 1800 -- no process lives longer

local Peers = {}
Peers.__index = Peers

-- Asks for one thing and waits for it. The nanoseconds of processor time that it took.
function Peers:ask(...)
    self.one:write(table.concat({ ... }, " ") .. "\n")
    local line = self.answers:read "l" or "plain C: it has ended"
    return tonumber(line) or error(line, 0)
end

function Peers:close()
    self.one:stop()
    self.answers:close()
end

local plain = {}
plain.__index = plain

--- Where the program is; pinned: a processor, or nil for any.
function plain.new(path, pinned)
    local self = setmetatable({ path = path, pinned = pinned, count = 0 }, plain)
    if process.run { path } ~= 1 then
        error(path .. " is not there: build the release preset, or say where by --plain", 0)
    end
    return self
end

-- A certificate authority and a server's certificate under it. With one certificate alone a client
-- would have no signature to check, which no real client enjoys.
local IDENTITY <const> = [[
set -e
cd "$0"
make() { # name of its files, subject, how
    name=$1 subject=$2
    shift 2
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 1 -sha256 \
        -subj "$subject" -keyout "$name.key" -out "$name.pem" "$@"
}
make ca '/CN=tlslife bench authority' -addext keyUsage=critical,keyCertSign,cRLSign
make certificate /CN=localhost -CA ca.pem -CAkey ca.key \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext extendedKeyUsage=serverAuth -addext subjectAltName=DNS:localhost
mv certificate.key private_key.pem]]

--- Certificates, made when they are first asked for: the directory where they are, and the paths
--- ca, certificate and private_key.
function plain:identity()
    if not self.made then
        local directory = process.directory()
        local status, output = process.run { "sh", "-c", IDENTITY, directory }
        assert(status == 0, output)
        self.made = { directory = directory, ca = directory .. "/ca.pem",
            certificate = directory .. "/certificate.pem",
            private_key = directory .. "/private_key.pem" }
    end
    return self.made
end

--- A client and a server in plain C. What can be asked of them: plain.c's commands.
function plain:peers(version, resumption, careless)
    self.count = self.count + 1
    local answers = ("%s/plain%d"):format(process.directory(), self.count)
    assert(os.execute("mkfifo " .. process.quote(answers)))
    local words = machine.pinned(self.pinned, { "sh", "-c", 'exec "$@" >"$0"', answers, self.path,
        version, resumption, self:identity().directory, careless and "careless" or nil })
    words.stdin, words.timeout = true, SECONDS
    local peers = setmetatable({ one = process.start(words), answers = assert(io.open(answers)) },
        Peers)
    local theirs, ours = peers.answers:read "l", require "tlslife".openssl_version
    assert(theirs == ours, ("%s is to be measured beside %s"):format(ours, theirs))
    return peers
end

return plain
