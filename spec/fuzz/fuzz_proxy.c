/*
 * fuzz_proxy: reads bytes that claim to be a header of the PROXY protocol, and text that claims to
 * name the proxies that may send one. The first byte chooses the versions that are expected, how
 * the bytes are cut, and whether they are text.
 *
 * A header that comes in pieces must mean what it means as a whole. The address must be the one
 * that another reading of the same bytes finds (sscanf(3), inet_pton(3)), and what follows the
 * header must come out of the connection as it is. A field of any type is the one that a second
 * walk over the same bytes finds, or is not there. A peer is among the proxies exactly where bits
 * that are compared one by one say so.
 *
 * floor: src/net/proxy.c 31
 * floor: src/net/proxy_tlv.c 41
 * floor: src/net/front.c 27
 * floor: src/tls/state/proxied.c 19
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "net/proxy.h"
#include "tls/state/conn.h"
#include "tls/state/proxied.h"
#include "tlslife.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LEN_MAX 4096
#define TEXTS_MAX 16

/* ---------------------------------------------------------------------------------- the header */

typedef struct parsed {
    tlsl_proxy_header header;
    const char *reason;
    size_t needed;
} parsed;

/* From memory of its own, so that a read past its end is seen. */
static parsed parse(const uint8_t *bytes, size_t len, unsigned versions) {
    parsed out;
    unsigned char *copy = malloc(len > 0 ? len : 1);
    must(copy != NULL);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    out.needed = tlsl_proxy_parse(copy, len, versions, &out.header, &out.reason);
    free(copy);
    must(out.reason == NULL || out.needed == 0);
    must(out.needed <= TLSL_PROXY_MAX);
    return out;
}

/* As a connection reads it: never more than is asked for, and at most step bytes at a time. */
static parsed parse_in_pieces(const uint8_t *bytes, size_t len, unsigned versions, size_t step,
                              size_t *out_read) {
    size_t have = 0;
    for (;;) {
        parsed now = parse(bytes, have, versions);
        if (now.needed == 0 || have == len) {
            *out_read = have;
            return now;
        }
        size_t more = now.needed < step ? now.needed : step;
        have += more < len - have ? more : len - have;
        must(have <= TLSL_PROXY_MAX);
    }
}

static void check_client(const tlsl_proxy_header *header, int family, const void *address,
                         unsigned port) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &header->client, sizeof v4);
    memcpy(&v6, &header->client, sizeof v6);
    must(header->client.ss_family == family);
    if (family == AF_INET) {
        must(header->client_len == sizeof v4 && memcmp(&v4.sin_addr, address, 4) == 0 &&
             ntohs(v4.sin_port) == port);
    } else {
        must(header->client_len == sizeof v6 && memcmp(&v6.sin6_addr, address, 16) == 0 &&
             ntohs(v6.sin6_port) == port);
    }
}

static void check_line(const uint8_t *bytes, const tlsl_proxy_header *header) {
    char line[128] = "", kind[8] = "", client[64] = "", server[64] = "", address[16];
    unsigned port = 0, server_port = 0;
    must(header->len <= 107 && header->len > 8);
    memcpy(line, bytes, header->len);
    must(strchr(line, '\n') == line + header->len - 1 && line[header->len - 2] == '\r');
    if (strncmp(line, "PROXY UNKNOWN", 13) == 0) {
        must(header->client_len == 0);
        return;
    }
    must(sscanf(line, "PROXY %7s %63s %63s %u %u\r\n", kind, client, server, &port, &server_port) ==
         5);
    int family = strcmp(kind, "TCP4") == 0 ? AF_INET : AF_INET6;
    must(family == AF_INET || strcmp(kind, "TCP6") == 0);
    must(port <= 65535 && server_port <= 65535);
    must(inet_pton(family, server, address) == 1 && inet_pton(family, client, address) == 1);
    check_client(header, family, address, port);
}

static void check_binary(const uint8_t *bytes, const tlsl_proxy_header *header) {
    must(header->len == 16 + (size_t)bytes[14] * 256 + bytes[15]);
    must(bytes[12] == 0x20 || bytes[12] == 0x21);
    if (bytes[12] == 0x21 && bytes[13] == 0x11) {
        check_client(header, AF_INET, bytes + 16, bytes[24] * 256U + bytes[25]);
    } else if (bytes[12] == 0x21 && bytes[13] == 0x21) {
        check_client(header, AF_INET6, bytes + 16, bytes[48] * 256U + bytes[49]);
    } else {
        must(header->client_len == 0);
    }
}

