/*
 * verify.h: declares the verification of a peer's certificate. verify.c.
 */
#ifndef TLSLIFE_VERIFY_H
#define TLSLIFE_VERIFY_H

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>

#include "tlslife.h"

/* Installs the verification in a context that this library makes. */
void tlsl_verify_install(tlslife_context *context);
/* The program is asked about peers, as context->questions says. false: out of memory. */
bool tlsl_verify_ask(tlslife_context *context);
/*
 * Whether parameters that were copied demand the name or the address that the original demands.
 * libssl copies them for SSL_dup and for each verification, and ignores that there was no memory
 * for the name. Then a certificate of any name would do.
 */
bool tlsl_verifies_name(X509_VERIFY_PARAM *copy, X509_VERIFY_PARAM *original);

#endif
