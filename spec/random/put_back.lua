--- put_back.lua: lists faults that our own code once had, or could have, as changes of today's
--- code, and what must be said of each. prove.lua puts them back, one at a time, and
--- random_spec.lua checks that each change still fits.
--
-- The field kind says what finds the fault, random programs or fleets. Each entry of changes has a
-- file, a text that the file has once, and the text that takes its place. The field found is a
-- pattern of what is said.

return {
    {
        name = "the overflow of conn:write(t)", kind = "program",
        changes = {
            {"src/lua/base/larg.c", "if (len > TLB_LIST_MAX) {", "if (len == (lua_Unsigned)-1) {"},
            {"src/lua/base/larg.c", "if (len > (size_t)PTRDIFF_MAX / size) {",
                "if (len == SIZE_MAX) {"},
        },
        found = "AddressSanitizer",
    },
    {
        name = "the NULL of conn:group()", kind = "program",
        changes = {
            {"src/tls/handshake/info.c", "    if (!negotiated(conn)) {\n        return NULL;\n"
                .. "    }\n    int id =", "    int id ="},
        },
        found = "AddressSanitizer: SEGV",
    },
    {
        name = "the lost hello of clear", kind = "program",
        changes = {
            {"src/tls/conn/conn.c", "if (hello_waits && refuse_suspended_hello",
                "if (hello_waits && conn->refs == 0 && refuse_suspended_hello"},
        },
        found = "LeakSanitizer",
    },
    {
        name = "the write after shutdown", kind = "program",
        changes = {
            {"src/tls/conn/data.c", "conn->data.write_waits |= leaves_record(conn->ssl);",
                "conn->data.write_waits |= leaves_record(conn->ssl) || !SSL_in_init(conn->ssl);"},
        },
        found = "no write was told to wait",
    },
    {
        name = "the unrenewed ticket of TLS 1.2", kind = "fleet",
        changes = {
            {"src/tls/handshake/handshake.c", "    if (!conn->open && !server && "
                .. "!conn->origin->foreign) {\n        keep_renewed(conn);",
                "    if (conn->open && !server && !conn->origin->foreign) {\n"
                .. "        keep_renewed(conn);"},
        },
        found = "must",
    },
    {
        name = "a permit for early data that stays", kind = "fleet",
        changes = {
            {"src/tls/session/lookup.c", "search->permit = search->take = true;",
                "search->permit = true;"},
            {"src/tls/session/lookup.c", "tlsl_cache_find(cache, &key, true, false, &why)",
                "tlsl_cache_find(cache, &key, false, false, &why)"},
        },
        found = "early data must be rejected",
    },
}