static parsed check_header(const uint8_t *bytes, size_t len, unsigned versions, size_t step) {
    size_t had = 0;
    parsed whole = parse(bytes, len, versions);
    parsed pieces = parse_in_pieces(bytes, len, versions, step, &had);
    bool good = whole.reason == NULL && whole.needed == 0;
    must(good == (pieces.reason == NULL && pieces.needed == 0));
    must((whole.reason != NULL) == (pieces.reason != NULL));
    if (good) {
        must(whole.header.len == pieces.header.len && whole.header.len <= had);
        must(whole.header.client_len == pieces.header.client_len &&
             memcmp(&whole.header.client, &pieces.header.client, sizeof whole.header.client) == 0);
        must(((bytes[0] == 'P' ? TLSLIFE_PROXY_V1 : TLSLIFE_PROXY_V2) & versions) != 0);
        (bytes[0] == 'P' ? check_line : check_binary)(bytes, &whole.header);
    }
    return whole;
}

/* ------------------------------------------------------------------------------ in a connection */

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Whether the connection, which has no socket, knows its client from a header. */
static bool has_client(const tlslife_conn *conn) {
    char address[80];
    return tlslife_conn_peer_address(conn, address, sizeof address);
}

/* The first field of that type in a list. */
static bool find_field(tlslife_bytes list, unsigned type, tlslife_bytes *out) {
    for (size_t at = 0; at + 3 <= list.len; at += 3 + out->len) {
        *out = (tlslife_bytes){list.data + at + 3,
                               (size_t)list.data[at + 1] * 256 + list.data[at + 2]};
        must(out->len <= list.len - at - 3); /* a header was taken, so its fields fit */
        if (list.data[at] == type) {
            return true;
        }
    }
    return false;
}

static void check_fields(const tlslife_conn *conn, const uint8_t *bytes,
                         const tlsl_proxy_header *header) {
    bool has_fields = bytes[0] != 'P' && bytes[12] == 0x21;
    unsigned family = has_fields ? bytes[13] >> 4 : 0;
    size_t begin = 16 + (family == 1 ? 12U : family == 2 ? 36U : family == 3 ? 216U : 0U);
    tlslife_bytes all = {bytes + begin, has_fields ? header->len - begin : 0};
    tlslife_bytes ssl = {NULL, 0};
    bool has_ssl = find_field(all, TLSLIFE_PROXY_SSL, &ssl);
    for (unsigned type = 0; type < 256; type++) {
        bool within = type > TLSLIFE_PROXY_SSL && type <= TLSLIFE_PROXY_SSL_KEY_ALG;
        tlslife_bytes there = {NULL, 0}, got = {NULL, 0};
        bool found =
            within ? has_ssl && find_field((tlslife_bytes){ssl.data + 5, ssl.len - 5}, type, &there)
                   : find_field(all, type, &there);
        must(tlslife_conn_proxy_tlv(conn, type, &got) == found);
        must(!found || (got.len == there.len && memcmp(got.data, there.data, got.len) == 0));
    }
}

/* The bytes arrive at most step at a time. Whether the header is read, and what comes after it. */
static void check_connection(const uint8_t *bytes, size_t len, unsigned versions, size_t step,
                             const parsed *whole) {
    static tlslife_context *context;
    static unsigned char got[LEN_MAX];
    context = context != NULL ? context : fuzz_server_context();
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    must(conn != NULL && tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    tlslife_conn_set_blocking(conn, false);
    must(tlsl_proxied_expect(conn, versions, false) == TLSLIFE_OK);
    tlslife_status status = TLSLIFE_WANT_READ;
    size_t given = 0, taken = 0;
    while (status == TLSLIFE_OK || status == TLSLIFE_WANT_READ) {
        size_t fed = 0, now = 0;
        if (given < len) {
            must(tlslife_conn_feed(conn, bytes + given, min(step, len - given), &fed) ==
                 TLSLIFE_OK);
            given += fed;
        } else if (status == TLSLIFE_WANT_READ) {
            (void)tlslife_conn_feed_eof(conn);
        }
        status = tlslife_conn_plain_read(conn, got + taken, sizeof got - taken, &now);
        taken += status == TLSLIFE_OK ? now : 0;
    }
    if (whole->reason == NULL && whole->needed == 0) {
        must(status == TLSLIFE_CLOSED && taken == len - whole->header.len);
        must(memcmp(got, bytes + whole->header.len, taken) == 0);
        must(has_client(conn) == (whole->header.client_len > 0));
        check_fields(conn, bytes, &whole->header);
    } else {
        must(status == TLSLIFE_ERROR && taken == 0 && tlslife_conn_error(conn)->message[0] != '\0');
        must(tlslife_conn_accept(conn) == TLSLIFE_ERROR && !has_client(conn));
    }
    tlslife_conn_free(conn);
}

/* --------------------------------------------------------------------------------- the proxies */

/* Our end of a connection whose peer is 127.0.0.1 or ::1 as the kernel has it; -1: no IPv6. */
static int connected(int family) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    int listener = socket(family, SOCK_STREAM, 0), end = socket(family, SOCK_STREAM, 0);
    if (listener < 0 || end < 0 || bind(listener, address, len) != 0) {
        return -1;
    }
    must(listen(listener, 1) == 0 && getsockname(listener, address, &len) == 0 &&
         connect(end, address, len) == 0);
    return end;
}

