# Defines how everything is compiled, by one interface target that all others link, and by the names that hide
# OpenSSL's deprecated functions.
add_library(tlslife_flags INTERFACE)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

target_compile_definitions(tlslife_flags INTERFACE _GNU_SOURCE)
target_compile_options(
  tlslife_flags
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
            -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-align -Wwrite-strings
            -Wundef -Wformat=2 -Wvla -Wnull-dereference -Wdouble-promotion -fno-common
            -fstack-protector-strong)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(tlslife_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches
                                                 -Wjump-misses-init)
endif()
target_link_options(tlslife_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
# The suite links a hundred programs with the same static library, and gold takes a third of bfd's time. Not every
# Debian has it; what is shipped is linked by the default. Of clang's AddressSanitizer gold says things that mean nothing.
if(TLSLIFE_SPECS AND CMAKE_BUILD_TYPE STREQUAL "Debug" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  check_linker_flag(C -fuse-ld=gold TLSLIFE_GOLD)
  if(TLSLIFE_GOLD)
    target_link_options(tlslife_flags INTERFACE -fuse-ld=gold)
  endif()
endif()
# Every function is found when the library is loaded (-z now). So a call can use the address itself. A stub would cost
# one more cache line and one more jump; docs/performance.md has the figures.
check_c_compiler_flag(-fno-plt TLSLIFE_NO_PLT)
if(TLSLIFE_NO_PLT)
  target_compile_options(tlslife_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-fno-plt>)
endif()

# Glibc's checks need optimization. The level is ours only where neither the flags (CFLAGS) nor the compiler set one.
function(tlslife_fortify)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  if("${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}}" MATCHES "_FORTIFY_SOURCE")
    return()
  endif()
  set(CMAKE_TRY_COMPILE_CONFIGURATION ${CMAKE_BUILD_TYPE})
  check_c_source_compiles("#if defined _FORTIFY_SOURCE || !defined __OPTIMIZE__\n#error\n#endif\nint main(void) { return 0; }"
                          TLSLIFE_FORTIFY_${type})
  if(TLSLIFE_FORTIFY_${type})
    target_compile_options(tlslife_flags INTERFACE -D_FORTIFY_SOURCE=2)
  endif()
endfunction()

if(TLSLIFE_SANITIZE)
  target_compile_options(tlslife_flags INTERFACE -fsanitize=${TLSLIFE_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=undefined)
  target_link_options(tlslife_flags INTERFACE -fsanitize=${TLSLIFE_SANITIZE})
  if(TLSLIFE_SANITIZE STREQUAL "thread") # it checks the order of locks, too
    target_compile_options(tlslife_flags INTERFACE -include ${PROJECT_SOURCE_DIR}/spec/races/ranks.h)
  endif()
else()
  tlslife_fortify()
endif()

if(TLSLIFE_COVERAGE)
  # Threads count, too: without atomic counters some counts come out negative, which gcovr does not read.
  target_compile_options(tlslife_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(tlslife_flags INTERFACE --coverage)
  target_compile_definitions(tlslife_flags INTERFACE TLSLIFE_COVERAGE)
endif()

# What OpenSSL 3.0 calls deprecated is not declared at all; what later versions call so still is.
set(TLSLIFE_NO_DEPRECATED OPENSSL_API_COMPAT=30000 OPENSSL_NO_DEPRECATED)
