/*
 * failing_known.c: what goes wrong in Lua and in OpenSSL when they get no memory, as it was found
 * here, with the reason in their source. What plain C on libssl shows as well (failing_plain.c) is
 * not listed: it is compared while the program runs.
 */
#include "life.h"

const known_fault known_faults[] = {
    {FAULT_LUA, "got a non-closable value", "", NULL,
     "lauxlib's newbox: the metatable of a luaL_Buffer is registered before luaL_setfuncs fills "
     "it, and stays without __close where memory ends there"},
    {FAULT_OPENSSL, "again: after a failure connect with localhost failed: decode error", "crypto/",
     NULL,
     "x509_pubkey_ex_d2i_ex: a certificate whose key could not be decoded for lack of memory is "
     "taken without its key, and stays so"},
    {FAULT_OPENSSL, "again:", "crypto/", "CRYPTO_THREAD_run_once",
     "RUN_ONCE: what libcrypto could not make at its first use is never tried again"},
    {0, NULL, NULL, NULL, NULL},
};
