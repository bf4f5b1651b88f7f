--- Certificates and keys for the specs, made once per process by the openssl program.
--
--   local p = require "spec.support.pki".get()
--
-- Everything is there as a path (p.server_cert_file) and as text (p.server_cert). A root has signed
-- an intermediate CA, which has signed the servers. The root has signed the client itself.
--
--   ca            the root: ca_file, ca_pem (ca_cert too), ca_key; ca_dir holds it under its hash
--   intermediate  intermediate_cert, intermediate_key
--   server        EC P-256, for localhost, 127.0.0.1, ::1, a.example, *.b.example; server_cert is
--                 leaf and intermediate, server_leaf the leaf alone
--   rsa           the same names, RSA 2048
--   wrong_host    the same issuer, for elsewhere.example alone
--   expired       the names of server, expired in 2020
--   client        CN=client, by the root
--   other_ca      a root that has signed none of these: other_ca_file, other_ca_pem; other_client
--                 is signed by it
--   encrypted_key server's key under the passphrase p.passphrase; server_p12 is PKCS#12 of its
--                 certificates and key, under the same, server_p7 PKCS#7 of the certificates
--   garbage       looks like PEM, and is not: garbage_file
--   empty         an empty file: empty_file
--   crl           the intermediate's CRL, which is empty: crl_file its path
--   ocsp_der      a DER OCSP response "good" for server, by the intermediate; ocsp_file its path
--
-- The files are in p.dir, which is removed when the process ends. If TLSLIFE_PKI_DIR names a
-- directory, they are there. The first process that finds the directory missing makes it, and later
-- ones use it. The program that has set the variable removes the directory.

local process = require "spec.support.process"

local pki = {}

local SCRIPT = [[
set -e
cd "$1"
exec 2>log
cat >config <<'END'
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1, DNS:a.example, DNS:*.b.example
[wrong_host]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:elsewhere.example
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[old]
default_md = sha256
policy = any
unique_subject = no
database = old.index
serial = old.serial
new_certs_dir = .
x509_extensions = server
[any]
commonName = supplied
END
ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256'
make() { # name, subject, section, how
    name=$1 subject=$2 section=$3; shift 3
    openssl req -x509 -config config -extensions "$section" -noenc -days 30 -sha256 \
        -subj "$subject" -keyout "$name.key" -out "$name.leaf" "$@"
}
under='-CA intermediate.leaf -CAkey intermediate.key'
make ca '/O=tlslife specs/CN=root' root $ec
make intermediate '/O=tlslife specs/CN=intermediate' intermediate $ec -CA ca.leaf -CAkey ca.key
make server /CN=localhost server $ec $under -set_serial 4660
make rsa /CN=localhost server -newkey rsa:2048 $under
make wrong_host /CN=elsewhere.example wrong_host $ec $under
make client /CN=client client $ec -CA ca.leaf -CAkey ca.key
make other_ca '/O=tlslife specs/CN=stranger' root $ec
make other_client /CN=client client $ec -CA other_ca.leaf -CAkey other_ca.key

: >old.index
echo 10 >old.serial
openssl req -new -config config -noenc $ec -subj /CN=localhost -keyout expired.key -out expired.csr
openssl ca -batch -notext -config config -name old \
    -cert intermediate.leaf -keyfile intermediate.key \
    -startdate 20190101000000Z -enddate 20200101000000Z -in expired.csr -out expired.leaf

for name in server rsa wrong_host expired; do
    cat $name.leaf intermediate.leaf >$name.pem
done
for name in ca intermediate client other_ca other_client; do
    cp $name.leaf $name.pem
done
openssl pkcs8 -topk8 -in server.key -passout pass:secret -out encrypted.key
openssl pkcs12 -export -in server.pem -inkey server.key -passout pass:secret -out server.p12
openssl crl2pkcs7 -nocrl -certfile server.pem -out server.p7

printf 'V\t491231235959Z\t\t1234\tunknown\t/CN=localhost\n' >index
openssl ocsp -issuer intermediate.leaf -cert server.leaf -no_nonce -reqout ocsp.request
openssl ocsp -index index -CA intermediate.leaf -rsigner intermediate.leaf -rkey intermediate.key \
    -ndays 30 -reqin ocsp.request -respout ocsp.der >log
printf '[it]\ndatabase = crl.index\ndefault_md = sha256\n' >crl.config
: >crl.index
openssl ca -config crl.config -name it -cert intermediate.pem -keyfile intermediate.key -gencrl \
    -crldays 30 -out intermediate.crl

mkdir hashed
cp ca.pem hashed/root.pem
openssl rehash hashed
printf -- '-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n' \
    >garbage.pem
: >empty.pem
]]

--- Makes all of it in a directory that must not exist yet. It is made under another name and then
-- renamed, so that no process sees it half made. If another process is faster, its directory is
-- used.
local function make(dir)
    local draft = dir .. ".new." .. process.run_name()
    local script = process.spill(process.directory() .. "/pki.sh", SCRIPT)
    local quoted = process.quote(draft)
    if not os.execute(("mkdir -p %s && sh %s %s"):format(quoted, process.quote(script),
        quoted)) then
        error("pki: openssl failed:\n" .. (process.slurp(draft .. "/log") or ""), 0)
    end
    os.execute(("mv -T %s %s 2>/dev/null || rm -rf %s"):format(quoted, process.quote(dir), quoted))
end

local function read(p, field, file)
    p[field .. "_file"] = p.dir .. "/" .. file
    p[field] = assert(process.slurp(p[field .. "_file"]), file)
end

local function load(dir)
    local p = {dir = dir, ca_dir = dir .. "/hashed", passphrase = "secret"}
    for _, name in ipairs {"ca", "intermediate", "server", "rsa", "wrong_host", "expired", "client",
        "other_ca", "other_client"} do
        read(p, name .. "_cert", name .. ".pem")
        read(p, name .. "_key", name .. ".key")
    end
    read(p, "server_leaf", "server.leaf")
    read(p, "encrypted_key", "encrypted.key")
    read(p, "server_p12", "server.p12")
    read(p, "server_p7", "server.p7")
    read(p, "garbage", "garbage.pem")
    read(p, "empty", "empty.pem")
    read(p, "ocsp", "ocsp.der")
    read(p, "crl", "intermediate.crl")
    p.ca_file, p.ca_pem = p.ca_cert_file, p.ca_cert
    p.other_ca_file, p.other_ca_pem = p.other_ca_cert_file, p.other_ca_cert
    p.ocsp_der = p.ocsp
    return p
end

--- The table described above.
function pki.get()
    if process.kept.pki then return process.kept.pki end
    local dir = os.getenv "TLSLIFE_PKI_DIR" or process.directory() .. "/pki"
    if not process.slurp(dir .. "/empty.pem") then make(dir) end
    process.kept.pki = load(dir)
    return process.kept.pki
end

return pki
