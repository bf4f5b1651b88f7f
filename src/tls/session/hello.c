/*
 * hello.c: copies what a ClientHello says, while libssl's callback can see it.
 *
 * An attacker may have written the bytes, and libssl has not checked them yet. So each length is
 * compared with the number of bytes that are left, and a list that does not fit is taken as empty.
 * libssl refuses such a ClientHello later. The copy takes an amount of memory that the size of the
 * ClientHello bounds. Sources: RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301 section 3.1.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "tls/context/context.h"
#include "tls/session/hello.h"
#include "tlslife.h"

static tlsl_reader extension(SSL *ssl, unsigned type) {
    tlsl_reader found = {NULL, 0};
    if (SSL_client_hello_get0_ext(ssl, type, &found.at, &found.left) != 1) {
        found = (tlsl_reader){NULL, 0};
    }
    return found;
}

tlsl_hello_summary tlsl_hello_summarize(SSL *ssl) {
    const unsigned char *unused;
    size_t unused_len = 0;
    tlsl_reader ext = extension(ssl, TLSEXT_TYPE_supported_versions), list, version;
    tlsl_reader ticket = extension(ssl, TLSEXT_TYPE_session_ticket);
    tlsl_hello_summary summary = {
        .has_psk = extension(ssl, TLSEXT_TYPE_psk).left > 0,
        .sends_early =
            SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_early_data, &unused, &unused_len) == 1,
        .takes_ticket =
            SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &unused, &unused_len) == 1,
        .ticket = {ticket.at, ticket.left},
        .has_session_id = SSL_client_hello_get0_session_id(ssl, &unused) > 0,
    };
    for (bool more = tlsl_take_vector(&ext, 1, &list); more && tlsl_take(&list, 2, &version);) {
        summary.offers_tls13 =
            summary.offers_tls13 || (version.at[0] << 8 | version.at[1]) == TLS1_3_VERSION;
    }
    return summary;
}

tlslife_bytes tlsl_hello_first_psk(SSL *ssl) {
    tlsl_reader ext = extension(ssl, TLSEXT_TYPE_psk), list, identity = {NULL, 0};
    bool found = tlsl_take_vector(&ext, 2, &list) && tlsl_take_vector(&list, 2, &identity);
    return found ? (tlslife_bytes){identity.at, identity.left} : (tlslife_bytes){NULL, 0};
}

/* A name that contains a NUL counts as none. libssl refuses such a ClientHello later. */
static tlsl_reader host_name(SSL *ssl) {
    tlsl_reader ext = extension(ssl, TLSEXT_TYPE_server_name), list, type, name = {NULL, 0};
    bool found = tlsl_take_vector(&ext, 2, &list) && tlsl_take(&list, 1, &type) &&
                 type.at[0] == TLSEXT_NAMETYPE_host_name && tlsl_take_vector(&list, 2, &name) &&
                 name.left > 0 && memchr(name.at, '\0', name.left) == NULL;
    return found ? name : (tlsl_reader){NULL, 0};
}

tlslife_bytes tlsl_hello_server_name(SSL *ssl) {
    tlsl_reader name = host_name(ssl);
    return (tlslife_bytes){name.at, name.left};
}

/* ------------------------------------------------------------------------------------- the copy */

/*
 * A tlslife_hello and the memory that it points into: an allocation each for the bytes, the lists
 * and the numbers.
 */
typedef struct hello_block {
    tlslife_hello hello;
    unsigned char *bytes;
    tlslife_bytes *lists;
    uint16_t *numbers;
} hello_block;

typedef struct hello_parts {
    tlsl_reader server_name, alpn, versions, ciphers, session_id, identities;
    bool has_ticket;
    uint16_t legacy_version;
} hello_parts;

