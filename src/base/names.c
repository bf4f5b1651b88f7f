/*
 * names.c: finds the bits of OpenSSL's options and modes by name, and tells host names from IP
 * addresses.
 *
 * OpenSSL has no function that finds the bit of "NO_TICKET" and covers all options (SSL_CONF_cmd
 * has names of its own for some), so the table is here. It has all that OpenSSL 3.0 and later
 * define, each under #ifdef if it is younger. It also has those that OpenSSL keeps as 0 for old
 * programs: setting them is lawful and does nothing.
 *
 * An attacker would try a host name that another parser reads as two ("a.example\0.evil",
 * "a.example/evil"), or as an address. Only letters, digits, '-', '_' and '.' pass, and an address
 * is told from a name.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/names.h"

typedef struct named_bit {
    const char *name;
    uint64_t bit;
} named_bit;

#define OPTION(name) \
    { #name, SSL_OP_##name }
#define MODE(name) \
    { #name, SSL_MODE_##name }

static const named_bit options[] = {
    OPTION(ALL),
    OPTION(NO_SSL_MASK),
    OPTION(NO_DTLS_MASK),
    OPTION(NO_EXTENDED_MASTER_SECRET),
    OPTION(CLEANSE_PLAINTEXT),
    OPTION(LEGACY_SERVER_CONNECT),
    OPTION(ENABLE_KTLS),
    OPTION(TLSEXT_PADDING),
    OPTION(SAFARI_ECDHE_ECDSA_BUG),
    OPTION(IGNORE_UNEXPECTED_EOF),
    OPTION(ALLOW_CLIENT_RENEGOTIATION),
    OPTION(DISABLE_TLSEXT_CA_NAMES),
    OPTION(ALLOW_NO_DHE_KEX),
    OPTION(DONT_INSERT_EMPTY_FRAGMENTS),
    OPTION(NO_QUERY_MTU),
    OPTION(COOKIE_EXCHANGE),
    OPTION(NO_TICKET),
    OPTION(CISCO_ANYCONNECT),
    OPTION(NO_SESSION_RESUMPTION_ON_RENEGOTIATION),
    OPTION(NO_COMPRESSION),
    OPTION(ALLOW_UNSAFE_LEGACY_RENEGOTIATION),
    OPTION(NO_ENCRYPT_THEN_MAC),
    OPTION(ENABLE_MIDDLEBOX_COMPAT),
    OPTION(PRIORITIZE_CHACHA),
    OPTION(CIPHER_SERVER_PREFERENCE),
    OPTION(TLS_ROLLBACK_BUG),
    OPTION(NO_ANTI_REPLAY),
    OPTION(NO_SSLv3),
    OPTION(NO_TLSv1),
    OPTION(NO_TLSv1_1),
    OPTION(NO_TLSv1_2),
    OPTION(NO_TLSv1_3),
    OPTION(NO_DTLSv1),
    OPTION(NO_DTLSv1_2),
    OPTION(NO_RENEGOTIATION),
    OPTION(CRYPTOPRO_TLSEXT_BUG),
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
    OPTION(NO_TX_CERTIFICATE_COMPRESSION),
#endif
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
    OPTION(NO_RX_CERTIFICATE_COMPRESSION),
#endif
#ifdef SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE
    OPTION(ENABLE_KTLS_TX_ZEROCOPY_SENDFILE),
#endif
#ifdef SSL_OP_PREFER_NO_DHE_KEX
    OPTION(PREFER_NO_DHE_KEX),
#endif
#ifdef SSL_OP_LEGACY_EC_POINT_FORMATS
    OPTION(LEGACY_EC_POINT_FORMATS),
#endif
#ifdef SSL_OP_SERVER_PREFERENCE
    OPTION(SERVER_PREFERENCE),
#endif
    OPTION(MICROSOFT_SESS_ID_BUG),
    OPTION(NETSCAPE_CHALLENGE_BUG),
    OPTION(NETSCAPE_REUSE_CIPHER_CHANGE_BUG),
    OPTION(SSLREF2_REUSE_CERT_TYPE_BUG),
    OPTION(MICROSOFT_BIG_SSLV3_BUFFER),
    OPTION(MSIE_SSLV2_RSA_PADDING),
    OPTION(SSLEAY_080_CLIENT_DH_BUG),
    OPTION(TLS_D5_BUG),
    OPTION(TLS_BLOCK_PADDING_BUG),
    OPTION(SINGLE_ECDH_USE),
    OPTION(SINGLE_DH_USE),
    OPTION(EPHEMERAL_RSA),
    OPTION(NO_SSLv2),
    OPTION(PKCS1_CHECK_1),
    OPTION(PKCS1_CHECK_2),
    OPTION(NETSCAPE_CA_DN_BUG),
    OPTION(NETSCAPE_DEMO_CIPHER_CHANGE_BUG),
};

static const named_bit modes[] = {
    MODE(ENABLE_PARTIAL_WRITE),
    MODE(ACCEPT_MOVING_WRITE_BUFFER),
    MODE(AUTO_RETRY),
    MODE(NO_AUTO_CHAIN),
    MODE(RELEASE_BUFFERS),
    MODE(SEND_CLIENTHELLO_TIME),
    MODE(SEND_SERVERHELLO_TIME),
    MODE(SEND_FALLBACK_SCSV),
    MODE(ASYNC),
    MODE(DTLS_SCTP_LABEL_LENGTH_BUG),
};

static bool find(const named_bit *table, size_t table_len, const char *prefix, const char *name,
                 uint64_t *out_bit) {
    size_t prefix_len = strlen(prefix);
    if (strncasecmp(name, prefix, prefix_len) == 0) {
        name += prefix_len;
    }
    for (size_t i = 0; i < table_len; i++) {
        if (strcasecmp(table[i].name, name) == 0) {
            *out_bit = table[i].bit;
            return true;
        }
    }
    return false;
}

bool tlsl_option_bit(const char *name, uint64_t *out_bit) {
    return find(options, sizeof options / sizeof options[0], "SSL_OP_", name, out_bit);
}

bool tlsl_mode_bit(const char *name, uint64_t *out_bit) {
    return find(modes, sizeof modes / sizeof modes[0], "SSL_MODE_", name, out_bit);
}

/* isalnum would depend on the locale. */
static bool is_label_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool tlsl_is_hostname(const char *name) {
    size_t len = strlen(name);
    size_t label = 0;
    if (len == 0 || len > 253) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_label_byte(name[i]) || ++label > 63) {
            return false;
        }
    }
    return label > 0; /* a trailing dot is refused (RFC 6066 section 3) */
}

