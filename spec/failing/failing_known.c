/*
 * failing_known.c: lists what goes wrong in Lua, luv and OpenSSL when they get no memory, as it was
 * found here, with the reason in their source. known.c shows each by its name in plain C, without
 * tlslife. What a life in plain C on libssl shows as well (failing_plain.c) is not listed: it is
 * compared while the program runs.
 */
#include <lua.h>
#include <openssl/opensslv.h>

#include "life.h"

const known_fault known_faults[] = {
#if LUA_VERSION_NUM < 505 /* whose tables have room for one more name */
    {FAULT_LUA, "got a non-closable value", "", NULL, "buffer_never_again",
     "lauxlib's newbox: the metatable of a luaL_Buffer is registered before luaL_setfuncs fills "
     "it, and stays without __close where memory ends there"},
    /* the same, in the peer of the one that tells */
    {FAULT_LUA, "again: after a failure read failed: Connection reset", "", "luaL_setfuncs",
     "buffer_never_again",
     "lauxlib's newbox: the metatable of a luaL_Buffer is registered before luaL_setfuncs fills "
     "it, and stays without __close where memory ends there"},
    /* src has one luaL_ref, which is called when the module is opened: before a scene begins */
    {FAULT_LUA, "crash:", "", "luaL_ref", "handle_without_data",
     "luv's luv_setup_handle: where luaL_ref has no memory, the handle is in the loop already and "
     "has no data, and its collection reads them"},
#endif
    {FAULT_OPENSSL, "again: after a failure connect with localhost failed: decode error", "crypto/",
     NULL, "certificate_without_key",
     "x509_pubkey_ex_d2i_ex: a certificate whose key could not be decoded for lack of memory is "
     "taken without its key, and stays so"},
#if OPENSSL_VERSION_NUMBER < 0x30500000L /* seen with 3.0, and not with 3.5 */
    {FAULT_OPENSSL, "cannot be used: ee key too small", "crypto/", NULL, "key_without_size",
     "evp_keymgmt_util_cache_keyinfo: a key whose size could not be found for lack of memory has "
     "none ever after, and libssl calls it too small"},
#endif
    {FAULT_OPENSSL, "again: after a failure connect with localhost failed: certificate verify",
     "crypto/", NULL, "certificate_stays_invalid",
     "ossl_x509v3_cache_extensions: a certificate whose extensions could not be read for lack of "
     "memory is marked as invalid, and stays so"},
    {FAULT_OPENSSL, "again: after a failure connect with localhost failed: sslv3 alert handshake",
     "crypto/", "SSL_CTX_new_ex", "context_without_algorithms",
     "SSL_CTX_new: an algorithm that could not be tried for lack of memory is left out"},
    {FAULT_OPENSSL, "unregistered scheme", "crypto/", NULL, "loader_is_lost",
     "OSSL_STORE_LOADER_fetch: a loader that could not be made at its first use is never found"},
    {FAULT_OPENSSL, "crash:", "", "OSSL_DECODER_CTX_new_for_pkey", "decoder_crashes",
     "store_result.c, try_key_value: a decoder that could not be made is given a passphrase"},
    {FAULT_OPENSSL, "again:", "crypto/", "CRYPTO_THREAD_run_once", "once_and_never_again",
     "RUN_ONCE: what libcrypto could not make at its first use is never tried again"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