static bool bits_alike(const unsigned char *a, const unsigned char *b, unsigned bits) {
    for (unsigned i = 0; i < bits; i++) {
        if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

/* Whether one of the texts, which are lawful, has the address. */
static bool is_named(char *const *texts, size_t len, int family, const unsigned char *address) {
    for (size_t i = 0; i < len; i++) {
        char text[64] = "";
        unsigned char other[16];
        (void)snprintf(text, sizeof text, "%s", texts[i]);
        char *bits = strchr(text, '/');
        if (bits != NULL) {
            *bits++ = '\0';
        }
        unsigned of = family == AF_INET ? 32 : 128;
        if (family == AF_UNIX
                ? strcmp(text, "unix") == 0
                : inet_pton(family, text, other) == 1 &&
                      bits_alike(address, other, bits == NULL ? of : (unsigned)atoi(bits))) {
            return true;
        }
    }
    return false;
}

static void check_sources(char *all) {
    static const unsigned char loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
    static int ends[3] = {-1, -1, -1};
    if (ends[0] < 0) {
        int pair[2];
        ends[0] = connected(AF_INET);
        ends[1] = connected(AF_INET6);
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        ends[2] = pair[0];
    }
    char *texts[TEXTS_MAX];
    size_t len = 0;
    for (char *text = strtok(all, "\n"); text != NULL && len < TEXTS_MAX;
         text = strtok(NULL, "\n")) {
        texts[len++] = text;
    }
    tlslife_error err;
    tlsl_sources *sources = tlsl_sources_new((const char *const *)texts, len, &err);
    if (sources == NULL) {
        must(err.kind == TLSLIFE_ERR_USAGE && err.message[0] != '\0');
        return;
    }
    must(tlsl_sources_have(sources, ends[0]) == is_named(texts, len, AF_INET, loopback4));
    must(ends[1] < 0 ||
         tlsl_sources_have(sources, ends[1]) == is_named(texts, len, AF_INET6, loopback6));
    must(tlsl_sources_have(sources, ends[2]) == is_named(texts, len, AF_UNIX, NULL));
    must(!tlsl_sources_have(sources, -1));
    tlsl_sources_free(sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned how = take_byte(&input), step = take_byte(&input) + 1;
    if (input.left > LEN_MAX) {
        return 0;
    }
    if ((how & 4) != 0) {
        char *text = text_of(input.at, input.left);
        check_sources(text);
        free(text);
        return 0;
    }
    unsigned versions = how & (TLSLIFE_PROXY_V1 | TLSLIFE_PROXY_V2);
    parsed whole = check_header(input.at, input.left, versions, step);
    check_connection(input.at, input.left, versions, step, &whole);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void write_text(const char *name, char how, char step, const char *text) {
    char seed[512];
    int len = snprintf(seed, sizeof seed, "%c%c%s", how, step, text);
    write_seed(name, seed, (size_t)len);
}

/* Of version 2, with addresses_len bytes of addresses, a field, and what follows the header. */
static void write_binary(const char *name, char command, char kind, size_t addresses_len) {
    char seed[512] = "\3\6\r\n\r\n\0\r\nQUIT\n";
    size_t rest = addresses_len + 5;
    seed[14] = command;
    seed[15] = kind;
    seed[17] = (char)rest;
    for (size_t i = 0; i < addresses_len; i++) {
        seed[18 + i] = (char)(i + 1);
    }
    memcpy(seed + 18 + addresses_len, "\4\0\2ab\26\3\1", 8);
    write_seed(name, seed, 18 + addresses_len + 8);
}

/* Over TLS, with fields within the field for it, and one that the protocol leaves to programs. */
static void write_fields(const char *name) {
    static const char seed[] = "\3\377\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x36"
                               "\1\2\3\4\5\6\7\10\11\12\13\14\1\0\2h2\2\0\1a"
                               "\x20\0\x11\7\0\0\0\0\x21\0\3\x31.3\x22\0\3bob"
                               "\5\0\2id\x30\0\0\xe0\0\2xyhello";
    write_seed(name, seed, sizeof seed - 1);
}

static void make_seeds(void) {
    write_fields("v2-fields");
    write_text("tcp4", 3, 5, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nhello");
    write_text("tcp6", 1, 80, "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n");
    write_text("unknown", 3, 1, "PROXY UNKNOWN whatever\r\n");
    write_text("sources", 4, 0, "127.0.0.1\n127.0.0.0/8\n::1\nfd00::/8\nunix\n0.0.0.0/0\n::/0");
    write_text("one", 4, 0, "127.0.0.0/31");
    write_binary("v2-4", 0x21, 0x11, 12);
    write_binary("v2-6", 0x21, 0x21, 36);
    write_binary("v2-unix", 0x21, 0x31, 216);
    write_binary("v2-local", 0x20, 0, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
