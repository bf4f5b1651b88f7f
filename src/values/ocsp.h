/*
 * ocsp.h: judges an OCSP response. ocsp.c.
 */
#ifndef TLSLIFE_OCSP_H
#define TLSLIFE_OCSP_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define TLSL_OCSP_LEEWAY 300     /* seconds that the responder's clock may differ from ours */
#define TLSL_OCSP_AGE_MAX 604800 /* seconds that a response lives which names no next update */

/*
 * Judges the response in DER about a certificate, leaf, of that issuer, which may be NULL if it is
 * not known. NULL: the certificate is good. Otherwise the words for what is wrong, with static
 * storage, and *out_result is the X509_V_ERR_* for it.
 */
const char *tlsl_ocsp_judge(const unsigned char *der, size_t der_len, X509 *leaf, X509 *issuer,
                            long *out_result);
/*
 * Whether a server may staple the response: it can be read, and names certificates by digests that
 * libcrypto knows. A server of OpenSSL 3.6 compares it with its certificate, and where it cannot,
 * that leaves an error in the queue, by which each handshake fails that asks for a response. If
 * not, the queue may say why.
 */
bool tlsl_ocsp_can_be_stapled(const unsigned char *der, size_t der_len);
/* Whether a certificate demands a stapled response (RFC 7633), or demands what cannot be read. */
bool tlsl_must_staple(const X509 *leaf);

#endif
