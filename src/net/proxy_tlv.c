/*
 * proxy_tlv.c: reads the fields behind the addresses of a PROXY header of version 2, each of which
 * has a type, a length and a value (TLV).
 *
 * Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2. The field SSL
 * holds a byte of flags, the result of verification, and fields of its own, whose types no other
 * field has. So one function finds either kind.
 *
 * An attacker does not get this far, because headers come from the program's proxies alone. But a
 * field that two readers read differently would give a client of the proxy, whose certificate's
 * name is in one, a way to be taken for another. So lengths must fit to the byte, a field that the
 * protocol defines stands there once, and a checksum that is there must be right.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reader.h"
#include "net/proxy_tlv.h"
#include "tlslife.h"

#define SSL_HEAD 5                    /* bytes of flags and of the verification's result */
#define UNIQUE_ID_MAX 128             /* bytes */
#define CRC32C_POLYNOMIAL 0x82f63b78U /* reflected, RFC 3720 appendix B.4 */

typedef struct tlv {
    unsigned type;
    const unsigned char *value;
    size_t len;
} tlv;

/* Takes the first field off. false: there is none, or it is cut. */
static bool take(tlsl_reader *from, tlv *out) {
    size_t type;
    tlsl_reader value;
    if (!tlsl_take_number(from, 1, &type) || !tlsl_take_vector(from, 2, &value)) {
        return false;
    }
    *out = (tlv){(unsigned)type, value.at, value.left};
    return true;
}

/* A type that the protocol defines and that may not be repeated. */
static bool stands_once(unsigned type) {
    return (type >= TLSLIFE_PROXY_ALPN && type <= TLSLIFE_PROXY_UNIQUE_ID &&
            type != TLSLIFE_PROXY_NOOP) ||
           (type >= TLSLIFE_PROXY_SSL && type <= TLSLIFE_PROXY_SSL_KEY_ALG) ||
           type == TLSLIFE_PROXY_NETNS;
}

static bool is_within_ssl(unsigned type) {
    return type > TLSLIFE_PROXY_SSL && type <= TLSLIFE_PROXY_SSL_KEY_ALG;
}

static const char *judge_value(const tlv *one) {
    switch (one->type) {
    case TLSLIFE_PROXY_CRC32C:
        return one->len == sizeof(uint32_t) ? NULL : "a PROXY header with a cut checksum";
    case TLSLIFE_PROXY_UNIQUE_ID:
        return one->len <= UNIQUE_ID_MAX ? NULL : "a PROXY header with an id of over 128 bytes";
    case TLSLIFE_PROXY_SSL:
        return one->len >= SSL_HEAD ? NULL : "a PROXY header with a cut field for TLS";
    default: return NULL;
    }
}

static const char *judge_list(tlsl_reader list, bool within_ssl) {
    uint64_t seen = 0; /* a bit for each type below 64 */
    tlv one;
    while (list.left > 0) {
        if (!take(&list, &one)) {
            return "a PROXY header with a cut field";
        }
        uint64_t bit = one.type < 64 ? (uint64_t)1 << one.type : 0;
        if (stands_once(one.type) && (seen & bit) != 0) {
            return "a PROXY header with a field twice";
        }
        seen |= bit;
        if (is_within_ssl(one.type) != within_ssl) {
            return "a PROXY header with a field in the wrong place";
        }
        const char *reason = judge_value(&one);
        if (reason == NULL && one.type == TLSLIFE_PROXY_SSL) {
            reason = judge_list((tlsl_reader){one.value + SSL_HEAD, one.len - SSL_HEAD}, true);
        }
        if (reason != NULL) {
            return reason;
        }
    }
    return NULL;
}

/* The CRC32c of the header, with zeros in place of the checksum's own four bytes. */
static uint32_t checksum(const unsigned char *bytes, size_t len, const unsigned char *own) {
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes + i >= own && bytes + i < own + sizeof crc ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_POLYNOMIAL : 0);
        }
    }
    return ~crc;
}

const char *tlsl_proxy_judge_tlvs(const unsigned char *header, size_t header_len, size_t begin) {
    const char *reason = judge_list((tlsl_reader){header + begin, header_len - begin}, false);
    tlslife_bytes own;
    if (reason != NULL ||
        !tlsl_proxy_find_tlv(header + begin, header_len - begin, TLSLIFE_PROXY_CRC32C, &own)) {
        return reason;
    }
    uint32_t said = (uint32_t)own.data[0] << 24 | (uint32_t)own.data[1] << 16 |
                    (uint32_t)own.data[2] << 8 | own.data[3];
    return said == checksum(header, header_len, own.data)
               ? NULL
               : "a PROXY header whose checksum is wrong";
}

bool tlsl_proxy_find_tlv(const unsigned char *fields, size_t fields_len, unsigned type,
                         tlslife_bytes *out) {
    tlsl_reader list = {fields, fields_len};
    tlv one;
    while (take(&list, &one)) {
        if (one.type == type) {
            *out = (tlslife_bytes){one.value, one.len};
            return true;
        }
        if (one.type == TLSLIFE_PROXY_SSL && is_within_ssl(type)) {
            return tlsl_proxy_find_tlv(one.value + SSL_HEAD, one.len - SSL_HEAD, type, out);
        }
    }
    return false;
}
