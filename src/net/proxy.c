/*
 * proxy.c: parses the header of the PROXY protocol, in which a proxy gives the address of its
 * client, and decides which proxies may send one.
 *
 * Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt. Version 1 is a line of text,
 * version 2 is binary. Both are parsed strictly, because a client could choose its address where we
 * and the proxy read the same bytes differently.
 *
 * An attacker would send a header of his own to have another address than his, directly or behind a
 * proxy that sends none. So a header counts only from the sources that the program has named, and
 * any other connection is refused before a byte is read. An attacker would also cut a header at
 * every byte, make it endless, or lie about its length. So nothing is read beyond TLSL_PROXY_MAX,
 * and every length is compared with what it counts.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "net/proxy.h"
#include "net/proxy_tlv.h"
#include "tlslife.h"

#define V1_MAX 107 /* with CR LF */
#define V1_BEGIN "PROXY "
#define V2_BEGIN "\r\n\r\n\0\r\nQUIT\n"
#define V2_BEGIN_LEN 12
#define V2_LEN 16 /* up to where the addresses begin */

/* ------------------------------------------------------------------------------------ version 1 */

/* Takes the next word of a line, which ends at a space or at its end. NULL: none, or a long one. */
static char *next_word(char **line, size_t len_max) {
    char *word = *line;
    size_t len = strcspn(word, " ");
    if (len == 0 || len > len_max) {
        return NULL;
    }
    *line = word + len + (word[len] == ' ' ? 1 : 0);
    bool dangles = word[len] == ' ' && word[len + 1] == '\0';
    word[len] = '\0';
    return dangles ? NULL : word;
}

static bool is_port(const char *text, uint16_t *out) {
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len || (len > 1 && text[0] == '0')) {
        return false;
    }
    long port = strtol(text, NULL, 10);
    *out = (uint16_t)port;
    return port <= 65535;
}

