/*
 * lkeys.h: makes key rings and ticket keys. lkeys.c.
 */
#ifndef TLSLIFE_LUA_LKEYS_H
#define TLSLIFE_LUA_LKEYS_H

#include <lua.h>

int tlb_keyring_new(lua_State *L);     /* tls.keyring */
int tlb_ticket_keys_new(lua_State *L); /* tls.ticket_keys */

#endif