static void find_parts(SSL *ssl, hello_parts *parts) {
    const unsigned char *at = NULL;
    parts->server_name = host_name(ssl);
    tlsl_reader ext = extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation);
    tlsl_take_vector(&ext, 2, &parts->alpn);
    ext = extension(ssl, TLSEXT_TYPE_supported_versions);
    tlsl_take_vector(&ext, 1, &parts->versions);
    ext = extension(ssl, TLSEXT_TYPE_psk);
    tlsl_take_vector(&ext, 2, &parts->identities);
    parts->has_ticket = extension(ssl, TLSEXT_TYPE_session_ticket).left > 0;
    parts->ciphers.left = SSL_client_hello_get0_ciphers(ssl, &at);
    parts->ciphers.at = at;
    parts->session_id.left = SSL_client_hello_get0_session_id(ssl, &at);
    parts->session_id.at = at;
    parts->legacy_version = (uint16_t)SSL_client_hello_get0_legacy_version(ssl);
}

static unsigned char *copy_to(unsigned char **end, tlsl_reader from) {
    unsigned char *copy = *end;
    if (from.left > 0) {
        memcpy(copy, from.at, from.left);
    }
    *end += from.left;
    return copy;
}

static size_t copy_numbers(uint16_t *out, tlsl_reader from) {
    size_t len = from.left / 2;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint16_t)(from.at[2 * i] << 8 | from.at[2 * i + 1]);
    }
    return len;
}

/* Copies names that each follow their length of `width` bytes; `skip` bytes follow each name. */
static size_t copy_list(tlslife_bytes *out, unsigned char **end, tlsl_reader from, size_t width,
                        size_t skip) {
    size_t len = 0;
    tlsl_reader item, rest;
    while (from.left > 0 && tlsl_take_vector(&from, width, &item) &&
           tlsl_take(&from, skip, &rest)) {
        out[len++] = (tlslife_bytes){copy_to(end, item), item.left};
    }
    return len;
}

static void fill(hello_block *block, const hello_parts *parts) {
    tlslife_hello *hello = &block->hello;
    unsigned char *end = block->bytes;
    tlslife_bytes *identities = block->lists + parts->alpn.left;
    uint16_t *versions = block->numbers + parts->ciphers.left / 2;
    hello->alpn = block->lists;
    hello->alpn_len = copy_list(block->lists, &end, parts->alpn, 1, 0);
    hello->psk_identities = identities;
    hello->psk_identities_len = copy_list(identities, &end, parts->identities, 2, 4);
    hello->ciphers = block->numbers;
    hello->ciphers_len = copy_numbers(block->numbers, parts->ciphers);
    hello->versions = versions;
    hello->versions_len = copy_numbers(versions, parts->versions);
    if (hello->versions_len == 0) {
        versions[0] = parts->legacy_version;
        hello->versions_len = 1;
    }
    hello->session_id = (tlslife_bytes){copy_to(&end, parts->session_id), parts->session_id.left};
    hello->has_ticket = parts->has_ticket;
    if (parts->server_name.left > 0) {
        hello->server_name = (const char *)copy_to(&end, parts->server_name);
        *end = '\0';
    }
}

tlslife_hello *tlsl_hello_read(SSL *ssl) {
    hello_parts parts = {0};
    find_parts(ssl, &parts);
    hello_block *block = calloc(1, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    /*
     * Each name in a list takes one byte or more for its length. So a list has no more names than
     * bytes.
     */
    block->bytes = malloc(parts.alpn.left + parts.identities.left + parts.session_id.left +
                          parts.server_name.left + 1);
    block->lists = calloc(parts.alpn.left + parts.identities.left + 1, sizeof *block->lists);
    block->numbers =
        calloc(parts.ciphers.left / 2 + parts.versions.left / 2 + 1, sizeof *block->numbers);
    if (block->bytes == NULL || block->lists == NULL || block->numbers == NULL) {
        tlsl_hello_free(&block->hello);
        return NULL;
    }
    fill(block, &parts);
    return &block->hello;
}

void tlsl_hello_free(tlslife_hello *hello) {
    hello_block *block = (hello_block *)(void *)hello; /* its first member */
    if (block != NULL) {
        free(block->bytes);
        free(block->lists);
        free(block->numbers);
        free(block);
    }
}
