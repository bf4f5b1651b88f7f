/*
 * lcertificate.h: functions for certificates that the script has as bytes.
 * lcertificate.c.
 */
#ifndef TLSLIFE_LUA_LCERTIFICATE_H
#define TLSLIFE_LUA_LCERTIFICATE_H

#include <lua.h>

int tlb_certificate(lua_State *L); /* tls.certificate */
int tlb_fingerprint(lua_State *L); /* tls.fingerprint */
int tlb_issued(lua_State *L);      /* tls.issued */

#endif
