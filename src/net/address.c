/*
 * address.c: splits an address given as text into host and service.
 *
 * Every call that takes a host takes it through these functions, so that all agree on what a host
 * is, and each takes what tlslife_conn_peer_address prints. Only the syntax is checked. The
 * resolver finds out whether there is such a host, service or interface.
 *
 * An attacker would try a text in which one reader sees one host, and another reader another. So
 * nothing is skipped or trimmed, and an IPv6 address without brackets has no port: in "::1:443" all
 * is address.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/names.h"
#include "net/address.h"
#include "net/local.h"
#include "tlslife.h"

static bool copy(char *out, size_t out_len, const char *text, size_t len) {
    if (len >= out_len) {
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

int tlsl_port_of(const char *service) {
    int port = 0;
    size_t len = 0;
    for (; service[len] >= '0' && service[len] <= '9' && len <= 5; len++) {
        port = port * 10 + (service[len] - '0');
    }
    return len > 0 && len <= 5 && service[len] == '\0' && port <= 65535 ? port : -1;
}

/* Whether service is a number up to 65535, or a name of the kind that /etc/services has. */
static bool is_service(const char *service) {
    if (tlsl_port_of(service) >= 0) {
        return true; /* most are */
    }
    static const char lawful[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._";
    size_t len = strlen(service);
    if (len == 0 || len >= TLSL_SERVICE_MAX || strspn(service, lawful) != len ||
        strchr("+-._", service[0])) {
        return false;
    }
    return strspn(service, "0123456789") != len;
}

/* Whether host is an IP address or a host name. An absolute name ends in a dot. */
static bool is_host(const char *host) {
    char name[TLSL_HOST_MAX];
    size_t len = strlen(host);
    return tlsl_is_ip(host) ||
           (copy(name, sizeof name, host, len > 1 && host[len - 1] == '.' ? len - 1 : len) &&
            tlsl_is_hostname(name));
}

/*
 * Returns where the host ends, and in *out_host where it begins. After it comes nothing, or
 * ":service", with "]" before it if there are brackets.
 */
static const char *end_of_host(const char *text, const char **out_host) {
    const char *end = strrchr(text, text[0] == '[' ? ']' : ':');
    *out_host = text[0] == '[' ? text + 1 : text;
    return end == NULL || tlsl_is_ip(text) ? text + strlen(text) : end;
}

static bool split(const char *text, tlsl_address *out) {
    const char *host = NULL;
    const char *end = end_of_host(text, &host);
    const char *rest = *end == ']' ? end + 1 : end;
    bool bracketed = host != text;
    out->service[0] = '\0';
    if (!copy(out->host, sizeof out->host, host, (size_t)(end - host)) ||
        (rest[0] != '\0' && (rest[0] != ':' || !is_service(rest + 1)))) {
        return false;
    }
    if (rest[0] == ':') {
        (void)copy(out->service, sizeof out->service, rest + 1, strlen(rest + 1));
    }
    bool colons = strchr(out->host, ':') != NULL;
    if (bracketed) { /* only IPv6 addresses may have brackets */
        return *end == ']' && tlsl_is_ip(out->host) && colons;
    }
    if (out->host[0] == '\0') {
        return rest[0] == ':';
    }
    /* "::1:44300" is nothing, since "::1:4430" is an address. */
    return is_host(out->host) && (rest[0] == '\0' || !colons);
}

/*
 * Whether text begins as the name of a Unix socket and is neither that nor a port of a host named
 * "unix". Without this check, a relative path would be taken for a service that nobody knows.
 */
static bool is_almost_local(const char *text) {
    static const char prefix[] = "unix:";
    size_t len = sizeof prefix - 1;
    return strncmp(text, prefix, len) == 0 &&
           (text[len] == '\0' || text[len + strspn(text + len, "0123456789")] != '\0');
}

/* The message leaves out what is before an "@", which may be a password in a URL. */
tlslife_status tlsl_address_split(const char *text, tlsl_address *out, tlslife_error *err) {
    const char *at = strrchr(text, '@');
    if (is_almost_local(text)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "\"%s%s\" names no Unix socket: unix:/path or unix:@name",
                         at == NULL ? "" : "...", at == NULL ? text : at);
    }
    return split(text, out)
               ? TLSLIFE_OK
               : tlsl_fail(
                     err, TLSLIFE_ERR_USAGE,
                     "\"%s%s\" is neither a host name nor an IP address, with or without a port",
                     at == NULL ? "" : "...", at == NULL ? text : at);
}

/* Adds the service of an address that names none itself. */
static tlslife_status add_service(const char *text, const char *service, const char *fallback,
                                  tlsl_address *out, tlslife_error *err) {
    const char *chosen = service != NULL ? service : fallback;
    if (chosen == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "\"%s\" names no port, and none is given", text);
    }
    if (!is_service(chosen)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "\"%s\" is neither a port (0 to 65535) nor the name of a service", chosen);
    }
    (void)copy(out->service, sizeof out->service, chosen,
               strlen(chosen)); /* is_service has checked */
    return TLSLIFE_OK;
}

tlslife_status tlsl_address_of(const char *text, const char *service, const char *fallback,
                               bool every, tlsl_address *out, tlslife_error *err) {
    const char *shown = text == NULL ? "" : text;
    *out = (tlsl_address){.host = ""};
    if (text != NULL && tlsl_address_split(text, out, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (out->host[0] == '\0' && !every) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "\"%s\" names no host", shown);
    }
    if (out->service[0] == '\0') {
        return add_service(shown, service, fallback, out, err);
    }
    return service == NULL
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE, "\"%s\" names a port, and \"%s\" is another",
                           shown, service);
}

tlslife_status tlsl_address_or_local(const char *text, tlsl_address *out, tlslife_error *err) {
    struct sockaddr_un local;
    socklen_t len = 0;
    *out = (tlsl_address){.host = ""};
    if (!tlsl_is_local(text)) {
        return tlsl_address_split(text, out, err);
    }
    if (tlsl_local_address(text, &local, &len, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    (void)copy(out->host, sizeof out->host, text,
               strlen(text)); /* it is shorter than a host name */
    return TLSLIFE_OK;
}

tlslife_status tlslife_split_address(const char *text, char *out_host, size_t host_len,
                                     char *out_service, size_t service_len, tlslife_error *err) {
    tlsl_address address;
    if (tlsl_address_or_local(text, &address, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    return copy(out_host, host_len, address.host, strlen(address.host)) &&
                   copy(out_service, service_len, address.service, strlen(address.service))
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE, "a host needs %d bytes and a service %d",
                           TLSL_HOST_MAX, TLSL_SERVICE_MAX);
}
