/*
 * address.h: an address as text, taken apart. address.c.
 */
#ifndef TLSLIFE_ADDRESS_H
#define TLSLIFE_ADDRESS_H

#include <stdbool.h>

#include "tlslife.h"

#define TLSL_HOST_MAX 256 /* with the NUL; a name has 253 bytes, and one more for a dot at its end */
#define TLSL_SERVICE_MAX 64

typedef struct tlsl_address {
    char host[TLSL_HOST_MAX];       /* a host name, or an IP address without brackets; "": every address */
    char service[TLSL_SERVICE_MAX]; /* "8443" or "https"; "": none was named */
} tlsl_address;

/*
 * "host", "host:service", "[address]", "[address]:service", ":service", "address". USAGE for
 * anything else.
 */
tlslife_status tlsl_address_split(const char *text, tlsl_address *out, tlslife_error *err);
/*
 * What a call was given: text as above, and the service apart (or NULL: text names it, or else it
 * is fallback, or else that is USAGE). A text of NULL is every address; where every is false there
 * must be a host.
 */
tlslife_status tlsl_address_of(const char *text, const char *service, const char *fallback, bool every,
                               tlsl_address *out, tlslife_error *err);

#endif
