/*
 * proxy_tlv.h: the fields behind the addresses of a PROXY header of version 2. proxy_tlv.c.
 */
#ifndef TLSLIFE_PROXY_TLV_H
#define TLSLIFE_PROXY_TLV_H

#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

/*
 * Judges the fields of a whole header, which begin at begin. NULL if they are right, or the reason,
 * which is static, why they are not.
 */
const char *tlsl_proxy_judge_tlvs(const unsigned char *header, size_t header_len, size_t begin);
/* The value of the field of that type, lent, in fields that were judged. false if there is none. */
bool tlsl_proxy_find_tlv(const unsigned char *fields, size_t fields_len, unsigned type,
                         tlslife_bytes *out);

#endif
