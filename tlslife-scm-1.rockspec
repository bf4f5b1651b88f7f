rockspec_format = "3.0"
package = "tlslife"
version = "scm-1"
source = {
    url = "git+https://github.com/tlslife/tlslife.git",
}
description = {
    summary = "The life of a TLS connection, scripted",
    detailed = [[
TLS connections, contexts and sessions as Lua objects, on OpenSSL: every call of a connection's life under its
own name, resumption that works, shutdown both ways, and no callback into Lua under OpenSSL.]],
    homepage = "https://github.com/tlslife/tlslife",
    license = "MIT",
}
dependencies = {
    "lua >= 5.4, < 5.6",
}
external_dependencies = {
    OPENSSL = {header = "openssl/ssl.h"},
}
build = {
    type = "cmake",
    variables = {
        CMAKE_BUILD_TYPE = "Release",
        CMAKE_INSTALL_PREFIX = "$(PREFIX)",
        TLSLIFE_LUA_INCLUDE_DIRS = "$(LUA_INCDIR)",
        TLSLIFE_INSTALL_LUADIR = "$(LUADIR)",
        TLSLIFE_INSTALL_CLUADIR = "$(LIBDIR)",
        TLSLIFE_MODULE_STATIC = "ON",
        TLSLIFE_PROGRAM = "OFF",
        TLSLIFE_SPECS = "OFF",
        OPENSSL_ROOT_DIR = "$(OPENSSL_DIR)",
    },
}