/*
 * Whether zone is an interface's name or number: any bytes that Linux allows in one, except those
 * that would end an address.
 */
static bool is_zone(const char *zone) {
    size_t len = strlen(zone);
    if (len == 0 || len >= IF_NAMESIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (zone[i] <= ' ' || zone[i] == 0x7f || strchr("/:%[]", zone[i]) != NULL) {
            return false;
        }
    }
    return true;
}

bool tlsl_is_ip(const char *name) {
    struct in6_addr address; /* large enough for IPv4 and IPv6 */
    char plain[INET6_ADDRSTRLEN];
    size_t len = strlen(name);
    if (len == 0 || (!isdigit((unsigned char)name[len - 1]) && strchr(name, ':') == NULL)) {
        return false; /* most names end in a letter */
    }
    if (!tlsl_ip_without_zone(name, plain, sizeof plain)) {
        return false;
    }
    bool zoned = plain[0] != '\0' && name[strlen(plain)] == '%';
    return zoned ? is_zone(name + strlen(plain) + 1) && inet_pton(AF_INET6, plain, &address) == 1
                 : inet_pton(AF_INET, plain, &address) == 1 ||
                       inet_pton(AF_INET6, plain, &address) == 1;
}

bool tlsl_ip_without_zone(const char *ip, char *out, size_t out_len) {
    size_t len = strcspn(ip, "%");
    if (len >= out_len) {
        return false;
    }
    memcpy(out, ip, len);
    out[len] = '\0';
    return true;
}

void tlsl_lower(char *name) {
    for (; *name != '\0' && *name != '%'; name++) { /* case matters in an interface's name */
        if (*name >= 'A' && *name <= 'Z') {
            *name = (char)(*name - 'A' + 'a');
        }
    }
}

unsigned char *tlsl_alpn_wire(const char *const *protocols, size_t protocols_len, size_t *out_len,
                              tlslife_error *err) {
    size_t len = 0;
    for (size_t i = 0; i < protocols_len; i++) {
        size_t name_len = strlen(protocols[i]);
        if (name_len == 0 || name_len > 255) {
            tlsl_fail(err, TLSLIFE_ERR_USAGE,
                      "ALPN protocol %zu has %zu bytes; 1 to 255 are lawful", i + 1, name_len);
            return NULL;
        }
        len += 1 + name_len;
    }
    if (len == 0 || len > 65535) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE, "an ALPN list has 1 to 65535 bytes, not %zu", len);
        return NULL;
    }
    unsigned char *wire = malloc(len), *at = wire;
    if (wire == NULL) {
        tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for ALPN");
        return NULL;
    }
    for (size_t i = 0; i < protocols_len; i++) {
        size_t name_len = strlen(protocols[i]);
        *at++ = (unsigned char)name_len;
        memcpy(at, protocols[i], name_len);
        at += name_len;
    }
    *out_len = len;
    return wire;
}