static void set_client(tlsl_proxy_header *out, int family, const void *address, uint16_t port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(&out->client, 0, sizeof out->client);
    if (family == AF_INET) {
        memcpy(&v4.sin_addr, address, sizeof v4.sin_addr);
        memcpy(&out->client, &v4, sizeof v4);
        out->client_len = sizeof v4;
    } else {
        memcpy(&v6.sin6_addr, address, sizeof v6.sin6_addr);
        memcpy(&out->client, &v6, sizeof v6);
        out->client_len = sizeof v6;
    }
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 443", or "UNKNOWN" and whatever follows. */
static bool parse_line(char *line, tlsl_proxy_header *out) {
    unsigned char from[sizeof(struct in6_addr)], to[sizeof(struct in6_addr)];
    uint16_t from_port = 0, to_port = 0;
    if (strncmp(line, "UNKNOWN", 7) == 0 && (line[7] == '\0' || line[7] == ' ')) {
        return true;
    }
    const char *kind = next_word(&line, 4);
    const char *client = kind == NULL ? NULL : next_word(&line, INET6_ADDRSTRLEN);
    const char *server = client == NULL ? NULL : next_word(&line, INET6_ADDRSTRLEN);
    const char *client_port = server == NULL ? NULL : next_word(&line, 5);
    const char *server_port = client_port == NULL ? NULL : next_word(&line, 5);
    if (server_port == NULL || line[0] != '\0') {
        return false;
    }
    int family = strcmp(kind, "TCP4") == 0 ? AF_INET : AF_INET6;
    if ((family == AF_INET6 && strcmp(kind, "TCP6") != 0) || inet_pton(family, client, from) != 1 ||
        inet_pton(family, server, to) != 1 || !is_port(client_port, &from_port) ||
        !is_port(server_port, &to_port)) {
        return false;
    }
    set_client(out, family, from, from_port);
    return true;
}

static size_t parse_v1(const unsigned char *bytes, size_t len, tlsl_proxy_header *out,
                       const char **reason) {
    char line[V1_MAX + 1];
    size_t seen = len < V1_MAX ? len : V1_MAX;
    const unsigned char *end = memchr(bytes, '\n', seen);
    if (end == NULL) {
        *reason = len < V1_MAX ? NULL : "a PROXY header of more than 107 bytes";
        return len < V1_MAX ? V1_MAX - len : 0;
    }
    out->len = (size_t)(end - bytes) + 1;
    size_t begin = sizeof V1_BEGIN - 1, text_len = out->len - begin;
    memcpy(line, bytes + begin, text_len);
    bool good = text_len > 2 && line[text_len - 2] == '\r';
    if (good) {
        line[text_len - 2] = '\0';
        good = strlen(line) == text_len - 2 && parse_line(line, out);
    }
    *reason = good ? NULL : "a PROXY header of version 1 that is none";
    return 0;
}

/* ------------------------------------------------------------------------------------ version 2 */

/* Bytes of addresses and ports for a byte of family and protocol; -1: reserved, or no stream. */
static int addresses_len(unsigned char kind) {
    switch (kind) {
    case 0x00: return 0;   /* unspecified */
    case 0x11: return 12;  /* TCP over IPv4 */
    case 0x21: return 36;  /* TCP over IPv6 */
    case 0x31: return 216; /* a Unix stream */
    default: return -1;
    }
}

static const char *judge_v2(const unsigned char *bytes, size_t rest_len) {
    if (bytes[12] >> 4 != 2 || (bytes[12] & 15) > 1) {
        return "a PROXY header of another version than 2, or with another command than it has";
    }
    if (rest_len > TLSL_PROXY_MAX - V2_LEN) {
        return "a PROXY header of more than 2048 bytes";
    }
    if ((bytes[12] & 15) == 0) {
        return NULL; /* LOCAL: the proxy speaks for itself, and the rest means nothing */
    }
    int needed = addresses_len(bytes[13]);
    if (needed < 0) {
        return "a PROXY header for no stream over IPv4, IPv6 or Unix sockets";
    }
    return rest_len < (size_t)needed ? "a PROXY header that is shorter than its addresses" : NULL;
}

static void read_client(const unsigned char *bytes, tlsl_proxy_header *out) {
    const unsigned char *at = bytes + V2_LEN;
    if (bytes[13] == 0x11) {
        set_client(out, AF_INET, at, (uint16_t)(at[8] << 8 | at[9]));
    } else if (bytes[13] == 0x21) {
        set_client(out, AF_INET6, at, (uint16_t)(at[32] << 8 | at[33]));
    }
}

static size_t parse_v2(const unsigned char *bytes, size_t len, tlsl_proxy_header *out,
                       const char **reason) {
    if (len < V2_LEN) {
        return V2_LEN - len;
    }
    size_t rest_len = (size_t)bytes[14] << 8 | bytes[15];
    *reason = judge_v2(bytes, rest_len);
    if (*reason != NULL) {
        return 0;
    }
    out->len = V2_LEN + rest_len;
    if (len < out->len) {
        return out->len - len;
    }
    if ((bytes[12] & 15) == 1) {
        size_t begin = V2_LEN + (size_t)addresses_len(bytes[13]);
        read_client(bytes, out);
        out->fields = begin;
        *reason = tlsl_proxy_judge_tlvs(bytes, out->len, begin);
    }
    return 0;
}

/* --------------------------------------------------------------------------------------- either */

static bool begins(const unsigned char *bytes, size_t len, const char *with, size_t with_len) {
    return memcmp(bytes, with, len < with_len ? len : with_len) == 0;
}

size_t tlsl_proxy_parse(const unsigned char *bytes, size_t len, unsigned versions,
                        tlsl_proxy_header *out, const char **out_reason) {
    bool v1 = begins(bytes, len, V1_BEGIN, sizeof V1_BEGIN - 1);
    bool v2 = begins(bytes, len, V2_BEGIN, V2_BEGIN_LEN);
    *out = (tlsl_proxy_header){.len = 0};
    *out_reason = NULL;
    if (!v1 && !v2) {
        *out_reason = "no PROXY header, though one must come first";
        return 0;
    }
    if (len > 0 && (versions & (v1 ? TLSLIFE_PROXY_V1 : TLSLIFE_PROXY_V2)) == 0) {
        *out_reason = "a PROXY header of another version than is expected";
        return 0;
    }
    if (len < sizeof V1_BEGIN - 1) {
        return V2_LEN - len; /* no header is shorter but one, which has 15 bytes */
    }
    return v1 ? parse_v1(bytes, len, out, out_reason) : parse_v2(bytes, len, out, out_reason);
}

/* -------------------------------------------------------------------------------------- sources */

typedef struct source {
    int family; /* AF_INET, AF_INET6 or AF_UNIX */
    unsigned bits;
    unsigned char address[sizeof(struct in6_addr)];
} source;

struct tlsl_sources {
    size_t len;
    source list[];
};

static bool matches(const unsigned char *address, const source *with) {
    unsigned bytes = with->bits / 8, bits = with->bits % 8;
    unsigned char mask = (unsigned char)(0xff00U >> bits);
    return memcmp(address, with->address, bytes) == 0 &&
           (bits == 0 || ((address[bytes] ^ with->address[bytes]) & mask) == 0);
}

/* Whether there are no bits behind those that count: 10.0.0.1/8 is likely a mistake. */
static bool is_network(const source *one, unsigned bits_max) {
    for (unsigned bit = one->bits; bit < bits_max; bit++) {
        if ((one->address[bit / 8] & (0x80U >> (bit % 8))) != 0) {
            return false;
        }
    }
    return true;
}

static bool parse_source(const char *text, source *out) {
    char address[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    *out = (source){.family = AF_UNIX};
    if (strcmp(text, "unix") == 0) {
        return true;
    }
    if (len >= sizeof address) {
        return false;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    out->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned bits_max = out->family == AF_INET ? 32 : 128;
    out->bits = bits_max;
    if (text[len] == '/') {
        const char *bits = text + len + 1;
        size_t digits = strlen(bits);
        if (digits == 0 || digits > 3 || strspn(bits, "0123456789") != digits) {
            return false;
        }
        out->bits = (unsigned)strtoul(bits, NULL, 10);
    }
    return inet_pton(out->family, address, out->address) == 1 && out->bits <= bits_max &&
           is_network(out, bits_max);
}

tlsl_sources *tlsl_sources_new(const char *const *texts, size_t texts_len, tlslife_error *err) {
    if (texts_len == 0) {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                        "the PROXY protocol needs the addresses of the proxies that may speak it");
        return NULL;
    }
    tlsl_sources *sources = calloc(1, sizeof *sources + texts_len * sizeof sources->list[0]);
    if (sources == NULL) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for the addresses of proxies");
        return NULL;
    }
    for (; sources->len < texts_len; sources->len++) {
        if (!parse_source(texts[sources->len], &sources->list[sources->len])) {
            (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                            "\"%s\" is no address or network of a proxy: \"10.0.0.1\", "
                            "\"10.0.0.0/8\", \"fd00::/8\" or \"unix\"",
                            texts[sources->len]);
            free(sources);
            return NULL;
        }
    }
    return sources;
}

void tlsl_sources_free(tlsl_sources *sources) {
    free(sources);
}

bool tlsl_sources_have(const tlsl_sources *sources, int fd) {
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t peer_len = sizeof peer;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0) {
        return false;
    }
    memcpy(&v4, &peer, sizeof v4);
    memcpy(&v6, &peer, sizeof v6);
    int family = peer.ss_family;
    const unsigned char *address =
        family == AF_INET ? (const unsigned char *)&v4.sin_addr : v6.sin6_addr.s6_addr;
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        family = AF_INET;
        address = v6.sin6_addr.s6_addr + 12;
    }
    for (size_t i = 0; i < sources->len; i++) {
        const source *one = &sources->list[i];
        if (one->family == family && (family == AF_UNIX || matches(address, one))) {
            return true;
        }
    }
    return false;
}
