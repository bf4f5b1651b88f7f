/*
 * psk_flight.c: finds in a server's first flight whether the server wants a PSK of TLS 1.2, and the
 * hint that says which (RFC 4279 section 2). psk_question.c reads the flight before libssl does.
 *
 * A server, or an attacker in the middle, chooses each byte, and nothing is encrypted or
 * authenticated yet. What is not as expected is left to libssl, which refuses it. The memory that
 * is used has a bound. A wrong hint makes the program choose another key, and the handshake fails.
 */
#include <openssl/obj_mac.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "tls/context/psk_flight.h"

enum {
    HELLO_VERSION = 2,       /* bytes of a ServerHello before its random (RFC 5246 7.4.1.3) */
    HELLO_RANDOM = 32,       /* bytes of that */
    FLIGHT_MAX = 128 * 1024, /* bytes; libssl's own limit for a chain is 100 KiB */
    HINT_MAX = PSK_MAX_IDENTITY_LEN
};

bool tlsl_uses_psk(const SSL_CIPHER *cipher) {
    int exchange = cipher == NULL ? NID_undef : SSL_CIPHER_get_kx_nid(cipher);
    return exchange == NID_kx_psk || exchange == NID_kx_dhe_psk || exchange == NID_kx_ecdhe_psk ||
           exchange == NID_kx_rsa_psk;
}

/* Only TLS 1.3 has the extension (RFC 8446 section 4.2.1). */
static bool is_tls13(tlsl_reader extensions) {
    tlsl_reader list, value;
    size_t type = 0;
    bool found = false;
    bool more = tlsl_take_vector(&extensions, 2, &list);
    while (more && !found) {
        more = tlsl_take_number(&list, 2, &type) && tlsl_take_vector(&list, 2, &value);
        found = more && type == TLSEXT_TYPE_supported_versions;
    }
    return found;
}

static bool chooses_psk(SSL *ssl, tlsl_reader hello) {
    tlsl_reader skipped, cipher;
    return tlsl_take(&hello, HELLO_VERSION + HELLO_RANDOM, &skipped) &&
           tlsl_take_vector(&hello, 1, &skipped) && tlsl_take(&hello, 2, &cipher) &&
           tlsl_take(&hello, 1, &skipped) && !is_tls13(hello) &&
           tlsl_uses_psk(SSL_CIPHER_find(ssl, cipher.at));
}

/* libssl takes what is before a NUL, too, and an empty hint as none. */
static tlsl_flight_state take_hint(tlsl_flight *flight, tlsl_reader exchange) {
    tlsl_reader hint;
    if (!tlsl_take_vector(&exchange, 2, &hint) || hint.left > HINT_MAX) {
        return TLSL_FLIGHT_OTHER;
    }
    if (hint.left == 0) {
        return TLSL_FLIGHT_PSK;
    }
    flight->hint = tlsl_copy_text(hint);
    return flight->hint == NULL ? TLSL_FLIGHT_NO_MEMORY : TLSL_FLIGHT_PSK;
}

static tlsl_flight_state judge(tlsl_flight *flight, SSL *ssl, int type, tlsl_reader body) {
    if (!flight->greeted) {
        flight->greeted = type == SSL3_MT_SERVER_HELLO && chooses_psk(ssl, body);
        return flight->greeted ? TLSL_FLIGHT_MORE : TLSL_FLIGHT_OTHER;
    }
    switch (type) {
    case SSL3_MT_CERTIFICATE:
    case SSL3_MT_CERTIFICATE_STATUS:
    case SSL3_MT_CERTIFICATE_REQUEST: return TLSL_FLIGHT_MORE;
    case SSL3_MT_SERVER_KEY_EXCHANGE: return take_hint(flight, body);
    case SSL3_MT_SERVER_DONE: return TLSL_FLIGHT_PSK;
    default: return TLSL_FLIGHT_OTHER;
    }
}

static bool append(tlsl_flight *flight, const unsigned char *bytes, size_t len) {
    unsigned char *larger = realloc(flight->bytes, flight->len + len);
    if (larger == NULL) {
        return false;
    }
    memcpy(larger + flight->len, bytes, len);
    flight->bytes = larger;
    flight->len += len;
    return true;
}

tlsl_flight_state tlsl_flight_add(tlsl_flight *flight, SSL *ssl, const unsigned char *record,
                                  size_t len) {
    if (record[0] != SSL3_RT_HANDSHAKE || len == SSL3_RT_HEADER_LENGTH ||
        flight->len + len - SSL3_RT_HEADER_LENGTH > FLIGHT_MAX) {
        return TLSL_FLIGHT_OTHER;
    }
    if (!append(flight, record + SSL3_RT_HEADER_LENGTH, len - SSL3_RT_HEADER_LENGTH)) {
        return TLSL_FLIGHT_NO_MEMORY;
    }
    tlsl_flight_state state = TLSL_FLIGHT_MORE;
    while (state == TLSL_FLIGHT_MORE) {
        tlsl_reader rest = {flight->bytes + flight->at, flight->len - flight->at}, body;
        size_t type;
        if (!tlsl_take_number(&rest, 1, &type) || !tlsl_take_vector(&rest, 3, &body)) {
            break; /* the next record has the rest of it */
        }
        state = judge(flight, ssl, (int)type, body);
        flight->at += SSL3_HM_HEADER_LENGTH + body.left;
    }
    return state;
}

void tlsl_flight_clear(tlsl_flight *flight) {
    free(flight->bytes);
    free(flight->hint);
    *flight = (tlsl_flight){.bytes = NULL};
}
