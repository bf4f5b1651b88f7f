/*
 * address.h: splits an address given as text into host and service. address.c.
 */
#ifndef TLSLIFE_ADDRESS_H
#define TLSLIFE_ADDRESS_H

#include <stdbool.h>

#include "tlslife.h"

/* With the NUL. A name has up to 253 bytes, and one more if it ends in a dot. */
#define TLSL_HOST_MAX 256
#define TLSL_SERVICE_MAX 64

typedef struct tlsl_address {
    char host[TLSL_HOST_MAX];       /* a name or an IP address, unbracketed; "" for every address */
    char service[TLSL_SERVICE_MAX]; /* "8443" or "https"; "" if none was named */
} tlsl_address;

/*
 * Splits "host", "host:service", "[address]", "[address]:service", ":service" or "address". USAGE
 * for anything else.
 */
tlslife_status tlsl_address_split(const char *text, tlsl_address *out, tlslife_error *err);
/*
 * The address that a call was given as text (as above) and service. A service of NULL means the one
 * in text, or else fallback, or else USAGE. Both in text and apart it is USAGE. A text of NULL
 * means every address; if every is false there must be a host.
 */
tlslife_status tlsl_address_of(const char *text, const char *service, const char *fallback,
                               bool every, tlsl_address *out, tlslife_error *err);
/* The number that a service is, or -1: it is a name, or no port. */
int tlsl_port_of(const char *service);
/* The same as tlsl_address_split. The name of a Unix socket (net/local.h) is a host, too. */
tlslife_status tlsl_address_or_local(const char *text, tlsl_address *out, tlslife_error *err);

#endif
