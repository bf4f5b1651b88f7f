# Precompiles the headers of OpenSSL, once for each kind of object. Parsing them for each source takes a third of a
# compiler's time without optimization.
#
# Only the builds of the suite do this. A source still includes what it uses, since the presets "lint" and "release"
# compile each source by itself. ccache must be told to trust such headers, so there are none if a launcher is set. The
# tsan build has none either. It includes spec/races/ranks.h before everything else, and gcc takes a precompiled header
# only if it is the first.
option(TLSLIFE_PRECOMPILE "Precompile the headers of OpenSSL" OFF)
if(CMAKE_C_COMPILER_LAUNCHER OR TLSLIFE_SANITIZE STREQUAL "thread")
  set(TLSLIFE_PRECOMPILE OFF)
endif()

# tlslife_precompile(TARGET [OWNER]): where OWNER is given, its headers, which were compiled with the same options.
function(tlslife_precompile target)
  if(TLSLIFE_PRECOMPILE AND ARGC EQUAL 1)
    target_precompile_headers(${target} PRIVATE <openssl/ssl.h> <openssl/err.h> <openssl/pem.h> <openssl/x509v3.h>
                              <pthread.h>)
  elseif(TLSLIFE_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM ${ARGV1})
  endif()
endfunction()
