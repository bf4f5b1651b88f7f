-- tlslife.testserver.certificate: makes a self-signed certificate and its key by the program
-- openssl, as PEM. The library makes none itself, because a server needs none to be made.
--
-- The key is in a directory of its own while it is made, and nowhere afterwards.

local DAY <const> = 86400

local certificate = {}

certificate.names = {"localhost", "127.0.0.1", "::1"}

-- `openssl ca` is the way to choose both dates in OpenSSL 3.0. The certificate is no CA: a
-- client that trusts it trusts this server alone.
local SCRIPT <const> = [[
command -v openssl >/dev/null 2>&1 || { echo "the program openssl is not installed"; exit 1; }
umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/tlslife-serve.XXXXXX" 2>&1) || { echo "$dir"; exit 1; }
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
cat >config <<'END'
[req]
distinguished_name = name
prompt = no
[name]
CN = tlslife serve
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectAltName = $NAMES
END
: >index
{
    openssl req -new -config config -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
        -keyout key -out request &&
    openssl ca -batch -notext -selfsign -config config -keyfile key -in request \
        -startdate $FROM -enddate $UNTIL -out certificate
} >log 2>&1 </dev/null || { cat log; exit 1; }
cat certificate key
]]

-- How a certificate has the name, or nil where it can have no such name.
local function alternative(name)
    if #name > 253 or not name:find "^[%w.*:_-]+$" then return nil end
    local is_address = name:find(":", 1, true) or name:find "^%d+%.%d+%.%d+%.%d+$"
    return (is_address and "IP:" or "DNS:") .. name
end

--- Whether a certificate can have all these names; otherwise nil and the first that it cannot have.
function certificate.can_have(names)
    for _, name in ipairs(names) do
        if not alternative(name) then return nil, name end
    end
    return #names > 0
end

--- A certificate for these names and its key, as one text; over for a day where expired is true.
-- Or nil and why.
function certificate.make(names, expired)
    local list, now = {}, os.time()
    for i, name in ipairs(names) do list[i] = assert(alternative(name)) end
    local function date(days) return os.date("!%Y%m%d%H%M%SZ", now + math.tointeger(days * DAY)) end
    local values = {
        NAMES = table.concat(list, ", "), FROM = date(-30), UNTIL = date(expired and -1 or 30),
    }
    local pipe, why = io.popen((SCRIPT:gsub("%$(%u+)", values)))
    if not pipe then return nil, why end
    local text = pipe:read "a"
    if pipe:close() then return text end
    return nil, "no certificate can be made: " .. text:match "^%s*(.-)%s*$"
end

return certificate
