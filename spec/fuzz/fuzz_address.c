/*
 * fuzz_address: reads text that claims to be an address or a host name, as a configuration file or
 * a peer may have it. What is taken apart must mean the same when it is put together again, also
 * the name of a Unix socket, an IP address is what inet_pton(3) takes for one, and a connection
 * takes as its host what has the form of one.
 *
 * floor: src/net/address.c 41
 * floor: src/base/names.c 33
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/names.h"
#include "fuzz.h"
#include "net/address.h"
#include "net/local.h"
#include "tlslife.h"

#include <arpa/inet.h>
#include <sys/un.h>

/* The address without its zone, which only one of IPv6 may have. */
static bool is_ip_to_libc(const char *text) {
    unsigned char binary[16];
    char bare[64] = "";
    size_t len = strcspn(text, "%");
    if (len >= sizeof bare) {
        return false;
    }
    memcpy(bare, text, len);
    return inet_pton(AF_INET6, bare, binary) == 1 ||
           (text[len] == '\0' && inet_pton(AF_INET, bare, binary) == 1);
}

static void check_ip(const char *text) {
    bool is_ip = tlsl_is_ip(text);
    must(!is_ip || is_ip_to_libc(text));
    must(is_ip || !is_ip_to_libc(text) || strchr(text, '%') != NULL);
}

static void put_together(const char *host, const char *service) {
    char text[512], again_host[256], again_service[64];
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   service[0] != '\0' ? ":" : "", service);
    must(tlslife_split_address(text, again_host, sizeof again_host, again_service,
                               sizeof again_service, NULL) == TLSLIFE_OK);
    must(strcmp(host, again_host) == 0 && strcmp(service, again_service) == 0);
}

static void split(const char *text) {
    char host[256], service[64], small[4];
    tlslife_error err;
    if (tlslife_split_address(text, host, sizeof host, service, sizeof service, &err) !=
        TLSLIFE_OK) {
        must(err.kind == TLSLIFE_ERR_USAGE && err.message[0] != '\0');
        return;
    }
    must(host[0] != '\0' || service[0] != '\0');
    if (strncmp(text, "unix:/", 6) == 0 || strncmp(text, "unix:@", 6) == 0) {
        /* All of it is the name of a socket. */
        must(strcmp(text, host) == 0 && service[0] == '\0' && strlen(text) > 6);
        return;
    }
    must((strchr(text, '[') == NULL) == (strchr(text, ']') == NULL));
    put_together(host, service);
    (void)tlslife_split_address(text, small, sizeof small, small, sizeof small, &err);
}

/* Its text is the name that it was made of; the address may also be one that a peer has. */
static void name_socket(const char *text, const uint8_t *bytes, size_t len) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t head = offsetof(struct sockaddr_un, sun_path);
    socklen_t address_len = 0;
    char again[128], small[8];
    tlslife_error err;
    if (tlsl_is_local(text) &&
        tlsl_local_address(text, &address, &address_len, &err) == TLSLIFE_OK) {
        must(address_len <= sizeof address);
        must(tlsl_local_text(&address, address_len, again, sizeof again) &&
             strcmp(again, text) == 0);
    }
    len = len < sizeof address.sun_path ? len : sizeof address.sun_path;
    memcpy(address.sun_path, bytes, len);
    must(tlsl_local_text(&address, (socklen_t)(head + len), again, sizeof again) == (len > 0));
    must(len == 0 ||
         tlsl_is_local(again) == (bytes[0] == '/' || bytes[0] == '\0' || bytes[0] == '@'));
    (void)tlsl_local_text(&address, (socklen_t)(head + len), small, sizeof small);
}

static void set_hostname(const char *text) {
    static tlslife_context *context;
    context = context != NULL ? context : fuzz_client_context();
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    must(conn != NULL);
    if (tlslife_conn_set_hostname(conn, text) == TLSLIFE_OK) {
        must(tlslife_conn_hostname(conn) != NULL && tlslife_conn_hostname(conn)[0] != '\0');
    } else {
        must(tlslife_conn_error(conn)->kind == TLSLIFE_ERR_USAGE);
    }
    tlslife_conn_free(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    tlsl_address address;
    char *text = text_of(bytes, len);
    size_t half = strlen(text) / 2;
    check_ip(text);
    split(text);
    set_hostname(text);
    name_socket(text, bytes, len);
    (void)tlslife_alert_number(text);
    (void)tlsl_address_of(text + half, len % 2 == 0 ? text : NULL, "443", len % 3 == 0, &address,
                          NULL);
    free(text);
    return 0;
}

static const char *const seeds[] = {"a.example",      "a.example:https",
                                    "127.0.0.1:443",  "::1",
                                    "[::1]:8443",     "fe80::1%eth0",
                                    "[fe80::1%1]:0",  ":65535",
                                    "[::1]",          "xn--nxasmq6b.example.:9",
                                    "::ffff:1.2.3.4", "handshake_failure",
                                    "443a.example",   "unix:/run/a.socket",
                                    "unix:@name",     "A.Example"};

static void make_seeds(void) {
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%zu", i);
        write_seed(name, seeds[i], strlen(seeds[i]));
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
