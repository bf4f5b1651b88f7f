-- config.lua: the module ssl.config of the drop-in, which lists what this OpenSSL knows by LuaSec's
-- names.

local core = require "tlslife.core"

local function set(names)
    local found = {}
    for name in names:gmatch "%S+" do found[name] = true end
    return found
end

-- LuaSec's names of options are OpenSSL's in lower case. A name that this OpenSSL does not have is
-- left out.
local OPTIONS <const> = [[
    all allow_client_renegotiation allow_no_dhe_kex allow_unsafe_legacy_renegotiation
    cipher_server_preference cisco_anyconnect cleanse_plaintext cookie_exchange
    cryptopro_tlsext_bug disable_tlsext_ca_names dont_insert_empty_fragments enable_ktls
    enable_middlebox_compat ephemeral_rsa ignore_unexpected_eof legacy_server_connect
    microsoft_big_sslv3_buffer microsoft_sess_id_bug msie_sslv2_rsa_padding netscape_ca_dn_bug
    netscape_challenge_bug netscape_demo_cipher_change_bug netscape_reuse_cipher_change_bug
    no_anti_replay no_compression no_dtls_mask no_dtlsv1 no_dtlsv1_2 no_encrypt_then_mac
    no_extended_master_secret no_query_mtu no_renegotiation
    no_session_resumption_on_renegotiation no_ssl_mask no_sslv2 no_sslv3 no_ticket no_tlsv1
    no_tlsv1_1 no_tlsv1_2 no_tlsv1_3 pkcs1_check_1 pkcs1_check_2 prioritize_chacha
    safari_ecdhe_ecdsa_bug single_dh_use single_ecdh_use ssleay_080_client_dh_bug
    sslref2_reuse_cert_type_bug tls_block_padding_bug tls_d5_bug tls_rollback_bug tlsext_padding]]

-- The groups that TLS can use. LuaSec lists every curve of libcrypto, most of which no handshake
-- takes.
local CURVES <const> = [[
    P-256 P-384 P-521 X25519 X448 prime256v1 secp384r1 secp521r1 secp224r1 secp256k1 secp192k1
    secp224k1 secp160k1 secp160r1 secp160r2 prime192v1 sect163k1 sect163r1 sect163r2 sect193r1
    sect193r2 sect233k1 sect233r1 sect239k1 sect283k1 sect283r1 sect409k1 sect409r1 sect571k1
    sect571r1 brainpoolP256r1 brainpoolP384r1 brainpoolP512r1]]

local function usable(names, option)
    local found = {}
    for name in pairs(set(names)) do
        local context = core.context {role = "client", [option(name)] = option(name, true)}
        if context then
            found[name] = true
            context:free()
        end
    end
    return found
end

-- The curves are tried when they are asked for first, which programs seldom do.
return setmetatable({
    algorithms = {ec = true},
    capabilities = {alpn = true, curves_list = true, dane = true, ecdh_auto = true,
        psk = true},
    options = set(OPTIONS),
    protocols = set "tlsv1 tlsv1_1 tlsv1_2 tlsv1_3",
}, {
    __index = function(self, key)
        if key ~= "curves" then return nil end
        local curves = usable(CURVES, function(name, value) return value and name or "groups" end)
        rawset(self, key, curves)
        return curves
    end,
    __pairs = function(self)
        local _ = self.curves
        return next, self, nil
    end,
})
