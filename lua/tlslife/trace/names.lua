-- tlslife.trace.names: the names of TLS's versions, ciphers, groups and the like, as IANA's
-- registries write them. A number that has no name here is written as a number.

local names = {}

names.messages = {
    [0] = "HelloRequest", [1] = "ClientHello", [2] = "ServerHello", [4] = "NewSessionTicket",
    [5] = "EndOfEarlyData", [8] = "EncryptedExtensions", [11] = "Certificate",
    [12] = "ServerKeyExchange", [13] = "CertificateRequest", [14] = "ServerHelloDone",
    [15] = "CertificateVerify", [16] = "ClientKeyExchange", [20] = "Finished",
    [22] = "CertificateStatus", [24] = "KeyUpdate", [25] = "CompressedCertificate",
}

names.records = {
    [20] = "ChangeCipherSpec", [21] = "Alert", [22] = "Handshake", [23] = "ApplicationData",
}

names.versions = {
    [0x0300] = "SSLv3", [0x0301] = "TLSv1", [0x0302] = "TLSv1.1", [0x0303] = "TLSv1.2",
    [0x0304] = "TLSv1.3",
}

names.groups = {
    [22] = "secp256k1", [23] = "secp256r1", [24] = "secp384r1", [25] = "secp521r1", [29] = "x25519",
    [30] = "x448", [256] = "ffdhe2048", [257] = "ffdhe3072", [258] = "ffdhe4096",
    [259] = "ffdhe6144", [260] = "ffdhe8192", [512] = "MLKEM512", [513] = "MLKEM768",
    [514] = "MLKEM1024", [4587] = "SecP256r1MLKEM768", [4588] = "X25519MLKEM768",
    [4589] = "SecP384r1MLKEM1024",
}

names.extensions = {
    [0] = "server_name", [1] = "max_fragment_length", [5] = "status_request",
    [10] = "supported_groups", [11] = "ec_point_formats", [13] = "signature_algorithms",
    [15] = "heartbeat", [16] = "application_layer_protocol_negotiation",
    [18] = "signed_certificate_timestamp", [21] = "padding", [22] = "encrypt_then_mac",
    [23] = "extended_master_secret", [27] = "compress_certificate", [28] = "record_size_limit",
    [35] = "session_ticket", [41] = "pre_shared_key", [42] = "early_data",
    [43] = "supported_versions", [44] = "cookie", [45] = "psk_key_exchange_modes",
    [47] = "certificate_authorities", [48] = "oid_filters", [49] = "post_handshake_auth",
    [50] = "signature_algorithms_cert", [51] = "key_share", [0xff01] = "renegotiation_info",
}

names.suites = {
    [0x00ff] = "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", [0x5600] = "TLS_FALLBACK_SCSV",
    [0x1301] = "TLS_AES_128_GCM_SHA256", [0x1302] = "TLS_AES_256_GCM_SHA384",
    [0x1303] = "TLS_CHACHA20_POLY1305_SHA256", [0x1304] = "TLS_AES_128_CCM_SHA256",
    [0x1305] = "TLS_AES_128_CCM_8_SHA256", [0x002f] = "TLS_RSA_WITH_AES_128_CBC_SHA",
    [0x0035] = "TLS_RSA_WITH_AES_256_CBC_SHA", [0x003c] = "TLS_RSA_WITH_AES_128_CBC_SHA256",
    [0x003d] = "TLS_RSA_WITH_AES_256_CBC_SHA256", [0x009c] = "TLS_RSA_WITH_AES_128_GCM_SHA256",
    [0x009d] = "TLS_RSA_WITH_AES_256_GCM_SHA384",
    [0x0033] = "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", [0x0039] = "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    [0x0067] = "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    [0x006b] = "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    [0x009e] = "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    [0x009f] = "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    [0xc009] = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    [0xc00a] = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    [0xc013] = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    [0xc014] = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    [0xc023] = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    [0xc024] = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    [0xc027] = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    [0xc028] = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    [0xc02b] = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    [0xc02c] = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    [0xc02f] = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    [0xc030] = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    [0xcca8] = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    [0xcca9] = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    [0xccaa] = "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

-- The name of a number, or the number. A client sends numbers that mean nothing, so that servers
-- stay able to ignore what they do not know (RFC 8701).
function names.of(kind, number)
    local grease = number & 0x0f0f == 0x0a0a and number >> 8 == number & 0xff
    return names[kind][number] or grease and "GREASE" or ("0x%04x"):format(number)
end

return names
